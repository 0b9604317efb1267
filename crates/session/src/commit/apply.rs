//! Carrying a [`Plan`] out: what ends is ended here, and what is written, [`super::write`] writes.

use super::{
    decide::{Ends, Plan, Seen, Step, Target},
    seal,
    tell::{note_end, note_end_failed, note_permanent, note_token, note_touch_failed},
    write::{Written, write},
};
use crate::{
    change::Unsettled,
    cookie::Which,
    driver::{At, Driver},
    error::{self, Error},
    event::Event,
    handle::Request,
    lines::Lines,
    sessions::Core,
    standing::{Live, Recorded, Standing},
};
use dframework_session_store::{StoreError, StoreKey, Timestamp};
use std::time::Duration;

/// How long an ended token is remembered.
pub(super) const REMEMBERED: Duration = Duration::from_secs(60);

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

/// Carries a plan out. What stands although the round may be lost is noted in `progress.done`.
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
        Written::Live(line) => {
            let Progress { ordinary, lines, events, .. } = progress;
            if let Some(live) = ordinary {
                note_live(core, &plan.ordinary, live, line, now, lines, events);
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

/// Notes that the session's own record lives: what is to be told, and the cookie that is to be sent.
pub(super) fn note_live(
    core: &Core,
    step: &Step,
    live: &Live,
    mut line: Option<String>,
    now: Timestamp,
    lines: &mut Lines,
    events: &mut Vec<Event>,
) {
    if step.makes_token() {
        note_token(core, step, live, events);
        line.get_or_insert_with(|| core.cookies.set_session(&live.token, lifetime(live, now)));
    }
    if let Some(line) = line {
        lines.put(Which::Session, line);
    }
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
