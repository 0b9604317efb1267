//! The kit for those who write a store, tried on the store that comes with it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod probe;
