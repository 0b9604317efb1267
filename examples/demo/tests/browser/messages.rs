//! A message and the company that pages keep: pictures, prefetches, scripts that poll.
//!
//! The next page shows the message, exactly once, whatever else the browser asks for meanwhile.

use crate::support::{Browser, SESSION, Server, Side, on_every_driver, on_every_keeper};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::{StatusCode, header},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::get,
};
use demo::app;
use dframework_session::{Error, Session, Sessions, tower::SessionLayer};

/// What the page of the demo brings along, and what the browser then asks for, how often at least.
#[derive(Clone, Copy, Debug)]
struct Company {
    lines: &'static str,
    asks: &'static [(&'static str, usize)],
}

const COMPANIES: [Company; 4] = [
    Company {
        lines: "<img src='/picture?1' alt=''><img src='/picture?2' alt=''>",
        asks: &[("GET /picture?1", 1), ("GET /picture?2", 1)],
    },
    Company { lines: "<link rel='prefetch' href='/greeting'>", asks: &[("GET /greeting", 1)] },
    Company { lines: "<script src='/poll.js'></script>", asks: &[("GET /poll?", 2)] },
    Company {
        lines: "<link rel='prefetch' href='/greeting'><script src='/poll.js'></script>\
                <img src='/picture?1' alt=''><img src='/picture?2' alt=''>",
        asks: &[
            ("GET /greeting", 1),
            ("GET /poll?", 2),
            ("GET /picture?1", 1),
            ("GET /picture?2", 1),
        ],
    },
];

/// The demo beside handlers that use the session for other things than pages.
fn app_with_company(sessions: Sessions) -> Router {
    let company = Router::new()
        .route("/picture", get(picture))
        .route("/greeting", get(greeting))
        .route("/poll", get(poll))
        .route("/fail", get(fail))
        .route("/poll.js", get(poll_script))
        .layer(SessionLayer::new(sessions.clone()));
    app(sessions).merge(company)
}

/// A picture that counts how often it was looked at.
async fn picture() -> Result<impl IntoResponse, Error> {
    Session::increment("looks", 1).await?;
    let picture = "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>";
    Ok(([(header::CONTENT_TYPE, "image/svg+xml")], picture))
}

async fn greeting() -> Result<String, Error> {
    Session::get_or("name", "guest").await
}

/// What a script asks again and again: is there anything new?
async fn poll() -> Result<String, Error> {
    let seen = (Session::get_or("clicks", &0).await?, Session::has("status").await?);
    Ok(format!("{seen:?}"))
}

/// A handler that has touched the session before it fails.
async fn fail() -> Result<StatusCode, Error> {
    Session::increment("failures", 1).await?;
    Ok(StatusCode::INTERNAL_SERVER_ERROR)
}

async fn poll_script() -> impl IntoResponse {
    let script = "setInterval(() => fetch('/poll?'), 30);";
    ([(header::CONTENT_TYPE, "text/javascript")], script)
}

/// Puts lines at the end of the page.
async fn bring(company: Company, request: Request, next: Next) -> Response {
    let is_page = request.uri().path() == "/";
    let response = next.run(request).await;
    if !is_page || response.status() != StatusCode::OK {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let page = String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().into()).unwrap();
    head.headers.remove(header::CONTENT_LENGTH);
    let page = page.replace("</body>", &format!("{}</body>", company.lines));
    Response::from_parts(head, Body::from(page))
}

/// The message on the page that is open.
fn message(browser: &Browser) -> Option<String> {
    browser.text("[role=status]")
}

fn fill_in_profile(browser: &Browser) {
    browser.fill("#display-name", "Visitor");
    browser.fill("#contact", "visitor@example.com");
}

const UPDATED: &str = "Profile updated successfully";

#[test]
fn a_message_is_shown_on_the_next_page_and_not_on_the_one_after_in_any_company() {
    on_every_driver(|sessions, browser| {
        for company in COMPANIES {
            browser.start_over();
            let bring = move |request, next| bring(company, request, next);
            let app = app_with_company(sessions.clone()).layer(from_fn(bring));
            let server = Server::start(app);
            browser.go(&server.url("/"));
            wait_for_company(&server, company, 0);
            fill_in_profile(browser);

            let before = server.asked().len();
            browser.click_through("form[action='/profile'] button");
            assert_eq!(message(browser).as_deref(), Some(UPDATED), "{company:?}");
            wait_for_company(&server, company, before);
            assert_eq!(message(browser).as_deref(), Some(UPDATED), "it stays while it is read");

            browser.go(&server.url("/"));
            assert_eq!(message(browser), None, "{company:?}");
        }
    });
}

fn wait_for_company(server: &Server, company: Company, after: usize) {
    for (request, count) in company.asks {
        server.wait_for(*count, request, after);
    }
}

/// What a page does besides: each of these is over when the script is.
const COMPANY_OF_ANOTHER_TAB: &str = "
    const picture = new Image();
    picture.src = '/picture?known';
    await picture.decode();
    await new Promise((loaded) => {
        const ahead = document.createElement('link');
        ahead.rel = 'prefetch';
        ahead.href = '/greeting?known';
        ahead.onload = loaded;
        document.head.append(ahead);
    });
    const poll = await fetch('/poll?known');
    const head = await fetch('/?known', { method: 'HEAD' });
    const failed = await fetch('/fail?known');
    return [await poll.text(), head.status, failed.status];
";

#[test]
fn company_that_knows_of_the_message_leaves_it_for_the_page() {
    on_every_driver(|sessions, browser| {
        let server = Server::start(app_with_company(sessions));
        browser.go(&server.url("/"));
        fill_in_profile(browser);
        let page = browser.open_tab("page");

        // The form's answer has come, the page that it leads to has not.
        let redirected = server.hold(Side::Request, "GET /");
        let submit = "const form = document.querySelector('form[action=\"/profile\"]');
            form.target = 'page'; form.requestSubmit()";
        browser.run(submit);
        redirected.arrived();
        let seen = browser.run(COMPANY_OF_ANOTHER_TAB);
        assert_eq!(seen, serde_json::json!(["(0, true)", 200, 500]));
        let asked = server.asked();
        let company: Vec<_> =
            asked.iter().filter(|asked| asked.request.contains("known")).collect();
        assert_eq!(company.len(), 5);
        for asked in company {
            assert!(asked.cookies.contains(&format!("{SESSION}.f0=1")), "{asked:?}");
        }

        redirected.open();
        browser.turn_to(&page);
        assert_eq!(message(browser).as_deref(), Some(UPDATED));
        browser.go(&server.url("/"));
        assert_eq!(message(browser), None);
    });
}

#[test]
fn requests_that_left_before_the_message_neither_show_nor_end_it() {
    on_every_keeper(|sessions, browser| {
        let server = Server::start(app_with_company(sessions));
        browser.go(&server.url("/"));
        let (page, poll) = (
            server.hold(Side::Request, "GET /?early"),
            server.hold(Side::Answer, "GET /poll?early"),
        );
        let early = browser.open_tab("early");
        browser.run("window.poll = fetch('/poll?early'); window.open('/?early', 'early')");
        page.arrived();
        poll.arrived();

        browser.run("await fetch('/terms', { method: 'POST', redirect: 'manual' })");
        poll.open();
        assert_eq!(browser.run("return (await window.poll).text()"), "(0, false)");
        page.open();
        let first = browser.tab();
        browser.turn_to(&early);
        assert_eq!(message(browser), None);

        browser.turn_to(&first);
        browser.go(&server.url("/"));
        assert_eq!(message(browser).as_deref(), Some("You have accepted the terms"));
        browser.go(&server.url("/"));
        assert_eq!(message(browser), None);
    });
}

#[test]
fn a_script_that_reads_the_message_is_the_one_that_shows_it() {
    on_every_driver(|sessions, browser| {
        let server = Server::start(app(sessions));
        browser.go(&server.url("/"));
        browser.run("await fetch('/terms', { method: 'POST', redirect: 'manual' })");
        let read = "return (await (await fetch('/api/session')).json()).status ?? null";
        assert_eq!(browser.run(read), "you have accepted the terms");
        assert!(browser.run(read).is_null());
        browser.go(&server.url("/"));
        assert_eq!(message(browser), None);
    });
}

/// Tells the browser that the visitor will probably go to the page of the demo next.
const FETCH_AHEAD: &str = "
    const rules = document.createElement('script');
    rules.type = 'speculationrules';
    rules.textContent = JSON.stringify({ prefetch: [{ urls: ['/'], eagerness: 'immediate' }] });
    document.head.append(rules);
";

#[test]
fn a_page_that_was_fetched_ahead_shows_its_message_and_the_one_after_does_not() {
    on_every_driver(|sessions, browser| {
        let server = Server::start(app_with_company(sessions));
        browser.go(&server.url("/"));
        // The policy of the demo's own page keeps such rules out.
        browser.go(&server.url("/poll"));
        browser.run("await fetch('/terms', { method: 'POST', redirect: 'manual' })");

        let before = server.asked().len();
        browser.run(FETCH_AHEAD);
        let companion = format!("{SESSION}.f0");
        browser
            .wait("the page ahead", |browser| browser.cookie(&companion).is_none().then_some(()));
        browser.leave_by(|| drop(browser.run("setTimeout(() => { location = '/' })")));
        assert_eq!(message(browser).as_deref(), Some("You have accepted the terms"));
        let pages = server.asked().split_off(before);
        let pages: Vec<_> = pages.iter().filter(|asked| asked.request == "GET /").collect();
        assert_eq!(pages.len(), 1, "the page was not asked for again: {pages:?}");
        assert_eq!(pages[0].purpose, "document prefetch");

        browser.go(&server.url("/"));
        assert_eq!(message(browser), None);
    });
}
