//! tower-sessions with its store for SQLite, on the course.

use axum::{Router, http::StatusCode, routing::get};
use course::{ENTRIES, OTHERS, Task};
use std::{env, error::Error};
use tower_sessions::{Expiry, Session, SessionManagerLayer, cookie::time::Duration};
use tower_sessions_sqlx_store::{
    SqliteStore,
    sqlx::{
        self, ConnectOptions, SqlitePool,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
    },
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let task = Task::parse(&arguments)?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let app = application(&task).await?;
        course::run(app).await
    })
}

async fn application(task: &Task) -> Result<Router, Box<dyn Error>> {
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
    // With the pool's own defaults: ten connections.
    let pool = SqlitePoolOptions::new().connect_with(options).await?;
    let store = SqliteStore::new(pool.clone());
    store.migrate().await?;
    let layer =
        SessionManagerLayer::new(store).with_expiry(Expiry::OnInactivity(Duration::hours(2)));
    let app = Router::new()
        .route("/new", get(begin))
        .route("/read", get(read))
        .route("/write", get(read_and_write))
        .layer(layer);
    fill(&pool, app.clone()).await?;
    Ok(app)
}

/// Copies of one session that a request has made.
async fn fill(pool: &SqlitePool, app: Router) -> Result<(), Box<dyn Error>> {
    course::visit(app).await?;
    let copy = "INSERT INTO tower_sessions \
         WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?1) \
         SELECT substr(hex(randomblob(16)), 1, 22), data, expiry_date FROM number, \
         (SELECT data, expiry_date FROM tower_sessions LIMIT 1)";
    sqlx::query(copy).bind(OTHERS).execute(pool).await?;
    Ok(())
}

async fn begin(session: Session) -> Result<&'static str, StatusCode> {
    for (key, value) in ENTRIES {
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

fn failed(error: tower_sessions::session::Error) -> StatusCode {
    eprintln!("{error}");
    StatusCode::INTERNAL_SERVER_ERROR
}
