//! What holds when calls meet: from several tasks, at the same keys, begun at the same moment.
//!
//! Each round uses keys of its own, and there are many, since nothing says that calls do meet in one.

use super::subject::{
    ALL, LATER, NOW, REMEMBERED, Random, Subject, assert_refused, at, change, ended, expiring,
    is_committed, key, moving, owned, presenting, record, sound,
};
use crate::{Loaded, Outcome};
use std::{future::Future, panic::resume_unwind, sync::Arc};
use tokio::sync::Barrier;

/// The first number of the keys of each round.
pub(super) fn rounds(count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(|round| 1_000 * round)
}

/// Runs tasks that begin at about the same moment, and returns what they return.
///
/// Each steps back a few times before it begins, other times in another round, so that they meet in many ways
/// even where one thread runs them all.
pub(super) async fn at_once<F>(round: u64, count: u64, task: impl Fn(u64) -> F) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let start = Arc::new(Barrier::new(usize::try_from(count).unwrap_or(usize::MAX)));
    let tasks: Vec<_> = (0..count)
        .map(|number| {
            let (start, task) = (start.clone(), task(number));
            tokio::spawn(async move {
                start.wait().await;
                for _ in 0..Random::new(round + number).below(4) {
                    tokio::task::yield_now().await;
                }
                task.await
            })
        })
        .collect();
    let mut returned = Vec::new();
    for task in tasks {
        returned.push(task.await.unwrap_or_else(|failed| resume_unwind(failed.into_panic())));
    }
    returned
}

fn committed(outcomes: &[Outcome]) -> usize {
    outcomes.iter().filter(|outcome| is_committed(outcome)).count()
}

pub(super) async fn of_parallel_commits_of_one_version_one_is_committed(store: Subject) {
    for first in rounds(40) {
        let version = store.make(key(first), record(b"bytes")).await;
        let outcomes = at_once(first, 8, |number| {
            let store = store.clone();
            let bytes = number.to_be_bytes();
            async move { store.try_commit(key(first), version, change(&bytes)).await }
        });
        let outcomes = outcomes.await;
        assert_eq!(committed(&outcomes), 1, "{outcomes:?}");
        assert!(!outcomes.contains(&Outcome::Gone), "it lives all the while: {outcomes:?}");
        let winner = (0_u64..).zip(&outcomes).find(|(_, outcome)| is_committed(outcome));
        let stored = store.live(key(first)).await;
        let (number, outcome) = winner.expect("one of them is committed");
        assert_eq!(
            (&stored.bytes[..], outcome),
            (&number.to_be_bytes()[..], &Outcome::Committed(stored.version))
        );
    }
}

pub(super) async fn of_parallel_creates_of_one_key_one_is_made(store: Subject) {
    for first in rounds(40) {
        let answers = at_once(first, 8, |number| {
            let store = store.clone();
            let bytes = number.to_be_bytes();
            async move { store.create(&key(first), record(&bytes), NOW).await }
        });
        let stored = |number: u64| number.to_be_bytes().to_vec();
        let mut made = Vec::new();
        for (number, answer) in (0..).zip(answers.await) {
            match answer {
                Ok(Outcome::Committed(_)) => made.push(stored(number)),
                refused => assert_refused(refused),
            }
        }
        assert_eq!(made, [store.live(key(first)).await.bytes]);
    }
}

pub(super) async fn of_parallel_creates_over_one_presented_key_one_is_made(store: Subject) {
    for first in rounds(40) {
        let outcomes = at_once(first, 8, |number| {
            let store = store.clone();
            let new = presenting(key(first));
            async move { sound(store.create(&key(first + 1 + number), new, NOW).await) }
        });
        let outcomes = outcomes.await;
        assert_eq!(committed(&outcomes), 1, "{outcomes:?}");
        let gone = outcomes.iter().filter(|outcome| **outcome == Outcome::Gone).count();
        assert_eq!(gone, 7, "the others come too late: {outcomes:?}");
        let keys: Vec<_> = (first + 1..first + 9).map(key).collect();
        assert_eq!(store.alive(&keys).await, 1);
        assert_eq!(store.look(key(first)).await, ended(REMEMBERED));
    }
}

pub(super) async fn of_parallel_moves_of_one_record_one_is_done(store: Subject) {
    for first in rounds(40) {
        let version = store.make(key(first), record(b"bytes")).await;
        let outcomes = at_once(first, 8, |number| {
            let store = store.clone();
            let change = moving(key(first + 1 + number));
            async move { store.try_commit(key(first), version, change).await }
        });
        let outcomes = outcomes.await;
        assert_eq!(committed(&outcomes), 1, "{outcomes:?}");
        let keys: Vec<_> = (first + 1..first + 9).map(key).collect();
        assert_eq!(store.alive(&keys).await, 1);
        assert_eq!(store.look(key(first)).await, ended(REMEMBERED));
    }
}

pub(super) async fn parallel_commits_lose_no_increment(store: Subject) {
    const TASKS: u64 = 8;
    const EACH: u64 = 10;
    store.make(key(1), record(&0_u64.to_be_bytes())).await;
    let increment = async |store: &Subject| {
        // A round is lost only to a commit of another task, so this many are enough.
        for _ in 0..TASKS * EACH {
            let stored = store.live(key(1)).await;
            let count = u64::from_be_bytes(stored.bytes.try_into().expect("a number comes back"));
            let bytes = (count + 1).to_be_bytes();
            if is_committed(&store.try_commit(key(1), stored.version, change(&bytes)).await) {
                return;
            }
        }
        panic!("commits are refused that nobody contests");
    };
    let tasks = at_once(0, TASKS, |_| {
        let store = store.clone();
        async move {
            for _ in 0..EACH {
                increment(&store).await;
            }
        }
    });
    tasks.await;
    assert_eq!(store.live(key(1)).await.bytes, (TASKS * EACH).to_be_bytes());
}

pub(super) async fn touches_beside_commits_lose_nothing(store: Subject) {
    for first in rounds(10) {
        store.make(key(first), record(&0_u64.to_be_bytes())).await;
        let tasks = at_once(first, 4, |number| {
            let store = store.clone();
            async move {
                for step in 1..=20 {
                    if number > 0 {
                        sound(store.touch(&key(first), at(60_000 + 4 * step + number)).await);
                        continue;
                    }
                    let stored = store.live(key(first)).await;
                    assert_eq!(stored.bytes, (step - 1).to_be_bytes(), "a commit was lost");
                    let bytes = step.to_be_bytes();
                    // A touch is no reason for a conflict.
                    store.committed(key(first), stored.version, change(&bytes)).await;
                }
            }
        });
        tasks.await;
        assert_eq!(store.live(key(first)).await.bytes, 20_u64.to_be_bytes());

        let touches = at_once(first, 8, |number| {
            let store = store.clone();
            async move { sound(store.touch(&key(first), at(90_000 + number)).await) }
        });
        touches.await;
        assert_eq!(store.live(key(first)).await.expires_at, at(90_007), "the latest counts");
    }
}

pub(super) async fn an_end_beside_commits_leaves_nothing_alive(store: Subject) {
    for first in rounds(40) {
        store.make(key(first), owned("42")).await;
        let tasks = at_once(first, 4, |number| {
            let store = store.clone();
            async move {
                if number == 0 {
                    assert!(sound(store.end(&key(first), REMEMBERED).await), "it was there");
                    return;
                }
                for _ in 0..20 {
                    let Loaded::Live(stored) = store.look(key(first)).await else { return };
                    let mut change = change(b"other");
                    change.owner = Some("42");
                    store.try_commit(key(first), stored.version, change).await;
                }
            }
        });
        tasks.await;
        assert_eq!(store.look(key(first)).await, ended(REMEMBERED));
    }
    assert_eq!((store.owned("42", ALL).await, sound(store.count(NOW).await)), (vec![], 0));
}

pub(super) async fn an_end_beside_a_move_ends_the_record_or_comes_too_late(store: Subject) {
    for first in rounds(60) {
        let (from, to) = (key(first), key(first + 1));
        let version = store.make(from, record(b"bytes")).await;
        let done = at_once(first, 2, |number| {
            let store = store.clone();
            async move {
                match number {
                    0 => sound(store.end(&from, REMEMBERED).await),
                    _ => is_committed(&store.try_commit(from, version, moving(to)).await),
                }
            }
        });
        let done = done.await;
        assert_eq!(store.look(from).await, ended(REMEMBERED));
        let is_there = store.is_live(to).await;
        assert_eq!(done, [!is_there, is_there], "one of the two was done: end, move");
    }
}

pub(super) async fn end_owned_by_beside_moves_lets_none_slip_away(store: Subject) {
    for first in rounds(20) {
        for number in first..first + 5 {
            store.make(key(number), owned("42")).await;
        }
        let tasks = at_once(first, 3, |number| {
            let store = store.clone();
            async move {
                if number == 0 {
                    sound(store.end_owned_by("42", None, REMEMBERED).await);
                    return;
                }
                let mut place = key(first + number);
                for hop in 0..20 {
                    let Loaded::Live(stored) = store.look(place).await else { return };
                    let to = key(first + 100 * number + hop);
                    let mut change = moving(to);
                    change.owner = Some("42");
                    store.try_commit(place, stored.version, change).await;
                    place = to;
                }
            }
        });
        tasks.await;
        let keys: Vec<_> = (first..first + 300).map(key).collect();
        assert_eq!(store.alive(&keys).await, 0, "a record slipped away");
        assert_eq!(store.owned("42", ALL).await, []);
    }
}

pub(super) async fn delete_expired_beside_touches_and_commits_removes_nothing_that_lives(
    store: Subject,
) {
    for first in rounds(40) {
        let (touched, changed) = (key(first), key(first + 1));
        store.make(touched, expiring(at(10))).await;
        let version = store.make(changed, expiring(at(10))).await;
        let done = at_once(first, 3, |number| {
            let store = store.clone();
            async move {
                match number {
                    0 => sound(store.delete_expired(at(10), 100).await),
                    1 => {
                        sound(store.touch(&touched, LATER).await);
                        0
                    }
                    _ => {
                        let outcome = store.try_commit(changed, version, change(b"other")).await;
                        usize::from(is_committed(&outcome))
                    }
                }
            }
        });
        let done = done.await;
        let (deleted, was_changed) = (done[0], done[2]);
        assert_eq!(store.alive(&[changed]).await, was_changed, "what was committed lives");
        assert_eq!(store.alive(&[touched, changed]).await, 2 - deleted, "the others were deleted");
    }
}

pub(super) async fn delete_expired_beside_itself_leaves_nothing_that_has_expired(store: Subject) {
    const RECORDS: usize = 30;
    for first in rounds(20) {
        for number in 0..RECORDS as u64 {
            store.make(key(first + number), expiring(at(10))).await;
        }
        let sweeps = at_once(first, 3, |_| {
            let store = store.clone();
            async move {
                let mut all = 0;
                loop {
                    match sound(store.delete_expired(at(10), 4).await) {
                        0 => return all,
                        deleted => all += deleted,
                    }
                    assert!(all <= RECORDS, "more were deleted than there were");
                }
            }
        });
        let deleted: usize = sweeps.await.into_iter().sum();
        assert_eq!(deleted, RECORDS, "when all of them say that nothing is left, nothing is");
    }
}
