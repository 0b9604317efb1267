//! The limit, on the course: the client of the database with the bare statements, a pool of it and nothing besides.
//!
//! A request that reads takes one statement, one that writes two, and a new session one. Nothing is batched, kept or
//! checked.

use crate::{
    copies::copies,
    ours::{file, quiet},
};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    routing::get,
};
use course::{Task, entries};
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
    tokio::runtime::Runtime::new()?.block_on(on_course(&task))
}

async fn on_course(task: &Task) -> Result<(), Box<dyn Error>> {
    if task.database.starts_with("postgres:") {
        let options = quiet(PgConnectOptions::from_str(&task.database)?, task);
        let pool = PgPoolOptions::new().connect_with(options).await?;
        return postgres(pool, task).await;
    }
    if task.database.starts_with("mysql:") {
        let options = quiet(MySqlConnectOptions::from_str(&task.database)?, task);
        let pool = MySqlPoolOptions::new().connect_with(options).await?;
        return mysql(pool, task).await;
    }
    let options = quiet(file(task), task);
    sqlite(SqlitePoolOptions::new().connect_with(options).await?, task).await
}

/// The application on a pool of one kind.
macro_rules! on {
    ($name:ident, $pool:ty, $statements:expr) => {
        async fn $name(pool: $pool, task: &Task) -> Result<(), Box<dyn Error>> {
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
                let query = sqlx::query(SQL.insert).bind(&*key).bind(text(&new_values())?);
                query.execute(&pool).await.map_err(failed)?;
                Ok(([(header::SET_COOKIE, cookie)], "ok"))
            }

            async fn visits(State(pool): State<$pool>, headers: HeaderMap) -> Answer<String> {
                let (_, values) = load(&pool, &headers).await?;
                Ok(values["visits"].to_string())
            }

            sqlx::query(SQL.table).execute(&pool).await?;
            let app = Router::new()
                .route("/new", get(begin))
                .route("/read", get(read))
                .route("/write", get(write))
                .route("/count", get(write))
                .route("/visits", get(visits))
                .with_state(pool.clone());
            let grow = async |from: i64, to: i64| {
                sqlx::query(SQL.copy).bind(from).bind(to).execute(&pool).await?;
                Ok(())
            };
            course::run(app, task, grow).await
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
        copy: copies!(postgres, "bare", "payload"),
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
        copy: copies!(mysql, "bare", "payload"),
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
        copy: copies!(sqlite, "bare", "payload"),
    }
);

type Values = Map<String, Value>;
type Begun = ([(header::HeaderName, String); 1], &'static str);

fn new_values() -> Values {
    let texts = entries().into_iter().map(|(key, value)| (key.to_owned(), value.into()));
    texts.chain([("visits".to_owned(), 1.into())]).collect()
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
