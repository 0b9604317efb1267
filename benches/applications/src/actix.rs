//! actix-web, bare and with this library.

use crate::{
    Application, Cookies, Waits, Worker,
    asked::FIELDS,
    axum::{begin, nothing, read, write},
    pairs,
};
use actix_web::{
    App, Error,
    body::MessageBody,
    dev::{Service, ServiceResponse},
    http::header::{self, HeaderName, HeaderValue},
    test::{TestRequest, init_service},
    web::get,
};
use dframework_session::{Sessions, actix::SessionMiddleware};
use futures_util::FutureExt;
use std::hint::black_box;

/// A worker of an application of actix-web.
pub struct ActixWorker<S>(pub S);

impl<S, B> ActixWorker<S>
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
{
    fn respond(
        &self,
        path: &'static str,
        cookies: Option<&str>,
    ) -> impl Future<Output = ServiceResponse<B>> + use<S, B> {
        let mut request = TestRequest::get().uri(path);
        // As a server gives them: none has an allocation of its own.
        for (name, value) in FIELDS {
            let field = (HeaderName::from_static(name), HeaderValue::from_static(value));
            request = request.insert_header(field);
        }
        if let Some(cookies) = cookies {
            request = request.insert_header((header::COOKIE, cookies));
        }
        let answered = self.0.call(request.to_request());
        answered.map(|answered| {
            let response = answered.expect("the handlers do not fail");
            assert!(response.status().is_success(), "{}", response.status());
            response
        })
    }
}

impl<S, B> Worker for ActixWorker<S>
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    fn answer(&mut self, path: &'static str, cookies: Option<&str>) -> Waits<'_, ()> {
        let response = self.respond(path, cookies);
        Box::pin(response.map(|response| drop(black_box(response))))
    }

    fn begin(&mut self, path: &'static str) -> Waits<'_, Cookies> {
        let response = self.respond(path, None);
        Box::pin(async {
            let response = response.await;
            pairs(response.headers().get_all(header::SET_COOKIE).map(HeaderValue::as_bytes))
        })
    }
}

/// Without sessions.
#[must_use]
pub fn bare() -> Box<dyn Application> {
    Box::new(Bare)
}

struct Bare;

impl Application for Bare {
    fn worker(&self) -> Waits<'_, Box<dyn Worker>> {
        Box::pin(async {
            let app = App::new()
                .route("/", get().to(nothing))
                .route("/read", get().to(nothing))
                .route("/write", get().to(nothing))
                .route("/new", get().to(nothing));
            Box::new(ActixWorker(init_service(app).await)) as Box<dyn Worker>
        })
    }
}

struct Ours(Sessions);

impl Application for Ours {
    fn worker(&self) -> Waits<'_, Box<dyn Worker>> {
        let middleware = SessionMiddleware::new(self.0.clone());
        Box::pin(async {
            let app = App::new()
                .wrap(middleware)
                .route("/", get().to(nothing))
                .route("/read", get().to(read))
                .route("/write", get().to(write))
                .route("/new", get().to(begin));
            Box::new(ActixWorker(init_service(app).await)) as Box<dyn Worker>
        })
    }
}

/// With this library.
#[must_use]
pub fn ours(sessions: Sessions) -> Box<dyn Application> {
    Box::new(Ours(sessions))
}
