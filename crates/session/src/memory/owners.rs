//! Which keys belong to an owner: a hint, kept in the order of keys.
//!
//! An owner stands here as its keyed hash, so the index costs the same whatever names are. Two owners may share
//! a hash: whoever reads the index looks each record up and checks its owner.

use dframework_session_store::StoreKey;
use std::{
    collections::BTreeSet,
    hash::{BuildHasher, RandomState},
    ops::Bound::{Excluded, Included},
};

use super::{Kept, Locked};

const SHARDS: usize = 16;

/// An owner's keyed hash and a key of theirs.
type Line = (u64, StoreKey);

/// The index. Its locks are taken last: whoever holds one takes no other.
pub(super) struct Owners {
    hasher: RandomState,
    shards: [Locked<BTreeSet<Line>>; SHARDS],
}

impl Owners {
    pub(super) fn new() -> Self {
        let shards = std::array::from_fn(|_| Locked::new(BTreeSet::new()));
        Self { hasher: RandomState::new(), shards }
    }

    /// Follows an entry that takes the place of another at the same key, or comes, or goes.
    ///
    /// The caller holds the lock of the key, so the index and the table change as one.
    pub(super) fn follow(&self, old: Option<&Kept>, new: Option<&Kept>) {
        if old.and_then(Kept::owner) == new.and_then(Kept::owner) {
            return;
        }
        if let Some((line, shard)) = old.and_then(|old| self.line(old)) {
            shard.lock().remove(&line);
        }
        if let Some((line, shard)) = new.and_then(|new| self.line(new)) {
            shard.lock().insert(line);
        }
    }

    /// Up to `limit` keys behind `after` that may belong to this owner, in their order.
    pub(super) fn keys(
        &self,
        owner: &str,
        after: Option<&StoreKey>,
        limit: usize,
    ) -> Vec<StoreKey> {
        let hash = self.hasher.hash_one(owner.as_bytes());
        let first = Included((hash, StoreKey::from_bytes([0; 32])));
        let last = Included((hash, StoreKey::from_bytes([255; 32])));
        let start = after.map_or(first, |after| Excluded((hash, *after)));
        let shard = self.shard(hash).lock();
        shard.range((start, last)).take(limit).map(|&(_, key)| key).collect()
    }

    fn line(&self, kept: &Kept) -> Option<(Line, &Locked<BTreeSet<Line>>)> {
        let hash = self.hasher.hash_one(kept.owner()?);
        Some(((hash, *kept.key()), self.shard(hash)))
    }

    fn shard(&self, hash: u64) -> &Locked<BTreeSet<Line>> {
        &self.shards[usize::from((hash >> 48) as u16) % SHARDS]
    }
}
