//! The shorter verbs: values that expire, values of one request, messages that stay, lists, and other tasks.

use crate::{
    stores::in_a_probe,
    support::{Bench, Client, DAY, HOUR, Jar, NONE, drivers, keepers},
};
use dframework_session::{Error, Session, SessionHandle};
use serde_json::{Value, json};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const MILLISECOND: Duration = Duration::from_millis(1);
/// A minute, and half of one, without their last millisecond.
const ALMOST_A_MINUTE: Duration = Duration::from_millis(59_999);
const ALMOST_HALF_A_MINUTE: Duration = Duration::from_millis(29_999);

/// A request that changes something and is answered after another has committed.
async fn overtaken(
    bench: &Bench,
    jar: &mut Jar,
    own: impl AsyncFnOnce(SessionHandle) -> Result<(), Error>,
    other: impl AsyncFnOnce(SessionHandle) -> Result<(), Error>,
) {
    let handle = bench.open(jar, Client::Plain, "POST");
    own(handle.clone()).await.unwrap();
    bench.ok(&mut jar.clone(), other).await;
    let answer = bench.answer(jar, &handle, 200).await;
    answer.unwrap_or_else(|failed| panic!("{}: {failed}", bench.driver));
}

/// What a request with these cookies would see, without any trace of it.
async fn all(bench: &Bench, jar: &Jar) -> Value {
    bench.open(jar, Client::Plain, "GET").all().await.unwrap().into()
}

/// Whether each reading verb finds the key.
async fn sightings(session: &SessionHandle, key: &str) -> Result<[bool; 5], Error> {
    Ok([
        session.get::<Value>(key).await?.is_some(),
        session.has(key).await?,
        session.exists(key).await?,
        session.keys().await?.iter().any(|name| name == key),
        session.all().await?.contains_key(key),
    ])
}

#[tokio::test]
async fn a_value_with_an_expiry_is_gone_at_its_instant_for_every_reading_verb() {
    for bench in drivers().await {
        let mut jar = bench.visitor().await;
        bench.ok(&mut jar, async |session| session.set_for("code", 7, MINUTE).await).await;
        let long = bench.open(&jar, Client::Plain, "GET");
        assert_eq!(sightings(&long, "code").await.unwrap(), [true; 5], "{}", bench.driver);
        for (step, lives) in [(ALMOST_A_MINUTE, true), (MILLISECOND, false)] {
            bench.clock.advance(step);
            let new = bench.open(&jar, Client::Plain, "GET");
            for session in [&long, &new] {
                let seen = sightings(session, "code").await.unwrap();
                assert_eq!(seen, [lives; 5], "{}", bench.driver);
            }
        }
        assert_eq!(bench.read(&jar, "name").await.as_deref(), Some("guest"), "{}", bench.driver);
    }
}

#[tokio::test]
async fn an_expiry_begins_at_the_call_and_is_seen_before_the_commit() {
    for bench in drivers().await {
        let mut jar = bench.visitor().await;
        let handle = bench.open(&jar, Client::Plain, "POST");
        handle.set_for("code", 7, MINUTE).await.unwrap();
        bench.clock.advance(ALMOST_A_MINUTE);
        assert_eq!(sightings(&handle, "code").await.unwrap(), [true; 5], "{}", bench.driver);
        bench.clock.advance(MILLISECOND);
        assert_eq!(sightings(&handle, "code").await.unwrap(), [false; 5], "{}", bench.driver);
        bench.answer(&mut jar, &handle, 200).await.unwrap();
        assert_eq!(all(&bench, &jar).await, json!({ "name": "guest" }), "{}", bench.driver);
    }
}

#[tokio::test]
async fn a_replay_leaves_the_expiry_where_the_call_has_put_it() {
    for bench in keepers().await {
        let mut jar = bench.visitor().await;
        let (driver, clock) = (bench.driver, bench.clock.clone());
        let own = async |session: SessionHandle| session.set_for("code", 7, MINUTE).await;
        let other = async |session: SessionHandle| {
            clock.advance(MINUTE / 2);
            session.set("other", 1).await
        };
        overtaken(&bench, &mut jar, own, other).await;
        assert_eq!(bench.peek(&jar, "other").await, Some(1), "{driver}");
        bench.clock.advance(ALMOST_HALF_A_MINUTE);
        assert_eq!(bench.peek(&jar, "code").await, Some(7), "{driver}");
        bench.clock.advance(MILLISECOND);
        assert_eq!(bench.peek::<i64>(&jar, "code").await, None, "{driver}");
    }
}

#[tokio::test]
async fn computed_changes_keep_the_expiry_and_set_takes_it_away() {
    for bench in drivers().await {
        for verb in ["increment", "decrement", "update", "push", "set", "set_for", "permanent"] {
            let mut jar = bench.visitor().await;
            let before = if verb == "push" { json!([1]) } else { json!(1) };
            bench.ok(&mut jar, async |session| session.set_for("n", before, MINUTE).await).await;
            bench.clock.advance(MINUTE / 2);
            bench
                .ok(&mut jar, async |session| match verb {
                    "increment" => session.increment("n", 1).await.map(drop),
                    "decrement" => session.decrement("n", 1).await.map(drop),
                    "update" => session.update("n", |_: Option<i64>| 5).await.map(drop),
                    "push" => session.push("n", 2).await,
                    "set" => session.set("n", 1).await,
                    "set_for" => session.set_for("n", 1, MINUTE).await,
                    _ => session.permanent(json!({ "n": 1 })).await,
                })
                .await;
            assert!(bench.peek::<Value>(&jar, "n").await.is_some(), "{}: {verb}", bench.driver);
            bench.clock.advance(MINUTE / 2);
            let lives = bench.peek::<Value>(&jar, "n").await.is_some();
            let stays = ["set", "set_for", "permanent"].contains(&verb);
            assert_eq!(lives, stays, "{}: {verb}", bench.driver);
            bench.clock.advance(MINUTE / 2);
            let lives = bench.peek::<Value>(&jar, "n").await.is_some();
            assert_eq!(lives, stays && verb != "set_for", "{}: {verb}", bench.driver);
        }
    }
}

#[tokio::test]
async fn a_value_computed_after_the_expiry_begins_anew_and_stays() {
    for bench in drivers().await {
        let mut jar = bench.visitor().await;
        bench.ok(&mut jar, async |session| session.set_for("n", 7, MINUTE).await).await;
        bench.clock.advance(MINUTE);
        let sum = bench.ok(&mut jar, async |session| session.increment("n", 1).await).await;
        assert_eq!(sum, 1, "{}", bench.driver);
        bench.clock.advance(HOUR);
        assert_eq!(bench.peek(&jar, "n").await, Some(1), "{}", bench.driver);
    }
}

#[tokio::test]
async fn an_expiry_on_a_permanent_key_is_refused_also_in_the_request_that_makes_it() {
    for bench in drivers().await {
        let mut jar = bench.visitor().await;
        for saved in [false, true] {
            bench
                .ok(&mut jar, async |session| {
                    if !saved {
                        session.permanent(json!({ "theme": "dark" })).await?;
                    }
                    let error = session.set_for("theme", "light", MINUTE).await.unwrap_err();
                    assert!(error.is_invalid(), "{}: {error}", bench.driver);
                    Ok(())
                })
                .await;
            let theme = bench.peek(&jar, "theme").await;
            assert_eq!(theme, Some("dark".to_owned()), "{}", bench.driver);
        }
    }
}

#[tokio::test]
async fn what_has_expired_leaves_the_record_with_the_next_write_and_causes_none() {
    let (store, bench) = in_a_probe();
    let mut jar = bench.visitor().await;
    let holds = async || {
        let (_, stored) = store.only().await;
        stored.bytes.windows(9).any(|part| part == b"the value")
    };
    bench.ok(&mut jar, async |session| session.set_for("code", "the value", MINUTE).await).await;
    assert!(holds().await, "what is not over is in the record");
    bench.clock.advance(MINUTE);
    store.take_verbs();
    bench.ok(&mut jar, async |session| session.keys().await).await;
    assert!(!store.take_verbs().contains(&crate::stores::Verb::Commit), "nothing changed");
    assert!(holds().await);
    bench.ok(&mut jar, async |session| session.set("other", 1).await).await;
    assert!(!holds().await, "a write drops it");
}

#[tokio::test]
async fn a_value_shown_now_hides_what_is_there_and_is_gone_in_the_next_request() {
    for bench in drivers().await {
        for below in ["nothing", "ordinary", "permanent", "flash"] {
            let mut jar = bench.visitor().await;
            bench
                .ok(&mut jar, async |session| match below {
                    "ordinary" => session.set("status", below).await,
                    "permanent" => session.permanent(json!({ "status": below })).await,
                    "flash" => session.flash("status", below).await,
                    _ => Ok(()),
                })
                .await;
            let before = jar.clone();
            let script = Client::Fetch("empty");
            let (seen, head) = bench
                .request(&mut jar, script, 200, async |session| {
                    session.now("status", "shown").await?;
                    assert_eq!(sightings(&session, "status").await?, [true; 5]);
                    assert_eq!(session.all().await?["status"], "shown");
                    session.get::<String>("status").await
                })
                .await;
            let place = format!("{}: {below}", bench.driver);
            assert_eq!(seen.unwrap().as_deref(), Some("shown"), "{place}");
            assert_eq!(head.set_cookies, [""; 0], "{place}: what it hides was not read");
            assert_eq!(jar, before, "{place}");
            let expected = Some(below.to_owned()).filter(|below| below != "nothing");
            assert_eq!(bench.peek(&jar, "status").await, expected, "{place}");
        }
        let mut nobody = Jar::default();
        bench.ok(&mut nobody, async |session| session.now("status", "shown").await).await;
        assert_eq!(nobody, Jar::default(), "{}: it makes no session", bench.driver);
    }
}

#[tokio::test]
async fn a_write_takes_the_place_of_a_value_shown_now() {
    for bench in drivers().await {
        for verb in ["set", "flash", "permanent", "increment", "forget", "set_for"] {
            let mut jar = bench.visitor().await;
            let seen = bench
                .ok(&mut jar, async |session| {
                    session.now("n", 5).await?;
                    match verb {
                        "set" => session.set("n", 6).await?,
                        "flash" => session.flash("n", 6).await?,
                        "permanent" => session.permanent(json!({ "n": 6 })).await?,
                        "increment" => session.increment("n", 1).await.map(drop)?,
                        "set_for" => session.set_for("n", 6, MINUTE).await?,
                        _ => session.forget("n").await?,
                    }
                    session.get::<i64>("n").await
                })
                .await;
            let expected = (verb != "forget").then_some(6);
            assert_eq!(seen, expected, "{}: {verb}", bench.driver);
            assert_eq!(bench.peek(&jar, "n").await, expected, "{}: {verb}", bench.driver);
        }
    }
}

#[tokio::test]
async fn a_value_shown_now_is_written_nowhere_even_beside_a_write() {
    let (store, bench) = in_a_probe();
    let mut jar = bench.visitor().await;
    store.take_lines();
    bench.ok(&mut jar, async |session| session.now("status", "shown").await).await;
    assert_eq!(store.take_lines(), ["load a"]);
    bench
        .ok(&mut jar, async |session| {
            session.now("status", "shown").await?;
            session.set("other", 1).await
        })
        .await;
    assert_eq!(store.take_lines(), ["load a", "commit a"]);
    assert_eq!(all(&bench, &jar).await, json!({ "name": "guest", "other": 1 }));
}

#[tokio::test]
async fn a_value_shown_now_works_on_an_ended_session_and_after_the_head() {
    for bench in drivers().await {
        let mut jar = bench.visitor().await;
        let stale = jar.clone();
        bench.ok(&mut jar, async |session| session.destroy().await).await;
        let handle = bench.open(&stale, Client::Plain, "POST");
        assert!(handle.set("a", 1).await.unwrap_err().is_gone(), "{}", bench.driver);
        handle.now("status", "shown").await.unwrap();
        assert_eq!(handle.get_or("status", "").await.unwrap(), "shown", "{}", bench.driver);
        let mut taken = stale.clone();
        bench.answer(&mut taken, &handle, 200).await.unwrap();
        assert_eq!(taken, stale, "{}: it sends nothing", bench.driver);
        for jar in [Jar::default(), bench.visitor().await] {
            let late = bench.open(&jar, Client::Plain, "GET");
            late.keys().await.unwrap();
            bench.answer(&mut jar.clone(), &late, 200).await.unwrap();
            late.now("status", "shown").await.unwrap();
            late.save().await.unwrap();
            assert_eq!(late.get_or("status", "").await.unwrap(), "shown", "{}", bench.driver);
        }
    }
}

#[tokio::test]
async fn a_value_shown_now_is_still_there_after_a_save_and_a_replay() {
    for bench in keepers().await {
        let mut jar = bench.visitor().await;
        let handle = bench.open(&jar, Client::Plain, "POST");
        handle.now("n", 5).await.unwrap();
        handle.increment("n", 1).await.unwrap();
        handle.now("status", "shown").await.unwrap();
        bench.ok(&mut jar.clone(), async |session| session.set("n", 100).await).await;
        handle.save().await.unwrap();
        assert_eq!(handle.get_or("status", "").await.unwrap(), "shown", "{}", bench.driver);
        assert_eq!(bench.peek(&jar, "n").await, Some(6), "{}: replayed on it", bench.driver);
        bench.answer(&mut jar, &handle, 200).await.unwrap();
        assert_eq!(all(&bench, &jar).await, json!({ "name": "guest", "n": 6 }), "{}", bench.driver);
    }
}

#[tokio::test]
async fn a_value_shown_before_a_save_outlives_a_later_conflict() {
    for bench in drivers().await {
        let jar = bench.visitor().await;
        let handle = bench.open(&jar, Client::Plain, "POST");
        handle.now("status", "shown").await.unwrap();
        handle.set("a", 1).await.unwrap();
        handle.save().await.unwrap();
        bench.ok(&mut jar.clone(), async |session| session.set("b", 1).await).await;
        handle.set("c", 1).await.unwrap();
        handle.save().await.unwrap();
        assert_eq!(handle.get_or("status", "").await.unwrap(), "shown", "{}", bench.driver);
    }
}

/// A browser with two messages, `one` and `two`.
async fn two_messages(bench: &Bench) -> Jar {
    let mut jar = Jar::default();
    bench
        .ok(&mut jar, async |session| {
            session.flash("one", 1).await?;
            session.flash("two", 2).await
        })
        .await;
    jar
}

/// What one page sees.
async fn page(bench: &Bench, jar: &mut Jar) -> Value {
    let (seen, _) =
        bench.request(jar, Client::Navigation, 200, async |session| session.all().await).await;
    seen.unwrap().into()
}

#[tokio::test]
async fn messages_are_kept_for_one_more_request_and_only_the_named() {
    type Keep = fn(SessionHandle) -> std::pin::Pin<Box<dyn Future<Output = Result<(), Error>>>>;
    let table: [(&str, Keep, Value); 6] = [
        ("nothing", |_| Box::pin(async { Ok(()) }), json!({})),
        (
            "reflash",
            |session| Box::pin(async move { session.reflash().await }),
            json!({ "one": 1, "two": 2 }),
        ),
        (
            "keep all",
            |session| Box::pin(async move { session.keep(..).await }),
            json!({ "one": 1, "two": 2 }),
        ),
        (
            "keep one",
            |session| Box::pin(async move { session.keep("one").await }),
            json!({ "one": 1 }),
        ),
        (
            "keep several",
            |session| Box::pin(async move { session.keep(["two", "absent"]).await }),
            json!({ "two": 2 }),
        ),
        ("keep absent", |session| Box::pin(async move { session.keep("absent").await }), json!({})),
    ];
    for bench in drivers().await {
        for (name, keep, kept) in &table {
            for client in [Client::Plain, Client::Navigation] {
                for between in [None, Some(Client::Fetch("image")), Some(Client::Prefetch)] {
                    let place = format!("{}: {name}", bench.driver);
                    let mut jar = two_messages(&bench).await;
                    let (seen, _) = bench
                        .request(&mut jar, client, 200, async |session| {
                            keep(session.clone()).await?;
                            session.all().await
                        })
                        .await;
                    let seen: Value = seen.unwrap().into();
                    assert_eq!(seen, json!({ "one": 1, "two": 2 }), "{place}");
                    if let Some(client) = between {
                        let use_it = async |session: SessionHandle| session.has("one").await;
                        bench.request(&mut jar, client, 200, use_it).await.0.unwrap();
                    }
                    assert_eq!(&page(&bench, &mut jar).await, kept, "{place}");
                    assert_eq!(page(&bench, &mut jar).await, json!({}), "{place}: only once");
                    assert_eq!(jar.generations(), NONE, "{place}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_poll_that_reads_and_keeps_uses_nothing_up() {
    for bench in drivers().await {
        for all in [true, false] {
            let mut jar = two_messages(&bench).await;
            for _ in 0..3 {
                let poll = async |session: SessionHandle| {
                    assert_eq!(session.get::<i64>("one").await?, Some(1));
                    if all { session.reflash().await } else { session.keep(["one", "two"]).await }
                };
                bench.request(&mut jar, Client::Fetch("empty"), 200, poll).await.0.unwrap();
            }
            let expected = json!({ "one": 1, "two": 2 });
            assert_eq!(page(&bench, &mut jar).await, expected, "{}: {all}", bench.driver);
            assert_eq!(page(&bench, &mut jar).await, json!({}), "{}: {all}", bench.driver);
        }
    }
}

#[tokio::test]
async fn a_message_that_was_written_over_or_forgotten_is_not_kept() {
    for bench in drivers().await {
        let mut jar = two_messages(&bench).await;
        bench
            .ok(&mut jar, async |session| {
                session.forget("one").await?;
                session.set("two", "stored").await?;
                session.keep(["one", "two"]).await
            })
            .await;
        assert_eq!(jar.generations(), NONE, "{}", bench.driver);
        assert_eq!(all(&bench, &jar).await, json!({ "two": "stored" }), "{}", bench.driver);
    }
}

#[tokio::test]
async fn messages_cannot_be_kept_after_the_head() {
    for bench in drivers().await {
        let mut jar = two_messages(&bench).await;
        let handle = bench.open(&jar, Client::Fetch("image"), "GET");
        handle.keys().await.unwrap();
        bench.answer(&mut jar, &handle, 200).await.unwrap();
        for result in [
            handle.reflash().await,
            handle.keep(..).await,
            handle.keep("one").await,
            handle.keep(["absent", "two"]).await,
        ] {
            assert!(result.unwrap_err().is_late(), "{}", bench.driver);
        }
    }
}

#[tokio::test]
async fn clear_leaves_permanent_data_the_owner_the_token_and_the_lifetime() {
    for bench in keepers().await {
        let mut jar = bench.visitor().await;
        bench.ok(&mut jar, async |session| session.set_owner("42").await).await;
        bench
            .ok(&mut jar, async |session| {
                session.permanent(json!({ "theme": "dark" })).await?;
                session.set("theme of the day", "light").await?;
                session.flash("theme", "flashed").await
            })
            .await;
        let (token, permanent) = (jar.token(), jar.companion(".p").map(str::to_owned));
        let owner = bench
            .ok(&mut jar, async |session| {
                session.clear().await?;
                assert_eq!(session.keys().await?, ["theme"]);
                session.set("after", 1).await?;
                session.owner().await
            })
            .await;
        assert_eq!(owner.as_deref(), Some("42"), "{}", bench.driver);
        assert_eq!(jar.session(), Some(&*token), "{}", bench.driver);
        assert_eq!(jar.companion(".p"), permanent.as_deref(), "{}", bench.driver);
        let expected = json!({ "after": 1, "theme": "dark" });
        assert_eq!(all(&bench, &jar).await, expected, "{}", bench.driver);
        let owner = bench.ok(&mut jar, async |session| session.owner().await).await;
        assert_eq!(owner.as_deref(), Some("42"), "{}", bench.driver);
    }
}

#[tokio::test]
async fn clear_empties_on_replay_what_is_there_then() {
    for bench in drivers().await {
        let mut jar = bench.visitor().await;
        let own = async |session: SessionHandle| {
            session.clear().await?;
            session.set("after", 1).await
        };
        let other = async |session: SessionHandle| session.set("meanwhile", 1).await;
        overtaken(&bench, &mut jar, own, other).await;
        assert_eq!(all(&bench, &jar).await, json!({ "after": 1 }), "{}", bench.driver);
    }
}

#[tokio::test]
async fn keys_are_sorted_and_name_what_all_shows() {
    for bench in drivers().await {
        let mut jar = bench.visitor().await;
        let keys = bench
            .ok(&mut jar, async |session| {
                session.set("b", 1).await?;
                session.set("null", ()).await?;
                session.permanent(json!({ "c": 1 })).await?;
                session.flash("b", 2).await?;
                session.flash("a", 2).await?;
                session.now("now", 2).await?;
                session.forget("name").await?;
                session.keys().await
            })
            .await;
        assert_eq!(keys, ["a", "b", "c", "now", "null"], "{}", bench.driver);
        let seen = bench.open(&jar, Client::Plain, "GET");
        let keys = seen.keys().await.unwrap();
        assert_eq!(keys, ["a", "b", "c", "null"], "{}", bench.driver);
        let named: Vec<String> = seen.all().await.unwrap().keys().cloned().collect();
        assert_eq!(named, keys, "{}", bench.driver);
    }
}

#[tokio::test]
async fn pulling_reads_once_and_a_value_of_another_type_stays() {
    for bench in drivers().await {
        let mut jar = bench.visitor().await;
        bench
            .ok(&mut jar, async |session| {
                assert!(session.pull::<i64>("name").await.unwrap_err().is_wrong_type());
                Ok(())
            })
            .await;
        for expected in [Some("guest"), None] {
            let pulled = bench.ok(&mut jar, async |session| session.pull("name").await).await;
            assert_eq!(pulled, expected.map(str::to_owned), "{}", bench.driver);
        }
    }
}

#[tokio::test]
async fn pulling_is_replayed_as_forgetting() {
    for bench in keepers().await {
        let mut jar = bench.visitor().await;
        let own = async |session: SessionHandle| {
            assert_eq!(session.pull("name").await?, Some("guest".to_owned()));
            Ok(())
        };
        let other = async |session: SessionHandle| session.set("name", 7).await;
        overtaken(&bench, &mut jar, own, other).await;
        assert_eq!(all(&bench, &jar).await, json!({}), "{}", bench.driver);
        // What was not there when it was asked for is nobody's to forget.
        let own = async |session: SessionHandle| {
            session.pull::<i64>("name").await?;
            session.set("own", 1).await
        };
        overtaken(&bench, &mut jar, own, other).await;
        assert_eq!(all(&bench, &jar).await, json!({ "name": 7, "own": 1 }), "{}", bench.driver);
    }
}

#[tokio::test]
async fn decrement_goes_to_the_least_number_and_no_further() {
    for bench in drivers().await {
        for (before, by, expected) in [
            (None, 3, Some(-3)),
            (Some(10), 3, Some(7)),
            (Some(i64::MIN + 1), 1, Some(i64::MIN)),
            (Some(-1), i64::MIN, Some(i64::MAX)),
            (Some(i64::MIN), 1, None),
            (Some(0), i64::MIN, None),
            (None, i64::MIN, None),
        ] {
            let mut jar = bench.visitor().await;
            if let Some(before) = before {
                bench.ok(&mut jar, async |session| session.set("n", before).await).await;
            }
            let (result, _) = bench
                .request(&mut jar, Client::Plain, 200, async |session| {
                    session.decrement("n", by).await
                })
                .await;
            let place = format!("{}: {before:?} - {by}", bench.driver);
            match expected {
                Some(expected) => assert_eq!(result.unwrap(), expected, "{place}"),
                None => assert!(result.unwrap_err().is_invalid(), "{place}"),
            }
            assert_eq!(bench.peek(&jar, "n").await, expected.or(before), "{place}");
        }
    }
}

#[tokio::test]
async fn pushing_begins_a_list_joins_one_and_refuses_what_is_none() {
    let table = [
        (None, Some(json!(["new"]))),
        (Some(json!(null)), Some(json!(["new"]))),
        (Some(json!([])), Some(json!(["new"]))),
        (Some(json!([1, [2, "]"], {}])), Some(json!([1, [2, "]"], {}, "new"]))),
        (Some(json!("[\"text\"]")), None),
        (Some(json!({ "a": [] })), None),
        (Some(json!(5)), None),
        (Some(json!("ends with ]")), None),
    ];
    for bench in drivers().await {
        for (before, after) in &table {
            let mut jar = bench.visitor().await;
            if let Some(before) = before {
                bench.ok(&mut jar, async |session| session.set("list", before).await).await;
            }
            let place = format!("{}: {before:?}", bench.driver);
            let (result, _) = bench
                .request(&mut jar, Client::Plain, 200, async |session| {
                    session.push("list", "new").await
                })
                .await;
            match after {
                Some(_) => result.unwrap(),
                None => assert!(result.unwrap_err().is_wrong_type(), "{place}"),
            }
            let stored: Option<Value> = bench.peek(&jar, "list").await;
            assert_eq!(stored, after.clone().or(before.clone()), "{place}");
        }
    }
}

#[tokio::test]
async fn no_item_of_parallel_pushes_is_lost() {
    for bench in keepers().await {
        let mut jar = bench.visitor().await;
        let handles: Vec<_> = (0..8).map(|_| bench.open(&jar, Client::Plain, "POST")).collect();
        for (item, handle) in handles.iter().enumerate() {
            handle.push("list", item).await.unwrap();
        }
        for handle in &handles {
            bench.answer(&mut jar, handle, 200).await.unwrap();
        }
        let list: Option<Vec<usize>> = bench.peek(&jar, "list").await;
        assert_eq!(list.unwrap(), [0, 1, 2, 3, 4, 5, 6, 7], "{}", bench.driver);
    }
}

#[tokio::test]
async fn a_deep_item_is_refused_or_its_list_can_be_read_and_pushed_to() {
    for bench in drivers().await {
        let mut refused = 0;
        for depth in [10, 125, 126, 127, 128, 500] {
            let item = (0..depth).fold(json!("core"), |inner, _| json!([inner]));
            let session = bench.open(&Jar::default(), Client::Plain, "POST");
            for count in 1..3 {
                if let Err(error) = session.push("list", &item).await {
                    assert!(error.is_invalid() && depth > 100, "{depth}: {error}");
                    assert!(!session.exists("list").await.unwrap());
                    refused += 1;
                    break;
                }
                let list: Vec<Value> = session.get("list").await.unwrap().unwrap();
                assert_eq!(list.len(), count, "{}: {depth}", bench.driver);
            }
        }
        assert!((1..4).contains(&refused), "{}: {refused}", bench.driver);
    }
}

#[tokio::test]
async fn remembering_makes_what_is_absent_or_null_and_only_that() {
    for bench in drivers().await {
        for (before, expected, calls) in
            [(None, 7, 1), (Some(Value::Null), 7, 1), (Some(json!(0)), 0, 0)]
        {
            let mut jar = bench.visitor().await;
            if let Some(before) = &before {
                bench.ok(&mut jar, async |session| session.set("n", before).await).await;
            }
            let place = format!("{}: {before:?}", bench.driver);
            let mut called = 0;
            let mut make = || {
                called += 1;
                7
            };
            let remembered = bench
                .ok(&mut jar, async |session| {
                    let first: i64 = session.remember("n", async || make()).await?;
                    assert_eq!(session.remember("n", async || make()).await?, first);
                    Ok(first)
                })
                .await;
            assert_eq!((remembered, called), (expected, calls), "{place}");
            assert_eq!(bench.peek(&jar, "n").await, Some(expected), "{place}");
        }
    }
}

#[tokio::test]
async fn of_two_parallel_remembers_the_first_that_is_stored_stays() {
    for bench in keepers().await {
        let mut jar = bench.visitor().await;
        let own = async |session: SessionHandle| {
            assert_eq!(session.remember("n", async || 2).await?, 2);
            session.set("own", 1).await
        };
        let other = async |session: SessionHandle| {
            assert_eq!(session.remember("n", async || 1).await?, 1);
            Ok(())
        };
        overtaken(&bench, &mut jar, own, other).await;
        let expected = json!({ "n": 1, "name": "guest", "own": 1 });
        assert_eq!(all(&bench, &jar).await, expected, "{}", bench.driver);
    }
}

#[tokio::test]
async fn what_is_stored_while_a_value_is_made_stays() {
    for bench in drivers().await {
        let mut jar = bench.visitor().await;
        let remembered = bench
            .ok(&mut jar, async |session| {
                let other = session.clone();
                let make = async move || {
                    other.set("n", 1).await.unwrap();
                    2
                };
                session.remember("n", make).await
            })
            .await;
        assert_eq!(remembered, 1, "{}", bench.driver);
        assert_eq!(bench.peek(&jar, "n").await, Some(1), "{}", bench.driver);
    }
}

#[tokio::test]
async fn a_function_that_fails_stores_nothing() {
    #[derive(Debug)]
    enum Failed {
        OnPurpose,
        Session(Error),
    }
    impl From<Error> for Failed {
        fn from(error: Error) -> Self {
            Self::Session(error)
        }
    }
    for bench in drivers().await {
        let mut jar = Jar::default();
        bench
            .ok(&mut jar, async |session| {
                let failed = session
                    .try_remember("n", async || Err::<i64, _>(Failed::OnPurpose))
                    .await
                    .unwrap_err();
                assert!(matches!(failed, Failed::OnPurpose), "{failed:?}");
                let failed = session.try_remember("x", async || Ok::<_, Failed>(f64::NAN)).await;
                let Err(Failed::Session(error)) = failed else { panic!("{failed:?}") };
                assert!(error.is_invalid(), "{error}");
                assert!(session.keys().await?.is_empty());
                Ok(())
            })
            .await;
        assert_eq!(jar, Jar::default(), "{}", bench.driver);
        let made = bench
            .ok(&mut jar, async |session| session.try_remember("n", async || Ok(7)).await)
            .await;
        assert_eq!((made, bench.peek(&jar, "n").await), (7, Some(7)), "{}", bench.driver);
    }
}

#[tokio::test]
async fn a_task_has_the_session_only_where_it_was_given_to_it() {
    for bench in drivers().await {
        let mut jar = bench.visitor().await;
        let handle = bench.open(&jar, Client::Plain, "POST");
        bench
            .sessions
            .scope(handle.clone(), async {
                let plain = tokio::spawn(Session::set("plain", 1)).await.unwrap();
                assert!(plain.unwrap_err().is_outside());
                Session::spawn(Session::set("spawned", 1)).unwrap().await.unwrap().unwrap();
                let carried = Session::handle().unwrap();
                let scoped = Session::scope(carried.clone(), Session::set("scoped", 1));
                tokio::spawn(scoped).await.unwrap().unwrap();
                let by_handle = async move { carried.set("by handle", 1).await };
                tokio::spawn(by_handle).await.unwrap().unwrap();
                // A task of a task has it too, if that one spawns it so.
                let nested = async {
                    Session::spawn(Session::set("nested", 1)).unwrap().await.unwrap().unwrap();
                };
                Session::spawn(nested).unwrap().await.unwrap();
            })
            .await;
        bench.answer(&mut jar, &handle, 200).await.unwrap();
        let expected = json!({
            "by handle": 1, "name": "guest", "nested": 1, "scoped": 1, "spawned": 1
        });
        assert_eq!(all(&bench, &jar).await, expected, "{}", bench.driver);
        assert!(Session::handle().unwrap_err().is_outside(), "{}", bench.driver);
    }
}

#[tokio::test]
async fn outside_a_request_nothing_is_spawned() {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let error = Session::spawn(async { sender.send(()) }).unwrap_err();
    assert!(error.is_outside(), "{error}");
    assert!(receiver.await.is_err(), "the future is dropped without having run");
}

#[tokio::test]
async fn the_inner_scope_counts_and_the_outer_one_comes_back() {
    for bench in drivers().await {
        let jar = Jar::default();
        let (outer, inner) =
            (bench.open(&jar, Client::Plain, "GET"), bench.open(&jar, Client::Plain, "GET"));
        let nested = async {
            Session::set("name", "outer").await?;
            Session::scope(inner.clone(), Session::set("name", "inner")).await?;
            Session::get_or("name", "").await
        };
        let seen = Session::scope(outer.clone(), nested).await.unwrap();
        assert_eq!(seen, "outer", "{}", bench.driver);
        assert_eq!(inner.get_or("name", "").await.unwrap(), "inner", "{}", bench.driver);
        assert_eq!(outer.get_or("name", "").await.unwrap(), "outer", "{}", bench.driver);
    }
}

#[tokio::test]
async fn what_a_task_changes_after_the_request_is_stored_by_its_own_save() {
    for bench in keepers().await {
        for saves in [true, false] {
            let mut jar = bench.visitor().await;
            let handle = bench.open(&jar, Client::Plain, "POST");
            let (answered, wait) = tokio::sync::oneshot::channel();
            let work = async move {
                Session::set("during", 1).await?;
                wait.await.unwrap();
                Session::set("after", 1).await?;
                assert!(Session::flash("status", 1).await.unwrap_err().is_late());
                if saves { Session::save().await } else { Ok(()) }
            };
            #[expect(clippy::async_yields_async, reason = "the task goes on after the answer")]
            let spawn = async { Session::spawn(work).unwrap() };
            let task = bench.sessions.scope(handle.clone(), spawn).await;
            while !handle.exists("during").await.unwrap() {
                tokio::task::yield_now().await;
            }
            bench.answer(&mut jar, &handle, 200).await.unwrap();
            answered.send(()).unwrap();
            task.await.unwrap().unwrap();
            let place = format!("{}, saves: {saves}", bench.driver);
            assert_eq!(bench.peek(&jar, "during").await, Some(1), "{place}");
            let after: Option<i64> = bench.peek(&jar, "after").await;
            assert_eq!(after, saves.then_some(1), "{place}");
        }
    }
}

#[tokio::test]
async fn after_the_head_what_would_need_a_cookie_is_late_and_the_rest_is_not() {
    for bench in keepers().await {
        for lives in [true, false] {
            let mut jar = if lives { bench.visitor().await } else { Jar::default() };
            let handle = bench.open(&jar, Client::Plain, "POST");
            handle.keys().await.unwrap();
            bench.answer(&mut jar, &handle, 200).await.unwrap();
            let results = [
                handle.set_for("a", 1, DAY).await,
                handle.push("b", 1).await,
                handle.decrement("c", 1).await.map(drop),
                handle.remember("d", async || 1).await.map(drop),
            ];
            for (verb, result) in results.into_iter().enumerate() {
                let place = format!("{}, lives: {lives}, verb {verb}", bench.driver);
                match result {
                    Ok(()) => assert!(lives, "{place}"),
                    Err(error) => assert!(!lives && error.is_late(), "{place}: {error}"),
                }
            }
            handle.clear().await.unwrap();
            assert_eq!(handle.pull::<i64>("a").await.unwrap(), None);
            handle.save().await.unwrap();
            assert_eq!(all(&bench, &jar).await, json!({}), "{}", bench.driver);
        }
    }
}

#[tokio::test]
async fn on_an_ended_session_what_would_be_stored_is_gone_and_the_rest_is_empty() {
    for bench in keepers().await {
        let mut jar = bench.visitor().await;
        let stale = jar.clone();
        bench.ok(&mut jar, async |session| session.destroy().await).await;
        let handle = bench.open(&stale, Client::Plain, "POST");
        for (verb, result) in [
            ("set_for", handle.set_for("a", 1, DAY).await),
            ("clear", handle.clear().await),
            ("decrement", handle.decrement("a", 1).await.map(drop)),
            ("push", handle.push("a", 1).await),
            ("remember", handle.remember("a", async || 1).await.map(drop)),
        ] {
            let error = result.expect_err(verb);
            assert!(error.is_gone(), "{}: {verb}: {error}", bench.driver);
        }
        assert_eq!(handle.keys().await.unwrap(), [""; 0], "{}", bench.driver);
        assert_eq!(handle.pull::<String>("name").await.unwrap(), None, "{}", bench.driver);
        assert_eq!(handle.claim::<String>("name").await.unwrap(), None, "{}", bench.driver);
        handle.reflash().await.unwrap();
        handle.keep("name").await.unwrap();
        let head = bench.answer(&mut stale.clone(), &handle, 200).await.unwrap();
        assert_eq!(head.set_cookies, [""; 0], "{}", bench.driver);
    }
}

#[tokio::test]
async fn on_a_session_that_cannot_be_read_every_verb_says_so() {
    let (store, bench) = in_a_probe();
    let jar = bench.visitor().await;
    let (key, _) = store.only().await;
    store.overwrite(key, b"not a record").await;
    let handle = bench.open(&jar, Client::Plain, "POST");
    for (verb, result) in [
        ("set_for", handle.set_for("a", 1, DAY).await),
        ("now", handle.now("a", 1).await),
        ("keep", handle.keep("a").await),
        ("clear", handle.clear().await),
        ("keys", handle.keys().await.map(drop)),
        ("pull", handle.pull::<i64>("a").await.map(drop)),
        ("claim", handle.claim::<i64>("a").await.map(drop)),
        ("decrement", handle.decrement("a", 1).await.map(drop)),
        ("push", handle.push("a", 1).await),
        ("remember", handle.remember("a", async || 1).await.map(drop)),
    ] {
        let error = result.expect_err(verb);
        assert!(error.is_corrupt(), "{verb}: {error}");
    }
}

#[tokio::test]
async fn reflash_on_a_session_that_cannot_be_read_says_so() {
    let (store, bench) = in_a_probe();
    let jar = bench.visitor().await;
    let (key, _) = store.only().await;
    store.overwrite(key, b"not a record").await;
    let handle = bench.open(&jar, Client::Plain, "POST");
    let error = handle.reflash().await.unwrap_err();
    assert!(error.is_corrupt(), "{error}");
}

#[tokio::test]
async fn a_replay_that_no_longer_applies_is_refused_and_names_the_key() {
    for bench in keepers().await {
        for verb in ["push", "decrement", "set_for"] {
            let mut jar = bench.visitor().await;
            let handle = bench.open(&jar, Client::Plain, "POST");
            match verb {
                "push" => handle.push("k", 1).await.unwrap(),
                "decrement" => drop(handle.decrement("k", 1).await.unwrap()),
                _ => handle.set_for("k", 1, MINUTE).await.unwrap(),
            }
            bench.ok(&mut jar.clone(), async |session| session.set("k", "text").await).await;
            let answer = bench.answer(&mut jar, &handle, 200).await;
            if verb == "set_for" {
                answer.unwrap();
                assert_eq!(bench.peek(&jar, "k").await, Some(1), "{}", bench.driver);
                continue;
            }
            let failed = answer.unwrap_err();
            assert!(failed.error.is_conflict(), "{}: {verb}: {failed}", bench.driver);
            assert!(failed.error.to_string().contains("\"k\""), "{verb}: {failed}");
            assert_eq!(bench.read(&jar, "k").await.as_deref(), Some("text"), "{}", bench.driver);
        }
    }
}

#[tokio::test]
async fn an_expiry_of_a_key_that_became_permanent_meanwhile_is_refused() {
    for bench in keepers().await {
        let mut jar = bench.visitor().await;
        bench.ok(&mut jar, async |session| session.permanent(json!({ "other": 1 })).await).await;
        let handle = bench.open(&jar, Client::Plain, "POST");
        handle.set_for("k", 1, MINUTE).await.unwrap();
        let permanent = json!({ "k": "permanent" });
        bench
            .ok(&mut jar.clone(), async |session| {
                session.set("ordinary", 1).await?;
                session.permanent(permanent).await
            })
            .await;
        let failed = bench.answer(&mut jar, &handle, 200).await.unwrap_err();
        assert!(failed.error.is_conflict(), "{}: {failed}", bench.driver);
        assert_eq!(bench.read(&jar, "k").await.as_deref(), Some("permanent"), "{}", bench.driver);
    }
}
