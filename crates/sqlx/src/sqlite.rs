//! SQLite: its words, and the calls that take other steps here.
//!
//! `open.rs` makes file and connections, `schema.rs` the table; `failure.rs` says what an error of SQLite leaves done.

mod failure;
mod open;
mod schema;

use crate::{
    calls::{Commit, Create, EndOwnedBy},
    engine::{Arguments, Connection, Engine, Steps, Table, save, script, transaction},
    failure::Failure,
    operations::insert,
    sql::{Dialect, Places, Sql, Value, Writer},
};
use dframework_session_store::{Outcome, Timestamp, Tombstone};
pub(crate) use open::open;
use sqlx::{
    Arguments as _, SqlitePool,
    error::BoxDynError,
    sqlite::{SqliteConnectOptions, SqliteQueryResult},
};
use std::time::Duration;

/// The statements that only SQLite has.
pub(crate) struct Sqlite {
    present: Sql,
    save: Sql,
    end_owned_by: Sql,
    delete_expired: Sql,
}

impl Sqlite {
    /// On a pool of the application.
    pub(crate) fn over(pool: SqlitePool, table: String, patience: Duration) -> Table<Self> {
        let file = file(&pool.connect_options());
        Table::over(pool, file, table, patience)
    }
}

/// The file, as it is named in errors.
fn file(options: &SqliteConnectOptions) -> String {
    options.get_filename().display().to_string()
}

impl Engine for Sqlite {
    type Db = sqlx::Sqlite;

    const DIALECT: Dialect =
        Dialect { quote: '"', places: Places::Marked, among_keys: "IN (?0)", bytes: ("x'", "'") };
    /// SQLite lets nobody write beside another.
    const LANES: (u32, u32) = (2, 1);
    /// With the right to write from its beginning, so that nobody is in its way once it has begun.
    const BEGIN: &'static str = "BEGIN IMMEDIATE";
    /// A file does not go away.
    const SILENCE: Option<Duration> = None;

    fn new(writer: &Writer<'_>) -> Self {
        let sql = |template| writer.write(template);
        Self {
            // Over nothing, or over what had expired by ?2.
            present: sql(
                "INSERT INTO {table} ({key}, version, created, expires_at, owner, meta, payload) \
                 VALUES (?1, 1, ?2, ?3, NULL, {empty}, NULL) \
                 ON CONFLICT ({key}) DO UPDATE SET version = {table}.version + 1, created = excluded.created, \
                 expires_at = excluded.expires_at, owner = NULL, meta = {empty}, payload = NULL \
                 WHERE {table}.expires_at <= ?2",
            ),
            // As a commit where the payload alone has changed. SQLite writes an index whenever a column of it is
            // named, so this one writes one page, and that one two or three.
            save: sql("UPDATE {table} SET version = version + 1, payload = ?6 \
                 WHERE {key} = ?1 AND version = ?2 AND expires_at = ?3 AND owner IS ?4 AND meta = ?5 \
                 AND payload IS NOT NULL"),
            end_owned_by: sql(
                "UPDATE {table} SET expires_at = ?3, owner = NULL, meta = {empty}, payload = NULL \
                 WHERE owner = ?1 AND {key} <> ?2 AND payload IS NOT NULL",
            ),
            delete_expired: sql("DELETE FROM {table} WHERE rowid IN \
                 (SELECT rowid FROM {table} WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)"),
        }
    }

    fn bind(arguments: &mut Arguments<Self>, value: &Value<'_>) -> Result<(), BoxDynError> {
        match value {
            Value::Number(number) => arguments.add(*number),
            Value::Bytes(bytes) => arguments.add(*bytes),
            Value::Owner(owner) => arguments.add(*owner),
            // They go one by one.
            Value::Numbers(_) | Value::Blobs(_) => Err("there are no arrays".into()),
            Value::Keys(keys) => {
                keys.iter().try_for_each(|key| arguments.add(key.as_bytes().as_slice()))
            }
        }
    }

    fn rows_affected(result: &SqliteQueryResult) -> u64 {
        result.rows_affected()
    }

    fn failure(error: sqlx::Error) -> Failure {
        failure::classify(error)
    }

    /// The lane waits for locks itself, and looks now and then whether its caller still does.
    async fn adopt(table: &Table<Self>, connection: &mut Connection<Self>) -> Result<(), Failure> {
        let pragma = format!("PRAGMA busy_timeout = {}", table.lock_wait.as_millis());
        script::<Self>(connection, pragma).await
    }

    async fn create_over(
        table: &Table<Self>,
        connection: &mut Connection<Self>,
        create: &Create,
        presented: &Tombstone,
    ) -> Result<Outcome, Failure> {
        let present = &table.engine.present;
        transaction(table, connection, CreateOver { create, presented, present }).await
    }

    /// Most saves change the payload alone. Either statement compares the version and is whole by itself.
    async fn save(
        table: &Table<Self>,
        connection: &mut Connection<Self>,
        commit: &Commit,
        version: i64,
    ) -> Result<u64, Failure> {
        match save(table, connection, &table.engine.save, commit, version).await? {
            0 => save(table, connection, &table.statements.commit, commit, version).await,
            rows => Ok(rows),
        }
    }

    /// Nobody writes beside it, so no record can move meanwhile.
    async fn end_owned_by(
        table: &Table<Self>,
        connection: &mut Connection<Self>,
        end: &EndOwnedBy,
    ) -> Result<u64, Failure> {
        let spared = Value::behind(end.except.as_ref());
        let until = Value::instant(end.remember_until);
        let values = [Value::Owner(Some(&end.owner)), spared, until];
        table.execute(connection, &table.engine.end_owned_by, &values).await
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

/// Ends the presented key by this statement, then makes the record.
struct CreateOver<'a> {
    create: &'a Create,
    presented: &'a Tombstone,
    present: &'a Sql,
}

impl Steps<Sqlite> for CreateOver<'_> {
    type Answer = Outcome;

    async fn carry_out(
        &self,
        table: &Table<Sqlite>,
        connection: &mut Connection<Sqlite>,
    ) -> Result<Outcome, Failure> {
        let Self { create, presented, present } = *self;
        let until = Value::instant(presented.remember_until);
        let values = [Value::key(&presented.key), Value::instant(create.now), until];
        if table.execute(connection, present, &values).await? == 0 {
            return Ok(Outcome::Gone);
        }
        insert(table, connection, create).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{sql::Sql, statements::Statements};
    use dframework_session_store::StoreKey;
    use sqlx::{AssertSqlSafe, Connection as _, Executor, Row, SqliteConnection};

    #[tokio::test]
    async fn no_statement_goes_through_the_whole_table() -> Result<(), sqlx::Error> {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await?;
        connection.execute(sqlx::raw_sql(AssertSqlSafe(Sqlite::schema_sql("sessions")))).await?;
        let writer = Writer { table: "sessions", dialect: &Sqlite::DIALECT };
        let Statements {
            load,
            create,
            commit,
            leave,
            arrive,
            touch,
            end,
            find,
            owned_by,
            count,
            scan,
        } = &Statements::new(&writer);
        let Sqlite { present, save, end_owned_by, delete_expired } = &Sqlite::new(&writer);
        let one = StoreKey::from_bytes([1; 32]);
        let by_key = "USING INDEX sqlite_autoindex_sessions_1 (key";
        let expected: [(&Sql, &str); 16] = [
            (load.of(&[one]).0, by_key),
            (load.of(&[one; 2]).0, by_key),
            (create, ""),
            (present, ""),
            (save, by_key),
            (commit, by_key),
            (arrive, by_key),
            (leave, by_key),
            (touch, by_key),
            (end, by_key),
            (delete_expired, "USING COVERING INDEX sessions_expires_at (expires_at<?)"),
            (find, by_key),
            (owned_by, "USING INDEX sessions_owner (owner=? AND key>?)"),
            (end_owned_by, "USING INDEX sessions_owner (owner=?"),
            (count, "USING INDEX sessions_expires_at (expires_at>?)"),
            (scan, by_key),
        ];
        for (statement, expected) in expected {
            let sql = statement.text();
            let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", sql.as_str()));
            let rows = connection.fetch_all(sqlx::raw_sql(explain)).await?;
            let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
            let (sql, plan) = (sql.as_str(), plan.join("; "));
            assert!(plan.contains(expected), "{sql}: {plan}");
            assert!(!plan.contains("SCAN sessions"), "{sql}: {plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{sql}: {plan}");
        }
        Ok(())
    }
}
