//! MariaDB and MySQL: their words, and the calls that take other steps here.
//!
//! Several statements are a transaction at READ COMMITTED, which locks the rows that it meets and no gaps between them.
//! Rows are found without a lock, and then locked by their keys, in the order of the keys: an index would be locked before
//! the row by one call, and after it by another; so statements that write are kept from looking at an index. What is counted are the rows that a statement has met, changed or not.
//! `open.rs` opens connections by a URL, `schema.rs` has the table, `largest.rs` knows how large a message may be; `failure.rs` says what an error leaves done.

mod failure;
mod largest;
mod open;
mod schema;

use crate::{
    calls::{Create, EndOwnedBy},
    engine::{Arguments, Connection, Custody, Engine, Source, Steps, Table, script, transaction},
    failure::Failure,
    operations::insert,
    rows::key,
    sql::{Dialect, KeyLists, Places, Sql, Value, Writer},
    statements::MOST_KEYS,
};
use dframework_session_store::{Outcome, StoreKey, Timestamp, Tombstone};
use largest::Largest;
pub(crate) use open::{open, over};
use sqlx::{Arguments as _, error::BoxDynError, mysql::MySqlQueryResult};
use std::{sync::atomic::Ordering, time::Duration};

/// The statements that only these have.
pub(crate) struct MySql {
    present: Sql,
    present_again: Sql,
    owned_keys: Sql,
    end_owned: KeyLists,
    expired_keys: Sql,
    delete_expired: KeyLists,
    largest: Largest,
}

impl Engine for MySql {
    type Db = sqlx::MySql;

    const DIALECT: Dialect =
        Dialect { quote: '`', places: Places::InOrder, among_keys: "IN (?0)", bytes: ("x'", "'") };
    const LANES: (u32, u32) = (2, 2);
    const BEGIN: &'static str = "START TRANSACTION";
    const SILENCE: Option<Duration> = Some(Duration::from_secs(1));
    /// It is told in whole seconds.
    const LEAST_LOCK_WAIT: Duration = Duration::from_secs(1);

    fn new(writer: &Writer<'_>) -> Self {
        let sql = |template| writer.write(template);
        let lists = |template| writer.write_lists(MOST_KEYS, template);
        Self {
            present: sql(
                "INSERT INTO {table} ({key}, version, created, expires_at, owner, meta, payload) \
                 VALUES (?1, 1, ?2, ?3, NULL, {empty}, NULL)",
            ),
            present_again: sql(
                "UPDATE {table} SET version = version + 1, created = ?2, expires_at = ?3, owner = NULL, \
                 meta = {empty}, payload = NULL WHERE {key} = ?1 AND expires_at + 0 <= ?2",
            ),
            owned_keys: sql("SELECT {key} FROM {table} \
                 WHERE owner = ?1 AND {key} <> ?2 AND payload IS NOT NULL ORDER BY {key}"),
            end_owned: lists(
                "UPDATE {table} FORCE INDEX (PRIMARY) SET expires_at = ?3, owner = NULL, meta = {empty}, payload = NULL \
                 WHERE {key} IN (?0) AND owner = ?2 AND payload IS NOT NULL",
            ),
            expired_keys: sql("SELECT {key} FROM {table} \
                 WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2"),
            delete_expired: lists(
                "DELETE FROM {table} WHERE {key} IN (?0) AND expires_at + 0 <= ?2",
            ),
            largest: Largest::default(),
        }
    }

    fn bind(arguments: &mut Arguments<Self>, value: &Value<'_>) -> Result<(), BoxDynError> {
        match value {
            Value::Number(number) => arguments.add(*number),
            Value::Bytes(bytes) => arguments.add(*bytes),
            // Bytes, since text is compared by the rules of a language.
            Value::Owner(owner) => arguments.add(owner.map(str::as_bytes)),
            // They go one by one.
            Value::Numbers(_) | Value::Blobs(_) => Err("there are no arrays".into()),
            Value::Keys(keys) => {
                keys.iter().try_for_each(|key| arguments.add(key.as_bytes().as_slice()))
            }
        }
    }

    fn rows_affected(result: &MySqlQueryResult) -> u64 {
        result.rows_affected()
    }

    fn failure(error: sqlx::Error) -> Failure {
        failure::classify(error)
    }

    fn check(&self, values: &[&Value<'_>]) -> Result<(), Failure> {
        self.largest.check(values)
    }

    /// What is too long for its column is refused, and not cut: an owner that was cut could be another one.
    async fn settle(table: &Table<Self>, connection: &mut Connection<Self>) -> Result<(), Failure> {
        let seconds = table.lock_wait.as_secs();
        let settings = format!(
            "SET SESSION innodb_lock_wait_timeout = {seconds}, lock_wait_timeout = {seconds}, \
             sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')"
        );
        script::<Self>(connection, settings).await?;
        Self::adopt(table, connection).await
    }

    async fn adopt(table: &Table<Self>, connection: &mut Connection<Self>) -> Result<(), Failure> {
        script::<Self>(connection, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            .await?;
        table.engine.largest.learn(connection).await
    }

    /// On a connection that goes back to its pool after the call, the next transaction alone has its isolation.
    async fn begin(table: &Table<Self>, connection: &mut Connection<Self>) -> Result<(), Failure> {
        let Source::Pool(_, Custody::Borrowed) = table.source else {
            return script::<Self>(connection, Self::BEGIN).await;
        };
        let isolation = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED";
        script::<Self>(connection, isolation).await?;
        // Where it has not begun, the next transaction of somebody else would have that isolation.
        script::<Self>(connection, Self::BEGIN).await.map_err(Failure::with_connection_lost)
    }

    async fn create_over(
        table: &Table<Self>,
        connection: &mut Connection<Self>,
        create: &Create,
        presented: &Tombstone,
    ) -> Result<Outcome, Failure> {
        transaction(table, connection, CreateOver { create, presented }).await
    }

    /// What is found may have moved before it is met, and where it has gone was not looked. So it is counted, and there
    /// is another round until all that was found was met.
    async fn end_owned_by(
        table: &Table<Self>,
        connection: &mut Connection<Self>,
        end: &EndOwnedBy,
    ) -> Result<u64, Failure> {
        let owner = || Value::Owner(Some(&end.owner));
        loop {
            let values = [owner(), Value::behind(end.except.as_ref())];
            let found = keys(table, connection, &table.engine.owned_keys, &values).await?;
            let mut ended = 0;
            for found in found.chunks(MOST_KEYS) {
                let (sql, among) = table.engine.end_owned.of(found);
                let values = [among, owner(), Value::instant(end.remember_until)];
                let met = table.execute(connection, sql, &values).await?;
                end.ended.fetch_add(met, Ordering::Relaxed);
                ended += met;
            }
            if ended == found.len() as u64 {
                return Ok(end.ended.load(Ordering::Relaxed));
            }
        }
    }

    /// Whoever finds that others have deleted all of these leaves the rest to them: to look for more would be to wait
    /// for them again and again.
    async fn delete_expired(
        table: &Table<Self>,
        connection: &mut Connection<Self>,
        now: Timestamp,
        limit: usize,
    ) -> Result<u64, Failure> {
        let values = [Value::instant(now), Value::limit(limit)];
        let found = keys(table, connection, &table.engine.expired_keys, &values).await?;
        let mut deleted = 0;
        for found in found.chunks(MOST_KEYS) {
            let (sql, among) = table.engine.delete_expired.of(found);
            deleted += table.execute(connection, sql, &[among, Value::instant(now)]).await?;
        }
        Ok(deleted)
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

/// The keys that a statement finds.
async fn keys(
    table: &Table<MySql>,
    connection: &mut Connection<MySql>,
    sql: &Sql,
    values: &[Value<'_>],
) -> Result<Vec<StoreKey>, Failure> {
    let rows = table.fetch(connection, sql, values).await?;
    rows.iter().map(key::<MySql>).collect()
}

/// Puts a tombstone over nothing, or over what had expired, then makes the record.
struct CreateOver<'a> {
    create: &'a Create,
    presented: &'a Tombstone,
}

impl Steps<MySql> for CreateOver<'_> {
    type Answer = Outcome;

    async fn carry_out(
        &self,
        table: &Table<MySql>,
        connection: &mut Connection<MySql>,
    ) -> Result<Outcome, Failure> {
        let Self { create, presented } = *self;
        let (now, until) = (create.now, presented.remember_until);
        let values = [Value::key(&presented.key), Value::instant(now), Value::instant(until)];
        let over = match table.execute(connection, &table.engine.present, &values).await {
            Err(Failure::Taken) => {
                table.execute(connection, &table.engine.present_again, &values).await
            }
            made => made,
        };
        if over? == 0 {
            return Ok(Outcome::Gone);
        }
        insert(table, connection, create).await
    }
}
