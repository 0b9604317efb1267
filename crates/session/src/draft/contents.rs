//! What the records are to hold once the changes are in them.

use super::{Draft, Layer};
use crate::{
    error::{Error, Kind},
    flash::{UNSEEN, next_generation},
    record::{Entry, LARGEST_RECORD, Sort},
};
use dframework_session_store::Timestamp;

/// What a record is to hold.
pub(crate) struct Contents<'a> {
    pub(crate) entries: Vec<Entry<'a>>,
    /// Whether that differs from what it holds, stale entries aside.
    pub(crate) changed: bool,
    /// The generation of the flash values that this request made.
    pub(crate) generation: Option<u8>,
}

impl Draft {
    /// What the ordinary record is to hold.
    ///
    /// `carried` and `aged` are the generations whose companions the request brought and whose companions the
    /// response removes.
    pub(crate) fn ordinary_contents(&self, carried: u8, aged: u8, now: Timestamp) -> Contents<'_> {
        let stale = |entry: &Entry<'_>| match entry.sort {
            Sort::Stored { expires_at } => expires_at.is_some_and(|expires_at| expires_at <= now),
            Sort::Flash { generation, at } => {
                let bit = 1 << generation;
                let unseen = carried & bit == 0 && at.saturating_add(UNSEEN) <= now;
                aged & bit != 0 || unseen
            }
        };
        let mut contents =
            self.contents(Layer::Ordinary, &self.permanent_contents().entries, stale);
        let in_use = |used: u8, entry: &Entry<'_>| match entry.sort {
            Sort::Flash { generation, .. } => used | 1 << generation,
            Sort::Stored { .. } => used,
        };
        let in_use = contents.entries.iter().fold(0, in_use);
        let generation = next_generation(self.last_generation, in_use, carried);
        let sort = Sort::Flash { generation, at: now };
        let before = contents.entries.len();
        contents.entries.extend(self.puts.iter().filter_map(|put| {
            let (json, _) = put.value.as_ref().filter(|_| put.layer == Layer::Flash)?;
            Some(Entry { key: &put.key, sort, value: json.as_bytes() })
        }));
        if contents.entries.len() > before {
            // A message that joins the last generation replaces the one of its name there.
            contents.entries.sort_by(Entry::place);
            contents.entries.dedup_by(|later, first| {
                later.place(first).is_eq() && {
                    *first = *later;
                    true
                }
            });
            contents.generation = Some(generation);
            contents.changed = true;
        }
        contents
    }

    /// What the permanent record is to hold.
    pub(crate) fn permanent_contents(&self) -> Contents<'_> {
        self.contents(Layer::Permanent, &[], |_| false)
    }

    /// The loaded entries that are not stale, without those that were removed, with those that were written.
    ///
    /// Where a key is in `permanent` too, it is permanent.
    fn contents(
        &self,
        layer: Layer,
        permanent: &[Entry<'_>],
        stale: impl Fn(&Entry<'_>) -> bool,
    ) -> Contents<'_> {
        let standing = if layer == Layer::Permanent { &self.permanent } else { &self.ordinary };
        let loaded = standing.live().into_iter().flat_map(|live| live.record.entries());
        let before = loaded.filter(|entry| !stale(entry) || self.replaces(layer, entry));
        let before: Vec<Entry<'_>> = before.collect();
        let hidden = self.base(layer).is_none();
        let is_shadowed = |entry: &Entry<'_>| {
            matches!(entry.sort, Sort::Stored { .. })
                && permanent.binary_search_by_key(&entry.key, |entry| entry.key).is_ok()
        };
        let remains =
            |entry: &&Entry<'_>| !hidden && !is_shadowed(entry) && !self.replaces(layer, entry);
        let mut entries: Vec<Entry<'_>> = before.iter().filter(remains).copied().collect();
        entries.extend(self.puts.iter().filter(|put| put.layer == layer).filter_map(|put| {
            let (json, expires_at) = put.value.as_ref()?;
            let sort = Sort::Stored { expires_at: *expires_at };
            Some(Entry { key: &put.key, sort, value: json.as_bytes() })
        }));
        entries.sort_unstable_by(Entry::place);
        let changed = entries != before;
        Contents { entries, changed, generation: None }
    }

    /// Whether this request has written or removed the value of a loaded entry.
    fn replaces(&self, layer: Layer, entry: &Entry<'_>) -> bool {
        match entry.sort {
            Sort::Stored { .. } => self.put_at(entry.key, layer).is_some(),
            Sort::Flash { generation, .. } => {
                self.sees(generation) && self.put_at(entry.key, Layer::Flash).is_some()
            }
        }
    }

    /// The error for contents that fit no record, with the five largest values that the request can see.
    pub(crate) fn too_large(&self, size: usize, contents: &Contents<'_>) -> Error {
        let is_seen = |entry: &&Entry<'_>| match entry.sort {
            Sort::Stored { .. } => true,
            Sort::Flash { generation, .. } => {
                self.sees(generation) || contents.generation == Some(generation)
            }
        };
        let seen = contents.entries.iter().filter(is_seen);
        let mut largest: Vec<_> = seen.map(|entry| (entry.key.to_owned(), entry.size())).collect();
        largest.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
        largest.truncate(5);
        Error::new(Kind::TooLarge { size, limit: LARGEST_RECORD, largest })
    }
}
