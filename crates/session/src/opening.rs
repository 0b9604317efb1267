//! Opens the database driver: the store at `sessionDatabaseUrl`, with its table.

use crate::{
    config::{Config, Settings},
    error::Error,
};
use dframework_session_sqlx::SqlStore;

/// What a URL may begin with, the feature that it needs, and whether this build has it.
const SCHEMES: &[(&str, &str, bool)] = &[
    ("sqlite", "sqlite", cfg!(feature = "sqlite")),
    ("postgres", "postgres", cfg!(feature = "postgres")),
    ("postgresql", "postgres", cfg!(feature = "postgres")),
    ("mysql", "mysql", cfg!(feature = "mysql")),
    ("mariadb", "mysql", cfg!(feature = "mysql")),
];

pub(crate) async fn open(config: &Config, settings: &Settings) -> Result<SqlStore, Error> {
    let url = &settings.database_url;
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    match SCHEMES.iter().find(|(known, ..)| *known == scheme) {
        Some((.., true)) => {}
        // What stands behind the scheme may be a password.
        Some((_, feature, false)) => {
            return Err(config.refuse_database_url(format_args!(
                "is a URL with {scheme:?}, which needs the feature `{feature}`"
            )));
        }
        None => return Err(config.refuse_database_url(format_args!("is a URL with {scheme:?}"))),
    }
    // Below the timeout of a call, so that whoever waits in vain is told that nothing was done.
    let patience = settings.store_timeout / 5 * 4;
    let options = SqlStore::options().table(&settings.table).busy_timeout(patience);
    let failed = |error| Error::unavailable("opening", error);
    let store = options.open(url).await.map_err(failed)?;
    store.migrate().await.map_err(failed)?;
    Ok(store)
}
