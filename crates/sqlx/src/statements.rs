//! The SQL of the calls that every database carries out with the same words, made once for a table.
//!
//! A row with a payload is a record; one without is a tombstone, remembered until `expires_at`.

use crate::sql::{KeyLists, Sql, Writer};

/// How many keys one statement reads at most. More are read by several.
pub(crate) const MOST_KEYS: usize = 1024;

/// The statements that all databases share.
pub(crate) struct Statements {
    /// At least one key, at most [`MOST_KEYS`].
    pub(crate) load: KeyLists,
    pub(crate) create: Sql,
    pub(crate) commit: Sql,
    pub(crate) leave: Sql,
    pub(crate) arrive: Sql,
    pub(crate) touch: Sql,
    pub(crate) end: Sql,
    pub(crate) find: Sql,
    pub(crate) owned_by: Sql,
    pub(crate) count: Sql,
    pub(crate) scan: Sql,
}

impl Statements {
    pub(crate) fn new(writer: &Writer<'_>) -> Self {
        let sql = |template| writer.write(template);
        let load = format!(
            "SELECT {{key}}, version, expires_at, meta, payload FROM {{table}} WHERE {{key}} {}",
            writer.dialect.among_keys
        );
        Self {
            load: writer.write_lists(MOST_KEYS, &load),
            create: sql(
                "INSERT INTO {table} ({key}, version, created, expires_at, owner, meta, payload) \
                 VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6)",
            ),
            commit: sql(
                "UPDATE {table} SET version = version + 1, expires_at = ?3, owner = ?4, meta = ?5, \
                 payload = ?6 WHERE {key} = ?1 AND version = ?2 AND payload IS NOT NULL",
            ),
            // A move is these two, in one transaction: the tombstone at the old key, then the record at its new one.
            // The first compares the version and keeps everybody else away from the row that the second reads.
            leave: sql(
                "UPDATE {table} SET expires_at = ?3, owner = NULL, meta = {empty}, payload = NULL \
                 WHERE {key} = ?1 AND version = ?2 AND payload IS NOT NULL",
            ),
            arrive: sql(
                "INSERT INTO {table} ({key}, version, created, expires_at, owner, meta, payload) \
                 SELECT ?2, version + 1, created, ?3, ?4, ?5, ?6 FROM {table} WHERE {key} = ?1",
            ),
            // The sum keeps a database from looking at the index of the column, which would lock more than this row.
            touch: sql("UPDATE {table} SET expires_at = ?2 \
                 WHERE {key} = ?1 AND expires_at + 0 < ?2 AND payload IS NOT NULL"),
            end: sql(
                "UPDATE {table} SET expires_at = ?2, owner = NULL, meta = {empty}, payload = NULL \
                 WHERE {key} = ?1 AND payload IS NOT NULL",
            ),
            find: sql("SELECT {key}, created, expires_at, meta FROM {table} \
                 WHERE {key} BETWEEN ?1 AND ?2 AND payload IS NOT NULL ORDER BY {key} LIMIT 1"),
            owned_by: sql("SELECT {key}, created, expires_at, meta FROM {table} \
                 WHERE owner = ?1 AND {key} > ?2 AND expires_at > ?3 AND payload IS NOT NULL \
                 ORDER BY {key} LIMIT ?4"),
            count: sql(
                "SELECT count(*) FROM {table} WHERE expires_at > ?1 AND payload IS NOT NULL",
            ),
            scan: sql("SELECT {key}, version, expires_at, meta, payload FROM {table} \
                 WHERE {key} > ?1 AND payload IS NOT NULL ORDER BY {key} LIMIT ?2"),
        }
    }
}
