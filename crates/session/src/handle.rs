//! One request's session: what its cookies brought, what was loaded for them, and what was asked for.
//!
//! Nothing is loaded before the session is used. Every change goes through [`crate::change`], and nothing is
//! written before [`crate::commit`].

use crate::{
    change::{Compute, Log, Operation, Refusal},
    commit::{Abandoned, Occasion, Target, claim_to_the_end, commit_to_the_end},
    cookie::{Carried, Seals},
    draft::Draft,
    driver::Driver,
    error::{self, Error, Kind},
    event::{Event, Name},
    flash::Purpose,
    key::{Accepts, KeyName, KeyOf, Select, Selection, checked},
    lines::Lines,
    load::{self, load, tokens},
    record::Record,
    sessions::Core,
    standing::{Recorded, Standing},
    stealth::Stealth,
    turn::OwnTurn,
    value,
};
use dframework_session_store::{SessionId, StoreKey, Timestamp};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

/// The longest name of an owner, in bytes.
const LONGEST_OWNER: usize = 255;

/// One request's session: the verbs of [`Session`](crate::Session) as methods.
///
/// Clones share everything: what one changes, the others see. Take a handle to where the facade does not reach,
/// such as another task; as an extractor it is an argument of the handler.
///
/// ```
/// use dframework_session::{Error, SessionHandle};
///
/// async fn greeting(session: SessionHandle) -> Result<String, Error> {
///     let name = session.get_or("name", "guest").await?;
///     Ok(format!("hello, {name}"))
/// }
/// ```
#[derive(Clone)]
pub struct SessionHandle(pub(crate) Arc<Inner>);

/// What clones of a handle share.
pub(crate) struct Inner {
    pub(crate) core: Arc<Core>,
    pub(crate) request: Request,
    state: Mutex<State>,
    /// Whoever talks to a store for this request; commits of one request go one after the other.
    pub(crate) turn: OwnTurn,
}

/// What the request's head said.
pub(crate) struct Request {
    pub(crate) carried: Carried,
    pub(crate) purpose: Purpose,
    /// The request is known to have come over https.
    pub(crate) https: bool,
}

/// How far the response is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    Open,
    /// Its head has been sent.
    Late,
}

pub(crate) struct State {
    pub(crate) stage: Stage,
    /// The handler has used the session, so the response depends on it.
    pub(crate) used: bool,
    /// What was loaded and what became of it; `None` until the session is used. On the heap: most requests do
    /// not use their session, and a handle without it is small.
    pub(crate) work: Option<Box<Work>>,
    /// The Set-Cookie lines of what has been committed.
    pub(crate) lines: Lines,
    /// What the request's cookies hold sealed, until it is opened.
    seals: Option<Box<Seals>>,
}

/// What a request does with its session.
pub(crate) struct Work {
    /// What was loaded, with the changes.
    pub(crate) draft: Draft,
    pub(crate) log: Log,
    /// Bit n: a flash value of generation n was read.
    pub(crate) read: u8,
    /// Bit n: this request made flash values of generation n.
    pub(crate) made: u8,
    /// Bit n: generation n is kept for one more request.
    pub(crate) kept: u8,
    /// The permanent record that this request has made.
    pub(crate) made_permanent: Option<Box<Recorded>>,
    /// What its commits have done and nobody has been told yet.
    pub(crate) events: Vec<Event>,
}

/// The loaded state, while it is locked.
struct Loaded<'a>(MutexGuard<'a, State>);

impl SessionHandle {
    pub(crate) fn new(core: Arc<Core>, mut request: Request) -> Self {
        let (lines, seals) = (Lines::default(), request.carried.seals.take());
        let state = State { stage: Stage::Open, used: false, work: None, lines, seals };
        Self(Arc::new(Inner { core, request, state: Mutex::new(state), turn: OwnTurn::default() }))
    }

    /// The sessions that opened this handle.
    #[cfg(any(feature = "tower", feature = "actix"))]
    pub(crate) fn sessions(&self) -> crate::Sessions {
        crate::Sessions(self.0.core.clone())
    }

    /// Reads a value.
    ///
    /// As [`Session::get`](crate::Session::get).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn get<T: DeserializeOwned>(&self, key: impl KeyOf<T>) -> Result<Option<T>, Error> {
        let key = checked(key.name())?;
        self.0.loaded().await?.read(key)
    }

    /// Reads a value, or takes the default when there is none or it is null.
    ///
    /// As [`Session::get_or`](crate::Session::get_or).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn get_or<D>(&self, key: impl KeyOf<D::Owned>, default: &D) -> Result<D::Owned, Error>
    where
        D: ToOwned + ?Sized,
        D::Owned: DeserializeOwned,
    {
        let key = checked(key.name())?;
        let found: Option<Option<D::Owned>> = self.0.loaded().await?.read(key)?;
        Ok(found.flatten().unwrap_or_else(|| default.to_owned()))
    }

    /// Stores a value.
    ///
    /// As [`Session::set`](crate::Session::set).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn set<V: Serialize>(&self, key: impl Accepts<V>, value: V) -> Result<(), Error> {
        let key = checked(key.name())?;
        let value = value::encode(key, &value)?;
        self.0.loaded().await?.change(Operation::Set { value, expires_at: None })
    }

    /// Stores each entry of a map or struct for ten years, in a cookie of its own.
    ///
    /// As [`Session::permanent`](crate::Session::permanent).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn permanent(&self, map: impl Serialize) -> Result<(), Error> {
        let values = value::encode_entries(&map)?;
        self.0.loaded().await?.change(Operation::Permanent { values })
    }

    /// Stores a message for this request and the next.
    ///
    /// As [`Session::flash`](crate::Session::flash).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn flash<V: Serialize>(&self, key: impl Accepts<V>, value: V) -> Result<(), Error> {
        let key = checked(key.name())?;
        let value = value::encode(key, &value)?;
        self.0.loaded().await?.change(Operation::Flash { value })
    }

    /// Removes a value, several values, or with `..` the whole session and its cookies.
    ///
    /// As [`Session::forget`](crate::Session::forget).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn forget(&self, what: impl Select) -> Result<(), Error> {
        match what.select()? {
            Selection::Keys(keys) => self.0.loaded().await?.change(Operation::Forget { keys }),
            Selection::Everything => self.destroy().await,
        }
    }

    /// Ends the session: all its data, permanent data too, and its cookies.
    ///
    /// As [`Session::destroy`](crate::Session::destroy).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn destroy(&self) -> Result<(), Error> {
        self.0.load().await?;
        let mut state = self.0.state();
        if let Some(work) = &mut state.work {
            work.log.destroy();
            work.draft.destroy();
        }
        Ok(())
    }

    /// Whether there is a value and it is not null.
    ///
    /// As [`Session::has`](crate::Session::has).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn has(&self, key: impl KeyName) -> Result<bool, Error> {
        let key = checked(key.name())?;
        let loaded = self.0.loaded().await?;
        Ok(loaded.draft().get(key).is_some_and(|found| !value::is_null(found.json)))
    }

    /// Whether there is a value, null or not.
    ///
    /// As [`Session::exists`](crate::Session::exists).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn exists(&self, key: impl KeyName) -> Result<bool, Error> {
        let key = checked(key.name())?;
        Ok(self.0.loaded().await?.draft().get(key).is_some())
    }

    /// Everything that `get` can see, as JSON values by name.
    ///
    /// As [`Session::all`](crate::Session::all).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn all(&self) -> Result<serde_json::Map<String, serde_json::Value>, Error> {
        self.0.loaded().await?.read_all()
    }

    /// Adds to a number and returns the sum as this request sees it. Absent and null count as 0.
    ///
    /// As [`Session::increment`](crate::Session::increment).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn increment(&self, key: impl KeyOf<i64>, by: i64) -> Result<i64, Error> {
        self.add(key, by, i64::checked_add).await
    }

    /// Replaces a value by what the function makes of it, and returns that.
    ///
    /// As [`Session::update`](crate::Session::update).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn update<T>(
        &self,
        key: impl KeyOf<T>,
        change: impl Fn(Option<T>) -> T + Send + 'static,
    ) -> Result<T, Error>
    where
        T: Serialize + DeserializeOwned,
    {
        let key: Arc<str> = checked(key.name())?.into();
        let name = key.clone();
        let compute = move |json: Option<&[u8]>| {
            let current = read_as::<T>(&name, json)?;
            value::encode(&name, &change(current)).map_err(Refusal::Error)
        };
        self.0.compute(key, Box::new(compute), value::decode_exactly).await
    }

    /// Stores a value that expires by itself, `lifetime` from now.
    ///
    /// As [`Session::set_for`](crate::Session::set_for).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn set_for<V: Serialize>(
        &self,
        key: impl Accepts<V>,
        value: V,
        lifetime: Duration,
    ) -> Result<(), Error> {
        let key = checked(key.name())?;
        let value = value::encode(key, &value)?;
        let expires_at = Some(self.0.core.clock.now().saturating_add(lifetime));
        self.0.loaded().await?.change(Operation::Set { value, expires_at })
    }

    /// Shows a value to the rest of this request, and stores it nowhere.
    ///
    /// As [`Session::now`](crate::Session::now).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn now<V: Serialize>(&self, key: impl Accepts<V>, value: V) -> Result<(), Error> {
        let key = checked(key.name())?;
        let value = value::encode(key, &value)?;
        self.0.loaded().await?.change(Operation::Now { value })
    }

    /// Keeps all flash messages of earlier requests for one more request.
    ///
    /// As [`Session::reflash`](crate::Session::reflash).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn reflash(&self) -> Result<(), Error> {
        let mut loaded = self.0.loaded().await?;
        if loaded.0.stage == Stage::Late {
            return Err(Error::new(Kind::Late { doing: "keeping flash messages" }));
        }
        loaded.work().kept |= self.0.request.carried.flash;
        Ok(())
    }

    /// Keeps these flash messages of earlier requests for one more request. Names without a message are passed
    ///
    /// As [`Session::keep`](crate::Session::keep).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn keep(&self, keys: impl Select) -> Result<(), Error> {
        let Selection::Keys(keys) = keys.select()? else { return self.reflash().await };
        let mut loaded = self.0.loaded().await?;
        keys.into_iter().try_for_each(|key| match loaded.draft().stored_flash(&key) {
            Some(value) => loaded.change(Operation::Flash { value }),
            None => Ok(()),
        })
    }

    /// Empties the session: flash messages and ordinary values go. Permanent data, the owner, the token and the
    ///
    /// As [`Session::clear`](crate::Session::clear).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn clear(&self) -> Result<(), Error> {
        self.0.loaded().await?.change(Operation::Clear)
    }

    /// The names of everything that `get` can see, sorted.
    ///
    /// As [`Session::keys`](crate::Session::keys).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn keys(&self) -> Result<Vec<String>, Error> {
        let loaded = self.0.loaded().await?;
        Ok(loaded.draft().visible().into_keys().map(str::to_owned).collect())
    }

    /// Reads a value and forgets it.
    ///
    /// As [`Session::pull`](crate::Session::pull).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn pull<T: DeserializeOwned>(&self, key: impl KeyOf<T>) -> Result<Option<T>, Error> {
        let key = checked(key.name())?;
        let mut loaded = self.0.loaded().await?;
        let value = loaded.read(key)?;
        if loaded.draft().get(key).is_some() {
            loaded.change(Operation::Forget { keys: vec![key.into()] })?;
        }
        Ok(value)
    }

    /// Reads a value and removes it from the store at once: of several requests, one gets it.
    ///
    /// As [`Session::claim`](crate::Session::claim).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn claim<T: DeserializeOwned + 'static>(
        &self,
        key: impl KeyOf<T>,
    ) -> Result<Option<T>, Error> {
        let key: Arc<str> = checked(key.name())?.into();
        // Loads, and says what every verb says of a session that cannot be used.
        drop(self.0.loaded().await?);
        let name = key.clone();
        let check = move |json: &[u8]| value::decode::<T>(&name, json).map(drop);
        match claim_to_the_end(self.0.clone(), key.clone(), check).await? {
            Some(json) => value::decode(&key, &json),
            None => Ok(None),
        }
    }

    /// Subtracts from a number.
    ///
    /// As [`Session::decrement`](crate::Session::decrement).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn decrement(&self, key: impl KeyOf<i64>, by: i64) -> Result<i64, Error> {
        self.add(key, by, i64::checked_sub).await
    }

    /// Appends an item to a list. Absent and null are an empty one.
    ///
    /// As [`Session::push`](crate::Session::push).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn push<T: Serialize>(&self, key: impl KeyOf<Vec<T>>, item: T) -> Result<(), Error> {
        let key: Arc<str> = checked(key.name())?.into();
        // As a list of one, so that the list that it comes into is not too deep to be read.
        let item = value::encode(&key, &[item])?;
        let name = key.clone();
        let compute = move |json: Option<&[u8]>| value::append(&name, json, &item);
        self.0.compute(key, Box::new(compute), |_, _| Ok(())).await
    }

    /// Reads a value, or makes and stores it where there is none.
    ///
    /// As [`Session::remember`](crate::Session::remember).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn remember<T, F>(
        &self,
        key: impl KeyOf<T>,
        make: impl FnOnce() -> F,
    ) -> Result<T, Error>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = T>,
    {
        self.try_remember(key, || async { Ok(make().await) }).await
    }

    /// As `remember`, with a function that may fail; then nothing is stored.
    ///
    /// As [`Session::try_remember`](crate::Session::try_remember).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn try_remember<T, E, F>(
        &self,
        key: impl KeyOf<T>,
        make: impl FnOnce() -> F,
    ) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        E: From<Error>,
        F: Future<Output = Result<T, E>>,
    {
        let key = checked(key.name())?;
        let stored = self.0.loaded().await?.read(key)?;
        if let Some(value) = stored {
            return Ok(value);
        }
        let value = make().await?;
        let value = value::encode(key, &value)?;
        self.0.loaded().await?.change(Operation::Remember { value })?;
        let loaded = self.0.loaded().await?;
        Ok(value::decode_exactly(key, loaded.draft().json(key))?)
    }

    /// Gives the session a new token; its data stays.
    ///
    /// As [`Session::regenerate`](crate::Session::regenerate).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn regenerate(&self) -> Result<(), Error> {
        self.0.loaded().await?.change(Operation::Regenerate)
    }

    /// Says whose session it is: the login.
    ///
    /// As [`Session::set_owner`](crate::Session::set_owner).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn set_owner(&self, owner: impl AsRef<str>) -> Result<(), Error> {
        let owner = owner.as_ref();
        match owner.len() {
            1..=LONGEST_OWNER => self.0.loaded().await?.change(Operation::SetOwner(owner.into())),
            0 => Err(Error::new(Kind::Owner { why: "must not be empty" })),
            _ => Err(Error::new(Kind::Owner { why: "has at most 255 bytes" })),
        }
    }

    /// Whose session it is.
    ///
    /// As [`Session::owner`](crate::Session::owner).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn owner(&self) -> Result<Option<String>, Error> {
        Ok(self.0.loaded().await?.draft().owner().map(str::to_owned))
    }

    /// The public id of the stored session, for logs and lists; `None` before its first commit.
    ///
    /// As [`Session::id`](crate::Session::id).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn id(&self) -> Result<Option<SessionId>, Error> {
        let loaded = self.0.loaded().await?;
        Ok(loaded.draft().records.ordinary.live().map(|live| self.0.core.driver.id_of(live)))
    }

    /// Commits now; the request may go on.
    ///
    /// As [`Session::save`](crate::Session::save).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn save(&self) -> Result<(), Error> {
        commit_to_the_end(self.0.clone(), Occasion::Save).await
    }
}

#[cfg(feature = "testing")]
impl SessionHandle {
    /// The same handle for a test that only looks: nobody is told what its request brought.
    ///
    /// It is the only one of its request.
    pub(crate) fn looking(mut self) -> Self {
        let inner = Arc::get_mut(&mut self.0).expect("a handle that was just opened has no clone");
        inner.request.purpose = Purpose::Look;
        self
    }
}

impl SessionHandle {
    /// Computes a number from the stored one and another.
    async fn add(
        &self,
        key: impl KeyOf<i64>,
        by: i64,
        add: fn(i64, i64) -> Option<i64>,
    ) -> Result<i64, Error> {
        let key: Arc<str> = checked(key.name())?.into();
        let name = key.clone();
        let compute = move |json: Option<&[u8]>| {
            let sum = add(read_as::<i64>(&name, json)?.unwrap_or(0), by);
            let sum =
                sum.ok_or(Refusal::Inapplicable("the number would leave the range of i64"))?;
            value::encode(&name, &sum).map_err(Refusal::Error)
        };
        self.0.compute(key, Box::new(compute), value::decode_exactly).await
    }
}

impl fmt::Debug for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionHandle").finish_non_exhaustive()
    }
}

impl Inner {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // The state is changed by whole operations, so it is whole even where a closure of the application
        // panicked inside one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Loads the records if nobody has.
    ///
    /// Nothing may be awaited while what it gives is held.
    fn loaded(&self) -> Loading<'_> {
        Loading { inner: self, from_store: None }
    }

    /// Carries a computation out, and reads what is there then.
    async fn compute<T>(
        &self,
        key: Arc<str>,
        compute: Compute,
        read: impl FnOnce(&str, &[u8]) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut loaded = self.loaded().await?;
        loaded.note_reading(&key);
        loaded.change(Operation::Compute { key: key.clone(), compute })?;
        read(&key, loaded.draft().json(&key))
    }

    /// Loads the records that the request's cookies name, once.
    async fn load(&self) -> Result<(), Error> {
        if self.load_now().is_none() {
            Box::pin(self.load_from_store()).await?;
        }
        Ok(())
    }

    /// Loads what needs no waiting: the state, if everything is there now.
    #[inline]
    fn load_now(&self) -> Option<MutexGuard<'_, State>> {
        let mut state = self.state();
        state.used = true;
        if state.work.is_some() { Some(state) } else { self.load_first(state) }
    }

    fn load_first<'a>(&'a self, mut state: MutexGuard<'a, State>) -> Option<MutexGuard<'a, State>> {
        let memory = match &self.core.driver {
            Driver::Memory(memory) => memory,
            Driver::Stealth(stealth) => return Some(self.load_from_seals(state, stealth)),
            Driver::Store(_) => return None,
        };
        let carried = &self.request.carried;
        let (session, permanent) = (&carried.session, carried.permanent());
        let now = self.core.clock.now();
        let work = state.work.insert(self.begin_work(now, |records| {
            records.load_from_memory(memory, session.iter(), permanent.iter());
        }));
        let standings = [&work.draft.records.ordinary, &work.draft.records.permanent];
        if !standings.iter().any(|standing| matches!(standing, Standing::Unknown { .. })) {
            return Some(state);
        }
        let unknown = standings.map(Standing::unknown_key);
        drop(state);
        for key in unknown.into_iter().flatten() {
            self.tell_of_unusable(&Standing::Unknown { key }, now);
        }
        Some(self.state())
    }

    fn load_from_seals<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        stealth: &Stealth,
    ) -> MutexGuard<'a, State> {
        let seals = state.seals.take();
        let now = self.core.clock.now();
        let mut refused = Vec::new();
        state.work = Some(self.begin_work(now, |records| {
            if let Some(seals) = seals {
                records.load_from_seals(stealth, seals, |why| refused.push(why));
            }
        }));
        if refused.is_empty() || !self.request.purpose.is_told() {
            return state;
        }
        drop(state);
        for why in refused {
            self.core.listeners.tell_of_refused_seal(now, why);
        }
        self.state()
    }

    async fn load_from_store(&self) -> Result<(), Error> {
        let _turn = self.turn.take().await;
        if self.state().work.is_some() {
            return Ok(());
        }
        let carried = &self.request.carried;
        let (session, permanent) = (&carried.session, carried.permanent());
        let now = self.core.clock.now();
        let loaded = load(&self.core.driver, session.iter(), permanent.iter(), now).await?;
        self.tell_of_unusable(&loaded.ordinary, now);
        self.tell_of_unusable(&loaded.permanent, now);
        let mut state = self.state();
        // Another task may have been here first; its changes stand.
        state.work.get_or_insert_with(|| self.begin_work(now, |records| *records = loaded));
        Ok(())
    }

    fn begin_work(&self, now: Timestamp, load: impl FnOnce(&mut load::Loaded)) -> Box<Work> {
        // The allocation comes first, so that the rest is made where it stays, and so is what is loaded.
        let place = Box::new_uninit();
        let draft = Draft::new(now, self.request.carried.flash, self.core.clock.clone());
        let (log, events) = (Log::default(), Vec::new());
        let (read, made, kept, made_permanent) = (0, 0, 0, None);
        let mut work =
            Box::write(place, Work { draft, log, read, made, kept, made_permanent, events });
        load(&mut work.draft.records);
        work.draft.begin();
        work
    }

    /// Loads the records of this request again, for a replay.
    pub(crate) async fn reload(&self) -> Result<(Standing, Standing), Error> {
        let (ordinary, permanent) = match &self.state().work {
            Some(work) => {
                (work.draft.records.ordinary.clone(), work.draft.records.permanent.clone())
            }
            None => return Ok((Standing::Absent, Standing::Absent)),
        };
        let now = self.core.clock.now();
        if let Driver::Stealth(stealth) = &self.core.driver {
            return Ok((stealth.again(&ordinary, now), stealth.again(&permanent, now)));
        }
        let carried = &self.request.carried;
        let one = tokens(&ordinary, &carried.session);
        let other = tokens(&permanent, carried.permanent());
        let loaded = load(&self.core.driver, one.iter(), other.iter(), now).await?;
        let (new_ordinary, new_permanent) = (loaded.ordinary, loaded.permanent);
        let keep_ended = |old: Standing, new| if old.is_ended() { old } else { new };
        Ok((keep_ended(ordinary, new_ordinary), keep_ended(permanent, new_permanent)))
    }

    /// Where the ordinary record is, if it lives.
    pub(crate) fn ordinary_key(&self) -> Option<StoreKey> {
        self.state().work.as_ref()?.draft.records.ordinary.live().map(|live| live.key)
    }

    /// The ordinary record, if it lives.
    pub(crate) fn ordinary_record(&self) -> Option<Record> {
        self.state().work.as_ref()?.draft.records.ordinary.live().map(|live| live.record.clone())
    }

    /// The key at which commits of this request meet others.
    pub(crate) fn queue_key(&self) -> Option<StoreKey> {
        let state = self.state();
        let draft = &state.work.as_ref()?.draft;
        draft.records.ordinary.key().or_else(|| draft.records.permanent.key())
    }

    /// The id of the session that the request has, or else of the one that its cookie named.
    pub(crate) fn id_in(&self, state: &State) -> Option<SessionId> {
        let recorded =
            state.work.as_ref().and_then(|work| work.draft.records.ordinary.recorded_key());
        let carried = || self.request.carried.session.iter().next();
        let key = recorded.or_else(|| carried().map(|token| self.core.driver.key_of(token)))?;
        Some(self.core.driver.id_at(&key))
    }

    /// Tells of a cookie that opens nothing, or something that cannot be read.
    fn tell_of_unusable(&self, standing: &Standing, now: Timestamp) {
        let Core { driver, listeners, .. } = &*self.core;
        match standing {
            _ if !self.request.purpose.is_told() => {}
            Standing::Unknown { key } => listeners.tell_of_unknown_token(now, || driver.id_at(key)),
            Standing::Corrupt { key, why, .. } => {
                let unreadable = || Event::Unreadable { id: driver.id_at(key), why };
                listeners.tell(Name::Unreadable, unreadable);
            }
            Standing::Absent | Standing::Ended | Standing::Live(_) => {}
        }
    }
}

/// The loaded state, once it is there.
///
/// Every verb waits for it, and nearly always it is there: only a store makes a future of its own, in a box, since the
/// future of every verb is moved about.
#[must_use = "nothing is loaded before it is polled"]
struct Loading<'a> {
    inner: &'a Inner,
    from_store: Option<FromStore<'a>>,
}

type FromStore<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>;

impl<'a> Future for Loading<'a> {
    type Output = Result<Loaded<'a>, Error>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let inner = self.inner;
        if self.from_store.is_none()
            && let Some(state) = inner.load_now()
        {
            return Poll::Ready(Loaded::of(state));
        }
        self.poll_store(context)
    }
}

impl<'a> Loading<'a> {
    fn poll_store(&mut self, context: &mut Context<'_>) -> Poll<Result<Loaded<'a>, Error>> {
        let inner = self.inner;
        let from_store = self.from_store.get_or_insert_with(|| Box::pin(inner.load_from_store()));
        ready!(from_store.as_mut().poll(context))?;
        Poll::Ready(Loaded::of(inner.state()))
    }
}

impl<'a> Loaded<'a> {
    /// The state in which something was loaded, where nothing forbids to work on it.
    #[inline]
    fn of(state: MutexGuard<'a, State>) -> Result<Self, Error> {
        match &state.work {
            Some(work) if !work.log.destroy => work.draft.check_readable()?,
            Some(_) => {}
            None => return Err(Error::outside()),
        }
        Ok(Self(state))
    }

    fn work(&mut self) -> &mut Work {
        self.0.work.as_mut().expect("`of` saw it")
    }

    fn draft(&self) -> &Draft {
        &self.0.work.as_ref().expect("`of` saw it").draft
    }

    /// Reads a value; a flash value counts as read, which is what ages it in scripts' requests.
    fn read<T: DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>, Error> {
        let Work { draft, read, .. } = self.work();
        let Some(found) = draft.get(key) else { return Ok(None) };
        found.note_in(read);
        value::decode(key, found.json)
    }

    fn read_all(&mut self) -> Result<serde_json::Map<String, serde_json::Value>, Error> {
        let Work { draft, read, .. } = self.work();
        let mut all = serde_json::Map::new();
        for (key, found) in draft.visible() {
            found.note_in(read);
            all.insert(key.to_owned(), value::decode_exactly(key, found.json)?);
        }
        Ok(all)
    }

    fn note_reading(&mut self, key: &str) {
        let Work { draft, read, .. } = self.work();
        if let Some(found) = draft.get(key) {
            found.note_in(read);
        }
    }

    /// Carries a change out and logs it, or does neither.
    fn change(&mut self, operation: Operation) -> Result<(), Error> {
        let stage = self.0.stage;
        let Work { draft, log, .. } = self.work();
        let needs_session = !matches!(
            operation,
            Operation::Regenerate | Operation::SetOwner(_) | Operation::Now { .. }
        );
        if draft.records.ordinary.is_ended() && needs_session && !log.begins_anew() {
            return Err(Error::gone(error::Record::Session));
        }
        if stage == Stage::Late
            && let Some(doing) = draft.needs_cookie(&operation)
        {
            return Err(Error::new(Kind::Late { doing }));
        }
        // The same owner again changes nothing, and is no login when the log is replayed.
        if matches!(&operation, Operation::SetOwner(owner) if draft.owner() == Some(owner)) {
            return Ok(());
        }
        draft.apply(&operation)?;
        log.push(operation);
        Ok(())
    }
}

/// The current value for a computation; null counts as absent.
fn read_as<T: DeserializeOwned>(key: &str, json: Option<&[u8]>) -> Result<Option<T>, Refusal> {
    match json {
        Some(json) => value::decode(key, json).map_err(Refusal::Error),
        None => Ok(None),
    }
}

impl Inner {
    /// The request has come to no response: no cookie can be sent any more, and a `destroy` counts all the same.
    ///
    /// A handle that has committed for its response head is left as it is.
    #[cfg(any(feature = "tower", feature = "actix"))]
    pub(crate) fn abandon(&self) {
        let mut state = self.state();
        if state.stage == Stage::Late {
            return;
        }
        state.stage = Stage::Late;
        // A `save` that is under way is carried to its end.
        let Some(_turn) = self.turn.try_take() else { return };
        let Some(work) = &mut state.work else { return };
        let abandoned = work.abandon_destroy();
        work.log.forget();
        if abandoned.is_none() {
            // Somebody may hold this handle still, and `save` writes the draft, not the log.
            work.draft.go_on();
        }
        drop(state);
        if let Some(abandoned) = abandoned {
            self.core.end_detached(abandoned);
        }
    }
}

impl Work {
    /// What a `destroy` was to end that no commit will carry out.
    fn abandon_destroy(&mut self) -> Option<Abandoned> {
        let Self { draft, log, .. } = self;
        let is_to_end = log.destroy && !draft.records.ordinary.is_ended();
        log.destroy = false;
        is_to_end.then(|| Abandoned {
            ordinary: Target::of(draft),
            others: draft.records.others.clone(),
            permanent: draft.records.permanent.recorded(),
            earlier_ends: log.earlier_ends(),
        })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Some(work) = &mut state.work else { return };
        let drops_changes = state.stage == Stage::Late && work.log.has_changes();
        if work.events.is_empty() && !work.log.destroy && !drops_changes {
            return;
        }
        let abandoned = work.abandon_destroy();
        self.tell_noted();
        if let Some(abandoned) = abandoned {
            self.core.end_detached(abandoned);
        }
        if drops_changes {
            let dropped = || {
                let state = self.state();
                let keys = state.work.as_ref().map_or_else(Vec::new, |work| work.log.keys());
                let names = keys.into_iter().map(str::to_owned).collect();
                Event::ChangesDropped { id: self.id_in(&state), names }
            };
            self.core.listeners.tell(Name::ChangesDropped, dropped);
        }
    }
}
