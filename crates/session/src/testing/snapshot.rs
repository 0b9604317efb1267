//! [`Snapshot`]: what the session of a visitor holds, and assertions on it.

use crate::{
    KeyName, KeyOf, SessionHandle, SessionId,
    draft::{Draft, Layer},
    standing::Standing,
    value,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, fmt, fmt::Write};

/// The longest text of a value in a message, in characters.
const LONGEST_SHOWN: usize = 200;

/// What the next request of a visitor would find in its session.
///
/// It was read without a trace: no message counts as shown, no timeout begins again. What happens later is not in it.
/// The assertions return it again, so that they can be chained; one that fails says what was expected and what
/// is there.
///
/// ```
/// use dframework_session::{Sessions, testing::Visitor};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let mut visitor = Visitor::new(&Sessions::memory());
/// visitor.session().await.assert_absent();
///
/// visitor.with(async |session| {
///     session.set_owner("42").await?;
///     session.set("cart", ["tea"]).await?;
///     session.flash("status", "welcome").await
/// }).await?;
/// let session = visitor.session().await;
/// session.assert_value("cart", ["tea"]).assert_flash("status", "welcome").assert_owner("42");
/// assert_eq!(session.get::<Vec<String>>("cart").unwrap_or_default().len(), 1);
/// # Ok::<(), dframework_session::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Snapshot {
    values: BTreeMap<String, Held>,
    owner: Option<String>,
    id: Option<SessionId>,
    /// Why there is no session; `None` where there is one.
    absence: Option<String>,
}

/// A value, and in which layer it is seen.
#[derive(Clone)]
struct Held {
    layer: Layer,
    json: String,
}

#[expect(clippy::needless_pass_by_value, reason = "keys are taken as by the verbs of a session")]
impl Snapshot {
    /// A value, as [`Session::get`](crate::Session::get) reads it.
    ///
    /// # Panics
    ///
    /// The value does not read as a `T`.
    #[track_caller]
    pub fn get<T: DeserializeOwned>(&self, key: impl KeyOf<T>) -> Option<T> {
        let held = self.values.get(key.name())?;
        let read = value::decode(key.name(), held.json.as_bytes());
        read.unwrap_or_else(|error| panic!("{error}\n{self}"))
    }

    /// The names of the values.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Whose session it is.
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// The public id of the session: another one after `regenerate` and after a login.
    pub fn id(&self) -> Option<SessionId> {
        self.id
    }

    /// Checks that `get` would read this value, whether it is a message, permanent or neither.
    ///
    /// # Panics
    ///
    /// There is another value or none.
    #[track_caller]
    pub fn assert_value<V: Serialize>(&self, key: impl KeyName, value: V) -> &Self {
        self.assert_held(key.name(), &encoded(key.name(), &value), None)
    }

    /// Checks that a flash message with this value waits for the next request.
    ///
    /// # Panics
    ///
    /// There is another message or none, or the value is no message.
    #[track_caller]
    pub fn assert_flash<V: Serialize>(&self, key: impl KeyName, value: V) -> &Self {
        self.assert_held(key.name(), &encoded(key.name(), &value), Some(Layer::Flash))
    }

    /// Checks that a value is permanent.
    ///
    /// # Panics
    ///
    /// There is another value or none, or it is not permanent.
    #[track_caller]
    pub fn assert_permanent<V: Serialize>(&self, key: impl KeyName, value: V) -> &Self {
        self.assert_held(key.name(), &encoded(key.name(), &value), Some(Layer::Permanent))
    }

    /// Checks that there is no value with this name.
    ///
    /// # Panics
    ///
    /// There is one.
    #[track_caller]
    pub fn assert_missing(&self, key: impl KeyName) -> &Self {
        let key = key.name();
        if let Some(held) = self.values.get(key) {
            panic!("expected no {key:?}, but there is {held}\n{self}");
        }
        self
    }

    /// Checks that no flash message waits.
    ///
    /// # Panics
    ///
    /// One does.
    #[track_caller]
    pub fn assert_no_flash(&self) -> &Self {
        let waiting = self.values.iter().find(|(_, held)| held.layer == Layer::Flash);
        if let Some((key, held)) = waiting {
            panic!("expected no flash message, but there is {key:?} = {held}\n{self}");
        }
        self
    }

    /// Checks that there is no value at all.
    ///
    /// # Panics
    ///
    /// There is one.
    #[track_caller]
    pub fn assert_empty(&self) -> &Self {
        assert!(self.values.is_empty(), "expected no values\n{self}");
        self
    }

    /// Checks whose session it is.
    ///
    /// # Panics
    ///
    /// It is somebody else's or nobody's.
    #[track_caller]
    pub fn assert_owner(&self, owner: impl AsRef<str>) -> &Self {
        let expected = owner.as_ref();
        match self.owner() {
            Some(found) if found == expected => self,
            Some(found) => panic!("expected the owner {expected:?}, but it is {found:?}\n{self}"),
            None => panic!("expected the owner {expected:?}, but there is none\n{self}"),
        }
    }

    /// Checks that it is nobody's session: nobody is logged in.
    ///
    /// # Panics
    ///
    /// It is somebody's.
    #[track_caller]
    pub fn assert_no_owner(&self) -> &Self {
        if let Some(owner) = self.owner() {
            panic!("expected no owner, but it is {owner:?}\n{self}");
        }
        self
    }

    /// Checks that there is a session: a record that the visitor's cookie opens.
    ///
    /// # Panics
    ///
    /// There is none.
    #[track_caller]
    pub fn assert_present(&self) -> &Self {
        assert!(self.absence.is_none(), "expected a session\n{self}");
        self
    }

    /// Checks that there is no session. Permanent data, which is kept apart, there may be.
    ///
    /// # Panics
    ///
    /// There is one.
    #[track_caller]
    pub fn assert_absent(&self) -> &Self {
        assert!(self.absence.is_some(), "expected no session\n{self}");
        self
    }

    /// Reads what a request with this handle would find.
    pub(super) async fn read(handle: &SessionHandle) -> Result<Self, crate::Error> {
        let (owner, id) = (handle.owner().await?, handle.id().await?);
        let state = handle.0.state();
        let draft = state.work.as_ref().map(|work| &work.draft);
        let values = draft.map(values).unwrap_or_default();
        let name = handle.0.core.cookies.name();
        let absence = draft.and_then(|draft| absence(&draft.records.ordinary, name));
        Ok(Self { values, owner, id, absence })
    }

    #[track_caller]
    fn assert_held(&self, key: &str, expected: &str, layer: Option<Layer>) -> &Self {
        let problem = match self.values.get(key) {
            None => "there is none".to_owned(),
            Some(held) if !is_same(&held.json, expected) => format!("it is {held}"),
            Some(held) if layer.is_some_and(|layer| layer != held.layer) => {
                format!("it is {}", kind(held.layer))
            }
            Some(_) => return self,
        };
        let kind = layer.map_or("a value", kind);
        panic!("expected {kind} {key:?} = {}, but {problem}\n{self}", Shown(expected));
    }
}

fn values(draft: &Draft) -> BTreeMap<String, Held> {
    let held = draft.visible().into_iter().map(|(key, found)| {
        let layer = draft.recorded_in(key).unwrap_or(Layer::Ordinary);
        let json = String::from_utf8_lossy(found.json).into_owned();
        (key.to_owned(), Held { layer, json })
    });
    held.collect()
}

fn absence(ordinary: &Standing, name: &str) -> Option<String> {
    match ordinary {
        Standing::Absent => Some(format!("the browser sends no cookie {name:?}")),
        Standing::Unknown { .. } => {
            Some(format!("the cookie {name:?} opens none: it has expired or never was"))
        }
        Standing::Ended => Some(format!("the one of the cookie {name:?} has just been ended")),
        Standing::Corrupt { .. } | Standing::Live(_) => None,
    }
}

#[track_caller]
fn encoded<V: Serialize>(key: &str, value: &V) -> String {
    let json = value::encode(key, value);
    let json = json.unwrap_or_else(|error| panic!("nothing can be compared with this: {error}"));
    String::from_utf8_lossy(json.json()).into_owned()
}

/// Whether two texts are the same JSON, in whatever order the members of objects stand.
fn is_same(one: &str, other: &str) -> bool {
    let read = |text| serde_json::from_str::<serde_json::Value>(text).ok();
    read(one) == read(other)
}

fn kind(layer: Layer) -> &'static str {
    match layer {
        Layer::Flash | Layer::Now => "a flash message",
        Layer::Permanent => "a permanent value",
        Layer::Ordinary => "an ordinary value",
    }
}

/// The beginning of a text, so that a message stays readable.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(LONGEST_SHOWN) {
            Some((end, _)) => write!(f, "{}…", &self.0[..end]),
            None => f.write_str(self.0),
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = match self.layer {
            Layer::Flash | Layer::Now => " (flash)",
            Layer::Permanent => " (permanent)",
            Layer::Ordinary => "",
        };
        write!(f, "{}{suffix}", Shown(&self.json))
    }
}

/// All of it with values, for the messages of assertions.
impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.absence, &self.owner) {
            (Some(absence), _) => write!(f, "there is no session: {absence}")?,
            (None, Some(owner)) => write!(f, "there is a session of {owner:?}")?,
            (None, None) => f.write_str("there is a session without an owner")?,
        }
        if self.values.is_empty() {
            return f.write_str("; it holds no values");
        }
        f.write_str("; it holds")?;
        for (count, (key, held)) in self.values.iter().enumerate() {
            f.write_char(if count == 0 { ' ' } else { ',' })?;
            write!(f, "{}{key:?} = {held}", if count == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

/// Shows the names of the values, and whose they are.
impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("keys", &self.values.keys())
            .field("owner", &self.owner)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
