//! Many clicks at the same moment, in one tab and in two: none is lost.

use crate::support::{Browser, Server, Side, on_every_keeper};
use axum::{Router, routing::post};
use demo::app;
use dframework_session::{Error, Session, Sessions, tower::SessionLayer};
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::Barrier;

/// How many requests Chromium has under way to one host at a time.
const AT_ONCE: usize = 6;

/// Waits until the page says this of its clicks.
#[track_caller]
fn wait_until_counted(browser: &Browser, words: &str) {
    browser.wait(words, |browser| (browser.text("#counted")? == words).then_some(()));
}

fn posts(server: &Server) -> usize {
    server.asked().iter().filter(|asked| asked.request == "POST /api/clicks").count()
}

#[test]
fn of_twenty_parallel_clicks_none_is_lost() {
    on_every_keeper(|sessions, browser| {
        let server = Server::start(app(sessions));
        browser.go(&server.url("/"));
        for (words, after) in [
            ("0 + 20 = 20: all 20 were counted.", "20"),
            ("20 + 20 = 40: all 20 were counted.", "40"),
        ] {
            browser.click("#twenty button");
            wait_until_counted(browser, words);
            assert_eq!(browser.text("#clicks").as_deref(), Some(after));
        }
        assert_eq!(posts(&server), 40);
    });
}

#[test]
fn of_twenty_parallel_clicks_in_each_of_two_tabs_none_is_lost() {
    on_every_keeper(|sessions, browser| {
        let server = Server::start(app(sessions));
        browser.go(&server.url("/"));
        let first = browser.tab();
        let second = browser.open_tab("second");
        browser.turn_to(&second);
        browser.go(&server.url("/"));

        // The clicks of the first tab are not over before those of the second have begun.
        let one_click = server.hold(Side::Request, "POST /api/clicks");
        browser.turn_to(&first);
        browser.click("#twenty button");
        one_click.arrived();
        browser.turn_to(&second);
        browser.click("#twenty button");
        server.wait_for(21, "POST /api/clicks", 0);
        one_click.open();

        let is_over = |browser: &Browser| {
            let text = browser.text("#counted").unwrap_or_default();
            text.ends_with("all 20 were counted.").then_some(())
        };
        browser.wait("the clicks of the second tab", is_over);
        browser.turn_to(&first);
        browser.wait("the clicks of the first tab", is_over);
        browser.go(&server.url("/"));
        assert_eq!(browser.text("#clicks").as_deref(), Some("40"));
        assert_eq!(posts(&server), 40);
    });
}

/// A click that is answered when as many as the browser sends at once have all seen the same count.
fn app_with_joint_clicks(sessions: Sessions) -> Router {
    let barrier = Arc::new(Barrier::new(AT_ONCE));
    let click = async move || {
        let seen = Session::increment("clicks", 1).await?;
        barrier.wait().await;
        Ok::<_, Error>(seen.to_string())
    };
    let joint = Router::new().route("/joint", post(click));
    app(sessions.clone()).merge(joint.layer(SessionLayer::new(sessions)))
}

#[test]
fn clicks_that_all_saw_the_same_count_are_all_counted() {
    on_every_keeper(|sessions, browser| {
        let server = Server::start(app_with_joint_clicks(sessions));
        browser.go(&server.url("/"));
        let joint = "
            const clicks = Array.from({ length: 6 }, () => fetch('/joint', { method: 'POST' }));
            const answers = await Promise.all(clicks);
            return Promise.all(answers.map((answer) => answer.text()));
        ";
        for seen in ["1", "7", "13", "19"] {
            assert_eq!(browser.run(joint), Value::from(vec![seen; AT_ONCE]));
        }
        browser.go(&server.url("/"));
        assert_eq!(browser.text("#clicks").as_deref(), Some("24"));
    });
}
