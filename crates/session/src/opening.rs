//! Opens the database driver: the store at `sessionDatabaseUrl`, with its table.

use crate::{
    config::{Config, Settings},
    error::Error,
};
use dframework_session_sqlx::SqlStore;

/// What a URL may begin with, the feature that it needs, and whether this build has it.
type Scheme = (&'static str, &'static str, bool);

const SCHEMES: [Scheme; 5] = [
    ("sqlite", "sqlite", cfg!(feature = "sqlite")),
    ("postgres", "postgres", cfg!(feature = "postgres")),
    ("postgresql", "postgres", cfg!(feature = "postgres")),
    ("mysql", "mysql", cfg!(feature = "mysql")),
    ("mariadb", "mysql", cfg!(feature = "mysql")),
];

pub(crate) async fn open(config: &Config, settings: &Settings) -> Result<SqlStore, Error> {
    let url = &settings.database_url;
    refuse_others(config, url, &SCHEMES)?;
    // Below the timeout of a call, so that whoever waits in vain is told that nothing was done.
    let patience = settings.store_timeout / 5 * 4;
    let options = SqlStore::options().table(&settings.table).busy_timeout(patience);
    let failed = |error| Error::unavailable("opening", error);
    let store = options.open(url).await.map_err(failed)?;
    store.migrate().await.map_err(failed)?;
    Ok(store)
}

/// Refuses the URL of a database that this build, or the library, does not have.
fn refuse_others(config: &Config, url: &str, schemes: &[Scheme]) -> Result<(), Error> {
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    match schemes.iter().find(|(known, ..)| *known == scheme) {
        Some((.., true)) => Ok(()),
        // What stands behind the scheme may be a password.
        Some((_, feature, false)) => Err(config.refuse_database_url(format_args!(
            "is a URL with {scheme:?}, which needs the feature `{feature}`"
        ))),
        None => Err(config.refuse_database_url(format_args!("is a URL with {scheme:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tests of this package are built with every database, so the builds that lack some are made up here.
    #[test]
    fn a_url_of_another_database_says_what_is_missing() -> Result<(), Error> {
        for (url, expected) in [
            ("postgres://web:secret@db/app", "which needs the feature `postgres`"),
            ("postgresql://web:secret@db/app", "which needs the feature `postgres`"),
            ("mysql://web:secret@db/app", "which needs the feature `mysql`"),
            ("mariadb://web:secret@db/app", "which needs the feature `mysql`"),
            ("sqlite://data/sessions.db", "which needs the feature `sqlite`"),
            ("oracle://web:secret@db/app", "is a URL with \"oracle\": expected one such as"),
            ("web:secret@db/app", "is a URL with \"web\": expected one such as"),
        ] {
            let variables = [("APP_SESSION_DATABASE_URL", url)];
            let config = Config::from_parts(Some("app.sessionDriver = 'database'"), variables)?;
            let without = SCHEMES.map(|(scheme, feature, _)| (scheme, feature, false));
            let refused = refuse_others(&config, url, &without).expect_err(url);
            let text = refused.to_string();
            assert!(refused.is_config(), "{text}");
            assert!(text.starts_with("APP_SESSION_DATABASE_URL is a URL with"), "{text}");
            assert!(text.contains(expected), "{url}: {text}");
            assert!(!text.contains("secret"), "{url}: {text}");

            let with = SCHEMES.map(|(scheme, feature, _)| (scheme, feature, true));
            let is_taken = refuse_others(&config, url, &with).is_ok();
            assert_eq!(is_taken, expected.contains("feature"), "{url}");
        }
        Ok(())
    }
}
