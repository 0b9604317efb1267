//! The table: what makes it, what it is called, and whose it is.

use crate::support::{Folder, bytes, key, make, pool};
use dframework_session_sqlx::{
    SqlStore,
    sqlx::{self, AssertSqlSafe, Executor, SqliteConnection},
};

/// Everything that the database has besides the rows of sessions.
async fn schema(file: &mut SqliteConnection) -> Vec<(String, Option<String>)> {
    let mut schema = sqlx::query_as("SELECT name, sql FROM sqlite_schema ORDER BY name")
        .fetch_all(&mut *file)
        .await
        .unwrap();
    let versions = sqlx::query_as(
        "SELECT table_name, CAST(version AS TEXT) FROM dframework_session_schema ORDER BY table_name",
    );
    schema.extend(versions.fetch_all(file).await.unwrap());
    schema
}

#[tokio::test]
async fn migrate_makes_what_schema_sql_prints() {
    for table in ["sessions", "Web_Sessions2"] {
        let (made, printed) = (Folder::new(), Folder::new());
        let options = || SqlStore::options().table(table);
        let store = options().open(&made.url()).await.unwrap();
        store.migrate().await.unwrap();
        let mut file = printed.connect().await;
        file.execute(sqlx::raw_sql(AssertSqlSafe(store.schema_sql()))).await.unwrap();
        assert_eq!(schema(&mut made.connect().await).await, schema(&mut file).await);

        // Whoever has made the table by hand may migrate it all the same, and use it.
        let store = options().open(&printed.url()).await.unwrap();
        store.migrate().await.unwrap();
        make(&store, key(1), b"bytes").await.unwrap();
        assert_eq!(bytes(&store, key(1)).await.as_deref(), Some(&b"bytes"[..]));
    }
}

#[tokio::test]
async fn migrating_again_changes_nothing() {
    let folder = Folder::new();
    let store = folder.store().await;
    make(&store, key(1), b"bytes").await.unwrap();
    let before = schema(&mut folder.connect().await).await;
    store.migrate().await.unwrap();
    assert_eq!(schema(&mut folder.connect().await).await, before);
    assert_eq!(bytes(&store, key(1)).await.as_deref(), Some(&b"bytes"[..]));
}

#[tokio::test]
async fn tables_lie_beside_each_other() {
    let folder = Folder::new();
    let pool = pool(10, folder.options());
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

#[tokio::test]
async fn a_table_that_a_newer_version_has_made_is_left_alone() {
    let folder = Folder::new();
    let store = folder.store().await;
    make(&store, key(1), b"bytes").await.unwrap();
    let mut file = folder.connect().await;
    file.execute("UPDATE dframework_session_schema SET version = 99").await.unwrap();
    let before = schema(&mut file).await;
    let error = store.migrate().await.unwrap_err().to_string();
    assert!(error.contains("\"sessions\" is of version 99"), "{error}");
    assert!(error.contains("made by a newer one"), "{error}");
    assert_eq!(schema(&mut file).await, before);
}

#[tokio::test]
async fn a_table_of_somebody_else_is_left_alone() {
    for foreign in ["CREATE TABLE Sessions (id INTEGER)", "CREATE VIEW sessions AS SELECT 1"] {
        let folder = Folder::new();
        let mut file = folder.connect().await;
        file.execute(foreign).await.unwrap();
        let store = SqlStore::open(&folder.url()).await.unwrap();
        let error = store.migrate().await.unwrap_err().to_string();
        assert!(error.contains("was not made by this library"), "{error}");
        let names = sqlx::query_scalar::<_, String>("SELECT name FROM sqlite_schema");
        let names = names.fetch_all(&mut file).await.unwrap();
        assert_eq!(names.len(), 1, "{names:?}");
    }
}

#[tokio::test]
async fn the_rows_of_a_table_may_be_deleted_by_hand() {
    let folder = Folder::new();
    let store = folder.store().await;
    make(&store, key(1), b"bytes").await.unwrap();
    folder.connect().await.execute("DELETE FROM sessions").await.unwrap();
    assert_eq!(bytes(&store, key(1)).await, None);
    store.migrate().await.unwrap();
    make(&store, key(1), b"again").await.unwrap();
}

#[tokio::test]
async fn the_name_of_a_table_is_an_identifier() {
    let folder = Folder::new();
    let pool = pool(1, folder.options());
    let longest = "s".repeat(63);
    for name in ["s", "_", "_1", "select", "Sessions_2", &longest] {
        let store = SqlStore::options().table(name).over(pool.clone()).unwrap();
        store.migrate().await.unwrap();
        make(&store, key(1), name.as_bytes()).await.unwrap();
        assert_eq!(bytes(&store, key(1)).await.as_deref(), Some(name.as_bytes()), "{name}");
    }
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
