//! The page as a browser uses it: forms, redirects and cookies.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use axum::{
    Router,
    body::to_bytes,
    http::{HeaderMap, Request, StatusCode, header},
};
use demo::app;
use dframework_session::{Sessions, testing::Visitor};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const SESSION: &str = "__Host-Http-session";

/// Somebody who has the page open.
struct Browser {
    app: Router,
    visitor: Visitor,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Browser {
    fn new() -> Self {
        let sessions = Sessions::memory();
        Self { visitor: Visitor::new(&sessions), app: app(sessions) }
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, "").await
    }

    /// Posts a form, checks that the answer leads back to the page, and goes there.
    async fn post(&mut self, path: &str, form: &str) -> Answer {
        let answer = self.send("POST", path, form).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path} {form}");
        assert_eq!(answer.headers[header::LOCATION], "/");
        self.get("/").await
    }

    async fn send(&mut self, method: &str, path: &str, form: &str) -> Answer {
        let mut request =
            Request::builder().method(method).uri(path).header(header::ACCEPT, "text/html");
        if !form.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        let request = request.body(form.to_owned()).unwrap();
        let (head, body) = self.visitor.send(&self.app, request).await.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Answer { status: head.status, headers: head.headers, body }
    }

    /// What the session cookie holds.
    fn token(&self) -> String {
        self.visitor.browser().cookie(SESSION).unwrap().value().into_owned()
    }

    async fn session(&mut self) -> String {
        self.get("/api/session").await.body
    }
}

impl Answer {
    #[track_caller]
    fn shows(&self, text: &str) -> &Self {
        assert!(self.body.contains(text), "no {text:?} in {}", self.body);
        self
    }

    #[track_caller]
    fn hides(&self, text: &str) -> &Self {
        assert!(!self.body.contains(text), "{text:?} in {}", self.body);
        self
    }
}

#[tokio::test]
async fn a_visitor_is_a_guest_until_the_name_is_known() {
    let mut browser = Browser::new();
    let first = browser.get("/").await;
    assert_eq!(first.status, StatusCode::OK);
    first.shows("Hello, <span class=\"name\">guest</span>").shows("first visit");
    browser.get("/").await.shows("visit number 2");

    let page = browser.post("/name", "name=+visitor+").await;
    page.shows("Hello, <span class=\"name\">visitor</span>").shows("nice to meet you, visitor");
    assert_eq!(browser.get("/api/greeting").await.body, "hello, visitor\n");
}

#[tokio::test]
async fn a_message_is_shown_once() {
    let mut browser = Browser::new();
    let form = "display_name=Visitor&contact=visitor%40example.com";
    let page = browser.post("/profile", form).await;
    page.shows("profile updated successfully</p>").shows("value=\"visitor@example.com\"");
    browser.get("/").await.hides("profile updated successfully</p>").shows("visitor@example.com");
}

#[tokio::test]
async fn what_people_type_stays_text() {
    let mut browser = Browser::new();
    let script = "%3Cscript%3Ealert(1)%3C%2Fscript%3E%22%27";
    let page = browser.post("/name", &format!("name={script}")).await;
    page.hides("<script>").shows("&lt;script&gt;alert(1)&lt;/script&gt;&quot;'");
    let page = browser.post("/forget", &format!("key={script}")).await;
    page.hides("<script>").shows("holds nothing under &lt;script&gt;");
    let page = browser.post("/login", &format!("account={script}")).await;
    page.hides("<script>").shows("logged in as &lt;script&gt;");
}

#[tokio::test]
async fn the_terms_outlive_the_session_cookie() {
    let mut browser = Browser::new();
    browser.post("/name", "name=visitor").await;
    browser.post("/terms", "").await.shows("Accepted.");
    browser.visitor.browser_mut().restart();
    browser.get("/").await.shows("Accepted.").shows("Hello, <span class=\"name\">guest</span>");
}

#[tokio::test]
async fn a_login_keeps_the_data_and_a_logout_keeps_nothing() {
    let mut browser = Browser::new();
    browser.post("/name", "name=visitor").await;
    let token = browser.token();
    browser.post("/login", "account=42").await.shows("you are logged in as 42").shows("visitor");
    assert_ne!(browser.token(), token);
    browser.visitor.session().await.assert_owner("42").assert_value("name", "visitor");

    let page = browser.post("/logout", "").await;
    page.shows("you have been logged out").hides("visitor").shows("first visit");
    browser.get("/").await.hides("you have been logged out");
}

#[tokio::test]
async fn one_key_or_everything_is_forgotten() {
    let mut browser = Browser::new();
    browser.post("/name", "name=visitor").await;
    browser.post("/terms", "").await;
    browser.post("/forget", "key=name").await.shows("the key name is forgotten").shows("guest");
    browser.post("/forget", "key=name").await.shows("holds nothing under name");
    browser.send("POST", "/forget/all", "").await;
    assert_eq!(browser.session().await, "{\"status\":\"everything is forgotten\"}\n");
    browser.get("/").await.hides("Accepted.");
}

#[tokio::test]
async fn the_panel_tells_driver_owner_id_and_cookies() {
    let mut browser = Browser::new();
    browser.post("/login", "account=42").await;
    browser.visitor.receive(&["other=1"]);
    let page = browser.get("/").await;
    let bytes = format!("{SESSION}={}", browser.token()).len();
    page.shows("<dd>memory</dd>").shows("<dd>42</dd>").shows(&format!("<dd>{bytes} bytes</dd>"));
    page.hides("new with this page").hides(&browser.token()).hides("<dt>other</dt>");
}

#[tokio::test]
async fn bad_input_is_explained() {
    let mut browser = Browser::new();
    let long = format!("name={}", "a".repeat(61));
    for (path, form, problem) in [
        ("/name", "name=++", "The name is empty"),
        ("/name", &long, "The name is too long"),
        ("/name", "name=a%0Ab", "cannot be shown"),
        ("/clicks", "times=0", "From 1 to 20"),
        ("/clicks", "times=21", "From 1 to 20"),
        ("/profile", "display_name=a&contact=", "The contact is empty"),
        ("/login", "account=", "The account is empty"),
        ("/forget", "key=", "The key is empty"),
    ] {
        browser.post(path, form).await.shows(problem);
    }
    assert!(!browser.session().await.contains("name"));
}

#[tokio::test]
async fn what_is_no_form_is_refused() {
    let mut browser = Browser::new();
    let large = format!("name={}", "a".repeat(20_000));
    for (path, form, status) in [
        ("/name", "", 400),
        ("/name", "nickname=visitor", 400),
        ("/name", "name=a&name=b", 400),
        ("/clicks", "times=many", 400),
        ("/clicks", "times=-1", 400),
        ("/name", &large, 413),
        ("/nowhere", "", 404),
        ("/api/session", "", 405),
    ] {
        let answer = browser.send("POST", path, form).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        answer.shows("That did not work.");
    }
    browser.visitor.browser().assert_cookies([]);
}

#[tokio::test]
async fn nothing_runs_that_did_not_come_from_here() {
    let mut browser = Browser::new();
    for path in ["/", "/demo.js", "/demo.css", "/icon.svg", "/api/session", "/nowhere"] {
        let answer = browser.get(path).await;
        let policy = answer.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{path}");
    }
    browser.get("/").await.hides("style=").hides("onclick=").hides("<style");
}

#[tokio::test]
async fn one_form_brings_twenty_clicks() {
    let mut browser = Browser::new();
    browser.post("/clicks", "times=20").await.shows("20 clicks were counted");
    assert_eq!(browser.send("POST", "/api/clicks", "").await.body, "21\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_parallel_clicks_none_is_lost() {
    let mut browser = Browser::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(axum::serve(listener, browser.app.clone()).into_future());
    browser.post("/name", "name=visitor").await;

    let request = format!(
        "POST /api/clicks HTTP/1.1\r\nHost: {address}\r\nCookie: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        browser.visitor.browser_mut().cookie_field("https://localhost/api/clicks").unwrap()
    );
    let clicks: Vec<_> = (0..20)
        .map(|_| {
            let request = request.clone();
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.write_all(request.as_bytes()).await.unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.unwrap();
                answer
            })
        })
        .collect();
    for click in clicks {
        let answer = tokio::time::timeout(Duration::from_secs(30), click).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert!(browser.session().await.contains("\"clicks\":20"));
    server.abort();
}
