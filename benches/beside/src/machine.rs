//! Where and when something was measured, and with which versions.

use crate::{
    run::{Result, Run},
    section::Section,
};
use std::{fmt::Write, fs, process::Command, thread};

/// The date, the machine, and the versions of what a section measures and is measured with.
pub(crate) fn described(section: Section) -> Result<String> {
    let (date, kernel) = (said("date", &["-u", "+%Y-%m-%d"])?, said("uname", &["-sr"])?);
    // What follows the version names a build.
    let kernel = kernel.split('-').next().unwrap_or_default();
    let compiler = said("rustc", &["--version"])?;
    let compiler = compiler.split(" (").next().unwrap_or_default();
    let (processor, cores) = (processor()?, thread::available_parallelism()?);
    let libraries = libraries(section)?;
    let tool = section.tool().map(version_of).transpose()?.unwrap_or_default();
    Ok(format!("{date}, {processor}, {cores} cores, {kernel}; {compiler}{libraries}{tool}"))
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
