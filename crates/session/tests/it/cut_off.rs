//! Requests that are cut off while they save, tries after tries whose outcome nobody knows, and long-ended tokens.

use crate::{
    stores::{Fault, Probe, Verb, in_a_probe},
    support::{Bench, Client, Jar, drivers, keepers, keepers_with, until, yield_often},
};
use dframework_session::{ResponseHead, Session, SessionHandle, tower::SessionLayer};
use serde_json::json;
use std::{convert::Infallible, time::Duration};
use tower::{Layer, Service};

/// A save is carried out, its answer is lost, and so is the look after it; further saves fail before they do anything.
async fn save_without_knowing(
    store: &Probe,
    bench: &Bench,
    handle: &SessionHandle,
    failures: usize,
) {
    store.fail_nth(0, Fault::LostAfter);
    store.fail_nth(1, Fault::Unavailable);
    assert!(handle.save().await.unwrap_err().is_unavailable());
    for _ in 0..failures {
        bench.clock.advance(Duration::from_secs(1));
        store.fail_nth(0, Fault::Unavailable);
        assert!(handle.save().await.unwrap_err().is_unavailable());
    }
}

#[tokio::test]
async fn a_save_of_unknown_outcome_and_the_answer_count_once() {
    for failures in 0..3 {
        let (store, bench) = in_a_probe();
        let mut jar = bench.visitor().await;
        bench.ok(&mut jar, async |s| s.set("visits", 1).await).await;
        let handle = bench.open(&jar, Client::Plain, "POST");
        handle.increment("visits", 1).await.unwrap();
        save_without_knowing(&store, &bench, &handle, failures).await;
        bench.answer(&mut jar, &handle, 200).await.unwrap();
        assert_eq!(bench.visits(&jar).await, Some(2), "{failures} more failures");
    }
}

#[tokio::test]
async fn a_destroy_of_unknown_outcome_is_finished_by_the_answer() {
    for failures in 0..3 {
        let (store, bench) = in_a_probe();
        let mut jar = bench.visitor().await;
        bench.ok(&mut jar, async |s| s.permanent(json!({ "terms": "x" })).await).await;
        let handle = bench.open(&jar, Client::Plain, "POST");
        handle.destroy().await.unwrap();
        save_without_knowing(&store, &bench, &handle, failures).await;
        bench.answer(&mut jar, &handle, 200).await.unwrap();
        let records = store.records(bench.clock.now()).await;
        assert_eq!((records, jar), (0, Jar::default()), "{failures} more failures");
    }
}

#[tokio::test]
async fn a_write_that_is_found_again_leaves_later_ones_counted_once() {
    let (store, bench) = in_a_probe();
    let mut jar = bench.visitor().await;
    bench
        .ok(&mut jar, async |s| {
            s.set("visits", 1).await?;
            s.permanent(json!({ "p": 1 })).await
        })
        .await;
    let handle = bench.open(&jar, Client::Plain, "POST");
    handle.increment("visits", 1).await.unwrap();
    store.fail_nth(0, Fault::LostAfter);
    store.fail_nth(1, Fault::Unavailable);
    handle.save().await.unwrap_err();
    handle.increment("p", 1).await.unwrap();
    bench.answer(&mut jar, &handle, 200).await.unwrap();
    assert_eq!((bench.visits(&jar).await, bench.peek::<i64>(&jar, "p").await), (Some(2), Some(2)));
}

#[tokio::test]
async fn a_logout_with_a_long_ended_token_is_carried_out() {
    for bench in keepers().await {
        let mut jar = bench.visitor().await;
        bench.ok(&mut jar, async |s| s.permanent(json!({ "terms": "x" })).await).await;
        let id = bench.open(&jar, Client::Plain, "GET").id().await.unwrap().unwrap();
        assert!(bench.sessions.revoke(id).await.unwrap());
        bench.clock.advance(Duration::from_secs(300));
        bench.ok(&mut jar, async |s| s.destroy().await).await;
        assert_eq!(
            (jar, bench.sessions.count().await.unwrap()),
            (Jar::default(), 0),
            "{}",
            bench.driver
        );
    }
}

#[tokio::test]
async fn a_hang_up_during_a_save_does_not_cut_it_in_half() {
    let (store, bench) = in_a_probe();
    let mut jar = bench.visitor().await;
    bench.ok(&mut jar, async |s| s.permanent(json!({ "p": 1 })).await).await;
    let service = tower::service_fn(move |_: http::Request<()>| async move {
        Session::increment("p", 1).await.unwrap();
        Session::set("o", "1").await.unwrap();
        Session::save().await.unwrap();
        std::future::pending::<Result<http::Response<String>, Infallible>>().await
    });
    let request = http::Request::builder().header("cookie", jar.field()).body(()).unwrap();
    let mut service = SessionLayer::new(bench.sessions.clone()).layer(service);
    store.fail_next(Verb::Commit, Fault::Held);
    let answer = tokio::spawn(service.call(request));
    yield_often().await;
    answer.abort();
    yield_often().await;
    store.release();
    yield_often().await;
    assert_eq!(
        (bench.peek::<i64>(&jar, "p").await, bench.read(&jar, "o").await.as_deref()),
        (Some(2), Some("1"))
    );
}

#[tokio::test]
async fn a_hang_up_right_after_the_answer_does_not_drop_its_commit() {
    let (_store, bench) = in_a_probe();
    let jar = bench.visitor().await;
    let service = tower::service_fn(move |_: http::Request<()>| async move {
        Session::set("o", "1").await.unwrap();
        Ok::<_, Infallible>(http::Response::new(String::new()))
    });
    let request = http::Request::builder().header("cookie", jar.field()).body(()).unwrap();
    let mut service = SessionLayer::new(bench.sessions.clone()).layer(service);
    let mut answer = Box::pin(service.call(request));
    // Poll until the commit task is spawned but has not run (current-thread runtime).
    let polled = futures_poll(answer.as_mut()).await;
    assert!(polled);
    drop(answer);
    yield_often().await;
    assert_eq!(bench.read(&jar, "o").await.as_deref(), Some("1"));
}
async fn futures_poll<F: Future>(mut f: std::pin::Pin<&mut F>) -> bool {
    std::future::poll_fn(|cx| std::task::Poll::Ready(f.as_mut().poll(cx).is_pending())).await
}

#[tokio::test]
async fn an_abandoned_logout_ends_the_duplicates_too() {
    for bench in keepers_with(|c| c.cookie_name("s").insecure_cookie()).await {
        let mut tokens = Vec::new();
        for _ in 0..2 {
            let handle = bench.open(&Jar::default(), Client::Plain, "POST");
            handle.set_owner("42").await.unwrap();
            let head = bench.sessions.commit(&handle, ResponseHead::new(200)).await.unwrap();
            tokens.push(head.set_cookies[0].split(';').next().unwrap().to_owned());
        }
        let field = tokens.join("; ");
        let open = || {
            let head = dframework_session::RequestHead::new("POST");
            bench.sessions.open(head.with_cookies([field.as_bytes()]))
        };
        let handle = open();
        handle.destroy().await.unwrap();
        drop(handle);
        until(async || open().owner().await.unwrap().is_none()).await;
    }
}

#[tokio::test]
async fn a_request_that_met_a_tombstone_claims_nothing() {
    for bench in drivers().await {
        let mut jar = bench.visitor().await;
        bench.ok(&mut jar, async |s| s.permanent(json!({ "coupon": "x" })).await).await;
        let mut old = jar.clone();
        bench.ok(&mut jar, async |s| s.set_owner("42").await).await;
        let handle = bench.open(&old, Client::Plain, "POST");
        assert!(handle.pull::<String>("coupon").await.is_err());
        let claimed = handle.claim::<String>("coupon").await;
        let head = bench.answer(&mut old, &handle, 200).await;
        assert!(claimed.is_err(), "{}: {claimed:?} {head:?}", bench.driver);
    }
}

#[tokio::test]
async fn a_head_that_fails_leaves_a_waiting_save_its_changes() {
    let (store, bench) = in_a_probe();
    let mut jar = bench.visitor().await;
    bench.ok(&mut jar, async |s| s.permanent(json!({ "p": 1 })).await).await;
    let handle: SessionHandle = bench.open(&jar, Client::Plain, "POST");
    handle.increment("p", 1).await.unwrap();
    handle.set("o", "1").await.unwrap();
    store.fail_nth(0, Fault::Held); // head: permanent
    let (sessions, h) = (bench.sessions.clone(), handle.clone());
    let mut head =
        Box::pin(async move { sessions.commit(&h, ResponseHead::new(200)).await.map(drop) });
    assert!(futures_poll(head.as_mut()).await);
    yield_often().await;
    let h = handle.clone();
    let late = tokio::spawn(async move { h.save().await });
    yield_often().await;
    store.fail_nth(0, Fault::Unavailable); // head: ordinary
    store.fail_nth(1, Fault::Conflict); // late save: ordinary
    store.fail_nth(2, Fault::Held); // late save: reload
    store.release();
    yield_often().await;
    let answered = head.await;
    yield_often().await;
    store.release();
    let late = late.await;
    println!("{answered:?} {late:?}");
    let o = bench.read(&jar, "o").await;
    assert!(!matches!(&late, Ok(Ok(()))) || o.is_some(), "save said {late:?}, o is {o:?}");
}
#[allow(dead_code)]
#[tokio::test]
async fn a_hang_up_during_a_save_that_loses_its_first_round_leaves_it_whole() {
    let (store, bench) = in_a_probe();
    let mut jar = bench.visitor().await;
    bench.ok(&mut jar, async |s| s.permanent(json!({ "p": 1 })).await).await;
    let service = tower::service_fn(move |_: http::Request<()>| async move {
        Session::increment("p", 1).await.unwrap();
        Session::set("o", "1").await.unwrap();
        Session::save().await.unwrap();
        std::future::pending::<Result<http::Response<String>, Infallible>>().await
    });
    let request = http::Request::builder().header("cookie", jar.field()).body(()).unwrap();
    let mut service = SessionLayer::new(bench.sessions.clone()).layer(service);
    store.fail_nth(1, Fault::Held); // permanent
    store.fail_nth(2, Fault::Conflict); // ordinary
    let answer = tokio::spawn(service.call(request));
    yield_often().await;
    answer.abort();
    yield_often().await;
    store.release();
    yield_often().await;
    assert_eq!(
        (bench.peek::<i64>(&jar, "p").await, bench.read(&jar, "o").await.as_deref()),
        (Some(2), Some("1"))
    );
}
#[tokio::test]
async fn a_save_in_a_task_outlives_a_hang_up() {
    let (store, bench) = in_a_probe();
    let mut jar = bench.visitor().await;
    bench.ok(&mut jar, async |s| s.permanent(json!({ "p": 1 })).await).await;
    let (give, taken) = tokio::sync::oneshot::channel();
    let mut give = Some(give);
    let service = tower::service_fn(move |_: http::Request<()>| {
        let give = give.take();
        async move {
            give.unwrap()
                .send(
                    Session::spawn(async {
                        Session::increment("p", 1).await?;
                        Session::save().await
                    })
                    .unwrap(),
                )
                .unwrap();
            std::future::pending::<Result<http::Response<String>, Infallible>>().await
        }
    });
    let request = http::Request::builder().header("cookie", jar.field()).body(()).unwrap();
    let mut service = SessionLayer::new(bench.sessions.clone()).layer(service);
    store.fail_next(Verb::Commit, Fault::Held);
    let answer = tokio::spawn(service.call(request));
    let task = taken.await.unwrap();
    yield_often().await;
    answer.abort();
    yield_often().await;
    store.release();
    let done = task.await;
    assert!(done.is_ok(), "{done:?}");
}
#[tokio::test]
async fn changes_after_a_hang_up_are_saved_when_save_says_so() {
    let (store, bench) = in_a_probe();
    let jar = bench.visitor().await;
    let (give, taken) = tokio::sync::oneshot::channel();
    let mut give = Some(give);
    let service = tower::service_fn(move |_: http::Request<()>| {
        let give = give.take();
        async move {
            Session::set("a", "1").await.unwrap();
            give.unwrap().send(Session::handle().unwrap()).unwrap();
            std::future::pending::<Result<http::Response<String>, Infallible>>().await
        }
    });
    let request = http::Request::builder().header("cookie", jar.field()).body(()).unwrap();
    let mut service = SessionLayer::new(bench.sessions.clone()).layer(service);
    let answer = tokio::spawn(service.call(request));
    let handle = taken.await.unwrap();
    store.fail_next(Verb::Commit, Fault::Held);
    let h = handle.clone();
    let one = tokio::spawn(async move { h.save().await });
    yield_often().await;
    answer.abort();
    yield_often().await;
    handle.set("b", "2").await.unwrap();
    store.release();
    one.await.unwrap().unwrap();
    handle.save().await.unwrap();
    assert_eq!(bench.read(&jar, "b").await.as_deref(), Some("2"));
}
#[tokio::test]
async fn many_messages_of_one_request_are_all_seen() {
    for bench in drivers().await {
        let mut jar = bench.visitor().await;
        let handle = bench.open(&jar, Client::Plain, "POST");
        for n in 0..12 {
            handle.flash(format!("k{n}"), n).await.unwrap();
            handle.save().await.unwrap();
        }
        bench.answer(&mut jar, &handle, 200).await.unwrap();
        let all = bench.open(&jar, Client::Plain, "GET").keys().await.unwrap();
        assert_eq!(all.len(), 13, "{all:?}");
        let mut j = jar.clone();
        bench.ok(&mut j, async |s| s.keys().await).await;
        assert!(j.generations().is_empty());
    }
}
#[tokio::test]
async fn a_claim_leaves_what_is_pending_elsewhere() {
    // claim of a key whose value the same request has `now`-ed leaves the recorded one for others
    for bench in keepers().await {
        let jar = bench.visitor().await;
        let one = bench.open(&jar, Client::Plain, "POST");
        one.increment("n", 1).await.unwrap();
        assert_eq!(one.claim::<String>("name").await.unwrap().as_deref(), Some("guest"));
        let mut j = jar.clone();
        bench.answer(&mut j, &one, 200).await.unwrap();
        assert_eq!(bench.peek::<i64>(&j, "n").await, Some(1));
        assert_eq!(bench.read(&j, "name").await, None);
    }
}
#[tokio::test]
async fn an_overtaken_login_sees_the_permanent_data_that_it_makes() {
    for bench in drivers().await {
        let mut jar = bench.visitor().await;
        let mut old = jar.clone();
        let handle = bench.open(&old, Client::Plain, "POST");
        handle.permanent(json!({ "terms": "x" })).await.unwrap();
        handle.save().await.unwrap();
        bench.ok(&mut jar, async |s| s.regenerate().await).await;
        handle.destroy().await.unwrap();
        handle.set_owner("42").await.unwrap();
        handle.permanent(json!({ "theme": "dark" })).await.unwrap();
        handle.save().await.unwrap();
        assert_eq!(
            handle.get::<String>("theme").await.unwrap().as_deref(),
            Some("dark"),
            "{}",
            bench.driver
        );
        bench.answer(&mut old, &handle, 200).await.unwrap();
        assert_eq!(bench.read(&old, "theme").await.as_deref(), Some("dark"), "{}", bench.driver);
    }
}
#[tokio::test]
async fn a_claimed_value_is_not_lost_by_a_replay_that_fails() {
    for bench in drivers().await {
        let mut jar = bench.visitor().await;
        bench.ok(&mut jar, async |s| s.set("n", 1).await).await;
        let handle = bench.open(&jar, Client::Plain, "POST");
        handle.increment("n", 1).await.unwrap();
        bench.ok(&mut jar.clone(), async |s| s.set("n", "text").await).await;
        let claimed = handle.claim::<String>("name").await;
        println!("{claimed:?}");
        let left = bench.read(&jar, "name").await;
        assert!(matches!(&claimed, Ok(Some(_))) != left.is_some(), "{claimed:?} {left:?}");
    }
}
#[tokio::test]
async fn a_dropped_logout_of_unknown_outcome_ends_permanent_data() {
    let (store, bench) = in_a_probe();
    let mut jar = bench.visitor().await;
    bench.ok(&mut jar, async |s| s.permanent(json!({ "terms": "x" })).await).await;
    let handle = bench.open(&jar, Client::Plain, "POST");
    handle.destroy().await.unwrap();
    store.fail_nth(0, Fault::LostAfter);
    store.fail_nth(1, Fault::Unavailable);
    handle.save().await.unwrap_err();
    drop(handle);
    yield_often().await;
    assert_eq!(store.records(bench.clock.now()).await, 0);
}
