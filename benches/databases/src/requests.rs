//! The part `requests`: one, 32 and 256 requests in flight.

use crate::{
    field::{Field, Turns, Who, per_request},
    place::{Kind, Place},
    run::Run,
};
use course::{Case, Order, Requests};
use measuring::{
    Spread,
    plot::{Panel, Series},
};
use std::{error::Error, fmt::Write};

/// How often all take their turn.
const TURNS: usize = 5;

/// Who takes part, in the order of the columns.
const ALL: [Who; 4] = [Who::Ours, Who::Single, Who::TowerSessions, Who::Bare];

/// Rows in the table besides those that are used.
const OTHERS: usize = 100_000;

/// What is asked for, how many at a time and how often.
const REQUESTS: [(Case, [(usize, usize); 3]); 3] = [
    (Case::Read, [(1, 1_000), (32, 3_200), (256, 5_120)]),
    (Case::Write, [(1, 400), (32, 960), (256, 1_024)]),
    (Case::New, [(1, 400), (32, 960), (256, 1_024)]),
];

/// What was measured on one database.
#[derive(Default)]
struct Part {
    table: String,
    waits: String,
    panels: Vec<Panel>,
}

pub(crate) fn measure(run: &Run) -> Result<String, Box<dyn Error>> {
    let mut table = String::from(
        "| database | request | in flight | ours | without batches | tower-sessions | bare statements | ratio | to bare | statements |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    let mut waits = String::from(
        "\nMicroseconds in which half of the requests are answered, and 99 of 100: medians of the turns.\n\n\
         | database | request | in flight | ours | without batches | tower-sessions | bare statements |\n\
         |---|---|---:|---:|---:|---:|---:|\n",
    );
    let mut panels = Vec::new();
    let (on, parts) = run.on_each(|_| true, |place| measure_on(run, place))?;
    for part in parts {
        table.push_str(&part.table);
        waits.push_str(&part.waits);
        panels.extend(part.panels);
    }
    let title = "Requests a second by requests in flight";
    let plot = run.draw("databases", title, 3, &panels)?;
    let turns = run.effort.turns(TURNS);
    let range = Spread::explained(turns);
    Ok(format!(
        "{on} Microseconds of a request, medians of {turns} turns, with {OTHERS} other sessions in the table. The ratio is how \
         many times as long tower-sessions takes, or the bare statements. {range} Statements per request: ours, without batches, \
         tower-sessions.\n\n{table}{waits}{plot}"
    ))
}

fn measure_on(run: &Run, place: &Place) -> Result<Part, Box<dyn Error>> {
    let [mut counted, mut timed] = Field::counted_and_timed(&ALL, place, &run.peer, OTHERS)?;
    let mut part = Part::default();
    for (case, asked) in REQUESTS {
        let mut rows = Vec::new();
        for (in_flight, count) in asked {
            let count = run.effort.of(count).max(in_flight);
            let requests = Requests { case, in_flight, count, shared: 0 };
            let statements = count_statements(&mut counted, requests)?;
            let turns = timed.take_turns(requests, run.effort.turns(TURNS))?;
            write_row(&mut part.table, place.kind, requests, &turns, &statements)?;
            if in_flight > 1 {
                write_waits(&mut part.waits, place.kind, requests, &turns)?;
            }
            rows.push((in_flight, turns));
        }
        part.panels.push(panel(place, case, &rows));
    }
    Ok(part)
}

fn count_statements(field: &mut Field, requests: Requests) -> Result<Vec<f64>, Box<dyn Error>> {
    // The first time may prepare something.
    let few = Requests { count: 10, ..requests };
    field.order(Order::Ask(few))?;
    let requests = Requests { count: 512, ..requests };
    let counted = field.order(Order::Ask(requests))?;
    Ok(counted.iter().map(|measured| per_request(measured.statements.into(), requests)).collect())
}

fn write_row(
    table: &mut String,
    kind: Kind,
    requests: Requests,
    turns: &Turns,
    statements: &[f64],
) -> Result<(), Box<dyn Error>> {
    let [ours, single, theirs, bare] = ALL.map(|who| turns.micros(who));
    let [ratio, to_bare] = [Who::TowerSessions, Who::Bare].map(|who| turns.to_ours(who).cell(2));
    let statements: Vec<String> =
        statements[..3].iter().map(|count| format!("{count:.2}")).collect();
    let (kind, case, in_flight) = (kind.word(), requests.case.title(), requests.in_flight);
    writeln!(
        table,
        "| {kind} | {case} | {in_flight} | {ours:.0} µs | {single:.0} µs | {theirs:.0} µs | {bare:.0} µs | {ratio} \
         | {to_bare} | {} |",
        statements.join(" : ")
    )?;
    Ok(())
}

/// How long single requests wait for their answer.
fn write_waits(
    waits: &mut String,
    kind: Kind,
    requests: Requests,
    turns: &Turns,
) -> Result<(), Box<dyn Error>> {
    let Requests { case, in_flight, .. } = requests;
    write!(waits, "| {} | {} | {in_flight} |", kind.word(), case.title())?;
    for [half, most] in ALL.map(|who| turns.waited(who)) {
        write!(waits, " {half:.0} / {most:.0} |")?;
    }
    waits.push('\n');
    Ok(())
}

fn panel(place: &Place, case: Case, rows: &[(usize, Turns)]) -> Panel {
    let values = |who| rows.iter().map(|(_, turns)| Some(turns.a_second(who).middle)).collect();
    let series = ALL.map(|who| Series::new(who.title(), values(who)));
    let steps = rows.iter().map(|(in_flight, _)| in_flight.to_string()).collect();
    Panel::new(&format!("{}: {}", place.kind.word(), case.title()), steps, series.into())
}
