//! A process that runs the course.

use std::{
    error::Error,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

pub(crate) struct Process {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// What a request costs.
pub(crate) struct Measured {
    pub(crate) nanos: f64,
    pub(crate) statements: f64,
}

impl Process {
    /// Starts it on a database, and waits until that is filled.
    pub(crate) fn start(
        program: &Path,
        arguments: &[&str],
        database: &str,
        synchronous: &str,
        how: &str,
    ) -> Result<Self, Box<dyn Error>> {
        let mut child = Command::new(program)
            .args(arguments)
            .args([database, synchronous, how])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let questions = child.stdin.take().ok_or("stdin is a pipe")?;
        let answers = BufReader::new(child.stdout.take().ok_or("stdout is a pipe")?);
        let mut process = Self { child, questions, answers };
        process.line()?;
        Ok(process)
    }

    pub(crate) fn ask(
        &mut self,
        path: &str,
        in_flight: usize,
        requests: u32,
    ) -> Result<Measured, Box<dyn Error>> {
        writeln!(self.questions, "{path} {in_flight} {requests}")?;
        let line = self.line()?;
        let (nanos, statements) = line.split_once(' ').ok_or("an answer has two numbers")?;
        let per_request =
            |sum: &str| Ok::<_, Box<dyn Error>>(sum.parse::<f64>()? / f64::from(requests));
        Ok(Measured { nanos: per_request(nanos)?, statements: per_request(statements)? })
    }

    fn line(&mut self) -> Result<String, Box<dyn Error>> {
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
