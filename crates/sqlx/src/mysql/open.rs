//! Opens a database by its URL, and takes pools of the application.

use super::MySql;
use crate::{
    engine::{Source, Table},
    lane::reach,
    parameters,
};
use dframework_session_store::StoreError;
use sqlx::{ConnectOptions, MySqlPool, mysql::MySqlConnectOptions};
use std::{str::FromStr, time::Duration};

/// What sqlx reads of a URL.
const PARAMETERS: &[&str] = &[
    "sslmode",
    "ssl-mode",
    "sslca",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "charset",
    "collation",
    "statement-cache-capacity",
    "socket",
    "timezone",
    "time-zone",
];

/// On a pool of the application.
pub(crate) fn over(pool: MySqlPool, table: String, patience: Duration) -> Table<MySql> {
    let database = name(&pool.connect_options());
    Table::over(pool, database, table, patience)
}

/// A table in the database at this URL, with connections that the lanes open themselves.
pub(crate) async fn open(
    url: &str,
    table: String,
    patience: Duration,
) -> Result<Table<MySql>, StoreError> {
    parameters::check(url, PARAMETERS)?;
    let options = MySqlConnectOptions::from_str(url).map_err(|error| {
        StoreError::refused("the URL of the session database cannot be read").with_source(error)
    })?;
    let database = name(&options);
    let options = options.disable_statement_logging();
    let table = Table::new(Source::Own(options), database, table, patience);
    reach(&table).await?;
    Ok(table)
}

/// The database, as it is named in errors: without user and password.
fn name(options: &MySqlConnectOptions) -> String {
    let database = options.get_database().unwrap_or("(none)");
    match options.get_socket() {
        Some(socket) => format!("{database} at {}", socket.display()),
        None => format!("{database} at {}:{}", options.get_host(), options.get_port()),
    }
}
