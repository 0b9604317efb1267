//! What the browser holds: 32 bytes from the operating system's generator.
//!
//! A token opens a session, so it has no `Debug`, no `Display` and no serde: only the cookie module writes it.

use crate::error::{Error, Kind};
use base64_simd::{AsOut, URL_SAFE_NO_PAD};
use dframework_session_store::{SessionId, StoreKey};
use sha2::{Digest, Sha256};

/// Bytes from the operating system's generator.
///
/// There is no other source to fall back to: a guessable token is worse than a failed request.
pub(crate) fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], Error> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(|error| Error::new(Kind::Random).with_source(error))?;
    Ok(bytes)
}

/// The secret that names a session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token([u8; 32]);

impl Token {
    /// How many characters the text of a token has.
    pub(crate) const TEXT_LENGTH: usize = 43;

    /// A new token.
    pub(crate) fn generate() -> Result<Self, Error> {
        Ok(Self(random()?))
    }

    /// What stands for a token where the cookie holds the session itself: it opens nothing.
    pub(crate) fn of_id(id: SessionId) -> Self {
        Self(*id.keys().start().as_bytes())
    }

    /// Reads the text of a token; anything else is no token.
    ///
    /// Only the canonical text is read, so that one token has one spelling.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != Self::TEXT_LENGTH {
            return None;
        }
        let mut bytes = [0; 32];
        URL_SAFE_NO_PAD.decode(text, bytes.as_mut_slice().as_out()).ok()?;
        Some(Self(bytes))
    }

    /// Appends the text of the token.
    pub(crate) fn write_to(&self, text: &mut String) {
        URL_SAFE_NO_PAD.encode_append(self.0, text);
    }

    /// The key under which a store outside the process keeps the record: SHA-256 of the token.
    pub(crate) fn digest(&self) -> StoreKey {
        StoreKey::from_bytes(Sha256::digest(self.0).into())
    }

    /// The key under which this process keeps the record in its own memory: the token itself.
    pub(crate) fn in_process_key(&self) -> StoreKey {
        StoreKey::from_bytes(self.0)
    }
}
