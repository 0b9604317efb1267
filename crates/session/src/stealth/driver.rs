//! The driver: what the seals of a request open, whether it has been revoked, and the text that carries a record.
//!
//! Nothing is kept here but what has been revoked. A record that was opened, or is to be sealed, has its header in
//! front of it in the same allocation, so whoever holds the record can ask for it.

use super::{
    header::{
        AHEAD, ActivityTerms, Header, Login, OwnerTag, PermanentTerms, SessionTerms, Terms, Unknown,
    },
    keys::Ring,
    plain::Plain,
    revocation::{By, Kept, Revocations, Revoked, Verdict},
    seal::{self, Opened, Rejection, sealed_length},
};
use crate::{
    cookie::Seals,
    error::{self, Error, Kind},
    event::{Event, Listeners, Name},
    record::{Nature, Record, Written},
    standing::{Live, Standing},
    token::{self, Token},
};
use dframework_session_store::{SessionId, StoreKey, Timestamp, Version};
use smallvec::SmallVec;
use std::{sync::Arc, time::Duration};

/// The driver whose sessions are in their cookies.
pub(crate) struct Stealth {
    ring: Ring,
    /// `None`: a cookie opens for as long as it would by itself, whatever is asked of this process.
    revocations: Option<Revocations>,
    listeners: Arc<Listeners>,
    /// The absolute lifetime of sessions, as it is configured now.
    lifetime: Duration,
}

/// What the activity seals of a request say.
pub(crate) type Activities = SmallVec<[(SessionId, ActivityTerms); 1]>;

/// How ending a session turned out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Now,
    /// It had ended before.
    Before,
}

impl Stealth {
    pub(crate) fn new(
        ring: Ring,
        revocations: Option<Revocations>,
        listeners: Arc<Listeners>,
        lifetime: Duration,
    ) -> Self {
        Self { ring, revocations, listeners, lifetime }
    }

    /// Opens the activity seals. One that is over says nothing, and is nothing to tell of.
    pub(crate) fn activities(
        &self,
        seals: &mut Seals,
        now: Timestamp,
        refused: &mut impl FnMut(Rejection),
    ) -> Activities {
        let mut activities = Activities::new();
        for seal in seals.activity.drain(..) {
            match self.ring.open_decoded::<ActivityTerms>(seal, now) {
                Ok(Opened { header, .. }) => activities.push((header.sid, header.terms)),
                Err(Rejection::Expired) => {}
                Err(why) => refused(why),
            }
        }
        activities
    }

    /// What stands behind a value of the session cookie.
    pub(crate) fn session(
        &self,
        seal: Plain,
        activities: &Activities,
        now: Timestamp,
    ) -> Result<Standing, Rejection> {
        let Opened { header, content } = self.ring.open_decoded::<SessionTerms>(seal, now)?;
        let of_it = activities.iter().filter(|(sid, _)| *sid == header.sid);
        let ends = header.terms.ends(of_it.map(|(_, terms)| *terms).max_by_key(|terms| terms.idle));
        // A lifetime that has become shorter since holds for what was sealed before, too.
        let ends = ends.min(header.issued.saturating_add(self.lifetime));
        if ends <= now {
            return Err(Rejection::Expired);
        }
        let verdict = self.verdict(|revocations| revocations.check(&header, now));
        standing(verdict, || live(header.sid, ends, content))
    }

    /// What stands behind a value of the companion `.p`.
    pub(crate) fn permanent(&self, seal: Plain, now: Timestamp) -> Result<Standing, Rejection> {
        let Opened { header, content } = self.ring.open_decoded::<PermanentTerms>(seal, now)?;
        let verdict = self.verdict(|revocations| revocations.check_permanent(&header, now));
        standing(verdict, || live(header.sid, header.terms.absolute, content))
    }

    /// What is left of something that was loaded or made before: a live record may have ended since.
    pub(crate) fn again(&self, standing: &Standing, now: Timestamp) -> Standing {
        match standing {
            Standing::Live(live) if live.expires_at <= now => Standing::Absent,
            Standing::Live(live) if !self.is_fine(&live.record, now) => Standing::Ended,
            other => other.clone(),
        }
    }

    /// Whether a record that was opened is still to be taken.
    pub(crate) fn is_fine(&self, record: &Record, now: Timestamp) -> bool {
        // Its login was noted when it was opened or made, so most of the time nothing is to be read in its header.
        let revocations = self.revocations.as_ref().filter(|revocations| !revocations.are_none());
        let (Some(revocations), Some(sealed)) = (revocations, record.sealed()) else { return true };
        let verdict = match record.nature() {
            Nature::Ordinary { .. } => {
                Header::before(sealed).map(|header| revocations.check(&header, now))
            }
            Nature::Permanent => {
                Header::before(sealed).map(|header| revocations.check_permanent(&header, now))
            }
        };
        verdict == Some(Verdict::Fine)
    }

    fn verdict(&self, check: impl FnOnce(&Revocations) -> Verdict) -> Verdict {
        self.revocations.as_ref().map_or(Verdict::Fine, check)
    }

    /// Ends a session or permanent data.
    pub(crate) fn end(&self, record: &Record, now: Timestamp) -> End {
        let (Some(revocations), Some(sealed)) = (&self.revocations, record.sealed()) else {
            return End::Now;
        };
        if !self.is_fine(record, now) {
            return End::Before;
        }
        let revoked = match record.nature() {
            Nature::Ordinary { .. } => {
                Header::before(sealed).map(|header| revocations.revoke(&header, now))
            }
            Nature::Permanent => {
                Header::before(sealed).map(|header| revocations.revoke_permanent(&header, now))
            }
        };
        match revoked.map(|revoked| self.tell(revoked)) {
            Some(By::ThisCall) => End::Now,
            _ => End::Before,
        }
    }

    /// Ends a session of which no more than the id is known.
    pub(crate) fn revoke_id(&self, id: SessionId, now: Timestamp) -> Result<End, Error> {
        let revocations = self.revocations.as_ref().ok_or_else(switched_off)?;
        match self.tell(revocations.revoke_id(id, self.latest_end(now), now)) {
            By::ThisCall => Ok(End::Now),
            By::AnEarlierOne => Ok(End::Before),
        }
    }

    /// Ends all sessions of an owner but, perhaps, one, which must not have ended itself.
    pub(crate) fn revoke_owner(
        &self,
        owner: &str,
        kept: Option<&Record>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let revocations = self.revocations.as_ref().ok_or_else(switched_off)?;
        let owner = OwnerTag::of(owner);
        let gone = || Error::gone(error::Record::Session);
        let kept = match kept {
            Some(record) if !self.is_fine(record, now) => return Err(gone()),
            Some(record) => kept_of(record, owner),
            None => None,
        };
        let revoked = revocations.revoke_owner(owner, kept, self.latest_end(now), now);
        self.tell(revoked.ok_or_else(gone)?);
        Ok(())
    }

    /// When a session that is sealed now has ended at the latest, whatever the clocks of other instances say.
    fn latest_end(&self, now: Timestamp) -> Timestamp {
        now.saturating_add(self.lifetime).saturating_add(AHEAD)
    }

    fn tell(&self, revoked: Revoked) -> By {
        if revoked.all_before.is_some() {
            self.listeners.tell(Name::RevocationsFull, || Event::RevocationsFull);
        }
        revoked.by
    }

    /// What a record is that is to be sealed: with the id of the former one, or with a new one.
    ///
    /// A new one is after everything that has been revoked by now, so `former` is to be looked at only afterwards:
    /// what is revoked from now on reaches both.
    pub(crate) fn make(
        &self,
        id: Id<'_>,
        record: &Written,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Live, Error> {
        match record.nature() {
            Nature::Ordinary { .. } => self.make_session(id, record, expires_at, now),
            Nature::Permanent => self.make_permanent(id, record.bytes(), expires_at, now),
        }
    }

    fn make_session(
        &self,
        id: Id<'_>,
        record: &Written,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Live, Error> {
        let former = id.former().and_then(Header::<SessionTerms>::before);
        let before = former.as_ref().and_then(|former| former.terms.login);
        let login = record.owner().map(|owner| self.login(id, OwnerTag::of(owner), before, now));
        let terms = SessionTerms { absolute: record.absolute(), idle: expires_at, login };
        let issued = |revoked: &Revocations| revoked.issued(now);
        let header = self.header(id, former, terms, now, issued)?;
        made(&header, record.bytes(), expires_at)
    }

    /// The login of a session. It keeps its instant as long as it keeps its owner, but under a new id the instant is
    /// after whatever was revoked, for `revoke_others` has kept the old id alone.
    fn login(&self, id: Id<'_>, owner: OwnerTag, before: Option<Login>, now: Timestamp) -> Login {
        let before = before.filter(|login| login.owner == owner);
        if let (Some(login), Id::Same(_)) = (before, id) {
            return login;
        }
        let since = before.map_or(now, |login| login.authenticated);
        let after = |revoked: &Revocations| revoked.authenticated(owner, since);
        let authenticated = self.revocations.as_ref().map_or(since, after);
        Login { authenticated, owner }
    }

    /// Permanent data whose record is this.
    pub(crate) fn make_permanent(
        &self,
        id: Id<'_>,
        record: &[u8],
        absolute: Timestamp,
        now: Timestamp,
    ) -> Result<Live, Error> {
        let former = id.former().and_then(Header::<PermanentTerms>::before);
        let issued = |revoked: &Revocations| revoked.issued_permanent(now);
        let header = self.header(id, former, PermanentTerms { absolute }, now, issued)?;
        made(&header, record, absolute)
    }

    fn header<T: Terms>(
        &self,
        id: Id<'_>,
        former: Option<Header<T>>,
        terms: T,
        now: Timestamp,
        issued: impl FnOnce(&Revocations) -> Timestamp,
    ) -> Result<Header<T>, Error> {
        let (sid, issued) = match (id, &former) {
            (Id::Same(_), Some(former)) => (former.sid, now.max(former.issued)),
            _ => (
                SessionId::from_bytes(token::random()?),
                self.revocations.as_ref().map_or(now, issued),
            ),
        };
        let unknown = former.map_or_else(Unknown::default, |former| former.unknown);
        Ok(Header { sid, issued, terms, unknown })
    }

    /// Appends the text that carries a record which was made here.
    pub(crate) fn seal(&self, record: &Record, out: &mut String) -> Result<(), Error> {
        let Some(sealed) = record.sealed() else { return Ok(()) };
        let purpose = match record.nature() {
            Nature::Ordinary { .. } => SessionTerms::PURPOSE,
            Nature::Permanent => PermanentTerms::PURPOSE,
        };
        self.ring.seal_record(purpose, sealed, out)
    }

    /// Appends the text that says until when a session lives because it was used.
    pub(crate) fn seal_activity(
        &self,
        key: &StoreKey,
        idle: Timestamp,
        now: Timestamp,
        out: &mut String,
    ) -> Result<(), Error> {
        self.ring.seal(&Header::new(key.id(), now, ActivityTerms { idle }), &[], out)
    }

    /// When permanent data was sealed.
    pub(crate) fn sealed_at(record: &Record) -> Option<Timestamp> {
        Header::<PermanentTerms>::before(record.sealed()?).map(|header| header.issued)
    }

    /// How long the text is that carries a record which was made here.
    pub(crate) fn length_of(record: &Record) -> usize {
        record.sealed().map_or(0, seal::text_length)
    }

    /// How long the text will be that carries a record of this length, in place of the former one.
    pub(crate) fn text_length(nature: Nature, former: Option<&Record>, record: usize) -> usize {
        let former = former.and_then(Record::sealed);
        match nature {
            Nature::Ordinary { .. } => text_length::<SessionTerms>(former, record),
            Nature::Permanent => text_length::<PermanentTerms>(former, record),
        }
    }

    /// How long the text of an activity seal is.
    pub(crate) fn activity_length() -> usize {
        text_length::<ActivityTerms>(None, 0)
    }
}

/// The id that something is made under.
#[derive(Clone, Copy)]
pub(crate) enum Id<'a> {
    New,
    /// That of this record.
    Same(&'a Record),
    /// A new one for what this record has been.
    After(&'a Record),
}

impl<'a> Id<'a> {
    fn former(self) -> Option<&'a Plain> {
        match self {
            Self::New => None,
            Self::Same(record) | Self::After(record) => record.sealed(),
        }
    }
}

/// The session of this owner whose record it is.
fn kept_of(record: &Record, owner: OwnerTag) -> Option<Kept> {
    let header = Header::<SessionTerms>::before(record.sealed()?)?;
    let login = header.terms.login.filter(|login| login.owner == owner)?;
    Some(Kept { sid: header.sid, authenticated: login.authenticated })
}

fn text_length<T: Terms>(former: Option<&Plain>, record: usize) -> usize {
    let unknown = former.map_or(0, Header::<T>::unknown_before);
    sealed_length::<T>(unknown, record)
}

fn made<T: Terms>(header: &Header<T>, record: &[u8], expires_at: Timestamp) -> Result<Live, Error> {
    let size = record.len();
    let plain = header.and(record);
    // Whoever plans has asked for the length.
    let too_large = || Error::new(Kind::TooLarge { size, limit: size, largest: Vec::new() });
    let record = Record::opened(plain.ok_or_else(too_large)?);
    Ok(live(header.sid, expires_at, record))
}

fn standing(verdict: Verdict, live: impl FnOnce() -> Live) -> Result<Standing, Rejection> {
    match verdict {
        Verdict::Fine => Ok(Standing::Live(live())),
        Verdict::JustEnded => Ok(Standing::Ended),
        Verdict::Ended => Err(Rejection::Revoked),
    }
}

fn live(sid: SessionId, expires_at: Timestamp, record: Record) -> Live {
    let token = Token::of_id(sid);
    Live { token, key: token.in_process_key(), version: VERSION, expires_at, record }
}

/// Nothing counts what is in a cookie.
const VERSION: Version = Version(0);

fn switched_off() -> Error {
    Error::new(Kind::Unsupported {
        doing: "ending sessions early",
        why: "app.sessionRevocation is \"off\"",
    })
}
