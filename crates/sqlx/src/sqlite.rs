//! SQLite: the file, the lanes on it, and what each call does there.
//!
//! `open.rs` makes file and connections, `schema.rs` the table; `statements.rs` has the SQL of every call and
//! `operations.rs` its Rust; `failure.rs` says what an error of SQLite leaves done.

mod failure;
mod open;
mod operations;
mod schema;
mod statements;

use crate::{
    lanes::{Job, Queue},
    store::LANES,
};
use dframework_session_store::{Entry, Loaded, Outcome, StoreError, StoreKey, Stored};
use failure::Failure;
pub(crate) use open::open;
use operations::Operation;
pub(crate) use operations::{
    Commit, Count, Create, DeleteExpired, End, EndOwnedBy, Find, Load, OwnedBy, Scan, Touch,
};
pub(crate) use schema::{Migrate, REGISTRY, schema_sql};
use sqlx::{
    AssertSqlSafe, SqlitePool,
    pool::{CloseEvent, PoolConnection},
};
use statements::Statements;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout_at};

/// A table in a database, and how to get at it.
pub(crate) struct Database {
    pool: SqlitePool,
    table: String,
    /// The file, as it is named in errors.
    file: String,
    statements: Statements,
    custody: Custody,
    /// How long SQLite itself waits for a lock before the lane looks whether anybody still waits.
    busy_timeout: Duration,
}

/// What a lane does with its connection between two calls.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Custody {
    /// It keeps it, so that a call costs no more than its statements.
    Held,
    /// It gives it back: the pool has no more than the lanes would hold, and others need one too.
    Borrowed,
}

impl Custody {
    /// For a pool that others use too.
    pub(crate) fn in_pool(pool: &SqlitePool) -> Self {
        if pool.options().get_max_connections() > LANES { Self::Held } else { Self::Borrowed }
    }
}

impl Database {
    pub(crate) fn new(
        pool: SqlitePool,
        custody: Custody,
        table: String,
        patience: Duration,
    ) -> Self {
        let file = pool.connect_options().get_filename().display().to_string();
        let statements = Statements::new(&table);
        let busy_timeout = open::busy_timeout(patience);
        Self { pool, table, file, statements, custody, busy_timeout }
    }

    pub(crate) fn table(&self) -> &str {
        &self.table
    }

    pub(crate) fn file(&self) -> &str {
        &self.file
    }
}

/// A call that reads.
pub(crate) enum Read {
    Load(Job<Load, Vec<Loaded>>),
    Find(Job<Find, Option<Entry>>),
    OwnedBy(Job<OwnedBy, Vec<Entry>>),
    Count(Job<Count, u64>),
    Scan(Job<Scan, Vec<(StoreKey, Stored)>>),
}

/// A call that writes.
pub(crate) enum Write {
    Create(Job<Create, Outcome>),
    Commit(Job<Commit, Outcome>),
    Touch(Job<Touch, ()>),
    End(Job<End, bool>),
    DeleteExpired(Job<DeleteExpired, usize>),
    EndOwnedBy(Job<EndOwnedBy, usize>),
    Migrate(Job<Migrate, ()>),
}

/// A task with a connection of its own.
pub(crate) struct Lane {
    database: Arc<Database>,
    /// `None` before the first call, and after an error that may have harmed it.
    connection: Option<PoolConnection<sqlx::Sqlite>>,
    /// Somebody closes the pool.
    closed: CloseEvent,
}

impl Lane {
    pub(crate) fn new(database: Arc<Database>) -> Self {
        let closed = database.pool.close_event();
        Self { database, connection: None, closed }
    }

    /// Carries out what reads, until the store has gone.
    pub(crate) async fn read(mut self, queue: Queue<Read>) {
        while let Some(call) = self.next(&queue).await {
            match call {
                Read::Load(job) => self.serve(job).await,
                Read::Find(job) => self.serve(job).await,
                Read::OwnedBy(job) => self.serve(job).await,
                Read::Count(job) => self.serve(job).await,
                Read::Scan(job) => self.serve(job).await,
            }
        }
    }

    /// Carries out what writes, until the store has gone.
    pub(crate) async fn write(mut self, queue: Queue<Write>) {
        while let Some(call) = self.next(&queue).await {
            match call {
                Write::Create(job) => self.serve(job).await,
                Write::Commit(job) => self.serve(job).await,
                Write::Touch(job) => self.serve(job).await,
                Write::End(job) => self.serve(job).await,
                Write::DeleteExpired(job) => self.serve(job).await,
                Write::EndOwnedBy(job) => self.serve(job).await,
                Write::Migrate(job) => self.serve(job).await,
            }
        }
    }

    /// The next call. Whoever closes the pool waits for its connections, so one that is idle goes back.
    async fn next<C>(&mut self, queue: &Queue<C>) -> Option<C> {
        match self.closed.do_until(queue.next()).await {
            Ok(call) => call,
            Err(_) => {
                self.connection = None;
                queue.next().await
            }
        }
    }

    async fn serve<O: Operation>(&mut self, job: Job<O, O::Answer>) {
        if !job.take() {
            return;
        }
        let answer = self.carry_out(&job).await;
        if self.database.custody == Custody::Borrowed {
            self.connection = None;
        }
        job.answer(answer);
    }

    /// Carries a call out, again and again while somebody else holds the lock, for as long as its caller may wait.
    async fn carry_out<O: Operation>(
        &mut self,
        job: &Job<O, O::Answer>,
    ) -> Result<O::Answer, StoreError> {
        let database = self.database.clone();
        loop {
            let failure = match self.connection(job.deadline()).await {
                Ok(connection) => match job.operation().run(&database, connection).await {
                    Ok(answer) => return Ok(answer),
                    Err(failure) => failure,
                },
                Err(failure) => failure,
            };
            if !failure.leaves_the_connection_whole()
                && let Some(mut connection) = self.connection.take()
            {
                // Nor may it come back to a pool that others use.
                connection.close_on_drop();
            }
            let may_wait = Instant::now() < job.deadline() && !job.is_abandoned();
            if !(failure.is_busy() && may_wait) {
                return Err(failure.into_error(database.file(), O::ACCESS));
            }
            // SQLite has waited already where waiting helps; this is for where it refuses at once.
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// The connection of this lane.
    async fn connection(
        &mut self,
        deadline: Instant,
    ) -> Result<&mut sqlx::SqliteConnection, Failure> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect(deadline).await?,
        };
        Ok(&mut *self.connection.insert(connection))
    }

    async fn connect(&self, deadline: Instant) -> Result<PoolConnection<sqlx::Sqlite>, Failure> {
        let database = &self.database;
        let acquired = timeout_at(deadline, database.pool.acquire()).await;
        let mut connection =
            acquired.map_err(|_| Failure::NoConnection)?.map_err(Failure::opening)?;
        if database.custody == Custody::Held {
            // What is changed here must not come back to the pool.
            connection.close_on_drop();
            let wait = database.busy_timeout.as_millis();
            let pragma = AssertSqlSafe(format!("PRAGMA busy_timeout = {wait}"));
            sqlx::raw_sql(pragma).execute(&mut *connection).await.map_err(Failure::opening)?;
        }
        Ok(connection)
    }
}
