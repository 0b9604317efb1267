// The browser of the examples: it keeps the cookies that it is sent and brings them with the next request.
#[allow(unused_imports)]
pub use dframework_session::{
    Clock, Config, DriverName, Error, Key, RequestHead, ResponseHead, Session, SessionHandle,
    Sessions,
};
#[allow(unused_imports)]
pub use std::time::Duration;

#[allow(dead_code)]
#[derive(Clone, Default)]
pub struct Browser {
    pub jar: std::collections::BTreeMap<String, String>,
}

#[allow(dead_code)]
impl Browser {
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes to a page that is answered with 200.
    pub async fn page<T>(
        &mut self,
        sessions: &Sessions,
        handler: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.request(sessions, "document", 200, handler).await
    }

    /// Makes a request for this destination (`Sec-Fetch-Dest`), which is answered with this status.
    pub async fn request<T>(
        &mut self,
        sessions: &Sessions,
        destination: &str,
        status: u16,
        handler: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let handle = self.open(sessions, destination);
        let answer = sessions.scope(handle.clone(), handler).await;
        self.finish(sessions, &handle, status).await?;
        answer
    }

    /// Sends the head of a request.
    pub fn open(&self, sessions: &Sessions, destination: &str) -> SessionHandle {
        let pairs = self.jar.iter();
        let cookies: Vec<_> = pairs.map(|(name, value)| format!("{name}={value}")).collect();
        let field = cookies.join("; ");
        let mut head = RequestHead::new("GET");
        let destination = || Some(destination.as_bytes());
        head.fetch_dest = &destination;
        sessions.open(head.with_cookies([field.as_bytes()]))
    }

    /// Receives the head of a response.
    pub async fn finish(
        &mut self,
        sessions: &Sessions,
        handle: &SessionHandle,
        status: u16,
    ) -> Result<(), Error> {
        let committed = sessions.commit(handle, ResponseHead::new(status)).await;
        let (head, result) = match committed {
            Ok(head) => (head, Ok(())),
            Err(failed) => (failed.head, Err(failed.error)),
        };
        for line in &head.set_cookies {
            let (pair, attributes) = line.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.jar.remove(name);
            } else {
                self.jar.insert(name.to_owned(), value.to_owned());
            }
        }
        result
    }

    /// Closes its last window: cookies without an age go. Of the library's, `.p` alone has one.
    pub fn restart(&mut self) {
        self.jar.retain(|name, _| name.ends_with(".p"));
    }

    /// What the session cookie holds.
    pub fn token(&self) -> Option<String> {
        self.jar.get("__Host-Http-session").cloned()
    }
}
