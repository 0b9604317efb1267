//! Cookies, byte by byte: which of a request's are ours, and the lines that set and remove them.
//!
//! Nothing is decoded, unquoted or trimmed beyond space and tab, so that a look-alike name stays another name.
//! [`Cookies`] alone derives names and attributes, for reading, setting and removing alike.

use crate::{
    config::{CookieSettings, SameSite},
    record::Nature,
    stealth::{self, Plain},
    token::Token,
};
use dframework_session_store::Timestamp;
use memchr::memchr;
use smallvec::SmallVec;
use std::{fmt::Write, time::Duration};

/// How many well-formed duplicates of a cookie are tried.
pub(crate) const MOST_CANDIDATES: usize = 4;

/// What the companion `.p` asks a browser for: ten years.
const PERMANENT_MAX_AGE: u64 = 315_360_000;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Which of our cookies: the session's own, or a companion that is named after it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Which {
    /// The session cookie.
    Session,
    /// `.p`: the token of the permanent data.
    Permanent,
    /// `.t`: until when the session lives because it was used, where it is in its cookie.
    Activity,
    /// `.f0` to `.f7`: a flash message of that generation waits for this browser.
    Flash(u8),
}

/// What the session cookie and the companion `.p` hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Holding {
    /// A token, and the record is elsewhere.
    Token,
    /// The record itself, sealed.
    Seal,
}

/// The cookies of a request that are ours.
#[derive(Default)]
pub(crate) struct Carried {
    /// Tokens in the session cookie.
    pub(crate) session: Tokens,
    /// The companion `.p`. Most requests come without, so it takes no room in a handle.
    permanent: Option<Box<Permanent>>,
    /// Bit n: the companion `.f<n>`.
    pub(crate) flash: u8,
    /// How often the companion `.t` was there.
    pub(crate) activity: u8,
    /// What is sealed in the cookies, until somebody opens it.
    pub(crate) seals: Option<Box<Seals>>,
}

/// The sealed values of a request, decoded: of each cookie at most four that can be seals.
#[derive(Default)]
pub(crate) struct Seals {
    pub(crate) session: SmallVec<[Plain; 1]>,
    pub(crate) permanent: SmallVec<[Plain; 1]>,
    pub(crate) activity: SmallVec<[Plain; 1]>,
    /// There was also what can be none.
    pub(crate) malformed: bool,
}

/// What the companion `.p` brought.
#[derive(Default)]
struct Permanent {
    tokens: Tokens,
    /// The day on which it was last sent, in days since 1970.
    sent: u64,
}

/// The well-formed tokens under one name, in the order of the request.
#[derive(Default)]
pub(crate) struct Tokens {
    first: Option<Token>,
    /// Duplicates are rare, so they alone cost an allocation.
    more: Vec<Token>,
    /// How often the name was there, with a token or without.
    seen: u8,
}

static NO_TOKENS: Tokens = Tokens { first: None, more: Vec::new(), seen: 0 };

impl Tokens {
    /// The tokens to try, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Token> {
        self.first.iter().chain(&self.more)
    }

    /// Whether the request brought the cookie, whatever was in it.
    pub(crate) fn was_carried(&self) -> bool {
        self.seen > 0
    }

    fn add(&mut self, token: Option<Token>) {
        self.seen = self.seen.saturating_add(1);
        match token {
            Some(token) if self.first.is_none() => self.first = Some(token),
            Some(token) if self.more.len() + 1 < MOST_CANDIDATES => self.more.push(token),
            _ => {}
        }
    }

    /// Takes the tokens away: what was carried is no session.
    fn refuse(&mut self) {
        self.first = None;
        self.more.clear();
    }
}

/// Names and attributes of our cookies.
#[derive(Debug)]
pub(crate) struct Cookies {
    settings: CookieSettings,
    /// Everything behind `name=value`, but for the age.
    attributes: String,
    /// The browser sends such a name once, so two of them are an attack or a fault.
    is_unique: bool,
    holding: Holding,
}

impl Cookies {
    pub(crate) fn new(settings: CookieSettings, holding: Holding) -> Self {
        let attributes = attributes(&settings);
        let is_unique = starts_with_ignoring_case(&settings.name, "__Host-");
        Self { settings, attributes, is_unique, holding }
    }

    /// The name of the session cookie.
    pub(crate) fn name(&self) -> &str {
        &self.settings.name
    }

    /// The path at and below which browsers send the cookies.
    #[cfg(feature = "testing")]
    pub(crate) fn path(&self) -> &str {
        &self.settings.path
    }

    /// Whether browsers are asked to send the cookies over https only.
    pub(crate) fn are_secure(&self) -> bool {
        self.settings.secure
    }

    /// Finds our cookies in the Cookie fields of a request. Returns them and whether a unique name was doubled.
    pub(crate) fn find<'a>(&self, fields: impl Iterator<Item = &'a [u8]>) -> (Carried, bool) {
        let mut carried = Carried::default();
        for field in fields {
            for (companion, value) in pairs_beginning_with(self.settings.name.as_bytes(), field) {
                match self.holding {
                    Holding::Token => carried.note(companion, value),
                    Holding::Seal => carried.note_seal(companion, value),
                }
            }
        }
        let doubled = self.is_unique && carried.refuse_duplicates();
        (carried, doubled)
    }

    /// The line that gives the browser a session token; `lifetime` is the time to the absolute deadline.
    pub(crate) fn set_session(&self, token: &Token, lifetime: Duration) -> String {
        let mut line = self.start(Which::Session, Token::TEXT_LENGTH);
        token.write_to(&mut line);
        self.finish(&mut line, lifetime);
        line
    }

    /// The line that gives the browser the token of its permanent data, and tells us when it did.
    pub(crate) fn set_permanent(&self, token: &Token, now: Timestamp) -> String {
        let mut line = self.start(Which::Permanent, Token::TEXT_LENGTH);
        token.write_to(&mut line);
        let _ = write!(line, ".{}{}; Max-Age={PERMANENT_MAX_AGE}", day(now), self.attributes);
        line
    }

    /// The line that gives the browser a sealed value of this length, which `seal` appends. It is kept for so long, or
    /// as long as the browser runs.
    ///
    /// # Errors
    ///
    /// That of `seal`.
    pub(crate) fn set_sealed<E>(
        &self,
        which: Which,
        length: usize,
        lifetime: Duration,
        seal: impl FnOnce(&mut String) -> Result<(), E>,
    ) -> Result<String, E> {
        let mut line = self.start(which, length);
        seal(&mut line)?;
        match which {
            Which::Permanent => {
                let _ = write!(line, "{}; Max-Age={PERMANENT_MAX_AGE}", self.attributes);
            }
            _ => self.finish(&mut line, lifetime),
        }
        Ok(line)
    }

    /// How long the line of a cookie with a value of this length is at most.
    pub(crate) fn line_length(&self, which: Which, value: usize) -> usize {
        let has_age = self.settings.persistent || which == Which::Permanent;
        // No lifetime has more digits than ten years have, and nothing is configured to live longer than a hundred.
        let age = if has_age { "; Max-Age=3153600000".len() } else { 0 };
        let name = self.settings.name.len() + which.companion().len();
        name + 1 + value + self.attributes.len() + age
    }

    /// The line that tells the browser that a flash message of this generation waits for it.
    pub(crate) fn set_flash(&self, generation: u8, lifetime: Duration) -> String {
        let mut line = self.start(Which::Flash(generation), 1);
        line.push('1');
        self.finish(&mut line, lifetime);
        line
    }

    /// The line that removes a cookie: every attribute as in setting, or the browser keeps it.
    pub(crate) fn remove(&self, which: Which) -> String {
        let mut line = self.start(which, 0);
        line.push_str(&self.attributes);
        line.push_str("; Max-Age=0");
        line
    }

    fn finish(&self, line: &mut String, lifetime: Duration) {
        line.push_str(&self.attributes);
        if self.settings.persistent {
            let _ = write!(line, "; Max-Age={}", lifetime.as_secs());
        }
    }

    /// Begins a line with room for a value of this length.
    ///
    /// The session's own line has room for no more, since what is too large is copied on its way out.
    fn start(&self, which: Which, value_length: usize) -> String {
        let name = &self.settings.name;
        let companion = if which == Which::Session { 0 } else { 48 };
        let size = name.len() + 1 + value_length + self.attributes.len() + companion;
        let mut line = String::with_capacity(size);
        line.push_str(name);
        line.push_str(which.companion());
        line.push('=');
        line
    }
}

impl From<Nature> for Which {
    /// The cookie that brings a record.
    fn from(nature: Nature) -> Self {
        match nature {
            Nature::Ordinary { .. } => Self::Session,
            Nature::Permanent => Self::Permanent,
        }
    }
}

impl Which {
    /// What follows the name of the session cookie in its own.
    fn companion(self) -> &'static str {
        const FLASH: [&str; 8] = [".f0", ".f1", ".f2", ".f3", ".f4", ".f5", ".f6", ".f7"];
        match self {
            Self::Session => "",
            Self::Permanent => ".p",
            Self::Activity => ".t",
            Self::Flash(generation) => FLASH[usize::from(generation & 7)],
        }
    }
}

impl Carried {
    /// Whether the request brought anything of ours beside the session cookie.
    pub(crate) fn has_companions(&self) -> bool {
        self.flash != 0 || self.permanent.is_some()
    }

    /// Tokens in the companion `.p`.
    pub(crate) fn permanent(&self) -> &Tokens {
        self.permanent.as_ref().map_or(&NO_TOKENS, |permanent| &permanent.tokens)
    }

    /// The day on which `.p` was last sent, in days since 1970.
    pub(crate) fn permanent_sent(&self) -> u64 {
        self.permanent.as_ref().map_or(0, |permanent| permanent.sent)
    }

    fn note(&mut self, companion: &[u8], value: &[u8]) {
        match companion {
            b"" => self.session.add(Token::parse(value)),
            b".p" => {
                let (token, sent) = permanent_value(value);
                let permanent = self.permanent.get_or_insert_default();
                if token.is_some() && permanent.tokens.first.is_none() {
                    permanent.sent = sent;
                }
                permanent.tokens.add(token);
            }
            [b'.', b'f', digit @ b'0'..=b'7'] => self.flash |= 1 << (digit - b'0'),
            b".t" => self.activity = self.activity.saturating_add(1),
            _ => {}
        }
    }

    fn note_seal(&mut self, companion: &[u8], value: &[u8]) {
        let seals = match companion {
            b"" | b".p" | b".t" => self.seals.get_or_insert_default(),
            _ => return self.note(companion, value),
        };
        let (seen, values) = match companion {
            b"" => (&mut self.session.seen, &mut seals.session),
            b".p" => {
                (&mut self.permanent.get_or_insert_default().tokens.seen, &mut seals.permanent)
            }
            _ => (&mut self.activity, &mut seals.activity),
        };
        *seen = seen.saturating_add(1);
        if values.len() < MOST_CANDIDATES {
            match stealth::decoded(value) {
                Some(seal) => values.push(seal),
                None => seals.malformed = true,
            }
        }
    }

    /// Takes away what came more than once under a name that browsers send once. Returns whether anything did.
    fn refuse_duplicates(&mut self) -> bool {
        let mut doubled = false;
        let permanent = self.permanent.as_mut().map(|permanent| &mut permanent.tokens);
        for tokens in [Some(&mut self.session), permanent].into_iter().flatten() {
            if tokens.seen > 1 {
                tokens.refuse();
                doubled = true;
            }
        }
        let Some(seals) = &mut self.seals else { return doubled };
        let permanent = self.permanent.as_ref().map_or(0, |permanent| permanent.tokens.seen);
        for (seen, values) in [
            (self.session.seen, &mut seals.session),
            (permanent, &mut seals.permanent),
            (self.activity, &mut seals.activity),
        ] {
            if seen > 1 {
                values.clear();
                doubled = true;
            }
        }
        doubled
    }
}

/// Days since 1970.
pub(crate) fn day(now: Timestamp) -> u64 {
    now.saturating_since(Timestamp::from_millis(0)).as_secs() / DAY.as_secs()
}

/// The token in `.p`, and the day behind its dot. A day that cannot be read is long ago.
fn permanent_value(value: &[u8]) -> (Option<Token>, u64) {
    let (token, day) = match memchr(b'.', value) {
        Some(dot) => (&value[..dot], &value[dot + 1..]),
        None => (value, &b""[..]),
    };
    let day = std::str::from_utf8(day).ok().and_then(|day| day.parse().ok());
    (Token::parse(token), day.unwrap_or(0))
}

/// The `name=value` pairs whose name begins like this: what follows it in the name, and the value.
///
/// A part without `=` is no pair.
fn pairs_beginning_with<'a>(
    start: &[u8],
    field: &'a [u8],
) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    let mut rest = Some(field);
    std::iter::from_fn(move || {
        loop {
            let field = trim_start(rest?);
            // Most cookies are somebody else's, and need no more than a look at their first bytes.
            let ours = field.strip_prefix(start);
            let Some(end) = memchr(b';', field) else {
                rest = None;
                return split(ours?);
            };
            rest = Some(&field[end + 1..]);
            if let Some(pair) = ours.and_then(|_| split(field.get(start.len()..end)?)) {
                return Some(pair);
            }
        }
    })
}

/// Splits at the first `=`.
fn split(part: &[u8]) -> Option<(&[u8], &[u8])> {
    // It follows a name that begins with ours, so it is near: a search would cost more to begin.
    let equals = part.iter().position(|byte| *byte == b'=')?;
    Some((trim_end(&part[..equals]), trim_end(trim_start(&part[equals + 1..]))))
}

/// Without spaces and tabs in front. Other white space belongs to the name.
fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// Without spaces and tabs at the end.
fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

fn attributes(settings: &CookieSettings) -> String {
    let mut text = format!("; Path={}", settings.path);
    if let Some(domain) = &settings.domain {
        let _ = write!(text, "; Domain={domain}");
    }
    if settings.secure {
        text.push_str("; Secure");
    }
    text.push_str("; HttpOnly");
    text.push_str(match settings.same_site {
        SameSite::Strict => "; SameSite=Strict",
        SameSite::Lax => "; SameSite=Lax",
        SameSite::None => "; SameSite=None",
    });
    if settings.partitioned {
        text.push_str("; Partitioned");
    }
    text
}

fn starts_with_ignoring_case(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}
