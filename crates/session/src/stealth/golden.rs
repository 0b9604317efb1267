//! Cookies that were sealed once, and must open for ever: `tests/golden`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use super::{
    header::{ActivityTerms, Header, OwnerTag, PermanentTerms, SessionTerms, Terms},
    keys::Ring,
    seal::{Opened, Rejection},
    tests::{hex, key, unhex},
};
use crate::config::Secret;
use dframework_session_store::Timestamp;
use toml::{Table, Value};

const V1: &str = include_str!("../../tests/golden/v1.toml");

fn cookies() -> Vec<Table> {
    let file: Table = V1.parse().unwrap();
    let cookies = file["cookie"].as_array().unwrap();
    cookies.iter().map(|cookie| cookie.as_table().unwrap().clone()).collect()
}

fn text<'a>(cookie: &'a Table, name: &str) -> &'a str {
    cookie.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn instant(cookie: &Table, name: &str) -> Timestamp {
    let millis = cookie.get(name).and_then(Value::as_integer).unwrap_or_default();
    Timestamp::from_millis(millis.try_into().unwrap())
}

/// Opens with the key of the cookie in second place, as after a change of keys.
fn opened<T: Terms>(cookie: &Table) -> Result<Opened<T>, Rejection> {
    let its_own = Secret::of_test(&unhex(text(cookie, "key")));
    let ring = Ring::new(&key(64), &[its_own], text(cookie, "name"), text(cookie, "audience"));
    ring.unwrap().open(text(cookie, "value").as_bytes(), instant(cookie, "at"))
}

#[track_caller]
fn assert_front<T>(cookie: &Table, header: &Header<T>) {
    assert_eq!(hex(header.sid.as_bytes()), text(cookie, "sid"));
    assert_eq!(header.issued, instant(cookie, "issued"));
    assert_eq!(hex(header.unknown.bytes()), text(cookie, "fields"));
}

fn assert_session(cookie: &Table) {
    let Opened { header, content } = match opened::<SessionTerms>(cookie) {
        Ok(opened) => opened,
        Err(why) => return assert_eq!(format!("{why:?}"), text(cookie, "refused")),
    };
    assert_eq!(text(cookie, "refused"), "");
    assert_front(cookie, &header);
    assert_eq!(header.terms.absolute, instant(cookie, "absolute"));
    assert_eq!(header.terms.idle, instant(cookie, "idle"));
    let owner = cookie.get("owner").and_then(Value::as_str);
    assert_eq!(content.header().owner, owner);
    assert_eq!(header.terms.login.is_some(), owner.is_some());
    if let (Some(login), Some(owner)) = (header.terms.login, owner) {
        assert_eq!(login.authenticated, instant(cookie, "authenticated"));
        assert!(login.owner == OwnerTag::of(owner));
    }
    assert_eq!(hex(content.bytes()), text(cookie, "record"));
}

fn assert_permanent(cookie: &Table) {
    let Ok(Opened { header, content }) = opened::<PermanentTerms>(cookie) else {
        panic!("it is refused")
    };
    assert_front(cookie, &header);
    assert_eq!(header.terms.absolute, instant(cookie, "absolute"));
    assert_eq!(hex(content.bytes()), text(cookie, "record"));
}

fn assert_activity(cookie: &Table) {
    let Ok(Opened { header, .. }) = opened::<ActivityTerms>(cookie) else {
        panic!("it is refused")
    };
    assert_front(cookie, &header);
    assert_eq!(header.terms.idle, instant(cookie, "idle"));
}

#[test]
fn cookies_of_every_released_format_open() {
    let mut seen = [0; 3];
    for cookie in cookies() {
        println!("{}", text(&cookie, "what"));
        let (check, purpose): (fn(&Table), _) = match text(&cookie, "purpose") {
            "session" => (assert_session, 0),
            "permanent" => (assert_permanent, 1),
            "activity" => (assert_activity, 2),
            other => panic!("{other:?} is no purpose"),
        };
        check(&cookie);
        seen[purpose] += 1;
    }
    assert_eq!(seen, [5, 1, 1]);
}
