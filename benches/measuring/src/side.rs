//! With sessions, or without: what is compared is the difference.

use std::str::FromStr;

/// Whether the sessions of an application are there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    With,
    Without,
}

impl Side {
    /// The word for it on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::With => "with",
            Self::Without => "without",
        }
    }
}

impl FromStr for Side {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let found = [Self::With, Self::Without].into_iter().find(|one| one.word() == word);
        found.ok_or_else(|| format!("{word:?} is neither with nor without"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_read_as_it_is_written() {
        for side in [Side::With, Side::Without] {
            assert_eq!(side.word().parse(), Ok(side));
        }
        assert!("within".parse::<Side>().is_err());
    }
}
