//! The database driver through its public interface, a module per topic.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod clocks;
mod conflicts;
mod contract;
mod edges;
mod faults;
mod home;
mod killed;
mod kills;
mod limits;
mod load;
mod logs;
mod lost;
mod moving;
mod opening;
mod schema;
mod servers;
mod sharing;
mod support;
mod sweeping;
mod together;
