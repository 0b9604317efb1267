//! What becomes of a request's changes: [`decide`] says it, [`apply`] does it, [`Inner::commit`] goes round
//! the two until it is done.
//!
//! On a conflict the records are loaded again, the log is replayed on them, and a new plan is made.

mod answer;
mod apply;
mod at_once;
mod claim;
mod decide;
mod seal;
mod tell;
mod write;

pub(crate) use apply::{Abandoned, Ending, Remembered, end_abandoned, end_record, remember_until};
pub(crate) use decide::{Lifetimes, Target};

use crate::{
    change::{Log, Settled},
    cookie::Which,
    driver::{At, Driver},
    error::{Error, Kind, Record},
    event::{Event, Untold},
    handle::{Inner, Stage, State, Work},
    queue::Turn,
    sessions::Core,
    standing::Standing,
};
use apply::{Ended, Progress, Round, apply, end_quietly};
use decide::{Place, Plan, Situation, decide};
use dframework_session_store::{StoreError, StoreKey, Timestamp};
use std::{sync::Arc, time::Duration};

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

/// Who asks for a commit.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Occasion {
    /// The response head is ready.
    Head { status: u16 },
    /// `save`.
    Save,
}

impl Occasion {
    pub(crate) fn moment(self, stage: Stage) -> Moment {
        match (self, stage) {
            (Self::Head { status: 101 }, _) => Moment::Upgrade,
            (Self::Head { status: 500.. }, _) => Moment::Failure,
            (Self::Head { .. }, _) => Moment::Answer,
            (Self::Save, Stage::Open) => Moment::Save,
            (Self::Save, Stage::Late) => Moment::LateSave,
        }
    }
}

impl Moment {
    /// Whether the response can still carry cookies.
    fn sends_cookies(self) -> bool {
        !matches!(self, Self::Upgrade | Self::LateSave)
    }
}

/// Which part of the log a plan was made from.
#[derive(Clone, Copy)]
struct Mark {
    epoch: u32,
    operations: usize,
}

impl Mark {
    /// Everything that is in the log now.
    fn of(log: &mut Log) -> Self {
        Self { epoch: log.epoch, operations: log.plan() }
    }
}

/// What a commit begins with.
#[derive(Clone, Copy)]
struct Begun {
    moment: Moment,
    now: Timestamp,
    /// What is to be changed has expired since it was loaded.
    needs_another_look: bool,
}

/// A plan, and what it was made from.
struct Planned {
    plan: Plan,
    mark: Mark,
    moment: Moment,
    now: Timestamp,
}

impl Planned {
    /// Nothing is planned yet, from nothing of the log.
    fn nothing(moment: Moment, now: Timestamp) -> Self {
        Self { plan: Plan::default(), mark: Mark { epoch: 0, operations: 0 }, moment, now }
    }
}

impl Inner {
    /// Commits the log, round after round.
    pub(crate) async fn commit(&self, occasion: Occasion) -> Result<(), Error> {
        // First the turn, then the plan: what waits here must see what those before it have committed.
        let _one_at_a_time = match self.turn.try_take() {
            Some(turn) => turn,
            None => self.turn.take().await,
        };
        let mut begun = self.begin(occasion);
        if begun.needs_another_look {
            self.load_again().await?;
            begun.now = self.core.clock.now();
        }
        let mut progress = Progress::default();
        let mut planned = Planned::nothing(begun.moment, begun.now);
        if !self.first_plan(&mut planned, &mut progress)? {
            return Ok(());
        }
        let mut result = self.rounds(&mut planned, &mut progress).await;
        if let Some(made) = progress.made_permanent.clone() {
            if result.is_ok() {
                result = self.confirm_permanent(&progress).await.and(result);
            }
            if result.as_ref().is_err_and(Error::is_session_gone) {
                end_quietly(&self.core, Record::Permanent, &made, &mut progress.events).await;
            }
        }
        if progress.overtaken {
            self.end_own_permanent(&mut progress.events).await;
        }
        self.take_over(&mut progress, result)
    }

    /// Loads the records again, one of which has expired since: no change may bring it back.
    ///
    /// Another request may have let it live longer meanwhile.
    async fn load_again(&self) -> Result<(), Error> {
        // In a box: it is rare, and would make the future of every commit larger.
        let (ordinary, permanent) = Box::pin(self.reload()).await?;
        self.begin_again(ordinary, permanent)
    }

    /// Ends the permanent record that this request has made: its cookie does not go out.
    async fn end_own_permanent(&self, events: &mut Vec<Event>) {
        let made = self.state().work.as_mut().and_then(|work| work.made_permanent.take());
        if let Some(made) = made {
            end_quietly(&self.core, Record::Permanent, &made, events).await;
            if let Some(work) = &mut self.state().work
                && work.draft.records.permanent.key() == Some(made.key)
            {
                work.draft.records.permanent = Standing::Absent;
            }
        }
    }

    /// What the occasion allows now. From its commit on, a response head can take no further cookies.
    fn begin(&self, occasion: Occasion) -> Begun {
        let now = self.core.clock.now();
        let mut state = self.state();
        let moment = occasion.moment(state.stage);
        if let Occasion::Head { .. } = occasion {
            state.stage = Stage::Late;
        }
        let is_over = |work: &Work| work.log.has_changes() && work.has_expired(now);
        let needs_another_look =
            moment != Moment::Failure && state.work.as_deref().is_some_and(is_over);
        Begun { moment, now, needs_another_look }
    }

    fn first_plan(&self, planned: &mut Planned, progress: &mut Progress) -> Result<bool, Error> {
        let mut state = self.state();
        if let Some(work) = &state.work {
            progress.earlier_ends = work.log.earlier_ends();
        }
        self.plan(&mut state, planned)
    }

    /// Plans what is in the log now; `false` when there is nothing to do.
    fn plan(&self, state: &mut State, planned: &mut Planned) -> Result<bool, Error> {
        let Planned { moment, now, .. } = *planned;
        let aged = self.aged(state, moment);
        let Some(work) = &mut state.work else { return Ok(false) };
        let Work { draft, log, .. } = &mut **work;
        // No response can claim any more what a late `save` commits, nor can one that says that the server failed.
        let claims = !matches!(moment, Moment::Failure | Moment::LateSave);
        if let (Some(refused), true) = (log.refused(), claims) {
            return Err(refused.again());
        }
        let situation = Situation {
            draft,
            log,
            aged,
            request: &self.request,
            lifetimes: self.core.lifetimes,
            moment,
            now,
            stamp: if log.has_changes() { self.core.stamp()? } else { None },
            place: match self.core.driver {
                Driver::Stealth(_) => Place::Cookie(&self.core.cookies),
                Driver::Memory(_) | Driver::Store(_) => Place::Store,
            },
        };
        decide(&situation, &mut planned.plan)?;
        planned.mark = Mark::of(log);
        Ok(!planned.plan.is_nothing() || log.destroy || log.has_changes())
    }

    async fn rounds(&self, planned: &mut Planned, progress: &mut Progress) -> Result<Mark, Error> {
        let core = &*self.core;
        let mut turn = None;
        if core.driver.waits() && !planned.plan.is_mere_touch() {
            turn = core.join_queue(self.queue_key()).await;
        }
        // Others have committed while this one waited for its turn.
        if turn.is_some() {
            self.plan_again(planned).await?;
        }
        for round in 0..core.driver.rounds() {
            let Planned { plan, mark, now, .. } = planned;
            let applied = apply(core, &self.request, plan, progress, *now).await;
            if core.driver.stealth().is_some() {
                seal::wipe(plan);
            }
            if !applied.as_ref().is_err_and(Error::outcome_is_unknown) {
                progress.done.unsettled = None;
            }
            if !progress.done.is_nothing() || !progress.events.is_empty() {
                self.settle(progress, *mark)?;
            }
            match applied? {
                Round::Done => return plan.refused.take().map_or(Ok(*mark), Err),
                Round::Overtaken if !self.has_login() => return Ok(*mark),
                Round::Overtaken | Round::Lost => {}
            }
            if turn.is_none() {
                turn = core.enter_queue(self.queue_key()).await;
            } else {
                pause(round).await;
            }
            self.plan_again(planned).await?;
        }
        self.note_given_up(core.driver.rounds());
        let message = format!("lost {} rounds to other commits", core.driver.rounds());
        Err(Error::unavailable("committing", StoreError::unavailable(message)))
    }

    /// Makes what a round has done for good the ground for what is still to do.
    fn settle(&self, progress: &mut Progress, mark: Mark) -> Result<(), Error> {
        let done = std::mem::take(&mut progress.done);
        let mut state = self.state();
        let Some(work) = &mut state.work else { return Ok(()) };
        let Work { draft, log, events, .. } = &mut **work;
        // A closure may panic in the next round, and what was done is to be told all the same.
        events.append(&mut progress.events);
        let is_same_log = mark.epoch == log.epoch;
        if let (true, Some(step)) = (is_same_log, done.unsettled) {
            log.leave_unsettled(step);
        }
        if done.ended.is_none() && done.permanent.is_none() {
            return Ok(());
        }
        if let Some(ended) = done.ended {
            // What is made anew still takes the place of a token that nobody knew.
            let is_known = |standing: &Standing| standing.unknown_key().is_none();
            if is_known(&draft.records.ordinary) {
                draft.records.ordinary = Standing::Absent;
            }
            draft.hide_shown();
            if ended == Ended::Both {
                if is_known(&draft.records.permanent) {
                    draft.records.permanent = Standing::Absent;
                }
                // A `destroy` that was called meanwhile is still to be carried out.
                log.destroy = log.destroy && !is_same_log;
            }
        }
        if let Some(standing) = done.permanent {
            let before = std::mem::replace(&mut draft.records.permanent, standing);
            if is_same_log {
                log.settle(Settled { operations: mark.operations, before });
            }
        }
        draft.begin_again();
        draft.replay(log)
    }

    /// Loads the records again, replays the log on them and makes a new plan.
    async fn plan_again(&self, planned: &mut Planned) -> Result<(), Error> {
        let (ordinary, permanent) = self.reload().await?;
        self.begin_again(ordinary, permanent)?;
        let mut state = self.state();
        (planned.plan, planned.now) = (Plan::default(), self.core.clock.now());
        // Where nothing is left to do, nothing is what the next round does.
        self.plan(&mut state, planned).map(drop).map_err(unreplayable)
    }

    fn begin_again(&self, ordinary: Standing, permanent: Standing) -> Result<(), Error> {
        match &mut self.state().work {
            Some(work) => work.begin_again(ordinary, permanent),
            None => Ok(()),
        }
    }

    fn has_login(&self) -> bool {
        self.state().work.as_ref().is_some_and(|work| work.log.has_login())
    }

    /// Whether a commit would not need the store.
    pub(crate) fn has_nothing_to_do(&self, occasion: Occasion) -> Result<bool, Error> {
        let mut state = self.state();
        let (moment, now) = (occasion.moment(state.stage), self.core.clock.now());
        Ok(!self.plan(&mut state, &mut Planned::nothing(moment, now))?)
    }

    /// A permanent record that was made while the session ended would outlive the logout: look once more.
    async fn confirm_permanent(&self, progress: &Progress) -> Result<(), Error> {
        let wrote_session = progress.ordinary.is_some();
        let session = self.state().work.as_ref().and_then(|work| {
            let was_live = work.draft.records.ordinary.live().is_some();
            work.draft.records.ordinary.key().map(|key| (key, was_live))
        });
        let Some((key, was_live)) = session.filter(|_| !wrote_session) else { return Ok(()) };
        let now = self.core.clock.now();
        if let Driver::Stealth(stealth) = &self.core.driver {
            let ended =
                self.state().work.as_ref().is_some_and(|work| {
                    stealth.again(&work.draft.records.ordinary, now).is_ended()
                });
            return if ended { Err(Error::gone(Record::Session)) } else { Ok(()) };
        }
        let mut ended = false;
        // The tombstone of a token that was unknown all the while counts for as long as it is remembered.
        let show = |_, at| {
            ended = match at {
                At::Ended { until } => was_live || now < until,
                At::Nothing => was_live,
                At::Record { .. } => false,
            };
        };
        self.core.driver.load(&[key], show).await?;
        if ended { Err(Error::gone(Record::Session)) } else { Ok(()) }
    }

    /// Makes what was committed the state of this request.
    fn take_over(&self, progress: &mut Progress, result: Result<Mark, Error>) -> Result<(), Error> {
        let mut state = self.state();
        let State { work: Some(work), lines: sent, .. } = &mut *state else {
            return result.map(drop);
        };
        let Work { draft, log, made, made_permanent, events, .. } = &mut **work;
        events.append(&mut progress.events);
        let gone = matches!(&result, Err(error) if error.is_session_gone());
        match &result {
            Ok(mark) if mark.epoch == log.epoch => {
                log.drop_first(mark.operations);
                log.destroy = false;
            }
            // What can never be committed goes as a whole: a part of it would be worse than nothing.
            Err(error) if error.status() == 409 => log.refuse(error),
            // What is in the log was asked for after the commit began, or can be tried again.
            _ => {}
        }
        match progress.ordinary.take() {
            Some(live) if !gone => draft.records.ordinary = Standing::Live(live),
            None if !gone && !progress.overtaken => {}
            _ => draft.records.ordinary = Standing::Ended,
        }
        if let (Standing::Live(live), Some(expires_at)) =
            (&mut draft.records.ordinary, progress.touched)
        {
            live.expires_at = expires_at;
        }
        if gone && progress.made_permanent.is_some() {
            progress.lines.remove(Which::Permanent);
            draft.records.permanent = Standing::Ended;
        }
        *made_permanent = progress.made_permanent.take().or_else(|| made_permanent.take());
        if progress.ended || progress.overtaken {
            sent.clear();
        }
        sent.merge(&mut progress.lines);
        if let Some(generation) = progress.generation {
            draft.see(generation);
            *made |= 1 << generation;
        }
        draft.go_on();
        let replayed = draft.replay(log);
        result.and(replayed)
    }
}

impl Work {
    /// Whether a record has expired since it was loaded. A `destroy` ends it, expired or not.
    fn has_expired(&self, now: Timestamp) -> bool {
        !self.log.destroy && self.draft.has_expired(now)
    }

    /// Starts again on other records, and carries the log out on them.
    ///
    /// What does not apply to them is an error, and the log is dropped as a whole.
    fn begin_again(&mut self, ordinary: Standing, permanent: Standing) -> Result<(), Error> {
        let Self { draft, log, .. } = self;
        log.settle_unsettled(&draft.records.permanent, &ordinary, &permanent);
        let was_live = draft.records.ordinary.live().is_some();
        let shown = draft.shown();
        (draft.records.ordinary, draft.records.permanent) = (ordinary, permanent);
        draft.begin_again();
        if !log.destroy {
            draft.check_readable()?;
        }
        let is_gone = draft.records.ordinary.live().is_none()
            && (was_live || draft.records.ordinary.is_ended());
        if is_gone {
            draft.records.ordinary = Standing::Ended;
        }
        if is_gone && !log.begins_anew() && log.has_changes() {
            let error = Error::gone(Record::Session);
            log.refuse(&error);
            draft.go_back_to(shown);
            return Err(error);
        }
        let replayed = draft.replay(log).map_err(unreplayable);
        if let Err(error) = &replayed {
            log.refuse(error);
            draft.go_back_to(shown);
        }
        replayed
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
    /// A random number for the records of a commit whose answer can be lost.
    fn stamp(&self) -> Result<Option<u64>, Error> {
        if !self.driver.waits() {
            return Ok(None);
        }
        let random = getrandom::u64();
        random.map(Some).map_err(|error| Error::new(Kind::Random).with_source(error))
    }

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
pub(crate) async fn commit_to_the_end(inner: Arc<Inner>, occasion: Occasion) -> Result<(), Error> {
    if !inner.core.driver.waits() || inner.has_nothing_to_do(occasion).unwrap_or(false) {
        let committed = inner.commit(occasion).await;
        inner.tell_noted();
        return committed;
    }
    finished(tokio::spawn(async move { (inner.commit(occasion).await, inner.untold()) })).await
}

/// As [`commit_to_the_end`], for a value that is claimed.
pub(crate) async fn claim_to_the_end(
    inner: Arc<Inner>,
    key: Arc<str>,
    check: impl Fn(&[u8]) -> Result<(), Error> + Send + Sync + 'static,
) -> Result<Option<Vec<u8>>, Error> {
    if !inner.core.driver.waits() {
        let claimed = inner.claim(&key, check).await;
        inner.tell_noted();
        return claimed;
    }
    finished(tokio::spawn(async move { (inner.claim(&key, check).await, inner.untold()) })).await
}

type Task<T> = tokio::task::JoinHandle<(Result<T, Error>, Untold)>;

/// Waits for a task, and tells what it has done. If nobody waits any more, the task tells it.
async fn finished<T>(task: Task<T>) -> Result<T, Error> {
    match task.await {
        Ok((result, _untold)) => result,
        // The panic of a closure that was replayed is the request's own.
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => {
            let error = StoreError::unknown_outcome("the task of the commit ended early");
            Err(Error::unavailable("committing", error))
        }
    }
}
