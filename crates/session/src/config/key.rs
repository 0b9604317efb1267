//! Application keys: from the text of a property to bytes that are worth sealing with.
//!
//! Errors name the property, never a part of its value; the decoder's own errors quote the byte that they
//! tripped over, so they are dropped.

use crate::error::Error;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_PAD_INDIFFERENT, URL_SAFE_PAD_INDIFFERENT},
};
use std::fmt;

/// 256 bits, the size of the keys that are derived from it.
const SHORTEST: usize = 32;

/// The longest pattern whose repetition is refused: what somebody types to get past a length check.
const LONGEST_PATTERN: usize = 8;

pub(super) const EXPECTED: &str = "expected 32 random bytes or more, as 64 hex digits or in base64; `openssl rand -base64 32` makes one";

/// The bytes of a key. `Debug` does not show them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// Reads the value of the property `name`.
    pub(super) fn parse(name: &str, text: &str) -> Result<Self, Error> {
        // A secret that was mounted from a file often ends in a line break.
        let bytes = decode(text.trim_ascii());
        match bytes.as_deref().map_or(Some("neither hex nor base64"), weakness) {
            Some(weakness) => Err(Error::config(format!("{name} is {weakness}: {EXPECTED}"))),
            None => Ok(Self(bytes.unwrap_or_default())),
        }
    }
}

/// Exactly 64 hex digits are hex, although they would be base64 as well; all else is base64.
fn decode(text: &str) -> Option<Vec<u8>> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return text.as_bytes().chunks(2).map(hex_pair).collect();
    }
    let text = text.strip_prefix("base64:").unwrap_or(text);
    let engine = if text.contains(['-', '_']) {
        &URL_SAFE_PAD_INDIFFERENT
    } else {
        &STANDARD_PAD_INDIFFERENT
    };
    engine.decode(text).ok()
}

fn hex_pair(pair: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()
}

/// Why nobody should seal anything with these bytes.
fn weakness(bytes: &[u8]) -> Option<&'static str> {
    if bytes.len() < SHORTEST {
        return Some("shorter than 32 bytes");
    }
    // Bytes repeat with a period exactly when they equal themselves moved by it. A period of one covers keys
    // of a single byte, all zero among them.
    let repeats = |period| bytes[period..] == bytes[..bytes.len() - period];
    (1..=LONGEST_PATTERN).any(repeats).then_some("a short pattern that repeats")
}

/// Refuses a key that is listed twice: one of the two was meant to be another.
pub(super) fn check_distinct<'a>(
    keys: impl Iterator<Item = (String, &'a Secret)>,
) -> Result<(), Error> {
    let mut seen: Vec<(String, &Secret)> = Vec::new();
    for (name, key) in keys {
        if let Some((first, _)) = seen.iter().find(|(_, other)| *other == key) {
            return Err(Error::config(format!(
                "{name} is the same key as {first}: list each key once"
            )));
        }
        seen.push((name, key));
    }
    Ok(())
}
