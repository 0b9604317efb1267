//! The cookie's properties: the defaults that depend on each other, and what browsers would drop.
//!
//! It writes and reads no cookie. What passes here can be written into a Set-Cookie line as it stands.

use super::{Env, SameSite, value::Setting};
use crate::error::Error;

/// Leaves the Set-Cookie line its room: the name also stands in the names of companions.
const LONGEST_NAME: usize = 200;
/// Browsers drop an attribute of more than 1024 bytes. [RFC 6265bis, section 5.6]
const LONGEST_PATH: usize = 1024;
/// The longest name that DNS can hold, as text.
const LONGEST_DOMAIN: usize = 253;

/// What RFC 6265 takes from RFC 2616, section 2.2: none of these may stand in a name.
const SEPARATORS: &[u8] = b"()<>@,;:\\\"/[]?={} \t";

/// The properties as they are given; what is missing depends on others and is filled in by `resolve`.
#[derive(Clone)]
pub(super) struct CookieProperties {
    pub(super) name: Setting<Option<String>>,
    pub(super) path: Setting<String>,
    pub(super) domain: Setting<Option<String>>,
    pub(super) same_site: Setting<SameSite>,
    pub(super) secure: Setting<Option<bool>>,
    pub(super) persistent: Setting<bool>,
    pub(super) partitioned: Setting<bool>,
}

/// The session cookie's name and attributes, nothing left open. `HttpOnly` is not here: it is always sent.
#[derive(Clone, Debug)]
pub(crate) struct CookieSettings {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) domain: Option<String>,
    pub(crate) same_site: SameSite,
    pub(crate) secure: bool,
    pub(crate) persistent: bool,
    pub(crate) partitioned: bool,
}

impl Default for CookieProperties {
    fn default() -> Self {
        Self {
            name: Setting::default("app.sessionCookie.name", None),
            path: Setting::default("app.sessionCookie.path", "/".to_owned()),
            domain: Setting::default("app.sessionCookie.domain", None),
            same_site: Setting::default("app.sessionCookie.sameSite", SameSite::Lax),
            secure: Setting::default("app.sessionCookie.secure", None),
            persistent: Setting::default("app.sessionCookie.persistent", false),
            partitioned: Setting::default("app.sessionCookie.partitioned", false),
        }
    }
}

impl CookieProperties {
    pub(super) fn resolve(&self, env: Env) -> CookieSettings {
        let partitioned = self.partitioned.value;
        let name = self.name.value.clone();
        CookieSettings {
            name: name.unwrap_or_else(|| default_name(env, partitioned).to_owned()),
            path: self.path.value.clone(),
            domain: self.domain.value.clone(),
            same_site: self.same_site.value,
            secure: self.secure.value.unwrap_or(env == Env::Production),
            persistent: self.persistent.value,
            partitioned,
        }
    }

    /// Refuses what a browser would drop, and what could break out of its place in the Set-Cookie line.
    pub(super) fn check(&self, env: &Setting<Env>) -> Result<(), Error> {
        let cookie = self.resolve(env.value);
        if let Some(why) = name_problem(&cookie.name) {
            return Err(self.name.refuse(format_args!("is {:?}, {why}", cookie.name)));
        }
        if let Some(why) = path_problem(&cookie.path) {
            return Err(self.path.refuse(format_args!("is {:?}, {why}", cookie.path)));
        }
        if let Some((domain, why)) =
            cookie.domain.as_deref().and_then(|domain| Some((domain, domain_problem(domain)?)))
        {
            return Err(self.domain.refuse(format_args!("is {domain:?}, {why}")));
        }
        if !cookie.secure {
            self.check_without_secure(&cookie, env)?;
        }
        self.check_host_prefix(&cookie)
    }

    fn check_without_secure(
        &self,
        cookie: &CookieSettings,
        env: &Setting<Env>,
    ) -> Result<(), Error> {
        let insecure = match self.secure.value {
            Some(_) => format!("{} is false", self.secure.name),
            None => format!("{} is \"local\", where {} is false", env.name, self.secure.name),
        };
        let only = format!("which browsers accept with Secure only, and {insecure}");
        if cookie.same_site == SameSite::None {
            return Err(self.same_site.refuse(format_args!(
                "is \"none\", {only}: without Secure, lax and strict are allowed"
            )));
        }
        if cookie.partitioned {
            return Err(self
                .partitioned
                .refuse(format_args!("is true, {only}: without Secure, false is allowed")));
        }
        if ["__host-", "__secure-", "__http-"].iter().any(|prefix| has_prefix(cookie, prefix)) {
            return Err(self.name.refuse(format_args!(
                "is {:?}, {only}: without Secure, a name without such a prefix is allowed, as \"session\"",
                cookie.name
            )));
        }
        Ok(())
    }

    fn check_host_prefix(&self, cookie: &CookieSettings) -> Result<(), Error> {
        if !has_prefix(cookie, "__host-") {
            return Ok(());
        }
        let advice = format!(
            "but browsers accept the name {:?} with the path / and no domain only: leave it out, or set {} to a name such as \"__Secure-session\"",
            cookie.name, self.name.name
        );
        if let Some(domain) = &cookie.domain {
            return Err(self.domain.refuse(format_args!("is {domain:?}, {advice}")));
        }
        if cookie.path != "/" {
            return Err(self.path.refuse(format_args!("is {:?}, {advice}", cookie.path)));
        }
        Ok(())
    }
}

/// `__Host-` keeps sibling subdomains from planting the cookie, `__Http-` keeps scripts from it. A partitioned
/// cookie has a name of its own, because a browser can hold both kinds side by side and send both.
fn default_name(env: Env, partitioned: bool) -> &'static str {
    match (env, partitioned) {
        (Env::Production, false) => "__Host-Http-session",
        (Env::Production, true) => "__Host-Http-session-p",
        (Env::Local, false) => "session",
        (Env::Local, true) => "session-p",
    }
}

/// Browsers compare prefixes without regard to case, so a name in another case is held to the same rules.
/// `__Http-` and `__Host-Http-` also ask for `HttpOnly`, which is always there.
fn has_prefix(cookie: &CookieSettings, prefix: &str) -> bool {
    let start = cookie.name.as_bytes().get(..prefix.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

fn name_problem(name: &str) -> Option<&'static str> {
    let token = |byte: u8| byte.is_ascii_graphic() && !SEPARATORS.contains(&byte);
    if name.is_empty() || name.len() > LONGEST_NAME {
        return Some("which is empty or too long: 1 to 200 bytes are allowed");
    }
    (!name.bytes().all(token)).then_some(
        "which is not a cookie name: ASCII letters, digits and any of !#$%&'*+-.^_`|~ are allowed",
    )
}

fn path_problem(path: &str) -> Option<&'static str> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b";,".contains(&byte);
    if path.len() > LONGEST_PATH {
        return Some("which is too long: at most 1024 bytes are allowed");
    }
    (!path.starts_with('/') || !path.bytes().all(plain)).then_some(
        "which is not a cookie path: it starts with /, and visible ASCII except ; and , is allowed",
    )
}

fn domain_problem(domain: &str) -> Option<&'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    if domain.len() > LONGEST_DOMAIN {
        return Some("which is too long: at most 253 bytes are allowed");
    }
    (domain.split('.').any(str::is_empty) || !domain.bytes().all(plain)).then_some(
        "which is not a cookie domain: ASCII letters, digits and - between single dots are allowed, as in example.com",
    )
}
