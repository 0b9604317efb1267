//! How much is measured.

use std::str::FromStr;

/// How much is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effort {
    /// Just enough to see that all works.
    Quick,
    /// What can be waited for.
    Usual,
    /// What takes long, too.
    Full,
}

impl Effort {
    /// The word for it on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Usual => "usual",
            Self::Full => "full",
        }
    }

    /// How often all take their turn, where they usually do so often.
    #[must_use]
    pub fn turns(self, usual: usize) -> usize {
        match self {
            Self::Quick => 1,
            Self::Usual => usual,
            Self::Full => 3 * usual,
        }
    }

    /// So many requests or sessions, or few of them.
    #[must_use]
    pub fn of(self, usual: usize) -> usize {
        if self == Self::Quick { usual / 16 } else { usual }
    }
}

impl FromStr for Effort {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let found =
            [Self::Quick, Self::Usual, Self::Full].into_iter().find(|one| one.word() == word);
        found.ok_or_else(|| format!("{word:?} is none of quick, usual and full"))
    }
}
