//! A browser, as far as it counts: it sends its cookies, and keeps what it is given.

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Request, Response, header},
};
use tower::ServiceExt;

#[derive(Clone)]
pub(crate) struct Client {
    app: Router,
    cookies: Option<HeaderValue>,
}

impl Client {
    pub(crate) fn new(app: Router) -> Self {
        Self { app, cookies: None }
    }

    /// Another one, without cookies.
    pub(crate) fn stranger(&self) -> Self {
        Self::new(self.app.clone())
    }

    /// Sends a request, and keeps the cookies.
    pub(crate) async fn send(&mut self, path: &str) -> Result<(), String> {
        let response = self.answer(path).await?;
        let lines = response.headers().get_all(header::SET_COOKIE).iter();
        let pairs = lines.filter_map(|line| line.to_str().ok()?.split(';').next());
        let cookies = pairs.collect::<Vec<_>>().join("; ");
        if cookies.is_empty() {
            return Err(format!("{path} made no session"));
        }
        self.cookies = HeaderValue::from_str(&cookies).ok();
        Ok(())
    }

    /// Sends a request that changes no cookie.
    pub(crate) async fn ask(&self, path: &str) -> Result<(), String> {
        self.answer(path).await.map(drop)
    }

    /// Sends a request that is answered with a number.
    pub(crate) async fn number(&self, path: &str) -> Result<i64, String> {
        let body = self.answer(path).await?.into_body();
        let bytes = axum::body::to_bytes(body, 100).await.map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&bytes);
        text.parse().map_err(|_| format!("{path} was answered with {text:?}"))
    }

    async fn answer(&self, path: &str) -> Result<Response<Body>, String> {
        let mut request = Request::builder().uri(path);
        if let Some(cookies) = &self.cookies {
            request = request.header(header::COOKIE, cookies);
        }
        let request = request.body(Body::empty()).map_err(|error| error.to_string())?;
        let Ok(response) = self.app.clone().oneshot(request).await;
        if !response.status().is_success() {
            return Err(format!("{path} was answered with {}", response.status()));
        }
        Ok(response)
    }
}
