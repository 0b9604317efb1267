//! What the tests share: a folder of their own, stores and other connections on the database in it.

use dframework_session_sqlx::{
    SqlStore,
    sqlx::{
        Connection, SqliteConnection, SqlitePool,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
    },
};
use dframework_session_store::{
    Change, Loaded, NewRecord, Outcome, Store, StoreError, StoreKey, Stored, Timestamp, Version,
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

/// The instant at which the tests are.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
/// A minute later.
pub(crate) const LATER: Timestamp = Timestamp::from_millis(1_800_000_060_000);

/// A folder of one test, removed when it is over.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sqlx-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("sessions.db")
    }

    pub(crate) fn url(&self) -> String {
        format!("sqlite://{}", self.file().display())
    }

    /// A store on the file of this folder, with its table.
    pub(crate) async fn store(&self) -> SqlStore {
        let store = SqlStore::open(&self.url()).await.unwrap();
        store.migrate().await.unwrap();
        store
    }

    /// Connections in WAL mode that do not wait for the disk: nobody pulls the plug here.
    pub(crate) fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(self.file())
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Off)
    }

    /// Another connection to the file, as another process has one.
    pub(crate) async fn connect(&self) -> SqliteConnection {
        SqliteConnection::connect_with(&self.options()).await.unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A pool of so many connections.
pub(crate) fn pool(connections: u32, options: SqliteConnectOptions) -> SqlitePool {
    SqlitePoolOptions::new().max_connections(connections).connect_lazy_with(options)
}

/// A store with its table on a pool of so many connections.
pub(crate) async fn store_on(connections: u32, options: SqliteConnectOptions) -> SqlStore {
    let store = SqlStore::new(pool(connections, options));
    store.migrate().await.unwrap();
    store
}

pub(crate) fn key(number: u8) -> StoreKey {
    StoreKey::from_bytes([number; 32])
}

/// Makes a record at a key.
pub(crate) async fn make(
    store: &impl Store,
    key: StoreKey,
    bytes: &[u8],
) -> Result<Outcome, StoreError> {
    store.create(&key, NewRecord::new(bytes, NOW, Timestamp::MAX), NOW).await
}

/// Puts other bytes in the place of those with this version.
pub(crate) async fn save(
    store: &impl Store,
    key: StoreKey,
    version: u64,
    bytes: &[u8],
) -> Result<Outcome, StoreError> {
    store.commit(&key, Version(version), Change::new(bytes, Timestamp::MAX)).await
}

pub(crate) async fn at(store: &impl Store, key: StoreKey) -> Result<Loaded, StoreError> {
    Ok(store.load(&[key]).await?.remove(0))
}

/// What lives at a key.
pub(crate) async fn live(store: &impl Store, key: StoreKey) -> Option<Stored> {
    match at(store, key).await.unwrap() {
        Loaded::Live(stored) => Some(stored),
        _ => None,
    }
}

/// The bytes that live at a key.
pub(crate) async fn bytes(store: &impl Store, key: StoreKey) -> Option<Vec<u8>> {
    Some(live(store, key).await?.bytes)
}

/// An error with its causes, in one line.
pub(crate) fn in_full(error: &StoreError) -> String {
    let error: &dyn std::error::Error = error;
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
