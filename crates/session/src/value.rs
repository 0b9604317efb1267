//! Values as JSON text, and nothing in it that was not in the value.
//!
//! `serde_json` writes NaN and the infinities as `null` and takes any scalar as the key of a map. Both would
//! come back as something else, so both are errors here.

mod check;
mod entries;
mod named;
mod text;

pub(crate) use entries::encode_entries;
pub(crate) use named::Named;

use crate::{
    change::Refusal,
    error::{Error, Kind},
};
use named::Unfinished;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::ser::{CompactFormatter, Formatter, Serializer};
use std::io::{self, Write};
use text::Whole;

/// How deep lists and objects may be nested: what is deeper does not read back.
const DEEPEST: u32 = 127;

/// Writes a value as JSON text.
pub(crate) fn encode<V: Serialize + ?Sized>(key: &str, value: &V) -> Result<Named, Error> {
    let (mut text, mut json) = (None, Unfinished::nothing());
    json.begin(key);
    let mut watch = Watch::default();
    let mut serializer = Serializer::with_formatter(&mut json, &mut watch);
    let written = value.serialize(Whole { key, text: &mut text, json: &mut serializer });
    if watch.deepest > DEEPEST {
        return Err(refused(key, "it is nested more than 127 deep"));
    }
    if watch.scalar_key {
        return Err(refused(key, "a map in it has keys that are neither strings nor integers"));
    }
    // The serializer's own message is left out: it may quote the value.
    written.map_err(|_| refused(key, "it does not serialize"))?;
    if let Some(text) = text {
        return Ok(text);
    }
    // Only a `null` can stand for a float that JSON cannot write, so most values are walked once.
    if watch.null && !check::is_finite(value) {
        return Err(refused(key, "it holds a float that is not a number or infinite"));
    }
    Ok(json.finish())
}

/// Reads JSON text; `null` is `None` unless `T` has a reading of its own for it.
///
/// The parser's own message is left out, since it quotes the value.
pub(crate) fn decode<T: DeserializeOwned>(key: &str, json: &[u8]) -> Result<Option<T>, Error> {
    match serde_json::from_slice(json) {
        Ok(value) => Ok(Some(value)),
        Err(_) if is_null(json) => Ok(None),
        Err(_) => Err(wrong_type::<T>(key, json)),
    }
}

/// Reads JSON text as exactly this type.
pub(crate) fn decode_exactly<T: DeserializeOwned>(key: &str, json: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(json).map_err(|_| wrong_type::<T>(key, json))
}

/// Appends a list that is not empty to a list. Absent and null are an empty one.
pub(crate) fn append(key: &str, list: Option<&[u8]>, more: &Named) -> Result<Named, Refusal> {
    let Some(json) = list.filter(|json| !is_null(json)) else { return Ok(more.clone()) };
    let list = json.trim_ascii();
    let (Some(items), Some(more)) = (list.strip_suffix(b"]"), more.json().strip_prefix(b"["))
    else {
        return Err(Refusal::Error(wrong_type::<Vec<()>>(key, json)));
    };
    let separator: &[u8] = if items.trim_ascii_end() == b"[" { b"" } else { b"," };
    Ok(Named::new(key, &[items, separator, more]))
}

/// Whether this text is the JSON `null`.
pub(crate) fn is_null(json: &[u8]) -> bool {
    json == b"null"
}

fn wrong_type<T>(key: &str, json: &[u8]) -> Error {
    let asked = std::any::type_name::<T>();
    Error::new(Kind::WrongType { key: key.to_owned(), stored: kind_of(json), asked })
}

fn kind_of(json: &[u8]) -> &'static str {
    match json.first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

fn refused(key: &str, why: &'static str) -> Error {
    Error::new(Kind::Value { key: key.to_owned(), why })
}

/// Notes what the compact formatter writes where something else may have been meant.
#[derive(Default)]
struct Watch {
    /// A `null` was written.
    null: bool,
    /// The next scalar is the key of a map.
    at_key: bool,
    /// A boolean or a float was written as the key of a map.
    scalar_key: bool,
    /// How many lists and objects are open.
    depth: u32,
    /// How many were open at most.
    deepest: u32,
}

impl Watch {
    fn enter(&mut self) {
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
    }
}

impl Formatter for &mut Watch {
    fn write_null<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.null = true;
        CompactFormatter.write_null(writer)
    }

    fn write_bool<W: ?Sized + Write>(&mut self, writer: &mut W, value: bool) -> io::Result<()> {
        self.scalar_key |= self.at_key;
        CompactFormatter.write_bool(writer, value)
    }

    fn write_f32<W: ?Sized + Write>(&mut self, writer: &mut W, value: f32) -> io::Result<()> {
        self.scalar_key |= self.at_key;
        CompactFormatter.write_f32(writer, value)
    }

    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        self.scalar_key |= self.at_key;
        CompactFormatter.write_f64(writer, value)
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.enter();
        CompactFormatter.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        CompactFormatter.end_array(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.enter();
        CompactFormatter.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        CompactFormatter.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.at_key = true;
        CompactFormatter.begin_object_key(writer, first)
    }

    fn end_object_key<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.at_key = false;
        CompactFormatter.end_object_key(writer)
    }
}
