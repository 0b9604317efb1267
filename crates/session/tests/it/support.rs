//! What the tests share: sessions on every driver, a jar, and a request in one call.

use dframework_session::{
    Clock, CommitError, Config, Error, HeadChanges, MemoryStore, RequestHead, ResponseHead,
    SessionHandle, Sessions, store::Store,
};
use std::{collections::BTreeMap, time::Duration};

pub(crate) const NAME: &str = "__Host-Http-session";
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// The sessions of one driver, on a clock that the test moves.
pub(crate) struct Bench {
    pub(crate) driver: &'static str,
    pub(crate) sessions: Sessions,
    pub(crate) clock: Clock,
}

/// One bench for every driver: what holds on one holds on all.
pub(crate) async fn drivers() -> Vec<Bench> {
    vec![in_memory().await, in_a_store(MemoryStore::new())]
}

pub(crate) async fn in_memory() -> Bench {
    let clock = Clock::manual();
    let config = Config::new().driver(dframework_session::DriverName::Memory).clock(clock.clone());
    let sessions = Sessions::connect(&config).await.unwrap();
    Bench { driver: "memory", sessions, clock }
}

pub(crate) fn in_a_store(store: impl Store) -> Bench {
    let clock = Clock::manual();
    let sessions = Sessions::from_store(store, &Config::new().clock(clock.clone())).unwrap();
    Bench { driver: "store", sessions, clock }
}

/// The cookies of one browser, without paths and domains.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Jar(pub(crate) BTreeMap<String, String>);

impl Jar {
    pub(crate) fn field(&self) -> String {
        let pairs: Vec<_> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }

    pub(crate) fn take(&mut self, lines: &[String]) {
        for line in lines {
            let (pair, attributes) = line.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.0.remove(name);
            } else {
                self.0.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// What the session cookie holds.
    pub(crate) fn session(&self) -> Option<&str> {
        self.0.get(NAME).map(String::as_str)
    }

    /// What the companion with this ending holds, such as `.p` or `.f0`.
    pub(crate) fn companion(&self, ending: &str) -> Option<&str> {
        self.0.get(&format!("{NAME}{ending}")).map(String::as_str)
    }
}

/// How a client presents itself.
#[derive(Clone, Copy)]
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
    /// Opens the handle of a request without doing anything with it.
    pub(crate) fn open(&self, jar: &Jar, client: Client, method: &str) -> SessionHandle {
        let field = jar.field();
        let mut head = RequestHead::new(method);
        (head.fetch_dest, head.purpose) = match client {
            Client::Plain => (None, None),
            Client::Navigation => (Some(b"document".as_slice()), None),
            Client::Fetch(dest) => (Some(dest.as_bytes()), None),
            Client::Prefetch => (Some(b"document".as_slice()), Some(b"prefetch".as_slice())),
        };
        self.sessions.open(head.with_cookies([field.as_bytes()]))
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
}

/// Runs something and returns everything that it told through `tracing`, at every level.
pub(crate) async fn told<R>(run: impl AsyncFnOnce() -> R) -> (R, String) {
    let text = Told::default();
    let subscriber = tracing::subscriber::set_default(text.clone());
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
                self.0.push_str(&format!("{field}={value:?} "));
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
