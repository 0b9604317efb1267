//! What a request sees: the records as they were loaded, and its changes on top of them.
//!
//! The records are never touched: a draft keeps what differs from them, and starts again from others when a
//! commit has to be replayed.

mod contents;

pub(crate) use contents::Contents;

use crate::{
    Clock,
    change::{Log, Operation, Refusal},
    error::{self, Error, Kind},
    flash::BEFORE_THE_FIRST,
    load::Loaded,
    record::{Entry, LARGEST_RECORD, Nature, Record, Sort, Under},
    token::Token,
    value::{self, Json},
};
use dframework_session_store::{StoreKey, Timestamp, Version};
use std::{collections::BTreeMap, sync::Arc};

/// What is known of a record that the request's cookie names.
#[derive(Clone)]
pub(crate) enum Standing {
    /// The request brought no token.
    Absent,
    /// It brought one that nobody knows any more, or whose record has expired.
    Unknown { key: StoreKey },
    /// It brought one that has ended a moment ago.
    Ended,
    /// It brought one whose record cannot be read.
    Corrupt { token: Token, key: StoreKey, why: &'static str },
    /// It brought a live one, or this request made it.
    Live(Live),
}

/// A record that lives.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) token: Token,
    pub(crate) key: StoreKey,
    pub(crate) version: Version,
    pub(crate) expires_at: Timestamp,
    pub(crate) record: Record,
}

impl Standing {
    pub(crate) fn live(&self) -> Option<&Live> {
        if let Self::Live(live) = self { Some(live) } else { None }
    }

    /// The key at which something can be looked up or ended.
    pub(crate) fn key(&self) -> Option<StoreKey> {
        match self {
            Self::Live(Live { key, .. }) | Self::Unknown { key } | Self::Corrupt { key, .. } => {
                Some(*key)
            }
            Self::Absent | Self::Ended => None,
        }
    }

    /// The key at which there is a record.
    pub(crate) fn recorded_key(&self) -> Option<StoreKey> {
        match self {
            Self::Live(_) | Self::Corrupt { .. } => self.key(),
            _ => None,
        }
    }

    pub(crate) fn is_ended(&self) -> bool {
        matches!(self, Self::Ended)
    }
}

/// The layers that a user sees as one session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Layer {
    /// Seen in this request only, and never stored.
    Now,
    Flash,
    Permanent,
    Ordinary,
}

/// A value in a layer, or that there is none any more.
#[derive(Clone)]
struct Put {
    key: Arc<str>,
    layer: Layer,
    value: Option<(Json, Option<Timestamp>)>,
}

/// Which of the loaded entries still count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Hidden {
    Nothing,
    /// `clear`, or another owner: flash and ordinary values are gone.
    Ordinary,
    /// `destroy`: all is gone.
    Everything,
}

/// What a request sees: the loaded records and its own changes on top of them.
pub(crate) struct Draft {
    pub(crate) ordinary: Standing,
    pub(crate) permanent: Standing,
    /// Live sessions whose tokens the same cookie carried behind the one that won.
    pub(crate) others: Vec<StoreKey>,
    /// Bit n: flash values of generation n are seen.
    visible: u8,
    /// The flash generation that was used last, in this session or the one that it replaces.
    pub(crate) last_generation: u8,
    /// Says which values with an expiry of their own are over.
    clock: Clock,
    /// Sorted by key, then layer.
    puts: Vec<Put>,
    /// What this request alone sees of the operations that have been committed.
    ground: Vec<Put>,
    hidden: Hidden,
    owner: Option<Arc<str>>,
    /// A new token is asked for.
    pub(crate) rotate: bool,
    /// The ten years begin again.
    pub(crate) renew: bool,
}

/// A value that was found.
pub(crate) struct Found<'a> {
    pub(crate) json: &'a [u8],
    /// The stored flash generation that it was read from.
    pub(crate) generation: Option<u8>,
    expires_at: Option<Timestamp>,
}

impl Found<'_> {
    /// Counts a flash value as read: bit n of `read` stands for generation n.
    pub(crate) fn note_in(&self, read: &mut u8) {
        if let Some(generation) = self.generation {
            *read |= 1 << generation;
        }
    }
}

impl Draft {
    /// The records as they were loaded, without any change.
    pub(crate) fn new(loaded: Loaded, visible: u8, clock: Clock) -> Self {
        let Loaded { ordinary, permanent, others } = loaded;
        let mut draft = Self {
            ordinary,
            permanent,
            others,
            visible,
            last_generation: BEFORE_THE_FIRST,
            clock,
            puts: Vec::new(),
            ground: Vec::new(),
            hidden: Hidden::Nothing,
            owner: None,
            rotate: false,
            renew: false,
        };
        draft.continue_generations();
        draft
    }

    /// Starts again on other records, without any change.
    pub(crate) fn rebase(&mut self, ordinary: Standing, permanent: Standing) {
        (self.ordinary, self.permanent) = (ordinary, permanent);
        self.continue_generations();
        self.puts.clone_from(&self.ground);
        self.hidden = Hidden::Nothing;
        self.owner = None;
        self.rotate = false;
        self.renew = false;
    }

    fn continue_generations(&mut self) {
        let nature = self.ordinary.live().map(|live| live.record.nature());
        if let Some(Nature::Ordinary { last_generation }) = nature {
            self.last_generation = last_generation;
        }
    }

    /// Starts again on what a commit has left, with what this request alone sees.
    pub(crate) fn go_on(&mut self, ordinary: Standing, permanent: Standing) {
        self.puts.retain(|put| put.layer == Layer::Now);
        self.ground = std::mem::take(&mut self.puts);
        self.rebase(ordinary, permanent);
    }

    /// Lets the request see a generation that it made.
    pub(crate) fn see(&mut self, generation: u8) {
        self.visible |= 1 << generation;
    }

    fn sees(&self, generation: u8) -> bool {
        self.visible & (1 << generation) != 0
    }

    /// Refuses to work on a record that cannot be read: nothing may overwrite it.
    pub(crate) fn check_readable(&self) -> Result<(), Error> {
        for standing in [&self.ordinary, &self.permanent] {
            if let Standing::Corrupt { why, .. } = standing {
                return Err(Error::new(Kind::Corrupt { why }));
            }
        }
        Ok(())
    }

    /// Carries the log out on top of the records. The first operation that no longer applies ends it.
    pub(crate) fn replay(&mut self, log: &Log) -> Result<(), Error> {
        if log.destroy {
            self.destroy();
        }
        let permanent = self.permanent.clone();
        let mut done = 0;
        for settled in &log.settled {
            // What these operations made permanent is in the record; what they made of the rest is not.
            self.permanent = settled.before.clone();
            self.apply_all(&log.operations[done..settled.operations])?;
            self.puts.retain(|put| put.layer != Layer::Permanent);
            self.renew = false;
            done = settled.operations;
        }
        self.permanent = permanent;
        self.apply_all(&log.operations[done..])
    }

    fn apply_all(&mut self, operations: &[Operation]) -> Result<(), Error> {
        operations.iter().try_for_each(|operation| self.apply(operation))
    }

    /// Carries out one operation, or none of it.
    pub(crate) fn apply(&mut self, operation: &Operation) -> Result<(), Error> {
        match operation {
            Operation::Set { key, value, expires_at } => {
                self.write(key, value.clone(), &Expiry::Set(*expires_at))?;
            }
            Operation::Permanent { entries } => self.write_permanent(entries)?,
            Operation::Flash { key, value } => {
                check_size(key, value.len())?;
                self.remove(key, Layer::Now);
                self.put(key, Layer::Flash, Some((value.clone(), None)));
            }
            Operation::Now { key, value } => {
                self.put(key, Layer::Now, Some((value.clone(), None)));
            }
            Operation::Forget { keys } => keys.iter().for_each(|key| self.forget(key)),
            Operation::Clear => self.clear(),
            Operation::Remember { key, value } => {
                if self.get(key).is_none_or(|found| value::is_null(found.json)) {
                    self.write(key, value.clone(), &Expiry::Set(None))?;
                }
            }
            Operation::Compute { key, compute } => {
                let computed = compute(self.get(key).map(|found| found.json));
                let value = computed.map_err(|refusal| match refusal {
                    Refusal::Error(error) => error,
                    Refusal::Inapplicable(why) => {
                        Error::new(Kind::Inapplicable { key: key.to_string(), why })
                    }
                })?;
                self.write(key, value, &Expiry::Keep)?;
            }
            Operation::Regenerate => self.rotate = true,
            Operation::SetOwner(owner) => self.set_owner(owner),
        }
        Ok(())
    }

    /// Whether carrying this operation out needs a cookie that the browser does not have yet.
    pub(crate) fn needs_cookie(&self, operation: &Operation) -> bool {
        let lives =
            |standing: &Standing| self.hidden < Hidden::Everything && standing.live().is_some();
        match operation {
            Operation::Flash { .. } | Operation::Regenerate => true,
            Operation::SetOwner(owner) => self.owner() != Some(owner),
            Operation::Permanent { .. } => !lives(&self.permanent),
            Operation::Set { key, .. }
            | Operation::Compute { key, .. }
            | Operation::Remember { key, .. } => {
                !lives(&self.ordinary) && self.stored(key, Layer::Permanent).is_none()
            }
            Operation::Forget { .. } | Operation::Clear | Operation::Now { .. } => false,
        }
    }

    pub(crate) fn destroy(&mut self) {
        self.puts.clear();
        self.hidden = Hidden::Everything;
        self.owner = None;
        self.rotate = false;
        self.renew = false;
    }

    /// Whose session it is.
    pub(crate) fn owner(&self) -> Option<&str> {
        if let Some(owner) = &self.owner {
            return Some(owner);
        }
        match (&self.ordinary, self.hidden) {
            (Standing::Live(live), Hidden::Nothing | Hidden::Ordinary) => {
                live.record.header().owner
            }
            _ => None,
        }
    }

    /// Whether another owner than the stored one was set.
    pub(crate) fn has_new_owner(&self) -> bool {
        self.owner.is_some()
    }

    pub(crate) fn get(&self, key: &str) -> Option<Found<'_>> {
        let under = self.under(key, Layer::Ordinary);
        self.only_now(key)
            .or_else(|| self.flash_over(key, &under))
            .or_else(|| self.stored(key, Layer::Permanent))
            .or_else(|| self.stored_over(key, Layer::Ordinary, &under))
    }

    /// The JSON text of a value; `null` where there is none.
    pub(crate) fn json(&self, key: &str) -> &[u8] {
        self.get(key).map_or(b"null", |found| found.json)
    }

    /// All values that are seen, by name: what `get` finds under each, in one pass.
    pub(crate) fn visible(&self) -> BTreeMap<&str, Found<'_>> {
        let now = self.clock.now();
        let mut seen: BTreeMap<&str, Found<'_>> = BTreeMap::new();
        let mut newest: BTreeMap<&str, (Timestamp, u8, &[u8])> = BTreeMap::new();
        for layer in [Layer::Ordinary, Layer::Permanent] {
            for entry in self.base(layer).into_iter().flat_map(Record::entries) {
                let name = entry.name();
                match entry.sort {
                    Sort::Stored { expires_at } if self.put_at(entry.key, layer).is_none() => {
                        let found = Found { json: entry.value, generation: None, expires_at };
                        seen.insert(name, found);
                    }
                    Sort::Flash { generation, at } if self.sees(generation) => {
                        let message = (at, generation, entry.value);
                        let known = newest.entry(name).or_insert(message);
                        *known = (*known).max(message);
                    }
                    _ => {}
                }
            }
            for put in self.puts.iter().filter(|put| put.layer == layer) {
                if let Some((json, expires_at)) = &put.value {
                    let found = Found { json, generation: None, expires_at: *expires_at };
                    seen.insert(&put.key, found);
                }
            }
        }
        seen.retain(|_, found| found.expires_at.is_none_or(|expires_at| now < expires_at));
        newest.retain(|key, _| self.put_at(key.as_bytes(), Layer::Flash).is_none());
        seen.extend(newest.into_iter().map(|(key, (_, generation, json))| {
            (key, Found { json, generation: Some(generation), expires_at: None })
        }));
        for layer in [Layer::Flash, Layer::Now] {
            for put in self.puts.iter().filter(|put| put.layer == layer) {
                if let Some((json, _)) = &put.value {
                    seen.insert(&put.key, Found { json, generation: None, expires_at: None });
                }
            }
        }
        seen
    }

    /// The layer of the loaded record in which `get` finds a value; `None` if this request has put it there.
    pub(crate) fn recorded_in(&self, key: &str) -> Option<Layer> {
        if self.only_now(key).is_some() {
            return None;
        }
        let found = self.flash(key).map(|_| Layer::Flash).or_else(|| {
            let layers = [Layer::Permanent, Layer::Ordinary];
            layers.into_iter().find(|layer| self.stored(key, *layer).is_some())
        })?;
        self.put_at(key.as_bytes(), found).is_none().then_some(found)
    }

    /// Whether this request may remove a loaded entry: not a message that it cannot see.
    pub(crate) fn can_forget(&self, entry: &Entry<'_>) -> bool {
        match entry.sort {
            Sort::Stored { .. } => true,
            Sort::Flash { generation, .. } => self.sees(generation),
        }
    }

    /// The flash value that the next request may see, to be carried on.
    pub(crate) fn stored_flash(&self, key: &str) -> Option<Json> {
        let found = self.flash(key).filter(|found| found.generation.is_some())?;
        Some(found.json.into())
    }

    fn only_now(&self, key: &str) -> Option<Found<'_>> {
        let (json, _) = self.put_at(key.as_bytes(), Layer::Now)?.value.as_ref()?;
        Some(Found { json, generation: None, expires_at: None })
    }

    fn flash(&self, key: &str) -> Option<Found<'_>> {
        self.flash_over(key, &self.under(key, Layer::Flash))
    }

    fn stored(&self, key: &str, layer: Layer) -> Option<Found<'_>> {
        self.stored_over(key, layer, &self.under(key, layer))
    }

    /// What the loaded record of a layer holds under a key.
    fn under(&self, key: &str, layer: Layer) -> Under<'_> {
        self.base(layer).map_or_else(Under::default, |record| record.under(key, self.visible))
    }

    fn flash_over<'a>(&'a self, key: &str, under: &Under<'a>) -> Option<Found<'a>> {
        if let Some(put) = self.put_at(key.as_bytes(), Layer::Flash) {
            let json = &*put.value.as_ref()?.0;
            return Some(Found { json, generation: None, expires_at: None });
        }
        let (_, generation, json) = under.flash?;
        Some(Found { json, generation: Some(generation), expires_at: None })
    }

    fn stored_over<'a>(&'a self, key: &str, layer: Layer, under: &Under<'a>) -> Option<Found<'a>> {
        let (json, expires_at) = match self.put_at(key.as_bytes(), layer) {
            Some(put) => put.value.as_ref().map(|(json, expires_at)| (&**json, *expires_at)),
            None => under.stored,
        }?;
        let lives = expires_at.is_none_or(|expires_at| self.clock.now() < expires_at);
        lives.then_some(Found { json, generation: None, expires_at })
    }

    /// The loaded record of a layer, where it still counts.
    fn base(&self, layer: Layer) -> Option<&Record> {
        let (standing, hidden_by) = match layer {
            Layer::Now | Layer::Flash | Layer::Ordinary => (&self.ordinary, Hidden::Ordinary),
            Layer::Permanent => (&self.permanent, Hidden::Everything),
        };
        if self.hidden >= hidden_by { None } else { standing.live().map(|live| &live.record) }
    }

    /// Writes a value where the key lives: a permanent key stays permanent.
    fn write(&mut self, key: &Arc<str>, value: Json, expiry: &Expiry) -> Result<(), Error> {
        let permanent = self.stored(key, Layer::Permanent).is_some();
        let layer = if permanent { Layer::Permanent } else { Layer::Ordinary };
        if permanent && matches!(expiry, Expiry::Set(Some(_))) {
            let why = "it is permanent, and what expires sooner is not";
            return Err(Error::new(Kind::Inapplicable { key: key.to_string(), why }));
        }
        let expires_at = match expiry {
            Expiry::Set(expires_at) => *expires_at,
            Expiry::Keep => self.stored(key, layer).and_then(|found| found.expires_at),
        };
        check_size(key, value.len())?;
        self.remove_flash(key);
        self.put(key, layer, Some((value, expires_at)));
        Ok(())
    }

    fn write_permanent(&mut self, entries: &[(Arc<str>, Json)]) -> Result<(), Error> {
        match &self.permanent {
            Standing::Ended if self.hidden < Hidden::Everything => {
                return Err(Error::gone(error::Record::Permanent));
            }
            _ => {}
        }
        for (key, value) in entries {
            check_size(key, value.len())?;
        }
        for (key, value) in entries {
            self.remove_flash(key);
            self.remove(key, Layer::Ordinary);
            self.put(key, Layer::Permanent, Some((value.clone(), None)));
        }
        self.renew |= !entries.is_empty();
        Ok(())
    }

    fn forget(&mut self, key: &Arc<str>) {
        self.remove_flash(key);
        self.remove(key, Layer::Permanent);
        self.remove(key, Layer::Ordinary);
    }

    /// A new owner begins a new login; one that follows another finds nothing of the former's.
    fn set_owner(&mut self, owner: &Arc<str>) {
        match self.owner() {
            Some(current) if *current == **owner => return,
            Some(_) => self.clear(),
            None => {}
        }
        self.owner = Some(owner.clone());
        self.rotate = true;
    }

    /// Empties everything but permanent data.
    fn clear(&mut self) {
        self.puts.retain(|put| put.layer == Layer::Permanent);
        self.hidden = self.hidden.max(Hidden::Ordinary);
    }

    fn remove_flash(&mut self, key: &Arc<str>) {
        self.remove(key, Layer::Now);
        if self.flash(key).is_some() {
            self.put(key, Layer::Flash, None);
        }
    }

    /// Removes a value from a layer, without a trace where there was none.
    fn remove(&mut self, key: &Arc<str>, layer: Layer) {
        if layer != Layer::Now && self.under(key, layer).stored.is_some() {
            self.put(key, layer, None);
        } else if let Ok(at) = self.position(key.as_bytes(), layer) {
            self.puts.remove(at);
        }
    }

    fn put(&mut self, key: &Arc<str>, layer: Layer, value: Option<(Json, Option<Timestamp>)>) {
        let key = key.clone();
        match self.position(key.as_bytes(), layer) {
            Ok(at) => self.puts[at].value = value,
            Err(at) => self.puts.insert(at, Put { key, layer, value }),
        }
    }

    fn put_at(&self, key: &[u8], layer: Layer) -> Option<&Put> {
        /// Up to here it is cheaper to look at all than to order what is looked at.
        const FEW: usize = 8;
        if self.puts.len() <= FEW {
            return self.puts.iter().find(|put| put.layer == layer && put.key.as_bytes() == key);
        }
        self.position(key, layer).ok().map(|at| &self.puts[at])
    }

    fn position(&self, key: &[u8], layer: Layer) -> Result<usize, usize> {
        self.puts.binary_search_by(|put| (put.key.as_bytes(), put.layer).cmp(&(key, layer)))
    }
}

/// Refuses a value that fits no record.
fn check_size(key: &str, value: usize) -> Result<(), Error> {
    let size = key.len() + value;
    if size <= LARGEST_RECORD {
        return Ok(());
    }
    let largest = vec![(key.to_owned(), size)];
    Err(Error::new(Kind::TooLarge { size, limit: LARGEST_RECORD, largest }))
}

/// What becomes of the expiry of a value when it is written.
enum Expiry {
    Set(Option<Timestamp>),
    Keep,
}
