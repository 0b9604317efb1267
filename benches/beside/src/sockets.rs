//! Requests over a socket: how many a second a server answers with a library, and without one.

use crate::{
    libraries::{Asked, Library},
    run::{Result, Run, whole},
};
use applications::asked::{Case, FIELDS};
use measuring::{
    Side, Spread,
    files::Folder,
    median,
    plot::{Bar, Group},
    process::{Process, Worked},
};
use std::{
    env,
    fmt::Write,
    fs, io,
    path::{Path, PathBuf},
    process::{self, Command},
    thread,
};
use tokio::{net::TcpListener, runtime::Runtime};

/// The libraries that are served.
const SERVED: [Library; 4] =
    [Library::Memory, Library::ByHand, Library::Stealth, Library::TowerSessions];

/// The cases that are asked for.
const CASES: [Case; 2] = [Case::Read, Case::ReadAndWrite];

/// Sessions that there are.
const SESSIONS: usize = 100_000;

const CONNECTIONS: u32 = 32;

/// How often each server is asked, and for how many seconds.
const ROUNDS: usize = 5;
const SECONDS: u32 = 2;

/// Serves on a free port of this machine. Writes the cookies of its sessions into a file, a line each, and prints the port.
pub(crate) fn listen(library: Library, side: Side, cookies: &Path) -> Result<()> {
    Runtime::new()?.block_on(async {
        let asked = Asked::new(library, side, SESSIONS).await;
        fs::write(cookies, asked.all_cookies().join("\n"))?;
        let router = asked.application.router().ok_or("it is no application of axum")?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        // Whoever has started it closes its input, or goes.
        thread::spawn(|| {
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            process::exit(0)
        });
        println!("ready");
        println!("{}", listener.local_addr()?.port());
        Ok(axum::serve(listener, router).await?)
    })
}

/// A server, and what a load generator is told of it.
struct Server {
    process: Process,
    address: String,
    script: PathBuf,
}

impl Server {
    fn start(library: Library, side: Side, folder: &Path) -> Result<Self> {
        let which = side.word();
        let name = format!("{}-{which}", library.word());
        let cookies = folder.join(&name);
        let mut command = Command::new(env::current_exe()?);
        command.args(["listen", library.word(), which]).arg(&cookies);
        let mut process = Process::start(&mut command)?;
        let address = format!("http://127.0.0.1:{}", process.line()?);
        let script = folder.join(format!("{name}.lua"));
        fs::write(&script, script_for(&fs::read_to_string(cookies)?))?;
        Ok(Self { process, address, script })
    }

    fn ask(&self, case: Case) -> Result<Answered> {
        let before = self.process.worked()?;
        let report = self.report(case)?;
        let worked = self.process.worked()? - before;
        Answered::parse(&report, worked).ok_or_else(|| format!("wrk says:\n{report}").into())
    }

    fn report(&self, case: Case) -> Result<String> {
        let output = Command::new("wrk")
            .args(["-t1", "--latency", &format!("-c{CONNECTIONS}"), &format!("-d{SECONDS}s"), "-s"])
            .arg(&self.script)
            .arg(format!("{}{}", self.address, case.path()))
            .output()
            .map_err(|error| format!("wrk cannot be run: {error}"))?;
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// What wrk says of a server, and the system.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Answered {
    /// Requests a second.
    a_second: f64,
    /// In how many microseconds half of the requests are answered.
    half: f64,
    /// In how many microseconds 99 of 100 requests are answered.
    most: f64,
    /// The microseconds for which the processor works in the server for a request.
    own: f64,
    /// The microseconds for which it works in the system on behalf of the server.
    system: f64,
}

impl Answered {
    /// Reads a report. There is none where a request failed.
    fn parse(report: &str, worked: Worked) -> Option<Self> {
        let said = |name| report.lines().find_map(|line| line.trim_start().strip_prefix(name));
        if report.contains("Non-2xx") || report.contains("Socket errors") {
            return None;
        }
        let requests =
            report.lines().find_map(|line| line.trim_start().split_once(" requests in "));
        let requests: f64 = requests?.0.parse().ok()?;
        Some(Self {
            a_second: said("Requests/sec:")?.trim().parse().ok()?,
            half: micros(said("50%")?)?,
            most: micros(said("99%")?)?,
            own: worked.own * 1e6 / requests,
            system: worked.system * 1e6 / requests,
        })
    }
}

/// Microseconds from a time as wrk writes it: `417.00us`, `1.19ms` or `2.05s`.
fn micros(time: &str) -> Option<f64> {
    let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6)];
    let found = units.iter().find_map(|(unit, by)| Some((time.trim().strip_suffix(unit)?, by)));
    let (number, by) = found?;
    Some(number.parse::<f64>().ok()? * by)
}

/// Each request is another session's.
fn script_for(cookies: &str) -> String {
    let (mut fields, mut list) = (String::new(), String::new());
    for (name, value) in FIELDS.iter().filter(|(name, _)| *name != "host") {
        // A string takes what is written into it.
        let _ = writeln!(fields, "  [{name:?}] = {value:?},");
    }
    for cookie in cookies.lines() {
        let _ = writeln!(list, "  {cookie:?},");
    }
    format!(
        "local cookies = {{\n{list}}}\nlocal fields = {{\n{fields}}}\nlocal number = 0\n\
         request = function()\n  number = number % #cookies + 1\n  \
         fields.cookie = cookies[number]\n  return wrk.format(nil, nil, fields)\nend\n"
    )
}

/// What a server with a library answers, and the same without, turn by turn.
struct Row {
    library: Library,
    case: Case,
    turns: Vec<Turn>,
}

struct Turn {
    with: Answered,
    without: Answered,
}

impl Row {
    fn with(&self, of: fn(&Answered) -> f64) -> f64 {
        median(self.turns.iter().map(|turn| of(&turn.with)))
    }

    fn without(&self, of: fn(&Answered) -> f64) -> f64 {
        median(self.turns.iter().map(|turn| of(&turn.without)))
    }

    /// Of what is answered without, how many of a hundred are answered.
    fn share(&self) -> Spread {
        let share = |turn: &Turn| 100.0 * turn.with.a_second / turn.without.a_second;
        Spread::of(self.turns.iter().map(share))
    }
}

fn measure(run: &Run) -> Result<Vec<Row>> {
    let (folder, turns) = (Folder::new()?, run.effort.turns(ROUNDS));
    let mut measured = Vec::new();
    for library in SERVED {
        let with = Server::start(library, Side::With, folder.path())?;
        let without = Server::start(library, Side::Without, folder.path())?;
        for case in CASES {
            let mut rounds = Vec::new();
            for round in 0..=turns {
                // Nobody is always the first.
                let (with, without) = if round % 2 == 0 {
                    let without = without.ask(case)?;
                    (with.ask(case)?, without)
                } else {
                    (with.ask(case)?, without.ask(case)?)
                };
                rounds.push(Turn { with, without });
            }
            // The first warms up.
            rounds.remove(0);
            measured.push(Row { library, case, turns: rounds });
        }
    }
    measured.sort_by_key(|row| row.case);
    Ok(measured)
}

/// The table of all servers, and a plot.
pub(crate) fn table(run: &Run) -> Result<String> {
    let turns = run.effort.turns(ROUNDS);
    let mut text = format!(
        "Requests a second over {CONNECTIONS} connections of one load generator, wrk, on the same machine: medians of {turns} turns \
         of {SECONDS} seconds. The share is of what the same server answers without sessions. {} Then the microseconds in which \
         half of the requests are answered, and 99 of 100: with sessions / without.\n\n\
         | request | library | with | without | share, % | half, µs | 99 %, µs |\n|---|---|---:|---:|---:|---:|---:|\n",
        Spread::explained(turns)
    );
    let rows = measure(run)?;
    for row in &rows {
        let (case, title, share) = (row.case.title(), row.library.title(), row.share().cell(1));
        let [with, without] = [Row::with, Row::without].map(|of| of(row, |one| one.a_second));
        let both = |of| format!("{:.0} / {:.0}", row.with(of), row.without(of));
        let (half, most) = (both(|one| one.half), both(|one| one.most));
        writeln!(
            text,
            "| {case} | {title} | {with:.0} | {without:.0} | {share} | {half} | {most} |"
        )?;
    }
    write_worked(&mut text, &rows)?;
    let groups = CASES.map(|case| group(case, rows.iter().filter(|row| row.case == case)));
    text.push_str(&run.draw("sockets", "Requests a second over a socket", &groups)?);
    Ok(text)
}

/// The table of what the servers themselves take.
fn write_worked(text: &mut String, rows: &[Row]) -> Result<()> {
    text.push_str(
        "\nMicroseconds of the processor that a request takes of the server: in its own code, and in the system's on its behalf. \
         What the load generator takes is not among them.\n\n\
         | request | library | own, with | without | system, with | without |\n|---|---|---:|---:|---:|---:|\n",
    );
    for row in rows {
        write!(text, "| {} | {} ", row.case.title(), row.library.title())?;
        for of in [|one: &Answered| one.own, |one: &Answered| one.system] {
            write!(text, "| {:.1} | {:.1} ", row.with(of), row.without(of))?;
        }
        text.push_str("|\n");
    }
    Ok(())
}

fn group<'a>(case: Case, rows: impl Iterator<Item = &'a Row> + Clone) -> Group {
    let bar = |row: &Row| Bar::new(row.library.title(), whole(row.with(|one| one.a_second)));
    let bare = median(rows.clone().map(|row| row.without(|one| one.a_second)));
    let bare = Bar::new("axum alone", whole(bare));
    Group::new(case.title(), rows.map(bar).chain([bare]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "  1 threads and 32 connections\n  Thread Stats   Avg      Stdev     Max   +/- Stdev\n    \
        Latency     1.87ms    1.58ms  12.19ms   83.58%\n  Latency Distribution\n     50%  417.00us\n     75%    2.60ms\n     \
        99%    7.86ms\n  1264 requests in 1.10s, 686.50KB read\nRequests/sec:   1149.02\n";

    const WORKED: Worked = Worked { own: 0.01264, system: 0.02528 };

    #[test]
    fn a_report_is_read_in_one_unit() {
        let answered = Answered::parse(REPORT, WORKED).unwrap();
        assert_eq!((answered.a_second, answered.half, answered.most), (1149.02, 417.0, 7_860.0));
        assert_eq!((answered.own, answered.system), (10.0, 20.0));
        assert_eq!(micros("   2.00s"), Some(2e6));
    }

    #[test]
    fn a_report_of_failures_is_none() {
        let failed = format!("{REPORT}  Non-2xx or 3xx responses: 3\n");
        assert_eq!(Answered::parse(&failed, WORKED), None);
        let failed = format!("{REPORT}  Socket errors: connect 0, read 0, write 0, timeout 3\n");
        assert_eq!(Answered::parse(&failed, WORKED), None);
        assert_eq!(Answered::parse(&REPORT.replace("99%", "98%"), WORKED), None);
    }
}
