//! A database's own clock and time zone mean nothing to the sessions in it.

use crate::home::Home;
use ::servers::{Engine, Server};
use dframework_session_sqlx::{
    SqlStore,
    sqlx::{self, Connection, MySqlConnection},
};
use dframework_session_store::testing::cases;
use std::{fs, path::Path};

/// Every sentence of the contract, each on a table of its own, as this user.
async fn hold_the_contract(home: &Home, user: &str) {
    for (number, case) in cases().into_iter().enumerate() {
        let options = SqlStore::options().table(format!("sessions_{number}"));
        let store = options.open(&home.url_for(user)).await.unwrap();
        store.migrate().await.unwrap();
        assert_eq!(case.run(store).await, Ok(()), "on {}", home.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds_in_any_time_zone_of_postgresql() {
    let Some(server) = Server::start(Engine::Postgres) else { return };
    server.ask("ALTER ROLE postgres SET timezone = 'Pacific/Kiritimati'");
    let home = Home::Postgres(server.database());
    assert_eq!(server.ask("SHOW timezone"), "Pacific/Kiritimati");
    hold_the_contract(&home, "postgres").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds_on_a_mariadb_whose_clock_stands_still_in_another_time() {
    let Some(server) = Server::start(Engine::MariaDb) else { return };
    let home = Home::MariaDb(server.database());
    // For all but administrators.
    server.ask("SET GLOBAL time_zone = '+13:00', init_connect = 'SET timestamp = 86400'");
    server.ask("CREATE USER web@'127.0.0.1'");
    server.ask(&format!("GRANT ALL ON {}.* TO web@'127.0.0.1'", home.database()));
    let mut other = MySqlConnection::connect(&home.url_for("web")).await.unwrap();
    let year: i32 = sqlx::query_scalar("SELECT year(now())").fetch_one(&mut other).await.unwrap();
    assert_eq!(year, 1970);
    hold_the_contract(&home, "web").await;
}

/// What reads the clock of some database, or would.
const READERS: [&str; 17] = [
    "now(",
    "now'",
    "current_time",
    "current_date",
    "localtime",
    "sysdate",
    "curdate",
    "curtime",
    "getdate",
    "unix_timestamp",
    "utc_time",
    "utc_date",
    "_timestamp(",
    "timeofday",
    "julianday",
    "unixepoch",
    "strftime",
];

#[test]
fn no_statement_reads_the_clock_of_a_database() {
    let mut files = 0;
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut |file, text| {
        // That of this process, by which is known how long somebody has waited.
        let text = text.to_lowercase().replace("instant::now()", "");
        for reader in READERS {
            assert!(!text.contains(reader), "{} has {reader}", file.display());
        }
        files += 1;
    });
    assert!(files > 20, "{files}");
}

/// Shows every file in a folder, and in the folders in it.
fn read(folder: &Path, show: &mut impl FnMut(&Path, &str)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, show);
        } else {
            show(&path, &fs::read_to_string(&path).unwrap());
        }
    }
}
