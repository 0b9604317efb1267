//! The library through its public interface, a module per topic.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod config;
mod cookies;
mod flash;
mod flash_generations;
mod flash_layers;
mod interleaving;
mod memory_store;
mod permanent;
mod permanent_life;
mod reference;
mod structure;
mod support;
mod values;
mod walk;
mod writing;
