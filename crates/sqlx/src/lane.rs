//! A lane: a task that holds a connection and carries calls out on it, one after the other.
//!
//! What it takes is carried out whole. What was not done for a reason that passes is tried again while its caller still
//! waits. A connection that has failed is closed, and the next call opens another one.

use crate::{
    calls::{Read, Write},
    engine::{Connection, Custody, Engine, Link, Source, Table},
    failure::{Access, Failure, Next},
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
    /// When the database last answered.
    heard: Instant,
}

impl<E: Engine> Lane<E> {
    fn new(table: Arc<Table<E>>) -> Self {
        let closed = match &table.source {
            Source::Own(_) => None,
            Source::Pool(pool, _) => Some(pool.close_event()),
        };
        Self { table, link: None, closed, heard: Instant::now() }
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

    /// Carries a call out, again and again while that makes sense, for as long as its caller may wait.
    async fn carry_out<O: Operation>(
        &mut self,
        job: &Job<O, O::Answer>,
    ) -> Result<O::Answer, StoreError> {
        let table = self.table.clone();
        let mut once = Some(());
        loop {
            let failure = match self.attempt(job).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if !failure.leaves_the_connection_whole() {
                self.give_up_the_connection();
            }
            let may_wait = Instant::now() < job.deadline() && !job.is_abandoned();
            let again = match failure.next(O::ACCESS) {
                Next::Again => true,
                Next::Once => once.take().is_some(),
                Next::Stop => false,
            };
            if !(again && may_wait) {
                return Err(failure.into_error(&table.database, &table.name, O::ACCESS));
            }
            // The database has waited already where waiting helps; this is for where it refuses at once.
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Carries a call out once.
    async fn attempt<O: Operation>(
        &mut self,
        job: &Job<O, O::Answer>,
    ) -> Result<O::Answer, Failure> {
        let table = self.table.clone();
        let connection = self.connection(job.deadline(), O::ACCESS).await?;
        let running = job.operation().run(&table, connection);
        let answer = match O::ACCESS {
            Access::Rebuilds => running.await,
            // A little longer than the database itself waits, since its answer says what was done.
            Access::Reads | Access::Writes => {
                let answered = timeout_at(job.deadline() + table.patience / 5, running).await;
                answered.unwrap_or(Err(Failure::Unanswered))
            }
        };
        self.heard = Instant::now();
        answer
    }

    /// Closes the connection. Nor may it come back to a pool that others use.
    fn give_up_the_connection(&mut self) {
        if let Some(Link::Pooled(mut connection)) = self.link.take() {
            connection.close_on_drop();
        }
    }

    /// The connection of this lane.
    async fn connection(
        &mut self,
        deadline: Instant,
        access: Access,
    ) -> Result<&mut Connection<E>, Failure> {
        let mut known = self.link.take();
        if let Some(link) = &mut known
            && access != Access::Reads
            && E::SILENCE.is_some_and(|silence| self.heard.elapsed() >= silence)
            && !is_there(link, deadline).await
        {
            self.link = known.take();
            self.give_up_the_connection();
        }
        let link = match known {
            Some(link) => link,
            None => connect(&self.table, deadline).await?,
        };
        Ok(self.link.insert(link).connection())
    }
}

/// Whether somebody answers at the other end.
async fn is_there<D: sqlx::Database>(link: &mut Link<D>, deadline: Instant) -> bool {
    matches!(timeout_at(deadline, link.connection().ping()).await, Ok(Ok(())))
}

/// Whether a connection can be had, of which whoever opens a store wants to hear at once.
pub(crate) async fn reach<E: Engine>(table: &Table<E>) -> Result<(), StoreError> {
    let deadline = Instant::now() + table.patience;
    loop {
        let failure = match connect(table, deadline).await {
            Ok(Link::Own(connection)) => {
                // It has done its work; the lanes open theirs. Nobody waits for its end.
                let _ = connection.close().await;
                return Ok(());
            }
            Ok(Link::Pooled(_)) => return Ok(()),
            Err(failure) => failure,
        };
        if failure.next(Access::Reads) != Next::Again || Instant::now() >= deadline {
            return Err(failure.into_error(&table.database, &table.name, Access::Reads));
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// A new connection for a lane.
async fn connect<E: Engine>(table: &Table<E>, deadline: Instant) -> Result<Link<E::Db>, Failure> {
    let opening = |error| E::failure(error).while_opening();
    match &table.source {
        Source::Own(options) => {
            let connected = match E::SILENCE {
                // A file is opened or not, and a lock that is in the way is waited for there.
                None => options.connect().await,
                Some(_) => {
                    let connected = timeout_at(deadline, options.connect()).await;
                    connected.map_err(|_| Failure::Unreachable)?
                }
            };
            let mut connection = connected.map_err(opening)?;
            let settled = E::settle(&mut connection, table.lock_wait).await;
            settled.map_err(Failure::while_opening)?;
            Ok(Link::Own(connection))
        }
        Source::Pool(pool, custody) => {
            let acquired = timeout_at(deadline, pool.acquire()).await;
            let mut connection = acquired.map_err(|_| Failure::NoConnection)?.map_err(opening)?;
            if *custody == Custody::Held {
                // What is changed here must not come back to the pool.
                connection.close_on_drop();
                let adopted = E::adopt(&mut connection, table.lock_wait).await;
                adopted.map_err(Failure::while_opening)?;
            }
            Ok(Link::Pooled(connection))
        }
    }
}
