//! This library with its store, on the course.

use crate::{copies::copies, watched::Watched};
use axum::{Router, routing::get};
use course::{Task, entries};
use dframework_session::{
    Config, Error, Session, Sessions,
    database::{
        SqlStore,
        sqlx::{
            self, ConnectOptions,
            mysql::{MySqlConnectOptions, MySqlPoolOptions},
            postgres::{PgConnectOptions, PgPoolOptions},
            sqlite::{
                SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
            },
        },
    },
    tower::SessionLayer,
};
use std::str::FromStr;

pub(crate) fn run(arguments: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let [largest_batch, arguments @ ..] = arguments else { return Err("expected a number".into()) };
    let largest_batch = largest_batch.parse()?;
    let task = Task::parse(arguments)?;
    tokio::runtime::Runtime::new()?.block_on(on_course(&task, largest_batch))
}

/// What a copy has besides its key. It expires in one of ten steps of a tenth of two hours, by its number, as sessions do of
/// which some come all the time.
macro_rules! columns {
    ($number:literal) => {
        concat!("version, created, expires_at + ", $number, " % 10 * 720000, owner, meta, payload")
    };
}

/// On a pool, since what opens the URL of a file waits for the disk always, and what opens any tells of no statements.
async fn on_course(task: &Task, largest_batch: usize) -> Result<(), Box<dyn std::error::Error>> {
    let options = SqlStore::options().largest_batch(largest_batch);
    if task.database.starts_with("postgres:") {
        let pool = PgPoolOptions::new();
        let pool = pool.connect_with(quiet(PgConnectOptions::from_str(&task.database)?, task));
        let pool = pool.await?;
        let app = application(options.over(pool.clone())?, task).await?;
        let grow = async |from: i64, to: i64| {
            let sql = copies!(postgres, "sessions", columns!("number"));
            sqlx::query(sql).bind(from).bind(to).execute(&pool).await?;
            Ok(())
        };
        return course::run(app, task, grow).await;
    }
    if task.database.starts_with("mysql:") {
        let pool = MySqlPoolOptions::new();
        let pool = pool.connect_with(quiet(MySqlConnectOptions::from_str(&task.database)?, task));
        let pool = pool.await?;
        let app = application(options.over(pool.clone())?, task).await?;
        let grow = async |from: i64, to: i64| {
            let sql = copies!(mysql, "sessions", columns!("seq"));
            sqlx::query(sql).bind(from).bind(to).execute(&pool).await?;
            Ok(())
        };
        return course::run(app, task, grow).await;
    }
    let pool = SqlitePoolOptions::new().connect_with(quiet(file(task), task)).await?;
    let app = application(options.over(pool.clone())?, task).await?;
    let grow = async |from: i64, to: i64| {
        let sql = copies!(sqlite, "sessions", columns!("n"));
        sqlx::query(sql).bind(from).bind(to).execute(&pool).await?;
        Ok(())
    };
    course::run(app, task, grow).await
}

/// The file of a task, in WAL mode.
pub(crate) fn file(task: &Task) -> SqliteConnectOptions {
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

/// The version that this library brings.
pub(crate) fn sqlite_version() -> String {
    let asked = async {
        let mut connection = SqliteConnectOptions::new().in_memory(true).connect().await?;
        sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut connection).await
    };
    let runtime = tokio::runtime::Runtime::new().expect("a thread can be started");
    runtime.block_on(asked).unwrap_or_else(|error: sqlx::Error| error.to_string())
}

/// Tells of statements only where they are counted.
pub(crate) fn quiet<C: ConnectOptions>(options: C, task: &Task) -> C {
    if task.is_counted { options } else { options.disable_statement_logging() }
}

/// The application. Where statements are counted, so are lost rounds.
async fn application(store: SqlStore, task: &Task) -> Result<Router, Box<dyn std::error::Error>> {
    store.migrate().await?;
    let sessions = if task.is_counted {
        Sessions::from_store(Watched(store), &Config::new())?
    } else {
        Sessions::from_store(store, &Config::new())?
    };
    Ok(Router::new()
        .route("/new", get(begin))
        .route("/read", get(read))
        .route("/write", get(read_and_write))
        .route("/count", get(count))
        .route("/visits", get(visits))
        .layer(SessionLayer::new(sessions)))
}

async fn begin() -> Result<&'static str, Error> {
    let session = Session::handle()?;
    for (key, value) in entries() {
        session.set(key, value).await?;
    }
    session.set("visits", 1).await?;
    Ok("ok")
}

async fn read() -> Result<&'static str, Error> {
    let name: Option<String> = Session::get("name").await?;
    assert!(name.is_some(), "the session was opened");
    Ok("ok")
}

async fn read_and_write() -> Result<&'static str, Error> {
    let visits: Option<i64> = Session::get("visits").await?;
    Session::set("visits", visits.expect("the session was opened") + 1).await?;
    Ok("ok")
}

/// What is stored is a step, which is taken again where another request came first.
async fn count() -> Result<&'static str, Error> {
    Session::increment("visits", 1).await?;
    Ok("ok")
}

async fn visits() -> Result<String, Error> {
    let visits: Option<i64> = Session::get("visits").await?;
    Ok(visits.expect("the session was opened").to_string())
}
