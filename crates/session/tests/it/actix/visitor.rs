//! The visitor of the testing kit with requests of actix-web, and with applications that answer them.

use crate::support::drivers;
use actix_http::Request;
use actix_web::{
    App, HttpRequest, HttpResponse,
    body::MessageBody,
    dev::{Service, ServiceResponse},
    error::ErrorForbidden,
    http::header,
    test::{TestRequest, init_service, read_body},
    web,
};
use dframework_session::{
    Error, Session, Sessions,
    actix::SessionMiddleware,
    testing::{Visitor, Way},
};
use std::collections::BTreeMap;

/// Tells which fields a request had.
async fn fields(request: HttpRequest) -> String {
    let line = |(name, value): (&header::HeaderName, &header::HeaderValue)| {
        format!("{name}: {}", value.to_str().unwrap())
    };
    let mut lines: Vec<_> = request.headers().iter().map(line).collect();
    lines.sort_unstable();
    lines.join("\n")
}

async fn rename(fields: web::Form<BTreeMap<String, String>>) -> Result<HttpResponse, Error> {
    Session::set("name", &fields["name"]).await?;
    Session::flash("status", "renamed").await?;
    Ok(HttpResponse::SeeOther().insert_header(("location", "/")).finish())
}

async fn home() -> Result<String, Error> {
    let name = Session::get_or("name", "guest").await?;
    let status = Session::get_or("status", "-").await?;
    Ok(format!("{name} {status}"))
}

async fn app(
    sessions: Sessions,
) -> impl Service<Request, Response = ServiceResponse<impl MessageBody>, Error = actix_web::Error> {
    let app = App::new()
        .route("/", web::get().to(home))
        .route("/name", web::post().to(rename))
        .route("/fields", web::to(fields))
        .wrap(SessionMiddleware::new(sessions));
    init_service(app).await
}

#[tokio::test]
async fn a_request_and_its_response_take_a_line_each() {
    for bench in drivers().await {
        let app = app(bench.sessions.clone()).await;
        let mut visitor = Visitor::new(&bench.sessions);
        visitor.with(async |session| session.set("name", "visitor").await).await.unwrap();

        // By hand, as any client of a service does it.
        let request = visitor.request(TestRequest::get().to_request());
        let response = app.call(request).await.unwrap();
        visitor.receive(&response);
        assert_eq!(read_body(response).await, "visitor -", "{}", bench.driver);

        // In one go.
        let form = TestRequest::post().uri("/name").set_form([("name", "guest & friend")]);
        let response = visitor.send(&app, form.to_request()).await;
        assert_eq!(response.status(), 303);
        visitor.session().await.assert_flash("status", "renamed");
        let script = TestRequest::with_uri("/fields").to_request();
        let script = read_body(visitor.send_as(Way::Fetch, &app, script).await).await;
        assert!(String::from_utf8(script.to_vec()).unwrap().contains("sec-fetch-mode: cors"));
        visitor.session().await.assert_flash("status", "renamed");
        let page = visitor.send(&app, TestRequest::get().to_request()).await;
        assert_eq!(read_body(page).await, "guest & friend renamed", "{}", bench.driver);
        visitor.session().await.assert_no_flash().assert_value("name", "guest & friend");
    }
}

#[tokio::test]
async fn a_request_has_what_browsers_send_and_what_the_test_put_there() {
    let sessions = Sessions::memory();
    let app = app(sessions.clone()).await;
    let mut visitor = Visitor::new(&sessions).at("http://localhost:3000/");
    visitor.receive(&["theme=dark", "size=1"]);
    let request = TestRequest::post()
        .uri("/fields")
        .insert_header(("cookie", "own=1"))
        .insert_header(("x-test", "1"));
    let said = read_body(visitor.send(&app, request.to_request()).await).await;
    let expected = "cookie: own=1\ncookie: theme=dark; size=1\norigin: http://localhost:3000\n\
        sec-fetch-dest: document\nsec-fetch-mode: navigate\nsec-fetch-site: same-origin\n\
        sec-fetch-user: ?1\nx-test: 1";
    assert_eq!(said, expected);
}

#[tokio::test]
async fn an_error_of_middleware_is_a_response_to_a_visitor_as_to_a_browser() {
    let sessions = Sessions::memory();
    let app = App::new()
        .wrap_fn(|_, _| async {
            Session::set("name", "visitor").await?;
            Err::<ServiceResponse, _>(ErrorForbidden("not allowed"))
        })
        .wrap(SessionMiddleware::new(sessions.clone()));
    let app = init_service(app).await;
    let mut visitor = Visitor::new(&sessions);
    let response = visitor.send(&app, TestRequest::post().uri("/a?b").to_request()).await;
    assert_eq!(response.status(), 403);
    assert_eq!(
        (response.request().uri().to_string(), response.request().method().as_str()),
        ("/a?b".to_owned(), "POST")
    );
    assert_eq!(read_body(response).await, "not allowed");
    visitor.session().await.assert_value("name", "visitor");
}
