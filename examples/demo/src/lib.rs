//! A page to try sessions on.
//!
//! [`app`] is the router with its handlers, where the session is used; `page.rs` makes the HTML, `input.rs` judges
//! what people type, `guard.rs` is around every response, and `main.rs` starts the server.

mod app;
mod guard;
mod input;
mod page;

pub use app::app;
