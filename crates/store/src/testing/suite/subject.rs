//! The store under test, as the sentences speak of it: keys by number, instants near each other, and calls that
//! fail the sentence where the store fails.

use super::super::fresh::Shared;
use crate::{
    Change, Entry, Loaded, NewRecord, Outcome, Page, StoreError, StoreKey, Stored, Timestamp,
    Tombstone, Version,
};
use std::ops::Deref;

/// The store under test. Clones are the same store, for other tasks.
#[derive(Clone)]
pub(super) struct Subject(Shared);

impl Subject {
    pub(super) fn new(store: Shared) -> Self {
        Self(store)
    }
}

impl Deref for Subject {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// So many milliseconds after the beginning of 2026. No sentence goes back in time.
pub(super) const fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_767_225_600_000 + millis)
}

/// When sentences happen, if they say nothing else.
pub(super) const NOW: Timestamp = at(0);
/// When records expire, if the sentence says nothing else.
pub(super) const LATER: Timestamp = at(60_000);
/// Until when ends are remembered, if the sentence says nothing else.
pub(super) const REMEMBERED: Timestamp = at(30_000);

/// A whole list.
pub(super) const ALL: Page = Page { after: None, limit: 10_000 };

/// A key that looks random, as digests do; the same in every run.
pub(super) fn key(number: u64) -> StoreKey {
    let mut bytes = [0; 32];
    let mut random = Random::new(number);
    bytes.chunks_exact_mut(8).for_each(|part| part.copy_from_slice(&random.next().to_le_bytes()));
    StoreKey::from_bytes(bytes)
}

/// The keys of these numbers, in the order of keys.
pub(super) fn sorted(numbers: impl IntoIterator<Item = u64>) -> Vec<StoreKey> {
    let mut keys: Vec<_> = numbers.into_iter().map(key).collect();
    keys.sort_unstable();
    keys
}

/// Numbers without a pattern, the same in every run (`SplitMix64`).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// A record that expires [`LATER`].
pub(super) fn record(bytes: &[u8]) -> NewRecord<'_> {
    NewRecord::new(bytes, NOW, LATER)
}

/// A record that expires then.
pub(super) fn expiring(expires_at: Timestamp) -> NewRecord<'static> {
    NewRecord::new(b"bytes", NOW, expires_at)
}

pub(super) fn owned(owner: &str) -> NewRecord<'_> {
    let mut new = record(b"bytes");
    new.owner = Some(owner);
    new
}

/// A record for a request that brought this key.
pub(super) fn presenting(presented: StoreKey) -> NewRecord<'static> {
    let mut new = record(b"new");
    new.presented = Some(Tombstone { key: presented, remember_until: REMEMBERED });
    new
}

pub(super) fn change(bytes: &[u8]) -> Change<'_> {
    Change::new(bytes, LATER)
}

pub(super) fn moving(to: StoreKey) -> Change<'static> {
    let mut change = change(b"moved");
    change.move_to = Some(to);
    change.remember_until = REMEMBERED;
    change
}

pub(super) fn ended(until: Timestamp) -> Loaded {
    Loaded::Ended { until }
}

pub(super) fn is_committed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Committed(_))
}

/// The store has said that there is no record: as `Gone`, or as `Conflict` where it cannot tell the two apart.
pub(super) fn assert_gone(outcome: Outcome) {
    assert!(!is_committed(&outcome), "a record that is gone was committed: {outcome:?}");
}

/// The store has said that it will not do this, not that it failed.
pub(super) fn assert_refused(answer: Result<Outcome, StoreError>) {
    match answer {
        Ok(outcome) => panic!("it was not refused: {outcome:?}"),
        Err(error) => {
            let is_refused = !error.outcome_is_unknown() && !error.is_full();
            assert!(is_refused, "refused is something else than failed: {error}");
        }
    }
}

pub(super) fn keys_of(entries: &[Entry]) -> Vec<StoreKey> {
    entries.iter().map(|entry| entry.key).collect()
}

/// The answer, or the end of the sentence.
pub(super) fn sound<T>(answer: Result<T, StoreError>) -> T {
    answer.unwrap_or_else(|error| panic!("the store failed: {error:?}"))
}

impl Subject {
    /// Makes a record at this key.
    pub(super) async fn make(&self, key: StoreKey, new: NewRecord<'_>) -> Version {
        match sound(self.create(&key, new, NOW).await) {
            Outcome::Committed(version) => version,
            other => panic!("a new record was not made: {other:?}"),
        }
    }

    /// Makes records at the keys of these numbers.
    pub(super) async fn fill(&self, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            self.make(key(number), record(&number.to_be_bytes())).await;
        }
    }

    pub(super) async fn try_commit(
        &self,
        key: StoreKey,
        expected: Version,
        change: Change<'_>,
    ) -> Outcome {
        sound(self.0.commit(&key, expected, change).await)
    }

    /// Commits a change that nobody contests.
    pub(super) async fn committed(
        &self,
        key: StoreKey,
        expected: Version,
        change: Change<'_>,
    ) -> Version {
        match self.try_commit(key, expected, change).await {
            Outcome::Committed(version) => version,
            other => panic!("a change of the version that is stored was not committed: {other:?}"),
        }
    }

    pub(super) async fn look(&self, key: StoreKey) -> Loaded {
        let mut answers = sound(self.load(&[key]).await);
        assert_eq!(answers.len(), 1, "one key has one answer");
        answers.remove(0)
    }

    /// The record at this key.
    pub(super) async fn live(&self, key: StoreKey) -> Stored {
        match self.look(key).await {
            Loaded::Live(stored) => stored,
            other => panic!("there is no record: {other:?}"),
        }
    }

    pub(super) async fn is_live(&self, key: StoreKey) -> bool {
        matches!(self.look(key).await, Loaded::Live(_))
    }

    /// How many of these keys have a record.
    pub(super) async fn alive(&self, keys: &[StoreKey]) -> usize {
        let loaded = sound(self.load(keys).await);
        loaded.iter().filter(|loaded| matches!(loaded, Loaded::Live(_))).count()
    }

    /// Ends a record that is there.
    pub(super) async fn ended(&self, key: StoreKey) {
        assert!(sound(self.end(&key, REMEMBERED).await), "there was a record to end");
    }

    pub(super) async fn owned(&self, owner: &str, page: Page) -> Vec<Entry> {
        sound(self.owned_by(owner, NOW, page).await)
    }

    pub(super) async fn keys_owned(&self, owner: &str) -> Vec<StoreKey> {
        keys_of(&self.owned(owner, ALL).await)
    }
}
