//! What every adapter does between the call of a service and the head of its response.
//!
//! The service's future runs with its handle in place. Its outcome is committed at once where that needs no waiting,
//! else by a commit that is waited for. A future that is dropped before is a handler that panicked or a client that hung
//! up. It knows no framework: what an outcome is, the adapters say.

use crate::{
    SessionHandle, event, scope,
    sessions::{CommitError, HeadChanges, ResponseHead},
};
use pin_project_lite::pin_project;
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

/// What a commit gives.
pub(crate) type Committed = Result<HeadChanges, CommitError>;

/// A commit that waits for a store.
type Commit = Pin<Box<dyn Future<Output = Committed> + Send>>;

/// What a service gives, and what becomes of it.
pub(crate) trait Outcome: Sized {
    /// An outcome that is a response, or can be told as one.
    type Response;
    /// What goes out.
    type Answer;

    /// What goes out where the session was not used.
    fn pass(self) -> Self::Answer;

    /// The response, or what goes out without a commit. What is made of an error, is made in the scope of this handle.
    fn respond(self, handle: &SessionHandle) -> Result<Self::Response, Self::Answer>;

    /// The head of the response.
    fn head(response: &Self::Response) -> ResponseHead<'_>;

    /// Puts our fields into the response; when the commit failed, one of the adapter's own takes its place.
    fn answer(response: Self::Response, committed: Committed) -> Self::Answer;
}

pin_project! {
    /// The future of a request whose code has a session.
    pub(crate) struct Exchange<F, R> {
        // `None` once the response is there.
        handle: Option<SessionHandle>,
        #[pin]
        state: State<F, R>,
    }

    impl<F, R> PinnedDrop for Exchange<F, R> {
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

impl<F, R> Exchange<F, R> {
    /// Runs the future of a service, and commits what it leaves.
    pub(crate) fn running(handle: SessionHandle, future: F) -> Self {
        Self { handle: Some(handle), state: State::Running { future } }
    }

    /// Runs it and leaves the commit to the one outside, which has opened this handle.
    pub(crate) fn passing(handle: SessionHandle, future: F) -> Self {
        Self { handle: Some(handle), state: State::Passing { future } }
    }
}

const POLLED_AFTER_ITS_END: &str = "a future is not polled after its end";

pin_project! {
    #[project = StateProjection]
    enum State<F, R> {
        Passing { #[pin] future: F },
        Running { #[pin] future: F },
        Committing { commit: Commit, response: Option<R> },
        Ended,
    }
}

impl<F, R> Future for Exchange<F, R>
where
    F: Future<Output: Outcome<Response = R>>,
{
    type Output = <F::Output as Outcome>::Answer;

    // Into the adapter's own `poll`: each copy of a response costs as much as a look at an unused session.
    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let handle = this.handle.as_ref().expect(POLLED_AFTER_ITS_END);
        let answer = loop {
            match this.state.as_mut().project() {
                StateProjection::Passing { future } => {
                    break ready!(poll_in(handle, future, context)).pass();
                }
                StateProjection::Running { future } => {
                    let outcome = ready!(poll_in(handle, future, context));
                    if handle.0.finish_unused() {
                        *this.handle = None;
                        return Poll::Ready(outcome.pass());
                    }
                    let response = match outcome.respond(handle) {
                        Ok(response) => response,
                        // The drop sees to a `destroy`.
                        Err(answer) => return Poll::Ready(answer),
                    };
                    let head = F::Output::head(&response);
                    match handle.0.commit_now(head) {
                        Err(failed) if failed.error.is_would_block() => {
                            let commit = commit(handle.clone(), head);
                            let response = Some(response);
                            let entered = scope::enter(handle.clone());
                            this.state.set(State::Committing { commit, response });
                            drop(entered);
                        }
                        committed => break F::Output::answer(response, committed),
                    }
                }
                StateProjection::Committing { commit, response } => {
                    let committed = ready!(commit.as_mut().poll(context));
                    let response = response.take().expect(POLLED_AFTER_ITS_END);
                    break F::Output::answer(response, committed);
                }
                StateProjection::Ended => panic!("{POLLED_AFTER_ITS_END}"),
            }
        };
        *this.handle = None;
        Poll::Ready(answer)
    }
}

/// The commit that waits, with a head of its own.
fn commit(handle: SessionHandle, head: ResponseHead<'_>) -> Commit {
    let (status, said) = (head.status, head.cache_control.map(<[u8]>::to_vec));
    Box::pin(async move {
        let head = ResponseHead::new(status).with_cache_control(said.as_deref());
        handle.sessions().commit(&handle, head).await
    })
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

/// Says in the log that a response sets this cookie already: its browser would keep the last one only.
pub(crate) fn tell_if_set_twice<'a>(mut set: impl Iterator<Item = &'a [u8]>, line: &str) {
    if set.any(|other| cookie_of(other).eq(cookie_of(line.as_bytes()))) {
        let name = line.split('=').next().unwrap_or_default();
        event::cookie_set_twice(name);
    }
}

/// What a browser knows a cookie by: its name, domain and path.
fn cookie_of(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let name = line.split(|byte| *byte == b'=').next();
    let attributes = line.split(|byte| *byte == b';').skip(1).map(<[u8]>::trim_ascii);
    let is_part = |attribute: &&[u8]| {
        let part = attribute.split(|byte| *byte == b'=').next().unwrap_or_default();
        part.eq_ignore_ascii_case(b"path") || part.eq_ignore_ascii_case(b"domain")
    };
    name.into_iter().chain(attributes.filter(is_part))
}

/// Whether a field `Vary` says already that the response varies by the cookie.
pub(crate) fn names_cookie(vary: &[u8]) -> bool {
    let names = vary.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    names.into_iter().any(|name| name == b"*" || name.eq_ignore_ascii_case(b"cookie"))
}
