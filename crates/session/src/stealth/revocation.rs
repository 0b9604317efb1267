//! What has ended before its time: sessions whose cookies would still open, remembered by this process.
//!
//! Nothing of a sealed session is on the server, so ending one means to remember that it has ended, until it would have
//! ended by itself. Only `destroy`, `regenerate` and revoking put something here, so a process in which nobody logs out
//! reads one atomic number per request, and most of the others look at one entry.
//!
//! Sets are bounded (`set.rs`), and what is forgotten at a bound is not let in again: everything that was sealed before
//! it was revoked is refused instead. That ends sessions that nobody revoked, the ones whose payload has not changed
//! for longest, and the operator is told.

mod set;

use super::header::{Header, LONGEST_KEPT, OwnerTag, PermanentTerms, SessionTerms};
use dframework_session_store::{SessionId, Timestamp};
use set::{Entry, Set};
use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

/// For how long a session counts as having just ended: its requests that are under way may not end a newer one.
const REMEMBERED: Duration = Duration::from_secs(60);

/// An instant after which another one is.
const NEXT: Duration = Duration::from_millis(1);

/// How many are remembered at most. Full, they take 38 bytes each: 34, 9 and 8 MiB.
const MOST_SESSIONS: usize = 917_504;
const MOST_PERMANENTS: usize = 229_376;
const MOST_OWNERS: usize = 114_688;

/// What has been revoked in this process.
pub(crate) struct Revocations {
    /// Whether anything ever was.
    any: AtomicBool,
    sessions: Set<()>,
    permanents: Set<()>,
    /// Whose logins before an instant have ended, but for the one session that was kept.
    owners: Set<Option<SessionId>>,
    /// The latest login that was sealed or opened here, in milliseconds: a clock that was set back, or that of another
    /// instance, may be behind it.
    latest_login: AtomicU64,
}

/// A session that is to outlive the others of its owner.
#[derive(Clone, Copy)]
pub(crate) struct Kept {
    pub(crate) sid: SessionId,
    pub(crate) authenticated: Timestamp,
}

/// Whether a seal that opens is still to be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Fine,
    /// It ended less than a minute ago, which counts as a tombstone.
    JustEnded,
    /// It is no session any more.
    Ended,
}

/// What became of a call that revokes.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Revoked {
    pub(crate) by: By,
    /// The set was full: everything of its kind from before this instant has ended. Something for the operator.
    pub(crate) all_before: Option<Timestamp>,
}

/// Who ended it. Of several that try at once, exactly one is the first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum By {
    ThisCall,
    AnEarlierOne,
}

impl Revocations {
    pub(crate) fn new() -> Self {
        Self::bounded(MOST_SESSIONS, MOST_PERMANENTS, MOST_OWNERS)
    }

    fn bounded(sessions: usize, permanents: usize, owners: usize) -> Self {
        Self {
            any: AtomicBool::new(false),
            sessions: Set::new(sessions),
            permanents: Set::new(permanents),
            owners: Set::new(owners),
            latest_login: AtomicU64::new(0),
        }
    }

    /// Whether nothing was ever revoked in this process.
    pub(crate) fn are_none(&self) -> bool {
        // Relaxed: a cookie that comes after the answer of a logout comes after its store, and what is read next is
        // behind a lock.
        !self.any.load(Ordering::Relaxed)
    }

    /// Whether a session is still to be taken.
    ///
    /// A request that seals it again asks once more before, and seals with the instant at which it asked.
    pub(crate) fn check(&self, header: &Header<SessionTerms>, now: Timestamp) -> Verdict {
        if let Some(login) = header.terms.login {
            self.note_login(login.authenticated);
        }
        if self.are_none() {
            return Verdict::Fine;
        }
        if let Some(entry) = self.sessions.get(header.sid.as_bytes()) {
            return ended(entry.since, now);
        }
        if let Some(login) = header.terms.login {
            let owner = self.owners.get(&login.owner.0);
            let entry = owner.filter(|entry| {
                login.authenticated < entry.since && entry.more != Some(header.sid)
            });
            if let Some(entry) = entry {
                return ended(entry.since, now);
            }
            if login.authenticated < self.owners.all_before() {
                return Verdict::Ended;
            }
        }
        let is_fine = header.issued >= self.sessions.all_before();
        if is_fine { Verdict::Fine } else { Verdict::Ended }
    }

    /// Whether permanent data is still to be taken. Owners have nothing to do with it.
    pub(crate) fn check_permanent(
        &self,
        header: &Header<PermanentTerms>,
        now: Timestamp,
    ) -> Verdict {
        if self.are_none() {
            return Verdict::Fine;
        }
        match self.permanents.get(header.sid.as_bytes()) {
            Some(entry) => ended(entry.since, now),
            None if header.issued >= self.permanents.all_before() => Verdict::Fine,
            None => Verdict::Ended,
        }
    }

    /// Ends a session that a request brought.
    pub(crate) fn revoke(&self, header: &Header<SessionTerms>, now: Timestamp) -> Revoked {
        self.end(&self.sessions, header.sid, header.terms.absolute, now.max(header.issued))
    }

    /// Ends a session of which no more than the name is known; `until` is as late as its absolute deadline can be.
    pub(crate) fn revoke_id(&self, sid: SessionId, until: Timestamp, now: Timestamp) -> Revoked {
        self.end(&self.sessions, sid, until, now)
    }

    /// Ends permanent data.
    pub(crate) fn revoke_permanent(
        &self,
        header: &Header<PermanentTerms>,
        now: Timestamp,
    ) -> Revoked {
        let now = now.max(header.issued);
        self.end(&self.permanents, header.sid, now.saturating_add(LONGEST_KEPT), now)
    }

    fn end(&self, set: &Set<()>, sid: SessionId, until: Timestamp, now: Timestamp) -> Revoked {
        let revoked = set.update(sid.as_bytes(), now, |former, now| match former {
            // The first instant stays: a minute after it, the session is as good as unknown.
            Some(former) => Entry { until: former.until.max(until), ..former },
            None => Entry { id: *sid.as_bytes(), since: now, until, more: () },
        });
        self.any.store(true, Ordering::Relaxed);
        revoked
    }

    /// Ends all sessions of an owner but, perhaps, one. `until` is the absolute deadline of a session that begins now.
    ///
    /// `None` if the one that was to be kept has ended itself: whoever asks with it may end nothing.
    pub(crate) fn revoke_owner(
        &self,
        owner: OwnerTag,
        kept: Option<Kept>,
        until: Timestamp,
        now: Timestamp,
    ) -> Option<Revoked> {
        let latest = Timestamp::from_millis(self.latest_login.load(Ordering::Relaxed));
        let mut is_over = false;
        let revoked = self.owners.update(&owner.0, now, |former, now| {
            let reaches = |kept: Kept| match former {
                Some(former) => kept.authenticated < former.since && former.more != Some(kept.sid),
                None => kept.authenticated < self.owners.all_before(),
            };
            is_over = kept.is_some_and(reaches);
            if let (true, Some(former)) = (is_over, former) {
                return former;
            }
            // After every login until now, also after one that `authenticated` has moved behind the last revocation.
            let since = former.map_or(now, |former| former.since.max(now)).max(latest);
            Entry {
                id: owner.0,
                since: since.saturating_add(NEXT),
                until: former.map_or(until, |former| former.until.max(until)),
                more: kept.map(|kept| kept.sid).filter(|_| !is_over),
            }
        });
        self.any.store(true, Ordering::Relaxed);
        (!is_over).then_some(revoked)
    }

    /// The instant to seal a login of this owner with, so that it is after all that was revoked.
    pub(crate) fn authenticated(&self, owner: OwnerTag, now: Timestamp) -> Timestamp {
        let revoked = self.owners.get(&owner.0).map_or(now, |entry| entry.since);
        let authenticated = now.max(revoked).max(self.owners.all_before());
        self.note_login(authenticated);
        authenticated
    }

    fn note_login(&self, authenticated: Timestamp) {
        // Most are not the latest, and a look costs less than a write.
        if self.latest_login.load(Ordering::Relaxed) < authenticated.as_millis() {
            self.latest_login.fetch_max(authenticated.as_millis(), Ordering::Relaxed);
        }
    }

    /// The instant to seal a new session with, so that it is after all that was forgotten.
    pub(crate) fn issued(&self, now: Timestamp) -> Timestamp {
        now.max(self.sessions.all_before())
    }

    /// The instant to seal new permanent data with.
    pub(crate) fn issued_permanent(&self, now: Timestamp) -> Timestamp {
        now.max(self.permanents.all_before())
    }
}

fn ended(since: Timestamp, now: Timestamp) -> Verdict {
    let has_just = now < since.saturating_add(REMEMBERED);
    if has_just { Verdict::JustEnded } else { Verdict::Ended }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;
    use crate::{
        clock::Clock,
        stealth::header::{Login, Terms},
    };
    use std::{sync::Barrier, thread, time::Duration};

    const MINUTE: Duration = Duration::from_secs(60);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn sid(number: u64) -> SessionId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        SessionId::from_bytes(bytes)
    }

    fn header<T: Terms>(number: u64, issued: Timestamp, terms: T) -> Header<T> {
        Header::new(sid(number), issued, terms)
    }

    fn visitor(number: u64, issued: Timestamp) -> Header<SessionTerms> {
        let absolute = issued.saturating_add(30 * DAY);
        header(number, issued, SessionTerms { absolute, idle: absolute, login: None })
    }

    /// A session that logged in and was sealed at this instant.
    fn member(number: u64, owner: &str, authenticated: Timestamp) -> Header<SessionTerms> {
        let mut header = visitor(number, authenticated);
        header.terms.login = Some(Login { authenticated, owner: OwnerTag::of(owner) });
        header
    }

    fn kept(header: &Header<SessionTerms>) -> Option<Kept> {
        let authenticated = header.terms.login?.authenticated;
        Some(Kept { sid: header.sid, authenticated })
    }

    fn permanent(number: u64, issued: Timestamp) -> Header<PermanentTerms> {
        header(number, issued, PermanentTerms { absolute: issued.saturating_add(3650 * DAY) })
    }

    fn later(now: Timestamp) -> Timestamp {
        now.saturating_add(30 * DAY)
    }

    const FIRST: Revoked = Revoked { by: By::ThisCall, all_before: None };
    const AGAIN: Revoked = Revoked { by: By::AnEarlierOne, all_before: None };

    #[test]
    fn a_revoked_session_has_just_ended_for_a_minute_and_has_ended_from_then_on() {
        let (clock, set) = (Clock::manual(), Revocations::new());
        let start = clock.now();
        let session = visitor(1, start);
        assert_eq!(set.check(&session, start), Verdict::Fine);
        assert_eq!(set.revoke_id(sid(1), later(start), start), FIRST);
        for (passed, verdict) in [
            (Duration::ZERO, Verdict::JustEnded),
            (Duration::from_millis(59_999), Verdict::JustEnded),
            (MINUTE, Verdict::Ended),
            (29 * DAY, Verdict::Ended),
        ] {
            let now = start.saturating_add(passed);
            assert_eq!(set.check(&session, now), verdict, "{passed:?}");
            assert_eq!(set.check(&visitor(2, start), now), Verdict::Fine, "another");
        }
        assert_eq!(set.check_permanent(&permanent(1, start), start), Verdict::Fine);
    }

    #[test]
    fn the_first_revocation_counts_and_the_later_deadline() {
        let (clock, set) = (Clock::manual(), Revocations::new());
        let start = clock.now();
        assert_eq!(set.revoke_id(sid(1), start.saturating_add(MINUTE), start), FIRST);
        clock.advance(MINUTE);
        assert_eq!(set.revoke_id(sid(1), later(start), clock.now()), AGAIN);
        assert_eq!(set.check(&visitor(1, start), clock.now()), Verdict::Ended);
        // Had the first deadline stayed, it would go as soon as the set grows.
        for number in 2..10_000 {
            let _ = set.revoke_id(sid(number), later(start), clock.now());
        }
        assert_eq!(set.check(&visitor(1, start), clock.now()), Verdict::Ended);
    }

    #[test]
    fn permanent_data_is_revoked_for_itself() {
        let (clock, set) = (Clock::manual(), Revocations::new());
        let start = clock.now();
        assert_eq!(set.check_permanent(&permanent(1, start), start), Verdict::Fine);
        assert_eq!(set.revoke_permanent(&permanent(1, start), start), FIRST);
        assert_eq!(set.revoke_permanent(&permanent(1, start), start), AGAIN);
        assert_eq!(set.check_permanent(&permanent(1, start), start), Verdict::JustEnded);
        assert_eq!(set.check(&visitor(1, start), start), Verdict::Fine);
        clock.advance(400 * DAY);
        assert_eq!(set.check_permanent(&permanent(1, start), clock.now()), Verdict::Ended);
    }

    #[test]
    fn revoking_an_owner_ends_the_logins_before_it_and_none_after_it() {
        let (clock, set) = (Clock::manual(), Revocations::new());
        let before = member(1, "42", clock.now());
        clock.advance(MINUTE);
        let same_instant = member(2, "42", clock.now());
        let owner = OwnerTag::of("42");
        let now = clock.now();
        assert_eq!(set.revoke_owner(owner, None, later(now), now), Some(FIRST));
        // The clock has not moved since, and the next login is after it all the same.
        let after = member(3, "42", set.authenticated(owner, now));
        for (header, verdict) in [
            (&before, Verdict::JustEnded),
            (&same_instant, Verdict::JustEnded),
            (&after, Verdict::Fine),
            (&member(4, "43", now), Verdict::Fine),
            (&visitor(5, now), Verdict::Fine),
        ] {
            assert_eq!(set.check(header, now), verdict);
        }
        let _ = set.revoke_owner(owner, None, later(now), now);
        assert_eq!(set.check(&after, now), Verdict::JustEnded, "revoked again in the same instant");
        let again = member(6, "42", set.authenticated(owner, now));
        assert_eq!(set.check(&again, now), Verdict::Fine);
        clock.advance(2 * MINUTE);
        assert_eq!(set.check(&before, clock.now()), Verdict::Ended);
        assert_eq!(set.check(&again, clock.now()), Verdict::Fine);
    }

    #[test]
    fn the_session_that_revokes_the_others_stays() {
        let (clock, set) = (Clock::manual(), Revocations::new());
        let (this, other) = (member(1, "42", clock.now()), member(2, "42", clock.now()));
        clock.advance(MINUTE);
        let (owner, now) = (OwnerTag::of("42"), clock.now());
        let _ = set.revoke_owner(owner, kept(&this), later(now), now);
        assert_eq!(set.check(&this, now), Verdict::Fine);
        assert_eq!(set.check(&other, now), Verdict::JustEnded);
        let _ = set.revoke(&this, now);
        assert_eq!(set.check(&this, now), Verdict::JustEnded, "it may still log out");

        let third = member(3, "42", set.authenticated(owner, now));
        let _ = set.revoke_owner(owner, kept(&third), later(now), now);
        let fourth = member(4, "42", set.authenticated(owner, now));
        let _ = set.revoke_owner(owner, kept(&fourth), later(now), now);
        assert_eq!(set.check(&third, now), Verdict::JustEnded, "kept before, not any more");
        assert_eq!(set.check(&fourth, now), Verdict::Fine);
    }

    #[test]
    fn what_is_forgotten_at_the_bound_stays_ended() {
        let (clock, set) = (Clock::manual(), Revocations::bounded(160, 160, 160));
        let mut revoked = Vec::new();
        let mut all_before = None;
        for number in 0..5_000 {
            clock.advance(Duration::from_secs(1));
            let now = clock.now();
            let outcome = set.revoke_id(sid(number), later(now), now);
            assert_eq!(outcome.by, By::ThisCall);
            revoked.push(visitor(number, now));
            if let Some(instant) = outcome.all_before {
                assert!(all_before <= Some(instant) || set.issued(instant) > instant);
                all_before = all_before.max(Some(instant));
            }
            for header in revoked.iter().rev().step_by(37) {
                assert_ne!(set.check(header, now), Verdict::Fine, "{number}");
            }
            let new = visitor(1_000_000 + number, set.issued(now));
            assert_eq!(set.check(&new, now), Verdict::Fine, "{number}: a session of now");
        }
        let now = clock.now();
        assert!(revoked.iter().all(|header| set.check(header, now) != Verdict::Fine));
        let all_before = all_before.unwrap();
        assert_eq!(set.issued(Timestamp::from_millis(0)), all_before);
        // What is left: few, and the latest.
        assert!(set.sessions.len() <= 160);
        assert!(now.saturating_since(all_before) < Duration::from_secs(200), "no more than needed");
        let bystander = visitor(2_000_000, all_before);
        assert_eq!(set.check(&bystander, now), Verdict::Fine);
        let older = visitor(2_000_001, Timestamp::from_millis(all_before.as_millis() - 1));
        assert_eq!(set.check(&older, now), Verdict::Ended, "the price of the bound");
        assert_eq!(set.check_permanent(&permanent(1, older.issued), now), Verdict::Fine);
    }

    #[test]
    fn owners_that_are_forgotten_at_the_bound_stay_logged_out() {
        let (clock, set) = (Clock::manual(), Revocations::bounded(160, 160, 160));
        let mut revoked = Vec::new();
        for number in 0..1_000 {
            clock.advance(Duration::from_secs(1));
            let (owner, now) = (number.to_string(), clock.now());
            revoked.push(member(number, &owner, now));
            let _ = set.revoke_owner(OwnerTag::of(&owner), None, later(now), now);
            let again = member(number, &owner, set.authenticated(OwnerTag::of(&owner), now));
            assert_eq!(set.check(&again, now), Verdict::Fine);
        }
        let now = clock.now();
        assert!(set.owners.len() <= 160);
        assert!(revoked.iter().all(|header| set.check(header, now) != Verdict::Fine));
        assert_eq!(set.check(&visitor(1, revoked[0].issued), now), Verdict::Fine, "nobody's");
    }

    #[test]
    fn permanent_data_that_is_forgotten_at_the_bound_stays_ended() {
        let (clock, set) = (Clock::manual(), Revocations::bounded(160, 160, 160));
        let mut revoked = Vec::new();
        for number in 0..1_000 {
            clock.advance(Duration::from_secs(1));
            revoked.push(permanent(number, clock.now()));
            let _ = set.revoke_permanent(&permanent(number, clock.now()), clock.now());
        }
        let now = clock.now();
        assert!(set.permanents.len() <= 160);
        assert!(revoked.iter().all(|header| set.check_permanent(header, now) != Verdict::Fine));
        let new = permanent(5_000, set.issued_permanent(now));
        assert_eq!(set.check_permanent(&new, now), Verdict::Fine);
    }

    #[test]
    fn a_bound_that_is_met_in_one_instant_lets_new_sessions_in() {
        let (clock, set) = (Clock::manual(), Revocations::bounded(16, 16, 16));
        let now = clock.now();
        for number in 0..100 {
            let _ = set.revoke_id(sid(number), later(now), now);
            let _ = set.revoke_owner(OwnerTag::of(&number.to_string()), None, later(now), now);
        }
        assert!((0..100).all(|number| set.check(&visitor(number, now), now) != Verdict::Fine));
        let login = set.authenticated(OwnerTag::of("5"), now);
        let mut header = member(1_000, "5", login);
        header.issued = set.issued(now);
        assert_eq!(set.check(&header, now), Verdict::Fine);
    }

    #[test]
    fn a_session_from_an_instance_whose_clock_is_ahead_stays_ended_too() {
        let (clock, set) = (Clock::manual(), Revocations::bounded(160, 16, 16));
        let ahead = clock.now().saturating_add(4 * MINUTE);
        let (known, named) = (visitor(1, ahead), visitor(2, ahead));
        let _ = set.revoke(&known, clock.now());
        let _ = set.revoke_id(named.sid, later(ahead), clock.now());
        for number in 10..2_000 {
            clock.advance(Duration::from_secs(10));
            let now = clock.now();
            let _ = set.revoke_id(sid(number), later(now), now);
            assert_ne!(set.check(&known, now), Verdict::Fine, "{number}");
            assert_ne!(set.check(&named, now), Verdict::Fine, "{number}");
        }
    }

    #[test]
    fn a_session_that_was_made_after_a_bound_in_the_same_instant_can_be_ended() {
        let (clock, set) = (Clock::manual(), Revocations::bounded(16, 16, 16));
        let now = clock.now();
        for number in 0..100 {
            let _ = set.revoke_id(sid(number), later(now), now);
        }
        let session = visitor(1_000, set.issued(now));
        assert!(session.issued > now);
        let _ = set.revoke_id(session.sid, later(now), now);
        for number in 2_000..2_100 {
            let _ = set.revoke_id(sid(number), later(now), now);
            assert_ne!(set.check(&session, now), Verdict::Fine, "{number}");
        }
    }

    #[test]
    fn what_has_expired_makes_room_and_nothing_is_forgotten() {
        let (clock, set) = (Clock::manual(), Revocations::bounded(1_600, 16, 16));
        for number in 0..50_000 {
            // 600 of them matter at any time.
            clock.advance(Duration::from_secs(1));
            let until = clock.now().saturating_add(10 * MINUTE);
            let outcome = set.revoke_id(sid(number), until, clock.now());
            assert_eq!(outcome, FIRST, "{number}");
        }
        assert!(set.sessions.len() <= 1_600);
        assert_eq!(set.issued(Timestamp::from_millis(0)), Timestamp::from_millis(0));
    }

    #[test]
    fn an_entry_takes_38_bytes_where_the_set_is_full() {
        let set = Revocations::bounded(16 * 896, 16, 16);
        let now = Clock::manual().now();
        let allocated = allocation_counter::measure(|| {
            for number in 0..12_000 {
                let _ = set.revoke_id(sid(number), later(now), now);
            }
        });
        // 16 tables of 1024 places, each of 32 bytes and one for its tag.
        let full = usize::try_from(allocated.bytes_current).unwrap();
        assert!(full / (16 * 896) <= 38, "{full} bytes");
    }

    #[test]
    fn of_many_threads_exactly_one_ends_a_session() {
        let (clock, set) = (Clock::manual(), Revocations::bounded(1_600, 16, 16));
        let (now, start) = (clock.now(), Barrier::new(4));
        let first = thread::scope(|scope| {
            let threads = [(); 4].map(|()| {
                scope.spawn(|| {
                    start.wait();
                    let revoke = |number: &u64| {
                        let revoked = set.revoke_id(sid(*number), later(now), now);
                        assert_ne!(set.check(&visitor(*number, now), now), Verdict::Fine);
                        revoked.by == By::ThisCall
                    };
                    (0..1_000).filter(revoke).count()
                })
            });
            threads.map(|thread| thread.join().unwrap()).iter().sum::<usize>()
        });
        assert_eq!(first, 1_000);
    }

    #[test]
    fn no_thread_sees_a_forgotten_session_alive() {
        let (clock, set) = (Clock::manual(), Revocations::bounded(64, 16, 16));
        let revoked: Vec<_> = (0..200)
            .map(|number| {
                clock.advance(Duration::from_secs(1));
                let _ = set.revoke_id(sid(number), later(clock.now()), clock.now());
                visitor(number, clock.now())
            })
            .collect();
        let start = Barrier::new(3);
        thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                for number in 1_000..20_000 {
                    clock.advance(Duration::from_secs(1));
                    let _ = set.revoke_id(sid(number), later(clock.now()), clock.now());
                }
            });
            for _ in 0..2 {
                scope.spawn(|| {
                    start.wait();
                    for header in revoked.iter().cycle().take(40_000) {
                        assert_ne!(set.check(header, clock.now()), Verdict::Fine);
                    }
                });
            }
        });
    }
}
