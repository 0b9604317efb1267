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
    pub(crate) operations: SmallVec<[Operation; 6]>,
    /// Few requests have to try a commit again, and the others pay nothing for it.
    tries: Option<Box<Tries>>,
    /// How many of the operations a commit has planned that may be under way.
    planned: usize,
    /// Counts `destroy` calls, so that a commit under way learns that its operations were discarded.
    pub(crate) epoch: u32,
}

/// What earlier tries to commit a log have left.
#[derive(Default)]
struct Tries {
    /// Which operations have been carried out on the permanent record already.
    settled: Vec<Settled>,
    /// Why operations were dropped that could not be committed: the response must not look as if they had been.
    refused: Option<Error>,
    /// What nobody knows of them.
    unsettled: Vec<Unsettled>,
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

impl Tries {
    /// Whether everything is known of them, and nothing of them stands.
    fn are_settled(&self) -> bool {
        self.settled.is_empty() && self.unsettled.is_empty()
    }
}

impl Log {
    /// Whether there is nothing to do for a commit, nor to refuse.
    pub(crate) fn is_empty(&self) -> bool {
        !self.destroy && self.operations.is_empty() && self.refused().is_none()
    }

    /// Whether no commit of these operations has been tried before.
    pub(crate) fn is_first_try(&self) -> bool {
        self.tries.is_none()
    }

    /// Which operations have been carried out on the permanent record already.
    pub(crate) fn settled(&self) -> &[Settled] {
        self.tries.as_ref().map_or(&[], |tries| &tries.settled)
    }

    /// Why operations were dropped that could not be committed: the response must not look as if they had been.
    pub(crate) fn refused(&self) -> Option<&Error> {
        self.tries.as_ref()?.refused.as_ref()
    }

    /// Nobody is to be told any more why operations were dropped.
    pub(crate) fn forget_refusal(&mut self) {
        if let Some(tries) = &mut self.tries {
            tries.refused = None;
        }
    }

    fn tries(&mut self) -> &mut Tries {
        self.tries.get_or_insert_default()
    }

    /// Remembers that the permanent record holds what operations have made of it.
    pub(crate) fn settle(&mut self, settled: Settled) {
        self.tries().settled.push(settled);
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

    /// Notes that a commit begins with all operations that there are, and says how many.
    pub(crate) fn plan(&mut self) -> usize {
        self.planned = self.operations.len();
        self.planned
    }

    /// Drops all operations.
    pub(crate) fn forget(&mut self) {
        self.operations.clear();
        self.planned = 0;
        if let Some(tries) = &mut self.tries {
            tries.settled.clear();
            // What may have been written no longer matters; what may have ended does as long as it is to end.
            tries.unsettled.retain(|step| self.destroy && matches!(step, Unsettled::End { .. }));
        }
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// Whether what is stored now goes into a new session where the request's own has ended.
    pub(crate) fn begins_anew(&self) -> bool {
        self.destroy || self.has_login()
    }

    /// Drops all operations, and remembers why.
    pub(crate) fn refuse(&mut self, error: &Error) {
        self.forget();
        self.tries().refused = Some(error.again());
    }

    /// Drops the first operations: they have been committed.
    pub(crate) fn drop_first(&mut self, count: usize) {
        match self.operations.len() {
            length if length <= count => self.operations.clear(),
            _ => drop(self.operations.drain(..count)),
        }
        self.planned = self.planned.saturating_sub(count);
        let Some(tries) = &mut self.tries else { return };
        tries.settled.retain(|settled| settled.operations > count);
        for settled in &mut tries.settled {
            settled.operations -= count;
        }
        tries.unsettled.clear();
    }

    /// Remembers a step of which nobody knows whether it was carried out.
    pub(crate) fn leave_unsettled(&mut self, step: Unsettled) {
        const MOST: usize = 8;
        let unsettled = &mut self.tries().unsettled;
        if unsettled.len() == MOST {
            unsettled.remove(0);
        }
        unsettled.push(step);
    }

    /// Until when the tombstones are kept that earlier tries of `destroy` may have left.
    pub(crate) fn earlier_ends(&self) -> Vec<Timestamp> {
        let Some(tries) = &self.tries else { return Vec::new() };
        let end = |step: &Unsettled| match step {
            Unsettled::End { until } => Some(*until),
            Unsettled::Write { .. } => None,
        };
        tries.unsettled.iter().filter_map(end).collect()
    }

    /// Adds an operation. Of two `set`s in a row, the second is all that matters, unless a commit counts on the first.
    pub(crate) fn push(&mut self, operation: Operation) {
        if let (Some(Operation::Set { value: last, .. }), Operation::Set { value, .. }) =
            (self.operations.last(), &operation)
            && last.key() == value.key()
            && self.operations.len() > self.planned
            && self.tries.as_ref().is_none_or(|tries| tries.are_settled())
        {
            self.operations.pop();
        }
        if matches!(operation, Operation::Regenerate | Operation::SetOwner(_)) {
            self.forget_refusal();
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
        let Some(tries) = &mut self.tries else { return };
        let written = |standing: &Standing| {
            let found = standing.live()?.record.header().stamp?;
            tries.unsettled.iter().find_map(|step| match step {
                Unsettled::Write { stamp, operations } if *stamp == found => Some(*operations),
                _ => None,
            })
        };
        if let Some(operations) = written(ordinary) {
            self.drop_first(operations);
        } else if let Some(operations) = written(permanent) {
            tries.settled.push(Settled { operations, before: before.clone() });
            tries.unsettled.clear();
        }
    }

    pub(crate) fn destroy(&mut self) {
        self.forget();
        self.forget_refusal();
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
