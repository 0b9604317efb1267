//! Which version of the table a database has, and which it is to have.
//!
//! The version stands in a table beside it, so that whoever empties the sessions does not lose it. A step changes
//! one version into the next; steps that have been released stay as they are.

use crate::failure::Failure;

/// Which tables there are, and their versions. One for all tables of a database.
pub(crate) const REGISTRY: &str = "dframework_session_schema";

/// Writes the table's name into a step.
pub(crate) fn for_table(sql: &str, table: &str) -> String {
    sql.replace("{table}", table)
}

/// What makes the table of the current version where there is none.
pub(crate) fn from_nothing(registry: &str, steps: &[&str], table: &str) -> String {
    let made: String = steps.iter().map(|step| for_table(step, table)).collect();
    let version = steps.len();
    format!(
        "{registry}{made}INSERT INTO {REGISTRY} (table_name, version) VALUES ('{table}', {version});\n"
    )
}

/// What is found in a database.
pub(crate) enum Found {
    /// Nothing has this name.
    Nothing,
    /// A table or something else, and the version that is noted for it.
    Something(Option<i64>),
}

/// How many of these steps were taken.
pub(crate) fn steps_taken(found: &Found, table: &str, steps: usize) -> Result<usize, Failure> {
    let version = match found {
        Found::Nothing => return Ok(0),
        Found::Something(version) => *version,
    };
    match version.map(usize::try_from) {
        Some(Ok(version)) if version <= steps => Ok(version),
        Some(_) => Err(Failure::Schema(format!(
            "the table \"{table}\" is of version {} and this version of the library knows {steps}: \
             it was made by a newer one",
            version.unwrap_or_default()
        ))),
        None => Err(Failure::Schema(format!(
            "the table \"{table}\" was not made by this library: name another one"
        ))),
    }
}
