//! Times: of requests with a library and without it, in processes that take turns.

use crate::{
    counts::Sessions,
    libraries::{Asked, Framework, Library},
    results::Result,
};
use applications::asked::Case;
use measuring::{median, process::Process};
use std::{
    collections::BTreeMap,
    env,
    error::Error,
    fmt::Write,
    fs,
    io::{BufRead, stdin},
    process::Command,
    sync::{Arc, Barrier},
    thread,
    time::Instant,
};

/// Answers lines `CASE REQUESTS THREADS` with the nanoseconds that these requests of each thread took together, and `memory`
/// with what the process has in memory.
pub(crate) fn serve(library: Library, sessions: Sessions, count: usize) -> Result<()> {
    let empty = resident()?;
    let asked = actix_web::rt::System::new().block_on(sessions.of(library, count));
    let (asked, filled) = (Arc::new(asked), resident()?);
    println!("ready");
    for line in stdin().lock().lines() {
        match line?.split(' ').collect::<Vec<_>>()[..] {
            ["memory"] => println!("{}", filled - empty),
            [case, requests, threads] => {
                let (case, requests) = (case.parse()?, requests.parse()?);
                println!("{}", on_threads(&asked, case, requests, threads.parse()?));
            }
            _ => return Err("expected: CASE REQUESTS THREADS, or memory".into()),
        }
    }
    Ok(())
}

/// The time of the slowest thread: each answers so many requests.
fn on_threads(asked: &Arc<Asked>, case: Case, requests: usize, threads: usize) -> u128 {
    let together = Arc::new(Barrier::new(threads));
    let start = |thread: usize| {
        let (asked, together) = (asked.clone(), together.clone());
        thread::spawn(move || {
            actix_web::rt::System::new().block_on(async {
                let mut worker = asked.application.worker().await;
                together.wait();
                let begun = Instant::now();
                for number in 0..requests {
                    // No two threads ask for one session at the same time.
                    let cookies = asked.cookies(case, number * threads + thread);
                    worker.answer(case.path(), cookies).await;
                }
                begun.elapsed().as_nanos()
            })
        })
    };
    let running: Vec<_> = (0..threads).map(start).collect();
    let times = running.into_iter().map(|thread| thread.join().expect("requests are answered"));
    times.max().unwrap_or_default()
}

/// The memory of this process that is in use, in bytes.
fn resident() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()).ok_or("Linux says it")?;
    Ok(number.parse::<u64>()? * 1024)
}

/// A library and its framework alone, each in a process.
pub(crate) struct Pair {
    with: Process,
    without: Process,
}

/// What a request takes, in nanoseconds.
#[derive(Clone, Copy)]
pub(crate) struct Turn {
    pub(crate) with: f64,
    pub(crate) without: f64,
}

impl Turn {
    pub(crate) fn overhead(self) -> f64 {
        self.with - self.without
    }
}

impl Pair {
    /// Starts both, and waits until there are so many sessions.
    pub(crate) fn start(library: Library, sessions: usize) -> Result<Self> {
        let start = |which: &str| {
            let own = env::current_exe()?;
            let words = ["serve", library.word(), which, &sessions.to_string()];
            Process::start(Command::new(own).args(words))
        };
        Ok(Self { with: start("with")?, without: start("without")? })
    }

    /// Lets both answer so many requests on each thread.
    pub(crate) fn turn(&mut self, case: Case, requests: u32, threads: u32) -> Result<Turn> {
        let question = format!("{} {requests} {threads}", case.word());
        let ask = |process: &mut Process| {
            let nanos: f64 = process.ask(&question)?.parse()?;
            Ok::<_, Box<dyn Error>>(nanos / f64::from(requests))
        };
        let (without, with) = (ask(&mut self.without)?, ask(&mut self.with)?);
        Ok(Turn { with, without })
    }

    /// What the sessions take, in bytes.
    pub(crate) fn memory(&mut self) -> Result<u64> {
        Ok(self.with.ask("memory")?.parse()?)
    }
}

/// Sessions that there are when time is taken.
const SESSIONS: usize = 100_000;

/// How often both sides of a pair take their turn.
const TURNS: usize = 15;

/// The table of all libraries.
pub(crate) fn table() -> Result<String> {
    let mut text = String::from(
        "Nanoseconds above the bare framework, with 100,000 sessions: medians of 15 turns. Two threads: how many times the \
         requests of one thread two answer in the same time.\n\n\
         | request | library | on | overhead | to ours | two threads |\n|---|---|---|---:|---:|---:|\n",
    );
    let mut pairs = Vec::new();
    for library in Library::ALL {
        pairs.push((library, Pair::start(library, SESSIONS)?));
    }
    for case in Case::ALL {
        let taken = take_turns(&mut pairs, case)?;
        let mut ours: BTreeMap<(Framework, bool), f64> = BTreeMap::new();
        for ((library, _), turns) in pairs.iter().zip(taken) {
            let (framework, title) = (library.framework(), library.title());
            let (overhead, threads) = (turns.overhead(), turns.gain());
            let ours = ours.entry((framework, library.keeps_sessions())).or_insert(overhead);
            let ratio = if overhead > 0.0 && *ours > 0.0 {
                format!("{:.1}", overhead / *ours)
            } else {
                String::new()
            };
            let (case, framework) = (case.title(), framework.title());
            writeln!(
                text,
                "| {case} | {title} | {framework} | {overhead:.0} | {ratio} | {threads:.2} |"
            )?;
        }
    }
    Ok(text)
}

/// The turns of one library, on one thread and on two.
#[derive(Clone, Default)]
struct Turns {
    one: Vec<Turn>,
    two: Vec<Turn>,
}

impl Turns {
    fn overhead(&self) -> f64 {
        median(self.one.iter().map(|turn| turn.overhead()))
    }

    /// How many times the requests of one thread two answer.
    fn gain(&self) -> f64 {
        median(self.one.iter().zip(&self.two).map(|(one, two)| 2.0 * one.with / two.with))
    }
}

/// Lets all take their turns.
fn take_turns(pairs: &mut [(Library, Pair)], case: Case) -> Result<Vec<Turns>> {
    const REQUESTS: u32 = 2_000;
    let mut taken = vec![Turns::default(); pairs.len()];
    for turn in 0..=TURNS {
        for ((_, pair), turns) in pairs.iter_mut().zip(&mut taken) {
            let (one, two) = (pair.turn(case, REQUESTS, 1)?, pair.turn(case, REQUESTS, 2)?);
            // The first warms up.
            if turn > 0 {
                turns.one.push(one);
                turns.two.push(two);
            }
        }
    }
    Ok(taken)
}

/// The table of what a million sessions take.
pub(crate) fn memory_table() -> Result<String> {
    const MILLION: usize = 1_000_000;
    let mut text = String::from(
        "Resident memory that a million sessions of six values, 300 bytes in JSON, take; then the time of a request among them, \
         above the bare framework.\n\n\
         | library | bytes a session | read one key | read and write |\n|---|---:|---:|---:|\n",
    );
    let kept =
        |library: &Library| library.keeps_sessions() && library.framework() == Framework::Axum;
    for library in Library::ALL.into_iter().filter(kept) {
        let mut pair = Pair::start(library, MILLION)?;
        let bytes = pair.memory()? / MILLION as u64;
        let mut time = |case| {
            let turns: Result<Vec<Turn>> = (0..TURNS).map(|_| pair.turn(case, 2_000, 1)).collect();
            Ok::<_, Box<dyn Error>>(median(turns?.into_iter().map(Turn::overhead)))
        };
        let (read, write) = (time(Case::Read)?, time(Case::ReadAndWrite)?);
        writeln!(text, "| {} | {bytes} | {read:.0} ns | {write:.0} ns |", library.title())?;
    }
    Ok(text)
}
