//! Writing where records are in cookies: a step becomes a line, unless the session has ended meanwhile.
//!
//! A line is made before anything is revoked for it, so what fails has ended nothing; and it is looked whether the
//! session has ended after it is made, so what ends it from then on ends what the line carries, too.

use super::{apply::Written, decide::Step};
use crate::{
    cookie::Which,
    draft::Live,
    error::Error,
    record::{Nature, Record},
    sessions::Core,
    stealth::{End, Id, Stealth},
};
use dframework_session_store::{StoreError, StoreKey, Timestamp};

/// Carries a step out, which is used up.
pub(super) fn write(
    core: &Core,
    stealth: &Stealth,
    step: &mut Step,
    now: Timestamp,
) -> Result<Written, Error> {
    let written = carry_out(core, stealth, step, now);
    if let Step::Create { record, .. }
    | Step::Save { record, .. }
    | Step::Replace { record, .. }
    | Step::Retire { record, .. } = step
    {
        record.wipe();
    }
    written
}

fn carry_out(
    core: &Core,
    stealth: &Stealth,
    step: &Step,
    now: Timestamp,
) -> Result<Written, Error> {
    match step {
        Step::Nothing => Ok(Written::Nothing),
        Step::Touch { key, expires_at } => Ok(touch(core, stealth, key, *expires_at, now)),
        Step::Create { record, expires_at, .. } => {
            let live = stealth.make(Id::New, record, *expires_at, now)?;
            let line = line(core, stealth, &live, now)?;
            Ok(Written::Live(live, Some(line)))
        }
        Step::Save { held, record, expires_at } => {
            let Some(former) = &held.sealed else { return Ok(Written::Lost) };
            let live = stealth.make(Id::Same(former), record, *expires_at, now)?;
            let line = line(core, stealth, &live, now)?;
            if !stealth.is_fine(former, now) {
                return Ok(Written::Lost);
            }
            Ok(Written::Live(live, Some(line)))
        }
        Step::Replace { former, record, expires_at } => {
            let former = &former.record;
            let live = stealth.make(Id::After(former), record, *expires_at, now)?;
            let line = line(core, stealth, &live, now)?;
            match stealth.end(former, now) {
                End::Now => Ok(Written::Live(live, Some(line))),
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

/// Says in a cookie of its own that a session was used. It opens nothing by itself, so it may come late.
fn touch(
    core: &Core,
    stealth: &Stealth,
    key: &StoreKey,
    expires_at: Timestamp,
    now: Timestamp,
) -> Written {
    let left = expires_at.saturating_since(now);
    let line = core.cookies.set_sealed(Which::Activity, Stealth::activity_length(), left, |out| {
        stealth.seal_activity(key, expires_at, now, out)
    });
    match line {
        Ok(line) => Written::Touched(expires_at, Some(line)),
        Err(error) => {
            let message = "there is no cookie to say it with";
            Written::Untouched(StoreError::unavailable(message).with_source(error))
        }
    }
}

/// The line that carries a session or permanent data.
fn line(core: &Core, stealth: &Stealth, live: &Live, now: Timestamp) -> Result<String, Error> {
    let (nature, bytes) = (live.record.nature(), live.record.bytes().len());
    let which = match nature {
        Nature::Permanent => Which::Permanent,
        Nature::Ordinary { .. } => Which::Session,
    };
    let left = live.record.absolute().saturating_since(now);
    let length = Stealth::text_length(nature, Some(&live.record), bytes);
    core.cookies.set_sealed(which, length, left, |out| stealth.seal(&live.record, out))
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
