//! The demo in a real browser: Debian's Chromium, driven over `WebDriver`, and a server on loopback.
//!
//! Where `chromium` or `chromedriver` is not installed, the tests say so and pass; in CI they fail.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod attributes;
mod clicks;
mod copies;
mod logout;
mod look;
mod messages;
mod restart;
mod siblings;
mod support;
mod tabs;
