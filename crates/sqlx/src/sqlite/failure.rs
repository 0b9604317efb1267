//! What an error of SQLite leaves done, and what its caller is told.

use dframework_session_store::StoreError;
use sqlx::Error;

/// Whether an operation may change anything.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Reads,
    Writes,
}

/// Why a call was not carried out.
pub(crate) enum Failure {
    /// Somebody else holds the lock. Nothing was done.
    Busy(Error),
    /// There is a row with this key already. Nothing was done.
    Taken,
    /// The database is as large as it may be, or its disk is full. Nothing was done.
    Full(Error),
    /// SQLite says that it will not do this. Nothing was done.
    Refused { why: &'static str, source: Error },
    /// A row does not hold what the library has written there. Nothing was done.
    Unreadable(&'static str),
    /// The table is not one that this version can use. Nothing was done.
    Schema(String),
    /// No connection was free in time. Nothing was done.
    NoConnection,
    /// As the failure within, and the connection is in a state that nobody knows.
    ConnectionLost(Box<Failure>),
    /// A connection could not be opened. Nothing was done.
    Opening(Error),
    /// The disk or the connection failed while SQLite was at work.
    Broken(Error),
}

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

impl From<Error> for Failure {
    /// The failure of a statement. SQLite undoes a statement that fails, so nothing was done, except where the disk
    /// itself fails: what was written to it may still count after a crash.
    fn from(error: Error) -> Self {
        let Some(code) = primary_code(&error) else {
            return match error {
                Error::PoolTimedOut => Self::NoConnection,
                _ => Self::Broken(error),
            };
        };
        match code {
            // The last one: SQLite has lost the race for a place in the log too often.
            code::BUSY | code::LOCKED | code::PROTOCOL => Self::Busy(error),
            code::CONSTRAINT if is_taken_key(&error) => Self::Taken,
            code::FULL => Self::Full(error),
            _ => match refusal(code) {
                Some(why) => Self::Refused { why, source: error },
                None => Self::Broken(error),
            },
        }
    }
}

/// What the codes say that come from a look at the statement or the file, before anything is written.
fn refusal(code: i32) -> Option<&'static str> {
    match code {
        code::ERROR => Some("has no such table or another one: was `migrate` called?"),
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

impl Failure {
    /// The failure of a connection that was to be opened: nothing was asked of it yet.
    pub(crate) fn opening(error: Error) -> Self {
        match Self::from(error) {
            Self::Broken(error) => Self::Opening(error),
            failure => failure,
        }
    }

    /// Whether to try again makes sense: whoever holds the lock gives it back.
    pub(crate) fn is_busy(&self) -> bool {
        match self {
            Self::Busy(_) => true,
            Self::ConnectionLost(failure) => failure.is_busy(),
            _ => false,
        }
    }

    /// The same failure of a call that may have left a transaction open.
    pub(crate) fn with_connection_lost(self) -> Self {
        Self::ConnectionLost(Box::new(self))
    }

    /// Whether the connection is as it was before the call. Any other is closed: no transaction may be left open.
    pub(crate) fn leaves_the_connection_whole(&self) -> bool {
        matches!(self, Self::Busy(_) | Self::Taken | Self::Unreadable(_) | Self::Schema(_))
    }

    /// What the caller of an operation is told. The database is named.
    pub(crate) fn into_error(self, file: &str, access: Access) -> StoreError {
        match self {
            Self::Busy(source) => {
                let message = format!("the session database {file} is locked by somebody else");
                StoreError::unavailable(message).with_source(source)
            }
            Self::Taken => StoreError::refused("the key of a new record is taken"),
            Self::Full(source) => {
                let message =
                    format!("the session database {file} has no room, or its disk is full");
                StoreError::full(message).with_source(source)
            }
            Self::Refused { why, source } => {
                StoreError::refused(format!("the session database {file} {why}"))
                    .with_source(source)
            }
            Self::Unreadable(why) => {
                StoreError::refused(format!("a row in the session database {file} {why}"))
            }
            Self::Schema(why) => {
                StoreError::refused(format!("in the session database {file}, {why}"))
            }
            Self::NoConnection => {
                let message =
                    format!("no connection to the session database {file} was free in time");
                StoreError::unavailable(message)
            }
            Self::ConnectionLost(failure) => failure.into_error(file, access),
            Self::Opening(source) => {
                let message = format!("the session database {file} cannot be opened");
                StoreError::unavailable(message).with_source(source)
            }
            Self::Broken(source) => {
                let message = format!("the session database {file} failed while it was at work");
                let error = match access {
                    Access::Reads => StoreError::unavailable(message),
                    Access::Writes => StoreError::unknown_outcome(message),
                };
                error.with_source(source)
            }
        }
    }

    /// What whoever opens the database is told.
    pub(super) fn into_opening_error(self, file: &str) -> StoreError {
        self.into_error(file, Access::Reads)
    }
}
