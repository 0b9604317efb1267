//! Why a store could not do what it was asked.

use std::{error::Error, fmt};

/// Why a store could not do what it was asked.
///
/// The message names what failed; [`source`](Error::source) carries the cause.
#[derive(Debug)]
pub struct StoreError {
    kind: Kind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// The store could not be reached in time; nothing was done.
    Unavailable,
    /// The connection was lost after the request may have been carried out.
    UnknownOutcome,
    /// The store holds as much as it may.
    Full,
    /// The store answered that it will not do this.
    Refused,
}

impl StoreError {
    /// The store could not be reached, and nothing was done.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, message)
    }

    /// The store may or may not have done what it was asked.
    pub fn unknown_outcome(message: impl Into<String>) -> Self {
        Self::new(Kind::UnknownOutcome, message)
    }

    /// The store holds as much as it may, and nothing was done.
    pub fn full(message: impl Into<String>) -> Self {
        Self::new(Kind::Full, message)
    }

    /// The store answered that it will not do this: a missing table, a key that is taken.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Kind::Refused, message)
    }

    /// The same error with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether the step may have been carried out all the same, so that it must be looked up.
    pub fn outcome_is_unknown(&self) -> bool {
        self.kind == Kind::UnknownOutcome
    }

    /// Whether the store had no room for another record.
    pub fn is_full(&self) -> bool {
        self.kind == Kind::Full
    }

    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn Error + 'static))
    }
}
