//! Cookies that somebody has copied, and brings back after the logout.

use crate::support::{Browser, SESSION, Server, on_every_driver_in_time};
use demo::app;
use serde_json::json;
use std::time::Duration;

/// Puts cookies into the browser, in place of those that it has.
fn bring(browser: &Browser, copies: &[(String, String)]) {
    browser.clear_cookies();
    let cookie = |(name, value): &(String, String)| {
        // A browser takes these names from https alone; which port it came from is all the same to cookies.
        json!({
            "name": name, "value": value, "url": "https://127.0.0.1/", "path": "/",
            "secure": true, "httpOnly": true, "sameSite": "Lax",
        })
    };
    let cookies: Vec<_> = copies.iter().map(cookie).collect();
    browser.ask("Storage.setCookies", &json!({ "cookies": cookies }));
    let names: Vec<_> = copies.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(browser.cookie_names(), names);
}

fn main_text(browser: &Browser) -> String {
    browser.text("main").unwrap()
}

#[test]
fn a_copy_of_the_cookies_is_nobody_after_everything_was_forgotten() {
    on_every_driver_in_time(|sessions, browser, clock| {
        let server = Server::start(app(sessions.clone()));
        browser.go(&server.url("/"));
        browser.fill("#name", "visitor");
        browser.click_through("form[action='/name'] button");
        browser.click_through("form[action='/terms'] button");
        browser.fill("#account", "42");
        browser.click_through("form[action='/login'] button");
        browser.go(&server.url("/"));
        let copies: Vec<_> =
            browser.cookies().into_iter().map(|cookie| (cookie.name, cookie.value)).collect();
        assert_eq!(
            copies.iter().map(|(name, _)| &**name).collect::<Vec<_>>(),
            [SESSION, &format!("{SESSION}.p")]
        );

        // They are good until then.
        bring(browser, &copies);
        browser.go(&server.url("/"));
        assert!(main_text(browser).contains("logged in as 42."), "{}", sessions.driver());

        browser.click_through("form[action='/forget/all'] button");
        assert!(main_text(browser).starts_with("Everything is forgotten"));
        for seconds in [0, 61, 3600] {
            clock.advance(Duration::from_secs(seconds));
            bring(browser, &copies);
            browser.go(&server.url("/api/session"));
            assert_eq!(browser.text("body").as_deref(), Some("{}\n"), "after {seconds} seconds");
        }
        browser.go(&server.url("/"));
        let page = main_text(browser);
        assert!(page.contains("Hello, guest.") && page.contains("your first visit"), "{page}");
        assert!(!page.contains("logged in as") && !page.contains("Accepted."), "{page}");
    });
}
