//! Counts the statements that sqlx tells of, and the rounds that a library lost.

use std::sync::atomic::{AtomicU64, Ordering};
use tracing::{
    Event, Metadata, Subscriber,
    span::{Attributes, Id, Record},
    subscriber::SetGlobalDefaultError,
};

static STATEMENTS: AtomicU64 = AtomicU64::new(0);
static ROUNDS: AtomicU64 = AtomicU64::new(0);

/// Begins to count statements.
pub(crate) fn count() -> Result<(), SetGlobalDefaultError> {
    tracing::subscriber::set_global_default(Counter)
}

/// Statements so far.
pub(crate) fn statements() -> u64 {
    STATEMENTS.load(Ordering::Relaxed)
}

/// Notes that a write found that another one had come first.
pub fn round_was_lost() {
    ROUNDS.fetch_add(1, Ordering::Relaxed);
}

/// Lost rounds so far.
pub(crate) fn lost_rounds() -> u64 {
    ROUNDS.load(Ordering::Relaxed)
}

struct Counter;

impl Subscriber for Counter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        STATEMENTS.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
