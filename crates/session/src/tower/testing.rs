//! The types of `http`, and services, for the testing kit.
//!
//! A [`Visitor`](crate::testing::Visitor) takes requests and builders of `http`, and sends them to every service that can
//! be cloned.
//!
#![cfg_attr(feature = "axum", doc = "```")]
#![cfg_attr(not(feature = "axum"), doc = "```ignore")]
//! use axum::{Router, http::Request, routing::get};
//! use dframework_session::{Session, Sessions, testing::Visitor, tower::SessionLayer};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let sessions = Sessions::memory();
//! let app: Router = Router::new()
//!     .route("/", get(async || Session::set("visited", true).await))
//!     .layer(SessionLayer::new(sessions.clone()));
//!
//! let mut visitor = Visitor::new(&sessions);
//! let response = visitor.send(&app, Request::get("/")).await;
//! assert_eq!(response.status(), 200);
//! visitor.session().await.assert_value("visited", true);
//! # });
//! ```

use crate::testing::{Application, HttpRequest, HttpResponse};
use http::{HeaderName, HeaderValue, Request, Response, header, request::Builder};
use std::{fmt, future::poll_fn};
use tower_service::Service;

impl<B> HttpRequest for Request<B> {
    fn method(&self) -> &str {
        self.method().as_str()
    }

    fn target(&self) -> String {
        self.uri().to_string()
    }

    fn add_field(&mut self, name: &'static str, value: &[u8]) {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            self.headers_mut().append(HeaderName::from_static(name), value);
        }
    }
}

/// A builder that is broken stays so, and says it when the request is made.
impl HttpRequest for Builder {
    fn method(&self) -> &str {
        self.method_ref().map_or("GET", http::Method::as_str)
    }

    fn target(&self) -> String {
        self.uri_ref().map(ToString::to_string).unwrap_or_default()
    }

    fn add_field(&mut self, name: &'static str, value: &[u8]) {
        if let (Some(headers), Ok(value)) = (self.headers_mut(), HeaderValue::from_bytes(value)) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
}

impl<B> HttpResponse for Response<B> {
    fn set_cookies(&self) -> impl Iterator<Item = &[u8]> {
        self.headers().get_all(header::SET_COOKIE).into_iter().map(HeaderValue::as_bytes)
    }
}

/// A service, such as a router of axum. It is cloned for each request.
impl<S, B, R> Application<Request<B>> for S
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: fmt::Debug,
{
    type Response = Response<R>;

    async fn answer(&self, request: Request<B>) -> Response<R> {
        let mut service = self.clone();
        let ready = poll_fn(|context| service.poll_ready(context)).await;
        ready.unwrap_or_else(|error| panic!("the service is not ready: {error:?}"));
        let answered = service.call(request).await;
        answered.unwrap_or_else(|error| panic!("the service does not answer: {error:?}"))
    }
}

/// A request without a body: `Request::get("/cart")`.
impl<S, R> Application<Builder> for S
where
    S: Service<Request<String>, Response = Response<R>> + Clone,
    S::Error: fmt::Debug,
{
    type Response = Response<R>;

    async fn answer(&self, request: Builder) -> Response<R> {
        let request = request.body(String::new());
        let request = request.unwrap_or_else(|error| panic!("the request is none: {error}"));
        self.answer(request).await
    }
}

/// A request that submits a form: POST, with the fields in the body.
///
/// ```
/// use dframework_session::tower::testing::form;
///
/// let request = form("/login", [("account", "42"), ("next", "/cart?page=2")]);
/// assert_eq!(request.body(), "account=42&next=%2Fcart%3Fpage%3D2");
/// ```
///
/// # Panics
///
/// `target` is neither a path nor a whole address.
pub fn form<K, V>(target: &str, fields: impl IntoIterator<Item = (K, V)>) -> Request<String>
where
    K: AsRef<str>,
    V: AsRef<str>,
{
    let pair = |(name, value): (K, V)| [escaped(name.as_ref()), escaped(value.as_ref())].join("=");
    let body = fields.into_iter().map(pair).collect::<Vec<_>>().join("&");
    let request = Request::post(target)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(body);
    request.unwrap_or_else(|error| panic!("{target:?} cannot be asked for: {error}"))
}

/// Text as forms write it. [WHATWG URL, section 5.2]
fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b' ' => "+".to_owned(),
        b'*' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}
