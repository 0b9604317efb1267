//! What `find`, the lists, `count` and `scan` show, and what `end_owned_by` ends.

use super::subject::{
    ALL, LATER, NOW, REMEMBERED, Subject, at, change, ended, expiring, key, keys_of, moving, owned,
    record, sorted, sound,
};
use crate::{Page, StoreKey, Timestamp};

pub(super) async fn find_goes_by_the_first_half_of_the_key(store: Subject) {
    let with = |first: u8, last: u8| {
        let mut bytes = [first; 32];
        bytes[16..].fill(last);
        bytes[15] = last;
        StoreKey::from_bytes(bytes)
    };
    let mut keys = Vec::new();
    for first in [0, 1, 0x7f, 0x80, 0xff] {
        for last in [0, 1, 0x7f, 0x80, 0xff] {
            keys.push(with(first, last));
        }
    }
    for key in &keys {
        assert_eq!(sound(store.find(&key.id()).await), None, "before it was made");
        store.make(*key, record(b"bytes")).await;
        let found = sound(store.find(&key.id()).await);
        assert_eq!(found.map(|entry| entry.key), Some(*key));
    }
    for key in keys {
        let found = sound(store.find(&key.id()).await);
        assert_eq!(found.map(|entry| entry.key), Some(key), "among others");
    }
}

pub(super) async fn find_shows_no_tombstone(store: Subject) {
    store.fill([1]).await;
    store.ended(key(1)).await;
    assert_eq!(sound(store.find(&key(1).id()).await), None);
}

pub(super) async fn entries_show_what_was_last_committed_or_touched(store: Subject) {
    let mut new = owned("42");
    (new.meta, new.created) = (b"phone", at(5));
    let version = store.make(key(1), new).await;
    let show = async || {
        let found = sound(store.find(&key(1).id()).await).expect("there is a record");
        let [listed] = &store.owned("42", ALL).await[..] else { panic!("it is listed once") };
        assert_eq!(*listed, found, "both show the same");
        (found.created, found.expires_at, found.meta)
    };
    assert_eq!(show().await, (at(5), LATER, b"phone".to_vec()));
    let mut change = change(b"other");
    (change.owner, change.meta, change.expires_at) = (Some("42"), b"laptop", at(100));
    store.committed(key(1), version, change).await;
    assert_eq!(show().await, (at(5), at(100), b"laptop".to_vec()));
    sound(store.touch(&key(1), at(200)).await);
    assert_eq!(show().await, (at(5), at(200), b"laptop".to_vec()));
}

/// Makes records of an owner at the keys of these numbers.
async fn fill_owned(store: &Subject, owner: &str, numbers: std::ops::Range<u64>) -> Vec<StoreKey> {
    for number in numbers.clone() {
        store.make(key(number), owned(owner)).await;
    }
    sorted(numbers)
}

pub(super) async fn owned_by_lists_in_the_order_of_keys(store: Subject) {
    let keys = fill_owned(&store, "42", 0..30).await;
    fill_owned(&store, "43", 30..40).await;
    store.fill(40..50).await;
    assert_eq!(store.keys_owned("42").await, keys);
    assert_eq!(store.owned("nobody", ALL).await, []);
}

pub(super) async fn owned_by_shows_no_tombstones_and_nothing_that_has_expired(store: Subject) {
    fill_owned(&store, "42", 0..4).await;
    store.ended(key(1)).await;
    let mut new = owned("42");
    for (number, expires_at) in [(4, at(10)), (5, at(11))] {
        new.expires_at = expires_at;
        store.make(key(number), new).await;
    }
    let version = store.live(key(2)).await.version;
    let mut moved = moving(key(6));
    moved.owner = Some("42");
    store.committed(key(2), version, moved).await;
    // The instant of expiry is already expired.
    let listed = sound(store.owned_by("42", at(10), ALL).await);
    assert_eq!(keys_of(&listed), sorted([0, 3, 5, 6]));
}

pub(super) async fn owners_are_told_apart_byte_by_byte(store: Subject) {
    let owners = [
        "a",
        "A",
        "a ",
        " a",
        "a\t",
        "aa",
        "ä",
        "a\u{308}",
        "Ä",
        "å",
        "ss",
        "ß",
        "ẞ",
        "ı",
        "i",
        "I",
        "İ",
        "ﬁ",
        "fi",
        "ｆｉ",
        "1",
        "01",
        "1.0",
        "１",
        "%",
        "a%",
        "_",
        "a_",
        "*",
        "a*",
        "\\",
        "'",
        "''",
        "\"",
        "a\0",
        "a\0b",
        "\0",
        "\u{feff}a",
        "a\u{200b}",
        "🦀",
        "🦀🦀",
        "null",
        "NULL",
        "true",
        "{}",
        "a:b",
        "a/b",
        "a\nb",
        "a\r\nb",
    ];
    for (number, owner) in (0..).zip(owners) {
        store.make(key(number), owned(owner)).await;
    }
    for (number, owner) in (0..).zip(owners) {
        assert_eq!(store.keys_owned(owner).await, [key(number)], "owner {owner:?}");
    }
    for (number, owner) in (0..).zip(owners) {
        assert_eq!(sound(store.end_owned_by(owner, None, REMEMBERED).await), 1, "owner {owner:?}");
        assert!(!store.is_live(key(number)).await, "owner {owner:?}");
    }
}

pub(super) async fn an_owner_is_any_text_up_to_255_bytes(store: Subject) {
    let long = |last: char, length: usize| {
        let mut owner = "é".repeat(length / 2);
        owner.truncate(length - 1);
        owner.push(last);
        owner
    };
    // Alike up to the last byte.
    let owners = [long('a', 255), long('b', 255), long('b', 253), "\0".repeat(255)];
    for (number, owner) in (0..).zip(&owners) {
        store.make(key(number), owned(owner)).await;
    }
    for (number, owner) in (0..).zip(&owners) {
        assert_eq!(store.keys_owned(owner).await, [key(number)], "owner {number}");
    }
}

pub(super) async fn a_page_starts_behind_its_key(store: Subject) {
    let keys = fill_owned(&store, "42", 0..20).await;
    let behind =
        async |after| keys_of(&store.owned("42", Page { after: Some(after), limit: 5 }).await);
    assert_eq!(behind(keys[3]).await, keys[4..9]);
    assert_eq!(behind(keys[17]).await, keys[18..]);
    assert_eq!(behind(keys[19]).await, []);
    // What stands there may have ended since, or belong to somebody else.
    store.ended(keys[3]).await;
    assert_eq!(behind(keys[3]).await, keys[4..9]);
    assert_eq!(behind(StoreKey::from_bytes([0; 32])).await[..3], keys[..3]);
    assert_eq!(behind(StoreKey::from_bytes([0xff; 32])).await, []);
}

pub(super) async fn a_page_holds_at_most_its_limit(store: Subject) {
    let keys = fill_owned(&store, "42", 0..20).await;
    for (limit, expected) in [(0, 0), (1, 1), (19, 19), (20, 20), (21, 20), (usize::MAX, 20)] {
        let page = keys_of(&store.owned("42", Page { after: None, limit }).await);
        assert_eq!(page, keys[..expected], "a limit of {limit}");
    }
}

pub(super) async fn pages_one_after_the_other_show_every_record_once(store: Subject) {
    let keys = fill_owned(&store, "42", 0..50).await;
    fill_owned(&store, "43", 50..100).await;
    // In the middle of a page, so that one that is not shown does not make the page look like the last.
    let gone = [keys[9], keys[10], keys[25]];
    for key in gone {
        store.ended(key).await;
    }
    let mut shown: Vec<StoreKey> = Vec::new();
    loop {
        let page = store.owned("42", Page { after: shown.last().copied(), limit: 7 }).await;
        if page.is_empty() {
            break;
        }
        assert!(page.len() == 7 || shown.len() + page.len() == 47, "only the last page is short");
        shown.extend(keys_of(&page));
        assert!(shown.len() <= 50, "there is an end");
    }
    let expected: Vec<_> = keys.into_iter().filter(|key| !gone.contains(key)).collect();
    assert_eq!(shown, expected);
}

pub(super) async fn end_owned_by_ends_all_and_returns_how_many(store: Subject) {
    let theirs = fill_owned(&store, "42", 0..20).await;
    let others = fill_owned(&store, "43", 20..25).await;
    store.fill([25]).await;
    assert_eq!(sound(store.end_owned_by("42", None, at(500)).await), 20);
    let loaded = sound(store.load(&theirs).await);
    assert!(loaded.iter().all(|loaded| *loaded == ended(at(500))), "each end is remembered");
    assert_eq!(store.keys_owned("43").await, others);
    assert!(store.is_live(key(25)).await, "nobody's is nobody's");
    assert_eq!(sound(store.end_owned_by("42", None, at(900)).await), 0);
    assert_eq!(store.look(theirs[0]).await, ended(at(500)), "an end happens once");
    assert_eq!(sound(store.end_owned_by("nobody", None, at(500)).await), 0);
}

pub(super) async fn end_owned_by_spares_the_key_that_is_excepted(store: Subject) {
    let theirs = fill_owned(&store, "42", 0..5).await;
    let before = store.live(theirs[2]).await;
    assert_eq!(sound(store.end_owned_by("42", Some(&theirs[2]), REMEMBERED).await), 4);
    assert_eq!(store.live(theirs[2]).await, before);
    assert_eq!(store.keys_owned("42").await, [theirs[2]]);
}

pub(super) async fn end_owned_by_spares_nothing_for_a_key_of_somebody_else(store: Subject) {
    let theirs = fill_owned(&store, "42", 0..5).await;
    let other = fill_owned(&store, "43", 5..6).await;
    assert_eq!(sound(store.end_owned_by("42", Some(&other[0]), REMEMBERED).await), 5);
    assert_eq!(store.alive(&theirs).await, 0);
    assert_eq!(store.alive(&other).await, 1);
    fill_owned(&store, "44", 6..8).await;
    assert_eq!(sound(store.end_owned_by("44", Some(&key(99)), REMEMBERED).await), 2);
}

pub(super) async fn end_owned_by_leaves_what_has_another_owner_now(store: Subject) {
    fill_owned(&store, "42", 0..3).await;
    for (number, owner) in [(0, None), (1, Some("43"))] {
        let version = store.live(key(number)).await.version;
        let mut change = change(b"other");
        change.owner = owner;
        store.committed(key(number), version, change).await;
    }
    assert_eq!(sound(store.end_owned_by("42", None, REMEMBERED).await), 1);
    assert_eq!(store.alive(&[key(0), key(1), key(2)]).await, 2);
}

pub(super) async fn count_counts_what_lives_by_then(store: Subject) {
    assert_eq!(sound(store.count(NOW).await), 0);
    store.fill(0..5).await;
    store.ended(key(0)).await;
    store.make(key(5), expiring(at(10))).await;
    store.make(key(6), expiring(Timestamp::MAX)).await;
    let version = store.live(key(1)).await.version;
    store.committed(key(1), version, moving(key(7))).await;
    for (now, expected) in [(NOW, 6), (at(9), 6), (at(10), 5), (LATER, 1)] {
        assert_eq!(sound(store.count(now).await), expected, "by {now:?}");
    }
}

pub(super) async fn scan_reads_every_record_once_in_the_order_of_keys(store: Subject) {
    store.fill(0..30).await;
    fill_owned(&store, "42", 30..40).await;
    store.ended(key(7)).await;
    store.make(key(40), expiring(at(10))).await;
    let mut scanned = Vec::new();
    loop {
        let after = scanned.last().map(|(key, _)| *key);
        let page = sound(store.scan(after.as_ref(), 7).await);
        if page.is_empty() {
            break;
        }
        scanned.extend(page);
        assert!(scanned.len() <= 40, "there is an end");
    }
    let keys: Vec<_> = scanned.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, sorted((0..=40).filter(|number| *number != 7)));
    for (key, stored) in scanned {
        assert_eq!(stored, store.live(key).await, "as `load` shows it");
    }
}

pub(super) async fn scan_reads_at_most_its_limit(store: Subject) {
    store.fill(0..10).await;
    let keys = sorted(0..10);
    for (limit, expected) in [(0, 0), (1, 1), (10, 10), (11, 10), (usize::MAX, 10)] {
        let page = sound(store.scan(None, limit).await);
        let page: Vec<_> = page.into_iter().map(|(key, _)| key).collect();
        assert_eq!(page, keys[..expected], "a limit of {limit}");
    }
    let behind = sound(store.scan(Some(&StoreKey::from_bytes([0xff; 32])), 10).await);
    assert!(behind.is_empty(), "nothing is behind the last key");
}
