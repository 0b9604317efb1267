//! Who is told of an event, how often, and that a hook which panics undoes nothing.

use super::{
    Event,
    log::{self, Name},
};
use crate::stealth::Rejection;
use dframework_session_store::{SessionId, Timestamp};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// What an application has registered with [`Config::on_event`](crate::Config::on_event).
pub(crate) type Hook = Arc<dyn Fn(&Event) + Send + Sync>;

/// Whoever is told of events: the log, and the hooks of the application.
pub(crate) struct Listeners {
    hooks: Vec<Hook>,
    unknown_tokens: Throttle,
    doubled_cookies: Throttle,
    refused_seals: [Throttle; Rejection::KINDS],
    has_told_of_https: AtomicBool,
}

impl Listeners {
    pub(crate) fn new(hooks: Vec<Hook>) -> Self {
        Self {
            hooks,
            unknown_tokens: Throttle::new(),
            doubled_cookies: Throttle::new(),
            refused_seals: std::array::from_fn(|_| Throttle::new()),
            has_told_of_https: AtomicBool::new(false),
        }
    }

    /// Tells an event. Where nobody listens it is not made: an id in memory costs a digest.
    pub(crate) fn tell(&self, name: Name, make: impl FnOnce() -> Event) {
        if let Some(event) = self.make(name, make) {
            self.tell_made(&event);
        }
    }

    /// Puts an event with those that are to be told once a commit is done. Where nobody listens it is not made.
    pub(crate) fn note(&self, name: Name, later: &mut Vec<Event>, make: impl FnOnce() -> Event) {
        later.extend(self.make(name, make));
    }

    fn make(&self, name: Name, make: impl FnOnce() -> Event) -> Option<Event> {
        let event = self.listen_to(name).then(make)?;
        debug_assert_eq!(Name::of(&event), name, "who listens to the one hears the other");
        Some(event)
    }

    pub(crate) fn tell_all(&self, events: &[Event]) {
        for event in events {
            self.tell_made(event);
        }
    }

    pub(crate) fn tell_of_unknown_token(&self, now: Timestamp, id: impl FnOnce() -> SessionId) {
        if self.listen_to(Name::UnknownToken)
            && let Some(left_out) = self.unknown_tokens.admit(now)
        {
            self.tell_made(&Event::UnknownToken { id: id(), left_out });
        }
    }

    pub(crate) fn tell_of_doubled_cookie(&self, now: Timestamp) {
        if self.listen_to(Name::CookieDoubled)
            && let Some(left_out) = self.doubled_cookies.admit(now)
        {
            self.tell_made(&Event::CookieDoubled { left_out });
        }
    }

    pub(crate) fn tell_of_refused_seal(&self, now: Timestamp, why: Rejection) {
        if self.listen_to(Name::SealRefused)
            && let Some(left_out) = self.refused_seals[why.kind()].admit(now)
        {
            self.tell_made(&Event::SealRefused { reason: why.name(), left_out });
        }
    }

    /// Says once which clients will drop the cookie that is being sent.
    pub(crate) fn tell_of_https(&self) {
        if !self.has_told_of_https.swap(true, Ordering::Relaxed) {
            self.tell(Name::CookieNeedsHttps, || Event::CookieNeedsHttps);
        }
    }

    fn listen_to(&self, name: Name) -> bool {
        !self.hooks.is_empty() || name.is_logged()
    }

    fn tell_made(&self, event: &Event) {
        log::write(event);
        for hook in &self.hooks {
            // What is told has happened: a hook that fails must not take the request with it.
            if catch_unwind(AssertUnwindSafe(|| hook(event))).is_err() {
                log::hook_panicked(event.name());
            }
        }
    }
}

/// Lets one event a minute through, and counts the others: what any client can cause with every request must not
/// fill a disk.
struct Throttle {
    /// The minute, since 1970, of the last one that was let through.
    minute: AtomicU64,
    left_out: AtomicU64,
}

impl Throttle {
    fn new() -> Self {
        Self { minute: AtomicU64::new(u64::MAX), left_out: AtomicU64::new(0) }
    }

    /// How many were left out before this one; `None` if it is left out itself.
    fn admit(&self, now: Timestamp) -> Option<u64> {
        let minute = now.as_millis() / 60_000;
        let last = self.minute.load(Ordering::Relaxed);
        // Somebody who has read the clock a moment later may have been quicker here.
        let is_over = last != minute && last != minute + 1;
        let exchange =
            |to| self.minute.compare_exchange(last, to, Ordering::Relaxed, Ordering::Relaxed);
        if !is_over || exchange(minute).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.left_out.swap(0, Ordering::Relaxed))
    }
}

/// Events of a commit that runs in a task of its own, told when they are dropped: by the request that waits for
/// the commit, or, where it has gone, by that task.
pub(crate) struct Untold {
    pub(crate) listeners: Arc<Listeners>,
    pub(crate) events: Vec<Event>,
}

impl Drop for Untold {
    fn drop(&mut self) {
        self.listeners.tell_all(&self.events);
    }
}
