//! One session's stored state: a flat buffer that is read in place.
//!
//! ```text
//! format u8 = 1 | nature u8 | length of fields u16 | number of entries u32
//! created u64 | absolute deadline u64
//! fields:  (tag u8 | length u16 | bytes)*           tag 1: the owner; tag 2: the commit
//!                                                   that wrote it; others are kept unread
//! entries: (kind u8 | key length u16 | value length u32 | [time u64] | key | value as JSON text)*
//! ```
//!
//! The nature is 0x80 for a permanent record; of an ordinary one it is the flash generation that was used last,
//! 0 to 7. So a session's token opens nothing under the permanent cookie's name, nor the other way round.
//!
//! Numbers are little-endian, instants in milliseconds. Kinds: 0, a value; 1, a value with the instant at which
//! it expires; 0x80 to 0x87, a flash value of that generation with the instant at which it was made. Entries
//! are sorted by key, then kind, each pair at most once. Fields are sorted by tag.

use crate::memory::Kept;
use dframework_session_store::Timestamp;
use std::{cmp::Ordering, sync::Arc};

/// The largest record, in bytes.
pub(crate) const LARGEST_RECORD: usize = 1 << 20;

const FORMAT: u8 = 1;
const HEADER: usize = 24;
const PERMANENT: u8 = 0x80;
const OWNER: u8 = 1;
const STAMP: u8 = 2;
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
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Kept(kept) => kept.bytes(),
            Self::Owned(bytes) => bytes,
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
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) key: &'a str,
    pub(crate) sort: Sort,
    pub(crate) value: &'a [u8],
}

impl Entry<'_> {
    /// How many bytes the entry takes in a record.
    pub(crate) fn size(&self) -> usize {
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
        check(bytes.as_ref())?;
        Ok(Self(bytes))
    }

    /// Writes a record. The entries are put in order here.
    ///
    /// The error is the size of a record that would be too large.
    pub(crate) fn write(header: &Header<'_>, entries: &mut [Entry<'_>]) -> Result<Self, usize> {
        entries.sort_unstable_by(Entry::place);
        let owner = header.owner.map_or(0, |owner| 3 + owner.len());
        let stamp = header.stamp.map_or(0, |_| 11);
        let fields = owner + stamp + header.unknown.len();
        let size = HEADER + fields + entries.iter().map(Entry::size).sum::<usize>();
        if size > LARGEST_RECORD {
            return Err(size);
        }
        let mut out = Vec::with_capacity(size);
        out.extend([FORMAT, header.nature.to_byte()]);
        out.extend(length16(fields).to_le_bytes());
        out.extend(length32(entries.len()).to_le_bytes());
        out.extend(header.created.as_millis().to_le_bytes());
        out.extend(header.absolute.as_millis().to_le_bytes());
        if let Some(owner) = header.owner {
            write_field(&mut out, OWNER, owner.as_bytes());
        }
        if let Some(stamp) = header.stamp {
            write_field(&mut out, STAMP, &stamp.to_le_bytes());
        }
        out.extend_from_slice(header.unknown);
        for entry in entries {
            write_entry(&mut out, entry);
        }
        debug_assert_eq!(out.len(), size, "sizes are counted as they are written");
        Ok(Self(Bytes::Owned(out.into())))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_ref()
    }

    pub(crate) fn header(&self) -> Header<'_> {
        let bytes = self.bytes();
        let fields = &bytes[HEADER..HEADER + fields_length(bytes)];
        let (owner, fields) = take(OWNER, fields);
        let (stamp, unknown) = take(STAMP, fields);
        let owner = owner.and_then(|owner| std::str::from_utf8(owner).ok());
        let stamp = stamp.and_then(|stamp| stamp.try_into().ok()).map(u64::from_le_bytes);
        Header {
            created: time_at(bytes, 8),
            absolute: time_at(bytes, 16),
            nature: nature(bytes[1]).unwrap_or(Nature::Permanent),
            owner,
            stamp,
            unknown,
        }
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let bytes = self.bytes();
        let mut rest = &bytes[HEADER + fields_length(bytes)..];
        std::iter::from_fn(move || {
            let (entry, after) = entry(rest).ok()?;
            rest = after;
            // The check read every key, so none is dropped here.
            Some(Entry {
                key: std::str::from_utf8(entry.key).ok()?,
                sort: entry.sort,
                value: entry.value,
            })
        })
    }

    /// Shows the entries under one key, without a look into the others.
    pub(crate) fn find<'a>(&'a self, key: &str, mut show: impl FnMut(Sort, &'a [u8])) {
        let bytes = self.bytes();
        let mut rest = &bytes[HEADER + fields_length(bytes)..];
        while let Ok((entry, after)) = entry(rest) {
            if entry.key == key.as_bytes() {
                show(entry.sort, entry.value);
            }
            rest = after;
        }
    }
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

/// An entry whose key has not been read as text.
struct RawEntry<'a> {
    key: &'a [u8],
    sort: Sort,
    value: &'a [u8],
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
        let (raw, after) = entry(rest)?;
        let key = std::str::from_utf8(raw.key).map_err(|_| "a key is not UTF-8")?;
        let entry = Entry { key, sort: raw.sort, value: raw.value };
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
fn entry(bytes: &[u8]) -> Result<(RawEntry<'_>, &[u8]), &'static str> {
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
    Ok((RawEntry { key, sort, value }, rest))
}

fn write_entry(out: &mut Vec<u8>, entry: &Entry<'_>) {
    let (kind, time) = match entry.sort {
        Sort::Stored { expires_at: None } => (KIND_PLAIN, None),
        Sort::Stored { expires_at } => (KIND_EXPIRING, expires_at),
        Sort::Flash { generation, at } => (KIND_FLASH + generation, Some(at)),
    };
    out.push(kind);
    out.extend(length16(entry.key.len()).to_le_bytes());
    out.extend(length32(entry.value.len()).to_le_bytes());
    if let Some(time) = time {
        out.extend(time.as_millis().to_le_bytes());
    }
    out.extend_from_slice(entry.key.as_bytes());
    out.extend_from_slice(entry.value);
}

/// The first tagged field: its tag, its bytes, and what follows it.
fn field(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
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
    out.extend(length16(bytes.len()).to_le_bytes());
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
