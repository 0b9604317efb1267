//! [`Session`]: the current request's handle, found through the running task.

use crate::{
    error::Error,
    handle::SessionHandle,
    key::{Accepts, KeyName, KeyOf, Select},
    scope::{self, Scoped},
};
use dframework_session_store::SessionId;
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;

/// The session of the current request, from anywhere inside it.
///
/// Every verb fails with [`Error::is_outside`] where there is no current request, with
/// [`Error::is_unavailable`] when the store cannot be reached, with [`Error::is_corrupt`] when the stored
/// session cannot be read, and with [`Error::is_invalid`] for a key that is empty or longer than 1 KiB. Verbs
/// that change something also fail with [`Error::is_gone`] when a logout or a login elsewhere has ended this
/// session a moment ago, and with [`Error::is_late`] when they would need a cookie after the response head was
/// sent.
///
/// Changes are committed together when the response is ready; nothing is written before, and nothing at all
/// when the response is a 5xx.
///
/// As an argument of a handler, take a [`SessionHandle`]; this type is not an extractor, and a handler that takes it does
/// not build.
#[derive(Clone, Copy, Debug)]
pub struct Session;

pub(crate) fn current() -> Result<SessionHandle, Error> {
    scope::current().ok_or_else(Error::outside)
}

/// The handle of the running request for an argument of a handler, or how such a handler gets one.
#[cfg(any(feature = "axum", feature = "actix"))]
pub(crate) fn extracted(mend: &'static str) -> Result<SessionHandle, Error> {
    scope::current().ok_or_else(|| Error::without_layer(mend))
}

impl Session {
    /// Reads a value.
    ///
    /// `None` when there is none, or when it is null and `T` has no reading for null. Flash messages are
    /// looked at first, then permanent data, then the rest.
    ///
    /// # Errors
    ///
    /// [`Error::is_wrong_type`] when the value does not read as a `T`; it stays as it is.
    ///
    /// ```
    /// use dframework_session::Session;
    ///
    /// # dframework_session::doctest(async {
    /// let value: Option<String> = Session::get("key").await?;
    /// assert_eq!(value, None);
    /// # Ok(()) });
    /// ```
    #[doc(alias = "load")]
    pub async fn get<T: DeserializeOwned>(key: impl KeyOf<T>) -> Result<Option<T>, Error> {
        current()?.get(key).await
    }

    /// Reads a value, or takes the default when there is none or it is null.
    ///
    /// # Errors
    ///
    /// As [`Session::get`].
    ///
    /// ```
    /// use dframework_session::Session;
    ///
    /// # dframework_session::doctest(async {
    /// let name = Session::get_or("name", "guest").await?;
    /// assert_eq!(name, "guest");
    /// let visits = Session::get_or("visits", &0_u64).await?;
    /// assert_eq!(visits, 0);
    /// # Ok(()) });
    /// ```
    pub async fn get_or<D>(key: impl KeyOf<D::Owned>, default: &D) -> Result<D::Owned, Error>
    where
        D: ToOwned + ?Sized,
        D::Owned: DeserializeOwned,
    {
        current()?.get_or(key, default).await
    }

    /// Stores a value.
    ///
    /// A key that is permanent stays permanent; a flash message of that name goes. A value equal to the
    /// stored one changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::is_invalid`] when the value cannot be stored as JSON and read back: it holds a float that is
    /// not finite, or a map whose keys are neither strings nor integers. [`Error::is_too_large`] over 1 MiB.
    ///
    /// ```
    /// use dframework_session::Session;
    ///
    /// # dframework_session::doctest(async {
    /// Session::set("key", "value").await?;
    /// assert_eq!(Session::get_or("key", "").await?, "value");
    /// assert!(Session::set("ratio", f64::NAN).await.unwrap_err().is_invalid());
    /// # Ok(()) });
    /// ```
    #[doc(alias = "put")]
    #[doc(alias = "insert")]
    pub async fn set<V: Serialize>(key: impl Accepts<V>, value: V) -> Result<(), Error> {
        current()?.set(key, value).await
    }

    /// Stores each entry of a map or struct for ten years, in a cookie of its own.
    ///
    /// Permanent data outlives the browser session, the idle timeout and a logout elsewhere; `forget` of its
    /// key and `forget(..)` end it. What gives rights, such as a role or a login, does not belong there.
    ///
    /// # Errors
    ///
    /// As [`Session::set`]; [`Error::is_invalid`] when the argument is not a map or struct.
    ///
    /// ```
    /// use dframework_session::Session;
    /// use serde_json::json;
    ///
    /// # dframework_session::doctest(async {
    /// Session::permanent(json!({ "role": "admin", "accepted_terms": true })).await?;
    /// assert_eq!(Session::get("accepted_terms").await?, Some(true));
    /// # Ok(()) });
    /// ```
    pub async fn permanent(map: impl Serialize) -> Result<(), Error> {
        current()?.permanent(map).await
    }

    /// Stores a message for this request and the next.
    ///
    /// The next request is the next page that a person sees: pictures, prefetches and scripts' calls do not
    /// use the message up, unless they read it. A stored value of the same name is seen again afterwards.
    ///
    /// # Errors
    ///
    /// As [`Session::set`].
    ///
    /// ```
    /// use dframework_session::Session;
    ///
    /// # dframework_session::doctest(async {
    /// Session::flash("status", "profile updated successfully").await?;
    /// assert!(Session::has("status").await?);
    /// # Ok(()) });
    /// ```
    pub async fn flash<V: Serialize>(key: impl Accepts<V>, value: V) -> Result<(), Error> {
        current()?.flash(key, value).await
    }

    /// Removes a value, several values, or with `..` the whole session and its cookies.
    ///
    /// A key is removed from flash, permanent and ordinary data. Keys that are not there are no error.
    ///
    /// # Errors
    ///
    /// Those of every change; `forget(..)` only the ones of [`Session::destroy`].
    ///
    /// ```
    /// use dframework_session::Session;
    ///
    /// # dframework_session::doctest(async {
    /// # Session::set("key", 1).await?;
    /// Session::forget("key").await?;
    /// Session::forget(["cart", "coupon"]).await?;
    /// Session::forget(..).await?;
    /// assert!(Session::all().await?.is_empty());
    /// # Ok(()) });
    /// ```
    #[doc(alias = "remove")]
    pub async fn forget(what: impl Select) -> Result<(), Error> {
        current()?.forget(what).await
    }

    /// Ends the session: all its data, permanent data too, and its cookies.
    ///
    /// It is carried out whatever becomes of the request. What is stored afterwards makes a new session, so
    /// that `flash("status", "you have been logged out")` works. It also works on a session that cannot be
    /// read, and on one that has just ended.
    ///
    /// # Errors
    ///
    /// [`Error::is_outside`] and [`Error::is_unavailable`].
    ///
    /// ```
    /// use dframework_session::Session;
    ///
    /// # dframework_session::doctest(async {
    /// Session::destroy().await?;
    /// Session::flash("status", "you have been logged out").await?;
    /// # Ok(()) });
    /// ```
    #[doc(alias = "flush")]
    #[doc(alias = "invalidate")]
    #[doc(alias = "purge")]
    pub async fn destroy() -> Result<(), Error> {
        current()?.destroy().await
    }

    /// Whether there is a value and it is not null.
    ///
    /// # Errors
    ///
    /// Those of every verb.
    ///
    /// ```
    /// use dframework_session::Session;
    ///
    /// # dframework_session::doctest(async {
    /// Session::set("coupon", None::<String>).await?;
    /// assert!(!Session::has("coupon").await?);
    /// assert!(Session::exists("coupon").await?);
    /// # Ok(()) });
    /// ```
    pub async fn has(key: impl KeyName) -> Result<bool, Error> {
        current()?.has(key).await
    }

    /// Whether there is a value, null or not.
    ///
    /// # Errors
    ///
    /// Those of every verb.
    ///
    /// ```
    /// use dframework_session::Session;
    ///
    /// # dframework_session::doctest(async {
    /// assert!(!Session::exists("coupon").await?);
    /// # Ok(()) });
    /// ```
    pub async fn exists(key: impl KeyName) -> Result<bool, Error> {
        current()?.exists(key).await
    }

    /// Everything that `get` can see, as JSON values by name.
    ///
    /// # Errors
    ///
    /// Those of every verb.
    ///
    /// ```
    /// use dframework_session::Session;
    ///
    /// # dframework_session::doctest(async {
    /// Session::set("name", "visitor").await?;
    /// assert_eq!(Session::all().await?["name"], "visitor");
    /// # Ok(()) });
    /// ```
    pub async fn all() -> Result<serde_json::Map<String, serde_json::Value>, Error> {
        current()?.all().await
    }

    /// Adds to a number and returns the sum as this request sees it. Absent and null count as 0.
    ///
    /// Parallel requests lose no increment: on a conflict the addition is done again on what is stored.
    ///
    /// # Errors
    ///
    /// [`Error::is_wrong_type`] when the value is no 64-bit integer, [`Error::is_invalid`] when the sum is
    /// none; nothing changes then.
    ///
    /// ```
    /// use dframework_session::Session;
    ///
    /// # dframework_session::doctest(async {
    /// assert_eq!(Session::increment("visits", 1).await?, 1);
    /// assert_eq!(Session::increment("visits", 10).await?, 11);
    /// # Ok(()) });
    /// ```
    pub async fn increment(key: impl KeyOf<i64>, by: i64) -> Result<i64, Error> {
        current()?.increment(key, by).await
    }

    /// Replaces a value by what the function makes of it, and returns that.
    ///
    /// The function is given `None` for absent and null. It runs again, on what is stored then, when a
    /// parallel request has changed the session, so it must not do anything but compute. It must not call
    /// back into the session.
    ///
    /// # Errors
    ///
    /// As [`Session::get`] and [`Session::set`].
    ///
    /// ```
    /// use dframework_session::Session;
    ///
    /// # dframework_session::doctest(async {
    /// let add = |cart: Option<Vec<String>>| {
    ///     let mut cart = cart.unwrap_or_default();
    ///     cart.push("tea".to_owned());
    ///     cart
    /// };
    /// assert_eq!(Session::update("cart", add).await?, ["tea"]);
    /// # Ok(()) });
    /// ```
    pub async fn update<T>(
        key: impl KeyOf<T>,
        change: impl Fn(Option<T>) -> T + Send + 'static,
    ) -> Result<T, Error>
    where
        T: Serialize + DeserializeOwned,
    {
        current()?.update(key, change).await
    }

    /// Stores a value that expires by itself, `lifetime` from now.
    ///
    /// Only the value ends then, not the session. `update`, `increment` and `push` leave its expiry as it is;
    /// `set` takes it away.
    ///
    /// # Errors
    ///
    /// As [`Session::set`]; [`Error::is_invalid`] for a key that is permanent.
    ///
    /// ```
    /// use dframework_session::Session;
    /// use std::time::Duration;
    ///
    /// # dframework_session::doctest(async {
    /// Session::set_for("code", "271 828", Duration::from_secs(600)).await?;
    /// assert!(Session::has("code").await?);
    /// # Ok(()) });
    /// ```
    pub async fn set_for<V: Serialize>(
        key: impl Accepts<V>,
        value: V,
        lifetime: Duration,
    ) -> Result<(), Error> {
        current()?.set_for(key, value, lifetime).await
    }

    /// Shows a value to the rest of this request, and stores it nowhere.
    ///
    /// It hides a stored value and a flash message of its name, until this request writes to the name.
    ///
    /// # Errors
    ///
    /// As [`Session::set`], but never [`Error::is_gone`] or [`Error::is_late`].
    ///
    /// ```
    /// use dframework_session::Session;
    ///
    /// # dframework_session::doctest(async {
    /// Session::now("status", "the form has mistakes").await?;
    /// assert!(Session::has("status").await?);
    /// # Ok(()) });
    /// ```
    pub async fn now<V: Serialize>(key: impl Accepts<V>, value: V) -> Result<(), Error> {
        current()?.now(key, value).await
    }

    /// Keeps all flash messages of earlier requests for one more request.
    ///
    /// # Errors
    ///
    /// Those of every verb; [`Error::is_late`] after the response head.
    ///
    /// ```
    /// use dframework_session::Session;
    ///
    /// # dframework_session::doctest(async {
    /// Session::reflash().await?;
    /// # Ok(()) });
    /// ```
    pub async fn reflash() -> Result<(), Error> {
        current()?.reflash().await
    }

    /// Keeps these flash messages of earlier requests for one more request. Names without a message are passed
    /// over.
    ///
    /// # Errors
    ///
    /// Those of every change; [`Error::is_late`] after the response head.
    ///
    /// ```
    /// use dframework_session::Session;
    ///
    /// # dframework_session::doctest(async {
    /// Session::keep(["status", "warning"]).await?;
    /// # Ok(()) });
    /// ```
    pub async fn keep(keys: impl Select) -> Result<(), Error> {
        current()?.keep(keys).await
    }

    /// Empties the session: flash messages and ordinary values go. Permanent data, the owner, the token and the
    /// lifetime stay.
    ///
    /// # Errors
    ///
    /// Those of every change.
    ///
    /// ```
    /// use dframework_session::Session;
    ///
    /// # dframework_session::doctest(async {
    /// Session::set("cart", 3).await?;
    /// Session::clear().await?;
    /// assert!(Session::keys().await?.is_empty());
    /// # Ok(()) });
    /// ```
    pub async fn clear() -> Result<(), Error> {
        current()?.clear().await
    }

    /// The names of everything that `get` can see, sorted.
    ///
    /// # Errors
    ///
    /// Those of every verb.
    ///
    /// ```
    /// use dframework_session::Session;
    ///
    /// # dframework_session::doctest(async {
    /// Session::set("name", "guest").await?;
    /// assert_eq!(Session::keys().await?, ["name"]);
    /// # Ok(()) });
    /// ```
    pub async fn keys() -> Result<Vec<String>, Error> {
        current()?.keys().await
    }

    /// Reads a value and forgets it.
    ///
    /// Two parallel requests may both read it; with [`Session::claim`], one does.
    ///
    /// # Errors
    ///
    /// As [`Session::get`], and those of every change where there is a value.
    ///
    /// ```
    /// use dframework_session::Session;
    ///
    /// # dframework_session::doctest(async {
    /// Session::set("return_to", "/cart").await?;
    /// assert_eq!(Session::pull("return_to").await?, Some("/cart".to_owned()));
    /// assert!(!Session::exists("return_to").await?);
    /// # Ok(()) });
    /// ```
    #[doc(alias = "take")]
    pub async fn pull<T: DeserializeOwned>(key: impl KeyOf<T>) -> Result<Option<T>, Error> {
        current()?.pull(key).await
    }

    /// Reads a value and removes it from the store at once: of several requests, one gets it.
    ///
    /// For what must be used once, such as the state of a login at another site. The removal alone is
    /// committed; it stays even if the response is a 5xx. Other changes of the request wait for its end.
    ///
    /// # Errors
    ///
    /// As [`Session::get`], and what a commit fails with. [`Error::is_unsupported`] with the driver `stealth`: several
    /// requests may bring one cookie, and nobody can say which was first.
    ///
    /// ```
    /// use dframework_session::Session;
    ///
    /// # dframework_session::doctest(async {
    /// Session::set("login_state", "n0nce").await?;
    /// assert_eq!(Session::claim("login_state").await?, Some("n0nce".to_owned()));
    /// assert_eq!(Session::claim::<String>("login_state").await?, None);
    /// # Ok(()) });
    /// ```
    pub async fn claim<T: DeserializeOwned + 'static>(
        key: impl KeyOf<T>,
    ) -> Result<Option<T>, Error> {
        current()?.claim(key).await
    }

    /// Subtracts from a number; otherwise as [`Session::increment`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// ```
    /// use dframework_session::Session;
    ///
    /// # dframework_session::doctest(async {
    /// assert_eq!(Session::decrement("tries_left", 1).await?, -1);
    /// # Ok(()) });
    /// ```
    pub async fn decrement(key: impl KeyOf<i64>, by: i64) -> Result<i64, Error> {
        current()?.decrement(key, by).await
    }

    /// Appends an item to a list. Absent and null are an empty one.
    ///
    /// Parallel requests lose no item.
    ///
    /// # Errors
    ///
    /// [`Error::is_wrong_type`] when the value is no list; otherwise as [`Session::set`].
    ///
    /// ```
    /// use dframework_session::Session;
    ///
    /// # dframework_session::doctest(async {
    /// Session::push("cart", "tea").await?;
    /// Session::push("cart", "milk").await?;
    /// assert_eq!(Session::get("cart").await?, Some(vec!["tea".to_owned(), "milk".to_owned()]));
    /// # Ok(()) });
    /// ```
    pub async fn push<T: Serialize>(key: impl KeyOf<Vec<T>>, item: T) -> Result<(), Error> {
        current()?.push(key, item).await
    }

    /// Reads a value, or makes and stores it where there is none.
    ///
    /// If a parallel request has stored one meanwhile, that one stays; this request goes on with its own.
    ///
    /// # Errors
    ///
    /// As [`Session::get`] and [`Session::set`].
    ///
    /// ```
    /// use dframework_session::Session;
    ///
    /// # dframework_session::doctest(async {
    /// let seed: u32 = Session::remember("seed", async || 7).await?;
    /// assert_eq!(seed, 7);
    /// assert_eq!(Session::remember("seed", async || 8).await?, 7);
    /// # Ok(()) });
    /// ```
    pub async fn remember<T, F>(key: impl KeyOf<T>, make: impl FnOnce() -> F) -> Result<T, Error>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = T>,
    {
        current()?.remember(key, make).await
    }

    /// As [`Session::remember`], with a function that may fail; then nothing is stored.
    ///
    /// # Errors
    ///
    /// What the function fails with, and as there.
    ///
    /// ```
    /// use dframework_session::{Error, Session};
    ///
    /// # dframework_session::doctest(async {
    /// let seed: u32 = Session::try_remember("seed", async || Ok::<_, Error>(7)).await?;
    /// assert_eq!(seed, 7);
    /// # Ok(()) });
    /// ```
    pub async fn try_remember<T, E, F>(key: impl KeyOf<T>, make: impl FnOnce() -> F) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        E: From<Error>,
        F: Future<Output = Result<T, E>>,
    {
        current()?.try_remember(key, make).await
    }

    /// Gives the session a new token; its data stays.
    ///
    /// The old token is dead once the response head is sent (with the driver `stealth`, for this process). Call it when the rights of the user change, such
    /// as at a login or a change of role; [`Session::set_owner`] does it by itself.
    ///
    /// # Errors
    ///
    /// [`Error::is_late`] after the response head.
    ///
    /// ```
    /// use dframework_session::Session;
    ///
    /// # dframework_session::doctest(async {
    /// Session::regenerate().await?;
    /// Session::set("role", "editor").await?;
    /// # Ok(()) });
    /// ```
    #[doc(alias = "cycle_id")]
    #[doc(alias = "renew")]
    pub async fn regenerate() -> Result<(), Error> {
        current()?.regenerate().await
    }

    /// Says whose session it is: the login.
    ///
    /// A new owner gets a new token and a new absolute lifetime. Where another owner was before, flash and
    /// ordinary data go first, so that nothing of the former owner's is seen. The same owner again changes
    /// nothing. Owners have 1 to 255 bytes.
    ///
    /// # Errors
    ///
    /// [`Error::is_invalid`] for an owner that is empty or too long; [`Error::is_late`] after the response head.
    ///
    /// ```
    /// use dframework_session::Session;
    ///
    /// # dframework_session::doctest(async {
    /// Session::set_owner("42").await?;
    /// assert_eq!(Session::owner().await?.as_deref(), Some("42"));
    /// # Ok(()) });
    /// ```
    #[doc(alias = "login")]
    pub async fn set_owner(owner: impl AsRef<str>) -> Result<(), Error> {
        current()?.set_owner(owner).await
    }

    /// Whose session it is.
    ///
    /// # Errors
    ///
    /// Those of every verb.
    ///
    /// ```
    /// use dframework_session::Session;
    ///
    /// # dframework_session::doctest(async {
    /// assert_eq!(Session::owner().await?, None);
    /// # Ok(()) });
    /// ```
    pub async fn owner() -> Result<Option<String>, Error> {
        current()?.owner().await
    }

    /// The public id of the stored session, for logs and lists; `None` before its first commit.
    ///
    /// # Errors
    ///
    /// Those of every verb.
    ///
    /// ```
    /// use dframework_session::Session;
    ///
    /// # dframework_session::doctest(async {
    /// Session::set("name", "visitor").await?;
    /// assert_eq!(Session::id().await?, None);
    /// Session::save().await?;
    /// assert!(Session::id().await?.is_some());
    /// # Ok(()) });
    /// ```
    pub async fn id() -> Result<Option<SessionId>, Error> {
        current()?.id().await
    }

    /// Commits now; the request may go on.
    ///
    /// What was saved stays, even if the response is a 5xx later; its cookies go out with the response head. With the
    /// driver `stealth` the session itself is in them, so it reaches the browser with the head.
    ///
    /// After the head, what needs no cookie is still saved. With `stealth` that is [`destroy`](Session::destroy) alone.
    ///
    /// # Errors
    ///
    /// What a commit fails with: [`Error::is_unavailable`], [`Error::is_gone`], [`Error::is_conflict`],
    /// [`Error::is_too_large`].
    ///
    /// ```
    /// use dframework_session::Session;
    ///
    /// # dframework_session::doctest(async {
    /// Session::set("step", 2).await?;
    /// Session::save().await?;
    /// # Ok(()) });
    /// ```
    pub async fn save() -> Result<(), Error> {
        current()?.save().await
    }

    /// The handle of the current request, to carry it where the facade does not reach.
    ///
    /// # Errors
    ///
    /// [`Error::is_outside`].
    ///
    /// ```
    /// use dframework_session::Session;
    ///
    /// # dframework_session::doctest(async {
    /// let session = Session::handle()?;
    /// let task = tokio::spawn(async move { session.set("step", 1).await });
    /// task.await??;
    /// assert_eq!(Session::get("step").await?, Some(1));
    /// # Ok(()) });
    /// ```
    pub fn handle() -> Result<SessionHandle, Error> {
        current()
    }

    /// Runs a future in which the facade finds this handle.
    ///
    /// ```
    /// use dframework_session::Session;
    ///
    /// # dframework_session::doctest(async {
    /// let session = Session::handle()?;
    /// let work = Session::scope(session, async { Session::set("step", 1).await });
    /// tokio::spawn(work).await??;
    /// # Ok(()) });
    /// ```
    pub fn scope<F: Future>(
        handle: SessionHandle,
        future: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        Scoped::new(handle, future)
    }

    /// Spawns a task that has the session of the current request; under several layers, all their sessions.
    ///
    /// What it changes while the request runs is committed with the request; what it changes later needs
    /// [`Session::save`].
    ///
    /// # Errors
    ///
    /// [`Error::is_outside`], and nothing is spawned.
    ///
    /// # Panics
    ///
    /// As [`tokio::spawn`], outside a tokio runtime.
    ///
    /// ```
    /// use dframework_session::Session;
    ///
    /// # dframework_session::doctest(async {
    /// let task = Session::spawn(async { Session::increment("jobs", 1).await })?;
    /// assert_eq!(task.await??, 1);
    /// # Ok(()) });
    /// ```
    pub fn spawn<F>(future: F) -> Result<tokio::task::JoinHandle<F::Output>, Error>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let scoped = Scoped::like_here(future).ok_or_else(Error::outside)?;
        Ok(tokio::spawn(scoped))
    }
}
