//! For those who write a store, and for tests of what uses one (feature `testing`).
//!
//! - [`Probe`] is a store over another one that writes down its calls, and lets them wait or go wrong.
//! - [`ReferenceStore`] is the contract in its simplest form.

mod probe;
mod reference;

pub use probe::{Call, Fault, Probe, Verb};
pub use reference::ReferenceStore;
