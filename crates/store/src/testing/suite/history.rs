//! What was called at one key and answered, and whether some order of the calls explains every answer.
//!
//! The order must keep what really came before what: a call that had returned before another began comes first.
//! The search goes through the orders call by call and remembers where it has been, after Wing and Gong,
//! "Testing and verifying concurrent objects" (1993), with the memory that Lowe added (2017).

use crate::{Loaded, Outcome, StoreKey, Timestamp, Version};
use std::{
    collections::HashSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// What is at a key: the model is a register that can be deleted, once and for all.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Seen {
    Unknown,
    Live { bytes: Vec<u8>, version: Version, expires_at: Timestamp },
    Ended { until: Timestamp },
}

impl Seen {
    pub(super) fn of(loaded: &Loaded) -> Self {
        match loaded {
            Loaded::Live(stored) => Self::Live {
                bytes: stored.bytes.clone(),
                version: stored.version,
                expires_at: stored.expires_at,
            },
            Loaded::Ended { until } => Self::Ended { until: *until },
            Loaded::Unknown => Self::Unknown,
        }
    }
}

/// A call with its answer.
#[derive(Clone, Debug)]
pub(super) enum Done {
    Load(Seen),
    /// Without a version it was refused.
    Create {
        bytes: Vec<u8>,
        expires_at: Timestamp,
        version: Option<Version>,
    },
    /// The key was presented to a `create` of another one.
    Present {
        until: Timestamp,
        was_unknown: bool,
    },
    Commit {
        expected: Version,
        bytes: Vec<u8>,
        expires_at: Timestamp,
        outcome: Outcome,
    },
    /// The record goes to a key that nobody else uses.
    Move {
        expected: Version,
        until: Timestamp,
        outcome: Outcome,
    },
    Touch {
        expires_at: Timestamp,
    },
    End {
        until: Timestamp,
        was_there: bool,
    },
}

impl Done {
    /// What is at the key after this call; `None` if the call is not answered like this before `seen`.
    fn after(&self, seen: &Seen) -> Option<Seen> {
        let unchanged = |is_so: bool| is_so.then(|| seen.clone());
        match (self, seen) {
            (Self::Load(loaded), _) => unchanged(loaded == seen),
            (Self::Present { until, was_unknown: true }, Seen::Unknown)
            | (Self::End { until, was_there: true }, Seen::Live { .. }) => {
                Some(Seen::Ended { until: *until })
            }
            (Self::Create { bytes, expires_at, version: Some(version) }, Seen::Unknown) => {
                let (bytes, version, expires_at) = (bytes.clone(), *version, *expires_at);
                Some(Seen::Live { bytes, version, expires_at })
            }
            (Self::Create { version, .. }, _) => {
                unchanged(version.is_none() && *seen != Seen::Unknown)
            }
            (Self::Present { was_unknown, .. }, _) => {
                unchanged(!was_unknown && *seen != Seen::Unknown)
            }
            (Self::Commit { expected, bytes, expires_at, outcome }, _) => {
                let (bytes, expires_at) = (bytes.clone(), *expires_at);
                after_commit(*expected, *outcome, seen, |version| Seen::Live {
                    bytes,
                    version,
                    expires_at,
                })
            }
            (Self::Move { expected, until, outcome }, _) => {
                after_commit(*expected, *outcome, seen, |_| Seen::Ended { until: *until })
            }
            (Self::Touch { expires_at }, Seen::Live { bytes, version, expires_at: before }) => {
                let (bytes, expires_at) = (bytes.clone(), *expires_at.max(before));
                Some(Seen::Live { bytes, version: *version, expires_at })
            }
            (Self::Touch { .. }, _) => unchanged(true),
            (Self::End { was_there, .. }, _) => {
                unchanged(!was_there && !matches!(seen, Seen::Live { .. }))
            }
        }
    }
}

fn after_commit(
    expected: Version,
    outcome: Outcome,
    seen: &Seen,
    done: impl FnOnce(Version) -> Seen,
) -> Option<Seen> {
    match (outcome, seen) {
        (Outcome::Committed(new), Seen::Live { version, .. }) => {
            (*version == expected && new != expected).then(|| done(new))
        }
        (Outcome::Committed(_), _) => None,
        // Also where there is none: a store may not be able to tell the two apart.
        (Outcome::Conflict, Seen::Live { version, .. }) => {
            (*version != expected).then(|| seen.clone())
        }
        (Outcome::Conflict, _) => Some(seen.clone()),
        (Outcome::Gone, seen) => (!matches!(seen, Seen::Live { .. })).then(|| seen.clone()),
    }
}

/// A call, with the moments between which it happened.
#[derive(Clone, Debug)]
struct Noted {
    began: u64,
    returned: u64,
    done: Done,
}

/// What was called at one key, which nobody had used before.
pub(super) struct History {
    key: StoreKey,
    /// Counts moments.
    clock: AtomicU64,
    noted: Mutex<Vec<Noted>>,
}

impl History {
    pub(super) fn new(key: StoreKey) -> Self {
        Self { key, clock: AtomicU64::new(0), noted: Mutex::default() }
    }

    pub(super) fn key(&self) -> StoreKey {
        self.key
    }

    pub(super) fn key_ref(&self) -> &StoreKey {
        &self.key
    }

    /// Carries a call out and writes it down.
    pub(super) async fn note<T>(
        &self,
        call: impl Future<Output = T>,
        done: impl FnOnce(&T) -> Done,
    ) -> T {
        let began = self.clock.fetch_add(1, Ordering::SeqCst);
        let answer = call.await;
        let returned = self.clock.fetch_add(1, Ordering::SeqCst);
        let noted = Noted { began, returned, done: done(&answer) };
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).push(noted);
        answer
    }

    /// Fails the sentence if no order of the calls explains their answers.
    pub(super) fn check(&self) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        noted.sort_unstable_by_key(|noted| noted.began);
        let calls: Vec<_> = noted.iter().map(|noted| format!("{noted:?}")).collect();
        assert!(is_explained(&noted), "no order explains these answers:\n{}", calls.join("\n"));
    }
}

/// Whether some order of at most 64 calls explains all their answers.
fn is_explained(noted: &[Noted]) -> bool {
    assert!(noted.len() <= 64, "a call is a bit");
    let all = if noted.len() == 64 { u64::MAX } else { (1 << noted.len()) - 1 };
    // Bit n: call n is in the order already.
    let mut ways = vec![(0_u64, Seen::Unknown)];
    let mut been_at = HashSet::new();
    while let Some((placed, seen)) = ways.pop() {
        if placed == all {
            return true;
        }
        let open = |number: &usize| placed & (1 << number) == 0;
        let waiting = (0..noted.len()).filter(open);
        // What began after another had returned cannot come before it.
        let first_returned = waiting.clone().map(|number| noted[number].returned).min();
        for number in waiting.filter(|number| Some(noted[*number].began) < first_returned) {
            if let Some(after) = noted[number].done.after(&seen) {
                let way = (placed | 1 << number, after);
                if been_at.insert(way.clone()) {
                    ways.push(way);
                }
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNTIL: Timestamp = Timestamp::from_millis(10);
    const EXPIRES_AT: Timestamp = Timestamp::from_millis(20);

    fn live(bytes: u8, version: u64) -> Seen {
        Seen::Live { bytes: vec![bytes], version: Version(version), expires_at: EXPIRES_AT }
    }

    fn create(bytes: u8) -> Done {
        let version = Some(Version(1));
        Done::Create { bytes: vec![bytes], expires_at: EXPIRES_AT, version }
    }

    fn commit(bytes: u8, expected: u64, outcome: Outcome) -> Done {
        let expected = Version(expected);
        Done::Commit { bytes: vec![bytes], expires_at: EXPIRES_AT, expected, outcome }
    }

    fn committed(version: u64) -> Outcome {
        Outcome::Committed(Version(version))
    }

    fn end(was_there: bool) -> Done {
        Done::End { until: UNTIL, was_there }
    }

    /// Calls with the moments at which they began and returned.
    fn explains<const N: usize>(calls: [(u64, u64, Done); N]) -> bool {
        let noted = calls.map(|(began, returned, done)| Noted { began, returned, done });
        is_explained(&noted)
    }

    #[test]
    fn one_call_after_the_other_is_explained_by_that_order() {
        assert!(explains([
            (0, 1, Done::Load(Seen::Unknown)),
            (2, 3, create(1)),
            (4, 5, Done::Load(live(1, 1))),
            (6, 7, commit(2, 1, committed(2))),
            (8, 9, commit(3, 1, Outcome::Conflict)),
            (10, 11, Done::Load(live(2, 2))),
            (12, 13, end(true)),
            (14, 15, end(false)),
            (16, 17, commit(4, 2, Outcome::Gone)),
            (18, 19, Done::Load(Seen::Ended { until: UNTIL })),
        ]));
    }

    #[test]
    fn what_overlaps_may_have_happened_in_either_order() {
        for loaded in [live(1, 1), live(2, 2)] {
            let load = Done::Load(loaded);
            assert!(explains([
                (0, 1, create(1)),
                (2, 5, commit(2, 1, committed(2))),
                (3, 4, load)
            ]));
        }
    }

    #[test]
    fn an_old_state_after_a_commit_has_returned_is_not_explained() {
        let load = Done::Load(live(1, 1));
        assert!(!explains([(0, 1, create(1)), (2, 3, commit(2, 1, committed(2))), (4, 5, load)]));
    }

    #[test]
    fn two_commits_of_one_version_are_not_explained() {
        for second in [committed(2), committed(3)] {
            let (one, other) = (commit(2, 1, committed(2)), commit(3, 1, second));
            assert!(!explains([(0, 1, create(1)), (2, 5, one), (3, 4, other)]));
        }
    }

    #[test]
    fn a_record_that_comes_back_is_not_explained() {
        let ended = [(0, 1, create(1)), (2, 3, end(true))];
        for late in [create(2), commit(2, 1, committed(2)), end(true), Done::Load(live(1, 1))] {
            let [made, over] = ended.clone();
            assert!(!explains([made, over, (4, 5, late.clone())]), "{late:?}");
        }
    }

    #[test]
    fn a_commit_that_is_gone_while_the_record_lives_is_not_explained() {
        let gone = commit(2, 1, Outcome::Gone);
        assert!(!explains([(0, 1, create(1)), (2, 3, gone), (4, 5, Done::Load(live(1, 1)))]));
    }

    #[test]
    fn a_touch_that_lowers_is_not_explained() {
        let touch = Done::Touch { expires_at: UNTIL };
        let lowered = Seen::Live { bytes: vec![1], version: Version(1), expires_at: UNTIL };
        let history = |seen| [(0, 1, create(1)), (2, 3, touch.clone()), (4, 5, Done::Load(seen))];
        assert!(!explains(history(lowered)));
        assert!(explains(history(live(1, 1))));
    }
}
