//! What axum and tower have of their own: extractors, events of the server, buffers, middleware that spawns.

use super::text;
use axum::{
    Router,
    body::Body,
    extract::{FromRequestParts, Request},
    http::request::Parts,
    middleware::{Next, from_fn},
    response::{
        IntoResponse, Response, Sse,
        sse::{self, Event},
    },
    routing::get,
};
use dframework_session::{
    Error, Session, SessionHandle, Sessions, testing::Visitor, tower::SessionLayer,
};
use futures_util::{Stream, stream};
use std::convert::Infallible;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, buffer::BufferLayer, service_fn};

async fn visit() -> Result<String, Error> {
    Session::increment("visits", 1).await.map(|visits| visits.to_string())
}

/// Who is logged in; nobody else gets in.
struct Customer(String);

impl<S: Send + Sync> FromRequestParts<S> for Customer {
    type Rejection = Response;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Response> {
        let owner = Session::owner().await.map_err(IntoResponse::into_response)?;
        owner.map(Self).ok_or_else(|| "log in first".into_response())
    }
}

#[tokio::test]
async fn an_extractor_asks_the_session_in_its_own_future() {
    let sessions = Sessions::memory();
    let page = async |Customer(owner): Customer| owner;
    let app = Router::new().route("/", get(page)).layer(SessionLayer::new(sessions.clone()));
    let mut visitor = Visitor::new(&sessions);
    assert_eq!(text(visitor.send(&app, Request::get("/")).await).await, "log in first");
    visitor.with(async |session| session.set_owner("42").await).await.unwrap();
    assert_eq!(text(visitor.send(&app, Request::get("/")).await).await, "42");
}

/// Counts twice, and ends where the session does.
async fn counts(session: SessionHandle) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let count = |session: SessionHandle| async {
        let visits = session.increment("visits", 1).await.ok()?;
        session.save().await.ok()?;
        let event = sse::Event::default().data(visits.to_string());
        (visits < 3).then_some((Ok(event), session))
    };
    Sse::new(stream::unfold(session, count))
}

#[tokio::test]
async fn server_sent_events_save_through_their_handle() {
    let sessions = Sessions::memory();
    let app = Router::new().route("/", get(counts)).layer(SessionLayer::new(sessions.clone()));
    let mut visitor = Visitor::new(&sessions);
    let nothing = text(visitor.send(&app, Request::get("/")).await).await;
    assert_eq!(nothing, "", "without a session, the first count would need a cookie");
    visitor.with(async |session| session.set("name", "visitor").await).await.unwrap();
    let events = text(visitor.send(&app, Request::get("/")).await).await;
    assert_eq!(events, "data: 1\n\ndata: 2\n\n");
    visitor.session().await.assert_value("visits", 3);
}

/// The worker of the buffer calls the service; who waits for the answer polls its future, inside the layer.
#[tokio::test]
async fn behind_a_buffer_a_handler_has_its_session_and_a_call_without_its_future_has_none() {
    let sessions = Sessions::memory();
    let layers = || {
        ServiceBuilder::new().layer(SessionLayer::new(sessions.clone())).layer(BufferLayer::new(1))
    };
    let inside = service_fn(async |_: Request| Ok::<_, Infallible>(visit().await.into_response()));
    let mut service = layers().service(inside);
    let answer = service.ready().await.unwrap().call(Request::default()).await.unwrap();
    assert_eq!(text(answer).await, "1");

    let at_once = service_fn(|_: Request| {
        let found = Session::handle().is_ok();
        std::future::ready(Ok::<_, Infallible>(found.to_string().into_response()))
    });
    let mut service = layers().service(at_once);
    let answer = service.ready().await.unwrap().call(Request::default()).await.unwrap();
    assert_eq!(text(answer).await, "false");

    // Inside of the buffer, the layer is where the service is called.
    let inner = SessionLayer::new(sessions.clone()).layer(at_once);
    let mut service = ServiceBuilder::new().layer(BufferLayer::new(1)).service(inner);
    let answer = service.ready().await.unwrap().call(Request::default()).await.unwrap();
    assert_eq!(text(answer).await, "true");
}

#[tokio::test]
async fn middleware_spawns_the_rest_of_a_request_with_its_session() {
    let spawned = async |request: Request, next: Next| -> Result<Response, Error> {
        let rest = Session::spawn(async move { next.run(request).await })?;
        Ok(rest.await.unwrap())
    };
    let lost = async |request: Request, next: Next| {
        tokio::spawn(async move { next.run(request).await }).await.unwrap()
    };
    let sessions = Sessions::memory();
    let page = async |session: SessionHandle| session.increment("visits", 1).await.map(|_| "found");
    let app = Router::new()
        .route("/", get(page))
        .layer(from_fn(spawned))
        .merge(Router::new().route("/lost", get(page)).layer(from_fn(lost)))
        .layer(SessionLayer::new(sessions));
    for (path, status) in [("/", 200), ("/lost", 500)] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = app.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
    }
}

#[tokio::test]
async fn a_request_within_a_request_has_its_session_and_a_spawned_one_its_own() {
    let sessions = Sessions::memory();
    let inner = Router::new().route("/", get(visit)).layer(SessionLayer::new(sessions.clone()));
    let within = async |inner: Router| {
        visit().await?;
        let request = || Request::new(Body::empty());
        let here = inner.clone().oneshot(request()).await.unwrap();
        let apart = async move { inner.oneshot(request()).await.unwrap() };
        let apart = tokio::spawn(apart).await.unwrap();
        Ok::<_, Error>(format!("{} {}", text(here).await, text(apart).await))
    };
    let app = Router::new()
        .route("/", get(move || within(inner.clone())))
        .layer(SessionLayer::new(sessions.clone()));
    let mut visitor = Visitor::new(&sessions);
    assert_eq!(text(visitor.send(&app, Request::get("/")).await).await, "2 1");
    visitor.session().await.assert_value("visits", 2);
}
