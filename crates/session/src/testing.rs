//! Tests of applications: a visitor with a browser, and what its session holds.
//!
//! [`Visitor`] makes requests as a browser would, takes the cookies of responses by the rules of browsers
//! ([`Browser`]), prepares sessions and looks into them ([`Snapshot`]). It speaks strings and bytes; what it needs of a
//! framework are the traits [`HttpRequest`], [`HttpResponse`] and [`Application`]. It is for tests: what goes wrong
//! panics, and the messages of assertions show values.

mod application;
mod browser;
mod cookie;
mod date;
mod rules;
mod set_cookie;
mod snapshot;
mod url;
mod visitor;
mod way;

pub use application::{Application, HttpRequest, HttpResponse};
pub use browser::{Browser, Taken};
pub use cookie::Cookie;
pub use rules::{Dropped, Reason};
pub use snapshot::Snapshot;
pub use visitor::Visitor;
pub use way::Way;
