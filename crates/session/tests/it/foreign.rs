//! A store that breaks its contract, as the library meets it: an error or no session, and never somebody else's.

use crate::{
    broken_store::{
        Break::{self, *},
        Broken,
    },
    support::{Bench, Client, Jar, in_a_store, keepers_with, told},
};
use dframework_session::{
    Config, Error, RequestHead, ResponseHead, SessionHandle, Sessions,
    store::testing::{Probe, Verb},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Sessions in a store that keeps its contract until the test says otherwise.
fn in_a_broken_store() -> (Probe<Broken>, Bench) {
    let store = Probe::over(Broken::default());
    (store.clone(), in_a_store(store))
}

/// A browser with a session in which everything tells its name.
async fn visitor(bench: &Bench, name: &'static str) -> Jar {
    let mut jar = Jar::default();
    bench.ok(&mut jar, async |session| session.set_owner(name).await).await;
    bench.ok(&mut jar, async |session| session.set("name", name).await).await;
    jar
}

/// Every verb that shows something, with how it ended.
async fn shown(session: &SessionHandle) -> Vec<(&'static str, Option<Error>)> {
    vec![
        ("get", session.get::<String>("name").await.err()),
        ("has", session.has("name").await.err()),
        ("keys", session.keys().await.err()),
        ("all", session.all().await.err()),
        ("owner", session.owner().await.err()),
        ("id", session.id().await.err()),
        ("pull", session.pull::<String>("name").await.err()),
        ("claim", session.claim::<String>("name").await.err()),
        ("set", session.set("name", "friend").await.err()),
    ]
}

#[tokio::test]
async fn the_answer_for_another_key_is_shown_to_nobody() {
    let (store, bench) = in_a_broken_store();
    let (guest, friend) = (visitor(&bench, "guest").await, visitor(&bench, "friend").await);
    store.below().does(AnswersForAnother);
    for mut jar in [guest.clone(), friend.clone()] {
        store.take_calls();
        let handle = bench.open(&jar, Client::Plain, "POST");
        let (shown, log) = told(async || shown(&handle).await).await;
        for (verb, error) in shown {
            let error = error.unwrap_or_else(|| panic!("{verb} showed what it was given"));
            assert!(error.is_corrupt(), "{verb}: {error}");
        }
        assert!(log.contains("another session"), "{log}");
        assert!(!log.contains("guest") && !log.contains("friend"), "{log}");
        let before = jar.clone();
        bench.answer(&mut jar, &handle, 200).await.unwrap();
        assert_eq!(jar, before);
        let writes: Vec<_> = store.take_verbs().into_iter().filter(|v| *v != Verb::Load).collect();
        assert_eq!(writes, [], "nothing is written");
    }
    store.below().does(None);
    assert_eq!(bench.read(&guest, "name").await.as_deref(), Some("guest"));
    assert_eq!(bench.read(&friend, "name").await.as_deref(), Some("friend"));
}

#[tokio::test]
async fn a_wrong_answer_is_not_taken_in_a_replay_either() {
    for how in [AnswersForAnother, AnswersTooFew, AnswersTooMany] {
        let (store, bench) = in_a_broken_store();
        let (mut guest, friend) = (visitor(&bench, "guest").await, visitor(&bench, "friend").await);
        let handle = bench.open(&guest, Client::Plain, "POST");
        handle.increment("visits", 1).await.unwrap();
        bench.ok(&mut guest.clone(), async |session| session.set("other", 1).await).await;
        store.below().does(how);
        let failed = bench.answer(&mut guest, &handle, 200).await.unwrap_err();
        assert_eq!(failed.error.is_corrupt(), how == AnswersForAnother, "{how:?}");
        assert_eq!(failed.error.is_unavailable(), how != AnswersForAnother, "{how:?}");
        assert_eq!(failed.head.set_cookies, [""; 0], "{how:?}");
        store.below().does(None);
        assert_eq!((bench.visits(&guest).await, bench.visits(&friend).await), (None, None));
    }
}

#[tokio::test]
async fn a_session_can_be_destroyed_though_the_answer_is_for_another_key() {
    let (store, bench) = in_a_broken_store();
    let (mut guest, friend) = (visitor(&bench, "guest").await, visitor(&bench, "friend").await);
    let before = guest.clone();
    store.below().does(AnswersForAnother);
    bench.ok(&mut guest, async |session| session.destroy().await).await;
    store.below().does(None);
    assert!(!bench.is_alive(&before).await && bench.is_alive(&friend).await);
}

#[tokio::test]
async fn answers_in_another_order_show_nobody_another_session() {
    // Enough of them that some are in another order, and some are not.
    for _ in 0..30 {
        let store = Broken::default();
        let config = Config::new().cookie_name("s").insecure_cookie();
        let sessions = Sessions::from_store(store.clone(), &config).unwrap();
        let mut lines = Vec::new();
        for name in ["guest", "friend"] {
            let handle = sessions.open(RequestHead::new("POST"));
            handle.set("name", name).await.unwrap();
            let head = sessions.commit(&handle, ResponseHead::new(200)).await.unwrap();
            lines.push(head.set_cookies[0].split(';').next().unwrap().to_owned());
        }
        let field = lines.join("; ");
        store.does(AnswersInOrderOfKeys);
        let handle = sessions.open(RequestHead::new("GET").with_cookies([field.as_bytes()]));
        match handle.get::<String>("name").await {
            Ok(name) => assert_eq!(name.as_deref(), Some("guest"), "the first of two counts"),
            Err(error) => assert!(error.is_corrupt(), "{error}"),
        }
    }
}

#[tokio::test]
async fn a_commit_that_leaves_the_version_is_an_error() {
    for how in [CommitTellsTheOldVersion, VersionsNeverChange] {
        for change in ["set", "regenerate", "claim"] {
            let (store, bench) = in_a_broken_store();
            let mut jar = visitor(&bench, "guest").await;
            store.below().does(how);
            let handle = bench.open(&jar, Client::Plain, "POST");
            let error = match change {
                "claim" => handle.claim::<String>("name").await.err(),
                _ => {
                    handle.set("name", "friend").await.unwrap();
                    if change == "regenerate" {
                        handle.regenerate().await.unwrap();
                    }
                    let failed = bench.answer(&mut jar, &handle, 200).await.err();
                    failed.map(|failed| failed.error)
                }
            };
            let error = error.unwrap_or_else(|| panic!("{how:?} {change}: it was taken"));
            assert!(error.is_unavailable(), "{how:?} {change}: {error}");
        }
    }
}

#[tokio::test]
async fn two_commits_of_one_version_that_are_both_acknowledged_leave_one_of_them() {
    for how in [CommitsAnyVersion, VersionsComeBack] {
        let (store, bench) = in_a_broken_store();
        let mut jar = visitor(&bench, "guest").await;
        let friend = visitor(&bench, "friend").await;
        store.below().does(how);
        let handles = [(); 2].map(|()| bench.open(&jar, Client::Plain, "POST"));
        for handle in &handles {
            handle.increment("visits", 1).await.unwrap();
        }
        for handle in &handles {
            for _ in 0..4 {
                // Whoever is told of a conflict reads again; whoever is not has no way to know.
                handle.increment("visits", 1).await.unwrap();
                handle.save().await.unwrap();
            }
        }
        for handle in &handles {
            bench.answer(&mut jar, handle, 200).await.unwrap();
        }
        let visits = bench.visits(&jar).await.unwrap();
        assert!((5..=10).contains(&visits), "{how:?}: {visits}");
        assert_eq!(bench.read(&jar, "name").await.as_deref(), Some("guest"), "{how:?}");
        assert_eq!(bench.visits(&friend).await, None, "{how:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_lets_a_commit_pass_is_given_up() {
    for how in [CommitAlwaysConflicts, CommitIsAlwaysGone, KnowsNothing, CreateIsAlwaysGone] {
        for begins in [true, false] {
            let (store, bench) = in_a_broken_store();
            let mut jar = if begins { Jar::default() } else { visitor(&bench, "guest").await };
            let before = jar.clone();
            store.below().does(how);
            store.take_calls();
            let handle = bench.open(&jar, Client::Plain, "POST");
            handle.set("name", "friend").await.unwrap();
            let answered = bench.answer(&mut jar, &handle, 200).await;
            let calls = store.take_verbs().len();
            assert!(calls <= 2 * 32 + 2, "{how:?} {begins}: {calls} calls");
            let fails = begins == (how == CreateIsAlwaysGone);
            assert_eq!(answered.is_err(), fails, "{how:?} {begins}");
            if let Err(failed) = answered {
                assert_eq!(failed.error.status(), 503, "{how:?} {begins}: {}", failed.error);
                assert_eq!(jar, before, "{how:?} {begins}");
            }
            store.below().does(None);
            bench.ok(&mut jar, async |session| session.set("name", "visitor").await).await;
            assert_eq!(bench.read(&jar, "name").await.as_deref(), Some("visitor"));
        }
    }
}

#[tokio::test]
async fn revoking_ends_no_session_but_the_one_that_was_named() {
    let (store, bench) = in_a_broken_store();
    let (guest, friend) = (visitor(&bench, "guest").await, visitor(&bench, "friend").await);
    store.below().does(FindsAnother);
    for jar in [&guest, &friend] {
        let id = bench.open(jar, Client::Plain, "GET").id().await.unwrap().unwrap();
        let error = bench.sessions.revoke(id).await.unwrap_err();
        assert!(error.is_unavailable(), "{error}");
    }
    assert!(bench.is_alive(&guest).await && bench.is_alive(&friend).await);
}

#[tokio::test]
async fn pages_come_to_an_end_though_the_store_repeats_itself() {
    for how in [ListsTheSameForEver, PageRepeatsItsKey, PageIsOneTooLong] {
        let (store, bench) = in_a_broken_store();
        for _ in 0..5 {
            visitor(&bench, "guest").await;
        }
        store.below().does(how);
        let mut listed = Vec::new();
        for _ in 0..10 {
            let page = bench.sessions.of("guest", listed.last().copied(), 2).await.unwrap();
            assert!(page.len() <= 2, "{how:?}: {page:?}");
            listed.extend(page.iter().map(|session| session.id));
        }
        let different: BTreeSet<_> = listed.iter().copied().collect();
        assert_eq!((listed.len(), different.len()), (5, 5), "{how:?}: each once");
    }
}

/// What a store can do otherwise while a request is under way.
const LIES: [Break; 40] = [
    AbsentIsEnded,
    AnswersInOrderOfKeys,
    AnswersDuplicatesOnce,
    HasAClock,
    Caches,
    TruncatesAtNul,
    AnswersForAnother,
    AnswersTooFew,
    AnswersTooMany,
    KnowsNothing,
    CreateReplaces,
    CreateForgetsPresented,
    CreateKeepsWhatIsOver,
    CreatePresentsFirst,
    CreateLooksThenPresents,
    CreateIsAlwaysGone,
    CreateOnlySaysSo,
    Upserts,
    CommitsAnyVersion,
    CommitLooksThenWrites,
    CommitForgetsOwner,
    CommitNeverLowersExpiry,
    CommitTellsAnotherVersion,
    CommitSkipsEqualBytes,
    VersionsComeBack,
    MovesInTwoSteps,
    MovesByCopying,
    CommitAlwaysConflicts,
    CommitIsAlwaysGone,
    CommitOnlySaysSo,
    CommitTellsTheOldVersion,
    VersionsNeverChange,
    ForgetsTombstones,
    TouchSets,
    TouchMakes,
    TouchOfAbsentFails,
    EndMakes,
    EndIsTrueAgain,
    EndOnlySaysSo,
    EndSaysNothingWasThere,
];

/// Draws that are the same in every run.
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// Does one of the things that applications do; every value tells whose it is.
async fn act(session: &SessionHandle, name: &'static str, what: usize) -> Result<(), Error> {
    match what {
        0 => session.set("name", name).await,
        1 => session.push("list", name).await,
        2 => session.flash("status", name).await,
        3 => session.permanent(json!({ "terms": name })).await,
        4 => session.set_owner(name).await,
        5 => session.regenerate().await,
        6 => session.claim::<String>("name").await.map(drop),
        7 => session.destroy().await,
        8 => session.save().await,
        _ => session.increment("visits", 1).await.map(drop),
    }
}

/// Fails if a request sees anything that is not its own.
async fn assert_own(session: &SessionHandle, name: &str, case: &str) {
    if let Ok(owner) = session.owner().await {
        assert!(owner.is_none_or(|owner| owner == name), "{case}: somebody else's session");
    }
    for (key, value) in session.all().await.unwrap_or_default() {
        let values = if let Value::Array(values) = value { values } else { vec![value] };
        let is_own = |value: &Value| value.is_i64() || *value == name;
        assert!(values.iter().all(is_own), "{case}: {key} is somebody else's: {values:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_a_store_answers_nobody_sees_what_another_has_stored() {
    for seed in 0..150 {
        let (store, bench) = in_a_broken_store();
        let mut draws = Draws(seed);
        let mut jars = [("guest", Jar::default()), ("friend", Jar::default())];
        for step in 0..40 {
            let (name, jar) = &mut jars[draws.below(2)];
            let how = LIES[draws.below(LIES.len())];
            let how = (draws.below(3) > 0).then_some(how);
            let case = format!("seed {seed}, step {step}, {how:?}");
            store.below().does(how);
            let session = bench.open(jar, Client::Plain, "POST");
            assert_own(&session, name, &case).await;
            let mut status = 200;
            for _ in 0..draws.below(4) {
                if let Err(error) = act(&session, name, draws.below(10)).await {
                    status = error.status();
                }
                assert_own(&session, name, &case).await;
            }
            let _ = bench.answer(jar, &session, status).await;
            bench.clock.advance(std::time::Duration::from_secs(1));
        }
        assert!(store.take_calls().len() < 40 * 4 * 70, "seed {seed}: it does not end");
    }
}

#[tokio::test]
async fn every_driver_shows_a_session_by_the_key_for_which_it_was_written() {
    for bench in keepers_with(|config| config).await {
        let mut jar = visitor(&bench, "guest").await;
        for change in ["set", "regenerate", "permanent", "flash", "claim", "forget"] {
            let act = async |session: SessionHandle| match change {
                "set" => session.set("other", "guest").await,
                "regenerate" => session.regenerate().await,
                "permanent" => session.permanent(json!({ "terms": "guest" })).await,
                "flash" => session.flash("status", "guest").await,
                "claim" => session.claim::<String>("other").await.map(drop),
                _ => session.forget("terms").await,
            };
            bench.ok(&mut jar, act).await;
            let name = bench.read(&jar, "name").await;
            assert_eq!(name.as_deref(), Some("guest"), "{} {change}", bench.driver);
        }
    }
}
