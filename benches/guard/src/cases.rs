//! The applications that are counted, and the requests that they answer.

use applications::{
    Application, actix,
    asked::{Case as Asked, KEY},
    axum, least,
};
use dframework_session::{Clock, Config, DriverName, Sessions};
use measuring::Side;
use std::{str::FromStr, time::Duration};

/// One row of the table.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    framework: Framework,
    kind: Kind,
    asked: Asked,
    /// How many instructions it may cost, the allocator's among them; `None` where nothing was said of it.
    pub(crate) hold: Option<i64>,
}

#[derive(Clone, Copy)]
enum Framework {
    Axum,
    Actix,
}

/// What stands before the handler.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A layer that does nothing.
    Layer,
    /// A plain layer for sessions, written by hand for what is asked here.
    Least,
    Memory,
    /// A new session pushes another one out.
    Evicting,
    /// Others expire as fast as new ones come.
    Expiring,
    Stealth,
}

const fn axum(name: &'static str, title: &'static str, kind: Kind, asked: Asked) -> Case {
    Case { name, title, framework: Framework::Axum, kind, asked, hold: None }
}

const fn actix(name: &'static str, title: &'static str, kind: Kind, asked: Asked) -> Case {
    Case { name, title, framework: Framework::Actix, kind, asked, hold: None }
}

impl Case {
    /// What its requests are run by, with the sessions and without.
    pub(crate) fn words(self) -> [Vec<&'static str>; 2] {
        [Side::With, Side::Without].map(|side| vec![self.name, side.word()])
    }

    const fn holding(self, hold: i64) -> Self {
        Self { hold: Some(hold), ..self }
    }
}

pub(crate) const CASES: [Case; 24] = {
    use Asked::{New, Read, ReadAndWrite, Unused, UnusedWithCookie};
    use Kind::{Evicting, Expiring, Layer, Least, Memory, Stealth};
    [
        axum("layer", "a layer that does nothing", Layer, Unused),
        axum("least-unused", "by hand: no cookie, session unused", Least, Unused),
        axum("least-unused-cookie", "by hand: cookie, session unused", Least, UnusedWithCookie),
        axum("least-read", "by hand: read one key", Least, Read),
        axum("least-write", "by hand: read and write", Least, ReadAndWrite),
        axum("least-new", "by hand: new session", Least, New),
        axum("unused", "no cookie, session unused", Memory, Unused).holding(2_500),
        axum("unused-cookie", "cookie, session unused", Memory, UnusedWithCookie).holding(2_800),
        axum("memory-read", "memory: read one key", Memory, Read).holding(4_200),
        axum("memory-write", "memory: read and write", Memory, ReadAndWrite).holding(6_500),
        axum("memory-new", "memory: new session", Memory, New).holding(15_000),
        axum("memory-new-evicts", "memory: new session that evicts another", Evicting, New),
        axum("memory-new-expires", "memory: new session while others expire", Expiring, New),
        axum("stealth-read", "stealth: read one key", Stealth, Read).holding(8_900),
        axum("stealth-write", "stealth: read and write", Stealth, ReadAndWrite).holding(16_200),
        axum("stealth-new", "stealth: new session", Stealth, New),
        actix("actix-unused", "actix: no cookie, session unused", Memory, Unused),
        actix("actix-unused-cookie", "actix: cookie, session unused", Memory, UnusedWithCookie),
        actix("actix-memory-read", "actix, memory: read one key", Memory, Read),
        actix("actix-memory-write", "actix, memory: read and write", Memory, ReadAndWrite),
        actix("actix-memory-new", "actix, memory: new session", Memory, New),
        actix("actix-stealth-read", "actix, stealth: read one key", Stealth, Read),
        actix("actix-stealth-write", "actix, stealth: read and write", Stealth, ReadAndWrite),
        actix("actix-stealth-new", "actix, stealth: new session", Stealth, New),
    ]
};

impl FromStr for Case {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let case = CASES.into_iter().find(|case| case.name == name);
        case.ok_or_else(|| format!("{name:?} is no case"))
    }
}

const A_SECOND: Duration = Duration::from_secs(1);

/// Sessions in the store besides the one that is used.
const OTHERS: usize = 1_000;

/// Answers requests of one case. What the case needs is made before the first of them.
pub(crate) fn run(case: Case, side: Side, requests: usize) {
    let Case { framework, kind, asked, .. } = case;
    actix_web::rt::System::new().block_on(async {
        let clock = Clock::manual();
        let sessions = Sessions::connect(&config(kind, &clock)).await.expect("a driver is there");
        let ours = if kind == Kind::Least { least::least() } else { with(framework, sessions) };
        let cookies = populate(&*ours, &clock).await;
        let application = match (side, kind) {
            (Side::Without, _) => without(framework),
            (Side::With, Kind::Layer) => axum::layer(),
            (Side::With, _) => ours,
        };
        let cookies = asked.brings_cookies().then_some(&*cookies);
        let mut worker = application.worker().await;
        for _ in 0..requests {
            clock.advance(A_SECOND);
            worker.answer(asked.path(), cookies).await;
        }
    });
}

fn with(framework: Framework, sessions: Sessions) -> Box<dyn Application> {
    match framework {
        Framework::Axum => axum::ours(sessions),
        Framework::Actix => actix::ours(sessions),
    }
}

fn without(framework: Framework) -> Box<dyn Application> {
    match framework {
        Framework::Axum => axum::bare(),
        Framework::Actix => actix::bare(),
    }
}

/// Where a new session costs more than its own making, a session has to go for it: another one at the bound, or
/// one that expires in the second that passes between two requests. The other cases go by the system's clock.
fn config(kind: Kind, clock: &Clock) -> Config {
    let memory = Config::new().driver(DriverName::Memory);
    match kind {
        Kind::Layer | Kind::Least | Kind::Memory => memory,
        Kind::Evicting => memory.max_sessions(OTHERS),
        Kind::Expiring => memory.clock(clock.clone()).idle_timeout(A_SECOND * 1_000),
        Kind::Stealth => Config::new().driver(DriverName::Stealth).key(KEY).expect("it is random"),
    }
}

/// Fills the store and returns the cookies that bring its last session, among two of somebody else.
async fn populate(application: &dyn Application, clock: &Clock) -> String {
    let mut worker = application.worker().await;
    let mut own = None;
    for _ in 0..=OTHERS {
        clock.advance(A_SECOND);
        own = worker.begin(Asked::New.path()).await;
    }
    format!("theme=dark; {}; consent=all", own.expect("a session was made"))
}
