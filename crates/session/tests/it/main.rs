//! The library through its public interface, a module per topic.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod answers;
mod config;
mod failures;
mod lifecycle;
mod lifetimes;
//mod memory_store;
mod outcomes;
mod records;
mod secrets;
mod stores;
mod support;
mod tombstones;
mod tower;
mod walk;
