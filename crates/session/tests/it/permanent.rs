//! Permanent data: a record, a token and a cookie of its own, which outlive the session beside them.

use crate::{
    stores::in_a_probe,
    support::{Bench, Client, HOUR, Jar, NAME, UNKNOWN, drivers, keepers},
};
use dframework_session::{Error, SessionHandle};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};

const ATTRIBUTES: &str = "; Path=/; Secure; HttpOnly; SameSite=Lax";

async fn remember(bench: &Bench, jar: &mut Jar, map: Value) {
    bench.ok(jar, async |session| session.permanent(&map).await).await;
}

/// A browser with ordinary and permanent data.
async fn visitor(bench: &Bench) -> Jar {
    let mut jar = Jar::default();
    bench.ok(&mut jar, async |session| session.set("name", "guest").await).await;
    remember(bench, &mut jar, json!({ "theme": "dark" })).await;
    jar
}

/// A browser with nothing but permanent data.
async fn remembered(bench: &Bench) -> Jar {
    let mut jar = Jar::default();
    remember(bench, &mut jar, json!({ "theme": "dark" })).await;
    assert_eq!(jar.session(), None);
    jar
}

async fn text(bench: &Bench, jar: &Jar, key: &str) -> Option<String> {
    bench.peek(jar, key).await
}

async fn all(bench: &Bench, jar: &Jar) -> Map<String, Value> {
    bench.open(jar, Client::Plain, "GET").all().await.unwrap()
}

/// What `.p` opens, without the day on which it was sent.
/// The token in `.p`, or all of it where it holds the data itself.
fn token(jar: &Jar) -> Option<&str> {
    jar.companion(".p").and_then(|value| value.split('.').next())
}

/// A browser that was closed and opened again: the session cookie is gone.
fn restarted(jar: &Jar) -> Jar {
    jar.without("")
}

#[tokio::test]
async fn permanent_data_has_a_token_of_its_own_in_a_cookie_for_ten_years() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        let (result, head) = bench
            .request(&mut jar, Client::Plain, 200, async |session| {
                session.permanent(json!({ "role": "admin", "accepted_terms": true })).await
            })
            .await;
        result.unwrap();
        let value = jar.companion(".p").unwrap();
        assert_eq!(head.set_cookies.len(), 1, "{}: no session beside it", bench.driver);
        let line = format!("{NAME}.p={value}{ATTRIBUTES}; Max-Age=315360000");
        assert_eq!(head.set_cookies, [line]);
        let seen = all(&bench, &jar).await;
        assert_eq!(Value::from(seen), json!({ "role": "admin", "accepted_terms": true }));

        bench.ok(&mut jar, async |session| session.set("name", "guest").await).await;
        assert_ne!(jar.session(), token(&jar), "{}", bench.driver);
        assert_eq!(all(&bench, &jar).await.len(), 3);
    }
}

#[tokio::test]
async fn maps_and_structs_are_stored_entry_by_entry() {
    #[derive(serde::Serialize)]
    struct Choices {
        theme: &'static str,
        size: Option<u8>,
    }
    for bench in drivers().await {
        let mut jar = Jar::default();
        bench
            .ok(&mut jar, async |session| {
                session.permanent(Choices { theme: "dark", size: None }).await?;
                session.permanent(BTreeMap::from([("a.b", 1)])).await?;
                session.permanent(HashMap::from([(7, "seven")])).await?;
                session.permanent(Map::new()).await
            })
            .await;
        let expected = json!({ "theme": "dark", "size": null, "a.b": 1, "7": "seven" });
        assert_eq!(Value::from(all(&bench, &jar).await), expected, "{}", bench.driver);
    }
}

#[tokio::test]
async fn what_is_no_map_is_refused_and_stores_nothing() {
    let table = [json!(1), json!("theme"), json!(null), json!(true), json!(["theme", "dark"])];
    for bench in drivers().await {
        for value in &table {
            let mut jar = Jar::default();
            bench
                .ok(&mut jar, async |session| {
                    let error = session.permanent(value).await.unwrap_err();
                    assert!(error.is_invalid(), "{value}: {error:?}");
                    Ok(())
                })
                .await;
            assert_eq!(jar, Jar::default(), "{}: {value}", bench.driver);
        }
    }
}

#[tokio::test]
async fn one_entry_that_cannot_be_stored_refuses_them_all() {
    let long = "k".repeat(1025);
    let large = "v".repeat(1 << 20);
    for bench in drivers().await {
        for (key, value, too_large) in
            [("", "v", false), (long.as_str(), "v", false), ("large", large.as_str(), true)]
        {
            let mut jar = Jar::default();
            bench
                .ok(&mut jar, async |session| {
                    let map = BTreeMap::from([("a", "fine"), (key, value), ("z", "fine")]);
                    let error = session.permanent(map).await.unwrap_err();
                    assert_eq!(error.is_too_large(), too_large, "{error}");
                    assert_eq!(error.is_invalid(), !too_large, "{error}");
                    assert!(session.all().await?.is_empty());
                    Ok(())
                })
                .await;
            assert_eq!(jar, Jar::default(), "{}", bench.driver);
        }
    }
}

#[tokio::test]
async fn an_entry_that_cannot_be_stored_is_named() {
    for bench in drivers().await {
        let session = bench.open(&Jar::default(), Client::Plain, "GET");
        let map = BTreeMap::from([("fine", 1.0), ("ratio", f64::NAN)]);
        let error = session.permanent(map).await.unwrap_err();
        assert!(error.is_invalid());
        assert!(error.to_string().contains("\"ratio\""), "{}: {error}", bench.driver);
    }
}

/// What ends a session, or changes its token, and leaves permanent data alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Blow {
    BrowserRestart,
    IdleTimeout,
    AbsoluteLifetime,
    Regenerate,
    Login,
    LoginOfAnother,
}

#[tokio::test]
async fn permanent_data_outlives_what_ends_a_session() {
    use Blow::{AbsoluteLifetime, BrowserRestart, IdleTimeout, Login, LoginOfAnother, Regenerate};
    let table = [
        (BrowserRestart, false),
        (IdleTimeout, false),
        (AbsoluteLifetime, false),
        (Regenerate, true),
        (Login, true),
        (LoginOfAnother, false),
    ];
    for bench in drivers().await {
        for (blow, keeps_name) in table {
            let mut jar = visitor(&bench).await;
            let before = token(&jar).unwrap().to_owned();
            match blow {
                BrowserRestart => jar = restarted(&jar),
                IdleTimeout => bench.clock.advance(3 * HOUR),
                AbsoluteLifetime => {
                    for _ in 0..30 * 24 {
                        bench.clock.advance(HOUR);
                        bench.ok(&mut jar, async |session| session.keys_are_there().await).await;
                    }
                }
                Regenerate => bench.ok(&mut jar, async |session| session.regenerate().await).await,
                Login => bench.ok(&mut jar, async |session| session.set_owner("1").await).await,
                LoginOfAnother => {
                    bench.ok(&mut jar, async |session| session.set_owner("1").await).await;
                    bench.ok(&mut jar, async |session| session.set_owner("2").await).await;
                }
            }
            let place = format!("{}: {blow:?}", bench.driver);
            assert_eq!(text(&bench, &jar, "theme").await.as_deref(), Some("dark"), "{place}");
            assert_eq!(text(&bench, &jar, "name").await.is_some(), keeps_name, "{place}");
            // Where the cookie holds the data itself, a page sends it again after a month.
            if (bench.driver, blow) != ("stealth", AbsoluteLifetime) {
                assert_eq!(token(&jar), Some(before.as_str()), "{place}");
            }
        }
    }
}

/// A use of the session.
trait Use {
    async fn keys_are_there(&self) -> Result<(), Error>;
}

impl Use for SessionHandle {
    async fn keys_are_there(&self) -> Result<(), Error> {
        assert!(self.exists("theme").await?);
        Ok(())
    }
}

/// A browser whose requests raced: the key `theme` is in both records.
async fn in_both(bench: &Bench) -> Jar {
    let mut jar = Jar::default();
    bench.ok(&mut jar, async |session| session.set("name", "guest").await).await;
    let ordinary = bench.open(&jar, Client::Plain, "POST");
    ordinary.set("theme", "ordinary").await.unwrap();
    remember(bench, &mut jar, json!({ "theme": "permanent", "other": 1 })).await;
    bench.answer(&mut jar, &ordinary, 200).await.unwrap();
    let seen = text(bench, &jar.without(".p"), "theme").await;
    assert_eq!(seen.as_deref(), Some("ordinary"), "the race has happened");
    jar
}

#[tokio::test]
async fn a_key_in_both_records_is_permanent_and_the_next_write_drops_the_other() {
    for bench in drivers().await {
        let mut jar = in_both(&bench).await;
        assert_eq!(text(&bench, &jar, "theme").await.as_deref(), Some("permanent"));
        assert_eq!(all(&bench, &jar).await["theme"], "permanent", "{}", bench.driver);
        bench.ok(&mut jar, async |session| session.set("name", "grace").await).await;
        assert_eq!(text(&bench, &jar, "theme").await.as_deref(), Some("permanent"));
        assert_eq!(text(&bench, &jar.without(".p"), "theme").await, None, "{}", bench.driver);
    }
}

#[tokio::test]
async fn forgetting_a_key_in_both_records_removes_it_from_both() {
    for bench in drivers().await {
        let mut jar = in_both(&bench).await;
        bench.ok(&mut jar, async |session| session.forget("theme").await).await;
        for jar in [&jar, &jar.without(".p"), &restarted(&jar)] {
            assert_eq!(text(&bench, jar, "theme").await, None, "{}: {jar:?}", bench.driver);
        }
        assert_eq!(bench.peek(&jar, "other").await, Some(1));
    }
}

#[tokio::test]
async fn making_an_ordinary_key_permanent_moves_it() {
    for bench in drivers().await {
        for value in ["light", "dark"] {
            let mut jar = Jar::default();
            bench.ok(&mut jar, async |session| session.set("theme", "light").await).await;
            remember(&bench, &mut jar, json!({ "theme": value })).await;
            let seen = text(&bench, &restarted(&jar), "theme").await;
            assert_eq!(seen.as_deref(), Some(value), "{}", bench.driver);
            let seen = text(&bench, &jar.without(".p"), "theme").await;
            assert_eq!(seen, None, "{}: it is not ordinary any more", bench.driver);
        }
    }
}

#[tokio::test]
async fn a_key_that_becomes_permanent_in_its_first_request_is_never_ordinary() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        bench
            .ok(&mut jar, async |session| {
                session.set("theme", "light").await?;
                session.permanent(json!({ "theme": "dark" })).await
            })
            .await;
        assert_eq!(jar.session(), None, "{}", bench.driver);
        assert_eq!(text(&bench, &jar, "theme").await.as_deref(), Some("dark"));
    }
}

#[tokio::test]
async fn writing_to_a_permanent_key_keeps_it_permanent() {
    type Write = fn(SessionHandle) -> std::pin::Pin<Box<dyn Future<Output = Result<i64, Error>>>>;
    let table: [(&str, Write); 4] = [
        ("set", |session| Box::pin(async move { session.set("n", 8).await.map(|()| 8) })),
        ("increment", |session| Box::pin(async move { session.increment("n", 1).await })),
        ("update", |session| {
            Box::pin(async move {
                session.update("n", |n: Option<i64>| n.unwrap_or_default() + 1).await
            })
        }),
        ("permanent", |session| {
            Box::pin(async move { session.permanent(json!({ "n": 8 })).await.map(|()| 8) })
        }),
    ];
    for bench in keepers().await {
        for with_session in [false, true] {
            for (name, write) in table {
                let mut jar = if with_session { visitor(&bench).await } else { Jar::default() };
                remember(&bench, &mut jar, json!({ "n": 7 })).await;
                let before = jar.clone();
                let written = bench.ok(&mut jar, async |session| write(session).await).await;
                let place = format!("{}: {name}", bench.driver);
                assert_eq!(written, 8, "{place}");
                assert_eq!(jar, before, "{place}: no cookie is needed");
                assert_eq!(bench.peek(&restarted(&jar), "n").await, Some(8), "{place}");
                assert_eq!(bench.peek::<i64>(&jar.without(".p"), "n").await, None, "{place}");
            }
        }
    }
}

#[tokio::test]
async fn forgetting_one_of_several_keys_keeps_the_record() {
    for bench in keepers().await {
        let mut jar = Jar::default();
        remember(&bench, &mut jar, json!({ "theme": "dark", "size": 1 })).await;
        let before = jar.clone();
        bench.ok(&mut jar, async |session| session.forget("size").await).await;
        assert_eq!(jar, before, "{}", bench.driver);
        assert_eq!(Value::from(all(&bench, &jar).await), json!({ "theme": "dark" }));
    }
}

#[tokio::test]
async fn forgetting_the_last_key_ends_the_record_and_removes_its_cookie() {
    for bench in drivers().await {
        let mut jar = visitor(&bench).await;
        let before = jar.clone();
        let (result, head) = bench
            .request(&mut jar, Client::Plain, 200, async |session| session.forget("theme").await)
            .await;
        result.unwrap();
        assert_eq!(head.set_cookies, [format!("{NAME}.p={ATTRIBUTES}; Max-Age=0")]);
        assert_eq!(text(&bench, &jar, "name").await.as_deref(), Some("guest"), "{}", bench.driver);
        assert_eq!(text(&bench, &before, "theme").await, None, "{}", bench.driver);
        let late = bench.open(&restarted(&before), Client::Plain, "POST");
        let result = late.permanent(json!({ "theme": "late" })).await;
        assert!(result.unwrap_err().is_gone(), "{}: it has ended a moment ago", bench.driver);
    }
    let (store, bench) = in_a_probe();
    let mut jar = remembered(&bench).await;
    assert_eq!(store.records(bench.clock.now()).await, 1);
    bench.ok(&mut jar, async |session| session.forget("theme").await).await;
    assert_eq!(store.records(bench.clock.now()).await, 0);
}

#[tokio::test]
async fn permanent_data_can_be_made_again_in_the_request_that_forgot_it() {
    for bench in drivers().await {
        for saves in [false, true] {
            let mut jar = remembered(&bench).await;
            bench
                .ok(&mut jar, async |session| {
                    session.forget("theme").await?;
                    if saves {
                        session.save().await?;
                    }
                    session.permanent(json!({ "size": 1 })).await
                })
                .await;
            let seen = Value::from(all(&bench, &jar).await);
            assert_eq!(seen, json!({ "size": 1 }), "{}, save: {saves}", bench.driver);
        }
    }
}

#[tokio::test]
async fn destroying_ends_both_records() {
    for bench in drivers().await {
        let mut jar = visitor(&bench).await;
        let before = jar.clone();
        bench.ok(&mut jar, async |session| session.destroy().await).await;
        assert_eq!(jar, Jar::default(), "{}", bench.driver);
        for jar in [&before, &before.without(".p"), &restarted(&before)] {
            assert!(all(&bench, jar).await.is_empty(), "{}", bench.driver);
        }
    }
    let (store, bench) = in_a_probe();
    let mut jar = visitor(&bench).await;
    bench.ok(&mut jar, async |session| session.destroy().await).await;
    assert_eq!(store.records(bench.clock.now()).await, 0);
}

#[tokio::test]
async fn destroying_removes_the_permanent_cookie_though_only_the_other_was_carried() {
    let removal = |ending: &str| format!("{NAME}{ending}={ATTRIBUTES}; Max-Age=0");
    for bench in keepers().await {
        let jar = visitor(&bench).await;
        let unknown = Jar::holding(UNKNOWN);
        for (what, mut jar, expected) in [
            ("session only", jar.without(".p"), vec![removal(""), removal(".p")]),
            ("an unknown session only", unknown, vec![removal(""), removal(".p")]),
            ("permanent only", restarted(&jar), vec![removal(".p")]),
            ("nothing", Jar::default(), vec![]),
        ] {
            let destroy = async |session: SessionHandle| session.destroy().await;
            let (result, head) = bench.request(&mut jar, Client::Plain, 200, destroy).await;
            result.unwrap();
            assert_eq!(head.set_cookies, expected, "{}: {what}", bench.driver);
        }
    }
}

#[tokio::test]
async fn what_is_made_permanent_after_destroying_stays() {
    for bench in drivers().await {
        let mut jar = visitor(&bench).await;
        let before = jar.clone();
        bench
            .ok(&mut jar, async |session| {
                session.destroy().await?;
                session.permanent(json!({ "size": 1 })).await
            })
            .await;
        assert_ne!(token(&jar), token(&before));
        assert_eq!(Value::from(all(&bench, &jar).await), json!({ "size": 1 }), "{}", bench.driver);
    }
}

#[tokio::test]
async fn a_failed_response_makes_nothing_permanent() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        bench
            .request(&mut jar, Client::Plain, 500, async |session| {
                session.permanent(json!({ "theme": "dark" })).await
            })
            .await
            .0
            .unwrap();
        assert_eq!(jar, Jar::default(), "{}", bench.driver);
    }
}

#[tokio::test]
async fn parallel_requests_lose_no_permanent_key() {
    for bench in keepers().await {
        let mut jar = remembered(&bench).await;
        let one = bench.open(&jar, Client::Plain, "POST");
        let other = bench.open(&jar, Client::Plain, "POST");
        one.permanent(json!({ "one": 1 })).await.unwrap();
        other.permanent(json!({ "other": 2 })).await.unwrap();
        bench.answer(&mut jar, &one, 200).await.unwrap();
        bench.answer(&mut jar, &other, 200).await.unwrap();
        let expected = json!({ "theme": "dark", "one": 1, "other": 2 });
        assert_eq!(Value::from(all(&bench, &jar).await), expected, "{}", bench.driver);
    }
}
