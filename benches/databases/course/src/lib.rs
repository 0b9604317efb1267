//! The course: the same requests for every library that is compared, sent and timed the same way.
//!
//! A library runs in a process of its own, as an application with three routes: `/new` fills a new session with
//! [`ENTRIES`], `/read` reads one of them, and `/write` reads a number and stores the next. The process reads lines
//! `CASE IN_FLIGHT REQUESTS`, and answers each with the nanoseconds and the statements of all its requests.

mod client;
mod statements;

use axum::Router;
use client::Client;
use std::{error::Error, sync::Arc, time::Instant};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

/// What a session holds besides the number `visits`: about 300 bytes of JSON altogether.
pub const ENTRIES: [(&str, &str); 5] = [
    ("name", "visitor"),
    ("locale", "en-GB"),
    ("last_page", "/catalogue/garden/tools/spades?sort=price&order=ascending"),
    ("cart", "0f8d2c61-6a0b-4a3e-9d55-3f1f8f0c7a11"),
    ("csrf", "pYq0mV9sXc3JbLr7TfWnZk2HdEgUaiOy"),
];

/// Rows in the table besides those of the clients.
pub const OTHERS: u32 = 100_000;

/// Sessions that the requests use.
const SESSIONS: usize = 1_000;

/// How a process is asked to run: `DATABASE SYNCHRONOUS timed|counted`.
pub struct Task {
    /// The file of an SQLite, or the URL of another database.
    pub database: String,
    /// `full` or `normal`. What a server does is its own setting.
    pub synchronous: String,
    /// Counting statements costs time.
    pub is_counted: bool,
}

impl Task {
    /// Reads the arguments of a process.
    ///
    /// # Errors
    ///
    /// There are others than those three.
    pub fn parse(arguments: &[String]) -> Result<Self, Box<dyn Error>> {
        let [database, synchronous, how] = arguments else {
            return Err("expected: DATABASE SYNCHRONOUS timed|counted".into());
        };
        let (database, synchronous) = (database.clone(), synchronous.clone());
        let is_counted = how == "counted";
        if is_counted {
            statements::count()?;
        }
        Ok(Self { database, synchronous, is_counted })
    }
}

/// Answers the lines on stdin, until there are no more.
///
/// # Errors
///
/// A request failed, or a line cannot be read.
pub async fn run(app: Router) -> Result<(), Box<dyn Error>> {
    let mut clients = Vec::new();
    for _ in 0..SESSIONS {
        let mut client = Client::new(app.clone());
        client.send("/new").await?;
        clients.push(Arc::new(client));
    }
    println!("ready");
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let [case, in_flight, requests] = line.split(' ').collect::<Vec<_>>()[..] else {
            return Err(format!("unexpected: {line}").into());
        };
        let path: Arc<str> = format!("/{case}").into();
        let (in_flight, requests): (usize, usize) = (in_flight.parse()?, requests.parse()?);
        let (before, begun) = (statements::counted(), Instant::now());
        let mut tasks = Vec::new();
        for first in 0..in_flight {
            let (path, clients) = (path.clone(), clients.clone());
            tasks.push(tokio::spawn(walk(path, clients, first, in_flight, requests)));
        }
        for task in tasks {
            task.await??;
        }
        let nanos = begun.elapsed().as_nanos();
        println!("{nanos} {}", statements::counted() - before);
    }
    Ok(())
}

/// Sends one request that makes a session.
///
/// # Errors
///
/// It was not answered with a session.
pub async fn visit(app: Router) -> Result<(), Box<dyn Error>> {
    Ok(Client::new(app).send("/new").await?)
}

/// One of several that send requests at the same time, no two for one session.
async fn walk(
    path: Arc<str>,
    clients: Vec<Arc<Client>>,
    first: usize,
    step: usize,
    requests: usize,
) -> Result<(), String> {
    let anybody = clients[0].stranger();
    for number in (first..requests).step_by(step) {
        match &*path {
            "/new" => anybody.clone().send(&path).await?,
            _ => clients[number % SESSIONS].ask(&path).await?,
        }
    }
    Ok(())
}
