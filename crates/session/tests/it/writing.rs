//! Writing values: what changes nothing, what is too large, what is computed, and where there is no session.

use crate::{
    stores::in_a_probe,
    support::{Client, DAY, Jar, OUTSIDE, drivers, keepers},
};
use dframework_session::{Error, Session, SessionHandle};
use serde::Serialize;
use serde_json::{Value, json};

/// A change that leaves everything as it is.
type Change = fn(SessionHandle) -> std::pin::Pin<Box<dyn Future<Output = Result<(), Error>>>>;

const NO_CHANGES: [(&str, Change); 17] = [
    ("set", |session| Box::pin(async move { session.set("name", "guest").await })),
    ("set there and back", |session| {
        Box::pin(async move {
            session.set("name", "grace").await?;
            session.set("name", "guest").await
        })
    }),
    ("set and forget", |session| {
        Box::pin(async move {
            session.set("passing", 1).await?;
            session.forget("passing").await
        })
    }),
    ("forget and set", |session| {
        Box::pin(async move {
            session.forget("name").await?;
            session.set("name", "guest").await
        })
    }),
    ("forget", |session| Box::pin(async move { session.forget("absent").await })),
    ("forget several", |session| Box::pin(async move { session.forget(["absent", "too"]).await })),
    ("update", |session| {
        Box::pin(async move { session.update("n", |n: Option<i64>| n.unwrap()).await.map(drop) })
    }),
    ("increment", |session| Box::pin(async move { session.increment("n", 0).await.map(drop) })),
    ("permanent", |session| {
        Box::pin(async move { session.permanent(json!({ "theme": "dark" })).await })
    }),
    ("now", |session| Box::pin(async move { session.now("name", "grace").await })),
    ("reflash", |session| Box::pin(async move { session.reflash().await })),
    ("keep", |session| Box::pin(async move { session.keep(["name", "absent"]).await })),
    ("pull", |session| Box::pin(async move { session.pull::<i64>("absent").await.map(drop) })),
    ("claim", |session| Box::pin(async move { session.claim::<i64>("absent").await.map(drop) })),
    ("decrement", |session| Box::pin(async move { session.decrement("n", 0).await.map(drop) })),
    ("remember", |session| {
        Box::pin(async move { session.remember("n", async || 8).await.map(drop) })
    }),
    ("clear and set", |session| {
        Box::pin(async move {
            session.clear().await?;
            session.set("name", "guest").await?;
            session.set("n", 7).await
        })
    }),
];

async fn some_values(session: SessionHandle) -> Result<(), Error> {
    session.set("name", "guest").await?;
    session.set("n", 7).await?;
    session.permanent(json!({ "theme": "dark" })).await
}

#[tokio::test]
async fn what_changes_nothing_sends_no_cookie() {
    for bench in keepers().await {
        for (name, change) in NO_CHANGES {
            let mut jar = Jar::default();
            bench.ok(&mut jar, some_values).await;
            let (result, head) = bench.request(&mut jar, Client::Navigation, 200, change).await;
            result.unwrap();
            assert_eq!(head.set_cookies, [""; 0], "{}: {name}", bench.driver);
        }
        let mut nobody = Jar::default();
        bench.ok(&mut nobody, async |session| session.forget("absent").await).await;
        assert_eq!(nobody, Jar::default(), "{}", bench.driver);
    }
}

#[tokio::test]
async fn what_changes_nothing_is_not_written() {
    for (name, change) in NO_CHANGES {
        let (store, bench) = in_a_probe();
        let mut jar = Jar::default();
        bench.ok(&mut jar, some_values).await;
        store.take_lines();
        bench.ok(&mut jar, change).await;
        assert_eq!(store.take_lines(), ["load b a"], "{name}");
        bench.ok(&mut jar, async |session| session.set("name", "grace").await).await;
        assert_eq!(store.take_lines(), ["load b a", "commit b"], "{name}: but a change is");
    }
}

#[tokio::test]
async fn a_key_that_is_empty_or_too_long_is_refused_by_every_verb() {
    let long = "k".repeat(1025);
    for bench in drivers().await {
        for key in ["", long.as_str()] {
            let mut jar = Jar::default();
            bench
                .ok(&mut jar, async |session| {
                    let results = [
                        session.get::<i64>(key).await.map(drop),
                        session.get_or(key, "").await.map(drop),
                        session.set(key, 1).await,
                        session.permanent(json!({ key: 1 })).await,
                        session.flash(key, 1).await,
                        session.forget(key).await,
                        session.forget(["fine", key]).await,
                        session.has(key).await.map(drop),
                        session.exists(key).await.map(drop),
                        session.increment(key, 1).await.map(drop),
                        session.update(key, |_: Option<i64>| 1).await.map(drop),
                        session.set_for(key, 1, DAY).await,
                        session.now(key, 1).await,
                        session.keep(key).await,
                        session.keep(["fine", key]).await,
                        session.pull::<i64>(key).await.map(drop),
                        session.claim::<i64>(key).await.map(drop),
                        session.decrement(key, 1).await.map(drop),
                        session.push(key, 1).await,
                        session.remember(key, async || 1).await.map(drop),
                        session.try_remember(key, async || Ok::<_, Error>(1)).await.map(drop),
                    ];
                    for (verb, result) in results.into_iter().enumerate() {
                        let error = result.expect_err(&format!("verb {verb}"));
                        assert!(error.is_invalid(), "verb {verb}: {error}");
                    }
                    Ok(())
                })
                .await;
            assert_eq!(jar, Jar::default(), "{}", bench.driver);
        }
    }
}

#[tokio::test]
async fn the_longest_key_works_in_every_layer() {
    let key = "é".repeat(512);
    assert_eq!(key.len(), 1024);
    for bench in drivers().await {
        let mut jar = Jar::default();
        for expected in [1, 2, 3] {
            bench
                .ok(&mut jar, async |session| match expected {
                    1 => session.set(&key, 1).await,
                    2 => session.permanent(json!({ &key: 2 })).await,
                    _ => session.flash(&key, 3).await,
                })
                .await;
            assert_eq!(bench.peek(&jar, &key).await, Some(expected), "{}", bench.driver);
        }
    }
}

#[tokio::test]
async fn a_value_over_a_mebibyte_is_refused_at_once() {
    let large = "v".repeat(1 << 20);
    for bench in drivers().await {
        let mut jar = Jar::default();
        bench.ok(&mut jar, async |session| session.set("large", "small").await).await;
        let before = jar.clone();
        let (result, head) = bench
            .request(&mut jar, Client::Plain, 200, async |session| {
                let grown = large.clone();
                let results = [
                    session.set("large", &large).await,
                    session.flash("large", &large).await,
                    session.permanent(json!({ "large": large })).await,
                    session.update("large", move |_: Option<String>| grown.clone()).await.map(drop),
                    session.set_for("large", &large, DAY).await,
                    session.push("large list", &large).await,
                    session.remember("large too", async || large.clone()).await.map(drop),
                ];
                for (verb, result) in results.into_iter().enumerate() {
                    let error = result.expect_err(&format!("verb {verb}"));
                    assert!(error.is_too_large(), "verb {verb}: {error}");
                    assert_eq!(error.status(), 413);
                    let message = format!("{error} {error:?}");
                    assert!(message.contains("\"large"), "verb {verb}: {message}");
                    assert!(!message.contains("vvv"), "verb {verb} shows the value");
                }
                session.get::<String>("large").await
            })
            .await;
        assert_eq!(result.unwrap().as_deref(), Some("small"), "{}", bench.driver);
        assert_eq!(head.set_cookies, [""; 0]);
        assert_eq!(jar, before);
        assert_eq!(bench.peek(&jar, "large").await, Some("small".to_owned()), "{}", bench.driver);
    }
}

#[tokio::test]
async fn values_that_fit_one_by_one_and_not_together_fail_the_commit() {
    for bench in drivers().await {
        for with_session in [true, false] {
            let mut jar = Jar::default();
            if with_session {
                bench.ok(&mut jar, async |session| session.set("name", "guest").await).await;
            }
            let before = jar.clone();
            let handle = bench.open(&jar, Client::Plain, "POST");
            handle.set("smallest", "x").await.unwrap();
            for (key, kibibytes) in [("b", 300), ("a", 400), ("c", 500)] {
                handle.set(key, "v".repeat(kibibytes << 10)).await.unwrap();
            }
            let failed = bench.answer(&mut jar, &handle, 200).await.unwrap_err();
            let error = &failed.error;
            assert!(error.is_too_large(), "{}: {error}", bench.driver);
            assert_eq!(error.status(), 413);
            assert_eq!(failed.head.set_cookies, [""; 0]);
            let message = error.to_string();
            let at = |part: &str| {
                message.find(part).unwrap_or_else(|| panic!("{part} is not in: {message}"))
            };
            assert!(at("\"c\" (512") < at("\"a\" (409"), "the largest comes first: {message}");
            assert!(at("\"a\" (409") < at("\"b\" (307"), "{message}");
            assert!(!format!("{failed} {failed:?}").contains("vvv"), "it shows a value");

            assert_eq!(jar, before, "{}", bench.driver);
            let all = bench.open(&jar, Client::Plain, "GET").all().await.unwrap();
            assert_eq!(all.len(), usize::from(with_session), "{}", bench.driver);
        }
    }
}

#[tokio::test]
async fn a_permanent_record_too_large_fails_the_commit_and_nothing_is_stored() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        let handle = bench.open(&jar, Client::Plain, "POST");
        handle.set("name", "guest").await.unwrap();
        for key in ["a", "b"] {
            handle.permanent(json!({ key: "v".repeat(600 << 10) })).await.unwrap();
        }
        let failed = bench.answer(&mut jar, &handle, 200).await.unwrap_err();
        assert_eq!(failed.error.status(), 413, "{}: {failed}", bench.driver);
        assert_eq!(jar, Jar::default(), "{}", bench.driver);
    }
}

#[tokio::test]
async fn an_ordinary_record_too_large_stores_no_permanent_data_either() {
    let (store, bench) = in_a_probe();
    let mut jar = Jar::default();
    let handle = bench.open(&jar, Client::Plain, "POST");
    handle.permanent(json!({ "theme": "dark" })).await.unwrap();
    for key in ["a", "b"] {
        handle.set(key, "v".repeat(600 << 10)).await.unwrap();
    }
    let failed = bench.answer(&mut jar, &handle, 200).await.unwrap_err();
    assert_eq!(failed.error.status(), 413, "{failed}");
    assert_eq!(store.take_lines(), [""; 0]);
    assert_eq!(jar, Jar::default());
}

/// A value whose own message shows it.
struct Talkative;

impl Serialize for Talkative {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("cannot write hunter2"))
    }
}

#[tokio::test]
async fn nothing_that_is_printed_shows_a_value() {
    const SECRET: &str = "hunter2";
    for bench in drivers().await {
        let mut jar = Jar::default();
        let handle = bench.open(&jar, Client::Plain, "POST");
        handle.set("password", SECRET).await.unwrap();
        handle.flash("hint", SECRET).await.unwrap();
        handle.permanent(json!({ "again": SECRET })).await.unwrap();
        let pair = (SECRET, f64::NAN);
        let errors = [
            handle.get::<u8>("password").await.unwrap_err(),
            handle.get::<u8>("hint").await.unwrap_err(),
            handle.increment("again", 1).await.unwrap_err(),
            handle.update("password", |n: Option<u8>| n.unwrap_or(0)).await.unwrap_err(),
            handle.set("pair", pair).await.unwrap_err(),
        ];
        for error in errors {
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains(SECRET), "{}: {shown}", bench.driver);
        }
        let head = bench.answer(&mut jar, &handle, 200).await.unwrap();
        let shown = format!("{handle:?} {head:?} {:?}", bench.sessions);
        assert!(!shown.contains(SECRET), "{}: {shown}", bench.driver);
        for value in jar.pairs().values().filter(|value| value.len() > 1) {
            assert!(!shown.contains(value), "{}: a token is in {shown}", bench.driver);
        }
    }
}

#[tokio::test]
async fn what_a_failing_serializer_says_of_its_value_is_not_shown() {
    for bench in drivers().await {
        let session = bench.open(&Jar::default(), Client::Plain, "POST");
        let error = session.set("password", Talkative).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2"), "{}: {shown}", bench.driver);
    }
}

#[tokio::test]
async fn outside_a_request_every_verb_says_that_there_is_no_session() {
    let results = [
        Session::get::<i64>("key").await.map(drop),
        Session::get_or("key", "").await.map(drop),
        Session::set("key", 1).await,
        Session::permanent(json!({ "key": 1 })).await,
        Session::flash("key", 1).await,
        Session::forget("key").await,
        Session::forget(..).await,
        Session::destroy().await,
        Session::has("key").await.map(drop),
        Session::exists("key").await.map(drop),
        Session::all().await.map(drop),
        Session::increment("key", 1).await.map(drop),
        Session::update("key", |_: Option<i64>| 1).await.map(drop),
        Session::set_for("key", 1, DAY).await,
        Session::now("key", 1).await,
        Session::reflash().await,
        Session::keep("key").await,
        Session::clear().await,
        Session::keys().await.map(drop),
        Session::pull::<i64>("key").await.map(drop),
        Session::claim::<i64>("key").await.map(drop),
        Session::decrement("key", 1).await.map(drop),
        Session::push("key", 1).await,
        Session::remember("key", async || 1).await.map(drop),
        Session::try_remember("key", async || Ok::<_, Error>(1)).await.map(drop),
        Session::handle().map(drop),
        Session::spawn(async {}).map(drop),
        Session::regenerate().await,
        Session::set_owner("42").await,
        Session::owner().await.map(drop),
        Session::id().await.map(drop),
        Session::save().await,
    ];
    for (verb, result) in results.into_iter().enumerate() {
        let error = result.expect_err(&format!("verb {verb}"));
        assert!(error.is_outside(), "verb {verb}: {error}");
        assert_eq!(error.to_string(), OUTSIDE);
    }
}

#[tokio::test]
async fn the_facade_reaches_the_session_of_its_own_request() {
    for bench in drivers().await {
        let (one, other) = (
            bench.open(&Jar::default(), Client::Plain, "GET"),
            bench.open(&Jar::default(), Client::Plain, "GET"),
        );
        bench.sessions.scope(one.clone(), Session::set("name", "guest")).await.unwrap();
        let seen = bench.sessions.scope(other, Session::get_or("name", "guest")).await.unwrap();
        assert_eq!(seen, "guest", "{}", bench.driver);
        assert_eq!(one.get_or("name", "guest").await.unwrap(), "guest", "{}", bench.driver);
        assert!(Session::get::<String>("name").await.unwrap_err().is_outside());
    }
}

#[tokio::test]
async fn increment_counts_from_nothing_and_from_null() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        bench.ok(&mut jar, async |session| session.set("null", None::<i64>).await).await;
        for expected in [5, 10] {
            let sums = bench
                .ok(&mut jar, async |session| {
                    Ok((session.increment("new", 5).await?, session.increment("null", 5).await?))
                })
                .await;
            assert_eq!(sums, (expected, expected), "{}", bench.driver);
        }
        let down = bench.ok(&mut jar, async |session| session.increment("new", -11).await).await;
        assert_eq!(down, -1, "{}", bench.driver);
        assert_eq!(bench.peek(&jar, "new").await, Some(-1), "{}", bench.driver);
    }
}

#[tokio::test]
async fn increment_refuses_what_it_cannot_count_and_leaves_it() {
    let table = [
        (json!("five"), 1, true),
        (json!([5]), 1, true),
        (json!(true), 1, true),
        (json!(0.5), 1, true),
        (json!(u64::MAX), 1, true),
        (json!(i64::MAX), 1, false),
        (json!(i64::MIN), -1, false),
        (json!(1), i64::MAX, false),
    ];
    for bench in drivers().await {
        for (value, by, wrong_type) in &table {
            let mut jar = Jar::default();
            bench.ok(&mut jar, async |session| session.set("n", value).await).await;
            bench
                .ok(&mut jar, async |session| {
                    let error = session.increment("n", *by).await.unwrap_err();
                    assert_eq!(error.is_wrong_type(), *wrong_type, "{value}: {error}");
                    assert_eq!(error.is_invalid(), !wrong_type, "{value}: {error}");
                    assert!(error.to_string().contains("\"n\""), "{value}: {error}");
                    assert_eq!(session.get::<Value>("n").await?.as_ref(), Some(value));
                    Ok(())
                })
                .await;
            let kept: Option<Value> = bench.peek(&jar, "n").await;
            assert_eq!(kept.as_ref(), Some(value), "{}", bench.driver);
        }
    }
}

#[tokio::test]
async fn update_is_given_nothing_for_absent_and_null() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        bench.ok(&mut jar, async |session| session.set("null", None::<String>).await).await;
        for key in ["absent", "null"] {
            let told = |text: Option<String>| format!("{text:?}");
            let first = bench.ok(&mut jar, async |session| session.update(key, told).await).await;
            assert_eq!(first, "None", "{}: {key}", bench.driver);
            let second = bench.ok(&mut jar, async |session| session.update(key, told).await).await;
            assert_eq!(second, "Some(\"None\")", "{}: {key}", bench.driver);
        }
    }
}

#[tokio::test]
async fn update_of_another_type_is_refused_and_leaves_the_value() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        bench.ok(&mut jar, async |session| session.set("name", "guest").await).await;
        bench
            .ok(&mut jar, async |session| {
                let error = session.update("name", |_: Option<u8>| 1).await.unwrap_err();
                assert!(error.is_wrong_type(), "{error}");
                Ok(())
            })
            .await;
        assert_eq!(bench.peek(&jar, "name").await, Some("guest".to_owned()), "{}", bench.driver);
    }
}

#[tokio::test]
async fn a_panic_in_an_update_leaves_the_session_as_it_was_and_usable() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        bench.ok(&mut jar, async |session| session.set("n", 1).await).await;
        bench
            .ok(&mut jar, async |session| {
                let other = session.clone();
                let panicked = tokio::spawn(async move {
                    let change = |_: Option<i64>| -> i64 { panic!("on purpose") };
                    other.update("n", change).await
                });
                assert!(panicked.await.unwrap_err().is_panic());
                assert_eq!(session.get("n").await?, Some(1));
                session.increment("n", 1).await.map(drop)
            })
            .await;
        assert_eq!(bench.peek(&jar, "n").await, Some(2), "{}", bench.driver);
    }
}

#[tokio::test]
async fn all_shows_every_layer_by_name() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        assert!(bench.ok(&mut jar, async |session| session.all().await).await.is_empty());
        bench
            .ok(&mut jar, async |session| {
                session.set("b", json!({ "list": [1, null] })).await?;
                session.set("null", ()).await?;
                session.permanent(json!({ "c": 3 })).await?;
                session.flash("a", "first").await
            })
            .await;
        let all = bench.ok(&mut jar, async |session| session.all().await).await;
        let expected = json!({ "a": "first", "b": { "list": [1, null] }, "c": 3, "null": null });
        assert_eq!(Value::from(all), expected, "{}", bench.driver);
    }
}

#[tokio::test]
async fn forget_takes_one_key_an_array_a_vec_and_a_slice() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        let keys = ["a", "b", "c", "d", "e", "f", "g", "kept"];
        bench
            .ok(&mut jar, async |session| {
                for key in keys {
                    session.set(key, key).await?;
                }
                Ok(())
            })
            .await;
        bench
            .ok(&mut jar, async |session| {
                session.forget("a").await?;
                session.forget("b".to_owned()).await?;
                session.forget(["c", "absent"]).await?;
                session.forget(vec!["d".to_owned(), "e".to_owned()]).await?;
                session.forget(&["f", "g"][..]).await?;
                session.forget(Vec::<String>::new()).await
            })
            .await;
        let all = bench.open(&jar, Client::Plain, "GET").all().await.unwrap();
        assert_eq!(Value::from(all), json!({ "kept": "kept" }), "{}", bench.driver);
    }
}
