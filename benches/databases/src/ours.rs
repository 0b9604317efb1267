//! This library with its store for SQLite, on the course.

use axum::{Router, routing::get};
use course::{ENTRIES, OTHERS, Task};
use dframework_session::{
    Config, Error, Session, Sessions,
    database::{
        SqlStore,
        sqlx::{
            self, ConnectOptions, SqlitePool,
            sqlite::{
                SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
            },
        },
    },
    tower::SessionLayer,
};

pub(crate) fn run(arguments: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let task = Task::parse(arguments)?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let app = application(&task).await?;
        course::run(app).await
    })
}

/// On a pool, since what opens a URL waits for the disk always, and tells of no statements.
async fn application(task: &Task) -> Result<Router, Box<dyn std::error::Error>> {
    let synchronous = match &*task.synchronous {
        "full" => SqliteSynchronous::Full,
        _ => SqliteSynchronous::Normal,
    };
    let mut options = SqliteConnectOptions::new()
        .filename(&task.file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous);
    if !task.is_counted {
        options = options.disable_statement_logging();
    }
    let pool = SqlitePoolOptions::new().connect_with(options).await?;
    let store = SqlStore::new(pool.clone());
    store.migrate().await?;
    let sessions = Sessions::from_store(store, &Config::new())?;
    let app = Router::new()
        .route("/new", get(begin))
        .route("/read", get(read))
        .route("/write", get(read_and_write))
        .layer(SessionLayer::new(sessions));
    fill(&pool, app.clone()).await?;
    Ok(app)
}

/// Copies of one session that a request has made.
async fn fill(pool: &SqlitePool, app: Router) -> Result<(), Box<dyn std::error::Error>> {
    course::visit(app).await?;
    let copy = "INSERT INTO sessions \
         WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?1) \
         SELECT randomblob(32), version, created, expires_at, owner, meta, payload FROM number, \
         (SELECT * FROM sessions LIMIT 1)";
    sqlx::query(copy).bind(OTHERS).execute(pool).await?;
    Ok(())
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
