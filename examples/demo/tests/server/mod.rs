//! The demo as a process of its own, and somebody who talks to it over the network.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use dframework_session::{Clock, testing::Browser};
use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// A folder of one test, removed when it is over.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("demo-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("the target folder takes another folder");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The command that starts the demo in a folder, on a port of its own.
pub(crate) fn command(folder: &Folder, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    // Nothing that is set around the test may change what the README promises.
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("APP_") {
            command.env_remove(name);
        }
    }
    command
        .env("DEMO_ADDRESS", "127.0.0.1:0")
        .env("RUST_LOG", "error")
        .envs(variables.iter().copied())
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

/// The demo. It ends with this value.
pub(crate) struct Demo {
    process: Child,
    pub(crate) address: String,
    /// What it has said of itself before it began to listen.
    pub(crate) said: Vec<String>,
}

impl Demo {
    pub(crate) fn start(folder: &Folder) -> Self {
        Self::start_with(folder, &[])
    }

    pub(crate) fn start_with(folder: &Folder, variables: &[(&str, &str)]) -> Self {
        let process = command(folder, variables).spawn().expect("the demo starts");
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

    /// Ends it as Ctrl-C does.
    pub(crate) fn interrupt(mut self) -> ExitStatus {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").args(["-INT", &pid]).status().expect("there is a kill");
        assert!(sent.success());
        self.process.wait().expect("the demo ends")
    }

    /// Ends it in the middle of whatever it does.
    pub(crate) fn kill(mut self) {
        self.process.kill().expect("the demo still runs");
        self.process.wait().expect("the demo ends");
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where the browser believes to be, whichever process answers.
const HERE: &str = "https://localhost/";

/// Somebody with a browser.
#[derive(Clone)]
pub(crate) struct Visitor(Browser);

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Visitor {
    pub(crate) fn new() -> Self {
        Self(Browser::new(Clock::manual()))
    }

    pub(crate) fn get(&mut self, demo: &Demo, path: &str) -> Answer {
        self.send(&demo.address, "GET", path, "").expect("the demo answers")
    }

    pub(crate) fn post(&mut self, demo: &Demo, path: &str, form: &str) -> Answer {
        self.send(&demo.address, "POST", path, form).expect("the demo answers")
    }

    /// Sends a request, and keeps the cookies; `None` where nobody answers.
    pub(crate) fn send(
        &mut self,
        address: &str,
        method: &str,
        path: &str,
        form: &str,
    ) -> Option<Answer> {
        let cookies = self.0.cookie_field(HERE);
        let cookies = cookies.map(|field| format!("Cookie: {field}\r\n")).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{cookies}\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        );
        let mut stream = TcpStream::connect(address).ok()?;
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        for line in lines {
            if let Some(line) = line.strip_prefix("set-cookie: ") {
                self.0.receive(HERE, line).expect("a browser takes our cookies");
            }
        }
        Some(Answer { status, body: body.to_owned() })
    }

    pub(crate) fn session(&mut self, demo: &Demo) -> String {
        self.get(demo, "/api/session").body
    }
}
