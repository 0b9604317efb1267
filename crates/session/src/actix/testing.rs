//! The types of actix-web for the testing kit.
//!
//! A [`Visitor`](crate::testing::Visitor) takes what `TestRequest::to_request` makes, and sends it to what
//! `test::init_service` makes. A middleware's error is answered as the server answers it.
//!
//! ```
//! use actix_web::{App, test::{TestRequest, init_service, read_body}, web};
//! use dframework_session::{Error, Session, Sessions, actix::SessionMiddleware, testing::Visitor};
//!
//! async fn add(item: web::Form<Vec<(String, String)>>) -> Result<String, Error> {
//!     let names = item.iter().map(|(_, name)| name.clone()).collect::<Vec<_>>();
//!     Session::set("cart", &names).await?;
//!     Ok(names.join(" "))
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let sessions = Sessions::memory();
//! let app = App::new()
//!     .route("/cart", web::post().to(add))
//!     .wrap(SessionMiddleware::new(sessions.clone()));
//! let app = init_service(app).await;
//!
//! let mut visitor = Visitor::new(&sessions);
//! let request = TestRequest::post().uri("/cart").set_form([("name", "tea")]);
//! let response = visitor.send(&app, request.to_request()).await;
//! assert_eq!(response.status(), 200);
//! assert_eq!(read_body(response).await, "tea");
//! visitor.session().await.assert_value("cart", ["tea"]);
//! # });
//! ```

use crate::testing::{Application, HttpRequest, HttpResponse};
use actix_http::Request;
use actix_web::{
    body::EitherBody,
    dev::{Service, ServiceResponse},
    http::header::{self, HeaderName, HeaderValue},
    test::TestRequest,
};
use std::future::poll_fn;

impl<P> HttpRequest for Request<P> {
    fn method(&self) -> &str {
        self.method().as_str()
    }

    fn target(&self) -> String {
        self.uri().to_string()
    }

    fn add_field(&mut self, name: &'static str, value: &[u8]) {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            self.headers_mut().append(HeaderName::from_static(name), value);
        }
    }
}

impl<B> HttpResponse for ServiceResponse<B> {
    fn set_cookies(&self) -> impl Iterator<Item = &[u8]> {
        self.headers().get_all(header::SET_COOKIE).map(HeaderValue::as_bytes)
    }
}

/// A service of actix-web, which `test::init_service` makes of an `App`.
impl<S, P, B> Application<Request<P>> for S
where
    S: Service<Request<P>, Response = ServiceResponse<B>, Error = actix_web::Error>,
{
    type Response = ServiceResponse<EitherBody<B>>;

    async fn answer(&self, request: Request<P>) -> Self::Response {
        let ready = poll_fn(|context| self.poll_ready(context)).await;
        ready.unwrap_or_else(|error| panic!("the application is not ready: {error:?}"));
        let (uri, method) = (request.uri().to_string(), request.method().clone());
        match self.call(request).await {
            Ok(response) => response.map_into_left_body(),
            Err(error) => {
                // The service has kept the request, and a response is one to a request.
                let request = TestRequest::with_uri(&uri).method(method).to_http_request();
                ServiceResponse::new(request, error.error_response()).map_into_right_body()
            }
        }
    }
}
