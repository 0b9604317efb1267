//! A run: what is measured, how thoroughly, and where plots go.

use crate::place::{Kind, Place};
use measuring::{
    effort::Effort,
    files::Folder,
    plot::{self, Panel},
};
use std::{error::Error, path::PathBuf};

pub(crate) struct Run {
    pub(crate) effort: Effort,
    pub(crate) databases: Vec<Kind>,
    /// The program that runs tower-sessions.
    pub(crate) peer: PathBuf,
    /// Where files of SQLite are.
    pub(crate) folder: Folder,
    /// Where plots go.
    pub(crate) plots: PathBuf,
}

impl Run {
    /// Measures on each database that there is. Gives what was measured, and a line that says on which, and on which not.
    pub(crate) fn on_each<T>(
        &self,
        chosen: impl Fn(Kind) -> bool,
        mut measure: impl FnMut(&Place) -> Result<T, Box<dyn Error>>,
    ) -> Result<(String, Vec<T>), Box<dyn Error>> {
        let (mut versions, mut missing, mut measured) = (Vec::new(), String::new(), Vec::new());
        for kind in self.databases.iter().copied().filter(|kind| chosen(*kind)) {
            let word = kind.word();
            eprintln!("  {word} ...");
            match self.on(kind, &mut measure) {
                Ok((version, one)) => {
                    versions.push(version);
                    measured.push(one);
                }
                Err(error) => {
                    eprintln!("  {word}: {error}");
                    missing.push_str(&not_on(word, &error.to_string()));
                }
            }
        }
        if versions.is_empty() {
            return Err(format!("nothing can be measured.{missing}").into());
        }
        Ok((format!("Measured on {}.{missing}", versions.join(", ")), measured))
    }

    fn on<T>(
        &self,
        kind: Kind,
        measure: impl FnOnce(&Place) -> Result<T, Box<dyn Error>>,
    ) -> Result<(String, T), Box<dyn Error>> {
        let place = Place::new(kind, self.folder.path())
            .map_err(|package| format!("the package `{package}` is missing here"))?;
        Ok((place.version(), measure(&place)?))
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

/// A sentence about a database, in one line.
fn not_on(word: &str, reason: &str) -> String {
    let reason = reason.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    format!(" Not on {word}: {}.", reason.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(databases: &[Kind]) -> Run {
        Run {
            effort: Effort::Quick,
            databases: databases.to_vec(),
            peer: PathBuf::new(),
            folder: Folder::new().unwrap(),
            plots: PathBuf::new(),
        }
    }

    #[test]
    fn an_error_on_one_database_leaves_the_others() {
        let run = run(&[Kind::SqliteFull, Kind::SqliteNormal]);
        let measured = run.on_each(
            |_| true,
            |place| if place.kind == Kind::SqliteFull { Err("full\n of it".into()) } else { Ok(7) },
        );
        let (on, measured) = measured.unwrap();
        assert_eq!(measured, [7]);
        assert!(on.starts_with("Measured on sqlite-normal in SQLite "), "{on}");
        assert!(on.ends_with(". Not on sqlite-full: full of it."), "{on}");
    }

    #[test]
    fn nothing_measured_is_an_error() {
        let run = run(&[Kind::SqliteFull]);
        let error = run.on_each::<()>(|_| true, |_| Err("full".into())).unwrap_err();
        assert_eq!(error.to_string(), "nothing can be measured. Not on sqlite-full: full.");
    }
}
