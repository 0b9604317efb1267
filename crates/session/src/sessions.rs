//! START HERE: the walk of one request, from its head to the head of its response.
//!
//! [`Sessions::open`] finds our cookies and makes a handle; nothing is loaded. The handler runs inside
//! [`Sessions::scope`], where the facade finds the handle. [`Sessions::commit`] says what the response head
//! must carry. Adapters are made of these three and speak strings and bytes, so they fit any framework.

use crate::{
    commit::{Abandoned, Lifetimes, Occasion, commit_to_the_end, end_abandoned},
    config::{Config, DriverName, Env, Settings},
    cookie::Cookies,
    driver::{Driver, Remote},
    error::{Error, Kind},
    event::{Event, Listeners, Name},
    facade::Session,
    flash::Purpose,
    handle::{Inner, Request, SessionHandle},
    memory::{Keys, Memory},
    queue::Queue,
    scope, stealth,
    sweeper::Sweeper,
};
use dframework_session_store::Store;
use std::{
    fmt,
    pin::pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, Waker},
};

/// Where sessions are kept and how: made once at start, cheap to clone.
///
/// ```
/// use dframework_session::{Config, RequestHead, ResponseHead, Session, Sessions};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let sessions = Sessions::connect(&Config::from_toml("app.sessionDriver = 'memory'")?).await?;
///
/// // What an adapter does with every request:
/// let handle = sessions.open(RequestHead::new("GET"));
/// sessions.scope(handle.clone(), async { Session::set("name", "visitor").await }).await?;
/// let changes = sessions.commit(&handle, ResponseHead::new(200)).await?;
///
/// assert!(changes.set_cookies[0].starts_with("__Host-Http-session="));
/// assert_eq!(changes.cache_control, Some("no-store"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Sessions(pub(crate) Arc<Core>);

/// What all requests share.
pub(crate) struct Core {
    pub(crate) driver: Driver,
    pub(crate) cookies: Cookies,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) clock: crate::Clock,
    pub(crate) listeners: Arc<Listeners>,
    /// Stops when the last `Sessions` goes.
    pub(crate) sweeper: OnceLock<Sweeper>,
}

/// A field of a request's head that is read only when it matters: few requests bring a message to age.
pub type LazyField<'a> = &'a dyn Fn() -> Option<&'a [u8]>;

/// What an adapter tells of a request.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct RequestHead<'a, C = std::iter::Empty<&'a [u8]>> {
    /// The values of the Cookie fields, in order.
    pub cookies: C,
    /// The method, in capitals.
    pub method: &'a str,
    /// Reads the field `Sec-Fetch-Dest`.
    pub fetch_dest: LazyField<'a>,
    /// Reads the field `Sec-Purpose`.
    pub purpose: LazyField<'a>,
    /// The scheme, where it is known: a server behind a proxy does not know it.
    pub scheme: Option<&'a str>,
}

impl<'a> RequestHead<'a> {
    /// The head of a request without cookies.
    pub fn new(method: &'a str) -> Self {
        let cookies = std::iter::empty();
        Self { cookies, method, fetch_dest: &|| None, purpose: &|| None, scheme: None }
    }

    /// The same head with these readers of the fields `Sec-Fetch-Dest` and `Sec-Purpose`.
    #[must_use]
    pub fn with_purpose(mut self, fetch_dest: LazyField<'a>, purpose: LazyField<'a>) -> Self {
        (self.fetch_dest, self.purpose) = (fetch_dest, purpose);
        self
    }

    /// The same head with these Cookie fields.
    pub fn with_cookies<C: IntoIterator<Item = &'a [u8]>>(self, cookies: C) -> RequestHead<'a, C> {
        let Self { method, fetch_dest, purpose, scheme, .. } = self;
        RequestHead { cookies, method, fetch_dest, purpose, scheme }
    }
}

/// Shows everything but the cookies.
impl<C> fmt::Debug for RequestHead<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .field("fetch_dest", &(self.fetch_dest)().map(String::from_utf8_lossy))
            .field("purpose", &(self.purpose)().map(String::from_utf8_lossy))
            .field("scheme", &self.scheme)
            .finish_non_exhaustive()
    }
}

/// What an adapter tells of a response before its head is sent.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ResponseHead<'a> {
    /// The status code.
    pub status: u16,
    /// The field `Cache-Control`, if the application set one.
    pub cache_control: Option<&'a [u8]>,
}

impl<'a> ResponseHead<'a> {
    /// The head of a response without `Cache-Control`.
    pub fn new(status: u16) -> Self {
        Self { status, cache_control: None }
    }

    /// The same head with the `Cache-Control` that the application set.
    #[must_use]
    pub fn with_cache_control(mut self, cache_control: Option<&'a [u8]>) -> Self {
        self.cache_control = cache_control;
        self
    }
}

/// What the adapter does to the response head.
#[derive(Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct HeadChanges {
    /// Set-Cookie lines to append, each a field of its own, marked sensitive.
    pub set_cookies: Vec<String>,
    /// The `Cache-Control` that must hold in place of any other.
    pub cache_control: Option<&'static str>,
    /// Whether `Vary` must name `Cookie`.
    pub vary: bool,
}

/// Shows how many cookies are set, never a line.
impl fmt::Debug for HeadChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeadChanges")
            .field("set_cookies", &self.set_cookies.len())
            .field("cache_control", &self.cache_control)
            .field("vary", &self.vary)
            .finish()
    }
}

/// A commit that failed.
///
/// The adapter sends a response of its own with the error's status, and nothing of the application's.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CommitError {
    /// Why it failed.
    pub error: Error,
    /// What that response must carry: the cookies of what had been committed before.
    pub head: HeadChanges,
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for CommitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

impl Sessions {
    /// Opens the driver that `app.sessionDriver` names.
    ///
    /// Without one it is `memory`, with a warning. The database driver makes its database and its table where they
    /// are missing, and begins to [sweep](Sessions::start_sweeper). The driver `stealth` opens nothing; it needs a
    /// [key](Config::key) or a [key file](Config::key_file), which it makes where it is missing.
    ///
    /// What differs between the drivers is in [one table](crate::manual::drivers).
    ///
    /// # Errors
    ///
    /// The configuration cannot be used, or the driver is not part of this build; the message names the
    /// property, its value and what is allowed, or the feature that is missing. [`Error::is_unavailable`] when the
    /// database cannot be opened; the cause names it.
    ///
    /// ```
    /// use dframework_session::{Config, Sessions};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let config = Config::from_toml("app.sessionDriver = 'memory'\napp.sessionIdleTimeout = '30m'")?;
    /// let sessions = Sessions::connect(&config).await?;
    /// assert_eq!(sessions.driver(), "memory");
    ///
    /// let config = Config::from_toml("app.sessionDriver = 'memry'");
    /// assert!(config.unwrap_err().to_string().contains("memory"));
    /// # Ok::<(), dframework_session::Error>(())
    /// # }).unwrap();
    /// ```
    #[cfg_attr(
        not(any(feature = "mysql", feature = "postgres", feature = "sqlite")),
        expect(clippy::unused_async, reason = "a database is waited for")
    )]
    pub async fn connect(config: &Config) -> Result<Self, Error> {
        let settings = config.settings()?;
        match settings.driver {
            Some(DriverName::Memory) => Ok(Self::in_memory(settings)),
            None => {
                let sessions = Self::in_memory(settings);
                sessions.0.listeners.tell(Name::DriverNotSet, || Event::DriverNotSet);
                Ok(sessions)
            }
            Some(DriverName::Stealth) => Self::in_cookies(settings),
            #[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
            Some(DriverName::Database) => {
                let store = crate::opening::open(config, &settings).await?;
                let sessions = Self::in_a_store(Arc::new(store), "database", settings);
                sessions.start_sweeper();
                Ok(sessions)
            }
            Some(driver) => Err(config.refuse_driver(not_compiled(driver))),
        }
    }

    /// Sessions in memory with every default, for tests and examples.
    pub fn memory() -> Self {
        Self::in_memory(Config::new().resolve())
    }

    /// Sessions in a store of your own; `app.sessionDriver` is not read.
    ///
    /// Whether it is a store, `store::testing::acceptance_suite!` says (feature `testing`): it makes a test of every
    /// sentence of the contract.
    ///
    /// # Errors
    ///
    /// The configuration cannot be used.
    ///
    /// ```
    /// use dframework_session::{Config, MemoryStore, Sessions};
    ///
    /// let sessions = Sessions::from_store(MemoryStore::new(), &Config::new())?;
    /// assert_eq!(sessions.driver(), "store");
    /// # Ok::<(), dframework_session::Error>(())
    /// ```
    pub fn from_store(store: impl Store, config: &Config) -> Result<Self, Error> {
        Ok(Self::in_a_store(Arc::new(store), "store", config.settings()?))
    }

    fn in_a_store(store: Arc<dyn Store>, name: &'static str, settings: Settings) -> Self {
        let timeout = settings.store_timeout;
        let remote = Remote { store, name, timeout, queue: Queue::default() };
        let listeners = Arc::new(Listeners::new(settings.hooks.clone()));
        Self::new(Driver::Store(remote), settings, listeners)
    }

    fn in_memory(settings: Settings) -> Self {
        let listeners = Arc::new(Listeners::new(settings.hooks.clone()));
        let told = listeners.clone();
        let memory = Memory::new(settings.max_sessions, settings.max_bytes, Keys::Tokens)
            .with_eviction_listener(Box::new(move |id| {
                told.tell(Name::Evicted, || Event::Evicted { id: id() });
            }));
        Self::new(Driver::Memory(memory), settings, listeners)
    }

    fn in_cookies(settings: Settings) -> Result<Self, Error> {
        let listeners = Arc::new(Listeners::new(settings.hooks.clone()));
        let stealth = stealth::open(&settings, &listeners)?;
        Ok(Self::new(Driver::Stealth(stealth), settings, listeners))
    }

    fn new(driver: Driver, settings: Settings, listeners: Arc<Listeners>) -> Self {
        if settings.env == Env::Local {
            listeners.tell(Name::LocalEnvironment, || Event::LocalEnvironment);
        }
        let lifetimes = Lifetimes::new(settings.idle_timeout, settings.lifetime);
        Self(Arc::new(Core {
            cookies: Cookies::new(settings.cookie, driver.holding()),
            driver,
            lifetimes,
            clock: settings.clock,
            listeners,
            sweeper: OnceLock::new(),
        }))
    }

    /// Deletes what has expired from the store, from now on and until the last of these `Sessions` is dropped.
    ///
    /// [`Sessions::connect`] does so itself; this is for stores of your own. It runs in a task, about once a minute,
    /// and deletes a few hundred records at a time, so that requests go on meanwhile. Several processes may sweep one
    /// store. What fails is told as [`Event::SweepFailed`], and tried again for ever. A second call, or one on sessions
    /// in memory, which clean up after themselves, changes nothing.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    ///
    /// ```
    /// use dframework_session::{Config, MemoryStore, Sessions};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let sessions = Sessions::from_store(MemoryStore::new(), &Config::new())?;
    /// sessions.start_sweeper();
    /// # Ok::<(), dframework_session::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn start_sweeper(&self) {
        let core = &self.0;
        if let Driver::Store(remote) = &core.driver {
            core.sweeper.get_or_init(|| Sweeper::start(remote, &core.clock, &core.listeners));
        }
    }

    /// The current request's session in these very sessions.
    ///
    /// Where several layers lie around a handler, [`Session`] is that of the innermost; this finds each.
    ///
    /// # Errors
    ///
    /// [`Error::is_outside`] where no request of these sessions is running.
    ///
    /// ```
    /// use dframework_session::{RequestHead, Session, Sessions};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (site, office) = (Sessions::memory(), Sessions::memory());
    /// let handler = async {
    ///     Session::set("role", "clerk").await?;
    ///     site.handle()?.set("theme", "dark").await?;
    ///     assert_eq!(office.handle()?.keys().await?, ["role"]);
    ///     Ok::<(), dframework_session::Error>(())
    /// };
    /// let (outer, inner) = (site.open(RequestHead::new("GET")), office.open(RequestHead::new("GET")));
    /// site.scope(outer, office.scope(inner, handler)).await?;
    /// assert!(site.handle().unwrap_err().is_outside());
    /// # Ok::<(), dframework_session::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn handle(&self) -> Result<SessionHandle, Error> {
        self.running().ok_or_else(|| match scope::current() {
            None => Error::outside(),
            Some(_) => Error::new(Kind::OfOthers),
        })
    }

    /// The handle of the request of these very sessions in which the code runs.
    pub(crate) fn running(&self) -> Option<SessionHandle> {
        scope::innermost(|handle| Arc::ptr_eq(&handle.0.core, &self.0))
    }

    /// Where the sessions are kept: `memory`, `database`, `stealth`, or `store` for [`Sessions::from_store`].
    ///
    /// For pages that tell what the driver cannot do: see the [table](crate::manual::drivers).
    pub fn driver(&self) -> &'static str {
        match &self.0.driver {
            Driver::Memory(_) => "memory",
            Driver::Stealth(_) => "stealth",
            Driver::Store(remote) => remote.name,
        }
    }

    /// The name of the session cookie. Those of its companions begin with it.
    pub fn cookie_name(&self) -> &str {
        self.0.cookies.name()
    }

    /// Makes the handle of a request. Reads its cookies and nothing else.
    pub fn open<'a, C>(&self, head: RequestHead<'a, C>) -> SessionHandle
    where
        C: IntoIterator<Item = &'a [u8]>,
    {
        let (carried, doubled) = self.0.cookies.find(head.cookies.into_iter());
        if doubled {
            self.0.listeners.tell_of_doubled_cookie(self.0.clock.now());
        }
        let minds = carried.has_companions();
        let field = |field: LazyField<'a>| if minds { field() } else { None };
        let purpose = Purpose::of(head.method, field(head.fetch_dest), field(head.purpose));
        let https = head.scheme == Some("https");
        SessionHandle::new(self.0.clone(), Request { carried, purpose, https })
    }

    /// Runs a future in which the facade finds this handle.
    pub fn scope<F: Future>(
        &self,
        handle: SessionHandle,
        future: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        Session::scope(handle, future)
    }

    /// Runs a function in which the facade finds this handle: the part of a service call before its future.
    pub fn enter<R>(&self, handle: SessionHandle, function: impl FnOnce() -> R) -> R {
        let _entered = scope::enter(handle);
        function()
    }

    /// Commits what the request asked for, and says what the response head must carry.
    ///
    /// With a store, the commit runs in a task of its own, which goes on when this future is dropped. After
    /// it, the handle takes only changes that need no cookie, and `save` commits them.
    ///
    /// # Errors
    ///
    /// The changes could not be committed, or only in part: see [`CommitError`].
    pub async fn commit(
        &self,
        handle: &SessionHandle,
        head: ResponseHead<'_>,
    ) -> Result<HeadChanges, CommitError> {
        let inner = &handle.0;
        if inner.finish_unused() {
            return Ok(HeadChanges::default());
        }
        if let Some(changes) = inner.finish_idle(head) {
            return Ok(changes);
        }
        let occasion = Occasion::Head { status: head.status };
        let committed = commit_to_the_end(inner.clone(), occasion).await;
        inner.finish(committed, head)
    }

    /// As [`Sessions::commit`] where that would not wait: always in memory and in cookies, with a store if nothing is to
    /// be written.
    ///
    /// # Errors
    ///
    /// As there; [`Error::is_would_block`] when the commit would wait, and then nothing was done.
    pub fn commit_now(
        &self,
        handle: &SessionHandle,
        head: ResponseHead<'_>,
    ) -> Result<HeadChanges, CommitError> {
        if handle.0.finish_unused() {
            return Ok(HeadChanges::default());
        }
        handle.0.commit_now(head)
    }
}

impl Inner {
    /// As [`Sessions::commit_now`], for a session that was used.
    pub(crate) fn commit_now(&self, head: ResponseHead<'_>) -> Result<HeadChanges, CommitError> {
        if let Some(changes) = self.finish_idle(head) {
            return Ok(changes);
        }
        let occasion = Occasion::Head { status: head.status };
        let would_block = || {
            let error = Error::new(Kind::WouldBlock);
            CommitError { error, head: HeadChanges::default() }
        };
        if self.core.driver.waits() {
            return match self.has_nothing_to_do(occasion) {
                Ok(true) => self.finish(Ok(()), head),
                Ok(false) => Err(would_block()),
                Err(error) => self.finish(Err(error), head),
            };
        }
        if let Some(committed) = self.commit_at_once(head) {
            return self.finish(committed, head);
        }
        // In memory the only wait is for another commit of this very request, before anything is done.
        match pin!(self.commit(occasion)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(committed) => self.finish(committed, head),
            Poll::Pending => Err(would_block()),
        }
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("cookies", &self.0.cookies).finish_non_exhaustive()
    }
}

impl Core {
    /// Ends records although nobody waits for it: a `destroy` whose request came to no response.
    pub(crate) fn end_detached(self: &Arc<Self>, abandoned: Abandoned) {
        if !self.driver.waits() {
            let ending = end_abandoned(self, abandoned);
            let _ = pin!(ending).poll(&mut Context::from_waker(Waker::noop()));
        } else if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let core = self.clone();
            runtime.spawn(async move { end_abandoned(&core, abandoned).await });
        } else {
            abandoned.tell_of_no_runtime(self);
        }
    }
}

fn not_compiled(driver: DriverName) -> String {
    let (name, needs) = match driver {
        DriverName::Database => ("database", "the feature `sqlite`, `postgres` or `mysql`"),
        _ => ("redis", "a version of dframework-session that has this driver"),
    };
    let has = if cfg!(any(feature = "mysql", feature = "postgres", feature = "sqlite")) {
        "memory, database, stealth"
    } else {
        "memory, stealth"
    };
    format!("is \"{name}\", which needs {needs}; this build has: {has}")
}
