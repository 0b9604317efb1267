//! The course: the same requests for every library that is compared, sent and timed the same way.
//!
//! A library runs in a process of its own, as an application with five routes: `/new` fills a new session with
//! [`entries`], `/read` reads one of them, `/write` reads a number and stores the next, `/count` does the same in the
//! way that loses least when others do so at the same time, and `/visits` answers with the number. The process reads an
//! [`Order`] a line, and answers each with what it [`Measured`].

mod client;
mod counters;
mod entries;
mod order;
mod walk;

pub use counters::round_was_lost;
pub use entries::entries;
pub use order::{Case, Measured, Order, Requests};

use axum::Router;
use client::Client;
use std::{error::Error, sync::Arc, time::Instant};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

/// Sessions that the requests use.
const SESSIONS: usize = 1_000;

/// How a process is asked to run: `DATABASE SYNCHRONOUS timed|counted ROWS`.
pub struct Task {
    /// The file of an SQLite, or the URL of another database.
    pub database: String,
    /// `full` or `normal`. What a server does is its own setting.
    pub synchronous: String,
    /// Counting statements costs time.
    pub is_counted: bool,
    /// Rows in the table besides those of the clients; at least one.
    rows: i64,
}

impl Task {
    /// Reads the arguments of a process.
    ///
    /// # Errors
    ///
    /// There are others than those four.
    pub fn parse(arguments: &[String]) -> Result<Self, Box<dyn Error>> {
        let [database, synchronous, how, rows] = arguments else {
            return Err("expected: DATABASE SYNCHRONOUS timed|counted ROWS".into());
        };
        let (database, synchronous) = (database.clone(), synchronous.clone());
        let is_counted = how == "counted";
        if is_counted {
            counters::count()?;
        }
        Ok(Self { database, synchronous, is_counted, rows: rows.parse()? })
    }
}

/// Answers the orders on stdin, until there are no more.
///
/// `grow` lets the database copy one row of the table, from so many copies to more.
///
/// # Errors
///
/// A request failed, or a line cannot be read.
pub async fn run(
    app: Router,
    task: &Task,
    grow: impl AsyncFn(i64, i64) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    // The row that is copied.
    Client::new(app.clone()).send("/new").await?;
    grow(0, task.rows).await?;
    let mut rows = task.rows;
    let mut clients = new_clients(&app).await?;
    println!("ready");
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let begun = Instant::now();
        let measured = match line.parse()? {
            Order::Grow(more) => {
                if more > rows {
                    grow(rows, more).await?;
                    rows = more;
                }
                Measured { nanos: begun.elapsed().as_nanos(), ..Measured::default() }
            }
            Order::Size(bytes) => {
                entries::set_size(bytes);
                clients = new_clients(&app).await?;
                Measured { nanos: begun.elapsed().as_nanos(), ..Measured::default() }
            }
            Order::Ask(requests) => walk::walk(requests, &clients).await?,
        };
        println!("{measured}");
    }
    Ok(())
}

/// Clients with a new session each, some at a time.
async fn new_clients(app: &Router) -> Result<Vec<Arc<Client>>, Box<dyn Error>> {
    const LANES: usize = 32;
    let some = |lane: usize| {
        let app = app.clone();
        tokio::spawn(async move {
            let mut clients = Vec::new();
            for _ in (lane..SESSIONS).step_by(LANES) {
                let mut client = Client::new(app.clone());
                client.send("/new").await?;
                clients.push(Arc::new(client));
            }
            Ok::<_, String>(clients)
        })
    };
    let tasks: Vec<_> = (0..LANES).map(some).collect();
    let mut clients = Vec::new();
    for task in tasks {
        clients.extend(task.await??);
    }
    Ok(clients)
}
