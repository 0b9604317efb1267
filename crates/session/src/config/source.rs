//! From a TOML file and environment variables to given values, by the table of properties.
//!
//! Names are settled here: spellings, doubles, strangers and near misses. What a value must look like is not.

use super::{
    properties::PROPERTIES,
    value::{Given, Value, wrong_type},
};
use crate::error::Error;

/// What variables of the environment start with.
const PREFIX: &str = "APP_";

/// The variable that names the file; ours, although no property of it.
pub(super) const FILE_VARIABLE: &str = "APP_CONFIG";

/// What is given for each property, in the order of the table.
pub(super) struct Source(Vec<Option<Given>>);

impl Source {
    pub(super) fn empty() -> Self {
        Self(PROPERTIES.iter().map(|_| None).collect())
    }

    /// Takes the table `[app]` of a TOML text; `origin` says in errors where the text stands.
    pub(super) fn add_file(&mut self, text: &str, origin: &str) -> Result<(), Error> {
        let mut file: toml::Table =
            text.parse().map_err(|error| unreadable(text, origin, &error))?;
        match file.remove("app") {
            None => Ok(()),
            Some(toml::Value::Table(app)) => {
                app.into_iter().try_for_each(|(name, value)| self.add_entry(&name, value))
            }
            Some(other) => Err(wrong_type("app", &other, "a table")),
        }
    }

    /// Takes a variable, which wins over the file.
    pub(super) fn add_variable(&mut self, name: String, value: String) -> Result<(), Error> {
        let Some(property) = name.strip_prefix(PREFIX) else { return Ok(()) };
        let index =
            PROPERTIES.iter().position(|known| Place::Environment.spell(known.name) == name);
        match index {
            Some(index) => {
                self.0[index] = Some(Given { name, value: Value::Variable(value) });
                Ok(())
            }
            None if name == FILE_VARIABLE => Ok(()),
            None => check_stranger(Place::Environment, &name, &property.to_ascii_lowercase()),
        }
    }

    /// The values that were given, each with its place in the table.
    pub(super) fn given(self) -> impl Iterator<Item = (usize, Given)> {
        self.0.into_iter().enumerate().filter_map(|(index, given)| Some((index, given?)))
    }

    fn add_entry(&mut self, name: &str, value: toml::Value) -> Result<(), Error> {
        let Some(group) = groups().find(|group| is_spelling(name, group)) else {
            return self.add_value(&[name], value);
        };
        match value {
            toml::Value::Table(members) => members
                .into_iter()
                .try_for_each(|(member, value)| self.add_value(&[name, &member], value)),
            other => {
                let expected = format!("a table with {}", members(Place::File, group));
                Err(wrong_type(&format!("app.{name}"), &other, &expected))
            }
        }
    }

    fn add_value(&mut self, path: &[&str], value: toml::Value) -> Result<(), Error> {
        let name = format!("app.{}", path.join("."));
        let known = |known: &str| {
            known.split('.').count() == path.len()
                && known.split('.').zip(path).all(|(known, written)| is_spelling(written, known))
        };
        let Some(index) = PROPERTIES.iter().position(|property| known(property.name)) else {
            return check_stranger(Place::File, &name, &snake_case(&path.join("_")));
        };
        if let Some(first) = &self.0[index] {
            let first = &first.name;
            return Err(Error::config(format!(
                "{first} and {name} are one property: keep one of them"
            )));
        }
        self.0[index] = Some(Given { name, value: Value::Toml(value) });
        Ok(())
    }
}

/// Whether `name` is a variable that one of the properties is read from.
pub(super) fn is_variable(name: &str) -> bool {
    PROPERTIES.iter().any(|property| Place::Environment.spell(property.name) == name)
}

/// Names the line and not what stands there: it may be a key. So the parser's own message is dropped too.
fn unreadable(text: &str, origin: &str, error: &toml::de::Error) -> Error {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map_or(1, |before| before.matches('\n').count() + 1);
    Error::config(format!("{origin} is not valid TOML: look at line {line}"))
}

/// Where a name stands decides how it is written.
#[derive(Clone, Copy)]
enum Place {
    File,
    Environment,
}

impl Place {
    /// The name of a property, or of a group, as it is written here.
    fn spell(self, name: &str) -> String {
        match self {
            Self::File => format!("app.{}", camel_case(name)),
            Self::Environment => format!("{PREFIX}{}", flat(name).to_ascii_uppercase()),
        }
    }

    /// The names that a stranger may have been meant as. A group is a name in the file alone.
    fn names(self) -> impl Iterator<Item = &'static str> {
        let groups = matches!(self, Self::File).then(groups);
        PROPERTIES.iter().map(|property| property.name).chain(groups.into_iter().flatten())
    }
}

/// Lets a name of the application's pass, and refuses one that must have been meant for us. `plain` is the name
/// in snake case, without prefix and dots.
///
/// What starts with `session` is ours. Other names are a near miss at two letters from ours: a letter left out,
/// doubled or swapped. Names shorter than six letters (`env`, `key`) allow one, because two would refuse `web`,
/// `net`, `dev`, `ext` or `url`, which applications use.
fn check_stranger(place: Place, name: &str, plain: &str) -> Result<(), Error> {
    let distance = |known: &&str| strsim::osa_distance(plain, &flat(known));
    let ours = plain.starts_with("session");
    let names = place.names().filter(|known| !ours || known.starts_with("session"));
    let Some(nearest) = names.min_by_key(distance) else { return Ok(()) };
    let allowed = if flat(nearest).len() < 6 { 1 } else { 2 };
    if !ours && distance(&nearest) > allowed {
        return Ok(());
    }
    let meant = place.spell(nearest);
    let group = groups().find(|group| plain.starts_with(&format!("{group}_")));
    let members =
        group.map_or(String::new(), |group| format!(" allowed are {}", members(place, group)));
    Err(Error::config(format!("{name} is not known; did you mean {meant}?{members}")))
}

/// The names that hold others, each once.
fn groups() -> impl Iterator<Item = &'static str> {
    let mut last = None;
    PROPERTIES.iter().filter_map(move |property| {
        let (group, _) = property.name.split_once('.')?;
        (last.replace(group) != Some(group)).then_some(group)
    })
}

/// What a group holds, as it is written in the place.
fn members(place: Place, group: &str) -> String {
    let members = PROPERTIES.iter().filter_map(|property| {
        let (of, member) = property.name.split_once('.')?;
        (of == group).then(|| match place {
            Place::File => camel_case(member),
            Place::Environment => place.spell(property.name),
        })
    });
    members.collect::<Vec<_>>().join(", ")
}

fn is_spelling(written: &str, known: &str) -> bool {
    written == known || written == camel_case(known)
}

fn flat(name: &str) -> String {
    name.replace('.', "_")
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (initial, rest) = word.split_at(word.len().min(1));
        name + &initial.to_ascii_uppercase() + rest
    })
}

/// Any spelling in lower snake case, for telling how far it is from ours: `sessionURL` is `session_url`.
fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    let mut after_lower = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && after_lower {
            snake.push('_');
        }
        after_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
        snake.push(if c == '-' { '_' } else { c.to_ascii_lowercase() });
    }
    snake
}
