//! The configuration: every property with its default, and what cannot be used.
//!
//! It opens no store and sends nothing. A [`Config`] is what an operator and a programmer say; [`Settings`] is
//! the same with nothing left open, and what the rest of the library reads. Names and sources are in `source.rs`,
//! the table of properties in `properties.rs`, one value's types and bounds in `value.rs`, `duration.rs` and
//! `key.rs`, the cookie's rules in `cookie.rs`.

mod cookie;
mod duration;
mod key;
mod properties;
mod source;
mod value;

use crate::{
    clock::Clock,
    error::Error,
    event::{Event, Hook},
};
use cookie::CookieProperties;
pub(crate) use cookie::CookieSettings;
pub(crate) use key::{Secret, check_distinct};
use properties::PROPERTIES;
use source::{FILE_VARIABLE, Source};
use std::{
    env, fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use value::{Setting, item_name};

/// Where `load` looks when `APP_CONFIG` names no other file.
const FILE: &str = "config/app.toml";
/// Where a key is kept in `local`, found from the working directory.
const KEY_FILE: &str = "data/session.key";

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// Activity is written in steps of a tenth of the idle timeout, and a step of no time at all would be no step.
const LEAST_IDLE_TIMEOUT: Duration = Duration::from_millis(10);
/// A session shorter than that is meant for a test, which uses the setters.
const LEAST_WRITTEN: Duration = Duration::from_secs(1);
const LEAST_STORE_TIMEOUT: Duration = Duration::from_millis(1);

/// The limit that the authenticated data of a sealed cookie and the drivers share.
const LONGEST_AUDIENCE: usize = 255;
/// What `PostgreSQL` keeps of an identifier.
const LONGEST_TABLE: usize = 63;

/// How sessions behave: read from file and environment, or set in code.
///
/// [`Config::load`] reads the table `[app]` of `config/app.toml`; variables of the environment win over it.
/// [`Config::from_toml`], [`Config::from_parts`] and the setters serve code and tests. What cannot be used is an
/// error at once, which names the property, the value and what is allowed.
///
/// # Properties
///
/// This is every property with its default. Those that are commented out have none, or another value that says
/// the same.
///
/// ```
/// use dframework_session::{Config, DriverName};
///
/// let file = r#"
/// [app]
/// env = "production"              # or "local"
/// ## key = "…"                     # seals the stealth driver's cookies: `openssl rand -hex 32`
/// previousKeys = []               # keys that are accepted too: on their way in, or out
/// sessionDriver = "memory"        # or "database", "stealth", "redis"; missing: memory, with a warning
/// sessionIdleTimeout = "2h"       # ends a session that is not used
/// sessionLifetime = "30d"         # ends a session however much it is used
/// sessionDatabaseUrl = "sqlite://data/sessions.db"
/// sessionTable = "sessions"
/// ## sessionRedisUrl = "redis://127.0.0.1:6379"
/// sessionStoreTimeout = "5s"      # for each call of a store
/// sessionAudience = ""            # tells applications apart that share keys
/// sessionRevocation = "process"   # or "off"; how stealth sessions can be ended early
///
/// [app.sessionMemory]
/// maxSessions = 1_000_000
/// maxBytes = 1_073_741_824
///
/// [app.sessionCookie]
/// ## name = "__Host-Http-session"  # "…-p" when partitioned; without the prefix in "local"
/// path = "/"
/// ## domain = "example.com"
/// sameSite = "lax"                # or "strict", "none"
/// ## secure = true                 # false in "local"
/// persistent = false              # true: the cookie outlives the browser's window
/// partitioned = false             # true: one cookie for each site that embeds this one
/// "#;
/// let defaults = Config::new().driver(DriverName::Memory);
/// assert_eq!(format!("{:?}", Config::from_toml(file)?), format!("{defaults:?}"));
/// # Ok::<(), dframework_session::Error>(())
/// ```
///
/// Names may be written in snake case too (`session_driver`), and in the environment in upper snake case after
/// `APP_`: `APP_SESSION_DRIVER`, `APP_SESSION_COOKIE_SAME_SITE`; there `APP_PREVIOUS_KEYS` is a list with commas.
///
/// - A duration is a whole number with a unit: `500ms`, `90s`, `120m`, `2h`, `30d`, or `120 minutes` written out.
///   A bare number is an error, because some would mean seconds and some minutes. The idle timeout and the
///   lifetime are at least a second, and no duration is longer than a hundred years.
/// - A key is 32 random bytes or more: 64 hex digits, or base64 of either alphabet, padded or not, with or
///   without `base64:` in front. Short keys, patterns, samples that documentation shows, and a key that is listed twice
///   are refused. [`Config::generate_key`] makes one.
/// - Other properties of `[app]` and other variables with `APP_` are the application's and are left alone, except
///   what starts with `session` or differs from one of ours by a letter or two: that is an error with "did you
///   mean", because a property that nobody reads is a protection that nobody has.
///
/// `Debug` shows what is in force, without keys and URLs.
#[derive(Clone)]
#[must_use]
pub struct Config {
    env: Setting<Env>,
    key: Setting<Option<Secret>>,
    previous_keys: Setting<Vec<Secret>>,
    driver: Setting<Option<DriverName>>,
    idle_timeout: Setting<Duration>,
    lifetime: Setting<Duration>,
    store_timeout: Setting<Duration>,
    max_sessions: Setting<usize>,
    max_bytes: Setting<usize>,
    database_url: Setting<String>,
    table: Setting<String>,
    redis_url: Setting<Option<String>>,
    audience: Setting<String>,
    revocation: Setting<Revocation>,
    key_file: Option<PathBuf>,
    cookie: CookieProperties,
    clock: Clock,
    hooks: Vec<Hook>,
}

/// Where the application runs: `env`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Env {
    /// Behind https, or on loopback, which most browsers treat alike. The default, so that what is forgotten is safe.
    Production,
    /// For clients that hold `Secure` cookies back from plain http, and for devices in the local network: the cookie
    /// loses `Secure` and its name the prefix. Whoever can listen to the network can then take a session over.
    Local,
}

/// Where the state of sessions lives: `sessionDriver`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DriverName {
    /// In the memory of this process: lost on restart, not shared.
    Memory,
    /// In a table of `SQLite`, `PostgreSQL` or `MariaDB`.
    Database,
    /// In the cookie itself, sealed: nothing on the server. Needs `key`, except in [`Env::Local`].
    Stealth,
    /// In Redis or Valkey. Needs `sessionRedisUrl`.
    Redis,
}

/// With which requests from other sites the browser sends the session cookie: `sessionCookie.sameSite`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SameSite {
    /// With links that lead here, not with forms, frames or scripts of other sites. The default: a user who follows a
    /// link stays logged in, and another site cannot act in the user's name.
    Lax,
    /// With none: a user who follows a link from another site arrives logged out.
    Strict,
    /// With all. Needs `Secure`, and the application must defend itself against forged requests.
    None,
}

/// How sessions of the driver `stealth` can be ended before they expire: `sessionRevocation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Revocation {
    /// By a list that the clones of one [`Sessions`](crate::Sessions) share: final there, unknown to other instances, to a
    /// second `connect`, and after a restart.
    Process,
    /// Not at all: a logout removes the cookie from the browser, and whoever has copied it before stays logged in.
    Off,
}

/// The configuration with nothing left open.
pub(crate) struct Settings {
    pub(crate) env: Env,
    pub(crate) key: Option<Secret>,
    pub(crate) previous_keys: Vec<Secret>,
    /// `None`: not set. Whoever builds the sessions warns once and takes memory.
    pub(crate) driver: Option<DriverName>,
    pub(crate) idle_timeout: Duration,
    pub(crate) lifetime: Duration,
    pub(crate) store_timeout: Duration,
    pub(crate) max_sessions: usize,
    pub(crate) max_bytes: usize,
    #[cfg_attr(
        not(any(test, feature = "mysql", feature = "postgres", feature = "sqlite")),
        expect(dead_code, reason = "for the database driver")
    )]
    pub(crate) database_url: String,
    pub(crate) table: String,
    #[cfg_attr(not(test), expect(dead_code, reason = "for the redis driver"))]
    pub(crate) redis_url: Option<String>,
    pub(crate) audience: String,
    pub(crate) revocation: Revocation,
    /// Where a key is kept that nobody configures.
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) cookie: CookieSettings,
    pub(crate) clock: Clock,
    pub(crate) hooks: Vec<Hook>,
}

impl Env {
    const NAMES: [(&'static str, Self); 2] =
        [("production", Self::Production), ("local", Self::Local)];
}

impl DriverName {
    const NAMES: [(&'static str, Self); 4] = [
        ("memory", Self::Memory),
        ("database", Self::Database),
        ("stealth", Self::Stealth),
        ("redis", Self::Redis),
    ];
}

impl SameSite {
    const NAMES: [(&'static str, Self); 3] =
        [("lax", Self::Lax), ("strict", Self::Strict), ("none", Self::None)];
}

impl Revocation {
    const NAMES: [(&'static str, Self); 2] = [("process", Self::Process), ("off", Self::Off)];
}

impl Default for Config {
    fn default() -> Self {
        Self {
            env: Setting::default("app.env", Env::Production),
            key: Setting::default("app.key", None),
            previous_keys: Setting::default("app.previousKeys", Vec::new()),
            driver: Setting::default("app.sessionDriver", None),
            idle_timeout: Setting::default("app.sessionIdleTimeout", 120 * MINUTE),
            lifetime: Setting::default("app.sessionLifetime", 30 * DAY),
            store_timeout: Setting::default("app.sessionStoreTimeout", Duration::from_secs(5)),
            max_sessions: Setting::default("app.sessionMemory.maxSessions", 1_000_000),
            max_bytes: Setting::default("app.sessionMemory.maxBytes", 1 << 30),
            database_url: Setting::default(
                "app.sessionDatabaseUrl",
                "sqlite://data/sessions.db".to_owned(),
            ),
            table: Setting::default("app.sessionTable", "sessions".to_owned()),
            redis_url: Setting::default("app.sessionRedisUrl", None),
            audience: Setting::default("app.sessionAudience", String::new()),
            revocation: Setting::default("app.sessionRevocation", Revocation::Process),
            key_file: None,
            cookie: CookieProperties::default(),
            clock: Clock::system(),
            hooks: Vec::new(),
        }
    }
}

/// Reading.
impl Config {
    /// Every property at its default; the same as `Config::default()`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads `config/app.toml`, found from the working directory, then the environment, which wins.
    ///
    /// `APP_CONFIG` names another file. Without it a missing file is fine: all that is needed can stand in the
    /// environment.
    ///
    /// ```no_run
    /// use dframework_session::Config;
    ///
    /// let config = Config::load()?;
    /// # Ok::<(), dframework_session::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or is missing where `APP_CONFIG` names one; when a variable of ours is not
    /// Unicode; and as [`Config::from_parts`].
    pub fn load() -> Result<Self, Error> {
        Self::load_file(Path::new(FILE), Missing::IsFine)
    }

    /// Loads the configuration as [`Config::load`] does, with this file in place of `config/app.toml`.
    ///
    /// `APP_CONFIG`, where it is set, still names another. For an application that knows where its file is,
    /// whatever folder it is started from.
    ///
    /// ```no_run
    /// use dframework_session::Config;
    ///
    /// let config = Config::load_from(concat!(env!("CARGO_MANIFEST_DIR"), "/config/app.toml"))?;
    /// # Ok::<(), dframework_session::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Config::load`], and when the file is missing.
    pub fn load_from(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::load_file(path.as_ref(), Missing::IsAnError)
    }

    /// Makes a key for `app.key`: 32 bytes of the operating system's generator, as 64 hex digits.
    ///
    /// `openssl rand -hex 32` does the same in a shell. Whoever has the key can make any session: keep it out of the
    /// repository and out of images, and give it to the application through its environment or a file of its own.
    ///
    /// ```
    /// use dframework_session::Config;
    ///
    /// let key = Config::generate_key()?;
    /// assert_eq!(key.len(), 64);
    /// let config = Config::from_parts(None, [("APP_KEY", key)])?;
    /// # Ok::<(), dframework_session::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The operating system gives no random bytes. There is no other source.
    pub fn generate_key() -> Result<String, Error> {
        key::generate()
    }

    fn load_file(usual: &Path, missing: Missing) -> Result<Self, Error> {
        let named = env::var_os(FILE_VARIABLE);
        let path = named.as_deref().map_or(usual, Path::new);
        let may_be_missing = missing == Missing::IsFine && named.is_none();
        let text = match fs::read_to_string(path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound && may_be_missing => None,
            Err(error) => return Err(unreadable(path, named.is_some()).with_source(error)),
        };
        let file = text.as_deref().map(|text| (text, path.display().to_string()));
        Self::read(file, variables()?)
    }

    /// Reads the text of a TOML file, and no environment.
    ///
    /// ```
    /// use dframework_session::Config;
    ///
    /// let config = Config::from_toml("app.sessionIdleTimeout = '30 minutes'")?;
    ///
    /// let error = Config::from_toml("app.sessionIdleTimeout = 1800").unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "app.sessionIdleTimeout is 1800, a number without a unit: write 7200s, 120m or 2h for two hours"
    /// );
    /// # Ok::<(), dframework_session::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Config::from_parts`].
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        Self::from_parts(Some(text), [("", ""); 0])
    }

    /// Reads the text of a TOML file, if there is one, then variables, which win, as [`Config::load`] does with
    /// those of the environment. Opens no file: `APP_CONFIG` is passed over.
    ///
    /// ```
    /// use dframework_session::Config;
    ///
    /// let file = "[app]\nsessionDriver = 'database'";
    /// let config = Config::from_parts(Some(file), [("APP_SESSION_DRIVER", "memory")])?;
    /// assert!(format!("{config:?}").contains("Memory"));
    /// # Ok::<(), dframework_session::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the text is not TOML; when a name must have been meant for us but is none of ours; when one property is
    /// given twice in the text; when a value is of the wrong type or not allowed; and as [`Config::check`], but for what
    /// the driver needs.
    pub fn from_parts(
        file: Option<&str>,
        variables: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> Result<Self, Error> {
        let file = file.map(|text| (text, "the configuration file".to_owned()));
        Self::read(file, variables.into_iter().map(|(name, value)| (name.into(), value.into())))
    }

    fn read(
        file: Option<(&str, String)>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let mut source = Source::empty();
        if let Some((text, origin)) = file {
            source.add_file(text, &origin)?;
        }
        for (name, value) in variables {
            source.add_variable(name, value)?;
        }
        // A value of the file that a variable replaces is not looked at: it may be a placeholder.
        let mut config = Self::new();
        for (index, given) in source.given() {
            (PROPERTIES[index].read)(&mut config, &given)?;
        }
        // Not what the driver needs: a setter may still give it.
        config.check_all_but_driver()?;
        Ok(config)
    }
}

/// Setters. None of them fails: [`Config::check`] tells what cannot be used.
impl Config {
    /// Where the application runs. The default is [`Env::Production`].
    pub fn env(mut self, env: Env) -> Self {
        self.env.set("Config::env", env);
        self
    }

    /// Where the state lives. Without it sessions live in memory, and a warning says so at start.
    pub fn driver(mut self, driver: DriverName) -> Self {
        self.driver.set("Config::driver", Some(driver));
        self
    }

    /// How long a session lives without being used. Two hours by default: a morning's break does not log anybody
    /// out, a forgotten browser does not stay open over night.
    ///
    /// Every use counts. It is written in steps of a tenth, so a session ends up to a tenth later, and a shorter
    /// timeout costs more writes. At least 10 milliseconds, which only a test wants, and not longer than the
    /// [lifetime](Config::lifetime).
    ///
    /// ```
    /// use dframework_session::Config;
    /// use std::time::Duration;
    ///
    /// let config = Config::new().idle_timeout(Duration::from_secs(15 * 60));
    /// config.check()?;
    /// # Ok::<(), dframework_session::Error>(())
    /// ```
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout.set("Config::idle_timeout", timeout);
        self
    }

    /// How long a session lives however much it is used: what a stolen token is worth at most. 30 days by default,
    /// what people expect of staying logged in. At least 10 milliseconds.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime.set("Config::lifetime", lifetime);
        self
    }

    /// How long a call of a store may take before the request fails. Five seconds by default: longer than a store
    /// that works ever needs, shorter than users wait. At least a millisecond.
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout.set("Config::store_timeout", timeout);
        self
    }

    /// How many sessions the memory driver keeps at most; beyond that it drops the ones that matter least. A million by
    /// default.
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.max_sessions.set("Config::max_sessions", sessions);
        self
    }

    /// How many bytes the sessions of the memory driver take at most. 1 GiB (1,073,741,824) by default: a flood of
    /// visitors costs sessions, not the process.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes.set("Config::max_bytes", bytes);
        self
    }

    /// The database of the database driver. `sqlite://data/sessions.db` by default, a file that is found from the working
    /// directory and needs no server. `postgres://user:password@host/name` and `mariadb://user:password@host/name` need the
    /// features `postgres` and `mysql`.
    pub fn database_url(mut self, url: impl Into<String>) -> Self {
        self.database_url.set("Config::database_url", url.into());
        self
    }

    /// The table of the database driver, an SQL identifier: a letter or `_`, then letters, digits or `_`, at most 63.
    /// `sessions` by default.
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table.set("Config::table", table.into());
        self
    }

    /// The server of the redis driver. There is no default: a guessed server is nobody's.
    pub fn redis_url(mut self, url: impl Into<String>) -> Self {
        self.redis_url.set("Config::redis_url", Some(url.into()));
        self
    }

    /// The key that seals the cookies of the driver `stealth`: 32 random bytes or more, as 64 hex digits or in base64.
    ///
    /// # Errors
    ///
    /// It is too short, a pattern, or a sample that everybody has. The message does not show it.
    ///
    /// ```
    /// use dframework_session::Config;
    ///
    /// let config = Config::new().key(Config::generate_key()?)?;
    /// let error = Config::new().key("secret").unwrap_err();
    /// assert!(error.is_config());
    /// # Ok::<(), dframework_session::Error>(())
    /// ```
    pub fn key(mut self, key: impl AsRef<str>) -> Result<Self, Error> {
        const NAME: &str = "Config::key";
        self.key.set(NAME, Some(Secret::parse(NAME, key.as_ref())?));
        Ok(self)
    }

    /// Keys that open cookies beside [`key`](Config::key): on their way in, or out. The steps of a rotation are in the
    /// chapter [stealth](crate::manual::stealth).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn previous_keys(
        mut self,
        keys: impl IntoIterator<Item: AsRef<str>>,
    ) -> Result<Self, Error> {
        const NAME: &str = "Config::previous_keys";
        let parse = |(index, key): (usize, _)| -> Result<Secret, Error> {
            Secret::parse(&item_name(NAME, index), AsRef::<str>::as_ref(&key))
        };
        let keys = (0..).zip(keys).map(parse).collect::<Result<_, _>>()?;
        self.previous_keys.set(NAME, keys);
        Ok(self)
    }

    /// Keeps a key in this file if none is configured and the driver needs one. It is made at the first start, for the
    /// user of the process alone.
    ///
    /// For one machine: instances that share sessions share a key. In [`Env::Local`] it is `data/session.key` unless
    /// another is named here; in production none is made unless one is. A file that others may read or write is refused.
    ///
    /// ```no_run
    /// use dframework_session::{Config, Sessions};
    ///
    /// # async fn start() -> Result<(), dframework_session::Error> {
    /// let config = Config::load()?.key_file("data/session.key");
    /// let sessions = Sessions::connect(&config).await?;
    /// # Ok(()) }
    /// ```
    pub fn key_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.key_file = Some(path.into());
        self
    }

    /// How sessions of the driver `stealth` can be ended before they expire. By a list in this process by default.
    pub fn revocation(mut self, revocation: Revocation) -> Self {
        self.revocation.set("Config::revocation", revocation);
        self
    }

    /// A name that tells applications apart that share keys: a cookie that one has sealed is no session in another.
    /// At most 255 bytes; empty by default, which is a name like any other.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience.set("Config::audience", audience.into());
        self
    }

    /// The name of the session cookie, used as it is: a cookie name of at most 200 bytes.
    ///
    /// The default is `__Host-Http-session`, with [`partitioned_cookie`](Config::partitioned_cookie)
    /// `__Host-Http-session-p`: browsers take a cookie of that name from this host alone, over https alone and never
    /// from a script. In [`Env::Local`] it is `session`, or `session-p`.
    ///
    /// ```
    /// use dframework_session::Config;
    ///
    /// // One session for all subdomains: the `__Host-` of the default name forbids that.
    /// let config = Config::new().cookie_domain("example.com");
    /// assert!(config.check().unwrap_err().to_string().contains("__Secure-session"));
    /// config.cookie_name("__Secure-session").check()?;
    /// # Ok::<(), dframework_session::Error>(())
    /// ```
    pub fn cookie_name(mut self, name: impl Into<String>) -> Self {
        self.cookie.name.set("Config::cookie_name", Some(name.into()));
        self
    }

    /// The path under which browsers send the cookie. `/` by default. Another path is no protection (pages of one host
    /// reach into each other) and needs another [name](Config::cookie_name).
    pub fn cookie_path(mut self, path: impl Into<String>) -> Self {
        self.cookie.path.set("Config::cookie_path", path.into());
        self
    }

    /// The domain whose subdomains all get the cookie. None by default: the host that sends it is the only one that
    /// gets it. A domain needs another [name](Config::cookie_name), and lets every subdomain plant a cookie.
    pub fn cookie_domain(mut self, domain: impl Into<String>) -> Self {
        self.cookie.domain.set("Config::cookie_domain", Some(domain.into()));
        self
    }

    /// With which requests of other sites browsers send the cookie. [`SameSite::Lax`] by default.
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.cookie.same_site.set("Config::same_site", same_site);
        self
    }

    /// Drops `Secure`: the cookie then travels over plain http, where anybody on the way can read it. The default name
    /// of production needs `Secure`, so this needs another [name](Config::cookie_name) too; [`Env::Local`] does both.
    pub fn insecure_cookie(mut self) -> Self {
        self.cookie.secure.set("Config::insecure_cookie", Some(false));
        self
    }

    /// Lets the cookie outlive the browser's window, until the absolute lifetime ends. By default it goes with the
    /// window, because the next person at a shared computer opens a new one.
    pub fn persistent_cookie(mut self) -> Self {
        self.cookie.persistent.set("Config::persistent_cookie", true);
        self
    }

    /// Keeps one cookie for each site that embeds this one (CHIPS): for applications in frames, together with
    /// [`SameSite::None`]. Needs `Secure`.
    pub fn partitioned_cookie(mut self) -> Self {
        self.cookie.partitioned.set("Config::partitioned_cookie", true);
        self
    }

    /// Where time comes from. The system's clock by default; tests move one of their own.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Has a function called with what happens to sessions: for an audit log, for metrics. There is none by default.
    ///
    /// It is called once something has happened: the record has ended, the commit is done, and no store is locked. It
    /// runs in the task of the request, or of the call of [`Sessions`](crate::Sessions); where a client has hung up, in the
    /// task that carries the commit to its end. The response waits for it, so it must be fast: hand over to a channel
    /// what takes time. It must not use the session of a request.
    ///
    /// A panic in it is caught and logged. It undoes nothing: the request goes on, the record stays ended, its cookie is
    /// removed. (A program that is built to abort on panic aborts.)
    ///
    /// Of several functions, all are called, in the order in which they were added; a panic in one does not keep an
    /// event from the next.
    ///
    /// ```
    /// use dframework_session::{Config, Event, RequestHead, Sessions};
    /// use std::sync::mpsc;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (sender, logins) = mpsc::channel();
    /// let config = Config::from_toml("app.sessionDriver = 'memory'")?.on_event(move |event| {
    ///     if let Event::OwnerSet { owner, .. } = event {
    ///         let _ = sender.send(owner.as_str().to_owned());
    ///     }
    /// });
    ///
    /// let sessions = Sessions::connect(&config).await?;
    /// let login = sessions.open(RequestHead::new("POST"));
    /// login.set_owner("42").await?;
    /// login.save().await?;
    /// assert_eq!(logins.try_recv(), Ok("42".to_owned()));
    /// # Ok::<(), dframework_session::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn on_event(mut self, hook: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.hooks.push(Arc::new(hook));
        self
    }
}

/// Checking.
impl Config {
    /// Whether sessions can be built from this. Reading checks by itself all but what the driver needs, such as a key,
    /// since a setter may still give it; building the sessions checks everything.
    ///
    /// ```
    /// use dframework_session::{Config, SameSite};
    ///
    /// let config = Config::new().cookie_name("session").insecure_cookie();
    /// config.check()?;
    /// assert!(config.same_site(SameSite::None).check().is_err());
    /// # Ok::<(), dframework_session::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When a duration or a bound is out of range; when the idle timeout is longer than the lifetime; when a name, path
    /// or domain could not stand in a cookie, or browsers would drop it as it is combined; when the driver lacks what
    /// it needs; when a key is listed twice. The message names the property, its value (keys and URLs apart) and what
    /// is allowed.
    pub fn check(&self) -> Result<(), Error> {
        self.check_all_but_driver()?;
        self.check_driver()
    }

    fn check_all_but_driver(&self) -> Result<(), Error> {
        self.check_durations()?;
        self.check_bounds()?;
        self.check_texts()?;
        self.check_keys()?;
        self.cookie.check(&self.env)
    }

    /// Everything with its default filled in.
    pub(crate) fn settings(&self) -> Result<Settings, Error> {
        self.check()?;
        Ok(self.resolve())
    }

    /// The same, unchecked: for a configuration that is known to be in range, as the defaults are.
    pub(crate) fn resolve(&self) -> Settings {
        Settings {
            env: self.env.value,
            key: self.key.value.clone(),
            previous_keys: self.previous_keys.value.clone(),
            driver: self.driver.value,
            idle_timeout: self.idle_timeout.value,
            lifetime: self.lifetime.value,
            store_timeout: self.store_timeout.value,
            max_sessions: self.max_sessions.value,
            max_bytes: self.max_bytes.value,
            database_url: self.database_url.value.clone(),
            table: self.table.value.clone(),
            redis_url: self.redis_url.value.clone(),
            audience: self.audience.value.clone(),
            revocation: self.revocation.value,
            key_file: self.key_file_in_force(),
            cookie: self.cookie.resolve(self.env.value),
            clock: self.clock.clone(),
            hooks: self.hooks.clone(),
        }
    }

    fn check_durations(&self) -> Result<(), Error> {
        for (duration, least) in [
            (&self.idle_timeout, LEAST_IDLE_TIMEOUT),
            (&self.lifetime, LEAST_IDLE_TIMEOUT),
            (&self.store_timeout, LEAST_STORE_TIMEOUT),
        ] {
            duration::check(&duration.name, duration.value, least)?;
        }
        if self.idle_timeout.value > self.lifetime.value {
            let idle_timeout = duration::written(self.idle_timeout.value);
            let lifetime = duration::written(self.lifetime.value);
            return Err(self.idle_timeout.refuse(format_args!(
                "is {idle_timeout}, longer than {}, which is {lifetime}: at most as long is allowed",
                self.lifetime.name
            )));
        }
        Ok(())
    }

    fn check_bounds(&self) -> Result<(), Error> {
        let zero = [&self.max_sessions, &self.max_bytes].into_iter().find(|bound| bound.value == 0);
        zero.map_or(Ok(()), |bound| Err(bound.refuse("is 0; allowed are whole numbers from 1 up")))
    }

    fn check_texts(&self) -> Result<(), Error> {
        let table = &self.table.value;
        if !is_identifier(table) {
            return Err(self.table.refuse(format_args!(
                "is {table:?}, which is not an SQL identifier: a letter or _, then letters, digits or _ are allowed, at most 63"
            )));
        }
        let length = self.audience.value.len();
        if length > LONGEST_AUDIENCE {
            return Err(self.audience.refuse(format_args!(
                "has {length} bytes; at most {LONGEST_AUDIENCE} are allowed"
            )));
        }
        if self.database_url.value.is_empty() {
            return Err(self
                .database_url
                .refuse("is empty: expected a URL such as sqlite://data/sessions.db"));
        }
        if self.redis_url.value.as_deref() == Some("") {
            return Err(self
                .redis_url
                .refuse("is empty: expected a URL such as redis://127.0.0.1:6379"));
        }
        Ok(())
    }

    fn check_keys(&self) -> Result<(), Error> {
        let key = self.key.value.iter().map(|key| (self.key.name.to_string(), key));
        let list = &self.previous_keys;
        let previous =
            (0..).zip(&list.value).map(|(index, key)| (item_name(&list.name, index), key));
        check_distinct(&key.chain(previous).collect::<Vec<_>>())
    }

    /// The error for a driver that this build does not have.
    pub(crate) fn refuse_driver(&self, why: impl std::fmt::Display) -> Error {
        self.driver.refuse(why)
    }

    /// The error for a database that this build does not talk to.
    #[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
    pub(crate) fn refuse_database_url(&self, why: std::fmt::Arguments<'_>) -> Error {
        self.database_url.refuse(format_args!(
            "{why}: expected one such as sqlite://data/sessions.db, postgres://user@host/name or mariadb://user@host/name"
        ))
    }

    /// Where a key is kept that nobody configures, if that may be.
    fn key_file_in_force(&self) -> Option<PathBuf> {
        let usual = || (self.env.value == Env::Local).then(|| KEY_FILE.into());
        self.key_file.clone().or_else(usual)
    }

    fn check_driver(&self) -> Result<(), Error> {
        match self.driver.value {
            Some(DriverName::Stealth)
                if self.key.value.is_none() && self.key_file_in_force().is_none() =>
            {
                Err(self.driver.refuse(format_args!(
                    "is \"stealth\", which needs {}: {}",
                    self.key.name,
                    key::EXPECTED
                )))
            }
            Some(DriverName::Redis) if self.redis_url.value.is_none() => {
                Err(self.driver.refuse(format_args!(
                    "is \"redis\", which needs {}: expected a URL such as redis://127.0.0.1:6379",
                    self.redis_url.name
                )))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.resolve();
        f.debug_struct("Config")
            .field("env", &settings.env)
            .field("key", &settings.key)
            .field("previous_keys", &settings.previous_keys)
            .field("driver", &settings.driver)
            .field("idle_timeout", &settings.idle_timeout)
            .field("lifetime", &settings.lifetime)
            .field("store_timeout", &settings.store_timeout)
            .field("max_sessions", &settings.max_sessions)
            .field("max_bytes", &settings.max_bytes)
            .field("database_url", &format_args!(".."))
            .field("table", &settings.table)
            .field("redis_url", &format_args!(".."))
            .field("audience", &settings.audience)
            .field("revocation", &settings.revocation)
            .field("cookie", &settings.cookie)
            .field("key_file", &settings.key_file)
            .field("clock", &settings.clock)
            .field("hooks", &settings.hooks.len())
            .finish()
    }
}

fn is_identifier(name: &str) -> bool {
    name.len() <= LONGEST_TABLE
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// What it means that the usual file is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    IsFine,
    IsAnError,
}

fn unreadable(path: &Path, named: bool) -> Error {
    let named = if named { ", which APP_CONFIG names," } else { "" };
    Error::config(format!("the file {}{named} cannot be read", path.display()))
}

/// The environment, as far as it can be ours. A stranger that is not Unicode keeps its name, which may be a near miss.
fn variables() -> Result<Vec<(String, String)>, Error> {
    let names = env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    names
        .map(|(name, value)| match value.into_string() {
            Ok(value) => Ok((name, value)),
            Err(_) if source::is_variable(&name) => {
                Err(Error::config(format!("{name} is not valid Unicode: expected text in UTF-8")))
            }
            Err(_) => Ok((name, String::new())),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    //! What `Debug` hides and only the rest of the library reads.

    use super::*;

    #[test]
    fn urls_and_keys_arrive_as_they_were_given() -> Result<(), Error> {
        let hex = "00112233445566778899aabbccddeeff0123456789abcdef0011223344556677";
        let file = format!(
            "app.key = '{hex}'\napp.sessionDatabaseUrl = 'sqlite://a.db'\napp.sessionRedisUrl = 'redis://b'"
        );
        let settings = Config::from_toml(&file)?.settings()?;
        assert_eq!(settings.database_url, "sqlite://a.db");
        assert_eq!(settings.redis_url.as_deref(), Some("redis://b"));
        assert_eq!(settings.key.map(|key| key.bytes()[..3].to_vec()), Some(vec![0x00, 0x11, 0x22]));

        let settings =
            Config::new().database_url("sqlite://c").redis_url("redis://d").settings()?;
        assert_eq!(settings.database_url, "sqlite://c");
        assert_eq!(settings.redis_url.as_deref(), Some("redis://d"));
        Ok(())
    }

    #[test]
    fn settings_are_refused_like_a_check() {
        assert!(Config::new().max_bytes(0).settings().is_err());
    }

    #[test]
    fn the_reference_shows_every_property() {
        let reference = include_str!("config.rs");
        for property in &PROPERTIES {
            let name = property.name.rsplit('.').next().unwrap_or_default();
            let mut words = name.split('_');
            let first = words.next().unwrap_or_default().to_owned();
            let camel =
                words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..]);
            let written = [format!("/// {camel} = "), format!("/// ## {camel} = ")];
            assert!(written.iter().any(|line| reference.contains(line)), "{camel}");
        }
    }
}
