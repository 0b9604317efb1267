//! A run: which sections, how thoroughly, and where they go.

use crate::{machine, results, section::Section};
use applications::asked::Case;
use measuring::{
    effort::Effort,
    files::Folder,
    plot::{self, Group},
};
use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

/// What a measurement gives, or why there is none.
pub(crate) type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// What is asked for on the command line.
struct Wanted {
    effort: Effort,
    /// Where the results go.
    folder: PathBuf,
    sections: Vec<Section>,
}

/// The measuring of one section.
pub(crate) struct Run {
    pub(crate) effort: Effort,
    /// Where its plots are, until all of it is measured.
    pub(crate) drawn: Folder,
}

/// Measures what these words ask for. A section that cannot be measured stays as it is, and the others go on.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let wanted = Wanted::parse(words)?;
    fs::create_dir_all(&wanted.folder)?;
    let mut failed = Vec::new();
    for section in &wanted.sections {
        eprintln!("{} ...", section.word());
        if let Err(error) = wanted.measure(*section) {
            eprintln!("{} could not be measured: {error}", section.word());
            failed.push(section.word());
        }
    }
    eprintln!("the results are in {}", wanted.folder.display());
    if failed.is_empty() { Ok(()) } else { Err(format!("not measured: {failed:?}").into()) }
}

impl Wanted {
    fn parse(words: &[&str]) -> Result<Self> {
        let (mut effort, mut folder, mut sections) = (Effort::Usual, None, Vec::new());
        let mut rest = words;
        while let [word, others @ ..] = rest {
            rest = others;
            match (*word, others) {
                ("quick", _) => effort = Effort::Quick,
                ("full", _) => effort = Effort::Full,
                ("into", [place, others @ ..]) => (folder, rest) = (Some(place.into()), others),
                // The part that follows says which of them.
                ("databases", [next, ..])
                    if Section::DATABASES.map(Section::word).contains(next) => {}
                ("databases", _) => sections.extend(Section::DATABASES),
                _ => sections.push(Section::named(word)?),
            }
        }
        if sections.is_empty() {
            sections.extend(Section::ALL);
        }
        let folder = folder.unwrap_or_else(|| match effort {
            Effort::Quick => env::temp_dir().join("beside"),
            Effort::Usual | Effort::Full => Run::usual_folder(),
        });
        Ok(Self { effort, folder, sections })
    }

    fn measure(&self, section: Section) -> Result<()> {
        machine::check_tool(section)?;
        // Before anything is measured: the commit is that of which it was built.
        let commit = machine::commit();
        let begun = Instant::now();
        let run = Run { effort: self.effort, drawn: Folder::new()? };
        let text = section.measure(&run)?;
        let seconds = begun.elapsed().as_secs();
        let meanwhile = match machine::commit() {
            after if after == commit => "",
            _ => " Meanwhile, the commit or what differs from it has changed.",
        };
        let described = machine::described(section, &commit)?;
        let (title, mut command) = (section.title(), section.command());
        if self.effort != Effort::Usual {
            command = format!("{command} {}", self.effort.word());
        }
        let text = format!(
            "## {title}\n\n{described}. By `{command}`, in {seconds} seconds.{meanwhile}\n\n{text}"
        );
        println!("{text}");
        run.drawn.put_all_into(&self.folder)?;
        results::put(&self.folder, section, &text)
    }
}

impl Run {
    /// The folder of the benchmarks.
    pub(crate) fn usual_folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    /// The cases that valgrind counts, which takes long.
    pub(crate) fn cases(&self) -> &'static [Case] {
        match self.effort {
            Effort::Quick => &[Case::ReadAndWrite],
            Effort::Usual | Effort::Full => &Case::ALL,
        }
    }

    /// Draws bars, and gives the lines that show them.
    pub(crate) fn draw(&self, name: &str, title: &str, groups: &[Group]) -> Result<String> {
        Ok(plot::write(self.drawn.path(), name, title, &plot::bars(title, groups))?)
    }
}

/// How many times ours it is; nothing where one of them is lost in the noise.
pub(crate) fn ratio(theirs: i64, ours: i64) -> String {
    if ours <= 0 || theirs <= 0 {
        return String::new();
    }
    #[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^52")]
    let ratio = theirs as f64 / ours as f64;
    format!("{ratio:.1}")
}

/// Whole nanoseconds or requests: there is more noise than that.
#[expect(clippy::cast_possible_truncation, reason = "there are fewer than 2^63")]
pub(crate) fn whole(number: f64) -> i64 {
    number.round() as i64
}
