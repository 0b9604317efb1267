//! The table in PostgreSQL, and how it is made and brought up to date.

use super::Postgres;
use crate::{
    engine::{Connection, Steps, Table, ask, script, transaction},
    failure::Failure,
    schema::{Found, REGISTRY, for_table, from_nothing, steps_taken},
};

const REGISTRY_SQL: &str = "\
CREATE TABLE IF NOT EXISTS dframework_session_schema (
    table_name text NOT NULL PRIMARY KEY,
    version bigint NOT NULL
);
";

/// Each makes the next version of the table.
///
/// Most saves change the payload alone, which is in no index: the new row can lie on the page of the old one, if there is
/// room, and no index is written. The instants of expiry are in an index; they change ten times in an idle timeout.
const STEPS: &[&str] = &["\
CREATE TABLE \"{table}\" (
    key bytea NOT NULL PRIMARY KEY CHECK (octet_length(key) = 32), -- SHA-256 of the token
    version bigint NOT NULL,                                       -- another one with every commit
    created bigint NOT NULL,                                       -- milliseconds since 1970, as all instants
    expires_at bigint NOT NULL,                                    -- of a tombstone: when it may be forgotten
    owner bytea,                                                   -- its bytes in UTF-8
    meta bytea NOT NULL,
    payload bytea                                                  -- none: a tombstone
) WITH (fillfactor = 80);
CREATE INDEX ON \"{table}\" (expires_at);
CREATE INDEX ON \"{table}\" (owner, key) WHERE owner IS NOT NULL;
"];

/// What makes the table of the current version where there is none.
pub(super) fn schema_sql(table: &str) -> String {
    from_nothing(REGISTRY_SQL, STEPS, table)
}

/// Makes the table, or brings it up to date. Where it is, nothing is asked for but to read.
pub(super) async fn migrate(
    table: &Table<Postgres>,
    connection: &mut Connection<Postgres>,
) -> Result<(), Failure> {
    let found = look(connection, &table.name).await?;
    if steps_taken(&found, &table.name, STEPS.len())? == STEPS.len() {
        return Ok(());
    }
    transaction(table, connection, Upgrade).await
}

struct Upgrade;

impl Steps<Postgres> for Upgrade {
    type Answer = ();

    async fn carry_out(
        &self,
        table: &Table<Postgres>,
        connection: &mut Connection<Postgres>,
    ) -> Result<(), Failure> {
        script::<Postgres>(connection, BEFORE).await?;
        let found = look(connection, &table.name).await?;
        let taken = steps_taken(&found, &table.name, STEPS.len())?;
        let name = &table.name;
        script::<Postgres>(connection, REGISTRY_SQL).await?;
        for step in &STEPS[taken..] {
            script::<Postgres>(connection, for_table(step, name)).await?;
        }
        let version = STEPS.len();
        let note = format!(
            "INSERT INTO {REGISTRY} (table_name, version) VALUES ('{name}', {version}) \
             ON CONFLICT (table_name) DO UPDATE SET version = excluded.version"
        );
        script::<Postgres>(connection, note).await
    }
}

/// One instance at a time, for as long as it takes. The number is the beginning of SHA-256("dframework_session_schema").
const BEFORE: &str = "SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0; \
     SELECT pg_advisory_xact_lock(1045943000608067406)";

/// What there is of this name, where PostgreSQL looks for names.
async fn look(connection: &mut Connection<Postgres>, table: &str) -> Result<Found, Failure> {
    if !is_there(connection, table).await? {
        return Ok(Found::Nothing);
    }
    if !is_there(connection, REGISTRY).await? {
        return Ok(Found::Something(None));
    }
    let find = format!("SELECT version FROM {REGISTRY} WHERE table_name = '{table}'");
    Ok(Found::Something(ask::<Postgres>(connection, find).await?))
}

async fn is_there(connection: &mut Connection<Postgres>, table: &str) -> Result<bool, Failure> {
    // By a look into the catalogue: what PostgreSQL remembers of names may be older than the lock.
    let find = format!(
        "SELECT 1::bigint FROM pg_catalog.pg_class \
         WHERE relname = '{table}' AND pg_catalog.pg_table_is_visible(oid)"
    );
    Ok(ask::<Postgres>(connection, find).await?.is_some())
}
