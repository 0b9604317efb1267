//! What an error leaves done, and what its caller is told. Each database tells its own errors apart.

use dframework_session_store::StoreError;
use sqlx::Error;

/// What an operation does to the table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Reads,
    Writes,
    /// Makes or changes the table itself, which takes as long as it takes.
    Rebuilds,
}

/// Why a call was not carried out.
pub(crate) enum Failure {
    /// Somebody else was in the way. Nothing was done.
    Busy(Error),
    /// There is a row with this key already. Nothing was done.
    Taken,
    /// The database is as large as it may be, or its disk is full. Nothing was done.
    Full(Error),
    /// There is no table, or one that has other columns. Nothing was done.
    NoTable(Error),
    /// The database says that it will not do this. Nothing was done.
    Refused { why: &'static str, source: Error },
    /// A row does not hold what the library has written there. Nothing was done.
    Unreadable(&'static str),
    /// The table is not one that this version can use. Nothing was done.
    Schema(String),
    /// No connection of the pool was free in time. Nothing was done.
    NoConnection,
    /// A connection was not answered in time. Nothing was done.
    Unreachable,
    /// Its time was over before its turn came. Nothing was done.
    Late,
    /// A connection could not be opened. Nothing was done.
    Opening(Error),
    /// As the one before, and soon it may be possible.
    NotYet { why: &'static str, source: Error },
    /// The connection has ended, and nothing was done.
    Lost(Error),
    /// As the failure within, and the connection is in a state that nobody knows.
    ConnectionLost(Box<Failure>),
    /// As the failure within, and some of what was asked had been done before.
    InPart(Box<Failure>),
    /// The connection ended while the database was at work.
    Disconnected(Error),
    /// The disk failed while the database was at work.
    Broken(Error),
    /// The database did not answer in time.
    Unanswered,
}

/// What makes sense after a failure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// To try again while there is time.
    Again,
    /// To try once more, with another connection.
    Once,
    /// To say so.
    Stop,
}

impl Failure {
    /// What makes sense now.
    pub(crate) fn next(&self, access: Access) -> Next {
        match self {
            Self::Busy(_) | Self::NotYet { .. } | Self::Lost(_) => Next::Again,
            Self::ConnectionLost(failure) | Self::InPart(failure) => failure.next(access),
            Self::Disconnected(_) if access == Access::Reads => Next::Once,
            _ => Next::Stop,
        }
    }

    /// The same failure of a connection that was to be opened: nothing was asked of it yet.
    pub(crate) fn while_opening(self) -> Self {
        match self {
            Self::Broken(error) | Self::Disconnected(error) | Self::Lost(error) => {
                Self::Opening(error)
            }
            failure => failure,
        }
    }

    /// The same failure of a step in a transaction that was never committed: the database undoes it.
    pub(crate) fn before_the_commit(self) -> Self {
        match self {
            Self::Disconnected(error) => Self::Lost(error),
            failure => failure,
        }
    }

    /// The same failure of a call that may have left a transaction open.
    pub(crate) fn with_connection_lost(self) -> Self {
        Self::ConnectionLost(Box::new(self))
    }

    /// The same failure of a call of several steps, of which some were done for good.
    pub(crate) fn in_part(self) -> Self {
        Self::InPart(Box::new(self))
    }

    /// Whether nothing was done, perhaps for the sake of one of several calls, so that each is to be tried by itself.
    pub(crate) fn may_be_of_one_call(&self) -> bool {
        match self {
            Self::Taken
            | Self::Full(_)
            | Self::NoTable(_)
            | Self::Refused { .. }
            | Self::Unreadable(_)
            | Self::Schema(_) => true,
            Self::ConnectionLost(failure) => failure.may_be_of_one_call(),
            _ => false,
        }
    }

    /// Whether it says less than an earlier failure of the same call: that some of it was done, or why it was not.
    pub(crate) fn says_less_than(&self, earlier: &Self) -> bool {
        let is_mere_end = matches!(self, Self::Late | Self::NoConnection | Self::Unreachable);
        is_mere_end || matches!(earlier, Self::InPart(_))
    }

    /// Whether nothing was done, for a reason that may be over soon.
    pub(crate) fn may_pass(&self) -> bool {
        self.next(Access::Writes) == Next::Again || matches!(self, Self::NoConnection | Self::Late)
    }

    /// Whether the connection is as it was before the call. Any other is closed: no transaction may be left open.
    pub(crate) fn leaves_the_connection_whole(&self) -> bool {
        match self {
            Self::Busy(_) | Self::Taken | Self::Unreadable(_) | Self::Schema(_) | Self::Late => {
                true
            }
            Self::InPart(failure) => failure.leaves_the_connection_whole(),
            _ => false,
        }
    }

    /// What the caller of an operation is told. Database and table are named.
    pub(crate) fn into_error(self, database: &str, table: &str, access: Access) -> StoreError {
        let that = |what: &str| format!("the session database {database} {what}");
        match self {
            Self::Busy(source) => {
                StoreError::unavailable(that("is locked by somebody else")).with_source(source)
            }
            Self::Taken => taken(),
            Self::Full(source) => {
                StoreError::full(that("has no room, or its disk is full")).with_source(source)
            }
            Self::NoTable(source) => {
                let what = format!("has no table {table:?}, or another one: was `migrate` called?");
                StoreError::refused(that(&what)).with_source(source)
            }
            Self::Refused { why, source } => StoreError::refused(that(why)).with_source(source),
            Self::Unreadable(why) => {
                StoreError::refused(format!("a row in the session database {database} {why}"))
            }
            Self::Schema(why) => {
                StoreError::refused(format!("in the session database {database}, {why}"))
            }
            Self::NoConnection => StoreError::unavailable(format!(
                "no connection to the session database {database} was free in time"
            )),
            Self::Late => StoreError::unavailable(that("was busy with other calls for too long")),
            Self::Unreachable => StoreError::unavailable(that("cannot be reached in time")),
            Self::ConnectionLost(failure) => failure.into_error(database, table, access),
            Self::InPart(failure) => {
                let cause = failure.into_error(database, table, access);
                StoreError::unknown_outcome(that("has done a part of what was asked"))
                    .with_source(cause)
            }
            Self::Opening(source) => {
                StoreError::unavailable(that("cannot be opened")).with_source(source)
            }
            Self::NotYet { why, source } => StoreError::unavailable(that(why)).with_source(source),
            Self::Lost(source) => {
                StoreError::unavailable(that("has closed the connection")).with_source(source)
            }
            Self::Disconnected(source) => {
                in_doubt(that("was lost while it was at work"), access).with_source(source)
            }
            Self::Broken(source) => {
                in_doubt(that("failed while it was at work"), access).with_source(source)
            }
            Self::Unanswered => in_doubt(that("did not answer in time"), access),
        }
    }
}

/// What whoever makes a record at a key that there is already is told.
pub(crate) fn taken() -> StoreError {
    StoreError::refused("the key of a new record is taken")
}

/// An error of which nobody knows what it leaves done, unless nothing was to be done.
fn in_doubt(message: String, access: Access) -> StoreError {
    match access {
        Access::Reads => StoreError::unavailable(message),
        Access::Writes | Access::Rebuilds => StoreError::unknown_outcome(message),
    }
}
