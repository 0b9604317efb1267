//! Opens the database driver: the store at `sessionDatabaseUrl`, with its table.

use crate::{
    config::{Config, Settings},
    error::Error,
};
use dframework_session_sqlx::SqlStore;

pub(crate) async fn open(config: &Config, settings: &Settings) -> Result<SqlStore, Error> {
    if !settings.database_url.starts_with("sqlite:") {
        return Err(config.refuse_database_url());
    }
    // Below the timeout of a call, so that whoever waits in vain is told that nothing was done.
    let patience = settings.store_timeout / 5 * 4;
    let options = SqlStore::options().table(&settings.table).busy_timeout(patience);
    let failed = |error| Error::unavailable("opening", error);
    let store = options.open(&settings.database_url).await.map_err(failed)?;
    store.migrate().await.map_err(failed)?;
    Ok(store)
}
