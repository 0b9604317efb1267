//! A server on loopback that writes down what it is asked, and holds requests and answers where a test says so.

use super::{Certificate, tls::TlsListener, watched::Watched};
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderName, header},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use std::sync::Arc;
use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot};

/// An application behind a socket. It ends with this value.
pub(crate) struct Server {
    origin: String,
    port: u16,
    traffic: Arc<Traffic>,
    _runtime: Runtime,
}

/// What has come in, and what is held.
#[derive(Default)]
struct Traffic {
    asked: Watched<Vec<Asked>>,
    held: Watched<Vec<Held>>,
}

/// A request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Method, path and query: `GET /poll?1`.
    pub(crate) request: String,
    /// Its Cookie fields.
    pub(crate) cookies: String,
    /// `Sec-Fetch-Dest` and `Sec-Purpose`, where they are.
    pub(crate) purpose: String,
}

/// On which side of the application a request is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    /// Before the application has seen it.
    Request,
    /// After the application has answered, commit included, before the browser hears of it.
    Answer,
}

struct Held {
    side: Side,
    request: String,
    place: Place,
}

enum Place {
    Empty,
    Taken(oneshot::Sender<()>),
    Open,
}

/// Holds one request on one side.
pub(crate) struct Gate {
    traffic: Arc<Traffic>,
    index: usize,
}

impl Server {
    /// Serves plain http.
    pub(crate) fn start(app: Router) -> Self {
        Self::serve(app, "http://127.0.0.1", |listener, app| {
            tokio::spawn(axum::serve(listener, app).into_future());
        })
    }

    /// Serves https, under every name that the certificate is for.
    pub(crate) fn start_tls(app: Router, certificate: &Certificate) -> Self {
        Self::serve(app, "https://shop.example", |listener, app| {
            let listener = TlsListener::new(listener, certificate);
            tokio::spawn(axum::serve(listener, app).into_future());
        })
    }

    fn serve(app: Router, origin: &str, spawn: impl FnOnce(TcpListener, Router)) -> Self {
        let runtime = Runtime::new().unwrap();
        let _entered = runtime.enter();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let traffic = Arc::<Traffic>::default();
        spawn(listener, app.layer(from_fn_with_state(traffic.clone(), pass)));
        Self { origin: format!("{origin}:{port}"), port, traffic, _runtime: runtime }
    }

    /// An address of this server.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// An address of this server under another name.
    pub(crate) fn url_at(&self, host: &str, path: &str) -> String {
        format!("https://{host}:{}{path}", self.port)
    }

    /// The latest request of exactly this method, path and query.
    #[track_caller]
    pub(crate) fn latest(&self, request: &str) -> Asked {
        let found = self.asked().into_iter().rev().find(|asked| asked.request == request);
        found.unwrap_or_else(|| panic!("nobody asked for {request}"))
    }

    /// Everything that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.traffic.asked.with(|asked| asked.clone())
    }

    /// Waits until as many requests as this that begin so have come since the first `after` of all.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize, request: &str, after: usize) {
        self.traffic.asked.wait(request, |asked| {
            let new = asked.iter().skip(after);
            let come = new.filter(|asked| asked.request.starts_with(request)).count();
            (come >= count).then_some(())
        });
    }

    /// Holds the next request of exactly this method, path and query.
    pub(crate) fn hold(&self, side: Side, request: &str) -> Gate {
        let held = Held { side, request: request.to_owned(), place: Place::Empty };
        let index = self.traffic.held.with(|all| {
            all.push(held);
            all.len() - 1
        });
        Gate { traffic: self.traffic.clone(), index }
    }
}

impl Gate {
    /// Waits until somebody is held here.
    #[track_caller]
    pub(crate) fn arrived(&self) {
        self.traffic.held.wait("a request at its gate", |all| match all[self.index].place {
            Place::Empty => None,
            Place::Taken(_) | Place::Open => Some(()),
        });
    }

    /// Waits until somebody is held here, and lets them go on.
    #[track_caller]
    pub(crate) fn open(&self) {
        self.arrived();
        self.traffic.held.with(|all| {
            let place = std::mem::replace(&mut all[self.index].place, Place::Open);
            if let Place::Taken(let_through) = place {
                let _ = let_through.send(());
            }
        });
    }
}

impl Traffic {
    async fn wait_at_gate(&self, side: Side, request: &str) {
        let opened = self.held.with(|all| {
            let is_it = |held: &&mut Held| {
                held.side == side && held.request == request && matches!(held.place, Place::Empty)
            };
            all.iter_mut().find(is_it).map(|held| {
                let (let_through, opened) = oneshot::channel();
                held.place = Place::Taken(let_through);
                opened
            })
        });
        if let Some(opened) = opened {
            let _ = opened.await;
        }
    }
}

/// Around the whole application: what comes in is written down, and waits where a gate is.
async fn pass(State(traffic): State<Arc<Traffic>>, request: Request, next: Next) -> Response {
    let asked = Asked::of(&request);
    let name = asked.request.clone();
    traffic.asked.with(|all| all.push(asked));
    traffic.wait_at_gate(Side::Request, &name).await;
    let response = next.run(request).await;
    traffic.wait_at_gate(Side::Answer, &name).await;
    response
}

impl Asked {
    fn of(request: &Request) -> Self {
        let fields = |name: HeaderName| {
            let fields = request.headers().get_all(name).into_iter();
            let fields = fields.map(|field| String::from_utf8_lossy(field.as_bytes()));
            fields.collect::<Vec<_>>().join("; ")
        };
        let dest = fields(HeaderName::from_static("sec-fetch-dest"));
        let purpose = fields(HeaderName::from_static("sec-purpose"));
        Self {
            request: format!("{} {}", request.method(), request.uri()),
            cookies: fields(header::COOKIE),
            purpose: format!("{dest} {purpose}").trim().to_owned(),
        }
    }
}
