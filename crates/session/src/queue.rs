//! Where commits wait for their turn after a conflict.
//!
//! Without it, twenty parallel clicks would race for every round. With it, a commit that has lost once waits
//! for those before it, and whoever comes later joins behind, so that rounds are lost only to other instances.

use dframework_session_store::StoreKey;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::OwnedMutexGuard;

type Line = Arc<tokio::sync::Mutex<()>>;

/// The lines in which commits wait, one for each key that has a conflict.
#[derive(Default)]
pub(crate) struct Queue {
    lines: Mutex<HashMap<StoreKey, Line>>,
    /// How many lines there are, so that a commit without conflicts takes no lock.
    length: AtomicUsize,
}

/// The right to commit to a key, given back when it is dropped.
pub(crate) struct Turn<'a> {
    queue: &'a Queue,
    key: StoreKey,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Queue {
    /// Waits for the turn at this key.
    pub(crate) async fn enter(&self, key: StoreKey) -> Turn<'_> {
        let line = {
            let mut lines = self.lines();
            let line = lines.entry(key).or_default().clone();
            self.length.store(lines.len(), Ordering::Release);
            line
        };
        // The turn exists before the wait, so that a commit that is dropped while it waits tidies up too.
        let mut turn = Turn { queue: self, key, guard: None };
        turn.guard = Some(line.lock_owned().await);
        turn
    }

    /// Waits for the turn at this key if others are waiting for it.
    pub(crate) async fn join(&self, key: StoreKey) -> Option<Turn<'_>> {
        let is_waited_for =
            self.length.load(Ordering::Acquire) > 0 && self.lines().contains_key(&key);
        if is_waited_for { Some(self.enter(key).await) } else { None }
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, HashMap<StoreKey, Line>> {
        // Nothing panics while the map is being changed, so a poisoned map is whole.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut lines = self.queue.lines();
        self.guard = None;
        // One reference is the map's own: nobody waits or holds the turn any more.
        if lines.get(&self.key).is_some_and(|line| Arc::strong_count(line) == 1) {
            lines.remove(&self.key);
        }
        self.queue.length.store(lines.len(), Ordering::Release);
    }
}
