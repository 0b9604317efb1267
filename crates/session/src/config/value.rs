//! One given value: what was written, under which name, read as the type that its property wants.
//!
//! It does not know which properties there are; `properties.rs` does.

use super::{duration, key::Secret};
use crate::error::Error;
use std::{
    borrow::Cow,
    fmt::{self, Display},
    time::Duration,
};

/// A value that the file or the environment gives, with the name that the operator wrote.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) name: String,
    pub(super) value: Value,
}

/// The environment has text alone; the file has types.
pub(super) enum Value {
    Variable(String),
    Toml(toml::Value),
}

/// What a property holds, and the name to call it by when it is refused.
#[derive(Clone, Debug)]
pub(super) struct Setting<T> {
    pub(super) value: T,
    pub(super) name: Cow<'static, str>,
}

impl<T> Setting<T> {
    pub(super) fn default(name: &'static str, value: T) -> Self {
        Self { value, name: name.into() }
    }

    /// Takes what the file or the environment gives.
    pub(super) fn read<V: Into<T>>(
        &mut self,
        given: &Given,
        read: impl FnOnce(&Given) -> Result<V, Error>,
    ) -> Result<(), Error> {
        *self = Self { value: read(given)?.into(), name: given.name.clone().into() };
        Ok(())
    }

    /// Takes what a setter gives; `name` is the setter's.
    pub(super) fn set(&mut self, name: &'static str, value: T) {
        *self = Self::default(name, value);
    }

    /// An error about this property: its name, then what is wrong.
    pub(super) fn refuse(&self, why: impl Display) -> Error {
        refuse(&self.name, why)
    }
}

impl Given {
    /// A string as it stands.
    pub(super) fn text(&self) -> Result<String, Error> {
        self.text_for("a string").map(str::to_owned)
    }

    /// A string that is one of a few, in upper or lower case.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&'static str, T)]) -> Result<T, Error> {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        let text = self.text_for(&format!("one of the strings {names}"))?;
        choices
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text))
            .map(|(_, choice)| *choice)
            .ok_or_else(|| self.refuse(format_args!("is {text:?}; allowed are {names}")))
    }

    /// `true` or `false`.
    pub(super) fn switch(&self) -> Result<bool, Error> {
        match &self.value {
            Value::Toml(toml::Value::Boolean(on)) => Ok(*on),
            Value::Variable(text) => text
                .parse()
                .map_err(|_| self.refuse(format_args!("is {text:?}; allowed are true and false"))),
            Value::Toml(other) => Err(self.wrong_type(other, "true or false")),
        }
    }

    /// A whole number from one up.
    pub(super) fn count(&self) -> Result<usize, Error> {
        let (shown, count) = match &self.value {
            Value::Toml(toml::Value::Integer(number)) => {
                (number.to_string(), usize::try_from(*number).ok())
            }
            Value::Variable(text) => (format!("{text:?}"), text.parse().ok()),
            Value::Toml(other) => return Err(self.wrong_type(other, "a positive whole number")),
        };
        count.filter(|count| *count > 0).ok_or_else(|| {
            self.refuse(format_args!("is {shown}; allowed are whole numbers from 1 up"))
        })
    }

    /// A duration of at least `least`.
    pub(super) fn duration(&self, least: Duration) -> Result<Duration, Error> {
        let number = match &self.value {
            Value::Toml(toml::Value::Integer(number)) => Some(number.to_string()),
            Value::Toml(toml::Value::Float(number)) => Some(number.to_string()),
            _ => None,
        };
        if let Some(number) = number {
            return Err(self.refuse(format_args!("is {number}, {}", duration::NO_UNIT)));
        }
        let text = self.text_for("a string such as \"2h\"")?;
        let duration = duration::parse(text)
            .map_err(|problem| self.refuse(format_args!("is {text:?}, {problem}")))?;
        duration::check(&self.name, duration, least)?;
        Ok(duration)
    }

    /// A key.
    pub(super) fn secret(&self) -> Result<Secret, Error> {
        Secret::parse(&self.name, self.text_for("a string")?)
    }

    /// Keys: an array of strings, or in the environment a list with commas. An empty variable is an empty list.
    pub(super) fn secrets(&self) -> Result<Vec<Secret>, Error> {
        const EXPECTED: &str = "an array of strings";
        match &self.value {
            Value::Toml(toml::Value::Array(items)) => (0..)
                .zip(items)
                .map(|(index, item)| {
                    let name = item_name(&self.name, index);
                    let given = Self { name, value: Value::Toml(item.clone()) };
                    given.secret()
                })
                .collect(),
            Value::Variable(text) if text.trim_ascii().is_empty() => Ok(Vec::new()),
            Value::Variable(text) => (0..)
                .zip(text.split(','))
                .map(|(index, item)| Secret::parse(&item_name(&self.name, index), item))
                .collect(),
            Value::Toml(other) => Err(self.wrong_type(other, EXPECTED)),
        }
    }

    fn text_for(&self, expected: &str) -> Result<&str, Error> {
        match &self.value {
            Value::Variable(text) | Value::Toml(toml::Value::String(text)) => Ok(text),
            Value::Toml(other) => Err(self.wrong_type(other, expected)),
        }
    }

    fn refuse(&self, why: impl Display) -> Error {
        refuse(&self.name, why)
    }

    fn wrong_type(&self, found: &toml::Value, expected: &str) -> Error {
        wrong_type(&self.name, found, expected)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

/// What an item of a list is called in errors.
pub(super) fn item_name(list: &str, index: usize) -> String {
    format!("{list}[{index}]")
}

/// Names the type that stands in the file, never the value: it may be a key.
pub(super) fn wrong_type(name: &str, found: &toml::Value, expected: &str) -> Error {
    let found = found.type_str();
    let article = if found.starts_with(['a', 'i']) { "an" } else { "a" };
    refuse(name, format_args!("is {article} {found}; expected {expected}"))
}

fn refuse(name: &str, why: impl Display) -> Error {
    Error::config(format!("{name} {why}"))
}
