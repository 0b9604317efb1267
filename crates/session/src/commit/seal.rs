//! Writing where records are in cookies: a step becomes a line, unless the session has ended meanwhile.
//!
//! A line is made before anything is revoked for it, so what fails has ended nothing; and it is looked whether the
//! session has ended after it is made, so what ends it from then on ends what the line carries, too.

use super::{
    decide::{Plan, Step},
    write::Written,
};
use crate::{
    cookie::Which,
    error::Error,
    record::Record,
    sessions::Core,
    standing::{Live, Recorded},
    stealth::{End, Id, Stealth},
};
use dframework_session_store::{StoreError, Timestamp};

/// Whether the session of a plan has ended meanwhile, so that nothing permanent of it is to be carried out.
///
/// Its own step finds that out by itself.
pub(super) fn has_ended(stealth: &Stealth, plan: &Plan, now: Timestamp) -> bool {
    if plan.permanent.is_none() {
        return false;
    }
    let sealed = match &plan.ordinary {
        Step::Save { held, .. } => held.sealed.as_ref(),
        Step::Replace { former, .. } => Some(&former.record),
        _ => None,
    };
    sealed.is_some_and(|record| !stealth.is_fine(record, now))
}

/// Overwrites the records of a plan: they have been sealed, or never will be.
pub(super) fn wipe(plan: &mut Plan) {
    for step in plan.permanent.as_deref_mut().into_iter().chain([&mut plan.ordinary]) {
        if let Step::Create { record, .. }
        | Step::Save { record, .. }
        | Step::Replace { record, .. }
        | Step::Retire { record, .. } = step
        {
            record.wipe();
        }
    }
}

/// Carries a step out.
pub(super) fn write(
    core: &Core,
    stealth: &Stealth,
    step: &Step,
    now: Timestamp,
    live: &mut Option<Live>,
) -> Result<Written, Error> {
    match step {
        Step::Nothing => Ok(Written::Nothing),
        Step::Touch { record, expires_at } => Ok(touch(core, stealth, record, *expires_at, now)),
        Step::Create { record, expires_at, .. } => {
            let made = stealth.make(Id::New, record, *expires_at, now)?;
            let line = line(core, stealth, &made, now)?;
            *live = Some(made);
            Ok(Written::Live(Some(line)))
        }
        Step::Save { held, record, expires_at } => {
            let Some(former) = &held.sealed else { return Ok(Written::Lost) };
            let made = stealth.make(Id::Same(former), record, *expires_at, now)?;
            let line = line(core, stealth, &made, now)?;
            if !stealth.is_fine(former, now) {
                return Ok(Written::Lost);
            }
            *live = Some(made);
            Ok(Written::Live(Some(line)))
        }
        Step::Replace { former, record, expires_at } => {
            let former = &former.record;
            let made = stealth.make(Id::After(former), record, *expires_at, now)?;
            let line = line(core, stealth, &made, now)?;
            match stealth.end(former, now) {
                End::Now => {
                    *live = Some(made);
                    Ok(Written::Live(Some(line)))
                }
                End::Before => Ok(Written::Lost),
            }
        }
        Step::Retire { held, .. } => {
            match held.sealed.as_ref().map(|record| stealth.end(record, now)) {
                Some(End::Now) => Ok(Written::Ended),
                _ => Ok(Written::Lost),
            }
        }
    }
}

/// Says in a cookie of its own that a session was used, unless it has ended.
fn touch(
    core: &Core,
    stealth: &Stealth,
    record: &Recorded,
    expires_at: Timestamp,
    now: Timestamp,
) -> Written {
    let left = expires_at.saturating_since(now);
    let line = core.cookies.set_sealed(Which::Activity, Stealth::activity_length(), left, |out| {
        stealth.seal_activity(&record.key, expires_at, now, out)
    });
    let has_ended = |sealed| !stealth.is_fine(sealed, now);
    match line {
        Ok(_) if record.sealed.as_ref().is_some_and(has_ended) => Written::Nothing,
        Ok(line) => Written::Touched(expires_at, Some(line)),
        Err(error) => {
            let message = "there is no cookie to say it with";
            Written::Untouched(StoreError::unavailable(message).with_source(error))
        }
    }
}

/// The line that carries a session or permanent data.
fn line(core: &Core, stealth: &Stealth, live: &Live, now: Timestamp) -> Result<String, Error> {
    let Live { record, .. } = live;
    let left = record.absolute().saturating_since(now);
    let length = Stealth::length_of(record);
    let seal = |out: &mut String| stealth.seal(record, out);
    core.cookies.set_sealed(record.nature().into(), length, left, seal)
}

/// The line that carries permanent data once more, as it is; `None` if it has ended, or cannot be sealed. Then a later
/// request does it.
pub(super) fn again(
    core: &Core,
    stealth: &Stealth,
    record: &Record,
    now: Timestamp,
) -> Option<String> {
    let absolute = record.absolute();
    let live = stealth.make_permanent(Id::Same(record), record.bytes(), absolute, now).ok()?;
    let line = line(core, stealth, &live, now).ok()?;
    stealth.is_fine(record, now).then_some(line)
}
