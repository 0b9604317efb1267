//! Two tabs are two views of one session.

use crate::support::{Browser, SESSION, Server, on_every_driver};
use demo::app;

fn shows(browser: &Browser, words: &str) -> bool {
    browser.text("main").is_some_and(|text| text.contains(words))
}

fn message(browser: &Browser) -> Option<String> {
    browser.text("[role=status]")
}

/// Opens the page in two tabs, and gives their names.
fn two_tabs(browser: &Browser, server: &Server) -> [String; 2] {
    browser.go(&server.url("/"));
    let tabs = [browser.tab(), browser.open_tab("second")];
    browser.turn_to(&tabs[1]);
    browser.go(&server.url("/"));
    browser.turn_to(&tabs[0]);
    tabs
}

fn log_in(browser: &Browser) {
    browser.fill("#account", "42");
    browser.click_through("form[action='/login'] button");
}

#[test]
fn what_one_tab_stores_the_other_shows() {
    on_every_driver(|sessions, browser| {
        let server = Server::start(app(sessions));
        let [first, second] = two_tabs(browser, &server);
        browser.fill("#name", "visitor");
        browser.click_through("form[action='/name'] button");
        log_in(browser);

        browser.turn_to(&second);
        assert!(shows(browser, "Hello, guest."), "it shows what it was answered");
        // Its form is older than the login, and is the visitor's all the same.
        browser.click_through("form[action='/terms'] button");
        assert!(shows(browser, "Hello, visitor.") && shows(browser, "logged in as 42."));

        browser.turn_to(&first);
        browser.go(&server.url("/"));
        assert!(shows(browser, "Accepted.") && shows(browser, "visit number 6."));
    });
}

#[test]
fn a_logout_in_one_tab_is_a_logout_in_the_other() {
    on_every_driver(|sessions, browser| {
        let server = Server::start(app(sessions));
        browser.go(&server.url("/"));
        log_in(browser);
        let [first, second] = two_tabs(browser, &server);
        let former = browser.cookie(SESSION);
        browser.click_through("form[action='/logout'] button");
        assert!(shows(browser, "Hello, guest.") && !shows(browser, "logged in as"));

        // The page of the other still says otherwise, and its form brings nothing back.
        browser.turn_to(&second);
        assert!(shows(browser, "logged in as 42."));
        browser.fill("#name", "visitor");
        browser.click_through("form[action='/name'] button");
        assert!(shows(browser, "Hello, visitor.") && !shows(browser, "logged in as"));

        browser.turn_to(&first);
        browser.go(&server.url("/"));
        assert!(shows(browser, "Hello, visitor.") && !shows(browser, "logged in as"));
        assert_ne!(browser.cookie(SESSION), former);
    });
}

#[test]
fn a_message_is_shown_by_the_tab_that_goes_on_first_and_by_no_other() {
    on_every_driver(|sessions, browser| {
        let server = Server::start(app(sessions));
        let [first, second] = two_tabs(browser, &server);
        browser.run("await fetch('/terms', { method: 'POST', redirect: 'manual' })");
        browser.turn_to(&second);
        browser.go(&server.url("/"));
        assert_eq!(message(browser).as_deref(), Some("You have accepted the terms"));
        for tab in [first, second] {
            browser.turn_to(&tab);
            browser.go(&server.url("/"));
            assert_eq!(message(browser), None);
        }
    });
}
