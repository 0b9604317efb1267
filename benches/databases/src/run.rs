//! A run: what is measured, how thoroughly, and where plots go.

use crate::place::{Kind, Place};
use measuring::{
    effort::Effort,
    plot::{self, Panel},
};
use std::{
    error::Error,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

pub(crate) struct Run {
    pub(crate) effort: Effort,
    pub(crate) databases: Vec<Kind>,
    /// The program that runs tower-sessions.
    pub(crate) peer: PathBuf,
    /// Where files of SQLite are.
    pub(crate) folder: PathBuf,
    /// Where plots go.
    pub(crate) plots: PathBuf,
}

impl Run {
    /// Measures on each database that there is. Gives a line that says on which, and on which not.
    pub(crate) fn on_each(
        &self,
        chosen: impl Fn(Kind) -> bool,
        mut measure: impl FnMut(&Place) -> Result<(), Box<dyn Error>>,
    ) -> Result<String, Box<dyn Error>> {
        let (mut versions, mut missing) = (Vec::new(), String::new());
        for kind in self.databases.iter().copied().filter(|kind| chosen(*kind)) {
            let word = kind.word();
            eprintln!("  {word} ...");
            match Place::new(kind, &self.folder) {
                Ok(place) => {
                    versions.push(place.version());
                    measure(&place)?;
                }
                Err(package) => {
                    write!(missing, " Not on {word}: the package `{package}` is missing here.")?;
                }
            }
        }
        if versions.is_empty() {
            return Err(format!("nothing can be measured.{missing}").into());
        }
        Ok(format!("Measured on {}.{missing}", versions.join(", ")))
    }

    /// Draws, and gives the lines that show it.
    pub(crate) fn draw(
        &self,
        name: &str,
        title: &str,
        across: usize,
        panels: &[Panel],
    ) -> Result<String, Box<dyn Error>> {
        let svg = plot::lines(title, across, panels);
        Ok(plot::write(&self.plots, name, title, &svg)?)
    }
}

/// Makes an empty folder for the time of a run.
pub(crate) fn in_folder<T>(
    folder: &Path,
    run: impl FnOnce() -> Result<T, Box<dyn Error>>,
) -> Result<T, Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    let ran = run();
    fs::remove_dir_all(folder)?;
    ran
}
