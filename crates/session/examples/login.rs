//! A login with a password, the list of a user's sessions, "log out everywhere else", a logout, and their tests.
//!
//! `cargo run -p dframework-session --example login` starts it, `cargo test` runs the tests at the end of this file. The
//! password of `guest` is `guest`.

use axum::{
    Form, Router,
    extract::{FromRequestParts, State},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use dframework_session::{Error, Session, SessionHandle, Sessions, tower::SessionLayer};
use serde::Deserialize;
use std::fmt::Write;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app(Sessions::memory())).await?;
    Ok(())
}

/// The application is given its sessions, so that a test can give it others.
fn app(sessions: Sessions) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/sessions", get(list))
        .route("/sessions/others", post(end_others))
        .with_state(sessions.clone())
        .layer(SessionLayer::new(sessions))
}

/// Stands in for the table of users. A real one keeps hashes made by argon2, and takes as long for a name that it does
/// not know.
#[expect(clippy::unused_async, reason = "a table is waited for")]
async fn id_of(name: &str, password: &str) -> Option<&'static str> {
    match (name, password) {
        ("guest", "guest") => Some("42"),
        ("friend", "mellon") => Some("43"),
        _ => None,
    }
}

/// Whoever is logged in. Others are sent to the entrance.
struct User(String);

impl<S: Send + Sync> FromRequestParts<S> for User {
    type Rejection = Response;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Response> {
        match Session::owner().await {
            Ok(Some(id)) => Ok(Self(id)),
            Ok(None) => Err(Redirect::to("/").into_response()),
            Err(error) => Err(error.into_response()),
        }
    }
}

async fn home() -> Result<String, Error> {
    let status = Session::get_or("status", "welcome").await?;
    Ok(match Session::owner().await? {
        Some(id) => format!("{status}\nyou are user {id}\n"),
        None => format!("{status}\nlog in with a name and a password\n"),
    })
}

#[derive(Deserialize)]
struct Login {
    name: String,
    password: String,
}

async fn login(Form(login): Form<Login>) -> Result<Response, Error> {
    let Some(id) = id_of(&login.name, &login.password).await else {
        let text = "name or password is wrong\n";
        return Ok((StatusCode::UNAUTHORIZED, text).into_response());
    };
    // First the owner: that gives a new token, and drops what another user has left in this browser.
    Session::set_owner(id).await?;
    Session::flash("status", "you are logged in").await?;
    Ok(Redirect::to("/").into_response())
}

async fn list(
    User(id): User,
    session: SessionHandle,
    State(sessions): State<Sessions>,
) -> Result<String, Error> {
    let current = session.id().await?;
    let mut text = String::new();
    for other in sessions.of(&id, None, 20).await? {
        let minutes = other.last_seen.saturating_since(other.created).as_secs() / 60;
        let mark = if Some(other.id) == current { ", this one" } else { "" };
        let _ = writeln!(text, "{}: used for {minutes} minutes{mark}", other.id);
    }
    Ok(text)
}

async fn end_others(
    _: User,
    session: SessionHandle,
    State(sessions): State<Sessions>,
) -> Result<Redirect, Error> {
    let ended = sessions.revoke_others(&session).await?;
    session.flash("status", format!("{ended} other sessions are logged out")).await?;
    Ok(Redirect::to("/"))
}

async fn logout() -> Result<Redirect, Error> {
    Session::destroy().await?;
    Session::flash("status", "you are logged out").await?;
    Ok(Redirect::to("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{body::to_bytes, http::Request};
    use dframework_session::{testing::Visitor, tower::testing::form};

    async fn log_in(app: &Router, visitor: &mut Visitor) -> StatusCode {
        let fields = [("name", "guest"), ("password", "guest")];
        visitor.send(app, form("/login", fields)).await.status()
    }

    async fn text(response: Response) -> String {
        let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[tokio::test]
    async fn a_wrong_password_leaves_no_trace() {
        let sessions = Sessions::memory();
        let (app, mut visitor) = (app(sessions.clone()), Visitor::new(&sessions));
        let wrong = form("/login", [("name", "guest"), ("password", "friend")]);
        assert_eq!(visitor.send(&app, wrong).await.status(), 401);
        visitor.session().await.assert_absent();
    }

    #[tokio::test]
    async fn a_login_gives_another_id_and_keeps_what_the_visitor_had() -> Result<(), Error> {
        let sessions = Sessions::memory();
        let (app, mut visitor) = (app(sessions.clone()), Visitor::new(&sessions));
        visitor.with(async |session| session.set("theme", "dark").await).await?;
        let (before, thief) = (visitor.session().await.id(), visitor.clone());
        assert_eq!(log_in(&app, &mut visitor).await, 303);
        let after = visitor.session().await;
        after.assert_owner("42").assert_value("theme", "dark");
        assert_ne!(after.id(), before);
        thief.session().await.assert_absent();
        Ok(())
    }

    #[tokio::test]
    async fn others_are_listed_and_logged_out_and_this_one_stays() {
        let sessions = Sessions::memory();
        let app = app(sessions.clone());
        let mut laptop = Visitor::new(&sessions);
        let mut phone = laptop.clone();
        for visitor in [&mut laptop, &mut phone] {
            log_in(&app, visitor).await;
        }
        let list = text(laptop.send(&app, Request::get("/sessions")).await).await;
        assert_eq!((list.lines().count(), list.matches("this one").count()), (2, 1), "{list}");
        laptop.send(&app, Request::post("/sessions/others")).await;
        laptop.session().await.assert_owner("42");
        laptop.session().await.assert_flash("status", "1 other sessions are logged out");
        phone.session().await.assert_absent();
    }

    #[tokio::test]
    async fn the_list_is_for_users_only() {
        let sessions = Sessions::memory();
        let (app, mut visitor) = (app(sessions.clone()), Visitor::new(&sessions));
        assert_eq!(visitor.send(&app, Request::get("/sessions")).await.status(), 303);
    }

    #[tokio::test]
    async fn a_logout_leaves_a_message_and_nothing_else() {
        let sessions = Sessions::memory();
        let (app, mut visitor) = (app(sessions.clone()), Visitor::new(&sessions));
        log_in(&app, &mut visitor).await;
        let thief = visitor.clone();
        visitor.send(&app, Request::post("/logout")).await;
        visitor.session().await.assert_no_owner().assert_flash("status", "you are logged out");
        thief.session().await.assert_absent();
    }
}
