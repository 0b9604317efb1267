//! Keys, owners, instants and sizes at the ends of what there can be, on every engine.

use crate::{
    home::homes,
    support::{LATER, NOW, at, bytes, live, make, save},
};
use dframework_session_sqlx::SqlStore;
use dframework_session_store::{
    Change, Loaded, NewRecord, Outcome, Page, Store, StoreKey, Timestamp, Version,
};
use std::collections::BTreeSet;

/// Keys that a database which pads or trims would take for one another.
fn keys() -> Vec<StoreKey> {
    let mut keys = vec![[0; 32], [b' '; 32], [0xff; 32], [b'a'; 32], [b'A'; 32], [b'\\'; 32]];
    for end in [0, b' ', b'a', 0xff, b'\'', b'"', b'\\', b'?', b'$', b'%'] {
        for length in [1, 16, 31] {
            let mut key = [b'a'; 32];
            key[32 - length..].fill(end);
            keys.push(key);
        }
    }
    let keys: BTreeSet<[u8; 32]> = keys.into_iter().collect();
    keys.into_iter().map(StoreKey::from_bytes).collect()
}

#[tokio::test]
async fn keys_are_told_apart_byte_by_byte() {
    for home in homes() {
        let store = home.store().await;
        for (number, key) in (0_u8..).zip(keys()) {
            let made = make(&store, key, &[number]).await.unwrap();
            assert_eq!(made, Outcome::Committed(Version(1)), "{}", home.name());
        }
        let loaded = store.load(&keys()).await.unwrap();
        for (number, loaded) in (0_u8..).zip(loaded) {
            let Loaded::Live(stored) = loaded else { panic!("{}: {number}", home.name()) };
            assert_eq!(stored.bytes, [number]);
        }
        let scanned: Vec<StoreKey> =
            store.scan(None, 1_000).await.unwrap().into_iter().map(|(key, _)| key).collect();
        assert_eq!(scanned, keys(), "{}", home.name());
        // One after the other ends, and none with it.
        for (number, key) in (1..).zip(keys()) {
            assert!(store.end(&key, LATER).await.unwrap());
            assert_eq!(store.count(NOW).await.unwrap(), (keys().len() - number) as u64);
        }
    }
}

/// Owners that a database which pads, trims, folds or cuts would take for one another.
const OWNERS: &[&str] = &[
    "42",
    "42 ",
    " 42",
    "42\0",
    "42\0\0",
    "\0",
    " ",
    "42\t",
    "42\n",
    "a",
    "A",
    "ä",
    "a\u{308}",
    "ss",
    "ß",
    "ﬁ",
    "fi",
    "Ａ",
    "\u{200b}",
    "a\u{200b}",
    "'",
    "''",
    "\\",
    "\\'",
    "%",
    "_",
    "?",
    "$1",
    "NULL",
    "x'34'",
    "' OR '1'='1",
    "'; DROP TABLE sessions; --",
    "{table}",
    "?1",
    "?0",
    "😀",
    "\u{10ffff}",
    "i",
    "ı",
    "İ",
];

#[tokio::test]
async fn owners_are_told_apart_byte_by_byte_alone_and_in_batches() {
    for home in homes() {
        let urls: &[&str] = match home {
            crate::home::Home::Postgres(_) => &["", "?statement-cache-capacity=0"],
            _ => &[""],
        };
        for parameters in urls {
            let store = SqlStore::open(&(home.url() + parameters)).await.unwrap();
            store.migrate().await.unwrap();
            let key = |number: usize| StoreKey::from_bytes([u8::try_from(number).unwrap(); 32]);
            let store = &store;
            let creates = OWNERS.iter().enumerate().map(|(number, owner)| {
                let mut new = NewRecord::new(b"bytes", NOW, Timestamp::MAX);
                new.owner = Some(owner);
                let key = key(number);
                async move { store.create(&key, new, NOW).await.unwrap() }
            });
            crate::together::all(crate::together::wait(creates).await).await;
            for (number, owner) in OWNERS.iter().enumerate() {
                let page = Page { after: None, limit: 99 };
                let owned = store.owned_by(owner, NOW, page).await.unwrap();
                let owned: Vec<StoreKey> = owned.iter().map(|entry| entry.key).collect();
                assert_eq!(owned, [key(number)], "{}: {owner:?}", home.name());
                let ended = store.end_owned_by(owner, None, LATER).await.unwrap();
                assert_eq!(ended, 1, "{}: {owner:?}", home.name());
            }
            assert_eq!(store.delete_expired(LATER, 999).await.unwrap(), OWNERS.len());
        }
    }
}

#[tokio::test]
async fn the_last_instant_and_the_largest_record_are_kept_as_they_are() {
    for home in homes() {
        let store = home.store().await;
        let large: Vec<u8> = (0..1_u32 << 20)
            .flat_map(|n| [n.wrapping_mul(2_654_435_761).to_be_bytes()[0]])
            .collect();
        let key = |number| StoreKey::from_bytes([number; 32]);
        make(&store, key(1), &large).await.unwrap();
        assert!(bytes(&store, key(1)).await.as_deref() == Some(&large[..]), "{}", home.name());
        let saved = save(&store, key(1), 1, &large).await.unwrap();
        assert_eq!(saved, Outcome::Committed(Version(2)), "{}", home.name());
        // Several at a time, of which each is as large as a batch may be.
        let store = &store;
        let large = &large;
        let creates =
            (2..8).map(|number| async move { make(store, key(number), large).await.unwrap() });
        crate::together::all(crate::together::wait(creates).await).await;
        for number in 1..8 {
            let stored = live(store, key(number)).await.unwrap();
            assert!(
                stored.bytes == *large && stored.expires_at == Timestamp::MAX,
                "{}",
                home.name()
            );
            store.touch(&key(number), Timestamp::MAX).await.unwrap();
            let mut change = Change::new(b"small", Timestamp::MAX);
            (change.move_to, change.remember_until) = (Some(key(100 + number)), Timestamp::MAX);
            let moved = store.commit(&key(number), stored.version, change).await.unwrap();
            assert_eq!(moved, Outcome::Committed(Version(stored.version.0 + 1)));
            let there = at(store, key(number)).await.unwrap();
            assert_eq!(there, Loaded::Ended { until: Timestamp::MAX }, "{}", home.name());
        }
        // By the last instant all is over, and not before.
        let before = Timestamp::from_millis(Timestamp::MAX.as_millis() - 1);
        assert_eq!(store.delete_expired(before, 99).await.unwrap(), 0);
        assert_eq!(store.count(before).await.unwrap(), 7);
        assert_eq!(store.count(Timestamp::MAX).await.unwrap(), 0);
        assert_eq!(store.delete_expired(Timestamp::MAX, 99).await.unwrap(), 14);
    }
}
