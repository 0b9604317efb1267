//! Calls that wait go to the database together, and nobody can tell but by the time.

use crate::{
    home::{Home, Other, homes},
    support::{Folder, LATER, NOW, at, bytes, in_full, key, make, save, store_on},
};
use dframework_session_sqlx::SqlStore;
use dframework_session_store::{
    Change, Loaded, NewRecord, Outcome, Store, StoreKey, Timestamp, Version, testing::cases,
};
use servers::{Direction, Engine, Proxy, Server};
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

pub(crate) type Waiting<'a, T> = Vec<Pin<Box<dyn Future<Output = T> + Send + 'a>>>;

/// Has all of these calls wait. On a runtime with one thread, no lane runs meanwhile.
pub(crate) async fn wait<'a, T>(
    calls: impl Iterator<Item = impl Future<Output = T> + Send + 'a>,
) -> Waiting<'a, T> {
    let mut calls: Waiting<'a, T> = calls.map(|call| Box::pin(call) as _).collect();
    poll_fn(|context| {
        assert!(calls.iter_mut().all(|call| call.as_mut().poll(context).is_pending()));
        Poll::Ready(())
    })
    .await;
    calls
}

pub(crate) async fn all<T>(calls: Waiting<'_, T>) -> Vec<T> {
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await);
    }
    answers
}

/// A store with a record at each of the keys 0 to 39.
async fn with_forty(home: &Home, busy_timeout: Duration) -> SqlStore {
    let store = home.with(SqlStore::options().busy_timeout(busy_timeout)).await;
    for number in 0..40 {
        make(&store, key(number), b"bytes").await.unwrap();
    }
    store
}

/// Longer than any of this takes.
const LONG: Duration = Duration::from_mins(1);

/// Somebody else who lets nobody write until he commits.
async fn in_the_way(home: &Home) -> Other {
    let mut other = home.connect().await;
    let lock = match home {
        Home::Sqlite(_) => "BEGIN IMMEDIATE",
        Home::Postgres(_) => "BEGIN; LOCK TABLE sessions IN EXCLUSIVE MODE",
        Home::MariaDb(_) => "START TRANSACTION; SELECT count(*) FROM sessions FOR UPDATE",
    };
    other.run(lock).await;
    other
}

#[tokio::test]
async fn one_bad_row_fails_alone() {
    for home in homes() {
        let store = with_forty(&home, LONG).await;
        let made = wait((30..50).map(|number| make(&store, key(number), b"new"))).await;
        for (number, made) in (30..50).zip(all(made).await) {
            match made {
                Ok(outcome) => {
                    assert_eq!((outcome, number >= 40), (Outcome::Committed(Version(1)), true));
                }
                Err(error) => {
                    assert!(number < 40, "{}", in_full(&error));
                    assert_eq!(error.to_string(), "the key of a new record is taken");
                }
            }
        }
        for number in 30..50 {
            let expected = if number < 40 { &b"bytes"[..] } else { b"new" };
            assert_eq!(
                bytes(&store, key(number)).await.as_deref(),
                Some(expected),
                "{}",
                home.name()
            );
        }
    }
}

#[tokio::test]
async fn writes_of_all_kinds_that_wait_are_answered_each_its_own() {
    for home in homes() {
        let store = with_forty(&home, LONG).await;
        let stored = |number: u8, version| save(&store, key(number), version, b"other");
        let saves = [(1, 1), (2, 9), (3, 1), (99, 1), (4, u64::MAX)];
        let mut calls = wait(
            saves
                .map(|(number, version)| async move {
                    format!("{:?}", stored(number, version).await.unwrap())
                })
                .into_iter(),
        )
        .await;
        let ends = [5, 6, 98].map(|number| {
            let store = &store;
            async move { format!("{:?}", store.end(&key(number), LATER).await.unwrap()) }
        });
        calls.append(&mut wait(ends.into_iter()).await);
        let touches = [(7, 3), (7, 9), (7, 5), (97, 1)].map(|(number, more)| {
            let (store, until) = (&store, Timestamp::from_millis(LATER.as_millis() + more));
            async move { format!("{:?}", store.touch(&key(number), until).await.unwrap()) }
        });
        calls.append(&mut wait(touches.into_iter()).await);
        let made = [200, 201].map(|number| {
            let store = &store;
            async move { format!("{:?}", make(store, key(number), b"new").await.unwrap()) }
        });
        calls.append(&mut wait(made.into_iter()).await);
        let (done, not) = ("Committed(Version(2))", "Conflict");
        let made = "Committed(Version(1))";
        let expected = [
            done, not, done, not, not, "true", "true", "false", "()", "()", "()", "()", made, made,
        ];
        assert_eq!(all(calls).await, expected, "{}", home.name());
        for (number, ended) in [(5, true), (6, true), (98, false), (1, false)] {
            let loaded = at(&store, key(number)).await.unwrap();
            assert_eq!(matches!(loaded, Loaded::Ended { until: LATER }), ended, "{}", home.name());
        }
        for number in [97, 98, 99] {
            assert_eq!(at(&store, key(number)).await.unwrap(), Loaded::Unknown);
        }
    }
}

#[tokio::test]
async fn touches_that_wait_raise_to_the_latest_and_lower_nothing() {
    for home in homes() {
        let store = home.store().await;
        store.create(&key(1), NewRecord::new(b"bytes", NOW, LATER), NOW).await.unwrap();
        store.create(&key(2), NewRecord::new(b"bytes", NOW, Timestamp::MAX), NOW).await.unwrap();
        let touches = (0..40).map(|number| {
            let until = Timestamp::from_millis(LATER.as_millis() + number * 7 % 40);
            let (store, key) = (&store, key(1 + u8::from(number % 4 == 0)));
            async move { store.touch(&key, until).await }
        });
        all(wait(touches).await).await.into_iter().collect::<Result<Vec<()>, _>>().unwrap();
        let until = |loaded| match loaded {
            Loaded::Live(stored) => stored.expires_at,
            other => panic!("{other:?}"),
        };
        let [one, other] = [key(1), key(2)];
        let raised = until(at(&store, one).await.unwrap());
        assert_eq!(raised.as_millis(), LATER.as_millis() + 39, "{}", home.name());
        assert_eq!(until(at(&store, other).await.unwrap()), Timestamp::MAX, "{}", home.name());
    }
}

#[tokio::test]
async fn a_full_database_lets_sessions_end_that_wait_with_what_has_no_room() {
    let folder = Folder::new();
    let options = folder.options().pragma("max_page_count", "60");
    let store = store_on(10, options).await;
    for number in 0..40 {
        make(&store, key(number), b"bytes").await.unwrap();
    }
    let large = vec![7; 500_000];
    let calls = (0..20).map(|number| {
        let (store, large) = (&store, &large);
        async move {
            match number % 2 {
                0 => store.end(&key(number), LATER).await.map(|ended| assert!(ended)),
                _ => save(store, key(number), 1, large).await.map(drop),
            }
        }
    });
    for (number, answer) in (0..20).zip(all(wait(calls).await).await) {
        match (number % 2, answer) {
            (0, answer) => answer.unwrap(),
            (_, answer) => assert!(answer.unwrap_err().is_full(), "{number}"),
        }
    }
    for number in 0..20 {
        match at(&store, key(number)).await.unwrap() {
            Loaded::Ended { .. } => assert_eq!(number % 2, 0),
            loaded => assert!(matches!(loaded, Loaded::Live(live) if live.bytes == b"bytes")),
        }
    }
}

#[tokio::test]
async fn a_lock_that_is_held_for_too_long_fails_all_that_wait_with_nothing_done() {
    for home in homes() {
        drop(with_forty(&home, LONG).await);
        let options = SqlStore::options().busy_timeout(Duration::from_secs(1));
        let store = options.open(&home.url()).await.unwrap();
        // With its connections open, so that the lock alone is in the way.
        for _ in 0..4 {
            store.end(&key(255), NOW).await.unwrap();
        }
        let mut other = in_the_way(&home).await;
        let calls = (0..20).map(|number| save(&store, key(number), 1, b"other"));
        for answer in all(wait(calls).await).await {
            let error = answer.unwrap_err();
            let said = in_full(&error);
            assert!(!error.outcome_is_unknown(), "{}: {said}", home.name());
            // Each of them is told all that is known.
            assert!(said.contains("is locked by somebody else: "), "{}: {said}", home.name());
        }
        other.run("COMMIT").await;
        for number in 0..20 {
            assert_eq!(bytes(&store, key(number)).await.as_deref(), Some(&b"bytes"[..]));
        }
    }
}

#[tokio::test]
async fn a_batch_that_a_lane_has_taken_is_whole_though_callers_go() {
    for home in homes() {
        let store = with_forty(&home, LONG).await;
        let mut other = in_the_way(&home).await;
        let mut taken = wait((0..20).map(|number| save(&store, key(number), 1, b"other"))).await;
        // A lane takes them all, and finds the lock.
        tokio::task::yield_now().await;
        let mut waiting = wait((20..40).map(|number| save(&store, key(number), 1, b"other"))).await;
        taken.truncate(1);
        waiting.truncate(1);
        other.run("COMMIT").await;
        taken.append(&mut waiting);
        for answer in all(taken).await {
            assert_eq!(answer.unwrap(), Outcome::Committed(Version(2)), "{}", home.name());
        }
        for number in 0..40 {
            let expected = if number <= 20 { &b"other"[..] } else { b"bytes" };
            let there = bytes(&store, key(number)).await;
            assert_eq!(there.as_deref(), Some(expected), "{} {number}", home.name());
        }
    }
}

#[tokio::test]
async fn what_has_waited_for_others_of_its_batch_until_its_time_was_over_is_not_begun() {
    let Some(home) = Home::postgres() else { return };
    drop(with_forty(&home, LONG).await);
    let options = SqlStore::options().busy_timeout(Duration::from_secs(1));
    let store = options.open(&home.url()).await.unwrap();
    for _ in 0..4 {
        store.end(&key(255), NOW).await.unwrap();
    }
    let mut other = home.connect().await;
    // It holds the rows of the saves, and not those of the ends.
    other.run("BEGIN; UPDATE sessions SET version = version WHERE get_byte(key, 0) < 20").await;
    let saving = |number| {
        let store = &store;
        async move { save(store, key(number), 1, b"other").await.map(drop) }
    };
    // The saves are tried until the time of the last of them is over, and so is that of the ends before it.
    let mut calls = wait((0..1).map(saving)).await;
    let ends = (20..40).map(|number| {
        let store = &store;
        async move { store.end(&key(number), LATER).await.map(drop) }
    });
    calls.append(&mut wait(ends).await);
    calls.append(&mut wait((1..20).map(saving)).await);
    let numbers = (0..1).chain(20..40).chain(1..20);
    for (number, answer) in numbers.zip(all(calls).await) {
        let error = answer.expect_err("it is too late");
        let said = in_full(&error);
        let why =
            if number < 20 { "is locked by somebody else" } else { "was busy with other calls" };
        assert!(said.contains(why) && !error.outcome_is_unknown(), "{number}: {said}");
        assert_eq!(bytes(&store, key(number)).await.as_deref(), Some(&b"bytes"[..]), "{number}");
    }
    other.run("ROLLBACK").await;
    assert!(store.end(&key(20), LATER).await.unwrap());
}

/// A store through a proxy, whose connections are open, and a record at each of the keys 0 to 39.
async fn behind_a_proxy(engine: Engine) -> Option<(Home, Proxy, SqlStore)> {
    let server = Server::shared(engine)?;
    let (proxy, database) = (Proxy::to(server.port()), server.database());
    let url = database.url_through(proxy.port());
    let home = match engine {
        Engine::Postgres => Home::Postgres(database),
        _ => Home::MariaDb(database),
    };
    drop(with_forty(&home, LONG).await);
    let store = SqlStore::open(&url).await.unwrap();
    for _ in 0..4 {
        store.end(&key(255), NOW).await.unwrap();
        store.load(&[key(255)]).await.unwrap();
    }
    Some((home, proxy, store))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_batch_whose_answer_is_lost_nobody_is_told_that_it_was_done_or_not() {
    for engine in [Engine::Postgres, Engine::MariaDb] {
        let Some((home, proxy, store)) = behind_a_proxy(engine).await else { continue };
        proxy.hold(Direction::ToClient);
        let saves: Vec<_> = (0..20)
            .map(|number| {
                let store = store.clone();
                tokio::spawn(async move { save(&store, key(number), 1, b"other").await })
            })
            .collect();
        proxy.wait_until_held(Direction::ToClient);
        proxy.refuse();
        proxy.cut();
        let mut told = Vec::new();
        for saved in saves {
            told.push(saved.await.unwrap().unwrap_err().outcome_is_unknown());
        }
        let reader = home.store().await;
        for (number, is_unknown) in (0..20).zip(told) {
            let there = bytes(&reader, key(number)).await.unwrap();
            // Where it is said that nothing was done, nothing was.
            assert!(is_unknown || there == b"bytes", "{} {number}", home.name());
        }
        // Once the way is open again, all goes on.
        proxy.release(Direction::ToClient);
        proxy.accept();
        make(&store, key(100), b"new").await.unwrap();
    }
}

#[tokio::test]
async fn a_batch_is_whole_though_callers_go_before_any_of_its_answers() {
    for engine in [Engine::Postgres, Engine::MariaDb] {
        let Some((home, proxy, store)) = behind_a_proxy(engine).await else { continue };
        let reader = home.store().await;
        let mut was_done_before_it_was_answered = false;
        for version in 1.. {
            // The answers of the server: to what is prepared, to each statement, to COMMIT.
            proxy.hold_after(Direction::ToClient, version - 1);
            let bytes_now = version.to_be_bytes();
            let saves = (0..20).map(|number| save(&store, key(number), version, &bytes_now));
            let mut saving = wait(saves).await;
            let is_held = until_held_or_answered(&proxy, &mut saving[19]).await;
            if is_held {
                let stored = bytes(&reader, key(19)).await.unwrap();
                was_done_before_it_was_answered |= stored == bytes_now;
                // Half of the callers go.
                saving.truncate(10);
                proxy.release(Direction::ToClient);
            } else {
                saving.truncate(19);
            }
            for saved in all(saving).await {
                assert_eq!(saved.unwrap(), Outcome::Committed(Version(version + 1)), "{engine:?}");
            }
            for number in 0..20 {
                let stored = bytes(&reader, key(number)).await;
                assert_eq!(stored.as_deref(), Some(&bytes_now[..]), "{engine:?} {number}");
            }
            if !is_held {
                break;
            }
        }
        assert!(was_done_before_it_was_answered, "{engine:?}: the last answer was held too");
    }
}

/// Whether the proxy holds an answer before this call has got its own.
async fn until_held_or_answered<T>(
    proxy: &Proxy,
    call: &mut Pin<Box<dyn Future<Output = T> + Send + '_>>,
) -> bool {
    loop {
        let answered = poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_ready())).await;
        if answered || proxy.holds(Direction::ToClient) {
            return !answered;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_batch_for_postgresql_is_one_statement_of_one_send() {
    let Some((_home, proxy, store)) = behind_a_proxy(Engine::Postgres).await else { return };
    let keys: Vec<StoreKey> = (0..32).map(key).collect();
    let mut before = 0;
    for round in 0..24 {
        if round == 4 {
            // By now, both lanes of a kind have prepared their statements.
            before = proxy.sends(Direction::ToServer);
        }
        let loads = keys.iter().map(|key| store.load(std::slice::from_ref(key)));
        all(wait(loads).await).await;
        let version = round + 1;
        let saves = (0..32).map(|number| save(&store, key(number), version, b"other"));
        for saved in all(wait(saves).await).await {
            assert_eq!(saved.unwrap(), Outcome::Committed(Version(version + 1)));
        }
    }
    let sends = proxy.sends(Direction::ToServer) - before;
    assert!((40..=44).contains(&sends), "{sends} for 20 reads and 20 writes of 32 each");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn batches_at_the_same_rows_never_wait_for_each_other_in_a_circle() {
    for engine in [Engine::Postgres, Engine::MariaDb] {
        let Some(server) = Server::start(engine) else { continue };
        let database = server.database();
        let first = SqlStore::open(&database.url()).await.unwrap();
        first.migrate().await.unwrap();
        let second = SqlStore::open(&database.url()).await.unwrap();
        for number in 0..40 {
            make(&first, key(number), b"bytes").await.unwrap();
        }
        let commits: Arc<[AtomicU64; 40]> = Arc::new(std::array::from_fn(|_| AtomicU64::new(0)));
        let mut tasks = Vec::new();
        for task in 0..40_u8 {
            // Each store batches by itself, as two processes do.
            let store = if task % 2 == 0 { first.clone() } else { second.clone() };
            let commits = commits.clone();
            tasks.push(tokio::spawn(async move {
                for step in 0..40_u8 {
                    // Each in an order of its own.
                    let number =
                        task.wrapping_mul(7).wrapping_add(step.wrapping_mul(2 * (task % 5) + 1))
                            % 40;
                    let Loaded::Live(seen) = at(&store, key(number)).await.unwrap() else {
                        panic!("nothing ends here");
                    };
                    let change = Change::new(b"other", Timestamp::MAX);
                    store.touch(&key(39 - number), Timestamp::MAX).await.unwrap();
                    let saved = store.commit(&key(number), seen.version, change).await.unwrap();
                    if saved != Outcome::Conflict {
                        commits[usize::from(number)].fetch_add(1, Ordering::Relaxed);
                    }
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        for number in 0..40 {
            let Loaded::Live(stored) = at(&first, key(number)).await.unwrap() else {
                panic!("nothing ends here");
            };
            let commits = commits[usize::from(number)].load(Ordering::Relaxed);
            assert_eq!(stored.version, Version(commits + 1), "{engine:?}");
        }
        assert_eq!(circles(&server, engine), "0", "{engine:?}");
        assert!(!server.log().contains("due to lock timeout"), "{}", server.log());
    }
}

/// Waits until this many connections of a server wait for a row. Nothing here runs for a minute.
pub(crate) async fn until_some_wait(home: &Home, many: usize) {
    let look = match home {
        Home::Postgres(_) => {
            "SELECT pid::text FROM pg_stat_activity \
             WHERE wait_event_type = 'Lock' AND datname = current_database()"
        }
        _ => {
            "SELECT CAST(seq AS CHAR) FROM seq_1_to_9 WHERE seq <= \
             (SELECT CAST(variable_value AS INTEGER) FROM information_schema.global_status \
             WHERE variable_name = 'INNODB_ROW_LOCK_CURRENT_WAITS')"
        }
    };
    let mut looking = home.connect().await;
    let waited =
        tokio::time::timeout(LONG, async { while looking.ask(look).await.len() < many {} });
    assert!(waited.await.is_ok(), "{many} wait for nothing");
}

#[tokio::test]
async fn batches_of_two_processes_take_their_rows_in_one_order() {
    for engine in [Engine::Postgres, Engine::MariaDb] {
        let Some(server) = Server::start(engine) else { continue };
        let home = match engine {
            Engine::Postgres => Home::Postgres(server.database()),
            _ => Home::MariaDb(server.database()),
        };
        drop(with_forty(&home, LONG).await);
        // On pools, whose statements wait until the server itself finds that they wait for each other.
        let [one, other] = [(); 2].map(|()| {
            let options = SqlStore::options().busy_timeout(LONG);
            options.over(home.pool(10)).unwrap()
        });
        // Somebody has a row in the middle, so that a batch stands there with half of its rows in its hands.
        let mut holding = home.connect().await;
        let middle = match engine {
            Engine::Postgres => "decode(repeat('14', 32), 'hex')",
            _ => "UNHEX(REPEAT('14', 32))",
        };
        let key_column = if engine == Engine::Postgres { "key" } else { "`key`" };
        holding
            .run(&format!(
                "BEGIN; SELECT version FROM sessions WHERE {key_column} = {middle} FOR UPDATE"
            ))
            .await;
        let forwards = wait((0..40).map(|number| save(&one, key(number), 1, b"one"))).await;
        until_some_wait(&home, 1).await;
        let backwards =
            wait((0..40).rev().map(|number| save(&other, key(number), 1, b"other"))).await;
        until_some_wait(&home, 2).await;
        holding.run("COMMIT").await;
        for saved in all(forwards).await {
            assert_eq!(saved.unwrap(), Outcome::Committed(Version(2)), "{engine:?}");
        }
        for saved in all(backwards).await {
            assert_eq!(saved.unwrap(), Outcome::Conflict, "{engine:?}");
        }
        assert_eq!(circles(&server, engine), "0", "{engine:?}");
    }
}

/// How often calls have waited for each other in a circle.
pub(crate) fn circles(server: &Server, engine: Engine) -> String {
    match engine {
        Engine::Postgres => server.log().matches("deadlock detected").count().to_string(),
        _ => server.ask(
            "SELECT variable_value FROM information_schema.global_status \
             WHERE variable_name = 'INNODB_DEADLOCKS'",
        ),
    }
}

/// A key that no case uses, of one of several strangers.
fn stranger(task: u64, number: u64) -> StoreKey {
    let mut bytes = [0xee; 32];
    bytes[..8].copy_from_slice(&task.to_be_bytes());
    bytes[8..16].copy_from_slice(&number.to_be_bytes());
    StoreKey::from_bytes(bytes)
}

/// Uses a store without a pause until it is told to stop, and holds every answer against what it must be.
pub(crate) async fn use_without_a_pause(store: SqlStore, task: u64, stop: Arc<AtomicBool>) {
    for number in 0.. {
        let key = stranger(task, number);
        let made = store.create(&key, NewRecord::new(b"0", NOW, LATER), NOW).await.unwrap();
        assert_eq!(made, Outcome::Committed(Version(1)));
        for version in 1..4 {
            let bytes = version.to_string();
            let change = Change::new(bytes.as_bytes(), LATER);
            let saved = store.commit(&key, Version(version), change).await.unwrap();
            assert_eq!(saved, Outcome::Committed(Version(version + 1)));
            store.touch(&key, Timestamp::MAX).await.unwrap();
            let loaded = store.load(&[stranger(task, u64::MAX), key]).await.unwrap();
            let [Loaded::Unknown, Loaded::Live(stored)] = &loaded[..] else { panic!("{loaded:?}") };
            assert_eq!((&*stored.bytes, stored.expires_at), (bytes.as_bytes(), Timestamp::MAX));
        }
        assert!(store.end(&key, LATER).await.unwrap());
        assert!(!store.end(&key, LATER).await.unwrap());
        if stop.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// What several do at once at a few keys can be put into one order, while others fill the batches.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_operations_have_one_order_in_batches_of_any_size() {
    let name = "parallel_operations_can_be_put_into_one_order_for_each_key";
    let case = cases().into_iter().find(|case| case.name() == name).unwrap();
    for largest in [1, 2, 128] {
        for home in homes() {
            let options = SqlStore::options().largest_batch(largest);
            let store = options.over(home.pool(10)).unwrap();
            store.migrate().await.unwrap();
            let stop = Arc::new(AtomicBool::new(false));
            let strangers: Vec<_> = (0..20)
                .map(|task| tokio::spawn(use_without_a_pause(store.clone(), task, stop.clone())))
                .collect();
            assert_eq!(case.run(store).await, Ok(()), "{} {largest}", home.name());
            stop.store(true, Ordering::Relaxed);
            for stranger in strangers {
                stranger.await.unwrap();
            }
        }
    }
}
