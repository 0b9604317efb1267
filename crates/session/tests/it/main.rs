//! The library through its public interface, a module per topic.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod actix;
mod adapters;
mod answers;
mod broken;
mod broken_store;
mod browser;
mod claim;
mod clocks;
mod config;
mod contract;
mod cookies;
mod cut_off;
#[cfg(feature = "sqlite")]
mod database;
mod event_hooks;
mod events;
mod failures;
mod flash;
mod flash_generations;
mod flash_layers;
mod foreign;
mod half_way;
mod instructions;
mod interleaving;
#[cfg(feature = "sqlite")]
mod killed;
mod lifecycle;
mod lifetimes;
mod memory_store;
mod model;
mod outcomes;
mod owned;
mod permanent;
mod permanent_life;
mod records;
mod reference;
mod secrets;
mod stealth;
mod stores;
mod structure;
mod support;
mod sweeper;
mod tombstones;
mod tower;
mod values;
mod verbs;
mod visitor;
mod walk;
mod writing;
