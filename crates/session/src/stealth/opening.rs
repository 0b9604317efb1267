//! Makes the driver from the configuration: its keys, and what it can revoke.

use super::{
    Stealth,
    key_file::{self, Origin},
    keys::Ring,
    revocation::Revocations,
};
use crate::{
    config::{Revocation, Secret, Settings},
    error::Error,
    event::{Event, Listeners, Name},
};
use std::{path::Path, sync::Arc};

/// # Errors
///
/// There is no key file where one is needed and none can be made, or two keys cannot stand side by side.
pub(crate) fn open(settings: &Settings, listeners: &Arc<Listeners>) -> Result<Stealth, Error> {
    let kept = match (&settings.key, &settings.key_file) {
        (None, Some(path)) => Some(kept_key(path, listeners)?),
        _ => None,
    };
    let key = settings.key.as_ref().or(kept.as_ref());
    let key = key.ok_or_else(|| Error::config("the driver stealth needs app.key"))?;
    let Settings { previous_keys, cookie, audience, .. } = settings;
    let ring = Ring::new(key, previous_keys, &cookie.name, audience)?;
    let revocations = match settings.revocation {
        Revocation::Process => Some(Revocations::new()),
        Revocation::Off => {
            listeners.tell(Name::RevocationOff, || Event::RevocationOff);
            None
        }
    };
    Ok(Stealth::new(ring, revocations, listeners.clone(), settings.lifetime))
}

/// The key in a file, which is made where there is none.
fn kept_key(path: &Path, listeners: &Listeners) -> Result<Secret, Error> {
    let (key, origin) = key_file::read_or_make(path)?;
    if origin == Origin::Made {
        listeners.tell(Name::KeyFileMade, || Event::KeyFileMade { path: path.into() });
    }
    Ok(key)
}
