//! Sessions in a database, beside those of tower-sessions with its store: time and statements per request.
//!
//! Each library runs in a process of its own, on a database of its own: files in one folder, with the same journal mode
//! and the same `synchronous`, or databases of one server that waits for the disk at every commit. They take turns, some
//! hundred requests each, so that whatever else the machine does meets all; a ratio is the median of the turns' ratios.
//!
//! ```text
//! databases [TURNS] [FOLDER] [DATABASE…]   the table; 15 turns in the folder for temporary files, of all databases:
//!                                          sqlite-full sqlite-normal postgres mariadb
//! databases ours LARGEST_BATCH DATABASE SYNCHRONOUS timed|counted    what the above runs
//! databases bare DATABASE SYNCHRONOUS timed|counted                  and this
//! ```

mod asked;
mod bare;
mod ours;

use asked::Asked;
use measuring::median;
use servers::{Database, Engine, Server};
use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

/// What this library does if nothing else is said.
const LARGEST_BATCH: &str = "128";

const PEER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peer");

/// A row of the table: what is asked, how often, and how many at a time.
struct Case {
    title: &'static str,
    path: &'static str,
    in_flight: usize,
    requests: u32,
}

const CASES: [Case; 9] = [
    Case { title: "read one key", path: "read", in_flight: 1, requests: 1_000 },
    Case { title: "read and write", path: "write", in_flight: 1, requests: 400 },
    Case { title: "new session", path: "new", in_flight: 1, requests: 400 },
    Case { title: "read one key", path: "read", in_flight: 32, requests: 3_200 },
    Case { title: "read and write", path: "write", in_flight: 32, requests: 960 },
    Case { title: "new session", path: "new", in_flight: 32, requests: 960 },
    Case { title: "read one key", path: "read", in_flight: 256, requests: 5_120 },
    Case { title: "read and write", path: "write", in_flight: 256, requests: 2_560 },
    Case { title: "new session", path: "new", in_flight: 256, requests: 2_560 },
];

/// Who is compared: this library, the same with every call by itself, the other one, and the client alone.
const WHO: usize = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match &*arguments {
        [first, rest @ ..] if first == "ours" => return ours::run(rest),
        [first, rest @ ..] if first == "bare" => return bare::run(rest),
        _ => {}
    }
    let turns = arguments.first().map_or(Ok(15), |turns| turns.parse())?;
    let folder = arguments.get(1).map_or_else(env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("databases-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let asked = arguments.get(2..).filter(|asked| !asked.is_empty());
    let compared = match asked {
        Some(databases) => databases.iter().map(String::as_str).collect(),
        None => DATABASES.to_vec(),
    };
    let compared = compare(&folder, turns, &compared);
    fs::remove_dir_all(&folder)?;
    compared
}

/// What is compared if nothing else is said.
const DATABASES: [&str; 4] = ["sqlite-full", "sqlite-normal", "postgres", "mariadb"];

/// Where the processes keep their sessions.
enum Place {
    /// In files, with this `synchronous`.
    Files(PathBuf, &'static str),
    /// In databases of a server that waits for the disk at every commit.
    Server(Server),
}

impl Place {
    fn new(database: &str, folder: &Path) -> Result<Self, Box<dyn Error>> {
        let server = |engine| Server::start_durable(engine).ok_or("the server is not installed");
        Ok(match database {
            "sqlite-full" => Self::Files(folder.to_owned(), "full"),
            "sqlite-normal" => Self::Files(folder.to_owned(), "normal"),
            "postgres" => Self::Server(server(Engine::Postgres)?),
            "mariadb" => Self::Server(server(Engine::MariaDb)?),
            _ => {
                return Err(format!("no such database: {database}; there are {DATABASES:?}").into());
            }
        })
    }

    /// A process on a database of its own, and what that lives in.
    fn start(
        &self,
        program: &Path,
        arguments: &[&str],
        how: &str,
    ) -> Result<(Asked, Option<Database>), Box<dyn Error>> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        match self {
            Self::Files(folder, synchronous) => {
                let number = NEXT.fetch_add(1, Ordering::Relaxed);
                let file = folder.join(format!("{number}.db")).display().to_string();
                Ok((Asked::start(program, arguments, &file, synchronous, how)?, None))
            }
            Self::Server(server) => {
                let database = server.database();
                let process = Asked::start(program, arguments, &database.url(), "full", how)?;
                Ok((process, Some(database)))
            }
        }
    }

    /// All that are compared.
    fn start_all(&self, peer: &Path, how: &str) -> Result<Compared, Box<dyn Error>> {
        let myself = env::current_exe()?;
        Ok([
            self.start(&myself, &["ours", LARGEST_BATCH], how)?,
            self.start(&myself, &["ours", "1"], how)?,
            self.start(peer, &[], how)?,
            self.start(&myself, &["bare"], how)?,
        ])
    }
}

type Compared = [(Asked, Option<Database>); WHO];

fn compare(folder: &Path, turns: usize, databases: &[&str]) -> Result<(), Box<dyn Error>> {
    let peer = build_peer()?;
    println!(
        "| database | request | in flight | ours | without batches | tower-sessions | bare statements | ratio | to bare | statements |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    for database in databases {
        let place = Place::new(database, folder)?;
        let counted = count(&mut place.start_all(&peer, "counted")?)?;
        let mut processes = place.start_all(&peer, "timed")?;
        for (case, statements) in CASES.iter().zip(counted) {
            let times = take_turns(case, turns, &mut processes)?;
            print(case, database, &times, statements);
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

/// Statements per request of each case, by all.
fn count(processes: &mut Compared) -> Result<Vec<[f64; WHO]>, Box<dyn Error>> {
    let mut counted = Vec::new();
    for Case { path, in_flight, .. } in &CASES {
        let mut statements = [0.0; WHO];
        for ((process, _), statements) in processes.iter_mut().zip(&mut statements) {
            // The first time may prepare something.
            process.ask(path, *in_flight, 10)?;
            *statements = process.ask(path, *in_flight, 512)?.statements;
        }
        counted.push(statements);
    }
    Ok(counted)
}

/// Nanoseconds per request of all, turn by turn.
fn take_turns(
    case: &Case,
    turns: usize,
    processes: &mut Compared,
) -> Result<Vec<[f64; WHO]>, Box<dyn Error>> {
    let Case { path, in_flight, requests, .. } = *case;
    let mut times = Vec::new();
    for turn in 0..=turns {
        let mut nanos = [0.0; WHO];
        for place in 0..WHO {
            // Nobody is always the first.
            let who = (turn + place) % WHO;
            nanos[who] = processes[who].0.ask(path, in_flight, requests)?.nanos;
        }
        times.push(nanos);
    }
    // The first turn warms up.
    times.remove(0);
    Ok(times)
}

fn print(case: &Case, database: &str, times: &[[f64; WHO]], statements: [f64; WHO]) {
    let micros = |who: usize| median(times.iter().map(|turn| turn[who])) / 1_000.0;
    let [ours, alone, theirs, bare] = [0, 1, 2, 3].map(micros);
    let ratio = median(times.iter().map(|[ours, _, theirs, _]| theirs / ours));
    let to_bare = median(times.iter().map(|[ours, _, _, bare]| bare / ours));
    let Case { title, in_flight, .. } = case;
    let [batched, single, others, _] = statements;
    println!(
        "| {database} | {title} | {in_flight} | {ours:.0} µs | {alone:.0} µs | {theirs:.0} µs | {bare:.0} µs | {ratio:.2} | {to_bare:.2} \
         | {batched:.2} : {single:.2} : {others:.2} |"
    );
}
