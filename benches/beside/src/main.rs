//! Sessions of this library beside those of its peers and beside the limit, in one run on one machine.
//!
//! ```text
//! beside [PART ...]   measures counts, times, memory, limits, sockets, databases, or all, into RESULTS.md
//! beside profile LIBRARY CASE                     what the instructions are spent on, by function
//! beside run LIBRARY with|without CASE REQUESTS   answers requests under valgrind
//! beside run limit PART TIMES                     does a part of what no library can do without
//! beside serve LIBRARY with|without SESSIONS      answers requests in turns
//! beside listen LIBRARY with|without FILE         answers requests over a socket
//! ```

mod counts;
mod libraries;
mod limits;
mod plot;
mod results;
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
        _ => results::run(&words)?,
    }
    Ok(())
}
