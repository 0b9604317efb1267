//! Opens a database by its URL, and takes pools of the application.

use super::{
    Postgres,
    failure::{POOLER, classify},
};
use crate::{
    engine::{Connection, Manner, Source, Table, ask, lock_wait},
    failure::Failure,
    lane::reach,
    parameters,
};
use dframework_session_store::StoreError;
use sqlx::{ConnectOptions, Connection as _, Error, PgPool, postgres::PgConnectOptions};
use std::{str::FromStr, time::Duration};
use tokio::sync::OnceCell;

/// What sqlx reads of a URL.
const PARAMETERS: &[&str] = &[
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
    "options[",
];

/// On a pool of the application.
pub(crate) fn over(pool: PgPool, table: String, patience: Duration) -> Table<Postgres> {
    let database = name(&pool.connect_options());
    Table::over(pool, database, table, patience)
}

/// A table in the database at this URL, with connections that the lanes open themselves.
pub(crate) async fn open(
    url: &str,
    table: String,
    patience: Duration,
) -> Result<Table<Postgres>, StoreError> {
    parameters::check(url, PARAMETERS)?;
    let options = PgConnectOptions::from_str(url).map_err(|error| {
        StoreError::refused("the URL of the session database cannot be read").with_source(error)
    })?;
    let database = name(&options);
    // Poolers know nothing of that setting, and there are no such numbers here. What is logged would hold payloads
    // wherever values are written into statements.
    let options = options.extra_float_digits(None).disable_statement_logging();
    let manner = if keeps_statements(&options) { Manner::Prepared } else { Manner::Whole };
    let options = match manner {
        Manner::Prepared => limited(options, patience),
        Manner::Whole => options,
    };
    let mut made = Table::new(Source::Own(options), database, table, patience);
    made.manner = OnceCell::new_with(Some(manner));
    reach(&made).await?;
    Ok(made)
}

/// The database, as it is named in errors: without user and password.
fn name(options: &PgConnectOptions) -> String {
    // A database that is not named is called like its user.
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    match options.get_socket() {
        Some(socket) => format!("{database} at {}", socket.display()),
        None => format!("{database} at {}:{}", options.get_host(), options.get_port()),
    }
}

/// Whether a connection may keep prepared statements. Behind a pooler that gives every transaction another
/// connection it may not, and the URL says `statement-cache-capacity=0`.
fn keeps_statements(options: &PgConnectOptions) -> bool {
    let url = options.to_url_lossy();
    !url.query_pairs().any(|(name, value)| name == "statement-cache-capacity" && value == "0")
}

/// A server goes on with a statement whose caller has gone, so it is told when to give up.
fn limited(options: PgConnectOptions, patience: Duration) -> PgConnectOptions {
    let (lock, all) = (lock_wait(patience).as_millis(), patience.as_millis());
    let set = options.get_options().unwrap_or_default().to_owned();
    let limits = [("lock_timeout", lock), ("statement_timeout", all)];
    let limits = limits.into_iter().filter(|(name, _)| !set.contains(name));
    options.options(limits).options([(REMEMBERED, "1")])
}

/// How statements are to go to a pool of the application, which may lead to a pooler: a connection of our own tells, as
/// it does for those who open a store by its URL.
pub(super) async fn examine(pool: &PgPool) -> Result<Manner, Failure> {
    let options = PgConnectOptions::clone(&pool.connect_options());
    if !keeps_statements(&options) {
        return Ok(Manner::Whole);
    }
    let options = options.options([(REMEMBERED, "1")]).disable_statement_logging();
    let examined = match options.connect().await.map_err(classify) {
        Ok(mut connection) => {
            let examined = remembers(&mut connection).await;
            // Nobody waits for its end.
            let _ = connection.close().await;
            examined
        }
        Err(failure) => Err(failure),
    };
    match examined {
        Ok(()) => Ok(Manner::Prepared),
        Err(Failure::Refused { why, .. }) if why == POOLER => Ok(Manner::Whole),
        Err(failure) => Err(failure),
    }
}

/// A setting that means nothing to PostgreSQL.
const REMEMBERED: &str = "dframework_session.remembered";

/// Refuses a connection that knows nothing of what it was told at its start: it is one of a pooler's, which may give
/// each statement to another server connection. There, the name of a prepared statement may stand for another one.
pub(super) async fn remembers(connection: &mut Connection<Postgres>) -> Result<(), Failure> {
    let look = format!("SELECT count(*) WHERE current_setting('{REMEMBERED}', true) = '1'");
    match ask::<Postgres>(connection, look).await? {
        Some(1) => Ok(()),
        _ => {
            let forgotten = "the settings of a new connection are forgotten".into();
            Err(Failure::Refused { why: POOLER, source: Error::Configuration(forgotten) })
        }
    }
}
