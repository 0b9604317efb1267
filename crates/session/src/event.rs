//! What happens to sessions, as it is told after the fact: ids, names of values and reasons, never a token, a key
//! of a store or a value.
//!
//! An event is made where something has happened, if anybody listens. `listeners.rs` says who is told, how often
//! and when; `log.rs` is the one place that knows levels and turns events into lines of `tracing`.

mod listeners;
mod log;

pub(crate) use listeners::{Hook, Listeners, Untold};
pub(crate) use log::Name;
#[cfg(any(feature = "tower", feature = "actix"))]
pub(crate) use log::{cookie_not_sent, cookie_set_twice};

use crate::error::Error;
use dframework_session_store::SessionId;
use std::{fmt, path::Path, sync::Arc};

/// What has happened to a session: given to the hooks of [`Config::on_event`](crate::Config::on_event) and written
/// through `tracing`.
///
/// Sessions appear by their public ids, values by their names. No event holds a token, a key of a store or a value,
/// and `Debug` does not show an owner either.
///
/// An id begins with [`Created`](Event::Created) or [`Regenerated`](Event::Regenerated). It is over with
/// [`Regenerated`](Event::Regenerated) (as `previous`), [`Destroyed`](Event::Destroyed), a revocation or
/// [`Evicted`](Event::Evicted), or when it expires, which nobody sees happen.
///
/// ```
/// use dframework_session::Event;
///
/// fn metric(event: &Event) -> String {
///     match event {
///         Event::CommitFailed { error, .. } => format!("session.{}.{}", event.name(), error.status()),
///         _ => format!("session.{}", event.name()),
///     }
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A session was made: a first value was committed, or a login without a session before it.
    #[non_exhaustive]
    Created {
        /// The session.
        id: SessionId,
    },
    /// A session got a new token, by `regenerate` or with a new owner. The old one is dead.
    #[non_exhaustive]
    Regenerated {
        /// The id until now.
        previous: SessionId,
        /// The id from now on.
        id: SessionId,
    },
    /// A login: the session belongs to an owner, or to another one. Follows `Created` or `Regenerated`.
    #[non_exhaustive]
    OwnerSet {
        /// The session.
        id: SessionId,
        /// Whose it is now.
        owner: Owner,
    },
    /// A session was ended by `destroy`.
    #[non_exhaustive]
    Destroyed {
        /// The session.
        id: SessionId,
    },
    /// A session was ended by [`Sessions::revoke`](crate::Sessions::revoke).
    #[non_exhaustive]
    Revoked {
        /// The session.
        id: SessionId,
    },
    /// Sessions were ended by [`Sessions::revoke_others`](crate::Sessions::revoke_others).
    #[non_exhaustive]
    OthersRevoked {
        /// Whose sessions.
        owner: Owner,
        /// The one that stays; `None` if it has not been committed yet.
        kept: Option<SessionId>,
        /// How many ended.
        count: usize,
    },
    /// Sessions were ended by [`Sessions::revoke_all`](crate::Sessions::revoke_all).
    #[non_exhaustive]
    AllRevoked {
        /// Whose sessions.
        owner: Owner,
        /// How many ended.
        count: usize,
    },
    /// A record of permanent data was made.
    #[non_exhaustive]
    PermanentCreated {
        /// The record, which has an id of its own.
        id: SessionId,
    },
    /// A record of permanent data was ended: by `destroy`, or because its last value was forgotten.
    #[non_exhaustive]
    PermanentEnded {
        /// The record.
        id: SessionId,
    },
    /// A session or permanent data was given up for another: the memory driver is at its bound.
    #[non_exhaustive]
    Evicted {
        /// The session, or the record of permanent data.
        id: SessionId,
    },
    /// A request used a cookie that opens nothing: it has expired, or was never given out.
    ///
    /// Any client can bring one with every request, so this is told once a minute at most.
    #[non_exhaustive]
    UnknownToken {
        /// What the session was called, if there was one.
        id: SessionId,
        /// How many more came since this was last told.
        left_out: u64,
    },
    /// A request brought a cookie twice whose name browsers send once, and is treated as having no session.
    ///
    /// Any client can do that with every request, so this is told once a minute at most.
    #[non_exhaustive]
    CookieDoubled {
        /// How many more came since this was last told.
        left_out: u64,
    },
    /// A stored session, or permanent data, cannot be read by this version. It is left as it is.
    #[non_exhaustive]
    Unreadable {
        /// The record.
        id: SessionId,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The changes of a request were not committed, and its response says so: 409, 413, 500 or 503.
    #[non_exhaustive]
    CommitFailed {
        /// The session that the request had, or that its cookie named.
        id: Option<SessionId>,
        /// Why.
        error: Error,
    },
    /// A handler was answered with an error of its session (axum, where an [`Error`] becomes a response).
    ///
    /// Hooks hear of it if that happens inside the request.
    #[non_exhaustive]
    RequestFailed {
        /// The session that the request had, or that its cookie named.
        id: Option<SessionId>,
        /// Why.
        error: Error,
    },
    /// The use of a session was not recorded, so it may expire earlier. The request goes on.
    #[non_exhaustive]
    TouchFailed {
        /// The session.
        id: SessionId,
        /// Why.
        error: Error,
    },
    /// A record was to end and did not, and no response tells it: it opens a session until it expires.
    #[non_exhaustive]
    EndFailed {
        /// The record.
        id: SessionId,
        /// Why.
        error: Error,
    },
    /// Changes were made after the response head, and the handle went without `save`.
    #[non_exhaustive]
    ChangesDropped {
        /// The session that the request had, or that its cookie named.
        id: Option<SessionId>,
        /// The names of the values that were changed.
        names: Vec<String>,
    },
    /// A commit, or `claim`, lost every round to others. It fails with a 503.
    #[non_exhaustive]
    ConflictGivenUp {
        /// The session that the request had, or that its cookie named.
        id: Option<SessionId>,
        /// How many rounds there were.
        rounds: u32,
    },
    /// Expired sessions could not be deleted from the store. They open nothing; it is tried again, and again.
    #[non_exhaustive]
    SweepFailed {
        /// Why.
        error: Error,
    },
    /// A cookie of the driver `stealth` was taken for no session, for this reason.
    ///
    /// Any client can bring one with every request, so each reason is told once a minute at most.
    #[non_exhaustive]
    SealRefused {
        /// Such as `expired`, `tag` (altered, or sealed for something else) or `key` (sealed with a key that is not
        /// configured).
        reason: &'static str,
        /// How many more there were for this reason since it was last told.
        left_out: u64,
    },
    /// The driver `stealth` has no room for all that was revoked: from now on it refuses what was sealed before the
    /// oldest eighth of it was. Users whose sessions have not changed since then log in again.
    RevocationsFull,
    /// At start: `sessionRevocation` is `off`, so a logout removes the cookie from the browser, and nothing else.
    RevocationOff,
    /// At start: no `key` is configured, so one was made and is kept in a file: see
    /// [`Config::key_file`](crate::Config::key_file).
    #[non_exhaustive]
    KeyFileMade {
        /// Where it is.
        path: Arc<Path>,
    },
    /// At start: `sessionDriver` is not set, so sessions live in memory.
    DriverNotSet,
    /// At start: `env` is `local`, so cookies are sent without `Secure`.
    LocalEnvironment,
    /// A first cookie was sent, over something that is not known to be https: some clients will drop it.
    CookieNeedsHttps,
}

impl Event {
    /// The name of what happened, such as `created` or `commit_failed`: for metrics and filters.
    ///
    /// The target of its line in `tracing` is `dframework_session::` and this name. Names stay what they are.
    pub fn name(&self) -> &'static str {
        Name::of(self).as_str()
    }
}

/// Whose session it is, in an [`Event`].
///
/// An owner may be an e-mail address: `Debug` does not show it, and neither does the log. A hook that wants it says
/// so with [`Owner::as_str`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Owner(Arc<str>);

impl Owner {
    /// The owner, as it was given to `set_owner`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Owner {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Owner {
    fn from(owner: &str) -> Self {
        Self(owner.into())
    }
}

/// Shows that there is an owner, not who.
impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Owner(..)")
    }
}

/// A handler is answered with this error.
#[cfg(any(feature = "axum", feature = "actix"))]
pub(crate) fn request_failed(error: &Error) {
    let failed = |id| Event::RequestFailed { id, error: error.clone() };
    match crate::facade::current() {
        Ok(handle) => {
            let inner = &handle.0;
            let listeners = &inner.core.listeners;
            listeners.tell(Name::RequestFailed, || failed(inner.id_in(&inner.state())));
        }
        Err(_) => log::write(&failed(None)),
    }
}
