//! What `touch`, `end` and `delete_expired` do to a record's life.

use super::subject::{
    ALL, LATER, NOW, REMEMBERED, Subject, at, change, ended, expiring, key, owned, record, sound,
};
use crate::Loaded;

pub(super) async fn touch_only_raises(store: Subject) {
    store.make(key(1), expiring(at(100))).await;
    for (touch, expected) in [(200, 200), (150, 200), (200, 200), (0, 200), (201, 201)] {
        sound(store.touch(&key(1), at(touch)).await);
        assert_eq!(store.live(key(1)).await.expires_at, at(expected), "touched until {touch}");
    }
}

pub(super) async fn touch_changes_nothing_but_the_expiry(store: Subject) {
    let mut new = owned("42");
    new.meta = b"phone";
    let version = store.make(key(1), new).await;
    store.fill([2]).await;
    let (mut expected, other) = (store.live(key(1)).await, store.live(key(2)).await);
    expected.expires_at = at(90_000);
    sound(store.touch(&key(1), at(90_000)).await);
    assert_eq!(store.live(key(1)).await, expected);
    assert_eq!(store.live(key(2)).await, other);
    assert_eq!(store.keys_owned("42").await, [key(1)]);
    // Whoever loaded it before the touch has seen what is there.
    store.committed(key(1), version, change(b"other")).await;
}

pub(super) async fn a_commit_after_a_touch_sets_its_own_expiry(store: Subject) {
    let version = store.make(key(1), expiring(at(100))).await;
    sound(store.touch(&key(1), at(500)).await);
    let mut change = change(b"other");
    change.expires_at = at(200);
    store.committed(key(1), version, change).await;
    assert_eq!(store.live(key(1)).await.expires_at, at(200));
}

pub(super) async fn touch_of_an_unused_key_is_no_error_and_makes_nothing(store: Subject) {
    sound(store.touch(&key(1), LATER).await);
    assert_eq!(store.look(key(1)).await, Loaded::Unknown);
    assert_eq!(sound(store.count(NOW).await), 0);
}

pub(super) async fn touch_of_a_tombstone_is_no_error_and_changes_nothing(store: Subject) {
    store.fill([1]).await;
    store.ended(key(1)).await;
    sound(store.touch(&key(1), at(90_000)).await);
    assert_eq!(store.look(key(1)).await, ended(REMEMBERED));
}

pub(super) async fn end_leaves_a_tombstone_whatever_the_version(store: Subject) {
    for (number, commits) in [(1, 0), (2, 1), (3, 5)] {
        let mut version = store.make(key(number), owned("42")).await;
        for _ in 0..commits {
            let mut change = change(b"other");
            change.owner = Some("42");
            version = store.committed(key(number), version, change).await;
        }
        assert_eq!(store.keys_owned("42").await, [key(number)]);
        assert!(sound(store.end(&key(number), at(500)).await), "there was a record");
        assert_eq!(store.look(key(number)).await, ended(at(500)));
        assert_eq!((store.owned("42", ALL).await, sound(store.count(NOW).await)), (vec![], 0));
    }
}

pub(super) async fn end_of_an_absent_key_is_false_and_leaves_nothing(store: Subject) {
    store.fill([2]).await;
    assert!(!sound(store.end(&key(1), REMEMBERED).await), "there was no record");
    assert_eq!(store.look(key(1)).await, Loaded::Unknown);
    assert!(store.is_live(key(2)).await);
    // Nothing that would be remembered, so the key is free.
    store.fill([1]).await;
}

pub(super) async fn end_of_a_tombstone_is_false_and_changes_nothing(store: Subject) {
    store.fill([1]).await;
    store.ended(key(1)).await;
    for until in [at(10), at(90_000)] {
        assert!(!sound(store.end(&key(1), until).await), "it had ended before");
        assert_eq!(store.look(key(1)).await, ended(REMEMBERED));
    }
}

pub(super) async fn delete_expired_removes_nothing_that_lives(store: Subject) {
    for number in 0..10 {
        store.make(key(number), expiring(at(11))).await;
    }
    for number in 10..20 {
        store.fill([number]).await;
        assert!(sound(store.end(&key(number), at(11)).await));
    }
    let keys: Vec<_> = (0..20).map(key).collect();
    let before = sound(store.load(&keys).await);
    assert_eq!(sound(store.delete_expired(at(10), 1_000).await), 0);
    assert_eq!(sound(store.load(&keys).await), before);
}

pub(super) async fn delete_expired_takes_what_expires_at_this_instant(store: Subject) {
    store.make(key(1), expiring(at(10))).await;
    store.make(key(2), expiring(at(11))).await;
    store.fill([3, 4]).await;
    assert!(sound(store.end(&key(3), at(10)).await));
    assert!(sound(store.end(&key(4), at(11)).await));
    assert_eq!(sound(store.delete_expired(at(10), 1_000).await), 2);
    assert_eq!(store.look(key(1)).await, Loaded::Unknown);
    assert_eq!(store.live(key(2)).await.expires_at, at(11));
    assert_eq!(store.look(key(3)).await, Loaded::Unknown);
    assert_eq!(store.look(key(4)).await, ended(at(11)));
}

pub(super) async fn delete_expired_goes_by_the_last_commit_or_touch(store: Subject) {
    store.make(key(1), expiring(at(10))).await;
    store.make(key(2), expiring(at(10))).await;
    let version = store.make(key(3), expiring(at(100))).await;
    let moved = store.make(key(4), expiring(at(100))).await;
    sound(store.touch(&key(1), at(100)).await);
    let mut change = change(b"other");
    change.expires_at = at(10);
    store.committed(key(3), version, change).await;
    (change.move_to, change.remember_until) = (Some(key(5)), at(100));
    store.committed(key(4), moved, change).await;

    assert_eq!(sound(store.delete_expired(at(10), 1_000).await), 3);
    assert!(store.is_live(key(1)).await, "it was touched");
    assert_eq!(store.look(key(2)).await, Loaded::Unknown);
    assert_eq!(store.look(key(3)).await, Loaded::Unknown, "a commit let it end sooner");
    assert_eq!(store.look(key(4)).await, ended(at(100)), "the tombstone has its own time");
    assert_eq!(store.look(key(5)).await, Loaded::Unknown);
}

pub(super) async fn delete_expired_keeps_to_its_limit_until_nothing_is_left(store: Subject) {
    let keys: Vec<_> = (0..20).map(key).collect();
    for number in 0..10 {
        store.make(key(number), expiring(at(10))).await;
    }
    for number in 10..20 {
        store.make(key(number), record(b"bytes")).await;
        assert!(sound(store.end(&key(number), at(10)).await));
    }
    store.make(key(20), record(b"lives")).await;
    assert_eq!(sound(store.delete_expired(at(10), 0).await), 0);
    let left = async || {
        let loaded = sound(store.load(&keys).await);
        loaded.iter().filter(|loaded| **loaded != Loaded::Unknown).count()
    };
    let mut before = left().await;
    while before > 0 {
        let deleted = sound(store.delete_expired(at(10), 3).await);
        assert!((1..=3).contains(&deleted), "{deleted} deleted of {before}");
        let after = left().await;
        assert_eq!(after, before - deleted, "it returns how many it deleted");
        before = after;
    }
    assert_eq!(sound(store.delete_expired(at(10), usize::MAX).await), 0);
    assert!(store.is_live(key(20)).await);
}
