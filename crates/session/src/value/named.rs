//! A value's name and its JSON text, in one allocation: an operation and what it has put share it.

use std::{
    io::{self, Write},
    sync::Arc,
};

/// A name, and the JSON text of its value behind it.
#[derive(Clone)]
pub(crate) struct Named {
    /// Bytes: keys are ordered and compared by them, and nobody reads JSON as text but a parser that checks them
    /// anyway.
    text: Arc<[u8]>,
    key_length: usize,
}

impl Named {
    /// A name and the parts of its JSON text.
    pub(crate) fn new(key: &str, json: &[&[u8]]) -> Self {
        let text = [&[key.as_bytes()], json].concat().concat();
        Self { text: text.into(), key_length: key.len() }
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.text[..self.key_length]
    }

    /// The name as text.
    pub(crate) fn name(&self) -> &str {
        // It was a `&str` when it came.
        std::str::from_utf8(self.key()).unwrap_or_default()
    }

    pub(crate) fn json(&self) -> &[u8] {
        &self.text[self.key_length..]
    }

    /// The name and the JSON text.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }
}

/// A name without a value.
impl From<Arc<str>> for Named {
    fn from(key: Arc<str>) -> Self {
        Self { key_length: key.len(), text: key.into() }
    }
}

/// How much is written without an allocation.
const SHORT: usize = 128;

/// A name and a value that is being written behind it.
pub(super) struct Unfinished {
    /// What was written, as long as it is short.
    short: [u8; SHORT],
    length: usize,
    /// All that was written, once it is long.
    long: Vec<u8>,
    key_length: usize,
}

impl Unfinished {
    /// Nothing yet: it stays where it is made, and the name is the first thing that is written.
    #[inline]
    pub(super) fn nothing() -> Self {
        Self { short: [0; SHORT], length: 0, long: Vec::new(), key_length: 0 }
    }

    #[inline]
    pub(super) fn begin(&mut self, key: &str) {
        self.key_length = key.len();
        self.push(key.as_bytes());
    }

    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8]) {
        match self.short.get_mut(self.length..self.length + bytes.len()) {
            Some(place) if self.long.is_empty() => {
                place.copy_from_slice(bytes);
                self.length += bytes.len();
            }
            _ => self.push_long(bytes),
        }
    }

    #[cold]
    fn push_long(&mut self, bytes: &[u8]) {
        if self.long.is_empty() {
            self.long.extend_from_slice(&self.short[..self.length]);
        }
        self.long.extend_from_slice(bytes);
    }

    pub(super) fn finish(&self) -> Named {
        let text = if self.long.is_empty() { &self.short[..self.length] } else { &self.long };
        Named { text: text.into(), key_length: self.key_length }
    }
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.push(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
