//! What goes into a store and what comes out of it.

use crate::{StoreKey, Timestamp};
use std::fmt;

/// Which state of a record somebody has seen. A commit that names an old one is a conflict.
///
/// Every commit gives a record a version that it never had before, wherever it has moved. They need not be in
/// any order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Version(pub u64);

/// What is at a key.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Loaded {
    /// A record. It may have expired: the caller judges that by its own clock.
    Live(Stored),
    /// A record was here and has ended, or a request brought this key and was given another.
    Ended {
        /// When the store may forget that.
        until: Timestamp,
    },
    /// Nothing is known of this key.
    Unknown,
}

/// A record, as a store keeps it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stored {
    /// The bytes that were committed, unchanged.
    pub bytes: Vec<u8>,
    /// The version of these bytes.
    pub version: Version,
    /// When the record expires, as last committed or touched.
    pub expires_at: Timestamp,
    /// The label that was committed with the bytes.
    pub meta: Vec<u8>,
}

impl Stored {
    /// A record with an empty label.
    pub fn new(bytes: Vec<u8>, version: Version, expires_at: Timestamp) -> Self {
        Self { bytes, version, expires_at, meta: Vec::new() }
    }
}

/// Shows sizes and times, never the bytes.
impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored")
            .field("bytes", &self.bytes.len())
            .field("version", &self.version)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// That a key has ended, and how long to remember it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tombstone {
    /// The key that must not be used again.
    pub key: StoreKey,
    /// When the store may forget that.
    pub remember_until: Timestamp,
}

/// A record that is to be made.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct NewRecord<'a> {
    /// The record. At most 1 MiB.
    pub bytes: &'a [u8],
    /// When the session began.
    pub created: Timestamp,
    /// When the record expires.
    pub expires_at: Timestamp,
    /// Whose session it is: any text of 1 to 255 bytes.
    pub owner: Option<&'a str>,
    /// A label for lists, at most 256 bytes.
    pub meta: &'a [u8],
    /// The key that the request brought and that was unknown: it ends in the same step.
    pub presented: Option<Tombstone>,
}

impl<'a> NewRecord<'a> {
    /// A record without owner and label, for a request that brought no key.
    pub fn new(bytes: &'a [u8], created: Timestamp, expires_at: Timestamp) -> Self {
        Self { bytes, created, expires_at, owner: None, meta: &[], presented: None }
    }
}

/// Shows sizes and times, never the bytes or the owner.
impl fmt::Debug for NewRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewRecord")
            .field("bytes", &self.bytes.len())
            .field("created", &self.created)
            .field("expires_at", &self.expires_at)
            .field("presented", &self.presented)
            .finish_non_exhaustive()
    }
}

/// What a record is to become.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Change<'a> {
    /// The record. At most 1 MiB.
    pub bytes: &'a [u8],
    /// When the record expires.
    pub expires_at: Timestamp,
    /// Whose session it is from now on: any text of 1 to 255 bytes.
    pub owner: Option<&'a str>,
    /// A label for lists, at most 256 bytes.
    pub meta: &'a [u8],
    /// The key, never used before, to which the record moves; a tombstone stays at the old one.
    pub move_to: Option<StoreKey>,
    /// When the store may forget the tombstone of a move.
    pub remember_until: Timestamp,
}

impl<'a> Change<'a> {
    /// New bytes for a record that stays where it is, without owner and label.
    pub fn new(bytes: &'a [u8], expires_at: Timestamp) -> Self {
        let remember_until = Timestamp::from_millis(0);
        Self { bytes, expires_at, owner: None, meta: &[], move_to: None, remember_until }
    }
}

/// Shows sizes and times, never the bytes or the owner.
impl fmt::Debug for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("bytes", &self.bytes.len())
            .field("expires_at", &self.expires_at)
            .field("moves", &self.move_to.is_some())
            .finish_non_exhaustive()
    }
}

/// What became of a `create` or a `commit`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// The whole step was done; the record has this version now.
    Committed(Version),
    /// Nothing was done: the record has another version than the one named.
    Conflict,
    /// Nothing was done: there is no record, or the presented key has ended.
    Gone,
}

/// One line in a list of sessions.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// Where the record is.
    pub key: StoreKey,
    /// When the session began.
    pub created: Timestamp,
    /// When the record expires.
    pub expires_at: Timestamp,
    /// The label that was committed with the record.
    pub meta: Vec<u8>,
}

impl Entry {
    /// An entry with an empty label.
    pub fn new(key: StoreKey, created: Timestamp, expires_at: Timestamp) -> Self {
        Self { key, created, expires_at, meta: Vec::new() }
    }
}

/// Which part of a list to read, in the order of keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    /// Start behind this key; `None` starts at the first.
    pub after: Option<StoreKey>,
    /// How many entries to return at most.
    pub limit: usize,
}
