//! The demo with its sessions in their cookies: a first start, a restart, and a cookie that was copied.

mod process;

use process::{Demo, empty_folder, has_curl, run};
use std::{fs, path::Path};

/// Starts the demo in this folder, as the README says.
fn start(folder: &Path) -> Demo {
    Demo::start(folder, &[("APP_SESSION_DRIVER", "stealth")])
}

/// Runs curl with a jar, and with what else the line says.
fn curl(demo: &Demo, folder: &Path, jar: &str, path: &str, more: &str) -> String {
    run(&format!("curl -sS -c {jar} -b {jar} http://{}{path} {more}", demo.address), folder)
}

/// What the session of this jar holds.
fn session(demo: &Demo, folder: &Path, jar: &str) -> String {
    curl(demo, folder, jar, "/api/session", "")
}

#[test]
fn a_first_start_makes_a_key_and_the_next_one_opens_its_cookies() {
    if !has_curl() {
        return;
    }
    let folder = empty_folder("stealth-start");
    let demo = start(&folder);
    assert_eq!(demo.said, ["driver: stealth"]);
    let key = fs::read(folder.join("data/demo.key")).expect("the demo has made a key");
    curl(&demo, &folder, "jar", "/name", "-d name=visitor");
    curl(&demo, &folder, "jar", "/terms", "-X POST");
    let jar = fs::read_to_string(folder.join("jar")).expect("curl has kept cookies");
    assert!(jar.contains("__Host-Http-session\t"), "the default name, which is secure: {jar}");

    drop(demo);
    let demo = start(&folder);
    let message = "you have accepted the terms";
    let held =
        format!("{{\"accepted_terms\":true,\"name\":\"visitor\",\"status\":\"{message}\"}}\n");
    assert_eq!(session(&demo, &folder, "jar"), held);
    assert!(!session(&demo, &folder, "jar").contains("status"), "a message is seen once");
    assert_eq!(fs::read(folder.join("data/demo.key")).expect("it is still there"), key);
    let _ = fs::remove_dir_all(&folder);
}

#[test]
fn a_cookie_that_was_copied_is_nobody_after_the_logout() {
    if !has_curl() {
        return;
    }
    let folder = empty_folder("stealth-copy");
    let demo = start(&folder);
    curl(&demo, &folder, "jar", "/login", "-d account=42");
    curl(&demo, &folder, "jar", "/terms", "-X POST");
    fs::copy(folder.join("jar"), folder.join("copy")).expect("a jar can be copied");
    curl(&demo, &folder, "jar", "/logout", "-X POST");
    assert_eq!(session(&demo, &folder, "jar"), "{\"status\":\"you have been logged out\"}\n");
    assert_eq!(session(&demo, &folder, "jar"), "{}\n");
    assert_eq!(session(&demo, &folder, "copy"), "{}\n");
    let page = curl(&demo, &folder, "copy", "/name", "-d name=thief");
    assert_eq!(page, "This session ended a moment ago. Please try again in a minute.\n");
    let _ = fs::remove_dir_all(&folder);
}

#[test]
fn the_page_says_what_this_driver_cannot_do() {
    if !has_curl() {
        return;
    }
    let folder = empty_folder("stealth-page");
    let demo = start(&folder);
    let page = curl(&demo, &folder, "jar", "/", "");
    assert!(page.contains("<dd>stealth</dd>") && page.contains("most clicks are lost"), "{page}");
    assert!(!page.contains("None is lost."));
    let _ = fs::remove_dir_all(&folder);
}
