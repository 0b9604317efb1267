//! What a commit has done, in events. They are kept until it is over, and told by the request that waits for it.

use super::decide::Step;
use crate::{
    error::{self, Error},
    event::{Event, Name, Untold},
    handle::Inner,
    sessions::Core,
    standing::Live,
};
use dframework_session_store::{StoreError, StoreKey};

impl Inner {
    /// Tells what was kept.
    pub(crate) fn tell_noted(&self) {
        self.core.listeners.tell_all(&self.noted());
    }

    /// What was kept: whoever drops it tells it.
    pub(super) fn untold(&self) -> Untold {
        Untold { listeners: self.core.listeners.clone(), events: self.noted() }
    }

    fn noted(&self) -> Vec<Event> {
        let mut state = self.state();
        state.work.as_mut().map_or_else(Vec::new, |work| std::mem::take(&mut work.events))
    }

    /// Keeps that a commit was given up.
    pub(super) fn note_given_up(&self, rounds: u32) {
        let state = &mut *self.state();
        let id = self.id_in(state);
        let given_up = || Event::ConflictGivenUp { id, rounds };
        if let Some(work) = &mut state.work {
            self.core.listeners.note(Name::ConflictGivenUp, &mut work.events, given_up);
        }
    }
}

/// Notes what a session with a new token is: a new one, or one that was there; and its owner, if that is new.
pub(super) fn note_token(core: &Core, step: &Step, live: &Live, events: &mut Vec<Event>) {
    let (driver, listeners) = (&core.driver, &core.listeners);
    let former = match step {
        Step::Replace { former, .. } => {
            let moved = || {
                let (previous, id) = (driver.id_of(former), driver.id_of(live));
                Event::Regenerated { previous, id }
            };
            listeners.note(Name::Regenerated, events, moved);
            former.record.header().owner
        }
        _ => {
            let made = || Event::Created { id: driver.id_of(live) };
            listeners.note(Name::Created, events, made);
            None
        }
    };
    if let Some(owner) = live.record.header().owner.filter(|owner| Some(*owner) != former) {
        let login = || Event::OwnerSet { id: driver.id_of(live), owner: owner.into() };
        listeners.note(Name::OwnerSet, events, login);
    }
}

/// Notes that there is permanent data now.
pub(super) fn note_permanent(core: &Core, live: &Live, events: &mut Vec<Event>) {
    let made = || Event::PermanentCreated { id: core.driver.id_of(live) };
    core.listeners.note(Name::PermanentCreated, events, made);
}

/// Notes that a record has ended.
pub(super) fn note_end(core: &Core, which: error::Record, key: &StoreKey, events: &mut Vec<Event>) {
    let id = || core.driver.id_at(key);
    match which {
        error::Record::Session => {
            core.listeners.note(Name::Destroyed, events, || Event::Destroyed { id: id() });
        }
        error::Record::Permanent => {
            let ended = || Event::PermanentEnded { id: id() };
            core.listeners.note(Name::PermanentEnded, events, ended);
        }
    }
}

/// Notes that a record has not ended though nobody needs it any more.
pub(super) fn note_end_failed(core: &Core, key: &StoreKey, error: Error, events: &mut Vec<Event>) {
    let failed = || Event::EndFailed { id: core.driver.id_at(key), error };
    core.listeners.note(Name::EndFailed, events, failed);
}

/// Notes that it was not recorded that a session was used.
pub(super) fn note_touch_failed(
    core: &Core,
    key: &StoreKey,
    error: StoreError,
    events: &mut Vec<Event>,
) {
    let failed = || {
        let error = Error::unavailable("recording the use of the session", error);
        Event::TouchFailed { id: core.driver.id_at(key), error }
    };
    core.listeners.note(Name::TouchFailed, events, failed);
}
