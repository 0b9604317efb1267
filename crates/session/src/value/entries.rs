//! A serializer that takes a map or struct apart and writes each entry as a value of its own.

use super::{Named, encode};
use crate::{
    error::{Error, Kind},
    key::checked,
};
use serde::ser::{self, Impossible, Serialize};
use std::fmt;

type Entries = Vec<Named>;

/// Writes each entry of a map or struct as JSON text. What cannot be stored is named by its own key.
pub(crate) fn encode_entries<V: Serialize + ?Sized>(map: &V) -> Result<Entries, Error> {
    map.serialize(Apart).map_err(|refusal| match refusal {
        Refusal::Entry(error) => error,
        Refusal::NoMap => not_stored("it takes a map or a struct, whose entries it stores"),
        Refusal::Failed => not_stored("it does not serialize"),
    })
}

fn not_stored(why: &'static str) -> Error {
    Error::new(Kind::Value { key: "permanent".to_owned(), why })
}

struct Apart;

/// The entries so far, and the name of the one that comes next.
#[derive(Default)]
struct Collected {
    entries: Entries,
    key: Option<String>,
}

#[derive(Debug)]
enum Refusal {
    /// An entry cannot be stored.
    Entry(Error),
    /// The value has no entries.
    NoMap,
    /// The value itself failed to serialize.
    Failed,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a map that can be stored")
    }
}

impl std::error::Error for Refusal {}

impl ser::Error for Refusal {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Failed
    }
}

macro_rules! no_map {
    ($($method:ident($($argument:ty),*);)*) => {
        $(fn $method(self $(, _: $argument)*) -> Result<Entries, Refusal> { Err(Refusal::NoMap) })*
    };
}

macro_rules! no_sequence {
    ($($method:ident($($argument:ty),*);)*) => {
        $(fn $method(self $(, _: $argument)*) -> Result<Impossible<Entries, Refusal>, Refusal> {
            Err(Refusal::NoMap)
        })*
    };
}

impl ser::Serializer for Apart {
    type Ok = Entries;
    type Error = Refusal;
    type SerializeSeq = Impossible<Entries, Refusal>;
    type SerializeTuple = Impossible<Entries, Refusal>;
    type SerializeTupleStruct = Impossible<Entries, Refusal>;
    type SerializeTupleVariant = Impossible<Entries, Refusal>;
    type SerializeMap = Collected;
    type SerializeStruct = Collected;
    type SerializeStructVariant = Impossible<Entries, Refusal>;

    fn serialize_map(self, _: Option<usize>) -> Result<Collected, Refusal> {
        Ok(Collected::default())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Collected, Refusal> {
        Ok(Collected::default())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Entries, Refusal> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Entries, Refusal> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Entries, Refusal> {
        // As in JSON: an object with the variant's name as its only key.
        let mut collected = Collected::default();
        collected.add(variant, value)?;
        Ok(collected.entries)
    }

    no_map! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_f32(f32);
        serialize_f64(f64);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
    }

    no_sequence! {
        serialize_seq(Option<usize>);
        serialize_tuple(usize);
        serialize_tuple_struct(&'static str, usize);
        serialize_tuple_variant(&'static str, u32, &'static str, usize);
        serialize_struct_variant(&'static str, u32, &'static str, usize);
    }
}

impl Collected {
    fn add<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), Refusal> {
        let key = checked(key).map_err(Refusal::Entry)?;
        self.entries.push(encode(key, value).map_err(Refusal::Entry)?);
        Ok(())
    }
}

impl ser::SerializeMap for Collected {
    type Ok = Entries;
    type Error = Refusal;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Refusal> {
        self.key = match serde_json::to_value(key) {
            Ok(serde_json::Value::String(key)) => Some(key),
            Ok(serde_json::Value::Number(key)) if !key.is_f64() => Some(key.to_string()),
            _ => {
                let why = "a map in it has keys that are neither strings nor integers";
                return Err(Refusal::Entry(not_stored(why)));
            }
        };
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        let key = self.key.take().ok_or(Refusal::Failed)?;
        self.add(&key, value)
    }

    fn end(self) -> Result<Entries, Refusal> {
        Ok(self.entries)
    }
}

impl ser::SerializeStruct for Collected {
    type Ok = Entries;
    type Error = Refusal;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Refusal> {
        self.add(key, value)
    }

    fn end(self) -> Result<Entries, Refusal> {
        Ok(self.entries)
    }
}
