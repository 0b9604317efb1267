//! Logins and logouts while slow requests are under way, with the answers in every order.
//!
//! Requests wait at gates of the server, before it has seen them and after it has answered. So the test says in which
//! order they are carried out, and in which order the browser hears of it.

use crate::support::{
    Browser, Gate, SESSION, Server, Side, on_every_driver_in_time, on_every_keeper,
};
use axum::{
    Router,
    routing::{get, post},
};
use demo::app;
use dframework_session::{Error, Session, Sessions, tower::SessionLayer};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::runtime::Runtime;

/// A request that a script sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Request {
    method: &'static str,
    path: &'static str,
    form: &'static str,
}

const fn get_of(path: &'static str) -> Request {
    Request { method: "GET", path, form: "" }
}

const fn post_of(path: &'static str, form: &'static str) -> Request {
    Request { method: "POST", path, form }
}

const READ: Request = get_of("/who?slow");
const CLICK: Request = post_of("/api/clicks?slow", "");
const LEAVE: Request = post_of("/leave?slow", "");
const LOGIN: Request = post_of("/login?slow", "account=42");

/// Sends some requests one after the other, and then others that are not waited for. Redirects are not followed, and
/// their cookies are kept.
const SEND: &str = "
    const send = ({ method, path, form }) => fetch(path, {
        method,
        redirect: 'manual',
        cache: 'no-store',
        body: form ? new URLSearchParams(form) : undefined,
    });
    const [first, slow] = arguments;
    for (const request of first) await send(request);
    window.slow ??= {};
    for (const request of slow) window.slow[request.path] = send(request);
";

/// The demo, with a handler that tells who is there, one that gives another role, and a logout that leaves no message.
fn app_with_leave(sessions: Sessions) -> Router {
    let more = Router::new()
        .route("/who", get(who))
        .route("/role", post(role))
        .route("/leave", post(Session::destroy));
    app(sessions.clone()).merge(more.layer(SessionLayer::new(sessions)))
}

async fn who() -> Result<String, Error> {
    let clicks = Session::get_or("clicks", &0).await?;
    Ok(json!({ "owner": Session::owner().await?, "clicks": clicks }).to_string())
}

async fn role() -> Result<(), Error> {
    Session::regenerate().await?;
    Session::set("role", "editor").await
}

fn seen(browser: &Browser) -> Value {
    browser.run("return (await fetch('/who', { cache: 'no-store' })).json()")
}

/// Sends requests and waits for each; then the slow ones, which come as far as the gates before the server.
fn send(browser: &Browser, server: &Server, first: &[Request], slow: &[Request]) -> Vec<Slow> {
    let held: Vec<_> = slow.iter().map(|request| Slow::expect(server, *request)).collect();
    browser.run_with(SEND, &[first, slow].map(listed));
    for slow in &held {
        slow.before.arrived();
    }
    held
}

/// Requests as the script takes them.
fn listed(requests: &[Request]) -> Value {
    let object = |&Request { method, path, form }: &Request| json!({ "method": method, "path": path, "form": form });
    requests.iter().map(object).collect()
}

/// A request on its way, and where it is held.
struct Slow {
    request: Request,
    before: Gate,
    after: Gate,
}

impl Slow {
    fn expect(server: &Server, request: Request) -> Self {
        let name = format!("{} {}", request.method, request.path);
        let [before, after] = [Side::Request, Side::Answer].map(|side| server.hold(side, &name));
        Self { request, before, after }
    }

    /// Has the server carry it out. The browser does not hear of it yet.
    fn carry_out(&self) {
        self.before.open();
        self.after.arrived();
    }

    /// Lets the answer through, and waits until the browser has it.
    fn answer(&self, browser: &Browser) {
        self.after.open();
        browser.run_with("await window.slow[arguments[0]]", &[json!(self.request.path)]);
    }
}

/// Every order of three.
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// Sends three requests with the same cookies, has them carried out and answered in every order, and checks.
fn in_every_order(
    requests: [Request; 3],
    first: &[Request],
    check: impl Fn(&Sessions, &Browser, &[usize; 3], &str),
) {
    on_every_keeper(|sessions, browser| {
        let server = Server::start(app_with_leave(sessions.clone()));
        browser.go(&server.url("/who"));
        for carried_out in &ORDERS {
            for answered in &ORDERS {
                browser.clear_cookies();
                let slow = send(browser, &server, first, &requests);
                for index in carried_out {
                    slow[*index].carry_out();
                }
                for index in answered {
                    slow[*index].answer(browser);
                }
                let orders =
                    format!("{requests:?} carried out {carried_out:?}, answered {answered:?}");
                check(&sessions, browser, carried_out, &orders);
            }
        }
    });
}

/// How many sessions this owner has.
fn logins(sessions: &Sessions, owner: &str) -> usize {
    Runtime::new().unwrap().block_on(sessions.of(owner, None, 10)).unwrap().len()
}

/// Ends them.
fn end_logins(sessions: &Sessions, owner: &str) -> usize {
    Runtime::new().unwrap().block_on(sessions.revoke_all(owner)).unwrap()
}

#[test]
fn a_logout_stands_whatever_slow_requests_bring_afterwards() {
    let terms = post_of("/terms", "");
    let first = [post_of("/login", "account=42"), terms, post_of("/api/clicks", "")];
    in_every_order([READ, CLICK, LEAVE], &first, |sessions, browser, _, orders| {
        assert_eq!(browser.cookie_names(), [""; 0], "{orders}");
        assert_eq!(seen(browser), json!({ "owner": null, "clicks": 0 }), "{orders}");
        assert_eq!(logins(sessions, "42"), 0, "{orders}");
    });
}

#[test]
fn a_login_stands_whatever_slow_requests_bring_afterwards() {
    let first = [post_of("/api/clicks", "")];
    in_every_order([READ, CLICK, LOGIN], &first, |sessions, browser, carried_out, orders| {
        // A click that comes after the login still has the token from before it, and is refused.
        let at = |index: usize| carried_out.iter().position(|request| *request == index);
        let clicks = if at(1) < at(2) { 2 } else { 1 };
        assert_eq!(seen(browser), json!({ "owner": "42", "clicks": clicks }), "{orders}");
        assert_eq!(end_logins(sessions, "42"), 1, "{orders}");
    });
}

#[test]
fn a_login_made_meanwhile_stays_whatever_slow_requests_bring_afterwards() {
    let first = [post_of("/login", "account=42"), post_of("/api/clicks", "")];
    let meanwhile = [post_of("/leave", ""), post_of("/login", "account=43")];
    // The second click on "log out" waits before the server, the others there or on their way back.
    let requests = [READ, CLICK, LEAVE];
    let on_their_way_back: [&[usize]; 4] = [&[], &[0], &[1], &[0, 1]];
    on_every_keeper(|sessions, browser| {
        let server = Server::start(app_with_leave(sessions.clone()));
        browser.go(&server.url("/who"));
        for early in on_their_way_back {
            for order in &ORDERS {
                browser.clear_cookies();
                let slow = send(browser, &server, &first, &requests);
                for index in early {
                    slow[*index].carry_out();
                }
                send(browser, &server, &meanwhile, &[]);
                for index in order {
                    slow[*index].carry_out();
                    slow[*index].answer(browser);
                }
                let orders = format!("early {early:?}, then {order:?}");
                assert_eq!(seen(browser), json!({ "owner": "43", "clicks": 0 }), "{orders}");
                assert_eq!(logins(&sessions, "42"), 0, "{orders}");
                assert_eq!(end_logins(&sessions, "43"), 1, "{orders}");
            }
        }
    });
}

#[test]
fn a_slow_read_restores_nothing_that_a_logout_a_login_or_another_role_has_ended() {
    let first = [post_of("/login", "account=42"), post_of("/api/clicks", "")];
    let ends = [
        (post_of("/leave", ""), json!({ "owner": null, "clicks": 0 })),
        (post_of("/login", "account=43"), json!({ "owner": "43", "clicks": 0 })),
        (post_of("/role", ""), json!({ "owner": "42", "clicks": 1 })),
    ];
    on_every_driver_in_time(|sessions, browser, clock| {
        let server = Server::start(app_with_leave(sessions.clone()));
        browser.go(&server.url("/who"));
        for (end, expected) in &ends {
            for is_early in [true, false] {
                browser.clear_cookies();
                let slow = &send(browser, &server, &first, &[READ])[0];
                // So that the use of the session is worth a write, and with `stealth` a cookie.
                clock.advance(Duration::from_mins(20));
                if is_early {
                    slow.carry_out();
                }
                send(browser, &server, &[*end], &[]);
                let cookie = browser.cookie(SESSION);
                assert_eq!(cookie.is_none(), end.path == "/leave");
                slow.carry_out();
                slow.answer(browser);

                let case = format!("{}: {end:?}, early: {is_early}", sessions.driver());
                assert_eq!(browser.cookie(SESSION), cookie, "{case}");
                let has_told = browser.cookie(&format!("{SESSION}.t")).is_some();
                assert_eq!(has_told, is_early && sessions.driver() == "stealth", "{case}");
                assert_eq!(seen(browser), *expected, "{case}");
            }
        }
    });
}

/// Asks again and again who is there, and clicks, as scripts of a page do that stays open.
const POLL: &str = "
    window.polls = [];
    (async () => {
        for (let count = 0; count < 10_000; count += 1) {
            await fetch('/api/clicks?poll', { method: 'POST' });
            polls.push((await fetch('/who?poll', { cache: 'no-store' })).status);
        }
    })();
";

#[test]
fn logins_and_logouts_stand_while_a_script_polls() {
    on_every_keeper(|sessions, browser| {
        let server = Server::start(app_with_leave(sessions.clone()));
        browser.go(&server.url("/"));
        let (page, polling) = (browser.tab(), browser.open_tab("polling"));
        browser.turn_to(&polling);
        browser.go(&server.url("/who"));
        browser.run(POLL);
        browser.turn_to(&page);
        let wait_for_polls = || server.wait_for(3, "GET /who?poll", server.asked().len());
        for _ in 0..2 {
            wait_for_polls();
            browser.fill("#account", "42");
            browser.click_through("form[action='/login'] button");
            wait_for_polls();
            assert_eq!(seen(browser)["owner"], "42");

            browser.click_through("form[action='/logout'] button");
            wait_for_polls();
            assert!(seen(browser)["owner"].is_null());
            assert_eq!(logins(&sessions, "42"), 0);
            browser.go(&server.url("/"));
        }
        browser.turn_to(&polling);
        let refused = browser.run("return polls.filter((status) => status !== 200)");
        assert_eq!(refused, json!([]), "a request that only reads is never refused");
    });
}
