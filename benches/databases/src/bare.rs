//! The limit, on the course: the client of the database with the bare statements, a pool of it and nothing besides.
//!
//! A request that reads takes one statement, one that writes two, and a new session one. Nothing is batched, kept or
//! checked, and of the values only the one that is asked for is decoded.

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
use serde_json::value::{RawValue, to_raw_value};
use std::{collections::BTreeMap, error::Error, str::FromStr};

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

            async fn load(pool: &$pool, key: &[u8]) -> Answer<Vec<u8>> {
                let query = sqlx::query(SQL.load).bind(key);
                let row = query.fetch_one(pool).await.map_err(failed)?;
                row.try_get(0).map_err(failed)
            }

            async fn read(State(pool): State<$pool>, headers: HeaderMap) -> Answer<&'static str> {
                let payload = load(&pool, &key(&headers)?).await?;
                name(&payload).map(|_| "ok")
            }

            async fn write(State(pool): State<$pool>, headers: HeaderMap) -> Answer<&'static str> {
                let key = key(&headers)?;
                let payload = raised(&load(&pool, &key).await?)?;
                let query = sqlx::query(SQL.save).bind(payload).bind(&*key);
                query.execute(&pool).await.map_err(failed)?;
                Ok("ok")
            }

            async fn begin(State(pool): State<$pool>) -> Answer<Begun> {
                let (key, cookie) = new_key()?;
                let query = sqlx::query(SQL.insert).bind(&*key).bind(new_payload()?);
                query.execute(&pool).await.map_err(failed)?;
                Ok(([(header::SET_COOKIE, cookie)], "ok"))
            }

            async fn visits(State(pool): State<$pool>, headers: HeaderMap) -> Answer<String> {
                let payload = load(&pool, &key(&headers)?).await?;
                Ok(visits_in(&values(&payload)?)?.to_string())
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

/// The values of a session, as they stand in its payload.
type Values<'a> = BTreeMap<&'a str, &'a RawValue>;
type Begun = ([(header::HeaderName, String); 1], &'static str);

fn new_payload() -> Answer<Vec<u8>> {
    let mut all = vec![("visits", to_raw_value(&1).map_err(failed)?)];
    for (key, value) in entries() {
        all.push((key, to_raw_value(&*value).map_err(failed)?));
    }
    text(&all.iter().map(|(key, value)| (*key, &**value)).collect())
}

fn name(payload: &[u8]) -> Answer<String> {
    let values = values(payload)?;
    let name = values.get("name").ok_or(StatusCode::NOT_FOUND)?;
    serde_json::from_str(name.get()).map_err(failed)
}

fn visits_in(values: &Values<'_>) -> Answer<i64> {
    let visits = values.get("visits").ok_or(StatusCode::NOT_FOUND)?;
    serde_json::from_str(visits.get()).map_err(failed)
}

/// The payload with one visit more.
fn raised(payload: &[u8]) -> Answer<Vec<u8>> {
    let mut values = values(payload)?;
    let visits = to_raw_value(&(visits_in(&values)? + 1)).map_err(failed)?;
    values.insert("visits", &visits);
    text(&values)
}

fn values(payload: &[u8]) -> Answer<Values<'_>> {
    serde_json::from_slice(payload).map_err(failed)
}

fn text(values: &Values<'_>) -> Answer<Vec<u8>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_is_decoded_and_the_others_stay_as_they_are() {
        let payload = new_payload().unwrap();
        assert_eq!(name(&payload).unwrap(), "visitor");
        let later = raised(&raised(&payload).unwrap()).unwrap();
        assert_eq!(visits_in(&values(&later).unwrap()).unwrap(), 3);
        assert_eq!(name(&later).unwrap(), "visitor");
        assert_eq!(values(&later).unwrap().len(), entries().len() + 1);
        assert_eq!(name(b"{}").unwrap_err(), StatusCode::NOT_FOUND);
    }
}
