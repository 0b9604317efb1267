//! What an error of SQLite leaves done.

use crate::failure::Failure;
use sqlx::Error;

/// The primary result codes of SQLite: <https://www.sqlite.org/rescode.html>.
mod code {
    pub(super) const ERROR: i32 = 1;
    pub(super) const PERM: i32 = 3;
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const READONLY: i32 = 8;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANTOPEN: i32 = 14;
    pub(super) const PROTOCOL: i32 = 15;
    pub(super) const TOOBIG: i32 = 18;
    pub(super) const CONSTRAINT: i32 = 19;
    pub(super) const AUTH: i32 = 23;
    pub(super) const NOTADB: i32 = 26;
}

/// The failure of a statement. SQLite undoes a statement that fails, so nothing was done, except where the disk
/// itself fails: what was written to it may still count after a crash.
pub(super) fn classify(error: Error) -> Failure {
    let Some(code) = primary_code(&error) else {
        return match error {
            Error::PoolTimedOut => Failure::NoConnection,
            _ => Failure::Broken(error),
        };
    };
    match code {
        // The last one: SQLite has lost the race for a place in the log too often.
        code::BUSY | code::LOCKED | code::PROTOCOL => Failure::Busy(error),
        code::CONSTRAINT if is_taken_key(&error) => Failure::Taken,
        code::FULL => Failure::Full(error),
        code::ERROR => Failure::NoTable(error),
        _ => match refusal(code) {
            Some(why) => Failure::Refused { why, source: error },
            None => Failure::Broken(error),
        },
    }
}

/// What the codes say that come from a look at the statement or the file, before anything is written.
fn refusal(code: i32) -> Option<&'static str> {
    match code {
        code::READONLY | code::PERM | code::AUTH => Some("may not be written"),
        code::CORRUPT => Some("is damaged"),
        code::NOTADB => Some("is no SQLite database"),
        code::CANTOPEN => Some("cannot be opened"),
        code::TOOBIG | code::CONSTRAINT => Some("does not take such a record"),
        _ => None,
    }
}

fn primary_code(error: &Error) -> Option<i32> {
    let extended: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & 0xff)
}

fn is_taken_key(error: &Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}
