//! What `commit` replaces where a record stays in its place, and when it must not.

use super::subject::{
    ALL, LATER, NOW, REMEMBERED, Subject, assert_gone, at, change, ended, expiring, key, moving,
    owned, record, sound,
};
use crate::{Loaded, Outcome, StoreKey, Version};
use std::collections::HashSet;

pub(super) async fn a_commit_replaces_bytes_label_owner_and_expiry(store: Subject) {
    let mut new = owned("42");
    new.meta = b"phone";
    let version = store.make(key(1), new).await;
    let mut change = change(b"more bytes than before");
    (change.meta, change.owner, change.expires_at) = (b"laptop", Some("43"), at(10));
    let version = store.committed(key(1), version, change).await;
    let stored = store.live(key(1)).await;
    assert_eq!(stored.bytes, b"more bytes than before");
    assert_eq!((&stored.meta[..], stored.version), (&b"laptop"[..], version));
    assert_eq!(stored.expires_at, at(10), "a commit sets the expiry, to an earlier instant too");
    assert_eq!(
        (store.keys_owned("42").await, store.keys_owned("43").await),
        (vec![], vec![key(1)])
    );

    change.owner = None;
    store.committed(key(1), version, change).await;
    assert_eq!(store.keys_owned("43").await, [], "it belongs to nobody now");
}

pub(super) async fn a_commit_keeps_the_beginning(store: Subject) {
    let mut version = store.make(key(1), record(b"bytes")).await;
    for _ in 0..3 {
        version = store.committed(key(1), version, change(b"other")).await;
    }
    let entry = sound(store.find(&key(1).id()).await).expect("there is a record");
    assert_eq!(entry.created, NOW);
}

pub(super) async fn a_commit_returns_the_version_that_is_loaded(store: Subject) {
    let mut version = store.make(key(1), record(b"bytes")).await;
    for number in 0..10_u8 {
        assert_eq!(store.live(key(1)).await.version, version);
        version = store.committed(key(1), version, change(&[number])).await;
    }
    assert_eq!(store.live(key(1)).await.version, version);
}

pub(super) async fn versions_differ_after_each_commit_and_never_come_back(store: Subject) {
    let mut place = key(0);
    let mut version = store.make(place, record(b"bytes")).await;
    let mut seen = HashSet::from([version]);
    for number in 1..40 {
        // The same bytes come back now and then, and the record moves now and then.
        let bytes = [u8::from(number % 3 == 0)];
        let mut change = change(&bytes);
        if number % 10 == 0 {
            (change.move_to, change.remember_until) = (Some(key(number)), REMEMBERED);
        }
        version = store.committed(place, version, change).await;
        place = change.move_to.unwrap_or(place);
        assert!(seen.insert(version), "{version:?} was there before commit {number}");
    }
    for old in seen.into_iter().filter(|old| *old != version) {
        let outcome = store.try_commit(place, old, change(b"late")).await;
        assert_eq!(outcome, Outcome::Conflict, "{old:?} was long ago");
    }
}

pub(super) async fn a_commit_of_equal_bytes_changes_the_version_too(store: Subject) {
    let first = store.make(key(1), record(b"bytes")).await;
    let second = store.committed(key(1), first, change(b"bytes")).await;
    assert_ne!(first, second);
    let outcome = store.try_commit(key(1), first, change(b"late")).await;
    assert_eq!(outcome, Outcome::Conflict);
}

pub(super) async fn a_commit_of_another_version_is_a_conflict_and_changes_nothing(store: Subject) {
    let first = store.make(key(1), owned("42")).await;
    let mut kept = change(b"kept");
    (kept.owner, kept.meta) = (Some("42"), b"phone");
    let second = store.committed(key(1), first, kept).await;
    let before = store.live(key(1)).await;
    for other in [first, Version(0), Version(second.0 + 1), Version(second.0 + 2)] {
        let outcome = store.try_commit(key(1), other, change(b"late")).await;
        assert_eq!(outcome, Outcome::Conflict, "{other:?} in place of {second:?}");
    }
    assert_eq!(store.live(key(1)).await, before);
    assert_eq!(store.keys_owned("42").await, [key(1)]);
}

/// Tries to commit where there is nothing, with every version that there may have been.
async fn assert_nothing_is_made(store: &Subject, key: StoreKey, before: &Loaded) {
    for version in (0..4).map(Version) {
        let mut late = change(b"late");
        late.owner = Some("late");
        assert_gone(store.try_commit(key, version, late).await);
        assert_eq!(store.look(key).await, *before, "{version:?}");
    }
    assert_eq!((store.owned("late", ALL).await, sound(store.count(NOW).await)), (vec![], 0));
}

pub(super) async fn a_commit_of_an_unused_key_is_gone_and_makes_nothing(store: Subject) {
    assert_nothing_is_made(&store, key(1), &Loaded::Unknown).await;
}

pub(super) async fn a_commit_of_a_record_that_ended_is_gone_and_makes_nothing(store: Subject) {
    let version = store.make(key(1), record(b"bytes")).await;
    let version = store.committed(key(1), version, change(b"more")).await;
    store.ended(key(1)).await;
    assert_gone(store.try_commit(key(1), version, change(b"late")).await);
    assert_nothing_is_made(&store, key(1), &ended(REMEMBERED)).await;
}

pub(super) async fn a_commit_of_a_record_that_was_deleted_is_gone_and_makes_nothing(
    store: Subject,
) {
    let version = store.make(key(1), expiring(at(10))).await;
    assert_eq!(sound(store.delete_expired(at(10), 9).await), 1);
    assert_gone(store.try_commit(key(1), version, change(b"late")).await);
    assert_nothing_is_made(&store, key(1), &Loaded::Unknown).await;
}

pub(super) async fn a_commit_of_a_record_that_moved_is_gone_and_changes_nothing(store: Subject) {
    let first = store.make(key(1), record(b"bytes")).await;
    let second = store.committed(key(1), first, moving(key(2))).await;
    for version in [first, second] {
        assert_gone(store.try_commit(key(1), version, change(b"late")).await);
        assert_eq!(store.look(key(1)).await, ended(REMEMBERED));
        assert_eq!(store.live(key(2)).await.bytes, b"moved");
    }
}

pub(super) async fn a_commit_at_one_key_leaves_the_others_alone(store: Subject) {
    store.fill(1..=3).await;
    let version = store.live(key(2)).await.version;
    let before = (store.live(key(1)).await, store.live(key(3)).await);
    store.committed(key(2), version, change(b"other")).await;
    assert_eq!(before, (store.live(key(1)).await, store.live(key(3)).await));
    assert_eq!(store.live(key(2)).await.expires_at, LATER);
}
