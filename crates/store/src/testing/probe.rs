//! A store over another one, for tests of what uses a store: it writes down what it is asked, and lets calls
//! wait or go wrong where the test says so.

use super::ReferenceStore;
use crate::{
    Change, Entry, Loaded, NewRecord, Outcome, Page, SessionId, Store, StoreError, StoreKey,
    Stored, Timestamp, Version,
};
use async_trait::async_trait;
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

/// A store over another one that writes down its calls, and lets them wait or go wrong. Clones share everything.
///
/// A store whose n-th call fails, hangs or answers late:
///
/// ```
/// use dframework_session_store::{
///     NewRecord, Store, StoreKey, Timestamp,
///     testing::{Fault, Probe, Verb},
/// };
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let store: Probe = Probe::default();
/// let (key, now) = (StoreKey::from_bytes([1; 32]), Timestamp::from_millis(0));
/// store.create(&key, NewRecord::new(b"bytes", now, Timestamp::MAX), now).await?;
///
/// // The second call from now is carried out, and its answer is lost.
/// store.fail_nth(1, Fault::LostAfter);
/// store.load(&[key]).await?;
/// let lost = store.end(&key, Timestamp::MAX).await.unwrap_err();
/// assert!(lost.outcome_is_unknown());
/// assert_eq!(store.records(now).await, 0);
///
/// // The next load waits until the test lets it go on.
/// store.fail_next(Verb::Load, Fault::Held);
/// let late = tokio::spawn({
///     let store = store.clone();
///     async move { store.load(&[key]).await }
/// });
/// while store.waiting() == 0 {
///     tokio::task::yield_now().await;
/// }
/// store.release();
/// assert_eq!(late.await??.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A store that records calls:
///
/// ```
/// use dframework_session_store::{
///     NewRecord, Store, StoreKey, Timestamp,
///     testing::{Probe, ReferenceStore, Verb},
/// };
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let store = Probe::over(ReferenceStore::default());
/// let (key, now) = (StoreKey::from_bytes([1; 32]), Timestamp::from_millis(0));
/// store.load(&[key]).await?;
/// store.create(&key, NewRecord::new(b"bytes", now, Timestamp::MAX), now).await?;
/// assert_eq!(store.take_lines(), ["load a", "create a"]);
///
/// store.end(&key, now).await?;
/// let calls = store.take_calls();
/// assert_eq!((calls[0].verb, calls[0].keys[0]), (Verb::End, key));
/// # Ok::<(), dframework_session_store::StoreError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Probe<S = ReferenceStore>(Arc<Shared<S>>);

struct Shared<S> {
    below: S,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    /// The keys that were named in lines, in the order of their letters.
    lettered: Vec<StoreKey>,
    faults: Vec<(Target, Fault)>,
    /// The calls that are held, in the order in which they came.
    held: Vec<oneshot::Sender<()>>,
    /// How many calls were released before they came.
    released: usize,
}

/// Which operation of a store was called.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Verb {
    /// [`Store::load`].
    Load,
    /// [`Store::create`].
    Create,
    /// [`Store::commit`], with [`Change::move_to`] too.
    Commit,
    /// [`Store::touch`].
    Touch,
    /// [`Store::end`].
    End,
    /// [`Store::delete_expired`].
    DeleteExpired,
    /// [`Store::find`].
    Find,
    /// [`Store::owned_by`].
    OwnedBy,
    /// [`Store::end_owned_by`].
    EndOwnedBy,
    /// [`Store::count`].
    Count,
    /// [`Store::scan`].
    Scan,
}

/// One call, with what it named.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// The operation.
    pub verb: Verb,
    /// The keys in the order of the signature; those inside a [`NewRecord`] or a [`Change`] come last.
    pub keys: Vec<StoreKey>,
    /// The record that came with a `create` or a `commit`.
    pub bytes: Option<Vec<u8>>,
}

/// How a call goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Fault {
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
    /// It is carried out when the test lets it go on, by [`Probe::release`] or [`Probe::release_nth`].
    Held,
    /// A `create` or `commit` is not carried out: somebody else was first.
    Conflict,
    /// The record of a `commit` ends before it is carried out, and the end is not remembered.
    Ended,
    /// A `load` has one answer too few.
    OneTooFew,
    /// A `load` has one answer too many.
    OneTooMany,
}

impl Fault {
    /// How any call can fail without an answer that can be used.
    pub const FAILURES: [Self; 5] =
        [Self::Unavailable, Self::LostBefore, Self::LostAfter, Self::Silent, Self::SilentAfter];
}

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

impl<S> Probe<S> {
    /// A probe over this store.
    pub fn over(store: S) -> Self {
        Self(Arc::new(Shared { below: store, state: Mutex::default() }))
    }

    /// The store below: calls to it are neither written down nor go wrong.
    pub fn below(&self) -> &S {
        &self.0.below
    }

    /// What was asked since the last look.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.state().calls)
    }

    /// The verbs of what was asked since the last look.
    pub fn take_verbs(&self) -> Vec<Verb> {
        self.take_calls().iter().map(|call| call.verb).collect()
    }

    /// What was asked since the last look, one readable line for each call: `load a b`, `move a c`.
    ///
    /// Keys are told apart by letters, which they get in the order in which lines first name them. A commit
    /// that moves its record is a `move`; the key that was presented to a `create` stands behind the new one.
    pub fn take_lines(&self) -> Vec<String> {
        let mut state = self.state();
        let calls = std::mem::take(&mut state.calls);
        calls.iter().map(|call| state.line(call)).collect()
    }

    /// Lets the n-th call from now, beginning at zero, go wrong.
    pub fn fail_nth(&self, number: usize, fault: Fault) {
        self.add(Target::Nth(number), fault);
    }

    /// Lets the next call of this verb go wrong.
    pub fn fail_next(&self, verb: Verb, fault: Fault) {
        self.add(Target::Next(verb), fault);
    }

    /// Lets every call of this verb go wrong, until [`Probe::mend`].
    pub fn fail_every(&self, verb: Verb, fault: Fault) {
        self.add(Target::Every(verb), fault);
    }

    /// Lets every call go wrong, until [`Probe::mend`].
    pub fn fail_all(&self, fault: Fault) {
        self.add(Target::All, fault);
    }

    /// Lets the store work again. Returns whether a fault is left, of [`Probe::fail_nth`] or
    /// [`Probe::fail_next`], that no call has met.
    pub fn mend(&self) -> bool {
        let faults = std::mem::take(&mut self.state().faults);
        faults.iter().any(|(target, _)| matches!(target, Target::Nth(_) | Target::Next(_)))
    }

    /// How many calls are held now.
    pub fn waiting(&self) -> usize {
        self.state().held().len()
    }

    /// Lets the first of the calls that are held go on, or the next one that would be held.
    pub fn release(&self) {
        let mut state = self.state();
        match state.held().is_empty() {
            false => state.let_go(0),
            true => state.released += 1,
        }
    }

    /// Lets one of the calls that are held go on, counted from zero in the order in which they came.
    ///
    /// # Panics
    ///
    /// If fewer calls are held.
    pub fn release_nth(&self, number: usize) {
        let mut state = self.state();
        assert!(number < state.held().len(), "a call is held at this place");
        state.let_go(number);
    }

    fn add(&self, target: Target, fault: Fault) {
        self.state().faults.push((target, fault));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the state is being changed, so a poisoned one is whole.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a call, and says how it goes wrong.
    fn note(&self, verb: Verb, keys: impl IntoIterator<Item = StoreKey>) -> Option<Fault> {
        self.note_with(verb, keys, None)
    }

    fn note_with(
        &self,
        verb: Verb,
        keys: impl IntoIterator<Item = StoreKey>,
        bytes: Option<&[u8]>,
    ) -> Option<Fault> {
        let keys = keys.into_iter().collect();
        let mut state = self.state();
        state.calls.push(Call { verb, keys, bytes: bytes.map(<[u8]>::to_vec) });
        state.meet(verb)
    }

    /// Carries a call out, with what its fault does before and after.
    async fn carry_out<T>(
        &self,
        fault: Option<Fault>,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match fault {
            Some(Fault::Unavailable) => return Err(StoreError::unavailable("the store is down")),
            Some(Fault::LostBefore) => return Err(connection_lost()),
            Some(Fault::Silent) => std::future::pending().await,
            Some(Fault::Held) => self.wait().await,
            _ => {}
        }
        let answer = call.await?;
        match fault {
            Some(Fault::LostAfter) => Err(connection_lost()),
            Some(Fault::SilentAfter) => std::future::pending().await,
            _ => Ok(answer),
        }
    }

    /// Waits until the test lets this call go on.
    async fn wait(&self) {
        let released = {
            let mut state = self.state();
            if state.released > 0 {
                state.released -= 1;
                return;
            }
            let (release, released) = oneshot::channel();
            state.held.push(release);
            released
        };
        // The sender is dropped with the probe only, which this call keeps.
        let _ = released.await;
    }
}

fn connection_lost() -> StoreError {
    StoreError::unknown_outcome("the connection was lost")
}

/// What is in the store below, for a look that is no call.
///
/// They panic where the store below fails: the test cannot go on.
impl<S: Store> Probe<S> {
    /// How many records live.
    pub async fn records(&self, now: Timestamp) -> u64 {
        sound(self.below().count(now).await)
    }

    /// What is at this key.
    pub async fn at(&self, key: StoreKey) -> Loaded {
        sound(self.below().load(&[key]).await).remove(0)
    }

    /// The only record.
    ///
    /// # Panics
    ///
    /// If there is none, or another.
    pub async fn only(&self) -> (StoreKey, Stored) {
        let mut records = sound(self.below().scan(None, 2).await);
        assert_eq!(records.len(), 1, "there is one record");
        records.remove(0)
    }

    /// Puts other bytes in the place of a record's, as a fault of the storage would.
    ///
    /// The store below forgets owner and label of that record, since no operation tells them.
    ///
    /// # Panics
    ///
    /// If there is no record at the key.
    pub async fn overwrite(&self, key: StoreKey, bytes: &[u8]) {
        let Loaded::Live(stored) = self.at(key).await else { panic!("there is a record") };
        let change = Change::new(bytes, stored.expires_at);
        let outcome = sound(self.below().commit(&key, stored.version, change).await);
        assert!(matches!(outcome, Outcome::Committed(_)), "nobody else writes meanwhile");
    }
}

fn sound<T>(answer: Result<T, StoreError>) -> T {
    answer.unwrap_or_else(|error| panic!("the store below the probe failed: {error}"))
}

impl State {
    /// How the call that has just come goes wrong. The fault that was asked for first counts.
    fn meet(&mut self, verb: Verb) -> Option<Fault> {
        let mut meets = None;
        self.faults.retain_mut(|(target, fault)| {
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

    /// The calls that are held, without those that nobody waits for any more.
    fn held(&mut self) -> &[oneshot::Sender<()>] {
        self.held.retain(|held| !held.is_closed());
        &self.held
    }

    fn let_go(&mut self, number: usize) {
        // Whoever has gone in this moment needs no permission.
        let _ = self.held.remove(number).send(());
    }

    fn line(&mut self, call: &Call) -> String {
        let verb = match (call.verb, call.keys.len()) {
            (Verb::Commit, 2) => "move",
            (verb, _) => verb.name(),
        };
        call.keys.iter().fold(verb.to_owned(), |line, key| format!("{line} {}", self.letter(key)))
    }

    /// The name of a key in lines: `a` to `z`, then `a1` to `z1`, and so on.
    fn letter(&mut self, key: &StoreKey) -> String {
        let known = self.lettered.iter().position(|other| other == key);
        let position = known.unwrap_or_else(|| {
            self.lettered.push(*key);
            self.lettered.len() - 1
        });
        let letter = char::from(b"abcdefghijklmnopqrstuvwxyz"[position % 26]);
        match position / 26 {
            0 => letter.to_string(),
            round => format!("{letter}{round}"),
        }
    }
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Create => "create",
            Self::Commit => "commit",
            Self::Touch => "touch",
            Self::End => "end",
            Self::DeleteExpired => "delete_expired",
            Self::Find => "find",
            Self::OwnedBy => "owned_by",
            Self::EndOwnedBy => "end_owned_by",
            Self::Count => "count",
            Self::Scan => "scan",
        }
    }
}

impl<S> Clone for Probe<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Default> Default for Probe<S> {
    fn default() -> Self {
        Self::over(S::default())
    }
}

/// Shows the verbs and how many calls are held.
impl<S> fmt::Debug for Probe<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        let verbs: Vec<_> = state.calls.iter().map(|call| call.verb).collect();
        let held = state.held.len();
        f.debug_struct("Probe").field("calls", &verbs).field("held", &held).finish_non_exhaustive()
    }
}

/// Shows the verb and sizes, never the bytes.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("verb", &self.verb)
            .field("keys", &self.keys.len())
            .field("bytes", &self.bytes.as_ref().map(Vec::len))
            .finish()
    }
}

#[async_trait]
impl<S: Store> Store for Probe<S> {
    async fn load(&self, keys: &[StoreKey]) -> Result<Vec<Loaded>, StoreError> {
        let fault = self.note(Verb::Load, keys.iter().copied());
        let mut answers = self.carry_out(fault, self.below().load(keys)).await?;
        match fault {
            Some(Fault::OneTooFew) => drop(answers.pop()),
            Some(Fault::OneTooMany) => answers.push(Loaded::Unknown),
            _ => {}
        }
        Ok(answers)
    }

    async fn create(
        &self,
        key: &StoreKey,
        new: NewRecord<'_>,
        now: Timestamp,
    ) -> Result<Outcome, StoreError> {
        let presented = new.presented.map(|presented| presented.key);
        let keys = std::iter::once(*key).chain(presented);
        let fault = self.note_with(Verb::Create, keys, Some(new.bytes));
        if fault == Some(Fault::Conflict) {
            return Ok(Outcome::Conflict);
        }
        self.carry_out(fault, self.below().create(key, new, now)).await
    }

    async fn commit(
        &self,
        key: &StoreKey,
        expected: Version,
        change: Change<'_>,
    ) -> Result<Outcome, StoreError> {
        let keys = std::iter::once(*key).chain(change.move_to);
        let fault = self.note_with(Verb::Commit, keys, Some(change.bytes));
        match fault {
            Some(Fault::Conflict) => return Ok(Outcome::Conflict),
            Some(Fault::Ended) => {
                // Long over, so that a reload finds it forgotten rather than ended.
                self.below().end(key, Timestamp::from_millis(1)).await?;
            }
            _ => {}
        }
        self.carry_out(fault, self.below().commit(key, expected, change)).await
    }

    async fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> Result<(), StoreError> {
        let fault = self.note(Verb::Touch, [*key]);
        self.carry_out(fault, self.below().touch(key, expires_at)).await
    }

    async fn end(&self, key: &StoreKey, remember_until: Timestamp) -> Result<bool, StoreError> {
        let fault = self.note(Verb::End, [*key]);
        self.carry_out(fault, self.below().end(key, remember_until)).await
    }

    async fn delete_expired(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let fault = self.note(Verb::DeleteExpired, []);
        self.carry_out(fault, self.below().delete_expired(now, limit)).await
    }

    async fn find(&self, id: &SessionId) -> Result<Option<Entry>, StoreError> {
        let fault = self.note(Verb::Find, []);
        self.carry_out(fault, self.below().find(id)).await
    }

    async fn owned_by(
        &self,
        owner: &str,
        now: Timestamp,
        page: Page,
    ) -> Result<Vec<Entry>, StoreError> {
        let fault = self.note(Verb::OwnedBy, page.after);
        self.carry_out(fault, self.below().owned_by(owner, now, page)).await
    }

    async fn end_owned_by(
        &self,
        owner: &str,
        except: Option<&StoreKey>,
        remember_until: Timestamp,
    ) -> Result<usize, StoreError> {
        let fault = self.note(Verb::EndOwnedBy, except.copied());
        self.carry_out(fault, self.below().end_owned_by(owner, except, remember_until)).await
    }

    async fn count(&self, now: Timestamp) -> Result<u64, StoreError> {
        let fault = self.note(Verb::Count, []);
        self.carry_out(fault, self.below().count(now)).await
    }

    async fn scan(
        &self,
        after: Option<&StoreKey>,
        limit: usize,
    ) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        let fault = self.note(Verb::Scan, after.copied());
        self.carry_out(fault, self.below().scan(after, limit)).await
    }
}
