//! A lane: a task that holds a connection and carries calls out on it, those that wait together as one.
//!
//! What it takes is carried out whole. What was not done for a reason that passes is tried again while its caller still
//! waits. A connection that has failed is closed, and the next call opens another one.

use crate::{
    calls::{Read, Write},
    engine::{Connection, ConnectionOptions, Custody, Engine, Link, Manner, Source, Table},
    failure::{Access, Failure, Next},
    lanes::{Job, Queue},
    operations::Operation,
    party::Call,
    together::{Joint, Task, Together, copies},
};
use dframework_session_store::StoreError;
use sqlx::{ConnectOptions, Connection as _, pool::CloseEvent};
use std::{future::Future, sync::Arc, time::Duration};
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
            runtime.spawn(Lane::new(self.clone()).work(reads.clone()));
        }
        for _ in 0..E::LANES.1 {
            runtime.spawn(Lane::new(self.clone()).work(writes.clone()));
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

    /// Carries out what waits, until the store has gone.
    async fn work<C: Serve>(mut self, queue: Queue<C>) {
        while let Some(calls) = self.next(&queue).await {
            self.serve_all(calls).await;
            if let (Source::Pool(_, Custody::Borrowed), Some(Link::Pooled(_))) =
                (&self.table.source, &self.link)
            {
                self.link = None;
            }
        }
        self.close().await;
    }

    /// The next calls. Whoever closes the pool waits for its connections, so one that is idle goes back.
    async fn next<C: Call>(&mut self, queue: &Queue<C>) -> Option<Vec<C>> {
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

    async fn serve_all<C: Serve>(&mut self, mut calls: Vec<C>) {
        calls.retain(|call| call.waiting().take());
        for mut calls in C::groups(calls, E::COMPANY) {
            while calls.len() > 1 {
                calls = self.serve_together(calls).await;
            }
            for call in calls {
                call.serve_alone(self).await;
            }
        }
    }

    /// Carries calls out together and answers them. Gives back those for which there is time to try again.
    async fn serve_together<C: Serve>(&mut self, calls: Vec<C>) -> Vec<C> {
        let carried_out = self.carry_out(&Joint::new(&calls)).await;
        let failure = match carried_out {
            Ok(answers) => {
                C::answer(calls, answers);
                return Vec::new();
            }
            Err(failure) => failure,
        };
        if failure.may_be_of_one_call() {
            // Nothing was done, and whoever is to blame is not to harm the others.
            for call in calls {
                call.serve_alone(self).await;
            }
            return Vec::new();
        }
        let (now, may_pass) = (Instant::now(), failure.may_pass());
        let error = copies(failure.into_error(&self.table.database, &self.table.name, C::ACCESS));
        let may_wait = |call: &C| may_pass && call.waiting().deadline() > now;
        let (again, late): (Vec<_>, Vec<_>) = calls.into_iter().partition(may_wait);
        for call in late {
            call.fail(error());
        }
        again
    }

    async fn serve<O: Operation>(&mut self, job: Job<O, O::Answer>) {
        let answer = self.carry_out(&job).await;
        let (database, table) = (&self.table.database, &self.table.name);
        job.answer(answer.map_err(|failure| failure.into_error(database, table, O::ACCESS)));
    }

    /// Carries something out, again and again while somebody else is in the way, for as long as its callers may wait.
    async fn carry_out<T: Task>(
        &mut self,
        task: &T,
    ) -> Result<<T::Operation as Operation>::Answer, Failure> {
        let (mut once, mut told) = (Some(()), None::<Failure>);
        loop {
            let failure = match self.attempt(task).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if !failure.leaves_the_connection_whole() {
                self.give_up_the_connection();
            }
            let may_wait = Instant::now() < task.deadline() && !task.is_abandoned();
            let again = match failure.next(<T::Operation as Operation>::ACCESS) {
                Next::Again => true,
                Next::Once => once.take().is_some(),
                Next::Stop => false,
            };
            // That nothing came of the last attempt says less than what came of those before it.
            let failure = match told.take() {
                Some(earlier) if failure.says_less_than(&earlier) => earlier,
                _ => failure,
            };
            if !(again && may_wait) {
                return Err(failure);
            }
            told = Some(failure);
            // The database has waited already where waiting helps; this is for where it refuses at once.
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Carries it out once, unless those who went before it have used up its time.
    async fn attempt<T: Task>(
        &mut self,
        task: &T,
    ) -> Result<<T::Operation as Operation>::Answer, Failure> {
        let table = self.table.clone();
        let access = <T::Operation as Operation>::ACCESS;
        if Instant::now() >= task.deadline() {
            return Err(Failure::Late);
        }
        let connection = self.connection(task.deadline(), access).await?;
        let running = task.operation().run(&table, connection);
        let answer = match access {
            Access::Rebuilds => running.await,
            Access::Reads | Access::Writes => {
                let answered = timeout_at(task.deadline() + table.grace, running).await;
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

/// Calls that a lane serves.
trait Serve: Call + Together + 'static {
    /// Carries it out and answers it.
    fn serve_alone<E: Engine>(self, lane: &mut Lane<E>) -> impl Future<Output = ()> + Send;
}

impl Serve for Read {
    async fn serve_alone<E: Engine>(self, lane: &mut Lane<E>) {
        match self {
            Self::Load(job) => lane.serve(job).await,
            Self::Find(job) => lane.serve(job).await,
            Self::OwnedBy(job) => lane.serve(job).await,
            Self::Count(job) => lane.serve(job).await,
            Self::Scan(job) => lane.serve(job).await,
        }
    }
}

impl Serve for Write {
    async fn serve_alone<E: Engine>(self, lane: &mut Lane<E>) {
        match self {
            Self::Create(job) => lane.serve(job).await,
            Self::Commit(job) => lane.serve(job).await,
            Self::Touch(job) => lane.serve(job).await,
            Self::End(job) => lane.serve(job).await,
            Self::DeleteExpired(job) => lane.serve(job).await,
            Self::EndOwnedBy(job) => lane.serve(job).await,
            Self::Migrate(job) => lane.serve(job).await,
        }
    }
}

/// Whether somebody answers at the other end.
async fn is_there<D: sqlx::Database>(link: &mut Link<D>, deadline: Instant) -> bool {
    matches!(timeout_at(deadline, link.connection().ping()).await, Ok(Ok(())))
}

/// Whether a connection can be had, of which whoever opens a store wants to hear at once.
pub(crate) async fn reach<E: Engine>(table: &Table<E>) -> Result<(), StoreError> {
    let deadline = Instant::now() + table.patience;
    let mut told = None;
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
            // Time that ran out in the middle of another attempt says less than what the server has said.
            let failure =
                told.filter(|_| matches!(failure, Failure::Unreachable)).unwrap_or(failure);
            return Err(failure.into_error(&table.database, &table.name, Access::Reads));
        }
        told = Some(failure);
        sleep(Duration::from_millis(5)).await;
    }
}

/// A connection of the lane's own.
async fn open<E: Engine>(
    table: &Table<E>,
    options: &ConnectionOptions<E>,
    deadline: Instant,
) -> Result<Link<E::Db>, Failure> {
    let connected = match E::SILENCE {
        // A file is opened or not, and a lock that is in the way is waited for there.
        None => options.connect().await,
        Some(_) => {
            let connected = timeout_at(deadline, options.connect()).await;
            connected.map_err(|_| Failure::Unreachable)?
        }
    };
    let mut connection = connected.map_err(|error| E::failure(error).while_opening())?;
    let settling = timeout_at(deadline, E::settle(table, &mut connection)).await;
    settling.unwrap_or(Err(Failure::Unreachable)).map_err(Failure::while_opening)?;
    Ok(Link::Own(connection))
}

/// A new connection for a lane.
async fn connect<E: Engine>(table: &Table<E>, deadline: Instant) -> Result<Link<E::Db>, Failure> {
    let opening = |error| E::failure(error).while_opening();
    match &table.source {
        Source::Own(options) => open(table, options, deadline).await,
        Source::Pool(pool, custody) => {
            let examining = table.manner.get_or_try_init(|| E::examine(pool));
            let examined = timeout_at(deadline, examining).await;
            let manner = examined.unwrap_or(Err(Failure::Unreachable));
            if *manner.map_err(Failure::while_opening)? == Manner::Whole {
                // Statements hold their values then, and the pool's own connections may log them.
                let options = pool.connect_options().as_ref().clone().disable_statement_logging();
                return open(table, &options, deadline).await;
            }
            let acquired = timeout_at(deadline, pool.acquire()).await;
            let mut connection = acquired.map_err(|_| Failure::NoConnection)?.map_err(opening)?;
            if *custody == Custody::Held {
                // What is changed here must not come back to the pool.
                connection.close_on_drop();
                let adopting = timeout_at(deadline, E::adopt(table, &mut connection)).await;
                adopting.unwrap_or(Err(Failure::Unreachable)).map_err(Failure::while_opening)?;
            }
            Ok(Link::Pooled(connection))
        }
    }
}
