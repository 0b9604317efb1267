//! The server of the model: which records live, which tokens have ended, and until when.
//!
//! Tokens are numbers in the order in which they were made. The runner knows which text stands for which.

use super::actions::{Key, Owner};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Milliseconds since 1970.
pub(super) type Millis = u64;
pub(super) type Token = usize;

pub(super) const SECOND: Millis = 1000;
pub(super) const MINUTE: Millis = 60 * SECOND;
pub(super) const DAY: Millis = 24 * 60 * MINUTE;
pub(super) const IDLE: Millis = 120 * MINUTE;
/// Much shorter than the default, so that a sequence can come to its end by uses.
pub(super) const LIFETIME: Millis = 300 * MINUTE;
pub(super) const TEN_YEARS: Millis = 3650 * DAY;
/// How long an ended token is remembered.
const REMEMBERED: Millis = MINUTE;

/// An ordinary value, and the instant at which it expires by itself.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Stored {
    pub(super) value: Value,
    pub(super) until: Option<Millis>,
}

impl Stored {
    /// An instant of expiry is already expired.
    pub(super) fn lives(&self, now: Millis) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

/// A flash message. One without a generation is of the running request.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Message {
    pub(super) key: Key,
    pub(super) value: Value,
    pub(super) generation: Option<u8>,
    pub(super) at: Millis,
}

/// An ordinary record. Of two messages under one key, the later in the list is seen.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct Session {
    pub(super) values: BTreeMap<Key, Stored>,
    pub(super) messages: Vec<Message>,
    /// The generation that was used last.
    pub(super) last: Option<u8>,
    pub(super) owner: Option<Owner>,
    pub(super) created: Millis,
    pub(super) absolute: Millis,
    pub(super) expires: Millis,
}

impl Session {
    /// Steps of a tenth of the idle timeout, and never beyond the absolute lifetime.
    pub(super) fn expiry(&self, now: Millis) -> Millis {
        (now + IDLE).next_multiple_of(IDLE / 10).min(self.absolute)
    }

    /// What was set to expire and has.
    pub(super) fn drop_expired(&mut self, now: Millis) {
        self.values.retain(|_, stored| stored.lives(now));
    }
}

#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct Permanent {
    pub(super) values: BTreeMap<Key, Value>,
    pub(super) expires: Millis,
}

pub(super) trait Record: Clone {
    fn expires(&self) -> Millis;
}

impl Record for Session {
    fn expires(&self) -> Millis {
        self.expires
    }
}

impl Record for Permanent {
    fn expires(&self) -> Millis {
        self.expires
    }
}

/// What a token opens.
#[derive(Clone, Debug)]
pub(super) enum Found<R> {
    /// No token, or one that nobody knows.
    Nothing,
    /// It ended less than a minute ago.
    Ended,
    Live(R, u64),
}

/// The records of one kind, and the tombstones.
#[derive(Debug)]
pub(super) struct Shelf<R>(BTreeMap<Token, Place<R>>);

#[derive(Debug)]
enum Place<R> {
    Live { record: R, version: u64 },
    Ended { until: Millis },
}

/// A record that is to be written is not as it was.
#[derive(Debug)]
pub(super) struct Conflict;

impl<R: Record> Shelf<R> {
    pub(super) fn find(&self, token: Token, now: Millis) -> Found<R> {
        match self.0.get(&token) {
            Some(Place::Live { record, version }) if record.expires() > now => {
                Found::Live(record.clone(), *version)
            }
            Some(Place::Ended { until }) if *until > now => Found::Ended,
            _ => Found::Nothing,
        }
    }

    pub(super) fn put(&mut self, token: Token, record: R) {
        self.0.insert(token, Place::Live { record, version: 0 });
    }

    /// Puts a tombstone where nothing is; `Err` where something ends or lives.
    pub(super) fn bury(&mut self, token: Token, now: Millis) -> Result<(), Conflict> {
        let Found::Nothing = self.find(token, now) else { return Err(Conflict) };
        self.0.insert(token, Place::Ended { until: now + REMEMBERED });
        Ok(())
    }

    /// Ends what lives there; whether something did.
    pub(super) fn end(&mut self, token: Token, now: Millis) -> bool {
        let lives = matches!(self.find(token, now), Found::Live(..));
        if lives {
            self.0.insert(token, Place::Ended { until: now + REMEMBERED });
        }
        lives
    }

    /// Replaces a record that is still of this version.
    pub(super) fn replace(
        &mut self,
        token: Token,
        expected: u64,
        new: R,
        now: Millis,
    ) -> Result<u64, Conflict> {
        match self.find(token, now) {
            Found::Live(_, version) if version == expected => {
                self.0.insert(token, Place::Live { record: new, version: version + 1 });
                Ok(version + 1)
            }
            _ => Err(Conflict),
        }
    }

    /// Whether there is a tombstone; also an old one, to whoever saw the record live.
    pub(super) fn has_ended(&self, token: Token, now: Millis, was_live: bool) -> bool {
        matches!(self.0.get(&token), Some(Place::Ended { until }) if was_live || *until > now)
    }

    pub(super) fn live(&self, now: Millis) -> impl Iterator<Item = (Token, &R)> {
        self.0.iter().filter_map(move |(token, place)| match place {
            Place::Live { record, .. } if record.expires() > now => Some((*token, record)),
            _ => None,
        })
    }
}

impl Shelf<Session> {
    /// Moves the deadline, and nothing else. It never comes nearer.
    pub(super) fn touch(&mut self, token: Token, expires: Millis, now: Millis) {
        if let Some(Place::Live { record, .. }) = self.0.get_mut(&token)
            && record.expires > now
        {
            record.expires = record.expires.max(expires);
        }
    }
}

/// Everything that the server knows.
#[derive(Debug)]
pub(super) struct World {
    pub(super) now: Millis,
    pub(super) sessions: Shelf<Session>,
    pub(super) permanents: Shelf<Permanent>,
    tokens: usize,
}

impl World {
    pub(super) fn new(now: Millis) -> Self {
        Self {
            now,
            sessions: Shelf(BTreeMap::new()),
            permanents: Shelf(BTreeMap::new()),
            tokens: 0,
        }
    }

    pub(super) fn new_token(&mut self) -> Token {
        self.tokens += 1;
        self.tokens
    }

    pub(super) fn today(&self) -> u64 {
        self.now / DAY
    }

    pub(super) fn count(&self) -> usize {
        self.sessions.live(self.now).count() + self.permanents.live(self.now).count()
    }

    pub(super) fn owned_by(&self, owner: Owner) -> BTreeMap<Token, Millis> {
        let of_owner =
            self.sessions.live(self.now).filter(|(_, session)| session.owner == Some(owner));
        of_owner.map(|(token, session)| (token, session.created)).collect()
    }

    /// Whether a session of this owner has expired. It may be swept or not, so nobody can tell whether it is
    /// counted among those that are ended.
    pub(super) fn has_expired_session_of(&self, owner: Owner) -> bool {
        self.sessions.0.values().any(|place| match place {
            Place::Live { record, .. } => record.owner == Some(owner) && record.expires <= self.now,
            Place::Ended { .. } => false,
        })
    }

    /// Ends the sessions of an owner but one, and counts them.
    pub(super) fn revoke(&mut self, owner: Owner, except: Option<Token>) -> usize {
        let mut ending = self.owned_by(owner);
        ending.retain(|token, _| Some(*token) != except);
        ending.keys().filter(|token| self.sessions.end(**token, self.now)).count()
    }
}

/// The cookies of a browser.
#[derive(Clone, Default, PartialEq, Debug)]
pub(super) struct Cookies {
    pub(super) session: Option<Token>,
    pub(super) permanent: Option<Permanence>,
    pub(super) messages: BTreeSet<u8>,
}

/// What `.p` holds: a token, and the day on which it was sent.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Permanence {
    pub(super) token: Token,
    pub(super) day: u64,
}

/// The Set-Cookie lines of an answer. Of a line that is there, `None` removes.
#[derive(Clone, Default, PartialEq, Debug)]
#[expect(
    clippy::option_option,
    reason = "no line, one that removes, and one that sets are three things"
)]
pub(super) struct Lines {
    pub(super) session: Option<Option<Token>>,
    pub(super) permanent: Option<Option<Permanence>>,
    pub(super) messages: BTreeMap<u8, bool>,
}

impl Lines {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Cookies {
    pub(super) fn take(&mut self, lines: &Lines) {
        self.session = lines.session.unwrap_or(self.session);
        self.permanent = lines.permanent.unwrap_or(self.permanent);
        for (generation, is_set) in &lines.messages {
            match is_set {
                true => self.messages.insert(*generation),
                false => self.messages.remove(generation),
            };
        }
    }

    /// What is kept when the browser is closed.
    pub(super) fn restart(&mut self) {
        *self = Self { permanent: self.permanent, ..Self::default() };
    }
}
