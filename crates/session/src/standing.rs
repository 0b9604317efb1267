//! What a request's cookies lead to: where each of the two records stands.

use crate::{
    record::{Nature, Record},
    token::Token,
};
use dframework_session_store::{StoreKey, Timestamp, Version};

/// What is known of a record that the request's cookie names.
#[derive(Clone)]
pub(crate) enum Standing {
    /// The request brought no token.
    Absent,
    /// It brought one that nobody knows any more, or whose record has expired.
    Unknown { key: StoreKey },
    /// It brought one that has ended a moment ago.
    Ended,
    /// It brought one whose record cannot be read.
    Corrupt { key: StoreKey, why: &'static str },
    /// It brought a live one, or this request made it.
    Live(Live),
}

/// A record that lives.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) token: Token,
    pub(crate) key: StoreKey,
    pub(crate) version: Version,
    pub(crate) expires_at: Timestamp,
    pub(crate) record: Record,
}

/// A record that is to be ended.
#[derive(Clone)]
pub(crate) struct Recorded {
    pub(crate) key: StoreKey,
    /// The record itself, where nothing but its cookie holds it.
    pub(crate) sealed: Option<Record>,
}

impl From<&Live> for Recorded {
    fn from(live: &Live) -> Self {
        let sealed = live.record.sealed().map(|_| live.record.clone());
        Self { key: live.key, sealed }
    }
}

impl Standing {
    #[inline]
    pub(crate) fn live(&self) -> Option<&Live> {
        if let Self::Live(live) = self { Some(live) } else { None }
    }

    /// The key at which something can be looked up or ended.
    pub(crate) fn key(&self) -> Option<StoreKey> {
        match self {
            Self::Live(Live { key, .. }) | Self::Unknown { key } | Self::Corrupt { key, .. } => {
                Some(*key)
            }
            Self::Absent | Self::Ended => None,
        }
    }

    /// The record that there is, readable or not.
    pub(crate) fn recorded(&self) -> Option<Recorded> {
        match self {
            Self::Live(live) => Some(live.into()),
            Self::Corrupt { key, .. } => Some(Recorded { key: *key, sealed: None }),
            _ => None,
        }
    }

    /// The key at which there is a record.
    pub(crate) fn recorded_key(&self) -> Option<StoreKey> {
        match self {
            Self::Live(_) | Self::Corrupt { .. } => self.key(),
            _ => None,
        }
    }

    /// The key of a token that nobody knows.
    pub(crate) fn unknown_key(&self) -> Option<StoreKey> {
        if let Self::Unknown { key } = self { Some(*key) } else { None }
    }

    pub(crate) fn is_ended(&self) -> bool {
        matches!(self, Self::Ended)
    }

    /// The flash generation that was used last, where there is a session.
    #[inline]
    pub(crate) fn last_generation(&self) -> Option<u8> {
        match self.live()?.record.nature() {
            Nature::Ordinary { last_generation } => Some(last_generation),
            Nature::Permanent => None,
        }
    }
}
