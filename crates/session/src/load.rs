//! From the tokens that a request brought to what they open.

use crate::{
    cookie::Tokens,
    draft::{Live, Standing},
    driver::{At, Driver},
    error::Error,
    memory::Memory,
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
    if let Driver::Memory(memory) = driver {
        return Ok(from_memory(memory, session, permanent, now));
    }
    let mut loaded = Loaded::nothing(now);
    let mut tokens: Vec<Token> = session.copied().collect();
    let ordinary_count = tokens.len();
    tokens.extend(permanent);
    if tokens.is_empty() {
        return Ok(loaded);
    }
    let keys: Vec<StoreKey> = tokens.iter().map(|token| driver.key_of(token)).collect();
    let show = |position: usize, at| {
        let found = only_its_own(judge(tokens[position], keys[position], at, now));
        if position < ordinary_count {
            loaded.meet_ordinary(found);
        } else {
            loaded.meet_permanent(found);
        }
    };
    driver.load(&keys, show).await?;
    Ok(loaded)
}

/// Loads what these tokens open, without waiting.
pub(crate) fn from_memory<'a>(
    memory: &Memory,
    session: impl Iterator<Item = &'a Token>,
    permanent: impl Iterator<Item = &'a Token>,
    now: Timestamp,
) -> Loaded {
    let mut loaded = Loaded::nothing(now);
    let found = |token: &Token| {
        let key = token.in_process_key();
        judge(*token, key, memory.load(&key).into(), now)
    };
    session.for_each(|token| loaded.meet_ordinary(found(token)));
    permanent.for_each(|token| loaded.meet_permanent(found(token)));
    loaded
}

impl Loaded {
    fn nothing(at: Timestamp) -> Self {
        Self { ordinary: Standing::Absent, permanent: Standing::Absent, others: Vec::new(), at }
    }

    fn meet_ordinary(&mut self, found: Standing) {
        if let (Some(_), Some(other)) = (self.ordinary.live(), found.live()) {
            self.others.extend(is_ordinary(&other.record).then_some(other.key));
        } else {
            consider(&mut self.ordinary, found, is_ordinary);
        }
    }

    fn meet_permanent(&mut self, found: Standing) {
        consider(&mut self.permanent, found, is_permanent);
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
    record.nature() == Nature::Permanent
}

/// Takes what a store answers for a key only if it was written for that key: a store that mixes up its answers
/// must not show anybody another's session.
fn only_its_own(found: Standing) -> Standing {
    match found {
        Standing::Live(Live { key, record, .. }) if !record.is_for_key(&key) => {
            let why = match record.names_a_key() {
                true => "it was written for another session",
                false => "it does not say for which session it was written",
            };
            Standing::Corrupt { key, why }
        }
        found => found,
    }
}

/// What the clock and the record itself say of what a store holds.
fn judge(token: Token, key: StoreKey, at: At, now: Timestamp) -> Standing {
    match at {
        At::Record { bytes, version, expires_at } if now < expires_at => {
            match Record::parse(bytes) {
                Ok(record) if now < record.absolute() => {
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
