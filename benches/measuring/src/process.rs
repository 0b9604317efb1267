//! A process that answers each line that it reads with another one.

use std::{
    error::Error,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// A process that is asked. It is killed with this value.
pub struct Process {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Process {
    /// Starts it, and waits for the line that says that it is ready.
    ///
    /// # Errors
    ///
    /// It cannot be started, or ends without a line.
    pub fn start(command: &mut Command) -> Result<Self, Box<dyn Error>> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let questions = child.stdin.take().ok_or("stdin is a pipe")?;
        let answers = BufReader::new(child.stdout.take().ok_or("stdout is a pipe")?);
        let mut process = Self { child, questions, answers };
        process.line()?;
        Ok(process)
    }

    /// Sends a line, and gives the one that answers it.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn ask(&mut self, question: &str) -> Result<String, Box<dyn Error>> {
        writeln!(self.questions, "{question}")?;
        self.line()
    }

    /// The next line that it prints.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn line(&mut self) -> Result<String, Box<dyn Error>> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err(format!("{:?} has ended", self.child).into());
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
