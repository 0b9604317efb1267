//! The contract in its simplest form: a sorted map behind one lock, where every operation is one step.
//!
//! It is no store for an application: nothing bounds it, and whoever uses it waits for everybody else.

use crate::{
    Change, Entry, Loaded, NewRecord, Outcome, Page, SessionId, Store, StoreError, StoreKey,
    Stored, Timestamp, Tombstone, Version,
};
use async_trait::async_trait;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The contract in its simplest form: a sorted map behind one lock.
///
/// Read it where a sentence of the contract leaves a question, and use it in tests as the store below a
/// [`Probe`](super::Probe). Clones share their records.
///
/// ```
/// use dframework_session_store::{
///     Change, NewRecord, Outcome, Store, StoreKey, Timestamp, Version, testing::ReferenceStore,
/// };
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let store = ReferenceStore::default();
/// let (key, now) = (StoreKey::from_bytes([1; 32]), Timestamp::from_millis(0));
/// let end = Timestamp::from_millis(60_000);
///
/// store.create(&key, NewRecord::new(b"one", now, end), now).await?;
/// store.end(&key, end).await?;
///
/// // What has ended is not made again.
/// let late = store.commit(&key, Version(1), Change::new(b"two", end)).await?;
/// assert_eq!(late, Outcome::Gone);
/// # Ok::<(), dframework_session_store::StoreError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct ReferenceStore(Arc<Mutex<Table>>);

type Table = BTreeMap<StoreKey, Slot>;

enum Slot {
    Record(Record),
    Ended { until: Timestamp },
}

#[derive(Clone)]
struct Record {
    stored: Stored,
    created: Timestamp,
    owner: Option<String>,
}

impl ReferenceStore {
    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing panics while the table is being changed, so a poisoned one is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shows how many keys are in use, never what is at them.
impl fmt::Debug for ReferenceStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReferenceStore").field("keys", &self.table().len()).finish()
    }
}

impl Slot {
    fn record(&self) -> Option<&Record> {
        if let Self::Record(record) = self { Some(record) } else { None }
    }

    /// An instant of expiry is already expired.
    fn is_over(&self, now: Timestamp) -> bool {
        let instant = match self {
            Self::Record(record) => record.stored.expires_at,
            Self::Ended { until } => *until,
        };
        instant <= now
    }
}

impl Record {
    fn entry(&self, key: &StoreKey) -> Entry {
        let mut entry = Entry::new(*key, self.created, self.stored.expires_at);
        entry.meta.clone_from(&self.stored.meta);
        entry
    }

    fn is_owned_by(&self, owner: &str) -> bool {
        self.owner.as_deref() == Some(owner)
    }
}

/// The records of a table in the order of their keys.
fn records(table: &Table) -> impl Iterator<Item = (&StoreKey, &Record)> {
    table.iter().filter_map(|(key, slot)| slot.record().map(|record| (key, record)))
}

fn behind(after: Option<&StoreKey>) -> (Bound<&StoreKey>, Bound<&StoreKey>) {
    (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
}

fn taken() -> StoreError {
    StoreError::refused("the key of a new record is taken")
}

#[async_trait]
impl Store for ReferenceStore {
    async fn load(&self, keys: &[StoreKey]) -> Result<Vec<Loaded>, StoreError> {
        let table = self.table();
        let loaded = keys.iter().map(|key| match table.get(key) {
            Some(Slot::Record(record)) => Loaded::Live(record.stored.clone()),
            Some(Slot::Ended { until }) => Loaded::Ended { until: *until },
            None => Loaded::Unknown,
        });
        Ok(loaded.collect())
    }

    async fn create(
        &self,
        key: &StoreKey,
        new: NewRecord<'_>,
        now: Timestamp,
    ) -> Result<Outcome, StoreError> {
        let mut table = self.table();
        let is_presented = new.presented.is_some_and(|presented| presented.key == *key);
        if is_presented || table.contains_key(key) {
            return Err(taken());
        }
        if let Some(Tombstone { key: presented, remember_until: until }) = new.presented {
            if table.get(&presented).is_some_and(|slot| !slot.is_over(now)) {
                return Ok(Outcome::Gone);
            }
            table.insert(presented, Slot::Ended { until });
        }
        let mut stored = Stored::new(new.bytes.to_vec(), Version(1), new.expires_at);
        stored.meta = new.meta.to_vec();
        let owner = new.owner.map(str::to_owned);
        table.insert(*key, Slot::Record(Record { stored, created: new.created, owner }));
        Ok(Outcome::Committed(Version(1)))
    }

    async fn commit(
        &self,
        key: &StoreKey,
        expected: Version,
        change: Change<'_>,
    ) -> Result<Outcome, StoreError> {
        let mut table = self.table();
        let Some(old) = table.get(key).and_then(Slot::record) else { return Ok(Outcome::Gone) };
        if old.stored.version != expected {
            return Ok(Outcome::Conflict);
        }
        let version = Version(expected.0 + 1);
        let mut stored = Stored::new(change.bytes.to_vec(), version, change.expires_at);
        stored.meta = change.meta.to_vec();
        let owner = change.owner.map(str::to_owned);
        let record = Slot::Record(Record { stored, created: old.created, owner });
        match change.move_to {
            Some(to) if table.contains_key(&to) => return Err(taken()),
            Some(to) => {
                table.insert(*key, Slot::Ended { until: change.remember_until });
                table.insert(to, record);
            }
            None => drop(table.insert(*key, record)),
        }
        Ok(Outcome::Committed(version))
    }

    async fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> Result<(), StoreError> {
        if let Some(Slot::Record(record)) = self.table().get_mut(key) {
            record.stored.expires_at = record.stored.expires_at.max(expires_at);
        }
        Ok(())
    }

    async fn end(&self, key: &StoreKey, remember_until: Timestamp) -> Result<bool, StoreError> {
        match self.table().get_mut(key) {
            Some(slot @ Slot::Record(_)) => {
                *slot = Slot::Ended { until: remember_until };
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    async fn delete_expired(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let mut table = self.table();
        let over = table.iter().filter(|(_, slot)| slot.is_over(now)).take(limit);
        let over: BTreeSet<_> = over.map(|(key, _)| *key).collect();
        table.retain(|key, _| !over.contains(key));
        Ok(over.len())
    }

    async fn find(&self, id: &SessionId) -> Result<Option<Entry>, StoreError> {
        let table = self.table();
        let found = records(&table).find(|(key, _)| key.id() == *id);
        Ok(found.map(|(key, record)| record.entry(key)))
    }

    async fn owned_by(
        &self,
        owner: &str,
        now: Timestamp,
        page: Page,
    ) -> Result<Vec<Entry>, StoreError> {
        let table = self.table();
        let behind =
            table.range(behind(page.after.as_ref())).filter(|(_, slot)| !slot.is_over(now));
        let theirs = behind.filter_map(|(key, slot)| {
            let record = slot.record().filter(|record| record.is_owned_by(owner))?;
            Some(record.entry(key))
        });
        Ok(theirs.take(page.limit).collect())
    }

    async fn end_owned_by(
        &self,
        owner: &str,
        except: Option<&StoreKey>,
        remember_until: Timestamp,
    ) -> Result<usize, StoreError> {
        let mut table = self.table();
        let mut ended = 0;
        for (_, slot) in table.iter_mut().filter(|(key, _)| Some(*key) != except) {
            if slot.record().is_some_and(|record| record.is_owned_by(owner)) {
                *slot = Slot::Ended { until: remember_until };
                ended += 1;
            }
        }
        Ok(ended)
    }

    async fn count(&self, now: Timestamp) -> Result<u64, StoreError> {
        let table = self.table();
        Ok(records(&table).filter(|(_, record)| now < record.stored.expires_at).count() as u64)
    }

    async fn scan(
        &self,
        after: Option<&StoreKey>,
        limit: usize,
    ) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        let table = self.table();
        let behind = table.range(behind(after));
        let records = behind.filter_map(|(key, slot)| Some((*key, slot.record()?.stored.clone())));
        Ok(records.take(limit).collect())
    }
}
