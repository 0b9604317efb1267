//! How many statements each call takes, that several of them are one transaction, and that calls which wait share them.
//!
//! A binary of its own: sqlx tells of statements on its own threads, so they can be counted for a whole process only.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use dframework_session_sqlx::{
    Options, SqlStore,
    sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use dframework_session_store::{
    Change, Loaded, NewRecord, Outcome, Page, Store, StoreKey, Timestamp, Tombstone, Version,
};
use std::{
    future::{Future, poll_fn},
    sync::{Mutex, PoisonError},
    task::Poll,
};
use tokio::sync::MutexGuard;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The first words of the statements since the last look.
fn take() -> Vec<String> {
    std::mem::take(&mut *TOLD.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Writes down what sqlx tells.
struct Listener;

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Summary);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Summary;

impl Visit for Summary {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "summary" {
            let first = value.split_whitespace().next().unwrap_or_default().to_owned();
            TOLD.lock().unwrap_or_else(PoisonError::into_inner).push(first);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

fn key(number: u8) -> StoreKey {
    StoreKey::from_bytes([number; 32])
}

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn new() -> NewRecord<'static> {
    let mut new = NewRecord::new(b"bytes", NOW, Timestamp::MAX);
    new.owner = Some("42");
    new
}

fn moving(to: u8) -> Change<'static> {
    let mut change = Change::new(b"moved", Timestamp::MAX);
    change.move_to = Some(key(to));
    change.remember_until = NOW;
    change
}

/// Whose test it is: of several at once, nobody could say whose statements are told.
async fn turn() -> MutexGuard<'static, ()> {
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let turn = TURN.lock().await;
    // The first one listens for all.
    let _ = tracing::subscriber::set_global_default(Listener);
    turn
}

/// In memory, with one connection for everybody: no pragma is asked between two calls.
async fn in_memory(options: Options) -> SqlStore {
    let memory = SqliteConnectOptions::new().filename(":memory:");
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(memory).await.unwrap();
    options.over(pool).unwrap()
}

/// With its table, and a record at each of the first forty keys.
async fn with_forty(options: Options) -> SqlStore {
    let store = in_memory(options).await;
    store.migrate().await.unwrap();
    for number in 0..40 {
        store.create(&key(number), NewRecord::new(b"bytes", NOW, NOW), NOW).await.unwrap();
    }
    take();
    store
}

/// Has all of these calls wait before a lane takes the first one, then gives their answers.
///
/// On a runtime with one thread, no lane runs while this one does.
async fn at_once<T>(calls: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut calls: Vec<_> = calls.map(Box::pin).collect();
    poll_fn(|context| {
        assert!(calls.iter_mut().all(|call| call.as_mut().poll(context).is_pending()));
        Poll::Ready(())
    })
    .await;
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await);
    }
    answers
}

#[tokio::test]
async fn loads_that_wait_are_one_statement() {
    let _turn = turn().await;
    let store = with_forty(SqlStore::options()).await;
    let keys: Vec<StoreKey> = (0..50).map(|number| key(number % 45)).collect();
    let loaded = at_once(keys.iter().map(|key| store.load(std::slice::from_ref(key)))).await;
    assert_eq!(take(), ["SELECT"]);
    for (number, loaded) in loaded.into_iter().enumerate() {
        let is_there = matches!(loaded.unwrap()[..], [Loaded::Live(_)]);
        assert_eq!(is_there, number % 45 < 40, "{number}");
    }
}

#[tokio::test]
async fn loads_of_several_keys_that_wait_get_their_own_answers() {
    let _turn = turn().await;
    let store = with_forty(SqlStore::options()).await;
    // Forwards, backwards, with what is not there, and one key twice.
    let asked = [vec![key(1), key(2)], vec![key(2), key(1), key(99)], vec![], vec![key(7), key(7)]];
    let alone = {
        let mut alone = Vec::new();
        for keys in &asked {
            alone.push(store.load(keys).await.unwrap());
        }
        alone
    };
    take();
    let together = at_once(asked.iter().map(|keys| store.load(keys))).await;
    assert_eq!(take(), ["SELECT"]);
    assert_eq!(together.into_iter().map(Result::unwrap).collect::<Vec<_>>(), alone);
}

#[tokio::test]
async fn writes_that_wait_are_one_transaction() {
    let _turn = turn().await;
    let store = with_forty(SqlStore::options()).await;
    let keys: Vec<StoreKey> = (0..40).map(key).collect();
    let change = Change::new(b"other", NOW);
    let saved = at_once(keys.iter().map(|key| store.commit(key, Version(1), change))).await;
    assert!(saved.into_iter().all(|saved| saved.unwrap() == Outcome::Committed(Version(2))));
    let told = take();
    assert_eq!((&*told[0], &*told[41]), ("BEGIN", "COMMIT"));
    assert_eq!((told.len(), &told[1..41]), (42, &vec!["UPDATE".to_owned(); 40][..]));
}

#[tokio::test]
async fn touches_of_a_session_that_wait_are_one_row_until_the_latest() {
    let _turn = turn().await;
    let store = with_forty(SqlStore::options()).await;
    let instants = (0..40).map(|number| Timestamp::from_millis(NOW.as_millis() + number * 7 % 40));
    let touched = at_once(instants.map(|instant| {
        let store = &store;
        async move { store.touch(&key(1), instant).await }
    }));
    assert!(touched.await.into_iter().all(|touched| touched.is_ok()));
    assert_eq!(take(), ["UPDATE"]);
    let Loaded::Live(stored) = store.load(&[key(1)]).await.unwrap().remove(0) else {
        panic!("a touch ends nothing");
    };
    assert_eq!(stored.expires_at.as_millis(), NOW.as_millis() + 39);
}

#[tokio::test]
async fn a_batch_has_a_key_once() {
    let _turn = turn().await;
    let store = with_forty(SqlStore::options()).await;
    let change = Change::new(b"other", NOW);
    let saved = at_once((0..3).map(|_| {
        let store = &store;
        async move { store.commit(&key(1), Version(1), change).await.unwrap() }
    }));
    assert_eq!(saved.await, [Outcome::Committed(Version(2)), Outcome::Conflict, Outcome::Conflict]);
    // One after the other, each by itself: a save that loses is looked at by both of its statements.
    assert_eq!(take(), ["UPDATE"; 5]);
}

#[tokio::test]
async fn a_batch_is_as_large_as_it_may_be() {
    let _turn = turn().await;
    for (largest, statements) in [(0, 40), (1, 40), (16, 3), (40, 1), (1_000, 1)] {
        let store = with_forty(SqlStore::options().largest_batch(largest)).await;
        let keys: Vec<StoreKey> = (0..40).map(key).collect();
        at_once(keys.iter().map(|key| store.load(std::slice::from_ref(key)))).await;
        assert_eq!(take(), vec!["SELECT"; statements], "{largest}");
    }
}

#[tokio::test]
async fn a_call_that_is_withdrawn_while_it_waits_is_not_carried_out() {
    let _turn = turn().await;
    let store = with_forty(SqlStore::options()).await;
    let keys: Vec<StoreKey> = (0..40).map(key).collect();
    let mut ends: Vec<_> = keys.iter().map(|key| Box::pin(store.end(key, NOW))).collect();
    poll_fn(|context| {
        assert!(ends.iter_mut().all(|end| end.as_mut().poll(context).is_pending()));
        Poll::Ready(())
    })
    .await;
    ends.truncate(3);
    for end in ends {
        assert!(end.await.unwrap());
    }
    assert_eq!(take(), ["BEGIN", "UPDATE", "UPDATE", "UPDATE", "COMMIT"]);
    assert_eq!(store.scan(None, 100).await.unwrap().len(), 37);
}

#[tokio::test]
async fn one_bad_row_fails_alone() {
    let _turn = turn().await;
    let store = with_forty(SqlStore::options()).await;
    let made = at_once((30..50).map(|number| {
        let store = &store;
        async move { store.create(&key(number), new(), NOW).await }
    }));
    for (number, made) in (30..50).zip(made.await) {
        match made {
            Ok(outcome) => assert_eq!(outcome, Outcome::Committed(Version(1)), "{number}"),
            Err(error) => assert!(number < 40 && error.to_string().contains("is taken")),
        }
    }
    let told = take();
    // Nothing is left of the batch; then each is by itself.
    let rest = told.iter().rposition(|statement| statement == "ROLLBACK").unwrap();
    assert_eq!(&told[rest + 1..], vec!["INSERT"; 20]);
    assert_eq!(store.scan(None, 100).await.unwrap().len(), 50);
}

#[tokio::test]
async fn every_call_is_one_statement_or_one_transaction() {
    let _turn = turn().await;
    let store = in_memory(SqlStore::options()).await;
    take();
    store.migrate().await.unwrap();
    let told = take();
    assert_eq!(
        (told.first().unwrap().as_str(), told.last().unwrap().as_str()),
        ("BEGIN", "COMMIT")
    );

    store.create(&key(1), new(), NOW).await.unwrap();
    assert_eq!(take(), ["INSERT"]);
    let mut over = new();
    over.presented = Some(Tombstone { key: key(2), remember_until: NOW });
    store.create(&key(3), over, NOW).await.unwrap();
    assert_eq!(take(), ["BEGIN", "INSERT", "INSERT", "COMMIT"]);

    // An ordinary and a permanent record at once.
    assert_eq!(store.load(&[key(1), key(3)]).await.unwrap().len(), 2);
    assert_eq!(take(), ["SELECT"]);
    store.load(&[key(1)]).await.unwrap();
    assert_eq!(take(), ["SELECT"]);
    store.load(&[]).await.unwrap();
    assert_eq!(take(), [""; 0]);

    // With other bytes alone; with another owner, of which the first statement knows nothing.
    let mut change = Change::new(b"other", Timestamp::MAX);
    change.owner = Some("42");
    store.commit(&key(1), Version(1), change).await.unwrap();
    assert_eq!(take(), ["UPDATE"]);
    store.commit(&key(1), Version(2), Change::new(b"other", Timestamp::MAX)).await.unwrap();
    assert_eq!(take(), ["UPDATE", "UPDATE"]);
    store.commit(&key(1), Version(3), moving(4)).await.unwrap();
    assert_eq!(take(), ["BEGIN", "UPDATE", "INSERT", "COMMIT"]);
    // One that is lost leaves nothing to be undone.
    store.commit(&key(1), Version(3), moving(5)).await.unwrap();
    assert_eq!(take(), ["BEGIN", "UPDATE", "COMMIT"]);
    store.commit(&key(4), Version(4), moving(3)).await.unwrap_err();
    assert_eq!(take(), ["BEGIN", "UPDATE", "INSERT", "ROLLBACK"]);

    store.touch(&key(4), Timestamp::MAX).await.unwrap();
    assert_eq!(take(), ["UPDATE"]);
    store.end(&key(4), NOW).await.unwrap();
    assert_eq!(take(), ["UPDATE"]);
    store.end_owned_by("42", None, NOW).await.unwrap();
    assert_eq!(take(), ["UPDATE"]);
    store.delete_expired(NOW, 500).await.unwrap();
    assert_eq!(take(), ["DELETE"]);
    store.find(&key(1).id()).await.unwrap();
    store.owned_by("42", NOW, Page { after: None, limit: 20 }).await.unwrap();
    store.count(NOW).await.unwrap();
    store.scan(None, 20).await.unwrap();
    assert_eq!(take(), ["SELECT"; 4]);
}
