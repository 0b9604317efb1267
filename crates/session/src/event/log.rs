//! Events as lines of `tracing`: the one place that knows their targets, levels and fields.

use super::Event;
use crate::error::Error;
use tracing::Level;

/// Makes [`Name`] from a row for each event: the variant, its name, its level.
macro_rules! names {
    ($($variant:ident $name:literal $level:ident,)*) => {
        /// Which event it is. Cheap to have before anybody knows whether the event will be made.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum Name {
            $($variant,)*
        }

        impl Name {
            pub(super) fn of(event: &Event) -> Self {
                match event {
                    $(Event::$variant { .. } => Self::$variant,)*
                }
            }

            pub(super) const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            const fn target(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!("dframework_session::", $name),)*
                }
            }

            const fn level(self) -> Level {
                match self {
                    $(Self::$variant => Level::$level,)*
                }
            }

            /// Whether a line of it would be written.
            pub(super) fn is_logged(self) -> bool {
                match self {
                    $(Self::$variant => tracing::event_enabled!(
                        target: Name::$variant.target(),
                        Name::$variant.level()
                    ),)*
                }
            }
        }
    };
}

// What a visitor causes by visiting is DEBUG; what changes who may do what is INFO. What somebody should look at is
// WARN, and what was lost is ERROR.
names! {
    Created "created" DEBUG,
    Regenerated "regenerated" INFO,
    OwnerSet "owner_set" INFO,
    Destroyed "destroyed" INFO,
    Revoked "revoked" INFO,
    OthersRevoked "others_revoked" INFO,
    AllRevoked "all_revoked" INFO,
    PermanentCreated "permanent_created" DEBUG,
    PermanentEnded "permanent_ended" DEBUG,
    Evicted "evicted" WARN,
    UnknownToken "unknown_token" DEBUG,
    CookieDoubled "cookie_doubled" WARN,
    Unreadable "unreadable" ERROR,
    CommitFailed "commit_failed" ERROR,
    RequestFailed "request_failed" ERROR,
    TouchFailed "touch_failed" WARN,
    EndFailed "end_failed" ERROR,
    ChangesDropped "changes_dropped" ERROR,
    ConflictGivenUp "conflict_given_up" WARN,
    SweepFailed "sweep_failed" WARN,
    SealRefused "seal_refused" DEBUG,
    RevocationsFull "revocations_full" WARN,
    RevocationOff "revocation_off" WARN,
    KeyFileMade "key_file_made" WARN,
    DriverNotSet "driver_not_set" WARN,
    LocalEnvironment "local_environment" WARN,
    CookieNeedsHttps "cookie_needs_https" INFO,
}

/// A line at the target and the level of its event.
macro_rules! line {
    ($name:ident, $($rest:tt)+) => {
        tracing::event!(target: Name::$name.target(), Name::$name.level(), $($rest)+)
    };
}

/// A line for an error: at the level of its event, but WARN where a session has ended or changed elsewhere. A page
/// that was open while its user logged out is nothing for the operator to mend.
macro_rules! failure {
    ($name:ident, $id:expr, $error:expr, $message:literal) => {{
        let (error, session): (&Error, _) = ($error, $id.map(tracing::field::display));
        let (status, cause) = (error.status(), cause(error));
        if status == 409 {
            tracing::warn!(target: Name::$name.target(), session, status, %error, cause, $message);
        } else {
            line!($name, session, status, %error, cause, $message);
        }
    }};
}

/// Writes the line of an event.
pub(super) fn write(event: &Event) {
    match event {
        Event::Created { id } => line!(Created, session = %id, "a session was created"),
        Event::Regenerated { previous, id } => {
            line!(Regenerated, session = %id, %previous, "a session got a new token");
        }
        Event::OwnerSet { id, .. } => line!(OwnerSet, session = %id, "a session got an owner"),
        Event::Destroyed { id } => line!(Destroyed, session = %id, "a session was destroyed"),
        Event::Revoked { id } => line!(Revoked, session = %id, "a session was revoked"),
        Event::OthersRevoked { kept, count, .. } => {
            let session = kept.map(tracing::field::display);
            line!(OthersRevoked, session, count, "the other sessions of an owner were revoked");
        }
        Event::AllRevoked { count, .. } => {
            line!(AllRevoked, count, "all sessions of an owner were revoked");
        }
        Event::PermanentCreated { id } => {
            line!(PermanentCreated, session = %id, "permanent data was created");
        }
        Event::PermanentEnded { id } => {
            line!(PermanentEnded, session = %id, "permanent data was ended");
        }
        Event::Evicted { id } => {
            line!(Evicted, session = %id, "a session made room for another: the memory store is at its bound");
        }
        Event::UnknownToken { id, left_out } => {
            line!(UnknownToken, session = %id, left_out, "a request brought a cookie that opens nothing");
        }
        Event::CookieDoubled { left_out } => line!(
            CookieDoubled,
            left_out,
            "a request brought a cookie twice whose name browsers send once; it is treated as having no session"
        ),
        Event::Unreadable { id, why } => {
            line!(Unreadable, session = %id, why, "a stored session cannot be read and is left as it is");
        }
        Event::CommitFailed { id, error } => {
            failure!(CommitFailed, *id, error, "the changes of a request were not committed");
        }
        Event::RequestFailed { id, error } => {
            failure!(RequestFailed, *id, error, "a handler failed on its session");
        }
        Event::TouchFailed { id, error } => {
            failure!(TouchFailed, Some(id), error, "the use of a session was not recorded");
        }
        Event::EndFailed { id, error } => {
            failure!(EndFailed, Some(id), error, "a session could not be ended");
        }
        Event::ChangesDropped { id, names } => {
            let session = id.map(tracing::field::display);
            line!(
                ChangesDropped,
                session,
                ?names,
                "changes made after the response head were dropped: call `save` before the handle goes"
            );
        }
        Event::ConflictGivenUp { id, rounds } => {
            let session = id.map(tracing::field::display);
            line!(ConflictGivenUp, session, rounds, "a commit lost every round to others");
        }
        Event::SweepFailed { error } => {
            let cause = cause(error);
            line!(SweepFailed, %error, cause, "expired sessions were not deleted");
        }
        Event::SealRefused { reason, left_out } => {
            line!(SealRefused, reason, left_out, "a sealed cookie was taken for no session");
        }
        Event::RevocationsFull => line!(
            RevocationsFull,
            "there is no room for all that was revoked: what was sealed before the oldest of it is refused"
        ),
        Event::RevocationOff => line!(
            RevocationOff,
            "app.sessionRevocation is \"off\": a cookie that somebody has copied opens its session after a logout too"
        ),
        Event::KeyFileMade { path } => line!(
            KeyFileMade,
            path = %path.display(),
            "app.key is not set: a key was made, and is kept in a file; instances that share sessions share a key"
        ),
        Event::DriverNotSet => line!(
            DriverNotSet,
            "app.sessionDriver is not set, so sessions are kept in memory and are lost on restart"
        ),
        Event::LocalEnvironment => line!(
            LocalEnvironment,
            "app.env is \"local\": session cookies are sent without Secure and without a prefix"
        ),
        Event::CookieNeedsHttps => line!(
            CookieNeedsHttps,
            "session cookies are Secure: over plain http, browsers keep them on localhost and 127.0.0.1 only, and \
             Safari and some clients not even there; serve https, or set app.env to \"local\" while developing"
        ),
    }
}

/// What stands behind an error.
fn cause(error: &Error) -> Option<String> {
    std::error::Error::source(error).map(ToString::to_string)
}

/// A hook of the application has panicked. What it panicked with may hold anything and is not shown.
pub(super) fn hook_panicked(name: &'static str) {
    tracing::error!(
        target: "dframework_session::hook_panicked",
        event = name,
        "a hook of `Config::on_event` panicked; what it was told of stands"
    );
}

/// No event: a mistake in how an application is put together, seen in a response.
#[cfg(any(feature = "tower", feature = "actix"))]
pub(crate) fn cookie_set_twice(name: &str) {
    tracing::error!(
        target: "dframework_session::cookie_set_twice",
        "a response sets the cookie `{name}` twice: around its route, give each layer of other `Sessions` a cookie name of \
         its own (`sessionCookie.name`), or make both layers of clones of one `Sessions`"
    );
}

/// No event: the configuration lets nothing through that a header field could not hold.
#[cfg(any(feature = "tower", feature = "actix"))]
pub(crate) fn cookie_not_sent() {
    tracing::error!(
        target: "dframework_session::cookie_not_sent",
        "a Set-Cookie line could not be sent: it is no valid field value"
    );
}
