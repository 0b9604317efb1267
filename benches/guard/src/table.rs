//! The memory store with many sessions: what each takes, and how many are found in a second.
//!
//! Memory is what the system counts as resident, so the share of the allocator and of the tables is in it. Each
//! kind of session has a process of its own, which begins with an empty heap.
//!
//! Times are printed and not judged. A second is one of the processor: on a busy machine, a thread is not charged
//! with the time of others. What it waits for a lock is not in it, so the time that passes stands beside it.

use dframework_session::{
    MemoryStore,
    store::{Loaded, NewRecord, Store, StoreKey, Timestamp},
};
use std::{
    env,
    error::Error,
    fs,
    hint::black_box,
    process::{Command, ExitCode},
    slice,
    str::FromStr,
    thread,
    time::Instant,
};
use tokio::runtime::{Builder, Runtime};

/// How many sessions there are when memory is measured.
const SESSIONS: u64 = 1_000_000;
/// How many there are when they are looked for.
const LOOKED_FOR: u64 = 100_000;
/// The bytes of a record. An owner's name comes on top of what is measured.
const RECORD: usize = 300;
/// How often a thread looks for a session.
const LOADS: u64 = 2_000_000;

/// Whose sessions there are.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Ownerless,
    /// Each session has an owner of its own, whose name has ten bytes.
    Owned,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Ownerless => "ownerless",
            Self::Owned => "owned",
        }
    }

    /// How many bytes a session may take beside its record.
    fn hold(self) -> u64 {
        match self {
            Self::Ownerless => 130,
            Self::Owned => 300,
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let kinds = [Self::Ownerless, Self::Owned];
        let kind = kinds.into_iter().find(|kind| kind.name() == name);
        kind.ok_or_else(|| format!("{name:?} is no kind of session"))
    }
}

/// Says what a session takes beside its record, and whether that is little enough.
pub(crate) fn memory() -> Result<ExitCode, Box<dyn Error>> {
    println!("| a million sessions in memory | bytes beside the record | to hold |");
    println!("|---|---:|---:|");
    let mut verdict = ExitCode::SUCCESS;
    for kind in [Kind::Ownerless, Kind::Owned] {
        let output = Command::new(env::current_exe()?).args(["fill", kind.name()]).output()?;
        let bytes: u64 = String::from_utf8(output.stdout)?.trim().parse()?;
        println!("| {} | {bytes} | {} |", kind.name(), kind.hold());
        if bytes > kind.hold() {
            verdict = ExitCode::FAILURE;
        }
    }
    Ok(verdict)
}

/// Fills a store, and says how many bytes each session takes beside its record.
pub(crate) fn fill(kind: Kind) -> u64 {
    let runtime = runtime();
    let before = resident();
    let store = filled(&runtime, kind, SESSIONS);
    let taken = resident() - before;
    drop(store);
    (taken / SESSIONS).saturating_sub(RECORD as u64)
}

/// Prints how many sessions one thread finds in a second, and how many two find together.
pub(crate) fn threads() {
    let store = filled(&runtime(), Kind::Ownerless, LOOKED_FOR);
    println!(
        "| a 300-byte session found and copied | a second | two for one | a second on the wall |"
    );
    println!("|---|---:|---:|---:|");
    let one = rates(&store, 1);
    let two = rates(&store, 2);
    println!("| one thread | {:.0} | | {:.0} |", one.processor, one.wall);
    let ratio = two.processor / one.processor;
    println!("| two threads | {:.0} | {ratio:.2} | {:.0} |", two.processor, two.wall);
}

/// How many sessions some threads find together.
struct Rates {
    /// In a second of the processor for each thread.
    processor: f64,
    /// In a second that passes.
    wall: f64,
}

/// The best of five: whatever else the machine does can only make it worse.
#[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^52 loads")]
fn rates(store: &MemoryStore, threads: u64) -> Rates {
    let mut best = Rates { processor: 0.0, wall: 0.0 };
    for _ in 0..5 {
        let begun = Instant::now();
        let spent: f64 = thread::scope(|scope| {
            let spawn = |number| scope.spawn(move || load_many(store, number));
            let running: Vec<_> = (0..threads).map(spawn).collect();
            running.into_iter().map(|thread| thread.join().expect("every session is found")).sum()
        });
        let (loads, of_each) = ((LOADS * threads) as f64, spent / threads as f64);
        best.processor = best.processor.max(loads / of_each);
        best.wall = best.wall.max(loads / begun.elapsed().as_secs_f64());
    }
    best
}

/// Returns the seconds of the processor that it took.
fn load_many(store: &MemoryStore, thread: u64) -> f64 {
    // From all over the store, and other sessions in each thread.
    let session = |number| key(mix(number ^ (thread << 32)) % LOOKED_FOR);
    let keys: Vec<StoreKey> = (0..LOOKED_FOR).map(session).collect();
    let before = processor_seconds();
    runtime().block_on(async {
        for _ in 0..LOADS / LOOKED_FOR {
            for key in &keys {
                let loaded = store.load(slice::from_ref(key)).await.expect("memory is there");
                assert!(matches!(black_box(&loaded[..]), [Loaded::Live(_)]));
            }
        }
    });
    processor_seconds() - before
}

/// For how long this thread has run, as the system's scheduler counts it.
#[expect(clippy::cast_precision_loss, reason = "it runs for less than 2^52 nanoseconds")]
fn processor_seconds() -> f64 {
    let status = fs::read_to_string("/proc/thread-self/schedstat").expect("this runs on Linux");
    let nanoseconds = status.split(' ').next().and_then(|number| number.parse::<u64>().ok());
    nanoseconds.expect("the system says it in nanoseconds") as f64 / 1e9
}

fn filled(runtime: &Runtime, kind: Kind, sessions: u64) -> MemoryStore {
    let store = MemoryStore::with_limits(usize::MAX, usize::MAX);
    let (now, end) = (Timestamp::from_millis(0), Timestamp::from_millis(7_200_000));
    let record = [b'x'; RECORD];
    runtime.block_on(async {
        for number in 0..sessions {
            let owner = format!("user{number:06}");
            let mut new = NewRecord::new(&record, now, end);
            new.owner = matches!(kind, Kind::Owned).then_some(&*owner);
            store.create(&key(number), new, now).await.expect("memory has room");
        }
    });
    store
}

/// A key that looks as random as they are.
fn key(number: u64) -> StoreKey {
    let mut bytes = [0; 32];
    for (part, place) in (0..).zip(bytes.chunks_exact_mut(8)) {
        place.copy_from_slice(&mix(number * 4 + part).to_le_bytes());
    }
    StoreKey::from_bytes(bytes)
}

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// The memory of this process that is in use, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("this runs on Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse::<u64>().ok()).expect("the system says it in kB") * 1024
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}
