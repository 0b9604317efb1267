//! A store that notes which rounds were lost.

use course::round_was_lost;
use dframework_session::{
    SessionId,
    database::SqlStore,
    store::{
        Change, Entry, Loaded, NewRecord, Outcome, Page, Store, StoreError, StoreKey, Stored,
        Timestamp, Version, async_trait,
    },
};

pub(crate) struct Watched(pub(crate) SqlStore);

#[async_trait]
impl Store for Watched {
    async fn commit(
        &self,
        key: &StoreKey,
        expected: Version,
        change: Change<'_>,
    ) -> Result<Outcome, StoreError> {
        let outcome = self.0.commit(key, expected, change).await;
        if matches!(outcome, Ok(Outcome::Conflict)) {
            round_was_lost();
        }
        outcome
    }

    async fn load(&self, keys: &[StoreKey]) -> Result<Vec<Loaded>, StoreError> {
        self.0.load(keys).await
    }

    async fn create(
        &self,
        key: &StoreKey,
        new: NewRecord<'_>,
        now: Timestamp,
    ) -> Result<Outcome, StoreError> {
        self.0.create(key, new, now).await
    }

    async fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> Result<(), StoreError> {
        self.0.touch(key, expires_at).await
    }

    async fn end(&self, key: &StoreKey, remember_until: Timestamp) -> Result<bool, StoreError> {
        self.0.end(key, remember_until).await
    }

    async fn delete_expired(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.0.delete_expired(now, limit).await
    }

    async fn find(&self, id: &SessionId) -> Result<Option<Entry>, StoreError> {
        self.0.find(id).await
    }

    async fn owned_by(
        &self,
        owner: &str,
        now: Timestamp,
        page: Page,
    ) -> Result<Vec<Entry>, StoreError> {
        self.0.owned_by(owner, now, page).await
    }

    async fn end_owned_by(
        &self,
        owner: &str,
        except: Option<&StoreKey>,
        remember_until: Timestamp,
    ) -> Result<usize, StoreError> {
        self.0.end_owned_by(owner, except, remember_until).await
    }

    async fn count(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.0.count(now).await
    }

    async fn scan(
        &self,
        after: Option<&StoreKey>,
        limit: usize,
    ) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        self.0.scan(after, limit).await
    }
}
