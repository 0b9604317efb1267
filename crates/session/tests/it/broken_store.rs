//! A store that does one thing otherwise than the contract says: a correct one below, and the break on top.

use dframework_session::store::{
    Change, Entry, Loaded, NewRecord, Outcome, Page, SessionId, Store, StoreError, StoreKey,
    Stored, Timestamp, Tombstone, Version, async_trait, testing::ReferenceStore,
};
use std::{
    sync::{Arc, Mutex},
    time::SystemTime,
};
use tokio::task::yield_now;

/// What a store does otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Break {
    // Answers of `load`.
    AbsentIsEnded,
    AnswersInOrderOfKeys,
    AnswersDuplicatesOnce,
    NoKeysAreAnError,
    ManyKeysAreAnError,
    FoldsCaseOfKeys,
    TruncatesAtNul,
    Truncates64Kib,
    DropsLabels,
    KeepsWholeSeconds,
    HasAClock,
    // `create`.
    CreateReplaces,
    CreateForgetsPresented,
    CreateKeepsWhatIsOver,
    CreatePresentsFirst,
    CreatePresentsItself,
    CreateLooksThenMakes,
    CreateLooksThenPresents,
    // `commit`.
    Upserts,
    CommitsAnyVersion,
    CommitLooksThenWrites,
    CommitForgetsOwner,
    CommitRestartsTheBeginning,
    CommitNeverLowersExpiry,
    CommitTellsAnotherVersion,
    CommitSkipsEqualBytes,
    CommitTouchesEverything,
    VersionsComeBack,
    MovesInTwoSteps,
    MovesByCopying,
    MovesOnce,
    // `touch`, `end`, `delete_expired`.
    ForgetsTombstones,
    TouchSets,
    TouchWritesBack,
    TouchIsLost,
    TouchMakes,
    TouchOfAbsentFails,
    EndMakes,
    EndIsTrueAgain,
    EndGivesUpOnChange,
    EndLooksFirst,
    DeletesAMomentEarly,
    DeletesAMomentLate,
    DeletesWithoutLimit,
    DeletesWhatItSaw,
    SweepsGiveWay,
    // Lists.
    FindsByEightBytes,
    FindsTombstones,
    ListsBackwards,
    ListsExpired,
    FoldsCaseOfOwners,
    TruncatesOwners,
    EntriesLoseLabels,
    PageRepeatsItsKey,
    PageIsOneTooLong,
    PageFillsUpTooLittle,
    EndsOneOfAnOwner,
    EndsTheExceptedToo,
    EndsNothingForAForeignKey,
    EndsByFirstOwner,
    EndsOneAfterTheOther,
    CountsTombstones,
    ScansBackwards,
    ScansWithoutLimit,
    // A cache that is filled with what may be over by then.
    Caches,
    // What no sentence is needed for: answers that are plainly wrong.
    AnswersForAnother,
    AnswersTooFew,
    AnswersTooMany,
    KnowsNothing,
    CreateIsAlwaysGone,
    CreateOnlySaysSo,
    CommitAlwaysConflicts,
    CommitIsAlwaysGone,
    CommitOnlySaysSo,
    CommitTellsTheOldVersion,
    VersionsNeverChange,
    EndOnlySaysSo,
    EndSaysNothingWasThere,
    FindsAnother,
    ListsTheSameForEver,
}

use Break::*;

/// A correct store with a break, and without one until the test says so. Clones share everything.
#[derive(Clone, Default)]
pub(crate) struct Broken(Arc<Shared>);

#[derive(Default)]
struct Shared {
    below: ReferenceStore,
    how: Mutex<Option<Break>>,
    /// Keys and owners of the records that were made, for breaks that go by them.
    made: Mutex<Vec<(StoreKey, Option<String>)>>,
    cache: Mutex<Vec<(StoreKey, Loaded)>>,
    /// How many delete what has expired at this moment, and how many have begun to.
    sweeps: Mutex<(usize, usize)>,
}

/// Over by every clock, so that a tombstone with it can be deleted without any other.
const FIRST: Timestamp = Timestamp::from_millis(0);

impl Broken {
    pub(crate) fn by(how: Break) -> Self {
        let store = Self::default();
        store.does(how);
        store
    }

    /// From now on the store does this otherwise, or nothing.
    pub(crate) fn does(&self, how: impl Into<Option<Break>>) {
        *self.0.how.lock().unwrap() = how.into();
    }

    pub(crate) fn below(&self) -> &ReferenceStore {
        &self.0.below
    }

    fn is(&self, how: Break) -> bool {
        *self.0.how.lock().unwrap() == Some(how)
    }

    async fn stored(&self, key: &StoreKey) -> Option<Stored> {
        match self.below().load(&[*key]).await.unwrap().remove(0) {
            Loaded::Live(stored) => Some(stored),
            _ => None,
        }
    }

    /// The record of another key, if there is another.
    async fn another(&self, key: &StoreKey) -> Result<Stored, StoreError> {
        let mut records = self.below().scan(None, 1_000).await?;
        let behind = records.iter().position(|(other, _)| other > key).unwrap_or_default();
        Ok(records.swap_remove(behind).1)
    }

    /// Removes a record without a trace.
    async fn remove(&self, key: &StoreKey) -> Result<bool, StoreError> {
        let was_there = self.below().end(key, FIRST).await?;
        self.below().delete_expired(FIRST, 1).await?;
        Ok(was_there)
    }

    /// Whether anybody else deletes what has expired, a little while before or after.
    async fn meets_another_sweep(&self) -> bool {
        let (others, number) = {
            let mut sweeps = self.0.sweeps.lock().unwrap();
            *sweeps = (sweeps.0 + 1, sweeps.1 + 1);
            (sweeps.0 - 1, sweeps.1)
        };
        for _ in 0..8 {
            yield_now().await;
        }
        let mut sweeps = self.0.sweeps.lock().unwrap();
        sweeps.0 -= 1;
        others > 0 || sweeps.1 > number
    }

    /// Puts a tombstone over nothing.
    async fn bury(&self, key: &StoreKey, until: Timestamp) -> Result<(), StoreError> {
        self.below().create(key, NewRecord::new(b"", FIRST, until), FIRST).await?;
        self.below().end(key, until).await.map(drop)
    }

    /// What a store that is not made for these bytes keeps of them.
    fn kept<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let nul = bytes.iter().position(|byte| *byte == 0);
        match nul {
            Some(nul) if self.is(TruncatesAtNul) => &bytes[..nul],
            _ if self.is(Truncates64Kib) => &bytes[..bytes.len().min(65_535)],
            _ => bytes,
        }
    }

    fn fold_key(&self, key: &StoreKey) -> StoreKey {
        if !self.is(FoldsCaseOfKeys) {
            return *key;
        }
        let mut bytes = *key.as_bytes();
        bytes.make_ascii_lowercase();
        StoreKey::from_bytes(bytes)
    }

    fn fold_owner(&self, owner: &str) -> String {
        match owner.char_indices().nth(100) {
            _ if self.is(FoldsCaseOfOwners) => owner.to_lowercase(),
            Some((end, _)) if self.is(TruncatesOwners) => owner[..end].to_owned(),
            _ => owner.to_owned(),
        }
    }

    fn distort(&self, loaded: &mut Loaded) {
        let now = Timestamp::from(SystemTime::now());
        match loaded {
            Loaded::Unknown if self.is(AbsentIsEnded) => *loaded = Loaded::Ended { until: FIRST },
            Loaded::Live(stored) if self.is(HasAClock) && stored.expires_at <= now => {
                *loaded = Loaded::Unknown;
            }
            Loaded::Ended { until } if self.is(HasAClock) && *until <= now => {
                *loaded = Loaded::Unknown;
            }
            Loaded::Live(stored) if self.is(VersionsComeBack) => stored.version.0 %= 4,
            Loaded::Live(stored) if self.is(VersionsNeverChange) => stored.version = Version(1),
            Loaded::Live(_) if self.is(KnowsNothing) => *loaded = Loaded::Unknown,
            _ => {}
        }
    }

    /// What the cache holds of this key, or else what the store does.
    async fn load_cached(&self, key: &StoreKey) -> Result<Loaded, StoreError> {
        let cached = |(of, _): &&(StoreKey, Loaded)| of == key;
        if let Some((_, loaded)) = self.0.cache.lock().unwrap().iter().find(cached) {
            return Ok(loaded.clone());
        }
        let loaded = self.below().load(&[*key]).await?.remove(0);
        yield_now().await;
        self.0.cache.lock().unwrap().push((*key, loaded.clone()));
        Ok(loaded)
    }

    fn drop_from_cache(&self, key: &StoreKey) {
        self.0.cache.lock().unwrap().retain(|(of, _)| of != key);
    }

    async fn make(
        &self,
        key: &StoreKey,
        new: NewRecord<'_>,
        now: Timestamp,
    ) -> Result<Outcome, StoreError> {
        if self.is(CreateIsAlwaysGone) {
            return Ok(Outcome::Gone);
        }
        if self.is(CreateOnlySaysSo) {
            return Ok(Outcome::Committed(Version(1)));
        }
        let mut alone = new;
        alone.presented = None;
        match (self.stored(key).await, new.presented) {
            (Some(there), _) if self.is(CreateReplaces) => {
                let change = Change::new(new.bytes, new.expires_at);
                self.below().commit(key, there.version, change).await
            }
            (None, _) if self.is(CreateLooksThenMakes) => {
                yield_now().await;
                self.remove(key).await?;
                self.below().create(key, new, now).await
            }
            (_, Some(Tombstone { key: presented, remember_until })) => {
                let at_presented = self.below().load(&[presented]).await?.remove(0);
                let is_known = at_presented != Loaded::Unknown;
                match is_known {
                    _ if self.is(CreateForgetsPresented) => {}
                    _ if self.is(CreatePresentsItself) && presented == *key => {}
                    true if self.is(CreateKeepsWhatIsOver) => return Ok(Outcome::Gone),
                    false if self.is(CreatePresentsFirst) => {
                        self.bury(&presented, remember_until).await?;
                    }
                    false if self.is(CreateLooksThenPresents) => {
                        yield_now().await;
                        let _ = self.bury(&presented, remember_until).await;
                    }
                    _ => return self.below().create(key, new, now).await,
                }
                self.below().create(key, alone, now).await
            }
            _ => self.below().create(key, new, now).await,
        }
    }

    async fn write(
        &self,
        key: &StoreKey,
        mut expected: Version,
        mut change: Change<'_>,
    ) -> Result<Outcome, StoreError> {
        let Some(there) = self.stored(key).await else {
            return match change.move_to {
                None if self.is(Upserts) => self.make_from(key, change).await,
                Some(to) if self.is(Upserts) => self.make_from(&to, change).await,
                _ => self.below().commit(key, expected, change).await,
            };
        };
        if self.is(VersionsComeBack) && there.version.0 % 4 == expected.0 {
            expected = there.version;
        }
        if self.is(VersionsNeverChange) && expected == Version(1) {
            expected = there.version;
        }
        let is_expected = there.version == expected;
        if self.is(CommitsAnyVersion) {
            expected = there.version;
        }
        if self.is(CommitLooksThenWrites) && is_expected {
            yield_now().await;
            expected = self.stored(key).await.map_or(expected, |there| there.version);
        }
        if self.is(CommitForgetsOwner) {
            change.owner = None;
        }
        if self.is(CommitNeverLowersExpiry) {
            change.expires_at = change.expires_at.max(there.expires_at);
        }
        if self.is(CommitSkipsEqualBytes) && is_expected && change.bytes == there.bytes {
            return Ok(Outcome::Committed(expected));
        }
        match change.move_to {
            Some(_) if self.is(MovesOnce) && there.version != Version(1) => Ok(Outcome::Conflict),
            Some(to) if self.is(MovesInTwoSteps) && is_expected => {
                self.below().end(key, change.remember_until).await?;
                yield_now().await;
                self.make_from(&to, change).await
            }
            Some(to) if self.is(MovesByCopying) && is_expected => {
                let outcome = self.make_from(&to, change).await?;
                yield_now().await;
                self.below().end(key, change.remember_until).await?;
                Ok(outcome)
            }
            Some(_) if self.is(ForgetsTombstones) || self.is(Upserts) => {
                change.remember_until = FIRST;
                let outcome = self.below().commit(key, expected, change).await;
                self.below().delete_expired(FIRST, 1).await?;
                outcome
            }
            _ => self.below().commit(key, expected, change).await,
        }
    }

    async fn make_from(&self, key: &StoreKey, change: Change<'_>) -> Result<Outcome, StoreError> {
        let mut new = NewRecord::new(change.bytes, FIRST, change.expires_at);
        (new.owner, new.meta) = (change.owner, change.meta);
        self.below().create(key, new, FIRST).await
    }

    /// Writes a record back as it was read, with another expiry.
    async fn write_back(
        &self,
        key: &StoreKey,
        there: &Stored,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let current = self.stored(key).await.map_or(there.version, |current| current.version);
        let change = Change::new(&there.bytes, expires_at);
        self.below().commit(key, current, change).await.map(drop)
    }
}

#[async_trait]
impl Store for Broken {
    async fn load(&self, keys: &[StoreKey]) -> Result<Vec<Loaded>, StoreError> {
        let mut keys: Vec<_> = keys.iter().map(|key| self.fold_key(key)).collect();
        if self.is(AnswersInOrderOfKeys) {
            keys.sort_unstable();
        }
        if self.is(AnswersDuplicatesOnce) {
            let all = keys.clone();
            let mut places = 0..;
            keys.retain(|key| !all[..places.next().unwrap()].contains(key));
        }
        if self.is(NoKeysAreAnError) && keys.is_empty() {
            return Err(StoreError::refused("syntax error near ')'"));
        }
        if self.is(ManyKeysAreAnError) && keys.len() > 100 {
            return Err(StoreError::refused("too many variables"));
        }
        if let ([key], true) = (&keys[..], self.is(Caches)) {
            return Ok(vec![self.load_cached(key).await?]);
        }
        let mut loaded = self.below().load(&keys).await?;
        for (key, answer) in keys.iter().zip(&mut loaded) {
            self.distort(answer);
            if self.is(AnswersForAnother) && matches!(answer, Loaded::Live(_)) {
                *answer = Loaded::Live(self.another(key).await?);
            }
        }
        if self.is(AnswersTooFew) {
            loaded.pop();
        }
        if self.is(AnswersTooMany) {
            loaded.extend(loaded.first().cloned());
        }
        Ok(loaded)
    }

    async fn create(
        &self,
        key: &StoreKey,
        mut new: NewRecord<'_>,
        now: Timestamp,
    ) -> Result<Outcome, StoreError> {
        let key = self.fold_key(key);
        let owner = new.owner.map(|owner| self.fold_owner(owner));
        self.0.made.lock().unwrap().push((key, owner.clone()));
        new.owner = owner.as_deref();
        new.bytes = self.kept(new.bytes);
        if self.is(DropsLabels) {
            new.meta = b"";
        }
        if self.is(KeepsWholeSeconds) {
            new.expires_at = Timestamp::from_millis(new.expires_at.as_millis() / 1000 * 1000);
        }
        let outcome = self.make(&key, new, now).await;
        self.drop_from_cache(&key);
        if let Some(presented) = new.presented {
            self.drop_from_cache(&presented.key);
        }
        outcome
    }

    async fn commit(
        &self,
        key: &StoreKey,
        expected: Version,
        mut change: Change<'_>,
    ) -> Result<Outcome, StoreError> {
        if self.is(CommitAlwaysConflicts) {
            return Ok(Outcome::Conflict);
        }
        if self.is(CommitIsAlwaysGone) {
            return Ok(Outcome::Gone);
        }
        if self.is(CommitOnlySaysSo) {
            return Ok(Outcome::Committed(Version(expected.0 + 1)));
        }
        let owner = change.owner.map(|owner| self.fold_owner(owner));
        change.owner = owner.as_deref();
        change.bytes = self.kept(change.bytes);
        let outcome = self.write(key, expected, change).await?;
        self.drop_from_cache(key);
        if self.is(CommitTouchesEverything) {
            for (other, _) in self.below().scan(None, 1_000).await? {
                self.below().touch(&other, Timestamp::MAX).await?;
            }
        }
        Ok(match outcome {
            Outcome::Committed(version) if self.is(CommitTellsAnotherVersion) => {
                Outcome::Committed(Version(version.0 + 1_000))
            }
            Outcome::Committed(_) if self.is(CommitTellsTheOldVersion) => {
                Outcome::Committed(expected)
            }
            Outcome::Committed(_) if self.is(VersionsNeverChange) => Outcome::Committed(Version(1)),
            Outcome::Committed(version) if self.is(VersionsComeBack) => {
                Outcome::Committed(Version(version.0 % 4))
            }
            outcome => outcome,
        })
    }

    async fn touch(&self, key: &StoreKey, expires_at: Timestamp) -> Result<(), StoreError> {
        match self.stored(key).await {
            None if self.is(TouchMakes) => {
                let new = NewRecord::new(b"", FIRST, expires_at);
                self.below().create(key, new, FIRST).await.map(drop)
            }
            None if self.is(TouchOfAbsentFails) => Err(StoreError::refused("no row was changed")),
            Some(there) if self.is(TouchSets) => self.write_back(key, &there, expires_at).await,
            Some(there) if self.is(TouchWritesBack) => {
                yield_now().await;
                self.write_back(key, &there, expires_at.max(there.expires_at)).await
            }
            Some(_) if self.is(TouchIsLost) => Ok(()),
            _ => {
                let touched = self.below().touch(key, expires_at).await;
                self.drop_from_cache(key);
                touched
            }
        }
    }

    async fn end(&self, key: &StoreKey, remember_until: Timestamp) -> Result<bool, StoreError> {
        if self.is(ForgetsTombstones) || self.is(Upserts) {
            return self.remove(key).await;
        }
        if self.is(EndOnlySaysSo) {
            return Ok(true);
        }
        let there = self.stored(key).await;
        if there.is_none() && self.is(EndMakes) {
            let _ = self.bury(key, remember_until).await;
        }
        if self.is(EndGivesUpOnChange) || self.is(EndLooksFirst) {
            yield_now().await;
        }
        let now = self.stored(key).await;
        if self.is(EndGivesUpOnChange) && now != there {
            return Ok(true);
        }
        let was_there = self.below().end(key, remember_until).await?;
        self.drop_from_cache(key);
        let is_known = self.below().load(&[*key]).await?[0] != Loaded::Unknown;
        let was_seen = there.is_some() && self.is(EndLooksFirst);
        let says_so = was_there && !self.is(EndSaysNothingWasThere);
        Ok(says_so || was_seen || (is_known && self.is(EndIsTrueAgain)))
    }

    async fn delete_expired(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let millis = now.as_millis();
        if self.is(DeletesWhatItSaw) {
            let mut seen = self.below().scan(None, 1_000).await?;
            seen.retain(|(_, stored)| stored.expires_at <= now);
            yield_now().await;
            for (key, _) in &seen {
                self.remove(key).await?;
            }
            return Ok(seen.len());
        }
        if self.is(SweepsGiveWay) && self.meets_another_sweep().await {
            return Ok(0);
        }
        let (now, limit) = match limit {
            limit if self.is(DeletesAMomentEarly) => (Timestamp::from_millis(millis + 1), limit),
            limit if self.is(DeletesAMomentLate) => {
                (Timestamp::from_millis(millis.saturating_sub(1)), limit)
            }
            1.. if self.is(DeletesWithoutLimit) => (now, usize::MAX),
            limit => (now, limit),
        };
        self.below().delete_expired(now, limit).await
    }

    async fn find(&self, id: &SessionId) -> Result<Option<Entry>, StoreError> {
        let made = self.0.made.lock().unwrap().clone();
        if self.is(FindsByEightBytes) {
            let looks_alike = |key: &StoreKey| key.as_bytes()[..8] == id.as_bytes()[..8];
            let records = self.below().scan(None, 1_000).await?;
            let found = records.into_iter().find(|(key, _)| looks_alike(key));
            return Ok(found.map(|(key, stored)| Entry::new(key, FIRST, stored.expires_at)));
        }
        if self.is(FindsAnother) {
            let records = self.below().scan(None, 1_000).await?;
            let another = records.into_iter().find(|(key, _)| key.id() != *id);
            return Ok(another.map(|(key, stored)| Entry::new(key, FIRST, stored.expires_at)));
        }
        let mut found = self.below().find(id).await?;
        if self.is(FindsTombstones) && found.is_none() {
            let key = made.iter().map(|(key, _)| key).find(|key| key.id() == *id);
            found = key.map(|key| Entry::new(*key, FIRST, FIRST));
        }
        if let (Some(entry), true) = (&mut found, self.is(CommitRestartsTheBeginning)) {
            let version = self.stored(&entry.key).await.map(|stored| stored.version);
            entry.created = if version > Some(Version(1)) { FIRST } else { entry.created };
        }
        Ok(found)
    }

    async fn owned_by(
        &self,
        owner: &str,
        now: Timestamp,
        page: Page,
    ) -> Result<Vec<Entry>, StoreError> {
        let owner = self.fold_owner(owner);
        let all = Page { after: None, limit: usize::MAX };
        let now = if self.is(ListsExpired) { FIRST } else { now };
        let mut listed = match page {
            _ if self.is(ListsTheSameForEver) => self.below().owned_by(&owner, now, all).await?,
            page if self.is(PageRepeatsItsKey) => {
                let mut listed = self.below().owned_by(&owner, now, all).await?;
                listed.retain(|entry| page.after.is_none_or(|after| entry.key >= after));
                listed.truncate(page.limit);
                listed
            }
            Page { after, limit: 1.. } if self.is(PageIsOneTooLong) => {
                let limit = page.limit.saturating_add(1);
                self.below().owned_by(&owner, now, Page { after, limit }).await?
            }
            page => self.below().owned_by(&owner, now, page).await?,
        };
        if self.is(ListsBackwards) {
            listed.reverse();
        }
        if self.is(EntriesLoseLabels) {
            for entry in &mut listed {
                entry.meta.clear();
            }
        }
        if self.is(PageFillsUpTooLittle) && listed.len() > 1 && listed.len() == page.limit {
            listed.pop();
        }
        Ok(listed)
    }

    async fn end_owned_by(
        &self,
        owner: &str,
        except: Option<&StoreKey>,
        remember_until: Timestamp,
    ) -> Result<usize, StoreError> {
        let owner = self.fold_owner(owner);
        let all = Page { after: None, limit: usize::MAX };
        let theirs = self.below().owned_by(&owner, FIRST, all).await?;
        let mut theirs: Vec<_> = theirs.into_iter().map(|entry| entry.key).collect();
        let is_foreign = except.is_some_and(|except| !theirs.contains(except));
        if is_foreign && self.is(EndsNothingForAForeignKey) {
            return Ok(0);
        }
        if self.is(EndsByFirstOwner) {
            let made = self.0.made.lock().unwrap().clone();
            let is_theirs =
                |(_, first): &&(StoreKey, Option<String>)| *first == Some(owner.clone());
            theirs = made.iter().filter(is_theirs).map(|(key, _)| *key).collect();
        } else if self.is(EndsOneOfAnOwner) {
            theirs.truncate(1);
        } else if !self.is(EndsOneAfterTheOther) {
            let except = except.filter(|_| !self.is(EndsTheExceptedToo));
            return self.below().end_owned_by(&owner, except, remember_until).await;
        }
        let mut ended = 0;
        for key in theirs.iter().filter(|key| Some(*key) != except) {
            yield_now().await;
            ended += usize::from(self.below().end(key, remember_until).await?);
        }
        Ok(ended)
    }

    async fn count(&self, now: Timestamp) -> Result<u64, StoreError> {
        let made: Vec<_> = self.0.made.lock().unwrap().iter().map(|(key, _)| *key).collect();
        let known = self.below().load(&made).await?;
        let ended = known.iter().filter(|known| matches!(known, Loaded::Ended { .. })).count();
        let tombstones = if self.is(CountsTombstones) { ended as u64 } else { 0 };
        Ok(self.below().count(now).await? + tombstones)
    }

    async fn scan(
        &self,
        after: Option<&StoreKey>,
        limit: usize,
    ) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        let limit = if limit > 0 && self.is(ScansWithoutLimit) { usize::MAX } else { limit };
        let mut records = self.below().scan(after, limit).await?;
        if self.is(ScansBackwards) {
            records.reverse();
        }
        Ok(records)
    }
}
