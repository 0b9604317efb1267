//! What a seal says of its session, besides the record: bytes at the front of what is encrypted.
//!
//! ```text
//! flags u8 | length of fields u16 | sid [16] | issued u64 | terms | fields
//! terms of a session:        absolute deadline u64 | idle deadline u64 | authenticated u64 | owner tag [16]
//! terms of permanent data:   absolute deadline u64
//! terms of activity:         idle deadline u64
//! fields:                    (tag u8 | length u16 | bytes)*
//! ```
//!
//! Numbers are little-endian, instants in milliseconds. Flag 0x01, of a session: somebody has logged in. Where nobody
//! has, `authenticated` and the owner tag are zeros, so that the length of a cookie does not tell. Any other flag, and
//! any field whose tag has the bit 0x80, is critical: a version that does not know it takes the seal for no session.
//! Other fields that it does not know are kept, and written again with the next seal. Fields are sorted by tag.

use super::{
    keys::Purpose,
    plain::Plain,
    seal::{FRONT, Rejection},
};
use crate::record::{self, Bytes, Record};
use dframework_session_store::{SessionId, Timestamp};
use sha2::{Digest, Sha256};
use std::{ops::Range, time::Duration};

/// What stands before the terms.
const COMMON: usize = 1 + 2 + 16 + 8;
const LOGGED_IN: u8 = 0x01;
const CRITICAL: u8 = 0x80;

/// How far the clock of another instance may be ahead of this one.
pub(super) const AHEAD: Duration = Duration::from_secs(5 * 60);
/// Browsers keep no cookie for longer, so a permanent seal that is older was kept by somebody else.
pub(crate) const LONGEST_KEPT: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// The front of a seal.
#[derive(Clone)]
pub(crate) struct Header<T> {
    /// Names the session: random, new with every `regenerate`, and public.
    pub(crate) sid: SessionId,
    /// When it was sealed.
    pub(crate) issued: Timestamp,
    pub(crate) terms: T,
    /// Fields that this version does not know, for the next seal.
    pub(crate) unknown: Unknown,
}

/// How long a session lives, and whose it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionTerms {
    /// When the session ends, however much it is used.
    pub(crate) absolute: Timestamp,
    /// When it ends unless it is used. An activity seal may have raised it: see [`SessionTerms::ends`].
    pub(crate) idle: Timestamp,
    pub(crate) login: Option<Login>,
}

/// Who has logged in, and when.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) authenticated: Timestamp,
    pub(crate) owner: OwnerTag,
}

/// How long permanent data lives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct PermanentTerms {
    pub(crate) absolute: Timestamp,
}

/// That a session was used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ActivityTerms {
    pub(crate) idle: Timestamp,
}

/// Stands for an owner where its name need not be known: half of its SHA-256.
///
/// It needs no key, so it stays the same when keys change, and revoking an owner reaches every seal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct OwnerTag(pub(super) [u8; 16]);

impl OwnerTag {
    pub(crate) fn of(owner: &str) -> Self {
        let digest = Sha256::new().chain_update(b"dframework-session owner").chain_update(owner);
        let mut tag = [0; 16];
        tag.copy_from_slice(&digest.finalize()[..16]);
        Self(tag)
    }
}

/// Fields that this version does not know, as they were found.
#[derive(Clone, Default)]
pub(crate) struct Unknown(Option<Plain>);

impl Unknown {
    fn of(plain: &Plain, fields: Range<usize>) -> Self {
        Self((!fields.is_empty()).then(|| plain.part(fields)))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], Plain::bytes)
    }

    pub(super) fn length(&self) -> usize {
        self.bytes().len()
    }

    /// Fields that a later version may write.
    #[cfg(test)]
    pub(super) fn of_test(fields: Plain) -> Self {
        Self(Some(fields))
    }
}

impl SessionTerms {
    /// When the session ends, with the activity seal that came with it and is of the same session.
    pub(crate) fn ends(&self, activity: Option<ActivityTerms>) -> Timestamp {
        let idle = activity.map_or(self.idle, |activity| activity.idle.max(self.idle));
        idle.min(self.absolute)
    }
}

/// What differs between the seals of the three purposes.
pub(crate) trait Terms: Sized {
    const PURPOSE: Purpose;
    /// How many bytes they take.
    const LENGTH: usize;
    /// The flags that mean something here.
    const FLAGS: u8;
    /// What stands behind the header.
    type Content;

    fn flags(&self) -> u8;
    fn write(&self, out: &mut Writer<'_>);
    /// Reads as many bytes as they take.
    fn read(flags: u8, bytes: &mut Reader<'_>) -> Self;
    fn content(plain: Plain) -> Result<Self::Content, Rejection>;
    /// Whether the seal is over, though nobody ended it.
    fn check_time(&self, issued: Timestamp, now: Timestamp) -> Result<(), Rejection>;
}

impl Terms for SessionTerms {
    const PURPOSE: Purpose = Purpose::Session;
    const LENGTH: usize = 3 * 8 + 16;
    const FLAGS: u8 = LOGGED_IN;
    type Content = Record;

    fn flags(&self) -> u8 {
        if self.login.is_some() { LOGGED_IN } else { 0 }
    }

    fn write(&self, out: &mut Writer<'_>) {
        let nobody = Login { authenticated: Timestamp::from_millis(0), owner: OwnerTag([0; 16]) };
        let login = self.login.unwrap_or(nobody);
        for instant in [self.absolute, self.idle, login.authenticated] {
            out.put_instant(instant);
        }
        out.put(&login.owner.0);
    }

    fn read(flags: u8, bytes: &mut Reader<'_>) -> Self {
        let [absolute, idle, authenticated] = [(); 3].map(|()| bytes.instant());
        let login = Login { authenticated, owner: OwnerTag(bytes.take()) };
        Self { absolute, idle, login: (flags & LOGGED_IN != 0).then_some(login) }
    }

    fn content(plain: Plain) -> Result<Record, Rejection> {
        Record::parse(Bytes::Opened(plain)).map_err(Rejection::Record)
    }

    /// The idle deadline is not looked at: what comes beside the seal may raise it.
    fn check_time(&self, _: Timestamp, now: Timestamp) -> Result<(), Rejection> {
        if now < self.absolute { Ok(()) } else { Err(Rejection::Expired) }
    }
}

impl Terms for PermanentTerms {
    const PURPOSE: Purpose = Purpose::Permanent;
    const LENGTH: usize = 8;
    const FLAGS: u8 = 0;
    type Content = Record;

    fn flags(&self) -> u8 {
        0
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.put_instant(self.absolute);
    }

    fn read(_: u8, bytes: &mut Reader<'_>) -> Self {
        Self { absolute: bytes.instant() }
    }

    fn content(plain: Plain) -> Result<Record, Rejection> {
        SessionTerms::content(plain)
    }

    fn check_time(&self, issued: Timestamp, now: Timestamp) -> Result<(), Rejection> {
        if now >= self.absolute {
            return Err(Rejection::Expired);
        }
        if now.saturating_since(issued) > LONGEST_KEPT { Err(Rejection::TooOld) } else { Ok(()) }
    }
}

impl Terms for ActivityTerms {
    const PURPOSE: Purpose = Purpose::Activity;
    const LENGTH: usize = 8;
    const FLAGS: u8 = 0;
    type Content = ();

    fn flags(&self) -> u8 {
        0
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.put_instant(self.idle);
    }

    fn read(_: u8, bytes: &mut Reader<'_>) -> Self {
        Self { idle: bytes.instant() }
    }

    /// It holds no data of users, whatever stands there.
    fn content(_: Plain) -> Result<(), Rejection> {
        Ok(())
    }

    fn check_time(&self, _: Timestamp, now: Timestamp) -> Result<(), Rejection> {
        if now < self.idle { Ok(()) } else { Err(Rejection::Expired) }
    }
}

impl<T: Terms> Header<T> {
    /// A header with nothing in it that this version does not know.
    pub(crate) fn new(sid: SessionId, issued: Timestamp, terms: T) -> Self {
        Self { sid, issued, terms, unknown: Unknown::default() }
    }

    /// How many bytes it takes.
    pub(super) fn length(&self) -> usize {
        Self::length_with(self.unknown.length())
    }

    /// How many bytes it takes with unknown fields of this length.
    pub(super) const fn length_with(unknown: usize) -> usize {
        COMMON + T::LENGTH + unknown
    }

    pub(super) fn write(&self, out: &mut Writer<'_>) {
        let unknown = self.unknown.bytes();
        out.put(&[self.terms.flags()]);
        // They came out of a cookie, so their length fits.
        out.put(&u16::try_from(unknown.len()).unwrap_or(u16::MAX).to_le_bytes());
        out.put(self.sid.as_bytes());
        out.put_instant(self.issued);
        self.terms.write(out);
        out.put_slice(unknown);
    }

    /// Reads a header, and returns what follows it too.
    pub(super) fn read(plain: Plain, now: Timestamp) -> Result<(Self, Plain), Rejection> {
        let (mut header, fields) = Self::parse(plain.bytes())?;
        check_fields(plain.bytes().get(fields.clone()).ok_or(Rejection::Malformed)?)?;
        header.unknown = Unknown::of(&plain, fields.clone());
        let rest = fields.end..plain.bytes().len();
        if header.issued > now.saturating_add(AHEAD) {
            return Err(Rejection::Future);
        }
        header.terms.check_time(header.issued, now)?;
        Ok((header, plain.narrowed(rest)))
    }

    /// The header in front of a record that was opened, which was checked then, or that was put behind one.
    pub(crate) fn before(record: &Plain) -> Option<Self> {
        let (mut header, fields) = Self::parse(record.with_front(FRONT)).ok()?;
        header.unknown = Unknown::of(&record.whole(), FRONT + fields.start..FRONT + fields.end);
        Some(header)
    }

    /// How many bytes its unknown fields take there.
    pub(super) fn unknown_before(record: &Plain) -> usize {
        let front = record.with_front(FRONT);
        front.get(1..3).map_or(0, |length| usize::from(u16::from_le_bytes([length[0], length[1]])))
    }

    /// The record, with this header in front of it: as if both had been opened. `None` where no cookie has room for it.
    pub(crate) fn and(&self, record: &[u8]) -> Option<Plain> {
        let start = FRONT + self.length();
        let end = start + record.len();
        let plain = Plain::written(end, |bytes| {
            let mut writer = Writer(&mut bytes[FRONT..]);
            self.write(&mut writer);
            writer.put_slice(record);
        })?;
        Some(plain.narrowed(start..end))
    }

    /// Reads all but the unknown fields, and says where these stand.
    #[inline]
    fn parse(bytes: &[u8]) -> Result<(Self, Range<usize>), Rejection> {
        if bytes.len() < COMMON + T::LENGTH {
            return Err(Rejection::Malformed);
        }
        let mut reader = Reader(bytes);
        let [flags] = reader.take();
        if flags & !T::FLAGS != 0 {
            return Err(Rejection::Unknown);
        }
        let start = COMMON + T::LENGTH;
        let fields = start..start + usize::from(u16::from_le_bytes(reader.take()));
        let sid = SessionId::from_bytes(reader.take());
        let issued = reader.instant();
        let terms = T::read(flags, &mut reader);
        Ok((Self { sid, issued, terms, unknown: Unknown::default() }, fields))
    }
}

/// Takes what stands at the front of bytes that are known to be long enough.
pub(crate) struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const LENGTH: usize>(&mut self) -> [u8; LENGTH] {
        // The length was checked as a whole. Zeros for what is not there: nothing that is opened may panic.
        let (front, rest) = self.0.split_first_chunk().unwrap_or((&[0; LENGTH], &[]));
        self.0 = rest;
        *front
    }

    fn instant(&mut self) -> Timestamp {
        Timestamp::from_millis(u64::from_le_bytes(self.take()))
    }
}

/// Fills bytes from the front.
pub(crate) struct Writer<'a>(pub(super) &'a mut [u8]);

impl Writer<'_> {
    pub(super) fn put<const LENGTH: usize>(&mut self, bytes: &[u8; LENGTH]) {
        self.put_slice(bytes);
    }

    fn put_instant(&mut self, instant: Timestamp) {
        self.put(&instant.as_millis().to_le_bytes());
    }

    /// There is room: whoever seals has asked for the length.
    pub(super) fn put_slice(&mut self, bytes: &[u8]) {
        let (front, rest) = std::mem::take(&mut self.0).split_at_mut(bytes.len());
        front.copy_from_slice(bytes);
        self.0 = rest;
    }
}

/// No field is known to this version, so none may be critical.
fn check_fields(mut fields: &[u8]) -> Result<(), Rejection> {
    let mut last = None;
    while !fields.is_empty() {
        let (tag, _, rest) = record::field(fields).ok_or(Rejection::Malformed)?;
        if last >= Some(tag) {
            return Err(Rejection::Malformed);
        }
        if tag & CRITICAL != 0 {
            return Err(Rejection::Unknown);
        }
        last = Some(tag);
        fields = rest;
    }
    Ok(())
}
