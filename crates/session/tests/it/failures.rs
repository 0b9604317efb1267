//! A store that fails, is silent, or loses its answers.

use crate::{
    stores::{Fault, Probe, Verb, in_a_probe},
    support::{Bench, Client, HOUR, Jar, NAME, in_a_store},
};
use dframework_session::{Clock, Config, Error, MemoryStore, SessionHandle, Sessions};
use serde_json::json;
use std::{error::Error as _, time::Duration};

const TIMEOUT: Duration = Duration::from_secs(5);

/// Every verb, and how it fails.
async fn all_verbs(bench: &Bench, jar: &Jar) -> Vec<(&'static str, SessionHandle, Error)> {
    let mut failed = Vec::new();
    macro_rules! try_verb {
        ($verb:ident$(::<$of:ty>)?($($argument:expr),*)) => {
            let handle = bench.open(jar, Client::Plain, "POST");
            let result = handle.$verb$(::<$of>)?($($argument),*).await;
            failed.push((stringify!($verb), handle, result.err().expect(stringify!($verb))));
        };
    }
    try_verb!(exists("name"));
    try_verb!(has("name"));
    try_verb!(all());
    try_verb!(owner());
    try_verb!(id());
    try_verb!(get_or("name", "guest"));
    try_verb!(set("name", "visitor"));
    try_verb!(permanent(json!({ "terms": true })));
    try_verb!(flash("status", "x"));
    try_verb!(forget("name"));
    try_verb!(forget(..));
    try_verb!(destroy());
    try_verb!(increment("visits", 1));
    try_verb!(update("visits", |visits: Option<u8>| visits.unwrap_or(0)));
    try_verb!(set_for("name", "visitor", HOUR));
    try_verb!(now("name", "visitor"));
    try_verb!(reflash());
    try_verb!(keep("status"));
    try_verb!(keep(..));
    try_verb!(clear());
    try_verb!(keys());
    try_verb!(pull::<String>("name"));
    try_verb!(claim::<String>("name"));
    try_verb!(decrement("visits", 1));
    try_verb!(push("list", 1));
    try_verb!(remember("name", async || "visitor".to_owned()));
    try_verb!(regenerate());
    try_verb!(set_owner("42"));
    failed
}

#[tokio::test(start_paused = true)]
async fn a_load_that_fails_is_an_error_and_never_an_empty_session() {
    for fault in Fault::FAILURES.into_iter().chain([Fault::OneTooFew, Fault::OneTooMany]) {
        let (store, bench) = in_a_probe();
        let mut jar = bench.visitor().await;
        let before = (jar.clone(), store.only().await);
        store.fail_every(Verb::Load, fault);
        for (verb, handle, error) in all_verbs(&bench, &jar).await {
            assert!(error.is_unavailable(), "{fault:?} {verb}: {error}");
            assert_eq!(error.status(), 503);
            assert!(error.source().is_some(), "the cause is told");
            let head = bench.answer(&mut jar, &handle, 200).await.unwrap();
            assert_eq!(head.set_cookies, [""; 0], "{fault:?} {verb}");
        }
        assert_eq!(before, (jar.clone(), store.only().await), "{fault:?}: nothing was changed");
        store.mend();
        assert_eq!(bench.read(&jar, "name").await.as_deref(), Some("guest"), "{fault:?}");
    }
}

#[tokio::test]
async fn a_request_whose_first_load_failed_goes_on_with_its_own_session() {
    let (store, bench) = in_a_probe();
    let mut jar = bench.visitor().await;
    store.fail_next(Verb::Load, Fault::Unavailable);
    let handle = bench.open(&jar, Client::Plain, "POST");
    assert!(handle.set("name", "visitor").await.unwrap_err().is_unavailable());
    assert_eq!(handle.get::<String>("name").await.unwrap().as_deref(), Some("guest"));
    handle.set("other", "x").await.unwrap();
    bench.answer(&mut jar, &handle, 200).await.unwrap();
    assert_eq!(bench.read(&jar, "name").await.as_deref(), Some("guest"));
    assert_eq!(bench.read(&jar, "other").await.as_deref(), Some("x"));
}

#[tokio::test]
async fn a_commit_that_fails_is_503_without_cookies_and_changes_nothing() {
    for change in ["set", "regenerate", "set_owner", "flash", "permanent"] {
        let (store, bench) = in_a_probe();
        let mut jar = bench.visitor().await;
        let before = (jar.clone(), store.only().await);
        let handle = bench.open(&jar, Client::Plain, "POST");
        match change {
            "set" => handle.set("name", "visitor").await.unwrap(),
            "regenerate" => handle.regenerate().await.unwrap(),
            "set_owner" => handle.set_owner("42").await.unwrap(),
            "flash" => handle.flash("status", "x").await.unwrap(),
            _ => handle.permanent(json!({ "terms": true })).await.unwrap(),
        }
        store.fail_all(Fault::Unavailable);
        let failed = bench.answer(&mut jar, &handle, 200).await.unwrap_err();
        assert!(failed.error.is_unavailable(), "{change}");
        assert_eq!(failed.error.status(), 503, "{change}");
        assert_eq!(failed.head.set_cookies, [""; 0], "{change}");
        assert!(failed.head.vary, "{change}");
        store.mend();
        handle.save().await.unwrap();
        drop(handle);
        tokio::task::yield_now().await;
        assert_eq!(before, (jar, store.only().await), "{change}: it is not done later either");
    }
}

#[tokio::test]
async fn a_commit_that_fails_sends_the_lines_of_what_was_committed_before() {
    // What was asked for, which call fails, and the endings of the cookies that go out.
    let cases: [(&str, Verb, &[&str]); 3] = [
        ("save", Verb::Commit, &[NAME]),
        ("destroy", Verb::Create, &[NAME, "__Host-Http-session.p"]),
        ("permanent", Verb::Commit, &["__Host-Http-session.p"]),
    ];
    for (before, failing, expected) in cases {
        let (store, bench) = in_a_probe();
        let mut jar = bench.visitor().await;
        let old = jar.clone();
        let handle = bench.open(&jar, Client::Plain, "POST");
        match before {
            "save" => {
                handle.regenerate().await.unwrap();
                handle.save().await.unwrap();
            }
            "destroy" => handle.destroy().await.unwrap(),
            _ => handle.permanent(json!({ "terms": "accepted" })).await.unwrap(),
        }
        handle.set("name", "visitor").await.unwrap();
        store.fail_next(failing, Fault::Unavailable);
        let failed = bench.answer(&mut jar, &handle, 200).await.unwrap_err();
        assert_eq!(failed.error.status(), 503, "{before}");
        let lines = failed.head.set_cookies.iter();
        let names: Vec<_> = lines.map(|line| line.split_once('=').unwrap().0).collect();
        assert_eq!(names, expected, "{before}");
        assert_eq!(failed.head.cache_control, Some("no-store"), "{before}");
        let name = bench.read(&jar, "name").await;
        assert_eq!(name.is_some(), before != "destroy", "{before}");
        assert_ne!(name.as_deref(), Some("visitor"), "{before}");
        assert_eq!(bench.is_alive(&old).await, before == "permanent", "{before}");
        let terms = bench.read(&jar, "terms").await;
        assert_eq!(terms.is_some(), before == "permanent", "{before}");
    }
}

#[tokio::test]
async fn a_logout_that_ends_one_of_two_records_removes_one_cookie() {
    let (store, bench) = in_a_probe();
    let mut jar = bench.visitor().await;
    bench.ok(&mut jar, async |session| session.permanent(json!({ "terms": "x" })).await).await;
    let handle = bench.open(&jar, Client::Plain, "POST");
    handle.destroy().await.unwrap();
    store.fail_nth(1, Fault::Unavailable);
    let failed = bench.answer(&mut jar, &handle, 200).await.unwrap_err();
    assert!(failed.error.is_unavailable());
    assert!(!store.mend(), "the second of the two records was not ended");
    assert_eq!(jar.session(), None, "the first was");
    assert!(jar.companion(".p").is_some(), "so that the next logout can end it");
    bench.ok(&mut jar, async |session| session.destroy().await).await;
    assert_eq!(store.records(bench.clock.now()).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_use_that_cannot_be_written_is_no_error() {
    for fault in Fault::FAILURES {
        let (store, bench) = in_a_probe();
        let mut jar = bench.visitor().await;
        bench.ok(&mut jar, async |session| session.flash("status", "hello").await).await;
        bench.clock.advance(HOUR);
        let handle = bench.open(&jar, Client::Navigation, "GET");
        assert_eq!(handle.get::<String>("status").await.unwrap().as_deref(), Some("hello"));
        handle.set("name", "guest").await.unwrap();
        store.fail_all(fault);
        let head = bench.answer(&mut jar, &handle, 200).await.unwrap();
        assert_eq!(head.set_cookies.len(), 1, "{fault:?}: the message has been shown");
        store.mend();
        assert_eq!(bench.read(&jar, "name").await.as_deref(), Some("guest"), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_call_is_waited_for_longer_than_the_timeout() {
    let quick = Duration::from_millis(250);
    for timeout in [TIMEOUT, quick] {
        for verb in [Verb::Load, Verb::Create, Verb::Commit, Verb::Touch, Verb::End] {
            let (store, clock) = (Probe::default(), Clock::manual());
            let mut config = Config::new().clock(clock.clone());
            if timeout == quick {
                config = config.store_timeout(quick);
            }
            let sessions = Sessions::from_store(store.clone(), &config).unwrap();
            let bench = Bench::new("store", sessions, clock);
            let mut jar = if verb == Verb::Create { Jar::default() } else { bench.visitor().await };
            bench.clock.advance(HOUR);
            let handle = bench.open(&jar, Client::Plain, "POST");
            store.fail_next(verb, Fault::Silent);
            let start = tokio::time::Instant::now();
            let result = match verb {
                Verb::Load | Verb::Touch => handle.has("name").await.map(drop),
                Verb::Create | Verb::Commit => handle.set("name", "visitor").await,
                _ => handle.destroy().await,
            };
            let answered = bench.answer(&mut jar, &handle, 200).await;
            assert_eq!(start.elapsed(), timeout, "{verb:?}");
            let failed = result.err().or(answered.err().map(|failed| failed.error));
            assert_eq!(failed.is_some(), verb != Verb::Touch, "{verb:?}");
            assert!(failed.is_none_or(|error| error.is_unavailable()), "{verb:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn rounds_that_are_always_lost_come_to_an_end() {
    let (store, bench) = in_a_probe();
    let mut jar = bench.visitor().await;
    let handle = bench.open(&jar, Client::Plain, "POST");
    handle.set("name", "visitor").await.unwrap();
    store.take_calls();
    store.fail_every(Verb::Commit, Fault::Conflict);
    let failed = bench.answer(&mut jar, &handle, 200).await.unwrap_err();
    assert_eq!(failed.error.status(), 503);
    assert_eq!(failed.head.set_cookies, [""; 0]);
    let commits = store.take_verbs().into_iter().filter(|verb| *verb == Verb::Commit).count();
    assert!((2..=32).contains(&commits), "{commits}");
    store.mend();
    assert_eq!(bench.read(&jar, "name").await.as_deref(), Some("guest"));
    bench.ok(&mut jar, async |session| session.set("name", "friend").await).await;
}

#[tokio::test]
async fn one_lost_round_is_made_up_for() {
    for change in ["increment", "regenerate"] {
        let (store, bench) = in_a_probe();
        let mut jar = bench.visitor().await;
        let old = jar.clone();
        let handle = bench.open(&jar, Client::Plain, "POST");
        handle.increment("visits", 1).await.unwrap();
        if change == "regenerate" {
            handle.regenerate().await.unwrap();
        }
        store.fail_next(Verb::Commit, Fault::Conflict);
        bench.answer(&mut jar, &handle, 200).await.unwrap();
        assert_eq!(bench.visits(&jar).await, Some(1), "{change}");
        assert_eq!(bench.is_alive(&old).await, change == "increment", "{change}");
        assert_eq!(store.records(bench.clock.now()).await, 1, "{change}");
    }
}

#[tokio::test]
async fn a_record_that_has_gone_is_409_without_a_cookie_and_is_not_made_again() {
    for change in ["set", "increment", "flash"] {
        let (store, bench) = in_a_probe();
        let mut jar = bench.visitor().await;
        let handle = bench.open(&jar, Client::Plain, "POST");
        match change {
            "set" => handle.set("name", "visitor").await.unwrap(),
            "increment" => drop(handle.increment("visits", 1).await.unwrap()),
            _ => handle.flash("status", "x").await.unwrap(),
        }
        store.fail_next(Verb::Commit, Fault::Ended);
        let failed = bench.answer(&mut jar, &handle, 200).await.unwrap_err();
        assert_eq!((failed.error.is_gone(), failed.error.status()), (true, 409), "{change}");
        assert_eq!(failed.head.set_cookies, [""; 0], "{change}");
        assert_eq!(store.records(bench.clock.now()).await, 0, "{change}");
    }
}

#[tokio::test]
async fn a_full_store_refuses_new_sessions_and_keeps_the_others() {
    let bench = in_a_store(MemoryStore::with_limits(1, 1 << 20));
    let mut jar = bench.visitor().await;
    bench.ok(&mut jar, async |session| session.set_owner("42").await).await;
    let mut stranger = Jar::default();
    let handle = bench.open(&stranger, Client::Plain, "POST");
    handle.set("name", "friend").await.unwrap();
    let error = bench.answer(&mut stranger, &handle, 200).await.unwrap_err().error;
    assert_eq!((error.is_unavailable(), error.status()), (true, 503));
    assert_eq!(stranger, Jar::default());
    assert_eq!(bench.read(&jar, "name").await.as_deref(), Some("guest"));
}

#[tokio::test]
async fn a_commit_goes_on_when_nobody_waits_for_it() {
    for change in ["set", "regenerate"] {
        let (store, bench) = in_a_probe();
        let jar = bench.visitor().await;
        let handle = bench.open(&jar, Client::Plain, "POST");
        handle.set("name", "friend").await.unwrap();
        if change == "regenerate" {
            handle.regenerate().await.unwrap();
        }
        store.fail_next(Verb::Commit, Fault::Held);
        {
            let mut answered = jar.clone();
            let commit = bench.answer(&mut answered, &handle, 200);
            let waited = tokio::time::timeout(Duration::from_millis(5), commit).await;
            assert!(waited.is_err(), "the store has not answered");
        }
        drop(handle);
        store.release();
        while store.only().await.1.version.0 == 1 {
            tokio::task::yield_now().await;
        }
        let bytes = store.only().await.1.bytes;
        assert!(bytes.windows(8).any(|part| part == b"\"friend\""), "{change}");
        assert_eq!(bench.is_alive(&jar).await, change == "set", "{change}");
    }
}

#[tokio::test]
async fn a_reader_whose_session_expires_while_the_store_is_down_is_answered() {
    let (store, bench) = in_a_probe();
    let mut jar = bench.visitor().await;
    let handle = bench.open(&jar, Client::Plain, "GET");
    assert_eq!(handle.get("name").await.unwrap(), Some("guest".to_owned()));
    bench.clock.advance(3 * HOUR);
    store.fail_all(Fault::Unavailable);
    let head = bench.answer(&mut jar, &handle, 200).await.unwrap();
    assert!(head.set_cookies.is_empty());
}
