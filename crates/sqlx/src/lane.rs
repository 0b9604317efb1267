//! A lane: a task that holds a connection and carries calls out on it, one after the other.
//!
//! What it takes is carried out whole. It is tried again while somebody else is in the way and its caller still waits.

use crate::{
    calls::{Read, Write},
    engine::{Connection, Custody, Engine, Link, Source, Table},
    failure::Failure,
    lanes::{Job, Queue},
    operations::Operation,
};
use dframework_session_store::StoreError;
use sqlx::{ConnectOptions, Connection as _, pool::CloseEvent};
use std::{sync::Arc, time::Duration};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep, timeout_at},
};

/// A table of some database, as the store sees it.
pub(crate) trait Backend: Send + Sync {
    /// The name of the table.
    fn table(&self) -> &str;

    /// The database, as it is named in errors.
    fn database(&self) -> &str;

    fn schema_sql(&self) -> String;

    /// Starts the lanes.
    fn start(self: Arc<Self>, runtime: &Handle, reads: Queue<Read>, writes: Queue<Write>);
}

impl<E: Engine> Backend for Table<E> {
    fn table(&self) -> &str {
        &self.name
    }

    fn database(&self) -> &str {
        &self.database
    }

    fn schema_sql(&self) -> String {
        E::schema_sql(&self.name)
    }

    fn start(self: Arc<Self>, runtime: &Handle, reads: Queue<Read>, writes: Queue<Write>) {
        for _ in 0..E::LANES.0 {
            runtime.spawn(Lane::new(self.clone()).read(reads.clone()));
        }
        for _ in 0..E::LANES.1 {
            runtime.spawn(Lane::new(self.clone()).write(writes.clone()));
        }
    }
}

/// A task with a connection of its own.
struct Lane<E: Engine> {
    table: Arc<Table<E>>,
    /// `None` before the first call, and after an error that may have harmed it.
    link: Option<Link<E::Db>>,
    /// Somebody closes the pool that the connection is from.
    closed: Option<CloseEvent>,
}

impl<E: Engine> Lane<E> {
    fn new(table: Arc<Table<E>>) -> Self {
        let closed = match &table.source {
            Source::Own(_) => None,
            Source::Pool(pool, _) => Some(pool.close_event()),
        };
        Self { table, link: None, closed }
    }

    /// Carries out what reads, until the store has gone.
    async fn read(mut self, queue: Queue<Read>) {
        while let Some(call) = self.next(&queue).await {
            match call {
                Read::Load(job) => self.serve(job).await,
                Read::Find(job) => self.serve(job).await,
                Read::OwnedBy(job) => self.serve(job).await,
                Read::Count(job) => self.serve(job).await,
                Read::Scan(job) => self.serve(job).await,
            }
        }
        self.close().await;
    }

    /// Carries out what writes, until the store has gone.
    async fn write(mut self, queue: Queue<Write>) {
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
        self.close().await;
    }

    /// The next call. Whoever closes the pool waits for its connections, so one that is idle goes back.
    async fn next<C>(&mut self, queue: &Queue<C>) -> Option<C> {
        if let Some(closed) = &mut self.closed {
            match closed.do_until(queue.next()).await {
                Ok(call) => return call,
                Err(_) => self.link = None,
            }
        }
        queue.next().await
    }

    /// Says goodbye, which a server would otherwise note as a connection that broke.
    async fn close(self) {
        if let Some(Link::Own(connection)) = self.link {
            // Nobody waits for it any more.
            let _ = connection.close().await;
        }
    }

    async fn serve<O: Operation>(&mut self, job: Job<O, O::Answer>) {
        if !job.take() {
            return;
        }
        let answer = self.carry_out(&job).await;
        if let Source::Pool(_, Custody::Borrowed) = self.table.source {
            self.link = None;
        }
        job.answer(answer);
    }

    /// Carries a call out, again and again while somebody else is in the way, for as long as its caller may wait.
    async fn carry_out<O: Operation>(
        &mut self,
        job: &Job<O, O::Answer>,
    ) -> Result<O::Answer, StoreError> {
        let table = self.table.clone();
        loop {
            let failure = match self.connection(job.deadline()).await {
                Ok(connection) => match job.operation().run(&table, connection).await {
                    Ok(answer) => return Ok(answer),
                    Err(failure) => failure,
                },
                Err(failure) => failure,
            };
            if !failure.leaves_the_connection_whole() {
                self.give_up_the_connection();
            }
            let may_wait = Instant::now() < job.deadline() && !job.is_abandoned();
            if !(failure.is_busy() && may_wait) {
                return Err(failure.into_error(&table.database, O::ACCESS));
            }
            // The database has waited already where waiting helps; this is for where it refuses at once.
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Closes the connection. Nor may it come back to a pool that others use.
    fn give_up_the_connection(&mut self) {
        if let Some(Link::Pooled(mut connection)) = self.link.take() {
            connection.close_on_drop();
        }
    }

    /// The connection of this lane.
    async fn connection(&mut self, deadline: Instant) -> Result<&mut Connection<E>, Failure> {
        let link = match self.link.take() {
            Some(link) => link,
            None => connect(&self.table, deadline).await?,
        };
        Ok(self.link.insert(link).connection())
    }
}

/// A new connection for a lane.
async fn connect<E: Engine>(table: &Table<E>, deadline: Instant) -> Result<Link<E::Db>, Failure> {
    let opening = |error| E::failure(error).while_opening();
    match &table.source {
        Source::Own(options) => {
            let connected = timeout_at(deadline, options.connect()).await;
            Ok(Link::Own(connected.map_err(|_| Failure::NoConnection)?.map_err(opening)?))
        }
        Source::Pool(pool, custody) => {
            let acquired = timeout_at(deadline, pool.acquire()).await;
            let mut connection = acquired.map_err(|_| Failure::NoConnection)?.map_err(opening)?;
            if *custody == Custody::Held {
                // What is changed here must not come back to the pool.
                connection.close_on_drop();
                E::adopt(&mut connection, table.lock_wait).await.map_err(opening)?;
            }
            Ok(Link::Pooled(connection))
        }
    }
}
