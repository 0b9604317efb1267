//! A serializer that takes text which stands in JSON as it is, and nothing else.
//!
//! Most values are short text, and `serde_json` looks at each byte of it by itself.

use super::named::Unfinished;
use serde::ser::{Error, Impossible, Serialize, Serializer};
use std::fmt;

/// Writes a value, if it is text without anything that JSON writes in another way. Otherwise nothing is written.
#[inline]
pub(super) fn write<V: Serialize + ?Sized>(value: &V, out: &mut Unfinished) -> bool {
    value.serialize(Text(out)).is_ok()
}

/// How many bytes are looked at together.
const BLOCK: usize = 16;

/// Whether JSON writes this text as it is, between its quotes (RFC 8259, section 7).
fn stands_as_it_is(text: &str) -> bool {
    let (blocks, rest) = text.as_bytes().as_chunks::<BLOCK>();
    let mut last = [b' '; BLOCK];
    last[..rest.len()].copy_from_slice(rest);
    // Without a way out before the end, so that a block is one step for the processor.
    let is_escaped = |byte: &u8| *byte < b' ' || *byte == b'"' || *byte == b'\\';
    let has_escaped =
        |block: &[u8; BLOCK]| block.iter().fold(false, |found, byte| found | is_escaped(byte));
    !blocks.iter().any(has_escaped) && !has_escaped(&last)
}

struct Text<'a>(&'a mut Unfinished);

/// The value is another one.
#[derive(Debug)]
struct Another;

impl fmt::Display for Another {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no text that stands as it is")
    }
}

impl std::error::Error for Another {}

impl Error for Another {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

type Written = Result<(), Another>;

macro_rules! another {
    ($($method:ident($($argument:ty),*) -> $given:ty;)*) => {
        $(
            #[inline]
            fn $method(self $(, _: $argument)*) -> Result<$given, Another> {
                Err(Another)
            }
        )*
    };
}

type Nothing = Impossible<(), Another>;

impl Serializer for Text<'_> {
    type Ok = ();
    type Error = Another;
    type SerializeSeq = Nothing;
    type SerializeTuple = Nothing;
    type SerializeTupleStruct = Nothing;
    type SerializeTupleVariant = Nothing;
    type SerializeMap = Nothing;
    type SerializeStruct = Nothing;
    type SerializeStructVariant = Nothing;

    #[inline]
    fn serialize_str(self, text: &str) -> Written {
        if !stands_as_it_is(text) {
            return Err(Another);
        }
        for part in [b"\"", text.as_bytes(), b"\""] {
            self.0.push(part);
        }
        Ok(())
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Written {
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Written {
        Err(Another)
    }

    #[inline]
    fn collect_str<T: fmt::Display + ?Sized>(self, _: &T) -> Written {
        Err(Another)
    }

    another! {
        serialize_bool(bool) -> ();
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_i128(i128) -> ();
        serialize_u8(u8) -> ();
        serialize_u16(u16) -> ();
        serialize_u32(u32) -> ();
        serialize_u64(u64) -> ();
        serialize_u128(u128) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_unit_variant(&'static str, u32, &'static str) -> ();
        serialize_seq(Option<usize>) -> Nothing;
        serialize_tuple(usize) -> Nothing;
        serialize_tuple_struct(&'static str, usize) -> Nothing;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Nothing;
        serialize_map(Option<usize>) -> Nothing;
        serialize_struct(&'static str, usize) -> Nothing;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Nothing;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;
    use proptest::prelude::*;

    /// What is written of a value that is text, behind the key.
    fn written(value: &impl Serialize) -> Option<Vec<u8>> {
        let mut out = Unfinished::nothing();
        out.begin("key");
        write(value, &mut out).then(|| out.finish().json().to_owned())
    }

    #[test]
    fn text_is_taken_where_json_writes_it_as_it_is() {
        for text in ["", "a", "a visitor of the shop", "0123456789abcdef", "höflich \u{7f}\u{2028}"]
        {
            assert_eq!(written(&text), Some(serde_json::to_vec(text).unwrap()));
            assert_eq!(written(&Some(text)), written(&text));
        }
    }

    #[test]
    fn a_byte_that_json_escapes_is_found_at_every_place() {
        for length in 1..40 {
            for place in 0..length {
                for byte in (0..b' ').chain([b'"', b'\\']) {
                    let mut text = vec![b'x'; length];
                    text[place] = byte;
                    assert_eq!(written(&String::from_utf8(text).unwrap()), None);
                }
            }
        }
    }

    #[test]
    fn nothing_is_written_of_what_is_no_text() {
        let others =
            [serde_json::json!(null), serde_json::json!(["a"]), serde_json::json!({ "a": "b" })];
        assert!(others.iter().all(|other| written(other).is_none()));
        assert!(written(&1).is_none() && written(&1.5).is_none() && written(&'c').is_none());
    }

    proptest! {
        #[test]
        fn text_is_what_serde_json_makes_of_it(text: String) {
            let json = serde_json::to_vec(&text).unwrap();
            let is_plain = json.len() == text.len() + 2;
            prop_assert_eq!(written(&text), is_plain.then_some(json));
        }
    }
}
