//! What the fuzz targets do with seals. Whatever opens must seal and open again as the same.

use super::{
    header::{ActivityTerms, Header, PermanentTerms, SessionTerms, Terms},
    keys::{Purpose, Ring},
    seal::{Rejection, sealed_length, sealed_plain},
};
use crate::{clock::Clock, config::Secret, record::Record};
use dframework_session_store::Timestamp;
use std::sync::LazyLock;

static RING: LazyLock<Ring> = LazyLock::new(|| {
    let key = |first: u8| Secret::of_test(&(first..first + 32).collect::<Vec<_>>());
    Ring::new(&key(0), &[key(32)], "__Host-Http-session", "").expect("the keys are different")
});

pub(crate) fn open_seal(text: &[u8]) {
    let now = Clock::manual().now();
    open::<SessionTerms>(text, now, Record::bytes);
    open::<PermanentTerms>(text, now, Record::bytes);
    open::<ActivityTerms>(text, now, |()| &[]);
}

pub(crate) fn open_plain(plain: &[u8]) {
    let plain = &plain[..plain.len() / 64 * 64];
    let now = Clock::manual().now();
    let text = |purpose| sealed_plain(&RING, purpose, plain);
    open::<SessionTerms>(text(Purpose::Session).as_bytes(), now, Record::bytes);
    open::<PermanentTerms>(text(Purpose::Permanent).as_bytes(), now, Record::bytes);
    open::<ActivityTerms>(text(Purpose::Activity).as_bytes(), now, |()| &[]);
}

fn open<T: Terms>(text: &[u8], now: Timestamp, bytes: fn(&T::Content) -> &[u8]) {
    let Ok(opened) = RING.open::<T>(text, now) else { return };
    let record = bytes(&opened.content);
    let mut again = String::new();
    RING.seal(&opened.header, record, &mut again).expect("there are random bytes");
    assert_eq!(again.len(), sealed_length::<T>(opened.header.unknown.length(), record.len()));
    match RING.open::<T>(again.as_bytes(), now) {
        Ok(reopened) => {
            assert_eq!(front(&reopened.header), front(&opened.header));
            assert_eq!(bytes(&reopened.content), record);
        }
        // What was close to the longest may have been more than that without its unread end.
        Err(why) => assert!(why == Rejection::Malformed && again.len() > text.len(), "{why:?}"),
    }
}

fn front<T: Terms>(header: &Header<T>) -> Vec<u8> {
    let mut front = vec![0; header.length()];
    header.write(&mut super::header::Writer(&mut front));
    front
}
