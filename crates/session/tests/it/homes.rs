//! Where the scenarios keep sessions in a database: on every engine that this machine has, each bench in a table of
//! its own.

use crate::database::Folder;
use dframework_session::{Config, DriverName, Sessions, database::SqlStore};
use servers::{Database, Engine, Server};
use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// A table that any number of processes can open.
pub(crate) enum Home {
    /// In a file that goes with its value.
    Sqlite(Folder),
    /// In a database that all tests of this process share.
    Server { engine: &'static str, database: &'static Database, table: String },
}

/// One on each engine that is here. Which are not, the servers say.
pub(crate) fn homes() -> impl Iterator<Item = Home> {
    std::iter::once(Home::Sqlite(Folder::new())).chain(on_servers())
}

/// As [`homes`], without the engine that has no server.
pub(crate) fn on_servers() -> impl Iterator<Item = Home> {
    static POSTGRES: LazyLock<Option<Database>> = LazyLock::new(|| shared(Engine::Postgres));
    static MARIADB: LazyLock<Option<Database>> = LazyLock::new(|| shared(Engine::MariaDb));
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let servers = [("PostgreSQL", &POSTGRES), ("MariaDB", &MARIADB)];
    servers.into_iter().filter_map(|(engine, database)| {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let table = format!("sessions_{number}");
        database.as_ref().map(|database| Home::Server { engine, database, table })
    })
}

fn shared(engine: Engine) -> Option<Database> {
    Some(Server::shared(engine)?.database())
}

impl Home {
    /// What to call it where something does not hold.
    pub(crate) fn engine(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Server { engine, .. } => engine,
        }
    }

    /// Opens the table as one more process does.
    pub(crate) async fn open(&self, config: &Config) -> Sessions {
        match self {
            // By a pool that does not wait for the disk, which takes much of the time otherwise.
            Self::Sqlite(_) => Sessions::from_store(self.store().await, config).unwrap(),
            Self::Server { database, table, .. } => {
                let config = config.clone().driver(DriverName::Database);
                let config = config.database_url(database.url()).table(table);
                Sessions::connect(&config).await.unwrap()
            }
        }
    }

    /// The store in it.
    pub(crate) async fn store(&self) -> SqlStore {
        match self {
            Self::Sqlite(folder) => folder.store("sessions").await,
            Self::Server { database, table, .. } => {
                let store = SqlStore::options().table(table).open(&database.url()).await.unwrap();
                store.migrate().await.unwrap();
                store
            }
        }
    }
}

/// Long enough for a machine that has much else to do: what a test says of time, it says by its clock.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
