//! One `Set-Cookie` line, taken apart the way browsers do it. [RFC 6265bis, section 5.6]
//!
//! It judges nothing but the shape of the line; `rules.rs` says whether the cookie may be kept.

use super::{date, rules::Reason};
use crate::{config::SameSite, store::Timestamp};
use std::time::Duration;

/// The most bytes of name and value together.
const LONGEST_PAIR: usize = 4096;

/// The most bytes of an attribute's value; a longer attribute is passed over.
const LONGEST_ATTRIBUTE: usize = 1024;

/// A longer life is cut to this.
const LONGEST_LIFE: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// What a line asks for.
pub(super) struct Line {
    pub(super) name: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) attributes: Attributes,
}

/// The attributes that count: of several of one name, the last.
#[derive(Default)]
pub(super) struct Attributes {
    pub(super) expires: Option<Timestamp>,
    max_age: Option<Timestamp>,
    /// In lower case, without a dot in front. An empty attribute is none.
    pub(super) domain: Option<Vec<u8>>,
    /// Begins with a slash.
    pub(super) path: Option<Vec<u8>>,
    pub(super) secure: bool,
    pub(super) http_only: bool,
    pub(super) partitioned: bool,
    pub(super) same_site: Option<SameSite>,
}

impl Line {
    pub(super) fn parse(line: &[u8], now: Timestamp) -> Result<Self, Reason> {
        if line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(Reason::ControlCharacter);
        }
        let mut parts = line.split(|byte| *byte == b';');
        let pair = parts.next().unwrap_or_default();
        let (name, value) = match split(pair) {
            (name, Some(value)) => (name, value),
            (value, None) => (&b""[..], value),
        };
        // The RFC lets a tab stand inside, Chromium does not.
        if [name, value].iter().any(|half| half.contains(&b'\t')) {
            return Err(Reason::ControlCharacter);
        }
        match name.len() + value.len() {
            0 => return Err(Reason::Empty),
            1..=LONGEST_PAIR => {}
            _ => return Err(Reason::TooLong),
        }
        let mut attributes = Attributes::default();
        for part in parts {
            let (name, value) = split(part);
            attributes.take(name, value.unwrap_or_default(), now);
        }
        Ok(Self { name: name.to_vec(), value: value.to_vec(), attributes })
    }

    /// The name as far as it can be read, for a line that was refused.
    pub(super) fn name_of(line: &[u8]) -> String {
        let pair = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let name = split(pair).1.map_or(&b""[..], |_| split(pair).0);
        String::from_utf8_lossy(name).into_owned()
    }
}

impl Attributes {
    /// When the cookie ends: `Max-Age` counts before `Expires`, in whatever order they stand.
    pub(super) fn end(&self) -> Option<Timestamp> {
        self.max_age.or(self.expires)
    }

    fn take(&mut self, name: &[u8], value: &[u8], now: Timestamp) {
        if value.len() > LONGEST_ATTRIBUTE {
            return;
        }
        match name.to_ascii_lowercase().as_slice() {
            b"expires" => {
                let end = date::parse(value).map(|end| end.min(now.saturating_add(LONGEST_LIFE)));
                self.expires = end.or(self.expires);
            }
            b"max-age" => self.max_age = max_age(value, now).or(self.max_age),
            b"domain" => {
                let domain = value.strip_prefix(b".").unwrap_or(value).to_ascii_lowercase();
                self.domain = (!value.is_empty()).then_some(domain);
            }
            b"path" => self.path = value.starts_with(b"/").then(|| value.to_vec()),
            b"secure" => self.secure = true,
            b"httponly" => self.http_only = true,
            b"partitioned" => self.partitioned = true,
            b"samesite" => self.same_site = same_site(value),
            _ => {}
        }
    }
}

/// Parted at the first `=`, without spaces and tabs around the halves.
fn split(part: &[u8]) -> (&[u8], Option<&[u8]>) {
    match part.iter().position(|byte| *byte == b'=') {
        Some(equals) => (trim(&part[..equals]), Some(trim(&part[equals + 1..]))),
        None => (trim(part), None),
    }
}

fn trim(part: &[u8]) -> &[u8] {
    let is_ink = |byte: &u8| !b" \t".contains(byte);
    let start = part.iter().position(is_ink).unwrap_or(part.len());
    let end = part.iter().rposition(is_ink).map_or(start, |last| last + 1);
    &part[start..end]
}

/// The end that a `Max-Age` means; `None` where it is no whole number.
fn max_age(value: &[u8], now: Timestamp) -> Option<Timestamp> {
    let (is_negative, digits) = match value {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if is_negative || digits.iter().all(|digit| *digit == b'0') {
        return Some(Timestamp::from_millis(0));
    }
    // More than fits is more than is allowed.
    let seconds = std::str::from_utf8(digits).ok()?.parse().unwrap_or(u64::MAX);
    Some(now.saturating_add(Duration::from_secs(seconds).min(LONGEST_LIFE)))
}

fn same_site(value: &[u8]) -> Option<SameSite> {
    match value.to_ascii_lowercase().as_slice() {
        b"strict" => Some(SameSite::Strict),
        b"lax" => Some(SameSite::Lax),
        b"none" => Some(SameSite::None),
        _ => None,
    }
}
