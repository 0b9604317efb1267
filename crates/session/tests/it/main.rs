//! The library through its public interface, a module per topic.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod config;
mod cookies;
mod interleaving;
mod memory_store;
mod reference;
mod structure;
mod support;
mod walk;
