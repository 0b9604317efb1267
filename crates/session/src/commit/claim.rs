//! `claim`: taking a value out of its record at once, so that one of several requests gets it.
//!
//! It commits nothing but its own removal. What the request has changed besides stays in the log and is
//! replayed on what the claim leaves.

use super::{
    decide::{Held, Step},
    pause,
    tell::note_end,
    write::{Written, write},
};
use crate::{
    change::Operation,
    cookie::Which,
    draft::Layer,
    error::{self, Error, Kind},
    handle::{Inner, Stage, State, Work},
    record::{Entry, Writer},
    standing::{Live, Standing},
};
use dframework_session_store::StoreError;
use std::sync::Arc;

/// A value that may be claimed.
struct Claimable {
    json: Vec<u8>,
    /// The layer of the record that holds it; `None` where only this request has it.
    layer: Option<Layer>,
}

/// Where the session has ended there is nothing of it to claim, which the next look finds; the changes of the
/// request are refused with its response.
fn but_gone(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(error) if error.is_session_gone() => Ok(()),
        result => result,
    }
}

impl Inner {
    /// Removes a value from its record, if `check` lets what is there pass, and returns it.
    pub(crate) async fn claim(
        &self,
        key: &Arc<str>,
        check: impl Fn(&[u8]) -> Result<(), Error>,
    ) -> Result<Option<Vec<u8>>, Error> {
        if self.core.driver.stealth().is_some() {
            let why = "what is in a cookie cannot be taken by one of several requests";
            return Err(Error::new(Kind::Unsupported { doing: "claiming", why }));
        }
        let _one_at_a_time = self.turn.take().await;
        let now = self.core.clock.now();
        if self.state().work.as_ref().is_some_and(|work| work.has_expired(now)) {
            but_gone(self.load_again().await)?;
        }
        let mut queued = None;
        for round in 0..self.core.driver.rounds() {
            let Some(Claimable { json, layer }) = self.claimable(key, &check)? else {
                return Ok(None);
            };
            let Some(layer) = layer else {
                // Only in what this request has not committed: nobody else can have it.
                self.forget_in_log(key)?;
                return Ok(Some(json));
            };
            let mut step = self.removal(key, layer)?;
            let mut live = None;
            match write(&self.core, &mut step, self.core.clock.now(), &mut live).await? {
                Written::Lost => {}
                written => {
                    self.take_claimed(key, layer, &written, live)?;
                    return Ok(Some(json));
                }
            }
            match queued {
                None => queued = self.core.enter_queue(self.queue_key()).await,
                Some(_) => pause(round).await,
            }
            let (ordinary, permanent) = self.reload().await?;
            but_gone(self.begin_again(ordinary, permanent))?;
        }
        self.note_given_up(self.core.driver.rounds());
        let error = StoreError::unavailable("a value was claimed by others again and again");
        Err(Error::unavailable("claiming", error))
    }

    /// The value that `get` finds.
    fn claimable(
        &self,
        key: &str,
        check: &impl Fn(&[u8]) -> Result<(), Error>,
    ) -> Result<Option<Claimable>, Error> {
        let mut state = self.state();
        let Some(work) = &mut state.work else { return Ok(None) };
        let Work { draft, log, read, .. } = &mut **work;
        let Some(found) = draft.get(key) else { return Ok(None) };
        if draft.records.ordinary.is_ended() && !log.begins_anew() {
            return Err(Error::gone(error::Record::Session));
        }
        check(found.json)?;
        found.note_in(read);
        let json = found.json.to_vec();
        Ok(Some(Claimable { json, layer: draft.recorded_in(key) }))
    }

    /// The step that takes the key out of one of the two records, and does nothing else.
    fn removal(&self, key: &str, layer: Layer) -> Result<Step, Error> {
        let state = self.state();
        let draft = state.work.as_ref().map(|work| &work.draft);
        let standing = draft.map(|draft| match layer {
            Layer::Permanent => &draft.records.permanent,
            _ => &draft.records.ordinary,
        });
        let (Some(draft), Some(live)) = (draft, standing.and_then(Standing::live)) else {
            return Ok(Step::Nothing);
        };
        let mut header = live.record.header();
        header.stamp = self.core.stamp()?;
        let mut record = Writer::new(&header, live.record.bytes().len());
        let stays = |entry: &Entry<'_>| entry.key != key.as_bytes() || !draft.can_forget(entry);
        live.record.entries().filter(stays).for_each(|entry| record.keep(entry.raw(), 1));
        let is_empty = record.is_empty();
        // It is smaller than the record that it replaces.
        let record = record.finish();
        let record = record.map_err(|_| Error::new(Kind::Corrupt { why: "it is too large" }))?;
        let held = Held::from(live);
        if layer != Layer::Permanent {
            let now = self.core.clock.now();
            let expires_at = self.core.lifetimes.idle_deadline(now, header.absolute);
            return Ok(Step::Save { held, record, expires_at });
        }
        if is_empty && state.stage == Stage::Open {
            return Ok(Step::Retire { held, record });
        }
        let expires_at = live.expires_at;
        Ok(Step::Save { held, record, expires_at })
    }

    /// Goes on with the record that the claim has left.
    fn take_claimed(
        &self,
        key: &Arc<str>,
        layer: Layer,
        written: &Written,
        live: Option<Live>,
    ) -> Result<(), Error> {
        let mut state = self.state();
        let State { work: Some(work), lines, .. } = &mut *state else { return Ok(()) };
        let (ordinary, permanent) =
            (work.draft.records.ordinary.clone(), work.draft.records.permanent.clone());
        let (ordinary, permanent) = match (written, live, layer) {
            (Written::Live(_), Some(live), Layer::Permanent) => (ordinary, Standing::Live(live)),
            (Written::Live(_), Some(live), _) => (Standing::Live(live), permanent),
            (Written::Ended, ..) => {
                if let Some(key) = permanent.key() {
                    note_end(&self.core, error::Record::Permanent, &key, &mut work.events);
                }
                lines.put(Which::Permanent, self.core.cookies.remove(Which::Permanent));
                (ordinary, Standing::Absent)
            }
            _ => (ordinary, permanent),
        };
        work.begin_again(ordinary, permanent)?;
        drop(state);
        self.forget_in_log(key)
    }

    /// Lets the request's own commit forget what is left of the key elsewhere.
    fn forget_in_log(&self, key: &Arc<str>) -> Result<(), Error> {
        let mut state = self.state();
        let Some(work) = &mut state.work else { return Ok(()) };
        let Work { draft, log, .. } = &mut **work;
        if draft.get(key).is_none() {
            return Ok(());
        }
        let operation = Operation::Forget { keys: vec![key.clone()] };
        draft.apply(&operation)?;
        log.operations.push(operation);
        Ok(())
    }
}
