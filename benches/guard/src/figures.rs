//! The recorded counts, by what the processor can do and by compiler: either way it is other code.

use crate::cases::Case;
use measuring::count::{self, Count};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, error::Error, fs, path::PathBuf, process::ExitCode};

/// How far a count may be above the recorded one, in per cent.
const TOLERANCE: i64 = 3;
/// By how many more at least: where the heap lies moves a count by some tens.
const SLACK: i64 = 50;

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Figure {
    instructions: i64,
    allocations: f64,
}

/// For each platform, the figure of each case.
type Figures = BTreeMap<String, BTreeMap<String, Figure>>;

/// Says which counts are above what was recorded. A platform without records passes, and is told of.
pub(crate) fn check(counted: &[(Case, Count)]) -> Result<ExitCode, Box<dyn Error>> {
    let platform = count::platform();
    let figures = read()?;
    let Some(recorded) = figures.get(&platform) else {
        println!("no figures are recorded for {platform}: nothing is compared");
        return Ok(ExitCode::SUCCESS);
    };
    let mut verdict = ExitCode::SUCCESS;
    for (case, count) in counted {
        let Some(figure) = recorded.get(case.name) else {
            println!("{}: no figure is recorded; run `guard record`", case.name);
            verdict = ExitCode::FAILURE;
            continue;
        };
        let Figure { instructions, allocations } = *figure;
        let most = instructions + (instructions * TOLERANCE / 100).max(SLACK);
        if count.instructions > most || count.allocations > allocations + 0.1 {
            println!(
                "{}: {} instructions and {:.1} allocations, recorded are {instructions} and {allocations:.1}",
                case.name, count.instructions, count.allocations
            );
            verdict = ExitCode::FAILURE;
        }
    }
    Ok(verdict)
}

/// Records the counts for this processor's features.
pub(crate) fn record(counted: &[(Case, Count)]) -> Result<(), Box<dyn Error>> {
    let mut figures = read()?;
    let figure = |count: &Count| Figure {
        instructions: count.instructions,
        allocations: (count.allocations * 10.0).round() / 10.0,
    };
    let recorded = counted.iter().map(|(case, count)| (case.name.to_owned(), figure(count)));
    figures.insert(count::platform(), recorded.collect());
    Ok(fs::write(path(), toml::to_string_pretty(&figures)?)?)
}

fn read() -> Result<Figures, Box<dyn Error>> {
    match fs::read_to_string(path()) {
        Ok(text) => Ok(toml::from_str(&text)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Figures::new()),
        Err(error) => Err(error.into()),
    }
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("figures.toml")
}

/// What this processor can do of what makes a difference.
pub(crate) fn features() -> String {
    #[cfg(target_arch = "x86_64")]
    let known = [
        ("sha", std::arch::is_x86_feature_detected!("sha")),
        ("aes", std::arch::is_x86_feature_detected!("aes")),
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("avx512", std::arch::is_x86_feature_detected!("avx512f")),
        ("vaes", std::arch::is_x86_feature_detected!("vaes")),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let known: [(&str, bool); 0] = [];
    let names: Vec<_> = known.iter().filter(|(_, has)| *has).map(|(name, _)| *name).collect();
    format!("{}-{}", std::env::consts::ARCH, names.join("-"))
}
