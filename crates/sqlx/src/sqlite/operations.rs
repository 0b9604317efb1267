//! What each call does in the database: one statement, or one transaction.

use super::{
    Database,
    failure::{Access, Failure},
    statements::{MOST_KEYS, Statements},
};
use dframework_session_store::{
    Change, Entry, Loaded, NewRecord, Outcome, Page, SessionId, StoreKey, Stored, Timestamp,
    Tombstone, Version,
};
use sqlx::{
    Executor, Row, SqliteConnection,
    sqlite::{SqliteArguments, SqliteRow},
};
use std::future::Future;

/// A call, with what it was given.
pub(crate) trait Operation: Send + Sync {
    type Answer: Send;
    const ACCESS: Access;

    /// Carries it out. A failure leaves nothing done, unless it says otherwise.
    fn run(
        &self,
        database: &Database,
        connection: &mut SqliteConnection,
    ) -> impl Future<Output = Result<Self::Answer, Failure>> + Send;
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, SqliteArguments>;

fn millis(instant: Timestamp) -> i64 {
    // No instant is beyond the last that fits.
    i64::try_from(instant.as_millis()).unwrap_or(i64::MAX)
}

fn at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn bind_key<'q>(query: Query<'q>, key: &'q StoreKey) -> Query<'q> {
    query.bind(key.as_bytes().as_slice())
}

/// A key that comes before every other.
const FIRST: &[u8] = &[];

fn behind(after: Option<&StoreKey>) -> &[u8] {
    after.map_or(FIRST, |key| key.as_bytes())
}

/// Steps that are done whole or not at all.
pub(super) trait Steps: Send + Sync {
    type Answer: Send;

    fn carry_out(
        &self,
        connection: &mut SqliteConnection,
    ) -> impl Future<Output = Result<Self::Answer, Failure>> + Send;
}

/// Carries steps out in a transaction that has the right to write from its beginning, so that nobody is in its way
/// once it has begun.
pub(super) async fn transaction<S: Steps>(
    connection: &mut SqliteConnection,
    steps: S,
) -> Result<S::Answer, Failure> {
    connection.execute("BEGIN IMMEDIATE").await?;
    let failure = match steps.carry_out(connection).await {
        Ok(answer) => match connection.execute("COMMIT").await {
            Ok(_) => return Ok(answer),
            Err(error) => Failure::from(error),
        },
        Err(failure) => failure,
    };
    match connection.execute("ROLLBACK").await {
        Ok(_) => Err(failure),
        // Some errors end the transaction by themselves. Others are more than this connection is worth.
        Err(_) => Err(failure.with_connection_lost()),
    }
}

/// Reads what is at keys, in their order.
pub(crate) struct Load {
    pub(crate) keys: Vec<StoreKey>,
}

impl Operation for Load {
    type Answer = Vec<Loaded>;
    const ACCESS: Access = Access::Reads;

    async fn run(
        &self,
        database: &Database,
        connection: &mut SqliteConnection,
    ) -> Result<Vec<Loaded>, Failure> {
        let mut answers = vec![Loaded::Unknown; self.keys.len()];
        for (keys, answers) in self.keys.chunks(MOST_KEYS).zip(answers.chunks_mut(MOST_KEYS)) {
            let (sql, places) = database.statements.load(keys.len());
            // A statement has more places than there are keys; the last key fills the others.
            let asked = (0..places).filter_map(|place| keys.get(place).or(keys.last()));
            let query = asked.fold(sqlx::query(sql.clone()), |query, key| bind_key(query, key));
            for row in query.fetch_all(&mut *connection).await? {
                fill(keys, answers, key(&row)?, loaded(&row)?);
            }
        }
        Ok(answers)
    }
}

/// Puts an answer wherever its key was asked for.
fn fill(keys: &[StoreKey], answers: &mut [Loaded], key: StoreKey, loaded: Loaded) {
    let mut places = keys.iter().zip(answers).filter(|(asked, _)| **asked == key);
    if let Some((_, first)) = places.next() {
        places.for_each(|(_, answer)| *answer = loaded.clone());
        *first = loaded;
    }
}

/// Makes a record, and ends the key that its request has brought.
pub(crate) struct Create {
    key: StoreKey,
    record: Record,
    created: Timestamp,
    presented: Option<Tombstone>,
    now: Timestamp,
}

/// What a commit writes.
struct Record {
    expires_at: Timestamp,
    owner: Option<String>,
    meta: Vec<u8>,
    payload: Vec<u8>,
}

impl Record {
    fn bind<'q>(&'q self, query: Query<'q>) -> Query<'q> {
        query
            .bind(millis(self.expires_at))
            .bind(self.owner.as_deref())
            .bind(self.meta.as_slice())
            .bind(self.payload.as_slice())
    }
}

impl Create {
    pub(crate) fn new(key: StoreKey, new: &NewRecord<'_>, now: Timestamp) -> Self {
        let record = Record {
            expires_at: new.expires_at,
            owner: new.owner.map(str::to_owned),
            meta: new.meta.to_vec(),
            payload: new.bytes.to_vec(),
        };
        Self { key, record, created: new.created, presented: new.presented, now }
    }

    async fn insert(
        &self,
        database: &Database,
        connection: &mut SqliteConnection,
    ) -> Result<Outcome, Failure> {
        let query = bind_key(sqlx::query(database.statements.create.clone()), &self.key);
        let query = self.record.bind(query.bind(millis(self.created)));
        query.execute(connection).await?;
        Ok(Outcome::Committed(Version(1)))
    }
}

impl Operation for Create {
    type Answer = Outcome;
    const ACCESS: Access = Access::Writes;

    async fn run(
        &self,
        database: &Database,
        connection: &mut SqliteConnection,
    ) -> Result<Outcome, Failure> {
        match self.presented {
            None => self.insert(database, connection).await,
            Some(presented) => {
                transaction(connection, CreateOver { create: self, presented, database }).await
            }
        }
    }
}

/// Ends the presented key, then makes the record.
struct CreateOver<'a> {
    create: &'a Create,
    presented: Tombstone,
    database: &'a Database,
}

impl Steps for CreateOver<'_> {
    type Answer = Outcome;

    async fn carry_out(&self, connection: &mut SqliteConnection) -> Result<Outcome, Failure> {
        let Self { create, presented, database } = self;
        let ended = bind_key(sqlx::query(database.statements.present.clone()), &presented.key)
            .bind(millis(create.now))
            .bind(millis(presented.remember_until))
            .bind(millis(create.now))
            .execute(&mut *connection);
        if ended.await?.rows_affected() == 0 {
            return Ok(Outcome::Gone);
        }
        create.insert(database, connection).await
    }
}

/// Replaces a record that has the version which somebody has seen.
pub(crate) struct Commit {
    key: StoreKey,
    expected: Version,
    record: Record,
    move_to: Option<StoreKey>,
    remember_until: Timestamp,
}

impl Commit {
    pub(crate) fn new(key: StoreKey, expected: Version, change: &Change<'_>) -> Self {
        let record = Record {
            expires_at: change.expires_at,
            owner: change.owner.map(str::to_owned),
            meta: change.meta.to_vec(),
            payload: change.bytes.to_vec(),
        };
        let Change { move_to, remember_until, .. } = *change;
        Self { key, expected, record, move_to, remember_until }
    }

    /// What it means that this many rows had the version. A record that is gone looks like a conflict: whoever
    /// loads it again learns that.
    fn outcome(&self, rows: u64) -> Outcome {
        if rows == 0 { Outcome::Conflict } else { Outcome::Committed(Version(self.expected.0 + 1)) }
    }
}

impl Operation for Commit {
    type Answer = Outcome;
    const ACCESS: Access = Access::Writes;

    async fn run(
        &self,
        database: &Database,
        connection: &mut SqliteConnection,
    ) -> Result<Outcome, Failure> {
        // No record has a version that its column could not hold.
        let Ok(version) = i64::try_from(self.expected.0) else { return Ok(Outcome::Conflict) };
        if let Some(to) = self.move_to {
            return transaction(connection, Move { commit: self, version, to, database }).await;
        }
        // Most saves change the payload alone. Either statement compares the version and is whole by itself.
        let Statements { save, commit, .. } = &database.statements;
        let mut rows = 0;
        for statement in [save, commit] {
            let query = bind_key(sqlx::query(statement.clone()), &self.key);
            let query = self.record.bind(query.bind(version));
            rows = query.execute(&mut *connection).await?.rows_affected();
            if rows > 0 {
                break;
            }
        }
        Ok(self.outcome(rows))
    }
}

/// Puts the record at its new key, then a tombstone at the old one.
struct Move<'a> {
    commit: &'a Commit,
    version: i64,
    to: StoreKey,
    database: &'a Database,
}

impl Steps for Move<'_> {
    type Answer = Outcome;

    async fn carry_out(&self, connection: &mut SqliteConnection) -> Result<Outcome, Failure> {
        let Self { commit, version, to, database } = self;
        let query = bind_key(sqlx::query(database.statements.arrive.clone()), &commit.key);
        let query = commit.record.bind(bind_key(query.bind(version), to));
        let arrived = query.execute(&mut *connection).await?.rows_affected();
        if arrived > 0 {
            let query = bind_key(sqlx::query(database.statements.leave.clone()), &commit.key);
            query.bind(millis(commit.remember_until)).execute(connection).await?;
        }
        Ok(commit.outcome(arrived))
    }
}

/// Lets a record live longer.
pub(crate) struct Touch {
    pub(crate) key: StoreKey,
    pub(crate) expires_at: Timestamp,
}

impl Operation for Touch {
    type Answer = ();
    const ACCESS: Access = Access::Writes;

    async fn run(
        &self,
        database: &Database,
        connection: &mut SqliteConnection,
    ) -> Result<(), Failure> {
        let query = bind_key(sqlx::query(database.statements.touch.clone()), &self.key);
        query.bind(millis(self.expires_at)).execute(connection).await?;
        Ok(())
    }
}

/// Puts a tombstone in the place of a record.
pub(crate) struct End {
    pub(crate) key: StoreKey,
    pub(crate) remember_until: Timestamp,
}

impl Operation for End {
    type Answer = bool;
    const ACCESS: Access = Access::Writes;

    async fn run(
        &self,
        database: &Database,
        connection: &mut SqliteConnection,
    ) -> Result<bool, Failure> {
        let query = bind_key(sqlx::query(database.statements.end.clone()), &self.key);
        let done = query.bind(millis(self.remember_until)).execute(connection).await?;
        Ok(done.rows_affected() > 0)
    }
}

/// Deletes some of what has expired.
pub(crate) struct DeleteExpired {
    pub(crate) now: Timestamp,
    pub(crate) limit: usize,
}

impl Operation for DeleteExpired {
    type Answer = usize;
    const ACCESS: Access = Access::Writes;

    async fn run(
        &self,
        database: &Database,
        connection: &mut SqliteConnection,
    ) -> Result<usize, Failure> {
        let query = sqlx::query(database.statements.delete_expired.clone());
        let query = query.bind(millis(self.now)).bind(at_most(self.limit));
        Ok(rows(query.execute(connection).await?.rows_affected()))
    }
}

/// Finds a record by the first half of its key.
pub(crate) struct Find {
    pub(crate) id: SessionId,
}

impl Operation for Find {
    type Answer = Option<Entry>;
    const ACCESS: Access = Access::Reads;

    async fn run(
        &self,
        database: &Database,
        connection: &mut SqliteConnection,
    ) -> Result<Option<Entry>, Failure> {
        let keys = self.id.keys();
        let query = bind_key(sqlx::query(database.statements.find.clone()), keys.start());
        let row = bind_key(query, keys.end()).fetch_optional(connection).await?;
        row.map(|row| entry(&row)).transpose()
    }
}

/// Lists the records of an owner.
pub(crate) struct OwnedBy {
    pub(crate) owner: String,
    pub(crate) now: Timestamp,
    pub(crate) page: Page,
}

impl Operation for OwnedBy {
    type Answer = Vec<Entry>;
    const ACCESS: Access = Access::Reads;

    async fn run(
        &self,
        database: &Database,
        connection: &mut SqliteConnection,
    ) -> Result<Vec<Entry>, Failure> {
        let query = sqlx::query(database.statements.owned_by.clone())
            .bind(self.owner.as_str())
            .bind(behind(self.page.after.as_ref()))
            .bind(millis(self.now))
            .bind(at_most(self.page.limit));
        query.fetch_all(connection).await?.iter().map(entry).collect()
    }
}

/// Puts tombstones in the place of an owner's records.
pub(crate) struct EndOwnedBy {
    pub(crate) owner: String,
    pub(crate) except: Option<StoreKey>,
    pub(crate) remember_until: Timestamp,
}

impl Operation for EndOwnedBy {
    type Answer = usize;
    const ACCESS: Access = Access::Writes;

    async fn run(
        &self,
        database: &Database,
        connection: &mut SqliteConnection,
    ) -> Result<usize, Failure> {
        let query = sqlx::query(database.statements.end_owned_by.clone())
            .bind(self.owner.as_str())
            .bind(behind(self.except.as_ref()))
            .bind(millis(self.remember_until));
        Ok(rows(query.execute(connection).await?.rows_affected()))
    }
}

/// Counts what lives.
pub(crate) struct Count {
    pub(crate) now: Timestamp,
}

impl Operation for Count {
    type Answer = u64;
    const ACCESS: Access = Access::Reads;

    async fn run(
        &self,
        database: &Database,
        connection: &mut SqliteConnection,
    ) -> Result<u64, Failure> {
        let query = sqlx::query(database.statements.count.clone()).bind(millis(self.now));
        number(&query.fetch_one(connection).await?, 0)
    }
}

/// Reads records in the order of their keys.
pub(crate) struct Scan {
    pub(crate) after: Option<StoreKey>,
    pub(crate) limit: usize,
}

impl Operation for Scan {
    type Answer = Vec<(StoreKey, Stored)>;
    const ACCESS: Access = Access::Reads;

    async fn run(
        &self,
        database: &Database,
        connection: &mut SqliteConnection,
    ) -> Result<Vec<(StoreKey, Stored)>, Failure> {
        let query = sqlx::query(database.statements.scan.clone())
            .bind(behind(self.after.as_ref()))
            .bind(at_most(self.limit));
        let rows = query.fetch_all(connection).await?;
        rows.iter().map(|row| Ok((key(row)?, stored(row, payload(row)?)?))).collect()
    }
}

fn rows(affected: u64) -> usize {
    usize::try_from(affected).unwrap_or(usize::MAX)
}

/// A row of `load`: the columns key, version, `expires_at`, meta, payload.
fn loaded(row: &SqliteRow) -> Result<Loaded, Failure> {
    Ok(match column::<Option<&[u8]>>(row, 4)? {
        Some(payload) => Loaded::Live(stored(row, payload)?),
        None => Loaded::Ended { until: instant(row, 2)? },
    })
}

fn payload(row: &SqliteRow) -> Result<&[u8], Failure> {
    column(row, 4)
}

/// A row of `load` or `scan` that has this payload.
fn stored(row: &SqliteRow, payload: &[u8]) -> Result<Stored, Failure> {
    let mut stored = Stored::new(payload.to_vec(), Version(number(row, 1)?), instant(row, 2)?);
    stored.meta = column::<&[u8]>(row, 3)?.to_vec();
    Ok(stored)
}

/// A row of a list: the columns key, created, `expires_at`, meta.
fn entry(row: &SqliteRow) -> Result<Entry, Failure> {
    let mut entry = Entry::new(key(row)?, instant(row, 1)?, instant(row, 2)?);
    entry.meta = column::<&[u8]>(row, 3)?.to_vec();
    Ok(entry)
}

fn key(row: &SqliteRow) -> Result<StoreKey, Failure> {
    let bytes = column::<&[u8]>(row, 0)?;
    let bytes = bytes.try_into().map_err(|_| Failure::Unreadable("has a key of another length"))?;
    Ok(StoreKey::from_bytes(bytes))
}

fn instant(row: &SqliteRow, index: usize) -> Result<Timestamp, Failure> {
    number(row, index).map(Timestamp::from_millis)
}

fn number(row: &SqliteRow, index: usize) -> Result<u64, Failure> {
    let number = u64::try_from(column::<i64>(row, index)?);
    number.map_err(|_| Failure::Unreadable("has a negative number"))
}

fn column<'r, T>(row: &'r SqliteRow, index: usize) -> Result<T, Failure>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(index).map_err(|_| Failure::Unreadable("has a value of another type"))
}
