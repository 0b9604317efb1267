//! Which session the running code belongs to: a thread-local that is set while a request's code runs.
//!
//! A future has its handle in place only while it is polled, so tasks that share a thread never see each
//! other's. A guard instead of a closure around each poll keeps the request from being copied into it.
//!
//! Handles lie on a stack: under several layers, code finds the innermost, and an outer one when it asks for it.

use crate::handle::SessionHandle;
use pin_project_lite::pin_project;
use smallvec::{SmallVec, smallvec};
use std::{
    cell::RefCell,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

thread_local! {
    static ENTERED: RefCell<Vec<SessionHandle>> = const { RefCell::new(Vec::new()) };
}

/// The handle of the request whose code is running: of the innermost layer, if there are several.
pub(crate) fn current() -> Option<SessionHandle> {
    innermost(|_| true)
}

/// The innermost handle that is like this.
pub(crate) fn innermost(is_wanted: impl Fn(&SessionHandle) -> bool) -> Option<SessionHandle> {
    let find = |handles: &RefCell<Vec<SessionHandle>>| {
        handles.borrow().iter().rev().find(|handle| is_wanted(handle)).cloned()
    };
    ENTERED.try_with(find).ok().flatten()
}

/// Lets the code that follows find this handle, until the guard is dropped.
pub(crate) fn enter(handle: SessionHandle) -> Entered {
    let is_in = ENTERED.try_with(|handles| handles.borrow_mut().push(handle)).is_ok();
    Entered { is_in, _stays_on_its_thread: PhantomData }
}

/// The time in which code finds a handle. Whatever was found before is found again afterwards.
#[must_use = "the handle is found as long as this lives"]
pub(crate) struct Entered {
    /// Not where the thread is ending.
    is_in: bool,
    _stays_on_its_thread: PhantomData<*const ()>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        if self.is_in {
            // The handle that goes may be the last one, so it is dropped when nothing is borrowed any more.
            drop(ENTERED.try_with(|handles| handles.borrow_mut().pop()));
        }
    }
}

/// The handles of one task: few applications have several layers.
type Handles = SmallVec<[SessionHandle; 1]>;

fn enter_all(handles: &Handles) -> SmallVec<[Entered; 1]> {
    handles.iter().cloned().map(enter).collect()
}

pin_project! {
    /// A future whose code finds these handles, the last one first.
    pub(crate) struct Scoped<F> {
        handles: Handles,
        // Dropped inside the scope, too, so that what it holds finds the handle to its end.
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for Scoped<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _entered = enter_all(this.handles);
            this.future.set(None);
        }
    }
}

impl<F> Scoped<F> {
    pub(crate) fn new(handle: SessionHandle, future: F) -> Self {
        Self { handles: smallvec![handle], future: Some(future) }
    }

    /// With all the handles that the running code finds; nothing where it finds none.
    pub(crate) fn like_here(future: F) -> Option<Self> {
        let here = ENTERED.try_with(|handles| handles.borrow().iter().cloned().collect());
        let handles: Handles = here.unwrap_or_default();
        (!handles.is_empty()).then_some(Self { handles, future: Some(future) })
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = enter_all(this.handles);
        let future = this.future.as_pin_mut().expect("only dropping takes the future away");
        future.poll(context)
    }
}
