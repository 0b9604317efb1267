//! The curl lines of the README, run as they stand there against the demo.

mod server;

use server::{Demo, Folder};
use std::{
    env, fs,
    io::{self, Write},
    path::Path,
    process::{Command, Stdio},
};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");

/// Where the README says that the demo listens.
const ADDRESS: &str = "127.0.0.1:3000";

/// One `$ ` line and what stands below it.
#[derive(Debug, PartialEq)]
struct Example {
    command: String,
    output: String,
}

#[test]
fn every_curl_line_of_the_readme_does_what_it_says() {
    let text = fs::read_to_string(README).expect("the repository has a README.md");
    let examples = examples(&text);
    assert!(!examples.is_empty(), "README.md has no console block with `$ curl` lines");
    if !has_curl() {
        assert!(env::var("CI").as_deref() != Ok("true"), "curl is missing");
        // Written past the macros, whose text the test runner keeps to itself.
        let _ = writeln!(io::stderr(), "SKIPPED: curl is missing, the README's lines were not run");
        return;
    }
    let folder = Folder::new();
    let demo = Demo::start(&folder);
    for example in &examples {
        let command = example.command.replace(ADDRESS, &demo.address);
        let output = run(&command, folder.path());
        assert_eq!(output, example.output, "$ {}", example.command);
    }
}

#[test]
fn blocks_without_curl_are_left_alone() {
    let text = "```console\n$ cargo run\nlistening\n```\n\n```console\n$ curl a\n1\n2\n$ curl b\n```\n```sh\n$ curl c\n```\n";
    let example = |command: &str, output: &str| Example {
        command: command.to_owned(),
        output: output.to_owned(),
    };
    assert_eq!(examples(text), [example("curl a", "1\n2\n"), example("curl b", "")]);
}

/// The commands of all console blocks that start with `$ curl`.
fn examples(text: &str) -> Vec<Example> {
    let mut examples = Vec::new();
    let mut lines = text.lines();
    while lines.by_ref().any(|line| line.trim() == "```console") {
        let block: Vec<_> = lines.by_ref().take_while(|line| line.trim() != "```").collect();
        if block.first().is_some_and(|line| line.starts_with("$ curl")) {
            examples.extend(commands(&block));
        }
    }
    examples
}

fn commands(block: &[&str]) -> Vec<Example> {
    let mut commands: Vec<Example> = Vec::new();
    for line in block {
        if let Some(command) = line.strip_prefix("$ ") {
            assert!(command.starts_with("curl "), "a curl block has another command: {line}");
            commands.push(Example { command: command.to_owned(), output: String::new() });
        } else if let Some(example) = commands.last_mut() {
            example.output.push_str(line);
            example.output.push('\n');
        }
    }
    commands
}

fn has_curl() -> bool {
    let output = Command::new("curl").arg("--version").stdout(Stdio::null()).status();
    output.is_ok_and(|status| status.success())
}

/// Runs a line as a shell does, without the settings and proxies of whoever runs the test.
fn run(command: &str, folder: &Path) -> String {
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
