//! Requests that end in another way than by an answer, layers in layers, and what comes after the head.

use super::{all_sessions, field, handle_now, in_probe, lines, look, request, send, text, visit};
use crate::{
    stores::{Fault, Verb},
    support::{DAY, HOUR, Jar},
};
use axum::{
    Router,
    http::{Request, Response, header},
    routing::get,
};
use dframework_session::{
    Clock, Session, SessionHandle, Sessions,
    tower::{SessionLayer, SessionService},
};
use std::{convert::Infallible, panic::AssertUnwindSafe, task::Poll, time::Duration};
use tower::{Layer, Service, ServiceExt, service_fn};

/// Runs a service's future and catches a panic in it, as a layer outside of ours does.
async fn catch<F: Future>(future: F) -> Option<F::Output> {
    let mut future = Box::pin(future);
    std::future::poll_fn(move |context| {
        let poll = std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        match poll {
            Ok(Poll::Ready(output)) => Poll::Ready(Some(output)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}

fn with_panics(sessions: Sessions) -> Router {
    let panics = async || -> String {
        Session::increment("visits", 1).await.unwrap();
        Session::regenerate().await.unwrap();
        panic!("on purpose")
    };
    let panics_after_logout = async || -> String {
        Session::destroy().await.unwrap();
        panic!("on purpose")
    };
    let panics_inside = async || -> String {
        let update = |_: Option<i64>| -> i64 { panic!("on purpose") };
        Session::update("visits", update).await.unwrap().to_string()
    };
    Router::new()
        .route("/", get(visit))
        .route("/look", get(look))
        .route("/panic", get(panics))
        .route("/inside", get(panics_inside))
        .route("/logout", get(panics_after_logout))
        .layer(SessionLayer::new(sessions))
}

#[tokio::test]
async fn a_panic_commits_nothing_but_a_logout() {
    for (driver, sessions) in all_sessions().await {
        let app = with_panics(sessions);
        let mut jar = Jar::default();
        send(&app, &mut jar, "/").await;
        for path in ["/panic", "/inside"] {
            assert!(catch(app.clone().oneshot(request(&jar, path))).await.is_none());
            assert!(handle_now().unwrap_err().is_outside(), "{driver}: the scope is left");
            let visits = text(send(&app, &mut jar.clone(), "/look").await).await;
            assert_eq!(visits, "1", "{driver} {path}");
        }
        assert_eq!(text(send(&app, &mut jar, "/").await).await, "2", "{driver}");
        assert!(catch(app.clone().oneshot(request(&jar, "/logout"))).await.is_none());
        tokio::task::yield_now().await;
        assert_eq!(text(send(&app, &mut jar.clone(), "/look").await).await, "0", "{driver}");
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_commits_nothing_but_a_logout() {
    for (driver, sessions) in all_sessions().await {
        let waits = async || -> String {
            Session::increment("visits", 1).await.unwrap();
            std::future::pending().await
        };
        let waits_after_logout = async || -> String {
            Session::destroy().await.unwrap();
            std::future::pending().await
        };
        let app = Router::new()
            .route("/", get(visit))
            .route("/look", get(look))
            .route("/wait", get(waits))
            .route("/logout", get(waits_after_logout))
            .layer(SessionLayer::new(sessions));
        let mut jar = Jar::default();
        send(&app, &mut jar, "/").await;
        for (path, visits) in [("/wait", "1"), ("/logout", "0")] {
            let answer = app.clone().oneshot(request(&jar, path));
            assert!(tokio::time::timeout(Duration::from_millis(5), answer).await.is_err());
            tokio::task::yield_now().await;
            let left = text(send(&app, &mut jar.clone(), "/look").await).await;
            assert_eq!(left, visits, "{driver} {path}");
        }
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_during_the_commit_does_not_cut_it_in_half() {
    let (store, sessions) = in_probe(|config| config);
    let app = Router::new()
        .route("/", get(visit))
        .route("/look", get(look))
        .layer(SessionLayer::new(sessions));
    let mut jar = Jar::default();
    send(&app, &mut jar, "/").await;
    store.fail_next(Verb::Commit, Fault::Held);
    let answer = app.clone().oneshot(request(&jar, "/"));
    assert!(tokio::time::timeout(Duration::from_millis(5), answer).await.is_err());
    store.release();
    while store.only().await.1.version.0 == 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(text(send(&app, &mut jar, "/look").await).await, "2");
}

#[tokio::test]
async fn two_layers_with_different_names_do_not_disturb_each_other() {
    let named = |name: &'static str| in_probe(move |config| config.cookie_name(name)).1;
    let (outer, inner) = (named("__Host-outer"), named("__Host-inner"));
    let nested: SessionService<_> =
        SessionLayer::new(inner).layer(service_fn(async |_: Request<()>| {
            let visits = Session::increment("visits", 1).await.unwrap();
            Ok::<_, Infallible>(Response::new(visits))
        }));
    let between = service_fn(move |request: Request<()>| {
        let mut nested = nested.clone();
        async move {
            Session::increment("visits", 10).await.unwrap();
            let response = nested.call(request).await?;
            let visits = Session::increment("visits", 10).await.unwrap();
            Ok::<_, Infallible>(response.map(|inner| (inner, visits)))
        }
    });
    let service = SessionLayer::new(outer)
        .layer(between.map_response(|response| response.map(|visits| format!("{visits:?}"))));
    let mut jar = Jar::default();
    for visits in ["(1, 20)", "(2, 40)", "(3, 60)"] {
        let (parts, _) = request(&jar, "/").into_parts();
        let response = service.clone().oneshot(Request::from_parts(parts, ())).await.unwrap();
        jar.take(&lines(response.headers()));
        assert_eq!(response.body(), visits);
        assert_eq!(field(response.headers(), &header::VARY), ["Cookie"]);
        let held: Vec<_> = jar.pairs().into_keys().collect();
        assert_eq!(held, ["__Host-inner", "__Host-outer"]);
    }
}

#[tokio::test]
async fn streaming_after_the_head_goes_through_a_handle() {
    for (driver, sessions) in all_sessions().await {
        let (send_handle, mut handles) = tokio::sync::mpsc::unbounded_channel();
        let stream = async move |session: SessionHandle| {
            send_handle.send(session).unwrap();
            "the head"
        };
        let app = Router::new()
            .route("/", get(visit))
            .route("/look", get(look))
            .route("/stream", get(stream))
            .layer(SessionLayer::new(sessions));
        let mut jar = Jar::default();
        send(&app, &mut jar, "/").await;
        send(&app, &mut jar, "/stream").await;
        let handle = handles.recv().await.unwrap();
        handle.increment("visits", 1).await.unwrap();
        handle.save().await.unwrap();
        assert!(handle.flash("status", "x").await.unwrap_err().is_late(), "{driver}");
        assert_eq!(text(send(&app, &mut jar, "/look").await).await, "2", "{driver}");
    }
}

#[tokio::test]
async fn a_session_expires_by_the_clock_of_the_configuration() {
    let clock = Clock::manual();
    let (_, sessions) = in_probe(|config| config.clock(clock.clone()).lifetime(DAY));
    let app = Router::new().route("/", get(visit)).layer(SessionLayer::new(sessions));
    let mut jar = Jar::default();
    for (advance, visits) in [(HOUR, "1"), (HOUR, "2"), (3 * HOUR, "1")] {
        clock.advance(advance);
        assert_eq!(text(send(&app, &mut jar, "/").await).await, visits);
    }
}
