//! Where the programs of a server are.

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Mutex,
};

/// Looks for a program where Debian puts the servers that its users do not start, then in the PATH.
///
/// In this order: what stands first in the PATH may be another version than the programs beside it.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = newest_postgres().into_iter().chain(env::split_paths(&path));
    let folders = folders.chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn newest_postgres() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let number = |folder: &Path| folder.file_name()?.to_str()?.parse::<u32>().ok();
    let numbered = versions.filter_map(|version| Some((number(&version.path())?, version.path())));
    Some(numbered.max()?.1.join("bin"))
}

/// All these programs, in their order; where one is missing, it says so once, and in CI fails.
///
/// # Panics
///
/// One is missing and `CI=true`.
pub(crate) fn find_all<const N: usize>(programs: [&'static str; N]) -> Option<[PathBuf; N]> {
    let found = programs.map(|program| find(program).ok_or(program));
    if let Some(missing) = found.iter().find_map(|program| program.as_ref().err()) {
        assert!(env::var("CI").as_deref() != Ok("true"), "{missing} is not installed");
        say_once(missing);
        return None;
    }
    Some(found.map(|program| program.expect("none is missing")))
}

fn say_once(missing: &'static str) {
    static SAID: Mutex<Vec<&str>> = Mutex::new(Vec::new());
    let mut said = SAID.lock().expect("nobody panics who has said it");
    if !said.contains(&missing) {
        said.push(missing);
        // Written past the macros, whose text the test runner keeps to itself.
        let _ = writeln!(io::stderr(), "SKIPPED: {missing} is not installed, no server was asked");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Output};

    /// What the next test runs in processes of its own.
    #[test]
    #[ignore = "runs inside of the next one"]
    fn child_that_misses_a_program() {
        for _ in 0..3 {
            assert!(find_all(["sh", "no-such-program"]).is_none());
        }
    }

    fn run_child(ci: &str) -> Output {
        let mut child = Command::new(env::current_exe().unwrap());
        child.args(["--ignored", "--exact", "installed::tests::child_that_misses_a_program"]);
        child.env("CI", ci).output().unwrap()
    }

    #[test]
    fn a_program_that_is_missing_is_said_once_and_fails_in_ci() {
        assert!(find_all(["sh"]).is_some());
        let skipped = run_child("false");
        let said = String::from_utf8(skipped.stderr).unwrap();
        assert!(skipped.status.success(), "{said}");
        assert_eq!(said, "SKIPPED: no-such-program is not installed, no server was asked\n");
        let failed = run_child("true");
        assert!(!failed.status.success());
        let said = String::from_utf8(failed.stdout).unwrap();
        assert!(said.contains("no-such-program is not installed"), "{said}");
    }
}
