//! State that the server changes and a test waits for.

use super::PATIENCE;
use std::sync::{Condvar, Mutex};

/// A value, and whoever waits for it to change.
#[derive(Default)]
pub(super) struct Watched<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Watched<T> {
    /// Changes or reads the value.
    pub(super) fn with<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.value.lock().unwrap());
        self.changed.notify_all();
        result
    }

    /// Waits, for a bounded time, until the value gives something.
    #[track_caller]
    pub(super) fn wait<R>(&self, what: &str, mut look: impl FnMut(&mut T) -> Option<R>) -> R {
        let mut found = None;
        let value = self.value.lock().unwrap();
        let waiting = |value: &mut T| {
            found = look(value);
            found.is_none()
        };
        drop(self.changed.wait_timeout_while(value, PATIENCE, waiting).unwrap());
        found.unwrap_or_else(|| panic!("waited in vain for {what}"))
    }
}
