//! What the response head carries once everything is committed.

use super::{Moment, Occasion};
use crate::{
    cookie::{Which, day},
    error::{Error, Kind},
    event::{Event, Name},
    handle::{Inner, Stage, State},
    sessions::{CommitError, HeadChanges, ResponseHead},
    token::Token,
};

/// After this many days a navigation sends `.p` again, since browsers forget it 400 days after it was set.
const RESEND_AFTER_DAYS: u64 = 30;

impl Inner {
    /// The flash generations that this response ends: bit n stands for generation n.
    pub(super) fn aged(&self, state: &State, moment: Moment) -> u8 {
        // A handler whose session could not be loaded has shown no message.
        let has_failed = state.used && state.draft.is_none();
        match moment {
            Moment::Answer if !has_failed => {
                let aged = self.request.purpose.aged(self.request.carried.flash, state.read);
                aged & !state.made & !state.kept
            }
            _ => 0,
        }
    }

    /// The lines that need no commit: messages that have been shown go, `.p` is sent again.
    fn finish_cookies(&self, state: &mut State, moment: Moment) {
        let ended = state.draft.as_ref().is_some_and(|draft| draft.ordinary.is_ended());
        if moment != Moment::Answer || ended {
            return;
        }
        let cookies = &self.core.cookies;
        let aged = self.aged(state, moment);
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
        let today = day(self.core.clock.now());
        let is_due = today.saturating_sub(carried.permanent_sent) >= RESEND_AFTER_DAYS;
        (is_due && self.request.purpose.shows_a_page()).then_some(live.token)
    }

    /// Ends the part of the request that could send cookies, and says what its head must carry.
    pub(crate) fn finish(
        &self,
        committed: Result<(), Error>,
        head: ResponseHead<'_>,
    ) -> Result<HeadChanges, CommitError> {
        let moment = Occasion::Head { status: head.status }.moment(Stage::Open);
        let mut state = self.state();
        state.stage = Stage::Late;
        let committed = match moment {
            // An upgrade carries no cookies, so it cannot go out over what `save` has made.
            Moment::Upgrade if !state.lines.is_empty() => {
                committed.and(Err(Error::new(Kind::Upgrade)))
            }
            _ => committed,
        };
        if committed.is_ok() {
            self.finish_cookies(&mut state, moment);
        } else {
            // Nobody can save these any more in a way that the client would learn of. A `destroy` that has
            // not been carried out is tried once more when the handle goes.
            if self.turn.try_lock().is_ok() {
                state.log.forget();
                state.log.refused = None;
            }
        }
        // A response of our own stands in for one that could not be committed, and has no fields yet.
        let is_cached_as_said = committed.is_ok() && head.cache_control.is_some();
        let changes = Self::head_changes(&mut state, is_cached_as_said);
        let is_untold = !state.events.is_empty();
        drop(state);
        if is_untold {
            self.tell_noted();
        }
        if !changes.set_cookies.is_empty() {
            self.core.tell_of_first_cookie(self.request.https);
        }
        match committed {
            Ok(()) => Ok(changes),
            Err(error) => {
                let failed = || {
                    let id = self.id_in(&self.state());
                    Event::CommitFailed { id, error: error.clone() }
                };
                self.core.listeners.tell(Name::CommitFailed, failed);
                Err(CommitError { error, head: changes })
            }
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
