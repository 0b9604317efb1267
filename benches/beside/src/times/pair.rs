//! A library and its framework alone: processes that take turns.

use crate::{
    libraries::{Asked, Library},
    run::Result,
};
use applications::asked::Case;
use measuring::{Side, Spread, median, process::Process};
use std::{
    env,
    error::Error,
    fs,
    io::{BufRead, stdin},
    process::Command,
    sync::{Arc, Barrier},
    thread,
    time::Instant,
};

/// How many requests each thread answers in a turn.
const REQUESTS: u32 = 2_000;

/// Answers lines `CASE REQUESTS THREADS` with the nanoseconds that these requests of each thread took together, and `memory`
/// with what the process has in memory.
pub(crate) fn serve(library: Library, side: Side, count: usize) -> Result<()> {
    let empty = resident()?;
    let asked = actix_web::rt::System::new().block_on(Asked::new(library, side, count));
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
pub(super) struct Pair {
    with: Process,
    without: Process,
}

/// What a request takes, in nanoseconds.
#[derive(Clone, Copy)]
struct Turn {
    with: f64,
    without: f64,
}

impl Pair {
    /// Starts both, and waits until there are so many sessions.
    pub(super) fn start(library: Library, sessions: usize) -> Result<Self> {
        let start = |which: Side| {
            let own = env::current_exe()?;
            let words = ["serve", library.word(), which.word(), &sessions.to_string()];
            Process::start(Command::new(own).args(words))
        };
        Ok(Self { with: start(Side::With)?, without: start(Side::Without)? })
    }

    /// Lets both answer so many requests on each thread.
    fn turn(&mut self, case: Case, requests: u32, threads: u32) -> Result<Turn> {
        let question = format!("{} {requests} {threads}", case.word());
        let ask = |process: &mut Process| {
            let nanos: f64 = process.ask(&question)?.parse()?;
            Ok::<_, Box<dyn Error>>(nanos / f64::from(requests))
        };
        let (without, with) = (ask(&mut self.without)?, ask(&mut self.with)?);
        Ok(Turn { with, without })
    }

    /// What the sessions take, in bytes.
    pub(super) fn memory(&mut self) -> Result<u64> {
        Ok(self.with.ask("memory")?.parse()?)
    }
}

/// The turns of one library, on one thread and on two.
#[derive(Clone, Default)]
pub(super) struct Turns {
    one: Vec<Turn>,
    two: Vec<Turn>,
}

impl Turns {
    /// What the library takes, in nanoseconds.
    pub(super) fn overhead(&self) -> Spread {
        Spread::of(self.one.iter().map(|turn| turn.with - turn.without))
    }

    /// What the framework takes without the library.
    pub(super) fn alone(&self) -> f64 {
        median(self.one.iter().map(|turn| turn.without))
    }

    /// How many times the requests of one thread two answer.
    pub(super) fn gain(&self) -> Spread {
        Spread::of(self.one.iter().zip(&self.two).map(|(one, two)| 2.0 * one.with / two.with))
    }
}

/// Lets all take their turns.
pub(super) fn take_turns(
    pairs: &mut [(Library, Pair)],
    case: Case,
    turns: usize,
) -> Result<Vec<Turns>> {
    let mut taken = vec![Turns::default(); pairs.len()];
    for turn in 0..=turns {
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
