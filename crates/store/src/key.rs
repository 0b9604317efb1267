//! Where a record is kept, and the public name under which people may see it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{fmt, ops::RangeInclusive, str::FromStr};

/// Where a store keeps a record: 32 bytes that say nothing about the token they were made from.
///
/// A store outside the process is only ever given SHA-256 digests of tokens, so that a copy of it opens no
/// session. `Debug` shows no byte of the key; use [`StoreKey::id`] where a session must be named.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreKey([u8; 32]);

impl StoreKey {
    /// The key with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes of the key.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The public id of the session at this key: its first 16 bytes.
    pub fn id(&self) -> SessionId {
        let mut id = [0; 16];
        id.copy_from_slice(&self.0[..16]);
        SessionId(id)
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreKey(..)")
    }
}

/// The public name of a session: safe in logs, lists and URLs, useless as a cookie.
///
/// It is the first half of the [`StoreKey`], so a store finds a record by id as a range of keys. Written as
/// 22 characters of base64url.
///
/// ```
/// use dframework_session_store::{SessionId, StoreKey};
///
/// let id = StoreKey::from_bytes([7; 32]).id();
/// assert_eq!(id.to_string(), "BwcHBwcHBwcHBwcHBwcHBw");
/// assert_eq!("BwcHBwcHBwcHBwcHBwcHBw".parse(), Ok(id));
/// assert!("not an id".parse::<SessionId>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// The id with these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes of the id.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// All keys that a session with this id can have.
    ///
    /// ```
    /// use dframework_session_store::StoreKey;
    ///
    /// let key = StoreKey::from_bytes([7; 32]);
    /// assert!(key.id().keys().contains(&key));
    /// assert!(!key.id().keys().contains(&StoreKey::from_bytes([8; 32])));
    /// ```
    pub fn keys(&self) -> RangeInclusive<StoreKey> {
        let with_rest = |rest| {
            let mut key = [rest; 32];
            key[..16].copy_from_slice(&self.0);
            StoreKey(key)
        };
        with_rest(0)..=with_rest(0xff)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

impl FromStr for SessionId {
    type Err = ParseIdError;

    /// Reads what `Display` writes.
    ///
    /// # Errors
    ///
    /// The text is not 22 characters of canonical base64url.
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let mut bytes = [0; 16];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(16) => Ok(Self(bytes)),
            _ => Err(ParseIdError(())),
        }
    }
}

/// The text is not a session id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParseIdError(());

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a session id is 22 characters of base64url")
    }
}

impl std::error::Error for ParseIdError {}
