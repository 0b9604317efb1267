//! Around every response: the headers that keep foreign code out, and words for errors that came without.

use crate::page;
use axum::{
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

/// Scripts, styles and pictures come from here alone and never from within the page, so what slips into it stays text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Runs a request and completes its response.
pub(crate) async fn guard(request: Request, next: Next) -> Response {
    let accept = request.headers().get(header::ACCEPT);
    let wants_page = accept
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    let mut response = next.run(request).await;
    let status = response.status();
    // Errors of the session, and of a commit that failed, come with an empty body.
    if is_error(status) && !response.headers().contains_key(header::CONTENT_TYPE) {
        response = explained(response, wants_page);
    }
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

/// The same response with a body; its other headers stay, because cookies may be among them.
fn explained(response: Response, wants_page: bool) -> Response {
    let (mut head, _) = response.into_parts();
    let why = why(head.status);
    let words = if wants_page {
        page::problem(why).into_response()
    } else {
        format!("{why}\n").into_response()
    };
    let (body_head, body) = words.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.extend(body_head.headers);
    Response::from_parts(head, body)
}

fn why(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "The form was not complete.",
        StatusCode::NOT_FOUND => "There is nothing at this address.",
        StatusCode::METHOD_NOT_ALLOWED => "This address does not work that way.",
        StatusCode::CONFLICT => "This session ended a moment ago. Please try again in a minute.",
        StatusCode::PAYLOAD_TOO_LARGE => "That is more than fits.",
        StatusCode::SERVICE_UNAVAILABLE => {
            "Sessions cannot be reached at the moment. Nothing was lost; please try again."
        }
        _ => "Something went wrong here. The log of the server says what.",
    }
}
