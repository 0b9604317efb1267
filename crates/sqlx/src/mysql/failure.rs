//! What an error of MariaDB or MySQL leaves done.

use crate::failure::Failure;
use sqlx::{Error, mysql::MySqlDatabaseError};

pub(super) const TOO_LARGE: &str =
    "does not take a message of that size: raise `max_allowed_packet`";

/// The failure of a statement. A statement that the server refuses is undone, and so is one that it ends with its
/// connection and says so.
pub(super) fn classify(error: Error) -> Failure {
    let told = error.as_database_error().and_then(|told| told.try_downcast_ref());
    let Some(told): Option<&MySqlDatabaseError> = told else {
        return match error {
            Error::PoolTimedOut => Failure::NoConnection,
            Error::Encode(_) | Error::Decode(_) | Error::ColumnDecode { .. } => {
                Failure::Refused { why: "cannot be asked that", source: error }
            }
            _ => Failure::Disconnected(error),
        };
    };
    let why = match told.number() {
        1062 => return Failure::Taken,
        // A lock or a statement that took too long, a deadlock, a conflict of transactions.
        1020 | 1205 | 1213 | 1317 | 1969 | 3024 | 3572 => return Failure::Busy(error),
        1054 | 1146 => return Failure::NoTable(error),
        1021 | 1114 => return Failure::Full(error),
        1040 | 1203 | 1226 => {
            return Failure::NotYet { why: "has no connection left to give", source: error };
        }
        // The server ends, or ends this connection.
        1053 | 1927 | 4031 => return Failure::Lost(error),
        1045 | 1251 | 1698 => "does not let this user in, or not with this password",
        1046 => "is not named in its URL",
        1049 => "is not there",
        1044 | 1142 | 1143 | 1227 | 1370 => "does not let this user do that",
        1290 | 1792 | 1836 => "can only be read: it is a replica, or set so",
        1153 | 1301 => TOO_LARGE,
        1264 | 1366 | 1406 | 3819 | 4025 => "does not take such a record",
        _ => "refused",
    };
    Failure::Refused { why, source: error }
}
