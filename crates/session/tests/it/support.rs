//! What the tests share: sessions on every driver, a jar, and a request in one call.

use crate::homes::{Home, PATIENCE, homes};
use dframework_session::{
    Clock, CommitError, Config, DriverName, Error, HeadChanges, MemoryStore, RequestHead,
    ResponseHead, SessionHandle, Sessions,
    store::Store,
    testing::{Browser, Cookie, Taken},
};
use serde::de::DeserializeOwned;
use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

pub(crate) const NAME: &str = "__Host-Http-session";
/// What a verb of the facade fails with where no request runs.
pub(crate) const OUTSIDE: &str = "no session here: is the layer installed (`SessionLayer`, in actix-web `SessionMiddleware`), or \
    was this spawned without `Session::spawn`? threads, bodies and upgraded connections take a `SessionHandle` along";
/// No flash companions.
pub(crate) const NONE: [u8; 0] = [];
/// A token of the right shape that no session has.
pub(crate) const UNKNOWN: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// The sessions of one driver, on a clock that the test moves.
pub(crate) struct Bench {
    pub(crate) driver: &'static str,
    pub(crate) sessions: Sessions,
    pub(crate) clock: Clock,
    /// Those of another process with the same records, where the driver lets processes share them.
    beside: Option<Sessions>,
    /// How often one of the two was chosen.
    turns: AtomicU64,
    /// What the records are in, which goes with them.
    _home: Option<Home>,
}

/// One bench for every driver: what holds on one holds on all.
pub(crate) async fn drivers() -> Vec<Bench> {
    let mut benches = keepers().await;
    benches.push(in_cookies().await);
    benches
}

/// The benches whose driver keeps records somewhere.
pub(crate) async fn keepers() -> Vec<Bench> {
    keepers_with(|config| config).await
}

/// As [`keepers`], with something else than the defaults.
pub(crate) async fn keepers_with(configure: impl Fn(Config) -> Config) -> Vec<Bench> {
    let mut benches = vec![in_memory_with(&configure).await, in_a_shared_store_with(&configure)];
    for home in homes() {
        benches.push(at_home_with(home, &configure).await);
    }
    benches
}

/// Those of [`keepers_with`] whose records are in this process: none of their calls waits.
pub(crate) async fn at_once_with(configure: impl Fn(Config) -> Config) -> Vec<Bench> {
    vec![in_memory_with(&configure).await, in_a_shared_store_with(&configure).alone()]
}

pub(crate) async fn in_memory_with(configure: impl Fn(Config) -> Config) -> Bench {
    let clock = Clock::manual();
    let config = Config::new().driver(DriverName::Memory).clock(clock.clone());
    let sessions = Sessions::connect(&configure(config)).await.unwrap();
    Bench::new("memory", sessions, clock)
}

/// Two processes on one store.
pub(crate) fn in_a_shared_store_with(configure: impl Fn(Config) -> Config) -> Bench {
    let (clock, store) = (Clock::manual(), MemoryStore::new());
    let config = configure(Config::new().clock(clock.clone()));
    let [one, other] = [(); 2].map(|()| Sessions::from_store(store.clone(), &config).unwrap());
    Bench { beside: Some(other), ..Bench::new("store", one, clock) }
}

/// Two processes on one database.
pub(crate) async fn at_home_with(home: Home, configure: impl Fn(Config) -> Config) -> Bench {
    let clock = Clock::manual();
    let config = configure(Config::new().clock(clock.clone()).store_timeout(PATIENCE));
    let (one, other) = (home.open(&config).await, home.open(&config).await);
    let bench = Bench::new(home.engine(), one, clock);
    Bench { beside: Some(other), _home: Some(home), ..bench }
}

/// A key that nobody has, though everybody can read it.
pub(crate) const KEY: &str = "9f3b1c0d7e5a4286b1d0c3f2e4a596870f1e2d3c4b5a69788796a5b4c3d2e1f1";

pub(crate) async fn in_cookies() -> Bench {
    crate::stealth::with(|config| config).await
}

pub(crate) async fn in_memory() -> Bench {
    in_memory_with(|config| config).await
}

pub(crate) fn in_a_store(store: impl Store) -> Bench {
    let clock = Clock::manual();
    let sessions = Sessions::from_store(store, &Config::new().clock(clock.clone())).unwrap();
    Bench::new("store", sessions, clock)
}

/// Where the browsers of the tests are.
const HERE: &str = "https://localhost/";

/// The cookies of one browser, which takes and sends them by the rules of browsers. Its time stands still.
#[derive(Clone)]
pub(crate) struct Jar(Browser);

impl Default for Jar {
    fn default() -> Self {
        Self(Browser::new(Clock::manual()))
    }
}

impl PartialEq for Jar {
    fn eq(&self, other: &Self) -> bool {
        self.pairs() == other.pairs()
    }
}

impl fmt::Debug for Jar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.pairs()).finish()
    }
}

impl Jar {
    pub(crate) fn field(&self) -> String {
        self.0.clone().cookie_field(HERE).unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn take(&mut self, lines: &[String]) {
        for line in lines {
            let taken = self.0.receive(HERE, line);
            assert_eq!(taken, Ok(Taken::default()), "a browser drops a cookie of ours");
        }
    }

    /// Puts a cookie there, as our own lines do.
    pub(crate) fn insert(&mut self, name: &str, value: &str) {
        self.take(&[format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax")]);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Takes the cookies of another browser too.
    pub(crate) fn add(&mut self, other: &Self) {
        other.pairs().iter().for_each(|(name, value)| self.insert(name, value));
    }

    /// Names and values, in the order of the names.
    pub(crate) fn pairs(&self) -> BTreeMap<String, String> {
        let pair = |cookie: &Cookie| (cookie.name().into_owned(), cookie.value().into_owned());
        self.0.cookies().map(pair).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.cookies().next().is_none()
    }

    pub(crate) fn holds(&self, name: &str) -> bool {
        self.0.cookie(name).is_some()
    }

    fn value(&self, name: &str) -> Option<&str> {
        match self.0.cookie(name)?.value() {
            Cow::Borrowed(value) => Some(value),
            Cow::Owned(value) => panic!("a cookie of ours is no text: {value:?}"),
        }
    }

    /// What the session cookie holds.
    pub(crate) fn session(&self) -> Option<&str> {
        self.value(NAME)
    }

    /// Without the companion with this ending, as if its line had not arrived yet.
    pub(crate) fn without(&self, ending: &str) -> Self {
        let mut jar = self.clone();
        jar.remove(&format!("{NAME}{ending}"));
        jar
    }

    /// The generations of the flash companions, in order.
    pub(crate) fn generations(&self) -> Vec<u8> {
        (0..8).filter(|generation| self.companion(&format!(".f{generation}")).is_some()).collect()
    }

    /// What the companion with this ending holds, such as `.p` or `.f0`.
    pub(crate) fn companion(&self, ending: &str) -> Option<&str> {
        self.value(&format!("{NAME}{ending}"))
    }
}

/// How a client presents itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Client {
    /// No `Sec-Fetch-Dest`: curl, or an API client.
    Plain,
    /// A browser that goes to a page.
    Navigation,
    /// A browser that fetches something for a page: the destination.
    Fetch(&'static str),
    /// A browser that prefetches a page.
    Prefetch,
}

impl Bench {
    /// Sessions that this process alone has.
    pub(crate) fn new(driver: &'static str, sessions: Sessions, clock: Clock) -> Self {
        Self { driver, sessions, clock, beside: None, turns: AtomicU64::new(0), _home: None }
    }

    /// Without the other process, for what each tells by itself.
    pub(crate) fn alone(self) -> Self {
        Self { beside: None, ..self }
    }

    /// Both processes, each by itself; where the driver has no other, the one twice.
    pub(crate) fn processes(&self) -> [Self; 2] {
        [&self.sessions, self.beside.as_ref().unwrap_or(&self.sessions)]
            .map(|sessions| Self::new(self.driver, sessions.clone(), self.clock.clone()))
    }

    /// The process that answers next, of those that share the records.
    ///
    /// Which one has no rhythm that steps of a test could have too, and is the same whenever the test runs.
    pub(crate) fn anywhere(&self) -> &Sessions {
        // The multiples of the golden ratio, by the first bit behind the point.
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        let is_first = turn.wrapping_mul(0x9E37_79B9_7F4A_7C15) < 1 << 63;
        self.beside.as_ref().filter(|_| !is_first).unwrap_or(&self.sessions)
    }

    /// Opens the handle of a request without doing anything with it.
    pub(crate) fn open(&self, jar: &Jar, client: Client, method: &str) -> SessionHandle {
        let field = jar.field();
        let head = RequestHead::new(method);
        let (dest, purpose) = match client {
            Client::Plain => (None, None),
            Client::Navigation => (Some(b"document".as_slice()), None),
            Client::Fetch(dest) => (Some(dest.as_bytes()), None),
            Client::Prefetch => (Some(b"document".as_slice()), Some(b"prefetch".as_slice())),
        };
        let (dest, purpose) = (|| dest, || purpose);
        self.anywhere().open(head.with_purpose(&dest, &purpose).with_cookies([field.as_bytes()]))
    }

    /// Commits, and lets the jar take the cookies, also those of a commit that failed.
    pub(crate) async fn answer(
        &self,
        jar: &mut Jar,
        handle: &SessionHandle,
        status: u16,
    ) -> Result<HeadChanges, CommitError> {
        let committed = self.sessions.commit(handle, ResponseHead::new(status)).await;
        match &committed {
            Ok(head) => jar.take(&head.set_cookies),
            Err(failed) => jar.take(&failed.head.set_cookies),
        }
        committed
    }

    /// A whole request: opens, runs the handler, answers.
    pub(crate) async fn request<R>(
        &self,
        jar: &mut Jar,
        client: Client,
        status: u16,
        handler: impl AsyncFnOnce(SessionHandle) -> R,
    ) -> (R, HeadChanges) {
        let handle = self.open(jar, client, "GET");
        let returned = handler(handle.clone()).await;
        let head = self.answer(jar, &handle, status).await;
        (returned, head.unwrap_or_else(|failed| panic!("{}: {failed}", self.driver)))
    }

    /// A request by a plain client that is answered with 200 and whose handler does not fail.
    pub(crate) async fn ok<R>(
        &self,
        jar: &mut Jar,
        handler: impl AsyncFnOnce(SessionHandle) -> Result<R, Error>,
    ) -> R {
        let (returned, _) = self.request(jar, Client::Plain, 200, handler).await;
        returned.unwrap_or_else(|error| panic!("{}: {error}", self.driver))
    }

    /// A whole request with a method of its own.
    pub(crate) async fn send<R>(
        &self,
        jar: &mut Jar,
        (client, method, status): (Client, &str, u16),
        handler: impl AsyncFnOnce(SessionHandle) -> R,
    ) -> (R, HeadChanges) {
        let handle = self.open(jar, client, method);
        let returned = handler(handle.clone()).await;
        let head = self.answer(jar, &handle, status).await;
        (returned, head.unwrap_or_else(|failed| panic!("{}: {failed}", self.driver)))
    }

    /// What a request with these cookies would read. It is never answered, so nothing comes of it.
    pub(crate) async fn peek<T: DeserializeOwned>(&self, jar: &Jar, key: &str) -> Option<T> {
        let handle = self.open(jar, Client::Plain, "GET");
        let read = handle.get(key).await;
        read.unwrap_or_else(|error| panic!("{}: {error}", self.driver))
    }
}

/// Has everything told to this subscriber that this thread tells.
///
/// While `tracing` knows of one subscriber alone, a thread without any can settle that nobody listens to an event. So
/// there are always two more.
pub(crate) fn subscribe(
    subscriber: impl tracing::Subscriber + Send + Sync + 'static,
) -> tracing::subscriber::DefaultGuard {
    static OTHERS: LazyLock<[tracing::Dispatch; 2]> =
        LazyLock::new(|| [(); 2].map(|()| tracing::Dispatch::new(Told::default())));
    LazyLock::force(&OTHERS);
    tracing::subscriber::set_default(subscriber)
}

/// Runs something and returns everything that it told through `tracing`, at every level.
pub(crate) async fn told<R>(run: impl AsyncFnOnce() -> R) -> (R, String) {
    let text = Told::default();
    let subscriber = crate::support::subscribe(text.clone());
    let returned = run().await;
    drop(subscriber);
    let text = text.0.lock().unwrap().clone();
    (returned, text)
}

/// A subscriber that writes everything down.
#[derive(Clone, Default)]
struct Told(std::sync::Arc<std::sync::Mutex<String>>);

impl Told {
    fn write(&self, record: impl FnOnce(&mut dyn tracing::field::Visit)) {
        struct Visitor<'a>(&'a mut String);
        impl tracing::field::Visit for Visitor<'_> {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                use std::fmt::Write;
                let _ = write!(self.0, "{field}={value:?} ");
            }
        }
        record(&mut Visitor(&mut self.0.lock().unwrap()));
    }
}

impl tracing::Subscriber for Told {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("dframework_session")
    }

    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        self.write(|visitor| span.record(visitor));
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        self.write(|visitor| values.record(visitor));
    }

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        self.write(|visitor| event.record(visitor));
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

impl Jar {
    /// A browser that holds this session token and nothing else.
    pub(crate) fn holding(token: &str) -> Self {
        let mut jar = Self::default();
        jar.insert(NAME, token);
        jar
    }

    /// The session token of a browser that has one.
    pub(crate) fn token(&self) -> String {
        self.session().expect("the browser has a session cookie").to_owned()
    }
}

impl Bench {
    /// A browser with a session in which `name` is `guest`.
    pub(crate) async fn visitor(&self) -> Jar {
        let mut jar = Jar::default();
        self.ok(&mut jar, async |session| session.set("name", "guest").await).await;
        assert!(jar.session().is_some(), "{}: a write makes a session", self.driver);
        jar
    }

    /// What a request of this browser reads under a key. The browser's own jar stays as it is.
    pub(crate) async fn read(&self, jar: &Jar, key: &'static str) -> Option<String> {
        self.ok(&mut jar.clone(), async |session| session.get::<String>(key).await).await
    }

    /// Whether a session opens for this browser.
    pub(crate) async fn is_alive(&self, jar: &Jar) -> bool {
        self.ok(&mut jar.clone(), async |session| session.id().await).await.is_some()
    }

    /// The number of visits that a request would read, without any trace of it.
    pub(crate) async fn visits(&self, jar: &Jar) -> Option<i64> {
        self.open(jar, Client::Plain, "GET").get("visits").await.unwrap()
    }
}

/// Lets the other tasks run until they wait for something.
pub(crate) async fn yield_often() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// Waits for what others bring about.
pub(crate) async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it comes about in time");
}

/// Spawns something and lets it run until it waits.
pub(crate) async fn holding<F: Future<Output: Send> + Send + 'static>(
    f: F,
) -> tokio::task::JoinHandle<F::Output> {
    let task = tokio::spawn(f);
    yield_often().await;
    task
}
