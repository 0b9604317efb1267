//! Which calls are carried out together: what a lane finds waiting when it becomes free.
//!
//! Reads of keys go together. Writes go together where each has its key for itself; a second one for a key waits for the
//! next batch, since it may name the version that the first one makes. Touches of one key are one. What is rare or takes
//! several steps goes alone.

use crate::{
    calls::{Commit, Create, Read, Write},
    statements::MOST_KEYS,
};
use dframework_session_store::StoreKey;
use std::collections::{HashMap, hash_map::Entry};

/// How many bytes of records are written together at most. A larger one goes alone.
const MOST_BYTES: usize = 1 << 20;

/// A call that may be carried out together with others.
pub(crate) trait Call: Sized {
    /// What those have in common that are together so far.
    type Party: Default;

    /// Comes in, if the others have room for it.
    fn join(&self, party: &mut Self::Party) -> bool;
}

/// Calls that read the keys in this number.
#[derive(Default)]
pub(crate) struct Readers {
    keys: usize,
}

impl Call for Read {
    type Party = Readers;

    fn join(&self, party: &mut Readers) -> bool {
        let Self::Load(job) = self else { return false };
        let keys = job.operation().keys.len();
        let has_room = keys <= MOST_KEYS - party.keys;
        if has_room {
            party.keys += keys;
        }
        has_room
    }
}

/// Calls that write these keys.
#[derive(Default)]
pub(crate) struct Writers {
    keys: HashMap<StoreKey, Purpose>,
    bytes: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Touch,
    Other,
}

impl Call for Write {
    type Party = Writers;

    fn join(&self, party: &mut Writers) -> bool {
        let (key, purpose, bytes) = match self {
            Self::Create(job) => match job.operation() {
                Create { presented: Some(_), .. } => return false,
                create => (create.key, Purpose::Other, create.record.payload.len()),
            },
            Self::Commit(job) => match job.operation() {
                Commit { move_to: Some(_), .. } => return false,
                commit => (commit.key, Purpose::Other, commit.record.payload.len()),
            },
            Self::Touch(job) => (job.operation().key, Purpose::Touch, 0),
            Self::End(job) => (job.operation().key, Purpose::Other, 0),
            Self::DeleteExpired(_) | Self::EndOwnedBy(_) | Self::Migrate(_) => return false,
        };
        if bytes > MOST_BYTES - party.bytes {
            return false;
        }
        match party.keys.entry(key) {
            Entry::Occupied(there)
                if (*there.get(), purpose) != (Purpose::Touch, Purpose::Touch) =>
            {
                return false;
            }
            Entry::Occupied(_) => {}
            Entry::Vacant(place) => {
                place.insert(purpose);
            }
        }
        party.bytes += bytes;
        true
    }
}
