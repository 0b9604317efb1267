//! The parts `growth` and `payload`: the same requests, while something grows step by step.

use crate::{
    field::{Field, How, Turns, Who},
    place::{Kind, Place},
    run::Run,
};
use course::{Case, Measured, Order, Requests};
use measuring::{
    Spread,
    effort::Effort,
    plot::{Panel, Series, short},
};
use std::{error::Error, fmt::Write};

/// How often all take their turn.
const TURNS: usize = 3;

/// Who takes part, in the order of the columns.
const ALL: [Who; 3] = [Who::Ours, Who::TowerSessions, Who::Bare];

const IN_FLIGHT: usize = 32;

/// What is asked for, and how often.
const REQUESTS: [(Case, usize); 3] = [(Case::Read, 1_600), (Case::Write, 640), (Case::New, 640)];

/// What grows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Growing {
    /// The table, by sessions that nobody asks for.
    Table,
    /// The sessions that requests use.
    Payload,
}

impl Growing {
    /// How large it is, step by step.
    fn steps(self, effort: Effort) -> &'static [usize] {
        match (self, effort) {
            (Self::Table, Effort::Quick) => &[1_000, 10_000],
            (Self::Table, Effort::Usual) => &[10_000, 100_000, 1_000_000],
            (Self::Table, Effort::Full) => &[10_000, 100_000, 1_000_000, 10_000_000],
            (Self::Payload, Effort::Quick) => &[100, 65_000],
            (Self::Payload, _) => &[100, 1_000, 8_000, 65_000],
        }
    }

    /// Rows in the table besides those that are used, at first.
    fn rows(self) -> usize {
        match self {
            Self::Table => 1,
            Self::Payload => 100_000,
        }
    }

    fn order(self, step: usize) -> Result<Order, Box<dyn Error>> {
        Ok(match self {
            Self::Table => Order::Grow(step.try_into()?),
            Self::Payload => Order::Size(step),
        })
    }

    /// The column of steps, the name of the plot, and its title.
    fn titles(self) -> [&'static str; 3] {
        match self {
            Self::Table => {
                ["sessions", "growth", "Microseconds of a request by sessions in the table"]
            }
            Self::Payload => {
                ["bytes", "payload", "Microseconds of a request by bytes of its session"]
            }
        }
    }

    fn explained(self) -> &'static str {
        match self {
            Self::Table => {
                "Requests use 1,000 sessions; the others are rows of 300 bytes that the database has made itself, under keys \
                 among theirs. SQLite has 2 MB of the table in memory and servers 128 MB, if they are given nothing else."
            }
            Self::Payload => {
                "Requests use 1,000 sessions of so many bytes of JSON, among 100,000 of 300 bytes. They end below 64 KiB, \
                 since tower-sessions' column in MariaDB does."
            }
        }
    }
}

/// What was measured at one step.
struct Step {
    size: usize,
    /// How long each took to get there.
    prepared: Vec<Measured>,
    turns: Vec<(Case, Turns)>,
}

pub(crate) fn measure(run: &Run, growing: Growing) -> Result<String, Box<dyn Error>> {
    let [column, name, title] = growing.titles();
    let mut table = format!(
        "| database | request | {column} | ours | tower-sessions | bare statements | ratio | to bare |\n\
         |---|---|---:|---:|---:|---:|---:|---:|\n"
    );
    let mut filled = format!(
        "\nSeconds in which the rows were made:\n\n| database | {column} | ours | tower-sessions | bare statements |\n\
         |---|---:|---:|---:|---:|\n"
    );
    let mut panels = Vec::new();
    let taken = |place: &Place| Ok((place.kind, take_steps(run, growing, place)?));
    let (on, measured) = run.on_each(Kind::is_durable, taken)?;
    for (kind, steps) in &measured {
        for (case, _) in REQUESTS {
            panels.push(panel(*kind, case, steps));
            steps.iter().try_for_each(|step| write_row(&mut table, *kind, case, step))?;
        }
        steps.iter().try_for_each(|step| write_filled(&mut filled, *kind, step))?;
    }
    let plot = run.draw(name, title, 3, &panels)?;
    let filled = if growing == Growing::Table { &*filled } else { "" };
    let (turns, explained) = (run.effort.turns(TURNS), growing.explained());
    let range = Spread::explained(turns);
    Ok(format!(
        "{on} Microseconds of a request with {IN_FLIGHT} in flight, medians of {turns} turns. The ratio is how many times as long \
         the others take. {range} {explained}\n\n{table}{filled}{plot}"
    ))
}

fn take_steps(run: &Run, growing: Growing, place: &Place) -> Result<Vec<Step>, Box<dyn Error>> {
    let mut field = Field::start(&ALL, place, &run.peer, How::Timed, growing.rows())?;
    let mut steps = Vec::new();
    for size in growing.steps(run.effort).iter().copied() {
        eprintln!("    {size} {} ...", growing.titles()[0]);
        let prepared = field.order(growing.order(size)?)?;
        field.settle(place);
        let mut turns = Vec::new();
        for (case, count) in REQUESTS {
            let count = run.effort.of(count);
            let requests = Requests { case, in_flight: IN_FLIGHT, count, shared: 0 };
            turns.push((case, field.take_turns(requests, run.effort.turns(TURNS))?));
        }
        steps.push(Step { size, prepared, turns });
    }
    Ok(steps)
}

impl Step {
    fn of(&self, case: Case) -> &Turns {
        let found = self.turns.iter().find(|(one, _)| *one == case);
        &found.expect("every case was measured").1
    }
}

fn write_row(
    table: &mut String,
    kind: Kind,
    case: Case,
    step: &Step,
) -> Result<(), Box<dyn Error>> {
    let turns = step.of(case);
    let [ours, theirs, bare] = ALL.map(|who| turns.micros(who));
    let [ratio, to_bare] = [Who::TowerSessions, Who::Bare].map(|who| turns.to_ours(who).cell(2));
    let (kind, case, size) = (kind.word(), case.title(), step.size);
    writeln!(
        table,
        "| {kind} | {case} | {size} | {ours:.0} µs | {theirs:.0} µs | {bare:.0} µs | {ratio} | {to_bare} |"
    )?;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^52 nanoseconds")]
fn write_filled(filled: &mut String, kind: Kind, step: &Step) -> Result<(), Box<dyn Error>> {
    write!(filled, "| {} | {} |", kind.word(), step.size)?;
    for measured in &step.prepared {
        write!(filled, " {:.1} |", measured.nanos as f64 / 1e9)?;
    }
    filled.push('\n');
    Ok(())
}

fn panel(kind: Kind, case: Case, steps: &[Step]) -> Panel {
    let values = |who| steps.iter().map(|step| Some(step.of(case).micros(who))).collect();
    let series = ALL.map(|who| Series::new(who.title(), values(who)));
    let sizes = steps.iter().map(|step| short(step.size)).collect();
    Panel::new(&format!("{}: {}", kind.word(), case.title()), sizes, series.into())
}
