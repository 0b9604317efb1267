//! Instructions and allocations of a request, above those of the same request without sessions.

use crate::{
    libraries::{Asked, Framework, Library},
    run::{Result, Run, ratio},
};
use applications::{Application, asked::Case, axum};
use measuring::{
    Side, Spread,
    count::{self, Count},
    places,
    plot::{Bar, Group},
};
use std::{collections::BTreeMap, fmt::Write, time::Instant};

/// Sessions that there are.
const SESSIONS: usize = 1_000;

/// Answers requests to an application of axum with a layer that does nothing.
pub(crate) fn run_layer(requests: usize) {
    run_application(&*axum::layer(), requests);
}

/// Answers requests to an application of axum without a layer.
pub(crate) fn run_bare(requests: usize) {
    run_application(&*axum::bare(), requests);
}

fn run_application(application: &dyn Application, requests: usize) {
    actix_web::rt::System::new().block_on(async {
        let mut worker = application.worker().await;
        for _ in 0..requests {
            worker.answer("/", None).await;
        }
    });
}

/// The time of a request that a layer takes, in nanoseconds.
pub(crate) fn layer_nanos(turns: usize) -> Spread {
    const REQUESTS: u32 = 20_000;
    let (layer, bare) = (axum::layer(), axum::bare());
    let time = |application: &dyn Application| {
        let begun = Instant::now();
        run_application(application, REQUESTS as usize);
        begun.elapsed().as_secs_f64() * 1e9 / f64::from(REQUESTS)
    };
    Spread::of((0..turns).map(|_| time(&*layer) - time(&*bare)))
}

/// Prints what the instructions of a case are spent on, by function.
pub(crate) fn profile(library: Library, case: Case) {
    let [with, without] = words(library, case);
    let rows = places::profile(&with, &without);
    let most = rows.iter().filter(|(cost, _)| *cost >= 10);
    most.for_each(|(cost, name)| println!("{cost:8} {name}"));
}

/// Answers requests of one case.
pub(crate) fn run(library: Library, side: Side, case: Case, requests: usize) {
    actix_web::rt::System::new().block_on(async {
        let asked = Asked::new(library, side, SESSIONS).await;
        let mut worker = asked.application.worker().await;
        for number in 0..requests {
            worker.answer(case.path(), asked.cookies(case, number)).await;
        }
    });
}

/// What requests cost above the same without sessions.
pub(crate) fn overheads(requests: &[(Library, Case)]) -> Vec<Count> {
    let pairs: Vec<_> = requests.iter().map(|(library, case)| words(*library, *case)).collect();
    count::overheads(&pairs)
}

/// What requests are run by, with the sessions and without.
fn words(library: Library, case: Case) -> [Vec<&'static str>; 2] {
    [Side::With, Side::Without].map(|side| vec![library.word(), side.word(), case.word()])
}

/// The table of all libraries, and a plot beside it.
pub(crate) fn table(run: &Run) -> Result<String> {
    let mut text = String::new();
    for framework in [Framework::Axum, Framework::Actix] {
        let libraries = || Library::ALL.into_iter().filter(|one| one.framework() == framework);
        let cases = run.cases().iter();
        let requests: Vec<_> =
            cases.flat_map(|case| libraries().map(|library| (library, *case))).collect();
        let counts = overheads(&requests);
        writeln!(
            text,
            "Above bare {}; without the instructions of `malloc` and `free`, which stand apart:\n",
            framework.title()
        )?;
        text.push_str(
            "| request | library | instructions | to ours | in `malloc` | allocations | bytes |\n",
        );
        text.push_str("|---|---|---:|---:|---:|---:|---:|\n");
        let mut bars = Vec::new();
        let mut ours = BTreeMap::new();
        for ((library, case), count) in requests.into_iter().zip(counts) {
            let Count { instructions, in_allocator, allocations, bytes } = count;
            // What is kept is compared with what is kept, and cookies with cookies.
            let ours = *ours.entry((case, library.keeps_sessions())).or_insert(instructions);
            let (ratio, title) = (ratio(instructions, ours), library.title());
            let case_title = case.title();
            writeln!(
                text,
                "| {case_title} | {title} | {instructions} | {ratio} | {in_allocator} | {allocations:.1} | {bytes} |"
            )?;
            if case == Case::ReadAndWrite {
                bars.push(Bar::new(title, instructions));
            }
        }
        if framework == Framework::Axum {
            let title = "Instructions of a request that reads and writes, above bare axum";
            text.push_str(&run.draw("instructions", title, &[Group::new("", bars)])?);
        }
        text.push('\n');
    }
    Ok(text)
}
