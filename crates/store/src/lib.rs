//! The contract between `dframework-session` and the places that keep its records.
//!
//! A store keeps *records*: opaque bytes at a 32-byte [`StoreKey`], each with a [`Version`] that every
//! [`Store::commit`] changes, and the instant at which it expires. It does not look into the bytes, does no
//! cryptography and reads no clock: the caller judges what [`Store::load`] returns.
//!
//! Two rules shape the trait:
//!
//! - **Nothing is written that was not there.** A commit names the version that it read. A record that has
//!   ended is [`Outcome::Gone`], never made again, so that a logged-out session cannot come back.
//! - **An end is remembered.** Where a record ended or moved away, the store keeps a *tombstone* until the
//!   instant that the caller gives, so that a request that is still under way learns what happened.
//!
//! Every operation on one key is linearizable: once a call has returned, every later call sees its effect.
//!
//! Applications use `dframework-session`; this crate is for those who write a store. With the feature `testing`, the
//! module `testing` has a test for every sentence of the contract.

mod error;
mod key;
mod record;
mod store;
mod time;

#[cfg(feature = "testing")]
pub mod testing;

pub use async_trait::async_trait;
pub use error::StoreError;
pub use key::{ParseIdError, SessionId, StoreKey};
pub use record::{Change, Entry, Loaded, NewRecord, Outcome, Page, Stored, Tombstone, Version};
pub use store::Store;
pub use time::Timestamp;

/// The examples of the front page compile.
#[cfg(all(doctest, feature = "testing"))]
#[doc = include_str!("../README.md")]
struct FrontPage;
