//! The part `conflicts`: none, some or all requests raise a number in one and the same session.

use crate::{
    field::{Field, Turns, Who},
    place::{Kind, Place},
    run::Run,
};
use course::{Case, Measured, Order, Requests};
use measuring::{
    Spread,
    plot::{Panel, Series},
};
use std::{error::Error, fmt::Write};

/// How often all take their turn.
const TURNS: usize = 3;

/// Who takes part, in the order of the columns.
const ALL: [Who; 3] = [Who::Ours, Who::TowerSessions, Who::Bare];

/// How many of a hundred requests are of one session.
const SHARES: [usize; 4] = [0, 25, 50, 100];

const IN_FLIGHT: usize = 32;
const COUNT: usize = 640;

/// Rows in the table besides those that are used.
const OTHERS: usize = 100_000;

pub(crate) fn measure(run: &Run) -> Result<String, Box<dyn Error>> {
    let mut table = String::from(
        "| database | of one session | ours | tower-sessions | bare statements | rounds lost | numbers lost | refused |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    let mut panels = Vec::new();
    let (on, parts) = run.on_each(Kind::is_durable, |place| measure_on(run, place))?;
    for (rows, panel) in parts {
        table.push_str(&rows);
        panels.push(panel);
    }
    let title = "Requests a second, by how many of a hundred are of one session";
    let plot = run.draw("conflicts", title, 3, &panels)?;
    let turns = run.effort.turns(TURNS);
    let range = Spread::explained(turns);
    Ok(format!(
        "{on} Requests a second with {IN_FLIGHT} in flight, medians of {turns} turns. {range} Each raises a number in its session, by \
         `increment` where there is such a verb. Of a hundred requests: how often ours found that another one had come first and \
         went round again; how many numbers are not in the session though the answer said so, and how many requests were \
         answered with an error (ours : tower-sessions : bare statements).\n\n{table}{plot}"
    ))
}

/// The rows of one database, and its panel of the plot.
fn measure_on(run: &Run, place: &Place) -> Result<(String, Panel), Box<dyn Error>> {
    let [mut counted, mut timed] = Field::counted_and_timed(&ALL, place, &run.peer, OTHERS)?;
    let (mut rows, mut taken) = (String::new(), Vec::new());
    for shared in SHARES {
        let count = run.effort.of(COUNT).max(100);
        let requests = Requests { case: Case::Count, in_flight: IN_FLIGHT, count, shared };
        let losses = counted.order(Order::Ask(requests))?;
        let turns = timed.take_turns(requests, run.effort.turns(TURNS))?;
        write_row(&mut rows, place, requests, &turns, &losses)?;
        taken.push(turns);
    }
    Ok((rows, panel(place, &taken)))
}

fn write_row(
    table: &mut String,
    place: &Place,
    requests: Requests,
    turns: &Turns,
    losses: &[Measured],
) -> Result<(), Box<dyn Error>> {
    #[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^52")]
    let of_hundred = |number: i64| format!("{:.1}", 100.0 * number as f64 / requests.count as f64);
    let all = |number: fn(&Measured) -> i64| {
        let numbers = losses.iter().map(|measured| of_hundred(number(measured)));
        numbers.collect::<Vec<_>>().join(" : ")
    };
    let [ours, theirs, bare] = ALL.map(|who| turns.a_second(who).cell(0));
    let rounds = of_hundred(losses[0].rounds.cast_signed());
    let (lost, refused) = (all(|one| one.lost), all(|one| one.refused.cast_signed()));
    writeln!(
        table,
        "| {} | {} % | {ours} | {theirs} | {bare} | {rounds} | {lost} | {refused} |",
        place.kind.word(),
        requests.shared
    )?;
    Ok(())
}

fn panel(place: &Place, rows: &[Turns]) -> Panel {
    let values = |who| rows.iter().map(|turns| Some(turns.a_second(who).middle)).collect();
    let series = ALL.map(|who| Series::new(who.title(), values(who)));
    let steps = SHARES.map(|share| format!("{share} %")).into();
    Panel::new(place.kind.word(), steps, series.into())
}
