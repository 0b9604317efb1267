//! What a process on the course is told, and what it answers: a line each.

use std::{fmt, str::FromStr};

/// What a process on the course is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Let the table have so many rows besides those of the clients.
    Grow(i64),
    /// Give the clients new sessions, of so many bytes.
    Size(usize),
    /// Send requests.
    Ask(Requests),
}

/// Requests that are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Requests {
    /// What is asked for.
    pub case: Case,
    /// How many wait for an answer at the same time.
    pub in_flight: usize,
    /// How many there are.
    pub count: usize,
    /// How many of a hundred are of one and the same session. The others are of as many as there are.
    pub shared: usize,
}

/// What a request is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Case {
    /// One value is read.
    Read,
    /// A number is read, and the next stored.
    Write,
    /// A session is made.
    New,
    /// A number is raised, in the way that loses least.
    Count,
}

impl Case {
    const ALL: [Self; 4] = [Self::Read, Self::Write, Self::New, Self::Count];

    /// The path that is asked for.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Read => "/read",
            Self::Write => "/write",
            Self::New => "/new",
            Self::Count => "/count",
        }
    }

    /// What it is called in a table.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Read => "read one key",
            Self::Write => "read and write",
            Self::New => "new session",
            Self::Count => "raise a number",
        }
    }
}

/// What was measured while an order was carried out.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Measured {
    /// How long it took.
    pub nanos: u128,
    /// How long one request waited for its answer: half of them, and 99 of 100, no longer than this.
    pub half: u64,
    pub most: u64,
    /// Statements that sqlx told of.
    pub statements: u64,
    /// Writes that found that another one had come first, and were made again.
    pub rounds: u64,
    /// Requests that were answered as if their number was stored, which is not there.
    pub lost: i64,
    /// Requests that were answered with an error.
    pub refused: u64,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grow(rows) => write!(f, "grow {rows}"),
            Self::Size(bytes) => write!(f, "size {bytes}"),
            Self::Ask(Requests { case, in_flight, count, shared }) => {
                write!(f, "{} {in_flight} {count} {shared}", case.path())
            }
        }
    }
}

impl FromStr for Order {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let wrong = || format!("unexpected: {line}");
        let number = |word: &str| word.parse::<usize>().map_err(|_| wrong());
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["grow", rows] => Ok(Self::Grow(rows.parse().map_err(|_| wrong())?)),
            ["size", bytes] => Ok(Self::Size(number(bytes)?)),
            [path, in_flight, count, shared] => {
                let case = Case::ALL.into_iter().find(|case| case.path() == path);
                Ok(Self::Ask(Requests {
                    case: case.ok_or_else(wrong)?,
                    in_flight: number(in_flight)?,
                    count: number(count)?,
                    shared: number(shared)?,
                }))
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nanos, half, most, statements, rounds, lost, refused } = self;
        write!(f, "{nanos} {half} {most} {statements} {rounds} {lost} {refused}")
    }
}

impl FromStr for Measured {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let mut words = line.split(' ');
        let mut next =
            || words.next().ok_or_else(|| format!("an answer has seven numbers: {line}"));
        let wrong = |_| format!("no number: {line}");
        Ok(Self {
            nanos: next()?.parse().map_err(wrong)?,
            half: next()?.parse().map_err(wrong)?,
            most: next()?.parse().map_err(wrong)?,
            statements: next()?.parse().map_err(wrong)?,
            rounds: next()?.parse().map_err(wrong)?,
            lost: next()?.parse().map_err(wrong)?,
            refused: next()?.parse().map_err(wrong)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_survives_its_line() {
        let measured =
            Measured { nanos: 1, half: 2, most: 3, statements: 4, rounds: 5, lost: -6, refused: 7 };
        assert_eq!(measured.to_string().parse(), Ok(measured));
        assert!("1 2 3".parse::<Measured>().is_err());
    }

    #[test]
    fn an_order_survives_its_line() {
        let asked = Requests { case: Case::Write, in_flight: 32, count: 960, shared: 25 };
        for order in [Order::Grow(10_000), Order::Size(100), Order::Ask(asked)] {
            assert_eq!(order.to_string().parse(), Ok(order));
        }
        assert!("shrink 3".parse::<Order>().is_err());
    }
}
