//! Writes at several keys, one statement for each kind of them.
//!
//! A statement locks its rows in the order of their keys before it changes the first, so two of them wait for each other
//! in one order. Under READ COMMITTED, what it then changes is compared with what is there at that moment.

use super::Postgres;
use crate::{
    calls::Record,
    engine::{Connection, Table},
    failure::Failure,
    rows::key,
    sql::{Sql, Value, Writer, millis},
    together::Writing,
};
use dframework_session_store::{StoreKey, Timestamp};

/// The statements, of which each takes arrays of one length: a key in the first, and what belongs to it at the same place
/// of the others. Each gives the keys that it has met.
pub(super) struct Together {
    create: Sql,
    commit: Sql,
    touch: Sql,
    end: Sql,
}

impl Together {
    pub(super) fn new(writer: &Writer<'_>) -> Self {
        let sql = |wanted: &str, update: &str| {
            writer.write(&format!(
                "WITH wanted AS MATERIALIZED (SELECT * FROM {wanted}), held AS MATERIALIZED ( \
                 SELECT {{key}} FROM {{table}} WHERE {{key}} = ANY(?1) AND payload IS NOT NULL \
                 ORDER BY {{key}} FOR UPDATE) \
                 UPDATE {{table}} AS old SET {update} AND wanted.{{key}} = held.{{key}} \
                 AND old.{{key}} = held.{{key}} AND old.payload IS NOT NULL RETURNING old.{{key}}"
            ))
        };
        Self {
            // A key that is taken is not met.
            create: writer.write(
                "INSERT INTO {table} ({key}, version, created, expires_at, owner, meta, payload) \
                 SELECT {key}, 1, created, expires_at, owner, meta, payload FROM \
                 unnest(?1::bytea[], ?2::bigint[], ?3::bigint[], ?4::bytea[], ?5::bytea[], ?6::bytea[]) \
                 AS wanted({key}, created, expires_at, owner, meta, payload) ORDER BY {key} \
                 ON CONFLICT ({key}) DO NOTHING RETURNING {key}",
            ),
            commit: sql(
                "unnest(?1::bytea[], ?2::bigint[], ?3::bigint[], ?4::bytea[], ?5::bytea[], ?6::bytea[]) \
                 AS wanted({key}, version, expires_at, owner, meta, payload)",
                "version = old.version + 1, expires_at = wanted.expires_at, owner = wanted.owner, \
                 meta = wanted.meta, payload = wanted.payload FROM wanted, held \
                 WHERE old.version = wanted.version",
            ),
            touch: sql(
                "unnest(?1::bytea[], ?2::bigint[]) AS wanted({key}, expires_at)",
                "expires_at = wanted.expires_at FROM wanted, held \
                 WHERE old.expires_at < wanted.expires_at",
            ),
            end: sql(
                "unnest(?1::bytea[], ?2::bigint[]) AS wanted({key}, remember_until)",
                "expires_at = wanted.remember_until, owner = NULL, meta = {empty}, payload = NULL \
                 FROM wanted, held WHERE TRUE",
            ),
        }
    }
}

/// Writes of one kind. Gives how many rows each has met: one or none.
pub(super) async fn write(
    table: &Table<Postgres>,
    connection: &mut Connection<Postgres>,
    writings: &[Writing<'_>],
) -> Result<Vec<u64>, Failure> {
    let (sql, values) = statement(&table.engine.together, writings);
    let rows = table.fetch(connection, sql, &values).await?;
    let met: Result<Vec<StoreKey>, Failure> = rows.iter().map(key::<Postgres>).collect();
    let mut met = met?;
    met.sort_unstable();
    let rows = |writing: &Writing<'_>| u64::from(met.binary_search(writing.key()).is_ok());
    Ok(writings.iter().map(rows).collect())
}

fn statement<'s, 'c>(
    statements: &'s Together,
    writings: &'c [Writing<'c>],
) -> (&'s Sql, Vec<Value<'c>>) {
    let mut columns = Columns::default();
    let mut sql = &statements.touch;
    for writing in writings {
        match writing {
            Writing::Create(create) => {
                sql = &statements.create;
                columns.begin(&create.key, create.created);
                columns.record(&create.record);
            }
            Writing::Commit(commit) => {
                sql = &statements.commit;
                columns.keys.push(&commit.key);
                // None is below 0.
                columns.numbers.push(commit.version().unwrap_or(-1));
                columns.record(&commit.record);
            }
            Writing::Touch(key, expires_at) => columns.begin(key, *expires_at),
            Writing::End(end) => {
                sql = &statements.end;
                columns.begin(&end.key, end.remember_until);
            }
        }
    }
    (sql, columns.values())
}

/// The arrays.
#[derive(Default)]
struct Columns<'c> {
    keys: Vec<&'c StoreKey>,
    numbers: Vec<i64>,
    expires_at: Vec<i64>,
    owners: Vec<Option<&'c [u8]>>,
    metas: Vec<Option<&'c [u8]>>,
    payloads: Vec<Option<&'c [u8]>>,
}

impl<'c> Columns<'c> {
    fn begin(&mut self, key: &'c StoreKey, instant: Timestamp) {
        self.keys.push(key);
        self.numbers.push(millis(instant));
    }

    fn record(&mut self, record: &'c Record) {
        self.expires_at.push(millis(record.expires_at));
        self.owners.push(record.owner.as_deref().map(str::as_bytes));
        self.metas.push(Some(&record.meta));
        self.payloads.push(Some(&record.payload));
    }

    fn values(self) -> Vec<Value<'c>> {
        let mut values = vec![Value::Keys(self.keys), Value::Numbers(self.numbers)];
        if !self.payloads.is_empty() {
            values.push(Value::Numbers(self.expires_at));
            values.extend([self.owners, self.metas, self.payloads].map(Value::Blobs));
        }
        values
    }
}
