//! What the store needs of sqlx, with one bound for what takes ten there. Every database of sqlx has it.

use sqlx::{
    ColumnIndex, Database, Decode, Error, Executor, IntoArguments, Row, SqlStr, Type, query_with,
    raw_sql,
};
use std::future::Future;

/// Statements go out, counts and rows come back.
pub(crate) trait Wire: Database {
    /// Carries out a statement: prepared once for each connection, or as it is where there are no arguments.
    fn execute(
        connection: &mut Self::Connection,
        sql: SqlStr,
        arguments: Option<Self::Arguments>,
    ) -> impl Future<Output = Result<Self::QueryResult, Error>> + Send;

    /// As [`Wire::execute`], with the rows.
    fn fetch(
        connection: &mut Self::Connection,
        sql: SqlStr,
        arguments: Option<Self::Arguments>,
    ) -> impl Future<Output = Result<Vec<Self::Row>, Error>> + Send;

    /// Carries out statements without values, in one message. For MariaDB it is one statement: where that is killed
    /// between two, it announces an answer to the second and never sends it.
    fn script(
        connection: &mut Self::Connection,
        sql: SqlStr,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    fn number(row: &Self::Row, index: usize) -> Result<i64, Error>;

    fn bytes(row: &Self::Row, index: usize) -> Result<Option<Vec<u8>>, Error>;
}

impl<D: Database> Wire for D
where
    for<'c> &'c mut D::Connection: Executor<'c, Database = D>,
    D::Arguments: IntoArguments<D>,
    usize: ColumnIndex<D::Row>,
    for<'r> i64: Decode<'r, D> + Type<D>,
    // Borrowed bytes do not come out of rows that a server has sent as text.
    for<'r> Vec<u8>: Decode<'r, D> + Type<D>,
{
    async fn execute(
        connection: &mut D::Connection,
        sql: SqlStr,
        arguments: Option<D::Arguments>,
    ) -> Result<D::QueryResult, Error> {
        match arguments {
            Some(arguments) => query_with(sql, arguments).execute(connection).await,
            None => raw_sql(sql).execute(connection).await,
        }
    }

    async fn fetch(
        connection: &mut D::Connection,
        sql: SqlStr,
        arguments: Option<D::Arguments>,
    ) -> Result<Vec<D::Row>, Error> {
        match arguments {
            Some(arguments) => query_with(sql, arguments).fetch_all(connection).await,
            None => raw_sql(sql).fetch_all(connection).await,
        }
    }

    async fn script(connection: &mut D::Connection, sql: SqlStr) -> Result<(), Error> {
        raw_sql(sql).execute(connection).await.map(drop)
    }

    fn number(row: &D::Row, index: usize) -> Result<i64, Error> {
        row.try_get(index)
    }

    fn bytes(row: &D::Row, index: usize) -> Result<Option<Vec<u8>>, Error> {
        row.try_get(index)
    }
}
