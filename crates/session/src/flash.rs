//! Flash messages age in the browser: which generation a new one gets, and when one has been shown.
//!
//! A flash value is stored under a generation, 0 to 7, and the browser is given a companion cookie of that
//! name. Whoever carries the companion sees the value; removing the companion is ageing. So a request that was
//! sent before the browser knew of the message can neither see nor end it, and ageing writes nothing.

use std::time::Duration;

/// After this long a flash value whose companion is not carried has reached nobody and never will.
pub(crate) const UNSEEN: Duration = Duration::from_secs(600);

/// What a session is made with: the first generation follows the last.
pub(crate) const BEFORE_THE_FIRST: u8 = 7;

/// How a request came about, as far as its browser says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// A person goes to a page.
    Navigation,
    /// A picture, a script's call, a prefetch: nobody reads a message there.
    Background,
    /// The client does not say: curl, an API client, plain http.
    Unsaid,
    /// HEAD or OPTIONS: there is no page to show anything on.
    Bodiless,
    /// A test looks at what is there: nobody is told of it.
    #[cfg(feature = "testing")]
    Look,
}

impl Purpose {
    /// Reads the method and the fields `Sec-Fetch-Dest` and `Sec-Purpose`.
    pub(crate) fn of(method: &str, fetch_dest: Option<&[u8]>, purpose: Option<&[u8]>) -> Self {
        if method == "HEAD" || method == "OPTIONS" {
            return Self::Bodiless;
        }
        let is_prefetch = purpose.is_some_and(|purpose| {
            // The field is a list; browsers send `prefetch` or `prefetch;prerender`.
            purpose.split(|byte| b",;".contains(byte)).any(|item| item.trim_ascii() == b"prefetch")
        });
        match fetch_dest {
            None => Self::Unsaid,
            Some(dest) if dest.trim_ascii() == b"document" && !is_prefetch => Self::Navigation,
            Some(_) => Self::Background,
        }
    }

    /// Whether a person may be looking at the answer.
    pub(crate) fn shows_a_page(self) -> bool {
        matches!(self, Self::Navigation | Self::Unsaid)
    }

    /// Whether the operator is to hear of what the request brought.
    pub(crate) fn is_told(self) -> bool {
        match self {
            #[cfg(feature = "testing")]
            Self::Look => false,
            _ => true,
        }
    }

    /// Which of the carried generations are over once this request is answered.
    pub(crate) fn aged(self, carried: u8, read: u8) -> u8 {
        match self {
            Self::Navigation | Self::Unsaid => carried,
            Self::Background => carried & read,
            Self::Bodiless => 0,
            #[cfg(feature = "testing")]
            Self::Look => 0,
        }
    }
}

/// The generation for a new message: the one after the last used that nobody holds.
///
/// Where all are held, the message joins the last.
pub(crate) fn next_generation(last: u8, in_use: u8, carried: u8) -> u8 {
    (1..=8)
        .map(|step| (last + step) % 8)
        .find(|generation| (in_use | carried) & (1 << generation) == 0)
        .unwrap_or(last)
}
