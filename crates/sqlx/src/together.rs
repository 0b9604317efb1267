//! Calls that are carried out together: what they are in the database, and who of them is answered what.

use crate::{
    calls::{Commit, Create, End, Load, Read, Write},
    engine::{Company, Connection, Engine, Steps, Table},
    failure::{Access, Failure, taken},
    lanes::{Job, Waiting},
    operations::{Operation, insert},
    sql::Value,
};
use dframework_session_store::{Loaded, Outcome, StoreError, StoreKey, Timestamp, Version};
use std::{error::Error, fmt, mem::discriminant, sync::Arc};
use tokio::time::Instant;

/// Something that a lane carries out, again where that makes sense.
pub(crate) trait Task: Sync {
    type Operation: Operation;

    fn operation(&self) -> &Self::Operation;

    /// Until when somebody can be told that nothing was done.
    fn deadline(&self) -> Instant;

    /// Whether nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;
}

impl<O: Operation> Task for Job<O, O::Answer> {
    type Operation = O;

    fn operation(&self) -> &O {
        self.operation()
    }

    fn deadline(&self) -> Instant {
        Waiting::deadline(self)
    }

    fn is_abandoned(&self) -> bool {
        Waiting::is_abandoned(self)
    }
}

/// Several calls as one task.
pub(crate) struct Joint<'c, C: Together> {
    calls: &'c [C],
    operation: C::Operation<'c>,
}

impl<'c, C: Together> Joint<'c, C> {
    pub(crate) fn new(calls: &'c [C]) -> Self {
        Self { calls, operation: C::operation(calls) }
    }
}

impl<'c, C: Together> Task for Joint<'c, C> {
    type Operation = C::Operation<'c>;

    fn operation(&self) -> &C::Operation<'c> {
        &self.operation
    }

    /// That of the call which has waited longest.
    fn deadline(&self) -> Instant {
        let deadlines = self.calls.iter().map(|call| call.waiting().deadline());
        deadlines.min().unwrap_or_else(Instant::now)
    }

    fn is_abandoned(&self) -> bool {
        self.calls.iter().all(|call| call.waiting().is_abandoned())
    }
}

/// Calls that go together.
pub(crate) trait Together: Sized + Send + Sync {
    /// What all of them are in the database.
    type Operation<'c>: Operation<Answer = Self::Answers>
    where
        Self: 'c;
    /// What comes back for all of them.
    type Answers: Send;
    const ACCESS: Access;

    fn operation(calls: &[Self]) -> Self::Operation<'_>;

    fn waiting(&self) -> &dyn Waiting;

    /// Gives each its own answer, all of them in the order in which they were asked.
    fn answer(calls: Vec<Self>, answers: Self::Answers);

    fn fail(self, error: StoreError);

    /// Which of them go together in a database that has this to say about it.
    fn groups(calls: Vec<Self>, company: Company) -> Vec<Vec<Self>>;
}

/// Each key once, in order.
pub(crate) struct Loads(Load);

impl Operation for Loads {
    type Answer = Vec<(StoreKey, Loaded)>;
    const ACCESS: Access = Access::Reads;

    async fn run<E: Engine>(
        &self,
        table: &Table<E>,
        connection: &mut Connection<E>,
    ) -> Result<Self::Answer, Failure> {
        let loaded = self.0.run(table, connection).await?;
        Ok(self.0.keys.iter().copied().zip(loaded).collect())
    }
}

impl Read {
    /// The keys that it asks for. Nothing else goes together.
    fn keys(&self) -> &[StoreKey] {
        match self {
            Self::Load(job) => &job.operation().keys,
            _ => &[],
        }
    }
}

impl Together for Read {
    type Operation<'c> = Loads;
    type Answers = Vec<(StoreKey, Loaded)>;
    const ACCESS: Access = Access::Reads;

    fn operation(calls: &[Self]) -> Loads {
        let mut keys: Vec<StoreKey> = calls.iter().flat_map(Self::keys).copied().collect();
        keys.sort_unstable();
        keys.dedup();
        Loads(Load { keys })
    }

    fn waiting(&self) -> &dyn Waiting {
        match self {
            Self::Load(job) => job,
            Self::Find(job) => job,
            Self::OwnedBy(job) => job,
            Self::Count(job) => job,
            Self::Scan(job) => job,
        }
    }

    fn answer(calls: Vec<Self>, answers: Vec<(StoreKey, Loaded)>) {
        for call in calls {
            let Self::Load(job) = call else { continue };
            let keys = job.operation().keys.iter();
            let found = keys.map(|key| {
                let place = answers.binary_search_by_key(key, |(key, _)| *key);
                place.map_or(Loaded::Unknown, |place| answers[place].1.clone())
            });
            let found = found.collect();
            job.answer(Ok(found));
        }
    }

    fn fail(self, error: StoreError) {
        match self {
            Self::Load(job) => job.answer(Err(error)),
            Self::Find(job) => job.answer(Err(error)),
            Self::OwnedBy(job) => job.answer(Err(error)),
            Self::Count(job) => job.answer(Err(error)),
            Self::Scan(job) => job.answer(Err(error)),
        }
    }

    fn groups(calls: Vec<Self>, _: Company) -> Vec<Vec<Self>> {
        vec![calls]
    }
}

/// One of several writes, each at a key of its own.
pub(crate) enum Writing<'c> {
    Create(&'c Create),
    Commit(&'c Commit),
    /// For as many calls as there are, until the latest instant of them.
    Touch(&'c StoreKey, Timestamp),
    End(&'c End),
}

/// In the order of their keys, so that those who write the same rows wait for each other in one order.
pub(crate) struct Writes<'c>(Vec<Writing<'c>>);

impl Operation for Writes<'_> {
    /// How many rows each has met.
    type Answer = Vec<u64>;
    const ACCESS: Access = Access::Writes;

    async fn run<E: Engine>(
        &self,
        table: &Table<E>,
        connection: &mut Connection<E>,
    ) -> Result<Vec<u64>, Failure> {
        E::write_together(table, connection, &self.0).await
    }
}

/// The writes one after the other, in the transaction of a lane.
pub(crate) struct OneByOne<'c>(pub(crate) &'c [Writing<'c>]);

impl<E: Engine> Steps<E> for OneByOne<'_> {
    type Answer = Vec<u64>;

    async fn carry_out(
        &self,
        table: &Table<E>,
        connection: &mut Connection<E>,
    ) -> Result<Vec<u64>, Failure> {
        let mut rows = Vec::with_capacity(self.0.len());
        for writing in self.0 {
            rows.push(writing.carry_out(table, connection).await?);
        }
        Ok(rows)
    }
}

impl Writing<'_> {
    pub(crate) fn key(&self) -> &StoreKey {
        match self {
            Self::Create(create) => &create.key,
            Self::Commit(commit) => &commit.key,
            Self::Touch(key, _) => key,
            Self::End(end) => &end.key,
        }
    }

    /// Carries it out by itself, and gives the number of rows that it has met.
    pub(crate) async fn carry_out<E: Engine>(
        &self,
        table: &Table<E>,
        connection: &mut Connection<E>,
    ) -> Result<u64, Failure> {
        match self {
            Self::Create(create) => insert(table, connection, create).await.map(|_| 1),
            Self::Commit(commit) => match commit.version() {
                Some(version) => E::save(table, connection, commit, version).await,
                None => Ok(0),
            },
            Self::Touch(key, expires_at) => {
                let values = [Value::key(key), Value::instant(*expires_at)];
                table.execute(connection, &table.statements.touch, &values).await
            }
            Self::End(end) => {
                let values = [Value::key(&end.key), Value::instant(end.remember_until)];
                table.execute(connection, &table.statements.end, &values).await
            }
        }
    }
}

impl Write {
    /// What it writes. Nothing else goes together.
    fn writing(&self) -> Option<Writing<'_>> {
        Some(match self {
            Self::Create(job) => Writing::Create(job.operation()),
            Self::Commit(job) => Writing::Commit(job.operation()),
            Self::Touch(job) => Writing::Touch(&job.operation().key, job.operation().expires_at),
            Self::End(job) => Writing::End(job.operation()),
            Self::DeleteExpired(_) | Self::EndOwnedBy(_) | Self::Migrate(_) => return None,
        })
    }
}

impl Write {
    /// What it means that this many rows were met.
    fn answer_with(self, rows: u64) {
        match self {
            Self::Create(job) => job.answer(match rows {
                0 => Err(taken()),
                _ => Ok(Outcome::Committed(Version(1))),
            }),
            Self::Commit(job) => {
                let outcome = job.operation().outcome(rows);
                job.answer(Ok(outcome));
            }
            Self::Touch(job) => job.answer(Ok(())),
            Self::End(job) => job.answer(Ok(rows > 0)),
            // They go alone.
            Self::DeleteExpired(_) | Self::EndOwnedBy(_) | Self::Migrate(_) => {}
        }
    }
}

/// What calls write, in the order of keys. Touches of one key, of which each has no other call, are one.
fn writings(calls: &[Write]) -> Vec<Writing<'_>> {
    let mut writings: Vec<_> = calls.iter().filter_map(Write::writing).collect();
    writings.sort_unstable_by_key(|writing| *writing.key());
    writings.dedup_by(|next, one| match (next, one) {
        (Writing::Touch(next, later), Writing::Touch(one, until)) if next == one => {
            *until = (*until).max(*later);
            true
        }
        _ => false,
    });
    writings
}

impl Together for Write {
    type Operation<'c> = Writes<'c>;
    type Answers = Vec<u64>;
    const ACCESS: Access = Access::Writes;

    fn operation(calls: &[Self]) -> Writes<'_> {
        Writes(writings(calls))
    }

    fn waiting(&self) -> &dyn Waiting {
        match self {
            Self::Create(job) => job,
            Self::Commit(job) => job,
            Self::Touch(job) => job,
            Self::End(job) => job,
            Self::DeleteExpired(job) => job,
            Self::EndOwnedBy(job) => job,
            Self::Migrate(job) => job,
        }
    }

    fn answer(calls: Vec<Self>, answers: Vec<u64>) {
        let writings = writings(&calls);
        let keys = writings.iter().map(|writing| *writing.key());
        let rows: Vec<(StoreKey, u64)> = keys.zip(answers).collect();
        for call in calls {
            let key = call.writing().map(|writing| *writing.key());
            let place = key.and_then(|key| rows.binary_search_by_key(&key, |(key, _)| *key).ok());
            let Some(place) = place else { continue };
            call.answer_with(rows[place].1);
        }
    }

    fn fail(self, error: StoreError) {
        match self {
            Self::Create(job) => job.answer(Err(error)),
            Self::Commit(job) => job.answer(Err(error)),
            Self::Touch(job) => job.answer(Err(error)),
            Self::End(job) => job.answer(Err(error)),
            Self::DeleteExpired(job) => job.answer(Err(error)),
            Self::EndOwnedBy(job) => job.answer(Err(error)),
            Self::Migrate(job) => job.answer(Err(error)),
        }
    }

    fn groups(calls: Vec<Self>, company: Company) -> Vec<Vec<Self>> {
        if company == Company::Any {
            return vec![calls];
        }
        let mut groups: Vec<Vec<Self>> = Vec::new();
        for call in calls {
            let alike = |group: &&mut Vec<Self>| {
                group.first().is_some_and(|first| discriminant(first) == discriminant(&call))
            };
            match groups.iter_mut().find(alike) {
                Some(group) => group.push(call),
                None => groups.push(vec![call]),
            }
        }
        groups
    }
}

/// The same error for each of several calls.
pub(crate) fn copies(error: StoreError) -> impl Fn() -> StoreError {
    let error = Arc::new(error);
    move || {
        let message = error.to_string();
        let copy = match error.outcome_is_unknown() {
            true => StoreError::unknown_outcome(message),
            false => StoreError::unavailable(message),
        };
        if error.source().is_some() { copy.with_source(Cause(error.clone())) } else { copy }
    }
}

/// The cause of an error that several calls share.
#[derive(Debug)]
struct Cause(Arc<StoreError>);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.source().map_or(Ok(()), |cause| fmt::Display::fmt(cause, f))
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()?.source()
    }
}
