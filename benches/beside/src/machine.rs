//! Where and when something was measured, and with which versions.

use crate::{
    run::{Result, Run},
    section::Section,
};
use std::{ffi::OsStr, fmt::Write, fs, path::Path, process::Command, thread};

/// The date, the machine, and the versions of what a section measures and is measured with.
pub(crate) fn described(section: Section, commit: &str) -> Result<String> {
    let (date, kernel) = (said("date", &["-u", "+%Y-%m-%d"])?, said("uname", &["-sr"])?);
    // What follows the version names a build.
    let kernel = kernel.split('-').next().unwrap_or_default();
    let compiler = said("rustc", &["--version"])?;
    let compiler = compiler.split(" (").next().unwrap_or_default();
    let (processor, cores) = (processor()?, thread::available_parallelism()?);
    let libraries = libraries(section)?;
    let tool = section.tool().map(version_of).transpose()?.unwrap_or_default();
    Ok(format!(
        "{date}, {processor}, {cores} cores, {kernel}; {commit}, {compiler}{libraries}{tool}"
    ))
}

/// The commit that is checked out: `commit 614e639`, and whether something differs from it.
pub(crate) fn commit() -> String {
    let git = |words: &[&str]| {
        let output = Command::new("git").args(words).current_dir(Run::usual_folder()).output();
        let output = output.ok().filter(|output| output.status.success())?;
        Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
    };
    named(git(&["rev-parse", "--short", "HEAD"]), git(&["status", "--porcelain"]))
}

fn named(hash: Option<String>, changes: Option<String>) -> String {
    match (hash, changes) {
        (Some(hash), Some(changes)) if written_besides(&changes) => {
            format!("commit {hash} + changes")
        }
        (Some(hash), Some(_)) => format!("commit {hash}"),
        _ => "unknown commit".to_owned(),
    }
}

/// Whether something differs besides what a run itself writes: the results and their plots.
fn written_besides(status: &str) -> bool {
    let own = |path: &Path| {
        path.parent() == Some(Path::new("benches"))
            && (path.ends_with("RESULTS.md") || path.extension() == Some(OsStr::new("svg")))
    };
    let mut paths = status.lines().filter_map(|line| line.split_whitespace().last());
    paths.any(|path| !own(Path::new(path)))
}

/// Fails where a section cannot be measured for want of a program.
pub(crate) fn check_tool(section: Section) -> Result<()> {
    section.tool().map(version_of).transpose().map(drop)
}

fn said(program: &str, words: &[&str]) -> Result<String> {
    let output = Command::new(program).args(words).output();
    let output = output.map_err(|error| {
        format!("`{program}` cannot be run, which is in Debian's package of that name: {error}")
    })?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// `, wrk debian/4.1.0`; what follows the version is left out.
fn version_of(tool: &str) -> Result<String> {
    let said = said(tool, &["--version"])?;
    let words = said.split([' ', '-']).filter(|word| *word != tool);
    let version = words.into_iter().find(|word| word.contains('.')).unwrap_or_default();
    Ok(format!(", {tool} {}", version.trim_start_matches("debian/")))
}

fn processor() -> Result<String> {
    let processor = fs::read_to_string("/proc/cpuinfo")?;
    let model = processor.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map(|name| name.trim_start_matches([' ', '\t', ':']));
    Ok(model.unwrap_or("an unknown processor").to_owned())
}

/// `, axum 0.8.9` for each; two versions where there are two.
fn libraries(section: Section) -> Result<String> {
    let mut text = String::new();
    for locked in section.libraries() {
        let lock = fs::read_to_string(Run::usual_folder().join(locked.file))?;
        for package in locked.packages {
            let versions = versions(&lock, package).collect::<Vec<_>>().join(" and ");
            write!(text, ", {package} {versions}")?;
        }
    }
    Ok(text)
}

fn versions<'a>(lock: &'a str, package: &str) -> impl Iterator<Item = &'a str> {
    let name = format!("name = \"{package}\"");
    let lines = lock.lines().zip(lock.lines().skip(1));
    lines.filter(move |(line, _)| **line == name).filter_map(|(_, next)| next.split('"').nth(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_named_with_what_differs_from_it() {
        let of = |changes: &str| named(Some("614e639".to_owned()), Some(changes.to_owned()));
        assert_eq!(of(""), "commit 614e639");
        assert_eq!(
            of("M crates/session/src/lib.rs\n M benches/RESULTS.md"),
            "commit 614e639 + changes"
        );
        assert_eq!(named(None, None), "unknown commit");
    }

    #[test]
    fn what_a_run_writes_is_no_change() {
        assert!(!written_besides(
            "M benches/RESULTS.md\n M benches/growth.svg\n?? benches/new.svg"
        ));
        assert!(written_besides("M benches/README.md"));
    }

    #[test]
    fn each_version_in_a_lock_file_is_found() {
        let lock =
            "name = \"sqlx\"\nversion = \"0.9.0\"\n\nname = \"sqlx-core\"\nversion = \"0.8.0\"\n";
        assert_eq!(versions(lock, "sqlx").collect::<Vec<_>>(), ["0.9.0"]);
    }
}
