//! What is of the middleware for actix-web alone: errors that are responses, its server, and the testing kit.

mod peer;
mod tasks;
mod visitor;

use crate::{
    events::Heard,
    stores::{Fault, Probe, Verb},
};
use actix_web::{
    App, HttpResponse, HttpServer, Responder, ResponseError,
    dev::{AppConfig, Service, ServiceFactory, ServiceResponse},
    error::{ErrorForbidden, ErrorInternalServerError, InternalError},
    http::header,
    test::{TestRequest, init_service, read_body},
    web,
};
use dframework_session::{
    Config, Error, Session, Sessions, actix::SessionMiddleware, testing::Application,
};
use std::{cell::RefCell, fmt, rc::Rc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn visit() -> Result<String, Error> {
    Session::increment("visits", 1).await.map(|visits| visits.to_string())
}

fn lines<B>(response: &ServiceResponse<B>) -> usize {
    response.headers().get_all(header::SET_COOKIE).count()
}

/// An error of middleware of the application, by its name.
fn failing(kind: &str) -> actix_web::Error {
    let redirect = || {
        let mut response = HttpResponse::SeeOther();
        response.insert_header(("location", "/login")).append_header(("vary", "Accept")).body("go")
    };
    match kind {
        "redirect" => InternalError::from_response("not logged in", redirect()).into(),
        "forbidden" => ErrorForbidden("not allowed"),
        _ => ErrorInternalServerError("broken"),
    }
}

#[tokio::test]
async fn an_error_of_middleware_is_answered_and_committed_by_its_status() {
    for (kind, status, text, vary, cookies) in [
        ("redirect", 303, "go", vec!["Accept", "Cookie"], 2),
        ("forbidden", 403, "not allowed", vec!["Cookie"], 2),
        ("broken", 500, "broken", vec!["Cookie"], 0),
    ] {
        let sessions = Sessions::from_store(Probe::default(), &Config::new()).unwrap();
        let app = App::new()
            .route("/", web::get().to(visit))
            .wrap_fn(move |_, _| async move {
                visit().await?;
                Session::flash("status", "log in first").await?;
                Err::<ServiceResponse, _>(failing(kind))
            })
            .wrap(SessionMiddleware::new(sessions.clone()));
        let app = init_service(app).await;
        let response = app.answer(TestRequest::default().to_request()).await;
        assert_eq!(response.status(), status, "{kind}");
        assert_eq!(lines(&response), cookies, "{kind}");
        let location = response.headers().get("location").map(|value| value.to_str().unwrap());
        assert_eq!(location, (kind == "redirect").then_some("/login"));
        let said: Vec<_> = response.headers().get_all(header::VARY).collect();
        assert_eq!(said, vary, "{kind}");
        assert_eq!(read_body(response).await, text, "{kind}");
        assert_eq!(sessions.count().await.unwrap(), u64::from(cookies > 0), "{kind}");
    }
}

#[tokio::test]
async fn a_commit_that_fails_replaces_the_response_of_an_error_too() {
    let store = Probe::default();
    let sessions = Sessions::from_store(store.clone(), &Config::new()).unwrap();
    let app = App::new()
        .wrap_fn(|_, _| async {
            visit().await?;
            Err::<ServiceResponse, _>(failing("redirect"))
        })
        .wrap(SessionMiddleware::new(sessions));
    let app = init_service(app).await;
    store.fail_next(Verb::Create, Fault::Unavailable);
    let response = app.answer(TestRequest::default().to_request()).await;
    assert_eq!((response.status().as_u16(), lines(&response)), (503, 0));
    assert!(!response.headers().contains_key("location"));
    assert_eq!(read_body(response).await, "");
}

#[derive(Debug)]
struct Own;

impl fmt::Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an error of the application")
    }
}

impl ResponseError for Own {}

#[tokio::test]
async fn an_error_keeps_its_type_where_no_session_was_used_and_its_text_always() {
    for (uses, is_own) in [("nothing", true), ("session", false)] {
        let seen = Rc::new(RefCell::new(None));
        let note = seen.clone();
        let app = App::new()
            .wrap_fn(move |_, _| async move {
                if uses == "session" {
                    visit().await?;
                }
                Err::<ServiceResponse, actix_web::Error>(Own.into())
            })
            .wrap(SessionMiddleware::new(Sessions::memory()))
            .wrap_fn(move |request, service| {
                let (note, answer) = (note.clone(), service.call(request));
                async move {
                    let error = answer.await.err().unwrap();
                    note.replace(Some((error.as_error::<Own>().is_some(), error.to_string())));
                    Err::<ServiceResponse, _>(error)
                }
            });
        let app = init_service(app).await;
        let response = app.answer(TestRequest::default().to_request()).await;
        assert_eq!(response.status(), 500);
        let text = "an error of the application".to_owned();
        assert_eq!(seen.take(), Some((is_own, text)), "{uses}");
    }
}

/// Such as one that writes the answer into a log.
#[tokio::test]
async fn middleware_outside_may_ask_an_error_for_its_answer_and_pass_it_on() {
    for (fault, status, cookies) in [(None, 403, 1), (Some(Fault::Unavailable), 503, 0)] {
        let store = Probe::default();
        let sessions = Sessions::from_store(store.clone(), &Config::new()).unwrap();
        let app = App::new()
            .wrap_fn(|_, _| async {
                visit().await?;
                Err::<ServiceResponse, _>(failing("forbidden"))
            })
            .wrap(SessionMiddleware::new(sessions))
            .wrap_fn(|request, service| {
                let answer = service.call(request);
                async move {
                    let error = answer.await.err().unwrap();
                    let asked = error.error_response().status();
                    assert_eq!(asked, error.as_response_error().status_code());
                    Err::<ServiceResponse, _>(error)
                }
            });
        let app = init_service(app).await;
        if let Some(fault) = fault {
            store.fail_next(Verb::Create, fault);
        }
        let response = app.answer(TestRequest::default().to_request()).await;
        assert_eq!((response.status().as_u16(), lines(&response)), (status, cookies));
    }
}

/// The field and the address may say what they like: they come from the client, or from a proxy.
#[tokio::test]
async fn only_the_servers_own_socket_says_https() {
    for (is_tls, path, proto, told) in [
        (false, "/", "http", ["created", "cookie_needs_https"].as_slice()),
        (false, "https://localhost/", "https", &["created", "cookie_needs_https"]),
        (true, "/", "http", &["created"]),
    ] {
        let heard = Heard::default();
        let sessions = Sessions::from_store(Probe::default(), &heard.listen(Config::new()));
        let app = App::new()
            .route("/", web::get().to(visit))
            .wrap(SessionMiddleware::new(sessions.unwrap()));
        let address = "127.0.0.1:443".parse().unwrap();
        let config = AppConfig::__priv_test_new(is_tls, "localhost".to_owned(), address);
        let app = actix_service::IntoServiceFactory::into_factory(app);
        let app = app.new_service(config).await.unwrap();
        let request = TestRequest::with_uri(path).insert_header(("x-forwarded-proto", proto));
        let response = app.answer(request.to_request()).await;
        assert_eq!(lines(&response), 1);
        assert_eq!(heard.names(), told, "{is_tls} {path} {proto}");
    }
}

/// Asks a server for a path and reads all that it says.
async fn over_a_socket(address: std::net::SocketAddr, path: &str) -> String {
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut said = String::new();
    socket.read_to_string(&mut said).await.unwrap();
    said
}

async fn home() -> impl Responder {
    visit()
        .await
        .map(|visits| HttpResponse::Ok().append_header(("set-cookie", "own=1")).body(visits))
}

#[actix_web::test]
async fn the_server_sends_what_was_committed_with_a_response_and_with_an_error() {
    let sessions = Sessions::from_store(Probe::default(), &Config::new()).unwrap();
    let server = HttpServer::new(move || {
        let guarded = web::scope("/guarded").wrap_fn(|_, _| async {
            Session::flash("status", "log in first").await?;
            Err::<ServiceResponse, _>(failing("redirect"))
        });
        let middleware = SessionMiddleware::new(sessions.clone());
        App::new().route("/", web::get().to(home)).service(guarded).wrap(middleware)
    });
    let server = server.workers(2).bind("127.0.0.1:0").unwrap();
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    let running = actix_web::rt::spawn(server);

    let page = over_a_socket(address, "/").await;
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(page.contains("set-cookie: own=1\r\n"), "{page}");
    assert!(page.contains("set-cookie: __Host-Http-session="), "{page}");
    assert!(page.contains("cache-control: no-store\r\n") && page.ends_with("\r\n\r\n1"), "{page}");

    let refused = over_a_socket(address, "/guarded/page").await;
    assert!(refused.starts_with("HTTP/1.1 303 See Other\r\n"), "{refused}");
    assert!(refused.contains("location: /login\r\n"), "{refused}");
    assert_eq!(refused.matches("set-cookie: __Host-Http-session").count(), 2, "{refused}");
    assert!(refused.ends_with("\r\n\r\ngo"), "{refused}");

    handle.stop(false).await;
    running.await.unwrap().unwrap();
}
