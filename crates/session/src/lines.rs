//! The Set-Cookie lines of a response, one for each cookie.

use crate::cookie::Which;

/// Set-Cookie lines in the order in which they were first asked for.
#[derive(Default)]
pub(crate) struct Lines(Vec<(Which, String)>);

impl Lines {
    /// Sets the line of a cookie; an earlier one for it goes.
    pub(crate) fn put(&mut self, which: Which, line: String) {
        match self.0.iter_mut().find(|(other, _)| *other == which) {
            Some((_, old)) => *old = line,
            None => self.0.push((which, line)),
        }
    }

    /// Sets the line of a cookie that has none yet.
    pub(crate) fn put_new(&mut self, which: Which, line: impl FnOnce() -> String) {
        if self.0.iter().all(|(other, _)| *other != which) {
            self.0.push((which, line()));
        }
    }

    pub(crate) fn remove(&mut self, which: Which) {
        self.0.retain(|(other, _)| *other != which);
    }

    pub(crate) fn merge(&mut self, newer: &mut Self) {
        newer.0.drain(..).for_each(|(which, line)| self.put(which, line));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.0).into_iter().map(|(_, line)| line).collect()
    }
}
