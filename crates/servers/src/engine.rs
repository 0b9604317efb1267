//! What kinds of servers there are, and what differs between them.

use crate::{
    bouncer, folder::Folder, installed, mariadb, postgres, process::Signal, redis, server::Place,
};
use std::{path::PathBuf, process::Command};

/// A kind of server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// MariaDB.
    MariaDb,
    /// Redis.
    Redis,
}

/// Whether a server waits for the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Durability {
    /// It never does: a test pulls no plug.
    Fast,
    /// At every commit.
    Durable,
}

/// What is run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Service {
    Engine(Engine, Durability),
    /// PgBouncer in front of the PostgreSQL at this port.
    Bouncer {
        upstream: u16,
        forgotten: bouncer::Forgotten,
    },
}

/// The programs of a service.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    /// What runs.
    pub(crate) server: PathBuf,
    /// What makes the folder in which it keeps its data.
    pub(crate) installer: Option<PathBuf>,
    /// What asks it.
    pub(crate) client: Option<PathBuf>,
}

impl Service {
    /// The programs, or `None` and one line that says which is missing.
    pub(crate) fn programs(self) -> Option<Programs> {
        match self {
            Self::Engine(Engine::Postgres, _) => {
                let [server, installer, client] =
                    installed::find_all(["postgres", "initdb", "psql"])?;
                Some(Programs { server, installer: Some(installer), client: Some(client) })
            }
            Self::Engine(Engine::MariaDb, _) => {
                let [server, installer, client] =
                    installed::find_all(["mariadbd", "mariadb-install-db", "mariadb"])?;
                Some(Programs { server, installer: Some(installer), client: Some(client) })
            }
            Self::Engine(Engine::Redis, _) => {
                let [server] = installed::find_all(["redis-server"])?;
                Some(Programs { server, installer: None, client: None })
            }
            Self::Bouncer { .. } => {
                let [server, client] = installed::find_all(["pgbouncer", "psql"])?;
                Some(Programs { server, installer: None, client: Some(client) })
            }
        }
    }

    /// Makes what the server needs to be there before it starts for the first time.
    pub(crate) fn install(self, programs: &Programs, folder: &Folder) {
        match self {
            Self::Engine(Engine::Postgres, _) => postgres::install(programs, folder),
            Self::Engine(Engine::MariaDb, _) => mariadb::install(programs, folder),
            Self::Engine(Engine::Redis, _) | Self::Bouncer { .. } => {}
        }
    }

    /// What starts the server in the foreground.
    pub(crate) fn command(self, place: &Place) -> Command {
        match self {
            Self::Engine(Engine::Postgres, durability) => postgres::command(place, durability),
            Self::Engine(Engine::MariaDb, durability) => mariadb::command(place, durability),
            Self::Engine(Engine::Redis, durability) => redis::command(place, durability),
            Self::Bouncer { upstream, forgotten } => bouncer::command(place, upstream, forgotten),
        }
    }

    /// Asks the server in its own language, and gives what it answers or why it does not.
    pub(crate) fn ask(self, place: &Place, database: &str, words: &str) -> Result<String, String> {
        match self {
            Self::Engine(Engine::Postgres, _) => postgres::ask(place, database, words),
            Self::Engine(Engine::MariaDb, _) => mariadb::ask(place, database, words),
            Self::Engine(Engine::Redis, _) => redis::ask(place, database, words),
            Self::Bouncer { .. } => bouncer::ask(place, database, words),
        }
    }

    /// Something that every server of this kind answers once it is ready, and the answer.
    pub(crate) fn greeting(self) -> (&'static str, &'static str) {
        match self {
            Self::Engine(Engine::Redis, _) => ("PING", "+PONG"),
            Self::Engine(..) | Self::Bouncer { .. } => ("SELECT 1", "1"),
        }
    }

    /// The database that is always there.
    pub(crate) fn first_database(self) -> &'static str {
        match self {
            Self::Engine(Engine::Postgres, _) | Self::Bouncer { .. } => "postgres",
            Self::Engine(Engine::MariaDb, _) => "mysql",
            Self::Engine(Engine::Redis, _) => "0",
        }
    }

    /// Where a client finds a database behind a port of this machine.
    pub(crate) fn url(self, port: u16, database: &str) -> String {
        let user = match self {
            Self::Engine(Engine::Postgres, _) | Self::Bouncer { .. } => "postgres://postgres@",
            Self::Engine(Engine::MariaDb, _) => "mysql://root@",
            Self::Engine(Engine::Redis, _) => "redis://",
        };
        format!("{user}127.0.0.1:{port}/{database}")
    }

    /// What makes a database, and what removes it again, whoever is still connected to it.
    pub(crate) fn database_words(self, name: &str) -> [String; 2] {
        match self {
            Self::Engine(Engine::Postgres, _) | Self::Bouncer { .. } => [
                format!("CREATE DATABASE \"{name}\""),
                format!("DROP DATABASE \"{name}\" WITH (FORCE)"),
            ],
            Self::Engine(Engine::MariaDb, _) => {
                [format!("CREATE DATABASE `{name}`"), format!("DROP DATABASE `{name}`")]
            }
            Self::Engine(Engine::Redis, _) => {
                [format!("SELECT {name}\r\nFLUSHDB"), format!("SELECT {name}\r\nFLUSHDB")]
            }
        }
    }

    /// What asks the server to end in good order, without waiting for its clients.
    pub(crate) fn farewell(self) -> Signal {
        match self {
            Self::Engine(Engine::Postgres, _) => Signal::Interrupt,
            Self::Engine(..) | Self::Bouncer { .. } => Signal::Terminate,
        }
    }

    /// What a server writes that finds its port taken.
    pub(crate) fn says_port_is_taken(log: &str) -> bool {
        log.to_ascii_lowercase().contains("address already in use")
    }
}
