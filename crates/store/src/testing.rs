//! For those who write a store, and for tests of what uses one (feature `testing`).
//!
//! - [`acceptance_suite!`] makes a test of every sentence of the contract. A store that passes it is a store.
//! - [`Probe`] is a store over another one that writes down its calls, and lets them wait or go wrong.
//! - [`ReferenceStore`] is the contract in its simplest form.
//!
//! In the tests of a crate that has a store:
//!
//! ```toml
//! [dev-dependencies]
//! dframework-session-store = { version = "0.1", features = ["testing"] }
//! ```
//!
//! ```
//! mod contract {
//!     # use dframework_session_store::testing::ReferenceStore as MyStore;
//!     use dframework_session_store::testing::acceptance_suite;
//!
//!     // An async function or closure that makes a fresh, empty store for one test.
//!     acceptance_suite!(async || MyStore::default());
//! }
//! ```
//!
//! `cargo test contract` then names the sentences that hold, and those that do not.
//!
//! Instants are what the tests pass, near the beginning of 2026 and at both ends of what can be told: a store
//! that expires records by a clock of its own does not pass.

mod fresh;
mod probe;
mod reference;
mod suite;

#[doc(inline)]
pub use crate::acceptance_suite;
pub use fresh::Fresh;
pub use probe::{Call, Fault, Probe, Verb};
pub use reference::ReferenceStore;
#[doc(hidden)]
pub use suite::test;
pub use suite::{Broken, Case, cases};
