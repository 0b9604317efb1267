//! The limit, on the course: the client of the database with the bare statements, a pool of it and nothing besides.
//!
//! A request that reads takes one statement, one that writes two, and a new session one. Nothing is batched, kept or
//! checked.

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    routing::get,
};
use course::{ENTRIES, OTHERS, Task};
use dframework_session::database::sqlx::{
    self, MySqlPool, PgPool, Row, SqlitePool,
    mysql::{MySqlConnectOptions, MySqlPoolOptions},
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::SqlitePoolOptions,
};
use serde_json::{Map, Value};
use std::{error::Error, str::FromStr};

type Answer<T> = Result<T, StatusCode>;

pub(crate) fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let task = Task::parse(arguments)?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let app = application(&task).await?;
        course::run(app).await
    })
}

async fn application(task: &Task) -> Result<Router, Box<dyn Error>> {
    if task.database.starts_with("postgres:") {
        let options = crate::ours::quiet(PgConnectOptions::from_str(&task.database)?, task);
        let pool = PgPoolOptions::new().connect_with(options).await?;
        return postgres(pool).await;
    }
    if task.database.starts_with("mysql:") {
        let options = crate::ours::quiet(MySqlConnectOptions::from_str(&task.database)?, task);
        let pool = MySqlPoolOptions::new().connect_with(options).await?;
        return mysql(pool).await;
    }
    let options = crate::ours::quiet(crate::ours::file(task), task);
    sqlite(SqlitePoolOptions::new().connect_with(options).await?).await
}

/// The application on a pool of one kind.
macro_rules! on {
    ($name:ident, $pool:ty, $statements:expr) => {
        async fn $name(pool: $pool) -> Result<Router, Box<dyn Error>> {
            const SQL: Statements = $statements;

            async fn load(pool: &$pool, headers: &HeaderMap) -> Answer<(Vec<u8>, Values)> {
                let key = key(headers)?;
                let query = sqlx::query(SQL.load).bind(&*key);
                let row = query.fetch_one(pool).await.map_err(failed)?;
                Ok((key, values(row.try_get(0).map_err(failed)?)?))
            }

            async fn read(State(pool): State<$pool>, headers: HeaderMap) -> Answer<&'static str> {
                let (_, values) = load(&pool, &headers).await?;
                values
                    .get("name")
                    .and_then(Value::as_str)
                    .map(|_| "ok")
                    .ok_or(StatusCode::NOT_FOUND)
            }

            async fn write(State(pool): State<$pool>, headers: HeaderMap) -> Answer<&'static str> {
                let (key, mut values) = load(&pool, &headers).await?;
                let visits = values.get("visits").and_then(Value::as_i64).unwrap_or_default();
                values.insert("visits".to_owned(), (visits + 1).into());
                let query = sqlx::query(SQL.save).bind(text(&values)?).bind(&*key);
                query.execute(&pool).await.map_err(failed)?;
                Ok("ok")
            }

            async fn begin(State(pool): State<$pool>) -> Answer<Begun> {
                let (key, cookie) = new_key()?;
                let query = sqlx::query(SQL.insert).bind(&*key).bind(text(&six_values())?);
                query.execute(&pool).await.map_err(failed)?;
                Ok(([(header::SET_COOKIE, cookie)], "ok"))
            }

            sqlx::query(SQL.table).execute(&pool).await?;
            let app = Router::new()
                .route("/new", get(begin))
                .route("/read", get(read))
                .route("/write", get(write))
                .with_state(pool.clone());
            course::visit(app.clone()).await?;
            sqlx::query(SQL.copy).bind(i64::from(OTHERS)).execute(&pool).await?;
            Ok(app)
        }
    };
}

/// The statements of one kind of database.
struct Statements {
    table: &'static str,
    load: &'static str,
    save: &'static str,
    insert: &'static str,
    copy: &'static str,
}

on!(
    postgres,
    PgPool,
    Statements {
        table: "CREATE TABLE bare (id bytea PRIMARY KEY, payload bytea NOT NULL)",
        load: "SELECT payload FROM bare WHERE id = $1",
        save: "UPDATE bare SET payload = $1 WHERE id = $2",
        insert: "INSERT INTO bare VALUES ($1, $2)",
        copy: "INSERT INTO bare SELECT decode(md5(random()::text) || md5(random()::text), 'hex'), payload \
               FROM generate_series(1, $1), (SELECT * FROM bare LIMIT 1) AS one",
    }
);
on!(
    mysql,
    MySqlPool,
    Statements {
        table: "CREATE TABLE bare (id binary(32) PRIMARY KEY, payload mediumblob NOT NULL)",
        load: "SELECT payload FROM bare WHERE id = ?",
        save: "UPDATE bare SET payload = ? WHERE id = ?",
        insert: "INSERT INTO bare VALUES (?, ?)",
        copy: "INSERT INTO bare SELECT UNHEX(SHA2(seq, 256)), payload \
               FROM seq_1_to_1000000, (SELECT * FROM bare LIMIT 1) AS one WHERE seq <= ?",
    }
);
on!(
    sqlite,
    SqlitePool,
    Statements {
        table: "CREATE TABLE bare (id BLOB PRIMARY KEY, payload BLOB NOT NULL)",
        load: "SELECT payload FROM bare WHERE id = ?1",
        save: "UPDATE bare SET payload = ?1 WHERE id = ?2",
        insert: "INSERT INTO bare VALUES (?1, ?2)",
        copy: "INSERT INTO bare \
               WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?1) \
               SELECT randomblob(32), payload FROM number, (SELECT * FROM bare LIMIT 1)",
    }
);

type Values = Map<String, Value>;
type Begun = ([(header::HeaderName, String); 1], &'static str);

fn six_values() -> Values {
    let texts = ENTRIES.map(|(key, value)| (key.to_owned(), value.into()));
    texts.into_iter().chain([("visits".to_owned(), 1.into())]).collect()
}

fn values(payload: &[u8]) -> Answer<Values> {
    serde_json::from_slice(payload).map_err(failed)
}

fn text(values: &Values) -> Answer<Vec<u8>> {
    serde_json::to_vec(values).map_err(failed)
}

/// A key, and the cookie that brings it.
fn new_key() -> Answer<(Vec<u8>, String)> {
    let mut key = vec![0; 32];
    getrandom::fill(&mut key).map_err(failed)?;
    let digits: String = key.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(digit).collect();
    Ok((key, format!("id={digits}; Path=/; HttpOnly")))
}

fn digit(value: u8) -> char {
    char::from_digit(value.into(), 16).unwrap_or_default()
}

fn key(headers: &HeaderMap) -> Answer<Vec<u8>> {
    let cookie = headers.get(header::COOKIE).and_then(|cookie| cookie.to_str().ok());
    let digits = cookie.and_then(|cookie| cookie.strip_prefix("id=")).unwrap_or_default();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let key: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(byte).collect();
    key.filter(|key| key.len() == 32).ok_or(StatusCode::UNAUTHORIZED)
}

fn failed(error: impl std::fmt::Display) -> StatusCode {
    eprintln!("{error}");
    StatusCode::INTERNAL_SERVER_ERROR
}
