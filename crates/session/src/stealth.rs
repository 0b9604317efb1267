//! Sessions that are kept in the cookie, sealed: the driver `stealth`.
//!
//! `driver.rs` opens what a request brings and seals what a commit writes; `opening.rs` makes it from a configuration.
//! `xaes.rs` is the cipher, `keys.rs` the keys, `header.rs` what a seal says of its session, `seal.rs` the text of the
//! cookie, `plain.rs` what has been opened, `wiped.rs` bytes that are overwritten when they go, `revocation.rs` what
//! has ended before its time, `key_file.rs` a key for development. None of them reads a clock, a store or a request.
#![cfg_attr(fuzzing, allow(dead_code, reason = "the targets do not reach all of it"))]

mod driver;
mod header;
mod key_file;
mod keys;
mod opening;
mod plain;
mod revocation;
mod seal;
mod wiped;
mod xaes;

#[cfg(fuzzing)]
pub(crate) mod fuzzing;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;

pub(crate) use driver::{End, Id, Stealth};
pub(crate) use keys::{Kid, kid};
pub(crate) use opening::open;
pub(crate) use plain::Plain;
pub(crate) use seal::{Rejection, decoded};
