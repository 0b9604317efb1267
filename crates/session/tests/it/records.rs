//! Stored records that cannot be read, and what is kept of those that a newer version wrote.

use crate::{
    stores::{Fault, Probe, Verb},
    support::{Bench, Client, Jar, in_a_store},
};
use dframework_session::{Error, SessionHandle};
use serde_json::json;

/// A session in a store, the browser that holds it, and its bytes.
async fn stored() -> (Probe, Bench, Jar, Vec<u8>) {
    let store = Probe::default();
    let bench = in_a_store(store.clone());
    let mut jar = bench.visitor().await;
    bench
        .ok(&mut jar, async |session| {
            session.set_owner("42").await?;
            session.set("list", [1, 2, 3]).await?;
            session.flash("status", "hello").await
        })
        .await;
    let bytes = store.only().await.1.bytes;
    (store, bench, jar, bytes)
}

/// Puts other bytes where the only record is.
async fn damage(store: &Probe, bytes: &[u8]) {
    let (key, _) = store.only().await;
    store.overwrite(key, bytes).await;
}

/// Bytes that look like nothing, the same in every run.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Bytes that are no record, each with what is wrong with them.
fn damaged(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let truncated =
        (0..bytes.len()).map(|length| (format!("{length} bytes"), bytes[..length].to_vec()));
    let formats = (0..=255).filter(|format| *format != bytes[0]).map(|format| {
        let mut other = bytes.to_vec();
        other[0] = format;
        (format!("format {format}"), other)
    });
    let noises = (1..200).map(|seed| {
        let mut random = noise(seed, usize::try_from(seed).unwrap());
        // Half of them begin as a record does.
        if seed % 2 == 0 {
            random[0] = bytes[0];
        }
        (format!("noise {seed}"), random)
    });
    let longer = [(String::from("one byte more"), [bytes, &[0]].concat())];
    // The stamp is 19 bytes behind the owner; its last 8 are the beginning of the key.
    let mut unstamped = [&bytes[..29], &bytes[48..]].concat();
    unstamped[2] -= 19;
    let keys = (40..48).map(|place| {
        let mut other = bytes.to_vec();
        other[place] ^= 1;
        (format!("another key at {place}"), other)
    });
    let stamps = keys.chain([(String::from("no stamp"), unstamped)]);
    truncated.chain(formats).chain(noises).chain(longer).chain(stamps).collect()
}

/// Every verb that looks at the record, with how it ended.
async fn verbs(session: &SessionHandle) -> Vec<(&'static str, Option<Error>)> {
    vec![
        ("get", session.get::<String>("name").await.err()),
        ("has", session.has("name").await.err()),
        ("all", session.all().await.err()),
        ("owner", session.owner().await.err()),
        ("id", session.id().await.err()),
        ("set", session.set("name", "visitor").await.err()),
        ("flash", session.flash("status", "x").await.err()),
        ("increment", session.increment("visits", 1).await.err()),
        ("forget", session.forget("name").await.err()),
        ("permanent", session.permanent(json!({ "terms": true })).await.err()),
        ("regenerate", session.regenerate().await.err()),
        ("set_owner", session.set_owner("43").await.err()),
    ]
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_an_error_and_is_left_as_it_is() {
    let (store, bench, mut jar, sound) = stored().await;
    for (case, bytes) in damaged(&sound) {
        damage(&store, &bytes).await;
        let before = store.only().await;
        let handle = bench.open(&jar, Client::Plain, "POST");
        for (verb, error) in verbs(&handle).await {
            let error = error.unwrap_or_else(|| panic!("{case}: {verb} took it"));
            assert!(error.is_corrupt(), "{case} {verb}: {error}");
            assert_eq!(error.status(), 500, "{case} {verb}");
        }
        store.take_calls();
        let kept = jar.clone();
        let head = bench.answer(&mut jar, &handle, 204).await.unwrap();
        let messages = head.set_cookies.iter().all(|line| line.contains(".f"));
        assert!(messages, "{case}: {head:?}");
        jar = kept;
        assert_eq!(store.take_verbs(), [], "{case}: nothing is written");
        assert_eq!(store.only().await, before, "{case}");
    }
    damage(&store, &sound).await;
    assert_eq!(bench.read(&jar, "name").await.as_deref(), Some("guest"), "the test put it back");
}

#[tokio::test]
async fn a_record_that_cannot_be_read_can_be_destroyed() {
    for writes in [false, true] {
        let (store, bench, mut jar, sound) = stored().await;
        let old = jar.clone();
        damage(&store, &sound[..30]).await;
        bench
            .ok(&mut jar, async |session| {
                session.destroy().await?;
                if writes { session.set("name", "friend").await } else { Ok(()) }
            })
            .await;
        assert_eq!(jar.session().is_some(), writes);
        assert_ne!(jar.session(), old.session());
        assert_eq!(store.records(bench.clock.now()).await, u64::from(writes));
        assert!(!bench.is_alive(&old).await);
    }
}

#[tokio::test]
async fn a_record_that_is_damaged_under_a_request_is_not_overwritten() {
    let (store, bench, mut jar, sound) = stored().await;
    let handle = bench.open(&jar, Client::Plain, "POST");
    handle.increment("visits", 1).await.unwrap();
    damage(&store, &sound[..30]).await;
    let before = store.only().await;
    let failed = bench.answer(&mut jar, &handle, 200).await.unwrap_err();
    assert!(failed.error.is_corrupt(), "{}", failed.error);
    assert_eq!(failed.head.set_cookies, [""; 0]);
    assert_eq!(store.only().await, before);
    assert_eq!(before.1.bytes, sound[..30]);
}

#[tokio::test]
async fn a_value_that_is_no_json_is_an_error_and_is_left_as_it_is() {
    let (store, bench, mut jar, sound) = stored().await;
    let at = sound.windows(7).position(|part| part == b"\"guest\"").unwrap();
    for value in [*b"\"guest\\", [0xff; 7], *b"[[[[[[[", [0; 7]] {
        let mut bytes = sound.clone();
        bytes[at..at + 7].copy_from_slice(&value);
        damage(&store, &bytes).await;
        let handle = bench.open(&jar, Client::Plain, "POST");
        assert!(handle.get::<String>("name").await.is_err(), "{value:?}");
        assert!(handle.all().await.is_err(), "{value:?}");
        let list = handle.get::<Vec<u8>>("list").await.unwrap();
        assert_eq!(list.as_deref(), Some(&[1, 2, 3][..]), "{value:?}: others are sound");
        handle.set("name", "friend").await.unwrap();
        bench.answer(&mut jar, &handle, 200).await.unwrap();
        assert_eq!(bench.read(&jar, "name").await.as_deref(), Some("friend"), "{value:?}");
    }
}

/// The record with one more tagged field behind those that it has.
fn with_field(bytes: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::from_le_bytes([bytes[2], bytes[3]]);
    let (front, entries) = bytes.split_at(24 + usize::from(length));
    let field = [&[tag][..], &u16::try_from(value.len()).unwrap().to_le_bytes(), value].concat();
    let mut record = [front, &field, entries].concat();
    let length = length + u16::try_from(field.len()).unwrap();
    record[2..4].copy_from_slice(&length.to_le_bytes());
    record
}

#[tokio::test]
async fn a_field_of_a_newer_version_is_kept_through_every_rewrite() {
    let field = b"from a newer version";
    for owner in [None, Some("42")] {
        let store = Probe::default();
        let bench = in_a_store(store.clone());
        let mut jar = bench.visitor().await;
        if let Some(owner) = owner {
            bench.ok(&mut jar, async |session| session.set_owner(owner).await).await;
        }
        let sound = store.only().await.1.bytes;
        damage(&store, &with_field(&with_field(&sound, 9, field), 255, b"")).await;
        for change in ["set", "flash", "regenerate", "set_owner", "forget"] {
            bench
                .ok(&mut jar, async |session| match change {
                    "set" => session.set("name", "friend").await,
                    "flash" => session.flash("status", "hello").await,
                    "regenerate" => session.regenerate().await,
                    "set_owner" => session.set_owner("43").await,
                    _ => session.forget("name").await,
                })
                .await;
            let bytes = store.only().await.1.bytes;
            let kept = [&[9, 20, 0][..], field, &[255, 0, 0]].concat();
            let is_kept = bytes.windows(kept.len()).any(|part| part == kept);
            assert!(is_kept, "{owner:?} {change}");
        }
        let owner = bench.ok(&mut jar, async |session| session.owner().await).await;
        assert_eq!(owner.as_deref(), Some("43"));
    }
}

#[tokio::test]
async fn equal_contents_are_equal_bytes() {
    let (mut one, mut other) = (Vec::new(), Vec::new());
    for (keys, bytes) in [(["a", "b", "c"], &mut one), (["c", "a", "b"], &mut other)] {
        let store = Probe::default();
        let bench = in_a_store(store.clone());
        let mut jar = Jar::default();
        for key in keys {
            bench.ok(&mut jar, async |session| session.set(key, key).await).await;
        }
        *bytes = store.only().await.1.bytes;
        // The stamp behind the header, the tag and the length: 8 random bytes of the commit, 8 of the key.
        bytes.splice(27..43, [0; 16]);
    }
    assert_eq!(one, other);
}

#[tokio::test]
async fn a_loss_of_the_permanent_record_leaves_the_session() {
    let (store, bench, mut jar, _) = stored().await;
    store.fail_next(Verb::Create, Fault::Unavailable);
    let handle = bench.open(&jar, Client::Plain, "POST");
    handle.permanent(json!({ "terms": true })).await.unwrap();
    handle.set("name", "visitor").await.unwrap();
    let failed = bench.answer(&mut jar, &handle, 200).await.unwrap_err();
    assert!(failed.error.is_unavailable());
    assert_eq!(bench.read(&jar, "name").await.as_deref(), Some("guest"), "permanent goes first");
    assert_eq!(store.records(bench.clock.now()).await, 1);
}
