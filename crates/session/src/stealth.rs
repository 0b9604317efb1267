//! Sessions that are kept in the cookie, sealed: what the driver `stealth` is made of, and not the driver itself.
//!
//! `xaes.rs` is the cipher, `keys.rs` the keys, `header.rs` what a seal says of its session, `seal.rs` the text of the
//! cookie, `plain.rs` what has been opened, `revocation.rs` what has ended before its time, `key_file.rs` a key for
//! development. None of them reads a clock, a store or a request.
#![cfg_attr(
    not(any(test, fuzzing)),
    expect(dead_code, reason = "the driver that calls these is under construction")
)]
#![cfg_attr(fuzzing, allow(dead_code, reason = "the targets do not reach all of it"))]

mod header;
mod key_file;
mod keys;
mod plain;
mod revocation;
mod seal;
mod xaes;

#[cfg(fuzzing)]
pub(crate) mod fuzzing;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;

pub(crate) use keys::{Kid, kid};
pub(crate) use plain::Plain;
