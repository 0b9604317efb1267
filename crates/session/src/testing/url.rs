//! Addresses, as far as cookies care: scheme, host, port and path.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

/// The address of a request, checked and in lower case where case does not count.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Url {
    pub(super) scheme: Scheme,
    pub(super) host: Host,
    port: u16,
    /// From the first slash on, without query and fragment.
    pub(super) path: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scheme {
    Http,
    Https,
}

/// The name or the address of a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Host {
    Name(String),
    Address(String),
}

impl Scheme {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl Url {
    /// Reads an address with scheme and host, such as `https://localhost/cart?page=2`.
    ///
    /// # Panics
    ///
    /// It is none. A test has written it, so the test is told.
    pub(super) fn new(text: &str) -> Self {
        Self::parse(text).unwrap_or_else(|| {
            panic!("{text:?} is no address: write it as in https://shop.example/cart")
        })
    }

    /// The address that a request names: a path here, or a whole address of its own.
    pub(super) fn join(&self, target: &str) -> Self {
        if !target.starts_with('/') && target.contains("://") {
            return Self::new(target);
        }
        let path = match path_of(target) {
            path if path.starts_with('/') => path.to_owned(),
            path => format!("{}{path}", self.folder()),
        };
        Self { path, ..self.clone() }
    }

    /// The same place with another path.
    pub(super) fn at(&self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self.clone() }
    }

    /// The path up to its last slash, which stays.
    fn folder(&self) -> &str {
        self.path.rfind('/').map_or("/", |slash| &self.path[..=slash])
    }

    /// What browsers call the origin: `https://localhost`, with a port that goes without saying left out.
    pub(super) fn origin(&self) -> String {
        let (scheme, host) = (self.scheme.name(), self.host.text());
        match self.port {
            port if port == self.scheme.default_port() => format!("{scheme}://{host}"),
            port => format!("{scheme}://{host}:{port}"),
        }
    }

    /// Where a cookie without `Path` belongs. [RFC 6265bis, section 5.1.4]
    pub(super) fn default_path(&self) -> &str {
        match self.folder() {
            "/" => "/",
            folder => &folder[..folder.len() - 1],
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return None,
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
            _ => (authority, scheme.default_port()),
        };
        let path = match path_of(target) {
            "" => "/".to_owned(),
            path => path.to_owned(),
        };
        Some(Self { scheme, host: Host::parse(host)?, port, path })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.path)
    }
}

impl Host {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Name(text) | Self::Address(text) => text,
        }
    }

    pub(super) fn is_name(&self) -> bool {
        matches!(self, Self::Name(_))
    }

    /// Whether it is this machine: what Chromium, Firefox and curl trust like https.
    pub(super) fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost" || name.ends_with(".localhost"),
            Self::Address(address) => {
                address == "[::1]"
                    || address.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
            }
        }
    }

    /// Whether a cookie with this domain is for this host. [RFC 6265bis, section 5.1.3]
    pub(super) fn matches(&self, domain: &str) -> bool {
        match self {
            Self::Address(address) => address == domain,
            Self::Name(name) => is_within(name, domain),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        if let Some(inside) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let address: Ipv6Addr = inside.parse().ok()?;
            return Some(Self::Address(format!("[{address}]")));
        }
        if text.parse::<Ipv4Addr>().is_ok() {
            return Some(Self::Address(text));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let is_label = |label: &str| !label.is_empty() && label.bytes().all(plain);
        text.split('.').all(is_label).then_some(Self::Name(text))
    }
}

/// Whether a name is a domain or below it.
pub(super) fn is_within(name: &str, domain: &str) -> bool {
    match name.strip_suffix(domain) {
        Some(above) => above.is_empty() || above.ends_with('.'),
        None => false,
    }
}

/// Whether a request for `path` gets the cookies of `cookie_path`. [RFC 6265bis, section 5.1.4]
pub(super) fn path_matches(path: &str, cookie_path: &str) -> bool {
    match path.strip_prefix(cookie_path) {
        Some(below) => below.is_empty() || below.starts_with('/') || cookie_path.ends_with('/'),
        None => false,
    }
}

fn path_of(target: &str) -> &str {
    let end = target.find(['?', '#']).unwrap_or(target.len());
    &target[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_browsers_write_them() {
        for (text, shown) in [
            ("https://localhost", "https://localhost/"),
            ("HTTPS://Shop.Example:443/Cart?page=2#end", "https://shop.example/Cart"),
            ("http://127.0.0.1:3000/", "http://127.0.0.1:3000/"),
            ("http://[0:0::1]:80?q", "http://[::1]/"),
            ("https://[::1]", "https://[::1]/"),
        ] {
            assert_eq!(Url::new(text).to_string(), shown);
        }
        for bad in ["", "localhost", "/cart", "ftp://a.example", "https://", "https://a..example"] {
            assert_eq!(Url::parse(bad), None, "{bad}");
        }
        for bad in ["https://a:b@c.example", "https://a.example:x", "https://ä.example"] {
            assert_eq!(Url::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_target_is_a_path_here_or_an_address() {
        let here = Url::new("https://shop.example:8443/cart/items");
        for (target, shown) in [
            ("/login?next=http://a.example/", "https://shop.example:8443/login"),
            ("edit", "https://shop.example:8443/cart/edit"),
            ("", "https://shop.example:8443/cart/"),
            ("http://other.example/a", "http://other.example/a"),
        ] {
            assert_eq!(here.join(target).to_string(), shown, "{target}");
        }
    }

    #[test]
    fn loopback_is_this_machine_only() {
        for host in ["localhost", "shop.localhost", "127.0.0.1", "127.8.9.1", "[::1]"] {
            assert!(Url::new(&format!("http://{host}/")).host.is_loopback(), "{host}");
        }
        for host in ["notlocalhost", "localhost.example", "10.0.0.1", "[::2]"] {
            assert!(!Url::new(&format!("http://{host}/")).host.is_loopback(), "{host}");
        }
    }
}
