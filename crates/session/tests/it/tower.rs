//! What is of the tower layer alone: services that are no router, and the testing kit with `http` requests.

mod tasks;
mod visitor;

use crate::stores::Probe;
use axum::{
    body::Body,
    http::{Request, Response},
};
use dframework_session::{Config, Session, Sessions, tower::SessionLayer};
use tower::{Layer, ServiceExt, service_fn};

async fn text(response: Response<Body>) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Such an error has no status; what becomes of it, nobody knows here.
#[tokio::test]
async fn an_error_of_the_service_is_passed_on_and_commits_nothing() {
    let store = Probe::default();
    let sessions = Sessions::from_store(store.clone(), &Config::new()).unwrap();
    let inner = service_fn(|_: Request<()>| async {
        Session::set("name", "guest").await.unwrap();
        Err::<Response<()>, _>("broken")
    });
    let result = SessionLayer::new(sessions).layer(inner).oneshot(Request::new(())).await;
    assert_eq!(result.unwrap_err(), "broken");
    assert_eq!(store.take_verbs(), []);
}
