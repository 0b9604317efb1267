//! Sessions in an SQLite database, beside those of tower-sessions with its store: time and statements per request.
//!
//! Each library runs in a process of its own, on a database of its own in one folder, with the same journal mode
//! and the same `synchronous`. The two take turns, some hundred requests each, so that whatever else the machine
//! does meets both; a ratio is the median of the turns' ratios.
//!
//! ```text
//! databases [TURNS] [FOLDER]            the table; 15 turns in the folder for temporary files
//! databases ours DATABASE SYNCHRONOUS timed|counted    what the above runs
//! ```

mod ours;
mod process;

use process::{Measured, Process};
use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const PEER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peer");

/// A row of the table: what is asked, how often, and how many at a time.
struct Case {
    title: &'static str,
    path: &'static str,
    in_flight: usize,
    requests: u32,
}

const CASES: [Case; 6] = [
    Case { title: "read one key", path: "read", in_flight: 1, requests: 1_000 },
    Case { title: "read and write", path: "write", in_flight: 1, requests: 400 },
    Case { title: "new session", path: "new", in_flight: 1, requests: 400 },
    Case { title: "read one key", path: "read", in_flight: 32, requests: 3_200 },
    Case { title: "read and write", path: "write", in_flight: 32, requests: 960 },
    Case { title: "new session", path: "new", in_flight: 32, requests: 960 },
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [first, rest @ ..] = &*arguments
        && first == "ours"
    {
        return ours::run(rest);
    }
    let turns = arguments.first().map_or(Ok(15), |turns| turns.parse())?;
    let folder = arguments.get(1).map_or_else(env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("databases-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let compared = compare(&folder, turns);
    fs::remove_dir_all(&folder)?;
    compared
}

fn compare(folder: &Path, turns: usize) -> Result<(), Box<dyn Error>> {
    let peer = build_peer()?;
    println!("| synchronous | request | in flight | ours | tower-sessions | ratio | statements |");
    println!("|---|---|---:|---:|---:|---:|---:|");
    for synchronous in ["full", "normal"] {
        let start = |how: &str| {
            let ours = Process::start(&env::current_exe()?, &["ours"], folder, synchronous, how)?;
            Ok::<_, Box<dyn Error>>((ours, Process::start(&peer, &[], folder, synchronous, how)?))
        };
        let counted = count(start("counted")?)?;
        let (mut ours, mut theirs) = start("timed")?;
        for (case, statements) in CASES.iter().zip(counted) {
            let times = take_turns(case, turns, &mut ours, &mut theirs)?;
            print(case, synchronous, &times, statements);
        }
    }
    Ok(())
}

fn build_peer() -> Result<PathBuf, Box<dyn Error>> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--release", "--locked", "--quiet", "--target-dir", "target"])
        .current_dir(PEER)
        .status()?;
    if !built.success() {
        return Err("the peer cannot be built".into());
    }
    Ok(Path::new(PEER).join("target/release/peer"))
}

/// Statements per request of each case, by both.
fn count((mut ours, mut theirs): (Process, Process)) -> Result<Vec<[f64; 2]>, Box<dyn Error>> {
    let mut counted = Vec::new();
    for Case { path, .. } in &CASES {
        // The first time may prepare something.
        ours.ask(path, 1, 10)?;
        theirs.ask(path, 1, 10)?;
        let [ours, theirs] = [ours.ask(path, 1, 100)?, theirs.ask(path, 1, 100)?];
        counted.push([ours.statements, theirs.statements]);
    }
    Ok(counted)
}

/// Nanoseconds per request of both, turn by turn.
fn take_turns(
    case: &Case,
    turns: usize,
    ours: &mut Process,
    theirs: &mut Process,
) -> Result<Vec<[f64; 2]>, Box<dyn Error>> {
    let Case { path, in_flight, requests, .. } = *case;
    let mut times = Vec::new();
    for turn in 0..=turns {
        let ask = |process: &mut Process| process.ask(path, in_flight, requests);
        // Nobody is always the first.
        let (one, other): (Measured, Measured);
        if turn % 2 == 0 {
            one = ask(ours)?;
            other = ask(theirs)?;
        } else {
            other = ask(theirs)?;
            one = ask(ours)?;
        }
        times.push([one.nanos, other.nanos]);
    }
    // The first turn warms up.
    times.remove(0);
    Ok(times)
}

fn print(case: &Case, synchronous: &str, times: &[[f64; 2]], statements: [f64; 2]) {
    let micros = |which: usize| median(times.iter().map(|turn| turn[which])) / 1_000.0;
    let (ours, theirs) = (micros(0), micros(1));
    let ratio = median(times.iter().map(|[ours, theirs]| theirs / ours));
    let Case { title, in_flight, .. } = case;
    let [fewer, more] = statements;
    println!(
        "| {synchronous} | {title} | {in_flight} | {ours:.0} µs | {theirs:.0} µs | {ratio:.2} | {fewer} : {more} |"
    );
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
