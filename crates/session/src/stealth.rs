//! Sessions that are kept in the cookie, sealed: what the driver `stealth` is made of, and not the driver itself.
//!
//! `xaes.rs` is the cipher. It reads no clock, no store and no request.
#![cfg_attr(
    not(test),
    expect(dead_code, reason = "the driver that calls these is under construction")
)]

mod xaes;
