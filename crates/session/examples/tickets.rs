//! A ticket office on actix-web with a login, a basket and a page for customers only, and its tests.
//!
//! `cargo run -p dframework-session --features actix --example tickets` starts it, `cargo test` runs the tests at the end of
//! this file.

use actix_web::{
    App, HttpResponse, HttpServer,
    body::MessageBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    http::header::LOCATION,
    middleware::{Next, from_fn},
    web,
};
use dframework_session::{Error, Key, Session, SessionHandle, Sessions, actix::SessionMiddleware};
use serde::Deserialize;

const BASKET: Key<Vec<String>> = Key::new("basket");

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    // Made once: what the function below makes, each worker makes for itself.
    let sessions = Sessions::memory();
    let server = HttpServer::new(move || office(sessions.clone())).bind("127.0.0.1:3000")?;
    println!("listening on http://{}", server.addrs()[0]);
    server.run().await
}

/// The application is given its sessions, so that a test can give it others.
fn office(
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
    let customers = web::scope("/customers").wrap(from_fn(customers_only));
    App::new()
        .route("/", web::get().to(home))
        .route("/basket", web::post().to(add))
        .route("/login", web::post().to(login))
        .route("/logout", web::post().to(logout))
        .service(customers.route("/orders", web::get().to(orders)))
        // What is added last lies outside, so the guard above has its session.
        .wrap(SessionMiddleware::new(sessions))
}

/// Sends everybody else away, with a message for the page that they come to.
async fn customers_only(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    if Session::owner().await?.is_some() {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    Session::flash("status", "log in first").await?;
    Ok(request.into_response(to_the_entrance()).map_into_right_body())
}

fn to_the_entrance() -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, "/")).finish()
}

async fn home() -> Result<String, Error> {
    let status = Session::get_or("status", "welcome").await?;
    let basket = Session::get(BASKET).await?.unwrap_or_default().join(", ");
    Ok(format!("{status}\nbasket: {basket}\n"))
}

#[derive(Deserialize)]
struct Ticket {
    play: String,
}

async fn add(web::Form(ticket): web::Form<Ticket>) -> Result<HttpResponse, Error> {
    Session::flash("status", format!("a ticket for {}", ticket.play)).await?;
    Session::push(BASKET, ticket.play).await?;
    Ok(to_the_entrance())
}

#[derive(Deserialize)]
struct Login {
    /// A number: whatever else a form brings is refused as it is read.
    customer: u32,
}

/// A real office checks a password first.
async fn login(web::Form(login): web::Form<Login>) -> Result<HttpResponse, Error> {
    Session::set_owner(login.customer.to_string()).await?;
    Ok(to_the_entrance())
}

/// The session as an argument, with the same verbs.
async fn orders(session: SessionHandle) -> Result<String, Error> {
    let customer = session.owner().await?.unwrap_or_default();
    let tickets = session.get(BASKET).await?.map_or(0, |basket| basket.len());
    Ok(format!("customer {customer} has {tickets} in the basket\n"))
}

async fn logout() -> Result<HttpResponse, Error> {
    Session::forget(..).await?;
    Session::flash("status", "see you").await?;
    Ok(to_the_entrance())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::{TestRequest, init_service, read_body};
    use dframework_session::testing::Visitor;

    #[actix_web::test]
    async fn looking_around_leaves_no_trace() {
        let sessions = Sessions::memory();
        let office = init_service(office(sessions.clone())).await;
        let mut visitor = Visitor::new(&sessions);
        visitor.send(&office, TestRequest::get().uri("/").to_request()).await;
        visitor.session().await.assert_absent();
        visitor.browser().assert_cookies([]);
    }

    #[actix_web::test]
    async fn a_ticket_lies_in_the_basket_and_is_told_once() {
        let sessions = Sessions::memory();
        let office = init_service(office(sessions.clone())).await;
        let mut visitor = Visitor::new(&sessions);
        let form = TestRequest::post().uri("/basket").set_form([("play", "Faust")]);
        visitor.send(&office, form.to_request()).await;
        visitor.session().await.assert_flash("status", "a ticket for Faust");
        visitor.send(&office, TestRequest::get().uri("/").to_request()).await;
        visitor.session().await.assert_no_flash().assert_value(BASKET, ["Faust"]);
    }

    #[actix_web::test]
    async fn orders_are_shown_to_customers_only() -> Result<(), Error> {
        let sessions = Sessions::memory();
        let office = init_service(office(sessions.clone())).await;
        let mut visitor = Visitor::new(&sessions);
        let orders = || TestRequest::get().uri("/customers/orders").to_request();
        let response = visitor.send(&office, orders()).await;
        assert_eq!(response.status(), 303);
        visitor.session().await.assert_no_owner().assert_flash("status", "log in first");

        visitor.with(async |session| session.set_owner("42").await).await?;
        let response = visitor.send(&office, orders()).await;
        assert_eq!(read_body(response).await, "customer 42 has 0 in the basket\n");
        Ok(())
    }

    #[actix_web::test]
    async fn a_login_keeps_the_basket_and_changes_the_token() -> Result<(), Error> {
        let sessions = Sessions::memory();
        let office = init_service(office(sessions.clone())).await;
        let mut visitor = Visitor::new(&sessions);
        visitor.with(async |session| session.push(BASKET, "Faust".to_owned()).await).await?;
        let thief = visitor.clone();
        let form = TestRequest::post().uri("/login").set_form([("customer", "42")]);
        visitor.send(&office, form.to_request()).await;
        visitor.session().await.assert_owner("42").assert_value(BASKET, ["Faust"]);
        thief.session().await.assert_absent();
        Ok(())
    }

    #[actix_web::test]
    async fn a_logout_leaves_a_message_and_nothing_else() -> Result<(), Error> {
        let sessions = Sessions::memory();
        let office = init_service(office(sessions.clone())).await;
        let mut visitor = Visitor::new(&sessions);
        visitor.with(async |session| session.set_owner("42").await).await?;
        visitor.send(&office, TestRequest::post().uri("/logout").to_request()).await;
        visitor.session().await.assert_no_owner().assert_flash("status", "see you");
        Ok(())
    }
}
