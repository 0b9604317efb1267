//! What each call does in a database: one statement, or the steps that its engine has for it.

use crate::{
    calls::{
        Commit, Count, Create, DeleteExpired, End, EndOwnedBy, Find, Load, Migrate, OwnedBy,
        Record, Scan, Touch,
    },
    engine::{Connection, Engine, Table},
    failure::{Access, Failure},
    rows::{entry, key, loaded, number, record},
    sql::Value,
    statements::MOST_KEYS,
    together::Writing,
};
use dframework_session_store::{Entry, Loaded, Outcome, StoreKey, Stored, Version};
use std::{future::Future, sync::atomic::Ordering};

/// A call, with what it was given.
pub(crate) trait Operation: Send + Sync {
    type Answer: Send;
    const ACCESS: Access;

    /// Carries it out. A failure leaves nothing done, unless it says otherwise.
    fn run<E: Engine>(
        &self,
        table: &Table<E>,
        connection: &mut Connection<E>,
    ) -> impl Future<Output = Result<Self::Answer, Failure>> + Send;
}

impl Operation for Load {
    type Answer = Vec<Loaded>;
    const ACCESS: Access = Access::Reads;

    async fn run<E: Engine>(
        &self,
        table: &Table<E>,
        connection: &mut Connection<E>,
    ) -> Result<Vec<Loaded>, Failure> {
        let mut answers = vec![Loaded::Unknown; self.keys.len()];
        for (keys, answers) in self.keys.chunks(MOST_KEYS).zip(answers.chunks_mut(MOST_KEYS)) {
            let (sql, asked) = table.statements.load.of(keys);
            for row in table.fetch(connection, sql, &[asked]).await? {
                fill(keys, answers, key::<E>(&row)?, loaded::<E>(&row)?);
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

impl Record {
    /// Its columns: `expires_at`, owner, meta, payload.
    pub(crate) fn values(&self) -> [Value<'_>; 4] {
        let owner = Value::Owner(self.owner.as_deref());
        let (meta, payload) = (Value::Bytes(&self.meta), Value::Bytes(&self.payload));
        [Value::instant(self.expires_at), owner, meta, payload]
    }
}

impl Operation for Create {
    type Answer = Outcome;
    const ACCESS: Access = Access::Writes;

    async fn run<E: Engine>(
        &self,
        table: &Table<E>,
        connection: &mut Connection<E>,
    ) -> Result<Outcome, Failure> {
        match &self.presented {
            None => insert(table, connection, self).await,
            Some(presented) => E::create_over(table, connection, self, presented).await,
        }
    }
}

/// Makes a record, and nothing else.
pub(crate) async fn insert<E: Engine>(
    table: &Table<E>,
    connection: &mut Connection<E>,
    create: &Create,
) -> Result<Outcome, Failure> {
    let [expires_at, owner, meta, payload] = create.record.values();
    let created = Value::instant(create.created);
    let values = [Value::key(&create.key), created, expires_at, owner, meta, payload];
    table.execute(connection, &table.statements.create, &values).await?;
    Ok(Outcome::Committed(Version(1)))
}

impl Operation for Commit {
    type Answer = Outcome;
    const ACCESS: Access = Access::Writes;

    async fn run<E: Engine>(
        &self,
        table: &Table<E>,
        connection: &mut Connection<E>,
    ) -> Result<Outcome, Failure> {
        let rows = match (&self.move_to, self.version()) {
            (None, _) => Writing::Commit(self).carry_out(table, connection).await?,
            (Some(to), Some(version)) => E::relocate(table, connection, self, version, to).await?,
            (Some(_), None) => 0,
        };
        Ok(self.outcome(rows))
    }
}

impl Operation for Touch {
    type Answer = ();
    const ACCESS: Access = Access::Writes;

    async fn run<E: Engine>(
        &self,
        table: &Table<E>,
        connection: &mut Connection<E>,
    ) -> Result<(), Failure> {
        Writing::Touch(&self.key, self.expires_at).carry_out(table, connection).await.map(drop)
    }
}

impl Operation for End {
    type Answer = bool;
    const ACCESS: Access = Access::Writes;

    async fn run<E: Engine>(
        &self,
        table: &Table<E>,
        connection: &mut Connection<E>,
    ) -> Result<bool, Failure> {
        Ok(Writing::End(self).carry_out(table, connection).await? > 0)
    }
}

impl Operation for DeleteExpired {
    type Answer = usize;
    const ACCESS: Access = Access::Writes;

    async fn run<E: Engine>(
        &self,
        table: &Table<E>,
        connection: &mut Connection<E>,
    ) -> Result<usize, Failure> {
        E::delete_expired(table, connection, self.now, self.limit).await.map(rows)
    }
}

impl Operation for Find {
    type Answer = Option<Entry>;
    const ACCESS: Access = Access::Reads;

    async fn run<E: Engine>(
        &self,
        table: &Table<E>,
        connection: &mut Connection<E>,
    ) -> Result<Option<Entry>, Failure> {
        let keys = self.id.keys();
        let values = [Value::key(keys.start()), Value::key(keys.end())];
        let rows = table.fetch(connection, &table.statements.find, &values).await?;
        rows.first().map(entry::<E>).transpose()
    }
}

impl Operation for OwnedBy {
    type Answer = Vec<Entry>;
    const ACCESS: Access = Access::Reads;

    async fn run<E: Engine>(
        &self,
        table: &Table<E>,
        connection: &mut Connection<E>,
    ) -> Result<Vec<Entry>, Failure> {
        let owner = Value::Owner(Some(&self.owner));
        let behind = Value::behind(self.page.after.as_ref());
        let values = [owner, behind, Value::instant(self.now), Value::limit(self.page.limit)];
        let rows = table.fetch(connection, &table.statements.owned_by, &values).await?;
        rows.iter().map(entry::<E>).collect()
    }
}

impl Operation for EndOwnedBy {
    type Answer = usize;
    const ACCESS: Access = Access::Writes;

    async fn run<E: Engine>(
        &self,
        table: &Table<E>,
        connection: &mut Connection<E>,
    ) -> Result<usize, Failure> {
        let ended = E::end_owned_by(table, connection, self).await;
        ended.map(rows).map_err(|failure| match self.ended.load(Ordering::Relaxed) {
            0 => failure,
            _ => failure.in_part(),
        })
    }
}

impl Operation for Count {
    type Answer = u64;
    const ACCESS: Access = Access::Reads;

    async fn run<E: Engine>(
        &self,
        table: &Table<E>,
        connection: &mut Connection<E>,
    ) -> Result<u64, Failure> {
        let values = [Value::instant(self.now)];
        let rows = table.fetch(connection, &table.statements.count, &values).await?;
        rows.first().map_or(Ok(0), |row| number::<E>(row, 0))
    }
}

impl Operation for Scan {
    type Answer = Vec<(StoreKey, Stored)>;
    const ACCESS: Access = Access::Reads;

    async fn run<E: Engine>(
        &self,
        table: &Table<E>,
        connection: &mut Connection<E>,
    ) -> Result<Vec<(StoreKey, Stored)>, Failure> {
        let values = [Value::behind(self.after.as_ref()), Value::limit(self.limit)];
        let rows = table.fetch(connection, &table.statements.scan, &values).await?;
        rows.iter().map(|row| Ok((key::<E>(row)?, record::<E>(row)?))).collect()
    }
}

impl Operation for Migrate {
    type Answer = ();
    const ACCESS: Access = Access::Rebuilds;

    async fn run<E: Engine>(
        &self,
        table: &Table<E>,
        connection: &mut Connection<E>,
    ) -> Result<(), Failure> {
        E::migrate(table, connection).await
    }
}

fn rows(affected: u64) -> usize {
    usize::try_from(affected).unwrap_or(usize::MAX)
}
