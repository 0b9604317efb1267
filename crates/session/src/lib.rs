//! HTTP sessions: what an application remembers of a visitor between requests.
//!
//! [`Session`] is the session of the current request, found from anywhere inside it. A driver, picked by one property of the
//! configuration, decides where sessions are kept; the code stays the same. Changes of requests that run in parallel are
//! merged value by value.
//!
#![cfg_attr(feature = "axum", doc = "```no_run")]
#![cfg_attr(not(feature = "axum"), doc = "```ignore")]
//! use axum::{Router, routing::get};
//! use dframework_session::{Config, Error, Session, Sessions, tower::SessionLayer};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let sessions = Sessions::connect(&Config::load()?).await?;
//!     let app = Router::new().route("/", get(home)).layer(SessionLayer::new(sessions));
//!     axum::serve(tokio::net::TcpListener::bind("127.0.0.1:3000").await?, app).await?;
//!     Ok(())
//! }
//!
//! async fn home() -> Result<String, Error> {
//!     let visits = Session::increment("visits", 1).await?;
//!     Ok(format!("visit {visits}"))
//! }
//! ```
//!
//! # The verbs
//!
//! All are `async` and give a `Result`. [`SessionHandle`] has the same ones as methods.
//!
//! | verb | what it does |
//! |---|---|
//! | [`get(key)`](Session::get) | the value, or `None` |
//! | [`get_or(key, default)`](Session::get_or) | the value, or the default where it is absent or null |
//! | [`set(key, value)`](Session::set) | stores a value |
//! | [`set_for(key, value, lifetime)`](Session::set_for) | stores a value that expires by itself |
//! | [`permanent(map)`](Session::permanent) | stores each entry for ten years |
//! | [`flash(key, value)`](Session::flash) | stores a value for this request and the next |
//! | [`now(key, value)`](Session::now) | shows a value to this request only |
//! | [`reflash()`](Session::reflash) · [`keep(keys)`](Session::keep) | all messages · these messages for one more request |
//! | [`forget(key)`, `forget([keys])`](Session::forget) | removes these values |
//! | [`forget(..)`](Session::forget), [`destroy()`](Session::destroy) | ends the session, its permanent data and its cookies |
//! | [`clear()`](Session::clear) | removes everything but permanent data; same session, same owner |
//! | [`has(key)`](Session::has) · [`exists(key)`](Session::exists) | whether there is a value that is not null · any value |
//! | [`keys()`](Session::keys) · [`all()`](Session::all) | the names · everything, as JSON values by name |
//! | [`pull(key)`](Session::pull) · [`claim(key)`](Session::claim) | reads and forgets · the same at once: one of parallel requests gets it |
//! | [`increment(key, by)`](Session::increment) · [`decrement`](Session::decrement) | adds to a number, safe against parallel requests |
//! | [`push(key, item)`](Session::push) | appends to a list, safe against parallel requests |
//! | [`update(key, function)`](Session::update) | makes a new value of the stored one, safe against parallel requests |
//! | [`remember(key, make)`](Session::remember) · [`try_remember`](Session::try_remember) | the value, or a new one that is stored |
//! | [`regenerate()`](Session::regenerate) | a new token, the same data |
//! | [`set_owner(owner)`](Session::set_owner) · [`owner()`](Session::owner) | the login · whose session it is |
//! | [`id()`](Session::id) | the public id, for logs |
//! | [`save()`](Session::save) | commits now instead of with the response |
//! | [`handle()`](Session::handle) · [`scope`](Session::scope) · [`spawn`](Session::spawn) | carry the session to another task |
//!
//! From outside a request, [`Sessions`] lists the sessions of an owner ([`of`](Sessions::of)), ends them
//! ([`revoke`](Sessions::revoke), [`revoke_others`](Sessions::revoke_others), [`revoke_all`](Sessions::revoke_all)) and counts.
//!
//! `get` followed by `set` is not protected against parallel requests: use `increment` or `update`.
//!
//! # The manual
#![cfg_attr(
    any(doc, doctest),
    doc = "
- [Values](manual::values): what can be stored, and what comes back.
- [Flash messages](manual::flash): which request is the next one.
- [Permanent data](manual::permanent): ten years, and what ends what.
- [Life cycle](manual::life_cycle): from the first value to the logout; timeouts, tokens, late changes.
- [Concurrency](manual::concurrency): what parallel requests see and keep.
- [Failures](manual::failures): each error, and what is stored when the store is down.
- [Cookies](manual::cookies): names, attributes, who sets them, caches.
- [Configuration](manual::configuration): every property, its default and what a change costs.
- [Drivers](manual::drivers): where sessions are kept, and the one table of what differs.
- [Database](manual::database): sessions that survive a restart; the file, the table, backups, what can fail.
- [Stealth](manual::stealth): sessions in their cookies; keys and their change, size, logout, the format.
- [Events](manual::events): what is told to the log and to functions of the application.
- [Testing](manual::testing): a visitor for the tests of an application.
"
)]
//!
//! # Drivers
//!
//! - `memory`, in the memory of the process: lost on restart, not shared with other processes.
//! - `database`, in a table of an `SQLite` file: survives restarts, shared by the processes of a machine.
//! - `stealth`, sealed in the cookie of the session itself: nothing on the server, one key for all instances.
//!
#![cfg_attr(
    any(doc, doctest),
    doc = "What differs between them is in [one table](manual::drivers)."
)]
//! Any other place is reached by [`Sessions::from_store`] with an implementation of `store::Store`.
//!
//! # Features
//!
//! - `axum` (default): [`SessionHandle`] as an extractor and [`Error`] as a response; brings `tower`.
//! - `sqlite` (default): the driver `database` in a file. Builds `SQLite`, which takes a C compiler, and needs Rust 1.94.
//! - `postgres`, `mysql`: the driver `database` on `PostgreSQL`, and on `MariaDB` or `MySQL`; `tls` encrypts the way there.
//! - `tower`: `tower::SessionLayer`, for every service of `http` requests.
//! - `actix`: `actix::SessionMiddleware` for actix-web 4; [`SessionHandle`] as its extractor and [`Error`] as its response.
//! - `testing`: `testing::Visitor`, for the tests of an application; `store::testing`, for those of a store.

mod sessions;

mod cookie;
mod token;

mod facade;
mod handle;
mod scope;

mod driver;
mod load;
mod record;

mod change;
mod draft;
mod flash;

mod commit;

mod owned;

#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
mod opening;
mod sweeper;

// What these use.
mod clock;
mod config;
mod error;
mod event;
mod key;
mod lines;
mod queue;
mod turn;
mod value;

mod memory;

mod stealth;

#[cfg(any(feature = "tower", feature = "actix"))]
mod exchange;

#[cfg(feature = "tower")]
pub mod tower;

#[cfg(feature = "actix")]
pub mod actix;

#[cfg(feature = "testing")]
pub mod testing;

#[cfg(any(doc, doctest))]
pub mod manual;

#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;

pub use clock::Clock;
pub use config::{Config, DriverName, Env, Revocation, SameSite};
#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
pub use dframework_session_sqlx as database;
pub use dframework_session_store as store;
pub use dframework_session_store::SessionId;
pub use error::Error;
pub use event::{Event, Owner};
pub use facade::Session;
pub use handle::SessionHandle;
pub use key::{Accepts, Key, KeyName, KeyOf, Select};
pub use memory::MemoryStore;
pub use owned::OwnedSession;
pub use sessions::{CommitError, HeadChanges, LazyField, RequestHead, ResponseHead, Sessions};

/// Runs an example of the documentation inside a request.
#[doc(hidden)]
pub fn doctest<F: Future<Output = Result<(), Box<dyn std::error::Error>>>>(example: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let sessions = Sessions::memory();
    let handle = sessions.open(RequestHead::new("GET"));
    let request = sessions.scope(handle, example);
    runtime
        .expect("a runtime without drivers needs no resources")
        .block_on(request)
        .expect("the example runs");
}

/// The programs of the project's front pages compile.
#[cfg(all(doctest, feature = "axum", feature = "actix"))]
mod front_pages {
    #[doc = include_str!("../../../README.md")]
    struct Project;

    #[doc = include_str!("../README.md")]
    struct Package;
}
