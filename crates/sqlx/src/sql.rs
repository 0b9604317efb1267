//! SQL with places for values, written once for all databases.
//!
//! A template says `{table}` and `{key}` for the names, `{empty}` for no bytes, `?1` for the first value, and `{keys}`
//! for a comparison with the keys that are the first value. A dialect says how its database writes these.

use dframework_session_store::{StoreKey, Timestamp};
use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};
use std::{fmt::Write, sync::Arc};

/// How a database writes what differs from one to the next.
pub(crate) struct Dialect {
    /// Around a name.
    pub(crate) quote: char,
    pub(crate) places: Places,
    /// A string of no bytes.
    pub(crate) empty: &'static str,
}

/// How a statement says where a value goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Places {
    /// By its number, behind this character. A value may have several places.
    Numbered(char),
}

/// What is written in a statement's place for it.
pub(crate) enum Value<'a> {
    Number(i64),
    Bytes(&'a [u8]),
    Owner(Option<&'a str>),
    /// Each in a place of its own, or as one array where the database has them.
    Keys(Vec<&'a StoreKey>),
}

impl<'a> Value<'a> {
    pub(crate) fn key(key: &'a StoreKey) -> Self {
        Self::Bytes(key.as_bytes())
    }

    pub(crate) fn instant(instant: Timestamp) -> Self {
        // No instant is beyond the last that fits.
        Self::Number(i64::try_from(instant.as_millis()).unwrap_or(i64::MAX))
    }

    pub(crate) fn limit(limit: usize) -> Self {
        Self::Number(i64::try_from(limit).unwrap_or(i64::MAX))
    }

    /// What every key of a list is compared with that begins behind this one.
    pub(crate) fn behind(after: Option<&'a StoreKey>) -> Self {
        // No bytes come before every key.
        Self::Bytes(after.map_or(&[], |key| key.as_bytes()))
    }
}

/// A statement of one table in one dialect.
pub(crate) struct Sql(SqlStr);

impl Sql {
    /// The text, shared.
    pub(crate) fn text(&self) -> SqlStr {
        self.0.clone()
    }
}

/// Writes statements for a table, whose name is an identifier.
pub(crate) struct Writer<'a> {
    pub(crate) table: &'a str,
    pub(crate) dialect: &'a Dialect,
}

impl Writer<'_> {
    pub(crate) fn write(&self, template: &str) -> Sql {
        self.write_for(1, template)
    }

    /// With a place for each of this many keys, where the database has no arrays.
    pub(crate) fn write_for(&self, keys: usize, template: &str) -> Sql {
        let Dialect { quote, places, empty } = self.dialect;
        let Places::Numbered(sign) = places;
        let mut list = String::from("IN (");
        for number in 1..=keys {
            let comma = if number == 1 { "" } else { ", " };
            // Writing to a string cannot fail.
            let _ = write!(list, "{comma}{sign}{number}");
        }
        list.push(')');
        let text = template
            .replace("{table}", &format!("{quote}{}{quote}", self.table))
            .replace("{key}", &format!("{quote}key{quote}"))
            .replace("{empty}", empty)
            .replace("{keys}", &list)
            .replace('?', &sign.to_string());
        // Of what varies in a statement there is the table's name only, which is an identifier.
        Sql(AssertSqlSafe(Arc::<str>::from(text)).into_sql_str())
    }
}
