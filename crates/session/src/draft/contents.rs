//! What the records are to hold once the changes are in them.

use super::{Draft, Layer, Put};
use crate::{
    error::{Error, Kind},
    flash::{UNSEEN, next_generation},
    record::{Entry, LARGEST_RECORD, Record, Sort},
};
use dframework_session_store::Timestamp;
use std::cmp::Ordering;

/// What a record is to hold.
#[derive(Default)]
pub(crate) struct Contents<'a> {
    /// In their order.
    pub(crate) entries: Vec<Entry<'a>>,
    /// Whether that differs from what it holds, stale entries aside.
    pub(crate) changed: bool,
    /// The generation of the flash values that this request made.
    pub(crate) generation: Option<u8>,
}

impl<'a> Contents<'a> {
    /// Whether there is a value of the same name.
    fn has(&self, other: &Entry<'_>) -> bool {
        self.entries.binary_search_by_key(&other.key, |entry| entry.key).is_ok()
    }

    /// Adds a value that the record did not hold.
    fn add(&mut self, put: Option<Entry<'a>>) {
        self.changed |= put.is_some();
        self.entries.extend(put);
    }

    /// Puts a value, or nothing, in the place of one that the record holds.
    fn replace(&mut self, entry: Entry<'a>, put: Option<Entry<'a>>) {
        match put {
            Some(put) if put.sort == entry.sort && put.value == entry.value => {
                self.entries.push(entry);
            }
            put => {
                self.entries.extend(put);
                self.changed = true;
            }
        }
    }
}

impl Draft {
    /// What the ordinary record is to hold, next to what the permanent one is to hold.
    ///
    /// `carried` and `aged` are the generations whose companions the request brought and whose companions the
    /// response removes.
    pub(crate) fn ordinary_contents<'a>(
        &'a self,
        permanent: &Contents<'_>,
        carried: u8,
        aged: u8,
        now: Timestamp,
    ) -> Contents<'a> {
        let stale = |entry: &Entry<'_>| match entry.sort {
            Sort::Stored { expires_at } => expires_at.is_some_and(|expires_at| expires_at <= now),
            Sort::Flash { generation, at } => {
                let bit = 1 << generation;
                let unseen = carried & bit == 0 && at.saturating_add(UNSEEN) <= now;
                aged & bit != 0 || unseen
            }
        };
        let mut contents = self.contents(Layer::Ordinary, permanent, stale);
        if self.puts.iter().any(|put| put.layer == Layer::Flash && put.value.is_some()) {
            self.add_messages(&mut contents, carried, now);
        }
        contents
    }

    /// What the permanent record is to hold.
    pub(crate) fn permanent_contents(&self) -> Contents<'_> {
        self.contents(Layer::Permanent, &Contents::default(), |_| false)
    }

    /// Adds the messages that this request made, under a generation of their own.
    fn add_messages<'a>(&'a self, contents: &mut Contents<'a>, carried: u8, now: Timestamp) {
        let in_use = |used: u8, entry: &Entry<'_>| match entry.sort {
            Sort::Flash { generation, .. } => used | 1 << generation,
            Sort::Stored { .. } => used,
        };
        let in_use = contents.entries.iter().fold(0, in_use);
        let generation = next_generation(self.last_generation, in_use, carried);
        let sort = Sort::Flash { generation, at: now };
        contents.entries.extend(self.puts.iter().filter_map(|put| {
            let (json, _) = put.value.as_ref().filter(|_| put.layer == Layer::Flash)?;
            Some(Entry::new(&put.key, sort, json))
        }));
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

    /// The loaded entries that are not stale, without those that were removed, with those that were written:
    /// both are in order, so one pass goes through them side by side.
    ///
    /// Where a key is in `permanent` too, it is permanent.
    fn contents<'a>(
        &'a self,
        layer: Layer,
        permanent: &Contents<'_>,
        stale: impl Fn(&Entry<'_>) -> bool,
    ) -> Contents<'a> {
        let standing = if layer == Layer::Permanent { &self.permanent } else { &self.ordinary };
        let record = standing.live().map(|live| &live.record);
        let mut puts = self.puts.iter().filter(|put| put.layer == layer).peekable();
        if record.is_none() && puts.peek().is_none() {
            return Contents::default();
        }
        let hidden = self.base(layer).is_none();
        // What this request has stored for a moment may be over.
        let entry_of = |put: &'a Put| put.entry().filter(|entry| !stale(entry));
        let mut contents = Contents::default();
        contents.entries.reserve_exact(record.map_or(0, Record::count) + self.puts.len());
        for entry in record.into_iter().flat_map(Record::entries) {
            let is_value = matches!(entry.sort, Sort::Stored { .. });
            // A value stands before the messages of its name.
            while let Some(put) = puts.next_if(|put| match put.key.as_bytes().cmp(entry.key) {
                Ordering::Less => true,
                Ordering::Equal => !is_value,
                Ordering::Greater => false,
            }) {
                contents.add(entry_of(put));
            }
            let is_of_key = |put: &&Put| is_value && put.key.as_bytes() == entry.key;
            match puts.next_if(is_of_key) {
                Some(put) if stale(&entry) => contents.add(entry_of(put)),
                Some(put) => contents.replace(entry, entry_of(put)),
                // A message that is taken away goes at once, and not only as its companion does.
                None if !is_value && (hidden || self.replaces_message(&entry)) => {
                    contents.changed = true;
                }
                None if stale(&entry) => {}
                None if is_value && (hidden || permanent.has(&entry)) => contents.changed = true,
                None => contents.entries.push(entry),
            }
        }
        puts.for_each(|put| contents.add(entry_of(put)));
        contents
    }

    /// Whether this request has written or removed a loaded message that it sees.
    fn replaces_message(&self, entry: &Entry<'_>) -> bool {
        match entry.sort {
            Sort::Stored { .. } => false,
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
        let mut largest: Vec<_> =
            seen.map(|entry| (entry.name().to_owned(), entry.size())).collect();
        largest.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
        largest.truncate(5);
        Error::new(Kind::TooLarge { size, limit: LARGEST_RECORD, largest })
    }
}
