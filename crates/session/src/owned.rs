//! The sessions of a user, from outside their requests: listing, ending, counting.
//!
//! Nothing here shows a token, a key of a store or a value. Permanent data is no login and stays as it is.

use crate::{
    Error, SessionHandle, Sessions,
    commit::{Ending, Remembered, end_record, remember_until},
    driver::Driver,
    error::Kind,
    event::{Event, Name},
    standing::Recorded,
    stealth::End,
};
use dframework_session_store::{Entry, Page, SessionId, StoreError, StoreKey, Timestamp};
use std::time::Duration;

/// One session in a user's list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct OwnedSession {
    /// Its public id: what [`Session::id`](crate::Session::id) tells inside the session itself.
    pub id: SessionId,
    /// When it began.
    pub created: Timestamp,
    /// When it was last used: then, or up to a tenth of the idle timeout before.
    pub last_seen: Timestamp,
}

impl Sessions {
    /// Lists the sessions of an owner that live, in the order of their ids: at most `limit` of them, from the
    /// first one behind `after`.
    ///
    /// Pages that are read one after the other show every session once that lives all the while.
    ///
    /// # Errors
    ///
    /// [`Error::is_unavailable`] when the store cannot be reached; [`Error::is_unsupported`] with the driver `stealth`,
    /// whose sessions only the browsers have.
    ///
    /// ```
    /// use dframework_session::{RequestHead, ResponseHead, Sessions};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let sessions = Sessions::memory();
    /// let login = sessions.open(RequestHead::new("POST"));
    /// login.set_owner("42").await?;
    /// login.save().await?;
    ///
    /// let first_page = sessions.of("42", None, 20).await?;
    /// assert_eq!(Some(first_page[0].id), login.id().await?);
    /// # Ok::<(), dframework_session::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn of(
        &self,
        owner: impl AsRef<str>,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<OwnedSession>, Error> {
        let now = self.0.clock.now();
        let idle = self.0.lifetimes.idle;
        let entries = self.0.driver.owned_by(owner.as_ref(), now, after, limit).await?;
        let shown = entries.into_iter().map(|(id, entry)| {
            let last_seen = before(entry.expires_at, idle).min(now).max(entry.created);
            OwnedSession { id, created: entry.created, last_seen }
        });
        Ok(shown.collect())
    }

    /// Ends the session with this id, as a logout does. Returns whether there was one.
    ///
    /// A request of that session that is under way finds it gone.
    ///
    /// With the driver `stealth` it ends for this process, until its restart. Nobody can say there whether there is a
    /// session of this id: `true` says that the id was not revoked before.
    ///
    /// # Errors
    ///
    /// [`Error::is_unavailable`] when the store cannot be reached; [`Error::is_unsupported`] with the driver `stealth`
    /// if [revocation](crate::Config::revocation) is off.
    ///
    /// ```
    /// use dframework_session::{RequestHead, Sessions};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let sessions = Sessions::memory();
    /// let login = sessions.open(RequestHead::new("POST"));
    /// login.set_owner("42").await?;
    /// login.save().await?;
    ///
    /// let id = login.id().await?.expect("saved sessions have an id");
    /// assert!(sessions.revoke(id).await?);
    /// assert!(!sessions.revoke(id).await?);
    /// # Ok::<(), dframework_session::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn revoke(&self, id: SessionId) -> Result<bool, Error> {
        let now = self.0.clock.now();
        if let Driver::Stealth(stealth) = &self.0.driver {
            let has_ended = stealth.revoke_id(id, now)? == End::Now;
            if has_ended {
                self.0.listeners.tell(Name::Revoked, || Event::Revoked { id });
            }
            return Ok(has_ended);
        }
        match self.0.driver.find(&id).await?.filter(|entry| now < entry.expires_at) {
            Some(entry) => {
                let record = Recorded { key: entry.key, sealed: None };
                let mut remembered = Remembered::from(now, Vec::new());
                let ending = end_record(&self.0.driver, &record, &mut remembered).await?;
                let has_ended = ending == Ending::Ended;
                if has_ended {
                    self.0.listeners.tell(Name::Revoked, || Event::Revoked { id });
                }
                Ok(has_ended)
            }
            None => Ok(false),
        }
    }

    /// Ends all sessions of an owner. Returns how many there were.
    ///
    /// With the driver `stealth` they end for this process, until its restart, and the number is 0, since nobody can
    /// count them. A login that follows stands.
    ///
    /// # Errors
    ///
    /// [`Error::is_unavailable`] when the store cannot be reached; some may have ended then. [`Error::is_unsupported`]
    /// with the driver `stealth` if [revocation](crate::Config::revocation) is off.
    ///
    /// ```
    /// use dframework_session::{RequestHead, Sessions};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let sessions = Sessions::memory();
    /// let login = sessions.open(RequestHead::new("POST"));
    /// login.set_owner("42").await?;
    /// login.save().await?;
    ///
    /// assert_eq!(sessions.revoke_all("42").await?, 1);
    /// assert!(sessions.of("42", None, 20).await?.is_empty());
    /// # Ok::<(), dframework_session::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn revoke_all(&self, owner: impl AsRef<str>) -> Result<usize, Error> {
        let owner = owner.as_ref();
        if let Driver::Stealth(stealth) = &self.0.driver {
            stealth.revoke_owner(owner, None, self.0.clock.now())?;
            let revoked = || Event::AllRevoked { owner: owner.into(), count: 0 };
            self.0.listeners.tell(Name::AllRevoked, revoked);
            return Ok(0);
        }
        let count = self.0.driver.end_owned_by(owner, None, remember_until(&self.0)).await?;
        if count > 0 {
            let revoked = || Event::AllRevoked { owner: owner.into(), count };
            self.0.listeners.tell(Name::AllRevoked, revoked);
        }
        Ok(count)
    }

    /// Ends all sessions of the owner of this one, but not this one. Returns how many there were.
    ///
    /// A session without an owner has no others. With the driver `stealth`, what holds for
    /// [`revoke_all`](Sessions::revoke_all) holds here.
    ///
    /// # Errors
    ///
    /// As there; with `stealth` also [`Error::is_gone`] when this session has ended itself, and then nothing else does.
    ///
    /// ```
    /// use dframework_session::{RequestHead, Sessions};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let sessions = Sessions::memory();
    /// for _ in 0..3 {
    ///     let elsewhere = sessions.open(RequestHead::new("POST"));
    ///     elsewhere.set_owner("42").await?;
    ///     elsewhere.save().await?;
    /// }
    /// let here = sessions.open(RequestHead::new("POST"));
    /// here.set_owner("42").await?;
    /// here.save().await?;
    ///
    /// assert_eq!(sessions.revoke_others(&here).await?, 3);
    /// assert_eq!(sessions.of("42", None, 20).await?.len(), 1);
    /// # Ok::<(), dframework_session::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn revoke_others(&self, handle: &SessionHandle) -> Result<usize, Error> {
        let Some(owner) = handle.owner().await? else { return Ok(0) };
        let here = handle.0.ordinary_key();
        let core = &self.0;
        let kept = || here.as_ref().map(|key| core.driver.id_at(key));
        if let Driver::Stealth(stealth) = &core.driver {
            let record = handle.0.ordinary_record();
            stealth.revoke_owner(&owner, record.as_ref(), core.clock.now())?;
            let revoked =
                || Event::OthersRevoked { owner: (&*owner).into(), kept: kept(), count: 0 };
            core.listeners.tell(Name::OthersRevoked, revoked);
            return Ok(0);
        }
        let until = remember_until(core);
        let count = core.driver.end_owned_by(&owner, here.as_ref(), until).await?;
        if count > 0 {
            let revoked = || Event::OthersRevoked { owner: (&*owner).into(), kept: kept(), count };
            core.listeners.tell(Name::OthersRevoked, revoked);
        }
        Ok(count)
    }

    /// Counts the records that live: sessions, and permanent data.
    ///
    /// # Errors
    ///
    /// [`Error::is_unavailable`] when the store cannot be reached; [`Error::is_unsupported`] with the driver `stealth`,
    /// whose sessions only the browsers have.
    ///
    /// ```
    /// use dframework_session::{RequestHead, Sessions};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let sessions = Sessions::memory();
    /// assert_eq!(sessions.count().await?, 0);
    /// # Ok::<(), dframework_session::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn count(&self) -> Result<u64, Error> {
        self.0.driver.count(self.0.clock.now()).await
    }
}

impl Driver {
    /// The sessions of an owner by their ids, in the order of ids.
    async fn owned_by(
        &self,
        owner: &str,
        now: Timestamp,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<(SessionId, Entry)>, Error> {
        match self {
            Self::Memory(memory) => {
                // Keys are tokens here, in another order than ids: the whole list is needed for a page of it.
                let all = Page { after: None, limit: usize::MAX };
                let entries = memory.owned_by(owner, now, all).into_iter();
                let mut owned: Vec<_> =
                    entries.map(|entry| (memory.id(&entry.key), entry)).collect();
                owned.retain(|(id, _)| after.is_none_or(|after| *id > after));
                owned.sort_unstable_by_key(|(id, _)| *id);
                owned.truncate(limit);
                Ok(owned)
            }
            Self::Stealth(_) => Err(unlisted("listing sessions")),
            Self::Store(remote) => {
                let page = Page { after: after.map(|id| *id.keys().end()), limit };
                let entries = remote.within(remote.store.owned_by(owner, now, page)).await;
                let entries = entries.map_err(|error| Error::unavailable("listing", error))?;
                let entries = entries.into_iter().map(|entry| (entry.key.id(), entry));
                // A store that repeats itself must not keep whoever turns the pages for ever.
                let behind = entries.filter(|(id, _)| after.is_none_or(|after| *id > after));
                Ok(behind.take(limit).collect())
            }
        }
    }

    async fn find(&self, id: &SessionId) -> Result<Option<Entry>, Error> {
        match self {
            Self::Memory(memory) => Ok(memory.find(id)),
            Self::Stealth(_) => Err(unlisted("finding a session")),
            Self::Store(remote) => {
                let found = remote.within(remote.store.find(id)).await;
                let found =
                    found.map_err(|error| Error::unavailable("finding a session", error))?;
                if found.as_ref().is_some_and(|entry| entry.key.id() != *id) {
                    let error = StoreError::refused("the store found another session");
                    return Err(Error::unavailable("finding a session", error));
                }
                Ok(found)
            }
        }
    }

    async fn end_owned_by(
        &self,
        owner: &str,
        except: Option<&StoreKey>,
        until: Timestamp,
    ) -> Result<usize, Error> {
        match self {
            Self::Memory(memory) => Ok(memory.end_owned_by(owner, except, until)),
            Self::Stealth(_) => Err(unlisted("counting what ends")),
            Self::Store(remote) => {
                let ended = remote.within(remote.store.end_owned_by(owner, except, until)).await;
                ended.map_err(|error| Error::unavailable("ending sessions", error))
            }
        }
    }

    async fn count(&self, now: Timestamp) -> Result<u64, Error> {
        match self {
            Self::Memory(memory) => Ok(memory.count(now)),
            Self::Stealth(_) => Err(unlisted("counting sessions")),
            Self::Store(remote) => {
                let count = remote.within(remote.store.count(now)).await;
                count.map_err(|error| Error::unavailable("counting", error))
            }
        }
    }
}

/// Nobody but the browsers has the sessions.
fn unlisted(doing: &'static str) -> Error {
    Error::new(Kind::Unsupported { doing, why: "sessions are in their cookies" })
}

fn before(instant: Timestamp, span: Duration) -> Timestamp {
    let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_millis(instant.as_millis().saturating_sub(span))
}
