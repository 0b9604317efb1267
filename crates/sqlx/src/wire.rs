//! What the store needs of sqlx, with one bound for what takes ten there. Every database of sqlx has it.

use sqlx::{
    ColumnIndex, Database, Decode, Error, Executor, IntoArguments, Row, SqlStr, Type, query_with,
};
use std::future::Future;

/// Statements go out, counts and rows come back.
pub(crate) trait Wire: Database {
    /// Carries out a statement that is prepared once for each connection.
    fn execute(
        connection: &mut Self::Connection,
        sql: SqlStr,
        arguments: Self::Arguments,
    ) -> impl Future<Output = Result<Self::QueryResult, Error>> + Send;

    /// As [`Wire::execute`], with the rows.
    fn fetch(
        connection: &mut Self::Connection,
        sql: SqlStr,
        arguments: Self::Arguments,
    ) -> impl Future<Output = Result<Vec<Self::Row>, Error>> + Send;

    /// Carries out statements without values, in one message.
    fn script(
        connection: &mut Self::Connection,
        sql: SqlStr,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    fn number(row: &Self::Row, index: usize) -> Result<i64, Error>;

    fn bytes(row: &Self::Row, index: usize) -> Result<Option<&[u8]>, Error>;
}

impl<D: Database> Wire for D
where
    for<'c> &'c mut D::Connection: Executor<'c, Database = D>,
    D::Arguments: IntoArguments<D>,
    usize: ColumnIndex<D::Row>,
    for<'r> i64: Decode<'r, D> + Type<D>,
    for<'r> &'r [u8]: Decode<'r, D> + Type<D>,
{
    async fn execute(
        connection: &mut D::Connection,
        sql: SqlStr,
        arguments: D::Arguments,
    ) -> Result<D::QueryResult, Error> {
        query_with(sql, arguments).execute(connection).await
    }

    async fn fetch(
        connection: &mut D::Connection,
        sql: SqlStr,
        arguments: D::Arguments,
    ) -> Result<Vec<D::Row>, Error> {
        query_with(sql, arguments).fetch_all(connection).await
    }

    async fn script(connection: &mut D::Connection, sql: SqlStr) -> Result<(), Error> {
        sqlx::raw_sql(sql).execute(connection).await.map(drop)
    }

    fn number(row: &D::Row, index: usize) -> Result<i64, Error> {
        row.try_get(index)
    }

    fn bytes(row: &D::Row, index: usize) -> Result<Option<&[u8]>, Error> {
        row.try_get(index)
    }
}
