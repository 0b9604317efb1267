//! What a database must tell before the lanes can work on it, and the table that they work on.
//!
//! All that is the same for every database is outside of the engines: the queue, the custody of connections, the
//! calls, what is tried again. An engine has its own words, its own errors, and the few calls that take other steps there.

use crate::{
    calls::{Commit, Create, EndOwnedBy},
    failure::Failure,
    sql::{Dialect, Sql, Value, Writer},
    statements::Statements,
    together::{OneByOne, Writing},
    wire::Wire,
};
use dframework_session_store::{Outcome, StoreKey, Timestamp, Tombstone};
use sqlx::{AssertSqlSafe, Database, SqlSafeStr, SqlStr, error::BoxDynError, pool::PoolConnection};
use std::{future::Future, time::Duration};
use tokio::sync::OnceCell;

/// A database that the lanes can work on.
pub(crate) trait Engine: Sized + Send + Sync + 'static {
    type Db: Wire;

    const DIALECT: Dialect;
    /// How many connections read, and how many write.
    const LANES: (u32, u32);
    /// Begins a transaction, by one statement: see [`Wire::script`].
    const BEGIN: &'static str;
    /// How long a connection may be silent before it is asked whether it is still there, where something is to be
    /// written. A connection that dies with a statement on its way leaves nobody knowing whether it was carried out.
    const SILENCE: Option<Duration>;
    /// The shortest time for which it can be told to wait for a lock.
    const LEAST_LOCK_WAIT: Duration = Duration::ZERO;
    /// Which writes go together.
    const COMPANY: Company = Company::Any;

    /// With its own statements for a table.
    fn new(writer: &Writer<'_>) -> Self;

    /// Puts a value behind the others.
    fn bind(arguments: &mut Arguments<Self>, value: &Value<'_>) -> Result<(), BoxDynError>;

    fn rows_affected(result: &<Self::Db as Database>::QueryResult) -> u64;

    /// What an error of a statement leaves done.
    fn failure(error: sqlx::Error) -> Failure;

    /// What stands before a statement that goes whole.
    fn before_whole(_table: &Table<Self>) -> String {
        String::new()
    }

    /// Refuses values of which it is known that the server does not take them. They are not sent.
    fn check(&self, _values: &[&Value<'_>]) -> Result<(), Failure> {
        Ok(())
    }

    /// Sets a connection up that a lane has opened.
    fn settle(
        _table: &Table<Self>,
        _connection: &mut Connection<Self>,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        async { Ok(()) }
    }

    /// Finds out how statements are to go to somebody else's pool.
    fn examine(
        _pool: &sqlx::Pool<Self::Db>,
    ) -> impl Future<Output = Result<Manner, Failure>> + Send {
        async { Ok(Manner::Prepared) }
    }

    /// Sets a connection up that a lane keeps of somebody else's pool, whose settings stay as they are.
    fn adopt(
        _table: &Table<Self>,
        _connection: &mut Connection<Self>,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        async { Ok(()) }
    }

    /// Begins a transaction.
    fn begin(
        _table: &Table<Self>,
        connection: &mut Connection<Self>,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        script::<Self>(connection, Self::BEGIN)
    }

    /// Ends the presented key and makes a record, in one step.
    fn create_over(
        table: &Table<Self>,
        connection: &mut Connection<Self>,
        create: &Create,
        presented: &Tombstone,
    ) -> impl Future<Output = Result<Outcome, Failure>> + Send;

    /// Replaces a record where it is, in one step. Gives the number of rows that had the version.
    fn save(
        table: &Table<Self>,
        connection: &mut Connection<Self>,
        commit: &Commit,
        version: i64,
    ) -> impl Future<Output = Result<u64, Failure>> + Send {
        save(table, connection, &table.statements.commit, commit, version)
    }

    /// Replaces a record and moves it, in one step. Gives the number of rows that had the version.
    fn relocate(
        table: &Table<Self>,
        connection: &mut Connection<Self>,
        commit: &Commit,
        version: i64,
        to: &StoreKey,
    ) -> impl Future<Output = Result<u64, Failure>> + Send {
        async move { transaction(table, connection, Move { commit, version, to }).await }
    }

    /// Writes at several keys, whole or not at all. Gives the number of rows that each has met.
    fn write_together(
        table: &Table<Self>,
        connection: &mut Connection<Self>,
        writings: &[Writing<'_>],
    ) -> impl Future<Output = Result<Vec<u64>, Failure>> + Send {
        async move {
            match writings {
                [one] => Ok(vec![one.carry_out(table, connection).await?]),
                _ => transaction(table, connection, OneByOne(writings)).await,
            }
        }
    }

    fn end_owned_by(
        table: &Table<Self>,
        connection: &mut Connection<Self>,
        end: &EndOwnedBy,
    ) -> impl Future<Output = Result<u64, Failure>> + Send;

    fn delete_expired(
        table: &Table<Self>,
        connection: &mut Connection<Self>,
        now: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<u64, Failure>> + Send;

    /// Makes the table, or brings it up to date.
    fn migrate(
        table: &Table<Self>,
        connection: &mut Connection<Self>,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// What makes the table of the current version where there is none.
    fn schema_sql(table: &str) -> String;
}

/// Which writes go together.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Company {
    /// All, in one transaction.
    Any,
    /// Those of one kind, in one statement.
    Alike,
}

pub(crate) type Connection<E> = <<E as Engine>::Db as Database>::Connection;
pub(crate) type ConnectionOptions<E> = <Connection<E> as sqlx::Connection>::Options;
pub(crate) type Row<E> = <<E as Engine>::Db as Database>::Row;
pub(crate) type Arguments<E> = <<E as Engine>::Db as Database>::Arguments;

/// A table in a database, and how to get at it.
pub(crate) struct Table<E: Engine> {
    pub(crate) engine: E,
    pub(crate) statements: Statements,
    pub(crate) source: Source<E::Db>,
    /// Not known of a pool before its first connection, see [`Engine::examine`].
    pub(crate) manner: OnceCell<Manner>,
    /// The table's name, an identifier.
    pub(crate) name: String,
    /// The database, as it is named in errors.
    pub(crate) database: String,
    pub(crate) patience: Duration,
    /// How long the database itself waits for a lock before the lane looks whether anybody still waits.
    pub(crate) lock_wait: Duration,
    /// How much longer than its callers a lane waits, since the answer of the database says what was done.
    pub(crate) grace: Duration,
}

/// Where lanes have their connections from.
pub(crate) enum Source<D: Database> {
    /// They open their own.
    Own(<D::Connection as sqlx::Connection>::Options),
    /// From a pool that others use too.
    Pool(sqlx::Pool<D>, Custody),
}

/// How statements go to the database.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// They are prepared once for each connection; then only values go.
    Prepared,
    /// Each is one message with its values in it and leaves nothing behind: between the lanes and the server is a pooler
    /// that gives every transaction another connection.
    Whole,
}

/// What a lane does with a connection of a pool between two calls.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Custody {
    /// It keeps it, so that a call costs no more than its statements.
    Held,
    /// It gives it back: the pool has no more than the lanes would hold, and others need one too.
    Borrowed,
}

/// A connection of a lane.
pub(crate) enum Link<D: Database> {
    Own(D::Connection),
    Pooled(PoolConnection<D>),
}

impl<D: Database> Link<D> {
    pub(crate) fn connection(&mut self) -> &mut D::Connection {
        match self {
            Self::Own(connection) => connection,
            Self::Pooled(connection) => connection,
        }
    }
}

impl<E: Engine> Table<E> {
    pub(crate) fn new(
        source: Source<E::Db>,
        database: String,
        name: String,
        patience: Duration,
    ) -> Self {
        let writer = Writer { table: &name, dialect: &E::DIALECT };
        let (engine, statements) = (E::new(&writer), Statements::new(&writer));
        let lock_wait = lock_wait(patience).max(E::LEAST_LOCK_WAIT);
        // A lock that was waited for until the last moment is still told of.
        let grace = (patience / 5).max(E::LEAST_LOCK_WAIT * 5 / 4);
        let manner = match source {
            Source::Own(_) => OnceCell::new_with(Some(Manner::Prepared)),
            Source::Pool(..) => OnceCell::new(),
        };
        Self { engine, statements, source, manner, name, database, patience, lock_wait, grace }
    }

    /// On a pool of the application.
    pub(crate) fn over(
        pool: sqlx::Pool<E::Db>,
        database: String,
        name: String,
        patience: Duration,
    ) -> Self {
        let (reads, writes) = E::LANES;
        let has_room = pool.options().get_max_connections() > reads + writes;
        let custody = if has_room { Custody::Held } else { Custody::Borrowed };
        Self::new(Source::Pool(pool, custody), database, name, patience)
    }

    pub(crate) fn manner(&self) -> Manner {
        // It is known before there is a connection; a statement that goes whole is right everywhere.
        self.manner.get().copied().unwrap_or(Manner::Whole)
    }

    /// Carries out a statement, and says how many rows it met.
    pub(crate) async fn execute(
        &self,
        connection: &mut Connection<E>,
        sql: &Sql,
        values: &[Value<'_>],
    ) -> Result<u64, Failure> {
        let (sql, arguments) = self.prepare(sql, values)?;
        let done = E::Db::execute(connection, sql, arguments).await;
        done.map(|result| E::rows_affected(&result)).map_err(E::failure)
    }

    /// Carries out a statement, and gives its rows.
    pub(crate) async fn fetch(
        &self,
        connection: &mut Connection<E>,
        sql: &Sql,
        values: &[Value<'_>],
    ) -> Result<Vec<Row<E>>, Failure> {
        let (sql, arguments) = self.prepare(sql, values)?;
        E::Db::fetch(connection, sql, arguments).await.map_err(E::failure)
    }

    /// The text of a statement, and the values that go beside it, if they do.
    fn prepare(
        &self,
        sql: &Sql,
        values: &[Value<'_>],
    ) -> Result<(SqlStr, Option<Arguments<E>>), Failure> {
        if self.manner() == Manner::Whole {
            let text = E::before_whole(self) + &sql.with(values, &E::DIALECT);
            // The values in it are digits.
            return Ok((AssertSqlSafe(text).into_sql_str(), None));
        }
        let values: Vec<&Value<'_>> = sql.in_order(values).collect();
        self.engine.check(&values)?;
        let mut arguments = Arguments::<E>::default();
        for value in values {
            let bound = E::bind(&mut arguments, value);
            bound.map_err(|error| E::failure(sqlx::Error::Encode(error)))?;
        }
        Ok((sql.text(), Some(arguments)))
    }
}

/// How long a database itself waits for a lock before it is looked whether anybody still waits.
pub(crate) fn lock_wait(patience: Duration) -> Duration {
    (patience / 16).clamp(Duration::from_millis(1), Duration::from_millis(250))
}

/// Carries out statements that the library has written, without values.
pub(crate) async fn script<E: Engine>(
    connection: &mut Connection<E>,
    sql: impl Into<String>,
) -> Result<(), Failure> {
    // Whatever is put into these is an identifier or a number.
    let sql: SqlStr = AssertSqlSafe(sql.into()).into_sql_str();
    E::Db::script(connection, sql).await.map_err(E::failure)
}

/// The number that a statement answers which the library has written, without values.
pub(crate) async fn ask<E: Engine>(
    connection: &mut Connection<E>,
    sql: impl Into<String>,
) -> Result<Option<i64>, Failure> {
    // Whatever is put into these is an identifier or a number.
    let sql = AssertSqlSafe(sql.into()).into_sql_str();
    let rows = E::Db::fetch(connection, sql, None).await.map_err(E::failure)?;
    rows.first().map(|row| E::Db::number(row, 0)).transpose().map_err(E::failure)
}

/// Steps that are done whole or not at all.
pub(crate) trait Steps<E: Engine>: Send + Sync {
    type Answer: Send;

    fn carry_out(
        &self,
        table: &Table<E>,
        connection: &mut Connection<E>,
    ) -> impl Future<Output = Result<Self::Answer, Failure>> + Send;
}

/// Carries steps out in a transaction.
pub(crate) async fn transaction<E: Engine, S: Steps<E>>(
    table: &Table<E>,
    connection: &mut Connection<E>,
    steps: S,
) -> Result<S::Answer, Failure> {
    E::begin(table, connection).await?;
    let failure = match steps.carry_out(table, connection).await {
        Ok(answer) => match script::<E>(connection, "COMMIT").await {
            Ok(()) => return Ok(answer),
            Err(failure) => failure,
        },
        Err(failure) => failure.before_the_commit(),
    };
    match script::<E>(connection, "ROLLBACK").await {
        Ok(()) => Err(failure),
        // Some errors end the transaction by themselves. Others are more than this connection is worth.
        Err(_) => Err(failure.with_connection_lost()),
    }
}

/// Replaces a record by a statement that takes its key and version, and then what it is to be.
pub(crate) async fn save<E: Engine>(
    table: &Table<E>,
    connection: &mut Connection<E>,
    sql: &Sql,
    commit: &Commit,
    version: i64,
) -> Result<u64, Failure> {
    let [expires_at, owner, meta, payload] = commit.record.values();
    let key = Value::key(&commit.key);
    let values = [key, Value::Number(version), expires_at, owner, meta, payload];
    table.execute(connection, sql, &values).await
}

/// Puts a tombstone at the old key, then the record at its new one.
struct Move<'a> {
    commit: &'a Commit,
    version: i64,
    to: &'a StoreKey,
}

impl<E: Engine> Steps<E> for Move<'_> {
    type Answer = u64;

    async fn carry_out(
        &self,
        table: &Table<E>,
        connection: &mut Connection<E>,
    ) -> Result<u64, Failure> {
        let Self { commit, version, to } = *self;
        let until = Value::instant(commit.remember_until);
        let values = [Value::key(&commit.key), Value::Number(version), until];
        let left = table.execute(connection, &table.statements.leave, &values).await?;
        if left > 0 {
            let [expires_at, owner, meta, payload] = commit.record.values();
            let (from, to) = (Value::key(&commit.key), Value::key(to));
            let values = [from, to, expires_at, owner, meta, payload];
            table.execute(connection, &table.statements.arrive, &values).await?;
        }
        Ok(left)
    }
}
