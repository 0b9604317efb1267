//! From the tokens that a request brought to what they open.

use crate::{
    cookie::Tokens,
    draft::{Live, Standing},
    driver::{At, Driver},
    error::Error,
    record::{Nature, Record},
    token::Token,
};
use dframework_session_store::{StoreKey, Timestamp};

/// What the tokens of a request open.
pub(crate) struct Loaded {
    pub(crate) ordinary: Standing,
    pub(crate) permanent: Standing,
    /// Live sessions behind the one that won, where a cookie came more than once.
    pub(crate) others: Vec<StoreKey>,
}

/// Loads what these tokens open, in one round trip.
pub(crate) async fn load<'a>(
    driver: &Driver,
    session: impl Iterator<Item = &'a Token>,
    permanent: impl Iterator<Item = &'a Token>,
    now: Timestamp,
) -> Result<Loaded, Error> {
    let mut candidates = Candidates::default();
    session.for_each(|token| candidates.add(driver, *token));
    let ordinary_count = candidates.count;
    permanent.for_each(|token| candidates.add(driver, *token));
    let mut loaded =
        Loaded { ordinary: Standing::Absent, permanent: Standing::Absent, others: Vec::new() };
    if candidates.count == 0 {
        return Ok(loaded);
    }
    let tokens = candidates.tokens;
    let keys = candidates.keys;
    let show = |position: usize, at| {
        let Some(token) = tokens[position] else { return };
        let found = judge(token, keys[position], at, now);
        if position >= ordinary_count {
            consider(&mut loaded.permanent, found, is_permanent);
        } else if let (Some(_), Some(other)) = (loaded.ordinary.live(), found.live()) {
            loaded.others.extend(is_ordinary(&other.record).then_some(other.key));
        } else {
            consider(&mut loaded.ordinary, found, is_ordinary);
        }
    };
    driver.load(&keys[..candidates.count], show).await?;
    Ok(loaded)
}

/// Tokens and their keys, as many as are ever tried.
struct Candidates {
    tokens: [Option<Token>; 8],
    keys: [StoreKey; 8],
    count: usize,
}

impl Default for Candidates {
    fn default() -> Self {
        Self { tokens: [None; 8], keys: [StoreKey::from_bytes([0; 32]); 8], count: 0 }
    }
}

impl Candidates {
    fn add(&mut self, driver: &Driver, token: Token) {
        if let Some(place) = self.tokens.get_mut(self.count) {
            *place = Some(token);
            self.keys[self.count] = driver.key_of(&token);
            self.count += 1;
        }
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
/// than an unknown one. A record of the other nature was not made for this cookie: it counts for nothing.
fn consider(standing: &mut Standing, found: Standing, has_nature: impl Fn(&Record) -> bool) {
    let rank = |standing: &Standing| match standing {
        Standing::Absent => 0,
        Standing::Unknown { .. } => 1,
        Standing::Corrupt { .. } => 2,
        Standing::Ended => 3,
        Standing::Live(_) => 4,
    };
    let fits = found.live().is_none_or(|live| has_nature(&live.record));
    if fits && rank(&found) > rank(standing) {
        *standing = found;
    }
}

fn is_ordinary(record: &Record) -> bool {
    !is_permanent(record)
}

fn is_permanent(record: &Record) -> bool {
    record.header().nature == Nature::Permanent
}

/// What the clock and the record itself say of what a store holds.
fn judge(token: Token, key: StoreKey, at: At, now: Timestamp) -> Standing {
    match at {
        At::Record { bytes, version, expires_at } if now < expires_at => {
            match Record::parse(bytes) {
                Ok(record) if now < record.header().absolute => {
                    Standing::Live(Live { token, key, version, expires_at, record })
                }
                Ok(_) => Standing::Unknown { key },
                Err(why) => Standing::Corrupt { key, why },
            }
        }
        At::Ended { until } if now < until => Standing::Ended,
        _ => Standing::Unknown { key },
    }
}
