//! Limits: what the parts of a request cost by themselves, counted and timed.

mod parts;

pub(crate) use parts::Part;

use crate::{
    counts,
    libraries::Library,
    run::{Result, Run, ratio, whole},
    times,
};
use applications::asked::Case;
use measuring::{
    Spread,
    count::{self, Count},
    plot::{Bar, Group},
};
use parts::Parts;
use std::{collections::BTreeMap, fmt::Write, time::Instant};

/// How often the time of each part is taken.
const PART_TURNS: usize = 15;

/// Does it so often.
pub(crate) fn run(part: Part, times: usize) {
    let parts = Parts::new();
    (0..times).for_each(|number| parts.carry_out(part, number));
}

/// Instructions and allocations of the parts in their order, and of a layer of axum that does nothing.
fn counted() -> (Vec<Count>, Count) {
    let all = [Part::Nothing].into_iter().chain(Part::ALL);
    let words = all.map(|part| vec!["limit", part.word()]);
    let words: Vec<_> = words.chain([vec!["bare"], vec!["layer"]]).collect();
    let counts = count::requests(&words);
    let parts = counts[1..=Part::ALL.len()].iter().map(|count| *count - counts[0]).collect();
    (parts, counts[words.len() - 1] - counts[words.len() - 2])
}

/// Nanoseconds, of the parts in their order.
fn nanoseconds(turns: usize) -> Vec<Spread> {
    const TIMES: u32 = 20_000;
    let parts = Parts::new();
    let time = |part: Part| {
        let begun = Instant::now();
        (0..TIMES as usize).for_each(|number| parts.carry_out(part, number));
        begun.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES)
    };
    let rounds: Vec<Vec<f64>> = (0..turns)
        .map(|_| {
            let nothing = time(Part::Nothing);
            Part::ALL.iter().map(|part| (time(*part) - nothing).max(0.0)).collect()
        })
        .collect();
    let of_part = |place: usize| Spread::of(rounds.iter().map(|round| round[place]));
    (0..Part::ALL.len()).map(of_part).collect()
}

/// What a part costs.
#[derive(Clone, Copy)]
struct Cost {
    instructions: i64,
    nanos: i64,
}

/// The costs of all parts, by their words.
type Costs = BTreeMap<&'static str, Cost>;

/// The word of what is not a part of ours: what axum takes for having a layer.
const LAYER: &str = "layer";

/// The parts of requests, besides a layer.
const SUMS: [(Library, Case, &[&str]); 10] = [
    (Library::Memory, Case::Unused, &[]),
    (Library::Memory, Case::UnusedWithCookie, &[]),
    (Library::Memory, Case::Read, &["decode-token", "look-up", "clock", "read-json"]),
    (
        Library::Memory,
        Case::ReadAndWrite,
        &["decode-token", "look-up", "clock", "read-json", "look-up"],
    ),
    (Library::Memory, Case::New, &["random", "encode-token", "look-up", "clock"]),
    (Library::Stealth, Case::Unused, &[]),
    (Library::Stealth, Case::UnusedWithCookie, &[]),
    (Library::Stealth, Case::Read, &["decode", "xaes-open", "clock", "read-json"]),
    (
        Library::Stealth,
        Case::ReadAndWrite,
        &["decode", "xaes-open", "clock", "read-json", "random", "xaes-seal", "encode"],
    ),
    (Library::Stealth, Case::New, &["clock", "random", "xaes-seal", "encode"]),
];

/// The table of the parts, and each request against the sum of its parts.
pub(crate) fn table(run: &Run) -> Result<String> {
    let turns = run.effort.turns(PART_TURNS);
    let mut text = format!(
        "Parts of what sessions take, each by itself; the table hashes as std's do. Instructions are those outside of `malloc`. Nanoseconds are medians of {turns} turns. {}\n\n\
         | part | instructions | allocations | nanoseconds |\n|---|---:|---:|---:|\n",
        Spread::explained(turns)
    );
    let mut costs = Costs::new();
    let (counts, layer) = counted();
    for ((part, count), nanos) in Part::ALL.into_iter().zip(counts).zip(nanoseconds(turns)) {
        let (title, instructions, allocations) =
            (part.title(), count.instructions, count.allocations);
        let cell = nanos.cell(0);
        writeln!(text, "| {title} | {instructions} | {allocations:.1} | {cell} |")?;
        costs.insert(part.word(), Cost { instructions, nanos: whole(nanos.middle) });
    }
    let (instructions, nanos) = (layer.instructions, counts::layer_nanos(turns));
    writeln!(text, "| axum: a layer that does nothing | {instructions} | | {} |", nanos.cell(0))?;
    costs.insert(LAYER, Cost { instructions, nanos: whole(nanos.middle).max(0) });
    write_sums(&mut text, run, &costs)?;
    Ok(text)
}

fn write_sums(text: &mut String, run: &Run, costs: &Costs) -> Result<()> {
    text.push_str(
        "\nEach request against the sum of its parts, on axum. What has no name among them is the record, JSON that is \
         written, and the fields of the answer:\n\n\
         | request | parts | instructions | ours | to the sum | nanoseconds | ours | to the sum |\n\
         |---|---|---:|---:|---:|---:|---:|---:|\n",
    );
    let requests = SUMS.map(|(library, case, _)| (library, case));
    let counts = counts::overheads(&requests);
    let mut nanos = BTreeMap::new();
    for library in [Library::Memory, Library::Stealth] {
        nanos.insert(library, times::overheads(run, library)?);
    }
    let mut groups = Vec::new();
    for ((library, case, words), count) in SUMS.into_iter().zip(counts) {
        let words = || [LAYER].into_iter().chain(words.iter().copied());
        let sum: i64 = words().map(|word| costs[word].instructions).sum();
        let sum_nanos: i64 = words().map(|word| costs[word].nanos).sum();
        let (ours, ours_nanos) = (count.instructions, nanos[&library][&case]);
        let to_sum = ratio(whole(ours_nanos.middle), sum_nanos);
        let title = format!("{}: {}", library.word(), case.title());
        writeln!(
            text,
            "| {title} | {} | {sum} | {ours} | {} | {sum_nanos} | {} | {to_sum} |",
            words().collect::<Vec<_>>().join(", "),
            ratio(ours, sum),
            ours_nanos.cell(0),
        )?;
        let bars =
            vec![Bar::new("dframework-session", ours), Bar::new("the sum of its parts", sum)];
        groups.push(Group::new(&title, bars));
    }
    text.push_str(&run.draw("limits", "Instructions of a request and of its parts", &groups)?);
    Ok(())
}
