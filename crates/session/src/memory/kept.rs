//! What the table keeps at a key: a record or a tombstone, in one allocation.
//!
//! Counter, key, version, deadlines and bytes lie behind one thin pointer. A reader holds the allocation, not
//! the lock, while it works with the bytes; a writer puts another allocation in its place.

use dframework_session_store::{Entry, StoreError, StoreKey, Stored, Timestamp, Version};
use std::sync::atomic::{AtomicU64, Ordering};
use triomphe::ThinArc;

use super::room::Size;

/// What every entry takes, without its bytes: the header, the counter and the length before it.
pub(super) const FIXED: usize = size_of::<Header>() + 2 * size_of::<usize>();

/// A record or a tombstone. Cloning counts a reference.
#[derive(Clone)]
pub(crate) struct Kept(ThinArc<Header, u8>);

struct Header {
    key: StoreKey,
    version: Version,
    created: Timestamp,
    /// In milliseconds. Atomic because a touch raises it in place, under readers that hold the entry.
    expires_at: AtomicU64,
    /// The bytes behind the header are the record, the owner and the label, in this order.
    record_len: u32,
    owner_len: u16,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ownerless,
    Owned,
    Tombstone,
}

/// What a record is made of, checked to fit its header.
#[derive(Clone, Copy)]
pub(super) struct Content<'a> {
    bytes: &'a [u8],
    owner: Option<&'a [u8]>,
    meta: &'a [u8],
    record_len: u32,
    owner_len: u16,
    expires_at: Timestamp,
}

impl<'a> Content<'a> {
    pub(super) fn new(
        bytes: &'a [u8],
        owner: Option<&'a str>,
        meta: &'a [u8],
        expires_at: Timestamp,
    ) -> Result<Self, StoreError> {
        let owner = owner.map(str::as_bytes);
        let too_long = |_| StoreError::refused("an owner or a label is longer than 65535 bytes");
        let owner_len = owner.map_or(0, <[u8]>::len).try_into().map_err(too_long)?;
        u16::try_from(meta.len()).map_err(too_long)?;
        let too_large = |_| StoreError::refused("a record is larger than 4 GiB");
        let record_len = bytes.len().try_into().map_err(too_large)?;
        Ok(Self { bytes, owner, meta, record_len, owner_len, expires_at })
    }

    pub(super) fn size(&self) -> Size {
        let bytes = self.bytes.len() + usize::from(self.owner_len) + self.meta.len();
        Size { records: 1, bytes: FIXED + bytes }
    }
}

impl Kept {
    pub(super) fn record(
        key: StoreKey,
        version: Version,
        created: Timestamp,
        content: &Content<'_>,
    ) -> Self {
        let header = Header {
            key,
            version,
            created,
            expires_at: AtomicU64::new(content.expires_at.as_millis()),
            record_len: content.record_len,
            owner_len: content.owner_len,
            kind: if content.owner.is_some() { Kind::Owned } else { Kind::Ownerless },
        };
        if content.owner_len == 0 && content.meta.is_empty() {
            return Self(ThinArc::from_header_and_slice(header, content.bytes));
        }
        // The allocation is filled from one slice; joining the three first costs less than filling it byte by
        // byte from an iterator.
        let joined = [content.bytes, content.owner.unwrap_or_default(), content.meta].concat();
        Self(ThinArc::from_header_and_slice(header, &joined))
    }

    pub(super) fn tombstone(key: StoreKey, remember_until: Timestamp) -> Self {
        let header = Header {
            key,
            version: Version(0),
            created: remember_until,
            expires_at: AtomicU64::new(remember_until.as_millis()),
            record_len: 0,
            owner_len: 0,
            kind: Kind::Tombstone,
        };
        Self(ThinArc::from_header_and_slice(header, &[]))
    }

    /// The record, as it was committed; nothing for a tombstone.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0.slice[..self.owner_start()]
    }

    /// The version of these bytes.
    pub(crate) fn version(&self) -> Version {
        self.header().version
    }

    /// When the record expires, or until when the tombstone stands. A touch raises it even while this is held.
    pub(crate) fn expires_at(&self) -> Timestamp {
        // Relaxed: the instant stands for itself, no other memory is read on the strength of it.
        Timestamp::from_millis(self.header().expires_at.load(Ordering::Relaxed))
    }

    /// When the session began.
    pub(crate) fn created(&self) -> Timestamp {
        self.header().created
    }

    /// The label that was committed with the bytes.
    pub(crate) fn meta(&self) -> &[u8] {
        &self.0.slice[self.meta_start()..]
    }

    pub(super) fn key(&self) -> &StoreKey {
        &self.header().key
    }

    pub(super) fn owner(&self) -> Option<&[u8]> {
        let owned = self.header().kind == Kind::Owned;
        owned.then(|| &self.0.slice[self.owner_start()..self.meta_start()])
    }

    pub(super) fn is_owned_by(&self, owner: &str) -> bool {
        self.owner() == Some(owner.as_bytes())
    }

    pub(super) fn is_record(&self) -> bool {
        self.header().kind != Kind::Tombstone
    }

    /// An instant of expiry is already expired.
    pub(super) fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at() <= now
    }

    pub(super) fn raise(&self, expires_at: Timestamp) {
        self.header().expires_at.fetch_max(expires_at.as_millis(), Ordering::Relaxed);
    }

    pub(super) fn size(&self) -> Size {
        Size { records: usize::from(self.is_record()), bytes: FIXED + self.0.slice.len() }
    }

    /// Whether both are the same state of the same entry.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.0.as_ptr() == other.0.as_ptr()
    }

    pub(super) fn to_entry(&self) -> Entry {
        let mut entry = Entry::new(*self.key(), self.created(), self.expires_at());
        entry.meta = self.meta().to_vec();
        entry
    }

    pub(super) fn to_stored(&self) -> Stored {
        let mut stored = Stored::new(self.bytes().to_vec(), self.version(), self.expires_at());
        stored.meta = self.meta().to_vec();
        stored
    }

    fn header(&self) -> &Header {
        &self.0.header.header
    }

    fn owner_start(&self) -> usize {
        self.header().record_len as usize
    }

    fn meta_start(&self) -> usize {
        self.owner_start() + usize::from(self.header().owner_len)
    }
}
