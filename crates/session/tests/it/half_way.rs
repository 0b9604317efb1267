//! One handle in several tasks, commits that fail half way, and requests that are cut off.
use crate::{
    instructions::{instructions, is_installed},
    stores::{Fault, Probe, Verb, in_a_probe},
    support::{Bench, Client, HOUR, Jar, drivers, holding, in_memory, keepers, yield_often},
};
use dframework_session::{Error, ResponseHead, Session, SessionHandle, tower::SessionLayer};
use serde_json::json;
use std::{collections::BTreeMap, convert::Infallible};
use tokio::task::JoinHandle;
use tower::{Layer, Service};

/// Begins to save, and lets that run until it waits.
async fn saving(handle: &SessionHandle) -> JoinHandle<Result<(), Error>> {
    let handle = handle.clone();
    holding(async move { handle.save().await }).await
}

/// A session with a value, whose record is held back when it is made.
async fn about_to_be_made() -> (Probe, Bench, Jar, SessionHandle) {
    let (store, bench) = in_a_probe();
    let jar = Jar::default();
    let handle = bench.open(&jar, Client::Plain, "POST");
    handle.set("a", "1").await.unwrap();
    store.fail_next(Verb::Create, Fault::Held);
    (store, bench, jar, handle)
}

#[tokio::test]
async fn destroy_is_carried_out_though_what_follows_is_too_large() {
    for bench in drivers().await {
        let mut jar = bench.visitor().await;
        let before = jar.clone();
        let handle = bench.open(&jar, Client::Plain, "POST");
        handle.destroy().await.unwrap();
        handle.set("a", "x".repeat(600_000)).await.unwrap();
        handle.set("b", "x".repeat(600_000)).await.unwrap();
        let failed = bench.answer(&mut jar, &handle, 200).await.unwrap_err();
        assert_eq!(failed.error.status(), 413);
        drop(handle);
        assert!(!bench.is_alive(&before).await, "{}: logged out", bench.driver);
    }
}

#[tokio::test]
async fn destroy_is_carried_out_though_an_upgrade_refuses_what_follows() {
    for bench in drivers().await {
        let mut jar = bench.visitor().await;
        let before = jar.clone();
        let handle = bench.open(&jar, Client::Plain, "GET");
        handle.destroy().await.unwrap();
        handle.flash("status", "bye").await.unwrap();
        bench.answer(&mut jar, &handle, 101).await.unwrap_err();
        drop(handle);
        assert!(!bench.is_alive(&before).await, "{}: logged out", bench.driver);
    }
}

#[tokio::test]
async fn what_could_not_be_replayed_is_not_committed_in_part() {
    for bench in keepers().await {
        let mut jar = bench.visitor().await;
        bench.ok(&mut jar, async |s| s.set("n", 1).await).await;
        let handle = bench.open(&jar, Client::Plain, "POST");
        handle.set("x", "x").await.unwrap();
        handle.increment("n", 1).await.unwrap();
        handle.set("y", "y").await.unwrap();
        bench.ok(&mut jar.clone(), async |s| s.set("n", "text").await).await;
        assert!(handle.save().await.unwrap_err().is_conflict());
        let answered = bench.answer(&mut jar, &handle, 200).await.is_ok();
        let x = bench.read(&jar, "x").await.is_some();
        let y = bench.read(&jar, "y").await.is_some();
        assert_eq!(x, y, "{}: all or nothing (answered {answered})", bench.driver);
    }
}

#[tokio::test]
async fn two_saves_at_once_make_one_session() {
    let (store, bench, mut jar, handle) = about_to_be_made().await;
    let (one, two) = (saving(&handle).await, saving(&handle).await);
    store.release();
    one.await.unwrap().unwrap();
    two.await.unwrap().unwrap();
    bench.answer(&mut jar, &handle, 200).await.unwrap();
    assert_eq!(store.records(bench.clock.now()).await, 1, "one session");
}

#[tokio::test]
async fn what_a_save_has_acknowledged_is_not_lost() {
    let (store, bench, mut jar, handle) = about_to_be_made().await;
    let one = saving(&handle).await;
    // Plans { a } and waits for its turn behind the two others' tasks.
    let two = saving(&handle).await;
    handle.set("b", "2").await.unwrap();
    let three = saving(&handle).await;
    store.release();
    for task in [one, two, three] {
        task.await.unwrap().unwrap();
    }
    bench.answer(&mut jar, &handle, 200).await.unwrap();
    assert_eq!(bench.read(&jar, "b").await.as_deref(), Some("2"));
    assert_eq!(bench.read(&jar, "a").await.as_deref(), Some("1"));
    assert_eq!(store.records(bench.clock.now()).await, 1, "one session");
}

#[tokio::test]
async fn a_destroy_saved_twice_at_once_removes_the_cookies() {
    let (store, bench) = in_a_probe();
    let mut jar = bench.visitor().await;
    let handle = bench.open(&jar, Client::Plain, "POST");
    handle.destroy().await.unwrap();
    handle.flash("status", "bye").await.unwrap();
    store.fail_next(Verb::End, Fault::Held);
    let (one, two) = (saving(&handle).await, saving(&handle).await);
    store.release();
    one.await.unwrap().unwrap();
    two.await.unwrap().unwrap();
    let head = bench.answer(&mut jar, &handle, 200).await.unwrap();
    assert!(!head.set_cookies.is_empty(), "removal and the message's session");
    assert_eq!(bench.read(&jar, "status").await.as_deref(), Some("bye"));
}

#[tokio::test]
async fn a_save_that_comes_after_the_head_moves_no_session_away() {
    let (store, bench) = in_a_probe();
    let mut jar = bench.visitor().await;
    let handle = bench.open(&jar, Client::Plain, "POST");
    handle.set("a", "1").await.unwrap();
    store.fail_nth(0, Fault::Held);
    store.fail_nth(1, Fault::Held);
    let sessions = bench.sessions.clone();
    let answer = {
        let h = handle.clone();
        holding(async move { sessions.commit(&h, ResponseHead::new(200)).await }).await
    };
    let late = {
        let h = handle.clone();
        holding(async move {
            h.regenerate().await?;
            h.save().await
        })
        .await
    };
    store.release();
    let head = answer.await.unwrap().unwrap();
    jar.take(&head.set_cookies);
    yield_often().await;
    store.release();
    let late = late.await.unwrap();
    let alive = bench.is_alive(&jar).await;
    println!("late {late:?} cookies {:?} calls {:?}", head.set_cookies, store.take_verbs());
    assert!(alive, "the browser still has its session; save said {late:?}");
}

#[tokio::test]
async fn a_destroy_that_failed_half_way_is_finished_by_the_answer() {
    let (store, bench) = in_a_probe();
    let mut jar = bench.visitor().await;
    bench.ok(&mut jar, async |s| s.permanent(json!({ "terms": "x" })).await).await;
    let handle = bench.open(&jar, Client::Plain, "POST");
    handle.destroy().await.unwrap();
    store.fail_nth(1, Fault::Unavailable);
    assert!(handle.save().await.unwrap_err().is_unavailable());
    bench.answer(&mut jar, &handle, 200).await.unwrap();
    assert_eq!(store.records(bench.clock.now()).await, 0, "the permanent record has ended");
    assert_eq!(jar, Jar::default());
}

#[tokio::test]
async fn the_same_owner_again_does_not_undo_a_logout() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        bench.ok(&mut jar, async |s| s.set_owner("42").await).await;
        let mut slow_jar = jar.clone();
        let slow = bench.open(&slow_jar, Client::Plain, "GET");
        slow.set_owner("42").await.unwrap();
        slow.set("seen", true).await.unwrap();
        bench.ok(&mut jar, async |s| s.destroy().await).await;
        let _ = bench.answer(&mut slow_jar, &slow, 200).await;
        let owner = bench.ok(&mut slow_jar, async |s| s.owner().await).await;
        assert_eq!(owner, None, "{}: logged out", bench.driver);
    }
}

#[tokio::test]
async fn a_permanent_record_that_ended_leaves_the_session_of_the_handle() {
    for bench in drivers().await {
        let mut jar = bench.visitor().await;
        bench.ok(&mut jar, async |s| s.permanent(json!({ "terms": "x" })).await).await;
        let handle = bench.open(&jar, Client::Plain, "POST");
        handle.permanent(json!({ "theme": "dark" })).await.unwrap();
        bench.ok(&mut jar.clone(), async |s| s.forget("terms").await).await;
        let saved = handle.save().await;
        let name = handle.get::<String>("name").await.unwrap();
        assert_eq!(name.as_deref(), Some("guest"), "{}: {saved:?}", bench.driver);
    }
}

#[tokio::test]
async fn a_saved_message_outlives_the_answer_with_eight_companions() {
    for bench in drivers().await {
        let mut jar = bench.visitor().await;
        for generation in 0..8 {
            jar.insert(&format!("{}.f{generation}", crate::support::NAME), "1");
        }
        let handle = bench.open(&jar, Client::Plain, "POST");
        handle.flash("status", "saved").await.unwrap();
        handle.save().await.unwrap();
        handle.set("x", 1).await.unwrap();
        bench.answer(&mut jar, &handle, 200).await.unwrap();
        assert_eq!(jar.generations().len(), 1);
        assert_eq!(bench.read(&jar, "status").await.as_deref(), Some("saved"), "{}", bench.driver);
    }
}

#[tokio::test]
#[ignore = "the process whose instructions the test below counts"]
async fn many_keys() {
    let Ok(keys) = std::env::var("KEYS") else { return };
    let bench = in_memory().await;
    let mut jar = Jar::default();
    let fill = async |session: SessionHandle| {
        for key in 0..keys.parse::<u32>().unwrap() {
            session.set(format!("ordinary{key}"), 1).await?;
        }
        let permanent: BTreeMap<_, _> =
            (0..keys.parse::<u32>().unwrap()).map(|key| (format!("permanent{key}"), 1)).collect();
        session.permanent(permanent).await
    };
    bench.ok(&mut jar, fill).await;
    bench.ok(&mut jar, async |session| session.all().await).await;
    bench.ok(&mut jar, async |session| session.keys().await).await;
    bench.ok(&mut jar, async |session| session.set("one", 1).await).await;
}

#[test]
fn twice_the_keys_cost_little_more_than_twice_the_instructions() {
    if !is_installed("valgrind") {
        return;
    }
    let run = |keys: &str| instructions("half_way::many_keys", "KEYS", keys);
    let nothing = run("0");
    let (once, twice) = (run("150").saturating_sub(nothing), run("300").saturating_sub(nothing));
    assert!(twice <= once * 26 / 10, "{once} instructions, then {twice}");
}

#[tokio::test]
async fn a_logout_whose_session_has_just_expired_ends_permanent_data_and_cookies() {
    let (store, bench) = in_a_probe();
    let mut jar = bench.visitor().await;
    bench.ok(&mut jar, async |s| s.permanent(json!({ "terms": "x" })).await).await;
    let handle = bench.open(&jar, Client::Plain, "POST");
    handle.destroy().await.unwrap();
    // It expires and is swept while the handler works.
    bench.clock.advance(4 * HOUR);
    dframework_session::store::Store::delete_expired(store.below(), bench.clock.now(), 9)
        .await
        .unwrap();
    bench.answer(&mut jar, &handle, 200).await.unwrap();
    assert_eq!(jar, Jar::default());
    assert_eq!(store.records(bench.clock.now()).await, 0);
}

#[tokio::test]
async fn a_logout_before_a_hang_up_does_not_wait_for_other_tasks() {
    let bench = in_memory().await;
    let jar = bench.visitor().await;
    let (give, taken) = tokio::sync::oneshot::channel();
    let mut give = Some(give);
    let service = tower::service_fn(move |_: http::Request<()>| {
        let give = give.take();
        async move {
            Session::destroy().await.unwrap();
            give.unwrap().send(Session::handle().unwrap()).unwrap();
            std::future::pending::<Result<http::Response<String>, Infallible>>().await
        }
    });
    let request = http::Request::builder().header("cookie", jar.field()).body(()).unwrap();
    let mut service = SessionLayer::new(bench.sessions.clone()).layer(service);
    let answer = tokio::spawn(service.call(request));
    let elsewhere = taken.await.unwrap();
    answer.abort();
    answer.await.unwrap_err();
    assert!(!bench.is_alive(&jar).await);
    drop(elsewhere);
}

#[tokio::test]
async fn a_flash_during_the_commit_does_not_block_later_saves() {
    let (store, bench) = in_a_probe();
    let jar = bench.visitor().await;
    let handle = bench.open(&jar, Client::Plain, "POST");
    handle.set("a", "1").await.unwrap();
    store.fail_next(Verb::Commit, Fault::Held);
    let sessions = bench.sessions.clone();
    let answer = {
        let h = handle.clone();
        holding(async move { sessions.commit(&h, ResponseHead::new(200)).await }).await
    };
    assert!(handle.flash("status", "x").await.unwrap_err().is_late());
    store.release();
    answer.await.unwrap().unwrap();
    handle.set("b", "2").await.unwrap();
    let _ = handle.save().await;
    handle.set("c", "3").await.unwrap();
    let _ = handle.save().await;
    assert_eq!(bench.read(&jar, "c").await.as_deref(), Some("3"));
}

#[tokio::test]
async fn a_logout_with_a_stale_token_does_not_remove_the_login_made_meanwhile() {
    for bench in keepers().await {
        let mut jar = bench.visitor().await;
        bench.clock.advance(4 * HOUR);
        let logout = bench.open(&jar, Client::Plain, "POST");
        logout.destroy().await.unwrap();
        bench.ok(&mut jar, async |s| s.set_owner("42").await).await;
        bench.answer(&mut jar, &logout, 200).await.unwrap();
        assert!(jar.session().is_some(), "{}: the login stands", bench.driver);
    }
}

#[tokio::test]
async fn two_layers_send_no_cookie_twice() {
    use axum::{Router, body::Body, routing::get};
    use dframework_session::{Session, Sessions, tower::SessionLayer};
    use tower::ServiceExt;
    let sessions = Sessions::memory();
    let app = Router::new()
        .route("/", get(|| async { Session::exists("x").await.map(|_| "") }))
        .layer(SessionLayer::new(sessions.clone()))
        .layer(SessionLayer::new(sessions));
    let request = axum::http::Request::get("/").header("cookie", "__Host-Http-session.f0=1");
    let answer = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.headers().get_all("set-cookie").iter().count(), 1);
}

#[tokio::test]
async fn a_logout_ends_what_the_same_cookies_would_open_next() {
    for bench in crate::support::keepers_with(|c| c.cookie_name("s").insecure_cookie()).await {
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
        bench.sessions.commit(&handle, ResponseHead::new(200)).await.unwrap();
        assert_eq!(open().owner().await.unwrap(), None, "{}", bench.driver);
    }
}

#[tokio::test]
async fn an_overtaken_destroy_leaves_no_permanent_orphan() {
    let (store, bench) = in_a_probe();
    let mut jar = bench.visitor().await;
    let mut old = jar.clone();
    let handle = bench.open(&old, Client::Plain, "POST");
    handle.permanent(json!({ "terms": "x" })).await.unwrap();
    handle.save().await.unwrap();
    bench.ok(&mut jar, async |s| s.regenerate().await).await;
    handle.destroy().await.unwrap();
    bench.answer(&mut old, &handle, 200).await.unwrap();
    let has_cookie = old.companion(".p").is_some();
    let records = store.records(bench.clock.now()).await;
    assert!(has_cookie || records == 1, "{records} records, no cookie for one of them");
}

#[tokio::test]
async fn a_failed_load_does_not_age_messages() {
    let (store, bench) = in_a_probe();
    let mut jar = Jar::default();
    bench.ok(&mut jar, async |s| s.flash("status", "hello").await).await;
    store.fail_next(Verb::Load, Fault::Unavailable);
    let handle = bench.open(&jar, Client::Navigation, "GET");
    assert!(handle.get::<String>("status").await.is_err());
    bench.answer(&mut jar, &handle, 200).await.unwrap();
    assert_eq!(bench.read(&jar, "status").await.as_deref(), Some("hello"));
}

#[tokio::test]
async fn what_is_set_during_a_save_is_not_lost() {
    // Under another key, and under the one that is being saved.
    for key in ["b", "a"] {
        let (store, bench, mut jar, handle) = about_to_be_made().await;
        let (one, two) = (saving(&handle).await, saving(&handle).await);
        handle.set(key, "2").await.unwrap();
        store.release();
        one.await.unwrap().unwrap();
        two.await.unwrap().unwrap();
        bench.answer(&mut jar, &handle, 200).await.unwrap();
        assert_eq!(bench.read(&jar, key).await.as_deref(), Some("2"), "{key}");
    }
}

#[tokio::test]
async fn after_a_hang_up_nothing_moves_the_session_away() {
    use axum::{Router, body::Body, routing::get};
    use dframework_session::{Session, tower::SessionLayer};
    use tower::ServiceExt;
    let bench = in_memory().await;
    let jar = bench.visitor().await;
    let go = std::sync::Arc::new(tokio::sync::Notify::new());
    let (result, mut results) = tokio::sync::mpsc::unbounded_channel();
    let app = Router::new()
        .route(
            "/",
            get({
                let go = go.clone();
                move || async move {
                    Session::spawn(async move {
                        go.notified().await;
                        let done = async {
                            Session::regenerate().await?;
                            Session::save().await
                        }
                        .await;
                        result.send(done.is_err()).unwrap();
                    })
                    .unwrap();
                    std::future::pending::<&'static str>().await
                }
            }),
        )
        .layer(SessionLayer::new(bench.sessions.clone()));
    let request = axum::http::Request::get("/").header("cookie", jar.field());
    let answer = tokio::spawn(app.oneshot(request.body(Body::empty()).unwrap()));
    yield_often().await;
    answer.abort();
    yield_often().await;
    go.notify_one();
    let refused = results.recv().await.unwrap();
    assert!(refused && bench.is_alive(&jar).await, "refused: {refused}");
}
