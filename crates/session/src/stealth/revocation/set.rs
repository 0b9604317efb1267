//! A bounded set of what has ended, each with an instant until which that matters.
//!
//! Nobody sweeps it: what no longer matters goes when a part of the set would have to grow. At its bound, a part
//! forgets an eighth, the oldest, and raises the instant before which everything counts as ended.

use super::{By, NEXT, Revoked};
use crate::{memory::hasher::Hasher, stealth::header::AHEAD};
use dframework_session_store::Timestamp;
use hashbrown::HashTable;
use std::sync::{
    PoisonError, RwLock,
    atomic::{AtomicU64, Ordering},
};

/// Readers of one part do not wait for those of another.
const PARTS: usize = 16;

/// The share that is free after a part has forgotten: what it costs is spread over as many additions.
const FREED: usize = 8;

/// Something that has ended.
#[derive(Clone, Copy)]
pub(super) struct Entry<T> {
    pub(super) id: [u8; 16],
    /// When it ended.
    pub(super) since: Timestamp,
    /// From when on it does not matter, because it would be over anyway.
    pub(super) until: Timestamp,
    pub(super) more: T,
}

pub(super) struct Set<T> {
    parts: [RwLock<HashTable<Entry<T>>>; PARTS],
    hasher: Hasher,
    /// How many a part may have.
    most: usize,
    /// In milliseconds. Never lowered: seals from before it are over by themselves some day.
    all_before: AtomicU64,
}

impl<T: Copy> Set<T> {
    pub(super) fn new(most: usize) -> Self {
        Self {
            parts: std::array::from_fn(|_| RwLock::default()),
            hasher: Hasher::new(),
            most: most / PARTS,
            all_before: AtomicU64::new(0),
        }
    }

    pub(super) fn get(&self, id: &[u8; 16]) -> Option<Entry<T>> {
        let hash = self.hasher.hash_id(*id);
        let part = self.part(hash).read().unwrap_or_else(PoisonError::into_inner);
        part.find(hash, |entry| entry.id == *id).copied()
    }

    /// Everything from before this instant counts as ended.
    pub(super) fn all_before(&self) -> Timestamp {
        // Acquire: whoever misses an entry that was forgotten must not miss what stands for it. `forget` raises this
        // before it removes, and the lock of the part lies between.
        Timestamp::from_millis(self.all_before.load(Ordering::Acquire))
    }

    /// Puts an entry in, made of the one that there is and of the instant that is now: not before what is forgotten.
    pub(super) fn update(
        &self,
        id: &[u8; 16],
        now: Timestamp,
        make: impl FnOnce(Option<Entry<T>>, Timestamp) -> Entry<T>,
    ) -> Revoked {
        let hash = self.hasher.hash_id(*id);
        let mut part = self.part(hash).write().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = part.find_mut(hash, |entry| entry.id == *id) {
            *entry = make(Some(*entry), now);
            return Revoked { by: By::AnEarlierOne, all_before: None };
        }
        let all_before = if part.len() == part.capacity().min(self.most) {
            self.make_room(&mut part, now)
        } else {
            None
        };
        let hasher = self.hasher;
        let entry = make(None, now.max(self.all_before()));
        part.insert_unique(hash, entry, |entry| hasher.hash_id(entry.id));
        Revoked { by: By::ThisCall, all_before }
    }

    /// Drops what does not matter, and what is too much; leaves room for as much again, up to the bound.
    ///
    /// The table is made anew: places of which something was removed count as taken until then.
    fn make_room(&self, part: &mut HashTable<Entry<T>>, now: Timestamp) -> Option<Timestamp> {
        let all_before = self.all_before();
        let mut kept: Vec<Entry<T>> = part
            .iter()
            .filter(|entry| now < entry.until && entry.since >= all_before)
            .copied()
            .collect();
        let is_full = kept.len() >= self.most - self.most / FREED;
        let forgotten = is_full.then(|| self.forget(&mut kept, now));
        let mut roomy = HashTable::with_capacity((2 * kept.len()).clamp(1, self.most));
        for entry in kept {
            roomy.insert_unique(self.hasher.hash_id(entry.id), entry, |entry| {
                self.hasher.hash_id(entry.id)
            });
        }
        *part = roomy;
        forgotten
    }

    /// Forgets the oldest entries, and lets an instant stand for them: later than each, and later by as much as clocks
    /// of other instances may be ahead, unless that has not come yet.
    fn forget(&self, kept: &mut Vec<Entry<T>>, now: Timestamp) -> Timestamp {
        let last = kept.len() / FREED;
        let (_, oldest, _) = kept.select_nth_unstable_by_key(last, |entry| entry.since);
        let since = oldest.since;
        let before = since.saturating_add(AHEAD).min(now).max(since.saturating_add(NEXT));
        self.all_before.fetch_max(before.as_millis(), Ordering::Release);
        kept.retain(|entry| entry.since >= before);
        before
    }

    fn part(&self, hash: u64) -> &RwLock<HashTable<Entry<T>>> {
        // Other bits than those by which a table finds its places.
        let part = (hash >> 48) as usize % PARTS;
        &self.parts[part]
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(|part| part.read().map_or(0, |part| part.len())).sum()
    }
}
