//! The calls of a store as data: what a lane needs to carry them out, whatever the database is.

use crate::lanes::Job;
use dframework_session_store::{
    Change, Entry, Loaded, NewRecord, Outcome, Page, SessionId, StoreKey, Stored, Timestamp,
    Tombstone, Version,
};
use std::sync::atomic::AtomicU64;

/// A call that reads.
pub(crate) enum Read {
    Load(Job<Load, Vec<Loaded>>),
    Find(Job<Find, Option<Entry>>),
    OwnedBy(Job<OwnedBy, Vec<Entry>>),
    Count(Job<Count, u64>),
    Scan(Job<Scan, Vec<(StoreKey, Stored)>>),
}

/// A call that writes.
pub(crate) enum Write {
    Create(Job<Create, Outcome>),
    Commit(Job<Commit, Outcome>),
    Touch(Job<Touch, ()>),
    End(Job<End, bool>),
    DeleteExpired(Job<DeleteExpired, usize>),
    EndOwnedBy(Job<EndOwnedBy, usize>),
    Migrate(Job<Migrate, ()>),
}

/// Reads what is at keys, in their order.
pub(crate) struct Load {
    pub(crate) keys: Vec<StoreKey>,
}

/// Finds a record by the first half of its key.
pub(crate) struct Find {
    pub(crate) id: SessionId,
}

/// Lists the records of an owner.
pub(crate) struct OwnedBy {
    pub(crate) owner: String,
    pub(crate) now: Timestamp,
    pub(crate) page: Page,
}

/// Counts what lives.
pub(crate) struct Count {
    pub(crate) now: Timestamp,
}

/// Reads records in the order of their keys.
pub(crate) struct Scan {
    pub(crate) after: Option<StoreKey>,
    pub(crate) limit: usize,
}

/// What a record is to be.
pub(crate) struct Record {
    pub(crate) expires_at: Timestamp,
    pub(crate) owner: Option<String>,
    pub(crate) meta: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

/// Makes a record, and ends the key that its request has brought.
pub(crate) struct Create {
    pub(crate) key: StoreKey,
    pub(crate) record: Record,
    pub(crate) created: Timestamp,
    pub(crate) presented: Option<Tombstone>,
    pub(crate) now: Timestamp,
}

impl Create {
    pub(crate) fn new(key: StoreKey, new: &NewRecord<'_>, now: Timestamp) -> Self {
        let record = Record {
            expires_at: new.expires_at,
            owner: new.owner.map(str::to_owned),
            meta: new.meta.to_vec(),
            payload: new.bytes.to_vec(),
        };
        Self { key, record, created: new.created, presented: new.presented, now }
    }
}

/// Replaces a record that has the version which somebody has seen.
pub(crate) struct Commit {
    pub(crate) key: StoreKey,
    pub(crate) expected: Version,
    pub(crate) record: Record,
    pub(crate) move_to: Option<StoreKey>,
    pub(crate) remember_until: Timestamp,
}

impl Commit {
    pub(crate) fn new(key: StoreKey, expected: Version, change: &Change<'_>) -> Self {
        let record = Record {
            expires_at: change.expires_at,
            owner: change.owner.map(str::to_owned),
            meta: change.meta.to_vec(),
            payload: change.bytes.to_vec(),
        };
        let Change { move_to, remember_until, .. } = *change;
        Self { key, expected, record, move_to, remember_until }
    }

    /// The version that is expected, as it stands in its column; `None` where no record has it, since the column could
    /// not hold it.
    pub(crate) fn version(&self) -> Option<i64> {
        i64::try_from(self.expected.0).ok()
    }

    /// What it means that this many rows had the version. A record that is gone looks like a conflict: whoever
    /// loads it again learns that.
    pub(crate) fn outcome(&self, rows: u64) -> Outcome {
        if rows == 0 { Outcome::Conflict } else { Outcome::Committed(Version(self.expected.0 + 1)) }
    }
}

/// Lets a record live longer.
pub(crate) struct Touch {
    pub(crate) key: StoreKey,
    pub(crate) expires_at: Timestamp,
}

/// Puts a tombstone in the place of a record.
pub(crate) struct End {
    pub(crate) key: StoreKey,
    pub(crate) remember_until: Timestamp,
}

/// Deletes some of what has expired.
pub(crate) struct DeleteExpired {
    pub(crate) now: Timestamp,
    pub(crate) limit: usize,
}

/// Puts tombstones in the place of an owner's records.
pub(crate) struct EndOwnedBy {
    pub(crate) owner: String,
    pub(crate) except: Option<StoreKey>,
    pub(crate) remember_until: Timestamp,
    /// How many have been ended so far, where it takes several rounds.
    pub(crate) ended: AtomicU64,
}

/// Makes the table, or brings it up to date.
pub(crate) struct Migrate;
