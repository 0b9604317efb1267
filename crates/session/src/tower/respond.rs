//! From what a commit says to the response that goes out.

use crate::{
    SessionHandle, event,
    exchange::{Committed, Outcome, names_cookie, tell_if_set_twice},
    sessions::{CommitError, HeadChanges, ResponseHead},
};
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{self, Entry},
};

/// An error of the service is no response, so nothing is committed with it.
impl<R: Default, E> Outcome for Result<Response<R>, E> {
    type Response = Response<R>;
    type Answer = Self;

    fn pass(self) -> Self {
        self
    }

    fn respond(self, _: &SessionHandle) -> Result<Response<R>, Self> {
        self.map_err(Err)
    }

    fn head(response: &Response<R>) -> ResponseHead<'_> {
        let said = response.headers().get(header::CACHE_CONTROL).map(HeaderValue::as_bytes);
        ResponseHead::new(response.status().as_u16()).with_cache_control(said)
    }

    fn answer(mut response: Response<R>, committed: Committed) -> Self {
        let changes = committed.unwrap_or_else(|CommitError { error, head }| {
            response = status(error.status());
            head
        });
        apply(response.headers_mut(), changes);
        Ok(response)
    }
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
        let set = headers.get_all(header::SET_COOKIE).iter().map(HeaderValue::as_bytes);
        tell_if_set_twice(set, &line);
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
            if !some.iter().any(|vary| names_cookie(vary.as_bytes())) {
                some.append(cookie);
            }
        }
    }
}
