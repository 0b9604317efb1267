//! How much the table holds and how much it may hold.
//!
//! Room is reserved before an entry is made, so that threads that write at once do not go past a bound
//! together, and settled when it is known what the step took. A reservation that is dropped is given back.

use std::{
    ops::Add,
    sync::atomic::{AtomicUsize, Ordering},
};

/// What entries take: tombstones count as bytes, not as records.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Size {
    pub(super) records: usize,
    pub(super) bytes: usize,
}

impl Size {
    /// How much more this is than `other`.
    pub(super) fn beyond(self, other: Self) -> Self {
        Self {
            records: self.records.saturating_sub(other.records),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }

    pub(super) fn fits(self, max: Self) -> bool {
        self.records <= max.records && self.bytes <= max.bytes
    }
}

impl Add for Size {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            records: self.records.saturating_add(other.records),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

/// The two counters and their bounds.
///
/// They order nothing but themselves, so every access is relaxed.
pub(super) struct Room {
    max: Size,
    records: AtomicUsize,
    bytes: AtomicUsize,
}

impl Room {
    pub(super) fn new(max: Size) -> Self {
        Self { max, records: AtomicUsize::new(0), bytes: AtomicUsize::new(0) }
    }

    pub(super) fn used(&self) -> Size {
        Size {
            records: self.records.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }

    /// Whether this much would fit an empty table.
    pub(super) fn could_hold(&self, size: Size) -> bool {
        size.fits(self.max)
    }

    pub(super) fn has(&self, more: Size) -> bool {
        (self.used() + more).fits(self.max)
    }

    pub(super) fn reserve(&self, size: Size) -> Option<Reserved<'_>> {
        // Made only when the room was taken: dropping it gives the room back.
        self.take(size).then(|| Reserved { room: self, held: size })
    }

    /// A reservation of nothing, to be raised by [`Reserved::cover`].
    pub(super) fn nothing(&self) -> Reserved<'_> {
        Reserved { room: self, held: Size::default() }
    }

    /// Counts what came and what went, whatever the bounds.
    pub(super) fn exchange(&self, came: Size, went: Size) {
        exchange(&self.records, came.records, went.records);
        exchange(&self.bytes, came.bytes, went.bytes);
    }

    fn take(&self, more: Size) -> bool {
        if !raise(&self.records, more.records, self.max.records) {
            return false;
        }
        let taken = raise(&self.bytes, more.bytes, self.max.bytes);
        if !taken {
            exchange(&self.records, 0, more.records);
        }
        taken
    }
}

fn raise(counter: &AtomicUsize, by: usize, max: usize) -> bool {
    let raised = |used: usize| used.checked_add(by).filter(|&used| used <= max);
    by == 0 || counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, raised).is_ok()
}

fn exchange(counter: &AtomicUsize, came: usize, went: usize) {
    // Most commits keep their size. They leave the line of the counter to the other threads.
    if came != went {
        // Atomic addition wraps, so the difference may be below zero.
        counter.fetch_add(came.wrapping_sub(went), Ordering::Relaxed);
    }
}

/// Room that is counted already and not used yet.
pub(super) struct Reserved<'a> {
    room: &'a Room,
    held: Size,
}

impl Reserved<'_> {
    /// Raises the reservation to at least `need`, if that fits.
    pub(super) fn cover(&mut self, need: Size) -> bool {
        let more = need.beyond(self.held);
        let covered = self.room.take(more);
        if covered {
            self.held = self.held + more;
        }
        covered
    }

    /// Puts what the step really took in the place of the reservation.
    pub(super) fn settle(&mut self, came: Size, went: Size) {
        let held = std::mem::take(&mut self.held);
        self.room.exchange(came, held + went);
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.room.exchange(Size::default(), self.held);
    }
}
