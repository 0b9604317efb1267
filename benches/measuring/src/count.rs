//! Running this very program under valgrind, and reading what was counted.
//!
//! A program that is counted answers requests when it is run as `run WORDS REQUESTS`. It runs with few and with many,
//! and the difference is divided by the requests between them, so that neither the start nor the end counts.
//!
//! What `malloc` and `free` execute depends on how earlier blocks happen to lie in the heap, by hundreds of
//! instructions a request. So the allocator's own instructions are counted apart: the rest is the same in
//! every run, and the number of allocations stands beside it.

use crate::{files::Folder, places::by_place};
use std::{
    env, fs,
    ops::Sub,
    path::PathBuf,
    process::{self, Command},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Few and many requests; what lies between is counted.
pub(crate) const FEW: u64 = 200;
pub(crate) const MANY: u64 = 1_200;

/// What one request costs.
#[derive(Clone, Copy)]
pub struct Count {
    /// Instructions outside the allocator.
    pub instructions: i64,
    /// Instructions of the allocator, in this heap.
    pub in_allocator: i64,
    /// How many blocks are allocated.
    pub allocations: f64,
    /// How large they are together.
    pub bytes: i64,
}

impl Count {
    /// All instructions.
    #[must_use]
    pub fn all(self) -> i64 {
        self.instructions + self.in_allocator
    }
}

/// What one request costs above another.
impl Sub for Count {
    type Output = Self;

    fn sub(self, without: Self) -> Self {
        Self {
            instructions: self.instructions - without.instructions,
            in_allocator: self.in_allocator - without.in_allocator,
            allocations: self.allocations - without.allocations,
            bytes: self.bytes - without.bytes,
        }
    }
}

/// What decides which code runs: the processor, as far as programs under valgrind see it, and the compiler.
///
/// # Panics
///
/// Valgrind or the compiler cannot be run.
#[must_use]
pub fn platform() -> String {
    let features = valgrind(&["--tool=none"], &["features"]);
    let compiler = Command::new("rustc").arg("--version").output();
    let compiler = compiler.unwrap_or_else(|error| panic!("rustc cannot be run: {error}"));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
    let compiler = text(compiler.stdout);
    let version = compiler.split(' ').nth(1).unwrap_or_default();
    format!("{} rustc {version}", text(features.stdout))
}

/// What a request costs of those that `run WORDS` answers.
///
/// # Panics
///
/// Valgrind cannot be run, or the program fails.
#[must_use]
pub fn request(words: &[&str]) -> Count {
    let (few, many) = (instructions(words, FEW), instructions(words, MANY));
    let (blocks_of_few, bytes_of_few) = heap(words, FEW);
    let (blocks, bytes) = heap(words, MANY);
    let each = |few: u64, many: u64| ((many - few) / (MANY - FEW)).cast_signed();
    #[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^52 of them")]
    let allocations = (blocks - blocks_of_few) as f64 / (MANY - FEW) as f64;
    Count {
        instructions: each(few.own, many.own),
        in_allocator: each(few.allocator, many.allocator),
        allocations,
        bytes: each(bytes_of_few, bytes),
    }
}

/// What a request costs of each, in their order. They are counted beside each other, as many as the machine has cores:
/// a count does not depend on what runs besides.
///
/// # Panics
///
/// As [`request`].
#[must_use]
pub fn requests(words: &[Vec<&str>]) -> Vec<Count> {
    beside_each_other(words, |words| request(words))
}

/// What a request costs above another, for each of these pairs.
///
/// # Panics
///
/// As [`request`].
#[must_use]
pub fn overheads(pairs: &[[Vec<&str>; 2]]) -> Vec<Count> {
    requests(pairs.as_flattened()).chunks(2).map(|pair| pair[0] - pair[1]).collect()
}

/// Does this for each, beside each other, and gives the results in their order.
pub(crate) fn beside_each_other<T: Sync, R: Send + Sync>(
    all: &[T],
    count: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let counts: Vec<OnceLock<R>> = all.iter().map(|_| OnceLock::new()).collect();
    let count_some = || {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let (Some(one), Some(counted)) = (all.get(place), counts.get(place)) else { return };
            counted.get_or_init(|| count(one));
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(count_some);
        }
    });
    counts.into_iter().map(|count| count.into_inner().expect("each was counted")).collect()
}

#[derive(Default)]
struct Instructions {
    own: u64,
    allocator: u64,
}

fn instructions(words: &[&str], requests: u64) -> Instructions {
    let counted = sum(&callgrind(words, requests));
    assert!(counted.allocator > 0, "the allocator's functions were found");
    counted
}

/// What callgrind writes about this many requests.
pub(crate) fn callgrind(words: &[&str], requests: u64) -> String {
    let folder = Folder::new().expect("a folder can be made");
    let file = folder.path().join("counted");
    let output = format!("--callgrind-out-file={}", file.display());
    valgrind(&["--tool=callgrind", &output], &run(words, &requests.to_string()));
    fs::read_to_string(file).expect("valgrind wrote its file")
}

fn run<'a>(words: &[&'a str], requests: &'a str) -> Vec<&'a str> {
    ["run"].into_iter().chain(words.iter().copied()).chain([requests]).collect()
}

/// Sums what a callgrind file says of the functions themselves.
fn sum(text: &str) -> Instructions {
    let mut counted = Instructions::default();
    for (place, cost) in by_place(text) {
        let sum = if place.is_allocator { &mut counted.allocator } else { &mut counted.own };
        *sum += cost;
    }
    counted
}

pub(crate) fn is_allocator(function: &str) -> bool {
    let starts = ["malloc", "free", "calloc", "realloc", "_int_", "unlink_chunk", "sysmalloc"];
    let more = ["systrim", "tcache_", "sbrk", "brk", "__default_morecore", "__glibc_morecore"];
    starts.iter().chain(&more).any(|start| function.starts_with(start))
}

/// How many blocks were allocated, and how many bytes in all.
fn heap(words: &[&str], requests: u64) -> (u64, u64) {
    let tool = ["--tool=dhat", "--dhat-out-file=/dev/null"];
    let output = valgrind(&tool, &run(words, &requests.to_string()));
    let report = String::from_utf8_lossy(&output.stderr).into_owned();
    // `Total: 1,024 bytes in 3 blocks`
    let line = report.lines().find_map(|line| line.split_once("Total:")).map(|(_, line)| line);
    let words = line.unwrap_or_default().split_whitespace().map(|word| word.replace(',', ""));
    let numbers: Vec<u64> = words.filter_map(|word| word.parse().ok()).collect();
    match numbers[..] {
        [bytes, blocks, ..] => (blocks, bytes),
        _ => panic!("valgrind's report has no total:\n{report}"),
    }
}

fn valgrind(tool: &[&str], arguments: &[&str]) -> process::Output {
    let own: PathBuf = env::current_exe().expect("this program has a path");
    let mut command = Command::new("valgrind");
    let ran = command.args(tool).arg(own).args(arguments).output();
    let ran = ran.unwrap_or_else(|error| panic!("valgrind cannot be run: {error}"));
    let report = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{arguments:?} failed:\n{report}");
    ran
}
