//! The layer, over an axum router and over bare services.

mod endings;
mod visitor;

use crate::{
    stores::{Fault, Probe, Verb},
    support::{Jar, NAME},
};
use axum::{
    Router,
    body::Body,
    extract::FromRequestParts,
    http::{HeaderMap, Request, Response, StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use dframework_session::{Config, Error, Session, SessionHandle, Sessions, tower::SessionLayer};
use std::{
    convert::Infallible,
    future::Ready,
    pin::pin,
    task::{Context, Poll, Waker},
};
use tower::{Layer, ServiceExt, service_fn};

/// Sessions on every driver, and the store where there is one.
async fn all_sessions() -> Vec<(&'static str, Sessions)> {
    let memory = Config::new().driver(dframework_session::DriverName::Memory);
    let in_memory = Sessions::connect(&memory).await.unwrap();
    let in_store = Sessions::from_store(Probe::default(), &Config::new()).unwrap();
    vec![("memory", in_memory), ("store", in_store)]
}

fn in_probe(configure: impl Fn(Config) -> Config) -> (Probe, Sessions) {
    let store = Probe::default();
    let sessions = Sessions::from_store(store.clone(), &configure(Config::new())).unwrap();
    (store, sessions)
}

fn request(jar: &Jar, path: &str) -> Request<Body> {
    let request = Request::get(path);
    let request =
        if jar.is_empty() { request } else { request.header(header::COOKIE, jar.field()) };
    request.body(Body::empty()).unwrap()
}

async fn text(response: Response<Body>) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn lines(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all(header::SET_COOKIE).iter();
    lines.map(|line| line.to_str().unwrap().to_owned()).collect()
}

/// All fields of a name, as one list.
fn field(headers: &HeaderMap, name: &header::HeaderName) -> Vec<String> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

/// What the application sets, what its handler does, and `Vary` and `Cache-Control` as they go out.
type Case = (
    &'static [(&'static str, &'static str)],
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

/// Sends a request and lets the browser take the cookies.
async fn send(app: &Router, jar: &mut Jar, path: &str) -> Response<Body> {
    let response = app.clone().oneshot(request(jar, path)).await.unwrap();
    jar.take(&lines(response.headers()));
    response
}

async fn visit() -> Result<String, Error> {
    Ok(Session::increment("visits", 1).await?.to_string())
}

async fn look(session: SessionHandle) -> Result<String, Error> {
    Ok(session.get_or("visits", &0_i64).await?.to_string())
}

#[tokio::test]
async fn the_facade_and_the_extractor_find_the_session_of_the_request() {
    for (driver, sessions) in all_sessions().await {
        let app = Router::new()
            .route("/", get(visit))
            .route("/look", get(look))
            .layer(SessionLayer::new(sessions));
        let (mut one, mut other) = (Jar::default(), Jar::default());
        for (visits, path) in [("1", "/"), ("2", "/"), ("2", "/look"), ("3", "/")] {
            assert_eq!(text(send(&app, &mut one, path).await).await, visits, "{driver}");
        }
        assert_eq!(text(send(&app, &mut other, "/look").await).await, "0", "{driver}");
        assert_eq!(other, Jar::default(), "{driver}: a reader gets no cookie");
        assert_eq!(text(send(&app, &mut other, "/").await).await, "1", "{driver}");
        assert_ne!(one, other, "{driver}");
    }
}

#[tokio::test]
async fn parallel_requests_find_each_their_own_session() {
    for (driver, sessions) in all_sessions().await {
        let app = Router::new().route("/", get(visit)).layer(SessionLayer::new(sessions));
        let mut jars = vec![Jar::default(); 20];
        let mut tasks = tokio::task::JoinSet::new();
        for (number, jar) in jars.iter_mut().enumerate() {
            for _ in 0..=number {
                send(&app, jar, "/").await;
            }
            let (app, mut jar) = (app.clone(), jar.clone());
            tasks.spawn(async move { (number, text(send(&app, &mut jar, "/").await).await) });
        }
        for (number, visits) in tasks.join_all().await {
            assert_eq!(visits, (number + 2).to_string(), "{driver}");
        }
    }
}

#[tokio::test]
async fn without_the_layer_the_extractor_and_the_facade_answer_500() {
    for route in [get(visit), get(look)] {
        let app: Router = Router::new().route("/", route);
        let response = app.oneshot(request(&Jar::default(), "/")).await.unwrap();
        assert_eq!(response.status(), 500);
        assert_eq!(text(response).await, "", "the detail goes to the log");
    }
}

/// Takes the current handle at once: extraction never waits.
fn handle_now() -> Result<SessionHandle, Error> {
    let (mut parts, ()) = Request::new(()).into_parts();
    let mut extraction = pin!(SessionHandle::from_request_parts(&mut parts, &()));
    match extraction.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(handle) => handle,
        Poll::Pending => panic!("the extraction waits"),
    }
}

#[tokio::test]
async fn the_session_is_there_before_a_service_returns_its_future() {
    for (driver, sessions) in all_sessions().await {
        assert!(handle_now().unwrap_err().is_outside(), "{driver}");
        let inner = service_fn(|_: Request<()>| {
            let handle = handle_now();
            async move {
                handle.unwrap().set("name", "guest").await.unwrap();
                assert_eq!(
                    Session::get_or("name", "guest").await.unwrap(),
                    "guest",
                    "the same one"
                );
                Ok::<_, Infallible>(Response::new(()))
            }
        });
        let service = SessionLayer::new(sessions).layer(inner);
        let response = service.oneshot(Request::new(())).await.unwrap();
        assert_eq!(lines(response.headers()).len(), 1, "{driver}");
        assert!(handle_now().unwrap_err().is_outside(), "{driver}: it is left again");
    }
}

#[tokio::test]
async fn a_service_that_is_ready_at_once_has_its_session() {
    for (driver, sessions) in all_sessions().await {
        let inner = service_fn(|_: Request<()>| -> Ready<Result<Response<()>, Infallible>> {
            let handle = handle_now().unwrap();
            let mut set = pin!(async move { handle.set("name", "guest").await.unwrap() });
            let polled = set.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_ready(), "nothing is loaded without a cookie");
            std::future::ready(Ok(Response::new(())))
        });
        let response =
            SessionLayer::new(sessions).layer(inner).oneshot(Request::new(())).await.unwrap();
        assert_eq!(lines(response.headers()).len(), 1, "{driver}");
    }
}

#[tokio::test]
async fn an_error_of_the_service_is_passed_on_and_commits_nothing() {
    let (store, sessions) = in_probe(|config| config);
    let inner = service_fn(|_: Request<()>| async {
        Session::set("name", "guest").await.unwrap();
        Err::<Response<()>, _>("broken")
    });
    let result = SessionLayer::new(sessions).layer(inner).oneshot(Request::new(())).await;
    assert_eq!(result.unwrap_err(), "broken");
    assert_eq!(store.take_verbs(), []);
}

#[tokio::test]
async fn an_error_of_the_session_answers_with_its_status_and_an_empty_body() {
    let (store, sessions) = in_probe(|config| config);
    let app = Router::new()
        .route("/", get(visit))
        .route("/large", get(async || Session::set("a", "x".repeat(2 << 20)).await))
        .route("/invalid", get(async || Session::set("", 1).await))
        .layer(SessionLayer::new(sessions));
    let mut jar = Jar::default();
    send(&app, &mut jar, "/").await;
    store.fail_next(Verb::Load, Fault::Unavailable);
    for (path, status) in [("/", 503), ("/large", 413), ("/invalid", 500)] {
        let response = send(&app, &mut jar, path).await;
        assert_eq!(response.status(), status, "{path}");
        assert!(lines(response.headers()).is_empty(), "{path}");
        assert_eq!(text(response).await, "", "{path}");
    }
    assert_eq!(text(send(&app, &mut jar, "/").await).await, "2");
}

/// An answer with fields and a body of its own.
async fn rich() -> impl IntoResponse {
    Session::increment("visits", 1).await.unwrap();
    let fields = [
        (header::SET_COOKIE, "application=1; Path=/"),
        (header::CACHE_CONTROL, "public, max-age=3600"),
        (header::ETAG, "\"1\""),
        (header::LOCATION, "/secret"),
        (header::CONTENT_TYPE, "text/csv"),
    ];
    (StatusCode::CREATED, fields, "the body of the application")
}

#[tokio::test]
async fn a_commit_that_fails_replaces_the_whole_answer() {
    let (store, sessions) = in_probe(|config| config);
    let app = Router::new().route("/", get(rich)).layer(SessionLayer::new(sessions));
    let mut jar = Jar::default();
    assert_eq!(send(&app, &mut jar, "/").await.status(), 201);
    for (fault, status) in [(Fault::Unavailable, 503), (Fault::Ended, 409)] {
        store.fail_next(Verb::Commit, fault);
        let response = app.clone().oneshot(request(&jar, "/")).await.unwrap();
        assert_eq!(response.status(), status);
        for name in [header::SET_COOKIE, header::ETAG, header::LOCATION, header::CONTENT_TYPE] {
            assert_eq!(field(response.headers(), &name), [""; 0], "{name}");
        }
        assert_ne!(field(response.headers(), &header::CACHE_CONTROL), ["public, max-age=3600"]);
        assert_eq!(field(response.headers(), &header::VARY), ["Cookie"]);
        assert_eq!(text(response).await, "");
    }
}

#[tokio::test]
async fn an_answer_that_replaces_the_applications_is_private_too() {
    let (store, sessions) = in_probe(|config| config);
    let app = Router::new().route("/", get(rich)).layer(SessionLayer::new(sessions));
    store.fail_next(Verb::Create, Fault::Unavailable);
    let response = app.oneshot(request(&Jar::default(), "/")).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(field(response.headers(), &header::CACHE_CONTROL), ["private"]);
}

#[tokio::test]
async fn a_cookie_is_appended_and_sensitive_and_keeps_the_answer_out_of_caches() {
    for (driver, sessions) in all_sessions().await {
        let app = Router::new().route("/", get(rich)).layer(SessionLayer::new(sessions));
        let response = app.oneshot(request(&Jar::default(), "/")).await.unwrap();
        let headers = response.headers();
        let set = lines(headers);
        assert_eq!(set.len(), 2, "{driver}");
        assert_eq!(set[0], "application=1; Path=/", "{driver}: the application's own stays");
        assert!(set[1].starts_with(&format!("{NAME}=")), "{driver}");
        let sensitive: Vec<_> = headers
            .get_all(header::SET_COOKIE)
            .iter()
            .map(header::HeaderValue::is_sensitive)
            .collect();
        assert_eq!(sensitive, [false, true], "{driver}");
        assert_eq!(field(headers, &header::CACHE_CONTROL), ["no-store"], "{driver}");
        assert_eq!(field(headers, &header::VARY), ["Cookie"], "{driver}");
        assert_eq!(text(response).await, "the body of the application", "{driver}");
    }
}

#[tokio::test]
async fn caches_are_told_that_the_answer_depends_on_the_cookie() {
    let none: &[&str] = &[];
    let cases: [Case; 12] = [
        (&[], "nothing", none, none),
        (&[("vary", "Accept")], "nothing", &["Accept"], none),
        (&[], "read", &["Cookie"], &["private"]),
        (&[("vary", "Accept")], "read", &["Accept", "Cookie"], &["private"]),
        (&[("vary", "Accept, cookie")], "read", &["Accept, cookie"], &["private"]),
        (&[("vary", "Accept"), ("vary", "COOKIE")], "read", &["Accept", "COOKIE"], &["private"]),
        (&[("vary", "*")], "read", &["*"], &["private"]),
        (&[("vary", "X-Cookie")], "read", &["X-Cookie", "Cookie"], &["private"]),
        (&[("cache-control", "max-age=60")], "read", &["Cookie"], &["max-age=60"]),
        (&[("cache-control", "max-age=60")], "write", &["Cookie"], &["no-store"]),
        (
            &[("cache-control", "public"), ("cache-control", "max-age=60")],
            "write",
            &["Cookie"],
            &["no-store"],
        ),
        (&[("vary", "Cookie")], "write", &["Cookie"], &["no-store"]),
    ];
    for (driver, sessions) in all_sessions().await {
        for (fields, deed, vary, cache_control) in cases {
            let inner = service_fn(async |_: Request<()>| {
                match deed {
                    "read" => drop(Session::get::<String>("name").await.unwrap()),
                    "write" => Session::set("name", "guest").await.unwrap(),
                    _ => {}
                }
                let builder = Response::builder();
                let builder = fields
                    .iter()
                    .fold(builder, |builder, (name, value)| builder.header(*name, *value));
                Ok::<_, Infallible>(builder.body(()).unwrap())
            });
            let service = SessionLayer::new(sessions.clone()).layer(inner);
            let response = service.oneshot(Request::new(())).await.unwrap();
            let case = format!("{driver} {fields:?} {deed}");
            assert_eq!(field(response.headers(), &header::VARY), vary, "{case}");
            assert_eq!(field(response.headers(), &header::CACHE_CONTROL), cache_control, "{case}");
        }
    }
}

#[tokio::test]
async fn several_cookie_fields_are_read_as_one_list() {
    for (driver, sessions) in all_sessions().await {
        let app = Router::new().route("/", get(visit)).layer(SessionLayer::new(sessions));
        let mut jar = Jar::default();
        send(&app, &mut jar, "/").await;
        let ours = format!("{NAME}={}", jar.token());
        for (fields, visits) in [
            (vec!["a=1", &ours, "b=2"], "2"),
            (vec![&ours, "a=1; b=2"], "3"),
            (vec!["a=1; b", "caf\u{e9}=1", &ours], "4"),
            // A name that browsers send once, over two fields.
            (vec![&ours, &ours], "1"),
        ] {
            let mut request = request(&Jar::default(), "/");
            for field in &fields {
                let value = header::HeaderValue::from_bytes(field.as_bytes()).unwrap();
                request.headers_mut().append(header::COOKIE, value);
            }
            let response = app.clone().oneshot(request).await.unwrap();
            assert_eq!(text(response).await, visits, "{driver} {}", fields.len());
        }
    }
}

#[tokio::test]
async fn what_the_browser_says_of_a_request_decides_about_messages() {
    for (driver, sessions) in all_sessions().await {
        let app = Router::new()
            .route("/flash", get(async || Session::flash("status", "hello").await))
            .route("/", get(async || Session::owner().await.map(drop)))
            .route("/show", get(async || Session::get_or("status", "nothing").await))
            .layer(SessionLayer::new(sessions));
        // Method, path, destination and purpose, and whether the message is over.
        for (method, path, dest, purpose, ages) in [
            ("GET", "/", Some("document"), None, true),
            ("GET", "/", None, None, true),
            ("GET", "/", Some("image"), None, false),
            ("GET", "/", Some("empty"), None, false),
            ("GET", "/show", Some("empty"), None, true),
            ("GET", "/", Some("document"), Some("prefetch"), false),
            ("GET", "/", Some("document"), Some("prefetch;prerender"), false),
            ("HEAD", "/", Some("document"), None, false),
        ] {
            let mut jar = Jar::default();
            send(&app, &mut jar, "/flash").await;
            let mut request = request(&jar, path);
            *request.method_mut() = method.parse().unwrap();
            for (name, value) in [("sec-fetch-dest", dest), ("sec-purpose", purpose)] {
                if let Some(value) = value {
                    request.headers_mut().insert(name, value.parse().unwrap());
                }
            }
            let response = app.clone().oneshot(request).await.unwrap();
            jar.take(&lines(response.headers()));
            let case = format!("{driver} {method} {path} {dest:?} {purpose:?}");
            assert_eq!(jar.companion(".f0").is_none(), ages, "{case}");
        }
    }
}
