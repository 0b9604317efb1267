//! Where a test keeps its sessions: a database of its own, on every engine that this machine has.

use crate::support::{self, Folder};
use ::servers::{Database, Engine, Proxy, Server};
use dframework_session_sqlx::{
    Options, Pool, SqlStore,
    sqlx::{
        self, AssertSqlSafe, Connection, Error, MySqlConnection, PgConnection, Row,
        SqliteConnection, mysql::MySqlPoolOptions, postgres::PgPoolOptions,
    },
};

/// A database of one test, gone when it is over.
pub(crate) enum Home {
    Sqlite(Folder),
    Postgres(Database),
    MariaDb(Database),
}

/// One on each engine that is here. Which are not, the servers say.
pub(crate) fn homes() -> impl Iterator<Item = Home> {
    std::iter::once(Home::Sqlite(Folder::new())).chain(on_servers())
}

/// As [`homes`], without the engine that has no server.
pub(crate) fn on_servers() -> impl Iterator<Item = Home> {
    [Home::postgres(), Home::mariadb()].into_iter().flatten()
}

impl Home {
    pub(crate) fn postgres() -> Option<Self> {
        Server::shared(Engine::Postgres).map(|server| Self::Postgres(server.database()))
    }

    pub(crate) fn mariadb() -> Option<Self> {
        Server::shared(Engine::MariaDb).map(|server| Self::MariaDb(server.database()))
    }

    /// Another one on the same engine.
    pub(crate) fn another(&self) -> Self {
        match self {
            Self::Sqlite(_) => Self::Sqlite(Folder::new()),
            Self::Postgres(_) => Self::postgres().expect("it was here a moment ago"),
            Self::MariaDb(_) => Self::mariadb().expect("it was here a moment ago"),
        }
    }

    /// What to call it where it does not hold what it should.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
            Self::MariaDb(_) => "MariaDB",
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => folder.url(),
            Self::Postgres(database) | Self::MariaDb(database) => database.url(),
        }
    }

    /// Where a client finds it behind a proxy.
    pub(crate) fn url_through(&self, proxy: &Proxy) -> String {
        match self {
            Self::Sqlite(folder) => folder.url(),
            Self::Postgres(database) | Self::MariaDb(database) => {
                database.url_through(proxy.port())
            }
        }
    }

    /// Where another database of the same server would be.
    pub(crate) fn url_of(&self, database: &str) -> String {
        self.url().replace(&self.database(), database)
    }

    /// The database as another user finds it, whom the server trusts.
    pub(crate) fn url_for(&self, user: &str) -> String {
        let url = self.url();
        let (scheme, rest) = url.split_once("://").unwrap();
        let host = rest.split_once('@').map_or(rest, |(_, host)| host);
        format!("{scheme}://{user}@{host}")
    }

    /// The name of the database on its server.
    pub(crate) fn database(&self) -> String {
        match self {
            Self::Sqlite(_) => String::new(),
            Self::Postgres(database) | Self::MariaDb(database) => database.name().to_owned(),
        }
    }

    /// A store with these options on connections of its own, and its table.
    pub(crate) async fn with(&self, options: Options) -> SqlStore {
        let store = options.open(&self.url()).await.unwrap();
        store.migrate().await.unwrap();
        store
    }

    pub(crate) async fn store(&self) -> SqlStore {
        self.with(SqlStore::options()).await
    }

    /// A pool of so many connections.
    pub(crate) fn pool(&self, connections: u32) -> Pool {
        let url = self.url();
        match self {
            Self::Sqlite(folder) => support::pool(connections, folder.options()).into(),
            Self::Postgres(_) => {
                let options = PgPoolOptions::new().max_connections(connections);
                options.connect_lazy(&url).unwrap().into()
            }
            Self::MariaDb(_) => {
                let options = MySqlPoolOptions::new().max_connections(connections);
                options.connect_lazy(&url).unwrap().into()
            }
        }
    }

    /// Another connection to the database, as another process has one.
    pub(crate) async fn connect(&self) -> Other {
        let url = self.url();
        match self {
            Self::Sqlite(folder) => Other::Sqlite(folder.connect().await),
            Self::Postgres(_) => Other::Postgres(PgConnection::connect(&url).await.unwrap()),
            Self::MariaDb(_) => Other::MySql(MySqlConnection::connect(&url).await.unwrap()),
        }
    }

    /// Everything that the database has besides the rows of sessions.
    pub(crate) async fn schema(&self) -> Vec<String> {
        let looks: &[&str] = match self {
            Self::Sqlite(_) => {
                &["SELECT name || coalesce(sql, '') FROM sqlite_schema ORDER BY name"]
            }
            Self::Postgres(_) => &[
                "SELECT concat(c.relname, c.relkind, c.reloptions, a.attname, a.atttypid, a.attnotnull) \
                 FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
                 WHERE relnamespace = 'public'::regnamespace AND attnum > 0 ORDER BY c.oid, attnum",
                "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname",
            ],
            Self::MariaDb(_) => &[
                "SELECT CONCAT_WS(' ', table_name, column_name, column_type, is_nullable, column_key, collation_name) \
                 FROM information_schema.columns WHERE table_schema = DATABASE() \
                 ORDER BY table_name, ordinal_position",
                "SELECT CONCAT(table_name, index_name, column_name) FROM information_schema.statistics \
                 WHERE table_schema = DATABASE() ORDER BY table_name, index_name, seq_in_index",
            ],
        };
        let mut other = self.connect().await;
        let mut schema = Vec::new();
        for look in looks {
            schema.extend(other.ask(look).await);
        }
        schema
    }

    /// Which versions of tables are noted down.
    pub(crate) async fn versions(&self) -> Vec<String> {
        let look = "SELECT concat(table_name, ' ', version) FROM dframework_session_schema ORDER BY table_name";
        self.connect().await.ask(look).await
    }
}

/// A connection that the library knows nothing of.
pub(crate) enum Other {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
    MySql(MySqlConnection),
}

impl Other {
    pub(crate) async fn run(&mut self, sql: &str) {
        self.try_run(sql).await.unwrap();
    }

    pub(crate) async fn try_run(&mut self, sql: &str) -> Result<(), Error> {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match self {
            Self::Sqlite(connection) => sql.execute(connection).await.map(drop),
            Self::Postgres(connection) => sql.execute(connection).await.map(drop),
            Self::MySql(connection) => sql.execute(connection).await.map(drop),
        }
    }

    /// The texts of the first column.
    pub(crate) async fn ask(&mut self, sql: &str) -> Vec<String> {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match self {
            Self::Sqlite(connection) => {
                sql.fetch_all(connection).await.unwrap().iter().map(|row| row.get(0)).collect()
            }
            Self::Postgres(connection) => {
                sql.fetch_all(connection).await.unwrap().iter().map(|row| row.get(0)).collect()
            }
            Self::MySql(connection) => {
                sql.fetch_all(connection).await.unwrap().iter().map(|row| row.get(0)).collect()
            }
        }
    }
}
