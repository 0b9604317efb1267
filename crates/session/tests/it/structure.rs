//! What ARCHITECTURE.md promises of the sources.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            files.push((path, text));
        }
    }
    files
}

/// The library's sources by their path below `src`, without comments and test modules.
fn code() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let shown = |path: &Path| path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
    let files = sources(&root).into_iter().map(|(path, text)| {
        let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default().to_owned();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        (shown(&path), lines.collect::<Vec<_>>().join("\n"))
    });
    let files: Vec<_> = files.collect();
    assert!(files.len() > 30, "{}", files.len());
    files
}

#[test]
fn frameworks_are_named_in_their_adapters_only() {
    for (file, text) in code() {
        let tower = ["http::", "axum", "tower_layer", "tower_service"].as_slice();
        let actix = ["actix_web", "actix_http"].as_slice();
        let folder = file.split(['.', '/']).next().unwrap();
        let (own, others): (&[_], &[_]) = match folder {
            "tower" => (tower, actix),
            "actix" => (actix, &tower[1..]),
            _ => (&[], &[]),
        };
        if let [name, ..] = own {
            assert!(text.contains(name), "{file} is an adapter");
        }
        let anywhere = tower.iter().chain(actix).filter(|_| own.is_empty());
        for name in anywhere.chain(others).chain(&["hyper"]) {
            let named =
                text.lines().find(|line| line.contains(*name) && !line.contains("feature ="));
            assert_eq!(named, None, "{file}");
        }
    }
}

#[test]
fn the_clock_is_read_in_one_place() {
    for (file, text) in code() {
        let reads = text.contains("SystemTime::now") || text.contains("Instant::now");
        assert_eq!(reads, file == "clock.rs", "{file}");
    }
}

#[test]
fn records_are_written_in_one_place() {
    let written = ["remote", "memory"]
        .map(|place| ["create", "commit", "touch"].map(|call| format!("{place}.{call}(")));
    let written = written.concat();
    for (file, text) in code() {
        let writes = written.iter().any(|call| text.contains(call.as_str()));
        // A memory store is asked from outside, too.
        let is_store = file.starts_with("memory");
        assert_eq!(writes && !is_store, file == "commit/write.rs", "{file}");
        assert_eq!(text.contains("driver.end("), file == "commit/apply.rs", "{file}");
    }
}

#[test]
fn random_bytes_come_from_the_operating_system_only() {
    for (file, text) in code() {
        for generator in ["rand::", "thread_rng", "StdRng", "fastrand"] {
            assert!(!text.contains(generator), "{file}");
        }
        let fills = text.contains("getrandom::fill");
        assert_eq!(fills, file == "token.rs", "{file}");
    }
}

#[test]
fn the_tests_that_the_security_policy_names_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let policy = fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let is_name = |word: &str| {
        word.matches('_').count() > 2
            && word.chars().all(|c| c.is_ascii_lowercase() || "_0123456789".contains(c))
    };
    let named: Vec<_> = policy.split('`').skip(1).step_by(2).filter(|word| is_name(word)).collect();
    assert!(named.len() > 30, "{named:?}");
    let folders = ["crates/session/src", "crates/session/tests", "examples/demo/tests"];
    let files: Vec<_> = folders.iter().flat_map(|folder| sources(&root.join(folder))).collect();
    for name in named {
        let test = format!("fn {name}(");
        assert!(files.iter().any(|(_, text)| text.contains(&test)), "{name}");
    }
}

#[test]
fn every_file_says_what_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (path, text) in sources(&root.join("src")).into_iter().chain(sources(&root.join("tests"))) {
        assert!(text.starts_with("//! "), "{}", path.display());
    }
}
