//! What the scenarios know of a framework: an application that is built from a plan, and answers requests.

mod actix;
mod axum;

pub(crate) use actix::Actix;
pub(crate) use axum::Axum;

use crate::support::Jar;
use dframework_session::{Error, SessionHandle, Sessions};
use std::{pin::Pin, sync::Arc};

/// A framework with its adapter.
pub(crate) trait Stack {
    /// What the extractor fails with where no layer is.
    const NO_LAYER: &str;

    /// A clone answers as well.
    type App: Clone + 'static;

    async fn build(plan: Plan) -> Self::App;

    /// Sends a request and reads the whole answer. To drop the future is to hang up.
    async fn answer(app: &Self::App, request: Ask) -> Answer;

    /// What the extractor gives at once, to code that runs here.
    fn take_now() -> Result<SessionHandle, Error>;
}

/// A request.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) fields: Vec<(&'static str, Vec<u8>)>,
}

impl Ask {
    pub(crate) fn get(path: &str) -> Self {
        Self { method: "GET", path: path.to_owned(), fields: Vec::new() }
    }

    pub(crate) fn field(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push((name, value.as_ref().to_vec()));
        self
    }

    /// By a browser with these cookies.
    pub(crate) fn by(self, jar: &Jar) -> Self {
        if jar.is_empty() { self } else { self.field("cookie", jar.field()) }
    }
}

/// A response that has been read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<Field>,
    pub(crate) text: String,
}

#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) is_sensitive: bool,
}

impl Answer {
    /// All fields of a name, as one list.
    pub(crate) fn field(&self, name: &str) -> Vec<&str> {
        self.fields
            .iter()
            .filter(|field| field.name == name)
            .map(|field| field.value.as_str())
            .collect()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.field("set-cookie").into_iter().map(str::to_owned).collect()
    }
}

/// What a handler makes its response of.
#[derive(Default)]
pub(crate) struct Reply {
    pub(crate) status: Option<u16>,
    pub(crate) fields: Vec<(&'static str, &'static str)>,
    pub(crate) text: String,
    /// Runs while the body is sent; its text comes after the other.
    pub(crate) stream: Option<Work>,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self { status: Some(status), ..Self::default() }
    }

    pub(crate) fn fields(fields: &[(&'static str, &'static str)]) -> Self {
        Self { fields: fields.to_vec(), ..Self::default() }
    }

    pub(crate) fn stream<F: Future<Output = Result<Reply, Error>> + Send + 'static>(
        stream: F,
    ) -> Self {
        Self { stream: Some(Box::pin(stream)), ..Self::default() }
    }
}

impl From<()> for Reply {
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl From<String> for Reply {
    fn from(text: String) -> Self {
        Self { text, ..Self::default() }
    }
}

impl From<&str> for Reply {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<i64> for Reply {
    fn from(number: i64) -> Self {
        number.to_string().into()
    }
}

/// A handler at work.
pub(crate) type Work = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>;
pub(crate) type Handler = Arc<dyn Fn() -> Work + Send + Sync>;
pub(crate) type Taker = Arc<dyn Fn(SessionHandle) -> Work + Send + Sync>;

#[derive(Clone)]
pub(crate) enum Route {
    /// It finds the session where the code runs.
    Call(Handler),
    /// It takes the session as an argument.
    Take(Taker),
}

/// A handler that finds its session.
pub(crate) fn call<F, W, R>(handler: F) -> Route
where
    F: Fn() -> W + Send + Sync + 'static,
    W: Future<Output = Result<R, Error>> + Send + 'static,
    R: Into<Reply>,
{
    Route::Call(handler_of(handler))
}

fn handler_of<F, W, R>(handler: F) -> Handler
where
    F: Fn() -> W + Send + Sync + 'static,
    W: Future<Output = Result<R, Error>> + Send + 'static,
    R: Into<Reply>,
{
    Arc::new(move || {
        let work = handler();
        Box::pin(async move { work.await.map(Into::into) })
    })
}

/// A handler that takes its session.
pub(crate) fn take<F, W, R>(handler: F) -> Route
where
    F: Fn(SessionHandle) -> W + Send + Sync + 'static,
    W: Future<Output = Result<R, Error>> + Send + 'static,
    R: Into<Reply>,
{
    Route::Take(Arc::new(move |session| {
        let work = handler(session);
        Box::pin(async move { work.await.map(Into::into) })
    }))
}

/// What lies around the handlers.
#[derive(Clone)]
pub(crate) enum Layer {
    Sessions(Sessions),
    /// Middleware of the application. What fails is its answer.
    Around {
        before: Handler,
        after: Handler,
    },
}

/// What there is at the bottom of an application.
pub(crate) enum Inner {
    Routes(Vec<(&'static str, Route)>),
    /// A service without a router: the function runs when it is called, before there is a future.
    Service(Handler),
}

/// An application.
pub(crate) struct Plan {
    pub(crate) inner: Inner,
    /// From the innermost.
    pub(crate) layers: Vec<Layer>,
    /// Others beside it, each with its own layers.
    pub(crate) beside: Vec<Plan>,
}

impl Plan {
    pub(crate) fn new() -> Self {
        Self { inner: Inner::Routes(Vec::new()), layers: Vec::new(), beside: Vec::new() }
    }

    pub(crate) fn service<F, W, R>(service: F) -> Self
    where
        F: Fn() -> W + Send + Sync + 'static,
        W: Future<Output = Result<R, Error>> + Send + 'static,
        R: Into<Reply>,
    {
        Self { inner: Inner::Service(handler_of(service)), ..Self::new() }
    }

    pub(crate) fn route(mut self, path: &'static str, route: Route) -> Self {
        match &mut self.inner {
            Inner::Routes(routes) => routes.push((path, route)),
            Inner::Service(_) => panic!("a service has no routes"),
        }
        self
    }

    /// Outside of what is there.
    pub(crate) fn layer(mut self, sessions: &Sessions) -> Self {
        self.layers.push(Layer::Sessions(sessions.clone()));
        self
    }

    /// Outside of what is there, like `layer`.
    pub(crate) fn around<B, F, A, G>(mut self, before: B, after: A) -> Self
    where
        B: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), Error>> + Send + 'static,
        A: Fn() -> G + Send + Sync + 'static,
        G: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let (before, after) = (handler_of(before), handler_of(after));
        self.layers.push(Layer::Around { before, after });
        self
    }

    pub(crate) fn beside(mut self, other: Self) -> Self {
        self.beside.push(other);
        self
    }
}
