//! Sessions in a database, beside those of tower-sessions with its store, and beside the client of the database alone.
//!
//! Each library runs in a process of its own, on a database of its own: files in one folder, with the same journal mode
//! and the same `synchronous`, or databases of one server that waits for the disk at every commit. They take turns, some
//! hundred requests each, so that whatever else the machine does meets all; a ratio is the median of the turns' ratios.
//!
//! ```text
//! databases PART quick|usual|full PLOTS [DATABASE…]    the tables of a part, and its plot in a folder, of all databases:
//!                                                      sqlite-full sqlite-normal postgres mariadb
//! databases ours LARGEST_BATCH DATABASE SYNCHRONOUS timed|counted ROWS    what the above runs
//! databases bare DATABASE SYNCHRONOUS timed|counted ROWS                  and this
//! ```
//!
//! The parts are `requests`, `growth`, `payload` and `conflicts`.

mod bare;
mod conflicts;
mod copies;
mod field;
mod ours;
mod place;
mod requests;
mod run;
mod steps;
mod watched;

use measuring::files::Folder;
use place::Kind;
use run::Run;
use std::{
    env,
    error::Error,
    path::{Path, PathBuf},
    process::Command,
};
use steps::Growing;

const PEER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peer");

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match &*arguments {
        [first, rest @ ..] if first == "ours" => ours::run(rest),
        [first, rest @ ..] if first == "bare" => bare::run(rest),
        [part, effort, plots, databases @ ..] => {
            let mut run = Run {
                effort: effort.parse()?,
                databases: databases.iter().map(|word| word.parse()).collect::<Result<_, _>>()?,
                peer: build_peer()?,
                folder: Folder::new()?,
                plots: plots.into(),
            };
            if run.databases.is_empty() {
                run.databases.extend(Kind::ALL);
            }
            let text = measure(part, &run)?;
            print!("{text}");
            Ok(())
        }
        _ => {
            Err("expected: requests|growth|payload|conflicts quick|usual|full PLOTS [DATABASE…]"
                .into())
        }
    }
}

fn measure(part: &str, run: &Run) -> Result<String, Box<dyn Error>> {
    match part {
        "requests" => requests::measure(run),
        "growth" => steps::measure(run, Growing::Table),
        "payload" => steps::measure(run, Growing::Payload),
        "conflicts" => conflicts::measure(run),
        _ => Err(format!("{part:?} is no part").into()),
    }
}

/// Builds what runs tower-sessions, beside this program.
fn build_peer() -> Result<PathBuf, Box<dyn Error>> {
    let own = env::current_exe()?;
    let target = own.ancestors().nth(2).ok_or("it is in a folder of cargo's")?.join("peer");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--release", "--locked", "--quiet", "--target-dir"])
        .arg(&target)
        .current_dir(Path::new(PEER))
        .status()?;
    if !built.success() {
        return Err("the peer cannot be built".into());
    }
    Ok(target.join("release/peer"))
}
