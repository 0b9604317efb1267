//! What MariaDB refuses, and what it is said to be.

use crate::{
    home::Home,
    support::{LATER, NOW, at, bytes, in_full, key, make, save},
};
use ::servers::{Engine, Server};
use dframework_session_sqlx::{
    SqlStore,
    sqlx::{Connection, MySqlConnection},
};
use dframework_session_store::{Loaded, NewRecord, Page, Store, StoreError, Timestamp};
use std::time::Duration;

#[track_caller]
fn says(error: &StoreError, expected: &str) {
    let text = in_full(error);
    assert!(text.contains(expected), "{expected}: {text}");
    assert!(!error.outcome_is_unknown(), "{text}");
    assert!(!format!("{text} {error:?}").contains("secret"), "{text} {error:?}");
}

#[tokio::test]
async fn a_wrong_password_is_told_and_not_shown() {
    let Some(server) = Server::shared(Engine::MariaDb) else { return };
    let database = server.database();
    let (user, name) = (format!("web_{}", database.name()), database.name());
    server.ask(&format!("CREATE USER {user}@'127.0.0.1' IDENTIFIED BY 'good'"));
    server.ask(&format!("GRANT ALL ON {name}.* TO {user}@'127.0.0.1'"));
    let url = |password| format!("mariadb://{user}:{password}@127.0.0.1:{}/{name}", server.port());
    let error = SqlStore::open(&url("secret")).await.unwrap_err();
    says(&error, "does not let this user in, or not with this password");
    let store = SqlStore::open(&url("good")).await.unwrap();
    assert!(!format!("{store:?}").contains("good"), "{store:?}");
    store.migrate().await.unwrap();
}

#[tokio::test]
async fn a_server_without_a_free_connection_says_so_and_is_waited_for() {
    let Some(home) = Home::mariadb() else { return };
    let user = format!("web_{}", home.database());
    let mut admin = home.connect().await;
    admin.run(&format!("CREATE USER {user}@'127.0.0.1' WITH MAX_USER_CONNECTIONS 1")).await;
    admin.run(&format!("GRANT ALL ON {}.* TO {user}@'127.0.0.1'", home.database())).await;
    let taken = MySqlConnection::connect(&home.url_for(&user)).await.unwrap();
    let options = SqlStore::options().busy_timeout(Duration::from_secs(1));
    let error = options.open(&home.url_for(&user)).await.unwrap_err();
    says(&error, "has no connection left to give");
    let options = SqlStore::options().busy_timeout(Duration::from_mins(1));
    let url = home.url_for(&user);
    let opening = tokio::spawn(async move { options.open(&url).await });
    taken.close().await.unwrap();
    opening.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_server_that_may_only_be_read_says_so() {
    let Some(server) = Server::start(Engine::MariaDb) else { return };
    let home = Home::MariaDb(server.database());
    let mut admin = home.connect().await;
    admin.run("CREATE USER web@'127.0.0.1'").await;
    admin.run(&format!("GRANT ALL ON {}.* TO web@'127.0.0.1'", home.database())).await;
    let store = SqlStore::open(&home.url_for("web")).await.unwrap();
    store.migrate().await.unwrap();
    make(&store, key(1), b"bytes").await.unwrap();
    admin.run("SET GLOBAL read_only = 1").await;
    for store in [store, SqlStore::open(&home.url_for("web")).await.unwrap()] {
        store.migrate().await.unwrap();
        assert_eq!(bytes(&store, key(1)).await.as_deref(), Some(&b"bytes"[..]));
        let error = save(&store, key(1), 1, b"other").await.unwrap_err();
        says(&error, "can only be read: it is a replica, or set so");
        says(&make(&store, key(2), b"bytes").await.unwrap_err(), "can only be read");
        says(&store.end(&key(1), LATER).await.unwrap_err(), "can only be read");
    }
    admin.run("SET GLOBAL read_only = 0").await;
    let store = SqlStore::open(&home.url_for("web")).await.unwrap();
    assert!(store.end(&key(1), LATER).await.unwrap());
}

#[tokio::test]
async fn a_record_that_is_larger_than_a_message_may_be_is_not_stored() {
    let Some(server) = Server::start(Engine::MariaDb) else { return };
    server.ask("SET GLOBAL max_allowed_packet = 1048576");
    let home = Home::MariaDb(server.database());
    let store = home.store().await;
    make(&store, key(1), b"bytes").await.unwrap();
    for size in [(1 << 20) - 60, 1 << 20, (1 << 20) + 1, 3 << 20, 20 << 20] {
        let large = vec![7; size];
        for error in [
            make(&store, key(2), &large).await.unwrap_err(),
            save(&store, key(1), 1, &large).await.unwrap_err(),
        ] {
            says(&error, "raise `max_allowed_packet`");
        }
        assert_eq!(at(&store, key(2)).await.unwrap(), Loaded::Unknown);
        assert_eq!(bytes(&store, key(1)).await.as_deref(), Some(&b"bytes"[..]));
    }
}

#[tokio::test]
async fn the_largest_message_that_a_server_takes_is_sent() {
    let Some(server) = Server::start(Engine::MariaDb) else { return };
    server.ask("SET GLOBAL max_allowed_packet = 1048576");
    let home = Home::MariaDb(server.database());
    let mut sizes = Vec::new();
    for store in [home.store().await, SqlStore::new(home.pool(10)), SqlStore::new(home.pool(1))] {
        let mut size = (1 << 20) - 110;
        while make(&store, key(1), &vec![7; size]).await.is_ok() {
            store.end(&key(1), NOW).await.unwrap();
            store.delete_expired(NOW, 1).await.unwrap();
            size += 1;
            assert!(size < 1 << 21, "there is a limit");
        }
        sizes.push(size);
    }
    // On the smallest pool the server is not asked beforehand, so there it has said by itself what is too large.
    assert!(sizes[0] > (1 << 20) - 110 && sizes == [sizes[2]; 3], "{sizes:?}");
}

#[tokio::test]
async fn a_server_that_cuts_what_is_too_long_cuts_nothing_of_a_record() {
    let Some(server) = Server::start(Engine::MariaDb) else { return };
    server.ask("SET GLOBAL sql_mode = ''");
    let home = Home::MariaDb(server.database());
    let store = home.store().await;
    let mut new = NewRecord::new(b"bytes", NOW, Timestamp::MAX);
    let (longest, longer) = ("o".repeat(255), "o".repeat(256));
    new.owner = Some(&longer);
    says(&store.create(&key(1), new, NOW).await.unwrap_err(), "does not take such a record");
    assert_eq!(store.owned_by(&longest, NOW, Page { after: None, limit: 9 }).await.unwrap(), []);
    let meta = [7; 257];
    let mut new = NewRecord::new(b"bytes", NOW, Timestamp::MAX);
    new.meta = &meta;
    says(&store.create(&key(1), new, NOW).await.unwrap_err(), "does not take such a record");
}

#[tokio::test]
async fn a_lock_that_is_held_for_longer_than_a_call_waits_is_an_error_with_nothing_done() {
    let Some(home) = Home::mariadb() else { return };
    let store = home.with(SqlStore::options().busy_timeout(Duration::from_millis(300))).await;
    make(&store, key(1), b"bytes").await.unwrap();
    for _ in 0..4 {
        // Both lanes have a connection.
        store.touch(&key(9), LATER).await.unwrap();
    }
    let mut other = home.connect().await;
    other.run("BEGIN; UPDATE sessions SET expires_at = expires_at").await;
    says(&save(&store, key(1), 1, b"other").await.unwrap_err(), "is locked by somebody else");
    other.run("ROLLBACK").await;
}
