//! From what a commit says to the response that goes out.

use crate::{
    Error, SessionHandle, event,
    exchange::{Committed, Outcome, names_cookie, tell_if_set_twice},
    scope,
    sessions::{CommitError, HeadChanges, ResponseHead},
};
use actix_web::{
    HttpResponse, ResponseError,
    body::EitherBody,
    dev::ServiceResponse,
    http::{
        StatusCode,
        header::{self, HeaderMap, HeaderValue},
    },
};
use std::{cell::RefCell, fmt};

type Result<B> = std::result::Result<ServiceResponse<B>, actix_web::Error>;

/// What a service has answered with.
pub(crate) enum Head<B> {
    Response(ServiceResponse<B>),
    /// What the server would make of the error. It makes one once only: an error may give its response away.
    Failed(actix_web::Error, HttpResponse),
}

impl<B> Outcome for Result<B> {
    type Response = Head<B>;
    type Answer = Result<EitherBody<B>>;

    fn pass(self) -> Self::Answer {
        self.map(ServiceResponse::map_into_left_body)
    }

    fn respond(self, handle: &SessionHandle) -> std::result::Result<Head<B>, Self::Answer> {
        Ok(match self {
            Ok(response) => Head::Response(response),
            Err(error) => {
                // So that the event names the session.
                let _entered = scope::enter(handle.clone());
                let response = error.error_response();
                Head::Failed(error, response)
            }
        })
    }

    fn head(response: &Head<B>) -> ResponseHead<'_> {
        let (status, headers) = match response {
            Head::Response(response) => (response.status(), response.headers()),
            Head::Failed(_, response) => (response.status(), response.headers()),
        };
        let said = headers.get(header::CACHE_CONTROL).map(HeaderValue::as_bytes);
        ResponseHead::new(status.as_u16()).with_cache_control(said)
    }

    fn answer(response: Head<B>, committed: Committed) -> Self::Answer {
        match response {
            Head::Response(response) => Ok(match committed {
                Ok(changes) => {
                    let mut response = response.map_into_left_body();
                    apply(response.headers_mut(), changes);
                    response
                }
                Err(failed) => response.into_response(own(failed)).map_into_right_body(),
            }),
            Head::Failed(error, response) => Err(Answered::new(error, response, committed).into()),
        }
    }
}

/// An error of the service, answered with what was committed.
struct Answered {
    error: actix_web::Error,
    status: StatusCode,
    committed: Committed,
    /// Goes to whoever asks first: its body cannot be copied.
    response: RefCell<Option<HttpResponse>>,
}

impl Answered {
    fn new(error: actix_web::Error, response: HttpResponse, committed: Committed) -> Self {
        let response = answered(response, committed.clone());
        let (status, response) = (response.status(), RefCell::new(Some(response)));
        Self { error, status, committed, response }
    }
}

impl ResponseError for Answered {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    /// Middleware outside may have asked already, for a log, and another answer must not lack the cookies.
    fn error_response(&self) -> HttpResponse {
        let made = self.response.borrow_mut().take();
        made.unwrap_or_else(|| answered(self.error.error_response(), self.committed.clone()))
    }
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl fmt::Debug for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

/// The response to an error with our fields, or one in its place.
fn answered(mut response: HttpResponse, committed: Committed) -> HttpResponse {
    match committed {
        Ok(changes) => apply(response.headers_mut(), changes),
        Err(failed) => response = own(failed),
    }
    response
}

/// The response that goes out when the commit failed, with nothing of the application's.
fn own(CommitError { error, head }: CommitError) -> HttpResponse {
    let mut response = HttpResponse::new(status(&error));
    apply(response.headers_mut(), head);
    response
}

pub(super) fn status(error: &Error) -> StatusCode {
    StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn apply(headers: &mut HeaderMap, changes: HeadChanges) {
    for line in changes.set_cookies {
        let set = headers.get_all(header::SET_COOKIE).map(HeaderValue::as_bytes);
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
    if let Some(cache_control) = changes.cache_control {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache_control));
    }
    if changes.vary && !headers.get_all(header::VARY).any(|vary| names_cookie(vary.as_bytes())) {
        headers.append(header::VARY, HeaderValue::from_static("Cookie"));
    }
}
