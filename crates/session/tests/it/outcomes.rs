//! One fault at a time, or a whole outage: a step is done whole or not at all, and its answer tells which.

use crate::{
    homes::homes,
    stores::{Fault, Verb, in_a_probe},
    support::{Bench, Client, HOUR, Jar, in_a_store},
};
use dframework_session::{
    Config, Error, Sessions,
    store::{Store, testing},
};
use serde_json::json;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Step {
    Visit,
    Count,
    Use,
    Token,
    Login,
    Terms,
    Both,
    Logout,
}

const STEPS: [Step; 8] = [
    Step::Visit,
    Step::Count,
    Step::Use,
    Step::Token,
    Step::Login,
    Step::Terms,
    Step::Both,
    Step::Logout,
];

/// One request of the walk below, by an application that answers an error with its status.
async fn attempt(bench: &Bench, jar: &mut Jar, step: Step) -> Result<(), Error> {
    let session = bench.open(jar, Client::Plain, "POST");
    let handled = match step {
        Step::Visit | Step::Count => session.increment("visits", 1).await.map(drop),
        Step::Use => session.has("visits").await.map(drop),
        Step::Token => session.regenerate().await,
        Step::Login => session.set_owner("42").await,
        Step::Terms => session.permanent(json!({ "terms": "accepted" })).await,
        Step::Both => match session.set("terms", "again").await {
            Ok(()) => session.increment("visits", 1).await.map(drop),
            failed => failed,
        },
        Step::Logout => session.destroy().await,
    };
    let status = handled.as_ref().err().map_or(200, Error::status);
    let answered = bench.answer(jar, &session, status).await.map(drop);
    handled.and(answered.map_err(|failed| failed.error))
}

/// Goes through all steps, each again when it failed, and looks after each what the store holds.
async fn walk<S: Store + Clone>(store: &testing::Probe<S>, bench: &Bench, case: &str) {
    // A look that meets no faults and leaves no trace.
    let config = Config::new().clock(bench.clock.clone());
    let sessions = Sessions::from_store(store.below().clone(), &config).unwrap();
    let look = Bench::new("store", sessions, bench.clock.clone());
    let (mut jar, mut expected) = (Jar::default(), None);
    for step in STEPS {
        bench.clock.advance(HOUR / 2);
        for round in 0.. {
            let case = format!("{case} {step:?} {round}");
            assert!(round < 2, "{case}: it works again");
            let before = jar.clone();
            let done = attempt(bench, &mut jar, step).await;
            if let Err(error) = &done {
                assert_eq!(error.status(), 503, "{case}: {error}");
            }
            if step == Step::Logout {
                if done.is_ok() {
                    assert_eq!(look.visits(&before).await, None, "{case}");
                    break;
                }
                continue;
            }
            if done.is_ok() && matches!(step, Step::Visit | Step::Count | Step::Both) {
                expected = Some(expected.unwrap_or(0) + 1);
            }
            assert_eq!(look.visits(&jar).await, expected, "{case}: done whole or not at all");
            let makes_token = matches!(step, Step::Visit | Step::Token | Step::Login);
            let has_new_token = before.session() != jar.session();
            assert_eq!(has_new_token, makes_token && done.is_ok(), "{case}");
            if has_new_token {
                assert_eq!(look.visits(&before).await, None, "{case}: the old token is dead");
            }
            let records = [jar.session(), jar.companion(".p")].into_iter().flatten().count();
            assert_eq!(
                store.records(bench.clock.now()).await,
                records as u64,
                "{case}: no orphans"
            );
            if done.is_ok() {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whichever_call_fails_a_step_is_done_whole_or_not_at_all() {
    let (store, sound) = in_a_probe();
    walk(&store, &sound, "sound").await;
    let calls = store.take_verbs();
    assert_eq!(calls.last(), Some(&Verb::End), "{calls:?}");
    for fault in Fault::FAILURES {
        for (number, verb) in calls.iter().enumerate() {
            let (store, bench) = in_a_probe();
            store.fail_nth(number, fault);
            let case = format!("{fault:?} of call {number}, {verb:?},");
            walk(&store, &bench, &case).await;
            assert!(!store.mend(), "{case} did not come");
        }
    }
}

/// On the clock of the machine, so without the faults that take time.
#[tokio::test]
async fn whichever_answer_of_a_database_is_lost_a_step_is_done_whole_or_not_at_all() {
    for home in homes() {
        let store = home.store().await;
        // Every walk leaves the table without a record.
        let in_a_probe = || {
            let store = testing::Probe::over(store.clone());
            (store.clone(), in_a_store(store))
        };
        let (store, sound) = in_a_probe();
        walk(&store, &sound, home.engine()).await;
        let calls = store.take_verbs();
        for fault in [Fault::Unavailable, Fault::LostBefore, Fault::LostAfter] {
            for (number, verb) in calls.iter().enumerate() {
                let (store, bench) = in_a_probe();
                store.fail_nth(number, fault);
                let case = format!("{}: {fault:?} of call {number}, {verb:?},", home.engine());
                walk(&store, &bench, &case).await;
                assert!(!store.mend(), "{case} did not come");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_carried_out_counts_although_its_answer_was_lost() {
    for fault in [Fault::LostAfter, Fault::SilentAfter] {
        for change in ["begin", "set", "regenerate", "set_owner", "permanent", "forget permanent"] {
            let case = format!("{fault:?} {change}");
            let (store, bench) = in_a_probe();
            let mut jar = if change == "begin" { Jar::default() } else { bench.visitor().await };
            if change == "forget permanent" {
                let terms = json!({ "terms": "x" });
                bench.ok(&mut jar, async |session| session.permanent(&terms).await).await;
            }
            let handle = bench.open(&jar, Client::Plain, "POST");
            match change {
                "begin" | "set" => handle.set("name", "friend").await.unwrap(),
                "regenerate" => handle.regenerate().await.unwrap(),
                "set_owner" => handle.set_owner("42").await.unwrap(),
                "permanent" => handle.permanent(json!({ "terms": "x" })).await.unwrap(),
                _ => handle.forget("terms").await.unwrap(),
            }
            store.take_calls();
            store.fail_nth(0, fault);
            let head = bench.answer(&mut jar, &handle, 200).await.unwrap();
            let verbs = store.take_verbs();
            assert_eq!(verbs[1], Verb::Load, "{case}: one look");
            let most = if change == "permanent" { 3 } else { 2 };
            assert_eq!(verbs.len(), most, "{case}: {verbs:?}");
            assert_eq!(head.set_cookies.is_empty(), change == "set", "{case}");
            assert!(bench.read(&jar, "name").await.is_some(), "{case}");
            assert_eq!(bench.read(&jar, "terms").await.is_some(), change == "permanent", "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_logout_that_was_carried_out_counts_although_its_answer_was_lost() {
    for fault in [Fault::LostAfter, Fault::SilentAfter] {
        let (store, bench) = in_a_probe();
        let mut jar = bench.visitor().await;
        bench.ok(&mut jar, async |session| session.permanent(json!({ "terms": "x" })).await).await;
        let handle = bench.open(&jar, Client::Plain, "POST");
        handle.destroy().await.unwrap();
        store.fail_next(Verb::End, fault);
        let first = bench.answer(&mut jar, &handle, 200).await;
        let error = first.err().map(|failed| failed.error.to_string());
        bench.ok(&mut jar, async |session| session.destroy().await).await;
        let left = store.records(bench.clock.now()).await;
        assert_eq!((left, &jar), (0, &Jar::default()), "{fault:?}: {error:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_looked_up_is_503_without_a_cookie() {
    for change in ["begin", "regenerate"] {
        let (store, bench) = in_a_probe();
        let mut jar = if change == "begin" { Jar::default() } else { bench.visitor().await };
        let before = jar.clone();
        let handle = bench.open(&jar, Client::Plain, "POST");
        handle.set("name", "friend").await.unwrap();
        handle.regenerate().await.unwrap();
        store.fail_nth(0, Fault::LostAfter);
        store.fail_nth(1, Fault::Unavailable);
        let failed = bench.answer(&mut jar, &handle, 200).await.unwrap_err();
        assert_eq!(failed.error.status(), 503, "{change}");
        assert_eq!(jar, before, "{change}");
        assert_eq!(store.records(bench.clock.now()).await, 1, "{change}: never none at all");
        bench.ok(&mut jar, async |_| Ok(())).await;
    }
}

#[tokio::test]
async fn an_increment_that_lost_against_an_equal_one_is_not_taken_for_it() {
    let (store, bench) = in_a_probe();
    let mut jar = Jar::default();
    bench.ok(&mut jar, async |session| session.increment("visits", 1).await).await;
    let (first, second) =
        (bench.open(&jar, Client::Plain, "POST"), bench.open(&jar, Client::Plain, "POST"));
    first.increment("visits", 1).await.unwrap();
    second.increment("visits", 1).await.unwrap();
    bench.answer(&mut jar, &first, 200).await.unwrap();
    // The store answers that the second came too late, and the answer is lost.
    store.fail_next(Verb::Commit, Fault::LostAfter);
    let acknowledged = bench.answer(&mut jar, &second, 200).await.is_ok();
    let expected = if acknowledged { 3 } else { 2 };
    assert_eq!(bench.visits(&jar).await, Some(expected));
}

#[tokio::test]
async fn a_save_that_failed_half_way_applies_nothing_twice() {
    let (store, bench) = in_a_probe();
    let mut jar = bench.visitor().await;
    bench.ok(&mut jar, async |session| session.permanent(json!({ "visits": 1 })).await).await;
    let handle = bench.open(&jar, Client::Plain, "POST");
    assert_eq!(handle.increment("visits", 1).await.unwrap(), 2);
    handle.set("name", "friend").await.unwrap();
    // The permanent record is committed first, and the ordinary one is not.
    store.fail_nth(1, Fault::Unavailable);
    assert!(handle.save().await.unwrap_err().is_unavailable());
    assert_eq!(handle.get::<i64>("visits").await.unwrap(), Some(2));
    handle.save().await.unwrap();
    bench.answer(&mut jar, &handle, 200).await.unwrap();
    assert_eq!(bench.visits(&jar).await, Some(2));
    assert_eq!(bench.read(&jar, "name").await.as_deref(), Some("friend"));
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_everything_works_again() {
    for fault in Fault::FAILURES {
        let (store, bench) = in_a_probe();
        let mut jar = bench.visitor().await;
        let mut stranger = Jar::default();
        store.fail_all(fault);
        for _ in 0..50 {
            assert!(attempt(&bench, &mut jar, Step::Count).await.is_err(), "{fault:?}");
            let made = attempt(&bench, &mut stranger, Step::Visit).await;
            assert!(made.is_err(), "{fault:?}");
        }
        assert_eq!(stranger, Jar::default(), "{fault:?}");
        store.mend();
        bench.ok(&mut jar, async |session| session.increment("visits", 1).await).await;
        bench.ok(&mut stranger, async |session| session.increment("visits", 1).await).await;
        assert_eq!(bench.visits(&jar).await, Some(1), "{fault:?}");
        assert_eq!(bench.visits(&stranger).await, Some(1), "{fault:?}");
    }
}
