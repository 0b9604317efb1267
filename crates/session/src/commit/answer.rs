//! What the response head carries once everything is committed.

use super::{Moment, Occasion, seal};
use crate::{
    cookie::{Which, day},
    driver::Driver,
    error::{Error, Kind},
    event::{Event, Name},
    handle::{Inner, Stage, State},
    sessions::{CommitError, HeadChanges, ResponseHead},
    stealth::Stealth,
};
use std::sync::MutexGuard;

/// After this many days a navigation sends `.p` again, since browsers forget it 400 days after it was set.
const RESEND_AFTER_DAYS: u64 = 30;

impl Inner {
    /// The flash generations that this response ends: bit n stands for generation n.
    pub(super) fn aged(&self, state: &State, moment: Moment) -> u8 {
        let carried = self.request.carried.flash;
        match (moment, &state.work) {
            (Moment::Answer, Some(work)) => {
                self.request.purpose.aged(carried, work.read) & !work.made & !work.kept
            }
            // A handler whose session could not be loaded has shown no message.
            (Moment::Answer, None) if !state.used => self.request.purpose.aged(carried, 0),
            _ => 0,
        }
    }

    /// The lines that need no commit: messages that have been shown go, `.p` is sent again.
    fn finish_cookies(&self, state: &mut State, moment: Moment) {
        // Only what the request brought can go, or be sent again.
        if !self.request.carried.has_companions() || moment != Moment::Answer {
            return;
        }
        if state.work.as_ref().is_some_and(|work| work.draft.records.ordinary.is_ended()) {
            return;
        }
        let cookies = &self.core.cookies;
        let aged = self.aged(state, moment);
        for generation in (0..8).filter(|generation| aged & (1 << generation) != 0) {
            let which = Which::Flash(generation);
            state.lines.put_new(which, || cookies.remove(which));
        }
        if self.request.purpose.shows_a_page()
            && let Some(line) = self.permanent_again(state)
        {
            state.lines.put_new(Which::Permanent, || line);
        }
    }

    /// The line that sends `.p` again, where it is due.
    fn permanent_again(&self, state: &State) -> Option<String> {
        let live = state.work.as_ref()?.draft.records.permanent.live()?;
        let now = self.core.clock.now();
        let is_due = |sent| day(now).saturating_sub(sent) >= RESEND_AFTER_DAYS;
        if let Driver::Stealth(stealth) = &self.core.driver {
            // What this request has sealed itself is of today.
            let is_old = Stealth::sealed_at(&live.record).is_some_and(|at| is_due(day(at)));
            return if is_old { seal::again(&self.core, stealth, &live.record, now) } else { None };
        }
        let carried = &self.request.carried;
        let is_carried = carried.permanent().iter().any(|token| *token == live.token);
        let is_old = is_carried && is_due(carried.permanent_sent());
        is_old.then(|| self.core.cookies.set_permanent(&live.token, now))
    }

    /// Ends a request that has not used its session; returns whether it is one.
    ///
    /// A page that does not look at its messages shows them no longer all the same, so its head is not done.
    pub(crate) fn finish_unused(&self) -> bool {
        let mut state = self.state();
        let is_unused = !state.used && self.request.carried.flash == 0;
        if is_unused {
            state.stage = Stage::Late;
        }
        is_unused
    }

    /// Ends a request that has changed nothing in its session, unless something is to be written for it all
    /// the same.
    pub(crate) fn finish_idle(&self, head: ResponseHead<'_>) -> Option<HeadChanges> {
        let state = self.state();
        let moment = Occasion::Head { status: head.status }.moment(Stage::Open);
        // Whoever has the turn may still have something to send.
        if self.turn.is_busy() || moment == Moment::Upgrade || !self.is_idle(&state) {
            return None;
        }
        Some(self.answer(state, moment, head.cache_control.is_some()))
    }

    /// Whether a commit now would do nothing.
    fn is_idle(&self, state: &State) -> bool {
        let Some(work) = &state.work else { return true };
        let is_due = |live| self.core.lifetimes.touch(live, self.core.clock.now()).is_some();
        work.log.is_empty() && !work.draft.records.ordinary.live().is_some_and(is_due)
    }

    /// Ends the part of the request that could send cookies, and says what its head must carry.
    pub(crate) fn finish(
        &self,
        committed: Result<(), Error>,
        head: ResponseHead<'_>,
    ) -> Result<HeadChanges, CommitError> {
        let moment = Occasion::Head { status: head.status }.moment(Stage::Open);
        let mut state = self.state();
        let committed = match moment {
            // An upgrade carries no cookies, so it cannot go out over what `save` has made.
            Moment::Upgrade if !state.lines.is_empty() => {
                committed.and(Err(Error::new(Kind::Upgrade)))
            }
            _ => committed,
        };
        let Err(error) = committed else {
            return Ok(self.answer(state, moment, head.cache_control.is_some()));
        };
        state.end_head();
        // Nobody can save these any more in a way that the client would learn of. A `destroy` that has not
        // been carried out is tried once more when the handle goes.
        if let (Some(_turn), Some(work)) = (self.turn.try_take(), &mut state.work) {
            work.log.forget();
            work.log.forget_refusal();
        }
        // The response that stands in for the application's has no fields yet.
        let head = Self::head_changes(&mut state, false);
        self.tell(state, &head);
        let failed = || {
            let id = self.id_in(&self.state());
            Event::CommitFailed { id, error: error.clone() }
        };
        self.core.listeners.tell(Name::CommitFailed, failed);
        Err(CommitError { error, head })
    }

    /// What the head carries when everything is committed.
    fn answer(
        &self,
        mut state: MutexGuard<'_, State>,
        moment: Moment,
        is_cached_as_said: bool,
    ) -> HeadChanges {
        state.end_head();
        self.finish_cookies(&mut state, moment);
        let changes = Self::head_changes(&mut state, is_cached_as_said);
        self.tell(state, &changes);
        changes
    }

    /// Tells what was noted, with nothing locked any more.
    fn tell(&self, state: MutexGuard<'_, State>, changes: &HeadChanges) {
        let is_untold = state.work.as_ref().is_some_and(|work| !work.events.is_empty());
        drop(state);
        if is_untold {
            self.tell_noted();
        }
        let is_secure = self.core.cookies.are_secure();
        if is_secure && !self.request.https && !changes.set_cookies.is_empty() {
            self.core.listeners.tell_of_https();
        }
    }

    fn head_changes(state: &mut State, is_cached_as_said: bool) -> HeadChanges {
        let set_cookies = state.lines.take();
        let cache_control = if !set_cookies.is_empty() {
            Some("no-store")
        } else if state.used && !is_cached_as_said {
            Some("private")
        } else {
            None
        };
        let vary = state.used || !set_cookies.is_empty();
        HeadChanges { set_cookies, cache_control, vary }
    }
}

impl State {
    /// The head is sent: what it gave the browser is no longer this request's alone.
    fn end_head(&mut self) {
        self.stage = Stage::Late;
        if let Some(work) = &mut self.work {
            work.made_permanent = None;
        }
    }
}
