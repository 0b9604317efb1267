//! Sessions of this library beside those of its peers and beside the limit, in one run on one machine.
//!
//! ```text
//! beside [quick|full] [into FOLDER] [PART ...]    measures parts, or all, into RESULTS.md and plots beside it
//! beside profile LIBRARY CASE                     what the instructions are spent on, by function
//! beside run LIBRARY with|without CASE REQUESTS   answers requests under valgrind
//! beside run limit PART TIMES                     does a part of what no library can do without
//! beside serve LIBRARY with|without SESSIONS      answers requests in turns
//! beside listen LIBRARY with|without FILE         answers requests over a socket
//! ```
//!
//! The parts are counts, times, memory, limits, sockets and databases, and of the last by themselves requests, growth,
//! payload and conflicts. `quick` only tries whether all works, and leaves the results as they are.

mod counts;
mod libraries;
mod limits;
mod machine;
mod results;
mod run;
mod section;
mod sockets;
mod times;

use std::{env, error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["run", "limit", part, times] => limits::run(part.parse()?, times.parse()?),
        ["run", "layer", requests] => counts::run_layer(requests.parse()?),
        ["run", "bare", requests] => counts::run_bare(requests.parse()?),
        ["run", library, sessions, case, requests] => {
            counts::run(library.parse()?, sessions.parse()?, case.parse()?, requests.parse()?);
        }
        ["profile", library, case] => counts::profile(library.parse()?, case.parse()?),
        ["serve", library, sessions, count] => {
            times::serve(library.parse()?, sessions.parse()?, count.parse()?)?;
        }
        ["listen", library, sessions, file] => {
            sockets::listen(library.parse()?, sessions.parse()?, Path::new(file))?;
        }
        _ => run::run(&words)?,
    }
    Ok(())
}
