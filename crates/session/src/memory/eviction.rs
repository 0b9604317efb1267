//! What leaves the table without being asked: the expired, a few at each write, and at the bound live sessions
//! that have no owner.

use dframework_session_store::{SessionId, StoreError, StoreKey, Timestamp};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
};

use super::{
    Kept, Memory,
    kept::FIXED,
    room::{Reserved, Size},
    shard::{Place, SAMPLE, Shard, Sweep},
};

/// Who is told of a session that was given up for another.
///
/// It is given a function for the id, which costs a digest where keys are tokens.
pub(crate) type Listener = Box<dyn Fn(&dyn Fn() -> SessionId) + Send + Sync>;

/// How many entries each write looks at. More than one, so that the sweep gains on a growing table.
const LOOKS_AT_WRITE: usize = 4;

/// How many entries a sweep at the bound may look at for each session that was made.
///
/// Whoever makes one session after the other at the bound would else cause a walk over a whole shard for each.
/// A table that has filled up has paid for a walk over all of it many times over.
const LOOKS_PER_SESSION: u64 = 64;

/// When and how far to sweep. Nothing here orders other memory, so every access is relaxed.
pub(super) struct Evictions {
    pub(super) listener: Option<Listener>,
    /// The latest instant that a caller gave, in milliseconds; commits bring none.
    now: AtomicU64,
    /// How many entries sweeps at the bound may look at yet.
    credit: AtomicU64,
    /// How many samples were drawn.
    draws: AtomicU64,
}

impl Evictions {
    pub(super) fn new() -> Self {
        let (now, credit, draws) = Default::default();
        Self { listener: None, now, credit, draws }
    }

    /// Notes the time and what a new session adds to the credit.
    pub(super) fn pay_for_one(&self, now: Timestamp) {
        self.notice(now);
        self.credit.fetch_add(LOOKS_PER_SESSION, Ordering::Relaxed);
    }

    /// The last instant counts, not the highest: a clock that was wrong once must not expire sessions for ever.
    fn notice(&self, now: Timestamp) {
        self.now.store(now.as_millis(), Ordering::Relaxed);
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::Relaxed))
    }

    /// Takes what there is of the credit, at most `most`.
    fn borrow(&self, most: usize) -> usize {
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        let credit = self.credit.load(Ordering::Relaxed).min(most);
        usize::try_from(credit).unwrap_or(usize::MAX)
    }

    /// Ends what [`Evictions::borrow`] began. Two threads may spend the same credit; that costs time only.
    fn repay(&self, unused: usize) {
        self.credit.store(u64::try_from(unused).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

pub(super) fn full() -> StoreError {
    StoreError::full("the memory store has no room for this record")
}

impl Memory {
    /// Deletes up to `limit` entries that have expired by `now`; returns how many.
    pub(crate) fn delete_expired(&self, now: Timestamp, limit: usize) -> usize {
        self.evictions.notice(now);
        let mut sweep = Sweep { now, spare: None, looks: usize::MAX, limit };
        for shard in &self.shards {
            self.sweep(&mut shard.lock(), &mut sweep);
        }
        limit - sweep.limit
    }

    /// Goes on a little with the sweep of a shard in which `place` was just written.
    pub(super) fn sweep_on(&self, shard: &mut Shard, place: &Place) {
        let now = self.evictions.now();
        let spare = Some(&place.key);
        self.sweep(shard, &mut Sweep { now, spare, looks: LOOKS_AT_WRITE, limit: usize::MAX });
    }

    fn sweep(&self, shard: &mut Shard, sweep: &mut Sweep<'_>) {
        while let Some(expired) = shard.take_expired(sweep) {
            self.removed(&expired);
        }
    }

    /// Reserves this much: frees what has expired, then gives up live sessions, no more than needed.
    ///
    /// The caller holds no lock. The entry at `spare` stays.
    pub(super) fn make_room(
        &self,
        need: Size,
        spare: Option<&StoreKey>,
    ) -> Result<Reserved<'_>, StoreError> {
        if !self.room.could_hold(need) {
            return Err(full());
        }
        loop {
            if let Some(reserved) = self.room.reserve(need) {
                return Ok(reserved);
            }
            if self.free_expired(need, spare) == 0 && !self.evict_one(spare) {
                return Err(full());
            }
        }
    }

    /// Sweeps shard by shard until there is room for `need`; returns how many entries went.
    fn free_expired(&self, need: Size, spare: Option<&StoreKey>) -> usize {
        // Twice the number of entries: a sweep that goes on from the middle of a shard comes round to it.
        let looks = self.evictions.borrow(2 * (self.room.used().bytes / FIXED + self.shards.len()));
        let now = self.evictions.now();
        let mut sweep = Sweep { now, spare, looks, limit: usize::MAX };
        for shard in self.shards_from(self.draw()) {
            if self.room.has(need) {
                break;
            }
            self.sweep(&mut shard.lock(), &mut sweep);
        }
        self.evictions.repay(sweep.looks);
        usize::MAX - sweep.limit
    }

    /// Gives up, of some sampled sessions without owner, the one that would expire first.
    ///
    /// Returns whether one was found.
    fn evict_one(&self, spare: Option<&StoreKey>) -> bool {
        let victim = self.sample(spare);
        if let Some(victim) = &victim {
            self.evict(victim);
        }
        victim.is_some()
    }

    fn sample(&self, spare: Option<&StoreKey>) -> Option<Kept> {
        let (draw, now) = (self.draw(), self.evictions.now());
        let mut sampled = Vec::with_capacity(SAMPLE);
        for shard in self.shards_from(draw) {
            let shard = shard.lock();
            let wanted = |kept: &&Kept| is_evictable(kept, now) && spare != Some(kept.key());
            let some = shard.sample(draw >> 8).filter(wanted).take(SAMPLE - sampled.len());
            sampled.extend(some.cloned());
            if sampled.len() == SAMPLE {
                break;
            }
        }
        sampled.into_iter().min_by_key(Kept::expires_at)
    }

    /// Removes a sampled session, unless it was written to in between: then it is in use.
    fn evict(&self, victim: &Kept) {
        let place = self.place(victim.key());
        let mut shard = self.lock(&place);
        if !shard.get(&place).is_some_and(|standing| standing.is(victim)) {
            return;
        }
        self.remove(&mut shard, &place);
        drop(shard);
        if !victim.has_expired(self.evictions.now()) {
            self.tell(victim.key());
        }
    }

    fn tell(&self, key: &StoreKey) {
        if let Some(listener) = &self.evictions.listener {
            // The session that room was made for has nothing to do with what went wrong there, and the panic
            // was reported when it began.
            let _ = catch_unwind(AssertUnwindSafe(|| listener(&|| self.id(key))));
        }
    }

    fn shards_from(&self, draw: usize) -> impl Iterator<Item = &super::Locked<Shard>> {
        let start = draw % self.shards.len();
        self.shards[start..].iter().chain(&self.shards[..start])
    }

    /// A number that nobody outside can foretell.
    fn draw(&self) -> usize {
        let draw = self.hasher.mix(self.evictions.draws.fetch_add(1, Ordering::Relaxed));
        usize::try_from(draw >> 32).unwrap_or_default()
    }
}

/// What has expired may go too, should the credit not have reached to it.
fn is_evictable(kept: &Kept, now: Timestamp) -> bool {
    kept.has_expired(now) || kept.is_record() && kept.owner().is_none()
}
