//! Calls of every kind at a few keys, by several tasks, and whether one order explains every answer.

use super::{
    history::{Done, History, Seen},
    meeting::{at_once, rounds},
    subject::{
        LATER, NOW, REMEMBERED, Random, Subject, assert_refused, at, change, is_committed, key,
        moving, presenting, record, sound,
    },
};
use crate::{Loaded, Outcome, StoreKey, Version};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

pub(super) async fn parallel_operations_can_be_put_into_one_order_for_each_key(store: Subject) {
    let unused = Arc::new(AtomicU64::new(1_000_000));
    for first in rounds(60) {
        let keys = [key(first), key(first + 1)];
        let histories = keys.map(|key| Arc::new(History::new(key)));
        // One of the two is there from the beginning.
        Caller::new(&store, &histories, &unused, first).create(0).await;
        let tasks = at_once(first, 4, |number| {
            let mut caller = Caller::new(&store, &histories, &unused, first + number);
            async move {
                for _ in 0..6 {
                    caller.call().await;
                    tokio::task::yield_now().await;
                }
            }
        });
        tasks.await;
        for history in histories {
            history.check();
        }
    }
}

/// A task that calls operations without a pattern and writes down what it was answered.
struct Caller {
    store: Subject,
    histories: [Arc<History>; 2],
    /// The next number of a key that nobody uses.
    unused: Arc<AtomicU64>,
    random: Random,
    /// The version that this task has last seen at each of the two keys.
    seen: [Version; 2],
}

impl Caller {
    fn new(
        store: &Subject,
        histories: &[Arc<History>; 2],
        unused: &Arc<AtomicU64>,
        seed: u64,
    ) -> Self {
        Self {
            store: store.clone(),
            histories: histories.clone(),
            unused: unused.clone(),
            random: Random::new(seed),
            seen: [Version(1); 2],
        }
    }

    async fn call(&mut self) {
        let which = usize::from(self.random.below(2) == 0);
        match self.random.below(14) {
            0..3 => self.load(which).await,
            3..5 => self.create(which).await,
            5..9 => self.commit(which).await,
            9..11 => self.touch(which).await,
            11 => self.end(which).await,
            12 => self.present(which).await,
            _ => self.move_away(which).await,
        }
    }

    fn unused_key(&self) -> StoreKey {
        key(self.unused.fetch_add(1, Ordering::Relaxed))
    }

    fn note_version(&mut self, which: usize, outcome: Outcome) {
        if let Outcome::Committed(version) = outcome {
            self.seen[which] = version;
        }
    }

    async fn load(&mut self, which: usize) {
        let history = self.histories[which].clone();
        let loaded =
            history.note(self.store.look(history.key()), |loaded| Done::Load(Seen::of(loaded)));
        if let Loaded::Live(stored) = loaded.await {
            self.seen[which] = stored.version;
        }
    }

    async fn create(&mut self, which: usize) {
        let history = self.histories[which].clone();
        let bytes = self.random.next().to_be_bytes().to_vec();
        let call = self.store.create(history.key_ref(), record(&bytes), NOW);
        let answer = history.note(call, |answer| {
            let version = match answer {
                Ok(Outcome::Committed(version)) => Some(*version),
                _ => None,
            };
            Done::Create { bytes: bytes.clone(), expires_at: LATER, version }
        });
        match answer.await {
            Ok(outcome @ Outcome::Committed(_)) => self.note_version(which, outcome),
            refused => assert_refused(refused),
        }
    }

    async fn present(&mut self, which: usize) {
        let history = self.histories[which].clone();
        let made = self.unused_key();
        let call = self.store.create(&made, presenting(history.key()), NOW);
        let answer = history.note(call, |answer| {
            let was_unknown = answer.as_ref().is_ok_and(is_committed);
            Done::Present { until: REMEMBERED, was_unknown }
        });
        let outcome = sound(answer.await);
        assert!(is_committed(&outcome) || outcome == Outcome::Gone, "{outcome:?}");
    }

    async fn commit(&mut self, which: usize) {
        let history = self.histories[which].clone();
        let (expected, bytes) = (self.seen[which], self.random.next().to_be_bytes().to_vec());
        let call = self.store.try_commit(history.key(), expected, change(&bytes));
        let outcome = history.note(call, |outcome| {
            let (bytes, outcome) = (bytes.clone(), *outcome);
            Done::Commit { expected, bytes, expires_at: LATER, outcome }
        });
        let outcome = outcome.await;
        self.note_version(which, outcome);
    }

    async fn move_away(&mut self, which: usize) {
        let history = self.histories[which].clone();
        let (expected, to) = (self.seen[which], self.unused_key());
        let call = self.store.try_commit(history.key(), expected, moving(to));
        let outcome = history.note(call, |outcome| Done::Move {
            expected,
            until: REMEMBERED,
            outcome: *outcome,
        });
        outcome.await;
    }

    async fn touch(&mut self, which: usize) {
        let history = self.histories[which].clone();
        let expires_at = at(60_000 + self.random.below(1_000));
        let call = self.store.touch(history.key_ref(), expires_at);
        sound(history.note(call, |_| Done::Touch { expires_at }).await);
    }

    async fn end(&mut self, which: usize) {
        let history = self.histories[which].clone();
        let until = at(1_000 + self.random.below(1_000));
        let call = self.store.end(history.key_ref(), until);
        let answer = history.note(call, |answer| Done::End {
            until,
            was_there: answer.as_ref().is_ok_and(|was_there| *was_there),
        });
        sound(answer.await);
    }
}
