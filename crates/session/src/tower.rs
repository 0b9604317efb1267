//! The layer for axum and every other service of `http` requests.
//!
//! It opens a handle for each request, runs the service inside its scope, both the call itself and the future,
//! and commits when the response head is ready. It knows nothing of sessions beyond that.

mod respond;
#[cfg(feature = "testing")]
pub mod testing;

#[cfg(feature = "axum")]
use crate::Error;
use crate::{
    SessionHandle,
    exchange::Exchange,
    scope,
    sessions::{RequestHead, Sessions},
};
use http::{HeaderName, HeaderValue, Request, Response, header};
use pin_project_lite::pin_project;
use std::{
    pin::Pin,
    task::{Context, Poll},
};
use tower_layer::Layer;
use tower_service::Service;

/// Gives every request of a router or service its session.
///
/// ```
/// use axum::{Router, routing::get};
/// use dframework_session::{Error, Session, Sessions, tower::SessionLayer};
///
/// async fn home() -> Result<String, Error> {
///     let visits = Session::increment("visits", 1).await?;
///     Ok(format!("visit {visits}"))
/// }
///
/// let app: Router = Router::new()
///     .route("/", get(home))
///     .layer(SessionLayer::new(Sessions::memory()));
/// ```
#[derive(Clone, Debug)]
pub struct SessionLayer {
    sessions: Sessions,
}

impl SessionLayer {
    /// A layer whose requests find their sessions here.
    pub fn new(sessions: Sessions) -> Self {
        Self { sessions }
    }
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> SessionService<S> {
        SessionService { inner, sessions: self.sessions.clone() }
    }
}

/// A service whose requests have sessions: what [`SessionLayer`] makes.
#[derive(Clone, Debug)]
pub struct SessionService<S> {
    inner: S,
    sessions: Sessions,
}

impl<S, Q, R> Service<Request<Q>> for SessionService<S>
where
    S: Service<Request<Q>, Response = Response<R>>,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, R>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        // The same layer twice: the outer one has opened the session and answers for it.
        let outer = self.sessions.running();
        let is_outer_one_answering = outer.is_some();
        let handle = outer.unwrap_or_else(|| open(&self.sessions, &request));
        let _entered = scope::enter(handle.clone());
        let exchange = match is_outer_one_answering {
            true => Exchange::passing(handle, self.inner.call(request)),
            false => Exchange::running(handle, self.inner.call(request)),
        };
        ResponseFuture { exchange }
    }
}

fn open<Q>(sessions: &Sessions, request: &Request<Q>) -> SessionHandle {
    let headers = request.headers();
    let mut head = RequestHead::new(request.method().as_str());
    head.scheme = request.uri().scheme_str();
    let mut cookies = headers.get_all(header::COOKIE).into_iter().peekable();
    if cookies.peek().is_none() {
        return sessions.open(head);
    }
    let fetch_dest = || headers.get(&SEC_FETCH_DEST).map(HeaderValue::as_bytes);
    let purpose = || headers.get(&SEC_PURPOSE).map(HeaderValue::as_bytes);
    let head = head.with_purpose(&fetch_dest, &purpose);
    sessions.open(head.with_cookies(cookies.map(HeaderValue::as_bytes)))
}

static SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
static SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");

pin_project! {
    /// The response of a service whose requests have sessions.
    pub struct ResponseFuture<F, R> {
        #[pin]
        exchange: Exchange<F, Response<R>>,
    }
}

impl<F, R> std::fmt::Debug for ResponseFuture<F, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl<F, R, E> Future for ResponseFuture<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Default,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().exchange.poll(context)
    }
}

#[cfg(feature = "axum")]
impl<S: Send + Sync> axum_core::extract::FromRequestParts<S> for SessionHandle {
    type Rejection = Error;

    /// Takes the handle of the current request.
    async fn from_request_parts(_: &mut http::request::Parts, _: &S) -> Result<Self, Error> {
        crate::facade::extracted(
            "add `SessionLayer` to the router after its route, or, where middleware spawns the rest of a request, \
             spawn it with `Session::spawn`",
        )
    }
}

/// Not an extractor: a handler that takes a `Session` does not build, and the compiler says what to take instead.
///
/// ```compile_fail,E0080
/// use axum::{Router, routing::get};
/// use dframework_session::Session;
///
/// async fn handler(session: Session) -> &'static str {
///     "not built"
/// }
///
/// let app: Router = Router::new().route("/", get(handler));
/// ```
///
/// ```text
/// error[E0080]: evaluation panicked: `Session` is not an extractor: take a `SessionHandle`, or call `Session::get` and
/// the other verbs
/// ```
///
/// With a handle it does:
///
/// ```
/// use axum::{Router, routing::get};
/// use dframework_session::SessionHandle;
///
/// async fn handler(session: SessionHandle) -> &'static str {
///     "built"
/// }
///
/// let app: Router = Router::new().route("/", get(handler));
/// ```
#[cfg(feature = "axum")]
impl<S: Send + Sync> axum_core::extract::FromRequestParts<S> for crate::Session {
    type Rejection = Error;

    // A bound that no type meets would fail in `cargo check` already. But axum keeps to itself why a function is no
    // handler, so nobody would read the message.
    async fn from_request_parts(_: &mut http::request::Parts, _: &S) -> Result<Self, Error> {
        const {
            panic!(
                "`Session` is not an extractor: take a `SessionHandle`, or call `Session::get` and the other verbs"
            )
        }
    }
}

#[cfg(feature = "axum")]
impl axum_core::response::IntoResponse for Error {
    /// The status of the error and an empty body; the detail goes to the log.
    fn into_response(self) -> axum_core::response::Response {
        crate::event::request_failed(&self);
        respond::status(self.status())
    }
}
