//! The table: what makes it, what it is called, and whose it is.

use crate::{
    home::{homes, on_servers},
    support::{Folder, bytes, key, make, pool},
};
use dframework_session_sqlx::SqlStore;

#[tokio::test]
async fn migrate_makes_what_schema_sql_prints() {
    for table in ["sessions", "Web_Sessions2"] {
        for made in homes() {
            let printed = made.another();
            let options = || SqlStore::options().table(table);
            let store = made.with(options()).await;
            printed.connect().await.run(&store.schema_sql()).await;
            assert_eq!(made.schema().await, printed.schema().await, "{}", made.name());
            assert_eq!(made.versions().await, printed.versions().await, "{}", made.name());

            // Whoever has made the table by hand may migrate it all the same, and use it.
            let store = printed.with(options()).await;
            make(&store, key(1), b"bytes").await.unwrap();
            assert_eq!(bytes(&store, key(1)).await.as_deref(), Some(&b"bytes"[..]));
        }
    }
}

#[tokio::test]
async fn migrating_again_changes_nothing() {
    for home in homes() {
        let store = home.store().await;
        make(&store, key(1), b"bytes").await.unwrap();
        let before = (home.schema().await, home.versions().await);
        store.migrate().await.unwrap();
        assert_eq!((home.schema().await, home.versions().await), before);
        assert_eq!(bytes(&store, key(1)).await.as_deref(), Some(&b"bytes"[..]));
    }
}

#[tokio::test]
async fn tables_lie_beside_each_other() {
    for home in homes() {
        let pool = home.pool(10);
        let mut stores = Vec::new();
        for table in ["sessions", "admin_sessions"] {
            let store = SqlStore::options().table(table).over(pool.clone()).unwrap();
            store.migrate().await.unwrap();
            make(&store, key(1), table.as_bytes()).await.unwrap();
            stores.push((table, store));
        }
        for (table, store) in stores {
            assert_eq!(bytes(&store, key(1)).await.as_deref(), Some(table.as_bytes()));
        }
    }
}

#[tokio::test]
async fn names_that_differ_in_case_are_two_tables_on_servers() {
    for home in on_servers() {
        for table in ["sessions", "SESSIONS"] {
            let store = home.with(SqlStore::options().table(table)).await;
            make(&store, key(1), table.as_bytes()).await.unwrap();
        }
        for table in ["sessions", "SESSIONS"] {
            let store = home.with(SqlStore::options().table(table)).await;
            let there = bytes(&store, key(1)).await;
            assert_eq!(there.as_deref(), Some(table.as_bytes()), "{}", home.name());
        }
    }
}

#[tokio::test]
async fn a_table_that_a_newer_version_has_made_is_left_alone() {
    for home in homes() {
        let store = home.store().await;
        make(&store, key(1), b"bytes").await.unwrap();
        let mut other = home.connect().await;
        other.run("UPDATE dframework_session_schema SET version = 99").await;
        let before = (home.schema().await, home.versions().await);
        let error = store.migrate().await.unwrap_err().to_string();
        assert!(error.contains("\"sessions\" is of version 99"), "{error}");
        assert!(error.contains("made by a newer one"), "{error}");
        assert_eq!((home.schema().await, home.versions().await), before);
    }
}

#[tokio::test]
async fn a_table_of_somebody_else_is_left_alone() {
    for foreign in ["CREATE TABLE sessions (id INTEGER)", "CREATE VIEW sessions AS SELECT 1"] {
        for home in homes() {
            home.connect().await.run(foreign).await;
            let before = home.schema().await;
            let store = SqlStore::open(&home.url()).await.unwrap();
            let error = store.migrate().await.unwrap_err().to_string();
            assert!(error.contains("was not made by this library"), "{error}");
            assert_eq!(home.schema().await, before, "{}", home.name());
        }
    }
}

#[tokio::test]
async fn the_rows_of_a_table_may_be_deleted_by_hand() {
    for home in homes() {
        let store = home.store().await;
        make(&store, key(1), b"bytes").await.unwrap();
        home.connect().await.run("DELETE FROM sessions").await;
        assert_eq!(bytes(&store, key(1)).await, None);
        store.migrate().await.unwrap();
        make(&store, key(1), b"again").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_make_one_table_at_the_same_time() {
    for home in homes() {
        let tasks: Vec<_> = (1..=8)
            .map(|number| {
                let url = home.url();
                tokio::spawn(async move {
                    let store = SqlStore::open(&url).await?;
                    store.migrate().await?;
                    make(&store, key(number), &[number]).await
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        let store = home.store().await;
        for number in 1..=8 {
            assert_eq!(bytes(&store, key(number)).await, Some(vec![number]), "{}", home.name());
        }
    }
}

#[tokio::test]
async fn the_name_of_a_table_is_an_identifier() {
    let longest = "s".repeat(63);
    for home in homes() {
        let pool = home.pool(1);
        for name in ["s", "_", "_1", "select", "Sessions_2", &longest] {
            let store = SqlStore::options().table(name).over(pool.clone()).unwrap();
            store.migrate().await.unwrap();
            make(&store, key(1), name.as_bytes()).await.unwrap();
            assert_eq!(bytes(&store, key(1)).await.as_deref(), Some(name.as_bytes()), "{name}");
        }
    }
}

#[tokio::test]
async fn what_is_no_identifier_is_no_name_of_a_table() {
    let folder = Folder::new();
    let pool = pool(1, folder.options());
    let too_long = "s".repeat(64);
    let injected = "s\"; DROP TABLE s; --";
    for name in
        ["", "1s", "a.b", "a-b", "a b", "\"s\"", "sessións", "s\0", "{table}", injected, &too_long]
    {
        let error = SqlStore::options().table(name).over(pool.clone()).unwrap_err().to_string();
        assert!(error.contains("cannot be used"), "{name}: {error}");
        let opened = SqlStore::options().table(name).open(&folder.url()).await;
        assert_eq!(opened.unwrap_err().to_string(), error);
    }
    // What SQLite and the store keep for themselves.
    for name in ["dframework_session_schema", "DFRAMEWORK_SESSION_SCHEMA", "sqlite_sessions"] {
        assert!(SqlStore::options().table(name).over(pool.clone()).is_err(), "{name}");
    }
}
