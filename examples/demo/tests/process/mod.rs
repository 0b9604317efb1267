//! The demo as a process of its own, and curl.

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// The demo, on a port of its own. It ends with this value.
pub(crate) struct Demo {
    process: Child,
    pub(crate) address: String,
    /// What it has said of itself.
    pub(crate) said: Vec<String>,
}

impl Demo {
    /// Starts it in this folder, with these variables.
    pub(crate) fn start(folder: &Path, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
        // Nothing that is set around the test may change what it does.
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("APP_") {
                command.env_remove(name);
            }
        }
        let process = command
            .env("DEMO_ADDRESS", "127.0.0.1:0")
            .envs(variables.iter().copied())
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the demo starts");
        let mut demo = Self { process, address: String::new(), said: Vec::new() };
        let output = BufReader::new(demo.process.stdout.take().expect("stdout is a pipe"));
        for line in output.lines().map_while(Result::ok) {
            if let Some(address) = line.strip_prefix("listening on http://") {
                address.clone_into(&mut demo.address);
                return demo;
            }
            demo.said.push(line);
        }
        panic!("the demo does not say where it listens");
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether curl is installed. Without it the tests say so, and in CI they fail.
pub(crate) fn has_curl() -> bool {
    let status = Command::new("curl").arg("--version").stdout(Stdio::null()).status();
    let found = status.is_ok_and(|status| status.success());
    if !found {
        assert!(env::var("CI").as_deref() != Ok("true"), "curl is missing");
        // Written past the macros, whose text the test runner keeps to itself.
        let _ = writeln!(io::stderr(), "SKIPPED: curl is missing, the demo was not asked");
    }
    found
}

/// A folder of this run alone, so that the cookie jar is fresh.
pub(crate) fn empty_folder(name: &str) -> PathBuf {
    let name = format!("{name}-{}", std::process::id());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the target folder takes another folder");
    folder
}

/// Runs a line as a shell does, without the settings and proxies of whoever runs the test.
pub(crate) fn run(command: &str, folder: &Path) -> String {
    let output = Command::new("sh")
        .args(["-c", command])
        .current_dir(folder)
        .env("HOME", folder)
        .env("CURL_HOME", folder)
        .env("no_proxy", "*")
        .stdin(Stdio::null())
        .output()
        .expect("a shell runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "$ {command}\n{errors}");
    String::from_utf8(output.stdout).expect("the demo answers in UTF-8")
}
