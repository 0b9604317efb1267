//! PostgreSQL: its words, and the calls that take other steps here. Each of them is one statement.
//!
//! All of it is right under READ COMMITTED. There, a statement sees what was committed when it began, and where it
//! meets a row that has changed since, it waits for whoever changes it and looks at the row again.
//! `open.rs` opens connections by a URL, `schema.rs` has the table; `failure.rs` says what an error leaves done.

mod failure;
mod open;
mod schema;
mod together;

use crate::{
    calls::{Commit, Create, EndOwnedBy},
    engine::{Arguments, Company, Connection, Engine, Manner, Table},
    failure::Failure,
    rows::number,
    sql::{Dialect, Places, Sql, Value, Writer},
    together::Writing,
};
use dframework_session_store::{Outcome, StoreKey, Timestamp, Tombstone, Version};
pub(crate) use open::{open, over};
use sqlx::{
    Arguments as _, PgPool,
    error::BoxDynError,
    postgres::{PgQueryResult, Postgres as Db},
};
use std::{sync::atomic::Ordering, time::Duration};
use together::Together;

/// The statements that only PostgreSQL has.
pub(crate) struct Postgres {
    create_over: Sql,
    relocate: Sql,
    end_owned_by: Sql,
    delete_expired: Sql,
    together: Together,
}

impl Engine for Postgres {
    type Db = Db;

    const DIALECT: Dialect = Dialect {
        quote: '"',
        places: Places::Numbered,
        among_keys: "= ANY(?0)",
        bytes: ("decode('", "', 'hex')"),
    };
    const LANES: (u32, u32) = (2, 2);
    const BEGIN: &'static str = "BEGIN";
    const COMPANY: Company = Company::Alike;
    const SILENCE: Option<Duration> = Some(Duration::from_secs(1));

    fn new(writer: &Writer<'_>) -> Self {
        let sql = |template| writer.write(template);
        Self {
            together: Together::new(writer),
            // Over nothing, or over what had expired by ?2. A presented key that is the new one meets its own row.
            create_over: sql("WITH ended AS ( \
                 INSERT INTO {table} AS old ({key}, version, created, expires_at, owner, meta, payload) \
                 VALUES (?1, 1, ?2, ?3, NULL, {empty}, NULL) \
                 ON CONFLICT ({key}) DO UPDATE SET version = old.version + 1, created = excluded.created, \
                 expires_at = excluded.expires_at, owner = NULL, meta = {empty}, payload = NULL \
                 WHERE old.expires_at <= ?2 RETURNING 1) \
                 INSERT INTO {table} ({key}, version, created, expires_at, owner, meta, payload) \
                 SELECT ?4, 1, ?5, ?6, ?7, ?8, ?9 FROM ended"),
            // The tombstone compares the version and locks its row; the record is made of what it gives back.
            relocate: sql("WITH gone AS ( \
                 UPDATE {table} SET expires_at = ?3, owner = NULL, meta = {empty}, payload = NULL \
                 WHERE {key} = ?1 AND version = ?2 AND payload IS NOT NULL RETURNING version, created) \
                 INSERT INTO {table} ({key}, version, created, expires_at, owner, meta, payload) \
                 SELECT ?4, version + 1, created, ?5, ?6, ?7, ?8 FROM gone"),
            // Rows are locked in the order of their keys, so that two of these wait for each other in one order.
            end_owned_by: sql("WITH found AS MATERIALIZED ( \
                 SELECT {key} FROM {table} WHERE owner = ?1 AND {key} <> ?2 AND payload IS NOT NULL), \
                 held AS MATERIALIZED ( \
                 SELECT {key} FROM {table} WHERE owner = ?1 AND {key} <> ?2 AND payload IS NOT NULL \
                 ORDER BY {key} FOR UPDATE), \
                 ended AS ( \
                 UPDATE {table} AS old SET expires_at = ?3, owner = NULL, meta = {empty}, payload = NULL \
                 FROM held WHERE old.{key} = held.{key} RETURNING 1) \
                 SELECT (SELECT count(*) FROM found), (SELECT count(*) FROM ended)"),
            // What somebody else has in hand is left to him, or to the next time. The array is made once, whatever the
            // planner thinks of it, so no more than ?2 rows go.
            delete_expired: sql("DELETE FROM {table} WHERE {key} = ANY(ARRAY( \
                 SELECT {key} FROM {table} WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2 \
                 FOR UPDATE SKIP LOCKED))"),
        }
    }

    fn bind(arguments: &mut Arguments<Self>, value: &Value<'_>) -> Result<(), BoxDynError> {
        match value {
            Value::Number(number) => arguments.add(*number),
            Value::Bytes(bytes) => arguments.add(*bytes),
            // Bytes, since text cannot hold every owner, and is compared by the rules of a language.
            Value::Owner(owner) => arguments.add(owner.map(str::as_bytes)),
            Value::Numbers(numbers) => arguments.add(numbers.as_slice()),
            Value::Blobs(blobs) => arguments.add(blobs.as_slice()),
            Value::Keys(keys) => {
                let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes().as_slice()).collect();
                arguments.add(keys)
            }
        }
    }

    fn rows_affected(result: &PgQueryResult) -> u64 {
        result.rows_affected()
    }

    fn failure(error: sqlx::Error) -> Failure {
        failure::classify(error)
    }

    async fn settle(table: &Table<Self>, connection: &mut Connection<Self>) -> Result<(), Failure> {
        match table.manner() {
            Manner::Prepared => open::remembers(connection).await,
            Manner::Whole => Ok(()),
        }
    }

    async fn examine(pool: &PgPool) -> Result<Manner, Failure> {
        open::examine(pool).await
    }

    /// For this transaction alone, which is this message.
    fn before_whole(table: &Table<Self>) -> String {
        let (lock, all) = (table.lock_wait.as_millis(), table.patience.as_millis());
        format!("SET LOCAL lock_timeout = {lock}; SET LOCAL statement_timeout = {all}; ")
    }

    async fn create_over(
        table: &Table<Self>,
        connection: &mut Connection<Self>,
        create: &Create,
        presented: &Tombstone,
    ) -> Result<Outcome, Failure> {
        let [expires_at, owner, meta, payload] = create.record.values();
        let values = [
            Value::key(&presented.key),
            Value::instant(create.now),
            Value::instant(presented.remember_until),
            Value::key(&create.key),
            Value::instant(create.created),
            expires_at,
            owner,
            meta,
            payload,
        ];
        let made = table.execute(connection, &table.engine.create_over, &values).await?;
        Ok(if made == 0 { Outcome::Gone } else { Outcome::Committed(Version(1)) })
    }

    async fn relocate(
        table: &Table<Self>,
        connection: &mut Connection<Self>,
        commit: &Commit,
        version: i64,
        to: &StoreKey,
    ) -> Result<u64, Failure> {
        let [expires_at, owner, meta, payload] = commit.record.values();
        let values = [
            Value::key(&commit.key),
            Value::Number(version),
            Value::instant(commit.remember_until),
            Value::key(to),
            expires_at,
            owner,
            meta,
            payload,
        ];
        table.execute(connection, &table.engine.relocate, &values).await
    }

    async fn write_together(
        table: &Table<Self>,
        connection: &mut Connection<Self>,
        writings: &[Writing<'_>],
    ) -> Result<Vec<u64>, Failure> {
        together::write(table, connection, writings).await
    }

    /// The statement sees the records that were there when it began. One that moves before it is locked is not met, and
    /// where it has gone is not seen. So it is counted, and there is another round until all that were seen were met.
    async fn end_owned_by(
        table: &Table<Self>,
        connection: &mut Connection<Self>,
        end: &EndOwnedBy,
    ) -> Result<u64, Failure> {
        loop {
            let spared = Value::behind(end.except.as_ref());
            let until = Value::instant(end.remember_until);
            let values = [Value::Owner(Some(&end.owner)), spared, until];
            let rows = table.fetch(connection, &table.engine.end_owned_by, &values).await?;
            let Some(row) = rows.first() else { continue };
            let (found, ended) = (number::<Self>(row, 0)?, number::<Self>(row, 1)?);
            let all = end.ended.fetch_add(ended, Ordering::Relaxed) + ended;
            if ended == found {
                return Ok(all);
            }
        }
    }

    async fn delete_expired(
        table: &Table<Self>,
        connection: &mut Connection<Self>,
        now: Timestamp,
        limit: usize,
    ) -> Result<u64, Failure> {
        let values = [Value::instant(now), Value::limit(limit)];
        table.execute(connection, &table.engine.delete_expired, &values).await
    }

    async fn migrate(
        table: &Table<Self>,
        connection: &mut Connection<Self>,
    ) -> Result<(), Failure> {
        schema::migrate(table, connection).await
    }

    fn schema_sql(table: &str) -> String {
        schema::schema_sql(table)
    }
}
