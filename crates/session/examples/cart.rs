//! A cart on actix-web, under typed keys, and its tests.
//!
//! `cargo run -p dframework-session --features actix --example cart` starts it, `cargo test` runs the tests at the end of
//! this file.

use actix_web::{
    App, HttpResponse, HttpServer,
    body::MessageBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    http::header::LOCATION,
    web,
};
use dframework_session::{Error, Key, Session, Sessions, actix::SessionMiddleware};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The name and the type of a value, in one place: `Session::get(CART)` needs no annotation, and a value of another type
/// does not compile.
const CART: Key<Cart> = Key::new("cart");
const ORDERS: Key<Vec<Cart>> = Key::new("orders");

/// How many there are of each article.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
struct Cart(BTreeMap<String, u32>);

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    // Made once: what the function below makes, each worker makes for itself.
    let sessions = Sessions::memory();
    let server = HttpServer::new(move || shop(sessions.clone())).bind("127.0.0.1:3000")?;
    println!("listening on http://{}", server.addrs()[0]);
    server.run().await
}

/// The application is given its sessions, so that a test can give it others.
fn shop(
    sessions: Sessions,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    App::new()
        .route("/", web::get().to(home))
        .route("/add", web::post().to(add))
        .route("/remove", web::post().to(remove))
        .route("/order", web::post().to(order))
        .wrap(SessionMiddleware::new(sessions))
}

async fn home() -> Result<String, Error> {
    let cart = Session::get(CART).await?.unwrap_or_default();
    let orders = Session::get(ORDERS).await?.map_or(0, |orders| orders.len());
    let lines = cart.0.iter().map(|(article, number)| format!("{number} {article}\n"));
    Ok(format!("{}{orders} orders\n", lines.collect::<String>()))
}

fn to_the_cart() -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, "/")).finish()
}

#[derive(Deserialize)]
struct Article {
    name: String,
}

/// `update` and not `get` with `set`: of two clicks at once, none is lost.
async fn add(web::Form(article): web::Form<Article>) -> Result<HttpResponse, Error> {
    let add = move |cart: Option<Cart>| {
        let mut cart = cart.unwrap_or_default();
        *cart.0.entry(article.name.clone()).or_default() += 1;
        cart
    };
    Session::update(CART, add).await?;
    Ok(to_the_cart())
}

async fn remove(web::Form(article): web::Form<Article>) -> Result<HttpResponse, Error> {
    let remove = move |cart: Option<Cart>| {
        let mut cart = cart.unwrap_or_default();
        cart.0.remove(&article.name);
        cart
    };
    Session::update(CART, remove).await?;
    Ok(to_the_cart())
}

/// `claim` takes the cart out of the session at once, so a double click orders once. What has been claimed is gone, whatever
/// becomes of the request: a shop whose order can fail puts the cart back by `set`. With the driver `stealth`, which cannot
/// claim, the order itself must be unique, by a number in the form.
async fn order() -> Result<HttpResponse, Error> {
    match Session::claim(CART).await? {
        Some(cart) if !cart.0.is_empty() => Session::push(ORDERS, cart).await?,
        _ => return Ok(HttpResponse::Conflict().body("there is nothing in the cart\n")),
    }
    Ok(to_the_cart())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::{TestRequest, init_service, read_body};
    use dframework_session::testing::Visitor;

    fn form(path: &str, article: &str) -> TestRequest {
        TestRequest::post().uri(path).set_form([("name", article)])
    }

    fn cart<const N: usize>(articles: [(&str, u32); N]) -> Cart {
        Cart(articles.map(|(name, number)| (name.to_owned(), number)).into())
    }

    #[actix_web::test]
    async fn what_is_added_twice_lies_there_twice_until_it_is_removed() {
        let sessions = Sessions::memory();
        let shop = init_service(shop(sessions.clone())).await;
        let mut visitor = Visitor::new(&sessions);
        for article in ["tea", "milk", "tea"] {
            visitor.send(&shop, form("/add", article).to_request()).await;
        }
        visitor.session().await.assert_value(CART, cart([("tea", 2), ("milk", 1)]));
        visitor.send(&shop, form("/remove", "tea").to_request()).await;
        visitor.session().await.assert_value(CART, cart([("milk", 1)]));
        let page = visitor.send(&shop, TestRequest::get().uri("/").to_request()).await;
        assert_eq!(read_body(page).await, "1 milk\n0 orders\n");
    }

    #[actix_web::test]
    async fn a_cart_is_ordered_once() -> Result<(), Error> {
        let sessions = Sessions::memory();
        let shop = init_service(shop(sessions.clone())).await;
        let mut visitor = Visitor::new(&sessions);
        visitor.with(async |session| session.set(CART, cart([("tea", 1)])).await).await?;
        for status in [303, 409] {
            let order = TestRequest::post().uri("/order").to_request();
            assert_eq!(visitor.send(&shop, order).await.status(), status);
        }
        visitor.session().await.assert_missing(CART).assert_value(ORDERS, [cart([("tea", 1)])]);
        Ok(())
    }
}
