//! From the tokens that a request brought to what they open.

use crate::{
    cookie::{Seals, Tokens},
    driver::{At, Driver},
    error::{Error, Record as Which},
    memory::Memory,
    record::Record,
    standing::{Live, Recorded, Standing},
    stealth::{Rejection, Stealth},
    token::Token,
};
use dframework_session_store::{StoreKey, Timestamp};

/// What the tokens of a request open.
pub(crate) struct Loaded {
    pub(crate) ordinary: Standing,
    pub(crate) permanent: Standing,
    /// Live sessions behind the one that won, where a cookie came more than once.
    pub(crate) others: Vec<Recorded>,
    /// When they were looked up.
    pub(crate) at: Timestamp,
}

/// Loads what these tokens open, in one round trip.
pub(crate) async fn load<'a>(
    driver: &Driver,
    session: impl Iterator<Item = &'a Token>,
    permanent: impl Iterator<Item = &'a Token>,
    now: Timestamp,
) -> Result<Loaded, Error> {
    let mut loaded = Loaded::nothing(now);
    if let Driver::Memory(memory) = driver {
        loaded.load_from_memory(memory, session, permanent);
        return Ok(loaded);
    }
    let mut tokens: Vec<Token> = session.copied().collect();
    let ordinary_count = tokens.len();
    tokens.extend(permanent);
    if tokens.is_empty() {
        return Ok(loaded);
    }
    let keys: Vec<StoreKey> = tokens.iter().map(|token| driver.key_of(token)).collect();
    let show = |position: usize, at| {
        let (token, key) = (tokens[position], keys[position]);
        if position < ordinary_count {
            loaded.meet_ordinary(judge(token, key, at, now, Which::Session));
        } else {
            loaded.meet_permanent(judge(token, key, at, now, Which::Permanent));
        }
    };
    driver.load(&keys, show).await?;
    Ok(loaded)
}

impl Loaded {
    /// What there is before anything is loaded.
    pub(crate) fn nothing(at: Timestamp) -> Self {
        Self { ordinary: Standing::Absent, permanent: Standing::Absent, others: Vec::new(), at }
    }

    /// Loads what these tokens open, without waiting.
    #[inline]
    pub(crate) fn load_from_memory<'a>(
        &mut self,
        memory: &Memory,
        session: impl Iterator<Item = &'a Token>,
        permanent: impl Iterator<Item = &'a Token>,
    ) {
        let now = self.at;
        let found = |token: &Token, wanted| {
            let key = token.in_process_key();
            judge(*token, key, memory.load(&key).into(), now, wanted)
        };
        session.for_each(|token| self.meet_ordinary(found(token, Which::Session)));
        permanent.for_each(|token| self.meet_permanent(found(token, Which::Permanent)));
    }

    /// Opens what the cookies of a request hold themselves. What does not open is shown to `refused`.
    pub(crate) fn load_from_seals(
        &mut self,
        stealth: &Stealth,
        mut seals: Box<Seals>,
        mut refused: impl FnMut(Rejection),
    ) {
        let now = self.at;
        if seals.malformed {
            refused(Rejection::Malformed);
        }
        let activities = stealth.activities(&mut seals, now, &mut refused);
        for seal in seals.session.drain(..) {
            match stealth.session(seal, &activities, now) {
                Ok(found) => self.meet_ordinary(found),
                Err(why) => refused(why),
            }
        }
        for seal in seals.permanent.drain(..) {
            match stealth.permanent(seal, now) {
                Ok(found) => self.meet_permanent(found),
                Err(why) => refused(why),
            }
        }
    }

    #[inline]
    fn meet_ordinary(&mut self, found: Standing) {
        if let (Some(_), Some(other)) = (self.ordinary.live(), found.live()) {
            self.others.push(other.into());
        } else {
            consider(&mut self.ordinary, found);
        }
    }

    fn meet_permanent(&mut self, found: Standing) {
        consider(&mut self.permanent, found);
    }
}

/// The tokens under which a record is to be looked for again.
pub(crate) fn tokens(standing: &Standing, carried: &Tokens) -> Vec<Token> {
    match standing {
        Standing::Live(live) => vec![live.token],
        Standing::Unknown { .. } | Standing::Corrupt { .. } => carried.iter().copied().collect(),
        Standing::Absent | Standing::Ended => Vec::new(),
    }
}

/// Takes what one of several tokens opens into account. The first live record wins; an ended token says more
/// than an unknown one.
#[inline]
fn consider(standing: &mut Standing, found: Standing) {
    let rank = |standing: &Standing| match standing {
        Standing::Absent => 0,
        Standing::Unknown { .. } => 1,
        Standing::Corrupt { .. } => 2,
        Standing::Ended => 3,
        Standing::Live(_) => 4,
    };
    if rank(&found) > rank(standing) {
        *standing = found;
    }
}

/// What the clock and the record itself say of what a store holds.
///
/// A store that mixes up its answers must not show anybody another's session. A record of the other kind was not
/// made for this cookie: it counts for nothing.
#[inline]
fn judge(token: Token, key: StoreKey, at: At, now: Timestamp, wanted: Which) -> Standing {
    match at {
        At::Record { bytes, version, expires_at } if now < expires_at => {
            match Record::parse(bytes) {
                Ok(record) if record.absolute() <= now => Standing::Unknown { key },
                Ok(record) => match record.check_key(&key) {
                    Ok(()) if record.which() != wanted => Standing::Absent,
                    Ok(()) => Standing::Live(Live { token, key, version, expires_at, record }),
                    Err(why) => Standing::Corrupt { key, why },
                },
                Err(why) => Standing::Corrupt { key, why },
            }
        }
        At::Ended { until } if now < until => Standing::Ended,
        _ => Standing::Unknown { key },
    }
}
