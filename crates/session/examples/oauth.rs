//! The return from a login at another site (OAuth 2.0 with PKCE), and its tests.
//!
//! `cargo run -p dframework-session --example oauth` starts it, `cargo test` runs the tests at the end of this file. The other
//! site is a double in the same process, which logs everybody in as `guest`.
//!
//! **Why `SameSite` is `Lax`.** The browser comes back by a link of the other site. With `Strict` it would bring no cookie, so
//! there would be no session, and no attempt in it. `Lax` lets the cookie come along where the whole window goes to
//! a page by GET, and nowhere else.
//!
//! **Why not `response_mode=form_post`.** That return is a POST of another site, which brings no `Lax` cookie either. Ask for
//! `response_mode=query`, the default of the flow with a code. A provider that can only post gets an address without a
//! session, which answers 303 to `/return` with `code` and `state` in its query: going there is a GET again.

use axum::{
    Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use dframework_session::{Error, Session, Sessions, tower::SessionLayer};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{collections::HashMap, sync::Arc, sync::Mutex, time::Duration};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app(Sessions::memory())).await?;
    Ok(())
}

/// The application is given its sessions, so that a test can give it others.
fn app(sessions: Sessions) -> Router {
    let provider = Provider::default();
    Router::new()
        .route("/", get(home))
        .route("/login", get(login))
        .route("/return", get(come_back))
        .layer(SessionLayer::new(sessions))
        // The other site knows nothing of our sessions.
        .route("/provider", get(authorize))
        .with_state(provider)
}

async fn home() -> Result<String, Error> {
    let user = Session::owner().await?.unwrap_or_else(|| "a visitor".to_owned());
    Ok(format!("you are {user}\n"))
}

/// A login that somebody has begun and not finished.
#[derive(Serialize, Deserialize)]
struct Attempt {
    /// Shows the other site that who redeems the code has begun the login (PKCE).
    verifier: String,
}

/// Each attempt has a name of its own, so logins in two windows do not disturb each other.
fn attempt(state: &str) -> String {
    format!("login.{state}")
}

async fn login() -> Result<Response, Error> {
    let (Ok(state), Ok(verifier)) = (random(), random()) else {
        return Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response());
    };
    let challenge = digest(&verifier);
    // What is never finished goes away by itself.
    Session::set_for(attempt(&state), Attempt { verifier }, Duration::from_secs(600)).await?;
    Ok(Redirect::to(&format!("/provider?state={state}&challenge={challenge}")).into_response())
}

#[derive(Deserialize)]
struct Return {
    state: String,
    /// Not where the user has refused, or the other site has an `error` to tell.
    code: Option<String>,
}

/// Of a link that is opened twice, one wins: `claim` takes the attempt out of the session at once. (With the driver `stealth`,
/// which cannot claim, `pull` it; the code is good for one exchange anyway.)
async fn come_back(
    State(provider): State<Provider>,
    Query(back): Query<Return>,
) -> Result<Response, Error> {
    let is_ours = back.state.len() == 43;
    let found = if is_ours { Session::claim::<Attempt>(attempt(&back.state)).await? } else { None };
    let Some(begun) = found else {
        let text = "this login was not begun in this browser, has expired, or has been used\n";
        return Ok((StatusCode::BAD_REQUEST, text).into_response());
    };
    let Some(code) = back.code else {
        return Ok(
            (StatusCode::FORBIDDEN, "the other site has not logged you in\n").into_response()
        );
    };
    let Some(user) = provider.redeem(&code, &begun.verifier).await else {
        return Ok(
            (StatusCode::BAD_GATEWAY, "the other site knows no such login\n").into_response()
        );
    };
    Session::set_owner(user).await?;
    Ok(Redirect::to("/").into_response())
}

/// 32 random bytes, as 43 characters.
fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn digest(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

/// Stands in for the other site: codes that were given out, with their challenges.
#[derive(Clone, Default)]
struct Provider(Arc<Mutex<HashMap<String, String>>>);

impl Provider {
    /// What a POST to its token endpoint gives. A code is good once.
    #[expect(clippy::unused_async, reason = "another site is waited for")]
    async fn redeem(&self, code: &str, verifier: &str) -> Option<&'static str> {
        let challenge = self.0.lock().ok()?.remove(code)?;
        (challenge == digest(verifier)).then_some("guest")
    }
}

#[derive(Deserialize)]
struct Authorize {
    state: String,
    challenge: String,
}

async fn authorize(State(provider): State<Provider>, Query(asked): Query<Authorize>) -> Response {
    let (Ok(code), Ok(mut codes)) = (random(), provider.0.lock()) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    codes.insert(code.clone(), asked.challenge);
    Redirect::to(&format!("/return?code={code}&state={}", asked.state)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{Request, header::LOCATION};
    use dframework_session::{
        Config, DriverName, SameSite,
        testing::{Visitor, Way},
    };

    /// Goes there and says where it is sent on to.
    async fn follow(app: &Router, visitor: &mut Visitor, way: Way, path: &str) -> String {
        let response = visitor.send_as(way, app, Request::get(path)).await;
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        location.map_or_else(|| response.status().to_string(), str::to_owned)
    }

    /// To the other site, up to the link by which it sends back.
    async fn begin(app: &Router, visitor: &mut Visitor) -> String {
        let there = follow(app, visitor, Way::Navigation, "/login").await;
        follow(app, visitor, Way::CrossSiteNavigation, &there).await
    }

    #[tokio::test]
    async fn of_a_link_that_is_opened_twice_one_wins() {
        let sessions = Sessions::memory();
        let (app, mut visitor) = (app(sessions.clone()), Visitor::new(&sessions));
        let link = begin(&app, &mut visitor).await;
        let mut twice = visitor.clone();
        assert_eq!(follow(&app, &mut visitor, Way::CrossSiteNavigation, &link).await, "/");
        visitor.session().await.assert_owner("guest");
        let lost = follow(&app, &mut twice, Way::CrossSiteNavigation, &link).await;
        assert_eq!(lost, "400 Bad Request");
    }

    #[tokio::test]
    async fn logins_in_two_windows_do_not_disturb_each_other() {
        let sessions = Sessions::memory();
        let (app, mut visitor) = (app(sessions.clone()), Visitor::new(&sessions));
        let first = begin(&app, &mut visitor).await;
        let second = begin(&app, &mut visitor).await;
        for link in [first, second] {
            assert_eq!(follow(&app, &mut visitor, Way::CrossSiteNavigation, &link).await, "/");
        }
    }

    #[tokio::test]
    async fn a_link_of_somebody_else_logs_nobody_in() {
        let sessions = Sessions::memory();
        let (app, mut attacker) = (app(sessions.clone()), Visitor::new(&sessions));
        let link = begin(&app, &mut attacker).await;
        let mut visitor = Visitor::new(&sessions);
        let lost = follow(&app, &mut visitor, Way::CrossSiteNavigation, &link).await;
        assert_eq!(lost, "400 Bad Request");
        visitor.session().await.assert_absent();
    }

    #[tokio::test]
    async fn whoever_refuses_there_is_not_logged_in_and_the_attempt_is_over() {
        let sessions = Sessions::memory();
        let (app, mut visitor) = (app(sessions.clone()), Visitor::new(&sessions));
        let link = begin(&app, &mut visitor).await;
        let state = link.split("state=").nth(1).unwrap_or_default();
        let refused = format!("/return?error=access_denied&state={state}");
        for status in ["403 Forbidden", "400 Bad Request"] {
            let answer = follow(&app, &mut visitor, Way::CrossSiteNavigation, &refused).await;
            assert_eq!(answer, status);
        }
        visitor.session().await.assert_no_owner().assert_missing(attempt(state));
    }

    /// `Strict` brings no cookie with the return, and a form that is posted from there brings no `Lax` one.
    #[tokio::test]
    async fn strict_cookies_and_posted_forms_do_not_come_back() -> Result<(), Error> {
        let strict = Config::new().driver(DriverName::Memory).same_site(SameSite::Strict);
        let sessions = Sessions::connect(&strict).await?;
        let (app_of_strict, mut visitor) = (app(sessions.clone()), Visitor::new(&sessions));
        let link = begin(&app_of_strict, &mut visitor).await;
        let lost = follow(&app_of_strict, &mut visitor, Way::CrossSiteNavigation, &link).await;
        assert_eq!(lost, "400 Bad Request");

        let sessions = Sessions::memory();
        let (app, mut visitor) = (app(sessions.clone()), Visitor::new(&sessions));
        let link = begin(&app, &mut visitor).await;
        let posted = visitor.request_as(Way::CrossSiteNavigation, Request::post(&link));
        assert!(!posted.headers_ref().is_some_and(|headers| headers.contains_key("cookie")));
        Ok(())
    }
}
