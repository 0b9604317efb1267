//! Running this very binary under valgrind, and reading what it counted.
//!
//! What `malloc` and `free` execute depends on how earlier blocks happen to lie in the heap, by thousands of
//! instructions a request. So the allocator's own instructions are counted apart: the rest is the same in
//! every run, and the number of allocations stands beside it.

use crate::cases::Case;
use std::{
    collections::HashMap,
    env, fs,
    path::{Path, PathBuf},
    process::{self, Command},
};

/// Few and many requests; what lies between is counted.
const FEW: u64 = 200;
const MANY: u64 = 1_200;

/// What one request costs.
#[derive(Clone, Copy)]
pub(crate) struct Count {
    /// Instructions outside the allocator.
    pub(crate) instructions: i64,
    /// Instructions of the allocator, in this heap.
    pub(crate) in_allocator: i64,
    pub(crate) allocations: f64,
    pub(crate) bytes: i64,
}

/// What a request of this case costs above the same request without sessions.
pub(crate) fn overhead(case: Case) -> Count {
    let (with, without) = (request(case.name), request(case.bare));
    Count {
        instructions: with.instructions - without.instructions,
        in_allocator: with.in_allocator - without.in_allocator,
        allocations: with.allocations - without.allocations,
        bytes: with.bytes - without.bytes,
    }
}

/// What decides which code runs: the processor, as far as programs under valgrind see it, and the compiler.
pub(crate) fn platform() -> String {
    let features = valgrind(&["--tool=none"], &["features"]);
    let compiler = Command::new("rustc").arg("--version").output();
    let compiler = compiler.unwrap_or_else(|error| panic!("rustc cannot be run: {error}"));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
    let compiler = text(compiler.stdout);
    let version = compiler.split(' ').nth(1).unwrap_or_default();
    format!("{} rustc {version}", text(features.stdout))
}

fn request(name: &str) -> Count {
    let (few, many) = (instructions(name, FEW), instructions(name, MANY));
    let (blocks_of_few, bytes_of_few) = heap(name, FEW);
    let (blocks, bytes) = heap(name, MANY);
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

#[derive(Default)]
struct Instructions {
    own: u64,
    allocator: u64,
}

fn instructions(name: &str, requests: u64) -> Instructions {
    let file = env::temp_dir().join(format!("guard-{}-{name}-{requests}", process::id()));
    let output = format!("--callgrind-out-file={}", file.display());
    valgrind(&["--tool=callgrind", &output], &["run", name, &requests.to_string()]);
    let counted = sum(&read_and_remove(&file));
    assert!(counted.allocator > 0, "the allocator's functions were found");
    counted
}

fn read_and_remove(file: &Path) -> String {
    let text = fs::read_to_string(file).expect("valgrind wrote its file");
    fs::remove_file(file).expect("valgrind's file can be removed");
    text
}

/// Sums the lines of a callgrind file that are a function's own. The line behind `calls=` is its callee's.
fn sum(text: &str) -> Instructions {
    let mut names: HashMap<&str, bool> = HashMap::new();
    let mut counted = Instructions::default();
    let (mut in_allocator, mut is_call) = (false, false);
    for line in text.lines() {
        if let Some(function) = line.strip_prefix("fn=") {
            in_allocator = is_allocator(&mut names, function);
        } else if let Some(function) = line.strip_prefix("cfn=") {
            is_allocator(&mut names, function);
        } else if line.starts_with("calls=") {
            is_call = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            let cost = line.split(' ').nth(1).and_then(|cost| cost.parse().ok()).unwrap_or(0);
            match (std::mem::take(&mut is_call), in_allocator) {
                (true, _) => {}
                (false, true) => counted.allocator += cost,
                (false, false) => counted.own += cost,
            }
        }
    }
    counted
}

/// Whether a function belongs to the allocator. Its name stands in full once: `(12) malloc`, then as `(12)`.
fn is_allocator<'a>(names: &mut HashMap<&'a str, bool>, function: &'a str) -> bool {
    let (number, name) = function.split_once(' ').unwrap_or((function, ""));
    if !name.is_empty() {
        let starts = ["malloc", "free", "calloc", "realloc", "_int_", "unlink_chunk", "sysmalloc"];
        let more = ["systrim", "tcache_", "sbrk", "brk", "__default_morecore", "__glibc_morecore"];
        let mut starts = starts.iter().chain(&more);
        names.insert(number, starts.any(|start| name.starts_with(start)));
    }
    names.get(number).copied().unwrap_or(false)
}

/// How many blocks were allocated, and how many bytes in all.
fn heap(name: &str, requests: u64) -> (u64, u64) {
    let arguments = ["run", name, &requests.to_string()];
    let output = valgrind(&["--tool=dhat", "--dhat-out-file=/dev/null"], &arguments);
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
