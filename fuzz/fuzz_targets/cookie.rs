//! The Cookie fields of a request, one a line.
#![no_main]

use dframework_session::{RequestHead, ResponseHead, Sessions};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

/// Sessions in memory, and a Cookie field of one that lives.
static SESSIONS: LazyLock<(Sessions, String)> = LazyLock::new(|| {
    let sessions = Sessions::memory();
    let handle = sessions.open(RequestHead::new("GET"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("no drivers");
    runtime.block_on(handle.set("name", "visitor")).expect("memory has room");
    let head = sessions.commit_now(&handle, ResponseHead::new(200)).expect("memory never waits");
    let cookie = head.set_cookies[0].split(';').next().unwrap_or_default().to_owned();
    (sessions, cookie)
});

fuzz_target!(|bytes: &[u8]| {
    let (sessions, cookie) = &*SESSIONS;
    let fields = bytes.split(|byte| *byte == b'\n');
    let head = RequestHead::new("GET").with_cookies(fields);
    let handle = sessions.open(head);
    drop(format!("{handle:?}"));
    let head = sessions.commit_now(&handle, ResponseHead::new(200)).expect("nothing was changed");
    assert!(head.set_cookies.iter().all(|line| line.contains("Max-Age=0")), "only messages age");

    // In front of it or behind it, no other field hides a session, except under its own name.
    let own_name = bytes.windows(19).any(|part| part == b"__Host-Http-session");
    for fields in [[bytes, cookie.as_bytes()], [cookie.as_bytes(), bytes]] {
        let handle = sessions.open(RequestHead::new("GET").with_cookies(fields));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("no drivers");
        let name = runtime.block_on(handle.get::<String>("name")).expect("memory does not fail");
        assert!(own_name || name.as_deref() == Some("visitor"), "it was hidden");
    }
});
