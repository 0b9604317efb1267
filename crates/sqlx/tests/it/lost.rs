//! Connections that end, servers that go and come back: nothing is told to a user that the library can mend, and what
//! nobody can know is told as such.

use crate::{
    home::{Home, homes, on_servers},
    support::{LATER, NOW, at, bytes, in_full, key, make, save},
};
use ::servers::{Database, Direction, Engine, Proxy, Server};
use dframework_session_sqlx::SqlStore;
use dframework_session_store::{Outcome, Store, StoreError, Version};
use std::time::Duration;

const COMMITTED: Outcome = Outcome::Committed(Version(2));
const ENGINES: [Engine; 2] = [Engine::Postgres, Engine::MariaDb];

/// The server that all tests share, what is between it and the store, and a record in a database of its own.
async fn behind_a_proxy(engine: Engine) -> Option<(Proxy, SqlStore, Database)> {
    let server = Server::shared(engine)?;
    let (proxy, database) = (Proxy::to(server.port()), server.database());
    let store = SqlStore::open(&database.url_through(proxy.port())).await.unwrap();
    store.migrate().await.unwrap();
    make(&store, key(1), b"bytes").await.unwrap();
    warm(&store).await;
    Some((proxy, store, database))
}

/// Has every lane opened its connection and prepared its statements.
async fn warm(store: &SqlStore) {
    for _ in 0..2 {
        bytes(store, key(1)).await.unwrap();
        store.touch(&key(1), LATER).await.unwrap();
        save(store, key(1), 99, b"nobody has that version").await.unwrap();
        save(store, key(1), 99, b"nobody has that version").await.unwrap();
    }
}

/// Lets the connections seem to have been silent, without waiting.
async fn let_time_pass() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(5)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_connection_that_the_server_ends_is_replaced() {
    for home in on_servers() {
        let store = home.store().await;
        make(&store, key(1), b"bytes").await.unwrap();
        for round in 1..=5 {
            bytes(&store, key(1)).await.unwrap();
            let mut other = home.connect().await;
            end_all_others(&home, &mut other).await;
            if matches!(home, Home::MariaDb(_)) {
                // It says nothing when it ends a connection.
                let_time_pass().await;
            }
            let saved = save(&store, key(1), round, &[7]).await.map_err(|error| in_full(&error));
            assert_eq!(saved, Ok(Outcome::Committed(Version(round + 1))), "{}", home.name());
            assert_eq!(bytes(&store, key(1)).await, Some(vec![7]));
        }
    }
}

/// Ends every connection to the database but this one.
async fn end_all_others(home: &Home, other: &mut crate::home::Other) {
    match home {
        Home::Postgres(_) => {
            let end = "SELECT pg_terminate_backend(pid, 60000)::text FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid()";
            assert!(!other.ask(end).await.is_empty());
        }
        _ => {
            let find = "SELECT CAST(id AS CHAR) FROM information_schema.processlist \
                 WHERE db = DATABASE() AND id <> CONNECTION_ID()";
            let found = other.ask(find).await;
            assert!(!found.is_empty());
            for id in found {
                // It may have gone meanwhile.
                let _ = other.try_run(&format!("KILL {id}")).await;
            }
            while !other.ask(find).await.is_empty() {}
        }
    }
}

#[tokio::test]
async fn a_connection_that_was_cut_while_it_was_silent_is_replaced() {
    for engine in ENGINES {
        let Some((proxy, store, _database)) = behind_a_proxy(engine).await else { continue };
        proxy.cut();
        let_time_pass().await;
        assert_eq!(save(&store, key(1), 1, b"other").await.unwrap(), COMMITTED, "{engine:?}");
        proxy.cut();
        assert_eq!(bytes(&store, key(1)).await.as_deref(), Some(&b"other"[..]), "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_is_lost_may_have_been_done() {
    for engine in ENGINES {
        let Some((proxy, store, database)) = behind_a_proxy(engine).await else { continue };
        proxy.hold(Direction::ToClient);
        let saving = {
            let store = store.clone();
            tokio::spawn(async move { save(&store, key(1), 1, b"other").await })
        };
        proxy.wait_until_held(Direction::ToClient);
        proxy.cut();
        proxy.release(Direction::ToClient);
        let error = saving.await.unwrap().unwrap_err();
        assert!(error.outcome_is_unknown(), "{engine:?}: {}", in_full(&error));
        assert_eq!(bytes(&store, key(1)).await.as_deref(), Some(&b"other"[..]), "{engine:?}");
        drop(database);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_whose_answer_is_lost_is_asked_again() {
    for engine in ENGINES {
        let Some((proxy, store, _database)) = behind_a_proxy(engine).await else { continue };
        proxy.hold(Direction::ToClient);
        let loading = {
            let store = store.clone();
            tokio::spawn(async move { bytes(&store, key(1)).await })
        };
        proxy.wait_until_held(Direction::ToClient);
        proxy.cut();
        proxy.release(Direction::ToClient);
        assert_eq!(loading.await.unwrap().as_deref(), Some(&b"bytes"[..]), "{engine:?}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_not_waited_for_without_end() {
    for engine in ENGINES {
        let Some((proxy, _, database)) = behind_a_proxy(engine).await else { continue };
        let options = SqlStore::options().busy_timeout(Duration::from_millis(500));
        let store = options.open(&database.url_through(proxy.port())).await.unwrap();
        warm(&store).await;
        proxy.hold(Direction::ToClient);
        let error = store.touch(&key(1), LATER).await.unwrap_err();
        assert!(error.outcome_is_unknown(), "{engine:?}: {}", in_full(&error));
        let error = at(&store, key(1)).await.unwrap_err();
        says_that_nothing_was_done(&error, "did not answer in time");
        // Silent for long enough to be asked first. Nobody answers a new connection either, and nothing was asked of it.
        let_time_pass().await;
        let error = store.touch(&key(1), LATER).await.unwrap_err();
        says_that_nothing_was_done(&error, "cannot be reached in time");
        proxy.cut();
        proxy.release(Direction::ToClient);
        assert_eq!(bytes(&store, key(1)).await.as_deref(), Some(&b"bytes"[..]), "{engine:?}");
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_while_a_connection_is_made_is_not_waited_for_without_end() {
    for engine in ENGINES {
        let Some(server) = Server::shared(engine) else { continue };
        let (proxy, database) = (Proxy::to(server.port()), server.database());
        let options = SqlStore::options().busy_timeout(Duration::from_millis(300));
        let mut answers = 0;
        loop {
            proxy.hold_after(Direction::ToClient, answers);
            let url = database.url_through(proxy.port());
            let opening = options.clone().open(&url);
            let opened = tokio::time::timeout(Duration::from_mins(1), opening).await;
            match opened.expect("it is not waited for without end") {
                Ok(_) => break,
                Err(error) => says_that_nothing_was_done(&error, "cannot be reached in time"),
            }
            proxy.cut();
            proxy.release(Direction::ToClient);
            answers += 1;
            assert!(answers < 100, "{engine:?}: it is never opened");
        }
        // What comes together counts as one, but nothing comes before it was asked for.
        assert!(answers >= 2, "{engine:?}: {answers}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_killed_serves_again_when_it_is_back() {
    for engine in ENGINES {
        let Some(mut server) = Server::start_durable(engine) else { continue };
        let store = SqlStore::open(&server.url()).await.unwrap();
        store.migrate().await.unwrap();
        make(&store, key(1), b"bytes").await.unwrap();
        warm(&store).await;
        server.kill();
        // The first calls meet connections that are broken.
        for _ in 0..4 {
            let _ = store.touch(&key(1), LATER).await;
            let _ = at(&store, key(1)).await;
        }
        for error in [
            at(&store, key(1)).await.unwrap_err(),
            save(&store, key(1), 1, b"other").await.unwrap_err(),
            SqlStore::open(&server.url()).await.unwrap_err(),
        ] {
            let text = in_full(&error);
            assert!(text.contains("cannot be opened"), "{text}");
            assert!(!error.outcome_is_unknown(), "{text}");
        }
        server.restart();
        assert_eq!(save(&store, key(1), 1, b"other").await.unwrap(), COMMITTED, "{engine:?}");
        assert_eq!(bytes(&store, key(1)).await.as_deref(), Some(&b"other"[..]), "{engine:?}");
    }
}

#[track_caller]
fn says_that_nothing_was_done(error: &StoreError, why: &str) {
    assert!(error.to_string().contains(why), "{}", in_full(error));
    assert!(!error.outcome_is_unknown(), "{}", in_full(error));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_somebody_holds_for_too_long_is_an_error_with_nothing_done() {
    for home in homes() {
        // MariaDB waits for a lock for whole seconds.
        let options = SqlStore::options().busy_timeout(Duration::from_secs(2));
        let store = home.with(options).await;
        make(&store, key(1), b"bytes").await.unwrap();
        let mut other = home.connect().await;
        other.run("BEGIN").await;
        other.run("UPDATE sessions SET expires_at = expires_at").await;
        let why = "is locked by somebody else";
        says_that_nothing_was_done(&save(&store, key(1), 1, b"other").await.unwrap_err(), why);
        // Reading waits for nobody.
        assert_eq!(bytes(&store, key(1)).await.as_deref(), Some(&b"bytes"[..]));
        other.run("ROLLBACK").await;
        assert_eq!(save(&store, key(1), 1, b"other").await.unwrap(), COMMITTED, "{}", home.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_given_back_in_time_is_waited_for() {
    for home in on_servers() {
        let store = home.with(SqlStore::options().busy_timeout(Duration::from_mins(1))).await;
        make(&store, key(1), b"bytes").await.unwrap();
        let mut other = home.connect().await;
        for round in 1..=3 {
            other.run("BEGIN").await;
            other.run("UPDATE sessions SET expires_at = expires_at").await;
            let saving = {
                let store = store.clone();
                tokio::spawn(async move { save(&store, key(1), round, &[7]).await })
            };
            for _ in 0..5 {
                assert!(bytes(&store, key(1)).await.is_some());
            }
            assert!(!saving.is_finished());
            other.run("COMMIT").await;
            let saved = saving.await.unwrap().unwrap();
            assert_eq!(saved, Outcome::Committed(Version(round + 1)), "{}", home.name());
        }
        assert!(store.end(&key(1), NOW).await.unwrap());
    }
}
