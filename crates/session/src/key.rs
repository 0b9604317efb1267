//! The names of values: plain strings, or [`Key`]s that also say the type.
//!
//! The traits are how one method takes both. Applications do not implement them.

use crate::error::{Error, Kind};
use std::{cmp::Ordering, fmt, marker::PhantomData, ops::RangeFull, sync::Arc};

/// The longest name of a value, in bytes.
pub(crate) const LONGEST_KEY: usize = 1024;

/// A name with the type of its value, so that neither has to be written twice.
///
/// ```
/// use dframework_session::{Key, Session};
///
/// const CART: Key<Vec<String>> = Key::new("cart");
///
/// # dframework_session::doctest(async {
/// Session::set(CART, vec!["tea".to_owned()]).await?;
/// let cart = Session::get(CART).await?.unwrap_or_default();
/// assert_eq!(cart, ["tea"]);
/// # Ok(()) });
/// ```
///
/// Another type does not compile:
///
/// ```compile_fail
/// use dframework_session::{Key, Session};
///
/// const CART: Key<Vec<String>> = Key::new("cart");
///
/// async fn handler() {
///     let _ = Session::set(CART, 42).await;
/// }
/// ```
pub struct Key<T: ?Sized> {
    name: &'static str,
    value: PhantomData<fn(&T) -> Box<T>>,
}

impl<T: ?Sized> Key<T> {
    /// The key with this name. A dot in it is a dot.
    pub const fn new(name: &'static str) -> Self {
        Self { name, value: PhantomData }
    }
}

impl<T: ?Sized> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized> Copy for Key<T> {}

impl<T: ?Sized> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.name)
    }
}

mod sealed {
    /// Keeps the traits of keys to the types of this module, so that they can grow.
    pub trait Sealed {}
    impl Sealed for &str {}
    impl Sealed for String {}
    impl Sealed for &String {}
    impl<T: ?Sized> Sealed for super::Key<T> {}
}

/// Anything that names a value: `&str`, `String` or a [`Key`].
pub trait KeyName: sealed::Sealed + Send + Sync {
    /// The name.
    fn name(&self) -> &str;
}

/// A name under which a `T` can be read.
pub trait KeyOf<T: ?Sized>: KeyName {}

/// A name under which a `V` can be stored.
pub trait Accepts<V: ?Sized>: KeyName {}

impl KeyName for &str {
    fn name(&self) -> &str {
        self
    }
}
impl<T: ?Sized> KeyOf<T> for &str {}
impl<V: ?Sized> Accepts<V> for &str {}

impl KeyName for String {
    fn name(&self) -> &str {
        self
    }
}
impl<T: ?Sized> KeyOf<T> for String {}
impl<V: ?Sized> Accepts<V> for String {}

impl KeyName for &String {
    fn name(&self) -> &str {
        self
    }
}
impl<T: ?Sized> KeyOf<T> for &String {}
impl<V: ?Sized> Accepts<V> for &String {}

impl<T: ?Sized> KeyName for Key<T> {
    fn name(&self) -> &str {
        self.name
    }
}
impl<T: ?Sized> KeyOf<T> for Key<T> {}
impl<T> Accepts<T> for Key<T> {}
impl<T: ?Sized> Accepts<&T> for Key<T> {}
impl Accepts<&str> for Key<String> {}

/// What to forget: a key, several keys, or `..` for everything.
pub trait Select: Send {
    /// The keys that are meant.
    ///
    /// # Errors
    ///
    /// A key is empty or longer than 1 KiB.
    #[doc(hidden)]
    fn select(self) -> Result<Selection, Error>;
}

/// The keys that [`Select`] means.
#[doc(hidden)]
#[derive(Debug)]
pub enum Selection {
    /// These keys.
    Keys(Vec<Arc<str>>),
    /// The whole session, its permanent data and its cookies.
    Everything,
}

impl<K: KeyName> Select for K {
    fn select(self) -> Result<Selection, Error> {
        Ok(Selection::Keys(vec![checked(self.name())?.into()]))
    }
}

impl<K: KeyName, const N: usize> Select for [K; N] {
    fn select(self) -> Result<Selection, Error> {
        select_all(&self)
    }
}

impl<K: KeyName> Select for Vec<K> {
    fn select(self) -> Result<Selection, Error> {
        select_all(&self)
    }
}

impl<K: KeyName> Select for &[K] {
    fn select(self) -> Result<Selection, Error> {
        select_all(self)
    }
}

impl Select for RangeFull {
    fn select(self) -> Result<Selection, Error> {
        Ok(Selection::Everything)
    }
}

fn select_all<K: KeyName>(keys: &[K]) -> Result<Selection, Error> {
    let keys = keys.iter().map(|key| Ok(checked(key.name())?.into()));
    Ok(Selection::Keys(keys.collect::<Result<_, Error>>()?))
}

/// The name, if a value can have it.
pub(crate) fn checked(name: &str) -> Result<&str, Error> {
    match name.len() {
        0 => Err(Error::new(Kind::Key { why: "must not be empty" })),
        1..=LONGEST_KEY => Ok(name),
        _ => Err(Error::new(Kind::Key { why: "has at most 1024 bytes" })),
    }
}

/// Orders keys by their bytes.
///
/// The first ones tell most keys apart, and to look at them costs less than to call for a comparison.
#[inline]
pub(crate) fn order(one: &[u8], other: &[u8]) -> Ordering {
    match (one, other) {
        ([first, ..], [other, ..]) if first != other => first.cmp(other),
        _ => one.cmp(other),
    }
}
