//! tower-sessions with its stores for databases, on the course.

mod copies;

use axum::{Router, http::StatusCode, routing::get};
use copies::{Database, copies};
use course::{Task, entries};
use std::{env, error::Error, str::FromStr};
use tower_sessions::{Expiry, Session, SessionManagerLayer, SessionStore, cookie::time::Duration};
use tower_sessions_sqlx_store::{
    MySqlStore, PostgresStore, SqliteStore,
    sqlx::{
        self, ConnectOptions,
        mysql::{MySqlConnectOptions, MySqlPoolOptions},
        postgres::{PgConnectOptions, PgPoolOptions},
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
    },
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let task = Task::parse(&arguments)?;
    tokio::runtime::Runtime::new()?.block_on(on_course(&task))
}

/// With the pools' own defaults: ten connections.
async fn on_course(task: &Task) -> Result<(), Box<dyn Error>> {
    if task.database.starts_with("postgres:") {
        let options = quiet(PgConnectOptions::from_str(&task.database)?, task);
        let pool = PgPoolOptions::new().connect_with(options).await?;
        let store = PostgresStore::new(pool.clone());
        store.migrate().await?;
        let grow = async |from: i64, to: i64| {
            let sql = copies(Database::Postgres, "tower_sessions.session", from, to);
            sqlx::query(&sql).execute(&pool).await?;
            Ok(())
        };
        return course::run(application(store), task, grow).await;
    }
    if task.database.starts_with("mysql:") {
        let options = quiet(MySqlConnectOptions::from_str(&task.database)?, task);
        let pool = MySqlPoolOptions::new().connect_with(options).await?;
        // Its schema is what others call a database: it makes one of its own beside that of the URL.
        let schema = format!("peer_{}", std::process::id());
        let store = MySqlStore::new(pool.clone()).with_schema_name(&schema)?;
        store.migrate().await?;
        let table = format!("`{schema}`.session");
        let grow = async |from: i64, to: i64| {
            let sql = copies(Database::MariaDb, &table, from, to);
            sqlx::query(&sql).execute(&pool).await?;
            Ok(())
        };
        return course::run(application(store), task, grow).await;
    }
    let pool = SqlitePoolOptions::new().connect_with(quiet(file(task), task)).await?;
    let store = SqliteStore::new(pool.clone());
    store.migrate().await?;
    let grow = async |from: i64, to: i64| {
        let sql = copies(Database::Sqlite, "tower_sessions", from, to);
        sqlx::query(&sql).execute(&pool).await?;
        Ok(())
    };
    course::run(application(store), task, grow).await
}

/// The file of a task, in WAL mode.
fn file(task: &Task) -> SqliteConnectOptions {
    let synchronous = match &*task.synchronous {
        "full" => SqliteSynchronous::Full,
        _ => SqliteSynchronous::Normal,
    };
    SqliteConnectOptions::new()
        .filename(&task.database)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
}

/// Tells of statements only where they are counted.
fn quiet<C: ConnectOptions>(options: C, task: &Task) -> C {
    if task.is_counted { options } else { options.disable_statement_logging() }
}

fn application<S: SessionStore + Clone>(store: S) -> Router {
    let layer =
        SessionManagerLayer::new(store).with_expiry(Expiry::OnInactivity(Duration::hours(2)));
    Router::new()
        .route("/new", get(begin))
        .route("/read", get(read))
        .route("/write", get(read_and_write))
        // It has no other way.
        .route("/count", get(read_and_write))
        .route("/visits", get(visits))
        .layer(layer)
}

async fn begin(session: Session) -> Result<&'static str, StatusCode> {
    for (key, value) in entries() {
        session.insert(key, value).await.map_err(failed)?;
    }
    session.insert("visits", 1).await.map_err(failed)?;
    Ok("ok")
}

async fn read(session: Session) -> Result<&'static str, StatusCode> {
    let name: Option<String> = session.get("name").await.map_err(failed)?;
    name.map(|_| "ok").ok_or(StatusCode::NOT_FOUND)
}

async fn read_and_write(session: Session) -> Result<&'static str, StatusCode> {
    let visits: Option<i64> = session.get("visits").await.map_err(failed)?;
    let visits = visits.ok_or(StatusCode::NOT_FOUND)?;
    session.insert("visits", visits + 1).await.map_err(failed)?;
    Ok("ok")
}

async fn visits(session: Session) -> Result<String, StatusCode> {
    let visits: Option<i64> = session.get("visits").await.map_err(failed)?;
    Ok(visits.ok_or(StatusCode::NOT_FOUND)?.to_string())
}

fn failed(error: tower_sessions::session::Error) -> StatusCode {
    eprintln!("{error}");
    StatusCode::INTERNAL_SERVER_ERROR
}
