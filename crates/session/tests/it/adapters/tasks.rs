//! Where code runs: inside its request the facade finds the session, elsewhere it is an error that says what to write.

use super::{
    Ask, Plan, Reply, Stack, UPGRADE, all_sessions, call, in_probe, kept_sessions,
    layers::{OF_OTHERS, TWICE},
    look, on_every_adapter, send,
    stack::{Actix, Axum},
    take, visit,
};
use crate::{
    stores::{Fault, Verb},
    support::{HOUR, Jar, OUTSIDE, told, yield_often},
};
use dframework_session::{Clock, Error, Session, SessionHandle};
use futures_util::stream::{FuturesUnordered, StreamExt};
use serde_json::json;
use std::{future::pending, pin::Pin};
use tokio::{
    runtime,
    sync::{mpsc, oneshot},
    task::{LocalSet, spawn_blocking, spawn_local},
};

on_every_adapter! {
    a_task_or_a_thread_has_the_session_that_it_was_given,
    what_a_request_polls_itself_finds_its_session,
    a_branch_that_is_dropped_leaves_what_it_has_changed,
    a_verb_that_is_dropped_while_it_loads_has_changed_nothing,
    a_save_that_is_dropped_goes_on,
    a_body_in_a_scope_finds_its_session,
    a_guard_saves_by_the_task_that_it_spawns,
    middleware_that_spawns_the_rest_of_a_request_brings_the_session_along,
    what_a_kept_handle_has_not_saved_is_told,
    a_change_after_the_head_that_needs_a_cookie_says_what_to_do,
    a_handle_sees_what_others_did_when_it_has_saved,
    a_handle_learns_of_a_logout_when_it_saves,
    a_kept_handle_prolongs_its_session_by_saving_and_not_by_reading,
}

type Work = Pin<Box<dyn Future<Output = Result<i64, Error>> + Send>>;

/// Does something somewhere, and counts a visit there.
type Start = fn() -> Work;

/// With whether the session is found there.
const ELSEWHERE: [(&str, bool, Start); 12] = [
    ("tokio::spawn", false, || Box::pin(async { tokio::spawn(visit()).await.unwrap() })),
    ("Session::spawn", true, || Box::pin(async { Session::spawn(visit())?.await.unwrap() })),
    ("a handle in a task", true, || {
        Box::pin(async {
            let session = Session::handle()?;
            tokio::spawn(async move { session.increment("visits", 1).await }).await.unwrap()
        })
    }),
    ("a scope in a task", true, || {
        Box::pin(async { tokio::spawn(Session::scope(Session::handle()?, visit())).await.unwrap() })
    }),
    ("a task of a task", false, || {
        let nested = async { tokio::spawn(visit()).await.unwrap() };
        Box::pin(async { Session::spawn(nested)?.await.unwrap() })
    }),
    ("spawn_blocking", false, || {
        Box::pin(async { spawn_blocking(|| Session::handle().map(|_| 1)).await.unwrap() })
    }),
    ("a handle in spawn_blocking", true, || {
        Box::pin(async {
            let (session, runtime) = (Session::handle()?, runtime::Handle::current());
            let work = move || runtime.block_on(session.increment("visits", 1));
            spawn_blocking(work).await.unwrap()
        })
    }),
    ("a scope in spawn_blocking", true, || {
        Box::pin(async {
            let (session, runtime) = (Session::handle()?, runtime::Handle::current());
            let work = move || runtime.block_on(Session::scope(session, visit()));
            spawn_blocking(work).await.unwrap()
        })
    }),
    ("a thread", false, || Box::pin(async { on_a_thread(|| Session::handle().map(|_| 1)).await })),
    ("a handle on a thread", true, || {
        Box::pin(async {
            let (session, runtime) = (Session::handle()?, runtime::Handle::current());
            on_a_thread(move || runtime.block_on(session.increment("visits", 1))).await
        })
    }),
    ("spawn_local", false, || Box::pin(async { spawn_local(visit()).await.unwrap() })),
    ("a scope in spawn_local", true, || {
        Box::pin(async { spawn_local(Session::scope(Session::handle()?, visit())).await.unwrap() })
    }),
];

async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = oneshot::channel();
    std::thread::spawn(move || done.send(work()));
    result.await.unwrap()
}

/// What it gave, or the text of its error.
async fn text(work: Work) -> Result<String, Error> {
    Ok(work.await.map_or_else(|error| error.to_string(), |number| number.to_string()))
}

async fn a_task_or_a_thread_has_the_session_that_it_was_given<S: Stack>() {
    for (driver, sessions) in all_sessions().await {
        for (way, is_found, work) in ELSEWHERE {
            let plan =
                Plan::new().route("/", call(move || text(work()))).route("/look", take(look));
            let app = S::build(plan.layer(&sessions)).await;
            let mut jar = Jar::default();
            let answer = LocalSet::new().run_until(send::<S>(&app, &mut jar, "/")).await;
            assert_eq!(answer.text, if is_found { "1" } else { OUTSIDE }, "{driver} {way}");
            let stored = send::<S>(&app, &mut jar, "/look").await.text;
            assert_eq!(stored, if is_found { "1" } else { "0" }, "{driver} {way}");
        }
    }
}

const HERE: [(&str, Start); 4] = [
    ("join!", || {
        Box::pin(async {
            let (one, other) = tokio::join!(visit(), visit());
            Ok(one?.max(other?))
        })
    }),
    ("select!", || {
        Box::pin(async {
            visit().await?;
            tokio::select! {
                biased;
                () = pending() => Ok(0),
                visits = visit() => visits,
            }
        })
    }),
    ("FuturesUnordered", || {
        Box::pin(async {
            let mut visits: FuturesUnordered<_> = (0..2).map(|_| visit()).collect();
            visits.next().await.unwrap()?;
            visits.next().await.unwrap()
        })
    }),
    ("a stream", || {
        Box::pin(async {
            let visits = futures_util::stream::iter(0..2).then(|_| visit());
            visits.collect::<Vec<_>>().await.pop().unwrap()
        })
    }),
];

async fn what_a_request_polls_itself_finds_its_session<S: Stack>() {
    for (driver, sessions) in all_sessions().await {
        for (way, work) in HERE {
            let plan =
                Plan::new().route("/", call(move || text(work()))).route("/look", take(look));
            let app = S::build(plan.layer(&sessions)).await;
            let mut jar = Jar::default();
            assert_eq!(send::<S>(&app, &mut jar, "/").await.text, "2", "{driver} {way}");
            assert_eq!(send::<S>(&app, &mut jar, "/look").await.text, "2", "{driver} {way}");
        }
    }
}

async fn a_branch_that_is_dropped_leaves_what_it_has_changed<S: Stack>() {
    for (driver, sessions) in all_sessions().await {
        let handler = async || {
            let changes = async {
                visit().await?;
                pending().await
            };
            tokio::select! {
                changed = changes => changed,
                () = yield_often() => Session::get_or("visits", &0_i64).await,
            }
        };
        let plan = Plan::new().route("/", call(handler)).route("/look", take(look));
        let app = S::build(plan.layer(&sessions)).await;
        let mut jar = Jar::default();
        assert_eq!(send::<S>(&app, &mut jar, "/").await.text, "1", "{driver}");
        assert_eq!(send::<S>(&app, &mut jar, "/look").await.text, "1", "{driver}");
    }
}

async fn a_verb_that_is_dropped_while_it_loads_has_changed_nothing<S: Stack>() {
    let (store, sessions) = in_probe(|config| config);
    let handler = async || {
        tokio::select! {
            biased;
            changed = Session::increment("visits", 10) => changed,
            () = yield_often() => visit().await,
        }
    };
    let plan = Plan::new()
        .route("/first", call(visit))
        .route("/", call(handler))
        .route("/look", take(look));
    let app = S::build(plan.layer(&sessions)).await;
    let mut jar = Jar::default();
    send::<S>(&app, &mut jar, "/first").await;
    store.fail_next(Verb::Load, Fault::Held);
    assert_eq!(send::<S>(&app, &mut jar, "/").await.text, "2");
    assert_eq!(send::<S>(&app, &mut jar, "/look").await.text, "2");
}

async fn a_save_that_is_dropped_goes_on<S: Stack>() {
    let (store, sessions) = in_probe(|config| config);
    let held = store.clone();
    let handler = move || {
        let store = held.clone();
        async move {
            visit().await?;
            store.fail_next(Verb::Commit, Fault::Held);
            tokio::select! {
                biased;
                saved = Session::save() => saved?,
                () = yield_often() => {}
            }
            store.release();
            visit().await
        }
    };
    let plan = Plan::new()
        .route("/first", call(visit))
        .route("/", call(handler))
        .route("/look", take(look));
    let app = S::build(plan.layer(&sessions)).await;
    let mut jar = Jar::default();
    send::<S>(&app, &mut jar, "/first").await;
    let answer = send::<S>(&app, &mut jar, "/").await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "3"));
    assert_eq!(send::<S>(&app, &mut jar, "/look").await.text, "3", "each counts once");
}

async fn a_body_in_a_scope_finds_its_session<S: Stack>() {
    for (driver, sessions) in kept_sessions().await {
        let stream = async |session: SessionHandle| {
            let work = async {
                let visits = visit().await?;
                Session::save().await?;
                Ok(visits.into())
            };
            Ok(Reply::stream(Session::scope(session, work)))
        };
        let plan = Plan::new()
            .route("/", call(visit))
            .route("/look", take(look))
            .route("/stream", take(stream));
        let app = S::build(plan.layer(&sessions)).await;
        let mut jar = Jar::default();
        send::<S>(&app, &mut jar, "/").await;
        assert_eq!(send::<S>(&app, &mut jar, "/stream").await.text, "2", "{driver}");
        assert_eq!(send::<S>(&app, &mut jar, "/look").await.text, "2", "{driver}");
    }
}

/// Counts a visit when it goes.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        let work = async {
            visit().await?;
            Session::save().await
        };
        // There is no session where the guard outlives its request.
        drop(Session::spawn(work));
    }
}

async fn a_guard_saves_by_the_task_that_it_spawns<S: Stack>() {
    for (driver, sessions) in kept_sessions().await {
        let ends = async || {
            let _guard = Guard;
            Ok(())
        };
        let hangs = async || {
            let _guard = Guard;
            pending::<Result<(), Error>>().await
        };
        let plan = Plan::new()
            .route("/", call(visit))
            .route("/look", take(look))
            .route("/ends", call(ends))
            .route("/hangs", call(hangs));
        let app = S::build(plan.layer(&sessions)).await;
        let mut jar = Jar::default();
        send::<S>(&app, &mut jar, "/").await;
        for (path, visits) in [("/ends", "2"), ("/hangs", "3")] {
            tokio::select! {
                biased;
                _ = S::answer(&app, Ask::get(path).by(&jar)) => {}
                () = yield_often() => {}
            }
            yield_often().await;
            assert_eq!(send::<S>(&app, &mut jar, "/look").await.text, visits, "{driver} {path}");
        }
        // Outside of a request it has no session, and nothing happens.
        drop(Guard);
        yield_often().await;
        assert_eq!(send::<S>(&app, &mut jar, "/look").await.text, "3", "{driver}");
    }
}

/// As middleware does that lets a panic or a hang-up not reach the rest of the request.
async fn middleware_that_spawns_the_rest_of_a_request_brings_the_session_along<S: Stack>() {
    for (driver, sessions) in all_sessions().await {
        let lost = async || tokio::spawn(async { S::take_now().map(drop) }).await.unwrap();
        let found = async || {
            Session::spawn(async { S::take_now()?.increment("visits", 1).await })?.await.unwrap()
        };
        let plan = Plan::new()
            .route("/lost", call(lost))
            .route("/found", call(found))
            .route("/look", take(look));
        let app = S::build(plan.layer(&sessions)).await;
        let mut jar = Jar::default();
        let (answer, told) = told(async || send::<S>(&app, &mut jar, "/lost").await).await;
        assert!(answer.status == 500 && told.contains(S::NO_LAYER), "{driver}: {told}");
        assert_eq!(send::<S>(&app, &mut jar, "/found").await.text, "1", "{driver}");
        assert_eq!(send::<S>(&app, &mut jar, "/look").await.text, "1", "{driver}");
    }
}

/// An application whose stream gives its handle away, and a browser that has a session there.
async fn streaming<S: Stack>(
    sessions: &dframework_session::Sessions,
) -> (S::App, Jar, SessionHandle) {
    let (give, mut handles) = mpsc::unbounded_channel();
    let stream = move |session: SessionHandle| {
        let give = give.clone();
        async move {
            session.has("visits").await?;
            give.send(session).unwrap();
            Ok("the head")
        }
    };
    let plan = Plan::new()
        .route("/", call(visit))
        .route("/look", take(look))
        .route("/logout", call(Session::destroy))
        .route("/stream", take(stream));
    let app = S::build(plan.layer(sessions)).await;
    let mut jar = Jar::default();
    send::<S>(&app, &mut jar, "/").await;
    send::<S>(&app, &mut jar, "/stream").await;
    let handle = handles.recv().await.unwrap();
    (app, jar, handle)
}

const DROPPED: &str =
    "changes made after the response head were dropped: call `save` before the handle goes";

async fn what_a_kept_handle_has_not_saved_is_told<S: Stack>() {
    for (driver, sessions) in kept_sessions().await {
        let (app, mut jar, handle) = streaming::<S>(&sessions).await;
        let ((), told) = told(async || {
            handle.increment("visits", 1).await.unwrap();
            drop(handle);
        })
        .await;
        assert!(told.contains(DROPPED) && told.contains(r#"names=["visits"]"#), "{driver}: {told}");
        assert_eq!(send::<S>(&app, &mut jar, "/look").await.text, "1", "{driver}");
    }
}

pub(super) const LATE: &str =
    " needs a cookie, and the response head has been sent: do it before the response is returned";

async fn a_change_after_the_head_that_needs_a_cookie_says_what_to_do<S: Stack>() {
    for (driver, sessions) in all_sessions().await {
        let (_, _, handle) = streaming::<S>(&sessions).await;
        for (result, what) in [
            (handle.flash("status", "done").await, "a flash message"),
            (handle.regenerate().await, "a new token"),
            (handle.set_owner("42").await, "a new owner"),
            (handle.permanent(json!({ "terms": true })).await, "the first permanent value"),
        ] {
            assert_eq!(result.unwrap_err().to_string(), format!("{what}{LATE}"), "{driver}");
        }
        let changed = handle.set("theme", "dark").await;
        assert_eq!(changed.is_err(), driver == "stealth", "{driver}: {changed:?}");
    }
}

async fn a_handle_sees_what_others_did_when_it_has_saved<S: Stack>() {
    for (driver, sessions) in kept_sessions().await {
        let (app, mut jar, handle) = streaming::<S>(&sessions).await;
        for (round, before, after) in [(1, 1, 2), (2, 2, 3)] {
            send::<S>(&app, &mut jar, "/").await;
            assert_eq!(look(handle.clone()).await.unwrap(), before, "{driver}");
            handle.set("round", round).await.unwrap();
            handle.save().await.unwrap();
            assert_eq!(look(handle.clone()).await.unwrap(), after, "{driver}");
        }
    }
}

async fn a_handle_learns_of_a_logout_when_it_saves<S: Stack>() {
    for (driver, sessions) in kept_sessions().await {
        let (app, mut jar, handle) = streaming::<S>(&sessions).await;
        send::<S>(&app, &mut jar, "/logout").await;
        assert_eq!(look(handle.clone()).await.unwrap(), 1, "{driver}: what it has loaded");
        handle.save().await.unwrap_or_else(|error| panic!("{driver}: nothing to save: {error}"));
        handle.set("round", 1).await.unwrap();
        let error = handle.save().await.unwrap_err();
        let text = "the session has ended, by a logout or a login elsewhere, while or shortly before this request ran";
        assert!(error.is_gone(), "{driver}");
        assert_eq!(error.to_string(), text, "{driver}");
        assert!(handle.set("round", 2).await.unwrap_err().is_gone(), "{driver}: from now on");
    }
}

async fn a_kept_handle_prolongs_its_session_by_saving_and_not_by_reading<S: Stack>() {
    for (saves, visits) in [(true, "1"), (false, "0")] {
        let clock = Clock::manual();
        let (_, sessions) = in_probe(|config| config.clock(clock.clone()).idle_timeout(2 * HOUR));
        let (app, mut jar, handle) = streaming::<S>(&sessions).await;
        for round in 0..3 {
            clock.advance(HOUR);
            assert_eq!(look(handle.clone()).await.unwrap(), 1);
            if saves {
                handle.set("round", round).await.unwrap();
                handle.save().await.unwrap();
            }
        }
        assert_eq!(send::<S>(&app, &mut jar, "/look").await.text, visits, "saves: {saves}");
    }
}

#[test]
fn the_chapter_shows_the_texts_as_they_are() {
    let chapter = include_str!("../../../docs/tasks.md");
    for text in [OUTSIDE, Axum::NO_LAYER, Actix::NO_LAYER, UPGRADE, LATE, DROPPED, TWICE, OF_OTHERS]
    {
        assert!(chapter.contains(text), "{text}");
    }
}
