//! What the status of the response, `save` and the time of a change have to do with what is committed.

use crate::{
    stores::Probe,
    support::{Bench, Client, Jar, NAME, drivers, in_a_store, keepers},
};
use dframework_session::{Error, SessionHandle};
use serde_json::json;

/// Statuses that commit as 200 does.
const ORDINARY: [u16; 8] = [200, 204, 301, 303, 304, 400, 404, 499];
const FAILURES: [u16; 4] = [500, 502, 503, 599];

#[tokio::test]
async fn every_answer_below_500_commits() {
    for bench in drivers().await {
        for status in ORDINARY {
            let mut jar = Jar::default();
            let ((), head) = bench
                .request(&mut jar, Client::Plain, status, async |session| {
                    session.set("name", "guest").await.unwrap();
                    session.flash("status", "hello").await.unwrap();
                })
                .await;
            assert_eq!(head.set_cookies.len(), 2, "{} {status}", bench.driver);
            assert_eq!((head.cache_control, head.vary), (Some("no-store"), true));
            assert_eq!(bench.read(&jar, "status").await.as_deref(), Some("hello"), "{status}");
            bench
                .request(&mut jar, Client::Plain, status, async |session| session.owner().await)
                .await
                .0
                .unwrap();
            assert_eq!(jar.companion(".f0"), None, "{} {status}: it has been shown", bench.driver);
            assert_eq!(bench.read(&jar, "name").await.as_deref(), Some("guest"), "{status}");
        }
    }
}

#[tokio::test]
async fn a_5xx_commits_nothing_rotates_nothing_and_ages_nothing() {
    for bench in drivers().await {
        for status in FAILURES {
            let case = format!("{} {status}", bench.driver);
            let mut jar = bench.visitor().await;
            bench.ok(&mut jar, async |session| session.flash("status", "hello").await).await;
            let before = jar.clone();
            let (_, head) = bench
                .request(&mut jar, Client::Navigation, status, async |session| {
                    session.get::<String>("status").await?;
                    session.set("name", "visitor").await?;
                    session.set_owner("42").await?;
                    session.flash("other", "x").await?;
                    session.permanent(json!({ "terms": true })).await
                })
                .await;
            assert_eq!(head.set_cookies, [""; 0], "{case}");
            assert!(head.vary, "{case}");
            assert_eq!(jar, before, "{case}");
            assert_eq!(bench.read(&jar, "status").await.as_deref(), Some("hello"), "{case}");
            assert_eq!(bench.read(&jar, "name").await.as_deref(), Some("guest"), "{case}");
            assert_eq!(bench.read(&jar, "terms").await, None, "{case}");
            let owner = bench.ok(&mut jar, async |session| session.owner().await).await;
            assert_eq!(owner, None, "{case}");
        }
    }
}

#[tokio::test]
async fn a_5xx_makes_no_session() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        bench
            .request(&mut jar, Client::Plain, 500, async |session| {
                session.set("name", "guest").await
            })
            .await
            .0
            .unwrap();
        assert_eq!(jar, Jar::default(), "{}", bench.driver);
    }
}

#[tokio::test]
async fn a_5xx_carries_out_destroy_and_removes_the_cookies_but_makes_nothing() {
    for bench in drivers().await {
        for status in FAILURES {
            let case = format!("{} {status}", bench.driver);
            let mut jar = bench.visitor().await;
            bench
                .ok(&mut jar, async |session| session.permanent(json!({ "terms": "x" })).await)
                .await;
            bench.ok(&mut jar, async |session| session.flash("status", "hello").await).await;
            let old = jar.clone();
            bench
                .request(&mut jar, Client::Plain, status, async |session| {
                    session.destroy().await.unwrap();
                    session.set("name", "visitor").await.unwrap();
                    session.flash("status", "bye").await.unwrap();
                })
                .await;
            assert_eq!(jar, Jar::default(), "{case}");
            assert!(!bench.is_alive(&old).await, "{case}");
            assert_eq!(bench.read(&old, "terms").await, None, "{case}");
        }
    }
}

#[tokio::test]
async fn what_was_saved_stays_and_its_cookies_go_out_whatever_follows() {
    for bench in drivers().await {
        for status in [200, 500] {
            let mut jar = Jar::default();
            bench
                .request(&mut jar, Client::Plain, status, async |session| {
                    session.set("name", "guest").await.unwrap();
                    session.flash("status", "hello").await.unwrap();
                    session.permanent(json!({ "terms": "accepted" })).await.unwrap();
                    session.save().await.unwrap();
                    session.set("late", "x").await.unwrap();
                })
                .await;
            let case = format!("{} {status}", bench.driver);
            assert_eq!(jar.pairs().len(), 3, "{case}: {jar:?}");
            for (key, value) in [("name", "guest"), ("status", "hello"), ("terms", "accepted")] {
                assert_eq!(bench.read(&jar, key).await.as_deref(), Some(value), "{case}");
            }
            let late = bench.read(&jar, "late").await;
            assert_eq!(late.is_some(), status == 200, "{case}: a 5xx commits no more");
        }
    }
}

#[tokio::test]
async fn saving_writes_at_once_and_saving_again_writes_what_is_new() {
    let store = Probe::default();
    let bench = in_a_store(store.clone());
    let mut jar = Jar::default();
    let handle = bench.open(&jar, Client::Plain, "POST");
    handle.save().await.unwrap();
    assert_eq!(store.take_verbs(), [], "there is nothing to save");
    handle.increment("visits", 1).await.unwrap();
    handle.save().await.unwrap();
    handle.save().await.unwrap();
    assert_eq!(store.take_verbs().len(), 1);
    assert_eq!(handle.increment("visits", 1).await.unwrap(), 2);
    assert_eq!(handle.get::<u8>("visits").await.unwrap(), Some(2));
    bench.answer(&mut jar, &handle, 200).await.unwrap();
    assert_eq!(store.take_verbs().len(), 1);
    let visits = bench.ok(&mut jar, async |session| session.get::<u8>("visits").await).await;
    assert_eq!(visits, Some(2));
}

#[tokio::test]
async fn a_later_commit_replaces_the_line_of_the_same_name() {
    for bench in drivers().await {
        for (change, lives) in [("regenerate", true), ("destroy", false), ("begin anew", true)] {
            let case = format!("{} {change}", bench.driver);
            let mut jar = Jar::default();
            let (_, head) = bench
                .request(&mut jar, Client::Plain, 200, async |session| {
                    session.set("name", "guest").await?;
                    session.save().await?;
                    match change {
                        "regenerate" => session.regenerate().await,
                        "destroy" => session.destroy().await,
                        _ => {
                            session.destroy().await?;
                            session.set("name", "friend").await
                        }
                    }
                })
                .await;
            let mut names: Vec<_> =
                head.set_cookies.iter().map(|line| line.split_once('=').unwrap().0).collect();
            let lines = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), lines, "{case}: one line for one cookie");
            assert_eq!(jar.session().is_some(), lives, "{case}");
            assert_eq!(bench.is_alive(&jar).await, lives, "{case}");
        }
    }
}

/// Drops the handle without an answer, as after a panic or when the client hangs up.
async fn dropped(
    bench: &Bench,
    jar: &Jar,
    handler: impl AsyncFnOnce(SessionHandle) -> Result<(), Error>,
) {
    let handle = bench.open(jar, Client::Plain, "POST");
    handler(handle.clone()).await.unwrap();
    drop(handle);
    tokio::task::yield_now().await;
}

#[tokio::test]
async fn a_handle_without_an_answer_commits_nothing() {
    for bench in drivers().await {
        let mut jar = bench.visitor().await;
        dropped(&bench, &jar, async |session| {
            session.set("name", "visitor").await?;
            session.regenerate().await
        })
        .await;
        assert_eq!(bench.read(&jar, "name").await.as_deref(), Some("guest"), "{}", bench.driver);
        bench.ok(&mut jar, async |session| session.set("name", "friend").await).await;
    }
    let store = Probe::default();
    let bench = in_a_store(store.clone());
    dropped(&bench, &Jar::default(), async |session| session.set("name", "guest").await).await;
    assert_eq!(store.take_verbs(), []);
}

#[tokio::test]
async fn a_handle_without_an_answer_carries_out_destroy() {
    for bench in drivers().await {
        let mut jar = bench.visitor().await;
        bench.ok(&mut jar, async |session| session.permanent(json!({ "terms": "x" })).await).await;
        dropped(&bench, &jar, async |session| {
            session.forget(..).await?;
            session.set("name", "visitor").await
        })
        .await;
        // Nobody waits for it, and a database takes its time.
        for _ in 0..1_000 {
            if bench.read(&jar, "terms").await.is_none() {
                break;
            }
        }
        assert!(!bench.is_alive(&jar).await, "{}", bench.driver);
        assert_eq!(bench.read(&jar, "terms").await, None, "{}", bench.driver);
    }
}

/// A handle of this browser whose response head has been sent.
async fn late(bench: &Bench, jar: &mut Jar, status: u16) -> SessionHandle {
    let handle = bench.open(jar, Client::Plain, "GET");
    handle.has("name").await.unwrap();
    bench.answer(jar, &handle, status).await.unwrap();
    handle
}

#[tokio::test]
async fn after_the_head_an_existing_session_takes_changes_with_save() {
    for bench in keepers().await {
        for status in [200, 101, 500] {
            let mut jar = bench.visitor().await;
            let handle = late(&bench, &mut jar, status).await;
            handle.set("name", "friend").await.unwrap();
            handle.increment("visits", 1).await.unwrap();
            assert_eq!(bench.read(&jar, "name").await.as_deref(), Some("guest"), "not yet");
            handle.save().await.unwrap();
            let name = bench.read(&jar, "name").await;
            assert_eq!(name.as_deref(), Some("friend"), "{} {status}", bench.driver);
            handle.forget("name").await.unwrap();
            handle.save().await.unwrap();
            assert_eq!(bench.read(&jar, "name").await, None, "{} {status}", bench.driver);
        }
    }
}

#[tokio::test]
async fn after_the_head_existing_permanent_data_takes_changes() {
    for bench in keepers().await {
        let mut jar = Jar::default();
        bench.ok(&mut jar, async |session| session.permanent(json!({ "terms": "v1" })).await).await;
        let handle = late(&bench, &mut jar, 200).await;
        handle.set("terms", "v2").await.unwrap();
        handle.permanent(json!({ "theme": "dark" })).await.unwrap();
        handle.save().await.unwrap();
        assert_eq!(bench.read(&jar, "terms").await.as_deref(), Some("v2"), "{}", bench.driver);
        assert_eq!(bench.read(&jar, "theme").await.as_deref(), Some("dark"), "{}", bench.driver);
    }
}

#[tokio::test]
async fn after_the_head_what_needs_a_cookie_fails_and_says_what() {
    for bench in drivers().await {
        let mut jar = bench.visitor().await;
        let with = late(&bench, &mut jar, 200).await;
        let without = late(&bench, &mut Jar::default(), 200).await;
        for (result, what) in [
            (without.set("name", "visitor").await, "the first value of a session"),
            (without.increment("visits", 1).await.map(drop), "the first value of a session"),
            (without.set_owner("42").await, "a new owner"),
            (with.set_owner("42").await, "a new owner"),
            (with.regenerate().await, "a new token"),
            (without.regenerate().await, "a new token"),
            (with.flash("status", "x").await, "a flash message"),
            (without.flash("status", "x").await, "a flash message"),
            (with.permanent(json!({ "terms": true })).await, "the first permanent value"),
        ] {
            let error = result.expect_err(what);
            assert!(error.is_late(), "{} {error}", bench.driver);
            assert!(error.to_string().starts_with(what), "{error}");
        }
        assert_eq!(without.get::<String>("name").await.unwrap(), None, "nothing is half done");
        with.save().await.unwrap();
        without.save().await.unwrap();
        assert_eq!(bench.read(&jar, "name").await.as_deref(), Some("guest"), "{}", bench.driver);
    }
}

#[tokio::test]
async fn after_the_head_destroy_ends_the_records_and_makes_no_other() {
    for bench in drivers().await {
        let mut jar = bench.visitor().await;
        bench.ok(&mut jar, async |session| session.permanent(json!({ "terms": "x" })).await).await;
        let handle = late(&bench, &mut jar, 200).await;
        handle.destroy().await.unwrap();
        assert!(handle.set("name", "visitor").await.unwrap_err().is_late(), "{}", bench.driver);
        assert!(bench.is_alive(&jar).await, "{}: not before save", bench.driver);
        handle.save().await.unwrap();
        assert!(!bench.is_alive(&jar).await, "{}", bench.driver);
        assert_eq!(bench.read(&jar, "terms").await, None, "{}", bench.driver);
        assert!(handle.set("name", "visitor").await.unwrap_err().is_late(), "{}", bench.driver);
    }
}

#[tokio::test]
async fn after_the_head_a_session_that_ended_takes_no_changes() {
    for bench in keepers().await {
        let mut jar = bench.visitor().await;
        let handle = late(&bench, &mut jar, 200).await;
        handle.set("name", "visitor").await.unwrap();
        let old = jar.clone();
        bench.ok(&mut jar, async |session| session.destroy().await).await;
        assert!(handle.save().await.unwrap_err().is_gone(), "{}", bench.driver);
        assert!(handle.set("name", "visitor").await.unwrap_err().is_gone(), "{}", bench.driver);
        assert!(!bench.is_alive(&old).await, "{}", bench.driver);
    }
}

#[tokio::test]
async fn an_upgrade_commits_changes_of_an_existing_session_and_sends_no_cookie() {
    for bench in keepers().await {
        let mut jar = bench.visitor().await;
        bench.ok(&mut jar, async |session| session.permanent(json!({ "terms": "v1" })).await).await;
        bench.ok(&mut jar, async |session| session.flash("status", "hello").await).await;
        let ((), head) = bench
            .request(&mut jar, Client::Plain, 101, async |session| {
                session.set("name", "friend").await.unwrap();
                session.set("terms", "v2").await.unwrap();
            })
            .await;
        assert_eq!(head.set_cookies, [""; 0], "{}", bench.driver);
        assert_eq!(bench.read(&jar, "name").await.as_deref(), Some("friend"), "{}", bench.driver);
        assert_eq!(bench.read(&jar, "terms").await.as_deref(), Some("v2"), "{}", bench.driver);
        assert_eq!(bench.read(&jar, "status").await.as_deref(), Some("hello"), "it was not shown");
    }
}

#[tokio::test]
async fn an_upgrade_that_needs_a_cookie_fails_and_commits_nothing() {
    for bench in drivers().await {
        for change in ["set", "flash", "regenerate", "set_owner", "permanent"] {
            let case = format!("{} {change}", bench.driver);
            let mut jar = if change == "set" { Jar::default() } else { bench.visitor().await };
            let before = jar.clone();
            let handle = bench.open(&jar, Client::Plain, "GET");
            match change {
                "set" => handle.set("name", "visitor").await.unwrap(),
                "flash" => handle.flash("status", "x").await.unwrap(),
                "regenerate" => handle.regenerate().await.unwrap(),
                "set_owner" => handle.set_owner("42").await.unwrap(),
                _ => handle.permanent(json!({ "terms": true })).await.unwrap(),
            }
            let failed = bench.answer(&mut jar, &handle, 101).await.unwrap_err();
            assert!(failed.error.is_late(), "{case}");
            assert!(failed.error.to_string().contains("before the upgrade"), "{case}");
            assert_eq!(failed.head.set_cookies, [""; 0], "{case}");
            assert_eq!(jar, before, "{case}");
            assert_eq!(bench.is_alive(&jar).await, change != "set", "{case}");
        }
    }
}

#[tokio::test]
async fn an_upgrade_carries_out_destroy_without_cookies() {
    for bench in drivers().await {
        let mut jar = bench.visitor().await;
        let (_, head) = bench
            .request(&mut jar, Client::Plain, 101, async |session| session.destroy().await)
            .await;
        assert_eq!(head.set_cookies, [""; 0], "{}", bench.driver);
        assert!(jar.holds(NAME));
        assert!(!bench.is_alive(&jar).await, "{}", bench.driver);
    }
}
