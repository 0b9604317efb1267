//! Servers that are killed or stand still while two processes work on them: what was answered holds, what was said not
//! to be done was not, and all goes on by itself.

use crate::support::{LATER, NOW, at};
use ::servers::{Engine, Server};
use dframework_session_sqlx::SqlStore;
use dframework_session_store::{Change, Loaded, NewRecord, Outcome, Store, StoreKey, Timestamp};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

const VISITORS: u64 = 8;
/// Far more than it takes until something happens that is waited for.
const LONG: Duration = Duration::from_mins(2);

/// What became of a call of a visitor.
enum Heard {
    Done,
    Failed(u64),
}

fn key_of(visitor: u64, number: u64) -> StoreKey {
    let mut bytes = [0xee; 32];
    bytes[..8].copy_from_slice(&visitor.to_be_bytes());
    bytes[8..16].copy_from_slice(&number.to_be_bytes());
    StoreKey::from_bytes(bytes)
}

/// Writes at one key, again and again, and makes and ends sessions beside it. Gives those that have ended.
async fn visit(
    store: SqlStore,
    visitor: u64,
    stop: Arc<AtomicBool>,
    heard: UnboundedSender<Heard>,
) -> Vec<StoreKey> {
    let key = key_of(visitor, 0);
    // What may be stored: what was answered, and what came after it with an outcome that nobody knows.
    let mut possible = vec![0];
    let mut ended = Vec::new();
    for number in 1.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        match step(&store, &key, number, &mut possible).await {
            Ok(()) => heard.send(Heard::Done).unwrap(),
            Err(()) => heard.send(Heard::Failed(visitor)).unwrap(),
        }
        let key = key_of(visitor, number);
        let made = store.create(&key, NewRecord::new(b"bytes", NOW, Timestamp::MAX), NOW).await;
        if made.is_ok() && store.end(&key, LATER).await.is_ok() {
            ended.push(key);
        }
    }
    let Loaded::Live(stored) = at(&store, key).await.unwrap() else { panic!("it never ends") };
    assert!(possible.contains(&value(&stored.bytes)), "{stored:?}: {possible:?}");
    ended
}

fn value(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().unwrap())
}

/// Reads the record, compares it with what may be there, and writes the next value.
async fn step(
    store: &SqlStore,
    key: &StoreKey,
    number: u64,
    possible: &mut Vec<u64>,
) -> Result<(), ()> {
    let Loaded::Live(seen) = at(store, *key).await.map_err(drop)? else {
        panic!("it never ends");
    };
    assert!(possible.contains(&value(&seen.bytes)), "{seen:?}: {possible:?}");
    let bytes = number.to_be_bytes();
    match store.commit(key, seen.version, Change::new(&bytes, Timestamp::MAX)).await {
        Ok(Outcome::Committed(_)) => {
            *possible = vec![number];
            Ok(())
        }
        Ok(_) => {
            assert!(possible.len() > 1, "nobody else writes here");
            Ok(())
        }
        Err(error) => {
            if error.outcome_is_unknown() {
                possible.push(number);
            }
            Err(())
        }
    }
}

/// Waits until every visitor has been answered so often on average.
async fn until_done(heard: &mut UnboundedReceiver<Heard>) {
    let mut done = 0;
    while done < VISITORS * 10 {
        let next = tokio::time::timeout(LONG, heard.recv()).await.expect("it goes on");
        done += u64::from(matches!(next, Some(Heard::Done)));
    }
}

/// Waits until every visitor has met an error.
async fn until_all_failed(heard: &mut UnboundedReceiver<Heard>) {
    let mut unharmed: BTreeSet<u64> = (0..VISITORS).collect();
    while !unharmed.is_empty() {
        let next = tokio::time::timeout(LONG, heard.recv()).await.expect("it is noticed");
        if let Some(Heard::Failed(visitor)) = next {
            unharmed.remove(&visitor);
        }
    }
}

/// Has visitors come by two stores, as by two processes, while this happens to the server: all fails, and comes back.
async fn under_load(engine: Engine, go: fn(&mut Server), come_back: fn(&mut Server)) {
    let Some(mut server) = Server::start_durable(engine) else { return };
    let mut stores = Vec::new();
    for _ in 0..2 {
        let options = SqlStore::options().busy_timeout(Duration::from_secs(1));
        stores.push(options.open(&server.url()).await.unwrap());
    }
    stores[0].migrate().await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let (tell, mut heard) = unbounded_channel();
    let mut visitors = Vec::new();
    for (visitor, store) in (0..VISITORS).zip(stores.iter().cycle()) {
        let new = [0; 8];
        let new = NewRecord::new(&new, NOW, Timestamp::MAX);
        store.create(&key_of(visitor, 0), new, NOW).await.unwrap();
        visitors.push(tokio::spawn(visit(store.clone(), visitor, stop.clone(), tell.clone())));
    }
    for _ in 0..2 {
        until_done(&mut heard).await;
        go(&mut server);
        until_all_failed(&mut heard).await;
        come_back(&mut server);
        until_done(&mut heard).await;
    }
    stop.store(true, Ordering::Relaxed);
    for visitor in visitors {
        let ended = visitor.await.unwrap();
        assert!(!ended.is_empty());
        for key in ended {
            let there = at(&stores[0], key).await.unwrap();
            assert!(matches!(there, Loaded::Ended { until: LATER }), "{engine:?}: {there:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_is_killed_under_load_loses_nothing_that_was_answered() {
    for engine in [Engine::Postgres, Engine::MariaDb] {
        under_load(engine, Server::kill, Server::restart).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_stands_still_under_load_loses_nothing_that_was_answered() {
    for engine in [Engine::Postgres, Engine::MariaDb] {
        under_load(engine, Server::pause, Server::resume).await;
    }
}
