//! The only reader of time.

use dframework_session_store::Timestamp;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

/// Where the library reads the time: the system's clock, or one that a test moves by hand.
///
/// ```
/// use dframework_session::Clock;
/// use std::time::Duration;
///
/// let clock = Clock::manual();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(7200));
/// assert_eq!(clock.now().saturating_since(before), Duration::from_secs(7200));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    /// Milliseconds since 1970.
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The system's clock: the default.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still at 2026-01-01 00:00 UTC until it is moved. Clones move together.
    pub fn manual() -> Self {
        Self(Source::Manual(Arc::new(AtomicU64::new(1_767_225_600_000))))
    }

    /// Moves a manual clock ahead. The system's clock goes its own way.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(millis) = &self.0 {
            let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
            millis.fetch_add(by, Ordering::SeqCst);
        }
    }

    /// The current instant.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => SystemTime::now().into(),
            Source::Manual(millis) => Timestamp::from_millis(millis.load(Ordering::SeqCst)),
        }
    }
}
