//! The operation log: the single gate through which anything changes.
//!
//! A change is an [`Operation`]. It is carried out by [`crate::draft`] on the records as they were loaded, and
//! again on fresh records when a commit met a conflict.

use crate::{error::Error, standing::Standing, value::Named};
use dframework_session_store::Timestamp;
use smallvec::SmallVec;
use std::sync::Arc;

/// A change of the session, as it was asked for and as it is replayed.
pub(crate) enum Operation {
    Set {
        value: Named,
        expires_at: Option<Timestamp>,
    },
    Permanent {
        values: Vec<Named>,
    },
    Flash {
        value: Named,
    },
    /// A value that this request alone sees. It is here so that what follows replays on it.
    Now {
        value: Named,
    },
    Forget {
        keys: Vec<Arc<str>>,
    },
    Clear,
    /// Stores the value where there is none yet.
    Remember {
        value: Named,
    },
    Compute {
        key: Arc<str>,
        compute: Compute,
    },
    Regenerate,
    SetOwner(Arc<str>),
}

impl Operation {
    /// What is being done, for a message.
    pub(crate) fn doing(&self) -> &'static str {
        match self {
            Self::Set { .. } | Self::Compute { .. } | Self::Remember { .. } => {
                "the first value of a session"
            }
            Self::Permanent { .. } => "the first permanent value",
            Self::Flash { .. } => "a flash message",
            Self::Forget { .. } | Self::Clear | Self::Now { .. } => "forgetting",
            Self::Regenerate => "a new token",
            Self::SetOwner(_) => "a new owner",
        }
    }
}

/// Makes the new value of a key from the one that is there.
pub(crate) type Compute = Box<dyn Fn(Option<&[u8]>) -> Result<Named, Refusal> + Send>;

/// Why a computed change does not apply to the value that is there.
pub(crate) enum Refusal {
    /// The value is not of the type that the change works on, or the result cannot be stored.
    Error(Error),
    /// The change has no result here.
    Inapplicable(&'static str),
}

/// What a request has asked for since its last commit.
#[derive(Default)]
pub(crate) struct Log {
    /// `destroy` was called: it stands before all operations, since it empties the log.
    pub(crate) destroy: bool,
    pub(crate) operations: SmallVec<[Operation; 4]>,
    /// Which operations have been carried out on the permanent record already.
    pub(crate) settled: Vec<Settled>,
    /// Why operations were dropped that could not be committed: the response must not look as if they had been.
    pub(crate) refused: Option<Error>,
    /// What nobody knows of earlier tries.
    pub(crate) unsettled: Vec<Unsettled>,
    /// Counts `destroy` calls, so that a commit under way learns that its operations were discarded.
    pub(crate) epoch: u32,
}

/// A step of a commit that may have been carried out, though neither its answer nor a look has told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsettled {
    /// The end of a record: the tombstone that it leaves is kept until then.
    End { until: Timestamp },
    /// The writing of one of the records with the log's first operations in it.
    Write { stamp: u64, operations: usize },
}

/// That the permanent record holds what the log's first operations made of it.
pub(crate) struct Settled {
    /// How many of them.
    pub(crate) operations: usize,
    /// The permanent record as it was before, on which they are replayed for the sake of the ordinary one.
    pub(crate) before: Standing,
}

impl Log {
    /// Whether there is nothing to do for a commit, nor to refuse.
    pub(crate) fn is_empty(&self) -> bool {
        !self.destroy && self.operations.is_empty() && self.refused.is_none()
    }

    /// Whether an operation could change a record.
    pub(crate) fn has_changes(&self) -> bool {
        self.operations.iter().any(|operation| !matches!(operation, Operation::Now { .. }))
    }

    /// Whether the log makes a session anew where its own has ended: a login.
    pub(crate) fn has_login(&self) -> bool {
        let is_login =
            |operation: &_| matches!(operation, Operation::Regenerate | Operation::SetOwner(_));
        self.operations.iter().any(is_login)
    }

    /// Drops all operations.
    pub(crate) fn forget(&mut self) {
        self.operations.clear();
        self.settled.clear();
        // What may have been written no longer matters; what may have ended does as long as it is to end.
        self.unsettled.retain(|step| self.destroy && matches!(step, Unsettled::End { .. }));
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// Whether what is stored now goes into a new session where the request's own has ended.
    pub(crate) fn begins_anew(&self) -> bool {
        self.destroy || self.has_login()
    }

    /// Drops all operations, and remembers why.
    pub(crate) fn refuse(&mut self, error: &Error) {
        self.forget();
        self.refused = Some(error.again());
    }

    /// Drops the first operations: they have been committed.
    pub(crate) fn drop_first(&mut self, count: usize) {
        match self.operations.len() {
            length if length <= count => self.operations.clear(),
            _ => drop(self.operations.drain(..count)),
        }
        self.settled.retain(|settled| settled.operations > count);
        for settled in &mut self.settled {
            settled.operations -= count;
        }
        self.unsettled.clear();
    }

    /// Remembers a step of which nobody knows whether it was carried out.
    pub(crate) fn leave_unsettled(&mut self, step: Unsettled) {
        const MOST: usize = 8;
        if self.unsettled.len() == MOST {
            self.unsettled.remove(0);
        }
        self.unsettled.push(step);
    }

    /// Until when the tombstones are kept that earlier tries of `destroy` may have left.
    pub(crate) fn earlier_ends(&self) -> Vec<Timestamp> {
        if self.unsettled.is_empty() {
            return Vec::new();
        }
        let end = |step: &Unsettled| match step {
            Unsettled::End { until } => Some(*until),
            Unsettled::Write { .. } => None,
        };
        self.unsettled.iter().filter_map(end).collect()
    }

    /// Adds an operation. Of two `set`s in a row, the second is all that matters.
    pub(crate) fn push(&mut self, operation: Operation) {
        if let (Some(Operation::Set { value: last, .. }), Operation::Set { value, .. }) =
            (self.operations.last(), &operation)
            && last.key() == value.key()
            && self.settled.is_empty()
            && self.unsettled.is_empty()
        {
            self.operations.pop();
        }
        if matches!(operation, Operation::Regenerate | Operation::SetOwner(_)) {
            self.refused = None;
        }
        self.operations.push(operation);
    }

    /// Looks in freshly loaded records for a write whose answer was lost.
    ///
    /// `before` is the permanent record as it was when that write was planned.
    pub(crate) fn settle_unsettled(
        &mut self,
        before: &Standing,
        ordinary: &Standing,
        permanent: &Standing,
    ) {
        let written = |standing: &Standing| {
            let found = standing.live()?.record.header().stamp?;
            self.unsettled.iter().find_map(|step| match step {
                Unsettled::Write { stamp, operations } if *stamp == found => Some(*operations),
                _ => None,
            })
        };
        if let Some(operations) = written(ordinary) {
            self.drop_first(operations);
        } else if let Some(operations) = written(permanent) {
            self.settled.push(Settled { operations, before: before.clone() });
            self.unsettled.clear();
        }
    }

    pub(crate) fn destroy(&mut self) {
        self.forget();
        self.refused = None;
        self.destroy = true;
    }

    /// The names of the keys that the operations change.
    pub(crate) fn keys(&self) -> Vec<&str> {
        let mut keys: Vec<&str> = Vec::new();
        for operation in &self.operations {
            match operation {
                Operation::Set { value, .. }
                | Operation::Flash { value }
                | Operation::Remember { value } => keys.push(value.name()),
                Operation::Compute { key, .. } => keys.push(key),
                Operation::Permanent { values } => keys.extend(values.iter().map(Named::name)),
                Operation::Forget { keys: forgotten } => {
                    keys.extend(forgotten.iter().map(|key| &**key));
                }
                Operation::Now { .. }
                | Operation::Clear
                | Operation::Regenerate
                | Operation::SetOwner(_) => {}
            }
        }
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}
