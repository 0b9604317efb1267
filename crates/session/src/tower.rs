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
    SessionHandle, scope,
    sessions::{RequestHead, Sessions},
};
use http::{HeaderName, HeaderValue, Request, Response, header};
use pin_project_lite::pin_project;
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
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
        let handle = Some(handle);
        match is_outer_one_answering {
            true => {
                let future = self.inner.call(request);
                ResponseFuture { handle, state: State::Passing { future } }
            }
            false => {
                let future = self.inner.call(request);
                ResponseFuture { handle, state: State::Running { future } }
            }
        }
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
        // `None` once the response is there.
        handle: Option<SessionHandle>,
        #[pin]
        state: State<F, R>,
    }

    impl<F, R> PinnedDrop for ResponseFuture<F, R> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let Some(handle) = this.handle else { return };
            let is_running = matches!(this.state.as_mut().project(), StateProjection::Running { .. });
            // What the handler holds is dropped inside its request too.
            let entered = scope::enter(handle.clone());
            this.state.set(State::Ended);
            drop(entered);
            if is_running {
                // A handler that panicked, or a client that hung up.
                handle.0.abandon();
            }
        }
    }
}

impl<F, R> std::fmt::Debug for ResponseFuture<F, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

const POLLED_AFTER_ITS_END: &str = "a future is not polled after its end";

pin_project! {
    #[project = StateProjection]
    enum State<F, R> {
        Passing { #[pin] future: F },
        Running { #[pin] future: F },
        Committing { commit: respond::Commit, response: Option<Response<R>> },
        Ended,
    }
}

impl<F, R, E> Future for ResponseFuture<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Default,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let handle = this.handle.as_ref().expect(POLLED_AFTER_ITS_END);
        let answered = loop {
            match this.state.as_mut().project() {
                StateProjection::Passing { future } => {
                    break ready!(poll_in(handle, future, context));
                }
                StateProjection::Running { future } => {
                    let mut response = match ready!(poll_in(handle, future, context)) {
                        Ok(response) => response,
                        Err(error) => return Poll::Ready(Err(error)),
                    };
                    match respond::commit_now(handle, &mut response) {
                        Ok(()) => break Ok(response),
                        Err(commit) => {
                            let response = Some(response);
                            let entered = scope::enter(handle.clone());
                            this.state.set(State::Committing { commit, response });
                            drop(entered);
                        }
                    }
                }
                StateProjection::Committing { commit, response } => {
                    let committed = ready!(commit.as_mut().poll(context));
                    let mut response = response.take().expect(POLLED_AFTER_ITS_END);
                    respond::answer(&mut response, committed);
                    break Ok(response);
                }
                StateProjection::Ended => panic!("{POLLED_AFTER_ITS_END}"),
            }
        };
        *this.handle = None;
        Poll::Ready(answered)
    }
}

/// Polls a future whose code finds this handle.
fn poll_in<F: Future>(
    handle: &SessionHandle,
    future: Pin<&mut F>,
    context: &mut Context<'_>,
) -> Poll<F::Output> {
    let _entered = scope::enter(handle.clone());
    future.poll(context)
}

#[cfg(feature = "axum")]
impl<S: Send + Sync> axum_core::extract::FromRequestParts<S> for SessionHandle {
    type Rejection = Error;

    /// Takes the handle of the current request.
    async fn from_request_parts(_: &mut http::request::Parts, _: &S) -> Result<Self, Error> {
        crate::facade::current()
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
