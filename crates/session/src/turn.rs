//! One after the other: whoever loads or commits for a request.
//!
//! A free turn is taken without tokio's cooperative budget, which could make even that wait: in memory a commit
//! must be ready at its first poll. Not to be mistaken for [`crate::queue`], in which requests wait for others.

use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// The turn of one request.
#[derive(Default)]
pub(crate) struct OwnTurn {
    taken: AtomicBool,
    freed: Notify,
}

/// That nobody else has the turn, until this is dropped.
pub(crate) struct Taken<'a>(&'a OwnTurn);

impl OwnTurn {
    /// Takes the turn if it is free.
    pub(crate) fn try_take(&self) -> Option<Taken<'_>> {
        let was_taken = self.taken.swap(true, Ordering::AcqRel);
        if was_taken { None } else { Some(Taken(self)) }
    }

    /// Waits for the turn.
    pub(crate) async fn take(&self) -> Taken<'_> {
        loop {
            if let Some(taken) = self.try_take() {
                return taken;
            }
            // A turn that was given back since is remembered there, so it is not missed.
            self.freed.notified().await;
        }
    }

    /// Whether somebody has the turn.
    pub(crate) fn is_taken(&self) -> bool {
        self.taken.load(Ordering::Acquire)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.taken.store(false, Ordering::Release);
        self.0.freed.notify_one();
    }
}
