//! How large a message may be.
//!
//! A server closes the connection on whoever sends a larger one, and the reason that it gives is lost with what it has
//! not read. So each new connection is asked, and what is too large is not sent.

use super::{MySql, failure::TOO_LARGE};
use crate::{
    engine::{Connection, ask},
    failure::Failure,
    sql::Value,
};
use sqlx::Error;
use std::sync::atomic::{AtomicU64, Ordering};

/// From this length on, the server takes no message. It is that of the connection which was opened last.
pub(super) struct Largest(AtomicU64);

/// As long as nothing is known, all is sent.
impl Default for Largest {
    fn default() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }
}

impl Largest {
    pub(super) async fn learn(&self, connection: &mut Connection<MySql>) -> Result<(), Failure> {
        let look = "SELECT CAST(@@max_allowed_packet AS SIGNED)";
        if let Some(Ok(length)) = ask::<MySql>(connection, look).await?.map(u64::try_from) {
            self.0.store(length, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The connection is closed after a refusal, so that the next one learns of a limit that was raised.
    pub(super) fn check(&self, values: &[&Value<'_>]) -> Result<(), Failure> {
        let (length, largest) = (message(values), self.0.load(Ordering::Relaxed));
        if length < largest {
            return Ok(());
        }
        let sizes = format!("of {length} bytes, and less than {largest} are taken");
        Err(Failure::Refused { why: TOO_LARGE, source: Error::Configuration(sizes.into()) })
    }
}

/// How long the message is that carries a prepared statement out: what is fixed, which values are NULL and of which type
/// each is, and the values.
fn message(values: &[&Value<'_>]) -> u64 {
    const FIXED: u64 = 1 + 4 + 1 + 4 + 1;
    let places: u64 = values.iter().map(|value| places(value)).sum();
    FIXED + places.div_ceil(8) + 2 * places + values.iter().map(|value| length(value)).sum::<u64>()
}

fn places(value: &Value<'_>) -> u64 {
    match value {
        Value::Keys(keys) => keys.len() as u64,
        _ => 1,
    }
}

fn length(value: &Value<'_>) -> u64 {
    match value {
        Value::Number(_) => 8,
        Value::Bytes(bytes) => with_length(bytes),
        Value::Owner(owner) => owner.map_or(0, |owner| with_length(owner.as_bytes())),
        Value::Keys(keys) => keys.iter().map(|key| with_length(key.as_bytes())).sum(),
        // There are no arrays.
        Value::Numbers(_) | Value::Blobs(_) => 0,
    }
}

/// The bytes, and their length before them.
fn with_length(bytes: &[u8]) -> u64 {
    let before = match bytes.len() {
        0..=250 => 1,
        251..=0xffff => 3,
        0x1_0000..=0xff_ffff => 4,
        _ => 9,
    };
    before + bytes.len() as u64
}
