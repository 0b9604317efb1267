//! Times: of requests with a library and without it, on one thread and on two; and what sessions take in memory.

mod pair;

pub(crate) use pair::serve;

use crate::{
    libraries::{Framework, Library},
    run::{Result, Run, ratio, whole},
};
use applications::asked::Case;
use measuring::{
    Spread,
    plot::{Bar, Group},
};
use pair::{Pair, Turns, take_turns};
use std::{collections::BTreeMap, fmt::Write};

/// Sessions that there are when time is taken, and when memory is.
const SESSIONS: usize = 100_000;
const MANY: usize = 1_000_000;

/// How often both sides of a pair take their turn.
const TURNS: usize = 21;

/// What was measured of a library.
struct Row {
    library: Library,
    case: Case,
    turns: Turns,
}

/// The table of all libraries.
pub(crate) fn table(run: &Run) -> Result<String> {
    let sessions = run.effort.of(SESSIONS);
    let mut pairs = Vec::new();
    for library in Library::ALL {
        pairs.push((library, Pair::start(library, sessions)?));
    }
    let mut rows = Vec::new();
    for case in Case::ALL {
        let taken = take_turns(&mut pairs, case, run.effort.turns(TURNS))?;
        let of_all = Library::ALL.into_iter().zip(taken);
        rows.extend(of_all.map(|(library, turns)| Row { library, case, turns }));
    }
    let mut text = explained(run, sessions);
    write_rows(&mut text, &rows)?;
    for (framework, name) in [(Framework::Axum, "times-axum"), (Framework::Actix, "times-actix")] {
        let title = format!("Nanoseconds of a request above bare {}", framework.title());
        text.push_str(&run.draw(name, &title, &groups(&rows, framework))?);
    }
    Ok(text)
}

/// The tables of what many sessions take: memory, and time.
pub(crate) fn memory_table(run: &Run) -> Result<String> {
    let sessions = run.effort.of(MANY);
    let (mut rows, mut bars) = (Vec::new(), Vec::new());
    let mut text = format!(
        "Resident memory that {sessions} sessions of six values, 300 bytes in JSON, take. One library after the other.\n\n\
         | library | on | bytes a session |\n|---|---|---:|\n"
    );
    for library in Library::ALL.into_iter().filter(|library| library.keeps_sessions()) {
        let mut pairs = [(library, Pair::start(library, sessions)?)];
        let bytes = pairs[0].1.memory()? / sessions as u64;
        let (title, framework) = (library.title(), library.framework());
        writeln!(text, "| {title} | {} | {bytes} |", framework.title())?;
        if framework == Framework::Axum {
            bars.push(Bar::new(title, bytes.cast_signed()));
        }
        for case in Case::ALL {
            let turns = take_turns(&mut pairs, case, run.effort.turns(TURNS))?;
            rows.extend(turns.into_iter().map(|turns| Row { library, case, turns }));
        }
    }
    let title = "Bytes of memory that one of a million sessions takes";
    text.push_str(&run.draw("memory", title, &[Group::new("", bars)])?);
    rows.sort_by_key(|row| row.case);
    text.push('\n');
    text.push_str(&explained(run, sessions));
    write_rows(&mut text, &rows)?;
    Ok(text)
}

fn explained(run: &Run, sessions: usize) -> String {
    let turns = run.effort.turns(TURNS);
    format!(
        "Nanoseconds above the bare framework, with {sessions} sessions: medians of {turns} turns. {} Two threads: how \
         many times the requests of one thread two answer in the same time.\n\n\
         | request | library | on | it alone | overhead | to ours | two threads |\n|---|---|---|---:|---:|---:|---:|\n",
        Spread::explained(turns)
    )
}

/// Rows of which each first one of a case, of a kind and on a framework is ours.
fn write_rows(text: &mut String, rows: &[Row]) -> Result<()> {
    let mut ours: BTreeMap<(Case, Framework, bool), i64> = BTreeMap::new();
    for Row { library, case, turns } in rows {
        let (framework, title) = (library.framework(), library.title());
        let (alone, overhead, threads) = (turns.alone(), turns.overhead(), turns.gain());
        let kind = (*case, framework, library.keeps_sessions());
        let ours = *ours.entry(kind).or_insert(whole(overhead.middle));
        let ratio = ratio(whole(overhead.middle), ours);
        let (overhead, threads) = (overhead.cell(0), threads.cell(2));
        let (case, framework) = (case.title(), framework.title());
        writeln!(
            text,
            "| {case} | {title} | {framework} | {alone:.0} | {overhead} | {ratio} | {threads} |"
        )?;
    }
    Ok(())
}

/// A group of bars for each case.
fn groups(rows: &[Row], framework: Framework) -> Vec<Group> {
    let group = |case: Case| {
        let rows = rows.iter().filter(|row| row.case == case);
        let rows = rows.filter(|row| row.library.framework() == framework);
        let bar = |row: &Row| Bar::new(row.library.title(), whole(row.turns.overhead().middle));
        Group::new(case.title(), rows.map(bar).collect())
    };
    Case::ALL.into_iter().map(group).collect()
}

/// What requests take above the same without sessions, in nanoseconds.
pub(crate) fn overheads(run: &Run, library: Library) -> Result<BTreeMap<Case, Spread>> {
    let mut pairs = [(library, Pair::start(library, run.effort.of(SESSIONS))?)];
    let mut overhead = |case| {
        let turns = take_turns(&mut pairs, case, run.effort.turns(TURNS))?;
        Ok((case, turns[0].overhead()))
    };
    Case::ALL.into_iter().map(&mut overhead).collect()
}
