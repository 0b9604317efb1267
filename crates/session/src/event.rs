//! What an operator is told: ids and names of values, never a token, a store key or a value.

use crate::error::Error;
use dframework_session_store::{SessionId, StoreError};

pub(crate) fn doubled_cookie() {
    tracing::warn!(
        "a request brought a cookie twice whose name browsers send once; it is treated as having no session"
    );
}

pub(crate) fn unreadable(id: SessionId, why: &'static str) {
    tracing::error!(session = %id, why, "a stored session cannot be read and is left as it is");
}

pub(crate) fn evicted(id: SessionId) {
    tracing::warn!(session = %id, "a session made room for another: the memory store is at its bound");
}

pub(crate) fn touch_failed(error: &StoreError) {
    tracing::warn!(error = %error, "the use of a session was not recorded");
}

pub(crate) fn end_failed(error: &StoreError) {
    tracing::error!(error = %error, "a session could not be ended");
}

pub(crate) fn commit_failed(error: &Error) {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    if error.status() == 409 {
        // A page that was open while its user logged out elsewhere: nothing for the operator to mend.
        tracing::warn!(error = %error, "the changes of a request were not committed");
    } else {
        tracing::error!(error = %error, cause, "the changes of a request were not committed");
    }
}

pub(crate) fn dropped_changes(keys: &[&str]) {
    tracing::error!(
        ?keys,
        "changes made after the response head were dropped: call `save` before the handle goes"
    );
}

pub(crate) fn no_driver() {
    tracing::warn!(
        "app.sessionDriver is not set, so sessions are kept in memory and are lost on restart"
    );
}

pub(crate) fn local_environment() {
    tracing::warn!(
        "app.env is \"local\": session cookies are sent without Secure and without a prefix"
    );
}

pub(crate) fn first_secure_cookie() {
    tracing::info!(
        "session cookies are Secure: over plain http, browsers keep them on localhost and 127.0.0.1 only, and \
         Safari and some clients not even there; serve https, or set app.env to \"local\" while developing"
    );
}

#[cfg(feature = "axum")]
pub(crate) fn answered(error: &Error) {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    if error.status() == 409 {
        tracing::warn!(error = %error, "a handler failed on its session");
    } else {
        tracing::error!(error = %error, cause, status = error.status(), "a handler failed on its session");
    }
}

pub(crate) fn end_not_possible() {
    tracing::error!(
        "a session that was destroyed could not be ended: there is no runtime any more"
    );
}

#[cfg(feature = "tower")]
pub(crate) fn cookie_not_sent() {
    tracing::error!("a Set-Cookie line could not be sent: it is no valid field value");
}
