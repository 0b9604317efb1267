//! Application keys: from the text of a property to bytes that are worth sealing with.
//!
//! Errors name the property, never a part of its value; the decoder's own errors quote the byte that they
//! tripped over, so they are dropped. What is made of the bytes is the business of `stealth/keys.rs`.

use crate::{
    error::Error,
    stealth::{self, Kid},
    token,
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_PAD_INDIFFERENT, URL_SAFE_PAD_INDIFFERENT},
};
use std::fmt::{self, Write};
use zeroize::Zeroizing;

/// 256 bits, the size of the keys that are derived from it.
const SHORTEST: usize = 32;

/// The longest pattern whose repetition is refused: what somebody types to get past a length check.
const LONGEST_PATTERN: usize = 8;

pub(super) const EXPECTED: &str = "expected 32 random bytes or more, as 64 hex digits or in base64; `openssl rand -hex 32` makes one, and so does `Config::generate_key()`";

/// Keys that everybody has: people copy them from where they are shown.
const SAMPLES: [&str; 8] = [
    // The tutorial of Flask, where it shows what a generated key looks like.
    "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
    // The chapter on OAuth2 and JWT of FastAPI's tutorial.
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    // The chapter on encryption of Laravel's documentation, where it rotates keys.
    "base64:J63qRTDLub5NuZvP+kb8YIorGS6qFYHKVo6u7179stY=",
    "base64:2nLsGFGzyoae2ax3EF2Lyq/hH6QghBGLIq5uL+Gp8/w=",
    // The reference of Rocket 0.4, for `secret_key`.
    "8Xui8SN4mI+7egV/9dlfYYLGQJeEx4+DwmSQLwDVXJg=",
    // Airflow in containers: the Fernet key that its images and many charts bring.
    "81HqDtbqAywKSOumSha3BhWNOdQ26slT6K0YaZeZyPs=",
    // Tutorials on JWT with Spring Boot.
    "404E635266556A586E3272357538782F413F4428472B4B6250645367566B5970",
    // The AES-256 key of the examples in NIST SP 800-38A, which libraries test with.
    "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
];

/// The bytes of a key. `Debug` does not show them, and they are overwritten when they are dropped.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Zeroizing<Vec<u8>>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// Reads the value of the property `name`.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, Error> {
        let refuse = |why| Error::config(format!("{name} is {why}: {EXPECTED}"));
        // A secret that was mounted from a file often ends in a line break.
        let bytes = decode(text.trim_ascii()).ok_or_else(|| refuse("neither hex nor base64"))?;
        weakness(&bytes).map_or(Ok(Self(bytes)), |why| Err(refuse(why)))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// A key of these bytes, though a configuration would refuse them: those of a test are no secret.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn of_test(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }
}

/// The text of a new key, as 64 hex digits.
pub(super) fn generate() -> Result<String, Error> {
    let bytes = Zeroizing::new(token::random::<SHORTEST>()?);
    let mut text = String::with_capacity(2 * SHORTEST);
    for byte in *bytes {
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

/// Exactly 64 hex digits are hex, although they would be base64 as well; all else is base64.
fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        // Room for all at once: growing would leave a part of the key in memory that is given back.
        let mut bytes = Zeroizing::new(Vec::with_capacity(SHORTEST));
        for pair in text.as_bytes().chunks(2) {
            bytes.push(hex_pair(pair)?);
        }
        return Some(bytes);
    }
    let text = text.strip_prefix("base64:").unwrap_or(text);
    let engine = if text.contains(['-', '_']) {
        &URL_SAFE_PAD_INDIFFERENT
    } else {
        &STANDARD_PAD_INDIFFERENT
    };
    engine.decode(text).ok().map(Zeroizing::new)
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
    if (1..=LONGEST_PATTERN).any(repeats) {
        return Some("a short pattern that repeats");
    }
    let steps = || bytes.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
    if steps().zip(steps().skip(1)).all(|(step, next)| step == next) {
        return Some("counted up or down");
    }
    let is_sample = |sample: &&str| decode(sample).is_some_and(|sample| **sample == *bytes);
    SAMPLES.iter().any(is_sample).then_some("a sample that documentation shows to everybody")
}

/// Refuses a key that is listed twice, since one of the two was meant to be another, and two keys with one kid, since
/// a cookie says by it which key opens it.
pub(crate) fn check_distinct(keys: &[(String, &Secret)]) -> Result<(), Error> {
    let mut seen: Vec<(&str, &Secret, Kid)> = Vec::new();
    for (name, key) in keys {
        let kid = stealth::kid(key);
        if let Some((first, other, _)) = seen.iter().find(|(_, _, other)| *other == kid) {
            return Err(Error::config(if other == key {
                format!("{name} is the same key as {first}: list each key once")
            } else {
                format!("{name} has by chance the same short id as {first}: make another key")
            }));
        }
        seen.push((name, key, kid));
    }
    Ok(())
}
