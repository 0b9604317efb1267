//! Locks, full disks, foreign hands, callers that go: what was answered holds, and everything works again after.

use crate::support::{
    Folder, LATER, NOW, at, bytes, in_full, key, live, make, pool, save, store_on,
};
use dframework_session_sqlx::{
    SqlStore,
    sqlx::{Connection, Executor},
};
use dframework_session_store::{
    Change, Loaded, NewRecord, Outcome, Store, StoreError, Timestamp, Version,
};
use std::{future::Future, task::Poll, time::Duration};

const COMMITTED: Outcome = Outcome::Committed(Version(2));

/// A store that waits for others as long as it takes, and a record in it.
async fn patient(folder: &Folder) -> SqlStore {
    let options = SqlStore::options().busy_timeout(Duration::from_mins(1));
    let store = options.open(&folder.url()).await.unwrap();
    store.migrate().await.unwrap();
    make(&store, key(1), b"bytes").await.unwrap();
    store
}

/// Long enough for a lane that is idle, on a machine that is not.
const SHORT: Duration = Duration::from_millis(200);

/// A store on the same file that soon gives up, with its connections open.
async fn impatient(folder: &Folder) -> SqlStore {
    let pool = pool(10, folder.options());
    let store = SqlStore::options().busy_timeout(SHORT).over(pool).unwrap();
    for _ in 0..100 {
        if store.migrate().await.is_ok() && store.load(&[key(1)]).await.is_ok() {
            return store;
        }
    }
    panic!("a connection is opened at last");
}

#[track_caller]
fn says_that_nothing_was_done(error: &StoreError, why: &str) {
    assert!(error.to_string().contains(why), "{}", in_full(error));
    assert!(!error.outcome_is_unknown(), "{}", in_full(error));
}

#[tokio::test]
async fn a_lock_that_is_held_for_too_long_is_an_error_with_nothing_done() {
    let folder = Folder::new();
    drop(patient(&folder).await);
    let store = impatient(&folder).await;
    let mut other = folder.connect().await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let why = "is locked by somebody else";
    says_that_nothing_was_done(&save(&store, key(1), 1, b"other").await.unwrap_err(), why);
    says_that_nothing_was_done(&make(&store, key(2), b"bytes").await.unwrap_err(), why);
    says_that_nothing_was_done(&store.end(&key(1), LATER).await.unwrap_err(), why);
    says_that_nothing_was_done(&store.touch(&key(1), LATER).await.unwrap_err(), why);
    says_that_nothing_was_done(&store.migrate().await.unwrap_err(), why);
    // In WAL mode, reading waits for nobody.
    assert_eq!(bytes(&store, key(1)).await.as_deref(), Some(&b"bytes"[..]));
    assert_eq!(at(&store, key(2)).await.unwrap(), Loaded::Unknown);

    other.execute("COMMIT").await.unwrap();
    assert_eq!(save(&store, key(1), 1, b"other").await.unwrap(), COMMITTED);
    make(&store, key(2), b"bytes").await.unwrap();
}

#[tokio::test]
async fn a_database_that_somebody_has_for_himself_comes_back() {
    let folder = Folder::new();
    drop(patient(&folder).await);
    let mut other = folder.connect().await;
    other.execute("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; COMMIT").await.unwrap();
    let opened = SqlStore::options().busy_timeout(SHORT).open(&folder.url()).await;
    says_that_nothing_was_done(&opened.unwrap_err(), "is locked by somebody else");
    other.close().await.unwrap();
    let store = SqlStore::open(&folder.url()).await.unwrap();
    assert_eq!(bytes(&store, key(1)).await.as_deref(), Some(&b"bytes"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_given_back_in_time_is_waited_for() {
    let folder = Folder::new();
    let store = patient(&folder).await;
    let mut other = folder.connect().await;
    for round in 1..=5 {
        other.execute("BEGIN IMMEDIATE").await.unwrap();
        let waiting = {
            let store = store.clone();
            tokio::spawn(async move { save(&store, key(1), round, &round.to_be_bytes()).await })
        };
        // Reads go on while the write waits.
        for _ in 0..5 {
            assert_eq!(live(&store, key(1)).await.unwrap().version, Version(round));
        }
        assert!(!waiting.is_finished());
        other.execute("COMMIT").await.unwrap();
        assert_eq!(waiting.await.unwrap().unwrap(), Outcome::Committed(Version(round + 1)));
    }
}

/// Polls a call once, so that it waits for its lane, and drops it.
async fn drop_after_a_poll(call: impl Future) {
    let mut call = std::pin::pin!(call);
    std::future::poll_fn(|context| {
        assert!(call.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
}

#[tokio::test]
async fn callers_that_go_leave_nothing_half_done_and_no_lane_stuck() {
    let folder = Folder::new();
    let store = patient(&folder).await;
    let mut other = folder.connect().await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    for number in 2..=50 {
        let mut change = Change::new(b"moved", Timestamp::MAX);
        change.move_to = Some(key(number));
        change.remember_until = LATER;
        drop_after_a_poll(store.commit(&key(1), Version(1), change)).await;
        drop_after_a_poll(make(&store, key(100 + number), b"bytes")).await;
        drop_after_a_poll(store.load(&[key(1)])).await;
    }
    other.execute("COMMIT").await.unwrap();
    // Behind all of them; what was in a lane when its caller went has been carried out whole or not at all.
    make(&store, key(200), b"bytes").await.unwrap();
    let living = store.scan(None, 300).await.unwrap();
    let moved = living.iter().filter(|(_, stored)| stored.bytes == b"moved").count();
    let ended = matches!(at(&store, key(1)).await.unwrap(), Loaded::Ended { .. });
    assert_eq!(ended, moved == 1, "{living:?}");
    assert!(moved <= 1 && living.len() <= 3, "{living:?}");
}

#[tokio::test]
async fn a_full_database_takes_no_more_and_lets_sessions_end() {
    let folder = Folder::new();
    let most = folder.options().pragma("max_page_count", "30");
    for connections in [1, 10] {
        let store = store_on(connections, most.clone()).await;
        let payload = [7; 3_000];
        let mut made = Vec::new();
        let error = loop {
            let key = key(u8::try_from(made.len()).unwrap() + 1);
            let new = NewRecord::new(&payload, NOW, LATER);
            match store.create(&key, new, NOW).await {
                Ok(outcome) => made.push((key, outcome)),
                Err(error) => break error,
            }
        };
        assert!(error.is_full() && !error.outcome_is_unknown(), "{}", in_full(&error));
        assert!(made.len() > 3, "there was room for some");
        let larger = vec![7; 100_000];
        for _ in 0..3 {
            let error = save(&store, made[0].0, 1, &larger).await.unwrap_err();
            assert!(error.is_full(), "{}", in_full(&error));
            let mut change = Change::new(&larger, Timestamp::MAX);
            change.move_to = Some(key(250));
            let error = store.commit(&made[0].0, Version(1), change).await.unwrap_err();
            assert!(error.is_full(), "{}", in_full(&error));
        }
        // What was acknowledged is there, and what was not is not.
        for (key, _) in &made {
            assert_eq!(bytes(&store, *key).await.as_deref(), Some(&payload[..]));
        }
        assert_eq!(store.count(NOW).await.unwrap(), made.len() as u64);
        assert!(store.end(&made[0].0, LATER).await.unwrap(), "a logout needs no room");
        store.touch(&made[1].0, LATER).await.unwrap();
        // The sweeper makes room again.
        while store.delete_expired(LATER, 2).await.unwrap() > 0 {}
        make(&store, key(251), &payload).await.unwrap();
        store.end(&key(251), NOW).await.unwrap();
        while store.delete_expired(LATER, 2).await.unwrap() > 0 {}
    }
}

#[tokio::test]
async fn a_table_that_is_gone_is_told_and_works_again_once_it_is_back() {
    let folder = Folder::new();
    let store = patient(&folder).await;
    bytes(&store, key(1)).await.unwrap();
    let mut other = folder.connect().await;
    other.execute("ALTER TABLE sessions RENAME TO elsewhere").await.unwrap();
    let why = "was `migrate` called?";
    says_that_nothing_was_done(&at(&store, key(1)).await.unwrap_err(), why);
    says_that_nothing_was_done(&save(&store, key(1), 1, b"other").await.unwrap_err(), why);
    other.execute("ALTER TABLE elsewhere RENAME TO sessions").await.unwrap();
    assert_eq!(save(&store, key(1), 1, b"other").await.unwrap(), COMMITTED);
    assert_eq!(bytes(&store, key(1)).await.as_deref(), Some(&b"other"[..]));
}

#[tokio::test]
async fn rows_that_nobody_could_have_written_are_errors_and_harm_no_others() {
    let folder = Folder::new();
    let store = patient(&folder).await;
    make(&store, key(2), b"sound").await.unwrap();
    let mut other = folder.connect().await;
    for foreign in [
        "UPDATE sessions SET version = -1 WHERE key = (SELECT min(key) FROM sessions)",
        "UPDATE sessions SET version = 1, expires_at = -1 WHERE key = (SELECT min(key) FROM sessions)",
    ] {
        other.execute(foreign).await.unwrap();
        let error = at(&store, key(1)).await.unwrap_err();
        says_that_nothing_was_done(&error, "has a negative number");
        assert_eq!(bytes(&store, key(2)).await.as_deref(), Some(&b"sound"[..]));
    }
    other.execute("UPDATE sessions SET expires_at = 9 WHERE expires_at = -1").await.unwrap();
    assert_eq!(bytes(&store, key(1)).await.as_deref(), Some(&b"bytes"[..]));
}

#[tokio::test]
async fn a_key_that_is_taken_is_an_error_after_which_all_goes_on() {
    let folder = Folder::new();
    for connections in [1, 10] {
        let store = store_on(connections, folder.options()).await;
        let first = key(u8::try_from(connections).unwrap());
        make(&store, first, b"bytes").await.unwrap();
        for _ in 0..10 {
            let error = make(&store, first, b"other").await.unwrap_err();
            says_that_nothing_was_done(&error, "the key of a new record is taken");
        }
        assert_eq!(bytes(&store, first).await.as_deref(), Some(&b"bytes"[..]));
    }
}
