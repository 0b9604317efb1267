//! This library with its store, on the course.

use axum::{Router, routing::get};
use course::{ENTRIES, OTHERS, Task};
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
    tokio::runtime::Runtime::new()?.block_on(async {
        let app = application(&task, largest_batch).await?;
        course::run(app).await
    })
}

/// On a pool, since what opens the URL of a file waits for the disk always, and what opens any tells of no statements.
async fn application(
    task: &Task,
    largest_batch: usize,
) -> Result<Router, Box<dyn std::error::Error>> {
    let options = SqlStore::options().largest_batch(largest_batch);
    if task.database.starts_with("postgres:") {
        let pool = PgPoolOptions::new();
        let pool = pool.connect_with(quiet(PgConnectOptions::from_str(&task.database)?, task));
        let pool = pool.await?;
        let app = routes(options.over(pool.clone())?).await?;
        let copy = "INSERT INTO sessions SELECT decode(md5(random()::text) || md5(random()::text), 'hex'), \
             version, created, expires_at, owner, meta, payload \
             FROM generate_series(1, $1), (SELECT * FROM sessions LIMIT 1) AS one";
        sqlx::query(copy).bind(i64::from(OTHERS)).execute(&pool).await?;
        return Ok(app);
    }
    if task.database.starts_with("mysql:") {
        let pool = MySqlPoolOptions::new();
        let pool = pool.connect_with(quiet(MySqlConnectOptions::from_str(&task.database)?, task));
        let pool = pool.await?;
        let app = routes(options.over(pool.clone())?).await?;
        let copy = "INSERT INTO sessions SELECT UNHEX(SHA2(seq, 256)), \
             version, created, expires_at, owner, meta, payload \
             FROM seq_1_to_100000, (SELECT * FROM sessions LIMIT 1) AS one";
        sqlx::query(copy).execute(&pool).await?;
        return Ok(app);
    }
    let pool = SqlitePoolOptions::new().connect_with(quiet(file(task), task)).await?;
    let app = routes(options.over(pool.clone())?).await?;
    let copy = "INSERT INTO sessions \
         WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?1) \
         SELECT randomblob(32), version, created, expires_at, owner, meta, payload FROM number, \
         (SELECT * FROM sessions LIMIT 1)";
    sqlx::query(copy).bind(OTHERS).execute(&pool).await?;
    Ok(app)
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

/// Tells of statements only where they are counted.
pub(crate) fn quiet<C: ConnectOptions>(options: C, task: &Task) -> C {
    if task.is_counted { options } else { options.disable_statement_logging() }
}

/// The application, and one session that a request has made.
async fn routes(store: SqlStore) -> Result<Router, Box<dyn std::error::Error>> {
    store.migrate().await?;
    let sessions = Sessions::from_store(store, &Config::new())?;
    let app = Router::new()
        .route("/new", get(begin))
        .route("/read", get(read))
        .route("/write", get(read_and_write))
        .layer(SessionLayer::new(sessions));
    course::visit(app.clone()).await?;
    Ok(app)
}

async fn begin() -> Result<&'static str, Error> {
    let session = Session::handle()?;
    for (key, value) in ENTRIES {
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
