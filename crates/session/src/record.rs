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

use crate::{memory::Kept, stealth::Plain};
use dframework_session_store::{StoreKey, Timestamp};
use std::{cmp::Ordering, ops::Range, sync::Arc};

/// The largest record, in bytes.
pub(crate) const LARGEST_RECORD: usize = 1 << 20;

const FORMAT: u8 = 1;
const HEADER: usize = 24;
const PERMANENT: u8 = 0x80;
const OWNER: u8 = 1;
const STAMP: u8 = 2;
/// The number of the commit and the beginning of the key.
const STAMP_LENGTH: usize = 16;
const KIND_PLAIN: u8 = 0;
const KIND_EXPIRING: u8 = 1;
const KIND_FLASH: u8 = 0x80;

/// The bytes of a record, shared with whoever keeps them.
#[derive(Clone)]
pub(crate) enum Bytes {
    /// In the memory store.
    Kept(Kept),
    /// Fetched from a store, or just written.
    Owned(Arc<[u8]>),
    /// Sealed in a cookie, and opened.
    Opened(Plain),
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Kept(kept) => kept.bytes(),
            Self::Owned(bytes) => bytes,
            Self::Opened(plain) => plain.bytes(),
        }
    }
}

/// A record whose structure has been checked once, so that reading it cannot fail.
#[derive(Clone)]
pub(crate) struct Record(Bytes);

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

/// A value and its name, in place.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    /// UTF-8. Only who shows it reads it as text: keys are ordered and compared by their bytes.
    pub(crate) key: &'a [u8],
    pub(crate) sort: Sort,
    pub(crate) value: &'a [u8],
    /// The entry as a record holds it, to be copied; empty for one that no record holds yet.
    raw: &'a [u8],
}

impl<'a> Entry<'a> {
    /// An entry that no record holds yet.
    pub(crate) fn new(key: &'a str, sort: Sort, value: &'a [u8]) -> Self {
        Self { key: key.as_bytes(), sort, value, raw: &[] }
    }

    /// The name as text.
    pub(crate) fn name(&self) -> &'a str {
        // Checked when it came from outside, and a `&str` where this process wrote it.
        std::str::from_utf8(self.key).unwrap_or_default()
    }

    /// How many bytes the entry takes in a record.
    pub(crate) fn size(&self) -> usize {
        if !self.raw.is_empty() {
            return self.raw.len();
        }
        let time = if let Sort::Stored { expires_at: None } = self.sort { 0 } else { 8 };
        7 + time + self.key.len() + self.value.len()
    }

    /// The order in which entries stand; two that are equal cannot be in one record.
    pub(crate) fn place(&self, other: &Self) -> Ordering {
        let slot = |sort| match sort {
            Sort::Stored { .. } => 0,
            Sort::Flash { generation, .. } => generation + 1,
        };
        self.key.cmp(other.key).then_with(|| slot(self.sort).cmp(&slot(other.sort)))
    }
}

impl Record {
    /// Checks the structure of stored bytes.
    ///
    /// The error says what is wrong with them.
    pub(crate) fn parse(bytes: Bytes) -> Result<Self, &'static str> {
        match &bytes {
            // They never left this process, in which `write` made them.
            Bytes::Kept(_) => {}
            Bytes::Owned(_) | Bytes::Opened(_) => check(bytes.as_ref())?,
        }
        Ok(Self(bytes))
    }

    /// Writes a record of entries in their order.
    ///
    /// The error is the size of a record that would be too large.
    pub(crate) fn write(header: &Header<'_>, entries: &[Entry<'_>]) -> Result<Self, usize> {
        debug_assert!(entries.is_sorted_by(|one, next| one.place(next).is_lt()), "out of order");
        let owner = header.owner.map_or(0, |owner| 3 + owner.len());
        let stamp = header.stamp.map_or(0, |_| 3 + STAMP_LENGTH);
        let fields = owner + stamp + header.unknown.len();
        let size = HEADER + fields + entries.iter().map(Entry::size).sum::<usize>();
        if size > LARGEST_RECORD {
            return Err(size);
        }
        let mut out = Vec::with_capacity(size);
        out.extend_from_slice(&[FORMAT, header.nature.to_byte()]);
        out.extend_from_slice(&length16(fields).to_le_bytes());
        out.extend_from_slice(&length32(entries.len()).to_le_bytes());
        out.extend_from_slice(&header.created.as_millis().to_le_bytes());
        out.extend_from_slice(&header.absolute.as_millis().to_le_bytes());
        if let Some(owner) = header.owner {
            write_field(&mut out, OWNER, owner.as_bytes());
        }
        if let Some(stamp) = header.stamp {
            // The key is not known yet: `for_key` fills it in.
            write_field(&mut out, STAMP, &u128::from(stamp).to_le_bytes());
        }
        out.extend_from_slice(header.unknown);
        for entry in entries {
            match entry.raw {
                [] => write_entry(&mut out, entry),
                raw => out.extend_from_slice(raw),
            }
        }
        debug_assert_eq!(out.len(), size, "sizes are counted as they are written");
        Ok(Self(Bytes::Owned(out.into())))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_ref()
    }

    /// When the session ends, however much it is used.
    pub(crate) fn absolute(&self) -> Timestamp {
        time_at(self.bytes(), 16)
    }

    pub(crate) fn nature(&self) -> Nature {
        // The check let no other byte pass.
        nature(self.bytes()[1]).unwrap_or(Nature::Permanent)
    }

    pub(crate) fn header(&self) -> Header<'_> {
        let bytes = self.bytes();
        let fields = &bytes[HEADER..HEADER + fields_length(bytes)];
        let (owner, fields) = take(OWNER, fields);
        let (stamp, unknown) = take(STAMP, fields);
        let owner = owner.and_then(|owner| std::str::from_utf8(owner).ok());
        let stamp = stamp.and_then(<[u8]>::first_chunk).copied().map(u64::from_le_bytes);
        Header {
            created: time_at(bytes, 8),
            absolute: self.absolute(),
            nature: self.nature(),
            owner,
            stamp,
            unknown,
        }
    }

    /// The same record for this key, where it is stamped.
    pub(crate) fn for_key(&self, key: &StoreKey) -> Self {
        let Some(place) = self.place_of_key() else { return self.clone() };
        let mut bytes: Arc<[u8]> = self.bytes().into();
        Arc::make_mut(&mut bytes)[place].copy_from_slice(beginning(key));
        Self(Bytes::Owned(bytes))
    }

    /// Whether the record is stamped as one for this key.
    pub(crate) fn is_for_key(&self, key: &StoreKey) -> bool {
        self.place_of_key().is_some_and(|place| self.bytes()[place] == *beginning(key))
    }

    /// Whether the record says for which key it was written.
    pub(crate) fn names_a_key(&self) -> bool {
        self.place_of_key().is_some()
    }

    /// Where the stamp says for which key the record was written.
    fn place_of_key(&self) -> Option<Range<usize>> {
        let bytes = self.bytes();
        let (_, fields) = take(OWNER, &bytes[HEADER..HEADER + fields_length(bytes)]);
        let stamp = take(STAMP, fields).0.filter(|stamp| stamp.len() == STAMP_LENGTH)?;
        let start = HEADER + fields_length(bytes) - fields.len() + 3;
        Some(start + stamp.len() / 2..start + stamp.len())
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let bytes = self.bytes();
        let mut rest = &bytes[HEADER + fields_length(bytes)..];
        std::iter::from_fn(move || {
            let (entry, after) = entry(rest).ok()?;
            rest = after;
            Some(entry)
        })
    }

    /// How many entries there are.
    pub(crate) fn count(&self) -> usize {
        u32_at(self.bytes(), 4) as usize
    }

    /// What stands under one key, messages only of the generations in `visible`: one look at each entry.
    pub(crate) fn under(&self, key: &str, visible: u8) -> Under<'_> {
        let mut under = Under::default();
        for entry in self.entries().filter(|entry| entry.key == key.as_bytes()) {
            match entry.sort {
                Sort::Stored { expires_at } => under.stored = Some((entry.value, expires_at)),
                Sort::Flash { generation, at } if visible & (1 << generation) != 0 => {
                    let message = (at, generation, entry.value);
                    under.flash = under.flash.max(Some(message));
                }
                Sort::Flash { .. } => {}
            }
        }
        under
    }
}

/// What a record holds under one key.
#[derive(Default)]
pub(crate) struct Under<'a> {
    /// The value, and when it expires.
    pub(crate) stored: Option<(&'a [u8], Option<Timestamp>)>,
    /// The newest message: when it was made, its generation, and the value.
    pub(crate) flash: Option<(Timestamp, u8, &'a [u8])>,
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
    let mut previous: Option<Entry<'_>> = None;
    while !rest.is_empty() {
        let (entry, after) = entry(rest)?;
        // Most keys are ASCII, which takes a fraction of the instructions to see.
        if !entry.key.is_ascii() {
            std::str::from_utf8(entry.key).map_err(|_| "a key is not UTF-8")?;
        }
        if previous.is_some_and(|previous| previous.place(&entry).is_ge()) {
            return Err("its entries are out of order");
        }
        previous = Some(entry);
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
    let (front, rest) = bytes.split_at_checked(7).ok_or(TRUNCATED)?;
    let key_length = usize::from(u16::from_le_bytes([front[1], front[2]]));
    let value_length = u32::from_le_bytes([front[3], front[4], front[5], front[6]]) as usize;
    let (sort, rest) = match front[0] {
        KIND_PLAIN => (Sort::Stored { expires_at: None }, rest),
        KIND_EXPIRING => {
            let (at, rest) = time(rest)?;
            (Sort::Stored { expires_at: Some(at) }, rest)
        }
        kind @ KIND_FLASH..=0x87 => {
            let (at, rest) = time(rest)?;
            (Sort::Flash { generation: kind - KIND_FLASH, at }, rest)
        }
        _ => return Err("it has an entry of an unknown kind"),
    };
    let (key, rest) = rest.split_at_checked(key_length).ok_or(TRUNCATED)?;
    let (value, rest) = rest.split_at_checked(value_length).ok_or(TRUNCATED)?;
    let raw = &bytes[..bytes.len() - rest.len()];
    Ok((Entry { key, sort, value, raw }, rest))
}

fn write_entry(out: &mut Vec<u8>, entry: &Entry<'_>) {
    let (kind, time) = match entry.sort {
        Sort::Stored { expires_at: None } => (KIND_PLAIN, None),
        Sort::Stored { expires_at } => (KIND_EXPIRING, expires_at),
        Sort::Flash { generation, at } => (KIND_FLASH + generation, Some(at)),
    };
    out.push(kind);
    out.extend_from_slice(&length16(entry.key.len()).to_le_bytes());
    out.extend_from_slice(&length32(entry.value.len()).to_le_bytes());
    if let Some(time) = time {
        out.extend_from_slice(&time.as_millis().to_le_bytes());
    }
    out.extend_from_slice(entry.key);
    out.extend_from_slice(entry.value);
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

fn time(bytes: &[u8]) -> Result<(Timestamp, &[u8]), &'static str> {
    let (millis, rest) = bytes.split_first_chunk().ok_or(TRUNCATED)?;
    Ok((Timestamp::from_millis(u64::from_le_bytes(*millis)), rest))
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
