//! What a request sees: the records as it loaded them, and its own changes on top.

use super::{
    actions::{As, KEYS, Key, Keys, Owner, Verb},
    world::{Message, Millis, Session, Stored},
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Why a verb, a `save` or an answer fails, by the predicate that holds for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    Gone,
    /// The same predicate, for permanent data alone.
    PermanentGone,
    Conflict,
    Late,
    WrongType,
    Invalid,
    /// The error of the application's own function.
    Own,
}

impl Fault {
    /// As far as a caller can tell.
    pub(super) fn told(self) -> Self {
        if self == Self::PermanentGone { Self::Gone } else { self }
    }
}

/// What is stored under the token of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Nothing,
    Record,
    /// The token ended a moment ago.
    Tombstone,
}

/// What a change depends on beside the draft.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    pub(super) now: Millis,
    /// The generations whose messages the request sees, beside its own.
    pub(super) visible: BTreeSet<u8>,
    /// The response head has been sent: no cookie can be.
    pub(super) is_late: bool,
}

#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact that holds or does not")]
pub(super) struct Draft {
    /// The session as it was loaded.
    pub(super) loaded: Session,
    pub(super) session: Session,
    pub(super) place: Place,
    pub(super) permanent: BTreeMap<Key, Value>,
    pub(super) permanent_place: Place,
    /// The keys that this request has stored itself since its last commit.
    pub(super) written: BTreeSet<Key>,
    /// Shown in this request only.
    pub(super) now: BTreeMap<Key, Value>,
    /// `permanent` was called, which begins the ten years again.
    pub(super) begins_ten_years: bool,
    pub(super) changes_token: bool,
    pub(super) begins_lifetime: bool,
    pub(super) is_destroyed: bool,
    /// `regenerate` or `set_owner` was called: what follows is stored even if the token has ended.
    pub(super) is_login: bool,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Layer {
    Now,
    Message(Option<u8>),
    Permanent,
    Ordinary,
}

/// How long a written value lives.
#[derive(Clone, Copy)]
enum Lifetime {
    Forever,
    Until(Millis),
    /// As long as the one before.
    Same,
}

impl Draft {
    /// The value that `get` finds: shown now, else flash, else permanent, else ordinary.
    pub(super) fn look(&self, key: Key, moment: &Moment) -> Option<(Value, Layer)> {
        if let Some(value) = self.now.get(key) {
            return Some((value.clone(), Layer::Now));
        }
        if let Some(message) = self.message(key, moment) {
            return Some((message.value.clone(), Layer::Message(message.generation)));
        }
        if let Some(value) = self.permanent.get(key) {
            return Some((value.clone(), Layer::Permanent));
        }
        let stored = self.session.values.get(key)?;
        stored.lives(moment.now).then(|| (stored.value.clone(), Layer::Ordinary))
    }

    pub(super) fn message(&self, key: Key, moment: &Moment) -> Option<&Message> {
        let seen = |message: &&Message| message.key == key && moment.sees(message);
        self.session.messages.iter().rfind(seen)
    }

    pub(super) fn all(&self, moment: &Moment) -> BTreeMap<Key, (Value, Layer)> {
        KEYS.into_iter().filter_map(|key| Some((key, self.look(key, moment)?))).collect()
    }

    /// Carries a change out, or leaves everything as it is.
    pub(super) fn apply(
        &mut self,
        verb: &Verb,
        at: Millis,
        moment: &Moment,
    ) -> Result<Value, Fault> {
        match verb {
            Verb::Set(key, value) => self.write(key, value, Lifetime::Forever, moment)?,
            Verb::SetFor(key, value, lifetime) => {
                let until = at + u64::try_from(lifetime.as_millis()).unwrap();
                self.write(key, value, Lifetime::Until(until), moment)?;
            }
            Verb::Permanent(entries) => self.make_permanent(entries, moment)?,
            Verb::Flash(key, value) => self.flash(key, value, at, moment)?,
            Verb::Now(key, value) => drop(self.now.insert(key, value.clone())),
            Verb::Forget(keys) => {
                self.refuse_on_tombstone()?;
                keys.each().into_iter().for_each(|key| self.remove(key, moment));
            }
            Verb::UpdateNumber(_)
            | Verb::UpdateAnything(_)
            | Verb::Increment(..)
            | Verb::Decrement(..)
            | Verb::Push(..) => return self.compute(verb, moment),
            Verb::Remember(key, value) => {
                // Still absent, or null.
                if self.look(key, moment).is_none_or(|(there, _)| there.is_null()) {
                    self.write(key, &json!(value), Lifetime::Forever, moment)?;
                }
            }
            Verb::Clear => {
                self.refuse_on_tombstone()?;
                self.empty();
            }
            Verb::Regenerate => self.regenerate(moment)?,
            Verb::SetOwner(owner) => self.set_owner(owner, moment)?,
            Verb::Destroy => self.destroy(),
            _ => unreachable!("{verb:?} changes nothing"),
        }
        Ok(Value::Null)
    }

    /// A token that has ended takes no changes, unless the request logs in. After `destroy` they are accepted and
    /// come to nothing.
    pub(super) fn refuse_on_tombstone(&self) -> Result<(), Fault> {
        let takes = self.place != Place::Tombstone || self.is_login || self.is_destroyed;
        if takes { Ok(()) } else { Err(Fault::Gone) }
    }

    /// After the head, nothing can begin a session.
    fn refuse_write(&self, key: Key, moment: &Moment) -> Result<(), Fault> {
        self.refuse_on_tombstone()?;
        let has_place = self.place == Place::Record || self.permanent.contains_key(key);
        if moment.is_late && !has_place { Err(Fault::Late) } else { Ok(()) }
    }

    /// Every write takes the place of what is shown now and of the message. A permanent key stays permanent.
    fn write(
        &mut self,
        key: Key,
        value: &Value,
        lifetime: Lifetime,
        moment: &Moment,
    ) -> Result<(), Fault> {
        self.refuse_write(key, moment)?;
        if let Some(permanent) = self.permanent.get_mut(key) {
            if let Lifetime::Until(_) = lifetime {
                return Err(Fault::Invalid);
            }
            *permanent = value.clone();
            self.session.values.remove(key);
        } else {
            let before = self.session.values.get(key).and_then(|stored| stored.until);
            let until = match lifetime {
                Lifetime::Forever => None,
                Lifetime::Until(until) => Some(until),
                Lifetime::Same => before.filter(|until| *until > moment.now),
            };
            self.session.values.insert(key, Stored { value: value.clone(), until });
        }
        self.written.insert(key);
        self.uncover(key, moment);
        Ok(())
    }

    /// Removes what is shown in front of the stored value.
    fn uncover(&mut self, key: Key, moment: &Moment) {
        self.now.remove(key);
        self.session.messages.retain(|message| message.key != key || !moment.sees(message));
    }

    /// Removes a key from every layer.
    fn remove(&mut self, key: Key, moment: &Moment) {
        self.uncover(key, moment);
        self.permanent.remove(key);
        self.session.values.remove(key);
    }

    fn make_permanent(&mut self, entries: &[(Key, Value)], moment: &Moment) -> Result<(), Fault> {
        self.refuse_on_tombstone()?;
        if moment.is_late && self.permanent_place != Place::Record {
            return Err(Fault::Late);
        }
        if self.permanent_place == Place::Tombstone {
            return Err(Fault::PermanentGone);
        }
        for (key, value) in entries {
            self.remove(key, moment);
            self.permanent.insert(key, value.clone());
            self.written.insert(key);
        }
        self.begins_ten_years |= !entries.is_empty();
        Ok(())
    }

    /// A message hides what is stored, and takes the place of the one that is seen.
    fn flash(&mut self, key: Key, value: &Value, at: Millis, moment: &Moment) -> Result<(), Fault> {
        self.refuse_on_tombstone()?;
        if moment.is_late {
            return Err(Fault::Late);
        }
        self.uncover(key, moment);
        self.session.messages.push(Message { key, value: value.clone(), generation: None, at });
        Ok(())
    }

    /// Computes from what `get` reads, and returns the value as this request sees it.
    fn compute(&mut self, verb: &Verb, moment: &Moment) -> Result<Value, Fault> {
        let (Verb::UpdateNumber(key)
        | Verb::UpdateAnything(key)
        | Verb::Increment(key, _)
        | Verb::Decrement(key, _)
        | Verb::Push(key, _)) = verb
        else {
            unreachable!("{verb:?} computes nothing")
        };
        self.refuse_write(key, moment)?;
        let there = self.look(key, moment).map(|(value, _)| value).filter(|value| !value.is_null());
        let number = || match &there {
            None => Ok(0),
            Some(value) => value.as_i64().ok_or(Fault::WrongType),
        };
        let new = match verb {
            Verb::UpdateNumber(_) => json!(number()?.wrapping_mul(2).wrapping_add(1)),
            Verb::Increment(_, by) => json!(number()?.checked_add(*by).ok_or(Fault::Invalid)?),
            Verb::Decrement(_, by) => json!(number()?.checked_sub(*by).ok_or(Fault::Invalid)?),
            Verb::Push(_, item) => {
                let list = there.clone().unwrap_or(json!([]));
                let mut list = list.as_array().ok_or(Fault::WrongType)?.clone();
                list.push(item.clone());
                json!(list)
            }
            _ => json!([there]),
        };
        self.write(key, &new, Lifetime::Same, moment)?;
        Ok(if let Verb::Push(..) = verb { Value::Null } else { new })
    }

    fn regenerate(&mut self, moment: &Moment) -> Result<(), Fault> {
        if moment.is_late {
            return Err(Fault::Late);
        }
        self.changes_token = true;
        self.is_login = true;
        Ok(())
    }

    /// All but permanent data.
    fn empty(&mut self) {
        self.now.clear();
        self.session.values.clear();
        self.session.messages.clear();
    }

    /// The same owner again is nothing. Another owner finds nothing of the former's.
    fn set_owner(&mut self, owner: Owner, moment: &Moment) -> Result<(), Fault> {
        if self.session.owner == Some(owner) {
            return Ok(());
        }
        if moment.is_late {
            return Err(Fault::Late);
        }
        if self.session.owner.is_some() {
            self.empty();
        }
        self.session.owner = Some(owner);
        self.begins_lifetime = true;
        self.regenerate(moment)
    }

    /// Nothing is left, and what follows begins another session.
    fn destroy(&mut self) {
        let last = self.session.last;
        let place = |place| if place == Place::Tombstone { place } else { Place::Nothing };
        *self = Self {
            loaded: Session::default(),
            session: Session { last, ..Session::default() },
            place: place(self.place),
            permanent: BTreeMap::new(),
            permanent_place: Place::Nothing,
            written: BTreeSet::new(),
            now: BTreeMap::new(),
            begins_ten_years: false,
            changes_token: false,
            begins_lifetime: false,
            is_destroyed: true,
            is_login: false,
        };
    }

    /// Whether there is anything to make a session for.
    pub(super) fn has_session_data(&self, now: Millis) -> bool {
        let Session { values, messages, owner, .. } = &self.session;
        values.values().any(|stored| stored.lives(now)) || !messages.is_empty() || owner.is_some()
    }

    /// Whether the session differs from what was loaded. What has expired by itself is absent, before and after.
    pub(super) fn has_changed_session(&self, now: Millis) -> bool {
        let (before, after) = (&self.loaded, &self.session);
        let live = |values: &BTreeMap<Key, Stored>, key| {
            values.get(key).filter(|stored| stored.lives(now)).cloned()
        };
        KEYS.into_iter().any(|key| live(&before.values, key) != live(&after.values, key))
            || before.messages != after.messages
            || before.owner != after.owner
    }
}

impl Moment {
    /// Messages of this request, and those whose companion it carries.
    pub(super) fn sees(&self, message: &Message) -> bool {
        message.generation.is_none_or(|generation| self.visible.contains(&generation))
    }
}

impl Keys {
    pub(super) fn each(&self) -> Vec<Key> {
        match self {
            Self::One(key) => vec![key],
            Self::Several(keys) => keys.clone(),
            Self::All => KEYS.to_vec(),
        }
    }
}

impl As {
    /// A null is `None`, unless the type reads null.
    pub(super) fn read(self, value: &Value) -> Result<Option<Value>, Fault> {
        let fits = match self {
            Self::Anything => return Ok(Some(value.clone())),
            Self::Number => value.is_i64(),
            Self::Text => value.is_string(),
            Self::List => value.is_array(),
        };
        match value {
            Value::Null => Ok(None),
            _ if fits => Ok(Some(value.clone())),
            _ => Err(Fault::WrongType),
        }
    }
}
