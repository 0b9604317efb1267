//! When a session begins, who is given its cookie, and what a new token means for the old one.

use crate::{
    stores::{Probe, Verb},
    support::{Client, HOUR, Jar, NAME, UNKNOWN, drivers, in_a_store, keepers, keepers_with},
};
use dframework_session::{Config, HeadChanges, ResponseHead, SessionHandle};

/// Cookies that open nothing: a token of nobody's, and text that is no token.
const NO_SESSION: [&str; 8] = [
    UNKNOWN,
    "",
    "short",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"",
    "++++++++++++++++++++++++++++++++++++++++++A",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
];

fn names_of(head: &HeadChanges) -> Vec<&str> {
    head.set_cookies.iter().map(|line| line.split_once('=').unwrap().0).collect()
}

async fn read_name(session: SessionHandle) -> Option<String> {
    session.get("name").await.unwrap()
}

#[tokio::test]
async fn a_request_that_does_not_use_its_session_costs_and_changes_nothing() {
    let store = Probe::default();
    let bench = in_a_store(store.clone());
    for mut jar in [Jar::default(), Jar::holding(UNKNOWN), bench.visitor().await] {
        store.take_calls();
        let ((), head) = bench.request(&mut jar, Client::Plain, 200, async |_| ()).await;
        assert_eq!(head, HeadChanges::default());
        assert_eq!(store.take_verbs(), []);
    }
    for bench in drivers().await {
        let mut jar = bench.visitor().await;
        let ((), head) = bench.request(&mut jar, Client::Navigation, 200, async |_| ()).await;
        assert_eq!(head, HeadChanges::default(), "{}", bench.driver);
    }
}

#[tokio::test]
async fn reading_without_a_cookie_asks_no_store() {
    let store = Probe::default();
    let bench = in_a_store(store.clone());
    let mut jar = Jar::default();
    let (name, head) = bench.request(&mut jar, Client::Plain, 200, read_name).await;
    assert_eq!(name, None);
    assert_eq!(store.take_verbs(), []);
    assert_eq!((head.set_cookies, head.vary), (vec![], true), "the answer depends on the session");
    assert_eq!(head.cache_control, Some("private"));
}

#[tokio::test]
async fn what_the_application_says_of_caches_stays_until_a_cookie_is_set() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        for (writes, expected) in [(false, None), (true, Some("no-store"))] {
            let handle = bench.open(&jar, Client::Plain, "GET");
            if writes {
                handle.set("name", "guest").await.unwrap();
            } else {
                read_name(handle.clone()).await;
            }
            let head = ResponseHead::new(200).with_cache_control(Some(b"max-age=60"));
            let head = bench.sessions.commit(&handle, head).await.unwrap();
            assert_eq!(head.cache_control, expected, "{}", bench.driver);
            assert!(head.vary);
            jar.take(&head.set_cookies);
        }
    }
}

#[tokio::test]
async fn ten_thousand_readers_and_anonymous_logouts_leave_nothing() {
    let store = Probe::default();
    let mut benches = drivers().await;
    benches.push(in_a_store(store.clone()));
    for bench in benches {
        for number in 0..10_000 {
            let handle = bench.open(&Jar::default(), Client::Plain, "GET");
            match number % 4 {
                0 => drop(read_name(handle.clone()).await),
                1 => handle.destroy().await.unwrap(),
                2 => handle.forget("name").await.unwrap(),
                _ => assert!(handle.all().await.unwrap().is_empty()),
            }
            let head = bench.sessions.commit(&handle, ResponseHead::new(200)).await.unwrap();
            assert!(head.set_cookies.is_empty(), "{} {number}", bench.driver);
        }
        for token in NO_SESSION {
            let (_, head) =
                bench.request(&mut Jar::holding(token), Client::Plain, 200, read_name).await;
            assert!(head.set_cookies.is_empty(), "{} {token}", bench.driver);
        }
        assert_eq!(store.records(bench.clock.now()).await, 0);
    }
}

#[tokio::test]
async fn a_cookie_that_opens_nothing_is_never_adopted() {
    for bench in keepers().await {
        for token in NO_SESSION {
            let case = format!("{} {token:?}", bench.driver);
            let mut jar = Jar::holding(token);
            let (name, head) = bench.request(&mut jar, Client::Plain, 200, read_name).await;
            assert_eq!(name, None, "{case}");
            assert!(head.set_cookies.is_empty(), "{case}: a stale cookie is left alone");
            bench.ok(&mut jar, async |session| session.set("name", "guest").await).await;
            assert_ne!(jar.token(), token, "{case}");
            assert_eq!(jar.token().len(), 43, "{case}");
            assert_eq!(bench.read(&jar, "name").await.as_deref(), Some("guest"), "{case}");
            assert!(!bench.is_alive(&Jar::holding(token)).await, "{case}");
        }
    }
}

#[tokio::test]
async fn an_expired_token_gets_another_with_the_first_write() {
    for bench in drivers().await {
        let mut jar = bench.visitor().await;
        let old = jar.token();
        bench.clock.advance(3 * HOUR);
        let (name, head) = bench.request(&mut jar, Client::Navigation, 200, read_name).await;
        assert_eq!((name, head.set_cookies), (None, vec![]), "{}", bench.driver);
        bench.ok(&mut jar, async |session| session.set("other", "x").await).await;
        assert_ne!(jar.token(), old, "{}", bench.driver);
        assert_eq!(bench.read(&jar, "name").await, None, "{}", bench.driver);
        assert!(!bench.is_alive(&Jar::holding(&old)).await, "{}", bench.driver);
    }
}

#[tokio::test]
async fn every_token_is_another() {
    for bench in drivers().await {
        let mut tokens = std::collections::BTreeSet::new();
        for _ in 0..50 {
            let mut jar = bench.visitor().await;
            tokens.insert(jar.token());
            bench.ok(&mut jar, async |session| session.regenerate().await).await;
            tokens.insert(jar.token());
        }
        assert_eq!(tokens.len(), 100, "{}", bench.driver);
    }
}

#[tokio::test]
async fn only_the_commit_that_made_a_token_sends_it() {
    for bench in keepers().await {
        let mut jar = bench.visitor().await;
        let ((), head) = bench
            .request(&mut jar, Client::Navigation, 200, async |session| {
                session.set("name", "friend").await.unwrap();
                session.increment("visits", 1).await.unwrap();
            })
            .await;
        assert!(head.set_cookies.is_empty(), "{}: a writer has nothing to send", bench.driver);
        bench.clock.advance(HOUR);
        let (_, head) = bench.request(&mut jar, Client::Navigation, 200, read_name).await;
        assert!(head.set_cookies.is_empty(), "{}: nor has a reader that touches", bench.driver);
        let (_, head) = bench
            .request(&mut jar, Client::Plain, 200, async |session| session.regenerate().await)
            .await;
        assert_eq!(names_of(&head), [NAME], "{}", bench.driver);
        assert_eq!((head.cache_control, head.vary), (Some("no-store"), true));
    }
}

#[tokio::test]
async fn a_write_that_changes_nothing_writes_nothing() {
    let store = Probe::default();
    let bench = in_a_store(store.clone());
    let mut jar = bench.visitor().await;
    store.take_calls();
    let unchanged = async |session: SessionHandle| {
        session.set("name", "guest").await?;
        session.forget("nothing").await?;
        session.set("passing", 1).await?;
        session.forget("passing").await
    };
    let (_, head) = bench.request(&mut jar, Client::Plain, 200, unchanged).await;
    assert!(head.set_cookies.is_empty());
    assert_eq!(store.take_verbs(), [Verb::Load]);
}

#[tokio::test]
async fn a_new_token_kills_the_old_one_and_keeps_the_data() {
    for bench in drivers().await {
        for (change, owner) in [("regenerate", None), ("a new owner", Some("42"))] {
            for saves in [false, true] {
                let case = format!("{} {change} {saves}", bench.driver);
                let mut jar = bench.visitor().await;
                let old = jar.clone();
                let handle = bench.open(&jar, Client::Plain, "POST");
                match owner {
                    Some(owner) => handle.set_owner(owner).await.unwrap(),
                    None => handle.regenerate().await.unwrap(),
                }
                assert!(bench.is_alive(&old).await, "{case}: nothing is done before the commit");
                if saves {
                    handle.save().await.unwrap();
                    assert!(!bench.is_alive(&old).await, "{case}: save does it at once");
                }
                bench.answer(&mut jar, &handle, 303).await.unwrap();
                assert_ne!(jar.token(), old.token(), "{case}");
                assert!(!bench.is_alive(&old).await, "{case}");
                assert_eq!(bench.read(&old, "name").await, None, "{case}");
                assert_eq!(bench.read(&jar, "name").await.as_deref(), Some("guest"), "{case}");
            }
        }
    }
}

#[tokio::test]
async fn a_later_set_does_not_take_a_new_token_back() {
    for bench in drivers().await {
        let mut jar = bench.visitor().await;
        let old = jar.clone();
        bench
            .ok(&mut jar, async |session| {
                session.regenerate().await?;
                session.set("name", "friend").await?;
                session.forget("name").await
            })
            .await;
        assert_ne!(jar.token(), old.token(), "{}", bench.driver);
        assert!(!bench.is_alive(&old).await, "{}", bench.driver);
        assert!(bench.is_alive(&jar).await, "{}", bench.driver);
    }
}

#[tokio::test]
async fn the_same_owner_again_changes_nothing() {
    for bench in drivers().await {
        let mut jar = bench.visitor().await;
        bench.ok(&mut jar, async |session| session.set_owner("42").await).await;
        let (_, head) = bench
            .request(&mut jar, Client::Plain, 200, async |session| session.set_owner("42").await)
            .await;
        assert!(head.set_cookies.is_empty(), "{}", bench.driver);
        assert_eq!(bench.read(&jar, "name").await.as_deref(), Some("guest"), "{}", bench.driver);
    }
}

#[tokio::test]
async fn from_one_owner_to_another_ordinary_data_is_dropped() {
    for bench in drivers().await {
        let mut jar = bench.visitor().await;
        bench.ok(&mut jar, async |session| session.set_owner("42").await).await;
        assert_eq!(bench.read(&jar, "name").await.as_deref(), Some("guest"), "a first owner keeps");
        bench
            .ok(&mut jar, async |session| {
                session.flash("status", "of the former").await?;
                session.permanent(serde_json::json!({ "terms": "accepted" })).await
            })
            .await;
        let left = bench
            .ok(&mut jar, async |session| {
                session.set("draft", "of the former").await?;
                session.set_owner("43").await?;
                session.set("cart", "of the new one").await?;
                session.all().await
            })
            .await;
        let stored = bench.ok(&mut jar, async |session| session.all().await).await;
        let expected = serde_json::json!({ "cart": "of the new one", "terms": "accepted" });
        assert_eq!(serde_json::Value::from(left), expected, "{}", bench.driver);
        assert_eq!(serde_json::Value::from(stored), expected, "{}", bench.driver);
        let owner = bench.ok(&mut jar, async |session| session.owner().await).await;
        assert_eq!(owner.as_deref(), Some("43"), "{}", bench.driver);
    }
}

#[tokio::test]
async fn an_owner_has_1_to_255_bytes() {
    for bench in drivers().await {
        for (length, is_taken) in [(0, false), (1, true), (255, true), (256, false)] {
            let handle = bench.open(&Jar::default(), Client::Plain, "POST");
            let result = handle.set_owner("é".repeat(length / 2) + &"a".repeat(length % 2)).await;
            assert_eq!(result.is_ok(), is_taken, "{} {length}", bench.driver);
            assert!(result.err().is_none_or(|error| error.is_invalid()));
        }
    }
}

#[tokio::test]
async fn an_owner_alone_makes_a_session() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        bench.ok(&mut jar, async |session| session.set_owner("42").await).await;
        let owner = bench.ok(&mut jar, async |session| session.owner().await).await;
        assert_eq!(owner.as_deref(), Some("42"), "{}", bench.driver);
    }
}

#[tokio::test]
async fn a_new_token_for_no_session_makes_none() {
    for bench in drivers().await {
        for mut jar in [Jar::default(), Jar::holding(UNKNOWN)] {
            let (_, head) = bench
                .request(&mut jar, Client::Plain, 200, async |session| session.regenerate().await)
                .await;
            assert!(head.set_cookies.is_empty(), "{}", bench.driver);
        }
    }
}

#[tokio::test]
async fn forgetting_everything_and_writing_makes_a_new_session() {
    for bench in drivers().await {
        let mut jar = bench.visitor().await;
        bench.ok(&mut jar, async |session| session.set_owner("42").await).await;
        let old = jar.clone();
        let ((), head) = bench
            .request(&mut jar, Client::Plain, 303, async |session| {
                session.forget(..).await.unwrap();
                assert_eq!(session.owner().await.unwrap(), None);
                session.set("other", "x").await.unwrap();
            })
            .await;
        let session_lines = names_of(&head).into_iter().filter(|name| *name == NAME).count();
        assert_eq!(session_lines, 1, "{}: one line for one name", bench.driver);
        assert_ne!(jar.token(), old.token(), "{}", bench.driver);
        assert!(!bench.is_alive(&old).await, "{}", bench.driver);
        assert_eq!(bench.read(&jar, "other").await.as_deref(), Some("x"), "{}", bench.driver);
        assert_eq!(bench.read(&jar, "name").await, None, "{}", bench.driver);
        let owner = bench.ok(&mut jar, async |session| session.owner().await).await;
        assert_eq!(owner, None, "{}", bench.driver);
    }
}

#[tokio::test]
async fn a_removal_repeats_the_attributes_of_setting() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        let (_, set) = bench
            .request(&mut jar, Client::Plain, 200, async |session| session.set("a", 1).await)
            .await;
        let (_, removed) = bench
            .request(&mut jar, Client::Plain, 200, async |session| session.destroy().await)
            .await;
        let attributes = |line: &str| line.split_once(';').unwrap().1.to_owned();
        let expected = format!("{}; Max-Age=0", attributes(&set.set_cookies[0]));
        assert_eq!(names_of(&removed)[0], NAME, "{}", bench.driver);
        for line in &removed.set_cookies {
            assert_eq!(attributes(line), expected, "{}", bench.driver);
        }
        assert_eq!(jar, Jar::default(), "{}", bench.driver);
    }
}

#[tokio::test]
async fn the_cookie_goes_with_the_window_unless_it_was_asked_to_stay() {
    for bench in drivers().await {
        let handle = bench.open(&Jar::default(), Client::Plain, "GET");
        handle.set("a", 1).await.unwrap();
        let head = bench.sessions.commit(&handle, ResponseHead::new(200)).await.unwrap();
        let line = &head.set_cookies[0];
        assert!(!line.contains("Max-Age") && !line.contains("Expires"), "{}", bench.driver);
        assert!(line.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax"), "{line}");
    }
}

#[tokio::test]
async fn a_persistent_cookie_lasts_until_the_absolute_deadline() {
    let ten_hours = |config: Config| config.persistent_cookie().lifetime(10 * HOUR);
    for bench in keepers_with(ten_hours).await {
        let mut jar = Jar::default();
        let age = |head: &HeadChanges| {
            let line = &head.set_cookies[0];
            line.split_once("; Max-Age=").unwrap().1.parse::<u64>().unwrap()
        };
        let (_, head) = bench
            .request(&mut jar, Client::Plain, 200, async |session| session.set("a", 1).await)
            .await;
        assert_eq!(age(&head), 36_000, "{}", bench.driver);
        bench.clock.advance(HOUR);
        let (_, head) = bench
            .request(&mut jar, Client::Plain, 200, async |session| session.regenerate().await)
            .await;
        assert_eq!(age(&head), 32_400, "{}: a new token is no new login", bench.driver);
        bench.clock.advance(HOUR);
        let (_, head) = bench
            .request(&mut jar, Client::Plain, 200, async |session| session.set_owner("42").await)
            .await;
        assert_eq!(age(&head), 36_000, "{}: a new owner is", bench.driver);
    }
}
