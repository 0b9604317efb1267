//! The keys that seal and open, derived from those of the application.
//!
//! ```text
//! prk = HKDF-Extract(SHA-256, salt = "dframework-session", key of the application)
//! kid = HKDF-Expand(prk, "kid", 4)
//! key = HKDF-Expand(prk, "xaes-256-gcm " purpose, 32)      purpose: "session", "activity", "permanent"
//! aad = "dframework-session" | version u8 | kid [4] | purpose u8
//!       | u16 length, name of the cookie | u16 length, audience
//! ```
//!
//! The whole key of the application goes in, however long it is. `app.key` seals; those of `app.previousKeys` open
//! too. A kid names exactly one of them: no seal is ever tried under a second.

use super::{
    seal::VERSION,
    xaes::{self, Xaes},
};
use crate::{
    config::{Secret, check_distinct},
    error::Error,
};
use hkdf::Hkdf;
use sha2::Sha256;
use std::sync::Arc;
use zeroize::Zeroizing;

const LABEL: &[u8] = b"dframework-session";

pub(super) const KID: usize = 4;

/// Names a key, and says nothing about it.
pub(crate) type Kid = [u8; KID];

/// What a seal is for: each has a key of its own, and a cookie of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// The session cookie: a header and a record.
    Session = 1,
    /// Its companion `.t`: that the session was used.
    Activity = 2,
    /// Its companion `.p`: a header and a permanent record.
    Permanent = 3,
}

impl Purpose {
    const ALL: [Self; 3] = [Self::Session, Self::Activity, Self::Permanent];

    /// How its key is asked for.
    fn info(self) -> &'static [u8] {
        match self {
            Self::Session => b"xaes-256-gcm session",
            Self::Activity => b"xaes-256-gcm activity",
            Self::Permanent => b"xaes-256-gcm permanent",
        }
    }

    /// What its cookie's name ends in, behind the name of the session cookie.
    fn companion(self) -> &'static str {
        match self {
            Self::Session => "",
            Self::Activity => ".t",
            Self::Permanent => ".p",
        }
    }
}

/// All keys, for one cookie name and audience. Cheap to clone; the keys are overwritten with the last clone.
#[derive(Clone)]
pub(crate) struct Ring {
    /// The first one seals.
    keys: Arc<[Key]>,
}

struct Key {
    kid: Kid,
    /// By purpose.
    locks: [Lock; 3],
}

/// A key for one purpose, and what is authenticated with every seal under it.
pub(super) struct Lock {
    pub(super) xaes: Xaes,
    pub(super) aad: Box<[u8]>,
}

impl Ring {
    /// A ring whose first key seals.
    ///
    /// # Errors
    ///
    /// Two keys are one, or have one kid.
    pub(crate) fn new(
        key: &Secret,
        previous: &[Secret],
        cookie_name: &str,
        audience: &str,
    ) -> Result<Self, Error> {
        let previous = (0..).zip(previous);
        let previous = previous.map(|(index, key)| (format!("app.previousKeys[{index}]"), key));
        let all: Vec<_> = std::iter::once(("app.key".to_owned(), key)).chain(previous).collect();
        check_distinct(&all)?;
        let keys = all.iter().map(|(_, secret)| Key::derive(secret, cookie_name, audience));
        let keys = keys.collect();
        Ok(Self { keys })
    }

    /// The kid and the lock of new seals.
    pub(super) fn sealing(&self, purpose: Purpose) -> (Kid, &Lock) {
        let key = &self.keys[0];
        (key.kid, key.lock(purpose))
    }

    /// The one lock that may open what names this kid.
    pub(super) fn opening(&self, kid: Kid, purpose: Purpose) -> Option<&Lock> {
        let key = self.keys.iter().find(|key| key.kid == kid)?;
        Some(key.lock(purpose))
    }
}

impl Key {
    fn derive(secret: &Secret, cookie_name: &str, audience: &str) -> Self {
        let derived = derivation(secret);
        let kid = kid_from(&derived);
        let locks = Purpose::ALL.map(|purpose| {
            let mut key = Zeroizing::new([0; xaes::KEY]);
            expand(&derived, purpose.info(), &mut *key);
            Lock { xaes: Xaes::new(&key), aad: aad(kid, purpose, cookie_name, audience) }
        });
        Self { kid, locks }
    }

    fn lock(&self, purpose: Purpose) -> &Lock {
        let [session, activity, permanent] = &self.locks;
        match purpose {
            Purpose::Session => session,
            Purpose::Activity => activity,
            Purpose::Permanent => permanent,
        }
    }
}

/// The kid of a key of the application.
pub(crate) fn kid(secret: &Secret) -> Kid {
    kid_from(&derivation(secret))
}

fn derivation(secret: &Secret) -> Hkdf<Sha256> {
    Hkdf::new(Some(LABEL), secret.bytes())
}

fn kid_from(derived: &Hkdf<Sha256>) -> Kid {
    let mut kid = [0; KID];
    expand(derived, b"kid", &mut kid);
    kid
}

fn expand(derived: &Hkdf<Sha256>, info: &[u8], out: &mut [u8]) {
    derived.expand(info, out).expect("32 bytes are one block of SHA-256, and 255 may be asked for");
}

fn aad(kid: Kid, purpose: Purpose, cookie_name: &str, audience: &str) -> Box<[u8]> {
    let name = [cookie_name, purpose.companion()].concat();
    let mut aad = [LABEL, &[VERSION], &kid, &[purpose as u8]].concat();
    for text in [&name, audience] {
        // The configuration takes names of 200 bytes and audiences of 255.
        let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
        aad.extend_from_slice(&length.to_le_bytes());
        aad.extend_from_slice(text.as_bytes());
    }
    aad.into()
}
