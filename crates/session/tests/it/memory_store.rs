//! The memory store beyond its contract: sweeps, limits, bounds, and threads that meet at one key.

use dframework_session::{
    MemoryStore,
    store::{
        Change, Entry, Loaded, NewRecord, Outcome, Page, Store, StoreError, StoreKey, Stored,
        Timestamp, Tombstone, Version,
    },
};
use std::{
    future::Future,
    pin::pin,
    sync::Barrier,
    task::{Context, Poll, Waker},
    thread,
};

/// What an entry takes besides its bytes.
const FIXED: usize = 80;

/// Runs a call of the memory store. It never waits, so one poll is enough.
fn done<T>(call: impl Future<Output = T>) -> T {
    match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("the memory store waited"),
    }
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// The keys of these tests: in the order of their numbers.
fn key(number: u64) -> StoreKey {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    StoreKey::from_bytes(bytes)
}

fn record(bytes: &[u8], expires_at: u64) -> NewRecord<'_> {
    NewRecord::new(bytes, at(1), at(expires_at))
}

fn owned(owner: &str, expires_at: u64) -> NewRecord<'_> {
    let mut new = record(b"bytes", expires_at);
    new.owner = Some(owner);
    new
}

fn moving(bytes: &[u8], to: u64) -> Change<'_> {
    let mut change = Change::new(bytes, at(1_000));
    change.move_to = Some(key(to));
    change.remember_until = at(500);
    change
}

fn presenting(presented: u64) -> NewRecord<'static> {
    let mut new = record(b"new", 1_000);
    new.presented = Some(Tombstone { key: key(presented), remember_until: at(500) });
    new
}

fn create(store: &MemoryStore, number: u64, new: NewRecord<'_>) -> Result<Outcome, StoreError> {
    done(store.create(&key(number), new, at(10)))
}

/// Makes records that expire at 1000 plus their number.
fn fill(store: &MemoryStore, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let made = create(store, number, record(b"bytes", 1_000 + number)).unwrap();
        assert_eq!(made, Outcome::Committed(Version(1)));
    }
}

fn load(store: &MemoryStore, number: u64) -> Loaded {
    done(store.load(&[key(number)])).unwrap().remove(0)
}

fn live(store: &MemoryStore, number: u64) -> Stored {
    match load(store, number) {
        Loaded::Live(stored) => stored,
        other => panic!("no record: {other:?}"),
    }
}

fn ended(until: u64) -> Loaded {
    Loaded::Ended { until: at(until) }
}

fn commit(store: &MemoryStore, number: u64, expected: u64, change: Change<'_>) -> Outcome {
    done(store.commit(&key(number), Version(expected), change)).unwrap()
}

fn count(store: &MemoryStore) -> u64 {
    done(store.count(at(10))).unwrap()
}

fn alive(store: &MemoryStore, numbers: std::ops::Range<u64>) -> Vec<u64> {
    numbers.filter(|&number| matches!(load(store, number), Loaded::Live(_))).collect()
}

const ALL: Page = Page { after: None, limit: 1_000 };

fn keys_of(entries: &[Entry]) -> Vec<StoreKey> {
    entries.iter().map(|entry| entry.key).collect()
}

fn owned_by(store: &MemoryStore, owner: &str, page: Page) -> Vec<StoreKey> {
    keys_of(&done(store.owned_by(owner, at(10), page)).unwrap())
}

// What it does beyond the contract, which `contract.rs` holds it to.

#[test]
fn an_expired_record_stands_until_it_is_deleted() {
    let store = MemoryStore::new();
    create(&store, 1, record(b"one", 20)).unwrap();
    // From here on the store knows that it is later.
    done(store.delete_expired(at(50), 0)).unwrap();
    assert_eq!(live(&store, 1).bytes, b"one");
    let change = Change::new(b"two", at(30));
    assert_eq!(commit(&store, 1, 1, change), Outcome::Committed(Version(2)));
    assert_eq!(live(&store, 1).bytes, b"two");
    assert!(done(store.end(&key(1), at(500))).unwrap());
}

#[test]
fn what_has_expired_is_deleted_up_to_the_limit() {
    let store = MemoryStore::new();
    fill(&store, 0..300);
    for number in 0..100 {
        done(store.end(&key(number), at(1_000 + number))).unwrap();
    }
    assert_eq!(done(store.delete_expired(at(999), 1_000)).unwrap(), 0);
    assert_eq!(done(store.delete_expired(at(1_199), 0)).unwrap(), 0);
    assert_eq!(done(store.delete_expired(at(1_199), 50)).unwrap(), 50);
    assert_eq!(done(store.delete_expired(at(1_199), 1_000)).unwrap(), 150);
    assert_eq!(done(store.delete_expired(at(1_199), 1_000)).unwrap(), 0);
    assert_eq!(alive(&store, 0..300), (200..300).collect::<Vec<_>>());
    assert_eq!(load(&store, 0), Loaded::Unknown);
}

#[test]
fn a_touched_record_outlives_the_sweep_of_its_first_deadline() {
    let store = MemoryStore::new();
    fill(&store, 0..100);
    done(store.touch(&key(7), at(5_000))).unwrap();
    assert_eq!(done(store.delete_expired(at(2_000), 1_000)).unwrap(), 99);
    assert_eq!(alive(&store, 0..100), [7]);
    assert_eq!(done(store.delete_expired(at(5_000), 1_000)).unwrap(), 1);
}

#[test]
fn a_record_whose_deadline_came_nearer_is_deleted_at_the_new_one() {
    let store = MemoryStore::new();
    fill(&store, 0..100);
    // Sweeps have passed every record by now.
    assert_eq!(done(store.delete_expired(at(1_000), 1_000)).unwrap(), 1);
    commit(&store, 7, 1, Change::new(b"bytes", at(500)));
    assert_eq!(done(store.delete_expired(at(500), 1_000)).unwrap(), 1);
    assert_eq!(load(&store, 7), Loaded::Unknown);
}

#[test]
fn writing_alone_clears_away_what_has_expired() {
    let store = MemoryStore::new();
    fill(&store, 0..1_000);
    for number in 1_000..3_000 {
        done(store.create(&key(number), record(b"bytes", 9_000), at(3_000))).unwrap();
    }
    assert_eq!(store.bytes(), 2_000 * (FIXED + 5));
}

#[test]
fn a_commit_changes_whose_session_it_is() {
    let store = MemoryStore::new();
    create(&store, 1, record(b"bytes", 1_000)).unwrap();
    let owners = [Some("a"), Some("a"), Some("b"), Some(""), None, Some("a")];
    for (version, owner) in (1..).zip(owners) {
        let mut change = Change::new(b"bytes", at(1_000));
        change.owner = owner;
        commit(&store, 1, version, change);
        for asked in ["a", "b", ""] {
            let expected = if owner == Some(asked) { vec![key(1)] } else { vec![] };
            assert_eq!(owned_by(&store, asked, ALL), expected, "{owner:?} asked for {asked:?}");
        }
    }
}

#[test]
fn an_owner_or_label_too_long_for_a_header_is_refused() {
    let store = MemoryStore::new();
    let long = "x".repeat(65_536);
    let mut labelled = record(b"bytes", 1_000);
    labelled.meta = long.as_bytes();
    for new in [owned(&long, 1_000), labelled] {
        assert!(create(&store, 1, new).is_err());
        assert_eq!(load(&store, 1), Loaded::Unknown);
    }
    let longest = &long[1..];
    create(&store, 1, owned(longest, 1_000)).unwrap();
    assert_eq!(owned_by(&store, longest, ALL), [key(1)]);
}

#[test]
fn debug_shows_nothing_that_is_stored() {
    let store = MemoryStore::new();
    create(&store, 1, owned("somebody", 1_000)).unwrap();
    assert_eq!(format!("{store:?}"), "MemoryStore { bytes: 93, .. }");
}

// The bounds.

#[test]
fn at_the_bound_what_has_expired_goes_first() {
    let store = MemoryStore::with_limits(2_000, usize::MAX);
    fill(&store, 0..1_999);
    create(&store, 5_000, owned("42", 20)).unwrap();
    // Every live one would expire before the new one; still none of them goes.
    done(store.create(&key(6_000), record(b"new", 9_000), at(20))).unwrap();
    assert_eq!(load(&store, 5_000), Loaded::Unknown);
    assert_eq!(alive(&store, 0..1_999).len(), 1_999);
}

#[test]
fn at_the_bound_the_session_that_would_expire_first_goes() {
    let store = MemoryStore::with_limits(10, usize::MAX);
    fill(&store, 0..15);
    assert_eq!(alive(&store, 0..15), (5..15).collect::<Vec<_>>());
    // Given up, not ended: nothing is remembered of it.
    assert_eq!(load(&store, 0), Loaded::Unknown);
    assert_eq!(store.bytes(), 10 * (FIXED + 5));
}

#[test]
fn in_a_large_table_old_sessions_go_rather_than_new_ones() {
    let store = MemoryStore::with_limits(5_000, usize::MAX);
    fill(&store, 0..10_000);
    assert_eq!(count(&store), 5_000);
    // The earliest of 16 lies in the earlier half in all but one of 65536 cases.
    assert!(alive(&store, 9_000..10_000).len() > 950);
}

#[test]
fn sessions_with_an_owner_are_never_given_up() {
    let store = MemoryStore::with_limits(200, usize::MAX);
    for number in 0..199 {
        create(&store, number, owned("42", 500)).unwrap();
    }
    create(&store, 199, record(b"nobody's", 900)).unwrap();
    create(&store, 200, owned("42", 500)).unwrap();
    assert_eq!(load(&store, 199), Loaded::Unknown);

    let before = store.bytes();
    let full = create(&store, 201, presenting(300)).unwrap_err();
    assert!(full.is_full());
    assert!(create(&store, 201, owned("42", 500)).unwrap_err().is_full());
    assert_eq!(load(&store, 201), Loaded::Unknown);
    assert_eq!(load(&store, 300), Loaded::Unknown);
    assert_eq!(owned_by(&store, "42", ALL).len(), 200);
    assert_eq!(store.bytes(), before);

    done(store.end(&key(0), at(500))).unwrap();
    create(&store, 201, owned("42", 500)).unwrap();
}

#[test]
fn tombstones_take_bytes_and_are_kept_until_their_time() {
    let store = MemoryStore::with_limits(usize::MAX, 10 * FIXED);
    for number in 0..10 {
        create(&store, number, record(b"", 1_000)).unwrap();
        done(store.end(&key(number), at(500))).unwrap();
    }
    assert!(create(&store, 10, record(b"", 1_000)).unwrap_err().is_full());
    assert!((0..10).all(|number| load(&store, number) == ended(500)));

    let late = done(store.create(&key(10), record(b"", 1_000), at(500)));
    assert_eq!(late.unwrap(), Outcome::Committed(Version(1)));
}

#[test]
fn bytes_are_made_free_by_as_many_sessions_as_needed() {
    let store = MemoryStore::with_limits(usize::MAX, 10 * (FIXED + 5));
    fill(&store, 0..10);
    create(&store, 10, record(&[0; 5 + 2 * (FIXED + 5)], 9_000)).unwrap();
    assert_eq!(alive(&store, 0..11), (3..11).collect::<Vec<_>>());
    assert_eq!(store.bytes(), 10 * (FIXED + 5));
}

#[test]
fn a_growing_record_makes_others_go_and_never_itself() {
    let store = MemoryStore::with_limits(usize::MAX, 10 * (FIXED + 5));
    fill(&store, 0..10);
    // It would be the first to go, were it not the one that grows.
    let change = Change::new(&[1; 6], at(20));
    assert_eq!(commit(&store, 0, 1, change), Outcome::Committed(Version(2)));
    assert_eq!(alive(&store, 0..10), [0, 2, 3, 4, 5, 6, 7, 8, 9]);

    let everything = vec![2; 10 * (FIXED + 5) - FIXED];
    let change = Change::new(&everything, at(20));
    assert_eq!(commit(&store, 0, 2, change), Outcome::Committed(Version(3)));
    assert_eq!(alive(&store, 0..10), [0]);
    assert_eq!(live(&store, 0).bytes, everything);

    let too_much = vec![3; everything.len() + 1];
    let change = Change::new(&too_much, at(20));
    assert!(done(store.commit(&key(0), Version(3), change)).unwrap_err().is_full());
    assert_eq!(live(&store, 0).version, Version(3));
}

#[test]
fn a_move_makes_room_for_its_tombstone() {
    let store = MemoryStore::with_limits(usize::MAX, 10 * (FIXED + 5));
    fill(&store, 0..10);
    assert!(matches!(commit(&store, 0, 1, moving(b"bytes", 20)), Outcome::Committed(_)));
    assert_eq!(alive(&store, 0..10), (2..10).collect::<Vec<_>>());
    assert_eq!(load(&store, 0), ended(500));
    assert_eq!(live(&store, 20).bytes, b"bytes");
}

#[test]
fn a_record_larger_than_the_store_is_refused_and_nothing_goes() {
    let store = MemoryStore::with_limits(usize::MAX, 10 * (FIXED + 5));
    fill(&store, 0..10);
    let large = vec![0; 10 * (FIXED + 5)];
    assert!(create(&store, 10, record(&large, 9_000)).unwrap_err().is_full());
    let change = Change::new(&large, at(9_000));
    assert!(done(store.commit(&key(0), Version(1), change)).unwrap_err().is_full());
    assert_eq!(alive(&store, 0..11), (0..10).collect::<Vec<_>>());
}

#[test]
fn a_store_without_room_for_any_session_is_full() {
    for store in [MemoryStore::with_limits(0, usize::MAX), MemoryStore::with_limits(9, 0)] {
        assert!(create(&store, 1, record(b"", 1_000)).unwrap_err().is_full());
        assert_eq!(store.bytes(), 0);
    }
}

/// Steps chosen by a fixed rule, among few keys so that they meet.
fn any_steps(store: &MemoryStore, seed: u64, steps: usize) {
    let mut state = seed;
    let mut draw = |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for _ in 0..steps {
        let (one, other, now) = (draw(300), draw(300), 10 + draw(1_000));
        let bytes = vec![0; usize::try_from(draw(200)).unwrap()];
        let owner = ["a", "b", "c"].get(usize::try_from(draw(4)).unwrap()).copied();
        let mut new = record(&bytes, now + draw(500));
        let mut change = Change::new(&bytes, at(now + draw(500)));
        (new.owner, change.owner) = (owner, owner);
        change.remember_until = at(now + draw(60));
        if draw(2) == 0 {
            new.presented = Some(Tombstone { key: key(other), remember_until: at(now + 60) });
            change.move_to = Some(key(other));
        }
        // Many of these steps are refused on purpose.
        match draw(8) {
            0..=2 => drop(done(store.create(&key(one), new, at(now)))),
            3..=5 => drop(done(store.commit(&key(one), Version(1 + draw(3)), change))),
            6 => drop(done(store.end(&key(one), change.remember_until))),
            _ if draw(20) == 0 => drop(done(store.end_owned_by("a", None, at(now + 60)))),
            _ => drop(done(store.delete_expired(at(now), 5))),
        }
    }
}

/// What the store counts is what can be read from it.
fn assert_counts_are_exact(store: &MemoryStore) {
    let records = done(store.scan(None, usize::MAX)).unwrap();
    let tombstones = (0..300).filter(|&n| matches!(load(store, n), Loaded::Ended { .. })).count();
    let owners: usize = ["a", "b", "c"]
        .map(|owner| done(store.owned_by(owner, at(0), ALL)).unwrap().len())
        .iter()
        .sum();
    let bytes: usize = records.iter().map(|(_, stored)| FIXED + stored.bytes.len()).sum();
    // Each owner's name is one byte long.
    assert_eq!(store.bytes(), bytes + owners + tombstones * FIXED);
}

fn assert_empty_when_everything_has_ended(store: &MemoryStore) {
    for number in 0..300 {
        done(store.end(&key(number), at(9_000))).unwrap();
    }
    done(store.delete_expired(at(9_000), usize::MAX)).unwrap();
    assert_eq!((done(store.count(at(0))).unwrap(), store.bytes()), (0, 0));
    assert!((0..300).all(|number| load(store, number) == Loaded::Unknown));
    assert!(["a", "b", "c"].iter().all(|owner| owned_by(store, owner, ALL).is_empty()));
}

#[test]
fn no_expired_entry_escapes_a_sweep_after_any_mix_of_steps() {
    for seed in 0..20 {
        let store = MemoryStore::with_limits(250, usize::MAX);
        for round in 0..50 {
            any_steps(&store, seed * 50 + round, 100);
            let now = at(600);
            done(store.delete_expired(now, usize::MAX)).unwrap();
            let stand = (0..300).filter(|&number| match load(&store, number) {
                Loaded::Live(stored) => stored.expires_at <= now,
                Loaded::Ended { until } => until <= now,
                _ => false,
            });
            assert_eq!(stand.collect::<Vec<_>>(), Vec::<u64>::new());
        }
    }
}

#[test]
fn counters_are_exact_after_any_mix_of_steps() {
    for seed in 0..20 {
        let store = MemoryStore::with_limits(100, 12_000);
        for round in 0..20 {
            any_steps(&store, seed * 20 + round, 200);
            assert!(done(store.scan(None, usize::MAX)).unwrap().len() <= 100);
            assert!(store.bytes() <= 12_000);
            assert_counts_are_exact(&store);
        }
        assert_empty_when_everything_has_ended(&store);
        // A counter of records that was left too high would refuse one of these.
        for number in 0..100 {
            create(&store, number, owned("a", 9_999)).unwrap();
        }
        assert!(create(&store, 100, owned("a", 9_999)).unwrap_err().is_full());
    }
}

// Threads.

fn on_threads(threads: u64, work: impl Fn(u64) + Sync) {
    let start = Barrier::new(usize::try_from(threads).unwrap());
    thread::scope(|scope| {
        for number in 0..threads {
            let (start, work) = (&start, &work);
            scope.spawn(move || {
                start.wait();
                work(number);
            });
        }
    });
}

#[test]
fn counters_are_exact_after_any_mix_of_steps_on_four_threads() {
    let store = MemoryStore::with_limits(100, 12_000);
    for round in 0..5 {
        on_threads(4, |thread| any_steps(&store, round * 4 + thread, 2_000));
        assert!(store.bytes() <= 12_000);
        assert_counts_are_exact(&store);
    }
    assert_empty_when_everything_has_ended(&store);
}

#[test]
fn no_increment_is_lost_between_four_threads() {
    let store = MemoryStore::new();
    create(&store, 1, record(&0_u64.to_le_bytes(), 1_000)).unwrap();
    let increment = || {
        let stored = live(&store, 1);
        let value = u64::from_le_bytes(stored.bytes.try_into().unwrap()) + 1;
        let change = value.to_le_bytes();
        commit(&store, 1, stored.version.0, Change::new(&change, at(1_000))) != Outcome::Conflict
    };
    on_threads(4, |_| {
        for _ in 0..500 {
            while !increment() {}
        }
    });
    let stored = live(&store, 1);
    assert_eq!(stored.bytes, 2_000_u64.to_le_bytes());
    assert_eq!(stored.version, Version(2_001));
}

#[test]
fn a_commit_that_races_with_the_end_leaves_nothing_alive() {
    let store = MemoryStore::new();
    for number in 0..500 {
        create(&store, number, owned("42", 1_000)).unwrap();
        on_threads(2, |thread| {
            if thread == 0 {
                assert!(done(store.end(&key(number), at(500))).unwrap());
                return;
            }
            let mut version = 1;
            let change = Change::new(b"bytes", at(1_000));
            while let Outcome::Committed(next) = commit(&store, number, version, change) {
                version = next.0;
            }
        });
        assert_eq!(load(&store, number), ended(500));
    }
    assert_eq!(owned_by(&store, "42", ALL), []);
    assert_eq!(count(&store), 0);
}

#[test]
fn of_moves_that_race_exactly_one_is_done() {
    let store = MemoryStore::new();
    for round in 0..300 {
        let from = round * 10;
        create(&store, from, record(b"bytes", 1_000)).unwrap();
        let outcomes = std::sync::Mutex::new(Vec::new());
        on_threads(4, |thread| {
            let outcome = commit(&store, from, 1, moving(b"moved", from + 1 + thread));
            outcomes.lock().unwrap().push(outcome);
        });
        let committed = |outcome: &&Outcome| matches!(outcome, Outcome::Committed(_));
        assert_eq!(outcomes.lock().unwrap().iter().filter(committed).count(), 1);
        assert_eq!(alive(&store, from..from + 10).len(), 1);
    }
}

#[test]
fn of_new_records_for_one_presented_key_exactly_one_is_made() {
    let store = MemoryStore::new();
    for round in 0..300 {
        let presented = round * 10;
        on_threads(4, |thread| {
            create(&store, presented + 1 + thread, presenting(presented)).unwrap();
        });
        assert_eq!(alive(&store, presented..presented + 10).len(), 1);
        assert_eq!(load(&store, presented), ended(500));
    }
}

#[test]
fn no_session_slips_away_while_its_owners_sessions_end() {
    let store = MemoryStore::new();
    for round in 0..100 {
        let first = round * 1_000;
        for number in first..first + 8 {
            create(&store, number, owned("42", 1_000)).unwrap();
        }
        on_threads(2, |thread| {
            if thread == 0 {
                done(store.end_owned_by("42", None, at(500))).unwrap();
                return;
            }
            let mut version = 1;
            for hop in 0..100 {
                let mut change = moving(b"moved", first + 100 + hop);
                change.owner = Some("42");
                let from = if hop == 0 { first } else { first + 99 + hop };
                match commit(&store, from, version, change) {
                    Outcome::Committed(next) => version = next.0,
                    _ => return,
                }
            }
        });
        assert_eq!(alive(&store, first..first + 300), Vec::<u64>::new());
    }
}

#[test]
fn threads_at_the_bound_stay_within_it() {
    let store = MemoryStore::with_limits(50, 50 * (FIXED + 5));
    on_threads(4, |thread| fill(&store, thread * 1_000..(thread + 1) * 1_000));
    assert_eq!(count(&store), 50);
    assert_eq!(store.bytes(), 50 * (FIXED + 5));
}
