//! One part of the table, behind one lock.
//!
//! The entries lie densely in a vector, so that samples and sweeps step through memory; the hash table holds
//! their positions only. Removing an entry moves the last one into its place.

use dframework_session_store::{StoreKey, Timestamp};
use hashbrown::HashTable;

use super::{Kept, SHARDS, hasher::Hasher};

/// How many entries [`Shard::sample`] returns at least, if there are as many.
pub(super) const SAMPLE: usize = 16;

/// Later than every [`Timestamp`].
const NEVER: u64 = u64::MAX;

/// A key and its hash.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) key: StoreKey,
    hash: u64,
}

impl Place {
    pub(super) fn new(key: &StoreKey, hasher: &Hasher) -> Self {
        Self { key: *key, hash: hasher.hash(key) }
    }

    /// The shard of this key. The hash table takes its bits from both ends; these are from between.
    pub(super) fn shard(&self) -> usize {
        usize::from((self.hash >> 48) as u16) % SHARDS
    }
}

pub(super) struct Shard {
    entries: Vec<Kept>,
    positions: HashTable<u32>,
    hasher: Hasher,
    /// Nothing here expires before this instant.
    earliest: u64,
    /// Where the sweep goes on.
    cursor: usize,
    /// Nothing before the cursor expires before this instant.
    passed: u64,
}

/// How far a sweep may go.
pub(super) struct Sweep<'a> {
    pub(super) now: Timestamp,
    /// The entry that is being written stays, whatever its deadline.
    pub(super) spare: Option<&'a StoreKey>,
    /// How many entries to look at yet.
    pub(super) looks: usize,
    /// How many entries to remove yet.
    pub(super) limit: usize,
}

impl Shard {
    pub(super) fn new(hasher: Hasher) -> Self {
        Self {
            entries: Vec::new(),
            positions: HashTable::new(),
            hasher,
            earliest: NEVER,
            cursor: 0,
            passed: NEVER,
        }
    }

    pub(super) fn get(&self, place: &Place) -> Option<&Kept> {
        self.position(place).map(|position| &self.entries[position])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Kept> {
        self.entries.iter()
    }

    /// Puts an entry at its key, and returns what was there.
    pub(super) fn put(&mut self, place: &Place, kept: Kept) -> Option<Kept> {
        match self.position(place) {
            Some(position) => Some(self.replace(position, kept)),
            None => {
                self.append(place, kept);
                None
            }
        }
    }

    /// Where the entry of this key lies, until another is removed.
    pub(super) fn position(&self, place: &Place) -> Option<usize> {
        let is_here = |&position: &u32| *self.entries[position as usize].key() == place.key;
        self.positions.find(place.hash, is_here).map(|&position| position as usize)
    }

    pub(super) fn at(&self, position: usize) -> &Kept {
        &self.entries[position]
    }

    /// Puts another entry of the same key in the place of one, which is returned.
    pub(super) fn replace(&mut self, position: usize, kept: Kept) -> Kept {
        self.expect_expiry(position, kept.expires_at());
        std::mem::replace(&mut self.entries[position], kept)
    }

    pub(super) fn remove(&mut self, place: &Place) -> Option<Kept> {
        self.position(place).map(|position| self.remove_at(position))
    }

    /// Entries from all over the shard, all of them if they are few. `draw` chooses where to begin.
    pub(super) fn sample(&self, draw: usize) -> impl Iterator<Item = &Kept> {
        let step = (self.entries.len() / SAMPLE).max(1);
        self.entries.iter().skip(draw % step).step_by(step)
    }

    /// Removes the next entry that has expired; `None` when the sweep is over here.
    pub(super) fn take_expired(&mut self, sweep: &mut Sweep<'_>) -> Option<Kept> {
        while sweep.looks > 0 && sweep.limit > 0 && self.earliest <= sweep.now.as_millis() {
            sweep.looks -= 1;
            if let Some(kept) = self.step(sweep) {
                sweep.limit -= 1;
                return Some(kept);
            }
        }
        None
    }

    fn step(&mut self, sweep: &Sweep<'_>) -> Option<Kept> {
        let Some(kept) = self.entries.get(self.cursor) else {
            self.begin_again();
            return None;
        };
        if kept.has_expired(sweep.now) && sweep.spare != Some(kept.key()) {
            return Some(self.remove_at(self.cursor));
        }
        self.passed = self.passed.min(kept.expires_at().as_millis());
        self.cursor += 1;
        None
    }

    /// The cursor has passed everything, so what it found holds for the whole shard.
    fn begin_again(&mut self) {
        self.earliest = self.passed;
        self.passed = NEVER;
        self.cursor = 0;
    }

    /// Lowers the bounds for an entry that is about to lie at `position`.
    fn expect_expiry(&mut self, position: usize, expires_at: Timestamp) {
        self.earliest = self.earliest.min(expires_at.as_millis());
        // Before the cursor, the sweep does not meet it on this round.
        if position < self.cursor {
            self.passed = self.passed.min(expires_at.as_millis());
        }
    }

    fn append(&mut self, place: &Place, kept: Kept) {
        self.expect_expiry(self.entries.len(), kept.expires_at());
        let position = position(self.entries.len());
        self.entries.push(kept);
        let (entries, hasher) = (&self.entries, &self.hasher);
        let rehash = |&position: &u32| hasher.hash(entries[position as usize].key());
        self.positions.insert_unique(place.hash, position, rehash);
    }

    fn remove_at(&mut self, at: usize) -> Kept {
        let last = self.entries.len() - 1;
        self.forget_position(at);
        if at != last {
            self.redirect(last, at);
        }
        self.entries.swap_remove(at)
    }

    fn forget_position(&mut self, at: usize) {
        let hash = self.hasher.hash(self.entries[at].key());
        let at = position(at);
        if let Ok(found) = self.positions.find_entry(hash, |&position| position == at) {
            found.remove();
        }
    }

    /// The entry at `from`, the last one, is about to lie at `to`.
    fn redirect(&mut self, from: usize, to: usize) {
        let (key, expires_at) = (*self.entries[from].key(), self.entries[from].expires_at());
        self.expect_expiry(to, expires_at);
        let hash = self.hasher.hash(&key);
        let (from, to) = (position(from), position(to));
        if let Some(position) = self.positions.find_mut(hash, |&position| position == from) {
            *position = to;
        }
    }
}

/// [`super::Memory::new`] bounds the bytes so that not even one shard holds more entries than positions.
fn position(index: usize) -> u32 {
    u32::try_from(index).expect("the bound on bytes bounds the number of entries")
}

#[cfg(test)]
mod tests {
    use super::{super::kept::Content, *};
    use dframework_session_store::Version;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn place(shard: &Shard, number: u8) -> Place {
        Place::new(&StoreKey::from_bytes([number; 32]), &shard.hasher)
    }

    /// A shard whose entries lie in this order and expire at these instants; their keys count from 0.
    fn shard(deadlines: &[u64]) -> Shard {
        let mut shard = Shard::new(Hasher::new());
        for (number, &deadline) in (0..).zip(deadlines) {
            let place = place(&shard, number);
            let content = Content::new(b"", None, b"", at(deadline)).expect("nothing is too long");
            shard.put(&place, Kept::record(place.key, Version(1), at(0), &content));
        }
        shard
    }

    /// Sweeps and returns the numbers of the keys that went.
    fn sweep(shard: &mut Shard, now: u64, looks: usize) -> Vec<u8> {
        let mut sweep = Sweep { now: at(now), spare: None, looks, limit: usize::MAX };
        let mut gone = Vec::new();
        while let Some(kept) = shard.take_expired(&mut sweep) {
            gone.push(kept.key().as_bytes()[0]);
        }
        gone
    }

    #[test]
    fn a_sweep_finds_an_entry_that_was_moved_behind_it() {
        let mut shard = shard(&[100, 100, 100, 5, 100, 30, 1]);
        // A whole round, after which the bounds are those of what stands.
        assert_eq!(sweep(&mut shard, 1, 9), [6]);
        assert_eq!(sweep(&mut shard, 10, 3), Vec::<u8>::new());
        let first = place(&shard, 0);
        shard.remove(&first);
        assert_eq!(sweep(&mut shard, 10, 9), [3]);
        assert_eq!(sweep(&mut shard, 30, 9), [5]);
    }

    #[test]
    fn a_sweep_finds_an_entry_that_was_written_behind_it() {
        let mut shard = shard(&[100, 100, 100, 5, 100, 1]);
        assert_eq!(sweep(&mut shard, 1, 9), [5]);
        assert_eq!(sweep(&mut shard, 10, 3), Vec::<u8>::new());
        let first = place(&shard, 0);
        shard.put(&first, Kept::tombstone(first.key, at(30)));
        assert_eq!(sweep(&mut shard, 10, 9), [3]);
        assert_eq!(sweep(&mut shard, 30, 9), [0]);
    }

    #[test]
    fn one_round_is_enough_when_everything_has_expired() {
        let mut shard = shard(&[5; 100]);
        // One more look for the end of the shard.
        assert_eq!(sweep(&mut shard, 5, 101).len(), 100);
        assert_eq!(shard.earliest, NEVER);
    }

    #[test]
    fn a_sweep_looks_at_nothing_before_something_may_have_expired() {
        let mut shard = shard(&[30, 20, 30, 40]);
        assert_eq!(sweep(&mut shard, 19, usize::MAX), Vec::<u8>::new());
        assert_eq!(shard.cursor, 0);
        assert_eq!(sweep(&mut shard, 20, usize::MAX), [1]);
        assert_eq!((shard.earliest, shard.cursor), (30, 0));
    }

    #[test]
    fn every_entry_is_found_after_any_removal() {
        for removed in 0..10 {
            let mut shard = shard(&[9; 10]);
            let place_of_removed = place(&shard, removed);
            assert!(shard.remove(&place_of_removed).is_some());
            let found = (0..10).filter(|&number| shard.get(&place(&shard, number)).is_some());
            assert_eq!(
                found.collect::<Vec<_>>(),
                (0..10).filter(|&n| n != removed).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn a_sample_holds_everything_of_a_small_shard_and_enough_of_a_large_one() {
        for len in [0, 1, SAMPLE - 1, SAMPLE, 2 * SAMPLE - 1, 2 * SAMPLE, 200] {
            let shard = shard(&vec![9; len]);
            for draw in [0, 1, 7, usize::MAX] {
                assert!(shard.sample(draw).count() >= len.min(SAMPLE), "{len} {draw}");
            }
        }
    }
}
