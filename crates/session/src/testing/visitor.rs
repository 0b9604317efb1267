//! [`Visitor`]: a browser and the sessions of an application, together.

use super::{
    application::{Application, HttpRequest, HttpResponse},
    browser::Browser,
    snapshot::Snapshot,
    url::Url,
    way::{Fields, Way},
};
use crate::{CommitError, Error, RequestHead, ResponseHead, SessionHandle, Sessions};

/// Somebody who uses an application in a test: a browser that keeps its cookies, and a look into the session.
///
/// It starts with no cookies, at `https://localhost/`. A clone has a copy of the cookies: another tab, or somebody who
/// has stolen them.
///
/// ```
/// use dframework_session::{Error, Session, Sessions, testing::Visitor};
///
/// async fn add_to_cart(item: &str) -> Result<(), Error> {
///     Session::push("cart", item.to_owned()).await?;
///     Session::flash("status", "added").await
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let mut visitor = Visitor::new(&Sessions::memory());
/// visitor.with(async |_| add_to_cart("tea").await).await?;
/// visitor.session().await.assert_value("cart", ["tea"]).assert_flash("status", "added");
/// visitor.browser().assert_cookies(["__Host-Http-session", "__Host-Http-session.f0"]);
/// # Ok::<(), Error>(())
/// # }).unwrap();
/// ```
///
/// With an application, a request takes one line: [`Visitor::send`] brings the cookies and takes those of the response.
#[derive(Clone, Debug)]
pub struct Visitor {
    sessions: Sessions,
    browser: Browser,
    /// The page that the browser shows.
    page: Url,
    /// What was asked for last, and how.
    asked: (Url, Way),
}

impl Visitor {
    /// A visitor without cookies at `https://localhost/`, in a browser such as Chromium.
    pub fn new(sessions: &Sessions) -> Self {
        let page = Url::new("https://localhost/");
        let browser = Browser::new(sessions.0.clock.clone());
        let asked = (page.clone(), Way::Navigation);
        Self { sessions: sessions.clone(), browser, page, asked }
    }

    /// The same visitor at another address: the origin of requests for a path.
    ///
    /// # Panics
    ///
    /// `url` is none.
    #[must_use]
    pub fn at(mut self, url: &str) -> Self {
        self.page = Url::new(url);
        self.asked = (self.page.clone(), Way::Navigation);
        self
    }

    /// The same visitor in another browser, with its cookies.
    #[must_use]
    pub fn in_browser(mut self, browser: Browser) -> Self {
        self.browser = browser;
        self
    }

    /// The cookies of the visitor.
    pub fn browser(&self) -> &Browser {
        &self.browser
    }

    /// The cookies of the visitor, to change them.
    pub fn browser_mut(&mut self) -> &mut Browser {
        &mut self.browser
    }

    /// Does something in the session as if an earlier request had done it.
    ///
    /// [`Session`](crate::Session) works inside, so the application's own functions can be called. It is a request that uses no
    /// messages up, unless it reads them. If the function fails, nothing but `destroy` is committed, as with a handler.
    ///
    /// # Errors
    ///
    /// What the function fails with, or the commit.
    ///
    /// # Panics
    ///
    /// The browser drops a cookie.
    ///
    /// ```
    /// use dframework_session::{Error, Sessions, testing::Visitor};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut visitor = Visitor::new(&Sessions::memory());
    /// visitor.with(async |session| session.set_owner("42").await).await?;
    /// visitor.session().await.assert_owner("42");
    /// # Ok::<(), Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn with<T, E: From<Error>>(
        &mut self,
        function: impl AsyncFnOnce(SessionHandle) -> Result<T, E>,
    ) -> Result<T, E> {
        let fields = self.way_to_the_session();
        self.exchange_saying(&fields, Way::Fetch, 200, function).await
    }

    /// Goes to a page without an application: the function is the handler, and the answer is 200.
    ///
    /// As a navigation it uses up the messages that wait.
    ///
    /// # Errors
    ///
    /// As [`Visitor::with`].
    ///
    /// # Panics
    ///
    /// As there.
    pub async fn page<T, E: From<Error>>(
        &mut self,
        handler: impl AsyncFnOnce(SessionHandle) -> Result<T, E>,
    ) -> Result<T, E> {
        self.exchange(Way::Navigation, 200, handler).await
    }

    /// Makes a request that comes about in this way and is answered with this status, without an application.
    ///
    /// A handler that fails answers 500 instead.
    ///
    /// # Errors
    ///
    /// As [`Visitor::with`].
    ///
    /// # Panics
    ///
    /// As there.
    ///
    /// ```
    /// use dframework_session::{Error, Sessions, testing::{Visitor, Way}};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut visitor = Visitor::new(&Sessions::memory());
    /// let save = async |session: dframework_session::SessionHandle| session.flash("status", "saved").await;
    /// visitor.exchange(Way::Navigation, 303, save).await?;
    ///
    /// // A page that fails does not use the message up, and the one after it does.
    /// visitor.exchange(Way::Navigation, 500, async |_| Ok::<_, Error>(())).await?;
    /// visitor.session().await.assert_flash("status", "saved");
    /// visitor.page(async |_| Ok::<_, Error>(())).await?;
    /// visitor.session().await.assert_no_flash();
    /// # Ok::<(), Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn exchange<T, E: From<Error>>(
        &mut self,
        way: Way,
        status: u16,
        handler: impl AsyncFnOnce(SessionHandle) -> Result<T, E>,
    ) -> Result<T, E> {
        let fields = self.fields(way, &self.page.at(self.sessions.0.cookies.path()));
        self.exchange_saying(&fields, way, status, handler).await
    }

    /// As [`Visitor::exchange`], in a browser that says these fields.
    async fn exchange_saying<T, E: From<Error>>(
        &mut self,
        fields: &Fields,
        way: Way,
        status: u16,
        handler: impl AsyncFnOnce(SessionHandle) -> Result<T, E>,
    ) -> Result<T, E> {
        let url = self.page.at(self.sessions.0.cookies.path());
        let handle = self.open(fields, way, &url);
        let returned = self.sessions.scope(handle.clone(), handler(handle.clone())).await;
        let status = if returned.is_ok() { status } else { 500 };
        self.asked = (url, way);
        match self.sessions.commit(&handle, ResponseHead::new(status)).await {
            Ok(head) => {
                self.receive(&head);
                returned
            }
            Err(CommitError { error, head }) => {
                self.receive(&head);
                Err(returned.err().unwrap_or_else(|| error.into()))
            }
        }
    }

    /// Looks at what the session holds now, without a trace.
    ///
    /// # Panics
    ///
    /// It cannot be read: the store is down, or the record is damaged.
    pub async fn session(&self) -> Snapshot {
        let url = self.page.at(self.sessions.0.cookies.path());
        // The handle is never answered, so nothing comes of it.
        let handle = self.clone().open(&self.way_to_the_session(), Way::Fetch, &url).looking();
        let read = Snapshot::read(&handle).await;
        read.unwrap_or_else(|error| panic!("the session of the visitor cannot be read: {error}"))
    }

    /// Adds to a request what the browser sends when a person goes to a page or submits a form: its cookies,
    /// `Sec-Fetch-*`, and for forms `Origin`.
    ///
    /// The page is where the visitor is from now on.
    pub fn request<Q: HttpRequest>(&mut self, request: Q) -> Q {
        self.request_as(Way::Navigation, request)
    }

    /// As [`Visitor::request`], for a request that comes about in another way.
    pub fn request_as<Q: HttpRequest>(&mut self, way: Way, mut request: Q) -> Q {
        let url = self.page.join(&request.target());
        let method = request.method().to_owned();
        for (name, value) in self.fields(way, &url) {
            request.add_field(name, value.as_bytes());
        }
        if let Some(origin) = way.origin(&method, &self.page) {
            request.add_field("origin", origin.as_bytes());
        }
        if let Some(cookies) = self.browser.send(&url, way, &method) {
            request.add_field("cookie", &cookies);
        }
        if way.shows_the_page() {
            self.page = url.clone();
        }
        self.asked = (url, way);
        request
    }

    /// Takes the cookies of the response to the last request.
    ///
    /// # Panics
    ///
    /// The browser drops one, or gives one up to make room. To see a cookie dropped and go on, use
    /// [`Browser::receive`].
    #[track_caller]
    pub fn receive<R: HttpResponse + ?Sized>(&mut self, response: &R) {
        let (url, way) = &self.asked;
        for line in response.set_cookies() {
            let taken = self.browser.take(url, *way, line);
            let taken = taken.unwrap_or_else(|dropped| panic!("at {url}: {dropped}"));
            let evicted = &taken.evicted;
            assert!(evicted.is_empty(), "at {url}: the browser gives up {evicted:?} to make room");
        }
    }

    /// Goes to a page of an application, or submits a form, and takes the cookies of the response.
    ///
    /// # Panics
    ///
    /// The browser drops a cookie, or the application does not answer.
    pub async fn send<Q, A>(&mut self, application: &A, request: Q) -> A::Response
    where
        Q: HttpRequest,
        A: Application<Q> + ?Sized,
    {
        self.send_as(Way::Navigation, application, request).await
    }

    /// As [`Visitor::send`], for a request that comes about in another way.
    ///
    /// # Panics
    ///
    /// As there.
    pub async fn send_as<Q, A>(&mut self, way: Way, application: &A, request: Q) -> A::Response
    where
        Q: HttpRequest,
        A: Application<Q> + ?Sized,
    {
        let request = self.request_as(way, request);
        let response = application.answer(request).await;
        self.receive(&response);
        response
    }

    /// What a script's request says that does not count as showing a page, wherever it goes.
    fn way_to_the_session(&self) -> Fields {
        Way::Fetch.fields(&self.page, &self.page)
    }

    fn fields(&self, way: Way, url: &Url) -> Fields {
        match self.browser.is_secure(url) {
            true => way.fields(&self.page, url),
            // Browsers say these to https and to this machine only.
            false => Vec::new(),
        }
    }

    /// Opens the session of a request without making one of a framework.
    fn open(&mut self, fields: &Fields, way: Way, url: &Url) -> SessionHandle {
        let field = |wanted| {
            fields.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.as_bytes())
        };
        let cookies = self.browser.send(url, way, "GET");
        let (fetch_dest, purpose) = (|| field("sec-fetch-dest"), || field("sec-purpose"));
        let mut head = RequestHead::new("GET").with_purpose(&fetch_dest, &purpose);
        head.scheme = Some(url.scheme.name());
        self.sessions.open(head.with_cookies(cookies.as_deref()))
    }
}
