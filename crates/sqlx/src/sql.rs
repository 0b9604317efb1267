//! SQL with places for values, written once for all databases.
//!
//! A template says `{table}` and `{key}` for the names, `{empty}` for no bytes, `?1` for the first value, and `?0`
//! for keys that are the first value. A dialect says how its database writes these.

use dframework_session_store::{StoreKey, Timestamp};
use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};
use std::{fmt::Write, sync::Arc};

/// How a database writes what differs from one to the next.
pub(crate) struct Dialect {
    /// Around a name.
    pub(crate) quote: char,
    pub(crate) places: Places,
    /// Whether what stands before it is among the keys `?0`.
    pub(crate) among_keys: &'static str,
    /// Around bytes that are written as hexadecimal digits.
    pub(crate) bytes: (&'static str, &'static str),
}

/// How a statement says where its values go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Places {
    /// `?1`, and one for each key.
    Marked,
    /// `$1`, and one for all keys, as an array.
    Numbered,
    /// `?`, in the order of values, and one for each key.
    InOrder,
}

/// What is written in a statement's place for it.
pub(crate) enum Value<'a> {
    Number(i64),
    Bytes(&'a [u8]),
    Owner(Option<&'a str>),
    /// Each in a place of its own, or as one array where the database has them.
    Keys(Vec<&'a StoreKey>),
    /// An array, where the database has them.
    Numbers(Vec<i64>),
    /// An array, where the database has them.
    Blobs(Vec<Option<&'a [u8]>>),
}

/// An instant as it stands in its column.
pub(crate) fn millis(instant: Timestamp) -> i64 {
    // No instant is beyond the last that fits.
    i64::try_from(instant.as_millis()).unwrap_or(i64::MAX)
}

impl Places {
    /// Whether a value is bound once for each of its places.
    fn repeat(self) -> bool {
        self == Self::InOrder
    }
}

impl<'a> Value<'a> {
    pub(crate) fn key(key: &'a StoreKey) -> Self {
        Self::Bytes(key.as_bytes())
    }

    pub(crate) fn instant(instant: Timestamp) -> Self {
        Self::Number(millis(instant))
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
pub(crate) struct Sql {
    text: SqlStr,
    /// Which values are bound, and in which order.
    order: Vec<usize>,
    /// For whoever writes the values into the text.
    template: String,
}

impl Sql {
    /// The text with places, shared.
    pub(crate) fn text(&self) -> SqlStr {
        self.text.clone()
    }

    /// The values in the order in which they are bound.
    pub(crate) fn in_order<'v, 'a>(
        &self,
        values: &'v [Value<'a>],
    ) -> impl Iterator<Item = &'v Value<'a>> {
        self.order.iter().filter_map(|index| values.get(*index))
    }

    /// The text with the values in it. They are written as digits, so none of them can be read as SQL.
    pub(crate) fn with(&self, values: &[Value<'_>], dialect: &Dialect) -> String {
        let (start, places) = places(&self.template);
        let mut text = start.to_owned();
        for (place, behind) in places {
            if let Some(value) = values.get(place.index()) {
                write_value(&mut text, value, dialect);
            }
            text.push_str(behind);
        }
        text
    }
}

/// A statement about keys: for 1, 2, 4, … of them, so that few are prepared however many keys there are.
pub(crate) struct KeyLists(Vec<Sql>);

impl KeyLists {
    /// The one for these keys, and the keys as its first value. There is at least one, and no more than the statement
    /// was written for.
    pub(crate) fn of<'k>(&self, keys: &'k [StoreKey]) -> (&Sql, Value<'k>) {
        let power = keys.len().next_power_of_two().ilog2();
        // A statement has more places than there are keys; the last key fills the others.
        let asked = (0..1 << power).filter_map(|place| keys.get(place).or(keys.last()));
        (&self.0[power as usize], Value::Keys(asked.collect()))
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

    /// For up to this many keys.
    pub(crate) fn write_lists(&self, most: usize, template: &str) -> KeyLists {
        KeyLists((0..=most.ilog2()).map(|power| self.write_for(1 << power, template)).collect())
    }

    /// With a place for each of this many keys, where the database has no arrays.
    fn write_for(&self, keys: usize, template: &str) -> Sql {
        let Dialect { quote, bytes: (before, behind), .. } = self.dialect;
        let template = template
            .replace("{table}", &format!("{quote}{}{quote}", self.table))
            .replace("{key}", &format!("{quote}key{quote}"))
            .replace("{empty}", &format!("{before}{behind}"));
        let (start, places) = places(&template);
        let mut text = start.to_owned();
        let mut order = Vec::new();
        for (place, behind) in places {
            self.write_place(&mut text, place, keys);
            text.push_str(behind);
            let index = place.index();
            if self.dialect.places.repeat() || !order.contains(&index) {
                order.push(index);
            }
        }
        if !self.dialect.places.repeat() {
            order.sort_unstable();
        }
        // Of what varies in a statement there is the table's name only, which is an identifier.
        let text = AssertSqlSafe(Arc::<str>::from(text)).into_sql_str();
        Sql { text, order, template }
    }

    fn write_place(&self, text: &mut String, place: Place, keys: usize) {
        let index = match place {
            Place::Value(index) => index,
            Place::Keys => return self.write_keys(text, keys),
        };
        // Writing to a string cannot fail.
        let _ = match self.dialect.places {
            Places::Marked => write!(text, "?{}", index + 1),
            Places::Numbered => write!(text, "${}", index + 1),
            Places::InOrder => write!(text, "?"),
        };
    }

    fn write_keys(&self, text: &mut String, keys: usize) {
        if self.dialect.places == Places::Numbered {
            text.push_str("$1");
            return;
        }
        text.push_str(&vec!["?"; keys].join(", "));
    }
}

/// A place in a template.
#[derive(Clone, Copy)]
enum Place {
    /// For the value with this index.
    Value(usize),
    /// For the keys that are the first value.
    Keys,
}

impl Place {
    fn index(self) -> usize {
        match self {
            Self::Value(index) => index,
            Self::Keys => 0,
        }
    }
}

/// What comes before the first place, and each place with what comes behind it.
fn places(template: &str) -> (&str, impl Iterator<Item = (Place, &str)>) {
    let mut pieces = template.split('?');
    let start = pieces.next().unwrap_or_default();
    let places = pieces.map(|piece| {
        let end = piece.find(|c: char| !c.is_ascii_digit()).unwrap_or(piece.len());
        let (number, behind) = piece.split_at(end);
        let place = match number.parse::<usize>() {
            Ok(number) if number > 0 => Place::Value(number - 1),
            _ => Place::Keys,
        };
        (place, behind)
    });
    (start, places)
}

fn write_value(text: &mut String, value: &Value<'_>, dialect: &Dialect) {
    match value {
        Value::Number(number) => {
            // Writing to a string cannot fail.
            let _ = write!(text, "{number}");
        }
        Value::Bytes(bytes) => write_bytes(text, bytes, dialect),
        Value::Owner(Some(owner)) => write_bytes(text, owner.as_bytes(), dialect),
        Value::Owner(None) => text.push_str("NULL"),
        Value::Keys(keys) => write_array(text, keys, |text, key| {
            write_bytes(text, key.as_bytes(), dialect);
        }),
        Value::Numbers(numbers) => write_array(text, numbers, |text, number| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{number}");
        }),
        Value::Blobs(blobs) => write_array(text, blobs, |text, blob| match blob {
            Some(bytes) => write_bytes(text, bytes, dialect),
            None => text.push_str("NULL"),
        }),
    }
}

fn write_array<T>(text: &mut String, elements: &[T], write: impl Fn(&mut String, &T)) {
    text.push_str("ARRAY[");
    for (index, element) in elements.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write(text, element);
    }
    text.push(']');
}

fn write_bytes(text: &mut String, bytes: &[u8], dialect: &Dialect) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let (before, behind) = dialect.bytes;
    text.push_str(before);
    text.reserve(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text.push_str(behind);
}
