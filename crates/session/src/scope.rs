//! Which session the running code belongs to: a thread-local that is set while a request's code runs.
//!
//! A future has its handle in place only while it is polled, so tasks that share a thread never see each
//! other's. A guard instead of a closure around each poll keeps the request from being copied into it.

use crate::handle::SessionHandle;
use pin_project_lite::pin_project;
use std::{
    cell::RefCell,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

thread_local! {
    static CURRENT: RefCell<Option<SessionHandle>> = const { RefCell::new(None) };
}

/// The handle of the request whose code is running.
pub(crate) fn current() -> Option<SessionHandle> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// Whether the handle of the request whose code is running is like this.
#[cfg(feature = "tower")]
pub(crate) fn is_current(matches: impl FnOnce(&SessionHandle) -> bool) -> bool {
    CURRENT.try_with(|current| current.borrow().as_ref().is_some_and(matches)).unwrap_or(false)
}

/// Lets the code that follows find this handle, until the guard is dropped.
pub(crate) fn enter(handle: SessionHandle) -> Entered {
    let before = CURRENT.try_with(|current| current.replace(Some(handle))).ok().flatten();
    Entered { before, _stays_on_its_thread: PhantomData }
}

/// The time in which code finds a handle. Whatever was found before is found again afterwards.
#[must_use = "the handle is found as long as this lives"]
pub(crate) struct Entered {
    before: Option<SessionHandle>,
    _stays_on_its_thread: PhantomData<*const ()>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let before = self.before.take();
        // The handle that goes may be the last one, so it is dropped when nothing is borrowed any more.
        drop(CURRENT.try_with(|current| current.replace(before)));
    }
}

pin_project! {
    /// A future whose code finds a handle.
    pub(crate) struct Scoped<F> {
        handle: SessionHandle,
        // Dropped inside the scope, too, so that what it holds finds the handle to its end.
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for Scoped<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _entered = enter(this.handle.clone());
            this.future.set(None);
        }
    }
}

impl<F> Scoped<F> {
    pub(crate) fn new(handle: SessionHandle, future: F) -> Self {
        Self { handle, future: Some(future) }
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = enter(this.handle.clone());
        let future = this.future.as_pin_mut().expect("only dropping takes the future away");
        future.poll(context)
    }
}
