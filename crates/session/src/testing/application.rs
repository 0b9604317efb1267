//! What the kit asks of a framework: a request to put fields on, a response with cookies, an application.
//!
//! Adapters implement these for the types of their framework, so that one [`Visitor`](super::Visitor) fits all.

use crate::HeadChanges;

/// A request to which a visitor adds what a browser sends.
///
/// ```
/// use dframework_session::{Sessions, testing::{HttpRequest, Visitor}};
///
/// struct Get {
///     path: &'static str,
///     head: String,
/// }
///
/// impl HttpRequest for Get {
///     fn method(&self) -> &str {
///         "GET"
///     }
///
///     fn target(&self) -> String {
///         self.path.to_owned()
///     }
///
///     fn add_field(&mut self, name: &'static str, value: &[u8]) {
///         self.head += &format!("{name}: {}\r\n", String::from_utf8_lossy(value));
///     }
/// }
///
/// let mut visitor = Visitor::new(&Sessions::memory());
/// visitor.receive(&["theme=dark"]);
/// let request = visitor.request(Get { path: "/", head: String::new() });
/// assert!(request.head.contains("cookie: theme=dark\r\n"));
/// ```
pub trait HttpRequest {
    /// The method, in capitals.
    fn method(&self) -> &str;

    /// What is asked for: a path, or a whole address.
    fn target(&self) -> String;

    /// Adds a field. The value of `Cookie` need not be UTF-8.
    fn add_field(&mut self, name: &'static str, value: &[u8]);
}

/// A response from which a visitor takes cookies.
pub trait HttpResponse {
    /// Its `Set-Cookie` fields, in order.
    fn set_cookies(&self) -> impl Iterator<Item = &[u8]>;
}

/// An application that answers requests of this type.
pub trait Application<Q> {
    /// What it answers with.
    type Response: HttpResponse;

    /// Answers a request.
    ///
    /// # Panics
    ///
    /// It fails in a way that is no response.
    fn answer(&self, request: Q) -> impl Future<Output = Self::Response>;
}

impl HttpResponse for HeadChanges {
    fn set_cookies(&self) -> impl Iterator<Item = &[u8]> {
        self.set_cookies.iter().map(String::as_bytes)
    }
}

/// `Set-Cookie` lines on their own.
impl<L: AsRef<[u8]>> HttpResponse for [L] {
    fn set_cookies(&self) -> impl Iterator<Item = &[u8]> {
        self.iter().map(AsRef::as_ref)
    }
}

/// As many lines.
impl<L: AsRef<[u8]>, const N: usize> HttpResponse for [L; N] {
    fn set_cookies(&self) -> impl Iterator<Item = &[u8]> {
        self.iter().map(AsRef::as_ref)
    }
}

/// As many lines.
impl<L: AsRef<[u8]>> HttpResponse for Vec<L> {
    fn set_cookies(&self) -> impl Iterator<Item = &[u8]> {
        self.iter().map(AsRef::as_ref)
    }
}
