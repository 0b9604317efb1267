//! The demo with its sessions in their cookies: a first start, a restart, and cookies that were copied.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod server;

use server::{Demo, Folder, Visitor};
use std::fs;

/// Starts the demo as the README says.
fn start(folder: &Folder) -> Demo {
    let demo = Demo::start_with(folder, &[("APP_SESSION_DRIVER", "stealth")]);
    assert_eq!(demo.said, ["driver: stealth"]);
    demo
}

#[test]
fn a_first_start_makes_a_key_and_the_next_one_opens_its_cookies() {
    let (folder, mut visitor) = (Folder::new(), Visitor::new());
    let demo = start(&folder);
    let key = fs::read(folder.path().join("data/demo.key")).unwrap();
    assert!(!folder.path().join("data/sessions.db").exists());
    assert_eq!(visitor.post(&demo, "/name", "name=visitor").status, 303);
    assert_eq!(visitor.post(&demo, "/terms", "").status, 303);
    demo.kill();

    let demo = start(&folder);
    assert_eq!(fs::read(folder.path().join("data/demo.key")).unwrap(), key);
    let session = visitor.session(&demo);
    for expected in ["\"accepted_terms\":true", "\"name\":\"visitor\"", "you have accepted"] {
        assert!(session.contains(expected), "{session}");
    }
    assert!(!visitor.session(&demo).contains("status"), "a message is seen once");
}

#[test]
fn a_copy_of_the_cookies_is_nobody_after_the_logout() {
    let (folder, mut visitor) = (Folder::new(), Visitor::new());
    let demo = start(&folder);
    assert_eq!(visitor.post(&demo, "/login", "account=42").status, 303);
    assert_eq!(visitor.post(&demo, "/terms", "").status, 303);
    let copy = visitor.clone();
    assert!(copy.clone().session(&demo).contains("accepted_terms"));
    assert_eq!(visitor.post(&demo, "/logout", "").status, 303);
    assert_eq!(visitor.session(&demo), "{\"status\":\"you have been logged out\"}\n");
    assert_eq!(visitor.session(&demo), "{}\n");
    assert_eq!(copy.clone().session(&demo), "{}\n");
    let refused = copy.clone().post(&demo, "/name", "name=thief");
    assert_eq!(refused.status, 409);
    assert!(refused.body.starts_with("This session ended a moment ago."), "{}", refused.body);
}

#[test]
fn the_page_says_what_this_driver_cannot_do() {
    let (folder, mut visitor) = (Folder::new(), Visitor::new());
    let demo = start(&folder);
    let page = visitor.get(&demo, "/").body;
    assert!(page.contains("<dd>stealth</dd>") && page.contains("most clicks are lost"), "{page}");
    assert!(!page.contains("None is lost."));
    demo.kill();

    let page = visitor.get(&Demo::start(&folder), "/").body;
    assert!(page.contains("<dd>database</dd>") && page.contains("None is lost."), "{page}");
}
