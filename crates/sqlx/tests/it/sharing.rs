//! Several stores on one database, as several processes have them, and pools that the application uses too.

use crate::home::{Home, homes, on_servers};
use crate::support::{Folder, LATER, NOW, bytes, key, make, pool, save, store_on};
use crate::together::{all, wait};
use dframework_session_sqlx::{
    Pool, SqlStore,
    sqlx::{
        Executor, MySqlPool, PgPool,
        sqlite::{SqliteConnectOptions, SqliteJournalMode},
    },
};
use dframework_session_store::{
    Change, Entry, Loaded, NewRecord, Outcome, Page, SessionId, Store, StoreError, StoreKey,
    Stored, Timestamp, Version, async_trait,
    testing::{Fresh, acceptance_suite, cases},
};
use std::{
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// Stores on one database, of which each call takes the next: what one has answered, all know.
struct InTurns(Vec<SqlStore>, AtomicUsize);

impl InTurns {
    fn next(&self) -> &SqlStore {
        &self.0[self.1.fetch_add(1, Ordering::Relaxed) % self.0.len()]
    }
}

#[async_trait]
impl Store for InTurns {
    async fn load(&self, keys: &[StoreKey]) -> Result<Vec<Loaded>, StoreError> {
        self.next().load(keys).await
    }

    async fn create(
        &self,
        key: &StoreKey,
        new: NewRecord<'_>,
        now: Timestamp,
    ) -> Result<Outcome, StoreError> {
        self.next().create(key, new, now).await
    }

    async fn commit(
        &self,
        key: &StoreKey,
        expected: Version,
        change: Change<'_>,
    ) -> Result<Outcome, StoreError> {
        self.next().commit(key, expected, change).await
    }

    async fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> Result<(), StoreError> {
        self.next().touch(key, expires_at).await
    }

    async fn end(&self, key: &StoreKey, remember_until: Timestamp) -> Result<bool, StoreError> {
        self.next().end(key, remember_until).await
    }

    async fn delete_expired(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.next().delete_expired(now, limit).await
    }

    async fn find(&self, id: &SessionId) -> Result<Option<Entry>, StoreError> {
        self.next().find(id).await
    }

    async fn owned_by(
        &self,
        owner: &str,
        now: Timestamp,
        page: Page,
    ) -> Result<Vec<Entry>, StoreError> {
        self.next().owned_by(owner, now, page).await
    }

    async fn end_owned_by(
        &self,
        owner: &str,
        except: Option<&StoreKey>,
        remember_until: Timestamp,
    ) -> Result<usize, StoreError> {
        self.next().end_owned_by(owner, except, remember_until).await
    }

    async fn count(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.next().count(now).await
    }

    async fn scan(
        &self,
        after: Option<&StoreKey>,
        limit: usize,
    ) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        self.next().scan(after, limit).await
    }
}

/// Every sentence of the contract, histories of parallel calls among them, on two stores with one file.
mod the_contract_in_turns {
    use super::*;

    async fn fresh() -> impl Fresh {
        let folder = Folder::new();
        let mut stores = Vec::new();
        for _ in 0..2 {
            stores.push(store_on(10, folder.options()).await);
        }
        (InTurns(stores, AtomicUsize::new(0)), folder)
    }

    acceptance_suite!(fresh);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds_in_turns_on_every_server() {
    for home in on_servers() {
        for (number, case) in cases().into_iter().enumerate() {
            let mut stores = Vec::new();
            for _ in 0..2 {
                let options = SqlStore::options().table(format!("sessions_{number}"));
                stores.push(home.with(options).await);
            }
            let store = InTurns(stores, AtomicUsize::new(0));
            assert_eq!(case.run(store).await, Ok(()), "on {}", home.name());
        }
    }
}

async fn hold_the_contract(connections: u32, options: impl Fn(&Folder) -> SqliteConnectOptions) {
    for case in cases() {
        let folder = Folder::new();
        let store = store_on(connections, options(&folder)).await;
        case.run((store, folder)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds_on_a_pool_of_one_connection() {
    hold_the_contract(1, |_| SqliteConnectOptions::new().filename(":memory:")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds_without_wal_mode() {
    hold_the_contract(10, |folder| folder.options().journal_mode(SqliteJournalMode::Delete)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_sweepers_delete_what_has_expired_once_and_nothing_else() {
    const EXPIRED: usize = 1_000;
    for home in homes() {
        let store = home.store().await;
        let mut keys = (0..).map(|number: u32| {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&number.to_be_bytes());
            StoreKey::from_bytes(bytes)
        });
        for (key, expires_at) in keys.by_ref().zip([NOW; EXPIRED].into_iter().chain([LATER; 10])) {
            store.create(&key, NewRecord::new(b"bytes", NOW, expires_at), NOW).await.unwrap();
        }
        let mut sweepers = Vec::new();
        for _ in 0..4 {
            let store = home.store().await;
            sweepers.push(tokio::spawn(sweep(store)));
        }
        let mut sum = 0;
        for sweeper in sweepers {
            sum += sweeper.await.unwrap();
        }
        assert_eq!((sum, store.count(NOW).await.unwrap()), (EXPIRED, 10), "{}", home.name());
    }
}

/// Deletes what has expired until there is nothing left, and counts it.
async fn sweep(store: SqlStore) -> usize {
    let mut sum = 0;
    loop {
        match store.delete_expired(NOW, 60).await.unwrap() {
            0 => return sum,
            deleted => {
                assert!(deleted <= 60);
                sum += deleted;
            }
        }
    }
}

#[tokio::test]
async fn a_pool_can_be_closed_while_its_store_lives() {
    for connections in [1, 10] {
        let folder = Folder::new();
        let pool = pool(connections, folder.options());
        let store = SqlStore::new(pool.clone());
        store.migrate().await.unwrap();
        make(&store, key(1), b"bytes").await.unwrap();
        assert_eq!(bytes(&store, key(1)).await.as_deref(), Some(&b"bytes"[..]));
        let closed = tokio::time::timeout(Duration::from_mins(1), pool.close()).await;
        closed.expect("nothing holds a connection any more");
        let alone = "PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE";
        folder.connect().await.execute(alone).await.expect("nobody else has the file open");
        let error = save(&store, key(1), 1, b"other").await.unwrap_err();
        assert!(!error.outcome_is_unknown(), "{error}");
    }
}

#[tokio::test]
async fn a_pool_of_a_server_can_be_closed_while_its_store_works() {
    for home in on_servers() {
        let (pool, close): (Pool, Pin<Box<dyn Future<Output = ()> + Send>>) = match home {
            Home::Postgres(_) => {
                let pool = PgPool::connect_lazy(&home.url()).unwrap();
                (pool.clone().into(), Box::pin(async move { pool.close().await }))
            }
            _ => {
                let pool = MySqlPool::connect_lazy(&home.url()).unwrap();
                (pool.clone().into(), Box::pin(async move { pool.close().await }))
            }
        };
        let store = SqlStore::new(pool);
        store.migrate().await.unwrap();
        make(&store, key(1), b"bytes").await.unwrap();
        let saves = (2..40).map(|number| make(&store, key(number), b"bytes"));
        let saving = wait(saves).await;
        // Lanes begin to work on what waits.
        tokio::task::yield_now().await;
        let closed = tokio::time::timeout(Duration::from_mins(1), close);
        let (closed, saved) = tokio::join!(closed, all(saving));
        closed.expect("nothing holds a connection any more");
        let reader = home.store().await;
        for (number, saved) in (2..40).zip(saved) {
            let there = bytes(&reader, key(number)).await.is_some();
            match saved {
                Ok(_) => assert!(there, "{} {number}", home.name()),
                Err(error) => assert!(!there || error.outcome_is_unknown(), "{error}"),
            }
        }
        let error = save(&store, key(1), 1, b"other").await.unwrap_err();
        assert!(!error.outcome_is_unknown(), "{error}");
    }
}

#[test]
fn a_store_outlives_the_runtime_that_used_it_first() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for home in homes() {
        let store = runtime().block_on(home.store());
        for number in 1..=5 {
            let last = runtime();
            last.block_on(async {
                make(&store, key(number), b"bytes").await.unwrap();
                assert_eq!(bytes(&store, key(number)).await.as_deref(), Some(&b"bytes"[..]));
            });
            // It ends with a write under way, of which nobody is told.
            let store = store.clone();
            last.spawn(async move { make(&store, key(100 + number), b"bytes").await });
            drop(last);
        }
        runtime().block_on(async {
            for number in 1..=5 {
                // There, or not, and nobody is in the way.
                let there = bytes(&store, key(100 + number)).await;
                assert!(matches!(there.as_deref(), None | Some(b"bytes")), "{}", home.name());
                assert!(store.end(&key(number), LATER).await.unwrap(), "{}", home.name());
            }
        });
    }
}

#[tokio::test]
async fn the_application_uses_its_pool_beside_the_store() {
    let folder = Folder::new();
    let pool = pool(4, folder.options());
    let store = SqlStore::new(pool.clone());
    store.migrate().await.unwrap();
    for number in 1..=20 {
        make(&store, key(number), b"bytes").await.unwrap();
        bytes(&store, key(number)).await.unwrap();
        // Of four connections, the lanes hold three.
        let mut own = pool.acquire().await.unwrap();
        let count = "SELECT count(*) FROM sessions";
        let count = dframework_session_sqlx::sqlx::query_scalar::<_, u8>(count);
        assert_eq!(count.fetch_one(&mut *own).await.unwrap(), number);
    }
}
