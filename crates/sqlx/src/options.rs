//! How a store is made: the table's name, and how long a call waits.

use crate::{Pool, SqlStore, pool, schema::REGISTRY};
use dframework_session_store::StoreError;
use std::time::Duration;

/// What a name may have, since PostgreSQL keeps no more of an identifier.
const LONGEST_TABLE: usize = 63;

/// How a [`SqlStore`] is made, where the defaults do not fit.
///
/// ```
/// use dframework_session_sqlx::{SqlStore, sqlx::SqlitePool};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = SqlitePool::connect_lazy("sqlite://app.db")?;
/// let store = SqlStore::options().table("web_sessions").over(pool)?;
/// assert!(store.schema_sql().contains("web_sessions"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Options {
    pub(crate) table: String,
    pub(crate) patience: Duration,
    pub(crate) largest_batch: usize,
}

impl Default for Options {
    fn default() -> Self {
        // Shorter than the five seconds after which the caller gives up by default: a caller that gives up does not
        // know what happened, and an answer of the store says that nothing did.
        let patience = Duration::from_secs(4);
        Self { table: "sessions".to_owned(), patience, largest_batch: 128 }
    }
}

impl Options {
    /// The table, an SQL identifier: a letter or `_`, then letters, digits or `_`, at most 63. `sessions` by default.
    ///
    /// It has no schema in front of it. Where PostgreSQL looks for tables is a matter of the connection: a URL with
    /// `?options[search_path]=app` names it.
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = table.into();
        self
    }

    /// How long a call waits for a connection, or for a lock that somebody else holds, before it fails with nothing
    /// done. Four seconds by default.
    ///
    /// Keep it below `sessionStoreTimeout`: whoever is not answered in time has to look what happened.
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.patience = timeout;
        self
    }

    /// How many calls go to the database together at most, as one statement or one transaction. 128 by default.
    ///
    /// Only calls that wait go together, so nobody waits for a batch to fill. With 1, each call goes by itself, as it
    /// would without batches: for a comparison, or to look for what is wrong.
    pub fn largest_batch(mut self, calls: usize) -> Self {
        self.largest_batch = calls.max(1);
        self
    }

    /// A store on a pool of the application, whose settings stay as they are.
    ///
    /// The lanes hold four connections of it, of SQLite three, for as long as the store is used. A pool that has no more
    /// than that is not emptied: there, a lane gives its connection back after each call.
    ///
    /// Statements are prepared, as sqlx does it. A pool of PostgreSQL may lead to a pooler that cannot have that: a
    /// connection of the store's own, made once with the pool's options, finds it out. Then every statement of the store is
    /// one message, as by [`SqlStore::open`]. What the application itself asks of its pool is its own affair.
    ///
    /// # Errors
    ///
    /// The table's name is no identifier.
    pub fn over(self, pool: impl Into<Pool>) -> Result<SqlStore, StoreError> {
        self.check()?;
        let most = self.largest_batch;
        Ok(SqlStore::build(pool.into().backend(self), most))
    }

    /// A store on the database at this URL: see [`SqlStore::open`].
    ///
    /// # Errors
    ///
    /// As there, and when the table's name is no identifier.
    pub async fn open(self, url: &str) -> Result<SqlStore, StoreError> {
        self.check()?;
        let most = self.largest_batch;
        Ok(SqlStore::build(pool::open(url, self).await?, most))
    }

    fn check(&self) -> Result<(), StoreError> {
        let table = &self.table;
        let is_identifier = table.len() <= LONGEST_TABLE
            && table.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && table.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let lower = table.to_ascii_lowercase();
        // The store itself needs the one, SQLite the others.
        if is_identifier && lower != REGISTRY && !lower.starts_with("sqlite_") {
            return Ok(());
        }
        Err(StoreError::refused(format!(
            "the table {table:?} cannot be used: a letter or _, then letters, digits or _ are allowed, at most {LONGEST_TABLE}"
        )))
    }
}
