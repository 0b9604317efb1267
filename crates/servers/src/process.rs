//! Processes: as whom they run, which are at home in a folder, and the signals that are sent to them.

use crate::PATIENCE;
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

/// As whom servers run. PostgreSQL refuses to run as root.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Account {
    /// Whoever runs the tests.
    Same,
    /// Somebody who may do nothing, since root runs the tests.
    #[cfg(unix)]
    Other { user: u32, group: u32 },
}

impl Account {
    pub(crate) fn of_servers() -> Self {
        static ACCOUNT: OnceLock<Account> = OnceLock::new();
        *ACCOUNT.get_or_init(Self::find)
    }

    #[cfg(unix)]
    fn find() -> Self {
        use std::os::unix::fs::MetadataExt;
        let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        if !is_root {
            return Self::Same;
        }
        let accounts = fs::read_to_string("/etc/passwd").expect("there is a list of accounts");
        let nobody = accounts.lines().find(|line| line.starts_with("nobody:"));
        let mut fields = nobody.expect("every system has a nobody").split(':').skip(2);
        let mut number = || fields.next()?.parse().ok();
        let (user, group) = number().zip(number()).expect("accounts have two numbers");
        Self::Other { user, group }
    }

    #[cfg(not(unix))]
    fn find() -> Self {
        Self::Same
    }

    /// Makes a folder or a file its own.
    pub(crate) fn own(self, path: &Path) {
        match self {
            Self::Same => {}
            #[cfg(unix)]
            Self::Other { user, group } => {
                std::os::unix::fs::chown(path, Some(user), Some(group))
                    .expect("root may give a folder away");
            }
        }
    }

    /// Lets a command run as this account.
    fn put_on(self, command: &mut Command) {
        match self {
            Self::Same => {}
            #[cfg(unix)]
            Self::Other { user, group } => {
                use std::os::unix::process::CommandExt;
                command.uid(user).gid(group);
            }
        }
    }
}

/// A program that runs as the account of the servers, at home in a folder, with nothing of the tests' environment.
pub(crate) fn command(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(home).env_clear().env("HOME", home).env("LC_ALL", "C");
    // `mariadb-install-db` is a script.
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command.stdin(Stdio::null());
    Account::of_servers().put_on(&mut command);
    command
}

/// Keeps the signals of a terminal away from a process.
pub(crate) fn set_apart(command: &mut Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    #[cfg(not(unix))]
    let _ = command;
}

/// Runs a program to its end, and gives what it wrote, or what it complained of.
pub(crate) fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    let program = command.get_program().display();
    Err(format!("{program}: {}{}", text(&output.stdout), text(&output.stderr)))
}

#[derive(Clone, Copy)]
pub(crate) enum Signal {
    Kill,
    Pause,
    Resume,
    Interrupt,
    Terminate,
}

impl Signal {
    pub(crate) fn send(self, process: u32) {
        let name = match self {
            Self::Kill => "KILL",
            Self::Pause => "STOP",
            Self::Resume => "CONT",
            Self::Interrupt => "INT",
            Self::Terminate => "TERM",
        };
        // The process may have ended meanwhile.
        let mut kill = Command::new("sh");
        kill.args(["-c", &format!("kill -s {name} {process}")]).stderr(Stdio::null());
        let _ = kill.status();
    }
}

/// The processes whose working folder is this one or below it: a server, its children, its clients.
pub(crate) fn all_in(folder: &Path) -> Vec<u32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // One that has ended, and that nobody has asked how, has no folder any more.
    let is_in = |id: &u32| {
        fs::read_link(format!("/proc/{id}/cwd")).is_ok_and(|home| home.starts_with(folder))
    };
    ids.filter(is_in).collect()
}

/// Pauses every process that is at home in this folder, and waits until each stands still.
pub(crate) fn pause_all_in(folder: &Path) {
    poll(|| {
        let runs = |process: &u32| !stands_still(*process);
        let running: Vec<u32> = all_in(folder).into_iter().filter(runs).collect();
        for process in &running {
            Signal::Pause.send(*process);
        }
        running.is_empty().then_some(())
    });
}

/// Whether a process is stopped, or has ended.
fn stands_still(process: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{process}/stat")) else { return true };
    // The name before the state is in parentheses, and may hold any.
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['T', 'Z', 'X']))
}

/// Ends every process that is at home in this folder, and waits until none is left.
pub(crate) fn end_all_in(folder: &Path) {
    poll(|| {
        let left = all_in(folder);
        for process in &left {
            Signal::Kill.send(*process);
        }
        left.is_empty().then_some(())
    });
}

/// Looks until there is something to see, for a bounded time.
pub(crate) fn poll<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return Some(seen);
        }
        if start.elapsed() > PATIENCE {
            return None;
        }
        // Another process has nothing that could be waited for.
        thread::sleep(Duration::from_millis(5));
    }
}
