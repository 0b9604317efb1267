//! axum, bare and with this library.

use crate::{
    Application, Cookies, Waits, Worker,
    asked::{ENTRIES, FIELDS},
    pairs,
};
use axum::{
    Router,
    body::Body,
    http::{HeaderName, HeaderValue, Request, header},
    response::Response,
    routing::{RouterIntoService, get},
};
use dframework_session::{Error, Session, Sessions, tower::SessionLayer};
use futures_util::FutureExt;
use std::{
    hint::black_box,
    task::{Context, Poll},
};
use tower::{Layer, Service};

/// An application of axum, with or without a layer.
pub struct AxumApplication(pub Router);

struct AxumWorker(RouterIntoService<Body>);

impl Application for AxumApplication {
    fn worker(&self) -> Waits<'_, Box<dyn Worker>> {
        let worker = AxumWorker(self.0.clone().into_service());
        Box::pin(async { Box::new(worker) as Box<dyn Worker> })
    }

    fn router(&self) -> Option<Router> {
        Some(self.0.clone())
    }
}

impl AxumWorker {
    fn respond(
        &mut self,
        path: &'static str,
        cookies: Option<&str>,
    ) -> impl Future<Output = Response> + use<> {
        let mut request = Request::builder().uri(path);
        // As a server gives them: none has an allocation of its own.
        for (name, value) in FIELDS {
            request =
                request.header(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        if let Some(cookies) = cookies {
            request = request.header(header::COOKIE, cookies);
        }
        let answered = self.0.call(request.body(Body::empty()).expect("the parts are valid"));
        answered.map(|answered| {
            let response = answered.expect("a router cannot fail");
            assert!(response.status().is_success(), "{}", response.status());
            response
        })
    }
}

impl Worker for AxumWorker {
    fn answer(&mut self, path: &'static str, cookies: Option<&str>) -> Waits<'_, ()> {
        let response = self.respond(path, cookies);
        Box::pin(response.map(|response| drop(black_box(response))))
    }

    fn begin(&mut self, path: &'static str) -> Waits<'_, Cookies> {
        let response = self.respond(path, None);
        Box::pin(async {
            let response = response.await;
            pairs(response.headers().get_all(header::SET_COOKIE).iter().map(HeaderValue::as_bytes))
        })
    }
}

/// Uses no session.
pub async fn nothing() -> &'static str {
    "ok"
}

/// Without sessions.
#[must_use]
pub fn bare() -> Box<dyn Application> {
    let app = Router::new()
        .route("/", get(nothing))
        .route("/read", get(nothing))
        .route("/write", get(nothing))
        .route("/new", get(nothing));
    Box::new(AxumApplication(app))
}

/// With a layer that does nothing: what axum itself takes for having one.
#[must_use]
pub fn layer() -> Box<dyn Application> {
    Box::new(AxumApplication(Router::new().route("/", get(nothing)).layer(PassThroughLayer)))
}

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

/// With this library.
#[must_use]
pub fn ours(sessions: Sessions) -> Box<dyn Application> {
    let app = Router::new()
        .route("/", get(nothing))
        .route("/read", get(read))
        .route("/write", get(write))
        .route("/new", get(begin))
        .layer(SessionLayer::new(sessions));
    Box::new(AxumApplication(app))
}

pub(crate) async fn read() -> Result<&'static str, Error> {
    let name: Option<String> = Session::get("name").await?;
    assert!(name.is_some(), "the session was opened");
    Ok("ok")
}

pub(crate) async fn write() -> Result<&'static str, Error> {
    let visits: Option<i64> = Session::get("visits").await?;
    Session::set("visits", visits.expect("the session was opened") + 1).await?;
    Ok("ok")
}

pub(crate) async fn begin() -> Result<&'static str, Error> {
    let session = Session::handle()?;
    for (key, value) in ENTRIES {
        session.set(key, value).await?;
    }
    session.set("visits", 1).await?;
    Ok("ok")
}
