//! One session's stored state: a flat buffer that is read in place.
//!
//! ```text
//! format u8 = 1 | nature u8 | length of fields u16 | number of entries u32
//! created u64 | absolute deadline u64
//! fields:  (tag u8 | length u16 | bytes)*           tag 1: the owner; tag 2: the commit that wrote
//!                                                   it, and for which key; others are kept unread
//! entries: (kind u8 | key length u16 | value length u32 | [time u64] | key | value as JSON text)*
//! ```
//!
//! The nature is 0x80 for a permanent record; of an ordinary one it is the flash generation that was used last,
//! 0 to 7. So a session's token opens nothing under the permanent cookie's name, nor the other way round.
//!
//! Records in a store are stamped: with a random number of the commit, 8 bytes, and with the beginning of the key,
//! 8 bytes more. So a lost answer can be looked up, and an answer for another key shows nobody a session.
//!
//! Numbers are little-endian, instants in milliseconds. Kinds: 0, a value; 1, a value with the instant at which
//! it expires; 0x80 to 0x87, a flash value of that generation with the instant at which it was made. Entries
//! are sorted by key, then kind, each pair at most once. Fields are sorted by tag.

use crate::{error::Record as Which, key::order, memory::Kept, stealth::Plain};
use dframework_session_store::{StoreKey, Timestamp};
use std::{cmp::Ordering, ops::Range, sync::Arc};
use zeroize::Zeroize;

/// The largest record, in bytes.
pub(crate) const LARGEST_RECORD: usize = 1 << 20;

const FORMAT: u8 = 1;
const HEADER: usize = 24;
/// What stands before the time, the key and the value of an entry.
const FRONT: usize = 7;
const PERMANENT: u8 = 0x80;
const OWNER: u8 = 1;
const STAMP: u8 = 2;
/// The number of the commit and the beginning of the key.
const STAMP_LENGTH: usize = 16;
const KIND_PLAIN: u8 = 0;
const KIND_EXPIRING: u8 = 1;
const KIND_FLASH: u8 = 0x80;
const SLOT_OF_VALUE: u8 = 0;

/// The bytes of a record, shared with whoever keeps them.
#[derive(Clone)]
pub(crate) enum Bytes {
    /// In the memory store.
    Kept(Kept),
    /// Fetched from a store, or written for one.
    Owned(Arc<Vec<u8>>),
    /// Sealed in a cookie, and opened.
    Opened(Plain),
}

impl AsRef<[u8]> for Bytes {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Kept(kept) => kept.bytes(),
            Self::Owned(bytes) => bytes,
            Self::Opened(plain) => plain.bytes(),
        }
    }
}

/// A record whose structure has been checked once, so that reading it cannot fail.
#[derive(Clone, Default)]
pub(crate) struct Record<B = Bytes>(B);

/// A record that was written and that nobody keeps yet.
pub(crate) type Written = Record<Vec<u8>>;

/// Which of a user's two records it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Nature {
    /// Flash and ordinary values, and the flash generation that was used last.
    Ordinary { last_generation: u8 },
    /// Values that live ten years.
    Permanent,
}

/// What stands at the front of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header<'a> {
    /// When the session began.
    pub(crate) created: Timestamp,
    /// When it ends, however much it is used.
    pub(crate) absolute: Timestamp,
    pub(crate) nature: Nature,
    /// Whose session it is.
    pub(crate) owner: Option<&'a str>,
    /// A random number of the commit that wrote the record, where a lost answer makes it necessary to look.
    pub(crate) stamp: Option<u64>,
    /// Fields that this version does not know, as they were found.
    unknown: &'a [u8],
}

impl Header<'_> {
    /// The header of a record without owner.
    pub(crate) fn new(created: Timestamp, absolute: Timestamp, nature: Nature) -> Self {
        Self { created, absolute, nature, owner: None, stamp: None, unknown: &[] }
    }
}

/// How an entry is kept. The order is the order of entries under one key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Sort {
    /// Until it is forgotten, or until the instant that it carries.
    Stored { expires_at: Option<Timestamp> },
    /// A flash message of this generation, made at this instant.
    Flash { generation: u8, at: Timestamp },
}

impl Sort {
    /// Under one key, the value stands before the messages, and those in the order of their generations.
    pub(crate) fn slot(self) -> u8 {
        match self {
            Self::Stored { .. } => SLOT_OF_VALUE,
            Self::Flash { generation, .. } => KIND_FLASH | generation,
        }
    }
}

/// A value and its name, in place.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    /// UTF-8. Only who shows it reads it as text: keys are ordered and compared by their bytes.
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
    /// The entry as the record holds it.
    raw: &'a [u8],
}

impl<'a> Entry<'a> {
    /// The name as text.
    pub(crate) fn name(&self) -> &'a str {
        // Checked when it came from outside, and a `&str` where this process wrote it.
        std::str::from_utf8(self.key).unwrap_or_default()
    }

    /// The entry as the record holds it.
    pub(crate) fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// How many bytes the entry takes.
    pub(crate) fn size(&self) -> usize {
        self.raw.len()
    }

    /// How the entry is kept.
    pub(crate) fn sort(&self) -> Sort {
        let at = || time_at(self.raw, FRONT);
        match self.raw[0] {
            KIND_PLAIN => Sort::Stored { expires_at: None },
            KIND_EXPIRING => Sort::Stored { expires_at: Some(at()) },
            kind => Sort::Flash { generation: kind & 7, at: at() },
        }
    }

    /// Whether it is a flash message.
    pub(crate) fn is_message(&self) -> bool {
        self.raw[0] >= KIND_FLASH
    }

    /// Where the entry stands among the others: what stands under one key is ordered by its slot.
    pub(crate) fn place(&self) -> (&'a [u8], u8) {
        (self.key, if self.is_message() { self.raw[0] } else { SLOT_OF_VALUE })
    }
}

/// The entries of a record, in their order.
#[derive(Clone, Default)]
pub(crate) struct Entries<'a>(&'a [u8]);

impl<'a> Entries<'a> {
    /// Goes past the plain values in front of this key, or in front of whatever else comes, and counts them.
    #[inline]
    pub(crate) fn pass_plain(&mut self, before: Option<&[u8]>) -> u32 {
        let mut passed = 0;
        while let Ok((entry, after)) = entry(self.0)
            && entry.raw[0] == KIND_PLAIN
            && before.is_none_or(|key| order(entry.key, key).is_lt())
        {
            self.0 = after;
            passed += 1;
        }
        passed
    }

    /// The bytes of these entries, up to the first of those that follow.
    pub(crate) fn until(&self, end: &Self) -> &'a [u8] {
        &self.0[..self.0.len() - end.0.len()]
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        let (entry, after) = entry(self.0).ok()?;
        self.0 = after;
        Some(entry)
    }
}

/// A record in the making. Its entries are added in their order.
pub(crate) struct Writer {
    out: Vec<u8>,
    entries: u32,
}

impl Writer {
    /// Begins with the header. `room` is what the entries take at most.
    pub(crate) fn new(header: &Header<'_>, room: usize) -> Self {
        let owner = header.owner.map_or(0, |owner| 3 + owner.len());
        let stamp = header.stamp.map_or(0, |_| 3 + STAMP_LENGTH);
        let fields = owner + stamp + header.unknown.len();
        let mut out = Vec::with_capacity(HEADER + fields + room);
        let mut front = [0; HEADER];
        (front[0], front[1]) = (FORMAT, header.nature.to_byte());
        front[2..4].copy_from_slice(&length16(fields).to_le_bytes());
        front[8..16].copy_from_slice(&header.created.as_millis().to_le_bytes());
        front[16..].copy_from_slice(&header.absolute.as_millis().to_le_bytes());
        out.extend_from_slice(&front);
        if let Some(owner) = header.owner {
            write_field(&mut out, OWNER, owner.as_bytes());
        }
        if let Some(stamp) = header.stamp {
            // The key is not known yet: `for_key` fills it in.
            write_field(&mut out, STAMP, &u128::from(stamp).to_le_bytes());
        }
        out.extend_from_slice(header.unknown);
        Self { out, entries: 0 }
    }

    /// How many bytes an entry takes with a name and a value of this length together.
    pub(crate) fn room_for(text: usize) -> usize {
        FRONT + 8 + text
    }

    /// Adds this many entries of another record.
    pub(crate) fn keep(&mut self, entries: &[u8], count: u32) {
        self.out.extend_from_slice(entries);
        self.entries += count;
    }

    /// Adds an entry. `text` is its name, which has `key_length` bytes, and its value behind it.
    pub(crate) fn put(&mut self, sort: Sort, key_length: usize, text: &[u8]) {
        let (kind, time) = match sort {
            Sort::Stored { expires_at: None } => (KIND_PLAIN, None),
            Sort::Stored { expires_at } => (KIND_EXPIRING, expires_at),
            Sort::Flash { generation, at } => (KIND_FLASH + generation, Some(at)),
        };
        let [key_low, key_high] = length16(key_length).to_le_bytes();
        let [a, b, c, d] = length32(text.len() - key_length).to_le_bytes();
        self.out.extend_from_slice(&[kind, key_low, key_high, a, b, c, d]);
        if let Some(time) = time {
            self.out.extend_from_slice(&time.as_millis().to_le_bytes());
        }
        self.out.extend_from_slice(text);
        self.entries += 1;
    }

    /// Whether no entry was added.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The entries that were added.
    pub(crate) fn entries(&self) -> Entries<'_> {
        entries(&self.out)
    }

    /// Which of a user's two records it is.
    pub(crate) fn nature(&self) -> Nature {
        // It was written here, from one of the two.
        nature(self.out[1]).unwrap_or(Nature::Permanent)
    }

    /// How many bytes the record has by now.
    pub(crate) fn size(&self) -> usize {
        self.out.len()
    }

    /// The record; the writer itself where it would be too large.
    pub(crate) fn finish(self) -> Result<Written, Self> {
        if self.out.len() > LARGEST_RECORD {
            return Err(self);
        }
        let Self { mut out, entries } = self;
        out[4..8].copy_from_slice(&entries.to_le_bytes());
        debug_assert_eq!(check(&out), Ok(()), "what is written can be read");
        Ok(Record(out))
    }
}

impl Written {
    /// Says in the stamp, if there is one, that the record is written for this key.
    pub(crate) fn stamp_for(&mut self, key: &StoreKey) {
        if let Some(place) = place_of_key(&self.0) {
            self.0[place].copy_from_slice(beginning(key));
        }
    }

    /// Overwrites it: it has been sealed, and nobody else is to read it.
    pub(crate) fn wipe(&mut self) {
        // Nothing stands behind its end: a record is written once, in the room that it was given. As a slice it is
        // overwritten in large pieces, as a vector byte by byte.
        self.0.as_mut_slice().zeroize();
        self.0.clear();
    }

    /// The record where a store keeps it.
    pub(crate) fn kept_as(self, kept: Option<Kept>) -> Record {
        Record(kept.map_or_else(|| Bytes::Owned(Arc::new(self.0)), Bytes::Kept))
    }
}

impl Record {
    /// Checks the structure of stored bytes.
    ///
    /// The error says what is wrong with them.
    #[inline]
    pub(crate) fn parse(bytes: Bytes) -> Result<Self, &'static str> {
        match &bytes {
            // They never left this process, in which `write` made them.
            Bytes::Kept(_) => {}
            Bytes::Owned(_) | Bytes::Opened(_) => check(bytes.as_ref())?,
        }
        Ok(Self(bytes))
    }

    /// A record of our own, in front of which its header lies.
    pub(crate) fn opened(plain: Plain) -> Self {
        Self(Bytes::Opened(plain))
    }

    /// The bytes of a cookie, where the record is in one.
    pub(crate) fn sealed(&self) -> Option<&Plain> {
        if let Bytes::Opened(plain) = &self.0 { Some(plain) } else { None }
    }

    /// Checks that what a store brings was written for this key.
    ///
    /// The error says why it was not.
    pub(crate) fn check_key(&self, key: &StoreKey) -> Result<(), &'static str> {
        let Bytes::Owned(bytes) = &self.0 else { return Ok(()) };
        match place_of_key(bytes) {
            Some(place) if bytes[place.clone()] == *beginning(key) => Ok(()),
            Some(_) => Err("it was written for another session"),
            None => Err("it does not say for which session it was written"),
        }
    }
}

impl<B: AsRef<[u8]>> Record<B> {
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_ref()
    }

    /// When the session began.
    pub(crate) fn created(&self) -> Timestamp {
        time_at(self.bytes(), 8)
    }

    /// When the session ends, however much it is used.
    pub(crate) fn absolute(&self) -> Timestamp {
        time_at(self.bytes(), 16)
    }

    #[inline]
    pub(crate) fn nature(&self) -> Nature {
        // The check let no other byte pass than that of a generation.
        match self.bytes()[1] {
            PERMANENT => Nature::Permanent,
            generation => Nature::Ordinary { last_generation: generation },
        }
    }

    /// Which of a user's two records it is.
    #[inline]
    pub(crate) fn which(&self) -> Which {
        if self.bytes()[1] == PERMANENT { Which::Permanent } else { Which::Session }
    }

    /// Whose session it is.
    pub(crate) fn owner(&self) -> Option<&str> {
        owner(fields(self.bytes())).0
    }

    pub(crate) fn header(&self) -> Header<'_> {
        let bytes = self.bytes();
        let (owner, fields) = owner(fields(bytes));
        let (stamp, unknown) = take(STAMP, fields);
        let stamp = stamp.and_then(<[u8]>::first_chunk).copied().map(u64::from_le_bytes);
        Header {
            created: time_at(bytes, 8),
            absolute: time_at(bytes, 16),
            nature: self.nature(),
            owner,
            stamp,
            unknown,
        }
    }

    pub(crate) fn entries(&self) -> Entries<'_> {
        entries(self.bytes())
    }

    /// The entries from the first one under this key on; none if there is none.
    pub(crate) fn under(&self, key: &[u8]) -> Under<'_> {
        let mut entries = self.entries();
        loop {
            let from_here = entries.clone();
            // They are in order, so what follows a greater one need not be looked at.
            match entries.next().map_or(Ordering::Greater, |entry| order(entry.key, key)) {
                Ordering::Less => {}
                Ordering::Equal => return Under(from_here),
                Ordering::Greater => return Under::default(),
            }
        }
    }
}

/// What a record holds under one key: its entries, and what follows them.
#[derive(Clone, Default)]
pub(crate) struct Under<'a>(Entries<'a>);

impl<'a> Under<'a> {
    /// The value, and when it expires.
    pub(crate) fn value(&self) -> Option<(&'a [u8], Option<Timestamp>)> {
        // It stands before the messages.
        let first = self.0.clone().next()?;
        match first.sort() {
            Sort::Stored { expires_at } => Some((first.value, expires_at)),
            Sort::Flash { .. } => None,
        }
    }

    /// The newest message of the generations in `visible`: its generation, and the value.
    #[inline]
    pub(crate) fn message(&self, visible: u8) -> Option<(u8, &'a [u8])> {
        if visible == 0 { None } else { self.newest_message(visible) }
    }

    fn newest_message(&self, visible: u8) -> Option<(u8, &'a [u8])> {
        let first = self.0.clone().next()?;
        let under_key = self.0.clone().take_while(|entry| entry.key == first.key);
        let messages = under_key.filter_map(|entry| match entry.sort() {
            Sort::Flash { generation, at } if visible & (1 << generation) != 0 => {
                Some((at, generation, entry.value))
            }
            _ => None,
        });
        messages.max().map(|(_, generation, value)| (generation, value))
    }
}

/// Where the stamp says for which key a record was written.
fn place_of_key(bytes: &[u8]) -> Option<Range<usize>> {
    let (_, fields) = take(OWNER, fields(bytes));
    let stamp = take(STAMP, fields).0.filter(|stamp| stamp.len() == STAMP_LENGTH)?;
    let start = HEADER + fields_length(bytes) - fields.len() + 3;
    Some(start + stamp.len() / 2..start + stamp.len())
}

/// What a stamp holds of a key: enough that no two sessions are taken for each other.
fn beginning(key: &StoreKey) -> &[u8] {
    &key.as_bytes()[..STAMP_LENGTH / 2]
}

impl Nature {
    fn to_byte(self) -> u8 {
        match self {
            Self::Ordinary { last_generation } => last_generation,
            Self::Permanent => PERMANENT,
        }
    }
}

fn nature(byte: u8) -> Option<Nature> {
    match byte {
        0..=7 => Some(Nature::Ordinary { last_generation: byte }),
        PERMANENT => Some(Nature::Permanent),
        _ => None,
    }
}

/// Checks that the bytes are one whole record of this format, to the last byte.
fn check(bytes: &[u8]) -> Result<(), &'static str> {
    match bytes {
        [] => return Err("it is empty"),
        [FORMAT, ..] => {}
        _ => return Err("its format is not one that this version reads"),
    }
    if bytes.len() < HEADER || bytes.len() < HEADER + fields_length(bytes) {
        return Err(TRUNCATED);
    }
    if nature(bytes[1]).is_none() {
        return Err("its nature is not one that this version knows");
    }
    let (fields, mut rest) = bytes[HEADER..].split_at(fields_length(bytes));
    check_fields(fields)?;
    let mut count = 0;
    let mut previous: Option<(&[u8], u8)> = None;
    while !rest.is_empty() {
        let (entry, after) = entry(rest)?;
        // Most keys are ASCII, which takes a fraction of the instructions to see.
        if !entry.key.is_ascii() {
            std::str::from_utf8(entry.key).map_err(|_| "a key is not UTF-8")?;
        }
        let place = entry.place();
        // The first bytes tell most keys apart.
        let follows = |before: (&[u8], u8)| before.0.first() < place.0.first() || before < place;
        if !previous.is_none_or(follows) {
            return Err("its entries are out of order");
        }
        previous = Some(place);
        rest = after;
        count += 1;
    }
    if count == u32_at(bytes, 4) { Ok(()) } else { Err(TRUNCATED) }
}

const TRUNCATED: &str = "it is truncated";

fn check_fields(mut fields: &[u8]) -> Result<(), &'static str> {
    let mut last = 0;
    while !fields.is_empty() {
        let (tag, value, rest) = field(fields).ok_or("its fields are truncated")?;
        if tag <= last {
            return Err("its fields are out of order");
        }
        if tag == OWNER && std::str::from_utf8(value).is_err() {
            return Err("its owner is not UTF-8");
        }
        last = tag;
        fields = rest;
    }
    Ok(())
}

/// The first entry, and what follows it.
fn entry(bytes: &[u8]) -> Result<(Entry<'_>, &[u8]), &'static str> {
    let (&[kind, key_low, key_high, a, b, c, d], _) =
        bytes.split_first_chunk::<FRONT>().ok_or(TRUNCATED)?;
    let key_length = usize::from(u16::from_le_bytes([key_low, key_high]));
    let value_length = u32::from_le_bytes([a, b, c, d]) as usize;
    let key_start = match kind {
        KIND_PLAIN => FRONT,
        KIND_EXPIRING | KIND_FLASH..=0x87 => FRONT + 8,
        _ => return Err("it has an entry of an unknown kind"),
    };
    let value_start = key_start + key_length;
    let end = value_start.saturating_add(value_length);
    let (raw, rest) = bytes.split_at_checked(end).ok_or(TRUNCATED)?;
    let (key, value) = (&raw[key_start..value_start], &raw[value_start..]);
    Ok((Entry { key, value, raw }, rest))
}

/// The entries of a record's bytes.
fn entries(bytes: &[u8]) -> Entries<'_> {
    Entries(&bytes[HEADER + fields_length(bytes)..])
}

/// The tagged fields of a record's bytes.
fn fields(bytes: &[u8]) -> &[u8] {
    &bytes[HEADER..HEADER + fields_length(bytes)]
}

/// The owner that the fields name, and what follows it.
fn owner(fields: &[u8]) -> (Option<&str>, &[u8]) {
    let (owner, rest) = take(OWNER, fields);
    (owner.and_then(|owner| std::str::from_utf8(owner).ok()), rest)
}

/// The first tagged field: its tag, its bytes, and what follows it.
pub(crate) fn field(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (front, rest) = bytes.split_at_checked(3)?;
    let length = usize::from(u16::from_le_bytes([front[1], front[2]]));
    let (value, rest) = rest.split_at_checked(length)?;
    Some((front[0], value, rest))
}

/// The bytes of a field if it comes first, and the fields behind it.
fn take(wanted: u8, fields: &[u8]) -> (Option<&[u8]>, &[u8]) {
    match field(fields) {
        Some((tag, bytes, rest)) if tag == wanted => (Some(bytes), rest),
        _ => (None, fields),
    }
}

fn write_field(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    out.extend_from_slice(&length16(bytes.len()).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn fields_length(bytes: &[u8]) -> usize {
    usize::from(u16::from_le_bytes([bytes[2], bytes[3]]))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn time_at(bytes: &[u8], at: usize) -> Timestamp {
    let mut millis = [0; 8];
    millis.copy_from_slice(&bytes[at..at + 8]);
    Timestamp::from_millis(u64::from_le_bytes(millis))
}

/// Keys have at most 1 KiB and owners at most 255 bytes, so their lengths fit.
fn length16(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

/// A record has at most 1 MiB, so every length in it fits.
fn length32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
