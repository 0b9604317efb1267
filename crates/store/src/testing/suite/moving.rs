//! What a commit does that moves its record: two keys, one step.

use super::subject::{
    ALL, NOW, REMEMBERED, Subject, assert_gone, assert_refused, at, change, ended, is_committed,
    key, keys_of, moving, owned, record, sound,
};
use crate::{Loaded, Outcome, Version};
use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

pub(super) async fn a_move_leaves_a_tombstone_in_the_same_step(store: Subject) {
    // Enough pairs of keys that some lie side by side, wherever the store keeps them.
    for number in 0..200 {
        let (from, to) = (key(number), key(1_000 + number));
        let version = store.make(from, record(b"bytes")).await;
        let version = store.committed(from, version, moving(to)).await;
        assert_eq!(store.look(from).await, ended(REMEMBERED));
        let stored = store.live(to).await;
        assert_eq!((&stored.bytes[..], stored.version), (&b"moved"[..], version));
    }
    assert_eq!(sound(store.count(NOW).await), 200);
}

pub(super) async fn a_move_takes_bytes_label_owner_and_beginning_along(store: Subject) {
    let version = store.make(key(1), owned("42")).await;
    let mut change = moving(key(2));
    (change.owner, change.meta, change.expires_at) = (Some("43"), b"phone", at(100));
    store.committed(key(1), version, change).await;
    let stored = store.live(key(2)).await;
    assert_eq!((&stored.bytes[..], &stored.meta[..]), (&b"moved"[..], &b"phone"[..]));
    assert_eq!(store.owned("42", ALL).await, []);
    let entries = store.owned("43", ALL).await;
    assert_eq!(keys_of(&entries), [key(2)]);
    assert_eq!((entries[0].created, entries[0].expires_at), (NOW, at(100)));
    assert_eq!(sound(store.find(&key(1).id()).await), None);
    assert!(sound(store.find(&key(2).id()).await).is_some());
}

pub(super) async fn a_move_goes_on_with_another_version(store: Subject) {
    let first = store.make(key(1), record(b"bytes")).await;
    let second = store.committed(key(1), first, moving(key(2))).await;
    assert_ne!(first, second);
    let late = store.try_commit(key(2), first, change(b"late")).await;
    assert_eq!(late, Outcome::Conflict, "whoever read it before the move has not seen it");
    store.committed(key(2), second, change(b"next")).await;
}

pub(super) async fn a_record_moves_as_often_as_it_is_asked_to(store: Subject) {
    let mut version = store.make(key(0), record(b"bytes")).await;
    for number in 0..10 {
        version = store.committed(key(number), version, moving(key(number + 1))).await;
    }
    for number in 0..10 {
        assert_eq!(store.look(key(number)).await, ended(REMEMBERED));
    }
    assert_eq!(store.live(key(10)).await.version, version);
    assert_eq!(sound(store.count(NOW).await), 1);
}

pub(super) async fn a_move_to_a_taken_key_is_an_error_and_changes_nothing(store: Subject) {
    let version = store.make(key(1), owned("42")).await;
    store.fill([2, 3]).await;
    store.ended(key(3)).await;
    let keys = [key(1), key(2), key(3)];
    let before = sound(store.load(&keys).await);
    // Its own key is taken, too.
    for taken in [2, 3, 1] {
        assert_refused(store.commit(&key(1), version, moving(key(taken))).await);
        assert_eq!(sound(store.load(&keys).await), before, "to key {taken}");
    }
    assert_eq!(store.keys_owned("42").await, [key(1)]);
}

pub(super) async fn a_move_of_another_version_is_a_conflict_and_changes_nothing(store: Subject) {
    let first = store.make(key(1), record(b"bytes")).await;
    let second = store.committed(key(1), first, change(b"kept")).await;
    for other in [first, Version(0), Version(second.0 + 1)] {
        let outcome = store.try_commit(key(1), other, moving(key(2))).await;
        assert_eq!(outcome, Outcome::Conflict, "{other:?} in place of {second:?}");
    }
    let stored = store.live(key(1)).await;
    assert_eq!((&stored.bytes[..], stored.version), (&b"kept"[..], second));
    assert_eq!(store.look(key(2)).await, Loaded::Unknown);
}

pub(super) async fn a_move_of_a_record_that_is_gone_makes_nothing(store: Subject) {
    let version = store.make(key(1), record(b"bytes")).await;
    store.ended(key(1)).await;
    for (gone, before) in [(key(1), ended(REMEMBERED)), (key(9), Loaded::Unknown)] {
        assert_gone(store.try_commit(gone, version, moving(key(2))).await);
        assert_eq!(store.look(gone).await, before);
        assert_eq!(store.look(key(2)).await, Loaded::Unknown);
    }
}

/// The caller's time can be over at any await of the store.
pub(super) async fn a_dropped_move_is_done_whole_or_not_at_all(store: Subject) {
    for polls in 0..30 {
        let (from, to) = (key(polls), key(1_000 + polls));
        let version = store.make(from, record(b"bytes")).await;
        poll_at_most(polls, store.commit(&from, version, moving(to))).await;
        // Ends it here, or finds it ended: after this, the move is done or will never be.
        let was_here = sound(store.end(&from, REMEMBERED).await);
        assert_eq!(store.look(from).await, ended(REMEMBERED));
        let is_there = store.is_live(to).await;
        assert_eq!(is_there, !was_here, "dropped after {polls} polls");
    }
    // Whatever the store holds to talk to its server, it still works.
    let version = store.make(key(5_000), record(b"bytes")).await;
    store.committed(key(5_000), version, change(b"other")).await;
    let outcome = store.try_commit(key(5_000), version, change(b"late")).await;
    assert!(!is_committed(&outcome));
}

/// Polls a future this often, lets others run in between, and drops it.
async fn poll_at_most<F: Future>(polls: u64, future: F) {
    let mut future = pin!(future);
    for _ in 0..polls {
        let mut is_ready = false;
        poll_fn(|context| {
            is_ready = future.as_mut().poll(context).is_ready();
            Poll::Ready(())
        })
        .await;
        if is_ready {
            return;
        }
        tokio::task::yield_now().await;
    }
}
