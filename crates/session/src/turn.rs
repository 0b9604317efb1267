//! One after the other: whoever loads or commits for a request.
//!
//! A free turn is taken without tokio's cooperative budget, which could make even that wait: in memory a commit
//! must be ready at its first poll. Not to be mistaken for [`crate::queue`], in which requests wait for others.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::Notify;

/// The turn of one request.
#[derive(Default)]
pub(crate) struct OwnTurn {
    taken: AtomicBool,
    /// How many wait for it.
    waiting: AtomicUsize,
    freed: Notify,
}

/// That nobody else has the turn, until this is dropped.
pub(crate) struct Taken<'a>(&'a OwnTurn);

/// One that waits, or has waited and has given up.
struct Waiting<'a>(&'a OwnTurn);

impl OwnTurn {
    /// Takes the turn if it is free and nobody waits for it.
    pub(crate) fn try_take(&self) -> Option<Taken<'_>> {
        if self.waiting.load(Ordering::Acquire) == 0 { self.take_free() } else { None }
    }

    /// Waits for the turn.
    pub(crate) async fn take(&self) -> Taken<'_> {
        if let Some(taken) = self.try_take() {
            return taken;
        }
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let _waiting = Waiting(self);
        loop {
            if let Some(taken) = self.take_free() {
                return taken;
            }
            // A turn that was given back since is remembered there, so it is not missed.
            self.freed.notified().await;
        }
    }

    /// Whether somebody has the turn or waits for it.
    pub(crate) fn is_busy(&self) -> bool {
        self.taken.load(Ordering::Acquire) || self.waiting.load(Ordering::Acquire) != 0
    }

    fn take_free(&self) -> Option<Taken<'_>> {
        let was_taken = self.taken.swap(true, Ordering::AcqRel);
        if was_taken { None } else { Some(Taken(self)) }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.taken.store(false, Ordering::Release);
        self.0.freed.notify_one();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}
