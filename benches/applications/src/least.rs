//! A plain layer for sessions of axum, written by hand for these very requests.
//!
//! It is what ours is held against, not something to use. It has a token, a table in memory, JSON values in one flat
//! record, compare-and-set, and the fields that an answer must carry. It knows no flash, no permanent data, no other
//! driver, no new token for a session, no owner, no touch, no handle to pass on, no replay, no bound of anything, no
//! errors and no events.

use ::axum::{
    Router,
    http::{HeaderValue, Request, Response, header},
    routing::get,
};
use base64_simd::URL_SAFE_NO_PAD;
use pin_project_lite::pin_project;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    cell::RefCell,
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};
use tower::{Layer, Service};

use crate::{Application, asked::ENTRIES, axum::AxumApplication};

const COOKIE: &[u8] = b"__Host-Http-session=";
const LIFETIME: Duration = Duration::from_secs(7_200);

/// The application with that layer.
#[must_use]
pub fn least() -> Box<dyn Application> {
    let app = Router::new()
        .route("/", get(crate::axum::nothing))
        .route("/read", get(read))
        .route("/write", get(write))
        .route("/new", get(begin))
        .layer(Least(Arc::default()));
    Box::new(AxumApplication(app))
}

async fn read() -> &'static str {
    let name: Option<String> = load("name");
    assert!(name.is_some(), "the session was opened");
    "ok"
}

async fn write() -> &'static str {
    let visits: Option<i64> = load("visits");
    store("visits", &(visits.expect("the session was opened") + 1));
    "ok"
}

async fn begin() -> &'static str {
    for (key, value) in ENTRIES {
        store(key, value);
    }
    store("visits", &1);
    "ok"
}

type Token = [u8; 32];

/// A record as it is kept.
#[derive(Clone)]
struct Kept {
    version: u64,
    expires_at: SystemTime,
    /// For each value: the lengths of its name and text in two bytes each, the name, the text.
    bytes: Arc<[u8]>,
}

type Shard = Mutex<HashMap<Token, Kept, BuildHasherDefault<FirstBytes>>>;

struct Table([Shard; 64]);

impl Default for Table {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Shard::default()))
    }
}

impl Table {
    fn shard(&self, token: &Token) -> &Shard {
        &self.0[usize::from(token[31] % 64)]
    }
}

/// Tokens are random, so their first bytes are as good as any hash.
#[derive(Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// One request's session.
struct Session {
    table: Arc<Table>,
    token: Option<Token>,
    kept: Option<Kept>,
    new: Option<Vec<u8>>,
    used: bool,
}

thread_local! {
    static CURRENT: RefCell<Option<Session>> = const { RefCell::new(None) };
}

fn current<T>(work: impl FnOnce(&mut Session) -> T) -> T {
    CURRENT.with_borrow_mut(|session| work(session.as_mut().expect("a request is running")))
}

fn load<T: DeserializeOwned>(key: &str) -> Option<T> {
    current(|session| {
        session.load();
        let text = find(session.bytes(), key)?.1;
        serde_json::from_slice(text).ok()
    })
}

fn store(key: &str, value: &(impl Serialize + ?Sized)) {
    let text = serde_json::to_vec(value).expect("it is a text or a number");
    current(|session| {
        session.load();
        let old = session.bytes();
        let (place, old_text) = find(old, key).unwrap_or((old.len()..old.len(), &[]));
        if place.is_empty() || *old_text != *text {
            let mut new = Vec::with_capacity(old.len() + 4 + key.len() + text.len());
            new.extend_from_slice(&old[..place.start]);
            let length = |length: usize| u16::try_from(length).expect("it is short").to_le_bytes();
            new.extend_from_slice(&length(key.len()));
            new.extend_from_slice(&length(text.len()));
            new.extend_from_slice(key.as_bytes());
            new.extend_from_slice(&text);
            new.extend_from_slice(&old[place.end..]);
            session.new = Some(new);
        }
    });
}

/// Where a value stands, and its text.
fn find<'a>(bytes: &'a [u8], key: &str) -> Option<(std::ops::Range<usize>, &'a [u8])> {
    let mut at = 0;
    while let Some(&[a, b, c, d]) = bytes[at..].first_chunk() {
        let text_at = at + 4 + usize::from(u16::from_le_bytes([a, b]));
        let end = text_at + usize::from(u16::from_le_bytes([c, d]));
        if bytes[at + 4..text_at] == *key.as_bytes() {
            return Some((at..end, &bytes[text_at..end]));
        }
        at = end;
    }
    None
}

impl Session {
    fn load(&mut self) {
        self.used = true;
        if let (Some(token), None) = (&self.token, &self.kept) {
            let shard = self.table.shard(token).lock().unwrap_or_else(PoisonError::into_inner);
            let kept = shard.get(token).filter(|kept| SystemTime::now() < kept.expires_at);
            self.kept = kept.cloned();
        }
    }

    fn bytes(&self) -> &[u8] {
        match (&self.new, &self.kept) {
            (Some(new), _) => new,
            (None, Some(kept)) => &kept.bytes,
            (None, None) => &[],
        }
    }

    /// Writes what was changed; returns the token of a new session.
    fn commit(&mut self) -> Option<Token> {
        let bytes: Arc<[u8]> = self.new.take()?.into();
        let expires_at = SystemTime::now() + LIFETIME;
        let (token, is_new) = if let (Some(token), Some(_)) = (self.token, &self.kept) {
            (token, false)
        } else {
            let mut token = [0; 32];
            getrandom::fill(&mut token).expect("the system has random bytes");
            (token, true)
        };
        let expected = self.kept.as_ref().map_or(0, |kept| kept.version);
        let mut shard = self.table.shard(&token).lock().unwrap_or_else(PoisonError::into_inner);
        let stored = shard.get(&token).map_or(0, |kept| kept.version);
        assert_eq!(stored, expected, "no other request has changed the session");
        shard.insert(token, Kept { version: expected + 1, expires_at, bytes });
        is_new.then_some(token)
    }

    fn answer<R>(mut self, response: &mut Response<R>) {
        let made = self.commit();
        let headers = response.headers_mut();
        if let Some(token) = made {
            let mut line = String::with_capacity(128);
            line.push_str("__Host-Http-session=");
            URL_SAFE_NO_PAD.encode_append(token, &mut line);
            line.push_str("; Path=/; Secure; HttpOnly; SameSite=Lax");
            let mut value = HeaderValue::try_from(line).expect("it is plain text");
            value.set_sensitive(true);
            headers.append(header::SET_COOKIE, value);
        }
        if self.used {
            let said = if made.is_some() { "no-store" } else { "private" };
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(said));
            headers.append(header::VARY, HeaderValue::from_static("cookie"));
        }
    }
}

#[derive(Clone)]
struct Least(Arc<Table>);

#[derive(Clone)]
struct LeastService<S> {
    inner: S,
    table: Arc<Table>,
}

impl<S> Layer<S> for Least {
    type Service = LeastService<S>;

    fn layer(&self, inner: S) -> LeastService<S> {
        LeastService { inner, table: self.0.clone() }
    }
}

impl<S, Q, R> Service<Request<Q>> for LeastService<S>
where
    S: Service<Request<Q>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = LeastFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let fields = request.headers().get_all(header::COOKIE);
        let token = fields.iter().find_map(|field| token(field.as_bytes()));
        let table = self.table.clone();
        let session = Session { table, token, kept: None, new: None, used: false };
        LeastFuture { session: Some(session), future: self.inner.call(request) }
    }
}

fn token(field: &[u8]) -> Option<Token> {
    let text = field.split(|byte| *byte == b';').find_map(|pair| {
        let start = pair.iter().position(|byte| *byte != b' ')?;
        pair[start..].strip_prefix(COOKIE)
    })?;
    let mut token = [0; 32];
    let decoded = URL_SAFE_NO_PAD.decode(text, base64_simd::Out::from_slice(&mut token)).ok()?;
    (decoded.len() == 32).then_some(token)
}

pin_project! {
    struct LeastFuture<F> {
        session: Option<Session>,
        #[pin]
        future: F,
    }
}

impl<F, R, E> Future for LeastFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        CURRENT.set(this.session.take());
        let polled = this.future.poll(context);
        *this.session = CURRENT.take();
        let mut answer = ready!(polled);
        if let (Ok(response), Some(session)) = (&mut answer, this.session.take()) {
            session.answer(response);
        }
        Poll::Ready(answer)
    }
}
