//! One part of the table, behind one lock.
//!
//! The entries lie densely in a vector, so that samples and sweeps step through memory; the hash table holds
//! their positions only. Removing an entry moves the last one into its place.

use dframework_session_store::{StoreKey, Timestamp};
use hashbrown::HashTable;
use std::hash::{BuildHasher, RandomState};

use super::{Kept, SHARDS};

/// How many entries [`Shard::sample`] returns at least, if there are as many.
pub(super) const SAMPLE: usize = 16;

/// Later than every [`Timestamp`].
const NEVER: u64 = u64::MAX;

/// A key and its hash.
///
/// Whoever sends a request chooses some of the keys, so the hash is keyed: without the random key nobody can
/// aim at one shard or at one chain.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) key: StoreKey,
    hash: u64,
}

impl Place {
    pub(super) fn new(key: &StoreKey, hasher: &RandomState) -> Self {
        Self { key: *key, hash: hasher.hash_one(key) }
    }

    /// The shard of this key. The hash table takes its bits from both ends; these are from between.
    pub(super) fn shard(&self) -> usize {
        usize::from((self.hash >> 48) as u16) % SHARDS
    }
}

pub(super) struct Shard {
    entries: Vec<Kept>,
    positions: HashTable<u32>,
    hasher: RandomState,
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
    pub(super) fn new(hasher: RandomState) -> Self {
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

    /// Puts an entry at its key, over what is there.
    pub(super) fn put(&mut self, place: &Place, kept: Kept) {
        self.expect_expiry(&kept);
        match self.position(place) {
            Some(position) => self.entries[position] = kept,
            None => self.append(place, kept),
        }
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

    /// Lowers the bounds for an entry that may lie before the cursor from now on.
    fn expect_expiry(&mut self, kept: &Kept) {
        let expires_at = kept.expires_at().as_millis();
        self.earliest = self.earliest.min(expires_at);
        self.passed = self.passed.min(expires_at);
    }

    fn position(&self, place: &Place) -> Option<usize> {
        let is_here = |&position: &u32| *self.entries[position as usize].key() == place.key;
        self.positions.find(place.hash, is_here).map(|&position| position as usize)
    }

    fn append(&mut self, place: &Place, kept: Kept) {
        let position = position(self.entries.len());
        self.entries.push(kept);
        let (entries, hasher) = (&self.entries, &self.hasher);
        let rehash = |&position: &u32| hasher.hash_one(entries[position as usize].key());
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
        let hash = self.hasher.hash_one(self.entries[at].key());
        let at = position(at);
        if let Ok(found) = self.positions.find_entry(hash, |&position| position == at) {
            found.remove();
        }
    }

    /// The entry at `from` is about to lie at `to`.
    fn redirect(&mut self, from: usize, to: usize) {
        let moving = self.entries[from].clone();
        self.expect_expiry(&moving);
        let hash = self.hasher.hash_one(moving.key());
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
