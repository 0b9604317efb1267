//! What a request meets whose token has ended a moment ago, by a logout or a login elsewhere.

use crate::{
    events::listened_memory,
    stores::{Probe, Verb},
    support::{Bench, Client, Jar, NAME, UNKNOWN, drivers, in_a_store, keepers, keepers_with},
};
use dframework_session::{Error, HeadChanges, SessionHandle};
use serde_json::json;
use std::time::Duration;

const MOMENT: Duration = Duration::from_millis(1);
/// Not quite the time for which an ended token is remembered.
const ALMOST_FORGOTTEN: Duration = Duration::from_millis(59_999);

/// How a token can end.
const ENDINGS: [&str; 4] = ["destroy", "regenerate", "a new owner", "another session"];

/// A browser whose token has ended, with the companions that it would still carry.
async fn overtaken(bench: &Bench, ending: &str) -> Jar {
    if ending == "another session" {
        let jar = Jar::holding(UNKNOWN);
        bench.ok(&mut jar.clone(), async |session| session.set("name", "friend").await).await;
        return jar;
    }
    let mut jar = bench.visitor().await;
    bench.ok(&mut jar, async |session| session.flash("status", "hello").await).await;
    let old = jar.clone();
    let end = async |session: SessionHandle| match ending {
        "destroy" => session.destroy().await,
        "regenerate" => session.regenerate().await,
        _ => session.set_owner("42").await,
    };
    bench.ok(&mut jar, end).await;
    old
}

async fn all_endings(check: impl AsyncFn(&Bench, Jar, String)) {
    for bench in drivers().await {
        for ending in ENDINGS {
            // Nobody remembers a cookie that opens nothing where sessions are in their cookies.
            if (bench.driver, ending) == ("stealth", "another session") {
                continue;
            }
            let jar = overtaken(&bench, ending).await;
            check(&bench, jar, format!("{} {ending}", bench.driver)).await;
        }
    }
}

async fn answered(
    bench: &Bench,
    jar: &Jar,
    handler: impl AsyncFnOnce(SessionHandle),
) -> HeadChanges {
    bench.request(&mut jar.clone(), Client::Plain, 200, handler).await.1
}

#[tokio::test]
async fn an_ended_token_opens_nothing_and_its_reader_sends_no_cookie() {
    all_endings(async |bench, jar, case| {
        let head = answered(bench, &jar, async |session| {
            assert_eq!(session.get::<String>("name").await.unwrap(), None, "{case}");
            assert_eq!(session.get::<String>("status").await.unwrap(), None, "{case}");
            assert!(session.all().await.unwrap().is_empty(), "{case}");
            assert_eq!(session.owner().await.unwrap(), None, "{case}");
            assert_eq!(session.id().await.unwrap(), None, "{case}");
        });
        assert_eq!(head.await.set_cookies, [""; 0], "{case}: not even a message ages");
    })
    .await;
}

/// Every change that is no login.
async fn writes(session: &SessionHandle) -> Vec<(&'static str, Result<(), Error>)> {
    vec![
        ("set", session.set("name", "visitor").await),
        ("forget", session.forget("name").await),
        ("flash", session.flash("status", "x").await),
        ("permanent", session.permanent(json!({ "terms": true })).await),
        ("increment", session.increment("visits", 1).await.map(drop)),
        ("update", session.update("list", |_: Option<u8>| 1).await.map(drop)),
    ]
}

#[tokio::test]
async fn a_write_with_an_ended_token_is_gone() {
    all_endings(async |bench, jar, case| {
        let head = answered(bench, &jar, async |session| {
            for (verb, result) in writes(&session).await {
                let error = result.expect_err(verb);
                assert!(error.is_gone(), "{case} {verb}: {error}");
                assert_eq!(error.status(), 409, "{case} {verb}");
            }
            assert!(session.all().await.unwrap().is_empty(), "{case}");
        });
        assert_eq!(head.await.set_cookies, [""; 0], "{case}");
    })
    .await;
}

#[tokio::test]
async fn destroying_an_ended_session_succeeds_and_drops_what_follows() {
    all_endings(async |bench, jar, case| {
        let head = answered(bench, &jar, async |session| {
            session.destroy().await.unwrap();
            for (verb, result) in writes(&session).await {
                result.unwrap_or_else(|error| panic!("{case} {verb}: {error}"));
            }
        });
        assert_eq!(head.await.set_cookies, [""; 0], "{case}");
        assert!(!bench.is_alive(&jar).await, "{case}");
    })
    .await;
}

#[tokio::test]
async fn a_login_that_first_destroys_an_ended_session_is_a_login() {
    all_endings(async |bench, mut jar, case| {
        let head = answered(bench, &jar, async |session| {
            session.destroy().await.unwrap();
            session.set_owner("42").await.unwrap();
            session.set("greeted", true).await.unwrap();
        });
        jar.take(&head.await.set_cookies);
        let owner = bench.ok(&mut jar, async |session| session.owner().await).await;
        assert_eq!(owner.as_deref(), Some("42"), "{case}");
    })
    .await;
}

#[tokio::test]
async fn destroying_an_ended_session_leaves_permanent_data_however_the_request_ends() {
    for bench in drivers().await {
        for is_answered in [true, false] {
            let mut jar = bench.visitor().await;
            let terms = json!({ "terms": "accepted" });
            bench.ok(&mut jar, async |session| session.permanent(&terms).await).await;
            let old = jar.clone();
            bench.ok(&mut jar, async |session| session.regenerate().await).await;
            let handle = bench.open(&old, Client::Plain, "POST");
            handle.destroy().await.unwrap();
            if is_answered {
                let head = bench.answer(&mut old.clone(), &handle, 200).await.unwrap();
                assert_eq!(head.set_cookies, [""; 0], "{}", bench.driver);
            }
            drop(handle);
            tokio::task::yield_now().await;
            let terms = bench.read(&jar, "terms").await;
            assert_eq!(terms.as_deref(), Some("accepted"), "{} {is_answered}", bench.driver);
        }
    }
}

#[tokio::test]
async fn a_login_with_an_ended_token_gets_a_session_of_its_own() {
    all_endings(async |bench, jar, case| {
        for owner in [Some("42"), None] {
            let mut browser = jar.clone();
            let handler = async |session: SessionHandle| {
                match owner {
                    Some(owner) => session.set_owner(owner).await?,
                    None => session.regenerate().await?,
                }
                session.set("name", "visitor").await
            };
            bench.ok(&mut browser, handler).await;
            assert_ne!(browser.token(), jar.token(), "{case}");
            let name = bench.read(&browser, "name").await;
            assert_eq!(name.as_deref(), Some("visitor"), "{case}");
            assert!(!bench.is_alive(&jar).await, "{case}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_double_clicked_login_works_twice() {
    for bench in drivers().await {
        let jar = bench.visitor().await;
        let clicks = [0, 1].map(|_| bench.open(&jar, Client::Navigation, "POST"));
        for click in &clicks {
            click.set_owner("42").await.unwrap();
            click.set("role", "editor").await.unwrap();
        }
        let mut browsers = [jar.clone(), jar.clone()];
        for (browser, click) in browsers.iter_mut().zip(&clicks) {
            bench.answer(browser, click, 303).await.unwrap();
        }
        assert_ne!(browsers[0].token(), browsers[1].token(), "{}", bench.driver);
        for browser in &browsers {
            let role = bench.read(browser, "role").await;
            assert_eq!(role.as_deref(), Some("editor"), "{}", bench.driver);
        }
        assert_eq!(bench.read(&browsers[0], "name").await.as_deref(), Some("guest"));
        let name = bench.read(&browsers[1], "name").await;
        assert_eq!(name, None, "{}: the second begins empty", bench.driver);
    }
}

#[tokio::test]
async fn a_session_that_ends_under_a_request_takes_its_changes_along() {
    for bench in drivers().await {
        for ending in ["destroy", "regenerate", "a new owner"] {
            let case = format!("{} {ending}", bench.driver);
            let mut jar = bench.visitor().await;
            let (writer, reader) =
                (bench.open(&jar, Client::Plain, "POST"), bench.open(&jar, Client::Plain, "GET"));
            let logout = bench.open(&jar, Client::Plain, "POST");
            writer.set("name", "visitor").await.unwrap();
            assert!(reader.has("name").await.unwrap());
            logout.destroy().await.unwrap();
            logout.flash("status", "bye").await.unwrap();
            let mut stale = jar.clone();
            bench
                .ok(&mut jar, async |session| match ending {
                    "destroy" => session.destroy().await,
                    "regenerate" => session.regenerate().await,
                    _ => session.set_owner("42").await,
                })
                .await;
            let failed = bench.answer(&mut stale, &writer, 200).await.unwrap_err();
            assert_eq!((failed.error.is_gone(), failed.error.status()), (true, 409), "{case}");
            assert_eq!(failed.head.set_cookies, [""; 0], "{case}");
            let read = bench.answer(&mut stale, &reader, 200).await.unwrap();
            assert_eq!(read.set_cookies, [""; 0], "{case}: a reader is not disturbed");
            let left = bench.answer(&mut stale, &logout, 200).await.unwrap();
            assert_eq!(left.set_cookies, [""; 0], "{case}: somebody was faster");
            assert!(!bench.is_alive(&stale).await, "{case}");
            if ending != "destroy" {
                assert_eq!(bench.read(&jar, "name").await.as_deref(), Some("guest"), "{case}");
            }
        }
    }
}

#[tokio::test]
async fn an_ended_token_is_remembered_for_60_seconds() {
    all_endings(async |bench, jar, case| {
        bench.clock.advance(ALMOST_FORGOTTEN);
        let head = answered(bench, &jar, async |session| {
            assert!(session.set("name", "visitor").await.unwrap_err().is_gone(), "{case}");
        });
        assert_eq!(head.await.set_cookies, [""; 0], "{case}");
        bench.clock.advance(MOMENT);
        let mut later = jar.clone();
        bench.ok(&mut later, async |session| session.set("name", "visitor").await).await;
        assert_ne!(later.token(), jar.token(), "{case}: an unknown token gets another");
        assert_eq!(bench.read(&later, "name").await.as_deref(), Some("visitor"), "{case}");
    })
    .await;
}

#[tokio::test]
async fn of_two_requests_with_one_unknown_token_one_makes_a_session() {
    for bench in keepers().await {
        let jar = Jar::holding(UNKNOWN);
        let requests = [0, 1].map(|_| bench.open(&jar, Client::Plain, "POST"));
        for request in &requests {
            request.set("name", "guest").await.unwrap();
        }
        let (mut first, mut second) = (jar.clone(), jar.clone());
        bench.answer(&mut first, &requests[0], 200).await.unwrap();
        assert_ne!(first.token(), UNKNOWN);
        let failed = bench.answer(&mut second, &requests[1], 200).await.unwrap_err();
        assert_eq!((failed.error.is_gone(), failed.error.status()), (true, 409));
        assert_eq!(failed.head.set_cookies, [""; 0], "{}", bench.driver);
    }
}

#[tokio::test]
async fn the_permanent_cookie_has_a_tombstone_of_its_own() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        let terms = json!({ "terms": "accepted" });
        bench.ok(&mut jar, async |session| session.permanent(&terms).await).await;
        let old = jar.clone();
        bench.ok(&mut jar, async |session| session.forget("terms").await).await;
        assert_eq!(jar.companion(".p"), None, "{}: the last one is gone", bench.driver);
        let mut stale = old.clone();
        let (result, head) = bench
            .request(&mut stale, Client::Navigation, 200, async |session| {
                session.permanent(&terms).await
            })
            .await;
        assert!(result.unwrap_err().is_gone(), "{}", bench.driver);
        assert_eq!(head.set_cookies, [""; 0], "{}", bench.driver);
        bench.ok(&mut stale, async |session| session.set("name", "guest").await).await;
        assert!(stale.session().is_some(), "{}: ordinary data is not concerned", bench.driver);
    }
}

#[tokio::test]
async fn a_reader_of_an_ended_session_asks_the_store_once() {
    let store = Probe::default();
    let bench = in_a_store(store.clone());
    let jar = overtaken(&bench, "destroy").await;
    store.take_calls();
    answered(&bench, &jar, async |session| assert!(!session.has("name").await.unwrap())).await;
    assert_eq!(store.take_verbs(), [Verb::Load]);
    assert_eq!(store.records(bench.clock.now()).await, 0);
    assert!(jar.holds(NAME));
}

#[tokio::test]
async fn a_logout_from_a_session_that_was_evicted_meanwhile_is_a_logout() {
    let (bench, heard) = listened_memory(2).await;
    let mut jar = bench.visitor().await;
    bench.ok(&mut jar, async |s| s.permanent(json!({ "terms": true })).await).await;
    let handle = bench.open(&jar, Client::Plain, "POST");
    handle.destroy().await.unwrap();
    let permanent = jar.companion(".p").unwrap().to_owned();
    bench.visitor().await;
    heard.take();
    bench.answer(&mut jar, &handle, 200).await.unwrap();
    assert!(jar.is_empty(), "{jar:?}");
    let mut old = Jar::default();
    old.insert(&format!("{NAME}.p"), &permanent);
    assert!(!bench.ok(&mut old, async |s| s.has("terms").await).await);
    assert_eq!(heard.names(), ["permanent_ended"], "what had gone before was not destroyed");
}

#[tokio::test]
async fn a_logout_that_a_login_overtook_leaves_it_alone_however_long_it_takes() {
    let idle = Duration::from_secs(90);
    for bench in keepers_with(|config| config.idle_timeout(idle)).await {
        let mut jar = bench.visitor().await;
        bench.clock.advance(Duration::from_secs(40));
        let handle = bench.open(&jar, Client::Plain, "POST");
        handle.has("name").await.unwrap();
        handle.destroy().await.unwrap();
        bench.clock.advance(Duration::from_secs(1));
        bench.ok(&mut jar, async |session| session.set_owner("42").await).await;
        bench.clock.advance(Duration::from_secs(62));
        let head = bench.answer(&mut jar, &handle, 200).await.unwrap();
        assert!(head.set_cookies.is_empty(), "{}: {head:?}", bench.driver);
        let owner = bench.ok(&mut jar, async |session| session.owner().await).await;
        assert_eq!(owner.as_deref(), Some("42"), "{}", bench.driver);
    }
}
