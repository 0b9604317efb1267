//! The memory store is a store: every sentence of the contract holds for it.

use dframework_session::{MemoryStore, store::testing::acceptance_suite};

acceptance_suite!(async || MemoryStore::new());
