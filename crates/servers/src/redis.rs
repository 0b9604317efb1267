//! Redis.

use crate::{engine::Durability, process, server::Place};
#[cfg(unix)]
use std::io::{BufRead, BufReader, Write};
use std::{io, process::Command};

/// How many databases there are: they have numbers.
pub(crate) const DATABASES: u32 = 10_000;

/// Redis in the foreground. Only one that is durable finds its data again after a restart.
pub(crate) fn command(place: &Place, durability: Durability) -> Command {
    let folder = place.folder.path();
    let mut command = process::command(&place.programs.server, folder);
    command.args(["--port", &place.port.to_string(), "--bind", "127.0.0.1"]);
    command.arg("--dir").arg(folder).arg("--unixsocket").arg(folder.join("socket"));
    command.args(["--databases", &DATABASES.to_string(), "--save", "", "--maxmemory", "256mb"]);
    match durability {
        Durability::Fast => command.args(["--appendonly", "no"]),
        Durability::Durable => command.args(["--appendonly", "yes", "--appendfsync", "always"]),
    };
    command
}

/// Sends commands, one a line, and gives the first line of what the last of them is answered. Asks through the socket in
/// the server's folder, where nobody else can be.
pub(crate) fn ask(place: &Place, database: &str, words: &str) -> Result<String, String> {
    exchange(place, database, words).map_err(|error| error.to_string())
}

#[cfg(unix)]
fn exchange(place: &Place, database: &str, words: &str) -> io::Result<String> {
    let mut stream = std::os::unix::net::UnixStream::connect(place.folder.path().join("socket"))?;
    stream.set_read_timeout(Some(crate::PATIENCE))?;
    let commands = format!("SELECT {database}\r\n{words}\r\n");
    stream.write_all(commands.as_bytes())?;
    let mut answers = BufReader::new(stream);
    let mut answer = String::new();
    for _ in commands.lines() {
        answer.clear();
        answers.read_line(&mut answer)?;
    }
    Ok(answer.trim_end().to_owned())
}

#[cfg(not(unix))]
fn exchange(_: &Place, _: &str, _: &str) -> io::Result<String> {
    Err(io::ErrorKind::Unsupported.into())
}
