//! What has expired is deleted while sessions are used.

use crate::{
    home::{Home, homes},
    support::NOW,
    together::use_without_a_pause,
};
use dframework_session_sqlx::SqlStore;
use dframework_session_store::Store;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// How many sessions have expired: by the variable `EXPIRED`, to try it with a million.
fn many() -> usize {
    std::env::var("EXPIRED").map_or(20_000, |number| number.parse().unwrap())
}

/// Puts expired records into the table, by the database's own means.
async fn fill(home: &Home, many: usize) {
    let fill = match home {
        Home::Sqlite(_) => format!(
            "WITH RECURSIVE numbers(number) AS \
             (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < {many}) \
             INSERT INTO sessions (key, version, created, expires_at, owner, meta, payload) \
             SELECT randomblob(32), 1, 1, number, NULL, x'', zeroblob(300) FROM numbers"
        ),
        Home::Postgres(_) => format!(
            "INSERT INTO sessions (key, version, created, expires_at, owner, meta, payload) \
             SELECT sha256(int4send(number)), 1, 1, number, NULL, '', decode(repeat('00', 300), 'hex') \
             FROM generate_series(1, {many}) AS number"
        ),
        Home::MariaDb(_) => format!(
            "INSERT INTO sessions (`key`, version, created, expires_at, owner, meta, payload) \
             SELECT UNHEX(SHA2(seq, 256)), 1, 1, seq, NULL, '', REPEAT('0', 300) FROM seq_1_to_{many}"
        ),
    };
    home.connect().await.run(&fill).await;
}

/// Deletes in the batches of the library's sweeper until nothing is left, and counts.
async fn sweep(store: SqlStore) -> usize {
    let mut sum = 0;
    loop {
        match store.delete_expired(NOW, 500).await.unwrap() {
            0 => return sum,
            deleted => sum += deleted,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_sweep_while_sessions_are_used_and_nothing_that_lives_goes() {
    for home in homes() {
        let stores = [home.store().await, home.store().await];
        fill(&home, many()).await;
        let stop = Arc::new(AtomicBool::new(false));
        // Each of their answers is held against what it must be, and none may be an error.
        let visitors: Vec<_> = (0..8)
            .zip(stores.iter().cycle())
            .map(|(task, store)| {
                tokio::spawn(use_without_a_pause(store.clone(), task, stop.clone()))
            })
            .collect();
        let sweepers = stores.clone().map(|store| tokio::spawn(sweep(store)));
        let mut deleted = 0;
        for sweeper in sweepers {
            deleted += sweeper.await.unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        for visitor in visitors {
            visitor.await.unwrap();
        }
        assert_eq!(deleted, many(), "{}", home.name());
    }
}
