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
/// How many records one call deletes at most: a matter of milliseconds.
const BATCH: usize = 500;

/// A task that sweeps until this is dropped.
pub(crate) struct Sweeper(AbortHandle);

impl Sweeper {
    pub(crate) fn start(remote: &Remote, clock: &Clock, listeners: &Arc<Listeners>) -> Self {
        let broom = Broom {
            store: remote.store.clone(),
            timeout: remote.timeout,
            clock: clock.clone(),
            listeners: listeners.clone(),
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
}

impl Broom {
    async fn sweep_again_and_again(self) {
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
    async fn sweep(&self) -> Result<(), StoreError> {
        while within(self.timeout, self.store.delete_expired(self.clock.now(), BATCH)).await? > 0 {
            pause(BREATH).await;
        }
        Ok(())
    }
}

/// Waits half as long or longer, up to one and a half times, so that instances do not sweep in step.
async fn pause(average: Duration) {
    let random = getrandom::u64().unwrap_or_default();
    let millis = u64::try_from(average.as_millis()).unwrap_or(u64::MAX);
    tokio::time::sleep(average / 2 + Duration::from_millis(random % millis)).await;
}
