//! What an error of PostgreSQL leaves done.

use crate::failure::Failure;
use sqlx::{
    Error,
    postgres::{PgDatabaseError, PgSeverity},
};

/// What poolers are in the way of, and what helps.
pub(super) const POOLER: &str = "is behind a pooler: its URL needs ?statement-cache-capacity=0";

/// The failure of a statement. A statement that the server refuses is undone, and a server that closes a connection
/// with a reason has undone it too: it looks for such reasons only where nothing is being committed.
pub(super) fn classify(error: Error) -> Failure {
    let Some(told) = error.as_database_error().and_then(|told| told.try_downcast_ref()) else {
        return match error {
            Error::PoolTimedOut => Failure::NoConnection,
            Error::Encode(_) | Error::Decode(_) | Error::ColumnDecode { .. } => {
                Failure::Refused { why: "cannot be asked that", source: error }
            }
            _ => Failure::Disconnected(error),
        };
    };
    let told: &PgDatabaseError = told;
    let is_fatal = matches!(told.severity(), PgSeverity::Fatal | PgSeverity::Panic);
    let why = match told.code() {
        "23505" => return Failure::Taken,
        // A deadlock, a conflict of transactions, a lock or a statement that took too long.
        "40P01" | "40001" | "55P03" | "57014" => return Failure::Busy(error),
        "42P01" | "42703" | "42804" | "3F000" => return Failure::NoTable(error),
        "53100" => return Failure::Full(error),
        "53300" => {
            return Failure::NotYet { why: "has no connection left to give", source: error };
        }
        "57P03" => return Failure::NotYet { why: "is starting or ending", source: error },
        // The server ends this connection, or a plan that it had prepared fits no longer.
        "57P01" | "57P05" | "25P03" => return Failure::Lost(error),
        "0A000" if told.message().contains("cached plan") => return Failure::Lost(error),
        "28P01" | "28000" => "does not let this user in, or not with this password",
        "3D000" => "is not there",
        "25006" => "can only be read: it is a replica, or set so",
        "42501" => "does not let this user do that",
        "26000" | "42P05" => {
            "lost a prepared statement: behind a pooler, its URL needs ?statement-cache-capacity=0"
        }
        "08P01" if told.message().contains("startup parameter") => POOLER,
        "XX001" | "XX002" => "is damaged",
        code if is_fatal || code.starts_with("08") => return Failure::Disconnected(error),
        code if code.starts_with("22") || code.starts_with("23") || code.starts_with("54") => {
            "does not take such a record"
        }
        _ => "refused",
    };
    Failure::Refused { why, source: error }
}
