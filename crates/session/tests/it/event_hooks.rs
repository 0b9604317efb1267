//! How hooks are called: after the fact, in the task of the request, all of them, and whatever they do with it.

use crate::{
    events::{Heard, Log, listened, listened_memory, listened_probe},
    stores::{Fault, Probe, Verb},
    support::{Bench, Client, HOUR, Jar, UNKNOWN, at_once_with, keepers_with, until, yield_often},
};
use axum::{Router, body::Body, http::Request, routing::get};
use dframework_session::{
    Clock, Config, DriverName, Env, Error, Event, Session, Sessions, tower::SessionLayer,
};
use serde_json::json;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, Mutex, OnceLock},
    task::{Context, Poll, Waker},
};
use tower::ServiceExt;

fn idle() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// What a future gives at once, for those who cannot wait.
fn now<T>(future: impl Future<Output = Result<T, Error>>) -> T {
    match pin!(future).poll(&mut idle()) {
        Poll::Ready(answer) => answer.unwrap(),
        Poll::Pending => panic!("a store in memory answers at once"),
    }
}

#[tokio::test]
async fn a_hook_that_looks_finds_done_what_it_is_told() {
    let seen: Arc<Mutex<Vec<(&str, u64)>>> = Arc::default();
    let looked_at: Arc<Mutex<Option<Sessions>>> = Arc::default();
    let look = |config: Config| {
        let (seen, looked_at) = (seen.clone(), looked_at.clone());
        config.on_event(move |event| {
            if let Some(sessions) = &*looked_at.lock().unwrap() {
                seen.lock().unwrap().push((event.name(), now(sessions.count())));
            }
        })
    };
    for bench in at_once_with(look).await {
        // The first cookie has its own event.
        bench.visitor().await;
        bench.sessions.revoke_all("42").await.unwrap();
        *looked_at.lock().unwrap() = Some(bench.sessions.clone());
        let mut jar = Jar::default();
        let terms = json!({ "terms": true });
        bench.ok(&mut jar, async |s| s.set_owner("42").await).await;
        bench.ok(&mut jar, async |s| s.regenerate().await).await;
        bench.ok(&mut jar, async |s| s.permanent(&terms).await).await;
        bench.ok(&mut jar, async |s| s.destroy().await).await;
        for _ in 0..3 {
            bench.ok(&mut Jar::default(), async |s| s.set_owner("42").await).await;
        }
        bench.sessions.revoke_all("42").await.unwrap();
        let handle = bench.open(&bench.visitor().await, Client::Plain, "GET");
        handle.destroy().await.unwrap();
        drop(handle);
        yield_often().await;
        *looked_at.lock().unwrap() = None;
        // The visitor's session lives all the while.
        let expected = [
            ("created", 2),
            ("owner_set", 2),
            ("regenerated", 2),
            ("permanent_created", 3),
            ("destroyed", 1),
            ("permanent_ended", 1),
            ("created", 2),
            ("owner_set", 2),
            ("created", 3),
            ("owner_set", 3),
            ("created", 4),
            ("owner_set", 4),
            ("all_revoked", 1),
            ("created", 2),
            ("destroyed", 1),
        ];
        assert_eq!(std::mem::take(&mut *seen.lock().unwrap()), expected, "{}", bench.driver);
    }
}

#[tokio::test]
async fn a_hook_may_look_at_a_full_memory_and_panic() {
    let looked_at: Arc<OnceLock<Sessions>> = Arc::default();
    let sessions = looked_at.clone();
    let heard = Heard::default();
    let config = Config::new().driver(DriverName::Memory).clock(Clock::manual()).max_sessions(2);
    let config = heard.listen(config).on_event(move |event| {
        if let (Event::Evicted { .. }, Some(sessions)) = (event, sessions.get()) {
            // Waits for ever if a lock is held.
            assert_eq!(now(sessions.count()), 1);
            assert_eq!(now(sessions.revoke_all("42")), 0);
            panic!("the hook failed");
        }
    });
    let sessions = Sessions::connect(&config).await.unwrap();
    looked_at.get_or_init(|| sessions.clone());
    let bench = Bench::new("memory", sessions, Clock::manual());
    for _ in 0..9 {
        assert!(bench.is_alive(&bench.visitor().await).await);
    }
    assert_eq!(heard.names().iter().filter(|name| **name == "evicted").count(), 7);
    assert_eq!(bench.sessions.count().await.unwrap(), 2);
}

/// A hook that fails at everything.
fn panicking(config: Config) -> Config {
    config.on_event(|event| panic!("the hook failed at {event:?}"))
}

#[tokio::test]
async fn a_hook_that_panics_undoes_nothing() {
    for bench in keepers_with(panicking).await {
        let mut jar = Jar::default();
        bench.ok(&mut jar, async |s| s.set("name", "guest").await).await;
        assert_eq!(bench.read(&jar, "name").await.as_deref(), Some("guest"));

        for rotate in ["regenerate", "login"] {
            let before = jar.clone();
            let rotation = async |s: dframework_session::SessionHandle| match rotate {
                "login" => s.set_owner("42").await,
                _ => s.regenerate().await,
            };
            bench.ok(&mut jar, rotation).await;
            assert_ne!(jar, before, "{} {rotate}", bench.driver);
            assert!(!bench.is_alive(&before).await, "{} {rotate}", bench.driver);
            assert!(bench.is_alive(&jar).await, "{} {rotate}", bench.driver);
        }

        bench.ok(&mut jar, async |s| s.permanent(json!({ "terms": true })).await).await;
        let before = jar.clone();
        bench.ok(&mut jar, async |s| s.destroy().await).await;
        assert_eq!(jar, Jar::default(), "{}: the cookies are removed", bench.driver);
        assert!(!bench.is_alive(&before).await, "{}: the record stays ended", bench.driver);
        assert_eq!(bench.sessions.count().await.unwrap(), 0, "{}", bench.driver);

        bench.ok(&mut jar, async |s| s.set_owner("42").await).await;
        assert_eq!(bench.sessions.revoke_all("42").await.unwrap(), 1, "{}", bench.driver);
        assert!(!bench.is_alive(&jar).await, "{}", bench.driver);

        assert!(!bench.is_alive(&Jar::holding(UNKNOWN)).await, "{}", bench.driver);
        let jar = bench.visitor().await;
        let slow = bench.open(&jar, Client::Plain, "POST");
        slow.set("name", "friend").await.unwrap();
        bench.ok(&mut jar.clone(), async |s| s.destroy().await).await;
        let failed = bench.answer(&mut jar.clone(), &slow, 200).await.unwrap_err();
        assert!(failed.error.is_gone(), "{}: {failed}", bench.driver);

        let jar = bench.visitor().await;
        let handle = bench.open(&jar, Client::Plain, "POST");
        handle.destroy().await.unwrap();
        drop(handle);
        until(async || !bench.is_alive(&jar).await).await;
    }
    Sessions::connect(&panicking(Config::new().env(Env::Local))).await.unwrap();
}

#[tokio::test]
async fn a_hook_that_panics_leaves_the_error_of_a_store_what_it_was() {
    let store = Probe::default();
    let config = panicking(Config::new().clock(Clock::manual()));
    let sessions = Sessions::from_store(store.clone(), &config).unwrap();
    let bench = Bench::new("store", sessions, Clock::manual());
    let mut jar = bench.visitor().await;
    let handle = bench.open(&jar, Client::Plain, "POST");
    handle.set("name", "friend").await.unwrap();
    store.fail_next(Verb::Commit, Fault::Unavailable);
    let failed = bench.answer(&mut jar, &handle, 200).await.unwrap_err();
    assert!(failed.error.is_unavailable());
    drop(handle);
    assert_eq!(bench.read(&jar, "name").await.as_deref(), Some("guest"));
}

#[tokio::test]
async fn a_hook_may_panic_while_a_handler_does() {
    for bench in at_once_with(panicking).await {
        let panics = async || -> String {
            Session::destroy().await.unwrap();
            panic!("on purpose")
        };
        let app: Router =
            Router::new().route("/", get(panics)).layer(SessionLayer::new(bench.sessions.clone()));
        let jar = bench.visitor().await;
        let request = Request::get("/").header("cookie", jar.field()).body(Body::empty()).unwrap();
        // The future is dropped while the panic goes through it, and its logout is told then.
        let poll = AssertUnwindSafe(|| pin!(app.oneshot(request)).poll(&mut idle()).is_ready());
        assert!(catch_unwind(poll).is_err(), "{}: the panic of the handler goes on", bench.driver);
        yield_often().await;
        assert!(!bench.is_alive(&jar).await, "{}: logged out", bench.driver);
    }
}

#[tokio::test]
async fn all_hooks_are_called_in_order_whatever_the_one_before_does() {
    let calls: Arc<Mutex<Vec<String>>> = Arc::default();
    let hooks = |mut config: Config| {
        for number in 1..=3 {
            let calls = calls.clone();
            config = config.on_event(move |event| {
                calls.lock().unwrap().push(format!("{number} {}", event.name()));
                assert_ne!(number, 2, "the hook failed");
            });
        }
        config
    };
    let log = Log::default();
    for bench in keepers_with(hooks).await.into_iter().map(Bench::alone) {
        let mut jar = bench.visitor().await;
        calls.lock().unwrap().clear();
        let guard = crate::support::subscribe(log.clone());
        bench.ok(&mut jar, async |s| s.regenerate().await).await;
        drop(guard);
        let expected = ["1 regenerated", "2 regenerated", "3 regenerated"];
        assert_eq!(*calls.lock().unwrap(), expected, "{}", bench.driver);

        let lines = log.take();
        let targets: Vec<_> = lines.iter().map(|line| line.target).collect();
        let expected = ["dframework_session::regenerated", "dframework_session::hook_panicked"];
        assert_eq!(targets, expected, "{}", bench.driver);
        assert_eq!(lines[1].fields["event"], "\"regenerated\"");
        assert!(!format!("{lines:?}").contains("the hook failed"), "a panic may say anything");
    }
}

tokio::task_local! {
    static ADDRESS: &'static str;
}

#[tokio::test]
async fn a_hook_is_called_in_the_task_of_the_request() {
    let seen: Arc<Mutex<Vec<_>>> = Arc::default();
    let look = |config: Config| {
        let seen = seen.clone();
        config.on_event(move |event| {
            let address = ADDRESS.try_with(|address| *address).ok();
            seen.lock().unwrap().push((event.name(), address));
        })
    };
    for bench in keepers_with(look).await.into_iter().map(Bench::alone) {
        let request = async {
            let mut jar = bench.visitor().await;
            let handle = bench.open(&jar, Client::Plain, "POST");
            handle.regenerate().await.unwrap();
            handle.save().await.unwrap();
            bench.answer(&mut jar, &handle, 200).await.unwrap();
            bench.ok(&mut jar, async |s| s.permanent(json!({ "terms": true })).await).await;
            bench.ok(&mut jar, async |s| s.claim::<bool>("terms").await).await;
            bench.ok(&mut jar, async |s| s.destroy().await).await;
            bench.is_alive(&Jar::holding(UNKNOWN)).await;
        };
        ADDRESS.scope("127.0.0.1", request).await;
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        assert_eq!(seen.len(), 7, "{seen:?}");
        let here = Some("127.0.0.1");
        assert!(seen.iter().all(|(_, address)| *address == here), "{}: {seen:?}", bench.driver);
    }
}

#[tokio::test]
async fn what_a_request_has_done_that_was_cut_off_is_told_once() {
    let (store, bench, heard) = listened_probe();
    let jar = bench.visitor().await;
    heard.take();
    let handle = bench.open(&jar, Client::Plain, "POST");
    handle.destroy().await.unwrap();
    store.fail_next(Verb::End, Fault::Held);
    let kept = handle.clone();
    let sessions = bench.sessions.clone();
    let answering = tokio::spawn(async move {
        let head = dframework_session::ResponseHead::new(200);
        sessions.commit(&handle, head).await.map(drop)
    });
    yield_often().await;
    answering.abort();
    yield_often().await;
    assert_eq!(heard.names(), [""; 0], "it has not happened yet");
    store.release();
    yield_often().await;
    assert_eq!(heard.names(), ["destroyed"], "although a handle is left");
    drop(kept);
    yield_often().await;
    assert_eq!(heard.names(), [""; 0]);
}

#[tokio::test]
async fn what_was_done_before_a_closure_panicked_is_told() {
    let (store, bench, heard) = listened_probe();
    let jar = bench.visitor().await;
    heard.take();
    let handle = bench.open(&jar, Client::Plain, "POST");
    handle.destroy().await.unwrap();
    let runs = Arc::new(Mutex::new(0));
    let counted = runs.clone();
    let update = move |_: Option<i64>| {
        let mut runs = counted.lock().unwrap();
        *runs += 1;
        assert!(*runs < 2, "the second round");
        *runs
    };
    handle.update("visits", update).await.unwrap();
    store.fail_next(Verb::Create, Fault::Conflict);
    let sessions = bench.sessions.clone();
    let answering = tokio::spawn(async move {
        let head = dframework_session::ResponseHead::new(200);
        sessions.commit(&handle, head).await.map(drop)
    });
    assert!(answering.await.unwrap_err().is_panic());
    assert_eq!(*runs.lock().unwrap_or_else(std::sync::PoisonError::into_inner), 2);
    assert_eq!(heard.names(), ["destroyed", "changes_dropped"]);
}

#[tokio::test]
async fn a_hook_that_is_set_on_one_configuration_hears_of_its_sessions_alone() {
    for (bench, heard) in listened().await {
        let (_, other) = listened_memory(9).await;
        bench.visitor().await;
        assert_eq!(other.names(), [""; 0]);
        assert_eq!(heard.names().len(), 2, "{}", bench.driver);
        bench.clock.advance(HOUR);
    }
    let config = Heard::default().listen(Config::new());
    assert!(format!("{config:?}").ends_with("hooks: 1 }"), "{config:?}");
}
