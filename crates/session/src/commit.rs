//! What becomes of a request's changes: [`decide`] says it, [`apply`] does it, [`Inner::commit`] goes round
//! the two until it is done.
//!
//! `decide` is pure: records, log and rules in, a plan out. `apply` is the only writer. On a conflict the
//! records are loaded again, the log is replayed on them, and a new plan is made.

use crate::{
    change::{Draft, Live, Log, Standing},
    cookie::Which,
    driver::Driver,
    error::{Error, Kind},
    event,
    handle::{Inner, Request, Stage, State},
    lines::Lines,
    queue::Turn,
    record::{Header, Record},
    sessions::{CommitError, Core, HeadChanges, ResponseHead},
    token::Token,
};
use dframework_session_store::{
    Change, NewRecord, Outcome, StoreError, StoreKey, Timestamp, Tombstone, Version,
};
use std::{sync::Arc, time::Duration};

/// How long an ended token is remembered.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(60);

const DAY: u64 = 24 * 60 * 60 * 1000;

/// How long permanent data lives: as its cookie's `Max-Age` says.
const TEN_YEARS: Duration = Duration::from_secs(315_360_000);

/// After this many days a navigation sends `.p` again, since browsers forget it 400 days after it was set.
const RESEND_AFTER_DAYS: u64 = 30;

/// When a commit happens, and what that allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Moment {
    /// The response head is ready.
    Answer,
    /// The response head says that the server failed: nothing is committed but `destroy`.
    Failure,
    /// The response is an upgrade: it carries no cookies.
    Upgrade,
    /// `save`, before the head.
    Save,
    /// `save`, after the head: no cookie can be sent any more.
    LateSave,
}

impl Moment {
    pub(crate) fn of_status(status: u16) -> Self {
        match status {
            101 => Self::Upgrade,
            500.. => Self::Failure,
            _ => Self::Answer,
        }
    }

    fn sends_cookies(self) -> bool {
        !matches!(self, Self::Upgrade | Self::LateSave)
    }
}

/// What is to be done. A plan holds no token: `apply` makes them.
pub(crate) struct Plan {
    end: Option<End>,
    permanent: Step,
    ordinary: Step,
    /// The generation of the flash values in the ordinary record.
    generation: Option<u8>,
}

/// `destroy`: these records end, and the cookies go.
struct End {
    ordinary: Option<StoreKey>,
    permanent: Option<StoreKey>,
    removes_cookies: bool,
}

/// What becomes of one record.
enum Step {
    Nothing,
    /// It lives longer.
    Touch {
        key: StoreKey,
        expires_at: Timestamp,
    },
    /// It changes where it is.
    Save {
        live: Live,
        record: Record,
        expires_at: Timestamp,
    },
    /// It changes and gets another token.
    Replace {
        live: Live,
        record: Record,
        expires_at: Timestamp,
    },
    /// It is made.
    Create {
        presented: Option<StoreKey>,
        record: Record,
        expires_at: Timestamp,
    },
    /// Its last entry is gone, so it goes too.
    Retire {
        live: Live,
        record: Record,
    },
}

impl Step {
    fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    fn makes_token(&self) -> bool {
        matches!(self, Self::Replace { .. } | Self::Create { .. })
    }
}

impl Plan {
    fn nothing() -> Self {
        Self { end: None, permanent: Step::Nothing, ordinary: Step::Nothing, generation: None }
    }

    fn is_nothing(&self) -> bool {
        self.end.is_none() && self.permanent.is_nothing() && self.ordinary.is_nothing()
    }

    /// Whether the plan does nothing that anybody would miss.
    fn is_mere_touch(&self) -> bool {
        self.end.is_none()
            && self.permanent.is_nothing()
            && matches!(self.ordinary, Step::Nothing | Step::Touch { .. })
    }

    fn needs_cookie(&self) -> bool {
        self.permanent.makes_token() || self.ordinary.makes_token() || self.generation.is_some()
    }
}

/// How long sessions live.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetimes {
    pub(crate) idle: Duration,
    pub(crate) absolute: Duration,
}

impl Lifetimes {
    /// When a session that is used now expires, in steps of a tenth of the idle timeout.
    ///
    /// The steps make most uses agree with what is stored, so that they need not be written.
    pub(crate) fn idle_deadline(self, now: Timestamp, absolute: Timestamp) -> Timestamp {
        let step = u64::try_from(self.idle.as_millis() / 10).unwrap_or(u64::MAX).max(1);
        let deadline = now.saturating_add(self.idle).as_millis();
        Timestamp::from_millis(deadline.div_ceil(step).saturating_mul(step)).min(absolute)
    }
}

/// What [`decide`] looks at.
pub(crate) struct Situation<'a> {
    pub(crate) draft: &'a Draft,
    pub(crate) log: &'a Log,
    /// The flash generations that were read.
    pub(crate) read: u8,
    pub(crate) request: &'a Request,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) moment: Moment,
    pub(crate) now: Timestamp,
}

impl Situation<'_> {
    fn aged(&self) -> u8 {
        match self.moment {
            Moment::Answer => self.request.purpose.aged(self.request.carried.flash, self.read),
            _ => 0,
        }
    }
}

/// Says what becomes of the records. Nothing is written here, and nothing random is made.
pub(crate) fn decide(situation: &Situation<'_>) -> Result<Plan, Error> {
    let Situation { draft, log, moment, .. } = situation;
    if log.destroy && draft.ordinary.is_ended() {
        // Somebody else has ended the session: what this request would have done to it is over, too.
        return Ok(Plan::nothing());
    }
    let mut plan = Plan { end: log.destroy.then(|| end(draft, *moment)), ..Plan::nothing() };
    if *moment == Moment::Failure || log.operations.is_empty() {
        if !log.destroy {
            plan.ordinary = touch(situation);
        }
        return Ok(plan);
    }
    plan.permanent = permanent_step(situation)?;
    (plan.ordinary, plan.generation) = ordinary_step(situation)?;
    match moment {
        _ if !plan.needs_cookie() => Ok(plan),
        Moment::Upgrade => Err(Error::new(Kind::Upgrade)),
        Moment::LateSave => Err(Error::new(Kind::Late { doing: "saving" })),
        _ => Ok(plan),
    }
}

fn end(draft: &Draft, moment: Moment) -> End {
    let recorded = |standing: &Standing| match standing {
        Standing::Live(_) | Standing::Corrupt { .. } => standing.key(),
        _ => None,
    };
    End {
        ordinary: recorded(&draft.ordinary),
        permanent: recorded(&draft.permanent),
        removes_cookies: moment.sends_cookies(),
    }
}

fn touch(situation: &Situation<'_>) -> Step {
    let Some(live) = situation.draft.ordinary.live() else { return Step::Nothing };
    let absolute = live.record.header().absolute;
    let expires_at = situation.lifetimes.idle_deadline(situation.now, absolute);
    if expires_at > live.expires_at {
        Step::Touch { key: live.key, expires_at }
    } else {
        Step::Nothing
    }
}

fn ordinary_step(situation: &Situation<'_>) -> Result<(Step, Option<u8>), Error> {
    let Situation { draft, log, lifetimes, now, request, .. } = situation;
    if draft.ordinary.is_ended() && !log.has_login() {
        return Err(Error::new(Kind::Gone));
    }
    let mut contents = draft.ordinary_contents(request.carried.flash, situation.aged(), *now);
    let fresh_absolute = now.saturating_add(lifetimes.absolute);
    let live = draft.ordinary.live().filter(|_| !log.destroy);
    let mut header = match live {
        Some(live) => live.record.header(),
        None => Header::new(*now, fresh_absolute, draft.last_generation()),
    };
    if draft.has_new_owner() {
        header.absolute = fresh_absolute;
    }
    header.owner = draft.owner();
    if let Some(generation) = contents.generation {
        header.last_generation = generation;
    }
    let expires_at = lifetimes.idle_deadline(*now, header.absolute);
    let step = match live {
        None if contents.entries.is_empty() && header.owner.is_none() => Step::Nothing,
        None => {
            let presented = unknown_key(&draft.ordinary);
            let record = Record::write(&header, &mut contents.entries)?;
            Step::Create { presented, record, expires_at }
        }
        Some(live) if draft.rotate => {
            let record = Record::write(&header, &mut contents.entries)?;
            Step::Replace { live: live.clone(), record, expires_at }
        }
        Some(live) if contents.changed => {
            let record = Record::write(&header, &mut contents.entries)?;
            Step::Save { live: live.clone(), record, expires_at }
        }
        Some(_) => touch(situation),
    };
    Ok((step, contents.generation))
}

fn permanent_step(situation: &Situation<'_>) -> Result<Step, Error> {
    let Situation { draft, log, now, .. } = situation;
    let mut contents = draft.permanent_contents();
    // Whole days, so that saying the same thing again writes once a day at most.
    let ten_years = now.saturating_add(TEN_YEARS).as_millis().div_ceil(DAY) * DAY;
    let ten_years = Timestamp::from_millis(ten_years);
    let Some(live) = draft.permanent.live().filter(|_| !log.destroy) else {
        if contents.entries.is_empty() {
            return Ok(Step::Nothing);
        }
        let presented = unknown_key(&draft.permanent);
        let header = Header::new(*now, ten_years, crate::flash::BEFORE_THE_FIRST);
        let record = Record::write(&header, &mut contents.entries)?;
        return Ok(Step::Create { presented, record, expires_at: ten_years });
    };
    let mut header = live.record.header();
    let renewed = draft.renew && header.absolute < ten_years;
    if renewed {
        header.absolute = ten_years;
    }
    if !contents.changed && !renewed {
        return Ok(Step::Nothing);
    }
    let record = Record::write(&header, &mut contents.entries)?;
    let live = live.clone();
    if contents.entries.is_empty() {
        return Ok(Step::Retire { live, record });
    }
    let expires_at = header.absolute;
    Ok(Step::Save { live, record, expires_at })
}

/// A well-formed token that nobody knows ends when another takes its place.
fn unknown_key(standing: &Standing) -> Option<StoreKey> {
    if let Standing::Unknown { key } = standing { Some(*key) } else { None }
}

/// What of a plan has been done, over all its rounds.
#[derive(Default)]
struct Progress {
    /// `destroy` was carried out.
    ended: bool,
    /// `destroy` came too late: another request had ended or moved the session.
    overtaken: bool,
    /// The permanent record as it is now, where this commit changed it.
    permanent: Option<Standing>,
    /// The permanent record that this commit made.
    made_permanent: Option<StoreKey>,
    /// The ordinary record as it is now, where this commit changed it.
    ordinary: Option<Standing>,
    lines: Lines,
    generation: Option<u8>,
}

/// How a round ended.
enum Round {
    Done,
    /// Another commit came first.
    Lost,
}

/// Carries a plan out: the only writer. What an earlier round did is not done again.
async fn apply(
    core: &Core,
    request: &Request,
    plan: &Plan,
    progress: &mut Progress,
    now: Timestamp,
) -> Result<Round, Error> {
    if let Some(end) = &plan.end
        && !progress.ended
    {
        if !carry_out_end(core, request, end, progress, now).await? {
            progress.overtaken = true;
            return Ok(Round::Done);
        }
    }
    if progress.permanent.is_none() {
        match write(core, &plan.permanent, now).await? {
            Written::Nothing => {}
            Written::Lost => return Ok(Round::Lost),
            Written::Ended => {
                progress.permanent = Some(Standing::Absent);
                progress.lines.put(Which::Permanent, core.cookies.remove(Which::Permanent));
            }
            Written::Live(live) => {
                if plan.permanent.makes_token() {
                    progress.made_permanent = Some(live.key);
                    let line = core.cookies.set_permanent(&live.token, now);
                    progress.lines.put(Which::Permanent, line);
                }
                progress.permanent = Some(Standing::Live(live));
            }
        }
    }
    match write(core, &plan.ordinary, now).await? {
        Written::Nothing | Written::Ended => {}
        Written::Lost => return Ok(Round::Lost),
        Written::Live(live) => {
            if plan.ordinary.makes_token() {
                let lifetime = live.record.header().absolute.saturating_since(now);
                let line = core.cookies.set_session(&live.token, lifetime);
                progress.lines.put(Which::Session, line);
            }
            progress.ordinary = Some(Standing::Live(live));
        }
    }
    if let Some(generation) = plan.generation {
        progress.generation = Some(generation);
        progress.lines.put(Which::Flash(generation), core.cookies.set_flash(generation));
    }
    Ok(Round::Done)
}

/// Ends the records of a `destroy`. `false`: somebody else has ended the session before.
async fn carry_out_end(
    core: &Core,
    request: &Request,
    end: &End,
    progress: &mut Progress,
    now: Timestamp,
) -> Result<bool, Error> {
    let until = now.saturating_add(REMEMBERED);
    let failed = |error| Error::unavailable("ending the session", error);
    if let Some(key) = &end.ordinary
        && !core.driver.end(key, until).await.map_err(failed)?
    {
        return Ok(false);
    }
    progress.ordinary = Some(Standing::Absent);
    progress.ended = true;
    if end.removes_cookies {
        for which in cookies_to_remove(request, end) {
            progress.lines.put(which, core.cookies.remove(which));
        }
    }
    if let Some(key) = &end.permanent {
        core.driver.end(key, until).await.map_err(failed)?;
    }
    Ok(true)
}

/// The cookies that the browser may hold of a session that was destroyed.
fn cookies_to_remove(request: &Request, end: &End) -> Vec<Which> {
    let carried = &request.carried;
    let session = carried.session.was_carried() || end.ordinary.is_some();
    let permanent = carried.permanent.was_carried() || end.permanent.is_some();
    let mut cookies = Vec::new();
    if session {
        cookies.push(Which::Session);
    }
    if session || permanent {
        cookies.push(Which::Permanent);
    }
    cookies.extend((0..8).filter(|bit| carried.flash & (1 << bit) != 0).map(Which::Flash));
    cookies
}

/// What writing a record came to.
enum Written {
    Nothing,
    Live(Live),
    Ended,
    Lost,
}

async fn write(core: &Core, step: &Step, now: Timestamp) -> Result<Written, Error> {
    let driver = &core.driver;
    match step {
        Step::Nothing => Ok(Written::Nothing),
        Step::Touch { key, expires_at } => {
            if let Err(error) = driver.touch(key, *expires_at).await {
                event::touch_failed(&error);
            }
            Ok(Written::Nothing)
        }
        Step::Save { live, record, expires_at } => {
            let change = change(record, *expires_at);
            let outcome = driver.commit(&live.key, live.version, change).await;
            let place = Place { token: live.token, key: live.key };
            written(driver, outcome, place, record, *expires_at).await
        }
        Step::Replace { live, record, expires_at } => {
            let place = Place::new(driver)?;
            let mut change = change(record, *expires_at);
            change.move_to = Some(place.key);
            change.remember_until = now.saturating_add(REMEMBERED);
            let outcome = driver.commit(&live.key, live.version, change).await;
            written(driver, outcome, place, record, *expires_at).await
        }
        Step::Create { presented, record, expires_at } => {
            let place = Place::new(driver)?;
            let header = record.header();
            let mut new = NewRecord::new(record.bytes(), header.created, *expires_at);
            new.owner = header.owner;
            let remember_until = now.saturating_add(REMEMBERED);
            new.presented = presented.map(|key| Tombstone { key, remember_until });
            let outcome = driver.create(&place.key, new, now).await;
            written(driver, outcome, place, record, *expires_at).await
        }
        Step::Retire { live, record } => retire(driver, live, record, now).await,
    }
}

/// Ends a record only if nobody has changed it meanwhile.
///
/// No store ends a record by version, so it moves, by compare-and-set, to a key that nobody has, where it has
/// already expired; the tombstone stays at its own.
async fn retire(
    driver: &Driver,
    live: &Live,
    record: &Record,
    now: Timestamp,
) -> Result<Written, Error> {
    let place = Place::new(driver)?;
    let mut change = change(record, now);
    change.move_to = Some(place.key);
    change.remember_until = now.saturating_add(REMEMBERED);
    let outcome = driver.commit(&live.key, live.version, change).await;
    match written(driver, outcome, place, record, now).await? {
        Written::Live(_) => Ok(Written::Ended),
        written => Ok(written),
    }
}

fn change(record: &Record, expires_at: Timestamp) -> Change<'_> {
    let mut change = Change::new(record.bytes(), expires_at);
    change.owner = record.header().owner;
    change
}

/// Where a record is to be, and the token that opens it.
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

/// Reads the answer of a store. Where it does not say what happened, one look at the place does.
async fn written(
    driver: &Driver,
    outcome: Result<Outcome, StoreError>,
    place: Place,
    record: &Record,
    expires_at: Timestamp,
) -> Result<Written, Error> {
    let version = match outcome {
        Ok(Outcome::Committed(version)) => version,
        Ok(_) => return Ok(Written::Lost),
        Err(error) if error.outcome_is_unknown() => {
            match find_again(driver, &place.key, record).await {
                Some(version) => version,
                None => return Err(Error::unavailable("committing", error)),
            }
        }
        Err(error) => return Err(Error::unavailable("committing", error)),
    };
    let Place { token, key } = place;
    Ok(Written::Live(Live { token, key, version, expires_at, record: record.clone() }))
}

/// The version of exactly this record at this key, if it is there.
async fn find_again(driver: &Driver, key: &StoreKey, record: &Record) -> Option<Version> {
    let mut found = None;
    let looked = driver.load(std::slice::from_ref(key), |_, at| {
        if let crate::driver::At::Record { bytes, version, .. } = at
            && bytes.as_ref() == record.bytes()
        {
            found = Some(version);
        }
    });
    looked.await.ok().and(found)
}

/// Which part of the log a plan was made from.
#[derive(Clone, Copy)]
struct Mark {
    epoch: u32,
    operations: usize,
}

impl Inner {
    /// Commits the log, round after round.
    pub(crate) async fn commit(&self, moment: Moment) -> Result<(), Error> {
        let Some(first) = self.plan(moment)? else { return Ok(()) };
        let _one_at_a_time = self.turn.lock().await;
        let mut progress = Progress::default();
        let result = match self.rounds(moment, first, &mut progress).await {
            Ok(mark) => self.confirm_permanent(&progress).await.map(|()| mark),
            Err(error) => Err(error),
        };
        if let (Err(error), Some(made)) = (&result, progress.made_permanent)
            && error.is_gone()
        {
            self.end_unwanted(made).await;
        }
        self.take_over(progress, result)
    }

    /// The plan for what is in the log now; `None` when there is nothing to do.
    fn plan(&self, moment: Moment) -> Result<Option<(Plan, Mark)>, Error> {
        let state = self.state();
        let Some(draft) = &state.draft else { return Ok(None) };
        let plan = decide(&Situation {
            draft,
            log: &state.log,
            read: state.read,
            request: &self.request,
            lifetimes: self.core.lifetimes,
            moment,
            now: self.core.clock.now(),
        })?;
        let mark = Mark { epoch: state.log.epoch, operations: state.log.operations.len() };
        let is_idle = plan.is_nothing() && state.log.is_empty();
        Ok((!is_idle).then_some((plan, mark)))
    }

    async fn rounds(
        &self,
        moment: Moment,
        first: (Plan, Mark),
        progress: &mut Progress,
    ) -> Result<Mark, Error> {
        let core = &*self.core;
        let (mut plan, mut mark) = first;
        let mut turn = core.join_queue(self.queue_key()).await;
        // Others may have committed while this one waited for its turn.
        if turn.is_some() && !plan.is_mere_touch() {
            (plan, mark) = self.plan_again(moment, progress).await?;
        }
        for round in 0..core.driver.rounds() {
            let now = core.clock.now();
            match apply(core, &self.request, &plan, progress, now).await? {
                Round::Done => return Ok(mark),
                Round::Lost => {}
            }
            if turn.is_none() {
                turn = core.enter_queue(self.queue_key()).await;
            } else {
                pause(round).await;
            }
            (plan, mark) = self.plan_again(moment, progress).await?;
        }
        let message = format!("lost {} rounds to other commits", core.driver.rounds());
        Err(Error::unavailable("committing", StoreError::unavailable(message)))
    }

    /// Loads the records again, replays the log on them and makes a new plan.
    async fn plan_again(&self, moment: Moment, progress: &Progress) -> Result<(Plan, Mark), Error> {
        let (ordinary, permanent) = self.reload().await?;
        let now = self.core.clock.now();
        {
            let mut state = self.state();
            let State { draft: Some(draft), log, .. } = &mut *state else {
                return Ok((Plan::nothing(), Mark { epoch: 0, operations: 0 }));
            };
            let was_live = draft.ordinary.live().is_some() && progress.ordinary.is_none();
            let is_gone = ordinary.live().is_none() && (was_live || ordinary.is_ended());
            // What is permanent has been committed once, on the record as it was then.
            let permanent = match progress.permanent {
                Some(_) => draft.permanent.clone(),
                None => permanent,
            };
            let ordinary = if is_gone { Standing::Ended } else { ordinary };
            draft.rebase(ordinary, permanent, now);
            if is_gone && !log.has_login() && !log.destroy && !log.operations.is_empty() {
                log.operations.clear();
                return Err(Error::new(Kind::Gone));
            }
            draft.replay(log).map_err(unreplayable)?;
        }
        let planned = self.plan(moment).map_err(unreplayable)?;
        Ok(planned.unwrap_or((Plan::nothing(), self.mark())))
    }

    /// Whether a commit would not need the store.
    pub(crate) fn has_nothing_to_do(&self, moment: Moment) -> bool {
        matches!(self.plan(moment), Ok(None) | Err(_))
    }

    fn mark(&self) -> Mark {
        let state = self.state();
        Mark { epoch: state.log.epoch, operations: state.log.operations.len() }
    }

    /// A permanent record that was made while the session ended would outlive the logout: look once more.
    async fn confirm_permanent(&self, progress: &Progress) -> Result<(), Error> {
        if progress.made_permanent.is_none() {
            return Ok(());
        }
        let wrote_session = progress.ordinary.is_some();
        let session = self.state().draft.as_ref().and_then(|draft| draft.ordinary.key());
        let Some(key) = session.filter(|_| !wrote_session) else { return Ok(()) };
        let mut ended = false;
        let show = |_, at| ended = matches!(at, crate::driver::At::Ended { .. });
        self.core.driver.load(&[key], show).await?;
        if ended { Err(Error::new(Kind::Gone)) } else { Ok(()) }
    }

    /// Ends a record that was made for a session that has ended.
    async fn end_unwanted(&self, key: StoreKey) {
        let until = self.core.clock.now().saturating_add(REMEMBERED);
        if let Err(error) = self.core.driver.end(&key, until).await {
            event::end_failed(&error);
        }
    }

    /// Makes what was committed the state of this request.
    fn take_over(&self, progress: Progress, result: Result<Mark, Error>) -> Result<(), Error> {
        let mut state = self.state();
        let state = &mut *state;
        let Some(draft) = &mut state.draft else { return result.map(drop) };
        let gone = matches!(&result, Err(error) if error.is_gone());
        let log = &mut state.log;
        match &result {
            Ok(mark) if mark.epoch == log.epoch => {
                log.operations.drain(..mark.operations.min(log.operations.len()));
                log.destroy = false;
            }
            Ok(_) => {}
            Err(_) if gone => log.operations.clear(),
            Err(_) => {}
        }
        if progress.ended && result.is_err() {
            log.destroy = false;
        }
        let ordinary = match progress.ordinary {
            _ if progress.overtaken || gone => Standing::Ended,
            Some(standing) => standing,
            None => draft.ordinary.clone(),
        };
        let mut lines = progress.lines;
        let permanent = match progress.permanent {
            Some(_) if gone && progress.made_permanent.is_some() => {
                lines.remove(Which::Permanent);
                Standing::Ended
            }
            Some(standing) => standing,
            None if progress.ended => Standing::Absent,
            None => draft.permanent.clone(),
        };
        if progress.ended {
            state.lines.clear();
        }
        state.lines.merge(lines);
        if let Some(generation) = progress.generation {
            draft.see(generation);
            state.made |= 1 << generation;
        }
        draft.rebase(ordinary, permanent, self.core.clock.now());
        let replayed = draft.replay(log);
        result.and(replayed)
    }

    /// The lines that need no commit: messages that have been shown go, `.p` is sent again.
    fn finish_cookies(&self, state: &mut State, moment: Moment) {
        let ended = state.draft.as_ref().is_some_and(|draft| draft.ordinary.is_ended());
        if moment != Moment::Answer || ended {
            return;
        }
        let cookies = &self.core.cookies;
        let aged = self.request.purpose.aged(self.request.carried.flash, state.read) & !state.made;
        for generation in (0..8).filter(|generation| aged & (1 << generation) != 0) {
            let which = Which::Flash(generation);
            state.lines.put_new(which, || cookies.remove(which));
        }
        if let Some(token) = self.permanent_to_send_again(state) {
            let now = self.core.clock.now();
            state.lines.put_new(Which::Permanent, || cookies.set_permanent(&token, now));
        }
    }

    fn permanent_to_send_again(&self, state: &State) -> Option<Token> {
        let live = state.draft.as_ref()?.permanent.live()?;
        let carried = &self.request.carried;
        if !carried.permanent.iter().any(|token| *token == live.token) {
            return None;
        }
        let today = crate::cookie::day(self.core.clock.now());
        let is_due = today.saturating_sub(carried.permanent_sent) >= RESEND_AFTER_DAYS;
        (is_due && self.request.purpose.shows_a_page()).then_some(live.token)
    }

    /// Ends the part of the request that could send cookies, and says what its head must carry.
    pub(crate) fn finish(
        &self,
        committed: Result<(), Error>,
        head: ResponseHead<'_>,
    ) -> Result<HeadChanges, CommitError> {
        let moment = Moment::of_status(head.status);
        let mut state = self.state();
        state.stage = Stage::Late;
        if committed.is_ok() {
            self.finish_cookies(&mut state, moment);
        } else {
            // Nobody can save these any more in a way that the client would learn of.
            state.log = Log::default();
        }
        let changes = self.head_changes(&mut state, head, moment);
        drop(state);
        match committed {
            Ok(()) => Ok(changes),
            Err(error) => {
                event::commit_failed(&error);
                Err(CommitError { error, head: changes })
            }
        }
    }

    fn head_changes(
        &self,
        state: &mut State,
        head: ResponseHead<'_>,
        moment: Moment,
    ) -> HeadChanges {
        let set_cookies = match moment {
            Moment::Upgrade => Vec::new(),
            _ => state.lines.take(),
        };
        if !set_cookies.is_empty() {
            self.core.tell_of_first_cookie(self.request.https);
        }
        let cache_control = if !set_cookies.is_empty() {
            Some("no-store")
        } else if state.used && head.cache_control.is_none() {
            Some("private")
        } else {
            None
        };
        let vary = state.used || !set_cookies.is_empty();
        HeadChanges { set_cookies, cache_control, vary }
    }
}

/// An operation that applied once and does not apply to what another request made of the session.
fn unreplayable(error: Error) -> Error {
    match error.kind() {
        Kind::Inapplicable { key, why } => Error::new(Kind::Unreplayable { key: key.clone(), why }),
        Kind::WrongType { key, .. } => {
            Error::new(Kind::Unreplayable { key: key.clone(), why: "its type has changed" })
        }
        Kind::TooLarge { largest, .. } => {
            let key = largest.first().map_or_else(String::new, |(key, _)| key.clone());
            Error::new(Kind::Unreplayable { key, why: "the session would be too large" })
        }
        _ => error,
    }
}

/// Waits a random time, longer each round, so that instances do not meet again and again.
async fn pause(round: u32) {
    let most = 1_u64 << round.min(6);
    let random = getrandom::u64().unwrap_or(u64::from(round));
    tokio::time::sleep(Duration::from_millis(random % most)).await;
}

impl Core {
    async fn join_queue(&self, key: Option<StoreKey>) -> Option<Turn<'_>> {
        match (&self.driver, key) {
            (Driver::Store(remote), Some(key)) => remote.queue.join(key).await,
            _ => None,
        }
    }

    async fn enter_queue(&self, key: Option<StoreKey>) -> Option<Turn<'_>> {
        match (&self.driver, key) {
            (Driver::Store(remote), Some(key)) => Some(remote.queue.enter(key).await),
            _ => None,
        }
    }
}

/// A commit to a store runs in a task of its own: a client that hangs up does not cut it in half.
pub(crate) async fn commit_to_the_end(inner: Arc<Inner>, moment: Moment) -> Result<(), Error> {
    if !inner.core.driver.waits() || inner.has_nothing_to_do(moment) {
        return inner.commit(moment).await;
    }
    let task = tokio::spawn(async move { inner.commit(moment).await });
    match task.await {
        Ok(result) => result,
        Err(_) => {
            let error = StoreError::unknown_outcome("the task of the commit ended early");
            Err(Error::unavailable("committing", error))
        }
    }
}
