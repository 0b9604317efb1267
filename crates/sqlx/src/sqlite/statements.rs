//! The SQL of every call, made once for a table.
//!
//! A row with a payload is a record; one without is a tombstone, remembered until `expires_at`.

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

/// How many keys one statement reads at most. More are read by several.
pub(crate) const MOST_KEYS: usize = 1024;

/// The SQL of every call.
pub(crate) struct Statements {
    /// For 1, 2, 4, … keys, so that few statements are prepared however many keys are asked for.
    load: Vec<SqlStr>,
    pub(crate) create: SqlStr,
    pub(crate) present: SqlStr,
    pub(crate) save: SqlStr,
    pub(crate) commit: SqlStr,
    pub(crate) arrive: SqlStr,
    pub(crate) leave: SqlStr,
    pub(crate) touch: SqlStr,
    pub(crate) end: SqlStr,
    pub(crate) delete_expired: SqlStr,
    pub(crate) find: SqlStr,
    pub(crate) owned_by: SqlStr,
    pub(crate) end_owned_by: SqlStr,
    pub(crate) count: SqlStr,
    pub(crate) scan: SqlStr,
}

impl Statements {
    /// For this table, whose name is an identifier.
    pub(crate) fn new(table: &str) -> Self {
        let sql = |text: &str| sql(&text.replace("{table}", &format!("\"{table}\"")));
        Self {
            load: (0..=MOST_KEYS.ilog2()).map(|power| sql(&load(1 << power))).collect(),
            create: sql(
                "INSERT INTO {table} (key, version, created, expires_at, owner, meta, payload) \
                 VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6)",
            ),
            // Over nothing, or over what had expired by ?4.
            present: sql(
                "INSERT INTO {table} (key, version, created, expires_at, owner, meta, payload) \
                 VALUES (?1, 1, ?2, ?3, NULL, x'', NULL) \
                 ON CONFLICT (key) DO UPDATE SET version = {table}.version + 1, created = excluded.created, \
                 expires_at = excluded.expires_at, owner = NULL, meta = x'', payload = NULL \
                 WHERE {table}.expires_at <= ?4",
            ),
            // As the next one where the payload alone has changed. SQLite writes an index whenever a column of it is
            // named, so this one writes one page, and that one two or three.
            save: sql("UPDATE {table} SET version = version + 1, payload = ?6 \
                 WHERE key = ?1 AND version = ?2 AND expires_at = ?3 AND owner IS ?4 AND meta = ?5 \
                 AND payload IS NOT NULL"),
            commit: sql(
                "UPDATE {table} SET version = version + 1, expires_at = ?3, owner = ?4, meta = ?5, \
                 payload = ?6 WHERE key = ?1 AND version = ?2 AND payload IS NOT NULL",
            ),
            // A move is these two, in one transaction: the record at its new key, the tombstone at the old one.
            arrive: sql(
                "INSERT INTO {table} (key, version, created, expires_at, owner, meta, payload) \
                 SELECT ?3, version + 1, created, ?4, ?5, ?6, ?7 FROM {table} \
                 WHERE key = ?1 AND version = ?2 AND payload IS NOT NULL",
            ),
            leave: sql(
                "UPDATE {table} SET expires_at = ?2, owner = NULL, meta = x'', payload = NULL \
                 WHERE key = ?1",
            ),
            touch: sql("UPDATE {table} SET expires_at = ?2 \
                 WHERE key = ?1 AND expires_at < ?2 AND payload IS NOT NULL"),
            end: sql(
                "UPDATE {table} SET expires_at = ?2, owner = NULL, meta = x'', payload = NULL \
                 WHERE key = ?1 AND payload IS NOT NULL",
            ),
            delete_expired: sql("DELETE FROM {table} WHERE rowid IN \
                 (SELECT rowid FROM {table} WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)"),
            find: sql("SELECT key, created, expires_at, meta FROM {table} \
                 WHERE key BETWEEN ?1 AND ?2 AND payload IS NOT NULL ORDER BY key LIMIT 1"),
            owned_by: sql("SELECT key, created, expires_at, meta FROM {table} \
                 WHERE owner = ?1 AND key > ?2 AND expires_at > ?3 AND payload IS NOT NULL \
                 ORDER BY key LIMIT ?4"),
            end_owned_by: sql(
                "UPDATE {table} SET expires_at = ?3, owner = NULL, meta = x'', payload = NULL \
                 WHERE owner = ?1 AND key <> ?2 AND payload IS NOT NULL",
            ),
            count: sql(
                "SELECT count(*) FROM {table} WHERE expires_at > ?1 AND payload IS NOT NULL",
            ),
            scan: sql("SELECT key, version, expires_at, meta, payload FROM {table} \
                 WHERE key > ?1 AND payload IS NOT NULL ORDER BY key LIMIT ?2"),
        }
    }

    /// Reads at least this many keys, and how many it takes.
    pub(crate) fn load(&self, keys: usize) -> (&SqlStr, usize) {
        let power = keys.next_power_of_two().ilog2();
        (&self.load[power as usize], 1 << power)
    }
}

fn load(keys: usize) -> String {
    let places = vec!["?"; keys].join(", ");
    format!("SELECT key, version, expires_at, meta, payload FROM {{table}} WHERE key IN ({places})")
}

/// Of what varies in a statement there is the table's name only, which is an identifier.
fn sql(text: &str) -> SqlStr {
    AssertSqlSafe(std::sync::Arc::<str>::from(text)).into_sql_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::schema::schema_sql;
    use sqlx::{Connection, Executor, Row, SqliteConnection};

    #[tokio::test]
    async fn no_statement_goes_through_the_whole_table() -> Result<(), sqlx::Error> {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await?;
        connection.execute(sqlx::raw_sql(AssertSqlSafe(schema_sql("sessions")))).await?;
        let statements = Statements::new("sessions");
        let Statements {
            load,
            create,
            present,
            save,
            commit,
            arrive,
            leave,
            touch,
            end,
            delete_expired,
            find,
            owned_by,
            end_owned_by,
            count,
            scan,
        } = &statements;
        let by_key = "USING INDEX sqlite_autoindex_sessions_1 (key";
        for (statement, expected) in [
            (&load[0], by_key),
            (&load[1], by_key),
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
        ] {
            let sql = statement.as_str();
            let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
            let rows = connection.fetch_all(sqlx::raw_sql(explain)).await?;
            let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
            let plan = plan.join("; ");
            assert!(plan.contains(expected), "{sql}: {plan}");
            assert!(!plan.contains("SCAN sessions"), "{sql}: {plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{sql}: {plan}");
        }
        Ok(())
    }
}
