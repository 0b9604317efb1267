//! The database driver of `dframework-session`: records in one dedicated table.
//!
//! [`SqlStore`] is a [`Store`](dframework_session_store::Store). It opens a database by its URL, or works on a pool
//! that the application has. Applications that name `database` as their driver need nothing of this crate: what
//! they use opens the store itself.
//!
//! ```
//! use dframework_session_sqlx::SqlStore;
//! use dframework_session_store::{NewRecord, Store, StoreKey, Timestamp};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = std::env::temp_dir().join(format!("sqlx-front-{}", std::process::id()));
//! # let url = format!("sqlite://{}/sessions.db", folder.display());
//! let store = SqlStore::open(&url).await?;
//! store.migrate().await?;
//!
//! let (key, now) = (StoreKey::from_bytes([7; 32]), Timestamp::from_millis(0));
//! store.create(&key, NewRecord::new(b"bytes", now, Timestamp::MAX), now).await?;
//! assert_eq!(store.count(now).await?, 1);
//! # drop(store);
//! # std::fs::remove_dir_all(folder)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Lanes
//!
//! Connections are held, not checked out for each call: a *lane* is a task with a connection of its own. Reads and
//! writes have lanes of their own: two and two, for SQLite two and one. A call takes an idle lane at once, and waits
//! while all are busy. A call that is dropped while it waits is never carried out; one that is being carried out is carried out whole.
//!
//! A lane that becomes free takes all that wait, up to [`Options::largest_batch`]: loads as one statement, which reads a
//! key once for all who asked for it; creates, commits, touches and ends as one transaction, and on PostgreSQL as one
//! statement for each kind, so that they share one wait for the disk. So a busy store does more with less, and on an idle one nobody waits for company. A batch writes a key
//! once, a second call for it waits for the next one; several touches of a record are one. Where one call of a batch cannot
//! be carried out, the others are. Answers are given after the commit of the whole batch.
//!
//! # Features
//!
//! - `sqlite`: embedded SQLite, built with the crate.
//! - `postgres`: PostgreSQL 14 or later.
//! - `mysql`: MariaDB 10.6 or later. MySQL 8 is spoken by the same code, and not tested.
//! - `tls`: connections to servers by TLS, with the certificates that the system trusts.

// Without a database there is nothing here, and nothing that the words above could lead to.
#![cfg_attr(
    not(any(feature = "mysql", feature = "postgres", feature = "sqlite")),
    allow(rustdoc::broken_intra_doc_links)
)]
#![cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
// What only some of the engines need is looked after where all of them are.
#![cfg_attr(
    not(all(feature = "mysql", feature = "postgres", feature = "sqlite")),
    allow(dead_code)
)]

mod calls;
mod engine;
mod failure;
mod lane;
mod lanes;
#[cfg(feature = "mysql")]
mod mysql;
mod operations;
mod options;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod parameters;
mod party;
mod pool;
#[cfg(feature = "postgres")]
mod postgres;
mod rows;
mod schema;
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
mod statements;
mod store;
mod together;
mod wire;

pub use options::Options;
pub use pool::Pool;
/// The version of sqlx whose pools a [`SqlStore`] takes.
pub use sqlx;
pub use store::SqlStore;

/// The example of the front page compiles.
#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../README.md")]
struct FrontPage;
