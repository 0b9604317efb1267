//! Where the sessions are: files, or databases of a server that waits for the disk at every commit.

use servers::{Database, Engine, Server};
use std::{
    path::{Path, PathBuf},
    str::FromStr,
    sync::atomic::{AtomicU32, Ordering},
};

/// A kind of database, by its word on the command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    SqliteFull,
    SqliteNormal,
    Postgres,
    MariaDb,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] =
        [Self::SqliteFull, Self::SqliteNormal, Self::Postgres, Self::MariaDb];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::SqliteFull => "sqlite-full",
            Self::SqliteNormal => "sqlite-normal",
            Self::Postgres => "postgres",
            Self::MariaDb => "mariadb",
        }
    }

    /// Whether it waits for the disk at every commit, as it does if nothing else is said.
    pub(crate) fn is_durable(self) -> bool {
        self != Self::SqliteNormal
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let kind = Self::ALL.into_iter().find(|kind| kind.word() == word);
        kind.ok_or_else(|| {
            format!("no such database: {word}; there are {:?}", Self::ALL.map(Self::word))
        })
    }
}

/// Where processes keep their sessions.
pub(crate) struct Place {
    pub(crate) kind: Kind,
    folder: PathBuf,
    server: Option<Server>,
}

impl Place {
    /// Starts a server where there has to be one. `Err` says which package is missing.
    pub(crate) fn new(kind: Kind, folder: &Path) -> Result<Self, &'static str> {
        let server = match kind {
            Kind::SqliteFull | Kind::SqliteNormal => None,
            Kind::Postgres => Some(Server::start_durable(Engine::Postgres).ok_or("postgresql")?),
            Kind::MariaDb => Some(Server::start_durable(Engine::MariaDb).ok_or("mariadb-server")?),
        };
        if let (Kind::MariaDb, Some(server)) = (kind, &server) {
            // As large as PostgreSQL's own is by default: a small one makes the server write all its pages all the time.
            server.ask("SET GLOBAL innodb_log_file_size = 1073741824");
        }
        Ok(Self { kind, folder: folder.to_owned(), server })
    }

    /// What a process finds an empty database by, and what keeps that while it is used.
    pub(crate) fn database(&self) -> (String, Option<Database>) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let Some(server) = &self.server else {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            return (self.folder.join(format!("{number}.db")).display().to_string(), None);
        };
        let database = server.database();
        (database.url(), Some(database))
    }

    pub(crate) fn synchronous(&self) -> &'static str {
        if self.kind.is_durable() { "full" } else { "normal" }
    }

    /// Lets the server do now what it would do in a while of itself, since many rows have come.
    pub(crate) fn settle(&self, database: &Database) {
        if self.kind == Kind::Postgres {
            database.ask("VACUUM (ANALYZE)");
            database.ask("CHECKPOINT");
        }
    }

    /// Which version it is.
    pub(crate) fn version(&self) -> String {
        let Some(server) = &self.server else {
            return format!("{} in SQLite {}", self.kind.word(), crate::ours::sqlite_version());
        };
        let version = server.ask("SELECT version()");
        let version = version.trim_start_matches("PostgreSQL ");
        let end = version.find([' ', '-']).unwrap_or(version.len());
        format!("{} {}", self.kind.word(), &version[..end])
    }
}
