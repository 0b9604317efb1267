//! What actix-web has of its own: tasks that stay on their thread, its pool for blocking work, extractors.

use super::visit;
use crate::support::OUTSIDE;
use actix_web::{
    App, FromRequest, HttpRequest,
    dev::{Payload, Service},
    error::ErrorForbidden,
    rt,
    test::{TestRequest, init_service, read_body},
    web,
};
use dframework_session::{Error, Session, Sessions, actix::SessionMiddleware, testing::Visitor};
use std::{pin::Pin, rc::Rc};
use tokio::{runtime, task::LocalSet};

async fn spawned() -> Result<String, Error> {
    rt::spawn(visit()).await.expect("the task does not panic")
}

/// What is not `Send` cannot go to `Session::spawn`.
async fn spawned_in_a_scope() -> Result<String, Error> {
    let name = Rc::new("visits");
    let work = async move { Session::increment(*name, 1).await };
    let task = rt::spawn(Session::scope(Session::handle()?, work));
    Ok(task.await.expect("the task does not panic")?.to_string())
}

async fn spawned_with_the_session() -> Result<String, Error> {
    Session::spawn(visit())?.await.expect("the task does not panic")
}

async fn blocking() -> Result<String, Error> {
    let found = web::block(|| Session::handle().map(|_| String::new())).await;
    found.expect("the pool is there")
}

async fn blocking_with_a_handle() -> Result<String, Error> {
    let (session, runtime) = (Session::handle()?, runtime::Handle::current());
    let work = move || runtime.block_on(Session::scope(session, visit()));
    web::block(work).await.expect("the pool is there")
}

/// The handler polls the set itself, and with it the tasks on it.
async fn a_set_of_its_own() -> Result<String, Error> {
    let set = LocalSet::new();
    let task = set.spawn_local(visit());
    set.await;
    task.await.expect("the task does not panic")
}

async fn told<F: Future<Output = Result<String, Error>>>(work: F) -> String {
    work.await.unwrap_or_else(|error| error.to_string())
}

#[actix_web::test]
async fn tasks_and_blocking_work_have_the_session_that_they_were_given() {
    let sessions = Sessions::memory();
    let app = App::new()
        .route("/spawn", web::get().to(|| told(spawned())))
        .route("/scope", web::get().to(|| told(spawned_in_a_scope())))
        .route("/session", web::get().to(|| told(spawned_with_the_session())))
        .route("/block", web::get().to(|| told(blocking())))
        .route("/handle", web::get().to(|| told(blocking_with_a_handle())))
        .route("/set", web::get().to(|| told(a_set_of_its_own())))
        .wrap(SessionMiddleware::new(sessions.clone()));
    let app = init_service(app).await;
    for (path, text) in [
        ("/spawn", OUTSIDE),
        ("/scope", "1"),
        ("/session", "1"),
        ("/block", OUTSIDE),
        ("/handle", "1"),
        ("/set", "1"),
    ] {
        let mut visitor = Visitor::new(&sessions);
        let response = visitor.send(&app, TestRequest::with_uri(path).to_request()).await;
        assert_eq!(read_body(response).await, text, "{path}");
        let stored = visitor.session().await.get::<i64>("visits");
        assert_eq!(stored, (text == "1").then_some(1), "{path}");
    }
}

/// Who is logged in; nobody else gets in.
struct Customer(String);

impl FromRequest for Customer {
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Self::Error>>>>;

    fn from_request(_: &HttpRequest, _: &mut Payload) -> Self::Future {
        Box::pin(async {
            let owner = Session::owner().await?;
            owner.map(Self).ok_or_else(|| ErrorForbidden("log in first"))
        })
    }
}

#[actix_web::test]
async fn an_extractor_asks_the_session_in_its_own_future() {
    let sessions = Sessions::memory();
    let page = async |Customer(owner): Customer| owner;
    let app =
        App::new().route("/", web::get().to(page)).wrap(SessionMiddleware::new(sessions.clone()));
    let app = init_service(app).await;
    let mut visitor = Visitor::new(&sessions);
    let response = visitor.send(&app, TestRequest::default().to_request()).await;
    assert_eq!(read_body(response).await, "log in first");
    visitor.with(async |session| session.set_owner("42").await).await.unwrap();
    let response = visitor.send(&app, TestRequest::default().to_request()).await;
    assert_eq!(read_body(response).await, "42");
}

#[actix_web::test]
async fn a_request_within_a_request_has_its_session_and_a_spawned_one_its_own() {
    let sessions = Sessions::memory();
    let inner =
        App::new().route("/", web::get().to(visit)).wrap(SessionMiddleware::new(sessions.clone()));
    let inner = Rc::new(init_service(inner).await);
    let within = move || {
        let inner = inner.clone();
        async move {
            visit().await?;
            let request = || TestRequest::default().to_request();
            let here = inner.call(request()).await?;
            let apart = async move { inner.call(request()).await };
            let apart = rt::spawn(apart).await.expect("the task does not panic")?;
            let texts = [read_body(here).await, read_body(apart).await];
            Ok::<_, actix_web::Error>(
                texts.map(|text| String::from_utf8_lossy(&text).into_owned()).join(" "),
            )
        }
    };
    let app =
        App::new().route("/", web::get().to(within)).wrap(SessionMiddleware::new(sessions.clone()));
    let app = init_service(app).await;
    let mut visitor = Visitor::new(&sessions);
    let response = visitor.send(&app, TestRequest::default().to_request()).await;
    assert_eq!(read_body(response).await, "2 1");
    visitor.session().await.assert_value("visits", 2);
}
