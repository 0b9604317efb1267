//! What has been opened: bytes that are overwritten before their memory is given back.
//!
//! One allocation holds a whole cookie, decoded and then decrypted where it stands; the record and the fields of a
//! header are ranges of it. Clones share it, and the last one to go overwrites it.

use super::wiped::Wiped;
use base64_simd::{AsOut, URL_SAFE_NO_PAD};
use std::{ops::Range, sync::Arc};

/// A range of opened bytes. It has no `Debug`, which would show them.
#[derive(Clone)]
pub(crate) struct Plain {
    buffer: Arc<Wiped<[u8]>>,
    range: Range<usize>,
}

impl Plain {
    /// Decodes base64url without padding: one spelling for each value, so that nobody can respell a cookie. At most
    /// 4 KiB of it.
    pub(super) fn decoded(text: &[u8]) -> Option<Self> {
        let length = URL_SAFE_NO_PAD.decoded_length(text).ok()?;
        let mut plain = Self { buffer: zeros(length)?, range: 0..length };
        URL_SAFE_NO_PAD.decode(text, plain.bytes_mut().as_out()).ok()?;
        Some(plain)
    }

    /// Bytes of our own, written where they stay. At most 3 KiB of them.
    pub(super) fn written(length: usize, write: impl FnOnce(&mut [u8])) -> Option<Self> {
        let mut plain = Self { buffer: zeros(length)?, range: 0..length };
        write(plain.bytes_mut());
        Some(plain)
    }

    /// All bytes of the allocation of which these are a part.
    pub(super) fn whole(&self) -> Self {
        Self { buffer: self.buffer.clone(), range: 0..self.buffer.0.len() }
    }

    /// These bytes and what stands in front of them in the allocation, but for the first ones.
    pub(super) fn with_front(&self, first: usize) -> &[u8] {
        self.buffer.0.get(first..self.range.end).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer.0[self.range.clone()]
    }

    /// The bytes, to be changed: of the only one that there is. Beside a clone they are none.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        let buffer = Arc::get_mut(&mut self.buffer);
        buffer.map_or(&mut [], |buffer| &mut buffer.0[self.range.clone()])
    }

    /// A part of these bytes, in the same allocation.
    pub(super) fn part(&self, range: Range<usize>) -> Self {
        self.clone().narrowed(range)
    }

    /// The same, in place of the whole.
    pub(super) fn narrowed(mut self, range: Range<usize>) -> Self {
        self.range = self.range.start + range.start..self.range.start + range.end;
        self
    }
}

/// Room for so many bytes, or a few more.
///
/// A few sizes only: an array knows its length, so one allocation holds the counter and the bytes, and whichever of
/// several threads drops it last overwrites it. A shared slice has no such hook.
fn zeros(length: usize) -> Option<Arc<Wiped<[u8]>>> {
    fn of<const SIZE: usize>() -> Arc<Wiped<[u8]>> {
        // Made in its allocation: `Arc::new` makes it on the stack first and copies it.
        Arc::<Wiped<[u8; SIZE]>>::default()
    }
    match length {
        0..=128 => Some(of::<128>()),
        129..=256 => Some(of::<256>()),
        257..=512 => Some(of::<512>()),
        513..=1024 => Some(of::<1024>()),
        1025..=2048 => Some(of::<2048>()),
        2049..=3072 => Some(of::<3072>()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[test]
    fn parts_share_the_allocation_and_outlive_the_whole() {
        let whole = Plain::decoded(b"MDEyMzQ1Njc4OQ").unwrap();
        assert_eq!(whole.bytes(), b"0123456789");
        let part = whole.part(2..8);
        let part_of_part = part.part(1..3);
        let allocated = allocation_counter::measure(|| drop(part.part(0..6)));
        assert_eq!(allocated.count_total, 0);
        drop(whole);
        assert_eq!(part.bytes(), b"234567");
        drop(part);
        assert_eq!(part_of_part.bytes(), b"34");
    }

    #[test]
    fn text_has_one_spelling() {
        for text in ["MDE=", "MDE==", "MDF", "M", "MD+x", "MD/x", "MD x", "MDE\n", "MD\u{e9}"] {
            assert!(Plain::decoded(text.as_bytes()).is_none(), "{text:?}");
        }
        assert_eq!(Plain::decoded(b"MDE").unwrap().bytes(), b"01");
        assert_eq!(Plain::decoded(b"-_8").unwrap().bytes(), [0xfb, 0xff]);
        assert_eq!(Plain::decoded(b"").unwrap().bytes(), b"");
    }

    #[test]
    fn every_length_up_to_the_longest_has_room() {
        for length in 0..=3072 {
            let text = URL_SAFE_NO_PAD.encode_to_string(vec![7; length]);
            assert_eq!(Plain::decoded(text.as_bytes()).unwrap().bytes(), vec![7; length]);
        }
        let longer = URL_SAFE_NO_PAD.encode_to_string(vec![7; 3073]);
        assert!(Plain::decoded(longer.as_bytes()).is_none());
    }

    #[test]
    fn bytes_that_are_shared_cannot_be_changed() {
        let mut plain = Plain::decoded(b"MDE").unwrap();
        plain.bytes_mut()[0] = b'9';
        assert_eq!(plain.bytes(), b"91");
        let shared = plain.clone();
        assert!(plain.bytes_mut().is_empty());
        assert_eq!(shared.bytes(), b"91");
    }
}
