//! The trait that every store implements.

use crate::{
    Change, Entry, Loaded, NewRecord, Outcome, Page, SessionId, StoreError, StoreKey, Stored,
    Timestamp, Version,
};
use async_trait::async_trait;

/// A place that keeps records.
///
/// Operations on one key are linearizable, whichever process calls them. None of them is retried inside the
/// store unless its outcome is known.
///
/// An instant of expiry is already expired: a record or tombstone is over by `now` when its instant is `now` or
/// earlier. An operation that is given no instant takes what is over for what it was. It stands until it is
/// deleted, by [`Store::delete_expired`] or by the store itself once it was given an instant by which it is over.
///
/// A caller whose time is over drops the call. What was asked is then carried out whole, at once or a little
/// later, or not at all, and the store goes on to work.
///
/// # Errors
///
/// Every operation fails with a [`StoreError`] when the store cannot be reached or refuses; whether something
/// was done then, [`StoreError::outcome_is_unknown`] says.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Reads what is at these keys, in their order, in one round trip: one answer for each, also for a key that
    /// comes twice.
    ///
    /// Expired records and tombstones are returned until they are deleted: the caller judges by its own clock.
    async fn load(&self, keys: &[StoreKey]) -> Result<Vec<Loaded>, StoreError>;

    /// Makes a record at a key that was never used.
    ///
    /// With [`NewRecord::presented`], the same step puts a tombstone over nothing at that key, or over what had
    /// expired by `now`; anything else there is [`Outcome::Gone`] and nothing is made. A `key` that is taken, by a
    /// record, a tombstone or the presented key itself, is an error, and nothing is made.
    async fn create(
        &self,
        key: &StoreKey,
        new: NewRecord<'_>,
        now: Timestamp,
    ) -> Result<Outcome, StoreError>;

    /// Replaces the record at `key` if it still has the version `expected`, in one atomic step.
    ///
    /// With [`Change::move_to`] the record moves to that key, and a tombstone stays at the old one; where that key
    /// is taken, it is an error and nothing is changed. A record that is not there is never made: that is
    /// [`Outcome::Gone`]. A store that cannot tell the two apart may
    /// answer [`Outcome::Conflict`] for a record that is gone, never `Gone` for one that lives.
    async fn commit(
        &self,
        key: &StoreKey,
        expected: Version,
        change: Change<'_>,
    ) -> Result<Outcome, StoreError>;

    /// Lets a record live until `expires_at`, if that is later than what is stored.
    ///
    /// Changes neither bytes nor version. A record that is not there is no error and is not made.
    async fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> Result<(), StoreError>;

    /// Ends a record whatever its version: the bytes go, a tombstone stays.
    ///
    /// Returns whether there was a record. Where there was none, nothing changes.
    async fn end(&self, key: &StoreKey, remember_until: Timestamp) -> Result<bool, StoreError>;

    /// Deletes up to `limit` records that had expired, and tombstones that may be forgotten, by `now`.
    ///
    /// Returns how many were deleted: at least one, while there is one and `limit` is not 0. None may also say that
    /// others delete at this moment: one of them then deletes at least one, and is to go on.
    async fn delete_expired(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError>;

    /// Finds the record with this id. Tombstones are not found.
    async fn find(&self, id: &SessionId) -> Result<Option<Entry>, StoreError>;

    /// Lists the records of an owner that have not expired by `now`, in the order of their keys.
    ///
    /// Owners are told apart byte by byte.
    async fn owned_by(
        &self,
        owner: &str,
        now: Timestamp,
        page: Page,
    ) -> Result<Vec<Entry>, StoreError>;

    /// Ends the records of an owner, all but the one at `except`, as [`Store::end`] does.
    ///
    /// A record that moves to another key meanwhile ends too. A key of somebody else spares nothing. Returns how
    /// many were ended.
    async fn end_owned_by(
        &self,
        owner: &str,
        except: Option<&StoreKey>,
        remember_until: Timestamp,
    ) -> Result<usize, StoreError>;

    /// Counts the records that have not expired by `now`.
    async fn count(&self, now: Timestamp) -> Result<u64, StoreError>;

    /// Reads up to `limit` records behind the key `after`, in the order of keys, for moving them elsewhere.
    ///
    /// Tombstones are left out.
    async fn scan(
        &self,
        after: Option<&StoreKey>,
        limit: usize,
    ) -> Result<Vec<(StoreKey, Stored)>, StoreError>;
}
