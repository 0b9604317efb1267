//! The store that the tests look through: a probe over the memory store.

use crate::support::{Bench, in_a_store};
use dframework_session::{MemoryStore, store::testing};

pub(crate) use testing::{Fault, Verb};

/// A memory store whose calls are written down, wait and go wrong as a test says.
pub(crate) type Probe = testing::Probe<MemoryStore>;

/// Sessions in a probe.
pub(crate) fn in_a_probe() -> (Probe, Bench) {
    let store = Probe::default();
    (store.clone(), in_a_store(store))
}
