//! When a session ends by itself: the idle timeout and the absolute lifetime, by the server's clock.

use crate::{
    stores::{Probe, Verb},
    support::{Bench, Client, DAY, HOUR, Jar, drivers, in_a_store, keepers, keepers_with},
};
use dframework_session::{
    Config,
    store::{Loaded, Store},
};
use std::time::Duration;

/// The idle timeout by default, and the tenth of it in which uses are counted.
const IDLE: Duration = Duration::from_secs(7200);
const STEP: Duration = Duration::from_secs(720);
/// Not quite the idle timeout.
const ALMOST_IDLE: Duration = Duration::from_millis(7_199_999);
const MOMENT: Duration = Duration::from_millis(1);

/// Instants inside a step.
const OFFSETS: [u64; 6] = [0, 1, 359_999, 360_000, 719_999, 719_000];

async fn visitor_after(bench: &Bench, millis: u64) -> Jar {
    bench.clock.advance(Duration::from_millis(millis));
    bench.visitor().await
}

#[tokio::test]
async fn a_session_ends_not_before_the_idle_timeout_and_at_most_a_tenth_later() {
    for bench in drivers().await {
        for offset in OFFSETS {
            for (unused, lives) in
                [(ALMOST_IDLE, true), (IDLE + STEP, false), (IDLE + STEP + MOMENT, false)]
            {
                let step = u64::try_from(STEP.as_millis()).unwrap();
                let inside = bench.clock.now().as_millis() % step;
                let jar = visitor_after(&bench, step - inside + offset).await;
                bench.clock.advance(unused);
                let name = bench.read(&jar, "name").await;
                assert_eq!(name.is_some(), lives, "{} {offset} {unused:?}", bench.driver);
            }
        }
    }
}

#[tokio::test]
async fn the_instant_of_expiry_is_expired() {
    for bench in keepers().await {
        // The manual clock begins at a whole step, so nothing is rounded here.
        let (jar, other) = (bench.visitor().await, bench.visitor().await);
        bench.clock.advance(ALMOST_IDLE);
        assert!(bench.is_alive(&jar).await, "{}", bench.driver);
        bench.clock.advance(MOMENT);
        assert!(!bench.is_alive(&other).await, "{}", bench.driver);
        assert!(bench.is_alive(&jar).await, "{}: it was used a moment ago", bench.driver);
    }
}

#[tokio::test]
async fn every_use_renews_the_idle_timeout() {
    for bench in keepers().await {
        for write in [false, true] {
            let mut jar = visitor_after(&bench, 1234).await;
            let unused = jar.clone();
            let idle = bench.visitor().await;
            for round in 0..10 {
                bench.clock.advance(ALMOST_IDLE);
                let case = format!("{} {write} {round}", bench.driver);
                let name = bench
                    .ok(&mut jar, async |session| {
                        if write {
                            session.increment("uses", 1).await?;
                        }
                        session.get::<String>("name").await
                    })
                    .await;
                assert_eq!(name.as_deref(), Some("guest"), "{case}");
            }
            assert_eq!(unused.session(), jar.session(), "{}: no use sends a cookie", bench.driver);
            assert!(!bench.is_alive(&idle).await, "{}", bench.driver);
        }
    }
}

#[tokio::test]
async fn a_use_is_written_only_when_it_moves_the_deadline() {
    let store = Probe::default();
    let bench = in_a_store(store.clone());
    let mut jar = bench.visitor().await;
    let (_, before) = store.only().await;
    // How far the clock goes, and whether that reaches another step.
    for (advance, touches) in [
        (Duration::ZERO, false),
        (MOMENT, true),
        (MOMENT, false),
        (Duration::from_millis(719_998), false),
        (MOMENT, true),
        (3 * STEP, true),
        (Duration::ZERO, false),
    ] {
        bench.clock.advance(advance);
        store.take_calls();
        let (_, head) = bench
            .request(&mut jar, Client::Plain, 200, async |session| session.has("name").await)
            .await;
        assert!(head.set_cookies.is_empty());
        let calls = store.take_calls();
        let verbs: Vec<_> = calls.iter().map(|call| call.verb).collect();
        let expected = if touches { vec![Verb::Load, Verb::Touch] } else { vec![Verb::Load] };
        assert_eq!(verbs, expected, "{advance:?}");
        assert!(calls.iter().all(|call| call.bytes.is_none()), "a use carries no payload");
    }
    let (_, after) = store.only().await;
    assert_eq!(after.bytes, before.bytes);
    assert_eq!(after.version, before.version);
    assert!(after.expires_at > before.expires_at);
}

#[tokio::test]
async fn a_session_in_constant_use_is_touched_once_a_step() {
    let store = Probe::default();
    let bench = in_a_store(store.clone());
    let jar = bench.visitor().await;
    let steps = 3;
    for _ in 0..steps * STEP.as_secs() {
        bench.clock.advance(Duration::from_secs(1));
        assert!(bench.is_alive(&jar).await);
    }
    let verbs = store.take_verbs().into_iter();
    assert_eq!(verbs.filter(|verb| *verb == Verb::Touch).count() as u64, steps);
}

#[tokio::test]
async fn a_request_that_does_not_use_its_session_does_not_renew_it() {
    for bench in drivers().await {
        let mut jar = bench.visitor().await;
        bench.clock.advance(ALMOST_IDLE);
        bench.request(&mut jar, Client::Navigation, 200, async |_| ()).await;
        bench.clock.advance(STEP + MOMENT);
        assert!(!bench.is_alive(&jar).await, "{}", bench.driver);
    }
}

/// Uses a session often enough that only the absolute lifetime can end it; says for how long it lived.
async fn life(bench: &Bench, jar: &mut Jar, change: impl AsyncFn(u32) -> Change) -> Duration {
    let mut lived = Duration::ZERO;
    for round in 0..200 {
        bench.clock.advance(HOUR);
        lived += HOUR;
        let change = change(round).await;
        let handle = bench.open(jar, Client::Navigation, "POST");
        if handle.get::<String>("name").await.unwrap().is_none() {
            return lived;
        }
        match change {
            Change::Nothing => {}
            Change::Write => drop(handle.increment("uses", 1).await.unwrap()),
            Change::Token => handle.regenerate().await.unwrap(),
            Change::Owner(owner) => handle.set_owner(owner).await.unwrap(),
        }
        bench.answer(jar, &handle, 200).await.unwrap();
    }
    lived
}

#[derive(Clone, Copy)]
enum Change {
    Nothing,
    Write,
    Token,
    Owner(&'static str),
}

#[tokio::test]
async fn nothing_but_a_new_owner_extends_the_absolute_lifetime() {
    for (name, change, lives) in [
        ("reading", Change::Nothing, 1),
        ("writing", Change::Write, 1),
        ("a new token", Change::Token, 1),
        // The first of these is a new owner, an hour after the beginning; the others are not.
        ("the same owner", Change::Owner("42"), 2),
    ] {
        for bench in keepers_with(|config| config.lifetime(DAY)).await {
            let mut jar = bench.visitor().await;
            let lived = life(&bench, &mut jar, async |_| change).await;
            let expected = if lives == 1 { DAY } else { DAY + HOUR };
            assert_eq!(lived, expected, "{} {name}", bench.driver);
        }
    }
}

#[tokio::test]
async fn a_new_owner_begins_a_new_absolute_lifetime() {
    for bench in keepers_with(|config| config.lifetime(DAY)).await {
        let mut jar = bench.visitor().await;
        let login = async |round| if round == 9 { Change::Owner("42") } else { Change::Nothing };
        let lived = life(&bench, &mut jar, login).await;
        assert_eq!(lived, DAY + 10 * HOUR, "{}", bench.driver);
    }
}

#[tokio::test]
async fn the_absolute_lifetime_ends_to_the_millisecond() {
    let config = |config: Config| config.lifetime(HOUR).idle_timeout(HOUR);
    for (lived, lives) in [(Duration::from_millis(3_599_999), true), (HOUR, false)] {
        for bench in keepers_with(config).await {
            let jar = visitor_after(&bench, 12_345).await;
            bench.clock.advance(lived);
            assert_eq!(bench.is_alive(&jar).await, lives, "{} {lived:?}", bench.driver);
        }
    }
}

#[tokio::test]
async fn a_use_near_the_end_is_not_written_beyond_the_absolute_deadline() {
    let store = Probe::default();
    let clock = dframework_session::Clock::manual();
    let config = Config::new().lifetime(3 * HOUR).clock(clock.clone());
    let sessions = dframework_session::Sessions::from_store(store.clone(), &config).unwrap();
    let bench = Bench::new("store", sessions, clock);
    let deadline = bench.clock.now().saturating_add(3 * HOUR);
    let jar = bench.visitor().await;
    for _ in 0..17 {
        bench.clock.advance(HOUR / 6);
        assert!(bench.is_alive(&jar).await);
    }
    let (key, stored) = store.only().await;
    assert_eq!(stored.expires_at, deadline);
    assert!(matches!(store.at(key).await, Loaded::Live(_)));
    store.take_calls();
    assert!(bench.is_alive(&jar).await);
    assert_eq!(store.take_verbs(), [Verb::Load], "there is nothing more to write");
}

#[tokio::test]
async fn every_record_can_be_swept_when_its_time_is_over() {
    let store = Probe::default();
    let bench = in_a_store(store.clone());
    let mut jar = bench.visitor().await;
    bench.ok(&mut jar, async |session| session.regenerate().await).await;
    bench.clock.advance(IDLE + STEP);
    let swept = store.delete_expired(bench.clock.now(), 10).await.unwrap();
    assert_eq!(swept, 2, "the record and the tombstone that it left");
    assert!(!bench.is_alive(&jar).await);
}
