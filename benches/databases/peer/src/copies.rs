//! Rows that the database itself makes: copies of one, under keys that lie among all others.
//!
//! A key of tower-sessions is the base64url of sixteen random bytes. Those of the copies begin with four letters that rise
//! from one end of the alphabet to the other, and go on at random. So they lie as evenly among the others as those do, and
//! the table grows as fast as the disk takes it.

/// A kind of database, as far as its SQL differs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
    MariaDb,
}

/// The letters of base64url, in the order of their bytes.
const LETTERS: &str = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";

/// Bits of the number that four letters tell.
const TOLD: u32 = 24;
/// Bits behind them, so that any number of rows is spread evenly.
const BEHIND: u32 = 16;

/// The statement that makes copies in a table, from so many to more.
pub(crate) fn copies(database: Database, table: &str, from: i64, to: i64) -> String {
    let rows = (to - from).max(1);
    let last = rows - 1;
    let keys = match database {
        Database::Sqlite => format!(
            "SELECT {} AS id FROM (WITH RECURSIVE number(n) AS \
             (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n < {last}) SELECT n FROM number) AS numbers",
            key(rows, "hex(randomblob(9))")
        ),
        Database::Postgres => format!(
            "SELECT {} AS id FROM generate_series(CAST(0 AS bigint), {last}) AS n",
            key(rows, "left(md5(CAST(random() AS text)), 18)")
        ),
        // To its column, a capital is its small letter. Without a limit, it would not sort.
        Database::MariaDb => format!(
            "SELECT {} AS id FROM (SELECT seq AS n FROM seq_0_to_{last}) AS numbers \
             ORDER BY BINARY upper(id) LIMIT {rows}",
            key(rows, &format!("left(sha2(n + {from}, 256), 18)"))
        ),
    };
    format!(
        "INSERT INTO {table} SELECT id, data, expiry_date \
         FROM ({keys}) AS made, (SELECT data, expiry_date FROM {table} LIMIT 1) AS one"
    )
}

/// The key of row `n` of so many, as all three spell it: four letters by its number, and what is random.
fn key(rows: i64, random: &str) -> String {
    let step = (1_i64 << (TOLD + BEHIND)) / rows;
    let letter = |behind: u32| {
        let place = format!("((n * {step}) >> {}) & 63", BEHIND + behind);
        format!("substr('{LETTERS}', CAST(({place}) + 1 AS integer), 1)")
    };
    format!("concat({}, {random})", [18, 12, 6, 0].map(letter).join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use tower_sessions_sqlx_store::sqlx::{self, ConnectOptions, sqlite::SqliteConnectOptions};

    /// The keys that a database makes, in their order of making.
    fn keys(rows: i64) -> Vec<String> {
        let made = async {
            let mut connection = SqliteConnectOptions::new().in_memory(true).connect().await?;
            let table = "CREATE TABLE copied (id TEXT, data BLOB, expiry_date INTEGER)";
            for sql in [table, "INSERT INTO copied VALUES ('', '', 0)"] {
                sqlx::query(sql).execute(&mut connection).await?;
            }
            let sql = copies(Database::Sqlite, "copied", 0, rows);
            sqlx::query(&sql).execute(&mut connection).await?;
            let sql = "SELECT id FROM copied WHERE id != '' ORDER BY rowid";
            sqlx::query_scalar(sql).fetch_all(&mut connection).await
        };
        let keys: Result<_, sqlx::Error> = tokio::runtime::Runtime::new().unwrap().block_on(made);
        keys.unwrap()
    }

    #[test]
    fn keys_rise_from_one_end_of_the_alphabet_to_the_other() {
        let beginnings: Vec<String> = keys(9_999).iter().map(|key| key[..4].to_owned()).collect();
        assert_eq!(beginnings.len(), 9_999);
        assert!(beginnings.is_sorted());
        assert_eq!(beginnings[0], "----");
        assert!(beginnings[9_998].starts_with("zz"));
    }

    #[test]
    fn every_letter_begins_as_many_keys() {
        let mut begun = BTreeMap::new();
        for key in keys(6_400) {
            assert_eq!(key.len(), 22);
            *begun.entry(key.chars().next()).or_insert(0_i32) += 1;
        }
        let letters: Vec<char> = begun.keys().copied().flatten().collect();
        assert_eq!(letters, LETTERS.chars().collect::<Vec<_>>());
        assert!(begun.values().all(|count| (99..=101).contains(count)));
    }

    #[test]
    fn numbers_are_wide_enough_for_ten_million_rows() {
        let step = (1_i64 << (TOLD + BEHIND)) / 10_000_000;
        assert!((9_999_999 * step) >> BEHIND > (1 << TOLD) - 1_000);
        assert!((9_999_999 * step) >> BEHIND < 1 << TOLD);
    }
}
