//! From what a commit says to the response that goes out.

use crate::{
    SessionHandle, event,
    sessions::{CommitError, HeadChanges, ResponseHead},
};
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{self, Entry},
};
use std::pin::Pin;

type Committed = Result<HeadChanges, CommitError>;

/// A commit that waits for a store.
pub(super) type Commit = Pin<Box<dyn Future<Output = Committed> + Send>>;

/// Commits at once where that needs no waiting, and answers; else returns the commit to wait for.
pub(super) fn commit_now<R: Default>(
    handle: &SessionHandle,
    response: &mut Response<R>,
) -> Result<(), Commit> {
    if handle.0.finish_unused() {
        return Ok(());
    }
    let status = response.status().as_u16();
    let said = response.headers().get(header::CACHE_CONTROL).map(HeaderValue::as_bytes);
    let head = ResponseHead::new(status).with_cache_control(said);
    match handle.0.commit_now(head) {
        Err(failed) if failed.error.is_would_block() => {
            let (handle, said) = (handle.clone(), said.map(<[u8]>::to_vec));
            Err(Box::pin(async move {
                let head = ResponseHead::new(status).with_cache_control(said.as_deref());
                handle.sessions().commit(&handle, head).await
            }))
        }
        committed => {
            answer(response, committed);
            Ok(())
        }
    }
}

/// Puts our fields into the application's response; when the commit failed, one of our own takes its place.
pub(super) fn answer<R: Default>(response: &mut Response<R>, committed: Committed) {
    let changes = match committed {
        Ok(changes) => changes,
        Err(CommitError { error, head }) => {
            *response = status(error.status());
            head
        }
    };
    apply(response.headers_mut(), changes);
}

/// A response with this status and nothing else.
pub(super) fn status<R: Default>(code: u16) -> Response<R> {
    let mut response = Response::new(R::default());
    *response.status_mut() =
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

fn apply(headers: &mut HeaderMap, changes: HeadChanges) {
    for line in changes.set_cookies {
        // Names, paths and domains were checked when the configuration was read, and tokens are base64url.
        match HeaderValue::try_from(line) {
            Ok(mut value) => {
                value.set_sensitive(true);
                headers.append(header::SET_COOKIE, value);
            }
            Err(_) => event::cookie_not_sent(),
        }
    }
    let cache_control = match changes.cache_control {
        // The compiler checks that these are valid values, so no request does.
        Some("private") => Some(const { HeaderValue::from_static("private") }),
        Some("no-store") => Some(const { HeaderValue::from_static("no-store") }),
        other => other.map(HeaderValue::from_static),
    };
    if let Some(cache_control) = cache_control {
        headers.insert(header::CACHE_CONTROL, cache_control);
    }
    if changes.vary {
        vary_by_cookie(headers);
    }
}

/// Adds `Cookie` to what the response varies by, unless it is said already.
fn vary_by_cookie(headers: &mut HeaderMap) {
    let cookie = const { HeaderValue::from_static("Cookie") };
    match headers.entry(header::VARY) {
        Entry::Vacant(none) => {
            none.insert(cookie);
        }
        Entry::Occupied(mut some) => {
            if !some.iter().any(names_cookie) {
                some.append(cookie);
            }
        }
    }
}

fn names_cookie(vary: &HeaderValue) -> bool {
    let names = vary.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    names.into_iter().any(|name| name == b"*" || name.eq_ignore_ascii_case(b"cookie"))
}
