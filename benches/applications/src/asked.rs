//! What is asked of every library: the same requests, for sessions with the same six values.

use std::str::FromStr;

/// What a session holds besides the number `visits`: about 300 bytes in six keys.
pub const ENTRIES: [(&str, &str); 5] = [
    ("name", "a visitor of the shop"),
    ("language", "en"),
    ("cart", "17 x 2, 4 x 1, 90 x 6, 1204 x 1, 33 x 12, 7 x 3, 55 x 1"),
    ("last", "/catalogue/shoes/winter?page=3&sort=price&size=42"),
    ("seen", "1204 33 7 55 90 17 4 1901 2207 18 44 5 6 1010"),
];

/// The fields that a browser sends with a navigation.
pub const FIELDS: [(&str, &str); 10] = [
    ("host", "shop.example"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("accept-language", "en-US,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("referer", "https://shop.example/catalogue"),
    ("upgrade-insecure-requests", "1"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-site", "same-origin"),
];

/// A request, and what its handler does with the session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Case {
    /// Brings no cookie, and nothing is done.
    Unused,
    /// Brings the cookie of a session, and nothing is done.
    UnusedWithCookie,
    /// Brings the cookie, and reads a text.
    Read,
    /// Brings the cookie, reads a number and stores the next.
    ReadAndWrite,
    /// Brings no cookie, and stores six values.
    New,
}

impl Case {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Unused, Self::UnusedWithCookie, Self::Read, Self::ReadAndWrite, Self::New];

    /// The word for it on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unused => "unused",
            Self::UnusedWithCookie => "unused-cookie",
            Self::Read => "read",
            Self::ReadAndWrite => "write",
            Self::New => "new",
        }
    }

    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Unused => "no cookie, unused",
            Self::UnusedWithCookie => "cookie, unused",
            Self::Read => "read one key",
            Self::ReadAndWrite => "read and write",
            Self::New => "new session",
        }
    }

    /// The path that is asked for.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Unused | Self::UnusedWithCookie => "/",
            Self::Read => "/read",
            Self::ReadAndWrite => "/write",
            Self::New => "/new",
        }
    }

    #[must_use]
    pub fn brings_cookies(self) -> bool {
        !matches!(self, Self::Unused | Self::New)
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let case = Self::ALL.into_iter().find(|case| case.word() == word);
        case.ok_or_else(|| format!("{word:?} is no case"))
    }
}

/// A key that everybody can read.
pub const KEY: &str = "4b1d0c3f2e4a596870f1e2d3c4b5a69788796a5b4c3d2e1f19f3b1c0d7e5a428";
