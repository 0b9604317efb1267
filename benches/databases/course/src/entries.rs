//! What a session holds.

use std::{
    borrow::Cow,
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
};

/// About 300 bytes of JSON, with the number `visits`.
const USUAL: [(&str, &str); 5] = [
    ("name", "visitor"),
    ("locale", "en-GB"),
    ("last_page", "/catalogue/garden/tools/spades?sort=price&order=ascending"),
    ("cart", "0f8d2c61-6a0b-4a3e-9d55-3f1f8f0c7a11"),
    ("csrf", "pYq0mV9sXc3JbLr7TfWnZk2HdEgUaiOy"),
];

/// What a session of a given size has besides its padding.
const REST: &str = r#"{"name":"visitor","padding":"","visits":1}"#;

/// The bytes of JSON that a new session has; 0 for the usual ones.
static SIZE: AtomicUsize = AtomicUsize::new(0);

/// What a handler stores in a new session, besides the number `visits`.
#[must_use]
pub fn entries() -> Vec<(&'static str, Cow<'static, str>)> {
    match SIZE.load(Ordering::Relaxed) {
        0 => USUAL.map(|(key, value)| (key, value.into())).to_vec(),
        size => vec![("name", "visitor".into()), ("padding", padding(size).into())],
    }
}

/// From now on, new sessions have so many bytes.
pub(crate) fn set_size(bytes: usize) {
    SIZE.store(bytes, Ordering::Relaxed);
}

/// Letters that no database can make much shorter.
fn padding(size: usize) -> &'static str {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let mut number = 1_u64;
        let mut next = || {
            // Knuth, "The Art of Computer Programming", volume 2, 3.3.4.
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(LETTERS[usize::from((number >> 56) as u8) % LETTERS.len()])
        };
        (0..1 << 16).map(|_| next()).collect()
    });
    &TEXT[..size.saturating_sub(REST.len()).min(TEXT.len())]
}
