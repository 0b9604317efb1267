//! News while they happen, as server-sent events and over a WebSocket, until the user logs out; and their tests.
//!
//! `cargo run -p dframework-session --example live` starts it, `cargo test` runs the tests at the end of this file.
//!
//! What goes on after the head of its response has a handle. It stores by `save`, and learns of a logout in two ways: at once,
//! by the events of its `Sessions`, and where another process ended the session, by the next `save`.
//!
//! **Why the socket looks at `Origin`.** Any page may open a WebSocket to any site and read what comes back. `SameSite=Lax` keeps
//! the cookie from pages of other sites, but a page on another subdomain is of the same site.

use axum::{
    Form, Router,
    extract::{
        State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::{
        HeaderMap, StatusCode,
        header::{HOST, HeaderName, ORIGIN},
    },
    response::{IntoResponse, Redirect, Response, Sse, sse},
    routing::{get, post},
};
use dframework_session::{
    Config, DriverName, Error, Event, Session, SessionHandle, Sessions, store::SessionId,
    tower::SessionLayer,
};
use futures_util::stream;
use serde::Deserialize;
use std::convert::Infallible;
use tokio::sync::broadcast::{self, Receiver, Sender, error::RecvError};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (app, _) = app().await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

/// What all requests share.
#[derive(Clone)]
struct Live {
    news: Sender<String>,
    /// What ends sessions.
    ends: Sender<Event>,
}

async fn app() -> Result<(Router, Sessions), Error> {
    let live = Live { news: broadcast::channel(100).0, ends: broadcast::channel(1000).0 };
    let ends = live.ends.clone();
    let config = Config::new().driver(DriverName::Memory).on_event(move |event| match event {
        // Most events are none of these, and a hook must be fast: nothing waits here.
        Event::Destroyed { .. }
        | Event::Revoked { .. }
        | Event::Regenerated { .. }
        | Event::OthersRevoked { .. }
        | Event::AllRevoked { .. } => drop(ends.send(event.clone())),
        _ => {}
    });
    let sessions = Sessions::connect(&config).await?;
    let app = Router::new()
        .route("/", get(home))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/news", post(publish).get(events))
        .route("/socket", get(socket))
        .with_state(live)
        .layer(SessionLayer::new(sessions.clone()));
    Ok((app, sessions))
}

async fn home() -> Result<String, Error> {
    Ok(format!("you have read {} news\n", Session::get_or("read", &0).await?))
}

/// A real one checks a password: see the example `login`.
async fn login() -> Result<Redirect, Error> {
    Session::set_owner("guest").await?;
    Ok(Redirect::to("/"))
}

async fn logout() -> Result<Redirect, Error> {
    Session::destroy().await?;
    Ok(Redirect::to("/"))
}

#[derive(Deserialize)]
struct News {
    text: String,
}

async fn publish(State(live): State<Live>, Form(news): Form<News>) -> Result<Response, Error> {
    if Session::owner().await?.is_none() {
        return Ok(refused());
    }
    // Fails where nobody reads.
    drop(live.news.send(news.text));
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn events(State(live): State<Live>, session: SessionHandle) -> Result<Response, Error> {
    let Some(reader) = Reader::of(&live, session).await? else { return Ok(refused()) };
    let next = async |mut reader: Reader| {
        let text = reader.next().await?;
        let line = reader.note(&text).await.ok()?;
        Some((Ok::<_, Infallible>(sse::Event::default().data(line)), reader))
    };
    Ok(Sse::new(stream::unfold(reader, next)).into_response())
}

async fn socket(
    State(live): State<Live>,
    session: SessionHandle,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Error> {
    if !is_own_page(&headers) {
        return Ok(StatusCode::FORBIDDEN.into_response());
    }
    let Some(reader) = Reader::of(&live, session).await? else { return Ok(refused()) };
    Ok(upgrade.on_upgrade(async move |socket| talk(live, reader, socket).await))
}

/// Whether a page of this very host asks, or no page at all. Behind a proxy that changes `Host`, compare with the name that users see.
fn is_own_page(headers: &HeaderMap) -> bool {
    let field =
        |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let Some(origin) = field(ORIGIN) else { return true };
    origin.split_once("://").is_some_and(|(_, host)| Some(host) == field(HOST))
}

/// Sends the news, and publishes what the other end says.
async fn talk(live: Live, mut reader: Reader, mut socket: WebSocket) {
    loop {
        // Both may be dropped half-way: the branch that loses begins anew in the next round.
        let text = tokio::select! {
            text = reader.next() => text,
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => {
                    drop(live.news.send(text.to_string()));
                    continue;
                }
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return,
            },
        };
        let Some(text) = text else { break };
        let Ok(line) = reader.note(&text).await else { break };
        if socket.send(Message::Text(line.into())).await.is_err() {
            return;
        }
    }
    // Logged out: browsers that connect again are refused.
    drop(socket.send(Message::Close(None)).await);
}

fn refused() -> Response {
    (StatusCode::UNAUTHORIZED, "log in first\n").into_response()
}

/// Somebody who reads news, as long as the session lives.
struct Reader {
    session: SessionHandle,
    id: SessionId,
    owner: String,
    news: Receiver<String>,
    ends: Receiver<Event>,
}

impl Reader {
    async fn of(live: &Live, session: SessionHandle) -> Result<Option<Self>, Error> {
        // Listening comes first, so that no logout passes unheard between the look and the listening.
        let (news, ends) = (live.news.subscribe(), live.ends.subscribe());
        let (Some(id), Some(owner)) = (session.id().await?, session.owner().await?) else {
            return Ok(None);
        };
        Ok(Some(Self { session, id, owner, news, ends }))
    }

    /// Waits for news; nothing when the session has ended.
    async fn next(&mut self) -> Option<String> {
        loop {
            tokio::select! {
                biased;
                end = self.ends.recv() => if end.map_or(true, |end| self.is_ended_by(&end)) {
                    return None;
                },
                text = self.news.recv() => match text {
                    Ok(text) => return Some(text),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    }

    fn is_ended_by(&self, end: &Event) -> bool {
        match end {
            Event::Destroyed { id, .. } | Event::Revoked { id, .. } => *id == self.id,
            Event::Regenerated { previous, .. } => *previous == self.id,
            Event::OthersRevoked { owner, kept, .. } => {
                owner.as_str() == self.owner && *kept != Some(self.id)
            }
            Event::AllRevoked { owner, .. } => owner.as_str() == self.owner,
            _ => false,
        }
    }

    /// Counts what was read. Nothing but `save` stores it: the response is under way.
    async fn note(&self, text: &str) -> Result<String, Error> {
        let number = self.session.increment("read", 1).await?;
        self.session.save().await?;
        Ok(format!("{number}: {text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{
        body::BodyDataStream,
        http::{Request, header::COOKIE},
    };
    use dframework_session::{testing::Visitor, tower::testing::form};
    use futures_util::StreamExt;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    type Failure = Box<dyn std::error::Error>;

    async fn guest() -> Result<(Router, Sessions, Visitor), Error> {
        let (app, sessions) = app().await?;
        let mut visitor = Visitor::new(&sessions);
        visitor.send(&app, Request::post("/login")).await;
        Ok((app, sessions, visitor))
    }

    async fn listen(app: &Router, visitor: &mut Visitor) -> BodyDataStream {
        visitor.send(app, Request::get("/news")).await.into_body().into_data_stream()
    }

    async fn tell(app: &Router, visitor: &mut Visitor, text: &str) {
        visitor.send(app, form("/news", [("text", text)])).await;
    }

    /// The next event; nothing when the stream has ended.
    async fn heard(events: &mut BodyDataStream) -> Result<Option<String>, Failure> {
        let Some(event) = events.next().await else { return Ok(None) };
        Ok(Some(String::from_utf8(event?.to_vec())?))
    }

    #[tokio::test]
    async fn what_was_read_is_counted_while_the_stream_runs() -> Result<(), Failure> {
        let (app, _, mut visitor) = guest().await?;
        let mut events = listen(&app, &mut visitor).await;
        for (number, text) in [(1, "rain"), (2, "sun")] {
            tell(&app, &mut visitor, text).await;
            let event = format!("data: {number}: {text}\n\n");
            assert_eq!(heard(&mut events).await?, Some(event));
            visitor.session().await.assert_value("read", number);
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_logout_ends_the_stream_at_once() -> Result<(), Failure> {
        let (app, sessions, mut visitor) = guest().await?;
        let mut events = listen(&app, &mut visitor).await;
        visitor.send(&app, Request::post("/logout")).await;
        assert_eq!(heard(&mut events).await?, None);

        visitor.send(&app, Request::post("/login")).await;
        let mut events = listen(&app, &mut visitor).await;
        sessions.revoke_all("guest").await?;
        assert_eq!(heard(&mut events).await?, None);
        Ok(())
    }

    #[tokio::test]
    async fn a_logout_elsewhere_is_seen_by_the_next_save() -> Result<(), Failure> {
        let (app, _, mut visitor) = guest().await?;
        // As in another process: what ends sessions here is told elsewhere.
        let deaf = Live { news: broadcast::channel(1).0, ends: broadcast::channel(1).0 };
        let reader = visitor.with(async |session| Reader::of(&deaf, session).await).await?;
        let reader = reader.ok_or("nobody is logged in")?;
        assert_eq!(reader.note("rain").await?, "1: rain");
        visitor.send(&app, Request::post("/logout")).await;
        let refused = reader.note("sun").await;
        assert!(refused.is_err_and(|error| error.is_gone()));
        Ok(())
    }

    #[tokio::test]
    async fn visitors_are_refused() -> Result<(), Failure> {
        let (app, sessions) = app().await?;
        let mut visitor = Visitor::new(&sessions);
        assert_eq!(visitor.send(&app, Request::get("/news")).await.status(), 401);
        let text = form("/news", [("text", "rain")]);
        assert_eq!(visitor.send(&app, text).await.status(), 401);
        Ok(())
    }

    #[test]
    fn only_pages_of_this_host_open_a_socket() -> Result<(), Failure> {
        for (origin, is_own) in [
            (None, true),
            (Some("https://news.example"), true),
            (Some("http://news.example:3000"), false),
            (Some("https://blog.news.example"), false),
            (Some("https://news.example.elsewhere.example"), false),
            (Some("null"), false),
        ] {
            let mut headers = HeaderMap::from_iter([(HOST, "news.example".parse()?)]);
            if let Some(origin) = origin {
                headers.insert(ORIGIN, origin.parse()?);
            }
            assert_eq!(is_own_page(&headers), is_own, "{origin:?}");
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_socket_talks_until_the_logout() -> Result<(), Failure> {
        let (app, sessions, mut visitor) = guest().await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut socket = TcpStream::connect(listener.local_addr()?).await?;
        tokio::spawn(async { axum::serve(listener, app).await });
        let cookies = visitor.request(Request::get("/socket"));
        let cookies = cookies.headers_ref().and_then(|fields| fields.get(COOKIE)).cloned();
        let cookies = cookies.as_ref().map_or("", |cookies| cookies.to_str().unwrap_or_default());
        for (origin, status) in [("http://other.localhost", "403"), ("http://localhost", "101")] {
            let request = format!(
                "GET /socket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                 Origin: {origin}\r\nCookie: {cookies}\r\n\r\n"
            );
            socket.write_all(request.as_bytes()).await?;
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(socket.read_u8().await?);
            }
            let head = String::from_utf8(head)?;
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{origin}: {head}");
        }
        // A text of four bytes under a mask of zeros (RFC 6455, section 5.2), and the answer.
        socket.write_all(b"\x81\x84\0\0\0\0rain").await?;
        let mut frame = [0; 9];
        socket.read_exact(&mut frame).await?;
        assert_eq!(&frame, b"\x81\x071: rain");
        visitor.session().await.assert_value("read", 1);
        sessions.revoke_all("guest").await?;
        assert_eq!(socket.read_u8().await?, 0x88, "it is closed");
        Ok(())
    }
}
