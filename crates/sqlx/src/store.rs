//! The store: turns calls into jobs for its lanes.

use crate::{
    Options, Pool,
    calls::{
        Commit, Count, Create, DeleteExpired, End, EndOwnedBy, Find, Load, Migrate, OwnedBy, Read,
        Scan, Touch, Write,
    },
    lane::Backend,
    lanes::{Entrance, Job, queue},
};
use dframework_session_store::{
    Change, Entry, Loaded, NewRecord, Outcome, Page, SessionId, Store, StoreError, StoreKey,
    Stored, Timestamp, Version, async_trait,
};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    time::Duration,
};
use tokio::runtime::Handle;

/// Records in a table of a database. Clones share everything.
///
/// Calls run in tasks of the runtime in which the first of them was made; if that runtime ends, the next call starts
/// anew in its own. The connections are closed when the last clone is dropped.
#[derive(Clone)]
pub struct SqlStore(Arc<Shared>);

struct Shared {
    backend: Arc<dyn Backend>,
    patience: Duration,
    largest_batch: usize,
    /// `None` before the first call.
    entrances: Mutex<Option<Entrances>>,
}

#[derive(Clone)]
struct Entrances {
    reads: Entrance<Read>,
    writes: Entrance<Write>,
}

impl SqlStore {
    /// A store on a pool of the application, in the table `sessions`: see [`Options::over`].
    ///
    /// Once the pool is closed, calls fail; its connections are given back at once.
    ///
    /// ```
    /// use dframework_session_sqlx::{SqlStore, sqlx::sqlite::*};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let file = std::env::temp_dir().join(format!("sqlx-own-{}.db", std::process::id()));
    /// let options = SqliteConnectOptions::new()
    ///     .filename(&file)
    ///     .create_if_missing(true)
    ///     .journal_mode(SqliteJournalMode::Wal);
    /// let pool = SqlitePoolOptions::new().connect_with(options).await?;
    /// let store = SqlStore::new(pool.clone());
    /// store.migrate().await?;
    /// # drop(store);
    /// # pool.close().await;
    /// # std::fs::remove_file(file)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(pool: impl Into<Pool>) -> Self {
        let options = Options::default();
        let most = options.largest_batch;
        Self::build(pool.into().backend(options), most)
    }

    /// A store with other options than the defaults.
    pub fn options() -> Options {
        Options::default()
    }

    /// A store on the database at this URL: `sqlite://data/sessions.db`, `postgres://user:password@host/name` or
    /// `mariadb://user:password@host/name`.
    ///
    /// SQLite's folder and file are made where they are missing, the file for the user of the process alone. It is
    /// opened in WAL mode, and a commit is on the disk before it is answered (`synchronous = FULL`). A server is
    /// connected to once, to see whether that can be done.
    ///
    /// Behind a pooler that gives every transaction another connection, such as PgBouncer with
    /// `pool_mode = transaction`, the URL of PostgreSQL ends in `?statement-cache-capacity=0`. Then every statement is
    /// one message, with its values in it, and leaves nothing behind on the connection.
    ///
    /// # Errors
    ///
    /// The URL is of another database than the features that are on. SQLite's folder or file cannot be made or opened,
    /// or the file is no database. The server cannot be reached, or lets the user not in. The message names what it is
    /// about, and no password.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::options().open(url).await
    }

    pub(crate) fn build(
        (backend, patience): (Arc<dyn Backend>, Duration),
        largest_batch: usize,
    ) -> Self {
        Self(Arc::new(Shared { backend, patience, largest_batch, entrances: Mutex::default() }))
    }

    /// Makes the table, or brings an older one up to date. Several processes may do so at once.
    ///
    /// # Errors
    ///
    /// The database cannot be reached or written. There is a table of this name that the library has not made, or one
    /// of a newer version of the library, which this version must not touch.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        self.write(Write::Migrate, Migrate).await
    }

    /// The SQL that makes the table as this version needs it, for those who make their tables themselves.
    pub fn schema_sql(&self) -> String {
        self.0.backend.schema_sql()
    }

    async fn read<O, A>(
        &self,
        wrap: impl FnOnce(Job<O, A>) -> Read,
        operation: O,
    ) -> Result<A, StoreError> {
        self.entrances()?.reads.ask(wrap, operation, self.0.patience).await
    }

    async fn write<O, A>(
        &self,
        wrap: impl FnOnce(Job<O, A>) -> Write,
        operation: O,
    ) -> Result<A, StoreError> {
        self.entrances()?.writes.ask(wrap, operation, self.0.patience).await
    }

    /// Where calls are put; starts the lanes if there are none.
    fn entrances(&self) -> Result<Entrances, StoreError> {
        // Nothing panics while the lanes are being started, so a poisoned lock is whole.
        let mut entrances = self.0.entrances.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = &*entrances
            && !open.reads.is_closed()
            && !open.writes.is_closed()
        {
            return Ok(open.clone());
        }
        let runtime = Handle::try_current().map_err(|error| {
            StoreError::unavailable("there is no runtime to talk to the database in")
                .with_source(error)
        })?;
        let started = self.start(&runtime);
        *entrances = Some(started.clone());
        Ok(started)
    }

    fn start(&self, runtime: &Handle) -> Entrances {
        let most = self.0.largest_batch;
        let ((reads, waiting_reads), (writes, waiting_writes)) = (queue(most), queue(most));
        self.0.backend.clone().start(runtime, waiting_reads, waiting_writes);
        Entrances { reads, writes }
    }
}

/// Shows the table and the database.
impl fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore")
            .field("table", &self.0.backend.table())
            .field("database", &self.0.backend.database())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for SqlStore {
    async fn load(&self, keys: &[StoreKey]) -> Result<Vec<Loaded>, StoreError> {
        self.read(Read::Load, Load { keys: keys.to_vec() }).await
    }

    async fn create(
        &self,
        key: &StoreKey,
        new: NewRecord<'_>,
        now: Timestamp,
    ) -> Result<Outcome, StoreError> {
        self.write(Write::Create, Create::new(*key, &new, now)).await
    }

    async fn commit(
        &self,
        key: &StoreKey,
        expected: Version,
        change: Change<'_>,
    ) -> Result<Outcome, StoreError> {
        self.write(Write::Commit, Commit::new(*key, expected, &change)).await
    }

    async fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> Result<(), StoreError> {
        self.write(Write::Touch, Touch { key: *key, expires_at }).await
    }

    async fn end(&self, key: &StoreKey, remember_until: Timestamp) -> Result<bool, StoreError> {
        self.write(Write::End, End { key: *key, remember_until }).await
    }

    async fn delete_expired(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.write(Write::DeleteExpired, DeleteExpired { now, limit }).await
    }

    async fn find(&self, id: &SessionId) -> Result<Option<Entry>, StoreError> {
        self.read(Read::Find, Find { id: *id }).await
    }

    async fn owned_by(
        &self,
        owner: &str,
        now: Timestamp,
        page: Page,
    ) -> Result<Vec<Entry>, StoreError> {
        self.read(Read::OwnedBy, OwnedBy { owner: owner.to_owned(), now, page }).await
    }

    async fn end_owned_by(
        &self,
        owner: &str,
        except: Option<&StoreKey>,
        remember_until: Timestamp,
    ) -> Result<usize, StoreError> {
        let operation = EndOwnedBy {
            owner: owner.to_owned(),
            except: except.copied(),
            remember_until,
            ended: AtomicU64::new(0),
        };
        self.write(Write::EndOwnedBy, operation).await
    }

    async fn count(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.read(Read::Count, Count { now }).await
    }

    async fn scan(
        &self,
        after: Option<&StoreKey>,
        limit: usize,
    ) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        self.read(Read::Scan, Scan { after: after.copied(), limit }).await
    }
}
