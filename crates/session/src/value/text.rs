//! A value as a whole: text that stands in JSON as it is, or whatever else `serde_json` writes.
//!
//! Most values are short text, and `serde_json` looks at each byte of it by itself.

use super::named::{Named, Unfinished};
use serde::ser::{self, Serialize};
use serde_json::ser::{Formatter, Serializer};
use std::{fmt, io::Write};

/// A serializer for the value itself: what lies in it goes to `serde_json` alone.
pub(super) struct Whole<'a, W, F> {
    /// The name of the value.
    pub(super) key: &'a str,
    /// Takes the value, if it is text without anything that JSON writes in another way.
    pub(super) text: &'a mut Option<Named>,
    /// Takes every other value.
    pub(super) json: &'a mut Serializer<W, F>,
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

/// What `serde_json` makes of a value.
type Json<'a, W, F> = &'a mut Serializer<W, F>;

macro_rules! as_json {
    ($($method:ident($($name:ident: $argument:ty),*) $(-> $given:ident)?;)*) => {
        $(
            #[inline]
            fn $method(self $(, $name: $argument)*) -> Result<as_json!(@ $($given)?), Self::Error> {
                self.json.$method($($name),*)
            }
        )*
    };
    (@) => { () };
    (@ $given:ident) => { Self::$given };
}

impl<'a, W: Write, F: Formatter> ser::Serializer for Whole<'a, W, F> {
    type Ok = ();
    type Error = serde_json::Error;
    type SerializeSeq = <Json<'a, W, F> as ser::Serializer>::SerializeSeq;
    type SerializeTuple = <Json<'a, W, F> as ser::Serializer>::SerializeTuple;
    type SerializeTupleStruct = <Json<'a, W, F> as ser::Serializer>::SerializeTupleStruct;
    type SerializeTupleVariant = <Json<'a, W, F> as ser::Serializer>::SerializeTupleVariant;
    type SerializeMap = <Json<'a, W, F> as ser::Serializer>::SerializeMap;
    type SerializeStruct = <Json<'a, W, F> as ser::Serializer>::SerializeStruct;
    type SerializeStructVariant = <Json<'a, W, F> as ser::Serializer>::SerializeStructVariant;

    #[inline]
    fn serialize_str(self, text: &str) -> Result<(), Self::Error> {
        if !stands_as_it_is(text) {
            return self.json.serialize_str(text);
        }
        let mut named = Unfinished::nothing();
        named.begin(self.key);
        for part in [b"\"", text.as_bytes(), b"\""] {
            named.push(part);
        }
        *self.text = Some(named.finish());
        Ok(())
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Self::Error> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Self::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Self::Error> {
        self.json.serialize_newtype_variant(name, index, variant, value)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), Self::Error> {
        self.json.collect_str(value)
    }

    as_json! {
        serialize_bool(value: bool);
        serialize_i8(value: i8);
        serialize_i16(value: i16);
        serialize_i32(value: i32);
        serialize_i64(value: i64);
        serialize_i128(value: i128);
        serialize_u8(value: u8);
        serialize_u16(value: u16);
        serialize_u32(value: u32);
        serialize_u64(value: u64);
        serialize_u128(value: u128);
        serialize_f32(value: f32);
        serialize_f64(value: f64);
        serialize_char(value: char);
        serialize_bytes(value: &[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(name: &'static str);
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str);
        serialize_seq(length: Option<usize>) -> SerializeSeq;
        serialize_tuple(length: usize) -> SerializeTuple;
        serialize_tuple_struct(name: &'static str, length: usize) -> SerializeTupleStruct;
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, length: usize) -> SerializeTupleVariant;
        serialize_map(length: Option<usize>) -> SerializeMap;
        serialize_struct(name: &'static str, length: usize) -> SerializeStruct;
        serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, length: usize) -> SerializeStructVariant;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::{super::encode, *};
    use proptest::prelude::*;
    use std::cell::Cell;

    fn written(value: &impl Serialize) -> Vec<u8> {
        encode("key", value).unwrap().json().to_owned()
    }

    #[test]
    fn text_is_written_as_serde_json_writes_it() {
        for text in ["", "a", "a visitor of the shop", "0123456789abcdef", "höflich \u{7f}\u{2028}"]
        {
            let json = serde_json::to_vec(text).unwrap();
            assert!(stands_as_it_is(text));
            assert_eq!(written(&text), json);
            assert_eq!(written(&Some(text)), json);
        }
    }

    #[test]
    fn a_byte_that_json_escapes_is_found_at_every_place() {
        for length in 1..40 {
            for place in 0..length {
                for byte in (0..b' ').chain([b'"', b'\\']) {
                    let mut text = vec![b'x'; length];
                    text[place] = byte;
                    assert!(!stands_as_it_is(&String::from_utf8(text).unwrap()));
                }
            }
        }
    }

    #[test]
    fn what_is_no_text_is_written_as_serde_json_writes_it() {
        #[derive(serde::Serialize)]
        enum Kind {
            Unit,
            Newtype(&'static str),
            Tuple(u8, char),
            Struct { text: &'static str },
        }
        let kinds =
            [Kind::Unit, Kind::Newtype("a"), Kind::Tuple(1, 'c'), Kind::Struct { text: "b" }];
        assert_eq!(written(&kinds), serde_json::to_vec(&kinds).unwrap());
        for kind in &kinds {
            assert_eq!(written(kind), serde_json::to_vec(kind).unwrap());
        }
        let value = serde_json::json!([null, true, "text", { "a": [1, -1, 1.5, "\"\n"] }]);
        assert_eq!(written(&value), serde_json::to_vec(&value).unwrap());
        assert_eq!(written(&('c', 1_u128, -1_i128, 1.5_f32)), br#"["c",1,-1,1.5]"#);
        assert_eq!(written(&format_args!("{}", 1)), br#""1""#);
    }

    #[test]
    fn a_value_that_gives_what_it_holds_only_once_is_stored() {
        struct Once(Cell<Option<Vec<u8>>>);
        impl Serialize for Once {
            fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(self.0.take().into_iter().flatten())
            }
        }
        assert_eq!(written(&Once(Cell::new(Some(vec![1, 2])))), b"[1,2]");
    }

    #[test]
    fn text_is_not_stored_where_serializing_fails_after_it() {
        struct Failing;
        impl Serialize for Failing {
            fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str("text")?;
                Err(ser::Error::custom("it fails"))
            }
        }
        assert!(encode("key", &Failing).is_err_and(|error| error.is_invalid()));
    }

    proptest! {
        #[test]
        fn any_text_is_written_as_serde_json_writes_it(text: String) {
            prop_assert_eq!(written(&text), serde_json::to_vec(&text).unwrap());
        }
    }
}
