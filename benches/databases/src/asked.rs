//! A process on the course, and what its requests cost.

use measuring::process::Process;
use std::{error::Error, path::Path, process::Command};

pub(crate) struct Asked(Process);

/// What a request costs.
pub(crate) struct Measured {
    pub(crate) nanos: f64,
    pub(crate) statements: f64,
}

impl Asked {
    /// Starts it on a database, and waits until that is filled.
    pub(crate) fn start(
        program: &Path,
        arguments: &[&str],
        database: &str,
        synchronous: &str,
        how: &str,
    ) -> Result<Self, Box<dyn Error>> {
        let mut command = Command::new(program);
        command.args(arguments).args([database, synchronous, how]);
        Ok(Self(Process::start(&mut command)?))
    }

    pub(crate) fn ask(
        &mut self,
        path: &str,
        in_flight: usize,
        requests: u32,
    ) -> Result<Measured, Box<dyn Error>> {
        let line = self.0.ask(&format!("{path} {in_flight} {requests}"))?;
        let (nanos, statements) = line.split_once(' ').ok_or("an answer has two numbers")?;
        let per_request =
            |sum: &str| Ok::<_, Box<dyn Error>>(sum.parse::<f64>()? / f64::from(requests));
        Ok(Measured { nanos: per_request(nanos)?, statements: per_request(statements)? })
    }
}
