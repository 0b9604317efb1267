//! One request of the model: its verbs, its log, and its commit.
//!
//! A request loads what its cookies open when it first uses the session. Each change is carried out on what the
//! request sees, and logged. A commit writes the records that have become different, each if it is still of the
//! version that was loaded; if one is not, everything is loaded again and the log is carried out on that.

use super::{
    actions::{Key, Verb},
    draft::{Draft, Fault, Layer, Moment, Place},
    world::{
        Cookies, DAY, Found, Lines, MINUTE, Message, Millis, Permanence, Permanent, Record,
        Session, TEN_YEARS, Token, World,
    },
};
use crate::support::Client;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug)]
pub(super) struct Request {
    carried: Cookies,
    /// Which messages its response may end.
    ageing: Ageing,
    loaded: Option<Loaded>,
    log: Vec<(Verb, Millis)>,
    /// The generations that it has read.
    read: BTreeSet<u8>,
    keeps_all: bool,
    /// The generations that its own saves have made.
    made: BTreeSet<u8>,
    /// The lines of what has been committed.
    lines: Lines,
    is_late: bool,
    refused: Option<Fault>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Ageing {
    /// A page, or a client that does not say: whatever it carries. It also renews `.p`.
    Everything,
    /// A fetch or prefetch: what it has read.
    WhatItRead,
    /// HEAD and OPTIONS.
    Nothing,
}

#[derive(Debug)]
struct Loaded {
    /// The token at which the session is, which `save` may change.
    session_at: Option<Token>,
    session: Found<Session>,
    permanent_at: Option<Token>,
    permanent: Found<Permanent>,
    /// Where this commit has written the permanent record: as it was before. The log is in the record already, so
    /// a replay for the sake of the session takes the former one.
    permanent_before: Option<Found<Permanent>>,
    /// What is shown now, as of the last commit.
    shown: BTreeMap<Key, Value>,
    /// The generation that was used last, in this session or the one that it replaces.
    last: Option<u8>,
    draft: Draft,
}

/// What the response head says beside the lines.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Head {
    pub(super) lines: Lines,
    pub(super) is_used: bool,
}

/// A record was not as it was loaded.
struct Overtaken;

impl Request {
    pub(super) fn new(carried: Cookies, client: Client, method: &str) -> Self {
        let ageing = match (method, client) {
            ("HEAD" | "OPTIONS", _) => Ageing::Nothing,
            (_, Client::Plain | Client::Navigation) => Ageing::Everything,
            (_, Client::Fetch(_) | Client::Prefetch) => Ageing::WhatItRead,
        };
        Self {
            carried,
            ageing,
            loaded: None,
            log: Vec::new(),
            read: BTreeSet::new(),
            keeps_all: false,
            made: BTreeSet::new(),
            lines: Lines::default(),
            is_late: false,
            refused: None,
        }
    }

    /// Whether `destroy` would meet a session that has expired since it was loaded. The record may be swept or
    /// not, so nobody can tell whether its token is remembered as an ended one.
    pub(super) fn destroys_expired(&self, world: &World) -> bool {
        self.loaded.as_ref().is_some_and(|loaded| {
            let expired = matches!(&loaded.session, Found::Live(..))
                && matches!(find(&world.sessions, loaded.session_at, world.now), Found::Nothing);
            loaded.draft.is_destroyed && expired
        })
    }

    fn moment(&self, now: Millis) -> Moment {
        let visible = self.carried.messages.union(&self.made).copied().collect();
        Moment { now, visible, is_late: self.is_late }
    }

    /// The first use loads both records.
    fn load(&mut self, world: &World) -> &mut Loaded {
        let carried = &self.carried;
        self.loaded.get_or_insert_with(|| {
            let permanent_at = carried.permanent.map(|permanence| permanence.token);
            Loaded::new(carried.session, permanent_at, world)
        })
    }

    /// The token of the stored session, which `id` tells.
    pub(super) fn id(&mut self, world: &World) -> Option<Token> {
        let loaded = self.load(world);
        loaded.session_at.filter(|_| matches!(loaded.session, Found::Live(..)))
    }

    /// The owner of the session as it is stored.
    pub(super) fn owner(&mut self, world: &World) -> Option<&'static str> {
        self.load(world).draft.session.owner
    }

    /// Carries a verb out. `[value]` and `[]` stand for `Some` and `None`.
    pub(super) fn call(&mut self, verb: &Verb, world: &mut World) -> Result<Value, Fault> {
        if let Verb::Save = verb {
            return self.save(world).map(|()| Value::Null);
        }
        self.load(world);
        match verb {
            Verb::Get(key, reading) => {
                let found = self.look(key, world).map(|(value, _)| reading.read(&value));
                Ok(optional(found.transpose()?.flatten()))
            }
            Verb::GetOr(key, default) => {
                let found =
                    self.look(key, world).map(|(value, _)| super::actions::As::Number.read(&value));
                Ok(found.transpose()?.flatten().unwrap_or(json!(default)))
            }
            Verb::Has(key) => {
                Ok(json!(self.peek(key, world).is_some_and(|value| !value.is_null())))
            }
            Verb::Exists(key) => Ok(json!(self.peek(key, world).is_some())),
            Verb::Keys => {
                let moment = self.moment(world.now);
                Ok(json!(self.load(world).draft.all(&moment).into_keys().collect::<Vec<_>>()))
            }
            Verb::All => {
                let moment = self.moment(world.now);
                let all = self.load(world).draft.all(&moment);
                for (_, layer) in all.values() {
                    self.note_reading(*layer);
                }
                Ok(all.into_iter().map(|(key, (value, _))| (key, value)).collect())
            }
            Verb::Owner => Ok(json!(self.owner(world))),
            Verb::Pull(key, reading) => {
                let Some((value, _)) = self.look(key, world) else { return Ok(optional(None)) };
                let read = reading.read(&value)?;
                self.change(Verb::Forget(super::actions::Keys::One(key)), world)?;
                Ok(optional(read))
            }
            Verb::Claim(key, reading) => self.claim(key, *reading, world),
            Verb::Remember(key, made) => self.remember(key, Some(*made), world),
            Verb::TryRemember(key, made) => self.remember(key, *made, world),
            Verb::Forget(super::actions::Keys::All) => self.change(Verb::Destroy, world),
            Verb::Reflash | Verb::Keep(super::actions::Keys::All) if self.is_late => {
                Err(Fault::Late)
            }
            Verb::Reflash | Verb::Keep(super::actions::Keys::All) => {
                self.keeps_all = true;
                Ok(Value::Null)
            }
            // The same owner again is nothing.
            Verb::SetOwner(owner) if self.owner(world) == Some(*owner) => Ok(Value::Null),
            Verb::Keep(keys) => self.keep(keys, world),
            Verb::UpdateNumber(key)
            | Verb::UpdateAnything(key)
            | Verb::Increment(key, _)
            | Verb::Decrement(key, _)
            | Verb::Push(key, _) => {
                self.look(key, world);
                self.change(verb.clone(), world)
            }
            _ => self.change(verb.clone(), world),
        }
    }

    /// Reads, which is what uses a message up in a script's request.
    fn look(&mut self, key: Key, world: &World) -> Option<(Value, Layer)> {
        let moment = self.moment(world.now);
        let found = self.load(world).draft.look(key, &moment)?;
        self.note_reading(found.1);
        Some(found)
    }

    fn peek(&mut self, key: Key, world: &World) -> Option<Value> {
        let moment = self.moment(world.now);
        self.load(world).draft.look(key, &moment).map(|(value, _)| value)
    }

    fn note_reading(&mut self, layer: Layer) {
        if let Layer::Message(Some(generation)) = layer {
            self.read.insert(generation);
        }
    }

    fn change(&mut self, verb: Verb, world: &World) -> Result<Value, Fault> {
        let moment = self.moment(world.now);
        let returned = self.load(world).draft.apply(&verb, world.now, &moment)?;
        if let Verb::Destroy = verb {
            self.log.clear();
        }
        if let Verb::Destroy | Verb::Regenerate | Verb::SetOwner(_) = verb {
            // A logout or a login begins anew.
            self.refused = None;
        }
        self.log.push((verb, world.now));
        Ok(returned)
    }

    /// The messages of earlier requests are flashed again, as they are seen.
    fn keep(&mut self, keys: &super::actions::Keys, world: &World) -> Result<Value, Fault> {
        let moment = self.moment(world.now);
        for key in keys.each() {
            let found = self.load(world).draft.message(key, &moment).cloned();
            if let Some(message) = found.filter(|message| message.generation.is_some()) {
                self.change(Verb::Flash(key, message.value), world)?;
            }
        }
        Ok(Value::Null)
    }

    fn remember(&mut self, key: Key, made: Option<i64>, world: &World) -> Result<Value, Fault> {
        let found = self.look(key, world).map(|(value, _)| super::actions::As::Number.read(&value));
        if let Some(value) = found.transpose()?.flatten() {
            return Ok(value);
        }
        let made = made.ok_or(Fault::Own)?;
        self.change(Verb::Remember(key, made), world)?;
        Ok(json!(made))
    }

    /// `get`, then `forget`, the same committed at once where the value is stored.
    fn claim(
        &mut self,
        key: Key,
        reading: super::actions::As,
        world: &mut World,
    ) -> Result<Value, Fault> {
        let begun = self.let_expire(world);
        self.nothing_if_gone(begun)?;
        self.take(key, reading, world)
    }

    /// What cannot be carried out on fresh records is refused for good. Where the session has ended there is nothing
    /// to claim, and the changes of the request are refused with its response.
    fn nothing_if_gone(&mut self, replayed: Result<(), Fault>) -> Result<(), Fault> {
        let Err(fault) = replayed else { return Ok(()) };
        self.refused = Some(fault);
        self.log.clear();
        self.settle();
        if fault == Fault::Gone { Ok(()) } else { Err(fault) }
    }

    fn take(
        &mut self,
        key: Key,
        reading: super::actions::As,
        world: &mut World,
    ) -> Result<Value, Fault> {
        let mut n = 0;
        loop {
            n += 1;
            assert!(n < 9, "{self:?}");
            let moment = self.moment(world.now);
            let found = self.load(world).draft.look(key, &moment);
            let Some((value, layer)) = found else { return Ok(optional(None)) };
            self.load(world).draft.refuse_on_tombstone()?;
            // A value of another type is not taken, so a message of another type is not read.
            let read = reading.read(&value)?;
            self.note_reading(layer);
            let loaded = self.load(world);
            let is_own = matches!(layer, Layer::Now | Layer::Message(None));
            if is_own || loaded.draft.written.contains(key) {
                // Nobody else can have what this request has not committed.
                self.change(Verb::Forget(super::actions::Keys::One(key)), world)?;
                return Ok(optional(read));
            }
            let had_permanent = loaded.permanent_at.is_some();
            match loaded.take(key, layer, &moment, world) {
                Ok(()) => {
                    if had_permanent && loaded.permanent_at.is_none() {
                        self.lines.permanent = Some(None);
                    }
                    self.replay(world)?;
                    // What is left of the key elsewhere goes with the request's own commit.
                    if self.peek(key, world).is_some() {
                        self.change(Verb::Forget(super::actions::Keys::One(key)), world)?;
                    }
                    return Ok(optional(read));
                }
                Err(Overtaken) => {
                    let replayed = self.reload(world);
                    self.nothing_if_gone(replayed)?;
                }
            }
        }
    }

    pub(super) fn save(&mut self, world: &mut World) -> Result<(), Fault> {
        if self.loaded.is_none() {
            return Ok(());
        }
        self.commit(&mut BTreeSet::new(), world)
    }

    /// The response head. On `Err` too, with the lines of what has been committed.
    pub(super) fn answer(&mut self, status: u16, world: &mut World) -> (Result<(), Fault>, Head) {
        let mut aged = self.aged(status);
        let mut result = Ok(());
        if status >= 500 {
            self.fail(world);
            self.touch(world);
        } else if self.loaded.is_some() {
            result = self.commit(&mut aged, world);
        }
        let met_tombstone =
            self.loaded.as_ref().is_some_and(|loaded| loaded.draft.place == Place::Tombstone);
        if result.is_ok() && status < 500 && !met_tombstone {
            for generation in aged {
                self.lines.messages.entry(generation).or_insert(false);
            }
            self.renew_permanence(world);
        }
        self.is_late = true;
        self.refused = None;
        let head = Head { lines: self.lines.clone(), is_used: self.loaded.is_some() };
        (result, head)
    }

    /// The messages that this response ends, by their companions.
    fn aged(&self, status: u16) -> BTreeSet<u8> {
        if status >= 500 || self.keeps_all {
            return BTreeSet::new();
        }
        let carried = self.carried.messages.difference(&self.made).copied();
        match self.ageing {
            Ageing::Everything => carried.collect(),
            Ageing::WhatItRead => {
                carried.filter(|generation| self.read.contains(generation)).collect()
            }
            Ageing::Nothing => BTreeSet::new(),
        }
    }

    /// Browsers keep a cookie for 400 days from its last sending, so `.p` is sent again after thirty.
    fn renew_permanence(&mut self, world: &World) {
        let Some(loaded) = &self.loaded else { return };
        let (Some(carried), Found::Live(..)) = (self.carried.permanent, &loaded.permanent) else {
            return;
        };
        let is_old = carried.day + 30 <= world.today();
        if self.ageing == Ageing::Everything && is_old && self.lines.permanent.is_none() {
            self.lines.permanent = Some(Some(Permanence { day: world.today(), ..carried }));
        }
    }

    /// Whatever comes of it, a request that used the session was activity.
    fn touch(&mut self, world: &mut World) {
        let now = world.now;
        if let Some(Loaded { session: Found::Live(session, _), session_at: Some(token), .. }) =
            &mut self.loaded
            && session.expires > now
        {
            world.sessions.touch(*token, session.expiry(now), now);
            session.expires = session.expires.max(session.expiry(now));
        }
    }

    /// A 5xx, a panic or a hang-up: nothing is committed, but `destroy` is.
    pub(super) fn fail(&mut self, world: &mut World) {
        if self.loaded.as_ref().is_some_and(|loaded| loaded.draft.is_destroyed) {
            let _ = self.end(world);
        }
        self.log.clear();
        self.settle();
    }

    /// Writes what has become different, and ends what has been destroyed.
    fn commit(&mut self, aged: &mut BTreeSet<u8>, world: &mut World) -> Result<(), Fault> {
        if let (Some(fault), false) = (self.refused, self.is_late) {
            return Err(fault);
        }
        let expired = if self.has_changes() { self.let_expire(world) } else { Ok(()) };
        let committed = expired.and_then(|()| self.rounds(aged, world));
        match committed {
            // It can be tried again.
            Err(Fault::Late) => return committed,
            Err(fault) => self.refused = Some(fault),
            Ok(()) => {}
        }
        self.log.clear();
        self.settle();
        committed
    }

    /// A record that has expired since it was loaded has ended for this request too.
    fn let_expire(&mut self, world: &World) -> Result<(), Fault> {
        let loaded = self.load(world);
        let is_over = |expires: Millis| expires <= world.now;
        let session = matches!(&loaded.session, Found::Live(record, _) if is_over(record.expires));
        let permanent =
            matches!(&loaded.permanent, Found::Live(record, _) if is_over(record.expires));
        if (session || permanent) && !loaded.draft.is_destroyed {
            return self.reload(world);
        }
        Ok(())
    }

    fn rounds(&mut self, aged: &mut BTreeSet<u8>, world: &mut World) -> Result<(), Fault> {
        if self.load(world).draft.is_destroyed && self.end(world).is_err() {
            // Somebody was faster: what follows is dropped, unless it is a login.
            if !self.logs_in() {
                return Ok(());
            }
            self.replay(world)?;
        }
        let line_before = self.lines.permanent;
        let loaded = self.load(world);
        let before = (loaded.session_at, loaded.permanent_at);
        let committed = self.write(aged, world).and_then(|()| self.look_again(before, world));
        let loaded = self.loaded.as_mut().expect("loaded");
        if let (Err(Fault::Gone), Some(token)) = (committed, loaded.permanent_at)
            && loaded.permanent_at != before.1
        {
            // What was made for a session that has ended ends with it.
            world.permanents.end(token, world.now);
            loaded.permanent = Found::Ended;
            self.lines.permanent = line_before;
        }
        committed
    }

    /// Both records, each if it is as it was loaded; else the log is carried out on what is there now.
    fn write(&mut self, aged: &mut BTreeSet<u8>, world: &mut World) -> Result<(), Fault> {
        self.refuse_late(world)?;
        while self.commit_permanent(world).and_then(|()| self.commit_session(aged, world)).is_err()
        {
            self.reload(world)?;
            self.refuse_late(world)?;
        }
        Ok(())
    }

    /// After the head no token can be sent, so no record can be made.
    fn refuse_late(&mut self, world: &World) -> Result<(), Fault> {
        let is_late = self.is_late;
        let draft = &self.load(world).draft;
        let begins_session = draft.place != Place::Record && draft.has_session_data(world.now);
        let begins_permanent =
            draft.permanent_place != Place::Record && !draft.permanent.is_empty();
        if is_late && (begins_session || begins_permanent) { Err(Fault::Late) } else { Ok(()) }
    }

    /// A permanent record that was made while the session ended would outlive the logout: one more look.
    fn look_again(
        &mut self,
        (session_before, permanent_before): (Option<Token>, Option<Token>),
        world: &World,
    ) -> Result<(), Fault> {
        let loaded = self.loaded.as_mut().expect("loaded");
        let made = loaded.permanent_at.is_some() && loaded.permanent_at != permanent_before;
        let was_live = matches!(loaded.session, Found::Live(..));
        let has_ended = |token| world.sessions.has_ended(token, world.now, was_live);
        let is_met = made
            && loaded.session_at == session_before
            && !matches!(loaded.session, Found::Ended)
            && session_before.is_some_and(has_ended);
        if is_met {
            loaded.session = Found::Ended;
            return Err(Fault::Gone);
        }
        Ok(())
    }

    fn logs_in(&self) -> bool {
        self.log.iter().any(|(verb, _)| matches!(verb, Verb::Regenerate | Verb::SetOwner(_)))
    }

    fn has_changes(&self) -> bool {
        self.log.iter().any(|(verb, _)| !matches!(verb, Verb::Now(..)))
    }

    /// Ends both records, the session first; `Err` if somebody else has ended it.
    fn end(&mut self, world: &mut World) -> Result<(), Overtaken> {
        let is_late = self.is_late;
        let carried = self.carried.clone();
        let loaded = self.load(world);
        let is_overtaken = loaded.draft.place == Place::Tombstone
            || loaded.session_at.is_some_and(|token| {
                let was_live = matches!(loaded.session, Found::Live(..));
                world.sessions.has_ended(token, world.now, was_live)
            });
        if is_overtaken {
            let is_news = loaded.draft.place != Place::Tombstone;
            loaded.session = Found::Ended;
            if is_news && !is_late {
                self.take_back(world);
            }
            return Err(Overtaken);
        }
        let had_session = loaded.session_at.is_some() || carried.session.is_some();
        let had_permanent = loaded.permanent_at.is_some() || carried.permanent.is_some();
        loaded.session_at.take_if(|token| world.sessions.end(*token, world.now));
        // New data takes the place of a token that nobody knew, and not of one that has ended.
        let is_unknown = matches!(loaded.permanent, Found::Nothing);
        if let Some(token) = loaded.permanent_at.take_if(|_| !is_unknown) {
            world.permanents.end(token, world.now);
        }
        loaded.session = Found::Nothing;
        loaded.permanent = Found::Nothing;
        loaded.draft.is_destroyed = false;
        self.lines = Lines::default();
        if !is_late {
            if had_session {
                self.lines.session = Some(None);
            }
            if had_session || had_permanent {
                self.lines.permanent = Some(None);
            }
            for generation in &carried.messages {
                self.lines.messages.insert(*generation, false);
            }
        }
        self.log.retain(|(verb, _)| !matches!(verb, Verb::Destroy));
        Ok(())
    }

    /// What saves of this request have made goes with the session, and no cookie of theirs is sent.
    fn take_back(&mut self, world: &mut World) {
        self.lines = Lines::default();
        let loaded = self.loaded.as_mut().expect("loaded");
        let carried = self.carried.permanent.map(|permanence| permanence.token);
        if let Some(token) = loaded.permanent_at.take_if(|token| Some(*token) != carried) {
            world.permanents.end(token, world.now);
            loaded.permanent = Found::Nothing;
        }
    }

    /// The permanent record goes first.
    fn commit_permanent(&mut self, world: &mut World) -> Result<(), Overtaken> {
        let now = world.now;
        let loaded = self.loaded.as_mut().expect("loaded");
        if loaded.permanent_before.is_some() {
            return Ok(());
        }
        let draft = &loaded.draft;
        let mut new = Permanent { values: draft.permanent.clone(), expires: 0 };
        match (&loaded.permanent, loaded.permanent_at) {
            // A `destroy` that came too late has hidden the record from this request, and left it.
            _ if draft.is_destroyed && new.values.is_empty() => {}
            (Found::Live(old, version), Some(token)) if !draft.is_destroyed => {
                new.expires = old.expires;
                if draft.begins_ten_years {
                    new.expires = (now + TEN_YEARS).next_multiple_of(DAY);
                }
                if new == *old {
                    return Ok(());
                }
                let version = *version;
                let ends = new.values.is_empty() && !self.is_late;
                let before = loaded.permanent.clone();
                if loaded.write_permanent(token, version, new, ends, world).is_err() {
                    return Err(Overtaken);
                }
                loaded.permanent_before = Some(before);
                if ends {
                    self.lines.permanent = Some(None);
                }
            }
            _ if new.values.is_empty() => {}
            (_, presented) => {
                if let Some(token) = presented
                    && world.permanents.bury(token, now).is_err()
                {
                    return Err(Overtaken);
                }
                new.expires = (now + TEN_YEARS).next_multiple_of(DAY);
                let token = world.new_token();
                world.permanents.put(token, new.clone());
                loaded.permanent_before =
                    Some(std::mem::replace(&mut loaded.permanent, Found::Live(new, 0)));
                loaded.permanent_at = Some(token);
                self.lines.permanent = Some(Some(Permanence { token, day: world.today() }));
            }
        }
        Ok(())
    }

    fn commit_session(
        &mut self,
        aged: &mut BTreeSet<u8>,
        world: &mut World,
    ) -> Result<(), Overtaken> {
        let now = world.now;
        let has_changes = self.has_changes();
        let carried = self.carried.messages.clone();
        let loaded = self.loaded.as_mut().expect("loaded");
        let draft = &loaded.draft;
        let mut new = draft.session.clone();
        new.drop_expired(now);
        match (&loaded.session, loaded.session_at) {
            (Found::Live(_, version), Some(token)) => {
                let changed = has_changes && draft.has_changed_session(now);
                if !changed && !draft.changes_token {
                    self.touch(world);
                    return Ok(());
                }
                let generation = give_generation(&mut new, &carried, aged, now);
                if draft.begins_lifetime {
                    new.absolute = now + super::world::LIFETIME;
                }
                new.expires = new.expiry(now);
                if draft.changes_token {
                    let Found::Live(_, current) = world.sessions.find(token, now) else {
                        return Err(Overtaken);
                    };
                    if current != *version {
                        return Err(Overtaken);
                    }
                    world.sessions.end(token, now);
                    let token = world.new_token();
                    world.sessions.put(token, new.clone());
                    loaded.session = Found::Live(new, 0);
                    loaded.session_at = Some(token);
                    self.lines.session = Some(Some(token));
                } else {
                    let replaced = world.sessions.replace(token, *version, new.clone(), now);
                    let Ok(version) = replaced else { return Err(Overtaken) };
                    loaded.session = Found::Live(new, version);
                }
                self.note_made(generation);
            }
            (_, presented) => {
                let ended_and_login = draft.place == Place::Tombstone && draft.is_login;
                let has_data = draft.has_session_data(world.now);
                if !has_data {
                    return Ok(());
                }
                if let Some(token) = presented
                    && !ended_and_login
                    && world.sessions.bury(token, now).is_err()
                {
                    return Err(Overtaken);
                }
                let generation = give_generation(&mut new, &carried, aged, now);
                new.created = now;
                new.absolute = now + super::world::LIFETIME;
                new.expires = new.expiry(now);
                let token = world.new_token();
                world.sessions.put(token, new.clone());
                loaded.session = Found::Live(new, 0);
                loaded.session_at = Some(token);
                self.lines.session = Some(Some(token));
                self.note_made(generation);
            }
        }
        Ok(())
    }

    fn note_made(&mut self, generation: Option<u8>) {
        if let Some(generation) = generation {
            self.made.insert(generation);
            self.lines.messages.insert(generation, true);
        }
    }

    /// Loads both records again and carries the log out on them.
    fn reload(&mut self, world: &World) -> Result<(), Fault> {
        let loaded = self.loaded.as_mut().expect("loaded");
        if !matches!(loaded.permanent, Found::Ended) {
            loaded.permanent = find(&world.permanents, loaded.permanent_at, world.now);
        }
        self.reload_session(world)
    }

    fn reload_session(&mut self, world: &World) -> Result<(), Fault> {
        let loaded = self.loaded.as_mut().expect("loaded");
        // What has ended for this request stays so, and what it has seen live and is no more has ended.
        loaded.session =
            match (&loaded.session, find(&world.sessions, loaded.session_at, world.now)) {
                (Found::Ended, _) | (Found::Live(..), Found::Nothing) => Found::Ended,
                (_, found) => found,
            };
        self.replay(world)
    }

    fn replay(&mut self, world: &World) -> Result<(), Fault> {
        let (logs_in, has_changes) = (self.logs_in(), self.has_changes());
        let moment = Moment { is_late: false, ..self.moment(world.now) };
        let loaded = self.loaded.as_mut().expect("loaded");
        let shown = loaded.draft.now.clone();
        loaded.draft = loaded.fresh_draft();
        let mut replayed = Ok(());
        if loaded.draft.place == Place::Tombstone {
            loaded.draft.is_login = logs_in;
            if !logs_in
                && has_changes
                && !self.log.iter().any(|(verb, _)| matches!(verb, Verb::Destroy))
            {
                replayed = Err(Fault::Gone);
            }
        }
        for (verb, at) in &self.log {
            replayed = replayed.and_then(|()| loaded.draft.apply(verb, *at, &moment).map(drop));
        }
        replayed.map_err(|fault| {
            loaded.draft.now = shown;
            if fault == Fault::Gone || fault == Fault::PermanentGone {
                fault
            } else {
                Fault::Conflict
            }
        })
    }

    /// What has been committed is what the request sees from now on.
    fn settle(&mut self) {
        let Some(loaded) = &mut self.loaded else { return };
        loaded.permanent_before = None;
        loaded.shown = std::mem::take(&mut loaded.draft.now);
        loaded.draft = loaded.fresh_draft();
    }
}

impl Loaded {
    fn new(session_at: Option<Token>, permanent_at: Option<Token>, world: &World) -> Self {
        let session = find(&world.sessions, session_at, world.now);
        let permanent = find(&world.permanents, permanent_at, world.now);
        let mut loaded = Self {
            session_at,
            session,
            permanent_at,
            permanent,
            permanent_before: None,
            shown: BTreeMap::new(),
            last: None,
            draft: empty_draft(),
        };
        loaded.draft = loaded.fresh_draft();
        loaded
    }

    fn fresh_draft(&mut self) -> Draft {
        let mut draft = Draft { now: self.shown.clone(), ..empty_draft() };
        draft.session.last = self.last;
        match &self.session {
            Found::Live(session, _) => {
                self.last = session.last;
                draft.session = session.clone();
                draft.place = Place::Record;
            }
            Found::Ended => draft.place = Place::Tombstone,
            Found::Nothing => {}
        }
        match self.permanent_before.as_ref().unwrap_or(&self.permanent) {
            Found::Live(permanent, _) => {
                draft.permanent = permanent.values.clone();
                draft.permanent_place = Place::Record;
            }
            Found::Ended => draft.permanent_place = Place::Tombstone,
            Found::Nothing => {}
        }
        // A key in both records is permanent; the next write drops the other.
        draft.loaded = draft.session.clone();
        draft.session.values.retain(|key, _| !draft.permanent.contains_key(key));
        draft
    }

    /// Writes a permanent record, or ends it with its last key.
    fn write_permanent(
        &mut self,
        token: Token,
        expected: u64,
        new: Permanent,
        ends: bool,
        world: &mut World,
    ) -> Result<(), Overtaken> {
        let replaced = world.permanents.replace(token, expected, new.clone(), world.now);
        let version = replaced.map_err(|_| Overtaken)?;
        self.permanent = Found::Live(new, version);
        if ends {
            world.permanents.end(token, world.now);
            self.permanent = Found::Nothing;
            self.permanent_at = None;
        }
        Ok(())
    }

    /// Removes a key from the stored record in which it was found.
    fn take(
        &mut self,
        key: Key,
        layer: Layer,
        moment: &Moment,
        world: &mut World,
    ) -> Result<(), Overtaken> {
        let now = world.now;
        match (layer, &mut self.session, &mut self.permanent) {
            (Layer::Permanent, _, Found::Live(record, version))
                if record.values.contains_key(key) =>
            {
                let token = self.permanent_at.expect("it lives");
                let (mut new, version) = (record.clone(), *version);
                new.values.remove(key);
                let ends = new.values.is_empty() && !moment.is_late;
                self.write_permanent(token, version, new, ends, world)?;
            }
            (Layer::Message(Some(_)) | Layer::Ordinary, Found::Live(record, version), _) => {
                let token = self.session_at.expect("it lives");
                let mut new = record.clone();
                new.drop_expired(now);
                new.values.remove(key);
                new.messages.retain(|message| message.key != key || !moment.sees(message));
                new.expires = new.expiry(now);
                if new == *record {
                    return Ok(());
                }
                *version = world
                    .sessions
                    .replace(token, *version, new.clone(), now)
                    .map_err(|_| Overtaken)?;
                *record = new;
            }
            _ => {}
        }
        Ok(())
    }
}

fn find<R: Record>(shelf: &super::world::Shelf<R>, at: Option<Token>, now: Millis) -> Found<R> {
    at.map_or(Found::Nothing, |token| shelf.find(token, now))
}

fn empty_draft() -> Draft {
    Draft {
        loaded: Session::default(),
        session: Session::default(),
        place: Place::Nothing,
        permanent: BTreeMap::new(),
        permanent_place: Place::Nothing,
        written: BTreeSet::new(),
        now: BTreeMap::new(),
        begins_ten_years: false,
        changes_token: false,
        begins_lifetime: false,
        is_destroyed: false,
        is_login: false,
    }
}

/// Drops the messages that nobody can see any more, and gives this request's messages their generation: the one
/// after the last used, but none that is in use or carried; if there is none, the last used.
fn give_generation(
    session: &mut Session,
    carried: &BTreeSet<u8>,
    aged: &mut BTreeSet<u8>,
    now: Millis,
) -> Option<u8> {
    let is_new = |message: &Message| message.generation.is_none();
    let known = |generation: u8| carried.contains(&generation);
    let has_new = session.messages.iter().any(is_new);
    let keep = |message: &Message, aged: &BTreeSet<u8>| match message.generation {
        None => true,
        Some(generation) if known(generation) => !aged.contains(&generation),
        Some(_) => message.at + 10 * MINUTE > now,
    };
    let after_last = session.last.map_or(0, |last| last + 1);
    let in_use: BTreeSet<u8> =
        session.messages.iter().filter(|m| keep(m, aged)).filter_map(|m| m.generation).collect();
    let mut order = (0..8).map(|step| (after_last + step) % 8);
    let free = order.find(|generation| !in_use.contains(generation) && !known(*generation));
    let generation = free.or(session.last).unwrap_or(0);
    if has_new {
        aged.remove(&generation);
    }
    session.messages.retain(|message| keep(message, aged));
    if !has_new {
        return None;
    }
    let new: Vec<Key> = session.messages.iter().filter(|m| is_new(m)).map(|m| m.key).collect();
    session.messages.retain(|m| m.generation != Some(generation) || !new.contains(&m.key));
    for message in session.messages.iter_mut().filter(|message| is_new(message)) {
        (message.generation, message.at) = (Some(generation), now);
    }
    session.last = Some(generation);
    Some(generation)
}

fn optional(value: Option<Value>) -> Value {
    value.into_iter().collect()
}
