//! Flash messages over stored values, and what writing, forgetting, a new token and a logout do to them.

use crate::support::{Bench, Client, Jar, NAME, NONE, drivers};
use dframework_session::{Error, SessionHandle};

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
#[derive(Clone, Copy, Debug)]
enum Write {
    Set,
    Update,
    Increment,
    Permanent,
}

impl Write {
    const ALL: [Self; 4] = [Self::Set, Self::Update, Self::Increment, Self::Permanent];

    /// Writes one more than what is read.
    async fn one_more(self, session: &SessionHandle) -> Result<(), Error> {
        let next = session.get_or("n", &0).await? + 1;
        match self {
            Self::Set => session.set("n", next).await,
            Self::Update => {
                let n = session.update("n", |n: Option<i64>| n.unwrap_or(0) + 1).await?;
                assert_eq!(n, next, "{self:?} computes on what get reads");
                Ok(())
            }
            Self::Increment => {
                assert_eq!(session.increment("n", 1).await?, next, "{self:?}");
                Ok(())
            }
            Self::Permanent => session.permanent(serde_json::json!({ "n": next })).await,
        }
    }
}

#[tokio::test]
async fn a_write_reads_the_message_and_takes_its_place() {
    for bench in drivers().await {
        for write in Write::ALL {
            for client in [Client::Plain, Client::Navigation, Client::Fetch("empty")] {
                let mut jar = Jar::default();
                bench.ok(&mut jar, async |session| session.set("n", 1).await).await;
                bench.ok(&mut jar, async |session| session.flash("n", 50).await).await;
                let (seen, _) = bench
                    .request(&mut jar, client, 200, async |session| {
                        write.one_more(&session).await?;
                        session.get::<i64>("n").await
                    })
                    .await;
                let place = format!("{}: {write:?}", bench.driver);
                assert_eq!(seen.unwrap(), Some(51), "{place}");
                assert_eq!(bench.peek(&jar, "n").await, Some(51), "{place}, afterwards");
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
                bench.ok(&mut jar, async |session| session.flash("n", 50).await).await;
                bench
                    .request(&mut jar, client, 200, async |session| match write {
                        Some(write) => write.one_more(&session).await,
                        None => session.forget("n").await,
                    })
                    .await
                    .0
                    .unwrap();
                jar.0.insert(format!("{NAME}.f0"), "1".to_owned());
                let seen: Option<i64> = bench.peek(&jar, "n").await;
                assert_eq!(seen, write.map(|_| 51), "{}: {write:?}", bench.driver);
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
                    session.flash("n", 50).await?;
                    write.one_more(&session).await
                })
                .await;
            head.0.unwrap();
            let place = format!("{}: {write:?}", bench.driver);
            assert_eq!(jar.generations(), NONE, "{place}: nothing is flashed in the end");
            for _ in 0..3 {
                let seen = bench.ok(&mut jar, async |session| session.get::<i64>("n").await).await;
                assert_eq!(seen, Some(51), "{place}");
            }
        }
    }
}

#[tokio::test]
async fn forgetting_removes_the_message_and_what_it_shadows() {
    for bench in drivers().await {
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
            bench.ok(&mut jar, async |session| session.set("name", "ada").await).await;
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
