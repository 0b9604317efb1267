//! tower-sessions with its stores for databases, on the course.

use axum::{Router, http::StatusCode, routing::get};
use course::{ENTRIES, OTHERS, Task};
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
    tokio::runtime::Runtime::new()?.block_on(async {
        let app = application(&task).await?;
        course::run(app).await
    })
}

/// With the pools' own defaults: ten connections.
async fn application(task: &Task) -> Result<Router, Box<dyn Error>> {
    if task.database.starts_with("postgres:") {
        let options = quiet(PgConnectOptions::from_str(&task.database)?, task);
        let pool = PgPoolOptions::new().connect_with(options).await?;
        let store = PostgresStore::new(pool.clone());
        store.migrate().await?;
        let app = routes(store).await?;
        let copy = "INSERT INTO tower_sessions.session \
             SELECT left(md5(random()::text), 22), data, expiry_date FROM generate_series(1, $1), \
             (SELECT * FROM tower_sessions.session LIMIT 1) AS one";
        sqlx::query(copy).bind(i64::from(OTHERS)).execute(&pool).await?;
        return Ok(app);
    }
    if task.database.starts_with("mysql:") {
        let options = quiet(MySqlConnectOptions::from_str(&task.database)?, task);
        let pool = MySqlPoolOptions::new().connect_with(options).await?;
        // Its schema is what others call a database: it makes one of its own beside that of the URL.
        let schema = format!("peer_{}", std::process::id());
        let store = MySqlStore::new(pool.clone()).with_schema_name(&schema)?;
        store.migrate().await?;
        let app = routes(store).await?;
        let copy = format!(
            "INSERT INTO `{schema}`.session \
             SELECT LEFT(SHA2(seq, 256), 22), data, expiry_date FROM seq_1_to_100000, \
             (SELECT * FROM `{schema}`.session LIMIT 1) AS one"
        );
        sqlx::query(&copy).execute(&pool).await?;
        return Ok(app);
    }
    let synchronous = match &*task.synchronous {
        "full" => SqliteSynchronous::Full,
        _ => SqliteSynchronous::Normal,
    };
    let options = SqliteConnectOptions::new()
        .filename(&task.database)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous);
    let pool = SqlitePoolOptions::new().connect_with(quiet(options, task)).await?;
    let store = SqliteStore::new(pool.clone());
    store.migrate().await?;
    let app = routes(store).await?;
    let copy = "INSERT INTO tower_sessions \
         WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?1) \
         SELECT substr(hex(randomblob(16)), 1, 22), data, expiry_date FROM number, \
         (SELECT data, expiry_date FROM tower_sessions LIMIT 1)";
    sqlx::query(copy).bind(OTHERS).execute(&pool).await?;
    Ok(app)
}

/// Tells of statements only where they are counted.
fn quiet<C: ConnectOptions>(options: C, task: &Task) -> C {
    if task.is_counted { options } else { options.disable_statement_logging() }
}

/// The application, and one session that a request has made.
async fn routes<S: SessionStore + Clone>(store: S) -> Result<Router, Box<dyn Error>> {
    let layer =
        SessionManagerLayer::new(store).with_expiry(Expiry::OnInactivity(Duration::hours(2)));
    let app = Router::new()
        .route("/new", get(begin))
        .route("/read", get(read))
        .route("/write", get(read_and_write))
        .layer(layer);
    course::visit(app.clone()).await?;
    Ok(app)
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
