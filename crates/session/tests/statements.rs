//! What each request asks of the database.
//!
//! A binary of its own: sqlx tells of statements on its own threads, so they can be counted for a whole process only.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use dframework_session::{
    Clock, Config, Error, RequestHead, ResponseHead, SessionHandle, Sessions,
    database::{
        SqlStore,
        sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions},
    },
    testing::Browser,
};
use serde_json::json;
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use tracing::{
    Event, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};

static TOLD: AtomicUsize = AtomicUsize::new(0);

/// Counts what sqlx tells.
struct Counter;

impl Subscriber for Counter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }

    fn event(&self, _: &Event<'_>) {
        TOLD.fetch_add(1, Ordering::SeqCst);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

const HERE: &str = "https://localhost/";

struct Visitor {
    sessions: Sessions,
    browser: Browser,
}

impl Visitor {
    /// Makes a request, and says how many statements it took.
    async fn request(
        &mut self,
        run: impl AsyncFnOnce(SessionHandle) -> Result<(), Error>,
    ) -> usize {
        let before = TOLD.load(Ordering::SeqCst);
        let field = self.browser.cookie_field(HERE).unwrap_or_default();
        let handle = self.sessions.open(RequestHead::new("POST").with_cookies([field.as_bytes()]));
        run(handle.clone()).await.unwrap();
        let head = self.sessions.commit(&handle, ResponseHead::new(200)).await.unwrap();
        for line in &head.set_cookies {
            self.browser.receive(HERE, line).unwrap();
        }
        TOLD.load(Ordering::SeqCst) - before
    }
}

#[tokio::test]
async fn a_request_asks_no_more_of_the_database_than_it_must() {
    tracing::subscriber::set_global_default(Counter).unwrap();
    // In memory, with one connection for everybody: no pragma is asked between two requests.
    let options = SqliteConnectOptions::new().filename(":memory:");
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let store = SqlStore::new(pool);
    store.migrate().await.unwrap();
    let clock = Clock::manual();
    let sessions = Sessions::from_store(store, &Config::new().clock(clock.clone())).unwrap();
    let mut visitor = Visitor { sessions, browser: Browser::new(clock.clone()) };

    let read = async |session: SessionHandle| session.get::<String>("name").await.map(drop);
    assert_eq!(visitor.request(async |_| Ok(())).await, 0, "unused");
    assert_eq!(visitor.request(read).await, 0, "a stranger reads");
    let begin = visitor.request(async |session| session.set("name", "visitor").await);
    assert_eq!(begin.await, 1, "a new session");
    assert_eq!(visitor.request(async |_| Ok(())).await, 0, "a session that is not used");
    assert_eq!(visitor.request(read).await, 1, "reading");
    let write = visitor.request(async |session| session.set("name", "friend").await);
    assert_eq!(write.await, 2, "writing");
    let both = visitor.request(async |session| {
        let visits: i64 = session.get_or("visits", &0).await?;
        session.set("visits", visits + 1).await
    });
    assert_eq!(both.await, 2, "reading and writing");
    let same = visitor.request(async |session| session.set("name", "friend").await);
    assert_eq!(same.await, 1, "an equal value is no change");
    // Begins, reads the session, moves it, leaves a tombstone, and commits.
    let token = visitor.request(async |session| session.set_owner("42").await);
    assert_eq!(token.await, 1 + 4, "a login");
    clock.advance(Duration::from_mins(30));
    assert_eq!(visitor.request(read).await, 2, "the first use after a tenth of the idle timeout");
    assert_eq!(visitor.request(read).await, 1, "and the next");
    clock.advance(Duration::from_mins(30));
    let write = visitor.request(async |session| session.set("name", "guest").await);
    assert_eq!(write.await, 3, "the same for a request that writes");
    let write = visitor.request(async |session| session.set("name", "visitor").await);
    assert_eq!(write.await, 2, "and the next");

    let terms = json!({ "terms": true });
    // The session is read before and looked at after: it may have ended meanwhile.
    let permanent = visitor.request(async |session| session.permanent(&terms).await);
    assert_eq!(permanent.await, 3, "the first permanent value");
    assert_eq!(visitor.request(read).await, 1, "ordinary and permanent data");
    let logout = visitor.request(async |session| session.destroy().await);
    assert_eq!(logout.await, 3, "a logout reads, and ends both");
    assert_eq!(visitor.request(read).await, 0, "after the logout");
}
