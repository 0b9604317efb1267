//! What the records are to hold once the changes are in them: written as it is decided on.

use super::{Content, Draft, Layer, Put};
use crate::{
    error::{Error, Kind},
    flash::{UNSEEN, next_generation},
    key::order,
    record::{Entries, Entry, Header, Record, Sort, Writer},
    value::Named,
};
use dframework_session_store::Timestamp;
use std::{cmp::Ordering, iter::Peekable};

/// What a record is to hold.
pub(crate) struct Contents {
    pub(crate) record: Writer,
    /// Whether that differs from what it holds, stale entries aside.
    pub(crate) changed: bool,
}

/// What says of a loaded entry that its time is over.
#[derive(Clone, Copy)]
pub(crate) struct Age {
    /// The generations whose companions the request brought.
    pub(crate) carried: u8,
    /// The generations whose companions the response removes.
    pub(crate) aged: u8,
    pub(crate) now: Timestamp,
}

impl Age {
    #[inline]
    fn is_stale(self, sort: Sort) -> bool {
        match sort {
            Sort::Stored { expires_at } => {
                expires_at.is_some_and(|expires_at| expires_at <= self.now)
            }
            Sort::Flash { generation, at } => {
                let bit = 1 << generation;
                let unseen = self.carried & bit == 0 && at.saturating_add(UNSEEN) <= self.now;
                self.aged & bit != 0 || unseen
            }
        }
    }
}

impl Contents {
    /// Writes what this request has put, where it has put something.
    fn add(&mut self, put: &Placed<'_>) {
        if let Some(named) = put.named {
            self.record.put(put.sort, named.key().len(), named.text());
            self.changed = true;
        }
    }

    /// Writes loaded entries that stay, up to the one at `end`.
    fn keep(&mut self, run: &Run<'_>, end: &Entries<'_>) {
        if run.count > 0 {
            self.record.keep(run.from.until(end), run.count);
        }
    }
}

/// Loaded entries that stay and stand side by side: they are written in one piece.
struct Run<'a> {
    from: Entries<'a>,
    count: u32,
}

impl<'a> Run<'a> {
    /// None yet, from here on.
    fn from(from: &Entries<'a>) -> Self {
        Self { from: from.clone(), count: 0 }
    }
}

/// What this request has put, where it goes in a record.
struct Placed<'a> {
    key: &'a [u8],
    sort: Sort,
    /// `None` where nothing is to be.
    named: Option<&'a Named>,
}

impl Placed<'_> {
    /// Whether the value says what an entry says already.
    fn says(&self, entry: &Entry<'_>) -> bool {
        let is_same = |named: &Named| self.sort == entry.sort() && named.json() == entry.value;
        self.named.is_some_and(is_same)
    }
}

impl Put {
    /// Where it goes in the record that holds this layer; `None` where it goes into none or into the other.
    ///
    /// `message` is how the messages of this request are kept.
    fn placed_in(
        &self,
        layer: Layer,
        message: Option<Sort>,
        stale: &impl Fn(Sort) -> bool,
    ) -> Option<Placed<'_>> {
        let (sort, is_over) = match (self.layer, layer, self.content) {
            (Layer::Permanent, Layer::Permanent, content)
            | (Layer::Ordinary, Layer::Ordinary, content) => match content {
                Content::Value { expires_at } => {
                    let sort = Sort::Stored { expires_at };
                    // What this request has stored for a moment may be over.
                    (sort, stale(sort))
                }
                Content::Removed => (Sort::Stored { expires_at: None }, true),
            },
            (Layer::Flash, Layer::Ordinary, Content::Value { .. }) => (message?, false),
            // A message that was removed has no place: it may have stood in several.
            _ => return None,
        };
        let named = (!is_over).then_some(&self.named);
        Some(Placed { key: self.named.key(), sort, named })
    }
}

/// The names in a record, looked through in their order.
struct Names<'a> {
    next: Option<Entry<'a>>,
    rest: Entries<'a>,
}

impl Names<'_> {
    /// Whether this name is among them. The next one that is asked for stands behind it.
    #[inline]
    fn has(&mut self, key: &[u8]) -> bool {
        self.next.is_some() && self.look_for(key)
    }

    fn look_for(&mut self, key: &[u8]) -> bool {
        while let Some(next) = &self.next {
            match order(next.key, key) {
                Ordering::Less => self.next = self.rest.next(),
                Ordering::Equal => return true,
                Ordering::Greater => return false,
            }
        }
        false
    }
}

/// The next that stands at this place or before it, and which of the two.
fn next_up_to<'a>(
    puts: &mut Peekable<impl Iterator<Item = Placed<'a>>>,
    place: (&[u8], u8),
) -> Option<(Ordering, Placed<'a>)> {
    let put = puts.peek()?;
    let order = order(put.key, place.0).then_with(|| put.sort.slot().cmp(&place.1));
    if order.is_gt() { None } else { puts.next().map(|put| (order, put)) }
}

impl Draft {
    /// The generation for the messages that this request has made, if it has made some.
    pub(crate) fn generation(&self, age: Age) -> Option<u8> {
        if !self.puts.iter().any(|put| put.layer == Layer::Flash && put.value().is_some()) {
            return None;
        }
        let entries = self.base(Layer::Ordinary).map(Record::entries).unwrap_or_default();
        let stays =
            |entry: &Entry<'_>| !self.replaces_message(entry) && !age.is_stale(entry.sort());
        let in_use = entries.filter(stays).fold(0, |used, entry| match entry.sort() {
            Sort::Flash { generation, .. } => used | 1 << generation,
            Sort::Stored { .. } => used,
        });
        Some(next_generation(self.last_generation, in_use, age.carried))
    }

    /// What the ordinary record is to hold, next to what the permanent one is to hold.
    pub(crate) fn ordinary_contents(
        &self,
        header: &Header<'_>,
        permanent: Entries<'_>,
        age: Age,
        generation: Option<u8>,
    ) -> Contents {
        let message = generation.map(|generation| Sort::Flash { generation, at: age.now });
        self.contents(Layer::Ordinary, header, permanent, message, |sort| age.is_stale(sort))
    }

    /// What the permanent record is to hold.
    pub(crate) fn permanent_contents(&self, header: &Header<'_>) -> Contents {
        self.contents(Layer::Permanent, header, Entries::default(), None, |_| false)
    }

    /// Whether this request has put something permanent, or says that it is to live on.
    pub(crate) fn changes_permanent(&self) -> bool {
        self.renew || self.puts.iter().any(|put| put.layer == Layer::Permanent)
    }

    /// What the permanent record holds as it was loaded.
    pub(crate) fn permanent_entries(&self) -> Entries<'_> {
        self.base(Layer::Permanent).map(Record::entries).unwrap_or_default()
    }

    /// The loaded entries that are not stale, without those that were removed, with those that were written:
    /// both are in order, so one pass goes through them side by side.
    ///
    /// Where a key is in `permanent` too, it is permanent. `message` is how the messages of this request are kept.
    fn contents(
        &self,
        layer: Layer,
        header: &Header<'_>,
        mut permanent: Entries<'_>,
        message: Option<Sort>,
        stale: impl Fn(Sort) -> bool,
    ) -> Contents {
        let standing = if layer == Layer::Permanent {
            &self.records.permanent
        } else {
            &self.records.ordinary
        };
        let record = standing.live().map(|live| &live.record);
        let hidden = self.base(layer).is_none();
        let mut contents =
            Contents { record: Writer::new(header, self.room(record)), changed: false };
        let placed = |put| Put::placed_in(put, layer, message, &stale);
        let mut puts = self.puts.iter().filter_map(placed).peekable();
        let mut permanent = Names { next: permanent.next(), rest: permanent };
        let mut rest = record.map(Record::entries).unwrap_or_default();
        let mut run = Run::from(&rest);
        'entries: loop {
            if !hidden && permanent.next.is_none() {
                // Most values are nobody's business: they stay.
                run.count += rest.pass_plain(puts.peek().map(|put| put.key));
            }
            let here = rest.clone();
            let Some(entry) = rest.next() else { break };
            let is_stale = stale(entry.sort());
            while let Some((order, put)) = next_up_to(&mut puts, entry.place()) {
                if order.is_eq() && !is_stale && !entry.is_message() && put.says(&entry) {
                    run.count += 1;
                    continue 'entries;
                }
                contents.keep(&run, &here);
                run = Run::from(&here);
                contents.add(&put);
                if order.is_eq() {
                    // Its place is taken, by another value or by nothing.
                    contents.changed |= !is_stale;
                    run = Run::from(&rest);
                    continue 'entries;
                }
            }
            // A message that is taken away goes at once, and not only as its companion does.
            let taken_away = entry.is_message() && (hidden || self.replaces_message(&entry));
            let goes = hidden || !entry.is_message() && permanent.has(entry.key);
            contents.changed |= taken_away || goes && !is_stale;
            if taken_away || goes || is_stale {
                contents.keep(&run, &here);
                run = Run::from(&rest);
            } else {
                run.count += 1;
            }
        }
        contents.keep(&run, &rest);
        puts.for_each(|put| contents.add(&put));
        contents
    }

    /// How many bytes the entries of a record and of everything that was put take at most.
    fn room(&self, record: Option<&Record>) -> usize {
        let puts = self.puts.iter().map(|put| Writer::room_for(put.named.text().len()));
        puts.sum::<usize>() + record.map_or(0, |record| record.bytes().len())
    }

    /// Whether this request has written or removed a loaded message that it sees.
    fn replaces_message(&self, entry: &Entry<'_>) -> bool {
        match entry.sort() {
            Sort::Stored { .. } => false,
            Sort::Flash { generation, .. } => {
                self.sees(generation) && self.put_in(entry.key, Layer::Flash).is_some()
            }
        }
    }

    /// The error for contents that fit no record, with the five largest values that the request can see.
    pub(crate) fn too_large(
        &self,
        record: &Writer,
        made: Option<u8>,
        size: usize,
        limit: usize,
    ) -> Error {
        let is_seen = |entry: &Entry<'_>| match entry.sort() {
            Sort::Stored { .. } => true,
            Sort::Flash { generation, .. } => self.sees(generation) || made == Some(generation),
        };
        let seen = record.entries().filter(is_seen);
        let mut largest: Vec<_> =
            seen.map(|entry| (entry.name().to_owned(), entry.size())).collect();
        largest.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
        largest.truncate(5);
        Error::new(Kind::TooLarge { size, limit, largest })
    }
}
