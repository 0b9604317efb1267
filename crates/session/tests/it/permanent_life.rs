//! How long permanent data lives, what ends it for good, and what it asks of a store.

use crate::{
    stores::in_a_probe,
    support::{Bench, Client, DAY, HOUR, Jar, NAME, drivers, keepers},
};
use dframework_session::SessionHandle;
use serde_json::json;
use std::time::Duration;

const MILLISECOND: Duration = Duration::from_millis(1);

/// A browser with nothing but permanent data.
async fn remembered(bench: &Bench) -> Jar {
    let mut jar = Jar::default();
    bench.ok(&mut jar, remember).await;
    jar
}

async fn remember(session: SessionHandle) -> Result<(), dframework_session::Error> {
    session.permanent(json!({ "theme": "dark" })).await
}

async fn theme(bench: &Bench, jar: &Jar) -> Option<String> {
    bench.peek(jar, "theme").await
}

/// A browser that holds this in `.p` and nothing else.
fn with_permanent(value: &str) -> Jar {
    let mut jar = Jar::default();
    jar.insert(&format!("{NAME}.p"), value);
    jar
}

#[tokio::test]
async fn an_unknown_permanent_token_is_no_permanent_data() {
    for bench in drivers().await {
        let well_formed = |letter: &str| format!("{}A", letter.repeat(42));
        for value in [format!("{}.20454", well_formed("B")), well_formed("C"), "forged".to_owned()]
        {
            let forged = with_permanent(&value);
            assert_eq!(theme(&bench, &forged).await, None);

            let mut jar = forged.clone();
            bench.ok(&mut jar, async |session| session.set("theme", "light").await).await;
            assert!(jar.session().is_some(), "{}: set writes ordinary data", bench.driver);
            assert_eq!(jar.companion(".p"), forged.companion(".p"), "{}", bench.driver);

            let mut jar = forged.clone();
            bench.ok(&mut jar, remember).await;
            assert_ne!(jar.companion(".p"), forged.companion(".p"), "{}: adopted", bench.driver);
            assert_eq!(theme(&bench, &jar).await.as_deref(), Some("dark"), "{}", bench.driver);
            assert_eq!(jar.session(), None);
        }
    }
}

#[tokio::test]
async fn permanent_data_that_has_ended_cannot_be_made_again_for_a_minute() {
    for bench in drivers().await {
        let mut jar = remembered(&bench).await;
        let mut old = jar.clone();
        bench.ok(&mut jar, async |session| session.destroy().await).await;
        for wait in [Duration::ZERO, Duration::from_millis(59_999)] {
            bench.clock.advance(wait);
            let session = bench.open(&old, Client::Plain, "POST");
            let error = session.permanent(json!({ "theme": "light" })).await.unwrap_err();
            assert!(error.is_gone(), "{}: {error:?}", bench.driver);
            assert_eq!(error.status(), 409);
            bench.answer(&mut old, &session, 200).await.unwrap();
            assert_eq!(theme(&bench, &old).await, None);
        }
        let mut ordinary = old.clone();
        bench.ok(&mut ordinary, async |session| session.set("theme", "light").await).await;
        assert!(ordinary.session().is_some(), "{}: set writes ordinary data", bench.driver);

        bench.clock.advance(MILLISECOND);
        let ended = old.clone();
        bench.ok(&mut old, remember).await;
        assert_ne!(old, ended, "{}: a minute later it is merely unknown", bench.driver);
        assert_eq!(theme(&bench, &old).await.as_deref(), Some("dark"), "{}", bench.driver);
    }
}

#[tokio::test]
async fn permanent_data_lives_for_ten_years() {
    for bench in keepers().await {
        let jar = remembered(&bench).await;
        let mut passed = 0;
        for (days, lives) in [(3613, true), (3649, true), (3651, false)] {
            bench.clock.advance((days - passed) * DAY);
            passed = days;
            let seen = theme(&bench, &jar).await;
            assert_eq!(seen.is_some(), lives, "{}, after {days} days", bench.driver);
        }
    }
}

/// How many whole days ago `.p` was sent.
fn elapsed(jar: &Jar, now: dframework_session::store::Timestamp) -> u32 {
    let (_, sent) = jar.companion(".p").unwrap().split_once('.').unwrap();
    let today = now.as_millis() / u64::try_from(DAY.as_millis()).unwrap();
    u32::try_from(today - sent.parse::<u64>().unwrap()).unwrap()
}

#[tokio::test]
async fn the_ten_years_begin_again_with_permanent_and_with_nothing_else() {
    for bench in keepers().await {
        for renews in [true, false] {
            let mut jar = remembered(&bench).await;
            bench.clock.advance(5 * 365 * DAY);
            bench
                .ok(&mut jar, async |session| {
                    if renews {
                        // The same value again.
                        session.permanent(json!({ "theme": "dark" })).await
                    } else {
                        session.set("theme", "light").await
                    }
                })
                .await;
            bench.clock.advance(6 * 365 * DAY);
            let lives = theme(&bench, &jar).await.is_some();
            assert_eq!(lives, renews, "{}", bench.driver);
            bench.clock.advance((4 * 365 - 2) * DAY);
            assert_eq!(theme(&bench, &jar).await.is_some(), renews, "{}", bench.driver);
            bench.clock.advance(4 * DAY);
            assert_eq!(theme(&bench, &jar).await, None, "{}", bench.driver);
        }
    }
}

#[tokio::test]
async fn the_cookie_is_sent_again_by_a_page_after_thirty_days() {
    use Client::{Fetch, Navigation, Plain, Prefetch};
    let table = [
        (0, Navigation, true, false),
        (29, Navigation, true, false),
        (29, Plain, true, false),
        (30, Navigation, true, true),
        (30, Plain, true, true),
        (399, Navigation, true, true),
        (30, Navigation, false, false),
        (30, Plain, false, false),
        (30, Prefetch, true, false),
        (30, Fetch("image"), true, false),
        (30, Fetch("empty"), true, false),
        (399, Fetch("image"), true, false),
    ];
    for bench in keepers().await {
        for (row, (days, client, uses, is_sent)) in table.into_iter().enumerate() {
            let mut jar = Jar::default();
            let (made, first) = bench.request(&mut jar, Client::Plain, 200, remember).await;
            made.unwrap();
            let sent_first = jar.companion(".p").unwrap().to_owned();
            bench.clock.advance(days * DAY);
            let now = bench.clock.now();
            let visit = async |session: SessionHandle| {
                if uses { session.get::<String>("theme").await } else { Ok(None) }
            };
            let (_, head) = bench.request(&mut jar, client, 200, visit).await;
            let place = format!("{}, row {row}", bench.driver);
            assert_eq!(!head.set_cookies.is_empty(), is_sent, "{place}");
            if !is_sent {
                continue;
            }
            let (token, _) = sent_first.split_once('.').unwrap();
            assert_eq!(elapsed(&jar, now), 0, "{place}: it says when it was sent");
            let sent = jar.companion(".p").unwrap();
            assert_eq!(sent.split_once('.').unwrap().0, token, "{place}: the same token");
            let unchanged = first.set_cookies[0].replace(&sent_first, sent);
            assert_eq!(head.set_cookies, [unchanged], "{place}: nothing else differs");

            bench.clock.advance(29 * DAY);
            let (_, head) = bench.request(&mut jar, client, 200, visit).await;
            assert_eq!(head.set_cookies, [""; 0], "{place}: thirty days from the last time");
        }
    }
}

#[tokio::test]
async fn whoever_comes_once_a_year_keeps_the_cookie() {
    for bench in drivers().await {
        let mut jar = remembered(&bench).await;
        for _ in 0..9 {
            bench.clock.advance(399 * DAY);
            let visit = async |session: SessionHandle| session.get::<String>("theme").await;
            let (seen, head) = bench.request(&mut jar, Client::Navigation, 200, visit).await;
            assert_eq!(seen.unwrap().as_deref(), Some("dark"), "{}", bench.driver);
            assert_eq!(head.set_cookies.len(), 1, "{}", bench.driver);
        }
    }
}

#[tokio::test]
async fn only_the_records_whose_cookies_are_there_are_loaded_and_in_one_call() {
    let (store, bench) = in_a_probe();
    let mut jar = Jar::default();
    bench.ok(&mut jar, async |session| session.set("name", "guest").await).await;
    bench.ok(&mut jar, remember).await;
    assert_eq!(store.take_lines(), ["create a", "load a", "create b", "load a"]);
    for (jar, loads) in [
        (jar.clone(), vec!["load a b"]),
        (jar.without(".p"), vec!["load a"]),
        (jar.without(""), vec!["load b"]),
        (Jar::default(), vec![]),
    ] {
        for key in ["name", "theme", "absent"] {
            let _: Option<String> = bench.peek(&jar, key).await;
            assert_eq!(store.take_lines(), loads);
        }
    }
}

#[tokio::test]
async fn permanent_data_is_committed_first_and_destroyed_last() {
    let (store, bench) = in_a_probe();
    let mut jar = Jar::default();
    let both = |step: i32| {
        async move |session: SessionHandle| {
            session.set("name", step).await?;
            session.permanent(json!({ "theme": step })).await
        }
    };
    bench.ok(&mut jar, both(1)).await;
    let made = store.take_lines();
    bench.ok(&mut jar, both(2)).await;
    // A load names the ordinary record first.
    assert_eq!((made, store.take_lines()), made_and_changed());
    bench.ok(&mut jar, async |session| session.destroy().await).await;
    assert_eq!(store.take_lines(), ["load b a", "end b", "end a"]);
}

fn made_and_changed() -> (Vec<String>, Vec<String>) {
    let owned = |calls: &[&str]| calls.iter().map(|call| (*call).to_owned()).collect();
    (owned(&["create a", "create b"]), owned(&["load b a", "commit a", "commit b"]))
}

#[tokio::test]
async fn permanent_data_that_is_only_read_costs_no_write() {
    let (store, bench) = in_a_probe();
    let mut jar = remembered(&bench).await;
    store.take_lines();
    for _ in 0..48 {
        bench.clock.advance(HOUR);
        bench.ok(&mut jar, async |session| session.get::<String>("theme").await).await;
        assert_eq!(store.take_lines(), ["load a"]);
    }
}

#[tokio::test]
async fn permanent_data_is_not_made_for_a_session_that_ended_meanwhile() {
    for writes_both in [false, true] {
        for regenerates in [false, true] {
            for bench in drivers().await {
                overtaken(&bench, writes_both, regenerates).await;
            }
            let (store, bench) = in_a_probe();
            overtaken(&bench, writes_both, regenerates).await;
            let left = store.records(bench.clock.now()).await;
            assert_eq!(left, u64::from(regenerates), "a record was left behind");
        }
    }
}

/// A request makes permanent data while another ends its session.
async fn overtaken(bench: &Bench, writes_both: bool, regenerates: bool) {
    let mut jar = Jar::default();
    bench.ok(&mut jar, async |session| session.set("name", "guest").await).await;
    let late = bench.open(&jar, Client::Plain, "POST");
    late.permanent(json!({ "theme": "dark" })).await.unwrap();
    if writes_both {
        late.set("name", "grace").await.unwrap();
    }
    bench
        .ok(&mut jar, async |session| {
            if regenerates { session.regenerate().await } else { session.destroy().await }
        })
        .await;
    let before = jar.clone();
    let failed = bench.answer(&mut jar, &late, 200).await.unwrap_err();
    assert!(failed.error.is_gone(), "{}: {failed}", bench.driver);
    assert_eq!(failed.head.set_cookies, [""; 0], "{}", bench.driver);
    assert_eq!(jar, before, "{}", bench.driver);
}
