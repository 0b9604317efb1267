//! The visitor of the testing kit with `http` requests, and with applications that answer them.

use super::text;
use crate::support::{NAME, drivers};
use axum::{
    Form, Router,
    body::Body,
    http::{HeaderMap, Request, Response, StatusCode, header},
    response::Redirect,
    routing::{get, post},
};
use dframework_session::{
    Error, Session, Sessions,
    testing::{Visitor, Way},
    tower::{SessionLayer, testing::form},
};
use std::{collections::BTreeMap, convert::Infallible};
use tower::{Layer, ServiceExt, service_fn};

/// Tells which fields a request had.
async fn fields(headers: HeaderMap) -> String {
    let line = |(name, value): (&header::HeaderName, &header::HeaderValue)| {
        format!("{name}: {}", value.to_str().unwrap())
    };
    headers.iter().map(line).collect::<Vec<_>>().join("\n")
}

async fn rename(Form(fields): Form<BTreeMap<String, String>>) -> Result<Redirect, Error> {
    Session::set("name", &fields["name"]).await?;
    Session::flash("status", "renamed").await?;
    Ok(Redirect::to("/"))
}

async fn home() -> Result<String, Error> {
    let name = Session::get_or("name", "guest").await?;
    let status = Session::get_or("status", "-").await?;
    Ok(format!("{name} {status}"))
}

fn app(sessions: &Sessions) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/name", post(rename))
        .route("/fields", get(fields).post(fields))
        .layer(SessionLayer::new(sessions.clone()))
}

#[tokio::test]
async fn a_request_and_its_response_take_a_line_each() {
    for bench in drivers().await {
        let app = app(&bench.sessions);
        let mut visitor = Visitor::new(&bench.sessions);
        visitor.with(async |session| session.set("name", "visitor").await).await.unwrap();

        // By hand, as any client of a service does it.
        let request = visitor.request(Request::get("/")).body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        visitor.receive(&response);
        assert_eq!(text(response).await, "visitor -", "{}", bench.driver);

        // In one go.
        let response = visitor.send(&app, form("/name", [("name", "guest & friend")])).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        visitor.session().await.assert_flash("status", "renamed");
        let script = visitor.send_as(Way::Fetch, &app, Request::get("/fields")).await;
        assert!(text(script).await.contains("sec-fetch-mode: cors"));
        visitor.session().await.assert_flash("status", "renamed");
        let request = Request::get("/").body(Body::empty()).unwrap();
        let page = text(visitor.send(&app, request).await).await;
        assert_eq!(page, "guest & friend renamed", "{}", bench.driver);
        visitor.session().await.assert_no_flash().assert_value("name", "guest & friend");
    }
}

#[tokio::test]
async fn a_request_has_what_browsers_send_and_what_the_test_put_there() {
    for bench in drivers().await {
        let app = app(&bench.sessions);
        let mut visitor = Visitor::new(&bench.sessions).at("http://localhost:3000/");
        visitor.receive(&["theme=dark", "size=1"]);
        let request = Request::post("/fields").header("cookie", "own=1").header("x-test", "1");
        let said = text(visitor.send(&app, request).await).await;
        let expected = [
            "cookie: own=1",
            "cookie: theme=dark; size=1",
            "x-test: 1",
            "sec-fetch-site: same-origin",
            "sec-fetch-mode: navigate",
            "sec-fetch-dest: document",
            "sec-fetch-user: ?1",
            "origin: http://localhost:3000",
        ];
        let mut lines: Vec<_> = said.lines().collect();
        lines.sort_unstable();
        let mut sorted = expected.to_vec();
        sorted.sort_unstable();
        assert_eq!(lines, sorted);

        let plain = visitor.send_as(Way::Plain, &app, Request::get("/fields")).await;
        assert_eq!(text(plain).await, "cookie: theme=dark; size=1");
    }
}

#[tokio::test]
async fn a_form_of_another_site_comes_without_the_session() {
    for bench in drivers().await {
        let app = app(&bench.sessions);
        let mut visitor = Visitor::new(&bench.sessions);
        visitor.with(async |session| session.set("name", "visitor").await).await.unwrap();
        let linked = visitor.send_as(Way::CrossSiteNavigation, &app, Request::get("/")).await;
        assert_eq!(text(linked).await, "visitor -", "a link from elsewhere brings the session");
        let forged = visitor.request_as(Way::CrossSiteNavigation, form("/name", [("name", "x")]));
        assert!(!forged.headers().contains_key(header::COOKIE));
        visitor.session().await.assert_value("name", "visitor");
    }
}

#[tokio::test]
async fn any_service_is_an_application() {
    let sessions = Sessions::memory();
    let inner = service_fn(async |request: Request<Vec<u8>>| {
        Session::set("length", request.body().len()).await.unwrap();
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let service = SessionLayer::new(sessions.clone()).layer(inner);
    let mut visitor = Visitor::new(&sessions);
    visitor.send(&service, Request::new(vec![1, 2, 3])).await;
    visitor.session().await.assert_value("length", 3);
    visitor.browser().assert_cookies([NAME]);
}

#[tokio::test]
async fn a_whole_address_leads_elsewhere() {
    let sessions = Sessions::memory();
    let mut visitor = Visitor::new(&sessions).at("https://shop.example/");
    visitor.with(async |session| session.set("name", "visitor").await).await.unwrap();
    let away = visitor.request(Request::get("https://other.example/"));
    assert!(!away.headers_ref().unwrap().contains_key(header::COOKIE));
    visitor.session().await.assert_absent();
    let back = visitor.request(Request::get("https://shop.example/"));
    assert!(back.headers_ref().unwrap().contains_key(header::COOKIE));
    visitor.session().await.assert_value("name", "visitor");
}

#[test]
fn forms_are_written_as_browsers_write_them() {
    for (name, value, body) in [
        ("a", "1", "a=1"),
        ("a b", "c+d", "a+b=c%2Bd"),
        ("ä", "€", "%C3%A4=%E2%82%AC"),
        ("*-._", "~!'()&=", "*-._=%7E%21%27%28%29%26%3D"),
        ("", "\r\n", "=%0D%0A"),
    ] {
        assert_eq!(form("/", [(name, value)]).body(), body);
    }
    let request = form("/name?a=1", [("a", "1"), ("b", "2")]);
    assert_eq!(request.body(), "a=1&b=2");
    assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/name"));
    assert_eq!(request.headers()[header::CONTENT_TYPE], "application/x-www-form-urlencoded");
    assert_eq!(form::<&str, &str>("/", []).body(), "");
}

#[tokio::test]
#[should_panic(expected = "the request is none: invalid")]
async fn a_request_that_is_none_fails_the_test() {
    let sessions = Sessions::memory();
    Visitor::new(&sessions).send(&app(&sessions), Request::get("no path")).await;
}

#[test]
#[should_panic(expected = "\"no path\" cannot be asked for: invalid")]
fn a_form_without_an_address_fails_the_test() {
    drop(form("no path", [("a", "1")]));
}

#[tokio::test]
#[should_panic(expected = "the service does not answer: \"broken\"")]
async fn a_service_that_fails_fails_the_test() {
    let broken = service_fn(async |_: Request<String>| Err::<Response<String>, _>("broken"));
    Visitor::new(&Sessions::memory()).send(&broken, Request::get("/")).await;
}

#[tokio::test]
#[should_panic(expected = "at https://localhost/name: the browser drops the cookie \"__Host-id\"")]
async fn an_application_whose_cookie_is_dropped_fails_the_test() {
    let careless = service_fn(async |_: Request<String>| {
        let response = Response::builder().header(header::SET_COOKIE, "__Host-id=1; Secure");
        Ok::<_, Infallible>(response.body(String::new()).unwrap())
    });
    Visitor::new(&Sessions::memory()).send(&careless, Request::get("/name")).await;
}
