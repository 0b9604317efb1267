//! A sibling host that plants cookies with names like ours: they neither replace nor hide ours, and open nothing.

use crate::support::{Browser, Certificate, SESSION, Server, connect, drivers};
use axum::{
    Router,
    http::{HeaderMap, HeaderValue, header},
    routing::get,
};
use demo::app;
use dframework_session::{Config, RequestHead, ResponseHead, Sessions};

/// Names that are ours, or that somebody could take for ours. `~` stands for a token that opens the intruder's session.
///
/// Browsers keep some of these and refuse others; either way they must not matter.
const PLANTED: &[&[u8]] = &[
    // Ours, which no browser takes with a domain.
    b"__Host-Http-session=~; Domain=shop.example; Path=/; Secure; HttpOnly",
    b"__Host-Http-session=~; Domain=shop.example; Path=/api; Secure; HttpOnly",
    b"__Host-Http-session.p=~.20000; Domain=shop.example; Path=/; Secure; HttpOnly",
    b"__Host-Http-session.f0=1; Domain=shop.example; Path=/; Secure; HttpOnly",
    // In another case.
    b"__host-http-session=~; Domain=shop.example; Path=/; Secure; HttpOnly",
    b"__HOST-HTTP-SESSION=~; Domain=shop.example; Path=/; Secure; HttpOnly",
    // With space around the name, which browsers trim, and with such as some servers trim.
    b"__Host-Http-session  =~; Domain=shop.example; Path=/; Secure; HttpOnly",
    b"\t __Host-Http-session\t=~; Domain=shop.example; Path=/; Secure; HttpOnly",
    "\u{a0}__Host-Http-session=~; Domain=shop.example; Path=/; Secure".as_bytes(),
    "\u{2000}__Host-Http-session=~; Domain=shop.example; Path=/; Secure".as_bytes(),
    "__Host-Http-session\u{3000}=~; Domain=shop.example; Path=/; Secure".as_bytes(),
    "\u{85}__Host-Http-session=~; Domain=shop.example; Path=/api; Secure".as_bytes(),
    // Without a name, or without a value: what stands before `=` is up to whoever reads it.
    b"=__Host-Http-session=~; Domain=shop.example; Path=/; Secure",
    b"==__Host-Http-session=~; Domain=shop.example; Path=/; Secure",
    b"__Host-Http-session; Domain=shop.example; Path=/; Secure",
    // Encoded, without the prefix, with another one, longer and shorter.
    b"__Host-Http-%73ession=~; Domain=shop.example; Path=/; Secure",
    b"%5F%5FHost-Http-session=~; Domain=shop.example; Path=/; Secure",
    b"session=~; Domain=shop.example; Path=/; Secure",
    b"Http-session=~; Domain=shop.example; Path=/; Secure",
    b"Host-Http-session=~; Domain=shop.example; Path=/; Secure",
    b"__Secure-Http-session=~; Domain=shop.example; Path=/; Secure",
    b"__Http-session=~; Domain=shop.example; Path=/; Secure; HttpOnly",
    b"_Host-Http-session=~; Domain=shop.example; Path=/; Secure",
    b"x__Host-Http-session=~; Domain=shop.example; Path=/; Secure",
    // Neighbours that swallow what follows them where quotes or escapes are read.
    b"quote=\"a; Domain=shop.example; Path=/api; Secure",
    b"escape=\\\"; Domain=shop.example; Path=/api; Secure",
    b"$Version=1; Domain=shop.example; Path=/api; Secure",
    b"$Path=/; Domain=shop.example; Path=/api; Secure",
    b"many===; Domain=shop.example; Path=/api; Secure",
    // Neighbours that are not text.
    b"\xff\xfe=\xff; Domain=shop.example; Path=/api; Secure",
    "gr\u{fc}\u{df}e=\u{1f36a}; Domain=shop.example; Path=/; Secure".as_bytes(),
];

/// What must come along for a test to say anything: names that browsers do take.
const SENT: [&str; 6] = [
    "\u{a0}__Host-Http-session=",
    "\u{2000}__Host-Http-session=",
    "__Http-session=",
    "quote=\"a;",
    "\u{fffd}\u{fffd}=\u{fffd}",
    "gr\u{fc}\u{df}e=",
];

/// A planted line with a token in its place.
fn with_token(line: &[u8], token: &str) -> Vec<u8> {
    let pieces: Vec<_> = line.split(|byte| *byte == b'~').collect();
    pieces.join(token.as_bytes())
}

/// Gives these cookies to whoever comes by.
fn planting(lines: &'static [&'static [u8]], token: &str) -> Router {
    let mut headers = HeaderMap::new();
    for line in lines {
        let line = HeaderValue::from_bytes(&with_token(line, token)).unwrap();
        headers.append(header::SET_COOKIE, line);
    }
    Router::new().route("/", get(async move || headers))
}

/// Goes to the sibling, whose answer and whose script both plant.
fn visit_the_sibling(browser: &Browser, sibling: &Server, token: &str) {
    browser.go(&sibling.url_at("evil.shop.example", "/"));
    for line in PLANTED {
        let line = with_token(line, token);
        if let Ok(line) = String::from_utf8(line) {
            browser.run_with("document.cookie = arguments[0]", &[line.into()]);
        }
    }
}

/// The token of a session that somebody else is logged in to.
fn intruder(sessions: &Sessions) -> String {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let handle = sessions.open(RequestHead::new("POST"));
        handle.set_owner("intruder").await.unwrap();
        handle.set("name", "intruder").await.unwrap();
        let head = sessions.commit(&handle, ResponseHead::new(200)).await.unwrap();
        let pair = head.set_cookies[0].split(';').next().unwrap();
        pair.split_once('=').unwrap().1.to_owned()
    })
}

/// The page as the server has just answered it, and that it was asked with the sibling's cookies.
fn page(browser: &Browser, server: &Server) -> String {
    let before = server.asked().len();
    browser.go(&server.url("/"));
    // Those for a longer path are sent to `/api` alone, and first.
    browser.run("await fetch('/api/greeting')");
    let asked = server.asked().split_off(before);
    let greeting = asked.iter().find(|asked| asked.request == "GET /api/greeting").unwrap();
    for name in SENT {
        assert!(greeting.cookies.contains(name), "no {name} in {}", greeting.cookies);
    }
    browser.text("main").unwrap()
}

/// Runs a scenario with a server, a sibling of it, and a token of the sibling's.
fn beside_a_sibling(scenario: impl Fn(&Sessions, &Browser, &Server, &dyn Fn())) {
    let certificate = Certificate::new();
    let Some(browser) = Browser::start_trusting(&certificate) else { return };
    for sessions in drivers() {
        browser.start_over();
        let server = Server::start_tls(app(sessions.clone()), &certificate);
        let token = intruder(&sessions);
        let sibling = Server::start_tls(planting(PLANTED, &token), &certificate);
        scenario(&sessions, &browser, &server, &|| visit_the_sibling(&browser, &sibling, &token));
    }
}

#[test]
fn look_alikes_from_a_sibling_neither_replace_nor_hide_our_cookies() {
    beside_a_sibling(|sessions, browser, server, visit_the_sibling| {
        browser.go(&server.url("/"));
        browser.fill("#name", "visitor");
        browser.click_through("form[action='/name'] button");
        browser.click_through("form[action='/terms'] button");
        browser.fill("#account", "42");
        browser.click_through("form[action='/login'] button");
        browser.go(&server.url("/"));
        let permanent = format!("{SESSION}.p");
        // Where the session is in its cookie, every page that counts visits changes it.
        let steady = match sessions.driver() {
            "stealth" => vec![&*permanent],
            _ => vec![SESSION, &*permanent],
        };
        let cookies = || steady.iter().map(|name| browser.cookie(name)).collect::<Vec<_>>();
        let ours = cookies();
        assert!(ours.iter().all(Option::is_some));

        visit_the_sibling();
        let page = page(browser, server);
        assert!(page.contains("Hello, visitor.") && page.contains("logged in as 42"), "{page}");
        assert!(page.contains("Accepted."), "{page}");
        assert_eq!(cookies(), ours);

        // Messages and the logout work among them too.
        browser.click_through("form[action='/logout'] button");
        let page = browser.text("main").unwrap();
        assert!(page.starts_with("You have been logged out"), "{page}");
        assert!(page.contains("Hello, guest.") && !page.contains("Accepted."), "{page}");
    });
}

#[test]
fn look_alikes_from_a_sibling_open_nothing() {
    beside_a_sibling(|sessions, browser, server, visit_the_sibling| {
        visit_the_sibling();
        let page = page(browser, server);
        assert!(page.contains("Hello, guest.") && page.contains("your first visit"), "{page}");
        assert!(!page.contains("You are logged in"), "{page}");

        // A login begins a session of the visitor's own.
        browser.fill("#account", "42");
        browser.click_through("form[action='/login'] button");
        assert!(browser.text("main").unwrap().contains("You are logged in as 42."));
        if sessions.driver() == "stealth" {
            return;
        }
        let logins = |owner| {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(sessions.of(owner, None, 10)).unwrap().len()
        };
        assert_eq!((logins("42"), logins("intruder")), (1, 1));
    });
}

#[test]
fn no_script_of_our_own_page_reads_or_replaces_our_cookie() {
    let certificate = Certificate::new();
    let Some(browser) = Browser::start_trusting(&certificate) else { return };
    let server = Server::start_tls(app(Sessions::memory()), &certificate);
    browser.go(&server.url("/"));
    let ours = browser.cookies();
    for line in PLANTED.iter().filter_map(|line| std::str::from_utf8(line).ok()) {
        let line = line.replace(" Domain=shop.example;", "").replace("; HttpOnly", "");
        browser.run_with("document.cookie = arguments[0]", &[line.into()]);
    }
    let seen = browser.run("return document.cookie");
    assert!(!seen.as_str().unwrap().contains(&ours[0].value));
    let kept: Vec<_> =
        browser.cookies().into_iter().filter(|kept| kept.name.starts_with(SESSION)).collect();
    assert_eq!(
        kept.iter().map(|kept| (&kept.name, &kept.value)).collect::<Vec<_>>(),
        [(&ours[0].name, &ours[0].value)]
    );
    browser.go(&server.url("/"));
    assert!(browser.text("main").unwrap().contains("visit number 2"));
}

/// Well-formed, and sent before ours because their paths are longer. Behind four of them, ours would not be tried.
const BOGUS: &[&[u8]] = &[
    b"shop=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA; Domain=shop.example; Path=/api; Secure",
    b"shop=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA; Domain=shop.example; Path=/api/; Secure",
    b"shop=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA; Domain=shop.example; Path=/api/session; Secure",
];

#[test]
fn under_a_name_without_prefix_three_bogus_tokens_before_ours_hide_nothing() {
    let certificate = Certificate::new();
    let Some(browser) = Browser::start_trusting(&certificate) else { return };
    let sessions = connect(&Config::new().cookie_name("shop"));
    let server = Server::start_tls(app(sessions), &certificate);
    let sibling = Server::start_tls(planting(BOGUS, ""), &certificate);
    browser.go(&server.url("/"));
    browser.fill("#name", "visitor");
    browser.click_through("form[action='/name'] button");

    browser.go(&sibling.url_at("evil.shop.example", "/"));
    browser.go(&server.url("/api/session"));
    let sent = server.latest("GET /api/session").cookies;
    assert_eq!(sent.matches("shop=").count(), 4, "{sent}");
    assert!(sent.starts_with("shop=AAAA"), "{sent}");
    assert!(browser.text("body").unwrap().contains("\"name\":\"visitor\""));
}
