//! ruts with its store on moka. It keeps each value by itself, and every call goes to the store.

use applications::{
    Application,
    asked::ENTRIES,
    axum::{AxumApplication, nothing},
};
use axum::{Router, http::StatusCode, routing::get};
use ruts::{
    CookieOptions, Session, SessionLayer,
    store::{Error, Ttl, moka::MokaStore},
};
use std::sync::Arc;
use tower_cookies::CookieManagerLayer;

const TWO_HOURS: u32 = 7_200;

pub(super) fn application() -> Box<dyn Application> {
    let store = MokaStore::builder().max_capacity(u64::MAX).build();
    let options = CookieOptions::build().name("session").http_only(true).path("/");
    let options = options.max_age(u64::from(TWO_HOURS));
    let app = Router::new()
        .route("/", get(nothing))
        .route("/read", get(read))
        .route("/write", get(write))
        .route("/new", get(begin))
        .layer(SessionLayer::new(Arc::new(store)).with_cookie_options(options))
        .layer(CookieManagerLayer::new());
    Box::new(AxumApplication(app))
}

fn failed(error: impl std::fmt::Display) -> StatusCode {
    eprintln!("{error}");
    StatusCode::INTERNAL_SERVER_ERROR
}

fn lifetime() -> Result<Ttl, Error> {
    Ttl::new(i64::from(TWO_HOURS))
}

async fn read(session: Session<MokaStore>) -> Result<&'static str, StatusCode> {
    let name: Option<String> = session.get("name").await.map_err(failed)?;
    name.map(|_| "ok").ok_or(StatusCode::NOT_FOUND)
}

async fn write(session: Session<MokaStore>) -> Result<&'static str, StatusCode> {
    let visits: Option<i64> = session.get("visits").await.map_err(failed)?;
    let visits = visits.ok_or(StatusCode::NOT_FOUND)? + 1;
    session.set("visits", &visits, lifetime().map_err(failed)?, None).await.map_err(failed)?;
    Ok("ok")
}

async fn begin(session: Session<MokaStore>) -> Result<&'static str, StatusCode> {
    let lifetime = lifetime().map_err(failed)?;
    for (key, value) in ENTRIES {
        session.set(key, &value, lifetime, None).await.map_err(failed)?;
    }
    session.set("visits", &1, lifetime, None).await.map_err(failed)?;
    Ok("ok")
}
