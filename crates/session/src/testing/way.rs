//! How a request comes about, and what a browser says and sends because of it.

use super::url::Url;
use crate::config::SameSite;

/// How a request comes about.
///
/// The fields are those that browsers send to https and to this machine: `Sec-Fetch-Site`, `-Mode` and `-Dest`, and for
/// navigations `-User`.
///
/// | way | fields | cookies |
/// |---|---|---|
/// | `Navigation` | `same-origin` (`none` on another host), `navigate`, `document` | all |
/// | `Fetch` | `same-origin` (`same-site` on another host), `cors`, `empty` | all |
/// | `Prefetch` | as `Navigation`, and `Sec-Purpose: prefetch` | all |
/// | `CrossSiteNavigation` | `cross-site`, `navigate`, `document` | not `SameSite=Strict`; for POST only `SameSite=None` |
/// | `CrossSiteFetch` | `cross-site`, `cors`, `empty` | only `SameSite=None` |
/// | `Plain` | none | all |
///
/// Requests that change something, and those of foreign scripts, also say their `Origin`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Way {
    /// A person goes to a page, or submits a form of the application.
    Navigation,
    /// A script of one of the application's pages calls.
    Fetch,
    /// The browser gets a page before the person goes there.
    Prefetch,
    /// A person follows a link on another site, or submits a form there.
    CrossSiteNavigation,
    /// A script or a frame of another site calls.
    CrossSiteFetch,
    /// A client that says nothing of itself: curl, or a program that keeps cookies.
    Plain,
}

/// Names and values of fields.
pub(super) type Fields = Vec<(&'static str, &'static str)>;

/// Whose page the browser shows while it makes a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Top {
    Own,
    Other,
}

impl Way {
    pub(super) fn top(self) -> Top {
        match self {
            Self::CrossSiteFetch => Top::Other,
            _ => Top::Own,
        }
    }

    /// Whether a request brings a cookie with this `SameSite`. [RFC 6265bis, section 5.8.3]
    pub(super) fn brings(self, same_site: SameSite, method: &str) -> bool {
        match self {
            Self::CrossSiteFetch => same_site == SameSite::None,
            Self::CrossSiteNavigation => match same_site {
                SameSite::None => true,
                SameSite::Lax => ["GET", "HEAD", "OPTIONS", "TRACE"].contains(&method),
                SameSite::Strict => false,
            },
            _ => true,
        }
    }

    /// Whether a response may set a cookie with this `SameSite`. [RFC 6265bis, section 5.7, step 15]
    pub(super) fn takes(self, same_site: SameSite) -> bool {
        self != Self::CrossSiteFetch || same_site == SameSite::None
    }

    /// Whether the answer takes the place of the page that the browser shows.
    pub(super) fn shows_the_page(self) -> bool {
        matches!(self, Self::Navigation | Self::CrossSiteNavigation)
    }

    /// What a browser that shows `page` says of itself to `url`.
    pub(super) fn fields(self, page: &Url, url: &Url) -> Fields {
        let is_own = page.origin() == url.origin();
        let own_or = |other| if is_own { "same-origin" } else { other };
        let (site, mode, dest) = match self {
            Self::Plain => return Vec::new(),
            Self::Navigation | Self::Prefetch => (own_or("none"), "navigate", "document"),
            Self::Fetch => (own_or("same-site"), "cors", "empty"),
            Self::CrossSiteNavigation => ("cross-site", "navigate", "document"),
            Self::CrossSiteFetch => ("cross-site", "cors", "empty"),
        };
        let mut fields =
            vec![("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)];
        if self == Self::Prefetch {
            fields.push(("sec-purpose", "prefetch"));
        } else if self.shows_the_page() {
            fields.push(("sec-fetch-user", "?1"));
        }
        fields
    }

    /// The `Origin` that a request says, if it says one.
    pub(super) fn origin(self, method: &str, page: &Url) -> Option<String> {
        let is_silent = ["GET", "HEAD"].contains(&method);
        match self {
            Self::Plain => None,
            Self::CrossSiteFetch => Some(ELSEWHERE.to_owned()),
            _ if is_silent => None,
            Self::CrossSiteNavigation => Some(ELSEWHERE.to_owned()),
            Self::Navigation | Self::Fetch | Self::Prefetch => Some(page.origin()),
        }
    }
}

/// The other site.
const ELSEWHERE: &str = "https://elsewhere.example";
