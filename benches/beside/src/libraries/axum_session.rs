//! `axum_session` with sessions in memory alone.

use applications::{
    Application,
    asked::ENTRIES,
    axum::{AxumApplication, nothing},
};
use axum::{Router, http::StatusCode, routing::get};
use axum_session::{
    SessionConfig, SessionLayer, SessionNullPool, SessionNullSession, SessionStore,
};

pub(super) async fn application() -> Box<dyn Application> {
    let store = SessionStore::<SessionNullPool>::new(None, SessionConfig::default());
    let store = store.await.expect("there is nothing to connect to");
    let app = Router::new()
        .route("/", get(nothing))
        .route("/read", get(read))
        .route("/write", get(write))
        .route("/new", get(begin))
        .layer(SessionLayer::new(store));
    Box::new(AxumApplication(app))
}

async fn read(session: SessionNullSession) -> Result<&'static str, StatusCode> {
    let name: Option<String> = session.get("name");
    name.map(|_| "ok").ok_or(StatusCode::NOT_FOUND)
}

async fn write(session: SessionNullSession) -> Result<&'static str, StatusCode> {
    let visits: i64 = session.get("visits").ok_or(StatusCode::NOT_FOUND)?;
    session.set("visits", visits + 1);
    Ok("ok")
}

async fn begin(session: SessionNullSession) -> &'static str {
    for (key, value) in ENTRIES {
        session.set(key, value);
    }
    session.set("visits", 1);
    "ok"
}
