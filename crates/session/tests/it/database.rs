//! The database driver as applications have it: by the property alone, on a file.

use crate::support::{Bench, Client, DAY, Jar, until};
use base64_simd::URL_SAFE_NO_PAD;
use dframework_session::{
    Clock, Config, DriverName, Error, Sessions,
    database::{
        SqlStore,
        sqlx::{
            self, Connection, SqliteConnection,
            sqlite::{
                SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
            },
        },
    },
    store::Store,
};
use sha2::{Digest, Sha256};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// A folder that is removed when it is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("it-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    pub(crate) fn make(&self) {
        fs::create_dir_all(&self.0).unwrap();
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("sessions.db")
    }

    fn url(&self) -> String {
        format!("sqlite://{}", self.file().display())
    }

    /// Connections that do not wait for the disk: nobody pulls the plug here.
    fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(self.file())
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Off)
    }

    /// A store of its own, with its table.
    pub(crate) async fn store(&self, table: &str) -> SqlStore {
        self.store_with(table, self.options()).await
    }

    async fn store_with(&self, table: &str, options: SqliteConnectOptions) -> SqlStore {
        self.make();
        let pool = SqlitePoolOptions::new().max_connections(4).connect_lazy_with(options);
        let store = SqlStore::options().table(table).over(pool).unwrap();
        store.migrate().await.unwrap();
        store
    }

    /// A connection beside those of the sessions.
    async fn connect(&self) -> SqliteConnection {
        SqliteConnection::connect(&self.url()).await.unwrap()
    }

    fn config(&self, clock: &Clock) -> Config {
        let config = Config::new().driver(DriverName::Database).clock(clock.clone());
        config.database_url(self.url())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn a_session_survives_a_restart() {
    let (clock, folder, mut jar) = (Clock::manual(), Folder::new(), Jar::default());
    for visit in 1..=3 {
        let sessions = Sessions::connect(&folder.config(&clock)).await.unwrap();
        let bench = Bench::new(sessions.driver(), sessions, clock.clone());
        assert_eq!(bench.driver, "database");
        let visits = bench.ok(&mut jar, async |session| session.increment("visits", 1).await).await;
        assert_eq!(visits, visit);
    }
}

/// An error with its causes.
fn in_full(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

async fn refused(config: Config) -> (Error, String) {
    let error = Sessions::connect(&config).await.expect_err("it cannot be opened");
    let text = in_full(&error);
    (error, text)
}

#[tokio::test]
async fn what_cannot_be_opened_is_named() {
    let (clock, folder) = (Clock::manual(), Folder::new());
    folder.make();
    let no_folder = folder.0.join("no_folder");
    fs::write(&no_folder, "a file, and no SQLite database").unwrap();

    let inside = format!("sqlite://{}/sessions.db", no_folder.display());
    let (error, text) = refused(folder.config(&clock).database_url(inside)).await;
    assert!(error.is_unavailable(), "{text}");
    assert!(text.contains(no_folder.to_str().unwrap()), "{text}");

    let itself = format!("sqlite://{}", no_folder.display());
    let (error, text) = refused(folder.config(&clock).database_url(itself)).await;
    assert!(error.is_unavailable(), "{text}");
    assert!(text.contains("no_folder is no SQLite database"), "{text}");
}

#[tokio::test]
async fn a_url_of_no_database_that_is_known_is_refused_without_its_password() {
    for (url, scheme) in [("oracle://web:secret@db/app", "oracle"), ("web:secret@db/app", "web")] {
        let variables = [("APP_SESSION_DATABASE_URL", url)];
        let config = Config::from_parts(Some("app.sessionDriver = 'database'"), variables);
        let (error, text) = refused(config.unwrap()).await;
        assert!(error.is_config(), "{text}");
        let expected =
            format!("APP_SESSION_DATABASE_URL is a URL with {scheme:?}: expected one such as");
        assert!(text.starts_with(&expected), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}

#[tokio::test]
async fn a_table_of_a_newer_version_or_of_somebody_else_is_refused_at_the_start() {
    let (clock, folder) = (Clock::manual(), Folder::new());
    drop(Sessions::connect(&folder.config(&clock)).await.unwrap());
    let mut file = folder.connect().await;
    let newer = "UPDATE dframework_session_schema SET version = 2";
    sqlx::query(newer).execute(&mut file).await.unwrap();
    let (error, text) = refused(folder.config(&clock)).await;
    assert!(error.is_unavailable() && text.contains("made by a newer one"), "{text}");
    sqlx::query("CREATE TABLE users (id INTEGER)").execute(&mut file).await.unwrap();
    let (error, text) = refused(folder.config(&clock).table("users")).await;
    assert!(error.is_unavailable() && text.contains("not made by this library"), "{text}");
}

#[tokio::test]
async fn a_full_database_is_503_for_writes_and_works_again_once_there_is_room() {
    let (clock, folder) = (Clock::manual(), Folder::new());
    let options = folder.options().pragma("max_page_count", "40");
    let store = folder.store_with("sessions", options).await;
    let config = Config::new().clock(clock.clone());
    let sessions = Sessions::from_store(store.clone(), &config).unwrap();
    let bench = Bench::new("database", sessions, clock);
    let mut jars = Vec::new();
    let refused = loop {
        let mut jar = Jar::default();
        let handle = bench.open(&jar, Client::Plain, "POST");
        handle.set("text", "x".repeat(10_000)).await.unwrap();
        match bench.answer(&mut jar, &handle, 200).await {
            Ok(_) => jars.push(jar),
            Err(refused) => {
                assert_eq!(jar, Jar::default(), "no cookie without a session");
                break refused.error;
            }
        }
    };
    assert_eq!(refused.status(), 503, "{refused}");
    assert!(in_full(&refused).contains("has no room, or its disk is full"), "{refused}");
    for jar in &jars {
        assert!(bench.read(jar, "text").await.is_some(), "what was answered is there");
    }
    // Whoever logs out is out, and that is room for others.
    let mut leaving = jars.remove(0);
    bench.ok(&mut leaving, async |session| session.destroy().await).await;
    bench.visitor().await;
    // So is what has expired.
    bench.clock.advance(DAY);
    while store.delete_expired(bench.clock.now(), 500).await.unwrap() > 0 {}
    let mut jar = Jar::default();
    bench.ok(&mut jar, async |session| session.set("text", "x".repeat(10_000)).await).await;
}

#[tokio::test]
async fn the_table_has_the_name_that_was_configured() {
    let (clock, folder) = (Clock::manual(), Folder::new());
    let config = folder.config(&clock).table("web_sessions");
    let sessions = Sessions::connect(&config).await.unwrap();
    let bench = Bench::new("database", sessions, clock);
    bench.visitor().await;
    let mut file = folder.connect().await;
    let rows: i64 =
        sqlx::query_scalar("SELECT count(*) FROM web_sessions").fetch_one(&mut file).await.unwrap();
    assert_eq!(rows, 1);
}

/// Whether these bytes are in the database, its log or its index.
fn holds(folder: &Folder, bytes: &[u8]) -> bool {
    let files = fs::read_dir(&folder.0).unwrap().map(|entry| fs::read(entry.unwrap().path()));
    let mut files = files.map(Result::unwrap);
    files.any(|file| file.windows(bytes.len()).any(|window| window == bytes))
}

#[tokio::test]
async fn the_database_holds_digests_of_tokens_and_no_token() {
    let (clock, folder) = (Clock::manual(), Folder::new());
    let sessions = Sessions::connect(&folder.config(&clock)).await.unwrap();
    let bench = Bench::new("database", sessions, clock);
    let mut jar = bench.visitor().await;
    let first = jar.token();
    bench.ok(&mut jar, async |session| session.set_owner("42").await).await;
    let terms = serde_json::json!({ "terms": true });
    bench.ok(&mut jar, async |session| session.permanent(&terms).await).await;
    let tokens = [first, jar.token(), jar.companion(".p").unwrap().to_owned()];
    for token in &tokens {
        // Behind the token of permanent data stands the day on which it was sent.
        let bytes = URL_SAFE_NO_PAD.decode_to_vec(&token[..43]).unwrap();
        assert!(holds(&folder, &Sha256::digest(&bytes)), "its digest is the key of a row");
        assert!(!holds(&folder, &bytes) && !holds(&folder, &token.as_bytes()[..43]));
    }
}

#[tokio::test]
async fn a_truncated_record_is_unreadable_and_can_be_destroyed() {
    let (clock, folder) = (Clock::manual(), Folder::new());
    let sessions = Sessions::connect(&folder.config(&clock)).await.unwrap();
    let bench = Bench::new("database", sessions, clock);
    let mut jar = bench.visitor().await;
    let mut file = folder.connect().await;
    for length in [40, 10, 1, 0] {
        let cut = "UPDATE sessions SET payload = substr(payload, 1, ?1)";
        sqlx::query(cut).bind(length).execute(&mut file).await.unwrap();
        let read = bench.open(&jar, Client::Plain, "GET").get::<String>("name").await;
        assert!(read.unwrap_err().is_corrupt(), "{length} bytes");
    }
    bench.ok(&mut jar, async |session| session.destroy().await).await;
    assert!(!bench.is_alive(&jar).await);
    let mut jar = Jar::default();
    bench.ok(&mut jar, async |session| session.set("name", "visitor").await).await;
    assert_eq!(bench.read(&jar, "name").await.as_deref(), Some("visitor"));
}

#[tokio::test]
async fn connecting_begins_to_sweep() {
    let (clock, folder) = (Clock::manual(), Folder::new());
    let sessions = Sessions::connect(&folder.config(&clock)).await.unwrap();
    let bench = Bench::new("database", sessions, clock);
    bench.visitor().await;
    bench.clock.advance(DAY);
    let mut file = folder.connect().await;
    // The longest pause of the sweeper is over at once; then time goes on as it does.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(90)).await;
    tokio::time::resume();
    let is_empty = async || {
        let count = "SELECT count(*) FROM sessions";
        sqlx::query_scalar::<_, i64>(count).fetch_one(&mut file).await.unwrap() == 0
    };
    until(is_empty).await;
}

#[tokio::test]
async fn with_the_last_sessions_the_database_is_closed() {
    let (clock, folder) = (Clock::manual(), Folder::new());
    let sessions = Sessions::connect(&folder.config(&clock)).await.unwrap();
    let bench = Bench::new("database", sessions.clone(), clock);
    bench.visitor().await;
    // Nobody has it for himself while others have it open.
    let is_closed = async || {
        let options = folder.options().pragma("locking_mode", "EXCLUSIVE");
        let options = options.busy_timeout(Duration::ZERO);
        let Ok(mut file) = SqliteConnection::connect_with(&options).await else { return false };
        let alone = sqlx::query("BEGIN IMMEDIATE").execute(&mut file).await.is_ok();
        file.close().await.unwrap();
        alone
    };
    drop(bench);
    assert!(!is_closed().await, "a clone is left");
    drop(sessions);
    until(is_closed).await;
}
