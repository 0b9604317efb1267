//! What actix-session 0.11 documents for its users: its crate documentation, README, builder and list of changes.
//!
//! Each is kept, which a test here shows, or answered in the guide `docs/migrating.md`.

use crate::support::{Bench, DAY, HOUR, Jar, NAME, drivers, in_cookies, keepers, keepers_with};
use actix_web::{
    App, FromRequest, Handler, HttpMessage, HttpRequest, HttpResponse, Responder,
    body::MessageBody,
    dev::{Service, ServiceRequest, ServiceResponse},
    guard,
    http::header::SET_COOKIE,
    middleware::{Next, from_fn},
    test::{TestRequest, init_service, read_body},
    web::{self, ServiceConfig},
};
use dframework_session::{
    Config, DriverName, Error, MemoryStore, SameSite, Session, SessionHandle, Sessions,
    actix::SessionMiddleware,
    testing::{Application, Visitor},
};
use std::{collections::BTreeMap, time::Duration};

/// What becomes of a behaviour.
enum Here {
    /// The test that shows it.
    Kept(&'static str),
    /// Words of the guide that say what holds instead.
    Guide(&'static str),
}
use Here::{Guide, Kept};

/// Where it is documented, what it is, and what becomes of it.
const BEHAVIOURS: &[(&str, &str, Here)] = &[
    (
        "crate",
        "state is attached to the requests of one client",
        Kept("state_is_kept_for_one_client"),
    ),
    (
        "crate",
        "the middleware sets the cookie and creates the state",
        Kept("the_first_value_makes_the_session"),
    ),
    (
        "crate",
        "handlers take the session as an argument",
        Kept("handlers_take_the_session_as_an_argument"),
    ),
    (
        "crate",
        "the session does not work in the stream of a streaming response",
        Guide("in the stream of a response"),
    ),
    (
        "crate",
        "the key is made outside of the function that makes an `App`",
        Guide("outside of the function that makes an `App`"),
    ),
    ("crate", "a backend in cookies", Kept("a_session_in_its_cookie_needs_no_server")),
    ("crate", "a backend in Redis", Guide("`RedisSessionStore`")),
    ("crate", "a backend of one's own, by a trait", Kept("a_store_of_ones_own_keeps_the_state")),
    ("SessionMiddleware", "the defaults are the most secure ones", Kept("the_defaults_are_safe")),
    (
        "Session::get",
        "an error for a value of another type",
        Kept("a_value_of_another_type_is_an_error"),
    ),
    ("Session::contains_key", "whether there is a value", Kept("exists_tells_of_a_key")),
    ("Session::entries", "all keys and values, as JSON", Kept("all_shows_every_key_and_value")),
    ("Session::status", "changed, purged, renewed or unchanged", Guide("`session.status()`")),
    ("Session::insert", "any value that can be serialized", Kept("state_is_kept_for_one_client")),
    (
        "Session::insert",
        "an error for what cannot be serialized",
        Kept("what_cannot_be_serialized_is_an_error"),
    ),
    ("Session::update", "changes a value that is there", Kept("update_changes_what_is_there")),
    ("Session::update_or", "or begins with a default", Kept("update_changes_what_is_there")),
    (
        "Session::remove",
        "removes a value and returns it",
        Kept("pull_removes_a_value_and_returns_it"),
    ),
    ("Session::remove_as", "the same with its type", Kept("pull_removes_a_value_and_returns_it")),
    ("Session::clear", "empties the session", Kept("clear_empties_the_session_and_keeps_it")),
    ("Session::purge", "removes it on both sides", Kept("destroy_ends_it_on_both_sides")),
    ("SessionStatus::Purged", "most operations afterwards have no effect", Guide("after `purge`")),
    (
        "Session::renew",
        "another key for the same state",
        Kept("regenerate_gives_a_new_key_to_the_same_state"),
    ),
    (
        "SessionStatus::Renewed",
        "renewing extends the time to live",
        Guide("`renew` extends the time to live"),
    ),
    ("SessionExt", "for `HttpRequest`", Kept("a_handler_needs_no_argument")),
    (
        "SessionExt",
        "for `ServiceRequest` and `ServiceResponse`",
        Kept("middleware_has_the_session_before_and_after"),
    ),
    ("SessionExt", "for `GuardContext`", Guide("`GuardContext`")),
    (
        "tests",
        "middleware may let in whoever has logged in",
        Kept("middleware_lets_in_whoever_has_logged_in"),
    ),
    (
        "tests",
        "a request that changes nothing sets no cookie",
        Kept("a_request_that_changes_nothing_sets_no_cookie"),
    ),
    ("tests", "a change sets the cookie again", Guide("sent again with every change")),
    (
        "tests",
        "an old key opens nothing after a renewal",
        Kept("regenerate_gives_a_new_key_to_the_same_state"),
    ),
    ("tests", "an old key opens nothing after a logout", Kept("destroy_ends_it_on_both_sides")),
    ("builder::cookie_name", "`id` by default", Kept("the_cookie_can_be_configured")),
    ("builder::cookie_secure", "true by default", Kept("the_cookie_can_be_configured")),
    ("builder::cookie_same_site", "Lax by default", Kept("the_cookie_can_be_configured")),
    ("builder::cookie_path", "`/` by default", Kept("the_cookie_can_be_configured")),
    ("builder::cookie_domain", "none by default", Kept("the_cookie_can_be_configured")),
    (
        "builder::cookie_http_only",
        "true by default, and can be turned off",
        Guide("`.cookie_http_only(..)`"),
    ),
    (
        "builder::cookie_content_security",
        "encrypted or signed",
        Guide("`.cookie_content_security(..)`"),
    ),
    (
        "BrowserSession",
        "the cookie ends with the browser, by default",
        Kept("the_cookie_ends_with_the_browser_unless_it_is_persistent"),
    ),
    (
        "BrowserSession",
        "the state has a time to live of its own",
        Kept("state_expires_and_its_cookie_begins_a_new_session"),
    ),
    (
        "BrowserSession",
        "a cookie that outlives the state begins a new session",
        Kept("state_expires_and_its_cookie_begins_a_new_session"),
    ),
    ("BrowserSession", "a day by default", Guide("`state_ttl`, `session_ttl`")),
    (
        "PersistentSession",
        "the cookie has an age",
        Kept("the_cookie_ends_with_the_browser_unless_it_is_persistent"),
    ),
    ("TtlExtensionPolicy", "every request extends the time", Kept("use_extends_the_time_to_live")),
    (
        "TtlExtensionPolicy",
        "or changes alone, by default",
        Guide("`TtlExtensionPolicy::OnStateChanges`"),
    ),
    (
        "CookieSessionStore",
        "state that is too large is refused",
        Kept("state_too_large_for_a_cookie_is_refused"),
    ),
    (
        "CookieSessionStore",
        "the client cannot read it when it is encrypted",
        Kept("a_session_in_its_cookie_needs_no_server"),
    ),
    (
        "CookieSessionStore",
        "nothing invalidates a session before it expires",
        Guide("copies of the cookie"),
    ),
    (
        "changes 0.4.1",
        "a logout works on paths other than the cookie's",
        Kept("a_removal_has_the_attributes_of_the_cookie"),
    ),
    ("changes 0.5.0", "nothing is stored without data", Kept("the_first_value_makes_the_session")),
    (
        "changes 0.6.2",
        "clients are told nothing of what failed",
        Kept("clients_are_told_nothing_of_what_failed"),
    ),
    (
        "changes 0.7.1",
        "a change and a renewal in one request",
        Kept("a_change_and_a_new_key_in_one_request_are_both_kept"),
    ),
    (
        "changes 0.7.2",
        "the removal cookie has SameSite",
        Kept("a_removal_has_the_attributes_of_the_cookie"),
    ),
    (
        "changes 0.8.0",
        "the removal cookie has Secure",
        Kept("a_removal_has_the_attributes_of_the_cookie"),
    ),
    (
        "middleware",
        "an invalid cookie is ignored",
        Kept("a_cookie_that_nobody_gave_out_is_no_session"),
    ),
    ("middleware", "state that cannot be read is an empty session", Guide("cannot be read")),
];

#[test]
fn every_documented_behaviour_is_kept_or_answered() {
    let (tests, guide) = (include_str!("peer.rs"), include_str!("../../../docs/migrating.md"));
    for (place, what, here) in BEHAVIOURS {
        match here {
            Kept(test) => assert!(tests.contains(&format!("async fn {test}()")), "{place}: {what}"),
            Guide(words) => assert!(guide.contains(words), "{place}: {what}"),
        }
    }
}

type Routes = Box<dyn FnOnce(&mut ServiceConfig)>;

/// Routes of one path.
fn one<F, Args>(path: &'static str, handler: F) -> Routes
where
    F: Handler<Args, Output: Responder + 'static>,
    Args: FromRequest + 'static,
{
    Box::new(move |routes| {
        routes.route(path, web::get().to(handler));
    })
}

/// These routes, and those that count.
fn and_counting(routes: Routes) -> Routes {
    Box::new(|config| {
        routes(config);
        counting(config);
    })
}

/// An application of these routes, with our middleware around it.
async fn app(
    sessions: Sessions,
    routes: Routes,
) -> impl Service<
    actix_http::Request,
    Response = ServiceResponse<impl MessageBody>,
    Error = actix_web::Error,
> {
    init_service(App::new().configure(routes).wrap(SessionMiddleware::new(sessions))).await
}

/// What a path answers, and how many cookies it sets.
async fn go<A, B>(app: &A, visitor: &mut Visitor, path: &str) -> (String, usize)
where
    A: Application<actix_http::Request, Response = ServiceResponse<B>>,
    B: MessageBody,
{
    let response = visitor.send(app, TestRequest::with_uri(path).to_request()).await;
    let cookies = response.headers().get_all(SET_COOKIE).count();
    (String::from_utf8(read_body(response).await.to_vec()).unwrap(), cookies)
}

async fn count() -> Result<String, Error> {
    Session::increment("counter", 1).await.map(|counter| counter.to_string())
}

async fn counter() -> Result<String, Error> {
    Session::get_or("counter", &0_i64).await.map(|counter| counter.to_string())
}

async fn logout() -> Result<String, Error> {
    Session::destroy().await.map(|()| String::new())
}

async fn login() -> Result<String, Error> {
    Session::set_owner("42").await.map(|()| String::new())
}

fn counting(routes: &mut ServiceConfig) {
    routes
        .route("/", web::get().to(counter))
        .route("/count", web::get().to(count))
        .route("/login", web::get().to(login))
        .route("/logout", web::get().to(logout));
}

#[actix_web::test]
async fn state_is_kept_for_one_client() {
    for Bench { sessions, driver, .. } in drivers().await {
        let app = app(sessions.clone(), Box::new(counting)).await;
        let (mut one, mut other) = (Visitor::new(&sessions), Visitor::new(&sessions));
        for counter in ["1", "2", "3"] {
            assert_eq!(go(&app, &mut one, "/count").await.0, counter, "{driver}");
        }
        assert_eq!(go(&app, &mut other, "/").await.0, "0", "{driver}");
    }
}

#[actix_web::test]
async fn the_first_value_makes_the_session() {
    for Bench { sessions, driver, .. } in keepers().await {
        let app = app(sessions.clone(), Box::new(counting)).await;
        let mut visitor = Visitor::new(&sessions);
        assert_eq!(go(&app, &mut visitor, "/").await, ("0".to_owned(), 0), "{driver}");
        assert_eq!(sessions.count().await.unwrap(), 0, "{driver}");
        assert_eq!(go(&app, &mut visitor, "/count").await, ("1".to_owned(), 1), "{driver}");
        assert_eq!(sessions.count().await.unwrap(), 1, "{driver}");
    }
}

#[actix_web::test]
async fn a_request_that_changes_nothing_sets_no_cookie() {
    for Bench { sessions, driver, .. } in keepers().await {
        let app = app(sessions.clone(), Box::new(counting)).await;
        let mut visitor = Visitor::new(&sessions);
        go(&app, &mut visitor, "/count").await;
        assert_eq!(go(&app, &mut visitor, "/").await, ("1".to_owned(), 0), "{driver}");
    }
}

#[actix_web::test]
async fn handlers_take_the_session_as_an_argument() {
    let sessions = Sessions::memory();
    let index = async |session: SessionHandle| {
        let counter = session.get::<i64>("counter").await?.unwrap_or(0) + 1;
        session.set("counter", counter).await?;
        Ok::<_, Error>(counter.to_string())
    };
    let app = app(sessions.clone(), one("/", index)).await;
    let mut visitor = Visitor::new(&sessions);
    for counter in ["1", "2"] {
        assert_eq!(go(&app, &mut visitor, "/").await.0, counter);
    }
}

#[actix_web::test]
async fn a_handler_needs_no_argument() {
    let sessions = Sessions::memory();
    let index = async |request: HttpRequest| {
        request.extensions_mut().insert("of the application");
        count().await
    };
    let app = app(sessions.clone(), one("/", index)).await;
    assert_eq!(go(&app, &mut Visitor::new(&sessions), "/").await.0, "1");
}

#[actix_web::test]
async fn a_value_of_another_type_is_an_error() {
    for Bench { sessions, driver, .. } in drivers().await {
        let mut visitor = Visitor::new(&sessions);
        visitor.with(async |session| session.set("counter", "many").await).await.unwrap();
        let app = app(sessions.clone(), Box::new(counting)).await;
        let response = visitor.send(&app, TestRequest::with_uri("/").to_request()).await;
        assert_eq!(response.status(), 500, "{driver}");
        visitor.session().await.assert_value("counter", "many");
    }
}

#[actix_web::test]
async fn what_cannot_be_serialized_is_an_error() {
    let sessions = Sessions::memory();
    let index = async || Session::set("ratio", f64::NAN).await.map(|()| "");
    let app = app(sessions.clone(), one("/", index)).await;
    let request = TestRequest::with_uri("/").to_request();
    assert_eq!(Visitor::new(&sessions).send(&app, request).await.status(), 500);
}

#[actix_web::test]
async fn exists_tells_of_a_key() {
    let sessions = Sessions::memory();
    let index = async || Session::exists("counter").await.map(|found| found.to_string());
    let routes = and_counting(one("/exists", index));
    let app = app(sessions.clone(), routes).await;
    let mut visitor = Visitor::new(&sessions);
    assert_eq!(go(&app, &mut visitor, "/exists").await.0, "false");
    go(&app, &mut visitor, "/count").await;
    assert_eq!(go(&app, &mut visitor, "/exists").await.0, "true");
}

#[actix_web::test]
async fn all_shows_every_key_and_value() {
    let sessions = Sessions::memory();
    let index = async || Session::all().await.map(web::Json);
    let app = app(sessions.clone(), one("/", index)).await;
    let mut visitor = Visitor::new(&sessions);
    let values = BTreeMap::from([("counter", 1), ("visits", 2)]);
    let set = async |session: SessionHandle| {
        for (key, value) in values {
            session.set(key, value).await?;
        }
        Ok::<_, Error>(())
    };
    visitor.with(set).await.unwrap();
    assert_eq!(go(&app, &mut visitor, "/").await.0, r#"{"counter":1,"visits":2}"#);
}

#[actix_web::test]
async fn update_changes_what_is_there() {
    for Bench { sessions, driver, .. } in drivers().await {
        let index = async || {
            let double = |counter: Option<i64>| counter.map_or(1, |counter| counter * 2);
            Session::update("counter", double).await.map(|counter| counter.to_string())
        };
        let app = app(sessions.clone(), one("/", index)).await;
        let mut visitor = Visitor::new(&sessions);
        for counter in ["1", "2", "4"] {
            assert_eq!(go(&app, &mut visitor, "/").await.0, counter, "{driver}");
        }
    }
}

#[actix_web::test]
async fn pull_removes_a_value_and_returns_it() {
    for Bench { sessions, driver, .. } in drivers().await {
        let index =
            async || Ok::<_, Error>(format!("{:?}", Session::pull::<i64>("counter").await?));
        let routes = and_counting(one("/pull", index));
        let app = app(sessions.clone(), routes).await;
        let mut visitor = Visitor::new(&sessions);
        go(&app, &mut visitor, "/count").await;
        assert_eq!(go(&app, &mut visitor, "/pull").await.0, "Some(1)", "{driver}");
        assert_eq!(go(&app, &mut visitor, "/pull").await.0, "None", "{driver}");
    }
}

#[actix_web::test]
async fn clear_empties_the_session_and_keeps_it() {
    for Bench { sessions, driver, .. } in drivers().await {
        let index = async || Session::clear().await.map(|()| "");
        let app = app(sessions.clone(), one("/", index)).await;
        let mut visitor = Visitor::new(&sessions);
        let fill = async |session: SessionHandle| {
            session.set_owner("42").await?;
            session.set("counter", 1).await
        };
        visitor.with(fill).await.unwrap();
        let before = visitor.session().await.id();
        go(&app, &mut visitor, "/").await;
        visitor.session().await.assert_missing("counter").assert_owner("42");
        assert_eq!(visitor.session().await.id(), before, "{driver}");
    }
}

#[actix_web::test]
async fn destroy_ends_it_on_both_sides() {
    for Bench { sessions, driver, .. } in drivers().await {
        let app = app(sessions.clone(), Box::new(counting)).await;
        let mut visitor = Visitor::new(&sessions);
        go(&app, &mut visitor, "/count").await;
        let mut copy = visitor.clone();
        go(&app, &mut visitor, "/logout").await;
        visitor.browser().assert_cookies([]);
        assert_eq!(go(&app, &mut copy, "/").await, ("0".to_owned(), 0), "{driver}");
        if driver != "stealth" {
            assert_eq!(sessions.count().await.unwrap(), 0, "{driver}");
        }
    }
}

#[actix_web::test]
async fn regenerate_gives_a_new_key_to_the_same_state() {
    for Bench { sessions, driver, .. } in drivers().await {
        let index = async || Session::regenerate().await.map(|()| "");
        let routes = and_counting(one("/renew", index));
        let app = app(sessions.clone(), routes).await;
        for path in ["/renew", "/login"] {
            let mut visitor = Visitor::new(&sessions);
            go(&app, &mut visitor, "/count").await;
            let mut old = visitor.clone();
            go(&app, &mut visitor, path).await;
            assert_eq!(go(&app, &mut visitor, "/").await.0, "1", "{driver} {path}");
            assert_eq!(go(&app, &mut old, "/").await.0, "0", "{driver} {path}");
        }
    }
}

#[actix_web::test]
async fn a_change_and_a_new_key_in_one_request_are_both_kept() {
    for Bench { sessions, driver, .. } in drivers().await {
        let before = async || {
            count().await?;
            Session::regenerate().await.map(|()| "")
        };
        let after = async || {
            Session::regenerate().await?;
            count().await
        };
        let routes: Routes = Box::new(move |routes| {
            routes.route("/before", web::get().to(before)).route("/after", web::get().to(after));
            counting(routes);
        });
        let app = app(sessions.clone(), routes).await;
        for path in ["/before", "/after"] {
            let mut visitor = Visitor::new(&sessions);
            go(&app, &mut visitor, "/count").await;
            let id = visitor.session().await.id();
            go(&app, &mut visitor, path).await;
            assert_ne!(visitor.session().await.id(), id, "{driver} {path}");
            assert_eq!(go(&app, &mut visitor, "/").await.0, "2", "{driver} {path}");
        }
    }
}

#[actix_web::test]
async fn middleware_has_the_session_before_and_after() {
    for Bench { sessions, driver, .. } in drivers().await {
        let app = App::new()
            .route("/", web::get().to(count))
            .wrap_fn(|request, service| {
                let answer = service.call(request);
                async move {
                    count().await?;
                    let response = answer.await?;
                    count().await?;
                    Ok(response)
                }
            })
            .wrap(SessionMiddleware::new(sessions.clone()));
        let app = init_service(app).await;
        let mut visitor = Visitor::new(&sessions);
        assert_eq!(go(&app, &mut visitor, "/").await.0, "2", "{driver}");
        visitor.session().await.assert_value("counter", 3);
    }
}

async fn users_only(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    match Session::owner().await? {
        Some(_) => Ok(next.call(request).await?.map_into_left_body()),
        None => Ok(request.into_response(HttpResponse::Unauthorized()).map_into_right_body()),
    }
}

#[actix_web::test]
async fn middleware_lets_in_whoever_has_logged_in() {
    for Bench { sessions, driver, .. } in drivers().await {
        let routes: Routes = Box::new(move |routes| {
            let members = web::scope("/members").wrap(from_fn(users_only));
            routes.service(members.route("/count", web::get().to(count)));
            counting(routes);
        });
        let app = app(sessions.clone(), routes).await;
        let mut visitor = Visitor::new(&sessions);
        assert_eq!(go(&app, &mut visitor, "/members/count").await.0, "", "{driver}");
        go(&app, &mut visitor, "/login").await;
        assert_eq!(go(&app, &mut visitor, "/members/count").await.0, "1", "{driver}");
        go(&app, &mut visitor, "/logout").await;
        assert_eq!(go(&app, &mut visitor, "/members/count").await.0, "", "{driver}");
    }
}

/// Guards cannot wait, so they find the handle and read nothing. The guide says what to use instead.
#[actix_web::test]
async fn a_guard_finds_the_session_and_cannot_wait_for_it() {
    let sessions = Sessions::memory();
    let inside = guard::fn_guard(|_| Session::handle().is_ok());
    let routes: Routes = Box::new(move |routes| {
        routes.route("/", web::get().guard(inside).to(count));
    });
    let app = app(sessions.clone(), routes).await;
    assert_eq!(go(&app, &mut Visitor::new(&sessions), "/").await.0, "1");
}

/// The line that sets the session cookie.
async fn line(sessions: &Sessions, path: &str) -> String {
    let app = app(sessions.clone(), Box::new(counting)).await;
    let response = app.call(TestRequest::with_uri(path).to_request()).await.unwrap();
    response.headers().get(SET_COOKIE).unwrap().to_str().unwrap().to_owned()
}

#[actix_web::test]
async fn the_defaults_are_safe() {
    let line = line(&Sessions::memory(), "/count").await;
    let (pair, attributes) = line.split_once(';').unwrap();
    assert!(pair.starts_with(&format!("{NAME}=")) && pair.len() == NAME.len() + 44, "{pair}");
    assert_eq!(attributes, " Path=/; Secure; HttpOnly; SameSite=Lax");
}

#[actix_web::test]
async fn the_cookie_can_be_configured() {
    let memory = || Config::new().driver(DriverName::Memory);
    let config = memory().cookie_name("id").cookie_path("/shop").same_site(SameSite::Strict);
    let sessions = Sessions::connect(&config.cookie_domain("example.com")).await.unwrap();
    let strict = line(&sessions, "/count").await;
    assert!(strict.starts_with("id="), "{strict}");
    for attribute in ["; Path=/shop", "; Domain=example.com", "; Secure", "; SameSite=Strict"] {
        assert!(strict.contains(attribute), "{strict}");
    }
    let config = memory().cookie_name("id").insecure_cookie();
    let insecure = line(&Sessions::connect(&config).await.unwrap(), "/count").await;
    assert!(!insecure.contains("Secure") && insecure.contains("; HttpOnly"), "{insecure}");
}

#[actix_web::test]
async fn the_cookie_ends_with_the_browser_unless_it_is_persistent() {
    let config = Config::new().driver(DriverName::Memory).lifetime(5 * DAY).persistent_cookie();
    for (sessions, stays) in
        [(Sessions::memory(), false), (Sessions::connect(&config).await.unwrap(), true)]
    {
        let app = app(sessions.clone(), Box::new(counting)).await;
        let mut visitor = Visitor::new(&sessions);
        go(&app, &mut visitor, "/count").await;
        visitor.browser_mut().restart();
        assert_eq!(go(&app, &mut visitor, "/").await.0, if stays { "1" } else { "0" });
    }
    let line = line(&Sessions::connect(&config).await.unwrap(), "/count").await;
    assert!(line.contains(&format!("; Max-Age={}", 5 * 24 * 3600)), "{line}");
}

#[actix_web::test]
async fn state_expires_and_its_cookie_begins_a_new_session() {
    for Bench { sessions, clock, driver, .. } in
        keepers_with(|config| config.idle_timeout(HOUR)).await
    {
        let app = app(sessions.clone(), Box::new(counting)).await;
        let mut visitor = Visitor::new(&sessions);
        go(&app, &mut visitor, "/count").await;
        clock.advance(HOUR + HOUR / 10);
        assert_eq!(go(&app, &mut visitor, "/").await.0, "0", "{driver}");
        assert_eq!(go(&app, &mut visitor, "/count").await, ("1".to_owned(), 1), "{driver}");
    }
}

#[actix_web::test]
async fn use_extends_the_time_to_live() {
    for Bench { sessions, clock, driver, .. } in
        keepers_with(|config| config.idle_timeout(HOUR)).await
    {
        let app = app(sessions.clone(), Box::new(counting)).await;
        let mut visitor = Visitor::new(&sessions);
        go(&app, &mut visitor, "/count").await;
        for _ in 0..5 {
            clock.advance(Duration::from_secs(50 * 60));
            assert_eq!(go(&app, &mut visitor, "/").await, ("1".to_owned(), 0), "{driver}");
        }
    }
}

#[actix_web::test]
async fn a_removal_has_the_attributes_of_the_cookie() {
    let config = Config::new().driver(DriverName::Memory).cookie_name("id").cookie_path("/shop");
    let sessions = Sessions::connect(&config.same_site(SameSite::Strict)).await.unwrap();
    let app = app(sessions.clone(), Box::new(counting)).await;
    // A client that sends the cookie wherever it is, as a logout on another path would have it.
    let set = line(&sessions, "/count").await;
    let cookie = set.split(';').next().unwrap();
    let request = TestRequest::with_uri("/logout").insert_header(("cookie", cookie));
    let response = app.call(request.to_request()).await.unwrap();
    let removal = response.headers().get(SET_COOKIE).unwrap().to_str().unwrap();
    let attributes = |line: &str| {
        let parts = line.split("; ").skip(1).map(str::to_owned);
        parts.filter(|part| !part.starts_with("Max-Age") && !part.starts_with("Expires")).collect()
    };
    let (one, other): (Vec<_>, Vec<_>) = (attributes(&set), attributes(removal));
    assert_eq!(one, other);
    assert!(removal.starts_with("id=;") && one.contains(&"Path=/shop".to_owned()), "{removal}");
}

#[actix_web::test]
async fn a_cookie_that_nobody_gave_out_is_no_session() {
    for Bench { sessions, driver, .. } in drivers().await {
        let app = app(sessions.clone(), Box::new(counting)).await;
        for value in [crate::support::UNKNOWN, "bogus", ""] {
            let cookie = format!("{NAME}={value}");
            let request = TestRequest::with_uri("/count").insert_header(("cookie", cookie));
            let response = app.call(request.to_request()).await.unwrap();
            let line = response.headers().get(SET_COOKIE).unwrap().to_str().unwrap().to_owned();
            let mut jar = Jar::default();
            jar.take(&[line]);
            assert_ne!(jar.session(), Some(value), "{driver}: it is not adopted");
        }
    }
}

#[actix_web::test]
async fn clients_are_told_nothing_of_what_failed() {
    let sessions = Sessions::memory();
    let mut visitor = Visitor::new(&sessions);
    visitor.with(async |session| session.set("counter", "secret").await).await.unwrap();
    let app = app(sessions.clone(), Box::new(counting)).await;
    let (text, cookies) = go(&app, &mut visitor, "/count").await;
    assert_eq!((text.as_str(), cookies), ("", 0));
}

#[actix_web::test]
async fn a_store_of_ones_own_keeps_the_state() {
    let sessions = Sessions::from_store(MemoryStore::new(), &Config::new()).unwrap();
    let app = app(sessions.clone(), Box::new(counting)).await;
    let mut visitor = Visitor::new(&sessions);
    for counter in ["1", "2"] {
        assert_eq!(go(&app, &mut visitor, "/count").await.0, counter);
    }
}

#[actix_web::test]
async fn a_session_in_its_cookie_needs_no_server() {
    let key = Config::generate_key().unwrap();
    let here = || Config::new().driver(DriverName::Stealth).key(&key).unwrap();
    let (one, other) =
        (Sessions::connect(&here()).await.unwrap(), Sessions::connect(&here()).await.unwrap());
    let mut visitor = Visitor::new(&one);
    visitor.with(async |session| session.set("counter", 41).await).await.unwrap();
    let value = visitor.browser().cookie(NAME).unwrap().value().into_owned();
    assert!(!value.contains("counter"), "{value}");
    assert_eq!(go(&app(other, Box::new(counting)).await, &mut visitor, "/count").await.0, "42");
}

#[actix_web::test]
async fn state_too_large_for_a_cookie_is_refused() {
    let sessions = in_cookies().await.sessions;
    let index = async || Session::set("text", "x".repeat(4096)).await.map(|()| "");
    let app = app(sessions.clone(), one("/", index)).await;
    let response = app.call(TestRequest::with_uri("/").to_request()).await.unwrap();
    assert_eq!(response.status(), 413);
    assert!(!response.headers().contains_key(SET_COOKIE));
}
