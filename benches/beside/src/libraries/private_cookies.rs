//! axum-extra's jar of encrypted cookies: the values are one cookie, as JSON.

use applications::{
    Application,
    asked::{ENTRIES, KEY},
    axum::{AxumApplication, nothing},
};
use axum::{Router, extract::FromRef, http::StatusCode, routing::get};
use axum_extra::extract::cookie::{Cookie, Key, PrivateCookieJar};
use serde_json::{Map, Value};

#[derive(Clone)]
struct Keys(Key);

impl FromRef<Keys> for Key {
    fn from_ref(keys: &Keys) -> Self {
        keys.0.clone()
    }
}

pub(super) fn application() -> Box<dyn Application> {
    let app = Router::new()
        .route("/", get(nothing))
        .route("/read", get(read))
        .route("/write", get(write))
        .route("/new", get(begin))
        .with_state(Keys(Key::from(KEY.as_bytes())));
    Box::new(AxumApplication(app))
}

fn values(jar: &PrivateCookieJar) -> Result<Map<String, Value>, StatusCode> {
    let cookie = jar.get("session").ok_or(StatusCode::NOT_FOUND)?;
    serde_json::from_str(cookie.value()).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

fn with(
    jar: PrivateCookieJar,
    values: &Map<String, Value>,
) -> Result<PrivateCookieJar, StatusCode> {
    let text = serde_json::to_string(values).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(jar.add(Cookie::build(("session", text)).path("/").secure(true).http_only(true)))
}

async fn read(jar: PrivateCookieJar) -> Result<&'static str, StatusCode> {
    let values = values(&jar)?;
    values.get("name").and_then(Value::as_str).map(|_| "ok").ok_or(StatusCode::NOT_FOUND)
}

async fn write(jar: PrivateCookieJar) -> Result<(PrivateCookieJar, &'static str), StatusCode> {
    let mut values = values(&jar)?;
    let visits = values.get("visits").and_then(Value::as_i64).ok_or(StatusCode::NOT_FOUND)?;
    values.insert("visits".to_owned(), (visits + 1).into());
    Ok((with(jar, &values)?, "ok"))
}

async fn begin(jar: PrivateCookieJar) -> Result<(PrivateCookieJar, &'static str), StatusCode> {
    let mut values = Map::new();
    for (key, value) in ENTRIES {
        values.insert(key.to_owned(), value.into());
    }
    values.insert("visits".to_owned(), 1.into());
    Ok((with(jar, &values)?, "ok"))
}
