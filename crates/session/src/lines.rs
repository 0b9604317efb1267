//! The Set-Cookie lines of a response, one for each cookie.

use crate::cookie::Which;
use smallvec::SmallVec;

/// Set-Cookie lines in the order in which they were first asked for.
#[derive(Default)]
pub(crate) struct Lines {
    /// Whose lines they are.
    cookies: SmallVec<[Which; 8]>,
    /// Apart, since a response takes them as they are.
    lines: Vec<String>,
}

impl Lines {
    /// Sets the line of a cookie; an earlier one for it goes.
    pub(crate) fn put(&mut self, which: Which, line: String) {
        match self.position(which) {
            Some(at) => self.lines[at] = line,
            None => self.push(which, line),
        }
    }

    /// Sets the line of a cookie that has none yet.
    pub(crate) fn put_new(&mut self, which: Which, line: impl FnOnce() -> String) {
        if self.position(which).is_none() {
            self.push(which, line());
        }
    }

    pub(crate) fn remove(&mut self, which: Which) {
        if let Some(at) = self.position(which) {
            self.cookies.remove(at);
            self.lines.remove(at);
        }
    }

    /// Sets these lines too, and leaves none there.
    pub(crate) fn merge(&mut self, newer: &mut Self) {
        if self.is_empty() {
            std::mem::swap(self, newer);
            return;
        }
        let cookies = newer.cookies.drain(..);
        cookies.zip(newer.lines.drain(..)).for_each(|(which, line)| self.put(which, line));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.cookies.clear();
        self.lines.clear();
    }

    pub(crate) fn take(&mut self) -> Vec<String> {
        self.cookies.clear();
        std::mem::take(&mut self.lines)
    }

    fn position(&self, which: Which) -> Option<usize> {
        self.cookies.iter().position(|other| *other == which)
    }

    fn push(&mut self, which: Which, line: String) {
        self.cookies.push(which);
        if self.lines.is_empty() {
            // Most responses have no second line.
            self.lines = vec![line];
        } else {
            self.lines.push(line);
        }
    }
}
