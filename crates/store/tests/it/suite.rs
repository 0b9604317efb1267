//! How the acceptance suite runs: what it is given, what it says, and what is left when it is over.

use dframework_session_store::{
    Store,
    testing::{Case, Fault, Fresh, Probe, ReferenceStore, Verb, cases, test},
};
use std::{
    collections::HashSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

fn case(name: &str) -> Case {
    cases().into_iter().find(|case| case.name() == name).unwrap()
}

/// What a store lives on: says that it was dropped, and whether the store was there until then.
struct Ground {
    is_dropped: Arc<AtomicBool>,
    store: Weak<Probe>,
}

impl Drop for Ground {
    fn drop(&mut self) {
        assert_eq!(self.store.strong_count(), 0, "the store goes first");
        self.is_dropped.store(true, Ordering::SeqCst);
    }
}

/// A store with its ground, and whether the ground was dropped.
fn on_ground(store: Probe) -> (impl Fresh, Arc<AtomicBool>) {
    let (store, is_dropped) = (Arc::new(store), Arc::new(AtomicBool::new(false)));
    let ground = Ground { is_dropped: is_dropped.clone(), store: Arc::downgrade(&store) };
    ((store, ground), is_dropped)
}

fn down() -> Probe {
    let store = Probe::default();
    store.fail_all(Fault::Unavailable);
    store
}

#[test]
fn every_sentence_has_a_name_of_its_own() {
    let names: HashSet<_> = cases().iter().map(Case::name).collect();
    assert_eq!(names.len(), cases().len());
}

#[tokio::test]
async fn a_store_that_is_down_passes_nothing() {
    for case in cases() {
        let found = case.run(down()).await;
        let said = found.err().map(|broken| broken.to_string()).unwrap_or_default();
        assert!(said.starts_with(case.name()), "{case:?}: {said}");
        assert!(said.contains("the store is down") || case.name().contains("error"), "{said}");
    }
}

#[tokio::test]
async fn a_store_may_come_in_an_arc_or_with_what_it_lives_on() {
    let case = case("touch_only_raises");
    let shared: Arc<dyn Store> = Arc::new(ReferenceStore::default());
    case.run(ReferenceStore::default()).await.unwrap();
    case.run(Arc::new(ReferenceStore::default())).await.unwrap();
    case.run(shared.clone()).await.unwrap();
    case.run((Arc::new(ReferenceStore::default()), "a folder")).await.unwrap();
    assert!(case.run(shared).await.is_err(), "it was tried on the store that was given");
}

#[tokio::test]
async fn what_a_store_lives_on_is_dropped_after_it_however_the_sentence_ends() {
    for (store, holds) in [(Probe::default(), true), (down(), false)] {
        let (fresh, is_dropped) = on_ground(store);
        assert_eq!(case("touch_only_raises").run(fresh).await.is_ok(), holds);
        assert!(is_dropped.load(Ordering::SeqCst));
    }
}

#[test]
fn a_test_of_the_suite_fails_with_what_the_sentence_found() {
    let (fresh, is_dropped) = on_ground(down());
    let run = AssertUnwindSafe(|| test("touch_only_raises", async || fresh));
    let panic = catch_unwind(run).unwrap_err();
    let said = panic.downcast::<String>().unwrap();
    assert!(said.contains("the store is down"), "{said}");
    assert!(is_dropped.load(Ordering::SeqCst));
}

#[test]
fn a_test_of_the_suite_has_several_threads() {
    let threads = std::sync::Mutex::new(0);
    let (fresh, _) = on_ground(Probe::default());
    test("touch_only_raises", async || {
        let metrics = tokio::runtime::Handle::current().metrics();
        *threads.lock().unwrap() = metrics.num_workers();
        fresh
    });
    assert!(*threads.lock().unwrap() > 1);
}

#[tokio::test]
async fn every_operation_is_called_by_some_sentence() {
    let mut called = HashSet::new();
    for case in cases() {
        let store: Probe = Probe::default();
        case.run(store.clone()).await.unwrap();
        called.extend(store.take_verbs());
    }
    let of_lists = [Verb::Find, Verb::OwnedBy, Verb::EndOwnedBy, Verb::Count, Verb::Scan];
    let of_records = [Verb::Load, Verb::Create, Verb::Commit, Verb::Touch, Verb::End];
    let all = of_lists.into_iter().chain(of_records).chain([Verb::DeleteExpired]);
    assert_eq!(called, all.collect());
}
