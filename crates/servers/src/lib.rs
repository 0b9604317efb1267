//! Real servers for tests and benchmarks: PostgreSQL, MariaDB, Redis, PgBouncer in front of PostgreSQL, and a [`Proxy`]
//! that loses what goes through it.
//!
//! A [`Server`] is started from the programs that are installed, as a process of its own on a free port of this
//! machine, with all that it writes in a temporary folder. It ends with its value, and with the process of the test
//! however that ends. Where a program is missing, there is no server and one line says so; in CI that is a failure.
//!
//! ```
//! use servers::{Engine, Server};
//!
//! // Shared by all tests of this process; each has a database of its own.
//! let Some(server) = Server::shared(Engine::Postgres) else { return };
//! let database = server.database();
//! assert_eq!(database.ask("SELECT current_database()"), database.name());
//! ```
//!
//! A test that harms its server starts one for itself:
//!
//! ```
//! # use servers::{Engine, Server};
//! let Some(mut server) = Server::start(Engine::Postgres) else { return };
//! server.kill();
//! server.restart();
//! assert_eq!(server.ask("SELECT 1"), "1");
//! ```
//!
//! Needs Linux: processes are found in `/proc`. Elsewhere there are no servers.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on has failed"))]

mod bouncer;
mod database;
mod engine;
mod folder;
mod installed;
mod mariadb;
mod postgres;
mod process;
mod proxy;
mod redis;
mod server;

pub use database::Database;
pub use engine::Engine;
pub use proxy::{Direction, Proxy};
pub use server::Server;

use std::time::Duration;

/// The bound of every wait. Nothing here takes more than some seconds on a machine that has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(60);
