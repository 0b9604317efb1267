//! The applications that are counted, and the requests that they answer.

use axum::{
    Router,
    body::Body,
    http::{Request, header},
    routing::get,
};
use dframework_session::{
    Clock, Config, DriverName, Error, RequestHead, ResponseHead, Session, Sessions,
    tower::SessionLayer,
};
use std::{
    task::{Context, Poll},
    time::Duration,
};
use tower::{Layer, Service};

/// One row of the table.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// What the same request costs without sessions.
    pub(crate) bare: &'static str,
    pub(crate) title: &'static str,
    /// How many instructions it may cost, the allocator's among them; `None` where they are not ours.
    pub(crate) hold: Option<i64>,
}

pub(crate) const CASES: [Case; 11] = [
    Case { name: "layer", bare: "bare", title: "a layer that does nothing", hold: None },
    Case { name: "unused", bare: "bare", title: "no cookie, session unused", hold: Some(2_500) },
    Case {
        name: "unused-cookie",
        bare: "bare-cookie",
        title: "cookie, session unused",
        hold: Some(2_800),
    },
    Case {
        name: "memory-read",
        bare: "bare-cookie",
        title: "memory: read one key",
        hold: Some(4_200),
    },
    Case {
        name: "memory-write",
        bare: "bare-cookie",
        title: "memory: read and write",
        hold: Some(6_500),
    },
    Case { name: "memory-new", bare: "bare", title: "memory: new session", hold: Some(15_000) },
    Case {
        name: "memory-new-evicts",
        bare: "bare",
        title: "memory: new session that evicts another",
        hold: None,
    },
    Case {
        name: "memory-new-expires",
        bare: "bare",
        title: "memory: new session while others expire",
        hold: None,
    },
    Case {
        name: "stealth-read",
        bare: "bare-stealth",
        title: "stealth: read one key",
        hold: Some(8_900),
    },
    Case {
        name: "stealth-write",
        bare: "bare-stealth",
        title: "stealth: read and write",
        hold: Some(16_200),
    },
    Case { name: "stealth-new", bare: "bare", title: "stealth: new session", hold: None },
];

/// A key that everybody can read.
const KEY: &str = "4b1d0c3f2e4a596870f1e2d3c4b5a69788796a5b4c3d2e1f19f3b1c0d7e5a428";

const A_SECOND: Duration = Duration::from_secs(1);

/// Sessions in the store besides the one that is used.
const OTHERS: usize = 1_000;

/// The fields that a browser sends with a navigation.
const ORDINARY: [(&str, &str); 10] = [
    ("host", "shop.example"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("accept-language", "en-US,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("referer", "https://shop.example/catalogue"),
    ("upgrade-insecure-requests", "1"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-site", "same-origin"),
];

async fn bare() -> &'static str {
    "ok"
}

async fn read() -> Result<&'static str, Error> {
    let name: Option<String> = Session::get("name").await?;
    assert!(name.is_some(), "the session was opened");
    Ok("ok")
}

async fn read_and_write() -> Result<&'static str, Error> {
    let visits: i64 = Session::get_or("visits", &0).await?;
    Session::set("visits", visits + 1).await?;
    Ok("ok")
}

async fn begin() -> Result<&'static str, Error> {
    fill(&Session::handle()?).await?;
    Ok("ok")
}

/// Six keys, 300 bytes.
async fn fill(session: &dframework_session::SessionHandle) -> Result<(), Error> {
    session.set("name", "a visitor of the shop").await?;
    session.set("visits", 1).await?;
    session.set("language", "en").await?;
    session.set("cart", "17 x 2, 4 x 1, 90 x 6, 1204 x 1, 33 x 12, 7 x 3, 55 x 1").await?;
    session.set("last", "/catalogue/shoes/winter?page=3&sort=price&size=42").await?;
    session.set("seen", "1204 33 7 55 90 17 4 1901 2207 18 44 5 6 1010").await
}

/// Answers requests of one case. What the case needs is made before the first of them.
pub(crate) fn run(name: &str, requests: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let clock = Clock::manual();
        let sessions = Sessions::connect(&config(name, &clock)).await.expect("a driver is there");
        let cookie = populate(&sessions, &clock).await;
        let handler = match name {
            "memory-read" | "stealth-read" => get(read),
            "memory-write" | "stealth-write" => get(read_and_write),
            "memory-new" | "memory-new-evicts" | "memory-new-expires" | "stealth-new" => get(begin),
            _ => get(bare),
        };
        let mut app = Router::new().route("/", handler);
        app = match name {
            "bare" | "bare-cookie" | "bare-stealth" => app,
            "layer" => app.layer(PassThroughLayer),
            _ => app.layer(SessionLayer::new(sessions)),
        };
        let brings_none = ["bare", "layer", "unused"].contains(&name) || name.contains("-new");
        let cookie = (!brings_none).then_some(cookie.as_str());
        let mut service = app.into_service::<Body>();
        for _ in 0..requests {
            clock.advance(A_SECOND);
            let answer = service.call(request(cookie)).await.expect("a router cannot fail");
            assert!(answer.status().is_success());
            std::hint::black_box(answer);
        }
    });
}

/// A layer that does nothing: what axum itself takes for having one.
#[derive(Clone, Copy)]
struct PassThroughLayer;

#[derive(Clone)]
struct PassThrough<S>(S);

impl<S> Layer<S> for PassThroughLayer {
    type Service = PassThrough<S>;

    fn layer(&self, inner: S) -> PassThrough<S> {
        PassThrough(inner)
    }
}

impl<S: Service<Q>, Q> Service<Q> for PassThrough<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Q) -> S::Future {
        self.0.call(request)
    }
}

/// Where a new session costs more than its own making, a session has to go for it: another one at the bound, or
/// one that expires in the second that passes between two requests. The other cases go by the system's clock.
fn config(name: &str, clock: &Clock) -> Config {
    let config = Config::new().driver(DriverName::Memory);
    match name {
        "bare-stealth" | "stealth-read" | "stealth-write" | "stealth-new" => {
            config.driver(DriverName::Stealth).key(KEY).expect("it is random")
        }
        "memory-new-evicts" => config.max_sessions(OTHERS),
        "memory-new-expires" => config.clock(clock.clone()).idle_timeout(A_SECOND * 1_000),
        _ => config,
    }
}

/// Fills the store and returns the Cookie field of the last session.
async fn populate(sessions: &Sessions, clock: &Clock) -> String {
    let mut cookie = String::new();
    for _ in 0..=OTHERS {
        let handle = sessions.open(RequestHead::new("GET"));
        clock.advance(A_SECOND);
        fill(&handle).await.expect("memory has room");
        let head = sessions.commit(&handle, ResponseHead::new(200)).await.expect("memory has room");
        let line = &head.set_cookies[0];
        line.split_once(';').map_or(line.as_str(), |(pair, _)| pair).clone_into(&mut cookie);
    }
    format!("theme=dark; {cookie}; consent=all")
}

fn request(cookie: Option<&str>) -> Request<Body> {
    let mut request = Request::builder().uri("/");
    for (name, value) in ORDINARY {
        request = request.header(name, value);
    }
    if let Some(cookie) = cookie {
        request = request.header(header::COOKIE, cookie);
    }
    request.body(Body::empty()).expect("the parts are valid")
}
