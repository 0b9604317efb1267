//! What a browser keeps of our cookies, when it sends them, and that it gives up every one of them.

use crate::support::{Browser, Certificate, SESSION, Server, connect, in_cookies};
use axum::{
    Router,
    response::Html,
    routing::{get, post},
};
use demo::app;
use dframework_session::{Config, Env, SameSite, Session, Sessions, tower::SessionLayer};

const PLAIN: &[&str] = &["Path=/", "Secure", "HttpOnly", "SameSite=Lax"];

/// A configuration, and what a browser makes of it.
struct Case {
    config: Config,
    /// Where the application is.
    below: &'static str,
    name: &'static str,
    attributes: &'static [&'static str],
    /// After how many days the session cookie is given up, if it does not go with the last window.
    days: Option<f64>,
}

impl Case {
    fn new(config: Config, name: &'static str, attributes: &'static [&'static str]) -> Self {
        Self { config, below: "", name, attributes, days: None }
    }
}

fn cases() -> Vec<Case> {
    let config = Config::new;
    let shop = "__Secure-shop";
    vec![
        Case::new(config(), SESSION, PLAIN),
        Case { days: Some(30.0), ..Case::new(config().persistent_cookie(), SESSION, PLAIN) },
        Case::new(
            config().same_site(SameSite::Strict),
            SESSION,
            &["Path=/", "Secure", "HttpOnly", "SameSite=Strict"],
        ),
        Case::new(
            config().same_site(SameSite::None),
            SESSION,
            &["Path=/", "Secure", "HttpOnly", "SameSite=None"],
        ),
        Case {
            below: "/shop",
            ..Case::new(
                config().cookie_name(shop).cookie_path("/shop"),
                shop,
                &["Path=/shop", "Secure", "HttpOnly", "SameSite=Lax"],
            )
        },
        Case::new(
            config().cookie_name(shop).cookie_domain("shop.example"),
            shop,
            &["Path=/", "Domain=shop.example", "Secure", "HttpOnly", "SameSite=Lax"],
        ),
        Case::new(
            config().partitioned_cookie(),
            "__Host-Http-session-p",
            &["Path=/", "Secure", "HttpOnly", "SameSite=Lax", "Partitioned"],
        ),
        Case::new(config().env(Env::Local), "session", &["Path=/", "HttpOnly", "SameSite=Lax"]),
    ]
}

/// The demo, with a logout that leaves no message.
fn app_with_leave(sessions: Sessions) -> Router {
    let leave = Router::new().route("/leave", post(Session::destroy));
    app(sessions.clone()).merge(leave.layer(SessionLayer::new(sessions)))
}

fn served(sessions: Sessions, case: &Case) -> Router {
    let app = app_with_leave(sessions);
    if case.below.is_empty() { app } else { Router::new().nest(case.below, app) }
}

fn send(browser: &Browser, path: &str) {
    browser.run_with(
        "await fetch(arguments[0], { method: 'POST', redirect: 'manual' })",
        &[path.into()],
    );
}

/// Has every cookie set, sent and removed, and looks at them in between.
fn walk(browser: &Browser, server: &Server, case: &Case) {
    let Case { below, name, attributes, days, .. } = case;
    browser.clear_cookies();
    browser.go(&server.url(&format!("{below}/api/greeting")));
    assert_eq!(browser.cookie_names(), [""; 0]);
    send(browser, &format!("{below}/terms"));
    let expected = [
        ((*name).to_owned(), *days),
        (format!("{name}.f0"), *days),
        // Ten years are asked for, and this is what browsers make of it.
        (format!("{name}.p"), Some(400.0)),
    ];
    let cookies = browser.cookies();
    let kept: Vec<_> = cookies.iter().map(|cookie| (cookie.name.clone(), cookie.days())).collect();
    assert_eq!(kept, expected);
    for cookie in &cookies {
        assert_eq!(cookie.attributes, *attributes, "{}", cookie.name);
    }

    browser.run_with("await fetch(arguments[0])", &[format!("{below}/demo.css").into()]);
    let sent = server.latest(&format!("GET {below}/demo.css")).cookies;
    for cookie in &cookies {
        let pair = format!("{}={}", cookie.name, cookie.value);
        assert!(sent.split("; ").any(|sent| sent == pair), "no {} in {sent}", cookie.name);
    }
    assert_eq!(browser.run("return document.cookie"), "", "no script sees them");

    send(browser, &format!("{below}/leave"));
    assert_eq!(browser.cookie_names(), [""; 0], "{name} {attributes:?}");
}

#[test]
fn cookies_are_kept_sent_and_removed_as_configured() {
    let certificate = Certificate::new();
    let Some(browser) = Browser::start_trusting(&certificate) else { return };
    for case in cases() {
        for sessions in [connect(&case.config), in_cookies(&case.config)] {
            let server = Server::start_tls(served(sessions, &case), &certificate);
            walk(&browser, &server, &case);
        }
    }
}

#[test]
fn cookies_are_kept_sent_and_removed_over_plain_http_to_this_machine() {
    let Some(browser) = Browser::start() else { return };
    for case in cases().into_iter().filter(|case| !case.attributes.contains(&"Domain=shop.example"))
    {
        for sessions in [connect(&case.config), in_cookies(&case.config)] {
            walk(&browser, &Server::start(served(sessions, &case)), &case);
        }
    }
}

/// A page of another site that leads to ours: by a link, a form and a picture.
fn elsewhere(target: &str) -> Router {
    let page = format!(
        "<!doctype html><title>elsewhere</title><a href='{target}?link'>link</a>\
         <form method='post' action='{target}?form'><button>form</button></form>\
         <img src='{target}?picture' alt=''>"
    );
    Router::new().route("/", get(async move || Html(page)))
}

#[test]
fn another_site_makes_the_browser_send_what_same_site_says() {
    let certificate = Certificate::new();
    let Some(browser) = Browser::start_trusting(&certificate) else { return };
    for (same_site, with_link, with_form) in [
        (SameSite::Lax, true, false),
        (SameSite::Strict, false, false),
        (SameSite::None, true, true),
    ] {
        let config = Config::new().same_site(same_site);
        let server = Server::start_tls(app(connect(&config)), &certificate);
        let other = Server::start_tls(elsewhere(&server.url("/api/clicks")), &certificate);
        browser.clear_cookies();
        browser.go(&server.url("/"));
        for (click, request, is_sent) in [
            ("a", "GET /api/clicks?link", with_link),
            ("button", "POST /api/clicks?form", with_form),
        ] {
            browser.go(&other.url_at("other.example", "/"));
            browser.click_through(click);
            let has_come = |request: &str| server.latest(request).cookies.contains(SESSION);
            assert_eq!(has_come(request), is_sent, "{same_site:?} {request}");
            if same_site != SameSite::None {
                assert!(!has_come("GET /api/clicks?picture"), "{same_site:?}");
            }
        }
    }
}
