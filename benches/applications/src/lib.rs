//! Applications with this library and without sessions, and what is asked of them.

pub mod actix;
pub mod asked;
pub mod axum;
pub mod least;

use ::axum::Router;
use std::pin::Pin;

/// The value of a Set-Cookie field, or several, as a browser sends them back.
pub type Cookies = Option<String>;

/// What waits for an answer.
pub type Waits<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// One worker of an application. It answers one request after the other.
pub trait Worker {
    /// Answers a request that brings these cookies.
    fn answer(&mut self, path: &'static str, cookies: Option<&str>) -> Waits<'_, ()>;

    /// Answers a request without cookies, and gives those of the answer.
    fn begin(&mut self, path: &'static str) -> Waits<'_, Cookies>;
}

/// Makes the workers of one application, which share its sessions.
pub trait Application: Send + Sync {
    fn worker(&self) -> Waits<'_, Box<dyn Worker>>;

    /// What a server serves, where it is one of axum.
    fn router(&self) -> Option<Router> {
        None
    }
}

/// The pairs of Set-Cookie lines, as a browser sends them back.
pub fn pairs<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Cookies {
    let pair = |line: &[u8]| {
        let end = line.iter().position(|byte| *byte == b';').unwrap_or(line.len());
        String::from_utf8_lossy(&line[..end]).into_owned()
    };
    let pairs: Vec<String> = lines.map(pair).collect();
    (!pairs.is_empty()).then(|| pairs.join("; "))
}
