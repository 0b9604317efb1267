//! Carrying a [`Plan`] out: the only writer.

use super::{
    decide::{Ends, Held, Plan, Seen, Step, Target},
    seal,
    tell::{note_end, note_end_failed, note_permanent, note_token, note_touch_failed},
};
use crate::{
    change::Unsettled,
    cookie::Which,
    driver::{Answer, At, Driver},
    error::{self, Error},
    event::Event,
    handle::Request,
    lines::Lines,
    record,
    sessions::Core,
    standing::{Live, Recorded, Standing},
    token::Token,
};
use dframework_session_store::{
    Change, NewRecord, Outcome, StoreError, StoreKey, Timestamp, Tombstone, Version,
};
use std::time::Duration;

/// How long an ended token is remembered.
const REMEMBERED: Duration = Duration::from_secs(60);

/// What of a plan has been done, over all its rounds.
#[derive(Default)]
pub(super) struct Progress {
    /// What this round has done for good, though it may be lost.
    pub(super) done: Done,
    /// `destroy` was carried out.
    pub(super) ended: bool,
    /// `destroy` came too late: another request had ended or moved the session.
    pub(super) overtaken: bool,
    /// The permanent record that this commit made.
    pub(super) made_permanent: Option<Box<Recorded>>,
    /// The ordinary record as it is now, where this commit changed it.
    pub(super) ordinary: Option<Live>,
    /// Until when tombstones are kept that earlier tries of `destroy` may have left.
    pub(super) earlier_ends: Vec<Timestamp>,
    /// Until when a touch lets the ordinary record live.
    pub(super) touched: Option<Timestamp>,
    pub(super) lines: Lines,
    pub(super) generation: Option<u8>,
    /// What is to be told once the commit is done.
    pub(super) events: Vec<Event>,
}

/// The steps of a round that stand even if a later one is lost to another commit.
#[derive(Default)]
pub(super) struct Done {
    /// What `destroy` has ended.
    pub(super) ended: Option<Ended>,
    /// The permanent record as it is now.
    pub(super) permanent: Option<Standing>,
    /// The step that was tried last: if its outcome is unknown, this is what would tell.
    pub(super) unsettled: Option<Unsettled>,
}

impl Done {
    pub(super) fn is_nothing(&self) -> bool {
        self.ended.is_none() && self.permanent.is_none() && self.unsettled.is_none()
    }
}

/// How far a `destroy` has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Ordinary,
    Both,
}

/// How a round ended.
pub(super) enum Round {
    Done,
    /// Another commit came first.
    Lost,
    /// The session that was to be destroyed has ended or moved before.
    Overtaken,
}

/// Carries a plan out: the only writer. What stands although the round may be lost is noted in `progress.done`.
pub(super) async fn apply(
    core: &Core,
    request: &Request,
    plan: &mut Plan,
    progress: &mut Progress,
    now: Timestamp,
) -> Result<Round, Error> {
    if let Some(end) = &plan.end
        && carry_out_end(core, request, end, progress, now).await? == Ending::Overtaken
    {
        progress.overtaken = true;
        return Ok(Round::Overtaken);
    }
    if let Driver::Stealth(stealth) = &core.driver
        && seal::has_ended(stealth, plan, now)
    {
        return Ok(Round::Lost);
    }
    progress.done.unsettled = plan.unsettled;
    if let Some(step) = plan.permanent.as_deref_mut() {
        let mut live = None;
        match write(core, step, now, &mut live).await? {
            Written::Nothing | Written::Touched(..) | Written::Untouched(_) => {}
            Written::Lost => return Ok(Round::Lost),
            Written::Ended => {
                if let Step::Retire { held, .. } = step {
                    note_end(core, error::Record::Permanent, &held.key, &mut progress.events);
                }
                progress.done.permanent = Some(Standing::Absent);
                progress.lines.put(Which::Permanent, core.cookies.remove(Which::Permanent));
            }
            Written::Live(mut line) => {
                if let Some(live) = &live
                    && step.makes_token()
                {
                    progress.made_permanent = Some(Box::new(live.into()));
                    note_permanent(core, live, &mut progress.events);
                    line.get_or_insert_with(|| core.cookies.set_permanent(&live.token, now));
                }
                if let Some(line) = line {
                    progress.lines.put(Which::Permanent, line);
                }
                progress.done.permanent = live.map(Standing::Live);
            }
        }
    }
    match write(core, &mut plan.ordinary, now, &mut progress.ordinary).await? {
        Written::Nothing | Written::Ended => {}
        Written::Touched(expires_at, line) => {
            progress.touched = Some(expires_at);
            if let Some(line) = line {
                progress.lines.put(Which::Activity, line);
            }
        }
        Written::Untouched(error) => {
            if let Step::Touch { record, .. } = &plan.ordinary {
                note_touch_failed(core, &record.key, error, &mut progress.events);
            }
        }
        Written::Lost => return Ok(Round::Lost),
        Written::Live(mut line) => {
            if let Some(live) = &progress.ordinary
                && plan.ordinary.makes_token()
            {
                note_token(core, &plan.ordinary, live, &mut progress.events);
                let left = lifetime(live, now);
                line.get_or_insert_with(|| core.cookies.set_session(&live.token, left));
            }
            if let Some(line) = line {
                progress.lines.put(Which::Session, line);
            }
        }
    }
    if let Some(generation) = plan.generation {
        progress.generation = Some(generation);
        let left = progress.ordinary.as_ref().map_or(Duration::ZERO, |live| lifetime(live, now));
        let line = core.cookies.set_flash(generation, left);
        progress.lines.put(Which::Flash(generation), line);
    }
    Ok(Round::Done)
}

/// How long a record can still live.
fn lifetime(live: &Live, now: Timestamp) -> Duration {
    live.record.absolute().saturating_since(now)
}

/// What ending a record came to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It has ended now.
    Ended,
    /// It was no more: it had expired, or the store has let it go.
    WasOver,
    /// Somebody else has ended or moved it before.
    Overtaken,
}

/// Ends the records of a `destroy`, the ordinary one first.
async fn carry_out_end(
    core: &Core,
    request: &Request,
    end: &Ends,
    progress: &mut Progress,
    now: Timestamp,
) -> Result<Ending, Error> {
    let mut remembered = Remembered::from(now, progress.earlier_ends.clone());
    progress.done.unsettled = Some(Unsettled::End { until: remembered.until });
    let ending = end_target(&core.driver, &end.ordinary, &mut remembered).await?;
    if ending == Ending::Overtaken {
        return Ok(ending);
    }
    if let (Ending::Ended, Some(key)) = (ending, &end.ordinary.record()) {
        note_end(core, error::Record::Session, key, &mut progress.events);
    }
    progress.ended = true;
    progress.done.ended = Some(Ended::Ordinary);
    let mut cookies = cookies_to_remove(core, request, end);
    cookies.retain(|_| end.removes_cookies);
    let mut remove = |which: &Which| progress.lines.put(*which, core.cookies.remove(*which));
    cookies.iter().filter(|which| **which != Which::Permanent).for_each(&mut remove);
    let others = end.others.iter().map(|record| (error::Record::Session, record));
    let permanent = end.permanent.iter().map(|record| (error::Record::Permanent, record));
    for (which, record) in others.chain(permanent) {
        if end_record(&core.driver, record, &mut remembered).await? == Ending::Ended {
            note_end(core, which, &record.key, &mut progress.events);
        }
    }
    // Not before its record has ended: else nobody could end it any more.
    cookies.iter().filter(|which| **which == Which::Permanent).for_each(&mut remove);
    progress.done.ended = Some(Ended::Both);
    Ok(ending)
}

/// Ends a session, if nobody else has ended it or taken its place.
async fn end_target(
    driver: &Driver,
    target: &Target,
    remembered: &mut Remembered,
) -> Result<Ending, Error> {
    match target {
        Target::Record { record, seen } => {
            remembered.seen = *seen;
            let ending = end_record(driver, record, remembered).await;
            remembered.seen = None;
            ending
        }
        // What stands there has expired: else it would not have been unknown.
        Target::Unknown(key) => {
            let ending = look_at_end(driver, key, remembered).await?;
            Ok(ending.unwrap_or(Ending::WasOver))
        }
        Target::Nothing => Ok(Ending::WasOver),
    }
}

/// The tombstones of an end.
pub(crate) struct Remembered {
    /// Until when one that is made now is kept.
    until: Timestamp,
    now: Timestamp,
    /// Until when those are kept that this request may have left itself.
    own: Vec<Timestamp>,
    /// That this request has seen the record live.
    seen: Option<Seen>,
}

impl Remembered {
    /// A tombstone that is made now, and those that earlier tries may have left.
    pub(crate) fn from(now: Timestamp, own: Vec<Timestamp>) -> Self {
        Self { until: now.saturating_add(REMEMBERED), now, own, seen: None }
    }
}

/// Ends a record. A lost answer, and one that says that there was none, are looked into.
pub(crate) async fn end_record(
    driver: &Driver,
    record: &Recorded,
    remembered: &mut Remembered,
) -> Result<Ending, Error> {
    let error = match driver.end(record, remembered.now, remembered.until).await {
        Ok(true) => return Ok(Ending::Ended),
        Ok(false) if driver.stealth().is_some() => return Ok(Ending::Overtaken),
        Ok(false) => StoreError::unavailable("the session is still there"),
        Err(error) if error.outcome_is_unknown() => {
            remembered.own.push(remembered.until);
            error
        }
        Err(error) => return Err(Error::unavailable("ending the session", error)),
    };
    match look_at_end(driver, &record.key, remembered).await {
        Ok(Some(ending)) => Ok(ending),
        Ok(None) | Err(_) => Err(Error::unavailable("ending the session", error)),
    }
}

/// Looks how a record has ended; `None` when it has not.
async fn look_at_end(
    driver: &Driver,
    key: &StoreKey,
    remembered: &Remembered,
) -> Result<Option<Ending>, Error> {
    let Remembered { now, own, seen, .. } = remembered;
    // A tombstone of somebody else at a record that was live, however old it is, says that another has ended it.
    let was_live = own.is_empty() && seen.is_some();
    // So does nothing, where a tombstone can be gone by now and the record has not expired. In a shorter time one would
    // still be there, so a store that was full has let the record go.
    let was_ended = own.is_empty()
        && seen.is_some_and(|Seen { at, expires_at }| {
            at.saturating_add(REMEMBERED) <= *now && *now < expires_at
        });
    let mut ending = None;
    let show = |_, at| {
        ending = match at {
            At::Ended { until } if *now < until && !own.contains(&until) => Some(Ending::Overtaken),
            At::Ended { .. } if was_live => Some(Ending::Overtaken),
            At::Nothing if was_ended => Some(Ending::Overtaken),
            At::Ended { until } if own.contains(&until) => Some(Ending::Ended),
            At::Ended { .. } | At::Nothing => Some(Ending::WasOver),
            At::Record { .. } => None,
        };
    };
    driver.load(std::slice::from_ref(key), show).await?;
    Ok(ending)
}

/// The cookies that the browser may hold of a session that was destroyed.
fn cookies_to_remove(core: &Core, request: &Request, end: &Ends) -> Vec<Which> {
    let carried = &request.carried;
    let session = carried.session.was_carried() || matches!(end.ordinary, Target::Record { .. });
    let permanent = carried.permanent().was_carried() || end.permanent.is_some();
    let mut cookies = Vec::new();
    if session {
        cookies.push(Which::Session);
    }
    if session || permanent {
        cookies.push(Which::Permanent);
    }
    if carried.activity > 0 || (session && core.driver.stealth().is_some()) {
        cookies.push(Which::Activity);
    }
    cookies.extend((0..8).filter(|bit| carried.flash & (1 << bit) != 0).map(Which::Flash));
    cookies
}

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
    let driver = &core.driver;
    if let Driver::Stealth(stealth) = driver {
        return seal::write(core, stealth, step, now, live);
    }
    let retires = matches!(step, Step::Retire { .. });
    let moved;
    let (held, moves_to, record, expires_at) = match step {
        Step::Nothing => return Ok(Written::Nothing),
        Step::Touch { record, expires_at } => {
            return Ok(match driver.touch(&record.key, *expires_at).await {
                Ok(()) => Written::Touched(*expires_at, None),
                Err(error) => Written::Untouched(error),
            });
        }
        Step::Create { presented, record, expires_at } => {
            let place = Place::new(driver)?;
            record.stamp_for(&place.key);
            let mut new = NewRecord::new(record.bytes(), record.created(), *expires_at);
            new.owner = record.owner();
            let remember_until = now.saturating_add(REMEMBERED);
            new.presented = presented.map(|key| Tombstone { key, remember_until });
            let answer = match driver.create(&place.key, &new, now).await {
                Err(error) if error.outcome_is_unknown() => {
                    look(driver, error, &place.key, record).await
                }
                answer => answer,
            };
            return written(answer, place, record, *expires_at, live);
        }
        Step::Save { held, record, expires_at } => (&*held, None, record, *expires_at),
        Step::Replace { former, record, expires_at } => {
            moved = Held::from(&**former);
            (&moved, Some(Place::new(driver)?), record, *expires_at)
        }
        // No store ends a record by version, so it moves, by compare-and-set, to a key that nobody has, where
        // it has already expired; the tombstone stays at its own.
        Step::Retire { held, record } => (&*held, Some(Place::new(driver)?), record, now),
    };
    let place = moves_to.unwrap_or(Place { token: held.token, key: held.key });
    record.stamp_for(&place.key);
    let mut change = Change::new(record.bytes(), expires_at);
    change.owner = record.owner();
    if let Some(place) = &moves_to {
        change.move_to = Some(place.key);
        change.remember_until = now.saturating_add(REMEMBERED);
    }
    let answer = match driver.commit(&held.key, held.version, &change).await {
        Err(error) if error.outcome_is_unknown() => look(driver, error, &place.key, record).await,
        answer => answer,
    };
    match written(answer, place, record, expires_at, live) {
        Ok(Written::Live(..)) if retires => Ok(Written::Ended),
        written => written,
    }
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

/// Reads the answer of a store.
fn written(
    answer: Result<Answer, StoreError>,
    place: Place,
    record: &mut record::Written,
    expires_at: Timestamp,
    live: &mut Option<Live>,
) -> Result<Written, Error> {
    let Place { token, key } = place;
    match answer {
        Ok((Outcome::Committed(version), kept)) => {
            let record = std::mem::take(record).kept_as(kept);
            *live = Some(Live { token, key, version, expires_at, record });
            Ok(Written::Live(None))
        }
        Ok(_) => Ok(Written::Lost),
        Err(error) => Err(Error::unavailable("committing", error)),
    }
}

/// Where the answer of a store does not say what happened, one look at the place does.
async fn look(
    driver: &Driver,
    error: StoreError,
    key: &StoreKey,
    record: &record::Written,
) -> Result<Answer, StoreError> {
    // In a box: it is rare, and would make the future of every commit larger.
    let version = Box::pin(find_again(driver, key, record)).await.ok_or(error)?;
    Ok((Outcome::Committed(version), None))
}

/// The version of exactly this record at this key, if it is there.
async fn find_again(driver: &Driver, key: &StoreKey, record: &record::Written) -> Option<Version> {
    let mut found = None;
    let looked = driver.load(std::slice::from_ref(key), |_, at| {
        if let At::Record { bytes, version, .. } = at
            && bytes.as_ref() == record.bytes()
        {
            found = Some(version);
        }
    });
    looked.await.ok().and(found)
}

/// Until when a token that ends now is remembered.
pub(crate) fn remember_until(core: &Core) -> Timestamp {
    core.clock.now().saturating_add(REMEMBERED)
}

/// What a `destroy` that came to no commit was to end.
pub(crate) struct Abandoned {
    pub(crate) ordinary: Target,
    /// Other sessions of a doubled cookie.
    pub(crate) others: Vec<Recorded>,
    pub(crate) permanent: Option<Recorded>,
    /// Until when tombstones are kept that earlier tries may have left.
    pub(crate) earlier_ends: Vec<Timestamp>,
}

impl Abandoned {
    /// Its records live on: whoever is told of it may end them by their ids.
    pub(crate) fn tell_of_no_runtime(self, core: &Core) {
        let mut events = Vec::new();
        let others = self.others.iter().chain(&self.permanent).map(|record| record.key);
        for key in self.ordinary.record().into_iter().chain(others) {
            let error = StoreError::unavailable("there is no runtime any more");
            let error = Error::unavailable("ending the session", error);
            note_end_failed(core, &key, error, &mut events);
        }
        core.listeners.tell_all(&events);
    }
}

/// Ends the records of a `destroy` that nobody waits for: it counts, whatever became of the request.
///
/// As where somebody waits, a session that another request has ended or moved keeps its permanent data.
pub(crate) async fn end_abandoned(core: &Core, abandoned: Abandoned) {
    let mut remembered = Remembered::from(core.clock.now(), abandoned.earlier_ends);
    let mut events = Vec::new();
    let target = &abandoned.ordinary;
    let ending = end_target(&core.driver, target, &mut remembered).await;
    match (ending, target.record()) {
        (Ok(Ending::Overtaken), _) => return,
        (Ok(Ending::Ended), Some(key)) => {
            note_end(core, error::Record::Session, &key, &mut events);
        }
        (Err(error), Some(key)) => note_end_failed(core, &key, error, &mut events),
        (Ok(Ending::WasOver), _) | (_, None) => {}
    }
    for record in &abandoned.others {
        end_quietly(core, error::Record::Session, record, &mut events).await;
    }
    if let Some(record) = &abandoned.permanent {
        end_quietly(core, error::Record::Permanent, record, &mut events).await;
    }
    core.listeners.tell_all(&events);
}

/// Ends a record that has no use any more.
pub(super) async fn end_quietly(
    core: &Core,
    which: error::Record,
    record: &Recorded,
    events: &mut Vec<Event>,
) {
    let key = &record.key;
    match core.driver.end(record, core.clock.now(), remember_until(core)).await {
        Ok(true) => note_end(core, which, key, events),
        Ok(false) => {}
        Err(error) => {
            let error = Error::unavailable("ending the session", error);
            note_end_failed(core, key, error, events);
        }
    }
}
