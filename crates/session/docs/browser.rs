// The browser of the examples: it keeps the cookies that it is sent and brings them with the next request.
#[allow(unused_imports)]
pub use dframework_session::{
    Clock, Config, DriverName, Error, Key, RequestHead, ResponseHead, Session, SessionHandle,
    Sessions, testing,
};
#[allow(unused_imports)]
pub use std::time::Duration;

const HERE: &str = "https://localhost/";

#[allow(dead_code)]
#[derive(Clone)]
pub struct Browser {
    pub jar: testing::Browser,
}

#[allow(dead_code)]
impl Browser {
    pub fn new() -> Self {
        Self { jar: testing::Browser::new(Clock::manual()) }
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
        let field = self.jar.clone().cookie_field(HERE);
        let destination = || Some(destination.as_bytes());
        let head = RequestHead::new("GET").with_purpose(&destination, &|| None);
        sessions.open(head.with_cookies(field.as_deref().map(str::as_bytes)))
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
            let _ = self.jar.receive(HERE, line).unwrap();
        }
        result
    }

    /// Closes its last window: cookies without an age go.
    pub fn restart(&mut self) {
        self.jar.restart();
    }

    /// What the session cookie holds.
    pub fn token(&self) -> Option<String> {
        Some(self.jar.cookie("__Host-Http-session")?.value().into_owned())
    }
}
