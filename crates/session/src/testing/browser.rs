//! [`Browser`]: the cookies of one browser, and which of them it sends where.

use super::{
    cookie::Cookie,
    rules::{Dropped, Source, Transport, judge},
    set_cookie::Line,
    url::{Scheme, Url},
    way::Way,
};
use crate::{Clock, SameSite};
use std::cmp::Reverse;

/// As many cookies of one domain are kept, as in Chromium.
const MOST_OF_A_DOMAIN: usize = 180;

/// As many cookies are kept in all. [RFC 6265bis, section 6.1]
const MOST: usize = 3000;

/// A browser, as far as a server can see it: it keeps and sends cookies by the rules of browsers.
///
/// These are the rules of RFC 6265bis, and those of its successor for the prefixes `__Http-` and `__Host-Http-`:
/// domain and path, `Secure`, prefixes, `SameSite`, sizes, numbers, expiry, and a life of 400 days at most. Time is that of a
/// [`Clock`]. What is not here: the list of public suffixes (a domain of one label counts as public, `co.uk` does
/// not), and the blocking of other sites' cookies.
///
/// A cookie that is refused comes back with the reason:
///
/// ```
/// use dframework_session::{Clock, testing::{Browser, Reason}};
///
/// let mut browser = Browser::new(Clock::manual());
/// browser.receive("https://shop.example/login", "theme=dark; Path=/; Max-Age=3600")?;
/// assert_eq!(browser.cookie_field("https://shop.example/cart").as_deref(), Some("theme=dark"));
/// assert_eq!(browser.cookie_field("https://www.shop.example/"), None);
///
/// let dropped = browser.receive("http://shop.example/", "id=1; Secure").unwrap_err();
/// assert_eq!(dropped.reason, Reason::SecureOverHttp);
/// # Ok::<(), dframework_session::testing::Dropped>(())
/// ```
#[derive(Clone, Debug)]
pub struct Browser {
    clock: Clock,
    kind: Kind,
    /// In the order in which they were made; a cookie that replaces another takes its place.
    cookies: Vec<Cookie>,
    /// Counts what happens: several things may happen in one instant.
    events: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Takes plain http to this machine for secure.
    Chromium,
    Safari,
}

/// What taking a cookie led to.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Taken {
    /// The names of the cookies that had to go, because there were too many.
    pub evicted: Vec<String>,
}

impl Browser {
    /// A browser without cookies that takes plain http to `localhost` and other loopback addresses for secure, as
    /// Chromium, Firefox and curl do.
    pub fn new(clock: Clock) -> Self {
        Self { clock, kind: Kind::Chromium, cookies: Vec::new(), events: 0 }
    }

    /// A browser without cookies for which https alone is secure, as for Safari.
    ///
    /// A cookie without `SameSite` counts as `SameSite=None` here; in the other it counts as lax.
    pub fn strict(clock: Clock) -> Self {
        Self { kind: Kind::Safari, ..Self::new(clock) }
    }

    /// Takes a `Set-Cookie` line of a response that came from `url` to a page of the same site.
    ///
    /// # Errors
    ///
    /// The browser drops the cookie; its jar is as before.
    ///
    /// # Panics
    ///
    /// `url` is none.
    pub fn receive(&mut self, url: &str, line: impl AsRef<[u8]>) -> Result<Taken, Dropped> {
        self.take(&Url::new(url), Way::Navigation, line.as_ref())
    }

    /// As [`Browser::receive`], for the response to a request that came about in another way.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Panics
    ///
    /// As there.
    ///
    /// ```
    /// use dframework_session::{Clock, testing::{Browser, Reason, Way}};
    ///
    /// let mut browser = Browser::new(Clock::manual());
    /// let dropped = browser.receive_as(Way::CrossSiteFetch, "https://shop.example/", "theme=dark");
    /// assert_eq!(dropped.unwrap_err().reason, Reason::CrossSite);
    /// ```
    pub fn receive_as(
        &mut self,
        way: Way,
        url: &str,
        line: impl AsRef<[u8]>,
    ) -> Result<Taken, Dropped> {
        self.take(&Url::new(url), way, line.as_ref())
    }

    /// The `Cookie` field of a request for `url` by a page of the same site; `None` without cookies.
    ///
    /// Bytes that are not UTF-8 are replaced.
    ///
    /// # Panics
    ///
    /// `url` is none.
    pub fn cookie_field(&mut self, url: &str) -> Option<String> {
        self.cookie_field_as(Way::Navigation, "GET", url)
    }

    /// As [`Browser::cookie_field`], for a request with another method or that comes about in another way.
    ///
    /// # Panics
    ///
    /// As there.
    ///
    /// ```
    /// use dframework_session::{Clock, testing::{Browser, Way}};
    ///
    /// let (mut browser, shop) = (Browser::new(Clock::manual()), "https://shop.example/");
    /// browser.receive(shop, "theme=dark; SameSite=Lax")?;
    /// assert!(browser.cookie_field_as(Way::CrossSiteNavigation, "GET", shop).is_some());
    /// assert!(browser.cookie_field_as(Way::CrossSiteNavigation, "POST", shop).is_none());
    /// # Ok::<(), dframework_session::testing::Dropped>(())
    /// ```
    pub fn cookie_field_as(&mut self, way: Way, method: &str, url: &str) -> Option<String> {
        let field = self.send(&Url::new(url), way, method)?;
        Some(String::from_utf8_lossy(&field).into_owned())
    }

    /// The cookies that have not expired, in the order in which they came.
    pub fn cookies(&self) -> impl Iterator<Item = &Cookie> {
        let now = self.clock.now();
        self.cookies.iter().filter(move |cookie| !cookie.is_expired(now))
    }

    /// The cookie with this name; the first of them, where several hosts or paths have one.
    pub fn cookie(&self, name: &str) -> Option<&Cookie> {
        self.cookies().find(|cookie| cookie.name == name.as_bytes())
    }

    /// Removes the cookies with this name, as a person can.
    pub fn remove(&mut self, name: &str) {
        self.cookies.retain(|cookie| cookie.name != name.as_bytes());
    }

    /// Removes all cookies, as a person can.
    pub fn clear(&mut self) {
        self.cookies.clear();
    }

    /// Closes the last window and opens another: cookies without `Max-Age` and `Expires` go.
    ///
    /// ```
    /// use dframework_session::{Clock, testing::Browser};
    ///
    /// let mut browser = Browser::new(Clock::manual());
    /// browser.receive("https://shop.example/", "cart=1")?;
    /// browser.receive("https://shop.example/", "theme=dark; Max-Age=3600")?;
    /// browser.restart();
    /// browser.assert_cookies(["theme"]);
    /// # Ok::<(), dframework_session::testing::Dropped>(())
    /// ```
    pub fn restart(&mut self) {
        self.cookies.retain(|cookie| cookie.expires.is_some());
    }

    /// Checks that there is a cookie with this name and value.
    ///
    /// # Panics
    ///
    /// There is none, or it has another value.
    #[track_caller]
    pub fn assert_cookie(&self, name: &str, value: &str) {
        let Some(cookie) = self.cookie(name) else {
            panic!("expected the cookie {name:?}, but there is none; {}", self.inventory());
        };
        let found = cookie.value();
        assert!(
            found == value,
            "expected the cookie {name:?} to be {value:?}, but it is {found:?}"
        );
    }

    /// Checks that there is no cookie with this name.
    ///
    /// # Panics
    ///
    /// There is one.
    #[track_caller]
    pub fn assert_no_cookie(&self, name: &str) {
        if let Some(cookie) = self.cookie(name) {
            panic!("expected no cookie {name:?}, but there is {cookie:?}");
        }
    }

    /// Checks that there are cookies with these names and no others.
    ///
    /// # Panics
    ///
    /// A cookie is missing, or there is another.
    #[track_caller]
    pub fn assert_cookies<const N: usize>(&self, names: [&str; N]) {
        let mut expected = names.map(str::to_owned).to_vec();
        let mut found: Vec<_> = self.cookies().map(|cookie| cookie.name().into_owned()).collect();
        expected.sort_unstable();
        found.sort_unstable();
        assert!(found == expected, "expected the cookies {expected:?}, but {}", self.inventory());
    }
}

impl Browser {
    pub(super) fn take(&mut self, url: &Url, way: Way, line: &[u8]) -> Result<Taken, Dropped> {
        let now = self.clock.now();
        let source = Source { url, way, transport: self.transport(url), unset: self.kind.unset() };
        self.cookies.retain(|cookie| !cookie.is_expired(now));
        let judged = Line::parse(line, now).and_then(|line| judge(&line, source, &self.cookies));
        let mut cookie = judged.map_err(|reason| Dropped { name: Line::name_of(line), reason })?;
        self.events += 1;
        cookie.last_sent = self.events;
        let domain = cookie.domain.clone();
        match self.cookies.iter_mut().find(|held| held.is_same_as(&cookie)) {
            Some(held) => *held = cookie,
            None => self.cookies.push(cookie),
        }
        // Setting what has expired already is how a cookie is removed.
        self.cookies.retain(|cookie| !cookie.is_expired(now));
        Ok(self.make_room(&domain))
    }

    /// The `Cookie` field of a request. [RFC 6265bis, section 5.8.3]
    pub(super) fn send(&mut self, url: &Url, way: Way, method: &str) -> Option<Vec<u8>> {
        self.events += 1;
        let (now, sent, unset) = (self.clock.now(), self.events, self.kind.unset());
        let is_secure = self.is_secure(url);
        let goes = |cookie: &&mut Cookie| {
            !cookie.is_expired(now)
                && cookie.belongs_to(url)
                && (is_secure || !cookie.secure)
                && cookie.partition.is_none_or(|top| top == way.top())
                && way.brings(cookie.same_site.unwrap_or(unset), method)
        };
        let mut going: Vec<_> = self.cookies.iter_mut().filter(goes).collect();
        // Of paths of one length the oldest cookie stays first.
        going.sort_by_key(|cookie| Reverse(cookie.path.len()));
        let mut pairs = Vec::new();
        for cookie in going {
            cookie.last_sent = sent;
            pairs.push(match cookie.name.is_empty() {
                true => cookie.value.clone(),
                false => [&*cookie.name, &*cookie.value].join(&b'='),
            });
        }
        (!pairs.is_empty()).then(|| pairs.join(&b"; "[..]))
    }

    pub(super) fn is_secure(&self, url: &Url) -> bool {
        self.transport(url) == Transport::Secure
    }

    /// Whether nobody listens on the way to this address, as far as this browser thinks.
    fn transport(&self, url: &Url) -> Transport {
        let is_trusted = self.kind == Kind::Chromium && url.host.is_loopback();
        match url.scheme {
            Scheme::Http if !is_trusted => Transport::Insecure,
            _ => Transport::Secure,
        }
    }

    /// Drops what is too much: of a domain first what is not `Secure`, and always what was sent longest ago.
    fn make_room(&mut self, domain: &str) -> Taken {
        let mut taken = Taken::default();
        let is_here = |cookie: &Cookie| cookie.domain == domain;
        while self.cookies.iter().filter(|cookie| is_here(cookie)).count() > MOST_OF_A_DOMAIN {
            self.evict(is_here, |cookie| (cookie.secure, cookie.last_sent), &mut taken);
        }
        while self.cookies.len() > MOST {
            self.evict(|_| true, |cookie| (true, cookie.last_sent), &mut taken);
        }
        taken
    }

    fn evict(
        &mut self,
        may_go: impl Fn(&Cookie) -> bool,
        worth: impl Fn(&Cookie) -> (bool, u64),
        taken: &mut Taken,
    ) {
        let candidates = self.cookies.iter().enumerate().filter(|(_, cookie)| may_go(cookie));
        let least = candidates.min_by_key(|(_, cookie)| worth(cookie)).map(|(at, _)| at);
        if let Some(at) = least {
            taken.evicted.push(self.cookies.remove(at).name().into_owned());
        }
    }

    /// What there is, for messages.
    pub(super) fn inventory(&self) -> String {
        let names: Vec<_> = self.cookies().map(|cookie| format!("{:?}", cookie.name())).collect();
        match names.is_empty() {
            true => "the browser has no cookies".to_owned(),
            false => format!("the browser has {}", names.join(", ")),
        }
    }
}

impl Kind {
    /// What a cookie without `SameSite` counts as.
    fn unset(self) -> SameSite {
        match self {
            Self::Chromium => SameSite::Lax,
            Self::Safari => SameSite::None,
        }
    }
}
