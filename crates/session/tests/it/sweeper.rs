//! The sweeper: what it deletes, how it goes on after failures, and when it stops.

use crate::{
    events::{Heard, listened_probe},
    stores::{Fault, Probe, Verb, in_a_probe},
    support::{Bench, DAY, Jar, yield_often},
};
use dframework_session::{Config, Event, Sessions, store::Store};
use std::time::Duration;

/// The longest pause between two sweeps that work.
const PAUSE: Duration = Duration::from_secs(90);

/// Lets time pass in steps, and whoever waited for it run.
async fn pass(time: Duration) {
    const STEP: Duration = Duration::from_millis(500);
    // What has been started begins to wait now, and not a step later.
    yield_often().await;
    for _ in 0..time.as_millis() / STEP.as_millis() {
        tokio::time::advance(STEP).await;
        tokio::task::yield_now().await;
    }
    yield_often().await;
}

/// How often the store was asked to delete since the last look.
fn sweeps(store: &Probe) -> usize {
    store.take_verbs().iter().filter(|verb| **verb == Verb::DeleteExpired).count()
}

/// Visitors whose sessions have expired.
async fn leave_expired(bench: &Bench, count: usize) {
    for _ in 0..count {
        bench.visitor().await;
    }
    bench.clock.advance(DAY);
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_is_deleted_and_what_lives_is_not() {
    let (store, bench) = in_a_probe();
    leave_expired(&bench, 3).await;
    let jar = bench.visitor().await;
    bench.sessions.start_sweeper();
    pass(PAUSE).await;
    assert_eq!(store.below().scan(None, 9).await.unwrap().len(), 1);
    assert_eq!(bench.read(&jar, "name").await.as_deref(), Some("guest"));
}

#[tokio::test(start_paused = true)]
async fn it_deletes_a_few_hundred_at_a_time_until_nothing_is_left() {
    let (store, bench) = in_a_probe();
    leave_expired(&bench, 1_100).await;
    store.take_calls();
    bench.sessions.start_sweeper();
    pass(PAUSE).await;
    assert!(store.below().scan(None, 9).await.unwrap().is_empty());
    // Three batches, and one that says that nothing is left; perhaps another sweep.
    assert!((4..=6).contains(&sweeps(&store)));
}

/// Has the next call for a deletion take so long, and says how many records it deleted.
async fn next_batch(store: &Probe, bench: &Bench, took: Duration) -> usize {
    while store.waiting() == 0 {
        pass(Duration::from_millis(500)).await;
    }
    let before = store.below().scan(None, usize::MAX).await.unwrap().len();
    bench.clock.advance(took);
    store.release();
    yield_often().await;
    before - store.below().scan(None, usize::MAX).await.unwrap().len()
}

#[tokio::test(start_paused = true)]
async fn it_deletes_fewer_at_a_time_where_the_store_is_slow_and_more_again_where_it_is_not() {
    const SLOW: Duration = Duration::from_millis(600);
    const FAST: Duration = Duration::from_millis(5);
    let (store, bench) = in_a_probe();
    leave_expired(&bench, 3_300).await;
    store.fail_every(Verb::DeleteExpired, Fault::Held);
    bench.sessions.start_sweeper();
    let mut batches = Vec::new();
    for took in [FAST, SLOW, SLOW, SLOW, SLOW, SLOW, SLOW, SLOW, FAST, FAST] {
        batches.push(next_batch(&store, &bench, took).await);
    }
    assert_eq!(batches, [500, 500, 250, 125, 100, 100, 100, 100, 100, 113]);
    // Neither fast nor slow.
    batches.push(next_batch(&store, &bench, Duration::from_millis(200)).await);
    assert_eq!(batches[10..], [128]);
    for next in [128, 145, 164, 185, 209, 236] {
        assert_eq!(next_batch(&store, &bench, FAST).await, next);
    }
}

#[tokio::test(start_paused = true)]
async fn it_deletes_fewer_after_a_call_that_was_not_answered() {
    let (store, bench) = in_a_probe();
    leave_expired(&bench, 1_000).await;
    store.fail_next(Verb::DeleteExpired, Fault::Unavailable);
    store.fail_every(Verb::DeleteExpired, Fault::Held);
    bench.sessions.start_sweeper();
    assert_eq!(next_batch(&store, &bench, Duration::ZERO).await, 250);
}

#[tokio::test(start_paused = true)]
async fn it_sweeps_again_and_again() {
    let (store, bench) = in_a_probe();
    bench.sessions.start_sweeper();
    for _ in 0..5 {
        leave_expired(&bench, 1).await;
        pass(PAUSE).await;
        assert!(store.below().scan(None, 9).await.unwrap().is_empty());
    }
    store.take_calls();
    pass(60 * PAUSE).await;
    let count = sweeps(&store);
    assert!((60..=180).contains(&count), "about once a minute: {count} in 90 minutes");
}

#[tokio::test(start_paused = true)]
async fn a_second_start_changes_nothing() {
    let (store, bench) = in_a_probe();
    for _ in 0..10 {
        bench.sessions.clone().start_sweeper();
    }
    pass(10 * PAUSE).await;
    let count = sweeps(&store);
    assert!((10..=30).contains(&count), "{count} in a quarter of an hour");
}

#[tokio::test(start_paused = true)]
async fn failures_are_told_and_do_not_end_it() {
    // However the store fails: at once, without an answer, or by hanging.
    for fault in Fault::FAILURES {
        let (store, bench, heard) = listened_probe();
        leave_expired(&bench, 1).await;
        heard.take();
        store.fail_every(Verb::DeleteExpired, fault);
        bench.sessions.start_sweeper();
        pass(2 * PAUSE).await;
        let told = heard.take();
        assert!(!told.is_empty(), "{fault:?}");
        for event in told {
            let Event::SweepFailed { error, .. } = &event else { panic!("{fault:?}: {event:?}") };
            assert!(error.is_unavailable(), "{fault:?}: {error}");
        }
        store.mend();
        leave_expired(&bench, 1).await;
        pass(20 * PAUSE).await;
        assert!(store.below().scan(None, 9).await.unwrap().is_empty(), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_failures_it_comes_less_often_and_then_as_before() {
    let (store, bench) = in_a_probe();
    store.fail_every(Verb::DeleteExpired, Fault::Unavailable);
    bench.sessions.start_sweeper();
    let day = 16 * 60 * PAUSE;
    pass(day).await;
    let count = sweeps(&store);
    assert!((60..=190).contains(&count), "about once in sixteen minutes: {count} in a day");
    store.mend();
    pass(20 * PAUSE).await;
    store.take_calls();
    pass(10 * PAUSE).await;
    let count = sweeps(&store);
    assert!((10..=30).contains(&count), "{count} in a quarter of an hour");
}

#[tokio::test(start_paused = true)]
async fn it_stops_with_the_last_of_its_sessions() {
    let (store, bench) = in_a_probe();
    bench.sessions.start_sweeper();
    let other = bench.sessions.clone();
    drop(bench);
    pass(PAUSE).await;
    assert!(sweeps(&store) > 0, "a clone is left");
    drop(other);
    pass(10 * PAUSE).await;
    assert_eq!(sweeps(&store), 0);
}

#[tokio::test(start_paused = true)]
async fn requests_go_on_while_it_waits_for_the_store() {
    let (store, bench) = in_a_probe();
    store.fail_every(Verb::DeleteExpired, Fault::Held);
    bench.sessions.start_sweeper();
    for _ in 0..PAUSE.as_secs() {
        pass(Duration::from_secs(1)).await;
        if store.waiting() > 0 {
            break;
        }
    }
    let mut jar = Jar::default();
    bench.ok(&mut jar, async |session| session.set("name", "visitor").await).await;
    assert_eq!(bench.read(&jar, "name").await.as_deref(), Some("visitor"));
    assert_eq!(store.waiting(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_swept_unless_it_was_started() {
    let (store, bench) = in_a_probe();
    pass(10 * PAUSE).await;
    assert_eq!((sweeps(&store), bench.driver), (0, "store"));
    let heard = Heard::default();
    let config = heard.listen(Config::from_toml("app.sessionDriver = 'memory'").unwrap());
    let sessions = Sessions::connect(&config).await.unwrap();
    sessions.start_sweeper();
    pass(PAUSE).await;
    assert_eq!(heard.names(), [""; 0], "in memory there is nothing to sweep");
}
