//! The probe: what it writes down, whom its faults meet, and who goes on when.

use dframework_session_store::{
    Change, Loaded, NewRecord, Outcome, Page, Store, StoreError, StoreKey, Timestamp, Tombstone,
    Version,
    testing::{Fault, Probe, ReferenceStore, Verb},
};
use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

const NOW: Timestamp = Timestamp::from_millis(1_000);
const LATER: Timestamp = Timestamp::from_millis(9_000);

fn key(number: u8) -> StoreKey {
    StoreKey::from_bytes([number; 32])
}

/// A probe with a record at key 1, of which nothing is written down.
async fn with_a_record() -> Probe {
    let store = Probe::over(ReferenceStore::default());
    let below = store.below();
    below.create(&key(1), NewRecord::new(b"bytes", NOW, LATER), NOW).await.unwrap();
    store
}

async fn commit(store: &Probe) -> Result<Outcome, StoreError> {
    store.commit(&key(1), Version(1), Change::new(b"other", LATER)).await
}

/// Whether the future is ready now.
async fn is_ready<F: Future>(future: &mut Pin<&mut F>) -> bool {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await
}

#[tokio::test]
async fn every_call_is_carried_out_and_written_down() {
    let store: Probe = Probe::default();
    let mut new = NewRecord::new(b"bytes", NOW, LATER);
    new.owner = Some("42");
    new.presented = Some(Tombstone { key: key(9), remember_until: LATER });
    store.load(&[key(9), key(8)]).await.unwrap();
    store.create(&key(1), new, NOW).await.unwrap();
    let mut change = Change::new(b"other", LATER);
    change.owner = Some("42");
    store.commit(&key(1), Version(1), change).await.unwrap();
    change.move_to = Some(key(2));
    store.commit(&key(1), Version(2), change).await.unwrap();
    store.touch(&key(2), LATER).await.unwrap();
    assert_eq!(store.count(NOW).await.unwrap(), 1);
    assert_eq!(store.find(&key(2).id()).await.unwrap().map(|entry| entry.key), Some(key(2)));
    let page = Page { after: Some(key(1)), limit: 9 };
    assert_eq!(store.owned_by("42", NOW, page).await.unwrap().len(), 1);
    assert_eq!(store.scan(None, 9).await.unwrap().len(), 1);
    assert_eq!(store.end_owned_by("42", Some(&key(3)), LATER).await.unwrap(), 1);
    assert!(!store.end(&key(2), LATER).await.unwrap());
    assert_eq!(store.delete_expired(LATER, 9).await.unwrap(), 3);
    assert_eq!(
        store.take_lines(),
        [
            "load a b",
            "create c a",
            "commit c",
            "move c d",
            "touch d",
            "count",
            "find",
            "owned_by c",
            "scan",
            "end_owned_by e",
            "end d",
            "delete_expired",
        ]
    );
    assert_eq!(store.take_calls(), [], "each look shows what came since the last");
}

#[tokio::test]
async fn a_call_tells_its_keys_and_bytes() {
    let store = with_a_record().await;
    commit(&store).await.unwrap();
    let calls = store.take_calls();
    assert_eq!(calls[0].verb, Verb::Commit);
    assert_eq!(calls[0].keys, [key(1)]);
    assert_eq!(calls[0].bytes.as_deref(), Some(&b"other"[..]));
    assert_eq!(
        format!("{calls:?}"),
        "[Call { verb: Commit, keys: 1, bytes: Some(5) }]",
        "but shows neither"
    );
}

#[tokio::test]
async fn letters_do_not_end() {
    let store: Probe = Probe::default();
    for number in 0..60 {
        store.load(&[key(number)]).await.unwrap();
    }
    let lines = store.take_lines();
    assert_eq!((&*lines[25], &*lines[26], &*lines[59]), ("load z", "load a1", "load h2"));
    store.load(&[key(26)]).await.unwrap();
    assert_eq!(store.take_lines(), ["load a1"], "a key keeps its letter");
}

/// What becomes of a commit that meets a fault.
#[tokio::test(start_paused = true)]
async fn a_fault_does_what_it_says() {
    let timeout = Duration::from_secs(5);
    // The fault, whether the commit is carried out, whether it is answered, and whether that says too little.
    let cases = [
        (Fault::Unavailable, false, true, false),
        (Fault::LostBefore, false, true, true),
        (Fault::LostAfter, true, true, true),
        (Fault::Silent, false, false, false),
        (Fault::SilentAfter, true, false, false),
        (Fault::Held, false, false, false),
    ];
    for (fault, is_carried_out, is_answered, is_unknown) in cases {
        let store = with_a_record().await;
        store.fail_next(Verb::Commit, fault);
        let answer = tokio::time::timeout(timeout, commit(&store)).await;
        assert_eq!(answer.is_ok(), is_answered, "{fault:?}");
        if let Ok(answer) = answer {
            assert_eq!(answer.unwrap_err().outcome_is_unknown(), is_unknown, "{fault:?}");
        }
        let (_, stored) = store.only().await;
        assert_eq!(stored.bytes == b"other", is_carried_out, "{fault:?}");
    }
}

#[tokio::test]
async fn a_fault_can_be_a_wrong_answer() {
    let store = with_a_record().await;
    store.fail_next(Verb::Commit, Fault::Conflict);
    assert_eq!(commit(&store).await.unwrap(), Outcome::Conflict);
    assert_eq!(store.only().await.1.bytes, b"bytes");
    store.fail_next(Verb::Create, Fault::Conflict);
    let made = store.create(&key(2), NewRecord::new(b"bytes", NOW, LATER), NOW).await;
    assert_eq!((made.unwrap(), store.records(NOW).await), (Outcome::Conflict, 1));

    for (fault, answers) in [(Fault::OneTooFew, 1), (Fault::OneTooMany, 3)] {
        store.fail_next(Verb::Load, fault);
        assert_eq!(store.load(&[key(1), key(2)]).await.unwrap().len(), answers, "{fault:?}");
    }

    store.fail_next(Verb::Commit, Fault::Ended);
    assert_eq!(commit(&store).await.unwrap(), Outcome::Gone);
    assert!(matches!(store.at(key(1)).await, Loaded::Ended { until } if until < NOW));
}

#[tokio::test]
async fn a_fault_meets_the_calls_that_it_was_meant_for() {
    let fails = async |store: &Probe| {
        let mut failed = Vec::new();
        for _ in 0..3 {
            failed.push(store.load(&[key(1)]).await.is_err());
            failed.push(store.touch(&key(1), LATER).await.is_err());
        }
        failed
    };
    let (yes, no) = (true, false);
    let store = with_a_record().await;
    store.fail_nth(3, Fault::Unavailable);
    assert_eq!(fails(&store).await, [no, no, no, yes, no, no]);
    store.fail_next(Verb::Touch, Fault::Unavailable);
    assert_eq!(fails(&store).await, [no, yes, no, no, no, no]);
    store.fail_every(Verb::Load, Fault::Unavailable);
    assert_eq!(fails(&store).await, [yes, no, yes, no, yes, no]);
    store.fail_all(Fault::Unavailable);
    assert_eq!(fails(&store).await, [yes; 6]);
    assert!(!store.mend(), "every fault has been met");
    assert_eq!(fails(&store).await, [no; 6]);
    store.fail_nth(6, Fault::Unavailable);
    store.fail_next(Verb::Scan, Fault::Unavailable);
    assert_eq!(fails(&store).await, [no; 6]);
    assert!(store.mend(), "two faults were left");
    assert!(!store.mend());
}

#[tokio::test]
async fn calls_that_are_held_go_on_in_the_order_that_the_test_chooses() {
    let store = with_a_record().await;
    store.fail_all(Fault::Held);
    let key = key(1);
    let mut load = pin!(store.load(&[]));
    let mut touch = pin!(store.touch(&key, LATER));
    let mut end = pin!(store.end(&key, LATER));
    assert!(!is_ready(&mut load).await && !is_ready(&mut touch).await && !is_ready(&mut end).await);
    assert_eq!(store.waiting(), 3);
    store.release_nth(1);
    assert!(!is_ready(&mut load).await && is_ready(&mut touch).await && !is_ready(&mut end).await);
    store.release_nth(1);
    assert!(!is_ready(&mut load).await && is_ready(&mut end).await);
    store.release();
    assert!(is_ready(&mut load).await);
    assert_eq!(store.waiting(), 0);
}

#[tokio::test]
async fn a_call_that_was_released_before_it_came_does_not_wait() {
    let store = with_a_record().await;
    store.fail_every(Verb::Load, Fault::Held);
    store.release();
    store.load(&[]).await.unwrap();
    let mut second = pin!(store.load(&[]));
    assert!(!is_ready(&mut second).await, "one release is for one call");
}

#[tokio::test]
async fn a_call_that_is_dropped_while_it_is_held_is_out_of_the_way() {
    let store = with_a_record().await;
    store.fail_every(Verb::Load, Fault::Held);
    {
        let mut dropped = pin!(store.load(&[]));
        assert!(!is_ready(&mut dropped).await);
    }
    let mut load = pin!(store.load(&[]));
    assert!(!is_ready(&mut load).await);
    assert_eq!(store.waiting(), 1);
    store.release();
    assert!(is_ready(&mut load).await);
}

#[tokio::test]
async fn a_look_below_is_no_call() {
    let store = with_a_record().await;
    store.fail_all(Fault::Unavailable);
    assert_eq!(store.records(NOW).await, 1);
    assert!(matches!(store.at(key(1)).await, Loaded::Live(_)));
    store.overwrite(key(1), b"damaged").await;
    let (at, stored) = store.only().await;
    assert_eq!((at, &stored.bytes[..], stored.expires_at), (key(1), &b"damaged"[..], LATER));
    assert_eq!(store.take_calls(), []);
}

#[tokio::test]
async fn debug_shows_no_key_and_no_bytes() {
    let store = with_a_record().await;
    commit(&store).await.unwrap();
    assert_eq!(format!("{store:?}"), "Probe { calls: [Commit], held: 0, .. }");
    assert_eq!(format!("{:?}", store.below()), "ReferenceStore { keys: 1 }");
}
