//! The table as a store like any other: for tests, and for whoever wants to pass one about.

use dframework_session_store::{
    Change, Entry, Loaded, NewRecord, Outcome, Page, SessionId, Store, StoreError, StoreKey,
    Stored, Timestamp, Version, async_trait,
};
use std::{fmt, sync::Arc};

use super::{Found, Keys, Memory};

/// Records in the memory of this process. They are lost when it ends; clones share them.
///
/// It is bounded. At a bound it frees what has expired, then gives up sessions that have no owner, of 16 sampled
/// ones that which would expire first; sessions with an owner and tombstones stay until their time. When those
/// fill it, making another is an error for which [`StoreError::is_full`] holds.
///
/// Loading, making and changing a record costs the same however many there are; [`Store::find`],
/// [`Store::count`] and [`Store::scan`] walk over all of them.
///
/// ```
/// use dframework_session::{
///     MemoryStore,
///     store::{Change, Loaded, NewRecord, Outcome, Store, StoreKey, Timestamp, Version},
/// };
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let store = MemoryStore::new();
/// let (key, now) = (StoreKey::from_bytes([1; 32]), Timestamp::from_millis(0));
/// let end = Timestamp::from_millis(60_000);
///
/// store.create(&key, NewRecord::new(b"one", now, end), now).await?;
/// store.commit(&key, Version(1), Change::new(b"two", end)).await?;
///
/// // Whoever read the first version finds out that there is a second.
/// let late = store.commit(&key, Version(1), Change::new(b"other", end)).await?;
/// assert_eq!(late, Outcome::Conflict);
/// assert!(matches!(&store.load(&[key]).await?[0], Loaded::Live(stored) if stored.bytes == b"two"));
/// # Ok::<(), dframework_session::store::StoreError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MemoryStore(Arc<Memory>);

/// A million sessions of 900 bytes fit both bounds; what is beyond that belongs into a database.
const MAX_SESSIONS: usize = 1_000_000;
const MAX_BYTES: usize = 1024 * 1024 * 1024;

impl MemoryStore {
    /// An empty store for a million sessions that take a gibibyte.
    pub fn new() -> Self {
        Self::with_limits(MAX_SESSIONS, MAX_BYTES)
    }

    /// An empty store for at most `max_sessions` records that take at most `max_bytes`, as
    /// [`MemoryStore::bytes`] counts them.
    pub fn with_limits(max_sessions: usize, max_bytes: usize) -> Self {
        Self(Arc::new(Memory::new(max_sessions, max_bytes, Keys::StoreKeys)))
    }

    /// Approximately the memory in use: records with owners, labels and headers, and tombstones.
    ///
    /// The tables that lead to them come on top: about 40 bytes for each, 60 more with an owner.
    pub fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

/// Shows the memory in use, never what is in it.
impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

impl From<Found> for Loaded {
    fn from(found: Found) -> Self {
        match found {
            Found::Live(kept) => Self::Live(kept.to_stored()),
            Found::Ended { until } => Self::Ended { until },
            Found::Unknown => Self::Unknown,
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn load(&self, keys: &[StoreKey]) -> Result<Vec<Loaded>, StoreError> {
        Ok(keys.iter().map(|key| self.0.load(key).into()).collect())
    }

    async fn create(
        &self,
        key: &StoreKey,
        new: NewRecord<'_>,
        now: Timestamp,
    ) -> Result<Outcome, StoreError> {
        self.0.create(key, &new, now).map(|(outcome, _)| outcome)
    }

    async fn commit(
        &self,
        key: &StoreKey,
        expected: Version,
        change: Change<'_>,
    ) -> Result<Outcome, StoreError> {
        self.0.commit(key, expected, &change).map(|(outcome, _)| outcome)
    }

    async fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> Result<(), StoreError> {
        self.0.touch(key, expires_at);
        Ok(())
    }

    async fn end(&self, key: &StoreKey, remember_until: Timestamp) -> Result<bool, StoreError> {
        Ok(self.0.end(key, remember_until))
    }

    async fn delete_expired(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        Ok(self.0.delete_expired(now, limit))
    }

    async fn find(&self, id: &SessionId) -> Result<Option<Entry>, StoreError> {
        Ok(self.0.find(id))
    }

    async fn owned_by(
        &self,
        owner: &str,
        now: Timestamp,
        page: Page,
    ) -> Result<Vec<Entry>, StoreError> {
        Ok(self.0.owned_by(owner, now, page))
    }

    async fn end_owned_by(
        &self,
        owner: &str,
        except: Option<&StoreKey>,
        remember_until: Timestamp,
    ) -> Result<usize, StoreError> {
        Ok(self.0.end_owned_by(owner, except, remember_until))
    }

    async fn count(&self, now: Timestamp) -> Result<u64, StoreError> {
        Ok(self.0.count(now))
    }

    async fn scan(
        &self,
        after: Option<&StoreKey>,
        limit: usize,
    ) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        let records = self.0.scan(after, limit);
        Ok(records.iter().map(|kept| (*kept.key(), kept.to_stored())).collect())
    }
}
