//! A commit in one go: what most requests come to that write where nothing is waited for, in memory and in cookies.
//!
//! Their plan is to write the session's own record, and they are alone with it. They make the same plan as every commit
//! and have it carried out by the same step. What they are spared is what several steps, several rounds and a wait
//! take. Where anything else comes of it, nothing has been done, and [`Inner::commit`] begins from the start: a record
//! that another request has changed, one that does not fit.

use super::{
    Moment, Occasion, Planned,
    apply::note_live,
    decide::{Plan, Step},
    seal,
    write::{Written, write_now},
};
use crate::{
    error::Error,
    handle::{Inner, Stage, State, Work},
    lines::Lines,
    sessions::ResponseHead,
    standing::{Live, Standing},
};

impl Inner {
    /// Commits for this response head in one go; `None` where that cannot be, and then nothing was done.
    pub(crate) fn commit_at_once(&self, head: ResponseHead<'_>) -> Option<Result<(), Error>> {
        let _one_at_a_time = self.turn.try_take()?;
        let mut planned = self.plan_one_record(head)?;
        let (step, mut live) = (&mut planned.plan.ordinary, None);
        let written = write_now(&self.core, step, planned.now, &mut live);
        if self.core.driver.stealth().is_some() {
            seal::wipe(&mut planned.plan);
        }
        match (written, live) {
            (Ok(Written::Live(line)), Some(live)) => Some(self.go_on_from(&planned, live, line)),
            _ => None,
        }
    }

    /// The plan, where it is to write the session's own record and nothing else.
    fn plan_one_record(&self, head: ResponseHead<'_>) -> Option<Planned> {
        let now = self.core.clock.now();
        let mut state = self.state();
        let moment = Occasion::Head { status: head.status }.moment(Stage::Open);
        let work = state.work.as_deref()?;
        if moment != Moment::Answer || !work.may_be_one_record() || work.has_expired(now) {
            return None;
        }
        let mut planned = Planned::nothing(moment, now);
        self.plan(&mut state, &mut planned).ok()?;
        if !planned.plan.is_one_record() {
            return None;
        }
        state.stage = Stage::Late;
        Some(planned)
    }

    /// Makes what was written the state of this request, and carries out on it what was asked for meanwhile.
    fn go_on_from(&self, planned: &Planned, live: Live, line: Option<String>) -> Result<(), Error> {
        // What may ask the application's subscriber comes before the lock.
        let (mut noted, mut sent) = (Vec::new(), Lines::default());
        let Planned { plan, now, .. } = planned;
        note_live(&self.core, &plan.ordinary, &live, line, *now, &mut sent, &mut noted);
        let mut state = self.state();
        let State { work: Some(work), lines, .. } = &mut *state else { return Ok(()) };
        let Work { draft, log, events, .. } = &mut **work;
        events.append(&mut noted);
        lines.merge(&mut sent);
        if planned.mark.epoch == log.epoch {
            log.drop_first(planned.mark.operations);
        }
        draft.records.ordinary = Standing::Live(live);
        draft.go_on();
        draft.replay(log)
    }
}

impl Work {
    /// Whether nothing that is known yet speaks against it.
    fn may_be_one_record(&self) -> bool {
        let Self { draft, log, .. } = self;
        !log.destroy && log.has_changes() && log.is_first_try() && draft.may_be_one_record()
    }
}

impl Plan {
    fn is_one_record(&self) -> bool {
        let step = &self.ordinary;
        let writes = matches!(step, Step::Create { .. } | Step::Save { .. } | Step::Replace { .. });
        writes && self.end.is_none() && self.permanent.is_none() && self.generation.is_none()
    }
}
