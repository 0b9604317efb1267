//! Instants, as stores keep them: whole milliseconds, and no clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An instant, in whole milliseconds since 1970-01-01 00:00 UTC.
///
/// Arithmetic saturates: an instant that does not fit is the last one that does.
///
/// ```
/// use dframework_session_store::Timestamp;
/// use std::time::Duration;
///
/// let login = Timestamp::from_millis(1_000);
/// let end = login.saturating_add(Duration::from_secs(2));
/// assert_eq!(end.as_millis(), 3_000);
/// assert_eq!(end.saturating_since(login), Duration::from_secs(2));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The last instant that can be told.
    ///
    /// It is also the last that fits a signed 64-bit column.
    pub const MAX: Self = Self(i64::MAX as u64);

    /// The instant this many milliseconds after 1970-01-01 00:00 UTC.
    pub const fn from_millis(millis: u64) -> Self {
        if millis > Self::MAX.0 { Self::MAX } else { Self(millis) }
    }

    /// Milliseconds since 1970-01-01 00:00 UTC.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The instant this long after `self`, or [`Timestamp::MAX`].
    #[must_use]
    pub fn saturating_add(self, span: Duration) -> Self {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// How long after `earlier` this instant is; zero when it is not after it.
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Instants before 1970 become 1970.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        Self(0).saturating_add(time.duration_since(UNIX_EPOCH).unwrap_or_default())
    }
}
