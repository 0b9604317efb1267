//! What `load` says: every key has its answer, and what was stored comes back as it was.

use super::subject::{LATER, NOW, REMEMBERED, Random, Subject, change, ended, key, record, sound};
use crate::{Change, Loaded, NewRecord, StoreKey, Timestamp};

pub(super) async fn an_unused_key_is_unknown(store: Subject) {
    assert_eq!(store.look(key(1)).await, Loaded::Unknown);
    store.fill([1]).await;
    assert_eq!(store.look(key(2)).await, Loaded::Unknown);
}

pub(super) async fn a_record_comes_back_as_it_was_made(store: Subject) {
    let mut new = NewRecord::new(b"bytes", NOW, LATER);
    new.owner = Some("42");
    new.meta = b"phone";
    let version = store.make(key(1), new).await;
    let stored = store.live(key(1)).await;
    assert_eq!((&stored.bytes[..], &stored.meta[..]), (&b"bytes"[..], &b"phone"[..]));
    assert_eq!((stored.version, stored.expires_at), (version, LATER));
}

pub(super) async fn load_answers_in_the_order_of_the_keys(store: Subject) {
    store.fill(1..=3).await;
    store.ended(key(2)).await;
    let asked = [key(4), key(3), key(2), key(1)];
    let answers = sound(store.load(&asked).await);
    assert_eq!(answers.len(), 4, "there is one answer for each key");
    assert_eq!(answers[0], Loaded::Unknown);
    assert!(matches!(&answers[1], Loaded::Live(stored) if stored.bytes == 3_u64.to_be_bytes()));
    assert_eq!(answers[2], ended(REMEMBERED));
    assert!(matches!(&answers[3], Loaded::Live(stored) if stored.bytes == 1_u64.to_be_bytes()));
}

pub(super) async fn load_of_a_key_that_comes_twice_answers_twice(store: Subject) {
    store.fill([1]).await;
    let answers = sound(store.load(&[key(1), key(2), key(1), key(2), key(1)]).await);
    let live = Loaded::Live(store.live(key(1)).await);
    let unknown = Loaded::Unknown;
    assert_eq!(answers, [live.clone(), unknown.clone(), live.clone(), unknown, live]);
}

pub(super) async fn load_of_no_keys_is_empty(store: Subject) {
    store.fill([1]).await;
    assert_eq!(sound(store.load(&[]).await), []);
}

pub(super) async fn load_of_500_keys_keeps_their_order(store: Subject) {
    // Every third key is unused, so that an answer left out moves those behind it.
    store.fill((0..500).filter(|number| number % 3 > 0)).await;
    let keys: Vec<_> = (0..500).map(key).collect();
    let answers = sound(store.load(&keys).await);
    assert_eq!(answers.len(), 500, "there is one answer for each key");
    for (number, answer) in (0_u64..).zip(&answers) {
        let stored = if let Loaded::Live(stored) = answer { Some(&stored.bytes[..]) } else { None };
        let bytes = number.to_be_bytes();
        let expected = (number % 3 > 0).then_some(&bytes[..]);
        assert_eq!(stored, expected, "the answer for key {number}");
    }
}

/// Keys that differ in little: a letter's case, a bit at either end, bytes that texts do not have.
pub(super) async fn keys_are_told_apart_by_every_bit(store: Subject) {
    let mut keys = vec![[0; 32], [b'a'; 32], [b'A'; 32], [b' '; 32], [0xff; 32]];
    for place in [0, 15, 16, 31] {
        for (byte, bit) in [(b'a', 1), (b'a', 0x20), (0, 0x80), (0xff, 0x80)] {
            let mut key = [byte; 32];
            key[place] ^= bit;
            keys.push(key);
        }
    }
    for key in &keys {
        store.make(StoreKey::from_bytes(*key), record(key)).await;
    }
    for key in &keys {
        assert_eq!(store.live(StoreKey::from_bytes(*key)).await.bytes, key);
    }
}

pub(super) async fn bytes_come_back_unchanged_up_to_1_mib(store: Subject) {
    let mut random = Random::new(1);
    let every_byte: Vec<u8> = (0..=255).collect();
    let not_text = vec![0xc3, 0x28, 0x00, 0xff, 0xfe, b'\\', b'\'', b'"', b'%', b'\r', b'\n'];
    let largest: Vec<u8> = (0..1 << 20).map(|_| random.next().to_le_bytes()[0]).collect();
    let cases = [Vec::new(), vec![0], vec![0; 1000], vec![b' '; 3], not_text, every_byte, largest];
    for (number, bytes) in (0..).zip(&cases) {
        let version = store.make(key(number), record(bytes)).await;
        // Not by `assert_eq`: a mebibyte is nothing to read.
        assert!(store.live(key(number)).await.bytes == *bytes, "made with {} bytes", bytes.len());
        let version = store.committed(key(number), version, change(b"other")).await;
        store.committed(key(number), version, change(bytes)).await;
        let stored = store.live(key(number)).await;
        assert!(stored.bytes == *bytes, "committed with {} bytes", bytes.len());
    }
}

pub(super) async fn a_label_comes_back_unchanged_up_to_256_bytes(store: Subject) {
    let every_byte: Vec<u8> = (0..=255).collect();
    for (number, meta) in (0..).zip([&b""[..], b"\0", b"phone ", &[0xff; 3], &every_byte]) {
        let mut new = record(b"bytes");
        new.meta = meta;
        let version = store.make(key(number), new).await;
        assert_eq!(store.live(key(number)).await.meta, meta);
        let mut change = change(b"bytes");
        store.committed(key(number), version, change).await;
        let version = store.live(key(number)).await.version;
        assert_eq!(store.live(key(number)).await.meta, b"", "the label of the change counts");
        change.meta = meta;
        store.committed(key(number), version, change).await;
        assert_eq!(store.live(key(number)).await.meta, meta);
    }
}

pub(super) async fn instants_come_back_unchanged_up_to_the_last(store: Subject) {
    let last = Timestamp::MAX.as_millis();
    // Beyond 2^53 a number that is kept as a float is another one.
    let instants = [0, 1, (1 << 53) + 1, last - 1, last].map(Timestamp::from_millis);
    let first = Timestamp::from_millis(0);
    for (number, instant) in (0..).zip(instants) {
        let key = key(number);
        let new = NewRecord::new(b"bytes", instant, instant);
        sound(store.create(&key, new, first).await);
        assert_eq!(store.live(key).await.expires_at, instant);
        let entry = sound(store.find(&key.id()).await).expect("there is a record");
        assert_eq!((entry.created, entry.expires_at), (instant, instant));
        assert!(sound(store.end(&key, instant).await));
        assert_eq!(store.look(key).await, ended(instant));
    }
}

/// The first instants there are: over by every clock, but nobody has told the store.
const LONG_AGO: [Timestamp; 2] = [Timestamp::from_millis(0), Timestamp::from_millis(1)];

pub(super) async fn an_expired_record_stands_until_it_is_deleted(store: Subject) {
    let [before, instant] = LONG_AGO;
    for number in [1, 2] {
        let new = NewRecord::new(b"bytes", before, instant);
        sound(store.create(&key(number), new, before).await);
    }
    let version = store.live(key(1)).await.version;
    assert!(sound(store.find(&key(1).id()).await).is_some(), "`find` is given no instant");
    assert_eq!(sound(store.scan(None, 9).await).len(), 2, "`scan` is given no instant");
    store.committed(key(1), version, Change::new(b"late", instant)).await;
    assert_eq!(store.live(key(1)).await.bytes, b"late");
    assert!(sound(store.end(&key(2), REMEMBERED).await), "there was a record");
    assert_eq!(store.look(key(2)).await, ended(REMEMBERED));

    assert_eq!(sound(store.delete_expired(instant, 9).await), 1);
    assert_eq!(store.look(key(1)).await, Loaded::Unknown);
}

pub(super) async fn a_tombstone_stands_until_it_is_deleted(store: Subject) {
    let [before, instant] = LONG_AGO;
    let new = NewRecord::new(b"bytes", before, LATER);
    sound(store.create(&key(1), new, before).await);
    assert!(sound(store.end(&key(1), instant).await), "there was a record");
    assert_eq!(store.look(key(1)).await, ended(instant));

    assert_eq!(sound(store.delete_expired(instant, 9).await), 1);
    assert_eq!(store.look(key(1)).await, Loaded::Unknown);
}
