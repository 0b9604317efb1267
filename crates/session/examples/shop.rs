//! A shop with a login and a cart, and its tests.
//!
//! `cargo run -p dframework-session --example shop` starts it, `cargo test` runs the tests at the end of this file.

use axum::{
    Form, Router,
    response::Redirect,
    routing::{get, post},
};
use dframework_session::{Error, Key, Session, Sessions, tower::SessionLayer};
use serde::Deserialize;

const CART: Key<Vec<String>> = Key::new("cart");

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, shop(Sessions::memory())).await?;
    Ok(())
}

/// The application is given its sessions, so that a test can give it others.
fn shop(sessions: Sessions) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/cart", post(add))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .layer(SessionLayer::new(sessions))
}

async fn home() -> Result<String, Error> {
    let cart = Session::get(CART).await?.unwrap_or_default().join(", ");
    let customer = Session::owner().await?.unwrap_or_else(|| "guest".to_owned());
    let status = Session::get_or("status", "welcome").await?;
    Ok(format!("{status}\n{customer}: {cart}\n"))
}

#[derive(Deserialize)]
struct Item {
    name: String,
}

async fn add(Form(item): Form<Item>) -> Result<Redirect, Error> {
    Session::flash("status", format!("{} is in your cart", item.name)).await?;
    Session::push(CART, item.name).await?;
    Ok(Redirect::to("/"))
}

#[derive(Deserialize)]
struct Login {
    /// A number: whatever else a form brings is refused as it is read.
    customer: u32,
}

/// A real shop checks a password first.
async fn login(Form(login): Form<Login>) -> Result<Redirect, Error> {
    Session::set_owner(login.customer.to_string()).await?;
    Session::flash("status", "you are logged in").await?;
    Ok(Redirect::to("/"))
}

async fn logout() -> Result<Redirect, Error> {
    Session::forget(..).await?;
    Session::flash("status", "you are logged out").await?;
    Ok(Redirect::to("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;
    use dframework_session::{testing::Visitor, tower::testing::form};

    /// The shop, and somebody who comes for the first time.
    fn open() -> (Router, Visitor) {
        let sessions = Sessions::memory();
        (shop(sessions.clone()), Visitor::new(&sessions))
    }

    #[tokio::test]
    async fn looking_around_leaves_no_trace() {
        let (shop, mut visitor) = open();
        visitor.send(&shop, Request::get("/")).await;
        visitor.session().await.assert_absent();
        visitor.browser().assert_cookies([]);
    }

    #[tokio::test]
    async fn what_is_added_lies_in_the_cart_and_is_told_once() {
        let (shop, mut visitor) = open();
        visitor.send(&shop, form("/cart", [("name", "tea")])).await;
        visitor.session().await.assert_flash("status", "tea is in your cart");
        visitor.send(&shop, Request::get("/")).await;
        visitor.session().await.assert_no_flash().assert_value(CART, ["tea"]);
    }

    #[tokio::test]
    async fn a_login_keeps_the_cart_and_changes_the_token() -> Result<(), Error> {
        let (shop, mut visitor) = open();
        visitor.with(async |session| session.push(CART, "tea".to_owned()).await).await?;
        let thief = visitor.clone();
        visitor.send(&shop, form("/login", [("customer", "42")])).await;
        visitor.session().await.assert_owner("42").assert_value(CART, ["tea"]);
        thief.session().await.assert_absent();
        Ok(())
    }

    #[tokio::test]
    async fn a_logout_leaves_a_message_and_nothing_else() -> Result<(), Error> {
        let (shop, mut visitor) = open();
        visitor.with(async |session| session.set_owner("42").await).await?;
        visitor.send(&shop, Request::post("/logout")).await;
        visitor.session().await.assert_no_owner().assert_flash("status", "you are logged out");
        Ok(())
    }
}
