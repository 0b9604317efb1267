//! The visitor of the testing kit: what it prepares, sends, takes and finds, and what its assertions say.

use crate::{
    events::listened,
    stores::{Fault, Probe, Verb, in_a_probe},
    support::{Bench, DAY, HOUR, NAME, UNKNOWN, drivers, keepers, keepers_with, told},
};
use dframework_session::{
    Clock, Config, Env, Error, Session, SessionHandle, Sessions,
    testing::{Browser, HttpRequest, Snapshot, Visitor, Way},
};
use serde_json::json;
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// What a function panics with.
fn message(run: impl FnOnce()) -> String {
    let cause: Box<dyn Any + Send> = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
    match cause.downcast::<String>() {
        Ok(text) => *text,
        Err(cause) => (*cause.downcast::<&str>().unwrap()).to_owned(),
    }
}

fn visitor(bench: &Bench) -> Visitor {
    Visitor::new(&bench.sessions)
}

async fn holding_a_name(bench: &Bench) -> Visitor {
    let mut visitor = visitor(bench);
    visitor.with(async |session| session.set("name", "visitor").await).await.unwrap();
    visitor
}

#[tokio::test]
async fn a_session_is_prepared_as_an_earlier_request_would_have_left_it() {
    for bench in keepers().await {
        let mut visitor = visitor(&bench);
        let prepare = async |session: SessionHandle| {
            session.set_owner("42").await?;
            session.set("cart", 3).await?;
            session.permanent(json!({ "theme": "dark" })).await?;
            session.flash("status", "saved").await
        };
        visitor.with(prepare).await.unwrap();
        let cookies = [NAME, "__Host-Http-session.p", "__Host-Http-session.f0"];
        visitor.browser().assert_cookies(cookies);

        let session = visitor.session().await;
        session
            .assert_present()
            .assert_owner("42")
            .assert_value("cart", 3)
            .assert_value("status", "saved")
            .assert_value("theme", "dark")
            .assert_flash("status", "saved")
            .assert_permanent("theme", "dark")
            .assert_missing("name");
        assert_eq!(session.get::<u32>("cart"), Some(3));
        assert_eq!(session.get::<u32>("name"), None);
        assert_eq!(session.keys().collect::<Vec<_>>(), ["cart", "status", "theme"]);
        assert_eq!(session.owner(), Some("42"));
        let listed = bench.sessions.of("42", None, 2).await.unwrap();
        assert_eq!(session.id(), Some(listed[0].id), "{}", bench.driver);
    }
}

#[tokio::test]
async fn the_facade_works_in_what_is_prepared() {
    async fn add_to_cart(item: &str) -> Result<(), Error> {
        Session::push("cart", item).await
    }
    for bench in drivers().await {
        let mut visitor = visitor(&bench);
        visitor.with(async |_| add_to_cart("tea").await).await.unwrap();
        let count = visitor.with(async |_| {
            add_to_cart("milk").await?;
            Ok::<_, Error>(Session::get_or("cart", &Vec::<String>::new()).await?.len())
        });
        assert_eq!(count.await.unwrap(), 2);
        visitor.session().await.assert_value("cart", ["tea", "milk"]);
    }
}

/// An error of an application.
#[derive(Debug, PartialEq)]
struct Refused;

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        panic!("the session does not fail: {error}")
    }
}

#[tokio::test]
async fn what_fails_is_not_prepared() {
    for bench in drivers().await {
        let mut visitor = holding_a_name(&bench).await;
        let failing = visitor.with(async |session| {
            session.set("name", "other").await?;
            session.set("ratio", f64::NAN).await
        });
        assert!(failing.await.unwrap_err().is_invalid());
        visitor.session().await.assert_value("name", "visitor");

        // An error of the application's own comes back as it is.
        let refused = visitor.with(async |session| {
            session.set("name", "other").await?;
            Err::<(), _>(Refused)
        });
        assert_eq!(refused.await, Err(Refused));
        visitor.session().await.assert_value("name", "visitor");
    }
    let store = Probe::default();
    let sessions = Sessions::from_store(store.clone(), &Config::new()).unwrap();
    let mut visitor = Visitor::new(&sessions);
    store.fail_next(Verb::Create, Fault::Unavailable);
    let failed = visitor.with(async |session| session.set("name", "visitor").await).await;
    assert!(failed.unwrap_err().is_unavailable());
    visitor.session().await.assert_absent();
}

#[tokio::test]
async fn preparing_uses_up_only_the_messages_that_it_reads() {
    for bench in drivers().await {
        let mut visitor = visitor(&bench);
        visitor.with(async |session| session.flash("one", 1).await).await.unwrap();
        visitor.with(async |session| session.flash("other", 2).await).await.unwrap();
        visitor.with(async |session| session.exists("one").await).await.unwrap();
        visitor.session().await.assert_flash("one", 1).assert_flash("other", 2);
        visitor.with(async |session| session.get::<u8>("one").await).await.unwrap();
        visitor.session().await.assert_missing("one").assert_flash("other", 2);
        visitor.page(async |_| Ok::<_, Error>(())).await.unwrap();
        visitor.session().await.assert_no_flash();
        visitor.browser().assert_cookies([NAME]);
    }
}

#[tokio::test]
async fn looking_leaves_no_trace() {
    for bench in drivers().await {
        let mut visitor = holding_a_name(&bench).await;
        visitor.with(async |session| session.flash("status", "saved").await).await.unwrap();
        // Six looks in two hours: none of them counts as a use.
        for _ in 0..6 {
            visitor.session().await.assert_value("name", "visitor").assert_flash("status", "saved");
            bench.clock.advance(HOUR / 3);
        }
        bench.clock.advance(HOUR / 5);
        visitor.session().await.assert_absent().assert_empty();
    }
    let (store, bench) = in_a_probe();
    let visitor = holding_a_name(&bench).await;
    store.take_lines();
    visitor.session().await.assert_present();
    assert_eq!(store.take_lines(), ["load a"]);
}

#[tokio::test]
async fn a_snapshot_stays_as_it_was() {
    for bench in drivers().await {
        let mut visitor = holding_a_name(&bench).await;
        let before = visitor.session().await;
        visitor.with(async |session| session.set_owner("42").await).await.unwrap();
        let after = visitor.session().await;
        before.assert_no_owner().assert_value("name", "visitor");
        after.assert_owner("42").assert_value("name", "visitor");
        assert_ne!(before.id(), after.id(), "{}: a login is a new token", bench.driver);
    }
}

#[tokio::test]
async fn a_clone_has_a_copy_of_the_cookies() {
    for bench in drivers().await {
        let mut visitor = holding_a_name(&bench).await;
        let thief = visitor.clone();
        thief.session().await.assert_value("name", "visitor");
        visitor.with(async |session| session.regenerate().await).await.unwrap();
        visitor.session().await.assert_value("name", "visitor");
        thief.session().await.assert_absent().assert_empty();
    }
}

#[tokio::test]
async fn a_restart_of_the_browser_keeps_permanent_data_for_400_days() {
    for bench in drivers().await {
        let mut visitor = holding_a_name(&bench).await;
        let choose = async |session: SessionHandle| session.permanent(json!({ "theme": 1 })).await;
        visitor.with(choose).await.unwrap();
        visitor.browser_mut().restart();
        visitor.session().await.assert_absent().assert_missing("name").assert_permanent("theme", 1);
        bench.clock.advance(400 * DAY);
        visitor.session().await.assert_empty();
        visitor.browser().assert_cookies([]);
    }
}

#[tokio::test]
async fn ways_and_statuses_are_those_of_an_exchange() {
    for bench in drivers().await {
        let mut visitor = visitor(&bench);
        let flash = async |session: SessionHandle| session.flash("status", "saved").await;
        visitor.exchange(Way::Navigation, 303, flash).await.unwrap();
        for (way, status) in [
            (Way::Fetch, 200),
            (Way::Prefetch, 200),
            (Way::CrossSiteFetch, 200),
            (Way::Navigation, 500),
            (Way::Plain, 503),
        ] {
            visitor.exchange(way, status, async |_| Ok::<_, Error>(())).await.unwrap();
            visitor.session().await.assert_flash("status", "saved");
        }
        for way in [Way::Navigation, Way::CrossSiteNavigation, Way::Plain] {
            let mut visitor = visitor.clone();
            visitor.exchange(way, 200, async |_| Ok::<_, Error>(())).await.unwrap();
            visitor.session().await.assert_no_flash();
        }
    }
}

#[tokio::test]
async fn the_session_is_looked_for_where_its_cookie_is_sent() {
    let configure = |config: Config| config.cookie_name("id").cookie_path("/shop/cart");
    for bench in keepers_with(configure).await {
        let mut visitor = holding_a_name(&bench).await;
        visitor.session().await.assert_value("name", "visitor");
        visitor.browser().assert_cookies(["id"]);
        let mut sent = |target: &str| visitor.request(Recorded::new("GET", target)).get("cookie");
        assert!(sent("/shop/cart/items").is_some());
        assert!(sent("/shop").is_none());
    }
}

#[tokio::test]
async fn a_cookie_with_a_domain_needs_a_visitor_there() {
    let configure = |config: Config| config.cookie_name("id").cookie_domain("shop.example");
    for bench in keepers_with(configure).await {
        let mut visitor = visitor(&bench).at("https://www.shop.example/cart");
        visitor.with(async |session| session.set("name", "visitor").await).await.unwrap();
        visitor.session().await.assert_value("name", "visitor");
        let elsewhere = visitor.clone().at("https://shop.example/");
        elsewhere.session().await.assert_value("name", "visitor");
        visitor.at("https://other.example/").session().await.assert_absent();
    }
}

#[tokio::test]
#[should_panic(expected = "the cookie \"id\": the host is neither its Domain nor below it")]
async fn a_cookie_of_another_domain_fails_the_test() {
    let config = Config::new().driver(dframework_session::DriverName::Memory).cookie_name("id");
    let sessions = Sessions::connect(&config.cookie_domain("shop.example")).await.unwrap();
    let name = async |session: SessionHandle| session.set("name", "visitor").await;
    let _ = Visitor::new(&sessions).with(name).await;
}

#[tokio::test]
async fn cookies_over_plain_http_are_kept_where_the_browser_trusts_the_address() {
    let prepare = async |session: SessionHandle| session.set("name", "visitor").await;
    let sessions = Sessions::memory();
    for url in ["http://localhost:3000/", "http://127.0.0.1/", "https://shop.example/"] {
        let mut visitor = Visitor::new(&sessions).at(url);
        visitor.with(prepare).await.unwrap();
        visitor.session().await.assert_value("name", "visitor");
    }
    let local = Config::new().driver(dframework_session::DriverName::Memory);
    let local = Sessions::connect(&local.env(dframework_session::Env::Local)).await.unwrap();
    let mut visitor = Visitor::new(&local).at("http://192.168.0.5:3000/");
    visitor.with(prepare).await.unwrap();
    visitor.session().await.assert_value("name", "visitor");
}

#[tokio::test]
#[should_panic(
    expected = "at http://192.168.0.5/: the browser drops the cookie \"__Host-Http-session\": it is Secure and came over plain http"
)]
async fn a_dropped_cookie_fails_the_test() {
    let mut visitor = Visitor::new(&Sessions::memory()).at("http://192.168.0.5/");
    let _ = visitor.with(async |session| session.set("name", "visitor").await).await;
}

#[tokio::test]
#[should_panic(
    expected = "at http://localhost/: the browser drops the cookie \"__Host-Http-session\""
)]
async fn another_browser_has_other_rules() {
    let strict = Browser::strict(Clock::manual());
    let mut visitor = Visitor::new(&Sessions::memory()).at("http://localhost/").in_browser(strict);
    let _ = visitor.with(async |session| session.set("name", "visitor").await).await;
}

#[test]
#[should_panic(expected = "at https://localhost/: the browser gives up [\"c0\"] to make room")]
fn a_cookie_that_makes_room_fails_the_test() {
    let lines: Vec<_> = (0..181).map(|number| format!("c{number}=1")).collect();
    Visitor::new(&Sessions::memory()).receive(&lines[..]);
}

#[tokio::test]
#[should_panic(
    expected = "the session of the visitor cannot be read: the session store failed while"
)]
async fn a_store_that_fails_shows_no_empty_session() {
    let store = Probe::default();
    let sessions = Sessions::from_store(store.clone(), &Config::new()).unwrap();
    let mut visitor = Visitor::new(&sessions);
    visitor.with(async |session| session.set("name", "visitor").await).await.unwrap();
    store.fail_next(Verb::Load, Fault::Unavailable);
    visitor.session().await;
}

/// A request that writes down its fields.
struct Recorded {
    method: &'static str,
    target: String,
    fields: Vec<(&'static str, String)>,
}

impl Recorded {
    fn new(method: &'static str, target: &str) -> Self {
        Self { method, target: target.to_owned(), fields: Vec::new() }
    }

    fn get(&self, wanted: &str) -> Option<String> {
        let mut fields = self.fields.iter();
        fields.find(|(name, _)| *name == wanted).map(|(_, value)| value.clone())
    }
}

impl HttpRequest for Recorded {
    fn method(&self) -> &str {
        self.method
    }

    fn target(&self) -> String {
        self.target.clone()
    }

    fn add_field(&mut self, name: &'static str, value: &[u8]) {
        self.fields.push((name, String::from_utf8(value.to_vec()).unwrap()));
    }
}

/// Site, mode and destination of the fetch, then its purpose and origin.
type Said<'a> = (Option<[&'a str; 3]>, Option<&'a str>, Option<&'a str>);

#[test]
fn requests_say_what_browsers_say() {
    let own = Some("https://shop.example");
    let other = Some("https://elsewhere.example");
    let page = |site| Some([site, "navigate", "document"]);
    let script = |site| Some([site, "cors", "empty"]);
    let cases: [(Way, &str, &str, Said<'_>); 14] = [
        (Way::Navigation, "GET", "/cart", (page("same-origin"), None, None)),
        (Way::Navigation, "HEAD", "/cart", (page("same-origin"), None, None)),
        (Way::Navigation, "POST", "/cart", (page("same-origin"), None, own)),
        (Way::Navigation, "GET", "https://other.example/", (page("none"), None, None)),
        (Way::Navigation, "GET", "http://other.example/", (None, None, None)),
        (Way::Navigation, "GET", "http://localhost:3000/", (page("none"), None, None)),
        (Way::Fetch, "GET", "/cart", (script("same-origin"), None, None)),
        (Way::Fetch, "DELETE", "/cart", (script("same-origin"), None, own)),
        (Way::Fetch, "PUT", "https://api.shop.example/", (script("same-site"), None, own)),
        (Way::Prefetch, "GET", "/cart", (page("same-origin"), Some("prefetch"), None)),
        (Way::CrossSiteNavigation, "GET", "/cart", (page("cross-site"), None, None)),
        (Way::CrossSiteNavigation, "POST", "/cart", (page("cross-site"), None, other)),
        (Way::CrossSiteFetch, "GET", "/cart", (script("cross-site"), None, other)),
        (Way::Plain, "POST", "/cart", (None, None, None)),
    ];
    for (way, method, target, (fetch, purpose, origin)) in cases {
        let mut visitor = Visitor::new(&Sessions::memory()).at("https://shop.example/");
        let request = visitor.request_as(way, Recorded::new(method, target));
        let names = ["sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest"];
        let said = names.map(|name| request.get(name));
        let expected = fetch.map_or([None; 3], |fetch| fetch.map(Some));
        assert_eq!(said.each_ref().map(Option::as_deref), expected, "{way:?} {method} {target}");
        let is_navigation = matches!(way, Way::Navigation | Way::CrossSiteNavigation);
        let user = fetch.filter(|_| is_navigation).map(|_| "?1");
        assert_eq!(request.get("sec-fetch-user").as_deref(), user, "{way:?} {method} {target}");
        assert_eq!(request.get("sec-purpose").as_deref(), purpose, "{way:?} {method} {target}");
        assert_eq!(request.get("origin").as_deref(), origin, "{way:?} {method} {target}");
        assert_eq!(request.get("cookie"), None);
    }
}

#[test]
fn a_visitor_is_on_the_page_that_it_went_to() {
    let mut visitor = Visitor::new(&Sessions::memory()).at("https://shop.example/");
    let mut go = |way, target: &str, line: &str| {
        visitor.request_as(way, Recorded::new("GET", target));
        visitor.receive(&[line]);
        visitor.browser().cookies().last().map(|cookie| cookie.path().to_owned()).unwrap()
    };
    // A relative target begins where the visitor is; so does the path of a cookie that has none.
    assert_eq!(go(Way::Navigation, "/cart/items", "a=1"), "/cart");
    assert_eq!(go(Way::Fetch, "/api/v1/cart", "b=1"), "/api/v1");
    assert_eq!(go(Way::Prefetch, "/help/all", "c=1"), "/help");
    assert_eq!(go(Way::Navigation, "new/item", "d=1"), "/cart/new");
    assert_eq!(go(Way::CrossSiteNavigation, "/deep/er/link", "e=1"), "/deep/er");
    assert_eq!(go(Way::Navigation, "next", "f=1; Secure"), "/deep/er");
}

/// Checks what an assertion that fails says; what the session holds stands below it.
#[track_caller]
fn fails(snapshot: &Snapshot, assert: fn(&Snapshot) -> &Snapshot, problem: &str) {
    let said = message(|| {
        assert(snapshot);
    });
    assert_eq!(said, format!("{problem}\n{snapshot}"));
}

#[tokio::test]
async fn assertions_say_what_was_expected_and_what_is_there() {
    let mut visitor = visitor(&crate::support::in_memory().await);
    let absent = visitor.session().await;
    fails(&absent, |s| s.assert_present(), "expected a session");
    fails(&absent, |s| s.assert_owner("7"), "expected the owner \"7\", but there is none");
    let name = "expected a value \"name\" = 3, but there is none";
    fails(&absent, |s| s.assert_value("name", 3), name);

    let prepare = async |session: SessionHandle| {
        session.set_owner("42").await?;
        session.set("cart", ["tea"]).await?;
        session.permanent(json!({ "theme": "dark" })).await?;
        session.flash("status", "saved").await
    };
    visitor.with(prepare).await.unwrap();
    let full = visitor.session().await;
    let cart = "expected a value \"cart\" = [\"milk\"], but it is [\"tea\"]";
    fails(&full, |s| s.assert_value("cart", ["milk"]), cart);
    let flash = "expected a flash message";
    let status = format!("{flash} \"status\" = \"sent\", but it is \"saved\" (flash)");
    fails(&full, |s| s.assert_flash("status", "sent"), &status);
    let theme = format!("{flash} \"theme\" = \"dark\", but it is a permanent value");
    fails(&full, |s| s.assert_flash("theme", "dark"), &theme);
    let cart = format!("{flash} \"cart\" = [\"tea\"], but it is an ordinary value");
    fails(&full, |s| s.assert_flash("cart", ["tea"]), &cart);
    let cart = "expected a permanent value \"cart\" = [\"tea\"], but it is an ordinary value";
    fails(&full, |s| s.assert_permanent("cart", ["tea"]), cart);
    let cart = "expected no \"cart\", but there is [\"tea\"]";
    fails(&full, |s| s.assert_missing("cart"), cart);
    let status = "expected no flash message, but there is \"status\" = \"saved\" (flash)";
    fails(&full, |s| s.assert_no_flash(), status);
    fails(&full, |s| s.assert_empty(), "expected no values");
    fails(&full, |s| s.assert_owner("7"), "expected the owner \"7\", but it is \"42\"");
    fails(&full, |s| s.assert_no_owner(), "expected no owner, but it is \"42\"");
    fails(&full, |s| s.assert_absent(), "expected no session");

    let said = message(|| drop(full.get::<Vec<u32>>("status")));
    let type_problem = "the session value \"status\" is a string and does not read as ";
    assert!(said.starts_with(type_problem) && said.ends_with(&full.to_string()), "{said}");
    let said = message(|| {
        full.assert_value("ratio", f64::NAN);
    });
    assert!(said.starts_with("nothing can be compared with this: the value for \"ratio\""));
}

#[tokio::test]
async fn a_snapshot_shows_all_of_it_and_why_there_is_no_session() {
    let bench = crate::support::in_memory().await;
    let mut visitor = visitor(&bench);
    let no_cookie = "there is no session: the browser sends no cookie \"__Host-Http-session\"; it holds no values";
    assert_eq!(visitor.session().await.to_string(), no_cookie);

    visitor.with(async |session| session.set("cart", ["tea"]).await).await.unwrap();
    let nobodys = "there is a session without an owner; it holds \"cart\" = [\"tea\"]";
    assert_eq!(visitor.session().await.to_string(), nobodys);
    let more = async |session: SessionHandle| {
        session.set_owner("42").await?;
        session.permanent(json!({ "theme": "dark" })).await?;
        session.flash("status", "saved").await
    };
    visitor.with(more).await.unwrap();
    let full = "there is a session of \"42\"; it holds \"cart\" = [\"tea\"], \"status\" = \"saved\" (flash), \"theme\" = \"dark\" (permanent)";
    assert_eq!(visitor.session().await.to_string(), full);

    let other_tab = visitor.clone();
    visitor.with(async |session| session.destroy().await).await.unwrap();
    let ended = "there is no session: the one of the cookie \"__Host-Http-session\" has just been ended; it holds no values";
    assert_eq!(other_tab.session().await.to_string(), ended);
    bench.clock.advance(HOUR);
    let unknown = "there is no session: the cookie \"__Host-Http-session\" opens none: it has expired or never was; it holds no values";
    assert_eq!(other_tab.session().await.to_string(), unknown);
}

#[tokio::test]
async fn long_values_are_cut_in_messages() {
    let bench = crate::support::in_memory().await;
    let mut visitor = visitor(&bench);
    let long = "ä".repeat(300);
    visitor.with(async |session| session.set("text", &long).await).await.unwrap();
    let session = visitor.session().await;
    session.assert_value("text", &long);
    let said = message(|| {
        session.assert_missing("text");
    });
    assert!(
        said.starts_with(&format!("expected no \"text\", but there is \"{}…\n", "ä".repeat(199)))
    );
}

#[test]
fn messages_about_cookies_say_what_there_is() {
    let mut browser = Browser::new(Clock::manual());
    let none = message(|| browser.assert_cookie("a", "1"));
    assert_eq!(none, "expected the cookie \"a\", but there is none; the browser has no cookies");
    for line in ["a=1; Path=/", "b=2"] {
        let _ = browser.receive("https://localhost/", line).unwrap();
    }
    browser.assert_cookie("a", "1");
    browser.assert_cookies(["b", "a"]);
    browser.assert_no_cookie("c");
    for (failing, said) in [
        (
            &(|| browser.assert_cookie("c", "1")) as &dyn Fn(),
            "expected the cookie \"c\", but there is none; the browser has \"a\", \"b\"",
        ),
        (
            &|| browser.assert_cookie("a", "2"),
            "expected the cookie \"a\" to be \"2\", but it is \"1\"",
        ),
        (
            &|| browser.assert_cookies(["a"]),
            "expected the cookies [\"a\"], but the browser has \"a\", \"b\"",
        ),
    ] {
        assert_eq!(message(failing), said);
    }
    let said = message(|| browser.assert_no_cookie("a"));
    assert!(
        said.starts_with("expected no cookie \"a\", but there is Cookie { name: \"a\""),
        "{said}"
    );
    let said = message(|| drop(Visitor::new(&Sessions::memory()).at("localhost")));
    assert_eq!(said, "\"localhost\" is no address: write it as in https://shop.example/cart");
}

#[tokio::test]
async fn neither_debug_nor_logs_show_tokens_or_values() {
    for bench in drivers().await {
        let (visitor, log) = told(async || {
            let mut visitor = visitor(&bench);
            visitor.with(async |session| session.set("name", "hidden").await).await.unwrap();
            visitor
        })
        .await;
        let token = visitor.browser().cookie(NAME).unwrap().value().into_owned();
        let snapshot = visitor.session().await;
        let shown = format!("{visitor:?} {snapshot:?} {snapshot} {log}");
        assert!(!shown.contains(&token), "{}", bench.driver);
        assert!(!format!("{visitor:?} {snapshot:?} {log}").contains("hidden"), "{}", bench.driver);
        assert!(format!("{snapshot:?}").contains("\"name\""));
    }
}

#[tokio::test]
async fn what_a_test_does_in_a_session_uses_no_message_up_over_http_either() {
    for bench in keepers_with(|config| config.env(Env::Local)).await {
        let mut visitor = Visitor::new(&bench.sessions).at("http://shop.example/");
        visitor.with(async |session| session.flash("status", "saved").await).await.unwrap();
        visitor.with(async |session| session.set("name", "guest").await).await.unwrap();
        visitor.session().await.assert_flash("status", "saved");
        visitor.page(async |_| Ok::<_, Error>(())).await.unwrap();
        visitor.session().await.assert_no_flash();
    }
}

#[tokio::test]
async fn a_look_at_a_session_is_told_to_nobody() {
    for (bench, heard) in listened().await {
        let mut visitor = Visitor::new(&bench.sessions);
        visitor.browser_mut().receive("https://localhost/", unknown_cookie()).unwrap();
        visitor.session().await.assert_absent();
        assert!(heard.take().is_empty(), "{}", bench.driver);
        visitor.page(async |session| session.has("name").await).await.unwrap();
        assert_eq!(heard.names(), ["unknown_token"], "{}", bench.driver);
    }
}

/// A session cookie that opens nothing, as a server would set it.
fn unknown_cookie() -> String {
    format!("{NAME}={UNKNOWN}; Path=/; Secure; HttpOnly; SameSite=Lax")
}
