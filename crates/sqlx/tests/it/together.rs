//! Calls that wait go to the database together, and nobody can tell but by the time.

use crate::support::{Folder, LATER, NOW, at, bytes, in_full, key, make, pool, save, store_on};
use dframework_session_sqlx::{SqlStore, sqlx::Executor};
use dframework_session_store::{
    Change, Loaded, NewRecord, Outcome, Store, StoreKey, Timestamp, Version, testing::cases,
};
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

type Waiting<'a, T> = Vec<Pin<Box<dyn Future<Output = T> + Send + 'a>>>;

/// Has all of these calls wait. On a runtime with one thread, no lane runs meanwhile.
async fn wait<'a, T>(
    calls: impl Iterator<Item = impl Future<Output = T> + Send + 'a>,
) -> Waiting<'a, T> {
    let mut calls: Waiting<'a, T> = calls.map(|call| Box::pin(call) as _).collect();
    poll_fn(|context| {
        assert!(calls.iter_mut().all(|call| call.as_mut().poll(context).is_pending()));
        Poll::Ready(())
    })
    .await;
    calls
}

async fn all<T>(calls: Waiting<'_, T>) -> Vec<T> {
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await);
    }
    answers
}

/// A record at each of the keys 0 to 39.
async fn make_forty(store: &SqlStore) {
    for number in 0..40 {
        make(store, key(number), b"bytes").await.unwrap();
    }
}

#[tokio::test]
async fn a_full_database_lets_sessions_end_that_wait_with_what_has_no_room() {
    let folder = Folder::new();
    let options = folder.options().pragma("max_page_count", "60");
    let store = store_on(10, options).await;
    make_forty(&store).await;
    let large = vec![7; 500_000];
    let calls = (0..20).map(|number| {
        let (store, large) = (&store, &large);
        async move {
            match number % 2 {
                0 => store.end(&key(number), LATER).await.map(|ended| assert!(ended)),
                _ => save(store, key(number), 1, large).await.map(drop),
            }
        }
    });
    for (number, answer) in (0..20).zip(all(wait(calls).await).await) {
        match (number % 2, answer) {
            (0, answer) => answer.unwrap(),
            (_, answer) => assert!(answer.unwrap_err().is_full(), "{number}"),
        }
    }
    for number in 0..20 {
        match at(&store, key(number)).await.unwrap() {
            Loaded::Ended { .. } => assert_eq!(number % 2, 0),
            loaded => assert!(matches!(loaded, Loaded::Live(live) if live.bytes == b"bytes")),
        }
    }
}

#[tokio::test]
async fn a_lock_that_is_held_for_too_long_fails_all_that_wait_with_nothing_done() {
    let folder = Folder::new();
    make_forty(&folder.store().await).await;
    let options = SqlStore::options().busy_timeout(Duration::from_millis(50));
    let store = options.over(pool(10, folder.options())).unwrap();
    let mut other = folder.connect().await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let calls = (0..20).map(|number| save(&store, key(number), 1, b"other"));
    for answer in all(wait(calls).await).await {
        let error = answer.unwrap_err();
        assert!(!error.outcome_is_unknown());
        // Each of them is told all that is known.
        assert!(in_full(&error).contains("is locked by somebody else: "), "{}", in_full(&error));
        assert!(in_full(&error).contains("database is locked"), "{}", in_full(&error));
    }
    other.execute("COMMIT").await.unwrap();
    for number in 0..20 {
        assert_eq!(bytes(&store, key(number)).await.as_deref(), Some(&b"bytes"[..]));
    }
}

#[tokio::test]
async fn a_batch_that_a_lane_has_taken_is_whole_though_callers_go() {
    let folder = Folder::new();
    let options = SqlStore::options().busy_timeout(Duration::from_mins(1));
    let store = options.over(pool(10, folder.options())).unwrap();
    store.migrate().await.unwrap();
    make_forty(&store).await;
    let mut other = folder.connect().await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let mut taken = wait((0..20).map(|number| save(&store, key(number), 1, b"other"))).await;
    // The lane takes them all, and finds the lock.
    tokio::task::yield_now().await;
    let mut waiting = wait((20..40).map(|number| save(&store, key(number), 1, b"other"))).await;
    taken.truncate(1);
    waiting.truncate(1);
    other.execute("COMMIT").await.unwrap();
    taken.append(&mut waiting);
    for answer in all(taken).await {
        assert_eq!(answer.unwrap(), Outcome::Committed(Version(2)));
    }
    for number in 0..40 {
        let expected = if number <= 20 { &b"other"[..] } else { b"bytes" };
        assert_eq!(bytes(&store, key(number)).await.as_deref(), Some(expected), "{number}");
    }
}

/// A key that no case uses, of one of several strangers.
fn stranger(task: u64, number: u64) -> StoreKey {
    let mut bytes = [0xee; 32];
    bytes[..8].copy_from_slice(&task.to_be_bytes());
    bytes[8..16].copy_from_slice(&number.to_be_bytes());
    StoreKey::from_bytes(bytes)
}

/// Uses a store without a pause until it is told to stop, and holds every answer against what it must be.
async fn use_without_a_pause(store: SqlStore, task: u64, stop: Arc<AtomicBool>) {
    for number in 0.. {
        let key = stranger(task, number);
        let made = store.create(&key, NewRecord::new(b"0", NOW, LATER), NOW).await.unwrap();
        assert_eq!(made, Outcome::Committed(Version(1)));
        for version in 1..4 {
            let bytes = version.to_string();
            let change = Change::new(bytes.as_bytes(), LATER);
            let saved = store.commit(&key, Version(version), change).await.unwrap();
            assert_eq!(saved, Outcome::Committed(Version(version + 1)));
            store.touch(&key, Timestamp::MAX).await.unwrap();
            let loaded = store.load(&[stranger(task, u64::MAX), key]).await.unwrap();
            let [Loaded::Unknown, Loaded::Live(stored)] = &loaded[..] else { panic!("{loaded:?}") };
            assert_eq!((&*stored.bytes, stored.expires_at), (bytes.as_bytes(), Timestamp::MAX));
        }
        assert!(store.end(&key, LATER).await.unwrap());
        assert!(!store.end(&key, LATER).await.unwrap());
        if stop.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// What several do at once at a few keys can be put into one order, while others fill the batches.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_operations_have_one_order_in_batches_of_any_size() {
    let name = "parallel_operations_can_be_put_into_one_order_for_each_key";
    let case = cases().into_iter().find(|case| case.name() == name).unwrap();
    for largest in [1, 2, 128] {
        let folder = Folder::new();
        let options = SqlStore::options().largest_batch(largest);
        let store = options.over(pool(10, folder.options())).unwrap();
        store.migrate().await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let strangers: Vec<_> = (0..20)
            .map(|task| tokio::spawn(use_without_a_pause(store.clone(), task, stop.clone())))
            .collect();
        case.run((store, folder)).await.unwrap();
        stop.store(true, Ordering::Relaxed);
        for stranger in strangers {
            stranger.await.unwrap();
        }
    }
}
