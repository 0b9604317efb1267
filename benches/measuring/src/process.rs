//! A process that answers each line that it reads with another one.

use std::{
    error::Error,
    ffi::OsStr,
    fs,
    io::{self, BufRead, BufReader, Write},
    ops::Sub,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

/// How long a line may take. Ten million rows are made in less.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// A process that is asked. It is killed with this value.
pub struct Process {
    child: Child,
    command: String,
    questions: ChildStdin,
    answers: Receiver<io::Result<String>>,
    patience: Duration,
}

impl Process {
    /// Starts it, and waits for the line that says that it is ready.
    ///
    /// # Errors
    ///
    /// It cannot be started, ends without a line, or prints nothing for half an hour.
    pub fn start(command: &mut Command) -> Result<Self, Box<dyn Error>> {
        Self::start_with(command, PATIENCE)
    }

    fn start_with(command: &mut Command, patience: Duration) -> Result<Self, Box<dyn Error>> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let questions = child.stdin.take().ok_or("stdin is a pipe")?;
        let lines = BufReader::new(child.stdout.take().ok_or("stdout is a pipe")?).lines();
        let (sender, answers) = channel();
        // It ends with the process, which closes its output.
        thread::spawn(move || lines.into_iter().try_for_each(|line| sender.send(line)));
        let command = name_of(command);
        let mut process = Self { child, command, questions, answers, patience };
        process.line()?;
        Ok(process)
    }

    /// Sends a line, and gives the one that answers it.
    ///
    /// # Errors
    ///
    /// It has ended, or prints nothing for half an hour.
    pub fn ask(&mut self, question: &str) -> Result<String, Box<dyn Error>> {
        writeln!(self.questions, "{question}")
            .map_err(|error| format!("{} has ended: {error}", self.command))?;
        self.line()
    }

    /// The next line that it prints.
    ///
    /// # Errors
    ///
    /// It has ended, or prints nothing for half an hour. Then it is ended.
    pub fn line(&mut self) -> Result<String, Box<dyn Error>> {
        match self.answers.recv_timeout(self.patience) {
            Ok(line) => Ok(line?),
            Err(RecvTimeoutError::Disconnected) => {
                Err(format!("{} has ended", self.command).into())
            }
            Err(RecvTimeoutError::Timeout) => {
                self.end();
                let seconds = self.patience.as_secs();
                Err(format!("{} printed nothing for {seconds} seconds", self.command).into())
            }
        }
    }

    /// For how long the processor has worked for it until now.
    ///
    /// # Errors
    ///
    /// It has ended, or this is not Linux.
    pub fn worked(&self) -> Result<Worked, Box<dyn Error>> {
        let status = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        Worked::parse(&status).ok_or_else(|| format!("the system says {status:?}").into())
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// What a command is called in an error: the program, and what it is told but for paths and addresses, which say where something
/// is on this machine.
fn name_of(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = command.get_args().map(OsStr::to_string_lossy);
    let words = words.filter(|word| !word.contains(['/', ':']));
    let named = [program.to_string_lossy()].into_iter().chain(words);
    format!("`{}`", named.collect::<Vec<_>>().join(" "))
}

/// For how long the processor has worked for a process, in seconds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Worked {
    /// In the program itself.
    pub own: f64,
    /// In the system, on its behalf.
    pub system: f64,
}

impl Worked {
    /// How many of the units in which Linux tells it are a second: `getconf CLK_TCK`, which is the same wherever Rust runs on
    /// it. So it is told by the hundredth of a second.
    const A_SECOND: f64 = 100.0;

    /// Reads what stands in `/proc/PID/stat` (`proc_pid_stat(5)`): the 14th and the 15th field.
    fn parse(status: &str) -> Option<Self> {
        // The second is the program's name in brackets, which may hold anything.
        let (_, fields) = status.rsplit_once(')')?;
        let mut fields = fields.split_whitespace().skip(11).map(str::parse::<f64>);
        let mut next = || Some(fields.next()?.ok()? / Self::A_SECOND);
        Some(Self { own: next()?, system: next()? })
    }
}

/// Between two instants.
impl Sub for Worked {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { own: self.own - before.own, system: self.system - before.system }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn each_line_is_answered() {
        let mut process = Process::start(&mut shell("echo ready; exec cat")).unwrap();
        assert_eq!(process.ask("one").unwrap(), "one");
        assert_eq!(process.ask("two").unwrap(), "two");
    }

    #[test]
    fn what_the_processor_has_done_is_read_behind_the_name() {
        let status = "417 (a )program 1) S 1 417 417 0 -1 4194560 5 0 0 0 129 283 7 8 20 0 3 0 99";
        assert_eq!(Worked::parse(status), Some(Worked { own: 1.29, system: 2.83 }));
        assert_eq!(Worked::parse("417"), None);
        assert!(Process::start(&mut shell("echo ready; exec cat")).unwrap().worked().is_ok());
    }

    #[test]
    fn a_command_is_named_without_its_places() {
        let mut command = Command::new("/folder/program");
        command.args(["ours", "postgres://localhost/sessions", "/folder/file", "128"]);
        assert_eq!(name_of(&command), "`program ours 128`");
    }

    #[test]
    fn what_has_ended_is_named() {
        let error = Process::start(&mut shell("exit 0")).err().unwrap().to_string();
        assert!(error.contains("exit 0") && error.ends_with("has ended"), "{error}");
    }

    #[test]
    fn what_prints_nothing_is_named() {
        let silent = Process::start_with(&mut shell("exec cat"), Duration::ZERO);
        let error = silent.err().unwrap().to_string();
        assert!(error.contains("exec cat") && error.contains("printed nothing"), "{error}");
    }
}
