//! Instructions and allocations of a request, above those of the same request without sessions.

use crate::{
    libraries::{Asked, Framework, Library},
    plot::{self, Bar},
    results::{self, Result},
};
use applications::{Application, asked::Case, axum};
use measuring::count::{self, Count};
use std::{fmt::Write, fs, str::FromStr};

/// Sessions that there are.
const SESSIONS: usize = 1_000;

/// Whether the sessions of a library are there.
#[derive(Clone, Copy)]
pub(crate) enum Sessions {
    With,
    Without,
}

impl Sessions {
    fn word(self) -> &'static str {
        match self {
            Self::With => "with",
            Self::Without => "without",
        }
    }

    pub(crate) async fn of(self, library: Library, count: usize) -> Asked {
        match self {
            Self::With => Asked::with(library, count).await,
            Self::Without => Asked::without(library).await,
        }
    }
}

impl FromStr for Sessions {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let found = [Self::With, Self::Without].into_iter().find(|found| found.word() == word);
        found.ok_or_else(|| format!("{word:?} is neither with nor without"))
    }
}

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

/// What a layer of axum costs that does nothing.
pub(crate) fn layer() -> Count {
    count::request(&["layer"]) - count::request(&["bare"])
}

/// Prints what the instructions of a case are spent on, by function.
pub(crate) fn profile(library: Library, case: Case) {
    let words = |sessions: Sessions| [library.word(), sessions.word(), case.word()];
    let rows = count::profile(&words(Sessions::With), &words(Sessions::Without));
    let most = rows.iter().filter(|(cost, _)| *cost >= 10);
    most.for_each(|(cost, name)| println!("{cost:8} {name}"));
}

/// Answers requests of one case.
pub(crate) fn run(library: Library, sessions: Sessions, case: Case, requests: usize) {
    actix_web::rt::System::new().block_on(async {
        let asked = sessions.of(library, SESSIONS).await;
        let mut worker = asked.application.worker().await;
        for number in 0..requests {
            worker.answer(case.path(), asked.cookies(case, number)).await;
        }
    });
}

/// What a request of this case costs above the same request without sessions.
pub(crate) fn overhead(library: Library, case: Case) -> Count {
    let count =
        |sessions: Sessions| count::request(&[library.word(), sessions.word(), case.word()]);
    count(Sessions::With) - count(Sessions::Without)
}

/// The table of all libraries, and a plot beside it.
pub(crate) fn table() -> Result<String> {
    let mut text = String::new();
    let mut bars = Vec::new();
    for framework in [Framework::Axum, Framework::Actix] {
        writeln!(text, "Above bare {}:\n", framework.title())?;
        text.push_str("| request | library | instructions | to ours | allocations | bytes |\n");
        text.push_str("|---|---|---:|---:|---:|---:|\n");
        for case in Case::ALL {
            let mut ours = [None; 2];
            for library in Library::ALL.into_iter().filter(|one| one.framework() == framework) {
                let Count { instructions, in_allocator, allocations, bytes } =
                    overhead(library, case);
                let instructions = instructions + in_allocator;
                // What is kept is compared with what is kept, and cookies with cookies.
                let ours = &mut ours[usize::from(library.keeps_sessions())];
                let ratio = ratio(instructions, *ours.get_or_insert(instructions));
                let (case_title, title) = (case.title(), library.title());
                writeln!(
                    text,
                    "| {case_title} | {title} | {instructions} | {ratio} | {allocations:.1} | {bytes} |"
                )?;
                if case == Case::ReadAndWrite && framework == Framework::Axum {
                    bars.push(Bar::new(title, instructions));
                }
            }
        }
        text.push('\n');
    }
    let title = "Instructions of a request that reads and writes, above bare axum";
    fs::write(results::folder().join("instructions.svg"), plot::bars(title, &bars))?;
    text.push_str("![instructions of a request that reads and writes](instructions.svg)\n");
    Ok(text)
}

/// How many times ours it is.
#[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^52")]
pub(crate) fn ratio(theirs: i64, ours: i64) -> String {
    if ours <= 0 || theirs <= 0 {
        String::new()
    } else {
        format!("{:.1}", theirs as f64 / ours as f64)
    }
}
