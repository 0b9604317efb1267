//! Every rule that an adapter can break, on every adapter: what goes in, what comes out.

mod endings;
mod layers;
mod stack;
mod tasks;
mod websocket;

use crate::{
    stores::{Fault, Probe, Verb},
    support::{Jar, NAME, OUTSIDE},
};
use dframework_session::{Config, Error, Session, SessionHandle, Sessions};
use stack::{Answer, Ask, Plan, Reply, Stack, call, take};

/// Makes a test of each scenario, for each framework.
macro_rules! on_every_adapter {
    ($($scenario:ident),+ $(,)?) => {
        mod on_axum {
            $(#[tokio::test]
            async fn $scenario() {
                super::$scenario::<$crate::adapters::stack::Axum>().await;
            })+
        }

        mod on_actix {
            $(#[tokio::test]
            async fn $scenario() {
                super::$scenario::<$crate::adapters::stack::Actix>().await;
            })+
        }
    };
}
use on_every_adapter;

on_every_adapter! {
    the_facade_and_the_extractor_find_the_session_of_the_request,
    parallel_requests_find_each_their_own_session,
    without_the_layer_the_extractor_and_the_facade_answer_500,
    the_session_is_there_before_a_service_returns_its_future,
    a_service_that_is_ready_at_once_has_its_session,
    an_error_of_the_session_answers_with_its_status_and_an_empty_body,
    a_server_error_commits_nothing_and_a_client_error_does,
    what_was_saved_goes_out_with_an_error_too,
    a_commit_that_fails_replaces_the_whole_answer,
    a_commit_that_fails_sends_the_cookies_of_what_was_committed_before,
    an_answer_that_replaces_the_applications_is_private_too,
    a_cookie_is_appended_and_sensitive_and_keeps_the_answer_out_of_caches,
    caches_are_told_that_the_answer_depends_on_the_cookie,
    several_cookie_fields_are_read_as_one_list,
    what_the_browser_says_of_a_request_decides_about_messages,
    an_upgrade_changes_a_session_and_makes_none,
}

/// Sessions on every driver, and the store where there is one.
async fn all_sessions() -> Vec<(&'static str, Sessions)> {
    let memory = Config::new().driver(dframework_session::DriverName::Memory);
    let in_memory = Sessions::connect(&memory).await.unwrap();
    let in_store = Sessions::from_store(Probe::default(), &Config::new()).unwrap();
    vec![
        ("memory", in_memory),
        ("store", in_store),
        ("stealth", crate::support::in_cookies().await.sessions),
    ]
}

/// The drivers that keep records on the server.
async fn kept_sessions() -> Vec<(&'static str, Sessions)> {
    let mut all = all_sessions().await;
    all.retain(|(driver, _)| *driver != "stealth");
    all
}

fn in_probe(configure: impl Fn(Config) -> Config) -> (Probe, Sessions) {
    let store = Probe::default();
    let sessions = Sessions::from_store(store.clone(), &configure(Config::new())).unwrap();
    (store, sessions)
}

/// Sends a request and lets the browser take the cookies.
async fn send<S: Stack>(app: &S::App, jar: &mut Jar, path: &str) -> Answer {
    let answer = S::answer(app, Ask::get(path).by(jar)).await;
    jar.take(&answer.lines());
    answer
}

async fn visit() -> Result<i64, Error> {
    Session::increment("visits", 1).await
}

async fn look(session: SessionHandle) -> Result<i64, Error> {
    session.get_or("visits", &0_i64).await
}

async fn the_facade_and_the_extractor_find_the_session_of_the_request<S: Stack>() {
    for (driver, sessions) in all_sessions().await {
        let plan = Plan::new().route("/", call(visit)).route("/look", take(look));
        let app = S::build(plan.layer(&sessions)).await;
        let (mut one, mut other) = (Jar::default(), Jar::default());
        for (visits, path) in [("1", "/"), ("2", "/"), ("2", "/look"), ("3", "/")] {
            assert_eq!(send::<S>(&app, &mut one, path).await.text, visits, "{driver}");
        }
        assert_eq!(send::<S>(&app, &mut other, "/look").await.text, "0", "{driver}");
        assert_eq!(other, Jar::default(), "{driver}: a reader gets no cookie");
        assert_eq!(send::<S>(&app, &mut other, "/").await.text, "1", "{driver}");
        assert_ne!(one, other, "{driver}");
    }
}

/// Requests that wait in turns on one thread, each inside its own session.
async fn parallel_requests_find_each_their_own_session<S: Stack>() {
    for (driver, sessions) in all_sessions().await {
        let slow = async || {
            let before = visit().await?;
            tokio::task::yield_now().await;
            visit().await.map(|after| format!("{before} {after}"))
        };
        let plan = Plan::new().route("/", call(visit)).route("/slow", call(slow));
        let app = S::build(plan.layer(&sessions)).await;
        let mut requests = tokio::task::JoinSet::new();
        let here = tokio::task::LocalSet::new();
        for number in 0..20 {
            let mut jar = Jar::default();
            for _ in 0..=number {
                send::<S>(&app, &mut jar, "/").await;
            }
            let app = app.clone();
            let request = async move { (number, send::<S>(&app, &mut jar, "/slow").await.text) };
            requests.spawn_local_on(request, &here);
        }
        let answers = here.run_until(requests.join_all()).await;
        assert_eq!(answers.len(), 20, "{driver}");
        for (number, visits) in answers {
            assert_eq!(visits, format!("{} {}", number + 2, number + 3), "{driver}");
        }
    }
}

async fn without_the_layer_the_extractor_and_the_facade_answer_500<S: Stack>() {
    for (route, text) in [(call(visit), OUTSIDE), (take(look), S::NO_LAYER)] {
        let app = S::build(Plan::new().route("/", route)).await;
        let (answer, told) =
            crate::support::told(async || S::answer(&app, Ask::get("/")).await).await;
        assert_eq!(answer.status, 500);
        assert_eq!(answer.text, "", "the detail goes to the log");
        assert!(told.contains(text), "{told}");
    }
}

async fn the_session_is_there_before_a_service_returns_its_future<S: Stack>() {
    for (driver, sessions) in all_sessions().await {
        assert!(S::take_now().unwrap_err().is_outside(), "{driver}");
        let service = || {
            let (taken, found) = (S::take_now(), Session::handle());
            async move {
                taken?.set("name", "guest").await?;
                assert_eq!(found?.get_or("name", "-").await?, "guest", "the same one");
                Session::get_or("name", "-").await
            }
        };
        let app = S::build(Plan::service(service).layer(&sessions)).await;
        let answer = send::<S>(&app, &mut Jar::default(), "/").await;
        assert_eq!((answer.text.as_str(), answer.lines().len()), ("guest", 1), "{driver}");
        assert!(S::take_now().unwrap_err().is_outside(), "{driver}: it is left again");
    }
}

async fn a_service_that_is_ready_at_once_has_its_session<S: Stack>() {
    use std::{
        pin::pin,
        task::{Context, Waker},
    };
    for (driver, sessions) in all_sessions().await {
        let service = || {
            let polled =
                pin!(Session::set("name", "guest")).poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_ready(), "nothing is loaded without a cookie");
            std::future::ready(Ok("ready"))
        };
        let app = S::build(Plan::service(service).layer(&sessions)).await;
        let answer = send::<S>(&app, &mut Jar::default(), "/").await;
        assert_eq!(answer.lines().len(), 1, "{driver}");
    }
}

async fn an_error_of_the_session_answers_with_its_status_and_an_empty_body<S: Stack>() {
    let (store, sessions) = in_probe(|config| config);
    let plan = Plan::new()
        .route("/", call(visit))
        .route("/large", call(async || Session::set("a", "x".repeat(2 << 20)).await))
        .route("/invalid", call(async || Session::set("", 1).await));
    let app = S::build(plan.layer(&sessions)).await;
    let mut jar = Jar::default();
    send::<S>(&app, &mut jar, "/").await;
    store.fail_next(Verb::Load, Fault::Unavailable);
    for (path, status) in [("/", 503), ("/large", 413), ("/invalid", 500)] {
        let (answer, told) =
            crate::support::told(async || send::<S>(&app, &mut jar, path).await).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.lines().is_empty(), "{path}");
        assert_eq!(answer.text, "", "{path}");
        assert!(told.contains(&format!("status={status}")), "{path}: {told}");
    }
    assert_eq!(send::<S>(&app, &mut jar, "/").await.text, "2");
}

async fn a_server_error_commits_nothing_and_a_client_error_does<S: Stack>() {
    for (driver, sessions) in all_sessions().await {
        for (status, commits) in [
            (200, true),
            (303, true),
            (304, true),
            (403, true),
            (404, true),
            (500, false),
            (503, false),
        ] {
            let fails = move || async move { visit().await.map(|_| Reply::status(status)) };
            let logout =
                move || async move { Session::forget(..).await.map(|()| Reply::status(status)) };
            let plan = Plan::new()
                .route("/", call(visit))
                .route("/look", take(look))
                .route("/fails", call(fails))
                .route("/logout", call(logout));
            let app = S::build(plan.layer(&sessions)).await;
            let case = format!("{driver} {status}");
            let mut jar = Jar::default();
            send::<S>(&app, &mut jar, "/").await;
            assert_eq!(send::<S>(&app, &mut jar, "/fails").await.status, status, "{case}");
            let visits = if commits { "2" } else { "1" };
            assert_eq!(send::<S>(&app, &mut jar, "/look").await.text, visits, "{case}");
            let old = jar.clone();
            let out = send::<S>(&app, &mut jar, "/logout").await;
            assert_eq!((out.status, jar.is_empty()), (status, true), "{case}");
            assert_eq!(send::<S>(&app, &mut old.clone(), "/look").await.text, "0", "{case}");
        }
    }
}

async fn what_was_saved_goes_out_with_an_error_too<S: Stack>() {
    for (driver, sessions) in all_sessions().await {
        let saves = async || {
            visit().await?;
            Session::save().await?;
            visit().await.map(|_| Reply::status(502))
        };
        let fails = async || {
            visit().await?;
            Session::save().await?;
            Session::set("", 1).await
        };
        let plan = Plan::new()
            .route("/look", take(look))
            .route("/saves", call(saves))
            .route("/fails", call(fails));
        let app = S::build(plan.layer(&sessions)).await;
        for (path, status) in [("/saves", 502), ("/fails", 500)] {
            let mut jar = Jar::default();
            let answer = send::<S>(&app, &mut jar, path).await;
            assert_eq!((answer.status, answer.lines().len()), (status, 1), "{driver} {path}");
            assert_eq!(answer.field("cache-control"), ["no-store"], "{driver} {path}");
            assert_eq!(send::<S>(&app, &mut jar, "/look").await.text, "1", "{driver} {path}");
        }
    }
}

/// An answer with fields and a body of its own.
async fn rich() -> Result<Reply, Error> {
    visit().await?;
    let fields = [
        ("set-cookie", "application=1; Path=/"),
        ("cache-control", "public, max-age=3600"),
        ("etag", "\"1\""),
        ("location", "/secret"),
        ("content-type", "text/csv"),
    ];
    let text = "the body of the application".to_owned();
    Ok(Reply { status: Some(201), text, ..Reply::fields(&fields) })
}

const OF_THE_APPLICATION: [&str; 3] = ["etag", "location", "content-type"];

async fn a_commit_that_fails_replaces_the_whole_answer<S: Stack>() {
    let (store, sessions) = in_probe(|config| config);
    let app = S::build(Plan::new().route("/", call(rich)).layer(&sessions)).await;
    let mut jar = Jar::default();
    assert_eq!(send::<S>(&app, &mut jar, "/").await.status, 201);
    for (fault, status) in [(Fault::Unavailable, 503), (Fault::Ended, 409)] {
        store.fail_next(Verb::Commit, fault);
        let answer = S::answer(&app, Ask::get("/").by(&jar)).await;
        assert_eq!(answer.status, status);
        for name in OF_THE_APPLICATION.into_iter().chain(["set-cookie"]) {
            assert_eq!(answer.field(name), [""; 0], "{name}");
        }
        assert_ne!(answer.field("cache-control"), ["public, max-age=3600"]);
        assert_eq!(answer.field("vary"), ["Cookie"]);
        assert_eq!(answer.text, "");
    }
}

async fn a_commit_that_fails_sends_the_cookies_of_what_was_committed_before<S: Stack>() {
    let (store, sessions) = in_probe(|config| config);
    let broken = store.clone();
    let saves = move || {
        let store = broken.clone();
        async move {
            visit().await?;
            Session::save().await?;
            store.fail_next(Verb::Commit, Fault::Unavailable);
            rich().await
        }
    };
    let plan = Plan::new().route("/look", take(look)).route("/", call(saves));
    let app = S::build(plan.layer(&sessions)).await;
    let mut jar = Jar::default();
    let answer = send::<S>(&app, &mut jar, "/").await;
    assert_eq!((answer.status, answer.text.as_str()), (503, ""));
    let lines = answer.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with(&format!("{NAME}=")), "{lines:?}");
    for name in OF_THE_APPLICATION {
        assert_eq!(answer.field(name), [""; 0], "{name}");
    }
    assert_eq!(answer.field("cache-control"), ["no-store"]);
    assert_eq!(send::<S>(&app, &mut jar, "/look").await.text, "1");
}

async fn an_answer_that_replaces_the_applications_is_private_too<S: Stack>() {
    let (store, sessions) = in_probe(|config| config);
    let app = S::build(Plan::new().route("/", call(rich)).layer(&sessions)).await;
    store.fail_next(Verb::Create, Fault::Unavailable);
    let answer = S::answer(&app, Ask::get("/")).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.field("cache-control"), ["private"]);
}

async fn a_cookie_is_appended_and_sensitive_and_keeps_the_answer_out_of_caches<S: Stack>() {
    for (driver, sessions) in all_sessions().await {
        let app = S::build(Plan::new().route("/", call(rich)).layer(&sessions)).await;
        let answer = S::answer(&app, Ask::get("/")).await;
        let set = answer.lines();
        assert_eq!(set.len(), 2, "{driver}");
        assert_eq!(set[0], "application=1; Path=/", "{driver}: the application's own stays");
        assert!(set[1].starts_with(&format!("{NAME}=")), "{driver}");
        let set = answer.fields.iter().filter(|field| field.name == "set-cookie");
        let sensitive: Vec<_> = set.map(|field| field.is_sensitive).collect();
        assert_eq!(sensitive, [false, true], "{driver}");
        assert_eq!(answer.field("cache-control"), ["no-store"], "{driver}");
        assert_eq!(answer.field("vary"), ["Cookie"], "{driver}");
        assert_eq!(answer.text, "the body of the application", "{driver}");
    }
}

/// What the application sets, what its handler does, and `Vary` and `Cache-Control` as they go out.
type Case = (
    &'static [(&'static str, &'static str)],
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

async fn caches_are_told_that_the_answer_depends_on_the_cookie<S: Stack>() {
    let none: &[&str] = &[];
    let cases: [Case; 12] = [
        (&[], "nothing", none, none),
        (&[("vary", "Accept")], "nothing", &["Accept"], none),
        (&[], "read", &["Cookie"], &["private"]),
        (&[("vary", "Accept")], "read", &["Accept", "Cookie"], &["private"]),
        (&[("vary", "Accept, cookie")], "read", &["Accept, cookie"], &["private"]),
        (&[("vary", "Accept"), ("vary", "COOKIE")], "read", &["Accept", "COOKIE"], &["private"]),
        (&[("vary", "*")], "read", &["*"], &["private"]),
        (&[("vary", "X-Cookie")], "read", &["X-Cookie", "Cookie"], &["private"]),
        (&[("cache-control", "max-age=60")], "read", &["Cookie"], &["max-age=60"]),
        (&[("cache-control", "max-age=60")], "write", &["Cookie"], &["no-store"]),
        (
            &[("cache-control", "public"), ("cache-control", "max-age=60")],
            "write",
            &["Cookie"],
            &["no-store"],
        ),
        (&[("vary", "Cookie")], "write", &["Cookie"], &["no-store"]),
    ];
    for (driver, sessions) in all_sessions().await {
        for (fields, deed, vary, cache_control) in cases {
            let service = move || async move {
                match deed {
                    "read" => drop(Session::get::<String>("name").await?),
                    "write" => Session::set("name", "guest").await?,
                    _ => {}
                }
                Ok(Reply::fields(fields))
            };
            let app = S::build(Plan::service(service).layer(&sessions)).await;
            let answer = S::answer(&app, Ask::get("/")).await;
            let case = format!("{driver} {fields:?} {deed}");
            assert_eq!(answer.field("vary"), vary, "{case}");
            assert_eq!(answer.field("cache-control"), cache_control, "{case}");
        }
    }
}

async fn several_cookie_fields_are_read_as_one_list<S: Stack>() {
    for (driver, sessions) in kept_sessions().await {
        let app = S::build(Plan::new().route("/", call(visit)).layer(&sessions)).await;
        let mut jar = Jar::default();
        send::<S>(&app, &mut jar, "/").await;
        let ours = format!("{NAME}={}", jar.token());
        for (fields, visits) in [
            (vec!["a=1", &ours, "b=2"], "2"),
            (vec![&ours, "a=1; b=2"], "3"),
            (vec!["a=1; b", "caf\u{e9}=1", &ours], "4"),
            // A name that browsers send once, over two fields.
            (vec![&ours, &ours], "1"),
        ] {
            let ask = fields.iter().fold(Ask::get("/"), |ask, field| ask.field("cookie", field));
            assert_eq!(S::answer(&app, ask).await.text, visits, "{driver} {}", fields.len());
        }
    }
}

async fn what_the_browser_says_of_a_request_decides_about_messages<S: Stack>() {
    for (driver, sessions) in all_sessions().await {
        let plan = Plan::new()
            .route("/flash", call(async || Session::flash("status", "hello").await))
            .route("/", call(async || Session::owner().await.map(drop)))
            .route("/show", call(async || Session::get_or("status", "nothing").await));
        let app = S::build(plan.layer(&sessions)).await;
        // Method, path, destination and purpose, and whether the message is over.
        for (method, path, dest, purpose, ages) in [
            ("GET", "/", Some("document"), None, true),
            ("GET", "/", None, None, true),
            ("GET", "/", Some("image"), None, false),
            ("GET", "/", Some("empty"), None, false),
            ("GET", "/show", Some("empty"), None, true),
            ("GET", "/", Some("document"), Some("prefetch"), false),
            ("GET", "/", Some("document"), Some("prefetch;prerender"), false),
            ("HEAD", "/", Some("document"), None, false),
            ("OPTIONS", "/", None, None, false),
        ] {
            let mut jar = Jar::default();
            send::<S>(&app, &mut jar, "/flash").await;
            let mut ask = Ask { method, ..Ask::get(path).by(&jar) };
            for (name, value) in [("sec-fetch-dest", dest), ("sec-purpose", purpose)] {
                if let Some(value) = value {
                    ask = ask.field(name, value);
                }
            }
            jar.take(&S::answer(&app, ask).await.lines());
            let case = format!("{driver} {method} {path} {dest:?} {purpose:?}");
            assert_eq!(jar.companion(".f0").is_none(), ages, "{case}");
        }
    }
}

const UPGRADE: &str = "the change needs a cookie, and an upgrade carries none: make it before the upgrade, in a request of \
    its own";

async fn an_upgrade_changes_a_session_and_makes_none<S: Stack>() {
    for (driver, sessions) in kept_sessions().await {
        let upgrade = async || visit().await.map(|_| Reply::status(101));
        let plan = Plan::new()
            .route("/", call(visit))
            .route("/look", take(look))
            .route("/upgrade", call(upgrade));
        let app = S::build(plan.layer(&sessions)).await;
        let mut jar = Jar::default();
        let (answer, told) =
            crate::support::told(async || send::<S>(&app, &mut jar, "/upgrade").await).await;
        assert_eq!((answer.status, answer.text.as_str()), (500, ""), "{driver}");
        assert!(jar.is_empty() && told.contains(UPGRADE), "{driver}: {told}");
        send::<S>(&app, &mut jar, "/").await;
        let answer = send::<S>(&app, &mut jar, "/upgrade").await;
        assert_eq!((answer.status, answer.lines().len()), (101, 0), "{driver}");
        assert_eq!(send::<S>(&app, &mut jar, "/look").await.text, "2", "{driver}");
    }
}
