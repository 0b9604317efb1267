//! What an error leaves done, and what its caller is told. Each database tells its own errors apart.

use dframework_session_store::StoreError;
use sqlx::Error;

/// What an operation does to the table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Reads,
    Writes,
}

/// Why a call was not carried out.
pub(crate) enum Failure {
    /// Somebody else was in the way. Nothing was done, and to try again makes sense.
    Busy(Error),
    /// There is a row with this key already. Nothing was done.
    Taken,
    /// The database is as large as it may be, or its disk is full. Nothing was done.
    Full(Error),
    /// The database says that it will not do this. Nothing was done.
    Refused { why: String, source: Error },
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
    /// The disk or the connection failed while the database was at work.
    Broken(Error),
}

impl Failure {
    /// Whether to try again makes sense: whoever is in the way goes.
    pub(crate) fn is_busy(&self) -> bool {
        match self {
            Self::Busy(_) => true,
            Self::ConnectionLost(failure) => failure.is_busy(),
            _ => false,
        }
    }

    /// The same failure of a connection that was to be opened: nothing was asked of it yet.
    pub(crate) fn while_opening(self) -> Self {
        match self {
            Self::Broken(error) => Self::Opening(error),
            failure => failure,
        }
    }

    /// The same failure of a call that may have left a transaction open.
    pub(crate) fn with_connection_lost(self) -> Self {
        Self::ConnectionLost(Box::new(self))
    }

    /// Whether nothing was done, perhaps for the sake of one of several calls, so that each is to be tried by itself.
    pub(crate) fn may_be_of_one_call(&self) -> bool {
        match self {
            Self::Taken
            | Self::Full(_)
            | Self::Refused { .. }
            | Self::Unreadable(_)
            | Self::Schema(_) => true,
            Self::ConnectionLost(failure) => failure.may_be_of_one_call(),
            _ => false,
        }
    }

    /// Whether nothing was done, for a reason that may be over soon.
    pub(crate) fn may_pass(&self) -> bool {
        self.is_busy() || matches!(self, Self::NoConnection)
    }

    /// Whether the connection is as it was before the call. Any other is closed: no transaction may be left open.
    pub(crate) fn leaves_the_connection_whole(&self) -> bool {
        matches!(self, Self::Busy(_) | Self::Taken | Self::Unreadable(_) | Self::Schema(_))
    }

    /// What the caller of an operation is told. The database is named.
    pub(crate) fn into_error(self, database: &str, access: Access) -> StoreError {
        match self {
            Self::Busy(source) => {
                let message = format!("the session database {database} is locked by somebody else");
                StoreError::unavailable(message).with_source(source)
            }
            Self::Taken => taken(),
            Self::Full(source) => {
                let message =
                    format!("the session database {database} has no room, or its disk is full");
                StoreError::full(message).with_source(source)
            }
            Self::Refused { why, source } => {
                StoreError::refused(format!("the session database {database} {why}"))
                    .with_source(source)
            }
            Self::Unreadable(why) => {
                StoreError::refused(format!("a row in the session database {database} {why}"))
            }
            Self::Schema(why) => {
                StoreError::refused(format!("in the session database {database}, {why}"))
            }
            Self::NoConnection => {
                let message =
                    format!("no connection to the session database {database} was free in time");
                StoreError::unavailable(message)
            }
            Self::ConnectionLost(failure) => failure.into_error(database, access),
            Self::Opening(source) => {
                let message = format!("the session database {database} cannot be opened");
                StoreError::unavailable(message).with_source(source)
            }
            Self::Broken(source) => {
                let message =
                    format!("the session database {database} failed while it was at work");
                let error = match access {
                    Access::Reads => StoreError::unavailable(message),
                    Access::Writes => StoreError::unknown_outcome(message),
                };
                error.with_source(source)
            }
        }
    }
}

/// What whoever makes a record at a key that there is already is told.
pub(crate) fn taken() -> StoreError {
    StoreError::refused("the key of a new record is taken")
}
