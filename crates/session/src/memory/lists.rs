//! Finding, listing and counting: what an operator or an account page asks for, not a request.
//!
//! The table is ordered by nothing, so all but the list of an owner walk over the whole of it, one shard at a
//! time.

use dframework_session_store::{Entry, Page, SessionId, StoreKey, Timestamp};
use std::collections::BTreeMap;

use super::{Kept, Locked, Memory, record_at, shard::Shard};

impl Memory {
    /// Finds the record with this id, by a walk over the whole table.
    pub(crate) fn find(&self, id: &SessionId) -> Option<Entry> {
        let is_it = |kept: &&Kept| kept.is_record() && self.id(kept.key()) == *id;
        let found_in = |shard: &Locked<Shard>| shard.lock().iter().find(is_it).map(Kept::to_entry);
        self.shards.iter().find_map(found_in)
    }

    /// Lists the records of an owner that have not expired by `now`, in the order of their keys.
    ///
    /// Does not hold the index while it looks records up: locks of shards come before it.
    pub(crate) fn owned_by(&self, owner: &str, now: Timestamp, page: Page) -> Vec<Entry> {
        let mut found = Vec::new();
        let mut after = page.after;
        loop {
            let keys = self.owners.keys(owner, after.as_ref(), page.limit - found.len());
            let Some(last) = keys.last() else { return found };
            after = Some(*last);
            found.extend(keys.iter().filter_map(|key| self.owned(key, owner, now)));
        }
    }

    /// Counts the records that have not expired by `now`, by a walk over the whole table.
    pub(crate) fn count(&self, now: Timestamp) -> u64 {
        let lives = |kept: &&Kept| kept.is_record() && !kept.has_expired(now);
        let count = |shard: &Locked<Shard>| shard.lock().iter().filter(lives).count() as u64;
        self.shards.iter().map(count).sum()
    }

    /// The first `limit` records behind the key `after`, in the order of keys.
    ///
    /// Each call walks over the whole table, so a few large pages cost less than many small ones.
    pub(crate) fn scan(&self, after: Option<&StoreKey>, limit: usize) -> Vec<Kept> {
        let mut first = BTreeMap::new();
        let wanted =
            |kept: &&Kept| kept.is_record() && after.is_none_or(|after| kept.key() > after);
        for shard in &self.shards {
            for kept in shard.lock().iter().filter(wanted) {
                keep_first(&mut first, kept, limit);
            }
        }
        first.into_values().collect()
    }

    fn owned(&self, key: &StoreKey, owner: &str, now: Timestamp) -> Option<Entry> {
        let place = self.place(key);
        let shard = self.lock(&place);
        let record = record_at(&shard, &place)?;
        (record.is_owned_by(owner) && !record.has_expired(now)).then(|| record.to_entry())
    }
}

fn keep_first(first: &mut BTreeMap<StoreKey, Kept>, kept: &Kept, limit: usize) {
    let behind_all = first.last_key_value().is_some_and(|(last, _)| kept.key() > last);
    if first.len() == limit && behind_all {
        return;
    }
    first.insert(*kept.key(), kept.clone());
    if first.len() > limit {
        first.pop_last();
    }
}
