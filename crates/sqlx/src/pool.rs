//! Where a store has its connections from: a pool of the application, or a URL.

#[cfg(feature = "mysql")]
use crate::mysql;
#[cfg(feature = "postgres")]
use crate::postgres;
#[cfg(feature = "sqlite")]
use crate::sqlite;
use crate::{Options, lane::Backend};
use dframework_session_store::StoreError;
use std::{fmt, sync::Arc, time::Duration};

/// A pool of the application, of any database that this build has.
///
/// Whatever takes one also takes the pools of sqlx themselves: `SqlitePool`, `PgPool` or `MySqlPool`.
#[derive(Clone)]
pub struct Pool(Kind);

#[derive(Clone)]
enum Kind {
    #[cfg(feature = "mysql")]
    MySql(sqlx::MySqlPool),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgPool),
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::SqlitePool),
}

#[cfg(feature = "mysql")]
impl From<sqlx::MySqlPool> for Pool {
    fn from(pool: sqlx::MySqlPool) -> Self {
        Self(Kind::MySql(pool))
    }
}

#[cfg(feature = "postgres")]
impl From<sqlx::PgPool> for Pool {
    fn from(pool: sqlx::PgPool) -> Self {
        Self(Kind::Postgres(pool))
    }
}

#[cfg(feature = "sqlite")]
impl From<sqlx::SqlitePool> for Pool {
    fn from(pool: sqlx::SqlitePool) -> Self {
        Self(Kind::Sqlite(pool))
    }
}

/// Shows which database it is.
impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            #[cfg(feature = "mysql")]
            Kind::MySql(_) => "Pool(MySQL)",
            #[cfg(feature = "postgres")]
            Kind::Postgres(_) => "Pool(PostgreSQL)",
            #[cfg(feature = "sqlite")]
            Kind::Sqlite(_) => "Pool(SQLite)",
        })
    }
}

/// A table in a database, and how long its calls wait.
pub(crate) type Opened = (Arc<dyn Backend>, Duration);

impl Pool {
    pub(crate) fn backend(self, options: Options) -> Opened {
        let Options { table, patience, .. } = options;
        let backend: Arc<dyn Backend> = match self.0 {
            #[cfg(feature = "mysql")]
            Kind::MySql(pool) => Arc::new(mysql::over(pool, table, patience)),
            #[cfg(feature = "postgres")]
            Kind::Postgres(pool) => Arc::new(postgres::over(pool, table, patience)),
            #[cfg(feature = "sqlite")]
            Kind::Sqlite(pool) => Arc::new(sqlite::Sqlite::over(pool, table, patience)),
        };
        (backend, patience)
    }
}

/// On the database at this URL.
pub(crate) async fn open(url: &str, options: Options) -> Result<Opened, StoreError> {
    let Options { table, patience, .. } = options;
    // What stands behind the scheme may hold a password.
    let scheme = url.split_once(':').map_or("none", |(scheme, _)| scheme);
    let backend: Arc<dyn Backend> = match scheme {
        #[cfg(feature = "mysql")]
        "mysql" | "mariadb" => Arc::new(mysql::open(url, table, patience).await?),
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => Arc::new(postgres::open(url, table, patience).await?),
        #[cfg(feature = "sqlite")]
        "sqlite" => Arc::new(sqlite::open(url, table, patience).await?),
        _ => return Err(unknown(scheme)),
    };
    Ok((backend, patience))
}

/// What a URL may begin with, and the feature that it needs.
const SCHEMES: &[(&str, &str)] = &[
    ("sqlite", "sqlite"),
    ("postgres", "postgres"),
    ("postgresql", "postgres"),
    ("mysql", "mysql"),
    ("mariadb", "mysql"),
];

fn unknown(scheme: &str) -> StoreError {
    let feature = SCHEMES.iter().find(|(known, _)| *known == scheme).map(|(_, feature)| feature);
    StoreError::refused(match feature {
        Some(feature) => format!(
            "the URL of the session database has the scheme {scheme}, for which the feature `{feature}` must be on"
        ),
        None => format!(
            "the URL of the session database has the scheme {scheme}; known are sqlite, postgres, mysql and mariadb"
        ),
    })
}
