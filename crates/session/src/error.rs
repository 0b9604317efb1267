//! What can fail, and what a client is told of it.
//!
//! A bad, old or forged cookie is not here: it is no session. Errors are for systems that failed and for calls
//! that cannot be carried out. Messages name keys and types, never values or tokens.

use dframework_session_store::StoreError;
use std::{error::Error as StdError, fmt, sync::Arc};

/// Why a call on the session, a commit or the start-up failed.
///
/// The predicates (`is_unavailable`, `is_gone`, …) tell cases apart; the text is for logs. As a response it has
/// an empty body and the status of [`Error::status`]; what happened goes to the log.
///
/// ```
/// use dframework_session::{Error, Session};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let outside: Result<Option<String>, Error> = Session::get("name").await;
/// let error = outside.unwrap_err();
/// assert!(error.is_outside());
/// assert_eq!(error.status(), 500);
/// # });
/// ```
#[derive(Clone)]
pub struct Error(Arc<Repr>);

struct Repr {
    kind: Kind,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The cases, each with what its message names.
#[derive(Debug)]
pub(crate) enum Kind {
    /// No session in the running task. Where a handler asks for it as an argument, its framework knows how to mend that.
    Outside { mend: Option<&'static str> },
    /// The sessions in the running task are of other `Sessions`.
    OfOthers,
    /// The store did not answer, or not in time.
    Unavailable { doing: &'static str },
    /// The record ended while this request was under way.
    Gone { record: Record },
    /// Another request changed what an operation of this one builds on.
    Unreplayable { key: String, why: &'static str },
    /// The record would be larger than it may be. The largest keys come first.
    TooLarge { size: usize, limit: usize, largest: Vec<(String, usize)> },
    /// The stored bytes are not a record that this version reads.
    Corrupt { why: &'static str },
    /// The value reads as another type.
    WrongType { key: String, stored: &'static str, asked: &'static str },
    /// The value cannot be stored.
    Value { key: String, why: &'static str },
    /// An operation cannot be applied to the value: overflow, no list.
    Inapplicable { key: String, why: &'static str },
    /// The name of a key is empty or too long.
    Key { why: &'static str },
    /// The name of an owner is empty or too long.
    Owner { why: &'static str },
    /// Only a cookie could carry the change, and the response head has been sent.
    Late { doing: &'static str },
    /// Only a cookie could carry the change, and the response is an upgrade.
    Upgrade,
    /// The commit would have to wait for a store.
    WouldBlock,
    /// The driver cannot do this.
    Unsupported { doing: &'static str, why: &'static str },
    /// The operating system gave no random bytes.
    Random,
    /// A property cannot be used as it stands.
    Config(String),
}

/// Which of a session's two records an error is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Record {
    Session,
    Permanent,
}

impl Error {
    pub(crate) fn outside() -> Self {
        Self::new(Kind::Outside { mend: None })
    }

    #[cfg(any(feature = "axum", feature = "actix"))]
    pub(crate) fn without_layer(mend: &'static str) -> Self {
        Self::new(Kind::Outside { mend: Some(mend) })
    }

    pub(crate) fn gone(record: Record) -> Self {
        Self::new(Kind::Gone { record })
    }

    /// Whether the session itself has ended, not its permanent data alone.
    pub(crate) fn is_session_gone(&self) -> bool {
        matches!(self.0.kind, Kind::Gone { record: Record::Session })
    }

    /// Whether a step of a commit may have been carried out all the same.
    pub(crate) fn outcome_is_unknown(&self) -> bool {
        let cause = self.0.source.as_ref().and_then(|source| source.downcast_ref::<StoreError>());
        cause.is_some_and(StoreError::outcome_is_unknown)
    }

    /// The same refusal once more, for a commit that follows one that was refused.
    pub(crate) fn again(&self) -> Self {
        match &self.0.kind {
            Kind::Unreplayable { key, why } => {
                Self::new(Kind::Unreplayable { key: key.clone(), why })
            }
            Kind::Gone { record } => Self::gone(*record),
            _ => Self::gone(Record::Session),
        }
    }

    pub(crate) fn new(kind: Kind) -> Self {
        Self(Arc::new(Repr { kind, source: None }))
    }

    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::new(Kind::Config(message.into()))
    }

    pub(crate) fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        let repr = Arc::get_mut(&mut self.0).expect("an error is not shared while it is made");
        repr.source = Some(Box::new(source));
        self
    }

    pub(crate) fn unavailable(doing: &'static str, source: StoreError) -> Self {
        Self::new(Kind::Unavailable { doing }).with_source(source)
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.0.kind
    }

    /// The status of the response that this error becomes: 503, 409, 413 or 500.
    ///
    /// 500 is for what the code must mend: a wrong type, a call that comes too late, what the driver does not support.
    /// With the driver `stealth` there is no store, so nothing there is a 503; a session that is too large for its
    /// cookie is a 413.
    pub fn status(&self) -> u16 {
        match self.0.kind {
            Kind::Unavailable { .. } => 503,
            Kind::Gone { .. } | Kind::Unreplayable { .. } => 409,
            Kind::TooLarge { .. } => 413,
            _ => 500,
        }
    }

    /// The store could not be reached, did not answer in time or has no room. Nothing is known to be lost.
    pub fn is_unavailable(&self) -> bool {
        matches!(self.0.kind, Kind::Unavailable { .. })
    }

    /// The session, or its permanent data, ended by a logout, a new login or a revocation while this request was
    /// under way.
    pub fn is_gone(&self) -> bool {
        matches!(self.0.kind, Kind::Gone { .. })
    }

    /// A parallel request changed a value so that an operation of this one no longer applies to it.
    pub fn is_conflict(&self) -> bool {
        matches!(self.0.kind, Kind::Unreplayable { .. })
    }

    /// A value, or the session as a whole, is larger than it may be.
    pub fn is_too_large(&self) -> bool {
        matches!(self.0.kind, Kind::TooLarge { .. })
    }

    /// The stored record is truncated, damaged, from a newer version or another session's. It is left as it is.
    pub fn is_corrupt(&self) -> bool {
        matches!(self.0.kind, Kind::Corrupt { .. })
    }

    /// The value under the key does not read as the type that was asked for. It is left as it is.
    pub fn is_wrong_type(&self) -> bool {
        matches!(self.0.kind, Kind::WrongType { .. })
    }

    /// The key or the value cannot be stored, or the operation does not apply to what is there.
    pub fn is_invalid(&self) -> bool {
        matches!(
            self.0.kind,
            Kind::Value { .. } | Kind::Key { .. } | Kind::Owner { .. } | Kind::Inapplicable { .. }
        )
    }

    /// The call came from outside a request: no layer, or a task that was spawned on its own. What to write instead is in
    /// [the manual](crate::manual::tasks).
    pub fn is_outside(&self) -> bool {
        matches!(self.0.kind, Kind::Outside { .. } | Kind::OfOthers)
    }

    /// Only a cookie could carry the change, and it is too late for one.
    pub fn is_late(&self) -> bool {
        matches!(self.0.kind, Kind::Late { .. } | Kind::Upgrade)
    }

    /// The commit would have to wait for a store; use [`Sessions::commit`](crate::Sessions::commit).
    pub fn is_would_block(&self) -> bool {
        matches!(self.0.kind, Kind::WouldBlock)
    }

    /// The driver cannot do this: see the [table of drivers](crate::manual::drivers) in the manual.
    ///
    /// That is `stealth`, for [`claim`](crate::Session::claim), [`Sessions::of`](crate::Sessions::of) and
    /// [`Sessions::count`](crate::Sessions::count), and with revocation off for what ends sessions early.
    ///
    /// ```
    /// use dframework_session::{Config, DriverName, RequestHead, Sessions};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let config = Config::new().driver(DriverName::Stealth).key(Config::generate_key()?)?;
    /// let sessions = Sessions::connect(&config).await?;
    /// assert!(sessions.count().await.unwrap_err().is_unsupported());
    ///
    /// let handle = sessions.open(RequestHead::new("POST"));
    /// assert!(handle.claim::<String>("voucher").await.unwrap_err().is_unsupported());
    /// # Ok::<(), dframework_session::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn is_unsupported(&self) -> bool {
        matches!(self.0.kind, Kind::Unsupported { .. })
    }

    /// The configuration cannot be used.
    pub fn is_config(&self) -> bool {
        matches!(self.0.kind, Kind::Config(_))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.kind {
            Kind::Outside { mend: None } => f.write_str(
                "no session here: is the layer installed (`SessionLayer`, in actix-web `SessionMiddleware`), or was \
                 this spawned without `Session::spawn`? threads, bodies and upgraded connections take a \
                 `SessionHandle` along",
            ),
            Kind::Outside { mend: Some(mend) } => write!(f, "no session for this handler: {mend}"),
            Kind::OfOthers => f.write_str(
                "no session of these `Sessions` here, only of others: the layer around this route must be made of a \
                 clone of these",
            ),
            Kind::Unavailable { doing } => write!(f, "the session store failed while {doing}"),
            Kind::Gone { record: Record::Session } => f.write_str(
                "the session has ended, by a logout or a login elsewhere, while or shortly before this request ran",
            ),
            Kind::Gone { record: Record::Permanent } => f.write_str(
                "the permanent data has ended, by a logout elsewhere, while or shortly before this request ran",
            ),
            Kind::Unreplayable { key, why } => write!(
                f,
                "a parallel request changed the session, and the change of {key:?} no longer applies: {why}"
            ),
            Kind::TooLarge { size, limit, largest } => {
                write!(f, "the session is too large: {size} bytes of at most {limit}; largest keys:")?;
                let mut separator = " ";
                for (key, size) in largest {
                    write!(f, "{separator}{key:?} ({size} bytes)")?;
                    separator = ", ";
                }
                Ok(())
            }
            Kind::Corrupt { why } => write!(f, "the stored session cannot be read: {why}"),
            Kind::WrongType { key, stored, asked } => {
                write!(f, "the session value {key:?} is {stored} and does not read as `{asked}`")
            }
            Kind::Value { key, why } => {
                write!(f, "the value for {key:?} cannot be stored in the session: {why}")
            }
            Kind::Inapplicable { key, why } => {
                write!(f, "the session value {key:?} cannot be changed: {why}")
            }
            Kind::Key { why } => write!(f, "a session key {why}"),
            Kind::Owner { why } => write!(f, "the owner of a session {why}"),
            Kind::Late { doing } => write!(
                f,
                "{doing} needs a cookie, and the response head has been sent: do it before the response is returned"
            ),
            Kind::Upgrade => f.write_str(
                "the change needs a cookie, and an upgrade carries none: make it before the upgrade, in a request of its own",
            ),
            Kind::WouldBlock => f.write_str("the commit has to wait for the session store"),
            Kind::Unsupported { doing, why } => write!(f, "{doing} is not supported: {why}"),
            Kind::Random => f.write_str("the operating system gave no random bytes"),
            Kind::Config(message) => f.write_str(message),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_tuple("Error");
        debug.field(&format_args!("{self}"));
        if let Some(source) = &self.0.source {
            debug.field(source);
        }
        debug.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| &**source as &(dyn StdError + 'static))
    }
}
