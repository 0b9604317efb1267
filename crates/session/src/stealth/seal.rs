//! The text of a sealed cookie: what it is made of, how it is sealed, and why it may not open.
//!
//! ```text
//! value = base64url( version u8 = 1 | kid [4] | nonce [24] | ciphertext | tag [16] )      no padding characters
//! plain = header | record | 0x80 | zeros, to a multiple of 64 bytes
//! ```
//!
//! The cipher is XAES-256-GCM (`xaes.rs`); the kid names one key of the ring, and the key and the associated data are
//! those of the purpose (`keys.rs`). The header is described in `header.rs`. An activity seal has no record.
//!
//! Lengths are equal inside of 64 bytes, and nothing is compressed: the length of a cookie says little of what is in
//! it. Deadlines are inside, so a cookie that somebody kept dies on time.

use super::{
    header::{Header, Terms, Writer},
    keys::{KID, Purpose, Ring},
    plain::Plain,
    xaes::{NONCE, TAG},
};
use crate::{error::Error, token};
use base64_simd::URL_SAFE_NO_PAD;
use dframework_session_store::Timestamp;

pub(super) const VERSION: u8 = 1;

/// The longest text that is looked at: no browser sends a longer cookie.
const LONGEST: usize = 4096;
/// What stands before the ciphertext.
pub(super) const FRONT: usize = 1 + KID + NONCE;
/// Plain bytes come in multiples of it.
const BUCKET: usize = 64;
const END: u8 = 0x80;

/// What a seal held.
pub(crate) struct Opened<T: Terms> {
    pub(crate) header: Header<T>,
    /// The record, in the memory in which the cookie was opened; nothing for an activity seal.
    pub(crate) content: T::Content,
}

/// Why a cookie is no session. The client is never told; to the operator it is an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rejection {
    /// Too long, not base64url, or not built like a seal.
    Malformed,
    /// Of a format that this version does not know.
    Version,
    /// Sealed with a key that is not in the ring.
    Key,
    /// Altered, or sealed for another name, audience or purpose.
    Tag,
    /// Its deadline has passed.
    Expired,
    /// Sealed more than five minutes ahead of this clock.
    Future,
    /// A permanent seal that no browser would have kept for so long.
    TooOld,
    /// It says something that must be understood, and is not.
    Unknown,
    /// The record in it cannot be read.
    Record(&'static str),
    /// It has been revoked.
    Revoked,
}

impl Rejection {
    /// How many kinds there are.
    pub(crate) const KINDS: usize = 10;

    /// Which kind it is, from 0 on.
    pub(crate) fn kind(self) -> usize {
        self.named().0
    }

    /// What the operator reads.
    pub(crate) fn name(self) -> &'static str {
        self.named().1
    }

    fn named(self) -> (usize, &'static str) {
        match self {
            Self::Malformed => (0, "malformed"),
            Self::Version => (1, "version"),
            Self::Key => (2, "key"),
            Self::Tag => (3, "tag"),
            Self::Expired => (4, "expired"),
            Self::Future => (5, "future"),
            Self::TooOld => (6, "too_old"),
            Self::Unknown => (7, "unknown_field"),
            Self::Record(_) => (8, "record"),
            Self::Revoked => (9, "revoked"),
        }
    }
}

impl Ring {
    /// Appends the sealed text of a header and a record to `out`.
    ///
    /// # Errors
    ///
    /// The operating system gave no random bytes; nothing was appended.
    pub(crate) fn seal<T: Terms>(
        &self,
        header: &Header<T>,
        record: &[u8],
        out: &mut String,
    ) -> Result<(), Error> {
        self.seal_text(T::PURPOSE, header.length() + record.len(), out, |writer| {
            header.write(writer);
            writer.put_slice(record);
        })
    }

    /// The same for a record that has its header in front of it.
    ///
    /// # Errors
    ///
    /// As there.
    pub(crate) fn seal_record(
        &self,
        purpose: Purpose,
        record: &Plain,
        out: &mut String,
    ) -> Result<(), Error> {
        let text = record.with_front(FRONT);
        self.seal_text(purpose, text.len(), out, |writer| writer.put_slice(text))
    }

    fn seal_text(
        &self,
        purpose: Purpose,
        text: usize,
        out: &mut String,
        write: impl FnOnce(&mut Writer<'_>),
    ) -> Result<(), Error> {
        let nonce: [u8; NONCE] = token::random()?;
        let (kid, lock) = self.sealing(purpose);
        let length = FRONT + plain_length(text) + TAG;
        // On the stack for most, and never grown: the plain bytes are in one place only, and are encrypted there.
        let mut stack = [0; 1024];
        let mut heap = Vec::new();
        let bytes = stack.get_mut(..length).unwrap_or_else(|| {
            heap.resize(length, 0);
            &mut heap
        });
        let mut writer = Writer(bytes);
        writer.put(&[VERSION]);
        writer.put(&kid);
        writer.put(&nonce);
        write(&mut writer);
        writer.put(&[END]);
        let (text, tag) = bytes[FRONT..].split_at_mut(length - FRONT - TAG);
        tag.copy_from_slice(&lock.xaes.seal(&nonce, &lock.aad, text));
        URL_SAFE_NO_PAD.encode_append(bytes, out);
        Ok(())
    }

    /// Opens the value of a cookie.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn open<T: Terms>(
        &self,
        text: &[u8],
        now: Timestamp,
    ) -> Result<Opened<T>, Rejection> {
        self.open_decoded(decoded(text).ok_or(Rejection::Malformed)?, now)
    }

    /// Opens what [`decoded`] has made of the value of a cookie, where it stands.
    pub(crate) fn open_decoded<T: Terms>(
        &self,
        mut plain: Plain,
        now: Timestamp,
    ) -> Result<Opened<T>, Rejection> {
        let length = self.decrypt(plain.bytes_mut(), T::PURPOSE)?;
        let (header, rest) = Header::read(plain.narrowed(FRONT..FRONT + length), now)?;
        Ok(Opened { header, content: T::content(rest)? })
    }

    /// Decrypts a decoded seal where it stands. Returns how many bytes the header and the record have.
    fn decrypt(&self, bytes: &mut [u8], purpose: Purpose) -> Result<usize, Rejection> {
        match bytes {
            [] => return Err(Rejection::Malformed),
            [VERSION, ..] => {}
            _ => return Err(Rejection::Version),
        }
        let (front, rest) = bytes.split_first_chunk_mut::<FRONT>().ok_or(Rejection::Malformed)?;
        let (text, tag) = rest.split_last_chunk_mut::<TAG>().ok_or(Rejection::Malformed)?;
        let (kid, nonce) = front[1..].split_first_chunk().ok_or(Rejection::Malformed)?;
        let nonce = nonce.first_chunk().ok_or(Rejection::Malformed)?;
        let lock = self.opening(*kid, purpose).ok_or(Rejection::Key)?;
        if text.len() % BUCKET != 0 {
            return Err(Rejection::Malformed);
        }
        lock.xaes.open(nonce, &lock.aad, text, tag).map_err(|_| Rejection::Tag)?;
        without_end(text).ok_or(Rejection::Malformed)
    }
}

/// Decodes the value of a cookie; `None` if it is no seal for certain.
pub(crate) fn decoded(text: &[u8]) -> Option<Plain> {
    if text.len() > LONGEST { None } else { Plain::decoded(text) }
}

/// How long the text of a seal will be, with a record and unknown fields of these lengths.
pub(crate) fn sealed_length<T: Terms>(unknown: usize, record: usize) -> usize {
    text_length_for(Header::<T>::length_with(unknown) + record)
}

/// How long the text of a record is that has its header in front of it.
pub(super) fn text_length(record: &Plain) -> usize {
    text_length_for(record.with_front(FRONT).len())
}

fn text_length_for(text: usize) -> usize {
    ((FRONT + plain_length(text) + TAG) * 4).div_ceil(3)
}

fn plain_length(text: usize) -> usize {
    (text + 1).next_multiple_of(BUCKET)
}

/// How many bytes stand before the end mark, which is in the last bucket.
fn without_end(bytes: &[u8]) -> Option<usize> {
    let (_, last) = bytes.split_last_chunk::<BUCKET>()?;
    // The zeros behind the mark are passed sixteen at a time.
    let (words, _) = last.as_chunks::<16>();
    let at = words.iter().rposition(|word| *word != [0; 16])?;
    let zeros = u128::from_le_bytes(words[at]).leading_zeros() as usize / 8;
    let end = 16 * at + 15 - zeros;
    (last[end] == END).then_some(bytes.len() - BUCKET + end)
}

/// Seals plain bytes that no header may write.
#[cfg(any(test, fuzzing))]
pub(super) fn sealed_plain(ring: &Ring, purpose: Purpose, plain: &[u8]) -> String {
    let (kid, lock) = ring.sealing(purpose);
    let nonce = [7; NONCE];
    let mut text = plain.to_vec();
    let tag = lock.xaes.seal(&nonce, &lock.aad, &mut text);
    URL_SAFE_NO_PAD.encode_to_string([&[VERSION], &kid[..], &nonce, &text, &tag].concat())
}
