//! Which cookies a browser refuses, and why. [RFC 6265bis, section 5.7]
//!
//! It keeps nothing: `browser.rs` does.

use super::{
    cookie::Cookie,
    set_cookie::Line,
    url::{Url, is_within, path_matches},
    way::Way,
};
use crate::config::SameSite;
use std::fmt;

/// A cookie that the browser did not take.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Dropped {
    /// Its name; empty if it has none.
    pub name: String,
    /// The rule that it broke.
    pub reason: Reason,
}

/// The rule that a cookie broke.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// The line has a byte that no field may have.
    ControlCharacter,
    /// There is neither a name nor a value.
    Empty,
    /// Name and value have more than 4096 bytes.
    TooLong,
    /// The host is not the cookie's domain, nor below it.
    ForeignDomain,
    /// The domain is a single label, such as `com`, and not the host itself.
    PublicDomain,
    /// It is `Secure` and came over plain http.
    SecureOverHttp,
    /// It came over plain http, and there is a `Secure` cookie of that name in its place.
    HidesSecure,
    /// It is not `SameSite=None`, and another site's script or frame asked for it.
    CrossSite,
    /// It is `SameSite=None` and not `Secure`.
    NoneWithoutSecure,
    /// It is `Partitioned` and not `Secure`.
    PartitionedWithoutSecure,
    /// Its name begins with `prefix`, which it may only with what it lacks.
    Prefix {
        /// The beginning of the name, as `__Host-`.
        prefix: &'static str,
        /// What is missing.
        lacks: &'static str,
    },
    /// It has no name, and its value begins like a name with a prefix.
    PrefixInValue,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ControlCharacter => "its line has a control character",
            Self::Empty => "it has neither name nor value",
            Self::TooLong => "its name and value have more than 4096 bytes",
            Self::ForeignDomain => "the host is neither its Domain nor below it",
            Self::PublicDomain => {
                "its Domain is a single label, which no host may claim for others"
            }
            Self::SecureOverHttp => "it is Secure and came over plain http",
            Self::HidesSecure => {
                "it came over plain http and would hide a Secure cookie of its name"
            }
            Self::CrossSite => {
                "another site's script asked for it, so it would have to be SameSite=None"
            }
            Self::NoneWithoutSecure => "it is SameSite=None without Secure",
            Self::PartitionedWithoutSecure => "it is Partitioned without Secure",
            Self::Prefix { prefix, lacks } => {
                return write!(f, "its name begins with {prefix}, and it lacks {lacks}");
            }
            Self::PrefixInValue => "it has no name, and its value begins like a prefixed name",
        })
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the browser drops the cookie {:?}: {}", self.name, self.reason)
    }
}

impl std::error::Error for Dropped {}

/// Where a line comes from.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) url: &'a Url,
    pub(super) way: Way,
    pub(super) transport: Transport,
    /// What a cookie without `SameSite` counts as.
    pub(super) unset: SameSite,
}

/// Whether the browser takes a connection for one that nobody listens to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Transport {
    Secure,
    Insecure,
}

/// What a name that begins so asks for. Browsers compare without regard to case.
const PREFIXES: [(&str, &[Need]); 4] = [
    ("__Host-Http-", &[Need::Secure, Need::NoDomain, Need::RootPath, Need::HttpOnly]),
    ("__Host-", &[Need::Secure, Need::NoDomain, Need::RootPath]),
    ("__Http-", &[Need::Secure, Need::HttpOnly]),
    ("__Secure-", &[Need::Secure]),
];

#[derive(Clone, Copy)]
enum Need {
    Secure,
    NoDomain,
    RootPath,
    HttpOnly,
}

impl Need {
    fn name(self) -> &'static str {
        match self {
            Self::Secure => "Secure",
            Self::NoDomain => "the absence of Domain",
            Self::RootPath => "Path=/",
            Self::HttpOnly => "HttpOnly",
        }
    }
}

/// Makes a cookie of a line, unless a rule forbids it.
pub(super) fn judge(line: &Line, source: Source<'_>, held: &[Cookie]) -> Result<Cookie, Reason> {
    let (domain, host_only) = domain(line.attributes.domain.as_deref(), source.url)?;
    let path_attribute = line.attributes.path.as_deref();
    let cookie = Cookie {
        domain,
        host_only,
        path: path(path_attribute, source.url),
        secure: line.attributes.secure,
        http_only: line.attributes.http_only,
        same_site: line.attributes.same_site,
        expires: line.attributes.end(),
        partition: line.attributes.partitioned.then(|| source.way.top()),
        name: line.name.clone(),
        value: line.value.clone(),
        last_sent: 0,
    };
    if source.transport == Transport::Insecure {
        check_insecure(&cookie, held)?;
    }
    if !source.way.takes(cookie.same_site.unwrap_or(source.unset)) {
        return Err(Reason::CrossSite);
    }
    if !cookie.secure && cookie.same_site == Some(SameSite::None) {
        return Err(Reason::NoneWithoutSecure);
    }
    if !cookie.secure && cookie.partition.is_some() {
        return Err(Reason::PartitionedWithoutSecure);
    }
    check_prefix(&cookie, path_attribute)?;
    Ok(cookie)
}

/// The host that the cookie is for, and whether for that host only. [RFC 6265bis, section 5.7, steps 5 to 7]
///
/// Browsers know which domains are public from a list. Without it, a domain of one label is.
fn domain(attribute: Option<&[u8]>, url: &Url) -> Result<(String, bool), Reason> {
    let host = url.host.text();
    let Some(attribute) = attribute else { return Ok((host.to_owned(), true)) };
    let domain = std::str::from_utf8(attribute).map_err(|_| Reason::ForeignDomain)?;
    if domain == host {
        let is_alone = !domain.contains('.') || !url.host.is_name();
        return Ok((host.to_owned(), is_alone));
    }
    if !url.host.matches(domain) {
        return Err(Reason::ForeignDomain);
    }
    if !domain.contains('.') {
        return Err(Reason::PublicDomain);
    }
    Ok((domain.to_owned(), false))
}

fn path(attribute: Option<&[u8]>, url: &Url) -> String {
    match attribute {
        Some(path) => String::from_utf8_lossy(path).into_owned(),
        None => url.default_path().to_owned(),
    }
}

/// What plain http may not do. [RFC 6265bis, section 5.7, steps 10 and 13]
fn check_insecure(cookie: &Cookie, held: &[Cookie]) -> Result<(), Reason> {
    if cookie.secure {
        return Err(Reason::SecureOverHttp);
    }
    let is_hidden = |other: &Cookie| {
        let are_near =
            is_within(&other.domain, &cookie.domain) || is_within(&cookie.domain, &other.domain);
        other.secure
            && other.name == cookie.name
            && are_near
            && path_matches(&cookie.path, &other.path)
    };
    if held.iter().any(is_hidden) { Err(Reason::HidesSecure) } else { Ok(()) }
}

fn check_prefix(cookie: &Cookie, path_attribute: Option<&[u8]>) -> Result<(), Reason> {
    if cookie.name.is_empty() {
        let looks_prefixed = PREFIXES.iter().any(|(prefix, _)| begins_with(&cookie.value, prefix));
        return if looks_prefixed { Err(Reason::PrefixInValue) } else { Ok(()) };
    }
    let Some((prefix, needs)) =
        PREFIXES.iter().find(|(prefix, _)| begins_with(&cookie.name, prefix))
    else {
        return Ok(());
    };
    let has = |need: &Need| match need {
        Need::Secure => cookie.secure,
        Need::NoDomain => cookie.host_only,
        Need::RootPath => path_attribute == Some(b"/"),
        Need::HttpOnly => cookie.http_only,
    };
    match needs.iter().find(|need| !has(need)) {
        Some(need) => Err(Reason::Prefix { prefix, lacks: need.name() }),
        None => Ok(()),
    }
}

fn begins_with(text: &[u8], prefix: &str) -> bool {
    let start = text.get(..prefix.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}
