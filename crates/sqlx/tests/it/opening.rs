//! From a URL to a file, and what is said where that cannot be.

use crate::support::{Folder, bytes, in_full, key, make};
use dframework_session_sqlx::{SqlStore, sqlx};
use dframework_session_store::StoreError;
use std::{fs, path::Path};

async fn refused(url: &str) -> StoreError {
    let opened = async {
        let store = SqlStore::open(url).await?;
        store.migrate().await
    };
    opened.await.expect_err(url)
}

#[tokio::test]
async fn folder_and_file_are_made_for_the_user_alone() {
    for parameters in ["", "?mode=rwc"] {
        let folder = Folder::new();
        let file = folder.path().join("data/of/the application/sessions.db");
        let url = format!("sqlite://{}{parameters}", file.display()).replace(' ', "%20");
        let store = SqlStore::open(&url).await.unwrap();
        store.migrate().await.unwrap();
        make(&store, key(1), b"bytes").await.unwrap();
        assert_eq!(bytes(&store, key(1)).await.as_deref(), Some(&b"bytes"[..]), "{url}");
        #[cfg(unix)]
        for entry in fs::read_dir(file.parent().unwrap()).unwrap() {
            use std::os::unix::fs::PermissionsExt;
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{:?}", entry.file_name());
        }
    }
}

#[tokio::test]
async fn a_file_that_must_be_there_is_not_made() {
    for mode in ["rw", "ro"] {
        let folder = Folder::new();
        let error = refused(&format!("{}?mode={mode}", folder.url())).await;
        assert!(error.to_string().contains("sessions.db cannot be opened"), "{error}");
        assert!(!folder.file().exists());
    }
}

#[tokio::test]
async fn the_file_is_in_wal_mode() {
    let folder = Folder::new();
    let store = folder.store().await;
    let mut file = folder.connect().await;
    let mode: String =
        sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut file).await.unwrap();
    assert_eq!(mode, "wal");
    drop(store);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_make_one_database_at_the_same_time() {
    let folder = Folder::new();
    let tasks: Vec<_> = (1..=8)
        .map(|number| {
            let url = folder.url();
            tokio::spawn(async move {
                let store = SqlStore::open(&url).await.map_err(|error| in_full(&error))?;
                store.migrate().await.map_err(|error| in_full(&error))?;
                let made = make(&store, key(number), &[number]).await;
                made.map_err(|error| in_full(&error))
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let store = folder.store().await;
    for number in 1..=8 {
        assert_eq!(bytes(&store, key(number)).await, Some(vec![number]));
    }
}

#[tokio::test]
async fn a_url_that_names_no_file_says_what_is_wrong() {
    for (url, expected) in [
        ("oracle://web:secret@db/app", "has the scheme oracle; known are sqlite, postgres,"),
        ("data/sessions.db", "has the scheme none"),
        ("sqlite:", "names no file: expected sqlite://data/sessions.db"),
        ("sqlite://?mode=rwc", "names no file"),
        ("sqlite::memory:", "names a database in memory"),
        ("sqlite://:memory:", "names a database in memory"),
        ("sqlite://sessions.db?mode=memory", "names a database in memory"),
        ("sqlite://sessions.db?mode=none", "cannot be read"),
    ] {
        let error = refused(url).await;
        assert!(error.to_string().contains(expected), "{url}: {error}");
        assert!(!in_full(&error).contains("secret"), "{url}");
    }
    assert!(!Path::new("sessions.db").exists());
}

#[tokio::test]
async fn a_folder_that_is_a_file_is_named() {
    let folder = Folder::new();
    fs::write(folder.file(), "no folder").unwrap();
    let error = refused(&format!("{}/below/sessions.db", folder.url())).await;
    let named = format!("the folder {}/below", folder.file().display());
    assert!(error.to_string().starts_with(&named), "{error}");
}

/// Nobody may write to it, not even the administrator as whom tests may run.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_folder_that_cannot_be_written_is_named() {
    let error = refused("sqlite:///sys/sessions.db").await;
    assert_eq!(error.to_string(), "the session database /sys/sessions.db cannot be made");
    let error = refused("sqlite:///sys/sessions/sessions.db").await;
    assert!(error.to_string().starts_with("the folder /sys/sessions "), "{error}");
}

#[tokio::test]
async fn a_file_that_may_only_be_read_is_named() {
    let folder = Folder::new();
    drop(folder.connect().await);
    let error = refused(&format!("{}?mode=ro", folder.url())).await;
    assert!(error.to_string().contains("sessions.db may not be written"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_left_as_it_is() {
    // The second begins as a database does.
    let header = [b"SQLite format 3\0".as_slice(), &[0xab; 4096]].concat();
    for contents in [&[b'a'; 8192][..], &header] {
        let folder = Folder::new();
        fs::write(folder.file(), contents).unwrap();
        let error = refused(&folder.url()).await;
        assert!(error.to_string().contains("sessions.db is no SQLite database"), "{error}");
        assert_eq!(fs::read(folder.file()).unwrap(), contents);
    }
}

#[tokio::test]
async fn a_folder_in_the_place_of_the_file_is_named() {
    let folder = Folder::new();
    let error = refused(&format!("sqlite://{}", folder.path().display())).await;
    assert!(error.to_string().ends_with("cannot be opened"), "{error}");
}
