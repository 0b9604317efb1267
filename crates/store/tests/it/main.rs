//! The kit for those who write a store, tried on the store that comes with it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod probe;
mod suite;

mod contract {
    use dframework_session_store::testing::{ReferenceStore, acceptance_suite};

    acceptance_suite!(async || ReferenceStore::default());
}
