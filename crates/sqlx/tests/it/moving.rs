//! Records that move while the sessions of their owner are ended, on engines where both happen at the same time.

use crate::{
    home::{Home, Other, on_servers},
    support::{LATER, NOW, at, key},
};
use dframework_session_sqlx::SqlStore;
use dframework_session_store::{
    Change, Loaded, NewRecord, Outcome, Store, StoreKey, Timestamp, Version,
};

const TABLE: &str = "sessions";

/// A store on a pool whose connections wait for locks as long as it takes, and a record of an owner.
async fn patient(home: &Home, first: StoreKey) -> SqlStore {
    let store = SqlStore::new(home.pool(10));
    store.migrate().await.unwrap();
    make(&store, first).await;
    store
}

async fn make(store: &SqlStore, key: StoreKey) {
    let mut new = NewRecord::new(b"bytes", NOW, Timestamp::MAX);
    new.owner = Some("42");
    store.create(&key, new, NOW).await.unwrap();
}

fn moving(to: StoreKey) -> Change<'static> {
    let mut change = Change::new(b"moved", Timestamp::MAX);
    change.owner = Some("42");
    change.move_to = Some(to);
    change.remember_until = LATER;
    change
}

/// Returns once somebody waits for a lock in the table.
async fn wait_until_blocked(home: &Home, look: &mut Other) {
    let sql = match home {
        Home::Postgres(_) => {
            "SELECT count(*)::text FROM pg_stat_activity \
             WHERE wait_event_type = 'Lock' AND datname = current_database()"
        }
        _ => {
            "SELECT CAST(count(*) AS CHAR) FROM information_schema.processlist \
             WHERE db = DATABASE() AND state = 'Updating'"
        }
    };
    while look.ask(sql).await == ["0"] {
        tokio::task::yield_now().await;
    }
}

/// As the store moves a record, and not yet committed.
async fn begin_a_move(home: &Home, other: &mut Other, from: u8, to: u8) {
    let (from, to) = (format!("{from:02x}").repeat(32), format!("{to:02x}").repeat(32));
    let (from, to) = match home {
        Home::Postgres(_) => (format!("decode('{from}', 'hex')"), format!("decode('{to}', 'hex')")),
        _ => (format!("x'{from}'"), format!("x'{to}'")),
    };
    let key = if matches!(home, Home::Postgres(_)) { "key" } else { "`key`" };
    other.run("BEGIN").await;
    let leave = format!("UPDATE {TABLE} SET owner = NULL, payload = NULL WHERE {key} = {from}");
    other.run(&leave).await;
    let arrive = format!(
        "INSERT INTO {TABLE} ({key}, version, created, expires_at, owner, meta, payload) \
         SELECT {to}, version + 1, created, expires_at, '42', meta, 'moved' FROM {TABLE} WHERE {key} = {from}"
    );
    other.run(&arrive).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_moves_while_its_owner_is_ended_ends_too() {
    for home in on_servers() {
        // To the front and to the back: what looks through the keys in order is past the one, and before the other.
        for (from, to) in [(100, 50), (51, 150)] {
            let store = patient(&home, key(from)).await;
            let (mut mover, mut look) = (home.connect().await, home.connect().await);
            begin_a_move(&home, &mut mover, from, to).await;
            let ending = {
                let store = store.clone();
                tokio::spawn(async move { store.end_owned_by("42", None, LATER).await })
            };
            wait_until_blocked(&home, &mut look).await;
            mover.run("COMMIT").await;
            assert_eq!(ending.await.unwrap().unwrap(), 1, "{}", home.name());
            for key in [key(from), key(to)] {
                let loaded = at(&store, key).await.unwrap();
                assert!(matches!(loaded, Loaded::Ended { .. }), "{}: {loaded:?}", home.name());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_an_owner_whose_records_move_all_the_time() {
    const RECORDS: u8 = 8;
    for home in on_servers() {
        let store = home.store().await;
        for first in 1..=RECORDS {
            make(&store, key(first)).await;
        }
        let mut movers = Vec::new();
        for first in 1..=RECORDS {
            let store = home.store().await;
            movers.push(tokio::spawn(async move {
                // Until the record has been ended, whatever key it is at.
                let (mut at, mut version) = (first, 1);
                while let Some(to) = at.checked_add(RECORDS) {
                    let moved = store.commit(&key(at), Version(version), moving(key(to))).await;
                    match moved.unwrap() {
                        Outcome::Committed(next) => (at, version) = (to, next.0),
                        _ => return,
                    }
                }
            }));
        }
        let mut enders = Vec::new();
        for _ in 0..3 {
            let store = home.store().await;
            enders.push(tokio::spawn(async move { store.end_owned_by("42", None, LATER).await }));
        }
        let mut ended = 0;
        for ender in enders {
            ended += ender.await.unwrap().unwrap();
        }
        for mover in movers {
            mover.await.unwrap();
        }
        assert_eq!(ended, usize::from(RECORDS), "{}", home.name());
        assert_eq!(store.scan(None, 300).await.unwrap(), [], "{}", home.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_who_was_ended_in_part_is_not_told_that_nothing_was_done() {
    const MANY: u32 = 1_500;
    let Some(home) = Home::mariadb() else { return };
    let options = SqlStore::options().busy_timeout(std::time::Duration::from_millis(300));
    let store = home.with(options).await;
    let fill = format!(
        "INSERT INTO sessions (`key`, version, created, expires_at, owner, meta, payload) \
         SELECT UNHEX(LPAD(HEX(seq), 64, '0')), 1, 1, 9000000000000, '42', '', '' FROM seq_1_to_{MANY}"
    );
    let mut other = home.connect().await;
    other.run(&fill).await;
    for _ in 0..4 {
        // The lanes have their connections.
        store.touch(&key(1), LATER).await.unwrap();
    }
    // The last of them, of which the first statement has none.
    let last = format!("`key` = UNHEX(LPAD(HEX({MANY}), 64, '0'))");
    other.run(&format!("BEGIN; UPDATE sessions SET version = version WHERE {last}")).await;
    let error = store.end_owned_by("42", None, LATER).await.unwrap_err();
    let left = store.count(NOW).await.unwrap();
    assert!(left < u64::from(MANY), "some have ended");
    assert!(error.outcome_is_unknown(), "{error}");
    other.run("ROLLBACK").await;
    let ended = store.end_owned_by("42", None, LATER).await.unwrap();
    assert_eq!(u64::try_from(ended).unwrap(), left);
    assert_eq!(store.count(NOW).await.unwrap(), 0);
}
