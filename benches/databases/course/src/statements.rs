//! Counts the statements that sqlx tells of.

use std::sync::atomic::{AtomicU64, Ordering};
use tracing::{
    Event, Metadata, Subscriber,
    span::{Attributes, Id, Record},
    subscriber::SetGlobalDefaultError,
};

static COUNTED: AtomicU64 = AtomicU64::new(0);

/// Begins to count.
pub(crate) fn count() -> Result<(), SetGlobalDefaultError> {
    tracing::subscriber::set_global_default(Counter)
}

pub(crate) fn counted() -> u64 {
    COUNTED.load(Ordering::Relaxed)
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
        COUNTED.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
