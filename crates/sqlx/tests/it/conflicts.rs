//! Statements that a database ends for the sake of another transaction: they are carried out again.

use crate::{
    home::{Home, Other},
    support::{LATER, at, key, make, save},
    together::{circles, until_some_wait},
};
use ::servers::{Engine, Server};
use dframework_session_sqlx::SqlStore;
use dframework_session_store::{
    Change, Loaded, NewRecord, Outcome, Store, StoreError, StoreKey, Timestamp, Tombstone, Version,
    testing::cases,
};
use std::time::Duration;

/// Longer than any of this takes.
const LONG: Duration = Duration::from_mins(1);
const COMMITTED: Outcome = Outcome::Committed(Version(2));

/// A PostgreSQL whose users have serializable transactions, and a database there.
fn serializable() -> Option<(Server, Home)> {
    let server = Server::start(Engine::Postgres)?;
    server.ask("ALTER ROLE postgres SET default_transaction_isolation = 'serializable'");
    let home = Home::Postgres(server.database());
    Some((server, home))
}

/// How many statements could not be put into one order with the others.
fn conflicts(server: &Server) -> usize {
    server.log().matches("could not serialize access").count()
}

/// A call that writes at this key, and whether it did what it should.
async fn write(store: &SqlStore, number: u8, at: StoreKey) -> Result<bool, StoreError> {
    let mut change = Change::new(b"other", Timestamp::MAX);
    Ok(match number {
        1 => save(store, at, 1, b"other").await? == COMMITTED,
        2 => store.touch(&at, LATER).await.map(|()| true)?,
        3 => store.end(&at, LATER).await?,
        4 => {
            (change.move_to, change.remember_until) = (Some(key(100)), LATER);
            store.commit(&at, Version(1), change).await? == COMMITTED
        }
        5 => store.end_owned_by("42", None, LATER).await? == 1,
        _ => {
            let mut new = NewRecord::new(b"new", LATER, Timestamp::MAX);
            new.presented = Some(Tombstone { key: at, remember_until: Timestamp::MAX });
            store.create(&key(101), new, LATER).await? == Outcome::Committed(Version(1))
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_lost_to_another_transaction_is_carried_out_again() {
    let Some((server, home)) = serializable() else { return };
    let store = home.with(SqlStore::options().busy_timeout(LONG)).await;
    for number in 1..=6 {
        let at = key(number);
        let mut new =
            NewRecord::new(b"bytes", Timestamp::from_millis(1), Timestamp::from_millis(9));
        new.owner = Some("42").filter(|_| number == 5);
        store.create(&at, new, Timestamp::from_millis(1)).await.unwrap();
        let mut other = home.connect().await;
        let row = format!("get_byte(key, 0) = {number}");
        other.run(&format!("BEGIN; UPDATE sessions SET created = created WHERE {row}")).await;
        let before = conflicts(&server);
        let writing = {
            let store = store.clone();
            tokio::spawn(async move { write(&store, number, at).await })
        };
        until_some_wait(&home, 1).await;
        other.run("COMMIT").await;
        assert!(writing.await.unwrap().unwrap(), "{number}");
        assert!(conflicts(&server) > before, "{number}: nobody was in its way");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds_where_transactions_are_serializable() {
    let Some((server, home)) = serializable() else { return };
    for (number, case) in cases().into_iter().enumerate() {
        let options = SqlStore::options().table(format!("sessions_{number}"));
        let store = home.with(options).await;
        assert_eq!(case.run(store).await, Ok(()));
    }
    assert!(conflicts(&server) > 0, "some of it was carried out again");
}

/// Holds the second of two rows, and is of more weight to the database than whoever writes those two.
async fn heavy(home: &Home) -> Other {
    let mut other = home.connect().await;
    let lock = match home {
        // It would look after so long whether it waits in a circle.
        Home::Postgres(_) => {
            "SET deadlock_timeout = '20s'; BEGIN; \
             UPDATE sessions SET created = created WHERE get_byte(key, 0) > 1"
        }
        _ => {
            "BEGIN; UPDATE sessions SET created = created + 1 WHERE `key` > UNHEX(REPEAT('01', 32))"
        }
    };
    other.run(lock).await;
    other
}

#[tokio::test]
async fn what_a_database_ends_that_waits_in_a_circle_is_carried_out_again() {
    for engine in [Engine::Postgres, Engine::MariaDb] {
        let Some(server) = Server::start(engine) else { continue };
        let home = match engine {
            Engine::Postgres => Home::Postgres(server.database()),
            _ => Home::MariaDb(server.database()),
        };
        // On a pool, whose statements wait until the server itself finds the circle.
        let options = SqlStore::options().busy_timeout(LONG);
        let store = options.over(home.pool(10)).unwrap();
        store.migrate().await.unwrap();
        for number in 1..=40 {
            make(&store, key(number), b"bytes").await.unwrap();
        }
        let mut other = heavy(&home).await;
        let writing = {
            let store = store.clone();
            tokio::spawn(async move {
                let (one, two) = tokio::join!(
                    save(&store, key(1), 1, b"other"),
                    save(&store, key(2), 1, b"other")
                );
                [one.unwrap(), two.unwrap()]
            })
        };
        until_some_wait(&home, 1).await;
        let first = match home {
            Home::Postgres(_) => "get_byte(key, 0) = 1",
            _ => "`key` = UNHEX(REPEAT('01', 32))",
        };
        other.run(&format!("UPDATE sessions SET created = created WHERE {first}")).await;
        other.run("COMMIT").await;
        assert_eq!(writing.await.unwrap(), [COMMITTED; 2], "{engine:?}");
        // More than one where it was sooner at the first row again than whoever had waited for that.
        assert_ne!(circles(&server, engine), "0", "{engine:?}");
        let Loaded::Live(stored) = at(&store, key(2)).await.unwrap() else { panic!("it lives") };
        assert_eq!(stored.version, Version(2));
    }
}
