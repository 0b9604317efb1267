//! How many statements each call takes, and that several of them are one transaction.
//!
//! A binary of its own: sqlx tells of statements on its own threads, so they can be counted for a whole process only.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use dframework_session_sqlx::{
    SqlStore,
    sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use dframework_session_store::{
    Change, NewRecord, Page, Store, StoreKey, Timestamp, Tombstone, Version,
};
use std::sync::{Mutex, PoisonError};
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

#[tokio::test]
async fn every_call_is_one_statement_or_one_transaction() {
    tracing::subscriber::set_global_default(Listener).unwrap();
    // In memory, with one connection for everybody: no pragma is asked between two calls.
    let options = SqliteConnectOptions::new().filename(":memory:");
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let store = SqlStore::new(pool);
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
