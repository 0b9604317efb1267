//! Requests that end in another way than by an answer, and what comes after the head.

use super::{
    Ask, Plan, Reply, Stack, all_sessions, call, in_probe, kept_sessions, look, on_every_adapter,
    send, take, visit,
};
use crate::{
    stores::{Fault, Verb},
    support::{DAY, HOUR, Jar, yield_often},
};
use dframework_session::{Clock, Error, Session, SessionHandle};
use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
    task::Poll,
};

on_every_adapter! {
    a_panic_commits_nothing_but_a_logout,
    a_client_that_hangs_up_commits_nothing_but_a_logout,
    a_client_that_hangs_up_during_the_commit_does_not_cut_it_in_half,
    a_logout_is_carried_out_though_somebody_still_holds_the_session,
    what_a_request_without_an_answer_has_changed_no_later_save_commits,
    what_a_handler_holds_is_dropped_inside_its_request,
    streaming_after_the_head_goes_through_a_handle,
    a_body_saves_through_its_handle_and_finds_no_session_by_itself,
    a_session_expires_by_the_clock_of_the_configuration,
}

/// Runs a service's future and catches a panic in it, as a server does.
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

/// Sends a request, and hangs up when its handler waits.
async fn hang_up<S: Stack>(app: &S::App, jar: &Jar, path: &str) {
    tokio::select! {
        biased;
        answer = S::answer(app, Ask::get(path).by(jar)) => panic!("{answer:?}"),
        () = yield_often() => {}
    }
}

fn with_panics() -> Plan {
    let panics = async || -> Result<(), Error> {
        visit().await?;
        Session::regenerate().await?;
        panic!("on purpose")
    };
    let panics_after_logout = async || -> Result<(), Error> {
        Session::destroy().await?;
        panic!("on purpose")
    };
    let panics_inside = async || {
        let update = |_: Option<i64>| -> i64 { panic!("on purpose") };
        Session::update("visits", update).await
    };
    Plan::new()
        .route("/", call(visit))
        .route("/look", take(look))
        .route("/panic", call(panics))
        .route("/inside", call(panics_inside))
        .route("/logout", call(panics_after_logout))
}

async fn a_panic_commits_nothing_but_a_logout<S: Stack>() {
    for (driver, sessions) in all_sessions().await {
        let app = S::build(with_panics().layer(&sessions)).await;
        let mut jar = Jar::default();
        send::<S>(&app, &mut jar, "/").await;
        for path in ["/panic", "/inside"] {
            assert!(catch(S::answer(&app, Ask::get(path).by(&jar))).await.is_none());
            assert!(S::take_now().unwrap_err().is_outside(), "{driver}: the scope is left");
            let visits = send::<S>(&app, &mut jar.clone(), "/look").await.text;
            assert_eq!(visits, "1", "{driver} {path}");
        }
        assert_eq!(send::<S>(&app, &mut jar, "/").await.text, "2", "{driver}");
        assert!(catch(S::answer(&app, Ask::get("/logout").by(&jar))).await.is_none());
        yield_often().await;
        assert_eq!(send::<S>(&app, &mut jar.clone(), "/look").await.text, "0", "{driver}");
    }
}

async fn a_client_that_hangs_up_commits_nothing_but_a_logout<S: Stack>() {
    for (driver, sessions) in all_sessions().await {
        let waits = async || -> Result<(), Error> {
            visit().await?;
            std::future::pending().await
        };
        let waits_after_logout = async || -> Result<(), Error> {
            Session::destroy().await?;
            std::future::pending().await
        };
        let plan = Plan::new()
            .route("/", call(visit))
            .route("/look", take(look))
            .route("/wait", call(waits))
            .route("/logout", call(waits_after_logout));
        let app = S::build(plan.layer(&sessions)).await;
        let mut jar = Jar::default();
        send::<S>(&app, &mut jar, "/").await;
        for (path, visits) in [("/wait", "1"), ("/logout", "0")] {
            hang_up::<S>(&app, &jar, path).await;
            yield_often().await;
            let left = send::<S>(&app, &mut jar.clone(), "/look").await.text;
            assert_eq!(left, visits, "{driver} {path}");
        }
    }
}

async fn a_logout_is_carried_out_though_somebody_still_holds_the_session<S: Stack>() {
    for (driver, sessions) in all_sessions().await {
        let held = Arc::new(Mutex::new(None));
        let holder = held.clone();
        let waits = move |session: SessionHandle| {
            let holder = holder.clone();
            async move {
                session.destroy().await?;
                holder.lock().unwrap().replace(session);
                std::future::pending::<Result<(), Error>>().await
            }
        };
        let plan = Plan::new()
            .route("/", call(visit))
            .route("/look", take(look))
            .route("/logout", take(waits));
        let app = S::build(plan.layer(&sessions)).await;
        let mut jar = Jar::default();
        send::<S>(&app, &mut jar, "/").await;
        hang_up::<S>(&app, &jar, "/logout").await;
        yield_often().await;
        assert_eq!(send::<S>(&app, &mut jar.clone(), "/look").await.text, "0", "{driver}");
        let held = held.lock().unwrap().take().unwrap();
        assert!(held.regenerate().await.unwrap_err().is_late(), "{driver}");
    }
}

async fn a_client_that_hangs_up_during_the_commit_does_not_cut_it_in_half<S: Stack>() {
    let (store, sessions) = in_probe(|config| config);
    let plan = Plan::new().route("/", call(visit)).route("/look", take(look));
    let app = S::build(plan.layer(&sessions)).await;
    let mut jar = Jar::default();
    send::<S>(&app, &mut jar, "/").await;
    store.fail_next(Verb::Commit, Fault::Held);
    hang_up::<S>(&app, &jar, "/").await;
    store.release();
    while store.only().await.1.version.0 == 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(send::<S>(&app, &mut jar, "/look").await.text, "2");
}

/// Somebody who still holds the session goes on from what is stored.
async fn what_a_request_without_an_answer_has_changed_no_later_save_commits<S: Stack>() {
    for (driver, sessions) in kept_sessions().await {
        for panics in [false, true] {
            let held = Arc::new(Mutex::new(None));
            let holder = held.clone();
            let handler = move |session: SessionHandle| {
                let holder = holder.clone();
                async move {
                    session.increment("visits", 10).await?;
                    holder.lock().unwrap().replace(session);
                    assert!(!panics, "on purpose");
                    std::future::pending::<Result<(), Error>>().await
                }
            };
            let plan = Plan::new()
                .route("/", call(visit))
                .route("/look", take(look))
                .route("/ends", take(handler));
            let app = S::build(plan.layer(&sessions)).await;
            let mut jar = Jar::default();
            send::<S>(&app, &mut jar, "/").await;
            tokio::select! {
                biased;
                answer = catch(S::answer(&app, Ask::get("/ends").by(&jar))) => assert!(answer.is_none()),
                () = yield_often() => {}
            }
            let held = held.lock().unwrap().take().unwrap();
            assert_eq!(held.get("visits").await.unwrap(), Some(1), "{driver} {panics}");
            held.set("theme", "dark").await.unwrap();
            held.save().await.unwrap();
            let visits = send::<S>(&app, &mut jar, "/look").await.text;
            assert_eq!(visits, "1", "{driver} {panics}");
        }
    }
}

/// Notes, when it is dropped, whether it finds a session.
struct Noting(Arc<Mutex<Vec<bool>>>);

impl Drop for Noting {
    fn drop(&mut self) {
        self.0.lock().unwrap().push(Session::handle().is_ok());
    }
}

async fn what_a_handler_holds_is_dropped_inside_its_request<S: Stack>() {
    for (driver, sessions) in all_sessions().await {
        let found = Arc::new(Mutex::new(Vec::new()));
        let noted = found.clone();
        let waits = move || {
            let noting = Noting(noted.clone());
            async move {
                visit().await?;
                std::future::pending::<()>().await;
                drop(noting);
                Ok(())
            }
        };
        let app = S::build(Plan::new().route("/", call(waits)).layer(&sessions)).await;
        hang_up::<S>(&app, &Jar::default(), "/").await;
        assert_eq!(*found.lock().unwrap(), [true], "{driver}");
    }
}

async fn streaming_after_the_head_goes_through_a_handle<S: Stack>() {
    for (driver, sessions) in kept_sessions().await {
        let (send_handle, mut handles) = tokio::sync::mpsc::unbounded_channel();
        let stream = move |session: SessionHandle| {
            send_handle.send(session).unwrap();
            async { Ok("the head") }
        };
        let plan = Plan::new()
            .route("/", call(visit))
            .route("/look", take(look))
            .route("/stream", take(stream));
        let app = S::build(plan.layer(&sessions)).await;
        let mut jar = Jar::default();
        send::<S>(&app, &mut jar, "/").await;
        send::<S>(&app, &mut jar, "/stream").await;
        let handle = handles.recv().await.unwrap();
        handle.increment("visits", 1).await.unwrap();
        handle.save().await.unwrap();
        assert!(handle.flash("status", "x").await.unwrap_err().is_late(), "{driver}");
        assert_eq!(send::<S>(&app, &mut jar, "/look").await.text, "2", "{driver}");
    }
}

async fn a_body_saves_through_its_handle_and_finds_no_session_by_itself<S: Stack>() {
    for (driver, sessions) in kept_sessions().await {
        let stream = async |session: SessionHandle| {
            session.increment("visits", 1).await?;
            Ok(Reply::stream(async move {
                assert!(Session::handle().unwrap_err().is_outside());
                assert!(session.regenerate().await.unwrap_err().is_late());
                let visits = session.increment("visits", 10).await?;
                session.save().await?;
                Ok(visits.into())
            }))
        };
        let plan = Plan::new()
            .route("/", call(visit))
            .route("/look", take(look))
            .route("/stream", take(stream));
        let app = S::build(plan.layer(&sessions)).await;
        let mut jar = Jar::default();
        send::<S>(&app, &mut jar, "/").await;
        assert_eq!(send::<S>(&app, &mut jar, "/stream").await.text, "12", "{driver}");
        assert_eq!(send::<S>(&app, &mut jar, "/look").await.text, "12", "{driver}");
    }
}

async fn a_session_expires_by_the_clock_of_the_configuration<S: Stack>() {
    let clock = Clock::manual();
    let (_, sessions) = in_probe(|config| config.clock(clock.clone()).lifetime(DAY));
    let app = S::build(Plan::new().route("/", call(visit)).layer(&sessions)).await;
    let mut jar = Jar::default();
    for (advance, visits) in [(HOUR, "1"), (HOUR, "2"), (3 * HOUR, "1")] {
        clock.advance(advance);
        assert_eq!(send::<S>(&app, &mut jar, "/").await.text, visits);
    }
}
