//! Statements that an administrator kills (`KILL QUERY`), again and again.

use crate::{
    home::{Home, on_servers},
    support::{LATER, NOW, in_full, key},
};
use dframework_session_sqlx::SqlStore;
use dframework_session_store::{Change, NewRecord, Outcome, Store, Timestamp, Version};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

const MOVERS: u8 = 8;
const MOVES: u8 = 25;
/// Where two statements go as one message, MariaDB hangs in about every second of these.
const ROUNDS: usize = 6;

/// Kills what the others on this database ask, until it is told to stop.
async fn kill(home: &Home, stop: &AtomicBool) -> usize {
    let mut other = home.connect().await;
    let (find, kill) = match home {
        Home::Postgres(_) => (
            "SELECT pid::text FROM pg_stat_activity WHERE datname = current_database() \
             AND pid <> pg_backend_pid()",
            "SELECT pg_cancel_backend(",
        ),
        _ => (
            "SELECT CAST(id AS CHAR) FROM information_schema.processlist \
             WHERE db = DATABASE() AND id <> CONNECTION_ID()",
            "KILL QUERY ",
        ),
    };
    let mut killed = 0;
    while !stop.load(Ordering::Relaxed) {
        let found = other.ask(find).await;
        for id in [&found[..]; 20].concat() {
            let end = if kill.ends_with('(') { ")" } else { "" };
            // It may have gone meanwhile.
            killed += usize::from(other.try_run(&format!("{kill}{id}{end}")).await.is_ok());
        }
    }
    killed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_killed_all_the_time_is_done_at_last_and_nothing_hangs() {
    for home in (0..ROUNDS).flat_map(|_| on_servers()) {
        let store = home.with(SqlStore::options().busy_timeout(Duration::from_mins(1))).await;
        for mover in 0..MOVERS {
            let new = NewRecord::new(b"bytes", NOW, Timestamp::MAX);
            store.create(&key(mover), new, NOW).await.unwrap();
        }
        let home = Arc::new(home);
        let stop = Arc::new(AtomicBool::new(false));
        let killer = {
            let (home, stop) = (home.clone(), stop.clone());
            tokio::spawn(async move { kill(&home, &stop).await })
        };
        let movers: Vec<_> = (0..MOVERS)
            .map(|mover| {
                let store = store.clone();
                tokio::spawn(async move {
                    for step in 0..MOVES {
                        let (from, to) = (mover + step * MOVERS, mover + (step + 1) * MOVERS);
                        let mut change = Change::new(b"moved", Timestamp::MAX);
                        (change.move_to, change.remember_until) = (Some(key(to)), LATER);
                        let version = Version(u64::from(step) + 1);
                        let moved = store.commit(&key(from), version, change).await;
                        let moved = moved.unwrap_or_else(|error| panic!("{}", in_full(&error)));
                        assert_eq!(moved, Outcome::Committed(Version(version.0 + 1)));
                    }
                })
            })
            .collect();
        for mover in movers {
            mover.await.unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        assert!(killer.await.unwrap() > 0, "{}: nothing was killed", home.name());
        assert_eq!(store.count(NOW).await.unwrap(), u64::from(MOVERS), "{}", home.name());
    }
}
