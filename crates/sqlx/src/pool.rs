//! Where a store has its connections from: a pool of the application, or a URL.

use crate::{Options, lane::Backend, sqlite};
use dframework_session_store::StoreError;
use std::{fmt, sync::Arc, time::Duration};

/// A pool of the application, of any database that this build has.
///
/// Whatever takes one also takes the pools of sqlx themselves: `SqlitePool`.
#[derive(Clone)]
pub struct Pool(Kind);

#[derive(Clone)]
enum Kind {
    Sqlite(sqlx::SqlitePool),
}

impl From<sqlx::SqlitePool> for Pool {
    fn from(pool: sqlx::SqlitePool) -> Self {
        Self(Kind::Sqlite(pool))
    }
}

/// Shows which database it is.
impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Sqlite(_) => "Pool(SQLite)",
        })
    }
}

impl Pool {
    pub(crate) fn backend(self, options: Options) -> (Arc<dyn Backend>, Duration) {
        let Options { table, patience, .. } = options;
        let backend: Arc<dyn Backend> = match self.0 {
            Kind::Sqlite(pool) => Arc::new(sqlite::Sqlite::over(pool, table, patience)),
        };
        (backend, patience)
    }
}

/// On the database at this URL.
pub(crate) async fn open(
    url: &str,
    options: Options,
) -> Result<(Arc<dyn Backend>, Duration), StoreError> {
    let Options { table, patience, .. } = options;
    let backend: Arc<dyn Backend> = Arc::new(sqlite::open(url, table, patience).await?);
    Ok((backend, patience))
}
