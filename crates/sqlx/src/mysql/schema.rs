//! The table in MariaDB and MySQL, and how it is made and brought up to date.

use super::MySql;
use crate::{
    engine::{Connection, Table, ask, script},
    failure::Failure,
    schema::{Found, REGISTRY, for_table, from_nothing, steps_taken},
};

const REGISTRY_SQL: &str = "\
CREATE TABLE IF NOT EXISTS dframework_session_schema (
    table_name varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    version bigint NOT NULL
) ENGINE = InnoDB;
";

/// Each makes the next version of the table, by one statement: such statements cannot be undone together. One that
/// was carried out but not noted down is carried out again.
const STEPS: &[&str] = &["\
CREATE TABLE IF NOT EXISTS `{table}` (
    `key` binary(32) NOT NULL PRIMARY KEY,   -- SHA-256 of the token
    version bigint NOT NULL,                 -- another one with every commit
    created bigint NOT NULL,                 -- milliseconds since 1970, as all instants
    expires_at bigint NOT NULL,              -- of a tombstone: when it may be forgotten
    owner varbinary(255),                    -- its bytes in UTF-8
    meta varbinary(256) NOT NULL,
    payload mediumblob,                      -- none: a tombstone
    INDEX (expires_at),
    INDEX (owner, `key`)
) ENGINE = InnoDB;
"];

/// What makes the table of the current version where there is none.
pub(super) fn schema_sql(table: &str) -> String {
    from_nothing(REGISTRY_SQL, STEPS, table)
}

/// One instance at a time.
const LOCK: &str = "SELECT GET_LOCK('dframework_session_schema', 600)";
const UNLOCK: &str = "DO RELEASE_LOCK('dframework_session_schema')";

/// Makes the table, or brings it up to date. Where it is, nothing is asked for but to read.
pub(super) async fn migrate(
    table: &Table<MySql>,
    connection: &mut Connection<MySql>,
) -> Result<(), Failure> {
    let found = look(connection, &table.name).await?;
    if steps_taken(&found, &table.name, STEPS.len())? == STEPS.len() {
        return Ok(());
    }
    if ask::<MySql>(connection, LOCK).await? != Some(1) {
        return Err(Failure::Schema(
            "somebody else has been making tables for too long".to_owned(),
        ));
    }
    let upgraded = upgrade(connection, &table.name).await;
    match script::<MySql>(connection, UNLOCK).await {
        Ok(()) => upgraded,
        // The lock goes with the connection.
        Err(_) => upgraded.map_err(Failure::with_connection_lost),
    }
}

async fn upgrade(connection: &mut Connection<MySql>, table: &str) -> Result<(), Failure> {
    let found = look(connection, table).await?;
    let taken = steps_taken(&found, table, STEPS.len())?;
    script::<MySql>(connection, REGISTRY_SQL).await?;
    // Before the table is there, so that whoever goes on from here knows that it is the library's own.
    note(connection, table, taken).await?;
    for (step, version) in STEPS[taken..].iter().zip(taken + 1..) {
        script::<MySql>(connection, for_table(step, table)).await?;
        note(connection, table, version).await?;
    }
    Ok(())
}

async fn note(
    connection: &mut Connection<MySql>,
    table: &str,
    version: usize,
) -> Result<(), Failure> {
    let note =
        format!("REPLACE INTO {REGISTRY} (table_name, version) VALUES ('{table}', {version})");
    script::<MySql>(connection, note).await
}

/// What there is of this name.
async fn look(connection: &mut Connection<MySql>, table: &str) -> Result<Found, Failure> {
    if !is_there(connection, table).await? {
        return Ok(Found::Nothing);
    }
    if !is_there(connection, REGISTRY).await? {
        return Ok(Found::Something(None));
    }
    let find = format!("SELECT version FROM {REGISTRY} WHERE table_name = '{table}'");
    Ok(Found::Something(ask::<MySql>(connection, find).await?))
}

async fn is_there(connection: &mut Connection<MySql>, table: &str) -> Result<bool, Failure> {
    let find = format!(
        "SELECT CAST(1 AS SIGNED) FROM information_schema.tables \
         WHERE table_schema = DATABASE() AND table_name = '{table}'"
    );
    Ok(ask::<MySql>(connection, find).await?.is_some())
}
