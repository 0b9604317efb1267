//! The libraries that are compared: each as an application that answers the same requests.

mod actix_session;
mod axum_session;
mod private_cookies;
mod ruts;
mod tower_sessions;

use applications::{
    Application, actix,
    asked::{Case, KEY},
    axum, least,
};
use dframework_session::{Config, DriverName, Sessions};
use measuring::Side;
use std::str::FromStr;

/// A library, or two of its stores.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Library {
    Memory,
    ByHand,
    TowerSessions,
    TowerSessionsMoka,
    AxumSession,
    Ruts,
    Stealth,
    PrivateCookieJar,
    ActixMemory,
    ActixStealth,
    ActixSession,
}

/// What a library works on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Framework {
    Axum,
    Actix,
}

impl Framework {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Axum => "axum",
            Self::Actix => "actix-web",
        }
    }

    /// It alone, with the same paths and no sessions.
    fn application(self) -> Box<dyn Application> {
        match self {
            Self::Axum => axum::bare(),
            Self::Actix => actix::bare(),
        }
    }
}

impl Library {
    pub(crate) const ALL: [Self; 11] = [
        Self::Memory,
        Self::ByHand,
        Self::TowerSessions,
        Self::TowerSessionsMoka,
        Self::AxumSession,
        Self::Ruts,
        Self::Stealth,
        Self::PrivateCookieJar,
        Self::ActixMemory,
        Self::ActixStealth,
        Self::ActixSession,
    ];

    /// The word for it on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::ByHand => "by-hand",
            Self::TowerSessions => "tower-sessions",
            Self::TowerSessionsMoka => "tower-sessions-moka",
            Self::AxumSession => "axum-session",
            Self::Ruts => "ruts",
            Self::Stealth => "stealth",
            Self::PrivateCookieJar => "private-cookie-jar",
            Self::ActixMemory => "actix-memory",
            Self::ActixStealth => "actix-stealth",
            Self::ActixSession => "actix-session",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Memory | Self::ActixMemory => "**dframework-session**, memory",
            Self::ByHand => "a plain layer by hand",
            Self::TowerSessions => "tower-sessions 0.15, memory",
            Self::TowerSessionsMoka => "tower-sessions 0.14, moka",
            Self::AxumSession => "axum_session 0.22, memory",
            Self::Ruts => "ruts 0.13, moka",
            Self::Stealth | Self::ActixStealth => "**dframework-session**, stealth",
            Self::PrivateCookieJar => "axum-extra 0.12, `PrivateCookieJar`",
            Self::ActixSession => "actix-session 0.11, cookie",
        }
    }

    pub(crate) fn framework(self) -> Framework {
        match self {
            Self::ActixMemory | Self::ActixStealth | Self::ActixSession => Framework::Actix,
            _ => Framework::Axum,
        }
    }

    /// Whether sessions stay with the server.
    pub(crate) fn keeps_sessions(self) -> bool {
        use Library::{ActixSession, ActixStealth, PrivateCookieJar, Stealth};
        !matches!(self, Stealth | PrivateCookieJar | ActixStealth | ActixSession)
    }

    async fn application(self) -> Box<dyn Application> {
        match self {
            Self::Memory => axum::ours(memory().await),
            Self::ByHand => least::least(),
            Self::TowerSessions => tower_sessions::memory(),
            Self::TowerSessionsMoka => tower_sessions::moka(),
            Self::AxumSession => axum_session::application().await,
            Self::Ruts => ruts::application(),
            Self::Stealth => axum::ours(stealth().await),
            Self::PrivateCookieJar => private_cookies::application(),
            Self::ActixMemory => actix::ours(memory().await),
            Self::ActixStealth => actix::ours(stealth().await),
            Self::ActixSession => actix_session::application(),
        }
    }
}

impl FromStr for Library {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let library = Self::ALL.into_iter().find(|library| library.word() == word);
        library.ok_or_else(|| format!("{word:?} is no library"))
    }
}

async fn memory() -> Sessions {
    connect(Config::new().driver(DriverName::Memory).max_sessions(2_000_000)).await
}

async fn stealth() -> Sessions {
    connect(Config::new().driver(DriverName::Stealth).key(KEY).expect("it is random")).await
}

async fn connect(config: Config) -> Sessions {
    Sessions::connect(&config).await.expect("the driver is there")
}

/// An application, and the cookies that its requests bring.
pub(crate) struct Asked {
    pub(crate) application: Box<dyn Application>,
    cookies: Vec<String>,
}

/// Sessions that requests use.
const USED: usize = 1_000;

impl Asked {
    /// An application with so many sessions, where it keeps any, or without.
    ///
    /// To be called inside a runtime of tokio.
    pub(crate) async fn new(library: Library, side: Side, count: usize) -> Self {
        match side {
            Side::With => Self::with(library, count).await,
            Side::Without => Self::without(library).await,
        }
    }

    async fn with(library: Library, sessions: usize) -> Self {
        let application = library.application().await;
        let sessions = if library.keeps_sessions() { sessions } else { USED };
        let cookies = fill(&*application, sessions).await;
        Self { application, cookies }
    }

    /// A framework without sessions, whose requests bring the cookies that sessions of this library have.
    async fn without(library: Library) -> Self {
        let cookies = fill(&*library.application().await, USED).await;
        Self { application: library.framework().application(), cookies }
    }

    /// The cookies of every session that requests use.
    pub(crate) fn all_cookies(&self) -> &[String] {
        &self.cookies
    }

    /// The cookies that the next request of this case brings: another session's each time.
    pub(crate) fn cookies(&self, case: Case, number: usize) -> Option<&str> {
        case.brings_cookies().then(|| &*self.cookies[number % self.cookies.len()])
    }
}

/// Makes sessions. Gives the cookies of some that lie far apart, each among two of somebody else.
async fn fill(application: &dyn Application, sessions: usize) -> Vec<String> {
    let mut worker = application.worker().await;
    let step = (sessions / USED).max(1);
    let mut cookies = Vec::new();
    for number in 0..sessions {
        let own = worker.begin(Case::New.path()).await.expect("a session was made");
        if number % step == 0 {
            cookies.push(format!("theme=dark; {own}; consent=all"));
        }
    }
    cookies
}
