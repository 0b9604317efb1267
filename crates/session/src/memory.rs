//! Sessions in the memory of this process: a sharded table with plain, synchronous functions.
//!
//! The memory driver calls them directly; [`MemoryStore`] calls the same ones behind the
//! [`Store`](dframework_session_store::Store) trait. Nothing here reads a clock or waits for anything but a
//! lock that is held for a moment.
//!
//! A step that needs two keys locks their shards in the order of their indices; the owner index is locked
//! last. No code of the application runs under a lock, and every change leaves table, index and counters
//! consistent before anything can panic, so a poisoned lock is as good as any other.

mod eviction;
pub(crate) mod hasher;
mod kept;
mod lists;
mod owners;
mod room;
mod shard;
mod store;

pub(crate) use self::kept::Kept;
pub use self::store::MemoryStore;

use self::{
    eviction::{Evictions, Listener},
    hasher::Hasher,
    kept::{Content, FIXED},
    owners::Owners,
    room::{Reserved, Room, Size},
    shard::{Place, Shard},
};
use crate::driver::Answer;
use dframework_session_store::{
    Change, NewRecord, Outcome, SessionId, StoreError, StoreKey, Timestamp, Tombstone, Version,
};
use sha2::{Digest, Sha256};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A power of two, large enough that threads rarely meet at one lock.
const SHARDS: usize = 64;

/// What the 32-byte keys of the table are, which decides how ids are made of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Keys {
    /// The tokens themselves: a dump of the process holds the sessions in the clear anyway, and no request
    /// pays for a digest.
    Tokens,
    /// Digests of tokens, as every store outside the process gets them.
    StoreKeys,
}

/// What is at a key.
pub(crate) enum Found {
    /// A record. It may have expired: the caller judges that by its own clock.
    Live(Kept),
    /// A record was here and has ended, or a request brought this key and was given another.
    Ended {
        /// When the table may forget that.
        until: Timestamp,
    },
    /// Nothing is known of this key.
    Unknown,
}

/// The sharded table.
pub(crate) struct Memory {
    keys: Keys,
    hasher: Hasher,
    shards: Box<[Locked<Shard>]>,
    owners: Owners,
    room: Room,
    evictions: Evictions,
}

/// How one try at a step ended.
enum Attempt {
    Done(Answer),
    Refused(&'static str),
    /// Nothing was done: this much room is needed first, and no lock may be held while it is made.
    Short(Size),
}

impl Memory {
    /// An empty table for at most `max_sessions` records that take, with the tombstones, at most `max_bytes`.
    pub(crate) fn new(max_sessions: usize, max_bytes: usize, keys: Keys) -> Self {
        // Positions in a shard are 32 bits wide. No entry takes less than its fixed part, so there are never
        // more entries than positions, even if all were in one shard.
        let max_bytes = max_bytes.min((u32::MAX as usize).saturating_mul(FIXED));
        let hasher = Hasher::new();
        let shard = |_| Locked::new(Shard::new(hasher));
        Self {
            keys,
            shards: (0..SHARDS).map(shard).collect(),
            owners: Owners::new(),
            room: Room::new(Size { records: max_sessions, bytes: max_bytes }),
            evictions: Evictions::new(),
            hasher,
        }
    }

    /// The same table, which tells `listener` of each session that it gives up for another.
    ///
    /// The listener is called with no lock held. What it panics with is dropped.
    pub(crate) fn with_eviction_listener(mut self, listener: Listener) -> Self {
        self.evictions.listener = Some(listener);
        self
    }

    /// What entries take, without the tables that lead to them.
    pub(crate) fn bytes(&self) -> usize {
        self.room.used().bytes
    }

    /// Reads what is at this key.
    pub(crate) fn load(&self, key: &StoreKey) -> Found {
        let place = self.place(key);
        match self.lock(&place).get(&place) {
            Some(kept) if kept.is_record() => Found::Live(kept.clone()),
            Some(tombstone) => Found::Ended { until: tombstone.expires_at() },
            None => Found::Unknown,
        }
    }

    /// Makes a record, and in the same step a tombstone at the key that was presented.
    pub(crate) fn create(
        &self,
        key: &StoreKey,
        new: &NewRecord<'_>,
        now: Timestamp,
    ) -> Result<Answer, StoreError> {
        self.evictions.pay_for_one(now);
        let content = Content::new(new.bytes, new.owner, new.meta, new.expires_at)?;
        let record = Kept::record(*key, Version(1), new.created, &content);
        let place = self.place(key);
        match new.presented {
            None => self.with_room(None, |reserved| self.try_create(&place, &record, reserved)),
            Some(Tombstone { key: presented, .. }) if presented == *key => {
                Err(StoreError::refused("the key of a new record is the one that was presented"))
            }
            Some(Tombstone { key: presented, remember_until }) => {
                let presented = self.place(&presented);
                let ended = Kept::tombstone(presented.key, remember_until);
                self.with_room(None, |reserved| {
                    self.try_create_over((&place, &record), (&presented, &ended), now, reserved)
                })
            }
        }
    }

    /// Replaces a record if it still has the version `expected`; moves it if the change says so.
    pub(crate) fn commit(
        &self,
        key: &StoreKey,
        expected: Version,
        change: &Change<'_>,
    ) -> Result<Answer, StoreError> {
        let content = Content::new(change.bytes, change.owner, change.meta, change.expires_at)?;
        // Without this, everything else would be evicted before it turned out to be of no use.
        if !self.room.could_hold(content.size()) {
            return Err(eviction::full());
        }
        let place = self.place(key);
        match change.move_to {
            None => self.with_room(Some(key), |reserved| {
                self.try_replace(&place, expected, &content, reserved)
            }),
            Some(to) => {
                let to = self.place(&to);
                let ended = Kept::tombstone(*key, change.remember_until);
                self.with_room(Some(key), |reserved| {
                    self.try_move((&place, &ended), &to, expected, &content, reserved)
                })
            }
        }
    }

    /// Lets a record live until `expires_at`, if that is later than what is stored.
    pub(crate) fn touch(&self, key: &StoreKey, expires_at: Timestamp) {
        let place = self.place(key);
        if let Some(record) = record_at(&self.lock(&place), &place) {
            record.raise(expires_at);
        }
    }

    /// Ends a record; returns whether there was one.
    pub(crate) fn end(&self, key: &StoreKey, remember_until: Timestamp) -> bool {
        let place = self.place(key);
        self.end_if(&mut self.lock(&place), &place, remember_until, |_| true)
    }

    /// Ends the records of an owner, all but the one at `except`; returns how many.
    ///
    /// Holds every lock meanwhile. One by one, a session that moves to a new key at this moment could slip from
    /// a key that was not reached yet to one that was passed already.
    pub(crate) fn end_owned_by(
        &self,
        owner: &str,
        except: Option<&StoreKey>,
        remember_until: Timestamp,
    ) -> usize {
        let mut shards: Vec<_> = self.shards.iter().map(Locked::lock).collect();
        let keys = self.owners.keys(owner, None, usize::MAX);
        let mut ended = 0;
        for key in keys.iter().filter(|key| Some(*key) != except) {
            let place = self.place(key);
            let shard = &mut shards[place.shard()];
            let is_theirs = |record: &Kept| record.is_owned_by(owner);
            ended += usize::from(self.end_if(shard, &place, remember_until, is_theirs));
        }
        ended
    }

    /// The public name of the session at this key.
    pub(crate) fn id(&self, key: &StoreKey) -> SessionId {
        match self.keys {
            Keys::Tokens => StoreKey::from_bytes(Sha256::digest(key.as_bytes()).into()).id(),
            Keys::StoreKeys => key.id(),
        }
    }

    /// Tries a step until it needs no more room than there is.
    fn with_room(
        &self,
        spare: Option<&StoreKey>,
        mut attempt: impl FnMut(&mut Reserved<'_>) -> Attempt,
    ) -> Result<Answer, StoreError> {
        let mut reserved = self.room.nothing();
        loop {
            match attempt(&mut reserved) {
                Attempt::Done(answer) => return Ok(answer),
                Attempt::Refused(why) => return Err(StoreError::refused(why)),
                Attempt::Short(need) => {
                    drop(reserved);
                    reserved = self.make_room(need, spare)?;
                }
            }
        }
    }

    fn try_create(&self, place: &Place, record: &Kept, reserved: &mut Reserved<'_>) -> Attempt {
        let mut shard = self.lock(place);
        if shard.get(place).is_some() {
            return Attempt::Refused(TAKEN);
        }
        if !reserved.cover(record.size()) {
            return Attempt::Short(record.size());
        }
        self.write(&mut shard, place, record);
        reserved.settle(record.size(), Size::default());
        self.sweep_on(&mut shard, place);
        committed(record.clone())
    }

    fn try_create_over(
        &self,
        (place, record): (&Place, &Kept),
        (presented, ended): (&Place, &Kept),
        now: Timestamp,
        reserved: &mut Reserved<'_>,
    ) -> Attempt {
        let mut pair = self.lock_both(place, presented);
        if pair.shard(place).get(place).is_some() {
            return Attempt::Refused(TAKEN);
        }
        match pair.shard(presented).get(presented) {
            Some(standing) if !standing.has_expired(now) => {
                return Attempt::Done((Outcome::Gone, None));
            }
            Some(_) => self.remove(pair.shard(presented), presented),
            None => {}
        }
        let came = record.size() + ended.size();
        if !reserved.cover(came) {
            return Attempt::Short(came);
        }
        self.write(pair.shard(presented), presented, ended);
        self.write(pair.shard(place), place, record);
        reserved.settle(came, Size::default());
        self.sweep_on(pair.shard(place), place);
        committed(record.clone())
    }

    fn try_replace(
        &self,
        place: &Place,
        expected: Version,
        content: &Content<'_>,
        reserved: &mut Reserved<'_>,
    ) -> Attempt {
        let mut shard = self.lock(place);
        let (position, old) = match record_with(&shard, place, expected) {
            Ok(found) => found,
            Err(outcome) => return Attempt::Done((outcome, None)),
        };
        let growth = content.size().beyond(old.size());
        if !reserved.cover(growth) {
            return Attempt::Short(growth);
        }
        let new = Kept::record(place.key, next(expected), old.created(), content);
        let old = shard.replace(position, new.clone());
        self.owners.follow(Some(&old), Some(&new));
        reserved.settle(new.size(), old.size());
        self.sweep_on(&mut shard, place);
        committed(new)
    }

    fn try_move(
        &self,
        (from, ended): (&Place, &Kept),
        to: &Place,
        expected: Version,
        content: &Content<'_>,
        reserved: &mut Reserved<'_>,
    ) -> Attempt {
        let mut pair = self.lock_both(from, to);
        let (created, went) = match record_with(pair.shard(from), from, expected) {
            Ok((_, old)) => (old.created(), old.size()),
            Err(outcome) => return Attempt::Done((outcome, None)),
        };
        if pair.shard(to).get(to).is_some() {
            return Attempt::Refused(TAKEN);
        }
        let came = content.size() + ended.size();
        let growth = came.beyond(went);
        if !reserved.cover(growth) {
            return Attempt::Short(growth);
        }
        let moved = Kept::record(to.key, next(expected), created, content);
        self.write(pair.shard(from), from, ended);
        self.write(pair.shard(to), to, &moved);
        reserved.settle(came, went);
        self.sweep_on(pair.shard(to), to);
        committed(moved)
    }

    fn end_if(
        &self,
        shard: &mut Shard,
        place: &Place,
        remember_until: Timestamp,
        wanted: impl FnOnce(&Kept) -> bool,
    ) -> bool {
        let Some(record) = record_at(shard, place).filter(|record| wanted(record)) else {
            return false;
        };
        let went = record.size();
        let tombstone = Kept::tombstone(place.key, remember_until);
        let came = tombstone.size();
        self.write(shard, place, &tombstone);
        self.room.exchange(came, went);
        true
    }

    /// Puts an entry at its key and has the owner index follow. The caller counts it.
    fn write(&self, shard: &mut Shard, place: &Place, new: &Kept) {
        let old = shard.put(place, new.clone());
        self.owners.follow(old.as_ref(), Some(new));
    }

    fn remove(&self, shard: &mut Shard, place: &Place) {
        if let Some(removed) = shard.remove(place) {
            self.removed(&removed);
        }
    }

    /// Has index and counters follow an entry that was removed under the lock that is still held.
    fn removed(&self, kept: &Kept) {
        self.owners.follow(Some(kept), None);
        self.room.exchange(Size::default(), kept.size());
    }

    fn place(&self, key: &StoreKey) -> Place {
        Place::new(key, &self.hasher)
    }

    fn lock(&self, place: &Place) -> MutexGuard<'_, Shard> {
        self.shards[place.shard()].lock()
    }

    fn lock_both(&self, one: &Place, other: &Place) -> Pair<'_> {
        let (low, high) = (one.shard().min(other.shard()), one.shard().max(other.shard()));
        // The order in which this struct is filled is the order of all locks.
        Pair {
            low_index: low,
            low: self.shards[low].lock(),
            high: (low != high).then(|| self.shards[high].lock()),
        }
    }
}

fn committed(kept: Kept) -> Attempt {
    Attempt::Done((Outcome::Committed(kept.version()), Some(kept)))
}

const TAKEN: &str = "the key of a new record is taken";

fn next(version: Version) -> Version {
    Version(version.0 + 1)
}

fn record_at<'a>(shard: &'a Shard, place: &Place) -> Option<&'a Kept> {
    shard.get(place).filter(|kept| kept.is_record())
}

/// The record of this key with its position, if it has this version.
fn record_with<'a>(
    shard: &'a Shard,
    place: &Place,
    expected: Version,
) -> Result<(usize, &'a Kept), Outcome> {
    let position = shard.position(place).ok_or(Outcome::Gone)?;
    let kept = shard.at(position);
    match (kept.is_record(), kept.version() == expected) {
        (false, _) => Err(Outcome::Gone),
        (true, false) => Err(Outcome::Conflict),
        (true, true) => Ok((position, kept)),
    }
}

/// The locked shards of two keys, which may be one.
struct Pair<'a> {
    low_index: usize,
    low: MutexGuard<'a, Shard>,
    high: Option<MutexGuard<'a, Shard>>,
}

impl Pair<'_> {
    /// The shard of one of the two keys.
    fn shard(&mut self, place: &Place) -> &mut Shard {
        match &mut self.high {
            Some(high) if place.shard() != self.low_index => high,
            _ => &mut self.low,
        }
    }
}

/// A lock on cache lines of its own, so that threads at neighbouring locks do not slow each other down.
#[repr(align(128))]
struct Locked<T>(Mutex<T>);

impl<T> Locked<T> {
    fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that gets no answer has failed")]
mod tests {
    use super::*;
    use std::sync::Arc;

    const LATER: Timestamp = Timestamp::from_millis(1_000);

    fn key(number: u8) -> StoreKey {
        StoreKey::from_bytes([number; 32])
    }

    fn create(memory: &Memory, number: u8, now: u64, expires_at: u64) {
        let now = Timestamp::from_millis(now);
        let new = NewRecord::new(b"", now, Timestamp::from_millis(expires_at));
        memory.create(&key(number), &new, now).unwrap();
    }

    /// A table for two sessions, and the ids that it has given up.
    fn watched(keys: Keys) -> (Memory, Arc<Mutex<Vec<SessionId>>>) {
        let evicted = Arc::new(Mutex::new(Vec::new()));
        let listener = Box::new({
            let evicted = evicted.clone();
            move |id: &dyn Fn() -> SessionId| evicted.lock().unwrap().push(id())
        });
        (Memory::new(2, usize::MAX, keys).with_eviction_listener(listener), evicted)
    }

    #[test]
    fn an_id_is_made_of_the_token_as_every_other_store_makes_it() {
        let memory = Memory::new(9, usize::MAX, Keys::Tokens);
        create(&memory, 1, 0, 1_000);
        let store_key = StoreKey::from_bytes(Sha256::digest([1; 32]).into());
        assert_eq!(memory.id(&key(1)), store_key.id());
        assert_eq!(memory.find(&store_key.id()).map(|entry| entry.key), Some(key(1)));
        assert_eq!(memory.find(&key(1).id()), None);
    }

    #[test]
    fn a_listener_hears_of_live_sessions_that_were_given_up() {
        for keys in [Keys::Tokens, Keys::StoreKeys] {
            let (memory, evicted) = watched(keys);
            create(&memory, 1, 0, 10);
            create(&memory, 2, 0, 20);
            create(&memory, 3, 0, 30);
            assert_eq!(*evicted.lock().unwrap(), [memory.id(&key(1))]);

            // The next one takes the place of a session that has expired, which is no news.
            create(&memory, 4, 20, 40);
            memory.end(&key(3), LATER);
            assert_eq!(evicted.lock().unwrap().len(), 1);
        }
    }

    #[test]
    fn a_listener_may_use_the_table_and_panic() {
        let memory = Arc::new_cyclic(|table: &std::sync::Weak<Memory>| {
            let table = table.clone();
            Memory::new(2, usize::MAX, Keys::StoreKeys).with_eviction_listener(Box::new(
                move |_| {
                    let table = table.upgrade().unwrap();
                    // Waits for ever if a lock is held.
                    table.count(LATER);
                    table.end_owned_by("42", None, LATER);
                    panic!("the listener failed");
                },
            ))
        });
        for number in 1..10 {
            create(&memory, number, 0, 1_000 + u64::from(number));
        }
        assert_eq!(memory.count(LATER), 2);
        assert!(matches!(memory.load(&key(9)), Found::Live(_)));
    }

    #[test]
    fn the_owner_index_forgets_what_has_left_the_table() {
        let memory = Memory::new(9, usize::MAX, Keys::Tokens);
        let mut change = Change::new(b"", LATER);
        change.owner = Some("42");
        for number in 1..=5 {
            create(&memory, number, 0, 1_000);
            memory.commit(&key(number), Version(1), &change).unwrap();
        }
        memory.end(&key(1), LATER);
        memory.end_owned_by("42", Some(&key(5)), LATER);
        create(&memory, 6, 0, 2_000);
        change.move_to = Some(key(7));
        memory.commit(&key(6), Version(1), &change).unwrap();
        assert_eq!(memory.owners.keys("42", None, usize::MAX), [key(5), key(7)]);

        memory.commit(&key(7), Version(2), &Change::new(b"", LATER)).unwrap();
        memory.delete_expired(LATER, usize::MAX);
        assert_eq!(memory.owners.keys("42", None, usize::MAX), []);
    }

    #[test]
    fn a_reader_keeps_what_it_loaded_while_others_write() {
        let memory = Memory::new(9, usize::MAX, Keys::Tokens);
        create(&memory, 1, 0, 1_000);
        let Found::Live(kept) = memory.load(&key(1)) else { panic!("no record") };
        memory.commit(&key(1), Version(1), &Change::new(b"new", LATER)).unwrap();
        memory.end(&key(1), LATER);
        assert_eq!((kept.bytes(), kept.version()), (&b""[..], Version(1)));
    }
}
