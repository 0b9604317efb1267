//! `WebSocket`s, over a socket on both frameworks: what goes on after a 101 has a handle and nothing else.

use super::{tasks::LATE, visit};
use crate::support::{Jar, OUTSIDE};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use axum::{
    Router,
    extract::ws::{Message, WebSocket, WebSocketUpgrade},
    response::Response,
    routing::get,
};
use dframework_session::{
    Error, RequestHead, ResponseHead, Session, SessionHandle, Sessions, actix::SessionMiddleware,
    tower::SessionLayer,
};
use futures_util::StreamExt;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What the other end says to a message.
async fn reply(session: &SessionHandle, message: &str) -> Result<String, Error> {
    match message {
        "facade" => Session::get_or("name", "guest").await,
        "scope" => Session::scope(session.clone(), Session::get_or("name", "guest")).await,
        "flash" => session.flash("status", "x").await.map(|()| String::new()),
        _ => {
            let visits = session.increment("visits", 1).await?;
            session.save().await?;
            Ok(visits.to_string())
        }
    }
}

async fn answer(session: &SessionHandle, message: &str) -> String {
    reply(session, message).await.unwrap_or_else(|error| error.to_string())
}

/// The upgrade itself changes the session too: it is no cookie that is needed for that.
async fn on_axum(upgrade: WebSocketUpgrade, session: SessionHandle) -> Result<Response, Error> {
    visit().await?;
    Ok(upgrade.on_upgrade(async move |mut socket: WebSocket| {
        while let Some(Ok(Message::Text(message))) = socket.recv().await {
            let text = answer(&session, &message).await;
            if socket.send(Message::Text(text.into())).await.is_err() {
                return;
            }
        }
    }))
}

async fn on_actix(
    request: HttpRequest,
    body: web::Payload,
    session: SessionHandle,
) -> Result<HttpResponse, actix_web::Error> {
    visit().await?;
    let (response, mut socket, mut messages) = actix_ws::handle(&request, body)?;
    actix_web::rt::spawn(async move {
        while let Some(Ok(actix_ws::Message::Text(message))) = messages.next().await {
            if socket.text(answer(&session, &message).await).await.is_err() {
                return;
            }
        }
    });
    Ok(response)
}

#[tokio::test]
async fn a_websocket_of_axum_works_with_the_handle_of_its_request() {
    let sessions = Sessions::memory();
    let app = Router::new().route("/", get(on_axum)).layer(SessionLayer::new(sessions.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async { axum::serve(listener, app).await });
    talk(address, &sessions).await;
    server.abort();
}

#[actix_web::test]
async fn a_websocket_of_actix_works_with_the_handle_of_its_request() {
    let sessions = Sessions::memory();
    let shared = sessions.clone();
    let app = move || {
        App::new().route("/", web::get().to(on_actix)).wrap(SessionMiddleware::new(shared.clone()))
    };
    let server = HttpServer::new(app).workers(1).bind("127.0.0.1:0").unwrap();
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    let running = actix_web::rt::spawn(server);
    talk(address, &sessions).await;
    handle.stop(false).await;
    running.await.unwrap().unwrap();
}

async fn talk(address: SocketAddr, sessions: &Sessions) {
    // A visitor without a session: the upgrade would have to make one, and is refused.
    let (head, _) = upgrade(address, &Jar::default()).await;
    assert!(head.starts_with("HTTP/1.1 500 "), "{head}");

    let mut jar = Jar::default();
    let first = sessions.open(RequestHead::new("GET"));
    first.set("name", "visitor").await.unwrap();
    jar.take(&sessions.commit(&first, ResponseHead::new(200)).await.unwrap().set_cookies);

    let (head, mut socket) = upgrade(address, &jar).await;
    assert!(head.starts_with("HTTP/1.1 101 ") && !head.contains("set-cookie"), "{head}");
    let late = format!("a flash message{LATE}");
    for (message, text) in [
        ("visit", "2"),
        ("visit", "3"),
        ("facade", OUTSIDE),
        ("scope", "visitor"),
        ("flash", &late),
    ] {
        assert_eq!(say(&mut socket, message).await, text, "{message}");
    }

    let field = jar.field();
    let elsewhere = sessions.open(RequestHead::new("GET").with_cookies([field.as_bytes()]));
    assert_eq!(elsewhere.get("visits").await.unwrap(), Some(3), "each was saved");
    elsewhere.destroy().await.unwrap();
    sessions.commit(&elsewhere, ResponseHead::new(200)).await.unwrap();
    let gone = say(&mut socket, "visit").await;
    assert!(gone.starts_with("the session has ended, by a logout"), "{gone}");
}

/// Asks for a WebSocket, and returns the head of the answer.
async fn upgrade(address: SocketAddr, jar: &Jar) -> (String, TcpStream) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: {}\r\n\r\n",
        jar.field()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    (String::from_utf8(head).unwrap().to_ascii_lowercase().replacen("http", "HTTP", 1), socket)
}

/// Sends a short text in a frame (RFC 6455, section 5.2) under a mask of zeros, and reads one.
async fn say(socket: &mut TcpStream, message: &str) -> String {
    let length = u8::try_from(message.len()).unwrap();
    let frame = [&[0x81, 0x80 | length, 0, 0, 0, 0], message.as_bytes()].concat();
    socket.write_all(&frame).await.unwrap();
    assert_eq!(socket.read_u8().await.unwrap(), 0x81, "a text, whole");
    let length = match socket.read_u8().await.unwrap() {
        126 => socket.read_u16().await.unwrap(),
        short => short.into(),
    };
    let mut text = vec![0; length.into()];
    socket.read_exact(&mut text).await.unwrap();
    String::from_utf8(text).unwrap()
}
