//! The router and its handlers: where the session is used.
//!
//! Forms answer with 303, so a reload never sends them again, and with a flash message that the next page shows.

use crate::{
    guard::guard,
    input::{Fields, line},
    page::{self, View},
};
use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, header},
    middleware::from_fn,
    response::{IntoResponse, Redirect},
    routing::{get, post},
};
use dframework_session::{Error, Key, Session, Sessions, tower::SessionLayer};
use maud::Markup;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// No form of this page comes near it.
const LARGEST_FORM: usize = 16 * 1024;

/// How many clicks one form may bring.
const MOST_CLICKS: u8 = 20;

const PROFILE: Key<Profile> = Key::new("profile");

/// What the profile form holds, stored as one value.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Profile {
    pub(crate) display_name: String,
    pub(crate) contact: String,
}

/// The whole application on these sessions.
pub fn app(sessions: Sessions) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/name", post(name))
        .route("/clicks", post(clicks))
        .route("/terms", post(terms))
        .route("/profile", post(profile))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/forget", post(forget))
        .route("/forget/all", post(forget_all))
        .route("/api/greeting", get(greeting))
        .route("/api/session", get(session))
        .route("/api/clicks", post(click))
        .layer(SessionLayer::new(sessions.clone()))
        .layer(DefaultBodyLimit::max(LARGEST_FORM))
        .route("/demo.css", asset("text/css; charset=utf-8", include_str!("style.css")))
        .route("/demo.js", asset("text/javascript; charset=utf-8", include_str!("demo.js")))
        .route("/icon.svg", asset("image/svg+xml", include_str!("icon.svg")))
        .layer(from_fn(guard))
        .with_state(sessions)
}

async fn home(State(sessions): State<Sessions>, headers: HeaderMap) -> Result<Markup, Error> {
    let view = View {
        visits: Session::increment("visits", 1).await?,
        name: Session::get_or("name", "guest").await?,
        clicks: Session::get_or("clicks", &0).await?,
        has_accepted_terms: Session::get_or("accepted_terms", &false).await?,
        profile: Session::get(PROFILE).await?.unwrap_or_default(),
        owner: Session::owner().await?,
        status: Session::get("status").await?,
        problem: Session::get("problem").await?,
        id: Session::id().await?.map(|id| id.to_string()),
        data: Session::all().await?,
        cookies: cookies(&headers, sessions.cookie_name()),
        driver: sessions.driver(),
    };
    Ok(page::home(&view))
}

#[derive(Deserialize)]
struct NameForm {
    name: String,
}

async fn name(Fields(form): Fields<NameForm>) -> Result<Redirect, Error> {
    match line("The name", &form.name) {
        Ok(name) => {
            Session::set("name", name).await?;
            done(&format!("nice to meet you, {name}")).await
        }
        Err(problem) => refused(&problem).await,
    }
}

#[derive(Deserialize)]
struct ClicksForm {
    times: u8,
}

/// What the button sends where there is no JavaScript: one request, many increments.
async fn clicks(Fields(form): Fields<ClicksForm>) -> Result<Redirect, Error> {
    if !(1..=MOST_CLICKS).contains(&form.times) {
        return refused(&format!("From 1 to {MOST_CLICKS} clicks can be counted at once.")).await;
    }
    for _ in 0..form.times {
        Session::increment("clicks", 1).await?;
    }
    done(&format!("{} clicks were counted", form.times)).await
}

async fn terms() -> Result<Redirect, Error> {
    Session::permanent(json!({ "accepted_terms": true })).await?;
    done("you have accepted the terms").await
}

async fn profile(Fields(form): Fields<Profile>) -> Result<Redirect, Error> {
    let fields = line("The display name", &form.display_name)
        .and_then(|display_name| Ok((display_name, line("The contact", &form.contact)?)));
    match fields {
        Ok((display_name, contact)) => {
            let profile =
                Profile { display_name: display_name.to_owned(), contact: contact.to_owned() };
            Session::set(PROFILE, profile).await?;
            done("profile updated successfully").await
        }
        Err(problem) => refused(&problem).await,
    }
}

#[derive(Deserialize)]
struct LoginForm {
    account: String,
}

/// A real application checks a password first.
async fn login(Fields(form): Fields<LoginForm>) -> Result<Redirect, Error> {
    match line("The account", &form.account) {
        Ok(account) => {
            Session::set_owner(account).await?;
            done(&format!("you are logged in as {account}")).await
        }
        Err(problem) => refused(&problem).await,
    }
}

async fn logout() -> Result<Redirect, Error> {
    Session::forget(..).await?;
    done("you have been logged out").await
}

#[derive(Deserialize)]
struct ForgetForm {
    key: String,
}

async fn forget(Fields(form): Fields<ForgetForm>) -> Result<Redirect, Error> {
    match line("The key", &form.key) {
        Ok(key) if Session::exists(key).await? => {
            Session::forget(key).await?;
            done(&format!("the key {key} is forgotten")).await
        }
        Ok(key) => refused(&format!("The session holds nothing under {key}.")).await,
        Err(problem) => refused(&problem).await,
    }
}

async fn forget_all() -> Result<Redirect, Error> {
    Session::forget(..).await?;
    done("everything is forgotten").await
}

/// Back to the page, which tells what was done.
async fn done(message: &str) -> Result<Redirect, Error> {
    Session::flash("status", message).await?;
    Ok(Redirect::to("/"))
}

/// Back to the page, which tells what was wrong.
async fn refused(problem: &str) -> Result<Redirect, Error> {
    Session::flash("problem", problem).await?;
    Ok(Redirect::to("/"))
}

async fn greeting() -> Result<String, Error> {
    let name = Session::get_or("name", "guest").await?;
    Ok(format!("hello, {name}\n"))
}

async fn session() -> Result<impl IntoResponse, Error> {
    let data = json!(Session::all().await?);
    Ok(([(header::CONTENT_TYPE, "application/json")], format!("{data}\n")))
}

async fn click() -> Result<impl IntoResponse, Error> {
    let clicks = Session::increment("clicks", 1).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], format!("{clicks}\n")))
}

/// Names and bytes of the cookies of the session that a request brought; never their values.
fn cookies(headers: &HeaderMap, name: &str) -> Vec<(String, usize)> {
    let fields = headers.get_all(header::COOKIE).into_iter();
    let pairs = fields.filter_map(|field| field.to_str().ok()).flat_map(|field| field.split(';'));
    let ours = pairs.map(str::trim).filter(|pair| pair.starts_with(name));
    ours.map(|pair| (pair.split('=').next().unwrap_or(pair).to_owned(), pair.len())).collect()
}

fn asset(media_type: &'static str, text: &'static str) -> axum::routing::MethodRouter<Sessions> {
    get(async move || ([(header::CONTENT_TYPE, media_type)], text))
}
