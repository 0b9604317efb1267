//! The library through its public interface, a module per topic.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod config;
mod flash;
mod flash_generations;
mod flash_layers;
mod permanent;
mod permanent_life;
//mod memory_store;
mod support;
mod values;
mod walk;
mod writing;
