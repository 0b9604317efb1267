//! A database of one test on a server that several share.

use crate::{
    Engine,
    engine::Service,
    redis,
    server::{Place, State},
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

/// An empty database, removed with its value.
pub struct Database {
    service: Service,
    place: Arc<Place>,
    name: String,
}

impl Database {
    pub(crate) fn make(service: Service, place: Arc<Place>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = match service {
            Service::Engine(Engine::Redis, _) => (number % redis::DATABASES).to_string(),
            _ => format!("test_{number}"),
        };
        let database = Self { service, place, name };
        let [create, _] = service.database_words(&database.name);
        database.on_first(&create).expect("a server that is ready makes a database");
        database
    }

    /// Its name; for Redis, its number.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where a client finds it.
    pub fn url(&self) -> String {
        self.url_through(self.place.port)
    }

    /// Where a client finds it through another port: that of a [`Proxy`](crate::Proxy) or of a PgBouncer.
    pub fn url_through(&self, port: u16) -> String {
        self.service.url(port, &self.name)
    }

    /// Asks it in its own language, and gives the rows of the answer, one a line.
    ///
    /// # Panics
    ///
    /// The server refuses.
    #[track_caller]
    pub fn ask(&self, words: &str) -> String {
        match self.service.ask(&self.place, &self.name, words) {
            Ok(answer) => answer,
            Err(error) => panic!("{words}: {error}"),
        }
    }

    fn on_first(&self, words: &str) -> Result<String, String> {
        self.service.ask(&self.place, self.service.first_database(), words)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // With a server that has ended or hangs, its folder goes.
        if self.place.state() == State::Running {
            let [_, remove] = self.service.database_words(&self.name);
            let _ = self.on_first(&remove);
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(&self.url()).finish()
    }
}
