//! What `create` makes, and what it leaves alone.

use super::subject::{
    ALL, LATER, NOW, REMEMBERED, Subject, assert_refused, at, ended, expiring, is_committed, key,
    owned, presenting, record, sound,
};
use crate::{Loaded, Outcome, Timestamp, Tombstone};

pub(super) async fn create_at_a_taken_key_is_an_error_and_changes_nothing(store: Subject) {
    let version = store.make(key(1), owned("42")).await;
    store.fill([2]).await;
    store.ended(key(2)).await;
    for taken in 1..=2 {
        let before = store.look(key(taken)).await;
        assert_refused(store.create(&key(taken), record(b"other"), NOW).await);
        assert_eq!(store.look(key(taken)).await, before);
    }
    assert_eq!(store.live(key(1)).await.version, version);
    assert_eq!(store.keys_owned("42").await, [key(1)]);
}

pub(super) async fn create_ends_the_unknown_key_that_was_presented(store: Subject) {
    // Enough pairs of keys that some lie side by side, wherever the store keeps them.
    for number in 0..200 {
        let (made, presented) = (key(number), key(1_000 + number));
        let outcome = sound(store.create(&made, presenting(presented), NOW).await);
        assert!(is_committed(&outcome), "{outcome:?}");
        assert_eq!(store.live(made).await.bytes, b"new");
        assert_eq!(store.look(presented).await, ended(REMEMBERED));
    }
}

pub(super) async fn create_ends_a_presented_record_that_has_expired(store: Subject) {
    let mut new = owned("42");
    new.expires_at = at(10);
    store.make(key(1), new).await;
    // The instant of expiry is already expired.
    let outcome = sound(store.create(&key(2), presenting(key(1)), at(10)).await);
    assert!(is_committed(&outcome), "{outcome:?}");
    assert_eq!(store.look(key(1)).await, ended(REMEMBERED));
    assert_eq!(store.live(key(2)).await.bytes, b"new");
    let left = sound(store.end_owned_by("42", None, REMEMBERED).await);
    assert_eq!(left, 0, "what has become a tombstone belongs to nobody");
}

pub(super) async fn create_ends_a_presented_tombstone_that_is_over(store: Subject) {
    store.fill([1]).await;
    assert!(sound(store.end(&key(1), at(10)).await));
    let outcome = sound(store.create(&key(2), presenting(key(1)), at(10)).await);
    assert!(is_committed(&outcome), "{outcome:?}");
    assert_eq!(store.look(key(1)).await, ended(REMEMBERED), "it is remembered anew");
    assert_eq!(store.live(key(2)).await.bytes, b"new");
}

pub(super) async fn create_over_a_live_presented_key_is_gone_and_makes_nothing(store: Subject) {
    store.make(key(1), expiring(at(11))).await;
    let before = store.look(key(1)).await;
    let outcome = sound(store.create(&key(2), presenting(key(1)), at(10)).await);
    assert_eq!(outcome, Outcome::Gone);
    assert_eq!(store.look(key(1)).await, before);
    assert_eq!(store.look(key(2)).await, Loaded::Unknown);
}

pub(super) async fn create_over_a_remembered_presented_key_is_gone_and_makes_nothing(
    store: Subject,
) {
    store.fill([1]).await;
    assert!(sound(store.end(&key(1), at(11)).await));
    let outcome = sound(store.create(&key(2), presenting(key(1)), at(10)).await);
    assert_eq!(outcome, Outcome::Gone);
    assert_eq!(store.look(key(1)).await, ended(at(11)));
    assert_eq!(store.look(key(2)).await, Loaded::Unknown);
}

pub(super) async fn create_at_a_taken_key_leaves_the_presented_one_alone(store: Subject) {
    store.fill([1]).await;
    assert_refused(store.create(&key(1), presenting(key(2)), NOW).await);
    assert_eq!(store.look(key(2)).await, Loaded::Unknown);

    store.make(key(3), expiring(at(10))).await;
    assert_refused(store.create(&key(1), presenting(key(3)), at(10)).await);
    let presented = store.look(key(3)).await;
    assert_ne!(presented, ended(REMEMBERED), "nothing was done");
    assert_eq!(store.live(key(1)).await.bytes, 1_u64.to_be_bytes());
}

pub(super) async fn create_at_the_presented_key_is_an_error_and_makes_nothing(store: Subject) {
    let mut new = owned("42");
    let remember_until = Timestamp::MAX;
    new.presented = Some(Tombstone { key: key(1), remember_until });
    assert_refused(store.create(&key(1), new, NOW).await);
    assert_eq!(store.look(key(1)).await, Loaded::Unknown);
    assert_eq!((store.owned("42", ALL).await, sound(store.count(NOW).await)), (vec![], 0));
    new.presented = None;
    new.expires_at = LATER;
    store.make(key(1), new).await;
}
