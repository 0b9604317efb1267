//! A store that tells what it was asked, and that fails where a test wants it to.

use crate::support::{Bench, in_a_store};
use dframework_session::{
    MemoryStore,
    store::{
        Change, Entry, Loaded, NewRecord, Outcome, Page, SessionId, Store, StoreError, StoreKey,
        Stored, Timestamp, Version, async_trait,
    },
};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// What the library asked of the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verb {
    Load,
    Create,
    Commit,
    Touch,
    End,
}

/// One call, with the keys that it named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Call {
    pub(crate) verb: Verb,
    pub(crate) keys: Vec<StoreKey>,
    /// The payload that came with it.
    pub(crate) bytes: Option<Vec<u8>>,
}

/// How a call goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// It is not carried out, and the store says so.
    Unavailable,
    /// It is not carried out, and the store does not know.
    LostBefore,
    /// It is carried out, and the answer is lost.
    LostAfter,
    /// It is not carried out and never answered.
    Silent,
    /// It is carried out and never answered.
    SilentAfter,
    /// It is carried out when the test says so, by [`Probe::release`].
    Held,
    /// It is not carried out: somebody else was first.
    Conflict,
    /// The record ends before it is carried out.
    Ended,
    /// A load has one answer too few.
    OneTooFew,
    /// A load has one answer too many.
    OneTooMany,
}

/// How a call can fail without an answer that can be used.
pub(crate) const FAULTS: [Fault; 5] =
    [Fault::Unavailable, Fault::LostBefore, Fault::LostAfter, Fault::Silent, Fault::SilentAfter];

/// Which call goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Target {
    /// The n-th from now, beginning at zero.
    Nth(usize),
    /// The first of this verb.
    Next(Verb),
    Every(Verb),
    All,
}

/// A memory store with a record of its calls and with faults. Clones share everything.
#[derive(Clone, Default)]
pub(crate) struct Probe {
    pub(crate) inner: MemoryStore,
    state: Arc<Mutex<State>>,
    held: Arc<Notify>,
}

/// Sessions in a probe.
pub(crate) fn in_a_probe() -> (Probe, Bench) {
    let store = Probe::new();
    (store.clone(), in_a_store(store))
}

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    faults: Vec<(Target, Fault)>,
}

impl Probe {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// What was asked since the last look.
    pub(crate) fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.state.lock().unwrap().calls)
    }

    /// The verbs of what was asked since the last look.
    pub(crate) fn take_verbs(&self) -> Vec<Verb> {
        self.take_calls().iter().map(|call| call.verb).collect()
    }

    /// Lets the n-th call from now, beginning at zero, go wrong.
    pub(crate) fn fail_nth(&self, number: usize, fault: Fault) {
        self.add(Target::Nth(number), fault);
    }

    /// Lets the next call of this verb go wrong.
    pub(crate) fn fail_next(&self, verb: Verb, fault: Fault) {
        self.add(Target::Next(verb), fault);
    }

    /// Lets every call of this verb go wrong.
    pub(crate) fn fail_every(&self, verb: Verb, fault: Fault) {
        self.add(Target::Every(verb), fault);
    }

    /// Lets every call go wrong.
    pub(crate) fn fail_all(&self, fault: Fault) {
        self.add(Target::All, fault);
    }

    /// Lets the store work again. Returns whether a fault is left that no call met.
    pub(crate) fn mend(&self) -> bool {
        let faults = std::mem::take(&mut self.state.lock().unwrap().faults);
        faults.iter().any(|(target, _)| matches!(target, Target::Nth(_) | Target::Next(_)))
    }

    /// Carries out a call that is held, now or when it comes.
    pub(crate) fn release(&self) {
        self.held.notify_one();
    }

    /// How many records live.
    pub(crate) async fn count(&self, now: Timestamp) -> u64 {
        self.inner.count(now).await.unwrap()
    }

    /// What is at this key.
    pub(crate) async fn at(&self, key: StoreKey) -> Loaded {
        self.inner.load(&[key]).await.unwrap().remove(0)
    }

    /// The only record.
    pub(crate) async fn only(&self) -> (StoreKey, Stored) {
        let mut records = self.inner.scan(None, 2).await.unwrap();
        assert_eq!(records.len(), 1, "there is one record");
        records.remove(0)
    }

    /// Puts other bytes in the place of a record's, as a fault of the storage would.
    pub(crate) async fn overwrite(&self, key: StoreKey, stored: &Stored, bytes: &[u8]) {
        let now = self.at(key).await;
        let Loaded::Live(current) = now else { panic!("there is no record to overwrite") };
        let change = Change::new(bytes, stored.expires_at);
        let outcome = self.inner.commit(&key, current.version, change).await.unwrap();
        assert!(matches!(outcome, Outcome::Committed(_)));
    }

    fn add(&self, target: Target, fault: Fault) {
        self.state.lock().unwrap().faults.push((target, fault));
    }

    /// Notes a call, and says how it goes wrong.
    fn note(&self, verb: Verb, keys: Vec<StoreKey>, bytes: Option<&[u8]>) -> Option<Fault> {
        let mut state = self.state.lock().unwrap();
        state.calls.push(Call { verb, keys, bytes: bytes.map(<[u8]>::to_vec) });
        let mut meets = None;
        state.faults.retain_mut(|(target, fault)| {
            let (hits, stays) = match target {
                Target::Nth(0) => (true, false),
                Target::Nth(number) => {
                    *number -= 1;
                    (false, true)
                }
                Target::Next(of) => (*of == verb, *of != verb),
                Target::Every(of) => (*of == verb, true),
                Target::All => (true, true),
            };
            if hits {
                meets.get_or_insert(*fault);
            }
            stays
        });
        meets
    }

    /// What happens before the call is carried out; an error if it is not.
    async fn before(&self, fault: Option<Fault>) -> Result<(), StoreError> {
        match fault {
            Some(Fault::Unavailable) => Err(StoreError::unavailable("the store is down")),
            Some(Fault::LostBefore) => Err(StoreError::unknown_outcome("the connection was lost")),
            Some(Fault::Silent) => std::future::pending().await,
            Some(Fault::Held) => {
                self.held.notified().await;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn after<T>(&self, fault: Option<Fault>, answer: T) -> Result<T, StoreError> {
        match fault {
            Some(Fault::LostAfter) => Err(StoreError::unknown_outcome("the connection was lost")),
            Some(Fault::SilentAfter) => std::future::pending().await,
            _ => Ok(answer),
        }
    }
}

#[async_trait]
impl Store for Probe {
    async fn load(&self, keys: &[StoreKey]) -> Result<Vec<Loaded>, StoreError> {
        let fault = self.note(Verb::Load, keys.to_vec(), None);
        self.before(fault).await?;
        let mut answers = self.inner.load(keys).await?;
        match fault {
            Some(Fault::OneTooFew) => drop(answers.pop()),
            Some(Fault::OneTooMany) => answers.push(Loaded::Unknown),
            _ => {}
        }
        self.after(fault, answers).await
    }

    async fn create(
        &self,
        key: &StoreKey,
        new: NewRecord<'_>,
        now: Timestamp,
    ) -> Result<Outcome, StoreError> {
        let keys = std::iter::once(*key).chain(new.presented.map(|stone| stone.key)).collect();
        let fault = self.note(Verb::Create, keys, Some(new.bytes));
        self.before(fault).await?;
        if fault == Some(Fault::Conflict) {
            return Ok(Outcome::Conflict);
        }
        let outcome = self.inner.create(key, new, now).await?;
        self.after(fault, outcome).await
    }

    async fn commit(
        &self,
        key: &StoreKey,
        expected: Version,
        change: Change<'_>,
    ) -> Result<Outcome, StoreError> {
        let keys = std::iter::once(*key).chain(change.move_to).collect();
        let fault = self.note(Verb::Commit, keys, Some(change.bytes));
        self.before(fault).await?;
        match fault {
            Some(Fault::Conflict) => return Ok(Outcome::Conflict),
            Some(Fault::Ended) => {
                // Long over, so that the reload meets an unknown key rather than a tombstone.
                self.inner.end(key, Timestamp::from_millis(1)).await?;
            }
            _ => {}
        }
        let outcome = self.inner.commit(key, expected, change).await?;
        self.after(fault, outcome).await
    }

    async fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> Result<(), StoreError> {
        let fault = self.note(Verb::Touch, vec![*key], None);
        self.before(fault).await?;
        self.inner.touch(key, expires_at).await?;
        self.after(fault, ()).await
    }

    async fn end(&self, key: &StoreKey, remember_until: Timestamp) -> Result<bool, StoreError> {
        let fault = self.note(Verb::End, vec![*key], None);
        self.before(fault).await?;
        let was_there = self.inner.end(key, remember_until).await?;
        self.after(fault, was_there).await
    }

    async fn delete_expired(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.inner.delete_expired(now, limit).await
    }

    async fn find(&self, id: &SessionId) -> Result<Option<Entry>, StoreError> {
        self.inner.find(id).await
    }

    async fn owned_by(
        &self,
        owner: &str,
        now: Timestamp,
        page: Page,
    ) -> Result<Vec<Entry>, StoreError> {
        self.inner.owned_by(owner, now, page).await
    }

    async fn end_owned_by(
        &self,
        owner: &str,
        except: Option<&StoreKey>,
        remember_until: Timestamp,
    ) -> Result<usize, StoreError> {
        self.inner.end_owned_by(owner, except, remember_until).await
    }

    async fn count(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.inner.count(now).await
    }

    async fn scan(
        &self,
        after: Option<&StoreKey>,
        limit: usize,
    ) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        self.inner.scan(after, limit).await
    }
}
