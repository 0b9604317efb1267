//! The table in SQLite, and how it is made and brought up to date.

use super::{Sqlite, failure::classify};
use crate::{
    engine::{Steps, Table, transaction},
    failure::Failure,
    schema::{Found, for_table, from_nothing, steps_taken},
};
use sqlx::{AssertSqlSafe, Executor, SqliteConnection};

const REGISTRY_SQL: &str = "\
CREATE TABLE IF NOT EXISTS dframework_session_schema (
    table_name TEXT NOT NULL PRIMARY KEY COLLATE NOCASE,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Each makes the next version of the table.
const STEPS: &[&str] = &["\
CREATE TABLE \"{table}\" (
    key BLOB NOT NULL PRIMARY KEY CHECK (length(key) = 32), -- SHA-256 of the token
    version INTEGER NOT NULL,                               -- another one with every commit
    created INTEGER NOT NULL,                               -- milliseconds since 1970, as all instants
    expires_at INTEGER NOT NULL,                            -- of a tombstone: when it may be forgotten
    owner TEXT,
    meta BLOB NOT NULL,
    payload BLOB                                            -- none: a tombstone
) STRICT;
CREATE INDEX \"{table}_expires_at\" ON \"{table}\" (expires_at);
CREATE INDEX \"{table}_owner\" ON \"{table}\" (owner, key) WHERE owner IS NOT NULL;
"];

/// What makes the table of the current version where there is none.
pub(super) fn schema_sql(table: &str) -> String {
    from_nothing(REGISTRY_SQL, STEPS, table)
}

/// Makes the table, or brings it up to date.
pub(super) async fn migrate(
    table: &Table<Sqlite>,
    connection: &mut SqliteConnection,
) -> Result<(), Failure> {
    transaction(table, connection, Upgrade { steps: STEPS }).await
}

/// From whatever version there is to the one after the last step.
struct Upgrade<'a> {
    steps: &'a [&'a str],
}

impl Steps<Sqlite> for Upgrade<'_> {
    type Answer = ();

    async fn carry_out(
        &self,
        table: &Table<Sqlite>,
        connection: &mut SqliteConnection,
    ) -> Result<(), Failure> {
        let (table, steps) = (table.name.as_str(), self.steps);
        connection.execute(sqlx::raw_sql(REGISTRY_SQL)).await.map_err(classify)?;
        let found = look(connection, table).await?;
        let from = steps_taken(&found, table, steps.len())?;
        for step in &steps[from..] {
            let step = AssertSqlSafe(for_table(step, table));
            connection.execute(sqlx::raw_sql(step)).await.map_err(classify)?;
        }
        let note = "INSERT INTO dframework_session_schema (table_name, version) VALUES (?1, ?2) \
             ON CONFLICT (table_name) DO UPDATE SET version = excluded.version";
        let version = i64::try_from(steps.len()).unwrap_or(i64::MAX);
        sqlx::query(note).bind(table).bind(version).execute(connection).await.map_err(classify)?;
        Ok(())
    }
}

/// What there is of this name.
async fn look(connection: &mut SqliteConnection, table: &str) -> Result<Found, Failure> {
    let find = "SELECT count(*) FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE AND type IN ('table', 'view')";
    let tables = sqlx::query_scalar(find).bind(table).fetch_one(&mut *connection).await;
    let tables: i64 = tables.map_err(classify)?;
    if tables == 0 {
        return Ok(Found::Nothing);
    }
    let find = "SELECT version FROM dframework_session_schema WHERE table_name = ?1";
    let version = sqlx::query_scalar(find).bind(table).fetch_optional(connection).await;
    version.map(Found::Something).map_err(classify)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Source;
    use sqlx::{Connection, sqlite::SqliteConnectOptions};
    use std::time::Duration;

    /// A version to come: a column more, and something in it for what is there.
    const NEXT: &str =
        "ALTER TABLE \"{table}\" ADD COLUMN more INTEGER; UPDATE \"{table}\" SET more = 7;";

    async fn upgrade(
        connection: &mut SqliteConnection,
        steps: &[&str],
    ) -> Result<(), &'static str> {
        let source = Source::Own(SqliteConnectOptions::new());
        let table = Table::new(source, String::new(), "sessions".to_owned(), Duration::ZERO);
        let upgraded = transaction(&table, connection, Upgrade { steps }).await;
        upgraded.map_err(|failure| match failure {
            Failure::Schema(_) => "schema",
            _ => "failed",
        })
    }

    async fn query<T>(connection: &mut SqliteConnection, sql: &'static str) -> Option<T>
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite> + Send + Unpin,
    {
        sqlx::query_scalar(sql).fetch_one(connection).await.ok()
    }

    const ROW: &str =
        "INSERT INTO sessions VALUES (zeroblob(32), 1, 0, 0, NULL, x'', x'00') RETURNING version";
    const VERSION: &str = "SELECT version FROM dframework_session_schema";

    #[tokio::test]
    async fn an_older_table_is_brought_up_to_date_with_what_is_in_it() -> Result<(), sqlx::Error> {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await?;
        assert_eq!(upgrade(&mut connection, STEPS).await, Ok(()));
        assert_eq!(query(&mut connection, ROW).await, Some(1_i64));
        let steps = [STEPS, &[NEXT]].concat();
        for _ in 0..2 {
            assert_eq!(upgrade(&mut connection, &steps).await, Ok(()));
            assert_eq!(query(&mut connection, "SELECT more FROM sessions").await, Some(7_i64));
            assert_eq!(query(&mut connection, VERSION).await, Some(2_i64));
        }
        // Going back is refused.
        assert_eq!(upgrade(&mut connection, STEPS).await, Err("schema"));
        assert_eq!(query(&mut connection, VERSION).await, Some(2_i64));
        Ok(())
    }

    #[tokio::test]
    async fn an_upgrade_that_fails_half_way_changes_nothing() -> Result<(), sqlx::Error> {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await?;
        assert_eq!(upgrade(&mut connection, STEPS).await, Ok(()));
        assert_eq!(query(&mut connection, ROW).await, Some(1_i64));
        let steps = [STEPS, &[NEXT, "SELECT none FROM \"{table}\""]].concat();
        assert_eq!(upgrade(&mut connection, &steps).await, Err("failed"));
        assert_eq!(query::<i64>(&mut connection, "SELECT more FROM sessions").await, None);
        assert_eq!(query(&mut connection, VERSION).await, Some(1_i64));
        Ok(())
    }
}
