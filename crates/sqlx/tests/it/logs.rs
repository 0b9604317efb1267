//! What the client of a database may write into an application's log.

use crate::support::{LATER, NOW, bytes, key, make};
use ::servers::{Engine, Server};
use dframework_session_sqlx::{
    SqlStore,
    sqlx::{self, postgres::PgPoolOptions},
};
use dframework_session_store::{Change, Store, Version};
use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::set_default,
};

/// All that is said to a log, however trivial.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Visit for Log {
    fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
        self.0.lock().unwrap().push_str(&format!("{value:?}\n").to_lowercase());
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[tokio::test]
async fn statements_that_hold_their_values_are_not_logged_by_the_pool_of_an_application() {
    let Some(server) = Server::shared(Engine::Postgres) else { return };
    let (Some(usual), Some(forgetful)) = (server.bouncer(), server.forgetful_bouncer()) else {
        return;
    };
    for (bouncer, connections) in [(&usual, 10), (&forgetful, 10), (&forgetful, 2)] {
        let log = Log::default();
        let _listening = set_default(log.clone());
        let database = server.database();
        let url = database.url_through(bouncer.port());
        let pool = PgPoolOptions::new().max_connections(connections);
        let pool = pool.connect_lazy(&url).unwrap();
        let store = SqlStore::options().over(pool.clone()).unwrap();
        store.migrate().await.unwrap();
        make(&store, key(0xab), b"a payload").await.unwrap();
        let mut change = Change::new(b"another payload", LATER);
        change.owner = Some("the owner");
        store.commit(&key(0xab), Version(1), change).await.unwrap();
        assert_eq!(bytes(&store, key(0xab)).await.as_deref(), Some(&b"another payload"[..]));
        assert_eq!(store.end_owned_by("the owner", None, NOW).await.unwrap(), 1);
        // What the application asks is logged as ever.
        sqlx::raw_sql("SELECT 'asked by the application'").execute(&pool).await.unwrap();
        let told = log.0.lock().unwrap().clone();
        assert!(told.contains("asked by the application"), "{told}");
        for value in [&b"a payload"[..], b"another payload", b"the owner", &[0xab; 32]] {
            assert!(!told.contains(&hex(value)), "{connections}: {told}");
        }
        assert!(!told.contains("payload") && !told.contains("the owner"), "{connections}: {told}");
    }
}
