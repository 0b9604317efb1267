//! The curl lines of the README, run as they stand there against the demo.

mod process;

use process::{Demo, empty_folder, has_curl, run};
use std::fs;

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
        return;
    }
    let folder = empty_folder("readme");
    let demo = Demo::start(&folder, &[]);
    assert_eq!(demo.said, ["driver: database"]);
    for example in &examples {
        let command = example.command.replace(ADDRESS, &demo.address);
        let output = run(&command, &folder);
        assert_eq!(output, example.output, "$ {}", example.command);
    }
    let _ = fs::remove_dir_all(&folder);
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
