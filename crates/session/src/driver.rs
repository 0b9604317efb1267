//! Where records live: in this process, or in a store behind a connection.
//!
//! A closed enum, not a trait object, so that the memory driver neither boxes nor waits: its futures are ready
//! at the first poll. Calls to a store have a timeout each.

use crate::{
    cookie::Holding,
    error::Error,
    memory::{Found, Kept, Memory},
    queue::Queue,
    record::Bytes,
    standing::{Live, Recorded},
    stealth::{End, Stealth},
    token::Token,
};
use dframework_session_store::{
    Change, Loaded, NewRecord, Outcome, SessionId, Store, StoreError, StoreKey, Timestamp, Version,
};
use std::{sync::Arc, time::Duration};

/// Where records live.
#[expect(clippy::large_enum_variant, reason = "there is one driver, behind one `Arc`")]
pub(crate) enum Driver {
    Memory(Memory),
    /// Nowhere here: sessions are in their cookies.
    Stealth(Stealth),
    Store(Remote),
}

/// A store behind a connection, and what calling one takes.
pub(crate) struct Remote {
    pub(crate) store: Arc<dyn Store>,
    /// What users call the driver.
    pub(crate) name: &'static str,
    pub(crate) timeout: Duration,
    pub(crate) queue: Queue,
}

/// What is at a key.
pub(crate) enum At {
    Record { bytes: Bytes, version: Version, expires_at: Timestamp },
    Ended { until: Timestamp },
    Nothing,
}

/// What became of a step that writes a record, and the record where the driver itself keeps it in memory.
pub(crate) type Answer = (Outcome, Option<Kept>);

impl Driver {
    /// The key of the record that a token opens.
    pub(crate) fn key_of(&self, token: &Token) -> StoreKey {
        match self {
            Self::Memory(_) | Self::Stealth(_) => token.in_process_key(),
            Self::Store(_) => token.digest(),
        }
    }

    /// The public id of a session. In memory nothing needs the digest before somebody asks.
    pub(crate) fn id_of(&self, live: &Live) -> SessionId {
        match self {
            Self::Memory(_) => live.token.digest().id(),
            Self::Stealth(_) | Self::Store(_) => live.key.id(),
        }
    }

    /// The public id of the record at a key.
    pub(crate) fn id_at(&self, key: &StoreKey) -> SessionId {
        match self {
            Self::Memory(memory) => memory.id(key),
            Self::Stealth(_) | Self::Store(_) => key.id(),
        }
    }

    /// The driver that has sessions in their cookies, if it is that one.
    pub(crate) fn stealth(&self) -> Option<&Stealth> {
        if let Self::Stealth(stealth) = self { Some(stealth) } else { None }
    }

    /// What the cookies hold.
    pub(crate) fn holding(&self) -> Holding {
        match self {
            Self::Stealth(_) => Holding::Seal,
            Self::Memory(_) | Self::Store(_) => Holding::Token,
        }
    }

    /// Whether calls may have to wait.
    pub(crate) fn waits(&self) -> bool {
        matches!(self, Self::Store(_))
    }

    /// How often a commit that lost against another is tried again.
    ///
    /// In memory a round is lost only to a commit that was just done by another thread, so the bound is there
    /// to be one; in a store, rounds are lost to other instances and each is a round trip. In cookies one is lost to
    /// the end of the session, and there are two of them.
    pub(crate) fn rounds(&self) -> u32 {
        match self {
            Self::Memory(_) => 10_000,
            Self::Stealth(_) | Self::Store(_) => 32,
        }
    }

    /// Reads what is at these keys and shows it with its position among them.
    pub(crate) async fn load(
        &self,
        keys: &[StoreKey],
        mut show: impl FnMut(usize, At),
    ) -> Result<(), Error> {
        match self {
            Self::Memory(memory) => {
                for (position, key) in keys.iter().enumerate() {
                    show(position, memory.load(key).into());
                }
            }
            Self::Stealth(_) => (0..keys.len()).for_each(|position| show(position, At::Nothing)),
            Self::Store(remote) => remote.load(keys, show).await?,
        }
        Ok(())
    }

    /// Ends a record now. `false` if there is none: in a cookie, because somebody has ended it before.
    pub(crate) async fn end(
        &self,
        record: &Recorded,
        now: Timestamp,
        remember_until: Timestamp,
    ) -> Result<bool, StoreError> {
        let Recorded { key, sealed } = record;
        match self {
            Self::Memory(memory) => Ok(memory.end(key, remember_until)),
            Self::Stealth(stealth) => {
                let sealed = sealed.as_ref().ok_or_else(nothing_is_kept)?;
                Ok(stealth.end(sealed, now) == End::Now)
            }
            Self::Store(remote) => remote.within(remote.store.end(key, remember_until)).await,
        }
    }
}

fn nothing_is_kept() -> StoreError {
    StoreError::refused("sessions are in their cookies")
}

impl Remote {
    /// As [`Driver::load`].
    pub(crate) async fn load(
        &self,
        keys: &[StoreKey],
        mut show: impl FnMut(usize, At),
    ) -> Result<(), Error> {
        let loaded = self.within(self.store.load(keys)).await;
        let loaded = loaded.map_err(|error| Error::unavailable("loading", error))?;
        if loaded.len() != keys.len() {
            let message = format!("{} answers to {} keys", loaded.len(), keys.len());
            return Err(Error::unavailable("loading", StoreError::refused(message)));
        }
        loaded.into_iter().enumerate().for_each(|(position, at)| show(position, at.into()));
        Ok(())
    }

    pub(crate) async fn create(
        &self,
        key: &StoreKey,
        new: &NewRecord<'_>,
        now: Timestamp,
    ) -> Result<Outcome, StoreError> {
        self.within(self.store.create(key, *new, now)).await
    }

    pub(crate) async fn commit(
        &self,
        key: &StoreKey,
        expected: Version,
        change: &Change<'_>,
    ) -> Result<Outcome, StoreError> {
        let outcome = self.within(self.store.commit(key, expected, *change)).await?;
        if outcome == Outcome::Committed(expected) {
            // Whoever has read this version could commit over what was just written.
            return Err(StoreError::refused("the store committed and left the version"));
        }
        Ok(outcome)
    }

    pub(crate) async fn touch(
        &self,
        key: &StoreKey,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        self.within(self.store.touch(key, expires_at)).await
    }

    pub(crate) async fn within<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        within(self.timeout, call).await
    }
}

/// A call that has not been answered in time may have been carried out.
pub(crate) async fn within<T>(
    timeout: Duration,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(timeout, call).await {
        Ok(answer) => answer,
        Err(_) => {
            let message = format!("no answer from the session store within {timeout:?}");
            Err(StoreError::unknown_outcome(message))
        }
    }
}

impl From<Found> for At {
    fn from(found: Found) -> Self {
        match found {
            Found::Live(kept) => Self::Record {
                version: kept.version(),
                expires_at: kept.expires_at(),
                bytes: Bytes::Kept(kept),
            },
            Found::Ended { until } => Self::Ended { until },
            Found::Unknown => Self::Nothing,
        }
    }
}

impl From<Loaded> for At {
    fn from(loaded: Loaded) -> Self {
        match loaded {
            Loaded::Live(stored) => Self::Record {
                bytes: Bytes::Owned(Arc::new(stored.bytes)),
                version: stored.version,
                expires_at: stored.expires_at,
            },
            Loaded::Ended { until } => Self::Ended { until },
            _ => Self::Nothing,
        }
    }
}
