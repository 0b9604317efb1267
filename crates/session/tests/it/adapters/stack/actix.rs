//! The middleware, over an application of actix-web and over bare services.

use super::{Answer, Ask, Field, Inner, Layer, Plan, Route, Stack, Work};
use actix_web::{
    App, Error, FromRequest, HttpResponse,
    body::{BodySize, BoxBody, MessageBody},
    dev::{self, Payload, Service, ServiceRequest, ServiceResponse, Transform, fn_service},
    http::{Method, StatusCode, header::HeaderValue},
    test::{TestRequest, init_service, read_body},
    web::{self, Bytes, ServiceConfig},
};
use dframework_session::{SessionHandle, actix::SessionMiddleware, testing::Application as _};
use std::{
    future::{Ready, ready},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

pub(crate) struct Actix;

type Requests = Rc<dyn Fn(actix_http::Request) -> Local<ServiceResponse<BoxBody>>>;
type Local<T> = Pin<Box<dyn Future<Output = T>>>;
type Served = Local<Result<ServiceResponse<BoxBody>, Error>>;

impl Stack for Actix {
    type App = Requests;

    const NO_LAYER: &str = "no session for this handler: wrap the `App`, or the scope or resource of its route, in \
        `SessionMiddleware`";

    async fn build(plan: Plan) -> Requests {
        let layers = Layers(plan.layers);
        let app = match plan.inner {
            Inner::Routes(routes) => App::new().configure(move |config| {
                for (path, route) in routes {
                    config.service(resource(path, route));
                }
                plan.beside.into_iter().for_each(|other| beside(config, other));
            }),
            Inner::Service(handler) => {
                App::new().default_service(fn_service(move |request: ServiceRequest| {
                    let work = handler();
                    async move { Ok(request.into_response(respond(work).await?)) }
                }))
            }
        };
        let app = Rc::new(init_service(app.wrap(layers)).await);
        Rc::new(move |request| {
            let app = app.clone();
            Box::pin(async move { app.answer(request).await.map_into_boxed_body() })
        })
    }

    async fn answer(app: &Requests, asked: Ask) -> Answer {
        let method = Method::from_bytes(asked.method.as_bytes()).unwrap();
        let mut request = TestRequest::with_uri(&asked.path).method(method);
        for (name, value) in asked.fields {
            request = request.append_header((name, HeaderValue::from_bytes(&value).unwrap()));
        }
        let response = app(request.to_request()).await;
        let status = response.status().as_u16();
        let fields = fields(&response);
        let text = String::from_utf8(read_body(response).await.to_vec()).unwrap();
        Answer { status, fields, text }
    }

    fn take_now() -> Result<SessionHandle, dframework_session::Error> {
        let request = TestRequest::default().to_http_request();
        SessionHandle::from_request(&request, &mut Payload::None).into_inner()
    }
}

fn fields(response: &ServiceResponse<BoxBody>) -> Vec<Field> {
    let fields = response.headers().iter().map(|(name, value)| Field {
        name: name.to_string(),
        value: value.to_str().unwrap().to_owned(),
        is_sensitive: value.is_sensitive(),
    });
    fields.collect()
}

fn resource(path: &str, route: Route) -> actix_web::Resource {
    let route = match route {
        Route::Call(handler) => web::to(move || respond(handler())),
        Route::Take(handler) => web::to(move |session: SessionHandle| respond(handler(session))),
    };
    web::resource(path).route(route)
}

fn beside(config: &mut ServiceConfig, plan: Plan) {
    let Inner::Routes(routes) = plan.inner else { panic!("a service is not merged") };
    for (path, route) in routes {
        config.service(resource(path, route).wrap(Layers(plan.layers.clone())));
    }
}

async fn respond(work: Work) -> Result<HttpResponse, dframework_session::Error> {
    let reply = work.await?;
    let mut response =
        HttpResponse::build(StatusCode::from_u16(reply.status.unwrap_or(200)).unwrap());
    for field in reply.fields {
        response.append_header(field);
    }
    Ok(match reply.stream {
        None => response.body(reply.text),
        Some(stream) => response.body(Streamed { stream: Some(stream) }),
    })
}

/// A body that works while it is sent.
struct Streamed {
    stream: Option<Work>,
}

impl MessageBody for Streamed {
    type Error = dframework_session::Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        let reply = ready!(stream.as_mut().poll(context));
        self.stream = None;
        Poll::Ready(Some(reply.map(|reply| reply.text.into())))
    }
}

/// All layers of a plan, the innermost first, as one.
struct Layers(Vec<Layer>);

impl<S, B> Transform<S, ServiceRequest> for Layers
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Transform = Layered;
    type InitError = ();
    type Future = Ready<Result<Layered, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(self.0.iter().try_fold(Layered::new(service), around))
    }
}

fn around(inner: Layered, layer: &Layer) -> Result<Layered, ()> {
    match layer {
        Layer::Sessions(sessions) => {
            let service = SessionMiddleware::new(sessions.clone()).new_transform(inner);
            service.into_inner().map(Layered::new)
        }
        Layer::Around { before, after } => {
            let (before, after, inner) = (before.clone(), after.clone(), Rc::new(inner));
            Ok(Layered(Rc::new(move |request| {
                let (before, after, inner) = (before.clone(), after.clone(), inner.clone());
                Box::pin(async move {
                    before().await?;
                    let response = inner.call(request).await?;
                    after().await?;
                    Ok(response)
                })
            })))
        }
    }
}

/// A service of one type, whatever is in it. It is called at once.
struct Layered(Rc<dyn Fn(ServiceRequest) -> Served>);

impl Layered {
    fn new<S, B>(service: S) -> Self
    where
        S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
        B: MessageBody + 'static,
    {
        Self(Rc::new(move |request| {
            let response = service.call(request);
            Box::pin(async move { Ok(response.await?.map_into_boxed_body()) })
        }))
    }
}

impl Service<ServiceRequest> for Layered {
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Future = Served;

    dev::always_ready!();

    fn call(&self, request: ServiceRequest) -> Self::Future {
        (self.0)(request)
    }
}
