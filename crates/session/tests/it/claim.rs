//! `claim`: of several requests, exactly one gets the value, whatever else they do.

use crate::{
    interleaving::{Choices, Instances, interleave},
    stores::{Fault, Verb, in_a_probe},
    support::{Bench, Client, DAY, HOUR, Jar, NAME, in_a_store, in_memory, keepers},
};
use dframework_session::{Error, MemoryStore, RequestHead, ResponseHead, SessionHandle, Sessions};
use serde_json::{Value, json};
use std::sync::Arc;

/// The layer in which the value is that is claimed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Layer {
    Ordinary,
    Flash,
    Permanent,
    /// A value of its own expiry.
    Expiring,
}

impl Layer {
    const ALL: [Self; 4] = [Self::Ordinary, Self::Flash, Self::Permanent, Self::Expiring];

    async fn put(self, session: &SessionHandle) -> Result<(), Error> {
        match self {
            Self::Ordinary => session.set("ticket", "t1").await,
            Self::Flash => session.flash("ticket", "t1").await,
            Self::Permanent => session.permanent(json!({ "ticket": "t1" })).await,
            Self::Expiring => session.set_for("ticket", "t1", HOUR).await,
        }
    }

    /// A browser with a session, and with the value that is to be claimed.
    async fn prepared(self, bench: &Bench) -> Jar {
        let mut jar = bench.visitor().await;
        bench.ok(&mut jar, async |session| self.put(&session).await).await;
        jar
    }
}

async fn claim(session: &SessionHandle) -> Result<Option<String>, Error> {
    session.claim("ticket").await
}

async fn all(bench: &Bench, jar: &Jar) -> Value {
    bench.open(jar, Client::Plain, "GET").all().await.unwrap().into()
}

/// What a request does beside its claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Act {
    Claim,
    /// With changes of its own, before and after.
    ClaimAmidWrites,
    /// Answered with a 5xx.
    ClaimAndFail,
    Set,
}

/// What a request got and whether its changes were committed.
#[derive(Clone, Debug)]
struct Answer {
    got: Option<String>,
    lines: Vec<String>,
}

async fn carry_out(act: Act, index: usize, session: &SessionHandle) -> Option<String> {
    let own = format!("own {index}");
    match act {
        Act::Claim | Act::ClaimAndFail => claim(session).await.unwrap(),
        Act::ClaimAmidWrites => {
            session.increment("count", 1).await.unwrap();
            let got = claim(session).await.unwrap();
            session.set(own, 1).await.unwrap();
            got
        }
        Act::Set => {
            session.set(own, 1).await.unwrap();
            None
        }
    }
}

impl Act {
    fn status(self) -> u16 {
        if self == Self::ClaimAndFail { 500 } else { 200 }
    }
}

async fn request(sessions: Sessions, cookies: Arc<str>, act: Act, index: usize) -> Answer {
    // A script's: a request that would end the message for everybody is no matter of claiming.
    let head = RequestHead::new("POST").with_purpose(&|| Some(b"empty"), &|| None);
    let handle = sessions.open(head.with_cookies([cookies.as_bytes()]));
    let got = carry_out(act, index, &handle).await;
    let head = sessions.commit(&handle, ResponseHead::new(act.status())).await.unwrap();
    Answer { got, lines: head.set_cookies }
}

/// One claim got the value, it is gone, and nothing else is lost.
async fn check(bench: &Bench, before: &Jar, layer: Layer, acts: &[Act], answers: &[Answer]) {
    let place = format!("{}: {layer:?} {acts:?} {answers:?}", bench.driver);
    let got: Vec<_> = answers.iter().filter_map(|answer| answer.got.as_deref()).collect();
    assert_eq!(got, ["t1"], "{place}");
    let mut expected = json!({ "name": "guest" });
    let count = acts.iter().filter(|act| **act == Act::ClaimAmidWrites).count();
    if count > 0 {
        expected["count"] = json!(count);
    }
    for (index, act) in acts.iter().enumerate() {
        if matches!(act, Act::ClaimAmidWrites | Act::Set) {
            expected[format!("own {index}")] = json!(1);
        }
    }
    assert_eq!(all(bench, before).await, expected, "{place}");
    let mut jar = before.clone();
    for answer in answers {
        jar.take(&answer.lines);
    }
    assert_eq!(jar.session(), before.session(), "{place}");
    assert_eq!(jar.companion(".p"), None, "{place}: nothing permanent is left");
}

async fn all_orders(layer: Layer, acts: &[Act], instances: Instances) -> usize {
    let mut choices = Choices::default();
    let mut runs = 0;
    loop {
        let store = MemoryStore::new();
        let bench = in_a_store(store.clone());
        let jar = layer.prepared(&bench).await;
        let cookies: Arc<str> = jar.field().into();
        let start = |sessions, index: usize| request(sessions, cookies.clone(), acts[index], index);
        let of = (acts.len(), instances);
        let answers = interleave(&bench, store, of, &mut choices, start).await;
        check(&bench, &jar, layer, acts, &answers).await;
        runs += 1;
        if !choices.advance() {
            return runs;
        }
    }
}

const PAIRS: [&[Act]; 5] = [
    &[Act::Claim, Act::Claim],
    &[Act::Claim, Act::Set],
    &[Act::ClaimAmidWrites, Act::ClaimAmidWrites],
    &[Act::ClaimAmidWrites, Act::Set],
    &[Act::ClaimAndFail, Act::ClaimAmidWrites],
];

const TRIPLES: [&[Act]; 3] = [
    &[Act::Claim, Act::Claim, Act::Claim],
    &[Act::Claim, Act::ClaimAndFail, Act::Set],
    &[Act::Claim, Act::ClaimAndFail, Act::Claim],
];

#[tokio::test(start_paused = true)]
async fn one_of_two_requests_gets_the_value_in_every_order() {
    for instances in [Instances::One, Instances::OneEach] {
        for layer in Layer::ALL {
            for acts in PAIRS {
                let runs = all_orders(layer, acts, instances).await;
                assert!(runs >= 6, "{layer:?} {acts:?}: {runs}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_of_three_requests_gets_the_value_in_every_order() {
    for instances in [Instances::One, Instances::OneEach] {
        for layer in [Layer::Ordinary, Layer::Flash, Layer::Permanent] {
            for acts in TRIPLES {
                let runs = all_orders(layer, acts, instances).await;
                assert!(runs >= 30, "{layer:?} {acts:?}: {runs}");
            }
        }
    }
}

#[tokio::test]
async fn one_request_gets_the_value_in_every_order_in_memory() {
    for layer in Layer::ALL {
        for acts in PAIRS.into_iter().chain(TRIPLES) {
            let mut choices = Choices::default();
            loop {
                let bench = in_memory().await;
                let jar = layer.prepared(&bench).await;
                let script = Client::Fetch("empty");
                let handles: Vec<_> =
                    acts.iter().map(|_| bench.open(&jar, script, "POST")).collect();
                // A request loads, carries out, and is answered.
                let mut steps = vec![0; acts.len()];
                let mut answers = vec![Answer { got: None, lines: Vec::new() }; acts.len()];
                loop {
                    let open: Vec<_> = (0..acts.len()).filter(|index| steps[*index] < 3).collect();
                    if open.is_empty() {
                        break;
                    }
                    let index = open[choices.next(open.len())];
                    let handle = &handles[index];
                    match steps[index] {
                        0 => drop(handle.id().await.unwrap()),
                        1 => answers[index].got = carry_out(acts[index], index, handle).await,
                        _ => {
                            let head = ResponseHead::new(acts[index].status());
                            let head = bench.sessions.commit_now(handle, head).unwrap();
                            answers[index].lines = head.set_cookies;
                        }
                    }
                    steps[index] += 1;
                }
                check(&bench, &jar, layer, acts, &answers).await;
                if !choices.advance() {
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn two_tasks_of_one_request_do_not_both_get_it() {
    for bench in keepers().await {
        for layer in Layer::ALL {
            let jar = layer.prepared(&bench).await;
            let handle = bench.open(&jar, Client::Plain, "POST");
            let (one, other) = tokio::join!(claim(&handle), claim(&handle));
            let got: Vec<_> = [one.unwrap(), other.unwrap()].into_iter().flatten().collect();
            assert_eq!(got, ["t1"], "{}: {layer:?}", bench.driver);
        }
    }
}

#[tokio::test]
async fn a_claim_commits_its_removal_at_once_and_nothing_else() {
    for bench in keepers().await {
        for layer in Layer::ALL {
            for status in [200, 500] {
                let place = format!("{}: {layer:?}, {status}", bench.driver);
                let mut jar = layer.prepared(&bench).await;
                let other = jar.clone();
                let handle = bench.open(&jar, Client::Plain, "POST");
                handle.set("before", 1).await.unwrap();
                handle.forget("name").await.unwrap();
                handle.permanent(json!({ "theme": "dark" })).await.unwrap();
                handle.now("shown", 1).await.unwrap();
                assert_eq!(claim(&handle).await.unwrap().as_deref(), Some("t1"), "{place}");
                assert_eq!(
                    all(&bench, &other).await,
                    json!({ "name": "guest" }),
                    "{place}: at once"
                );
                let seen: Value = handle.all().await.unwrap().into();
                let mut expected = json!({ "before": 1, "theme": "dark", "shown": 1 });
                assert_eq!(seen, expected, "{place}: the request goes on with its changes");
                handle.set("after", 1).await.unwrap();
                bench.answer(&mut jar, &handle, status).await.unwrap();

                expected = json!({ "after": 1, "before": 1, "theme": "dark" });
                if status == 500 {
                    expected = json!({ "name": "guest" });
                }
                assert_eq!(all(&bench, &jar).await, expected, "{place}");
                let again = bench.ok(&mut jar, async |session| claim(&session).await).await;
                assert_eq!(again, None, "{place}");
            }
        }
    }
}

#[tokio::test]
async fn a_value_shown_now_and_saved_beside_outlives_a_claim() {
    for bench in keepers().await {
        let jar = Layer::Ordinary.prepared(&bench).await;
        let handle = bench.open(&jar, Client::Plain, "POST");
        handle.now("shown", 1).await.unwrap();
        handle.set("saved", 1).await.unwrap();
        handle.save().await.unwrap();
        assert_eq!(claim(&handle).await.unwrap().as_deref(), Some("t1"), "{}", bench.driver);
        assert_eq!(handle.get("shown").await.unwrap(), Some(1), "{}", bench.driver);
    }
}

#[tokio::test]
async fn claiming_the_last_permanent_key_ends_its_record_and_cookie() {
    for bench in keepers().await {
        for (status, left) in [(200, false), (500, false), (200, true)] {
            let place = format!("{}: {status}, left: {left}", bench.driver);
            let mut jar = Layer::Permanent.prepared(&bench).await;
            if left {
                let theme = json!({ "theme": "dark" });
                bench.ok(&mut jar, async |session| session.permanent(theme).await).await;
            }
            let before = jar.clone();
            let claimed = async |session: SessionHandle| claim(&session).await;
            let (got, head) = bench.request(&mut jar, Client::Plain, status, claimed).await;
            assert_eq!(got.unwrap().as_deref(), Some("t1"), "{place}");
            assert_eq!(jar.companion(".p").is_some(), left, "{place}: {:?}", head.set_cookies);
            assert_eq!(jar.session(), before.session(), "{place}");
            assert_eq!(head.set_cookies.len(), usize::from(!left), "{place}");
            let theme: Option<String> = bench.peek(&before, "theme").await;
            assert_eq!(theme.is_some(), left, "{place}");
        }
    }
}

#[tokio::test]
async fn permanent_data_after_a_claim_of_the_last_begins_a_record_of_its_own() {
    for bench in keepers().await {
        for before_it in [true, false] {
            let mut jar = Layer::Permanent.prepared(&bench).await;
            let former = jar.companion(".p").map(str::to_owned);
            bench
                .ok(&mut jar, async |session| {
                    let theme = json!({ "theme": "dark" });
                    if before_it {
                        session.permanent(&theme).await?;
                    }
                    assert_eq!(claim(&session).await?.as_deref(), Some("t1"));
                    if before_it { Ok(()) } else { session.permanent(&theme).await }
                })
                .await;
            assert_ne!(jar.companion(".p"), former.as_deref(), "{}", bench.driver);
            let expected = json!({ "name": "guest", "theme": "dark" });
            assert_eq!(all(&bench, &jar).await, expected, "{}", bench.driver);
        }
    }
}

#[tokio::test]
async fn a_value_of_another_type_is_not_claimed() {
    for bench in keepers().await {
        for layer in Layer::ALL {
            let mut jar = layer.prepared(&bench).await;
            let script = Client::Fetch("image");
            let wrong = async |session: SessionHandle| session.claim::<i64>("ticket").await;
            let (result, _) = bench.request(&mut jar, script, 200, wrong).await;
            let error = result.unwrap_err();
            assert!(error.is_wrong_type(), "{}: {layer:?}: {error}", bench.driver);
            let got = bench.ok(&mut jar, async |session| claim(&session).await).await;
            assert_eq!(got.as_deref(), Some("t1"), "{}: {layer:?}", bench.driver);
        }
    }
}

#[tokio::test]
async fn a_value_that_expired_meanwhile_is_not_claimed() {
    for bench in keepers().await {
        let jar = Layer::Expiring.prepared(&bench).await;
        let handle = bench.open(&jar, Client::Plain, "POST");
        assert!(handle.has("ticket").await.unwrap());
        bench.clock.advance(HOUR);
        assert_eq!(claim(&handle).await.unwrap(), None, "{}", bench.driver);
    }
}

#[tokio::test]
async fn what_only_this_request_knows_is_claimed_without_the_store() {
    for bench in keepers().await {
        for layer in Layer::ALL {
            let mut jar = Jar::default();
            bench
                .ok(&mut jar, async |session| {
                    layer.put(&session).await?;
                    assert_eq!(claim(&session).await?.as_deref(), Some("t1"));
                    assert_eq!(claim(&session).await?, None);
                    Ok(())
                })
                .await;
            assert_eq!(jar, Jar::default(), "{}: {layer:?}", bench.driver);
        }
    }
}

#[tokio::test]
async fn a_session_that_ended_has_nothing_to_claim() {
    for bench in keepers().await {
        for loaded_before in [true, false] {
            for pending in [true, false] {
                let place = format!("{}: {loaded_before} {pending}", bench.driver);
                let mut jar = Layer::Ordinary.prepared(&bench).await;
                let stale = jar.clone();
                let handle = bench.open(&stale, Client::Plain, "POST");
                if loaded_before {
                    assert!(handle.has("ticket").await.unwrap());
                    if pending {
                        handle.set("pending", 1).await.unwrap();
                    }
                }
                bench.ok(&mut jar, async |session| session.destroy().await).await;
                assert_eq!(claim(&handle).await.unwrap(), None, "{place}");
                let answer = bench.answer(&mut stale.clone(), &handle, 200).await;
                if loaded_before && pending {
                    let failed = answer.unwrap_err();
                    assert!(failed.error.is_gone(), "{place}: {failed}");
                    assert_eq!(failed.head.set_cookies, [""; 0], "{place}");
                } else {
                    assert_eq!(answer.unwrap().set_cookies, [""; 0], "{place}");
                }
            }
        }
    }
}

#[tokio::test]
async fn changes_of_a_session_that_ended_long_before_its_claim_make_no_other() {
    let (store, bench) = in_a_probe();
    let mut jar = Layer::Ordinary.prepared(&bench).await;
    let handle = bench.open(&jar, Client::Plain, "POST");
    handle.set("pending", 1).await.unwrap();
    // Its record goes so that nothing remembers it.
    store.fail_next(Verb::Commit, Fault::Ended);
    assert_eq!(claim(&handle).await.unwrap(), None);
    let failed = bench.answer(&mut jar, &handle, 200).await.expect_err("it is gone");
    assert!(failed.error.is_gone(), "{failed}");
    assert_eq!(failed.head.set_cookies, [""; 0]);
    assert_eq!(store.records(bench.clock.now()).await, 0);
}

#[tokio::test]
async fn a_logout_before_a_claim_in_the_same_request_leaves_nothing_to_claim() {
    for bench in keepers().await {
        for verb in ["destroy", "clear", "another owner", "forget"] {
            let mut jar = bench.visitor().await;
            bench.ok(&mut jar, async |session| session.set_owner("1").await).await;
            bench.ok(&mut jar, async |session| session.set("ticket", "t1").await).await;
            let got = bench
                .ok(&mut jar, async |session| {
                    match verb {
                        "destroy" => session.destroy().await?,
                        "clear" => session.clear().await?,
                        "another owner" => session.set_owner("2").await?,
                        _ => session.forget("ticket").await?,
                    }
                    claim(&session).await
                })
                .await;
            assert_eq!(got, None, "{}: {verb}", bench.driver);
        }
    }
}

#[tokio::test]
async fn a_claim_and_a_login_of_one_request_both_happen() {
    for bench in keepers().await {
        for first in [true, false] {
            let mut jar = Layer::Ordinary.prepared(&bench).await;
            let former = jar.clone();
            bench
                .ok(&mut jar, async |session| {
                    if first {
                        session.set_owner("42").await?;
                    }
                    assert_eq!(claim(&session).await?.as_deref(), Some("t1"));
                    if first { Ok(()) } else { session.set_owner("42").await }
                })
                .await;
            assert_ne!(jar.session(), former.session(), "{}", bench.driver);
            assert_eq!(all(&bench, &jar).await, json!({ "name": "guest" }), "{}", bench.driver);
            assert_eq!(all(&bench, &former).await, json!({}), "{}", bench.driver);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_fails_leaves_the_value_or_has_handed_it_out_once() {
    for layer in Layer::ALL {
        for (fault, hands_out) in [
            (Fault::Unavailable, false),
            (Fault::LostBefore, false),
            (Fault::Silent, false),
            (Fault::LostAfter, true),
            (Fault::SilentAfter, true),
            (Fault::Conflict, true),
        ] {
            let (store, bench) = in_a_probe();
            let mut jar = layer.prepared(&bench).await;
            let handle = bench.open(&jar, Client::Fetch("empty"), "POST");
            handle.set("pending", 1).await.unwrap();
            store.fail_next(Verb::Commit, fault);
            let first = claim(&handle).await;
            assert!(!store.mend(), "{layer:?} {fault:?}: it was met");
            let place = format!("{layer:?} {fault:?}: {first:?}");
            match &first {
                Ok(got) => assert_eq!(got.as_deref(), Some("t1"), "{place}"),
                Err(error) => {
                    assert!(!hands_out && error.is_unavailable(), "{place}");
                    assert_eq!(handle.get("pending").await.unwrap(), Some(1), "{place}");
                }
            }
            let second = claim(&handle).await.unwrap();
            let times = usize::from(matches!(first, Ok(Some(_)))) + usize::from(second.is_some());
            assert_eq!(times, 1, "{place}");
            bench.answer(&mut jar, &handle, 200).await.unwrap();
            let expected = json!({ "name": "guest", "pending": 1 });
            assert_eq!(all(&bench, &jar).await, expected, "{place}");
        }
    }
}

#[tokio::test]
async fn a_claim_after_the_head_gets_the_value_too() {
    for bench in keepers().await {
        for layer in Layer::ALL {
            let mut jar = layer.prepared(&bench).await;
            let handle = bench.open(&jar, Client::Fetch("image"), "GET");
            bench.answer(&mut jar, &handle, 200).await.unwrap();
            let got = claim(&handle).await.unwrap();
            assert_eq!(got.as_deref(), Some("t1"), "{}: {layer:?}", bench.driver);
            assert_eq!(all(&bench, &jar).await, json!({ "name": "guest" }), "{}", bench.driver);
        }
    }
}

#[tokio::test]
async fn a_claim_counts_as_use_and_moves_no_absolute_lifetime() {
    for bench in keepers().await {
        let mut jar = Layer::Ordinary.prepared(&bench).await;
        for _ in 0..3 {
            bench.clock.advance(HOUR);
            bench.ok(&mut jar, async |session| claim(&session).await.map(drop)).await;
        }
        assert!(bench.is_alive(&jar).await, "{}", bench.driver);
        bench.clock.advance(DAY);
        assert!(!bench.is_alive(&jar).await, "{}", bench.driver);
    }
}

#[tokio::test]
async fn a_message_that_was_claimed_does_not_come_back_with_its_companion() {
    for bench in keepers().await {
        let mut jar = Layer::Flash.prepared(&bench).await;
        let stale = jar.clone();
        bench
            .request(&mut jar, Client::Fetch("image"), 200, async |session| claim(&session).await)
            .await
            .0
            .unwrap();
        assert!(stale.companion(".f0").is_some(), "{NAME}");
        for jar in [&jar, &stale] {
            assert_eq!(bench.read(jar, "ticket").await, None, "{}", bench.driver);
        }
    }
}

/// A request whose second change no longer applies, and a browser that has the value.
async fn unreplayable(bench: &Bench) -> (Jar, SessionHandle) {
    let jar = Layer::Ordinary.prepared(bench).await;
    let handle = bench.open(&jar, Client::Plain, "POST");
    handle.set("first", 1).await.unwrap();
    handle.increment("n", 1).await.unwrap();
    handle.set("last", 1).await.unwrap();
    bench.ok(&mut jar.clone(), async |session| session.set("n", "text").await).await;
    (jar, handle)
}

#[tokio::test]
async fn a_claim_beside_a_change_that_no_longer_applies_leaves_the_value() {
    for bench in keepers().await {
        let (jar, handle) = unreplayable(&bench).await;
        let error = claim(&handle).await.unwrap_err();
        assert!(error.is_conflict(), "{}: {error}", bench.driver);
        assert!(error.to_string().contains("\"n\""), "{error}");
        assert_eq!(bench.read(&jar, "ticket").await.as_deref(), Some("t1"), "{}", bench.driver);
    }
}

#[tokio::test]
async fn what_failed_to_be_replayed_for_a_claim_is_not_stored_in_part() {
    for bench in keepers().await {
        let (mut jar, handle) = unreplayable(&bench).await;
        claim(&handle).await.unwrap_err();
        let answer = bench.answer(&mut jar, &handle, 200).await;
        let expected = json!({ "n": "text", "name": "guest", "ticket": "t1" });
        assert_eq!(all(&bench, &jar).await, expected, "{}: {answer:?}", bench.driver);
        assert!(answer.unwrap_err().error.is_conflict(), "{}", bench.driver);
    }
}

#[tokio::test]
async fn what_failed_to_be_saved_is_not_stored_in_part_by_the_answer() {
    for bench in keepers().await {
        let (mut jar, handle) = unreplayable(&bench).await;
        assert!(handle.save().await.unwrap_err().is_conflict(), "{}", bench.driver);
        let answer = bench.answer(&mut jar, &handle, 200).await;
        let expected = json!({ "n": "text", "name": "guest", "ticket": "t1" });
        assert_eq!(all(&bench, &jar).await, expected, "{}: {answer:?}", bench.driver);
        assert!(answer.unwrap_err().error.is_conflict(), "{}", bench.driver);
    }
}
