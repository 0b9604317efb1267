//! What a session costs the allocator. A binary of its own, since it replaces the global allocator.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use allocation_counter::measure;
use dframework_session::{RequestHead, ResponseHead, Sessions};

#[test]
fn a_session_that_is_not_used_allocates_its_handle_only() {
    let sessions = Sessions::memory();
    let cookie = format!("theme=dark; __Host-Http-session={}A", "a".repeat(42));
    for field in ["", cookie.as_str()] {
        let allocated = measure(|| {
            let handle = sessions.open(RequestHead::new("GET").with_cookies([field.as_bytes()]));
            let head = sessions.commit_now(&handle, ResponseHead::new(200)).unwrap();
            assert!(head.set_cookies.is_empty());
        });
        assert_eq!(allocated.count_total, 1, "{field:?}");
    }
}
