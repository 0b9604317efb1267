//! A value's name and its JSON text, in one allocation: an operation and what it has put share it.

use smallvec::SmallVec;
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

/// Where a value is written before its length is known. Most fit without an allocation.
pub(super) struct Unfinished {
    text: SmallVec<[u8; 256]>,
    key_length: usize,
}

impl Unfinished {
    pub(super) fn new(key: &str) -> Self {
        Self { text: SmallVec::from_slice(key.as_bytes()), key_length: key.len() }
    }

    pub(super) fn finish(&self) -> Named {
        Named { text: self.text.as_slice().into(), key_length: self.key_length }
    }
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.text.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
