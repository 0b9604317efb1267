//! Writing one record as a [`Step`] says: into the memory of this process, into a store, or, by [`seal`], into a cookie.

use super::{apply::REMEMBERED, decide::Step, seal};
use crate::{
    driver::{Answer, At, Driver, Remote},
    error::{Error, Kind},
    sessions::Core,
    standing::Live,
    token::Token,
};
use dframework_session_store::{
    Change, NewRecord, Outcome, StoreError, StoreKey, Timestamp, Tombstone, Version,
};

/// What writing a record came to.
pub(super) enum Written {
    Nothing,
    /// The line that says so, where a cookie does.
    Touched(Timestamp, Option<String>),
    /// It was not recorded that a session was used.
    Untouched(StoreError),
    /// The line that carries the record, where a cookie does.
    Live(Option<String>),
    Ended,
    Lost,
}

/// Writes a record as the step says, which is used up. What lives then is put where it stays, so that it is not moved.
pub(super) async fn write(
    core: &Core,
    step: &mut Step,
    now: Timestamp,
    live: &mut Option<Live>,
) -> Result<Written, Error> {
    let Driver::Store(remote) = &core.driver else { return write_now(core, step, now, live) };
    let (answer, place) = match Call::of(step, now, &core.driver)? {
        Call::Nothing => return Ok(Written::Nothing),
        Call::Touch { key, expires_at } => {
            return Ok(match remote.touch(&key, expires_at).await {
                Ok(()) => Written::Touched(expires_at, None),
                Err(error) => Written::Untouched(error),
            });
        }
        Call::Create { place, new } => {
            let answer = remote.create(&place.key, &new, now).await;
            (known(answer, remote, &place.key, new.bytes).await, place)
        }
        Call::Commit { place, key, expected, change } => {
            let answer = remote.commit(&key, expected, &change).await;
            (known(answer, remote, &place.key, change.bytes).await, place)
        }
    };
    written(answer.map(|outcome| (outcome, None)), place, step, live)
}

/// The same where nothing is waited for: in the memory of this process, and in cookies.
pub(super) fn write_now(
    core: &Core,
    step: &mut Step,
    now: Timestamp,
    live: &mut Option<Live>,
) -> Result<Written, Error> {
    let memory = match &core.driver {
        Driver::Memory(memory) => memory,
        Driver::Stealth(stealth) => return seal::write(core, stealth, step, now, live),
        Driver::Store(_) => return Err(Error::new(Kind::WouldBlock)),
    };
    let (answer, place) = match Call::of(step, now, &core.driver)? {
        Call::Nothing => return Ok(Written::Nothing),
        Call::Touch { key, expires_at } => {
            memory.touch(&key, expires_at);
            return Ok(Written::Touched(expires_at, None));
        }
        Call::Create { place, new } => (memory.create(&place.key, &new, now), place),
        Call::Commit { place, key, expected, change } => {
            (memory.commit(&key, expected, &change), place)
        }
    };
    written(answer, place, step, live)
}

/// Where a record is to be, and the token that opens it.
#[derive(Clone, Copy)]
struct Place {
    token: Token,
    key: StoreKey,
}

impl Place {
    fn new(driver: &Driver) -> Result<Self, Error> {
        let token = Token::generate()?;
        Ok(Self { token, key: driver.key_of(&token) })
    }
}

/// What is asked of a store, or of the memory of this process.
enum Call<'a> {
    Nothing,
    Touch { key: StoreKey, expires_at: Timestamp },
    Create { place: Place, new: NewRecord<'a> },
    Commit { place: Place, key: StoreKey, expected: Version, change: Change<'a> },
}

impl<'a> Call<'a> {
    #[inline]
    fn of(step: &'a mut Step, now: Timestamp, driver: &Driver) -> Result<Self, Error> {
        let (place, key, expected, moves, record, expires_at) = match step {
            Step::Nothing => return Ok(Self::Nothing),
            Step::Touch { record, expires_at } => {
                return Ok(Self::Touch { key: record.key, expires_at: *expires_at });
            }
            Step::Create { presented, record, expires_at } => {
                let place = Place::new(driver)?;
                record.stamp_for(&place.key);
                let mut new = NewRecord::new(record.bytes(), record.created(), *expires_at);
                new.owner = record.owner();
                let remember_until = now.saturating_add(REMEMBERED);
                new.presented = presented.map(|key| Tombstone { key, remember_until });
                return Ok(Self::Create { place, new });
            }
            Step::Save { held, record, expires_at } => {
                let place = Place { token: held.token, key: held.key };
                (place, held.key, held.version, false, record, *expires_at)
            }
            Step::Replace { former, record, expires_at } => {
                (Place::new(driver)?, former.key, former.version, true, record, *expires_at)
            }
            // No store ends a record by version, so it moves, by compare-and-set, to a key that nobody has, where
            // it has already expired; the tombstone stays at its own.
            Step::Retire { held, record } => {
                (Place::new(driver)?, held.key, held.version, true, record, now)
            }
        };
        record.stamp_for(&place.key);
        let mut change = Change::new(record.bytes(), expires_at);
        change.owner = record.owner();
        if moves {
            change.move_to = Some(place.key);
            change.remember_until = now.saturating_add(REMEMBERED);
        }
        Ok(Self::Commit { place, key, expected, change })
    }
}

/// Reads the answer to a step.
fn written(
    answer: Result<Answer, StoreError>,
    place: Place,
    step: &mut Step,
    live: &mut Option<Live>,
) -> Result<Written, Error> {
    let (outcome, kept) = answer.map_err(|error| Error::unavailable("committing", error))?;
    let Outcome::Committed(version) = outcome else { return Ok(Written::Lost) };
    let (record, expires_at) = match step {
        Step::Create { record, expires_at, .. }
        | Step::Save { record, expires_at, .. }
        | Step::Replace { record, expires_at, .. } => (std::mem::take(record), *expires_at),
        Step::Nothing | Step::Touch { .. } | Step::Retire { .. } => return Ok(Written::Ended),
    };
    let (Place { token, key }, record) = (place, record.kept_as(kept));
    *live = Some(Live { token, key, version, expires_at, record });
    Ok(Written::Live(None))
}

/// Where the answer of a store does not say what happened, one look at the place does.
async fn known(
    answer: Result<Outcome, StoreError>,
    remote: &Remote,
    key: &StoreKey,
    bytes: &[u8],
) -> Result<Outcome, StoreError> {
    match answer {
        Err(error) if error.outcome_is_unknown() => {
            // In a box: it is rare, and would make the future of every commit larger.
            Box::pin(find_again(remote, key, bytes)).await.map(Outcome::Committed).ok_or(error)
        }
        answer => answer,
    }
}

/// The version of exactly this record at this key, if it is there.
async fn find_again(remote: &Remote, key: &StoreKey, bytes: &[u8]) -> Option<Version> {
    let mut found = None;
    let looked = remote.load(std::slice::from_ref(key), |_, at| {
        if let At::Record { bytes: there, version, .. } = at
            && there.as_ref() == bytes
        {
            found = Some(version);
        }
    });
    looked.await.ok().and(found)
}
