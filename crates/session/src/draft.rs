//! What a request sees: the records as they were loaded, and its changes on top of them.
//!
//! The records are never touched: a draft keeps what differs from them, and starts again from others when a
//! commit has to be replayed.

mod contents;

pub(crate) use contents::{Age, Contents};

use crate::{
    Clock,
    change::{Log, Operation, Refusal},
    error::{self, Error, Kind},
    flash::BEFORE_THE_FIRST,
    key::order,
    load::Loaded,
    record::{Entry, LARGEST_RECORD, Record, Sort, Under},
    standing::Standing,
    value::{self, Named},
};
use dframework_session_store::Timestamp;
use smallvec::SmallVec;
use std::{collections::BTreeMap, sync::Arc};

/// The layers that a user sees as one session.
///
/// In a record, the value of a key stands before its messages.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Layer {
    /// Seen in this request only, and never stored.
    Now,
    Permanent,
    Ordinary,
    Flash,
}

/// A value in a layer, or that there is none any more.
#[derive(Clone)]
pub(crate) struct Put {
    named: Named,
    layer: Layer,
    content: Content,
}

#[derive(Clone, Copy)]
enum Content {
    Value { expires_at: Option<Timestamp> },
    Removed,
}

impl Put {
    /// The JSON text, and when it expires.
    fn value(&self) -> Option<(&[u8], Option<Timestamp>)> {
        match self.content {
            Content::Value { expires_at } => Some((self.named.json(), expires_at)),
            Content::Removed => None,
        }
    }
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
    /// What was loaded, as it was loaded or as a commit of this request has left it.
    pub(crate) records: Loaded,
    /// Bit n: flash values of generation n are seen.
    visible: u8,
    /// The flash generation that was used last, in this session or the one that it replaces.
    pub(crate) last_generation: u8,
    /// Says which values with an expiry of their own are over.
    clock: Clock,
    /// Sorted by key, then layer. Few requests change more than a few values: a login, half a dozen.
    puts: SmallVec<[Put; 6]>,
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
    /// Nothing yet: the records are loaded into it.
    #[inline]
    pub(crate) fn new(now: Timestamp, visible: u8, clock: Clock) -> Self {
        Self {
            records: Loaded::nothing(now),
            last_generation: BEFORE_THE_FIRST,
            visible,
            clock,
            puts: SmallVec::new(),
            ground: Vec::new(),
            hidden: Hidden::Nothing,
            owner: None,
            rotate: false,
            renew: false,
        }
    }

    /// Begins with what was loaded.
    #[inline]
    pub(crate) fn begin(&mut self) {
        if let Some(generation) = self.records.ordinary.last_generation() {
            self.last_generation = generation;
        }
    }

    /// Starts again on the records, which may be others now, without any change.
    pub(crate) fn begin_again(&mut self) {
        self.puts.clear();
        self.puts.extend(self.ground.iter().cloned());
        self.forget_changes();
    }

    fn forget_changes(&mut self) {
        self.last_generation =
            self.records.ordinary.last_generation().unwrap_or(self.last_generation);
        self.hidden = Hidden::Nothing;
        self.owner = None;
        self.rotate = false;
        self.renew = false;
    }

    /// Starts again on what a commit has left, with what this request alone sees.
    pub(crate) fn go_on(&mut self) {
        self.puts.retain(|put| put.layer == Layer::Now);
        self.ground.clear();
        self.ground.extend(self.puts.iter().cloned());
        self.forget_changes();
    }

    /// Forgets what this request alone has seen: a `destroy` has been carried out.
    pub(crate) fn hide_shown(&mut self) {
        self.ground.clear();
    }

    /// What this request alone sees now.
    pub(crate) fn shown(&self) -> Vec<Put> {
        self.puts.iter().filter(|put| put.layer == Layer::Now).cloned().collect()
    }

    /// Goes on without any change, but with what this request alone has seen.
    pub(crate) fn go_back_to(&mut self, shown: Vec<Put>) {
        self.ground = shown;
        self.begin_again();
    }

    /// Lets the request see a generation that it made.
    pub(crate) fn see(&mut self, generation: u8) {
        self.visible |= 1 << generation;
    }

    fn sees(&self, generation: u8) -> bool {
        self.visible & (1 << generation) != 0
    }

    /// Whether a record has expired since it was loaded.
    pub(crate) fn has_expired(&self, now: Timestamp) -> bool {
        let records = [self.records.ordinary.live(), self.records.permanent.live()];
        records.into_iter().flatten().any(|live| live.expires_at <= now)
    }

    /// Whether a commit can come to writing the ordinary record and nothing else, as far as is known before its plan.
    pub(crate) fn may_be_one_record(&self) -> bool {
        let is_apart = |put: &Put| matches!(put.layer, Layer::Permanent | Layer::Flash);
        matches!(self.records.permanent, Standing::Absent)
            && !matches!(self.records.ordinary, Standing::Ended | Standing::Corrupt { .. })
            && !self.renew
            && !self.puts.iter().any(is_apart)
    }

    /// Refuses to work on a record that cannot be read: nothing may overwrite it.
    pub(crate) fn check_readable(&self) -> Result<(), Error> {
        for standing in [&self.records.ordinary, &self.records.permanent] {
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
        if log.settled().is_empty() {
            return self.apply_all(&log.operations);
        }
        let permanent = self.records.permanent.clone();
        let settled = self.replay_settled(log);
        self.records.permanent = permanent;
        self.apply_all(&log.operations[settled?..])
    }

    /// Carries out what is in the permanent record already, for the sake of the rest; returns how much that is.
    ///
    /// It leaves the permanent record behind as it was before.
    fn replay_settled(&mut self, log: &Log) -> Result<usize, Error> {
        let mut done = 0;
        for settled in log.settled() {
            // What these operations made permanent is in the record; what they made of the rest is not.
            self.records.permanent = settled.before.clone();
            self.apply_all(&log.operations[done..settled.operations])?;
            self.puts.retain(|put| put.layer != Layer::Permanent);
            self.renew = false;
            done = settled.operations;
        }
        Ok(done)
    }

    fn apply_all(&mut self, operations: &[Operation]) -> Result<(), Error> {
        operations.iter().try_for_each(|operation| self.apply(operation))
    }

    /// Carries out one operation, or none of it.
    pub(crate) fn apply(&mut self, operation: &Operation) -> Result<(), Error> {
        match operation {
            Operation::Set { value, expires_at } => {
                self.write(value, &Expiry::Set(*expires_at))?;
            }
            Operation::Permanent { values } => self.write_permanent(values)?,
            Operation::Flash { value } => {
                check_size(value)?;
                self.remove(value, Layer::Now);
                self.put(value, Layer::Flash, Content::Value { expires_at: None });
            }
            Operation::Now { value } => {
                self.put(value, Layer::Now, Content::Value { expires_at: None });
            }
            Operation::Forget { keys } => {
                for key in keys {
                    self.forget(&key.clone().into());
                }
            }
            Operation::Clear => self.clear(),
            Operation::Remember { value } => {
                let found = self.under_key(value.key()).get();
                if found.is_none_or(|found| value::is_null(found.json)) {
                    self.write(value, &Expiry::Set(None))?;
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
                self.write(&value, &Expiry::Keep)?;
            }
            Operation::Regenerate => self.rotate = true,
            Operation::SetOwner(owner) => self.set_owner(owner),
        }
        Ok(())
    }

    /// What of this operation needs a cookie that the browser does not have yet, if anything does.
    pub(crate) fn needs_cookie(&self, operation: &Operation) -> Option<&'static str> {
        const SEALED: &str = "changing what is in a cookie";
        let in_place = |standing: &Standing| match standing.live() {
            Some(_) if self.hidden == Hidden::Everything => Some(operation.doing()),
            Some(live) => live.record.sealed().map(|_| SEALED),
            None => Some(operation.doing()),
        };
        let home = |key| {
            if self.is_permanent(key) { &self.records.permanent } else { &self.records.ordinary }
        };
        match operation {
            Operation::SetOwner(owner) if self.owner() == Some(owner) => None,
            Operation::Flash { .. } | Operation::Regenerate | Operation::SetOwner(_) => {
                Some(operation.doing())
            }
            Operation::Permanent { .. } => in_place(&self.records.permanent),
            Operation::Set { value, .. } | Operation::Remember { value } => {
                in_place(home(value.key()))
            }
            Operation::Compute { key, .. } => in_place(home(key.as_bytes())),
            Operation::Forget { .. } | Operation::Clear => {
                let records = [self.records.ordinary.live(), self.records.permanent.live()];
                records.into_iter().flatten().find_map(|live| live.record.sealed()).map(|_| SEALED)
            }
            Operation::Now { .. } => None,
        }
    }

    fn is_permanent(&self, key: &[u8]) -> bool {
        self.under_key(key).stored(Layer::Permanent).is_some()
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
        match (&self.records.ordinary, self.hidden) {
            (Standing::Live(live), Hidden::Nothing | Hidden::Ordinary) => live.record.owner(),
            _ => None,
        }
    }

    /// The owner that this request has set.
    pub(crate) fn new_owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    #[inline]
    pub(crate) fn get(&self, key: &str) -> Option<Found<'_>> {
        match self.only_record() {
            Some(record) => self.living(record.under(key.as_bytes()).value()?),
            None => self.under_key(key.as_bytes()).get(),
        }
    }

    /// The ordinary record, where nothing else says what is seen: no change, no message, nothing permanent.
    #[inline]
    fn only_record(&self) -> Option<&Record> {
        match (&self.records.ordinary, &self.records.permanent) {
            (Standing::Live(live), Standing::Absent)
                if self.puts.is_empty() && self.hidden == Hidden::Nothing && self.visible == 0 =>
            {
                Some(&live.record)
            }
            _ => None,
        }
    }

    /// A stored value, unless it has expired.
    #[inline]
    fn living<'a>(&self, (json, expires_at): (&'a [u8], Option<Timestamp>)) -> Option<Found<'a>> {
        let lives = expires_at.is_none_or(|expires_at| self.clock.now() < expires_at);
        lives.then_some(Found { json, generation: None, expires_at })
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
                match entry.sort() {
                    Sort::Stored { expires_at } if self.put_in(entry.key, layer).is_none() => {
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
                if let Some((json, expires_at)) = put.value() {
                    seen.insert(put.named.name(), Found { json, generation: None, expires_at });
                }
            }
        }
        seen.retain(|_, found| found.expires_at.is_none_or(|expires_at| now < expires_at));
        newest.retain(|key, _| self.put_in(key.as_bytes(), Layer::Flash).is_none());
        seen.extend(newest.into_iter().map(|(key, (_, generation, json))| {
            (key, Found { json, generation: Some(generation), expires_at: None })
        }));
        for layer in [Layer::Flash, Layer::Now] {
            for put in self.puts.iter().filter(|put| put.layer == layer) {
                if let Some((json, expires_at)) = put.value() {
                    seen.insert(put.named.name(), Found { json, generation: None, expires_at });
                }
            }
        }
        seen
    }

    /// The layer of the loaded record in which `get` finds a value; `None` if this request has put it there.
    pub(crate) fn recorded_in(&self, key: &str) -> Option<Layer> {
        let view = self.under_key(key.as_bytes());
        if view.only_now().is_some() {
            return None;
        }
        let found = view.flash().map(|_| Layer::Flash).or_else(|| {
            let layers = [Layer::Permanent, Layer::Ordinary];
            layers.into_iter().find(|layer| view.stored(*layer).is_some())
        })?;
        view.put_in(found).is_none().then_some(found)
    }

    /// Whether this request may remove a loaded entry: not a message that it cannot see.
    pub(crate) fn can_forget(&self, entry: &Entry<'_>) -> bool {
        match entry.sort() {
            Sort::Stored { .. } => true,
            Sort::Flash { generation, .. } => self.sees(generation),
        }
    }

    /// The flash value that the next request may see, to be carried on.
    pub(crate) fn stored_flash(&self, key: &str) -> Option<Named> {
        let view = self.under_key(key.as_bytes());
        let found = view.flash().filter(|found| found.generation.is_some())?;
        Some(Named::new(key, &[found.json]))
    }

    /// What there is under a key.
    fn under_key<'k>(&self, key: &'k [u8]) -> View<'_, 'k> {
        let start = self.start_of(key);
        let mut end = start;
        while self.puts.get(end).is_some_and(|put| put.named.key() == key) {
            end += 1;
        }
        View { draft: self, key, puts: &self.puts[start..end], start }
    }

    /// Where the first that was put under a key lies, or would.
    fn start_of(&self, key: &[u8]) -> usize {
        /// Up to here it is cheaper to look at all than to halve what is looked at.
        const FEW: usize = 8;
        if self.puts.len() > FEW {
            return self.puts.partition_point(|put| order(put.named.key(), key).is_lt());
        }
        let is_here = |put: &Put| order(put.named.key(), key).is_ge();
        self.puts.iter().position(is_here).unwrap_or(self.puts.len())
    }

    /// The loaded record of a layer, where it still counts.
    fn base(&self, layer: Layer) -> Option<&Record> {
        let (standing, hidden_by) = match layer {
            Layer::Now | Layer::Flash | Layer::Ordinary => {
                (&self.records.ordinary, Hidden::Ordinary)
            }
            Layer::Permanent => (&self.records.permanent, Hidden::Everything),
        };
        if self.hidden >= hidden_by { None } else { standing.live().map(|live| &live.record) }
    }

    /// Writes a value where the key lives: a permanent key stays permanent.
    fn write(&mut self, value: &Named, expiry: &Expiry) -> Result<(), Error> {
        let view = self.under_key(value.key());
        if let (Expiry::Set(expires_at), true) = (expiry, view.is_untouched()) {
            check_size(value)?;
            let (at, content) = (view.start, Content::Value { expires_at: *expires_at });
            self.puts.insert(at, Put { named: value.clone(), layer: Layer::Ordinary, content });
            return Ok(());
        }
        let permanent = view.stored(Layer::Permanent).is_some();
        let layer = if permanent { Layer::Permanent } else { Layer::Ordinary };
        if permanent && matches!(expiry, Expiry::Set(Some(_))) {
            let why = "it is permanent, and what expires sooner is not";
            return Err(Error::new(Kind::Inapplicable { key: value.name().to_owned(), why }));
        }
        let expires_at = match expiry {
            Expiry::Set(expires_at) => *expires_at,
            Expiry::Keep => view.stored(layer).and_then(|found| found.expires_at),
        };
        check_size(value)?;
        let (position, hiding) = (view.position(layer), view.hiding());
        self.put_at(
            position,
            Put { named: value.clone(), layer, content: Content::Value { expires_at } },
        );
        self.remove_hiding(value, hiding);
        Ok(())
    }

    fn write_permanent(&mut self, values: &[Named]) -> Result<(), Error> {
        match &self.records.permanent {
            Standing::Ended if self.hidden < Hidden::Everything => {
                return Err(Error::gone(error::Record::Permanent));
            }
            _ => {}
        }
        values.iter().try_for_each(check_size)?;
        for value in values {
            self.uncover(value);
            self.remove(value, Layer::Ordinary);
            self.put(value, Layer::Permanent, Content::Value { expires_at: None });
        }
        self.renew |= !values.is_empty();
        Ok(())
    }

    fn forget(&mut self, key: &Named) {
        self.uncover(key);
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

    /// Removes what hides the stored value of a key.
    fn uncover(&mut self, named: &Named) {
        let hiding = self.under_key(named.key()).hiding();
        self.remove_hiding(named, hiding);
    }

    fn remove_hiding(&mut self, named: &Named, hiding: Hiding) {
        if hiding.now {
            self.remove(named, Layer::Now);
        }
        if hiding.message {
            self.put(named, Layer::Flash, Content::Removed);
        }
    }

    /// Removes a value from a layer, without a trace where there was none.
    fn remove(&mut self, named: &Named, layer: Layer) {
        let recorded = self.under_key(named.key()).under(layer).value();
        if layer != Layer::Now && recorded.is_some() {
            self.put(named, layer, Content::Removed);
        } else if let Ok(at) = self.under_key(named.key()).position(layer) {
            self.puts.remove(at);
        }
    }

    fn put(&mut self, named: &Named, layer: Layer, content: Content) {
        let position = self.under_key(named.key()).position(layer);
        self.put_at(position, Put { named: named.clone(), layer, content });
    }

    fn put_at(&mut self, position: Result<usize, usize>, put: Put) {
        match position {
            Ok(at) => self.puts[at] = put,
            Err(at) => self.puts.insert(at, put),
        }
    }

    fn put_in(&self, key: &[u8], layer: Layer) -> Option<&Put> {
        self.under_key(key).put_in(layer)
    }
}

/// What hides the stored value of a key.
#[derive(Clone, Copy)]
struct Hiding {
    now: bool,
    message: bool,
}

/// What there is under one key: what this request has put there, in the order of layers, over the records.
#[derive(Clone, Copy)]
struct View<'a, 'k> {
    draft: &'a Draft,
    key: &'k [u8],
    puts: &'a [Put],
    /// Where these begin among all.
    start: usize,
}

impl<'a> View<'a, '_> {
    /// Whether there can be nothing under the key but an ordinary value in the record: most writes are of such a one.
    #[inline]
    fn is_untouched(&self) -> bool {
        let Draft { records, visible, .. } = self.draft;
        self.puts.is_empty() && *visible == 0 && matches!(records.permanent, Standing::Absent)
    }

    #[inline]
    fn get(&self) -> Option<Found<'a>> {
        let under = self.under(Layer::Ordinary);
        self.only_now()
            .or_else(|| self.flash_over(&under))
            .or_else(|| self.stored(Layer::Permanent))
            .or_else(|| self.stored_over(Layer::Ordinary, &under))
    }

    #[inline]
    fn only_now(&self) -> Option<Found<'a>> {
        let (json, expires_at) = self.put_in(Layer::Now)?.value()?;
        Some(Found { json, generation: None, expires_at })
    }

    #[inline]
    fn flash(&self) -> Option<Found<'a>> {
        // What no companion shows need not be looked for.
        let is_seen = self.draft.visible != 0;
        self.flash_over(&if is_seen { self.under(Layer::Flash) } else { Under::default() })
    }

    #[inline]
    fn stored(&self, layer: Layer) -> Option<Found<'a>> {
        self.stored_over(layer, &self.under(layer))
    }

    /// What the loaded record of a layer holds under the key.
    #[inline]
    fn under(&self, layer: Layer) -> Under<'a> {
        match self.draft.base(layer) {
            Some(record) => record.under(self.key),
            None => Under::default(),
        }
    }

    #[inline]
    fn flash_over(&self, under: &Under<'a>) -> Option<Found<'a>> {
        if let Some(put) = self.put_in(Layer::Flash) {
            let (json, expires_at) = put.value()?;
            return Some(Found { json, generation: None, expires_at });
        }
        let (generation, json) = under.message(self.draft.visible)?;
        Some(Found { json, generation: Some(generation), expires_at: None })
    }

    #[inline]
    fn stored_over(&self, layer: Layer, under: &Under<'a>) -> Option<Found<'a>> {
        let stored = match self.put_in(layer) {
            Some(put) => put.value(),
            None => under.value(),
        }?;
        self.draft.living(stored)
    }

    #[inline]
    fn put_in(&self, layer: Layer) -> Option<&'a Put> {
        self.puts.iter().find(|put| put.layer == layer)
    }

    /// Where what was put in a layer lies among all that was put, or would.
    #[inline]
    fn position(&self, layer: Layer) -> Result<usize, usize> {
        let found = self.puts.binary_search_by_key(&layer, |put| put.layer);
        found.map(|at| self.start + at).map_err(|at| self.start + at)
    }

    #[inline]
    fn hiding(&self) -> Hiding {
        Hiding { now: self.only_now().is_some(), message: self.flash().is_some() }
    }
}

/// Refuses a value that fits no record.
#[inline]
fn check_size(value: &Named) -> Result<(), Error> {
    if value.text().len() <= LARGEST_RECORD { Ok(()) } else { Err(too_large(value)) }
}

fn too_large(value: &Named) -> Error {
    let size = value.text().len();
    let largest = vec![(value.name().to_owned(), size)];
    Error::new(Kind::TooLarge { size, limit: LARGEST_RECORD, largest })
}

/// What becomes of the expiry of a value when it is written.
enum Expiry {
    Set(Option<Timestamp>),
    Keep,
}
