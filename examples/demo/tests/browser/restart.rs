//! What is left when the browser has been quit and started again with the same profile.

use crate::support::{Browser, SESSION, Server, connect, on_every_driver};
use demo::app;
use dframework_session::Config;

/// Gives a name and accepts the terms, as a person does.
fn fill_in(browser: &Browser, server: &Server) {
    browser.go(&server.url("/"));
    browser.fill("#name", "visitor");
    browser.click_through("form[action='/name'] button");
    browser.click_through("form[action='/terms'] button");
    assert!(shows(browser, "Hello, visitor."));
}

const ACCEPTED: &str = "Accepted. This is remembered for ten years";

fn shows(browser: &Browser, words: &str) -> bool {
    browser.text("main").is_some_and(|text| text.contains(words))
}

#[test]
fn permanent_data_survives_a_restart_of_the_browser_and_the_login_does_not() {
    on_every_driver(|sessions, browser| {
        let server = Server::start(app(sessions));
        fill_in(browser, &server);
        browser.fill("#account", "42");
        browser.click_through("form[action='/login'] button");
        assert!(shows(browser, "You are logged in as 42.") && shows(browser, ACCEPTED));
        let permanent = browser.cookie(&format!("{SESSION}.p"));
        assert!(permanent.is_some());

        browser.restart();
        assert_eq!(browser.cookie_names(), [format!("{SESSION}.p")]);
        browser.go(&server.url("/"));
        assert!(shows(browser, ACCEPTED) && shows(browser, "Hello, guest."));
        assert!(!shows(browser, "You are logged in"));
        assert_eq!(browser.cookie(&format!("{SESSION}.p")), permanent);
    });
}

#[test]
fn a_persistent_session_survives_a_restart_of_the_browser() {
    let Some(mut browser) = Browser::start() else { return };
    let server = Server::start(app(connect(&Config::new().persistent_cookie())));
    fill_in(&browser, &server);

    browser.restart();
    browser.go(&server.url("/"));
    assert!(shows(&browser, "Hello, visitor.") && shows(&browser, ACCEPTED));
}
