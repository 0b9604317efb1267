//! Opens a database by its URL: folder, file, connections.

use super::{Sqlite, file};
use crate::{
    engine::{Source, Table, lock_wait},
    lane::reach,
};
use dframework_session_store::StoreError;
use sqlx::{
    ConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use std::{fs, path::Path, str::FromStr, time::Duration};

/// A table in the file at this URL, with connections that the lanes open themselves.
pub(crate) async fn open(
    url: &str,
    table: String,
    patience: Duration,
) -> Result<Table<Sqlite>, StoreError> {
    let options = parse(url)?;
    prepare(options.get_filename(), url)?;
    let file = file(&options);
    let options = options
        .journal_mode(SqliteJournalMode::Wal)
        // A logout that was answered must not be undone by a power failure.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(lock_wait(patience))
        .disable_statement_logging();
    // The first connection turns WAL mode on, for which SQLite does not wait while others are at the file.
    let table = Table::new(Source::Own(options), file, table, patience);
    reach(&table).await?;
    Ok(table)
}

fn parse(url: &str) -> Result<SqliteConnectOptions, StoreError> {
    let refuse = |why: &str| StoreError::refused(format!("the URL of the session database {why}"));
    let rest = url.strip_prefix("sqlite:").unwrap_or(url);
    let path = rest.trim_start_matches("//");
    if path.is_empty() || path.starts_with('?') {
        return Err(refuse("names no file: expected sqlite://data/sessions.db"));
    }
    if path.starts_with(":memory:") || path.contains("mode=memory") {
        return Err(refuse("names a database in memory: use the driver \"memory\" instead"));
    }
    let options = SqliteConnectOptions::from_str(url);
    options.map_err(|error| refuse("cannot be read").with_source(error))
}

/// Makes the folder and the file, unless the URL says that they must be there.
fn prepare(file: &Path, url: &str) -> Result<(), StoreError> {
    let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters);
    let must_exist = parameters.split('&').any(|one| one == "mode=rw" || one == "mode=ro");
    if must_exist || file.exists() {
        return Ok(());
    }
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(|error| {
            let folder = folder.display();
            StoreError::refused(format!(
                "the folder {folder} of the session database cannot be made"
            ))
            .with_source(error)
        })?;
    }
    make(file).map_err(|error| {
        let file = file.display();
        StoreError::refused(format!("the session database {file} cannot be made"))
            .with_source(error)
    })
}

/// Makes an empty file that other users of the machine cannot read: it will hold what sessions hold.
fn make(file: &Path) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(file) {
        // Another process was faster.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}
