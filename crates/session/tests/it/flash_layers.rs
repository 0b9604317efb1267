//! Flash messages over stored values, and what writing, forgetting, a new token and a logout do to them.

use crate::support::{Bench, Client, DAY, Jar, NAME, NONE, drivers, keepers};
use dframework_session::{Error, SessionHandle};
use serde_json::{Value, json};

/// A browser that a message has just been sent to.
async fn flashed(bench: &Bench) -> Jar {
    let mut jar = Jar::default();
    bench.ok(&mut jar, async |session| session.flash("status", "saved").await).await;
    jar
}

async fn read(session: SessionHandle) -> Result<Option<String>, Error> {
    session.get("status").await
}

#[tokio::test]
async fn a_null_message_shadows_and_is_not_had() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        bench.ok(&mut jar, async |session| session.set("status", "stored").await).await;
        bench.ok(&mut jar, async |session| session.flash("status", None::<String>).await).await;
        let (has, exists) = bench
            .ok(&mut jar, async |session| {
                Ok((session.has("status").await?, session.exists("status").await?))
            })
            .await;
        assert_eq!((has, exists), (false, true), "{}", bench.driver);
    }
}

#[tokio::test]
async fn a_message_shadows_a_stored_value_and_gives_it_back() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        bench.ok(&mut jar, async |session| session.set("status", "stored").await).await;
        let permanent = serde_json::json!({ "role": "permanent" });
        bench.ok(&mut jar, async |session| session.permanent(&permanent).await).await;
        bench
            .ok(&mut jar, async |session| {
                session.flash("status", "flashed").await?;
                session.flash("role", "flashed").await
            })
            .await;
        for expected in [("flashed", "flashed"), ("stored", "permanent")] {
            let all = bench.ok(&mut jar, async |session| session.all().await).await;
            let seen = (all["status"].as_str().unwrap(), all["role"].as_str().unwrap());
            assert_eq!(seen, expected, "{}", bench.driver);
            assert_eq!(all.len(), 2);
        }
    }
}

/// How a key is written to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Write {
    Set,
    SetFor,
    Update,
    Increment,
    Decrement,
    Push,
    Permanent,
}

impl Write {
    const ALL: [Self; 7] = [
        Self::Set,
        Self::SetFor,
        Self::Update,
        Self::Increment,
        Self::Decrement,
        Self::Push,
        Self::Permanent,
    ];

    /// The value that counts as this number: a list has so many items.
    fn value(self, number: usize) -> Value {
        if self == Self::Push { json!(vec!["item"; number]) } else { json!(number) }
    }

    fn number(value: &Value) -> usize {
        match value {
            Value::Array(items) => items.len(),
            Value::Null => 0,
            value => usize::try_from(value.as_u64().unwrap()).unwrap(),
        }
    }

    /// Writes one more than what is read.
    async fn one_more(self, session: &SessionHandle) -> Result<(), Error> {
        let next = Self::number(&session.get_or("n", &Value::Null).await?) + 1;
        let next = i64::try_from(next).unwrap();
        match self {
            Self::Set => session.set("n", next).await,
            Self::SetFor => session.set_for("n", next, DAY).await,
            Self::Update => {
                let n = session.update("n", |n: Option<i64>| n.unwrap_or(0) + 1).await?;
                assert_eq!(n, next, "{self:?} computes on what get reads");
                Ok(())
            }
            Self::Increment => {
                assert_eq!(session.increment("n", 1).await?, next, "{self:?}");
                Ok(())
            }
            Self::Decrement => {
                assert_eq!(session.decrement("n", -1).await?, next, "{self:?}");
                Ok(())
            }
            Self::Push => session.push("n", "item").await,
            Self::Permanent => session.permanent(json!({ "n": next })).await,
        }
    }
}

#[tokio::test]
async fn a_write_reads_the_message_and_takes_its_place() {
    for bench in drivers().await {
        for write in Write::ALL {
            for client in [Client::Plain, Client::Navigation, Client::Fetch("empty")] {
                let mut jar = Jar::default();
                bench.ok(&mut jar, async |session| session.set("n", write.value(1)).await).await;
                bench.ok(&mut jar, async |session| session.flash("n", write.value(50)).await).await;
                let (seen, _) = bench
                    .request(&mut jar, client, 200, async |session| {
                        write.one_more(&session).await?;
                        session.get::<Value>("n").await
                    })
                    .await;
                let place = format!("{}: {write:?}", bench.driver);
                assert_eq!(seen.unwrap(), Some(write.value(51)), "{place}");
                let afterwards = bench.peek(&jar, "n").await;
                assert_eq!(afterwards, Some(write.value(51)), "{place}, afterwards");
            }
        }
    }
}

#[tokio::test]
async fn a_write_ends_the_message_for_requests_that_still_carry_its_companion() {
    for bench in drivers().await {
        for write in Write::ALL.into_iter().map(Some).chain([None]) {
            for client in [Client::Plain, Client::Navigation, Client::Fetch("empty")] {
                let mut jar = Jar::default();
                let flashed = write.map_or(json!(50), |write| write.value(50));
                bench.ok(&mut jar, async |session| session.flash("n", flashed).await).await;
                bench
                    .request(&mut jar, client, 200, async |session| match write {
                        Some(write) => write.one_more(&session).await,
                        None => session.forget("n").await,
                    })
                    .await
                    .0
                    .unwrap();
                jar.insert(&format!("{NAME}.f0"), "1");
                let seen: Option<Value> = bench.peek(&jar, "n").await;
                let expected = write.map(|write| write.value(51));
                assert_eq!(seen, expected, "{}: {write:?}", bench.driver);
            }
        }
    }
}

#[tokio::test]
async fn a_write_after_a_message_of_the_same_request_takes_its_place() {
    for bench in drivers().await {
        for write in Write::ALL {
            let mut jar = Jar::default();
            let head = bench
                .request(&mut jar, Client::Plain, 200, async |session| {
                    session.flash("n", write.value(50)).await?;
                    write.one_more(&session).await
                })
                .await;
            head.0.unwrap();
            let place = format!("{}: {write:?}", bench.driver);
            assert_eq!(jar.generations(), NONE, "{place}: nothing is flashed in the end");
            for _ in 0..3 {
                let seen = bench.ok(&mut jar, async |session| session.get("n").await).await;
                assert_eq!(seen, Some(write.value(51)), "{place}");
            }
        }
    }
}

#[tokio::test]
async fn forgetting_removes_the_message_and_what_it_shadows() {
    for bench in keepers().await {
        for client in [Client::Plain, Client::Fetch("empty")] {
            let mut jar = Jar::default();
            bench.ok(&mut jar, async |session| session.set("kept", 1).await).await;
            bench.ok(&mut jar, async |session| session.set("status", "stored").await).await;
            let permanent = serde_json::json!({ "role": "permanent", "kept too": 1 });
            bench.ok(&mut jar, async |session| session.permanent(&permanent).await).await;
            bench
                .ok(&mut jar, async |session| {
                    session.flash("status", "flashed").await?;
                    session.flash("role", "flashed").await
                })
                .await;
            let before = jar.clone();
            bench
                .request(&mut jar, client, 200, async |session| {
                    session.forget(["status", "role"]).await?;
                    assert!(!session.exists("status").await?);
                    assert!(!session.exists("role").await?);
                    Ok::<_, Error>(())
                })
                .await
                .0
                .unwrap();
            for jar in [&jar, &before] {
                let all = bench.open(jar, Client::Plain, "GET").all().await.unwrap();
                let keys: Vec<_> = all.keys().map(String::as_str).collect();
                assert_eq!(keys, ["kept", "kept too"], "{}", bench.driver);
            }
        }
    }
}

#[tokio::test]
async fn forgetting_a_message_of_the_same_request_leaves_nothing() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        bench
            .ok(&mut jar, async |session| {
                session.flash("status", "saved").await?;
                session.forget("status").await
            })
            .await;
        assert_eq!(jar, Jar::default(), "{}", bench.driver);
    }
}

#[tokio::test]
async fn a_new_token_carries_messages() {
    for bench in drivers().await {
        for login in [false, true] {
            let renew = async |session: &SessionHandle| {
                if login { session.set_owner("42").await } else { session.regenerate().await }
            };
            // In a later request.
            let mut jar = flashed(&bench).await;
            let token = jar.session().unwrap().to_owned();
            bench
                .request(&mut jar, Client::Fetch("empty"), 200, async |session| {
                    renew(&session).await
                })
                .await
                .0
                .unwrap();
            assert_ne!(jar.session().unwrap(), token);
            let place = format!("{}, login: {login}", bench.driver);
            assert_eq!(bench.ok(&mut jar, read).await.as_deref(), Some("saved"), "{place}");
            assert_eq!(bench.ok(&mut jar, read).await, None, "{place}");

            // In the same.
            bench
                .ok(&mut jar, async |session| {
                    session.flash("status", "again").await?;
                    renew(&session).await
                })
                .await;
            assert_eq!(bench.ok(&mut jar, read).await.as_deref(), Some("again"), "{place}");
        }
    }
}

#[tokio::test]
async fn destroying_drops_earlier_messages_and_keeps_later_ones() {
    for bench in drivers().await {
        for saves in [false, true] {
            let mut jar = Jar::default();
            bench.ok(&mut jar, async |session| session.set("name", "guest").await).await;
            bench.ok(&mut jar, async |session| session.flash("old", "carried").await).await;
            let before = jar.clone();
            bench
                .ok(&mut jar, async |session| {
                    session.flash("older", "of this request").await?;
                    if saves {
                        session.save().await?;
                    }
                    session.destroy().await?;
                    assert!(session.all().await?.is_empty());
                    session.flash("status", "you have been logged out").await
                })
                .await;
            let place = format!("{}, save: {saves}", bench.driver);
            assert_ne!(jar.session(), before.session(), "{place}: the session is fresh");
            let all = bench.ok(&mut jar, async |session| session.all().await).await;
            assert_eq!(all.len(), 1, "{place}: {:?}", all.keys());
            assert_eq!(all["status"], "you have been logged out");
            assert!(bench.ok(&mut jar, async |session| session.all().await).await.is_empty());
            assert_eq!(bench.peek::<String>(&before, "old").await, None, "{place}");
        }
    }
}

#[tokio::test]
async fn destroying_removes_the_companions_that_were_carried() {
    for bench in drivers().await {
        let mut jar = flashed(&bench).await;
        let script = (Client::Fetch("empty"), "POST", 200);
        bench
            .send(&mut jar, script, async |session| session.flash("other", 1).await)
            .await
            .0
            .unwrap();
        assert_eq!(jar.generations(), [0, 1]);
        bench.send(&mut jar, script, async |session| session.destroy().await).await.0.unwrap();
        assert_eq!(jar, Jar::default(), "{}", bench.driver);
    }
}

/// Where a key is before it is written to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place {
    flash: bool,
    stored: Option<Stored>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stored {
    Ordinary,
    Permanent,
}

impl Place {
    const ALL: [Self; 6] = [
        Self { flash: false, stored: None },
        Self { flash: false, stored: Some(Stored::Ordinary) },
        Self { flash: false, stored: Some(Stored::Permanent) },
        Self { flash: true, stored: None },
        Self { flash: true, stored: Some(Stored::Ordinary) },
        Self { flash: true, stored: Some(Stored::Permanent) },
    ];

    /// A browser whose session holds the key there: 1 where it is stored, 50 as a message.
    async fn prepared(self, bench: &Bench, write: Write) -> Jar {
        let mut jar = bench.visitor().await;
        bench.ok(&mut jar, async |session| session.permanent(json!({ "other": 1 })).await).await;
        let (one, fifty) = (write.value(1), write.value(50));
        match self.stored {
            Some(Stored::Ordinary) => {
                bench.ok(&mut jar, async |session| session.set("n", one).await).await;
            }
            Some(Stored::Permanent) => {
                let entries = json!({ "n": one });
                bench.ok(&mut jar, async |session| session.permanent(entries).await).await;
            }
            None => {}
        }
        if self.flash {
            bench.ok(&mut jar, async |session| session.flash("n", fifty).await).await;
        }
        jar
    }

    fn layers(self, write: Write) -> Layers {
        let one = |layer| (self.stored == Some(layer)).then(|| write.value(1));
        Layers {
            flash: self.flash.then(|| write.value(50)),
            permanent: one(Stored::Permanent),
            ordinary: one(Stored::Ordinary),
        }
    }
}

/// What each layer holds of the key.
#[derive(Clone, PartialEq, Default, Debug)]
struct Layers {
    flash: Option<Value>,
    permanent: Option<Value>,
    ordinary: Option<Value>,
}

/// Looks into each layer by sending only the cookies that show it.
async fn layers(bench: &Bench, jar: &Jar) -> Layers {
    let mut permanent = jar.clone();
    permanent.remove(NAME);
    let mut flash = jar.without(".p");
    let ordinary = Jar::holding(&jar.token());
    let at = async |jar: &Jar| bench.peek::<Value>(jar, "n").await;
    let (permanent, ordinary) = (at(&permanent).await, at(&ordinary).await);
    let mut message = None;
    for generation in 0..8 {
        // Every companion, so that a message is found whose companion went.
        flash.insert(&format!("{NAME}.f{generation}"), "1");
    }
    let seen = at(&flash).await;
    if seen != ordinary {
        message = seen;
    }
    Layers { flash: message, permanent, ordinary }
}

#[tokio::test]
async fn a_write_leaves_the_key_in_one_layer_and_a_permanent_key_permanent() {
    for bench in drivers().await {
        for write in Write::ALL {
            for place in Place::ALL {
                let mut jar = place.prepared(&bench, write).await;
                let before = place.layers(write);
                let what = format!("{}: {write:?} on {place:?}", bench.driver);
                assert_eq!(layers(&bench, &jar).await, before, "{what}: before");
                let script = Client::Fetch("empty");
                let (result, _) = bench
                    .request(&mut jar, script, 200, async |session| write.one_more(&session).await)
                    .await;

                let stays_permanent = place.stored == Some(Stored::Permanent);
                if write == Write::SetFor && stays_permanent {
                    let error = result.expect_err(&what);
                    assert!(error.is_invalid(), "{what}: {error}");
                    assert!(error.to_string().contains("\"n\""), "{what}: {error}");
                    assert_eq!(layers(&bench, &jar).await, before, "{what}: refused");
                    continue;
                }
                result.unwrap_or_else(|error| panic!("{what}: {error}"));
                let read = if place.flash { 50 } else { usize::from(place.stored.is_some()) };
                let value = Some(write.value(read + 1));
                let expected = match stays_permanent || write == Write::Permanent {
                    true => Layers { permanent: value, ..Layers::default() },
                    false => Layers { ordinary: value, ..Layers::default() },
                };
                assert_eq!(layers(&bench, &jar).await, expected, "{what}");
            }
        }
    }
}

#[tokio::test]
async fn flash_and_now_leave_what_is_stored_and_remember_stores_only_what_is_absent() {
    for bench in drivers().await {
        for place in Place::ALL {
            let before = place.layers(Write::Set);
            for verb in ["flash", "now", "remember"] {
                let mut jar = place.prepared(&bench, Write::Set).await;
                let script = Client::Fetch("image");
                let (result, _) = bench
                    .request(&mut jar, script, 200, async |session| match verb {
                        "flash" => session.flash("n", 70).await,
                        "now" => session.now("n", 70).await,
                        _ => session.remember("n", async || 70).await.map(drop),
                    })
                    .await;
                result.unwrap();
                let mut expected = before.clone();
                match verb {
                    "flash" => expected.flash = Some(json!(70)),
                    "remember" if expected == Layers::default() => {
                        expected.ordinary = Some(json!(70));
                    }
                    _ => {}
                }
                let what = format!("{}: {verb} on {place:?}", bench.driver);
                assert_eq!(layers(&bench, &jar).await, expected, "{what}");
            }
        }
    }
}

#[tokio::test]
async fn what_takes_a_key_away_takes_it_from_every_layer() {
    for bench in keepers().await {
        for place in Place::ALL {
            for verb in ["forget", "pull", "claim"] {
                let mut jar = place.prepared(&bench, Write::Set).await;
                let what = format!("{}: {verb} on {place:?}", bench.driver);
                let got = bench
                    .ok(&mut jar, async |session| {
                        let got = match verb {
                            "forget" => session.forget("n").await.map(|()| None)?,
                            "pull" => session.pull::<i64>("n").await?,
                            _ => session.claim::<i64>("n").await?,
                        };
                        assert!(!session.exists("n").await?, "{what}");
                        Ok(got)
                    })
                    .await;
                let seen = if place.flash { Some(50) } else { place.stored.map(|_| 1) };
                assert_eq!(got, seen.filter(|_| verb != "forget"), "{what}");
                assert_eq!(layers(&bench, &jar).await, Layers::default(), "{what}");
                assert_eq!(bench.read(&jar, "name").await.as_deref(), Some("guest"), "{what}");
                assert_eq!(bench.peek(&jar, "other").await, Some(1), "{what}");
            }
        }
    }
}
