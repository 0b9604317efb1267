//! A login with a password, the list of a user's sessions, "log out everywhere else", a logout, and their tests.
//!
//! `cargo run -p dframework-session --example login` starts it, `cargo test` runs the tests at the end of this file. The
//! password of `guest` is `guest`.
//!
//! **Why forms of other sites are refused.** With `SameSite=Lax` they bring no cookie, so they do nothing in the visitor's
//! session. But a login needs no cookie: another site could log its visitor in here as somebody else, who then reads what the
//! visitor writes. And a page on another subdomain is of the same site, and does bring the cookie.

use axum::{
    Form, Router,
    extract::{FromRequestParts, Request, State},
    http::{HeaderValue, StatusCode, request::Parts},
    middleware::{Next, from_fn},
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
        .layer(from_fn(own_forms_only))
}

/// Browsers say in `Sec-Fetch-Site` whose page asks; `none` is the person, and no field at all is no browser, or an old one.
async fn own_forms_only(request: Request, next: Next) -> Response {
    let site = request.headers().get("sec-fetch-site").map(HeaderValue::as_bytes);
    let is_own = matches!(site, None | Some(b"same-origin" | b"none"));
    if request.method().is_safe() || is_own {
        return next.run(request).await;
    }
    StatusCode::FORBIDDEN.into_response()
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
    use dframework_session::{
        testing::{Visitor, Way},
        tower::testing::form,
    };

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
    async fn a_form_of_another_site_logs_nobody_in() {
        let sessions = Sessions::memory();
        let (app, mut visitor) = (app(sessions.clone()), Visitor::new(&sessions));
        let login = form("/login", [("name", "guest"), ("password", "guest")]);
        let forged = visitor.send_as(Way::CrossSiteNavigation, &app, login).await;
        assert_eq!(forged.status(), 403);
        visitor.session().await.assert_absent();
        let link = visitor.send_as(Way::CrossSiteNavigation, &app, Request::get("/")).await;
        assert_eq!(link.status(), 200);
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
