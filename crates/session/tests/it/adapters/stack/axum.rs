//! The layer, over an axum router and over bare services.

use super::{Answer, Ask, Field, Inner, Layer, Plan, Reply, Route, Stack, Work};
use axum::{
    Router,
    body::{Body, HttpBody},
    extract::{FromRequestParts, Request},
    http::{HeaderMap, StatusCode, request},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::any,
};
use dframework_session::{Error, SessionHandle, tower::SessionLayer};
use http_body::Frame;
use std::{
    convert::Infallible,
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
};
use tower::{ServiceBuilder, ServiceExt, service_fn, util::BoxCloneService};

pub(crate) struct Axum;

type App = BoxCloneService<Request, Response, Infallible>;

impl Stack for Axum {
    type App = App;

    const NO_LAYER: &str = "no session for this handler: add `SessionLayer` to the router after its route, or, where \
        middleware spawns the rest of a request, spawn it with `Session::spawn`";

    async fn build(plan: Plan) -> App {
        match plan.inner {
            Inner::Routes(_) => BoxCloneService::new(router(plan)),
            Inner::Service(handler) => {
                let service = service_fn(move |_: Request| respond(handler()));
                let service = BoxCloneService::new(service);
                plan.layers.into_iter().fold(service, around)
            }
        }
    }

    async fn answer(app: &App, asked: Ask) -> Answer {
        let mut request = request::Builder::new().method(asked.method).uri(asked.path);
        for (name, value) in asked.fields {
            request = request.header(name, value);
        }
        let request = request.body(Body::empty()).unwrap();
        let (head, body) = app.clone().oneshot(request).await.unwrap().into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Answer { status: head.status.as_u16(), fields: fields(&head.headers), text }
    }

    fn take_now() -> Result<SessionHandle, Error> {
        let (mut parts, ()) = axum::http::Request::new(()).into_parts();
        let mut extraction = pin!(SessionHandle::from_request_parts(&mut parts, &()));
        match extraction.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(handle) => handle,
            Poll::Pending => panic!("the extraction waits"),
        }
    }
}

fn fields(headers: &HeaderMap) -> Vec<Field> {
    let field = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| Field {
        name: name.to_string(),
        value: value.to_str().unwrap().to_owned(),
        is_sensitive: value.is_sensitive(),
    };
    headers.iter().map(field).collect()
}

fn router(plan: Plan) -> Router {
    let Inner::Routes(routes) = plan.inner else { panic!("a service is not merged") };
    let router = routes.into_iter().fold(Router::new(), |router, (path, handler)| {
        let handler = match handler {
            Route::Call(handler) => any(move || respond(handler())),
            Route::Take(handler) => any(move |session: SessionHandle| respond(handler(session))),
        };
        router.route(path, handler)
    });
    let router = plan.layers.into_iter().fold(router, |router, layer| match layer {
        Layer::Sessions(sessions) => router.layer(SessionLayer::new(sessions)),
        layer @ Layer::Around { .. } => router.layer(from_fn(between(layer))),
    });
    plan.beside.into_iter().fold(router, |router, other| router.merge(self::router(other)))
}

fn around(service: App, layer: Layer) -> App {
    match layer {
        Layer::Sessions(sessions) => BoxCloneService::new(
            ServiceBuilder::new().layer(SessionLayer::new(sessions)).service(service),
        ),
        Layer::Around { .. } => panic!("a bare service has no middleware of the router"),
    }
}

fn between(
    layer: Layer,
) -> impl Fn(Request, Next) -> Pin<Box<dyn Future<Output = Result<Response, Error>> + Send>> + Clone
{
    move |request, next| {
        let Layer::Around { before, after } = layer.clone() else { panic!("not between") };
        Box::pin(async move {
            before().await?;
            let response = next.run(request).await;
            after().await?;
            Ok(response)
        })
    }
}

async fn respond(work: Work) -> Result<Response, Infallible> {
    Ok(work.await.map(response).into_response())
}

fn response(reply: Reply) -> Response {
    let body = match reply.stream {
        None => Body::from(reply.text),
        Some(stream) => Body::new(Streamed { stream, last: None }),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(reply.status.unwrap_or(200)).unwrap();
    for (name, value) in reply.fields {
        response.headers_mut().append(name, value.parse().unwrap());
    }
    response
}

/// A body that works while it is sent.
struct Streamed {
    stream: Work,
    last: Option<Body>,
}

impl HttpBody for Streamed {
    type Data = axum::body::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, axum::Error>>> {
        if self.last.is_none() {
            let reply = ready!(self.stream.as_mut().poll(context));
            self.last = Some(Body::from(reply.map_err(axum::Error::new)?.text));
        }
        Pin::new(self.last.as_mut().expect("it was put there above")).poll_frame(context)
    }
}
