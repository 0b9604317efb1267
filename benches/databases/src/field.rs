//! Who is compared: processes on the course, each on a database of its own, which take turns.

use crate::place::Place;
use course::{Measured, Order, Requests};
use measuring::{Spread, median, process::Process};
use servers::Database;
use std::{env, error::Error, path::Path, process::Command, time::Duration};

/// Who takes part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Who {
    /// This library, as it is if nothing else is said.
    Ours,
    /// The same with every call by itself.
    Single,
    /// The other one.
    TowerSessions,
    /// The client of the database alone.
    Bare,
}

impl Who {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Ours => "dframework-session",
            Self::Single => "dframework-session without batches",
            Self::TowerSessions => "tower-sessions",
            Self::Bare => "bare statements",
        }
    }

    /// What runs it, but for what all are told.
    fn command(self, peer: &Path) -> Result<Command, Box<dyn Error>> {
        let words: &[&str] = match self {
            Self::Ours => &["ours", "128"],
            Self::Single => &["ours", "1"],
            Self::Bare => &["bare"],
            Self::TowerSessions => return Ok(Command::new(peer)),
        };
        let mut command = Command::new(env::current_exe()?);
        command.args(words);
        Ok(command)
    }
}

/// Whether statements and lost rounds are counted, which takes time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum How {
    Timed,
    Counted,
}

/// All that take part, started and ready.
pub(crate) struct Field(Vec<Runner>);

struct Runner {
    who: Who,
    process: Process,
    database: Option<Database>,
}

impl Field {
    /// Starts them, each on a table with so many rows besides those that it uses.
    pub(crate) fn start(
        who: &[Who],
        place: &Place,
        peer: &Path,
        how: How,
        rows: usize,
    ) -> Result<Self, Box<dyn Error>> {
        let start = |who: &Who| {
            let (address, database) = place.database();
            let how = if how == How::Counted { "counted" } else { "timed" };
            let mut command = who.command(peer)?;
            command.args([&*address, place.synchronous(), how, &*rows.to_string()]);
            Ok(Runner { who: *who, process: Process::start(&mut command)?, database })
        };
        who.iter().map(start).collect::<Result<_, _>>().map(Self)
    }

    /// Gives all the same order, one after the other.
    pub(crate) fn order(&mut self, order: Order) -> Result<Vec<Measured>, Box<dyn Error>> {
        self.0.iter_mut().map(|runner| runner.carry_out(order)).collect()
    }

    /// Lets the databases do what they would otherwise do later, while something else is measured.
    pub(crate) fn settle(&self, place: &Place) {
        self.0.iter().filter_map(|runner| runner.database.as_ref()).for_each(|database| {
            place.settle(database);
        });
    }

    /// Starts all twice: those whose statements and losses are counted, and those whose time is taken. Both have settled.
    pub(crate) fn counted_and_timed(
        who: &[Who],
        place: &Place,
        peer: &Path,
        rows: usize,
    ) -> Result<[Self; 2], Box<dyn Error>> {
        let start = |how| Self::start(who, place, peer, how, rows);
        let both = [start(How::Counted)?, start(How::Timed)?];
        for field in &both {
            field.settle(place);
        }
        Ok(both)
    }

    /// Lets all send these requests, turn by turn.
    pub(crate) fn take_turns(
        &mut self,
        requests: Requests,
        turns: usize,
    ) -> Result<Turns, Box<dyn Error>> {
        let mut taken = Vec::new();
        for turn in 0..=turns {
            let mut all = vec![Measured::default(); self.0.len()];
            for place in 0..self.0.len() {
                // Nobody is always the first.
                let place = (turn + place) % self.0.len();
                all[place] = self.0[place].carry_out(Order::Ask(requests))?;
            }
            taken.push(all);
        }
        // The first turn warms up.
        taken.remove(0);
        Ok(Turns { who: self.0.iter().map(|runner| runner.who).collect(), requests, taken })
    }
}

impl Runner {
    fn carry_out(&mut self, order: Order) -> Result<Measured, Box<dyn Error>> {
        let answer = self.process.ask(&order.to_string());
        let answer = answer.map_err(|error| format!("{}: {order}: {error}", self.who.title()))?;
        Ok(answer.parse()?)
    }
}

/// What was measured of all requests, for each of them.
#[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^52")]
pub(crate) fn per_request(sum: u128, requests: Requests) -> f64 {
    sum as f64 / requests.count as f64
}

/// What was measured of all, turn by turn.
pub(crate) struct Turns {
    who: Vec<Who>,
    requests: Requests,
    taken: Vec<Vec<Measured>>,
}

impl Turns {
    pub(crate) fn micros(&self, who: Who) -> f64 {
        median(self.of(who)) / 1_000.0
    }

    /// How many requests are answered in a second.
    pub(crate) fn a_second(&self, who: Who) -> Spread {
        Spread::of(self.of(who).map(|nanos| 1e9 / nanos))
    }

    /// How many times as long as this library it takes, turn by turn.
    pub(crate) fn to_ours(&self, who: Who) -> Spread {
        Spread::of(self.of(who).zip(self.of(Who::Ours)).map(|(theirs, ours)| theirs / ours))
    }

    /// In how many microseconds half of the requests were answered, and 99 of 100.
    pub(crate) fn waited(&self, who: Who) -> [f64; 2] {
        let micros = |nanos: u64| Duration::from_nanos(nanos).as_secs_f64() * 1e6;
        [|turn: Measured| turn.half, |turn: Measured| turn.most]
            .map(|of| median(self.measured(who).map(|turn| micros(of(turn)))))
    }

    /// Nanoseconds per request.
    fn of(&self, who: Who) -> impl Iterator<Item = f64> {
        self.measured(who).map(|measured| per_request(measured.nanos, self.requests))
    }

    fn measured(&self, who: Who) -> impl Iterator<Item = Measured> {
        let place = self.who.iter().position(|one| *one == who).expect("it takes part");
        self.taken.iter().map(move |turn| turn[place])
    }
}
