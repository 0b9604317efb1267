//! Flash messages and requests that overlap: which companion a message gets, and when it is dropped unseen.

use crate::support::{Bench, Client, Jar, NAME, NONE, drivers, keepers};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// Flashes a message under this key, in a script's request that reads nothing.
async fn flash(bench: &Bench, jar: &mut Jar, key: &str) {
    bench
        .request(jar, Client::Fetch("empty"), 200, async |session| session.flash(key, key).await)
        .await
        .0
        .unwrap_or_else(|error| panic!("{}: {error}", bench.driver));
}

async fn sees(bench: &Bench, jar: &Jar, key: &str) -> bool {
    bench.peek::<String>(jar, key).await.is_some()
}

fn name(generation: u8) -> String {
    format!("{NAME}.f{generation}")
}

#[tokio::test]
async fn a_request_from_before_the_message_neither_sees_nor_ends_it() {
    for bench in drivers().await {
        for reads in [true, false] {
            let mut jar = Jar::default();
            bench.ok(&mut jar, async |session| session.set("name", "guest").await).await;
            let early = bench.open(&jar, Client::Navigation, "GET");
            flash(&bench, &mut jar, "status").await;
            if reads {
                assert_eq!(early.get::<String>("status").await.unwrap(), None);
                assert!(!early.exists("status").await.unwrap());
                assert!(!early.all().await.unwrap().contains_key("status"));
            }
            bench.answer(&mut jar, &early, 200).await.unwrap();
            assert!(sees(&bench, &jar, "status").await, "{}, read: {reads}", bench.driver);
        }
    }
}

#[tokio::test]
async fn a_request_from_before_the_message_writes_beside_it() {
    for bench in keepers().await {
        let mut jar = Jar::default();
        bench.ok(&mut jar, async |session| session.set("status", "stored").await).await;
        let setting = bench.open(&jar, Client::Navigation, "POST");
        let forgetting = bench.open(&jar, Client::Navigation, "POST");
        flash(&bench, &mut jar, "status").await;

        setting.set("status", "stored anew").await.unwrap();
        bench.answer(&mut jar, &setting, 200).await.unwrap();
        assert_eq!(bench.peek(&jar, "status").await, Some("status".to_owned()), "{}", bench.driver);

        forgetting.forget("status").await.unwrap();
        bench.answer(&mut jar, &forgetting, 200).await.unwrap();
        assert_eq!(bench.peek(&jar, "status").await, Some("status".to_owned()), "{}", bench.driver);
        bench.ok(&mut jar, async |_| Ok(())).await;
        assert!(!sees(&bench, &jar, "status").await, "{}: what was stored is gone", bench.driver);
    }
}

#[tokio::test]
async fn generations_follow_one_another_and_begin_again() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        for round in 0..20 {
            bench.ok(&mut jar, async |session| session.flash("status", round).await).await;
            assert_eq!(jar.generations(), [round % 8], "{}", bench.driver);
            assert_eq!(bench.peek(&jar, "status").await, Some(round));
        }
    }
}

#[tokio::test]
async fn generations_in_use_are_skipped() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        flash(&bench, &mut jar, "kept").await;
        let kept = jar.companion(".f0").unwrap().to_owned();
        // Nobody carries it for a while, but it is stored.
        for round in 1..20_u8 {
            jar = jar.without(".f0");
            bench.ok(&mut jar, async |session| session.flash("status", round).await).await;
            assert_eq!(jar.generations(), [(round - 1) % 7 + 1], "{}", bench.driver);
        }
        jar.insert(&name(0), &kept);
        assert!(sees(&bench, &jar, "kept").await, "{}", bench.driver);
    }
}

#[tokio::test]
async fn generations_whose_companion_is_carried_are_skipped() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        flash(&bench, &mut jar, "first").await;
        for generation in [1, 2, 4] {
            jar.insert(&name(generation), "1");
        }
        flash(&bench, &mut jar, "second").await;
        assert_eq!(jar.generations(), [0, 1, 2, 3, 4], "{}", bench.driver);
        flash(&bench, &mut jar, "third").await;
        assert_eq!(jar.generations(), [0, 1, 2, 3, 4, 5], "{}", bench.driver);
    }
}

#[tokio::test]
async fn after_eight_in_use_a_message_joins_the_last() {
    for bench in drivers().await {
        for carried in [true, false] {
            let mut jar = Jar::default();
            let mut full = Jar::default();
            let keys = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
            for key in keys {
                flash(&bench, &mut jar, key).await;
                full.add(&jar);
                if !carried {
                    (0..8).for_each(|generation| jar.remove(&name(generation)));
                }
            }
            let place = format!("{}, carried: {carried}", bench.driver);
            assert_eq!(full.generations(), [0, 1, 2, 3, 4, 5, 6, 7], "{place}");
            for key in keys {
                assert!(sees(&bench, &full, key).await, "{place}: {key}");
            }
            for joined in ["8", "9"] {
                assert!(!sees(&bench, &full.without(".f7"), joined).await, "{place}: {joined}");
            }
            // The same name again, where it already is.
            bench
                .request(&mut full, Client::Fetch("empty"), 200, async |session| {
                    session.flash("9", "anew").await
                })
                .await
                .0
                .unwrap();
            assert_eq!(bench.peek(&full, "9").await, Some("anew".to_owned()), "{place}");
            bench.ok(&mut full, async |_| Ok(())).await;
            assert_eq!(full.generations(), NONE, "{place}");
            for key in keys {
                assert!(!sees(&bench, &full, key).await, "{place}: {key}");
            }
        }
    }
}

#[tokio::test]
async fn two_requests_that_flash_at_once_get_a_generation_each() {
    for bench in keepers().await {
        let mut jar = Jar::default();
        bench.ok(&mut jar, async |session| session.set("name", "guest").await).await;
        let (one, other) =
            (bench.open(&jar, Client::Plain, "POST"), bench.open(&jar, Client::Plain, "POST"));
        one.flash("one", 1).await.unwrap();
        other.flash("other", 2).await.unwrap();
        bench.answer(&mut jar, &one, 303).await.unwrap();
        bench.answer(&mut jar, &other, 303).await.unwrap();
        assert_eq!(jar.generations(), [0, 1], "{}", bench.driver);
        assert_eq!(bench.peek(&jar.without(".f1"), "one").await, Some(1));
        assert_eq!(bench.peek::<i32>(&jar.without(".f1"), "other").await, None);
        let all = bench.ok(&mut jar, async |session| session.all().await).await;
        assert_eq!((&all["one"], &all["other"]), (&1.into(), &2.into()), "{}", bench.driver);
    }
}

#[tokio::test]
async fn the_later_of_two_parallel_messages_under_one_key_is_seen() {
    // How many generations were used before, and how far the two are apart.
    for (used, wait, expected) in [(1, Duration::ZERO, [1, 2]), (7, MINUTE, [0, 7])] {
        for bench in keepers().await {
            let mut jar = Jar::default();
            for _ in 0..used {
                bench.ok(&mut jar, async |session| session.flash("filler", 0).await).await;
            }
            bench.ok(&mut jar, async |_| Ok(())).await;
            let earlier = bench.open(&jar, Client::Plain, "POST");
            let later = bench.open(&jar, Client::Plain, "POST");
            for (handle, text) in [(&earlier, "earlier"), (&later, "later")] {
                handle.flash("status", text).await.unwrap();
            }
            for handle in [&earlier, &later] {
                bench.clock.advance(wait);
                bench.answer(&mut jar, handle, 303).await.unwrap();
            }
            assert_eq!(jar.generations(), expected, "{}", bench.driver);
            let seen: Option<String> = bench.peek(&jar, "status").await;
            assert_eq!(seen.as_deref(), Some("later"), "{}, after {used}", bench.driver);
        }
    }
}

#[tokio::test]
async fn a_fresh_session_after_a_logout_goes_on_counting() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        for _ in 0..4 {
            bench.ok(&mut jar, async |session| session.flash("status", 1).await).await;
        }
        bench.ok(&mut jar, async |_| Ok(())).await;
        bench
            .ok(&mut jar, async |session| {
                session.destroy().await?;
                session.flash("status", "bye").await
            })
            .await;
        assert_eq!(jar.generations(), [4], "{}", bench.driver);
    }
}

#[tokio::test]
async fn a_fresh_session_after_a_saved_logout_goes_on_counting() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        for _ in 0..4 {
            bench.ok(&mut jar, async |session| session.flash("status", 1).await).await;
        }
        bench.ok(&mut jar, async |_| Ok(())).await;
        bench
            .ok(&mut jar, async |session| {
                session.destroy().await?;
                session.save().await?;
                session.flash("status", "bye").await
            })
            .await;
        assert_eq!(jar.generations(), [4], "{}", bench.driver);
    }
}

#[tokio::test]
async fn a_login_that_is_replayed_on_an_ended_session_goes_on_counting() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        for _ in 0..4 {
            bench.ok(&mut jar, async |session| session.flash("status", 1).await).await;
        }
        bench.ok(&mut jar, async |_| Ok(())).await;
        let login = bench.open(&jar, Client::Plain, "POST");
        login.set_owner("42").await.unwrap();
        login.flash("status", "welcome").await.unwrap();
        // A double click: the other login comes first.
        bench.ok(&mut jar, async |session| session.set_owner("42").await).await;
        bench.answer(&mut jar, &login, 303).await.unwrap();
        assert_eq!(bench.peek(&jar, "status").await, Some("welcome".to_owned()));
        assert_eq!(jar.generations(), [4], "{}", bench.driver);
    }
}

#[tokio::test]
async fn an_unseen_message_is_dropped_after_ten_minutes_by_a_commit_that_writes() {
    for bench in keepers().await {
        let mut jar = Jar::default();
        flash(&bench, &mut jar, "status").await;
        // Its response never arrived, so no request carries the companion.
        let with_companion = jar.clone();
        jar = jar.without(".f0");

        bench.clock.advance(Duration::from_millis(599_999));
        bench.ok(&mut jar, async |session| session.set("step", 1).await).await;
        assert!(sees(&bench, &with_companion, "status").await, "{}: too early", bench.driver);

        bench.clock.advance(Duration::from_millis(1));
        bench.ok(&mut jar, async |session| session.get::<i32>("step").await).await;
        bench.ok(&mut jar, async |session| session.set("step", 1).await).await;
        let kept = sees(&bench, &with_companion, "status").await;
        assert!(kept, "{}: a commit that changes nothing writes nothing", bench.driver);

        bench.ok(&mut jar, async |session| session.set("step", 2).await).await;
        assert!(!sees(&bench, &with_companion, "status").await, "{}: too late", bench.driver);
    }
}

#[tokio::test]
async fn a_message_that_is_carried_is_not_dropped_however_old_it_is() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        flash(&bench, &mut jar, "status").await;
        bench.clock.advance(60 * MINUTE);
        bench
            .request(&mut jar, Client::Fetch("empty"), 200, async |session| {
                session.set("step", 1).await
            })
            .await
            .0
            .unwrap();
        assert!(sees(&bench, &jar, "status").await, "{}", bench.driver);
    }
}

#[tokio::test]
async fn a_commit_drops_the_messages_that_its_response_ages() {
    for bench in keepers().await {
        let mut jar = Jar::default();
        flash(&bench, &mut jar, "status").await;
        let with_companion = jar.clone();
        bench.ok(&mut jar, async |session| session.set("step", 1).await).await;
        assert!(!sees(&bench, &with_companion, "status").await, "{}", bench.driver);
    }
}

#[tokio::test]
async fn a_failed_commit_names_no_message_that_nobody_can_see() {
    for bench in keepers().await {
        let mut jar = Jar::default();
        let half = "x".repeat(600 * 1024);
        bench.ok(&mut jar, async |session| session.flash("invisible", &half).await).await;
        bench.ok(&mut jar, async |_| Ok(())).await;
        assert_eq!(jar.generations(), NONE, "it has been shown");

        let handle = bench.open(&jar, Client::Plain, "POST");
        handle.set("visible", &half).await.unwrap();
        handle.set("visible too", &half).await.unwrap();
        let failed = bench.answer(&mut jar, &handle, 200).await.unwrap_err();
        let message = failed.to_string();
        assert!(message.contains("\"visible\""), "{message}");
        assert!(!message.contains("invisible"), "{}: {message}", bench.driver);
    }
}
