//! What a request costs above its bare framework: instructions and allocations, counted by valgrind.
//!
//! Counts, unlike times, are the same on a busy machine.
//!
//! ```text
//! guard            count every case and print the table
//! guard check      the same, and fail where a count is more than 3 % above the recorded one
//! guard record     the same, and write the counts into figures.toml
//! guard profile CASE        what the instructions of a case are spent on, by function
//! guard areas      what requests are spent on, by what it is for
//! guard memory     what a million sessions take in the memory store; fails where it is too much
//! guard threads    how many sessions the memory store finds in a second, on one thread and on two
//! guard run CASE with|without REQUESTS   what the above run under valgrind, and what a profiler may be pointed at
//! ```

mod areas;
mod cases;
mod figures;
mod table;

use cases::{CASES, Case};
use measuring::{
    count::{self, Count},
    places,
};
use std::{env, error::Error, process::ExitCode};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [] => {
            print(&count_all());
            Ok(ExitCode::SUCCESS)
        }
        ["check"] => {
            let counted = count_all();
            print(&counted);
            figures::check(&counted)
        }
        ["record"] => {
            let counted = count_all();
            print(&counted);
            figures::record(&counted)?;
            Ok(ExitCode::SUCCESS)
        }
        ["profile", name] => {
            let [with, without] = name.parse::<Case>()?.words();
            let rows = places::profile(&with, &without);
            rows.iter()
                .filter(|(cost, _)| *cost >= 10)
                .for_each(|(cost, name)| println!("{cost:8} {name}"));
            Ok(ExitCode::SUCCESS)
        }
        ["areas"] => {
            let cases = areas::shown();
            let pairs: Vec<_> = cases.iter().map(|case| case.words()).collect();
            areas::print(&cases, &places::overheads(&pairs));
            Ok(ExitCode::SUCCESS)
        }
        ["memory"] => table::memory(),
        ["fill", kind] => {
            println!("{}", table::fill(kind.parse()?));
            Ok(ExitCode::SUCCESS)
        }
        ["threads"] => {
            table::threads();
            Ok(ExitCode::SUCCESS)
        }
        ["features"] => {
            println!("{}", figures::features());
            Ok(ExitCode::SUCCESS)
        }
        ["run", name, side, requests] => {
            cases::run(name.parse()?, side.parse()?, requests.parse()?);
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(
            "usage: guard [check | record | profile CASE | areas | memory | threads | run CASE with|without REQUESTS]"
                .into(),
        ),
    }
}

/// What a request of each case costs above the same request without sessions.
fn count_all() -> Vec<(Case, Count)> {
    CASES.into_iter().zip(count::overheads(&CASES.map(Case::words))).collect()
}

fn print(counted: &[(Case, Count)]) {
    println!(
        "| above the bare framework | instructions | to hold | in malloc | allocations | bytes |"
    );
    println!("|---|---:|---:|---:|---:|---:|");
    for (case, count) in counted {
        let Count { in_allocator, allocations, bytes, .. } = count;
        let all = count.all();
        let hold = case.hold.map_or_else(String::new, |hold| hold.to_string());
        let title = case.title;
        println!("| {title} | {all} | {hold} | {in_allocator} | {allocations:.1} | {bytes} |");
    }
}
