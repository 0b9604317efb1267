//! chromedriver, and the requests it takes: JSON over plain HTTP on loopback.
//!
//! The crates that speak `WebDriver` bring more than forty others, for TLS, addresses and asynchronous requests. These
//! tests need one function: a request that waits for its answer.

use super::PATIENCE;
use serde_json::Value;
use std::{
    ffi::OsStr,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc,
    thread,
};

/// How often it is started before it counts as broken.
const STARTS: usize = 10;

/// A running chromedriver. It is killed with this value.
pub(super) struct WebDriver {
    process: Child,
    address: SocketAddr,
}

/// What chromedriver answered when it did not do what it was asked.
#[derive(Debug)]
pub(super) struct Refused(#[expect(dead_code, reason = "shown by `Debug`")] pub(super) String);

impl WebDriver {
    /// Starts one that keeps to this folder, on a port that the system picks.
    ///
    /// chromedriver asks for a free port of IPv6, then wants the same one of IPv4, and ends if somebody has that. It
    /// is started again then.
    pub(super) fn start(program: &OsStr, home: &Path) -> Self {
        let mut said = String::new();
        for _ in 0..STARTS {
            match Self::try_start(program, home) {
                Ok(driver) => return driver,
                Err(output) => said = output,
            }
        }
        panic!("chromedriver ended {STARTS} times without telling its port; it said:\n{said}");
    }

    /// Gives what it said if it ends.
    fn try_start(program: &OsStr, home: &Path) -> Result<Self, String> {
        let process = Command::new(program)
            .arg("--port=0")
            .env("HOME", home)
            .env("TMPDIR", home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut driver = Self { process, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let start = start(driver.process.stdout.take().unwrap());
        let port = start.recv_timeout(PATIENCE).expect("chromedriver tells its port or ends")?;
        driver.address.set_port(port);
        Ok(driver)
    }

    /// Sends a command and waits, for a bounded time, for its result.
    pub(super) fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value, Refused> {
        let answer = self.exchange(method, path, body);
        let (status, body) =
            answer.map_err(|error| Refused(format!("{method} {path}: {error}")))?;
        let value = serde_json::from_slice::<Value>(&body).map(|mut value| value["value"].take());
        match value {
            Ok(value) if status.starts_with("HTTP/1.1 200 ") => Ok(value),
            _ => Err(Refused(format!("{method} {path}: {}", String::from_utf8_lossy(&body)))),
        }
    }

    /// One request and its answer: the first line and the body.
    fn exchange(&self, method: &str, path: &str, body: &Value) -> io::Result<(String, Vec<u8>)> {
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        // chromedriver gives up earlier, and says of what.
        stream.set_read_timeout(Some(PATIENCE * 2))?;
        let host = self.address;
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )?;
        let mut answer = BufReader::new(stream);
        let mut status = String::new();
        answer.read_line(&mut status)?;
        let mut body = vec![0; body_length(&mut answer)?];
        answer.read_exact(&mut body)?;
        Ok((status, body))
    }
}

/// Reads the fields of an answer to their end, and tells how long its body is.
fn body_length(answer: &mut impl BufRead) -> io::Result<usize> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        answer.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { return Ok(length) };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
}

impl Drop for WebDriver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The port, once chromedriver says it, or all that it said, once it has ended without. Its output is read to the end,
/// or it would stand still one day.
fn start(output: ChildStdout) -> mpsc::Receiver<Result<u16, String>> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let mut said = String::new();
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let port = line.split("started successfully on port ").nth(1);
            if let Some(port) = port.and_then(|rest| rest.trim_end_matches('.').parse().ok()) {
                let _ = tell.send(Ok(port));
            }
            said.extend([&line, "\n"]);
        }
        let _ = tell.send(Err(said));
    });
    told
}
