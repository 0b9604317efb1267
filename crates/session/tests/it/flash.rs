//! Flash messages: seen now and in the next request, whoever else asks meanwhile.

use crate::{
    stores::in_a_probe,
    support::{Bench, Client, Jar, NONE, drivers},
};
use dframework_session::{
    Config, DriverName, Error, RequestHead, ResponseHead, SameSite, SessionHandle, Sessions,
};

/// A browser that a message has just been sent to.
async fn flashed(bench: &Bench) -> Jar {
    let mut jar = Jar::default();
    bench.ok(&mut jar, async |session| session.flash("status", "saved").await).await;
    jar
}

async fn status(bench: &Bench, jar: &Jar) -> Option<String> {
    bench.peek(jar, "status").await
}

async fn read(session: SessionHandle) -> Result<Option<String>, Error> {
    session.get("status").await
}

#[tokio::test]
async fn a_message_is_seen_in_the_request_that_makes_it() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        bench
            .ok(&mut jar, async |session| {
                session.flash("status", "saved").await?;
                assert_eq!(session.get("status").await?, Some("saved".to_owned()));
                assert_eq!(session.get_or("status", "none").await?, "saved");
                assert!(session.has("status").await?);
                assert!(session.exists("status").await?);
                assert_eq!(session.all().await?["status"], "saved");
                Ok(())
            })
            .await;
    }
}

#[tokio::test]
async fn a_message_is_seen_in_the_next_request_and_gone_after_it() {
    for bench in drivers().await {
        for reads in [true, false] {
            let mut jar = flashed(&bench).await;
            let next = bench
                .ok(&mut jar, async |session| if reads { read(session).await } else { Ok(None) })
                .await;
            assert_eq!(next.is_some(), reads);
            assert_eq!(jar.generations(), NONE, "{}, read: {reads}", bench.driver);
            assert_eq!(status(&bench, &jar).await, None, "{}, read: {reads}", bench.driver);
        }
    }
}

#[tokio::test]
async fn every_way_of_looking_sees_a_message_in_the_next_request() {
    for bench in drivers().await {
        let mut jar = flashed(&bench).await;
        bench
            .ok(&mut jar, async |session| {
                assert!(session.has("status").await?);
                assert!(session.exists("status").await?);
                assert_eq!(session.all().await?["status"], "saved");
                assert_eq!(session.get_or("status", "none").await?, "saved");
                Ok(())
            })
            .await;
        bench
            .ok(&mut jar, async |session| {
                assert!(!session.has("status").await?);
                assert!(!session.exists("status").await?);
                assert!(session.all().await?.is_empty());
                assert_eq!(session.get_or("status", "none").await?, "none");
                Ok(())
            })
            .await;
    }
}

#[tokio::test]
async fn the_next_request_is_a_page_a_reader_or_a_client_that_does_not_say() {
    use Client::{Fetch, Navigation, Plain, Prefetch};
    #[rustfmt::skip]
    let table = [
        // who, how, answer, reads, ends the message
        (Plain,           "GET",     200, false, true),
        (Plain,           "POST",    200, false, true),
        (Plain,           "GET",     303, false, true),
        (Plain,           "GET",     304, false, true),
        (Plain,           "GET",     404, false, true),
        (Plain,           "HEAD",    200, true,  false),
        (Plain,           "OPTIONS", 204, true,  false),
        (Plain,           "GET",     500, true,  false),
        (Plain,           "GET",     503, true,  false),
        (Navigation,      "GET",     200, false, true),
        (Navigation,      "GET",     200, true,  true),
        (Navigation,      "POST",    303, false, true),
        (Navigation,      "GET",     302, false, true),
        (Navigation,      "GET",     502, true,  false),
        (Navigation,      "HEAD",    200, true,  false),
        (Navigation,      "OPTIONS", 200, true,  false),
        (Prefetch,        "GET",     200, false, false),
        (Prefetch,        "GET",     200, true,  true),
        (Fetch("image"),  "GET",     200, false, false),
        (Fetch("script"), "GET",     200, false, false),
        (Fetch("iframe"), "GET",     200, false, false),
        (Fetch("empty"),  "GET",     200, false, false),
        (Fetch("empty"),  "POST",    303, false, false),
        (Fetch("empty"),  "GET",     200, true,  true),
        (Fetch("empty"),  "GET",     303, true,  true),
        (Fetch("empty"),  "GET",     500, true,  false),
        (Fetch("empty"),  "HEAD",    200, true,  false),
    ];
    for bench in drivers().await {
        for (row, (client, method, answer, reads, ends)) in table.into_iter().enumerate() {
            let mut jar = flashed(&bench).await;
            let how = (client, method, answer);
            let (result, head) = bench
                .send(&mut jar, how, async |session| {
                    if reads { read(session).await } else { session.get::<String>("another").await }
                })
                .await;
            assert_eq!(result.unwrap().is_some(), reads, "row {row}");
            let gone = status(&bench, &jar).await.is_none();
            assert_eq!(gone, ends, "{}, row {row}: {method}, {answer}", bench.driver);
            let lines = usize::from(ends);
            assert_eq!(head.set_cookies.len(), lines, "{}, row {row}", bench.driver);
        }
    }
}

#[tokio::test]
async fn a_prefetch_is_recognised_in_a_list_of_purposes() {
    for bench in drivers().await {
        for (purpose, ends) in [
            ("prefetch", false),
            ("prefetch;prerender", false),
            ("prefetch; anonymous-client-ip", false),
            ("prefetching", true),
        ] {
            let jar = flashed(&bench).await;
            let field = jar.field();
            let sent = || Some(purpose.as_bytes());
            let head = RequestHead::new("GET").with_purpose(&|| Some(b"document"), &sent);
            let handle = bench.sessions.open(head.with_cookies([field.as_bytes()]));
            let mut after = jar.clone();
            bench.answer(&mut after, &handle, 200).await.unwrap();
            assert_eq!(after.generations().is_empty(), ends, "{}: {purpose}", bench.driver);
        }
    }
}

#[tokio::test]
async fn whatever_reads_a_message_in_a_script_uses_it_up() {
    for bench in drivers().await {
        let script = (Client::Fetch("empty"), "GET", 200);
        let mut jar = flashed(&bench).await;
        let (all, _) = bench.send(&mut jar, script, async |session| session.all().await).await;
        assert_eq!(all.unwrap()["status"], "saved");
        assert_eq!(jar.generations(), NONE, "{}: all", bench.driver);

        let mut jar = flashed(&bench).await;
        let (got, _) = bench
            .send(&mut jar, script, async |session| session.get_or("status", "none").await)
            .await;
        assert_eq!(got.unwrap(), "saved");
        assert_eq!(jar.generations(), NONE, "{}: get_or", bench.driver);
    }
}

#[tokio::test]
async fn a_script_that_reads_one_message_leaves_those_of_other_requests() {
    for bench in drivers().await {
        let script = (Client::Fetch("empty"), "GET", 200);
        let mut jar = flashed(&bench).await;
        let (made, _) = bench
            .send(&mut jar, script, async |session| session.flash("other", "still here").await)
            .await;
        made.unwrap();
        assert_eq!(jar.generations(), [0, 1]);
        bench.send(&mut jar, script, read).await.0.unwrap();
        assert_eq!(jar.generations(), [1], "{}", bench.driver);
        assert_eq!(bench.peek(&jar, "other").await, Some("still here".to_owned()));
    }
}

#[tokio::test]
async fn polling_images_and_prefetches_keep_a_message_until_a_page_shows_it() {
    for bench in drivers().await {
        let mut jar = flashed(&bench).await;
        for _ in 0..20 {
            for client in [Client::Fetch("empty"), Client::Fetch("image"), Client::Prefetch] {
                bench
                    .request(&mut jar, client, 200, async |session| session.increment("n", 1).await)
                    .await
                    .0
                    .unwrap();
            }
            bench.clock.advance(std::time::Duration::from_secs(60));
        }
        let (seen, _) = bench.request(&mut jar, Client::Navigation, 200, read).await;
        assert_eq!(seen.unwrap().as_deref(), Some("saved"), "{}", bench.driver);
        assert_eq!(status(&bench, &jar).await, None);
    }
}

#[tokio::test]
async fn a_failed_response_flashes_nothing() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        let (made, head) = bench
            .request(&mut jar, Client::Plain, 500, async |session| {
                session.flash("status", "saved").await
            })
            .await;
        made.unwrap();
        assert_eq!(head.set_cookies, [""; 0]);
    }
}

#[tokio::test]
async fn ageing_calls_no_store() {
    let (store, bench) = in_a_probe();
    let mut jar = flashed(&bench).await;
    assert_eq!(store.take_lines(), ["create a"]);
    let unused = async |_: SessionHandle| Ok(());
    bench.ok(&mut jar, unused).await;
    assert_eq!(jar.generations(), NONE, "it has aged");
    assert_eq!(
        store.take_lines(),
        [""; 0],
        "a request that does not use the session loads nothing"
    );

    bench.ok(&mut jar, async |session| session.flash("status", "saved").await).await;
    assert_eq!(store.take_lines(), ["load a", "commit a"]);
    bench.ok(&mut jar, read).await;
    assert_eq!(jar.generations(), NONE, "it has aged");
    assert_eq!(store.take_lines(), ["load a"], "a reader writes nothing");
    bench.ok(&mut jar, unused).await;
    assert_eq!(store.take_lines(), [""; 0]);
}

#[tokio::test]
async fn messages_of_one_request_share_one_companion() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        bench
            .ok(&mut jar, async |session| {
                session.flash("one", 1).await?;
                session.flash("two", 2).await?;
                session.flash("three", 3).await
            })
            .await;
        assert_eq!(jar.generations(), [0]);
        assert_eq!(jar.companion(".f0"), Some("1"));
        let all = bench.ok(&mut jar, async |session| session.all().await).await;
        assert_eq!(all.len(), 3, "{}", bench.driver);
    }
}

#[tokio::test]
async fn the_last_of_two_messages_under_one_key_is_seen() {
    for bench in drivers().await {
        for saves in [false, true] {
            let mut jar = Jar::default();
            bench
                .ok(&mut jar, async |session| {
                    session.flash("status", "first").await?;
                    if saves {
                        session.save().await?;
                        assert_eq!(read(session.clone()).await?.as_deref(), Some("first"));
                    }
                    session.flash("status", "second").await?;
                    assert_eq!(read(session.clone()).await?.as_deref(), Some("second"));
                    Ok(())
                })
                .await;
            let seen = bench.ok(&mut jar, read).await;
            assert_eq!(seen.as_deref(), Some("second"), "{}, save: {saves}", bench.driver);
            assert_eq!(bench.ok(&mut jar, read).await, None);
        }
    }
}

#[tokio::test]
async fn messages_before_and_after_a_save_are_both_seen_now_and_next() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        let both = async |session: SessionHandle| {
            Ok((session.get::<i32>("one").await?, session.get::<i32>("two").await?))
        };
        let now = bench
            .ok(&mut jar, async |session| {
                session.flash("one", 1).await?;
                session.save().await?;
                session.flash("two", 2).await?;
                session.save().await?;
                both(session).await
            })
            .await;
        assert_eq!(now, (Some(1), Some(2)), "{}", bench.driver);
        assert_eq!(bench.ok(&mut jar, both).await, (Some(1), Some(2)), "{}", bench.driver);
        assert_eq!(bench.ok(&mut jar, both).await, (None, None), "{}", bench.driver);
    }
}

#[tokio::test]
async fn a_saved_message_is_seen_next_though_the_response_failed() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        bench
            .request(&mut jar, Client::Plain, 500, async |session| {
                session.flash("status", "saved").await?;
                session.save().await
            })
            .await
            .0
            .unwrap();
        assert_eq!(bench.ok(&mut jar, read).await.as_deref(), Some("saved"), "{}", bench.driver);
    }
}

#[tokio::test]
async fn companions_have_the_attributes_of_the_session_cookie() {
    let configs = [
        Config::new(),
        Config::new().same_site(SameSite::Strict),
        Config::new().partitioned_cookie(),
        Config::new().cookie_name("shop").cookie_path("/shop").cookie_domain("example.com"),
        Config::new().cookie_name("plain").insecure_cookie(),
    ];
    for config in configs {
        let sessions = Sessions::connect(&config.driver(DriverName::Memory)).await.unwrap();
        let handle = sessions.open(RequestHead::new("GET"));
        handle.flash("status", "saved").await.unwrap();
        let set = sessions.commit(&handle, ResponseHead::new(200)).await.unwrap().set_cookies;
        assert_eq!(set.len(), 2);
        let (session, attributes) = set[0].split_once(';').unwrap();
        let name = session.split_once('=').unwrap().0;
        assert_eq!(set[1], format!("{name}.f0=1;{attributes}"));

        let field = format!("{session}; {name}.f0=1");
        let handle = sessions.open(RequestHead::new("GET").with_cookies([field.as_bytes()]));
        let removed = sessions.commit(&handle, ResponseHead::new(200)).await.unwrap().set_cookies;
        assert_eq!(removed, [format!("{name}.f0=;{attributes}; Max-Age=0")]);
    }
}
