//! A cookie as a browser keeps it.

use super::{
    url::{Url, path_matches},
    way::Top,
};
use crate::{config::SameSite, store::Timestamp};
use std::{borrow::Cow, fmt};

/// A cookie in a [`Browser`](super::Browser).
#[derive(Clone)]
pub struct Cookie {
    pub(super) name: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) domain: String,
    pub(super) host_only: bool,
    pub(super) path: String,
    pub(super) secure: bool,
    pub(super) http_only: bool,
    pub(super) same_site: Option<SameSite>,
    /// `None` ends with the browser's last window.
    pub(super) expires: Option<Timestamp>,
    /// The site in whose pages alone it is seen, if it is partitioned.
    pub(super) partition: Option<Top>,
    /// Counts up with what happens in the browser.
    pub(super) last_sent: u64,
}

impl Cookie {
    /// Its name; empty if it has none.
    pub fn name(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.name)
    }

    /// Its value.
    pub fn value(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.value)
    }

    /// The host that gets it, and those below unless it is for that host only.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Whether hosts below its domain do not get it: there was no `Domain`.
    pub fn is_host_only(&self) -> bool {
        self.host_only
    }

    /// The path at and below which it is sent.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether it is `Secure`: sent over https only.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether it is `HttpOnly`: kept from scripts.
    pub fn is_http_only(&self) -> bool {
        self.http_only
    }

    /// Its `SameSite`, if it said one that is known.
    pub fn same_site(&self) -> Option<SameSite> {
        self.same_site
    }

    /// Whether it is `Partitioned`.
    pub fn is_partitioned(&self) -> bool {
        self.partition.is_some()
    }

    /// When it ends; `None` where that is when the browser is closed.
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// Whether both are the same cookie, so that one replaces the other.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        let place = |cookie: &Self| (cookie.host_only, cookie.partition);
        self.name == other.name
            && self.domain == other.domain
            && self.path == other.path
            && place(self) == place(other)
    }

    pub(super) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Whether it belongs to an address, whoever asks for it.
    pub(super) fn belongs_to(&self, url: &Url) -> bool {
        let host = match self.host_only {
            true => url.host.text() == self.domain,
            false => url.host.matches(&self.domain),
        };
        host && path_matches(&url.path, &self.path)
    }
}

/// Shows everything but the value.
impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cookie")
            .field("name", &self.name())
            .field("domain", &self.domain)
            .field("host_only", &self.host_only)
            .field("path", &self.path)
            .field("secure", &self.secure)
            .field("http_only", &self.http_only)
            .field("same_site", &self.same_site)
            .field("partitioned", &self.is_partitioned())
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}
