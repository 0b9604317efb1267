//! What the servers promise, each on real ones. Where a server is not installed, the tests that need it are skipped.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod faults;
mod lives;
