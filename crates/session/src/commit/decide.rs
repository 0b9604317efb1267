//! What becomes of the records: pure, from what was loaded and asked for to a [`Plan`].

use super::Moment;
use crate::{
    change::{Log, Unsettled},
    cookie::Cookies,
    draft::{Age, Contents, Draft},
    error::{self, Error, Kind},
    handle::Request,
    record::{Entries, Header, LARGEST_RECORD, Nature, Record, Written},
    standing::{Live, Recorded, Standing},
    stealth::Stealth,
    token::Token,
};
use dframework_session_store::{StoreKey, Timestamp, Version};
use std::time::Duration;

const DAY: u64 = 24 * 60 * 60 * 1000;

/// How long permanent data lives: as its cookie's `Max-Age` says.
const TEN_YEARS: Duration = Duration::from_secs(315_360_000);

/// What is to be done. A plan holds no token: `apply` makes them.
///
/// What is rare lies elsewhere, so that a plan is small enough to be passed about.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) end: Option<Box<Ends>>,
    pub(super) permanent: Option<Box<Step>>,
    pub(super) ordinary: Step,
    /// What is not known while the answer to a write is out.
    pub(super) unsettled: Option<Unsettled>,
    /// Why what follows a `destroy` cannot be committed; the `destroy` is carried out all the same.
    pub(super) refused: Option<Error>,
    /// The generation of the flash values in the ordinary record.
    pub(super) generation: Option<u8>,
}

/// What a `destroy` finds in the place of a session.
#[derive(Clone)]
pub(crate) enum Target {
    /// A record that is to be ended.
    Record {
        record: Recorded,
        seen: Option<Seen>,
    },
    /// A token that nobody knew: a login may have taken its place since.
    Unknown(StoreKey),
    Nothing,
}

/// That a request has seen a record live.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    /// When it was loaded first.
    pub(super) at: Timestamp,
    /// Until when it was to live at least.
    pub(super) expires_at: Timestamp,
}

impl Target {
    pub(crate) fn of(draft: &Draft) -> Self {
        let standing = &draft.records.ordinary;
        match (standing, standing.recorded()) {
            (Standing::Unknown { key }, _) => Self::Unknown(*key),
            (_, Some(record)) => {
                let seen = |live: &Live| Seen { at: draft.records.at, expires_at: live.expires_at };
                Self::Record { record, seen: standing.live().map(seen) }
            }
            _ => Self::Nothing,
        }
    }

    /// The key of a record that is to be ended.
    pub(super) fn record(&self) -> Option<StoreKey> {
        if let Self::Record { record, .. } = self { Some(record.key) } else { None }
    }
}

/// `destroy`: these records end, and the cookies go.
pub(super) struct Ends {
    pub(super) ordinary: Target,
    /// Sessions that a doubled cookie would open next.
    pub(super) others: Vec<Recorded>,
    pub(super) permanent: Option<Recorded>,
    pub(super) removes_cookies: bool,
}

/// Where a record is and what was read there.
pub(super) struct Held {
    pub(super) token: Token,
    pub(super) key: StoreKey,
    pub(super) version: Version,
    /// What was read, where nothing but its cookie holds it.
    pub(super) sealed: Option<Record>,
}

impl From<&Live> for Held {
    fn from(live: &Live) -> Self {
        let Recorded { key, sealed } = live.into();
        Self { token: live.token, key, version: live.version, sealed }
    }
}

/// What becomes of one record.
#[derive(Default)]
pub(super) enum Step {
    #[default]
    Nothing,
    /// It lives longer.
    Touch { record: Recorded, expires_at: Timestamp },
    /// It changes where it is.
    Save { held: Held, record: Written, expires_at: Timestamp },
    /// It changes and gets another token.
    Replace { former: Box<Live>, record: Written, expires_at: Timestamp },
    /// It is made.
    Create { presented: Option<StoreKey>, record: Written, expires_at: Timestamp },
    /// Its last entry is gone, so it goes too.
    Retire { held: Held, record: Written },
}

impl Step {
    fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    pub(super) fn makes_token(&self) -> bool {
        matches!(self, Self::Replace { .. } | Self::Create { .. })
    }
}

impl Plan {
    pub(super) fn is_nothing(&self) -> bool {
        self.end.is_none() && self.permanent.is_none() && self.ordinary.is_nothing()
    }

    /// Whether carrying it out takes a cookie that the browser does not have yet.
    fn needs_cookie(&self, place: Place<'_>) -> bool {
        let needs = |step: &Step| match (place, step) {
            (Place::Store, step) => step.makes_token(),
            (Place::Cookie(_), Step::Nothing | Step::Touch { .. }) => false,
            (Place::Cookie(_), _) => true,
        };
        self.permanent.as_deref().is_some_and(needs)
            || needs(&self.ordinary)
            || self.generation.is_some()
    }

    /// Whether the plan does nothing that anybody would miss.
    pub(super) fn is_mere_touch(&self) -> bool {
        self.end.is_none()
            && self.permanent.is_none()
            && matches!(self.ordinary, Step::Nothing | Step::Touch { .. })
    }
}

/// How long sessions live.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetimes {
    /// The idle timeout.
    pub(crate) idle: Duration,
    /// The same and a tenth of it, in milliseconds.
    millis: u64,
    step: u64,
    absolute: Duration,
}

impl Lifetimes {
    pub(crate) fn new(idle: Duration, absolute: Duration) -> Self {
        let millis = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX);
        Self { idle, millis, step: (millis / 10).max(1), absolute }
    }

    /// When a session that is used now expires, in steps of a tenth of the idle timeout.
    ///
    /// The steps make most uses agree with what is stored, so that they need not be written.
    pub(crate) fn idle_deadline(self, now: Timestamp, absolute: Timestamp) -> Timestamp {
        let deadline = now.as_millis().saturating_add(self.millis);
        Timestamp::from_millis(deadline.div_ceil(self.step).saturating_mul(self.step)).min(absolute)
    }

    /// Until when the use of a session now lets it live, if that is longer than what is stored. What has expired
    /// stays so.
    #[inline]
    pub(super) fn touch(self, live: &Live, now: Timestamp) -> Option<Timestamp> {
        let expires_at = self.idle_deadline(now, live.record.absolute());
        (expires_at > live.expires_at && now < live.expires_at).then_some(expires_at)
    }
}

/// What [`decide`] looks at.
pub(super) struct Situation<'a> {
    pub(super) draft: &'a Draft,
    pub(super) log: &'a Log,
    /// The flash generations whose companions the response removes.
    pub(super) aged: u8,
    pub(super) request: &'a Request,
    pub(super) lifetimes: Lifetimes,
    pub(super) moment: Moment,
    pub(super) now: Timestamp,
    /// A random number that tells the records of this commit from any other's.
    pub(super) stamp: Option<u64>,
    pub(super) place: Place<'a>,
}

/// Where records go.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// To a store, or to the memory of this process.
    Store,
    /// Into cookies with these names and attributes.
    Cookie(&'a Cookies),
}

/// The longest Set-Cookie line that browsers take, in bytes.
const LONGEST_LINE: usize = 4093;

impl Situation<'_> {
    /// The record, if it is not too large. `generation` is that of the messages which this request has made.
    fn write(
        &self,
        contents: Contents,
        former: Option<&Record>,
        generation: Option<u8>,
    ) -> Result<Written, Error> {
        let Contents { record, .. } = contents;
        if let Place::Cookie(cookies) = self.place {
            let text = Stealth::text_length(record.nature(), former, record.size());
            let size = cookies.line_length(record.nature().into(), text);
            if size > LONGEST_LINE {
                return Err(self.draft.too_large(&record, generation, size, LONGEST_LINE));
            }
        }
        record.finish().map_err(|record| {
            self.draft.too_large(&record, generation, record.size(), LARGEST_RECORD)
        })
    }
}

/// Says what becomes of the records, in a plan that says nothing yet: where it is carried out, so that it is not moved.
///
/// Nothing is written here, and nothing random is made.
pub(super) fn decide(situation: &Situation<'_>, plan: &mut Plan) -> Result<(), Error> {
    let Situation { draft, log, moment, .. } = situation;
    let is_overtaken = log.destroy && draft.records.ordinary.is_ended();
    if is_overtaken && !log.has_login() {
        // Somebody else has ended the session: what this request would have done to it is over, too.
        return Ok(());
    }
    if log.destroy && !is_overtaken {
        plan.end = Some(Box::new(end(draft, *moment)));
    }
    if *moment == Moment::Failure || !log.has_changes() {
        if !log.destroy {
            plan.ordinary = touch(situation);
        }
        return Ok(());
    }
    let operations = log.operations.len();
    plan.unsettled = situation.stamp.map(|stamp| Unsettled::Write { stamp, operations });
    match plan_steps(situation, plan) {
        // The `destroy` is carried out, and nothing else.
        Err(error) if plan.end.is_some() => {
            let (end, unsettled) = (plan.end.take(), plan.unsettled);
            *plan = Plan { end, unsettled, refused: Some(error), ..Plan::default() };
            Ok(())
        }
        planned => planned,
    }
}

/// Plans what becomes of the two records.
fn plan_steps(situation: &Situation<'_>, plan: &mut Plan) -> Result<(), Error> {
    plan.permanent = permanent_step(situation)?;
    let permanent = match plan.permanent.as_deref() {
        Some(Step::Save { record, .. } | Step::Create { record, .. }) => record.entries(),
        Some(_) => Entries::default(),
        None => situation.draft.permanent_entries(),
    };
    let age =
        Age { carried: situation.request.carried.flash, aged: situation.aged, now: situation.now };
    plan.generation = situation.draft.generation(age);
    plan.ordinary = ordinary_step(situation, permanent, age, plan.generation)?;
    match situation.moment {
        Moment::Upgrade if plan.needs_cookie(situation.place) => Err(Error::new(Kind::Upgrade)),
        Moment::LateSave if plan.needs_cookie(situation.place) => {
            Err(Error::new(Kind::Late { doing: "saving" }))
        }
        _ => Ok(()),
    }
}

fn end(draft: &Draft, moment: Moment) -> Ends {
    Ends {
        ordinary: Target::of(draft),
        others: draft.records.others.clone(),
        permanent: draft.records.permanent.recorded(),
        removes_cookies: moment.sends_cookies(),
    }
}

fn touch(situation: &Situation<'_>) -> Step {
    let Some(live) = situation.draft.records.ordinary.live() else { return Step::Nothing };
    if matches!(situation.place, Place::Cookie(_)) && !situation.moment.sends_cookies() {
        return Step::Nothing;
    }
    match situation.lifetimes.touch(live, situation.now) {
        Some(expires_at) => Step::Touch { record: live.into(), expires_at },
        None => Step::Nothing,
    }
}

fn ordinary_step(
    situation: &Situation<'_>,
    permanent: Entries<'_>,
    age: Age,
    generation: Option<u8>,
) -> Result<Step, Error> {
    let Situation { draft, log, lifetimes, now, .. } = situation;
    if draft.records.ordinary.is_ended() && !log.has_login() {
        return Err(Error::gone(error::Record::Session));
    }
    let fresh_absolute = now.saturating_add(lifetimes.absolute);
    let live = draft.records.ordinary.live().filter(|_| !log.destroy);
    let mut header = match live {
        Some(live) => live.record.header(),
        None => {
            let last_generation = draft.last_generation;
            Header::new(*now, fresh_absolute, Nature::Ordinary { last_generation })
        }
    };
    if let Some(owner) = draft.new_owner() {
        header.absolute = fresh_absolute;
        header.owner = Some(owner);
    }
    header.stamp = situation.stamp;
    if let Some(generation) = generation {
        header.nature = Nature::Ordinary { last_generation: generation };
    }
    let contents = draft.ordinary_contents(&header, permanent, age, generation);
    let expires_at = lifetimes.idle_deadline(*now, header.absolute);
    Ok(match live {
        None if contents.record.is_empty() && header.owner.is_none() => Step::Nothing,
        None => {
            // A well-formed token that nobody knows ends when another takes its place.
            let presented = draft.records.ordinary.unknown_key();
            let record = situation.write(contents, None, generation)?;
            Step::Create { presented, record, expires_at }
        }
        Some(live) if draft.rotate => {
            let record = situation.write(contents, Some(&live.record), generation)?;
            Step::Replace { former: Box::new(live.clone()), record, expires_at }
        }
        Some(live) if contents.changed => {
            let record = situation.write(contents, Some(&live.record), generation)?;
            Step::Save { held: live.into(), record, expires_at }
        }
        Some(_) => touch(situation),
    })
}

/// `None` where nothing becomes of it.
fn permanent_step(situation: &Situation<'_>) -> Result<Option<Box<Step>>, Error> {
    let Situation { draft, log, now, .. } = situation;
    if !draft.changes_permanent() {
        return Ok(None);
    }
    // Whole days, so that saying the same thing again writes once a day at most.
    let ten_years = now.saturating_add(TEN_YEARS).as_millis().div_ceil(DAY) * DAY;
    let ten_years = Timestamp::from_millis(ten_years);
    let Some(live) = draft.records.permanent.live().filter(|_| !log.destroy) else {
        let mut header = Header::new(*now, ten_years, Nature::Permanent);
        header.stamp = situation.stamp;
        let contents = draft.permanent_contents(&header);
        if contents.record.is_empty() {
            return Ok(None);
        }
        let presented = draft.records.permanent.unknown_key();
        let record = situation.write(contents, None, None)?;
        return Ok(Some(Box::new(Step::Create { presented, record, expires_at: ten_years })));
    };
    let mut header = live.record.header();
    header.stamp = situation.stamp;
    let renewed = draft.renew && header.absolute < ten_years;
    if renewed {
        header.absolute = ten_years;
    }
    let contents = draft.permanent_contents(&header);
    if !contents.changed && !renewed {
        return Ok(None);
    }
    let is_empty = contents.record.is_empty();
    let record = situation.write(contents, Some(&live.record), None)?;
    let held = live.into();
    // Where its cookie cannot be removed, an empty record stays behind it.
    if is_empty && situation.moment.sends_cookies() {
        return Ok(Some(Box::new(Step::Retire { held, record })));
    }
    let expires_at = header.absolute;
    Ok(Some(Box::new(Step::Save { held, record, expires_at })))
}
