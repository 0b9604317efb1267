//! The middleware for actix-web 4.
//!
//! It opens a handle for each request, runs the service inside its scope, both the call itself and the future, and commits
//! when the response head is ready. It knows nothing of sessions beyond that.
//!
//! What actix-web has of its own: a service that fails has a status, so its error is answered like a response. An error
//! with which a used session was committed is one that holds the finished response; it reads as before, but
//! [`actix_web::Error::as_error`] no longer finds the type that it was made of.

mod respond;
#[cfg(feature = "testing")]
pub mod testing;

use crate::{
    Error, SessionHandle, event,
    exchange::Exchange,
    scope,
    sessions::{RequestHead, Sessions},
};
use actix_web::{
    FromRequest, HttpRequest, HttpResponse, ResponseError,
    body::{EitherBody, MessageBody},
    dev::{Payload, Service, ServiceRequest, ServiceResponse, Transform},
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
};
use pin_project_lite::pin_project;
use std::{
    future::{Ready, ready},
    pin::Pin,
    task::{Context, Poll},
};

/// Gives every request of an application, a scope or a resource its session.
///
/// ```
/// use actix_web::{App, test, web};
/// use dframework_session::{Error, Session, Sessions, actix::SessionMiddleware};
///
/// async fn home() -> Result<String, Error> {
///     let visits = Session::increment("visits", 1).await?;
///     Ok(format!("visit {visits}"))
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// // Made once and cloned into each worker.
/// let sessions = Sessions::memory();
/// let app = App::new().wrap(SessionMiddleware::new(sessions)).route("/", web::get().to(home));
///
/// let app = test::init_service(app).await;
/// let body = test::call_and_read_body(&app, test::TestRequest::get().to_request()).await;
/// assert_eq!(body, "visit 1");
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct SessionMiddleware {
    sessions: Sessions,
}

impl SessionMiddleware {
    /// A middleware whose requests find their sessions here.
    ///
    /// Make the [`Sessions`] once, outside of the function that makes an `App` for each worker: with
    /// [`Sessions::memory`] inside, every worker would have sessions of its own.
    pub fn new(sessions: Sessions) -> Self {
        Self { sessions }
    }
}

impl<S, B> Transform<S, ServiceRequest> for SessionMiddleware
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = actix_web::Error;
    type Transform = SessionService<S>;
    type InitError = ();
    type Future = Ready<Result<SessionService<S>, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(SessionService { inner, sessions: self.sessions.clone() }))
    }
}

/// A service whose requests have sessions: what [`SessionMiddleware`] makes.
#[derive(Clone, Debug)]
pub struct SessionService<S> {
    inner: S,
    sessions: Sessions,
}

impl<S, B> Service<ServiceRequest> for SessionService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = actix_web::Error;
    type Future = ResponseFuture<S::Future, B>;

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), actix_web::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        // The same middleware twice: the outer one has opened the session and answers for it.
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

fn open(sessions: &Sessions, request: &ServiceRequest) -> SessionHandle {
    let headers = request.headers();
    let mut head = RequestHead::new(request.method().as_str());
    // What `ConnectionInfo` calls the scheme, anyone may have written; the server knows its own socket.
    head.scheme = request.app_config().secure().then_some("https");
    let mut cookies = headers.get_all(header::COOKIE).peekable();
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
    pub struct ResponseFuture<F, B> {
        #[pin]
        exchange: Exchange<F, respond::Head<B>>,
    }
}

impl<F, B> std::fmt::Debug for ResponseFuture<F, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl<F, B> Future for ResponseFuture<F, B>
where
    F: Future<Output = Result<ServiceResponse<B>, actix_web::Error>>,
{
    type Output = Result<ServiceResponse<EitherBody<B>>, actix_web::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().exchange.poll(context)
    }
}

impl FromRequest for SessionHandle {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    /// Takes the handle of the current request.
    fn from_request(_: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(crate::facade::extracted(
            "wrap the `App`, or the scope or resource of its route, in `SessionMiddleware`",
        ))
    }
}

/// Not an extractor: a handler that takes a `Session` does not build, and the compiler says what to take instead.
///
/// ```compile_fail,E0277
/// use actix_web::{App, web};
/// use dframework_session::Session;
///
/// async fn handler(session: Session) -> &'static str {
///     "not built"
/// }
///
/// let app = App::new().route("/", web::get().to(handler));
/// ```
///
/// ```text
/// error[E0277]: `Session` is not an extractor: take a `SessionHandle`, or call `Session::get` and
/// the other verbs
/// ```
///
/// With a handle it does:
///
/// ```
/// use actix_web::{App, web};
/// use dframework_session::SessionHandle;
///
/// async fn handler(session: SessionHandle) -> &'static str {
///     "built"
/// }
///
/// let app = App::new().route("/", web::get().to(handler));
/// ```
impl FromRequest for crate::Session
where
    // Of any lifetime, or the compiler would already look for it here.
    for<'any> SessionIn<'any>: Extractor,
{
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(_: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(crate::facade::current().map(|_| Self))
    }
}

/// [`Session`](crate::Session) as an argument of a handler.
#[derive(Debug)]
#[doc(hidden)]
pub struct SessionIn<'any>(std::marker::PhantomData<&'any ()>);

/// What no type is: its name stands for the message.
#[diagnostic::on_unimplemented(
    message = "`Session` is not an extractor: take a `SessionHandle`, or call `Session::get` and the other verbs"
)]
#[doc(hidden)]
pub trait Extractor {}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        respond::status(self)
    }

    /// The status of the error and an empty body; the detail goes to the log.
    fn error_response(&self) -> HttpResponse {
        event::request_failed(self);
        HttpResponse::new(respond::status(self))
    }
}
