//! `RESULTS.md`: each part of the run is a section, which says when and how it was measured.

use crate::{counts, limits, sockets, times};
use std::{
    collections::BTreeMap,
    env,
    error::Error,
    fmt::{self, Write},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

/// What a measurement gives, or why there is none.
pub(crate) type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// A part of the run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Counts,
    Times,
    Memory,
    Limits,
    Sockets,
    Databases,
}

impl Section {
    const ALL: [Self; 6] =
        [Self::Counts, Self::Times, Self::Memory, Self::Limits, Self::Sockets, Self::Databases];

    fn word(self) -> &'static str {
        match self {
            Self::Counts => "counts",
            Self::Times => "times",
            Self::Memory => "memory",
            Self::Limits => "limits",
            Self::Sockets => "sockets",
            Self::Databases => "databases",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Counts => "Instructions and allocations of a request",
            Self::Times => "Time of a request",
            Self::Memory => "A million sessions in memory",
            Self::Limits => "The limit",
            Self::Sockets => "Over a socket",
            Self::Databases => "Databases",
        }
    }

    fn measure(self) -> Result<String> {
        match self {
            Self::Counts => counts::table(),
            Self::Times => times::table(),
            Self::Memory => times::memory_table(),
            Self::Limits => limits::table(),
            Self::Sockets => sockets::table(),
            Self::Databases => databases_tables(),
        }
    }
}

/// Measures these parts, or all without any, and puts what it finds into `RESULTS.md`.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let named = |word: &&str| {
        let section = Section::ALL.into_iter().find(|section| section.word() == *word);
        section.ok_or_else(|| format!("{word:?} is no part"))
    };
    let mut sections: Vec<Section> = words.iter().map(named).collect::<Result<_, _>>()?;
    if sections.is_empty() {
        sections.extend(Section::ALL);
    }
    for section in sections {
        eprintln!("{} ...", section.word());
        let text = section.measure()?;
        let place = Place::here()?;
        let text =
            format!("## {}\n\n{place}, by `{}`.\n\n{text}", section.title(), command(section));
        println!("{text}");
        put(section, &text)?;
    }
    Ok(())
}

fn command(section: Section) -> String {
    format!("cargo run --release -p beside -- {}", section.word())
}

/// Where and when something was measured.
struct Place(String);

impl Place {
    fn here() -> Result<Self> {
        let processor = fs::read_to_string("/proc/cpuinfo")?;
        let model = processor.lines().find_map(|line| line.strip_prefix("model name"));
        let model =
            model.map_or("an unknown processor", |name| name.trim_start_matches([' ', '\t', ':']));
        let cores = thread::available_parallelism()?;
        let said = |program: &str, words: &[&str]| {
            let output = Command::new(program).args(words).output()?;
            Ok::<_, Box<dyn Error>>(String::from_utf8(output.stdout)?.trim().to_owned())
        };
        let (date, kernel) = (said("date", &["-u", "+%Y-%m-%d"])?, said("uname", &["-sr"])?);
        let compiler = said("rustc", &["--version"])?;
        let compiler = compiler.split(" (").next().unwrap_or_default().to_owned();
        Ok(Self(format!("{date}, {model}, {cores} cores, {kernel}, {compiler}")))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where the results go.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Replaces a section of the file.
fn put(section: Section, text: &str) -> Result<()> {
    let file = folder().join("RESULTS.md");
    let old = fs::read_to_string(&file).unwrap_or_default();
    let mut sections: BTreeMap<usize, String> = BTreeMap::new();
    for part in old.split("\n## ").skip(1) {
        let place = |title| Section::ALL.iter().position(|section| section.title() == title);
        if let Some(place) = part.lines().next().and_then(place) {
            sections.insert(place, format!("## {}", part.trim_end()));
        }
    }
    let place = Section::ALL.iter().position(|other| *other == section).unwrap_or_default();
    sections.insert(place, text.trim_end().to_owned());
    let mut all = HEAD.to_owned();
    for text in sections.values() {
        write!(all, "\n{text}\n")?;
    }
    Ok(fs::write(file, all)?)
}

const HEAD: &str = "# Results

Written by `cargo run --release -p beside` in this folder, which measures everything here; a part alone is measured with its
word behind it. README.md says what is measured and how. Overhead is what a request costs above the same request, with the
same cookies, to the same application without sessions.
";

/// What the program `databases` prints, which brings other versions of the libraries.
fn databases_tables() -> Result<String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let run = Command::new(cargo)
        .args(["run", "--release", "--locked", "--quiet", "-p", "databases"])
        .current_dir(folder())
        .stderr(Stdio::inherit())
        .output()?;
    if !run.status.success() {
        return Err("`databases` failed".into());
    }
    Ok(String::from_utf8(run.stdout)?)
}
