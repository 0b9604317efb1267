//! Deletes what has expired from a store, in a task of its own.
//!
//! Nobody depends on it: an expired record opens no session, deleted or not. So it may come late, and it goes on
//! whatever fails.

use crate::{
    clock::Clock,
    driver::{Remote, within},
    error::Error,
    event::{Event, Listeners, Name},
};
use dframework_session_store::{Store, StoreError};
use std::{sync::Arc, time::Duration};
use tokio::task::AbortHandle;

/// Between two sweeps, on average. What has expired costs room and nothing else.
const PAUSE: Duration = Duration::from_secs(60);
/// Between two batches, on average: time for the requests.
const BREATH: Duration = Duration::from_millis(20);
/// After failures the pause doubles, up to this many times.
const MOST_DOUBLINGS: u32 = 4;
/// How many records one call deletes at most, where the store is fast: a matter of milliseconds.
const LARGEST: usize = 500;
/// How many it deletes at least, however slow the store is, so that sessions do not come faster than they go.
const SMALLEST: usize = 100;
/// A call that takes a larger part of the store's time limit than this is followed by one for half as many.
const SLOW: u32 = 20;

/// A task that sweeps until this is dropped.
pub(crate) struct Sweeper(AbortHandle);

impl Sweeper {
    pub(crate) fn start(remote: &Remote, clock: &Clock, listeners: &Arc<Listeners>) -> Self {
        let broom = Broom {
            store: remote.store.clone(),
            timeout: remote.timeout,
            clock: clock.clone(),
            listeners: listeners.clone(),
            batch: LARGEST,
        };
        Self(tokio::spawn(broom.sweep_again_and_again()).abort_handle())
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Broom {
    store: Arc<dyn Store>,
    timeout: Duration,
    clock: Clock,
    listeners: Arc<Listeners>,
    /// How many records the next call deletes at most.
    batch: usize,
}

impl Broom {
    async fn sweep_again_and_again(mut self) {
        let mut failures = 0;
        loop {
            pause(PAUSE * (1 << failures.min(MOST_DOUBLINGS))).await;
            match self.sweep().await {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    let error = Error::unavailable("deleting expired sessions", error);
                    self.listeners.tell(Name::SweepFailed, || Event::SweepFailed { error });
                }
            }
        }
    }

    /// Deletes batch after batch until nothing is left that has expired.
    async fn sweep(&mut self) -> Result<(), StoreError> {
        while self.delete().await? > 0 {
            pause(BREATH).await;
        }
        Ok(())
    }

    /// Deletes a batch, and says how many the next one has.
    async fn delete(&mut self) -> Result<usize, StoreError> {
        let begun = self.clock.now();
        let deleted = within(self.timeout, self.store.delete_expired(begun, self.batch)).await;
        let took = match &deleted {
            Ok(_) => self.clock.now().saturating_since(begun),
            // Perhaps it was too much.
            Err(_) => self.timeout,
        };
        self.batch = next_batch(self.batch, took, self.timeout / SLOW);
        deleted
    }
}

/// How many records come after a batch that took so long: half as many where that was slow, some more where it was
/// fast, or as many.
fn next_batch(batch: usize, took: Duration, slow: Duration) -> usize {
    let next = match took {
        took if took > slow => batch / 2,
        took if took < slow / 2 => batch + batch / 8 + 1,
        _ => batch,
    };
    next.clamp(SMALLEST, LARGEST)
}

/// Waits half as long or longer, up to one and a half times, so that instances do not sweep in step.
async fn pause(average: Duration) {
    let random = getrandom::u64().unwrap_or_default();
    let millis = u64::try_from(average.as_millis()).unwrap_or(u64::MAX);
    tokio::time::sleep(average / 2 + Duration::from_millis(random % millis)).await;
}
