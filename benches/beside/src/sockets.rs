//! Requests over a socket: how many a second a server answers with a library, and without one.

use crate::{
    counts::Sessions,
    libraries::Library,
    run::{Result, Run, whole},
};
use applications::asked::{Case, FIELDS};
use measuring::{
    Spread, median,
    plot::{Bar, Group},
    process::Process,
};
use std::{
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::{self, Command},
};
use tokio::{net::TcpListener, runtime::Runtime};

/// The libraries that are served.
const SERVED: [Library; 3] = [Library::Memory, Library::Stealth, Library::TowerSessions];

/// The cases that are asked for.
const CASES: [Case; 2] = [Case::Read, Case::ReadAndWrite];

/// Sessions that there are.
const SESSIONS: usize = 100_000;

const CONNECTIONS: u32 = 32;

/// How often each server is asked, and for how many seconds.
const ROUNDS: usize = 5;
const SECONDS: u32 = 2;

/// Serves on a free port of this machine. Writes the cookies of its sessions into a file, a line each, and prints the port.
pub(crate) fn listen(library: Library, sessions: Sessions, cookies: &Path) -> Result<()> {
    Runtime::new()?.block_on(async {
        let asked = sessions.of(library, SESSIONS).await;
        fs::write(cookies, asked.all_cookies().join("\n"))?;
        let router = asked.application.router().ok_or("it is no application of axum")?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("ready");
        println!("{}", listener.local_addr()?.port());
        Ok(axum::serve(listener, router).await?)
    })
}

/// A server, and what a load generator is told of it.
struct Server {
    _process: Process,
    address: String,
    script: PathBuf,
}

impl Server {
    fn start(library: Library, which: &str, folder: &Path) -> Result<Self> {
        let name = format!("{}-{which}", library.word());
        let cookies = folder.join(&name);
        let mut command = Command::new(env::current_exe()?);
        command.args(["listen", library.word(), which]).arg(&cookies);
        let mut process = Process::start(&mut command)?;
        let address = format!("http://127.0.0.1:{}", process.line()?);
        let script = folder.join(format!("{name}.lua"));
        fs::write(&script, script_for(&fs::read_to_string(cookies)?))?;
        Ok(Self { _process: process, address, script })
    }

    /// Requests a second.
    fn ask(&self, case: Case) -> Result<f64> {
        let output = Command::new("wrk")
            .args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{SECONDS}s"), "-s"])
            .arg(&self.script)
            .arg(format!("{}{}", self.address, case.path()))
            .output()
            .map_err(|error| format!("wrk cannot be run: {error}"))?;
        let report = String::from_utf8(output.stdout)?;
        let line = report.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
        match line {
            Some(number) if !report.contains("Non-2xx") => Ok(number.trim().parse()?),
            _ => Err(format!("wrk says:\n{report}").into()),
        }
    }
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

/// What servers with a library answer, as shares of what they answer without.
struct Shares {
    library: Library,
    case: Case,
    /// Requests a second.
    with: f64,
    without: f64,
    share: Spread,
}

fn measure(run: &Run) -> Result<Vec<Shares>> {
    let folder = env::temp_dir().join(format!("beside-{}", process::id()));
    fs::create_dir_all(&folder)?;
    let measured = measure_in(&folder, run.effort.turns(ROUNDS));
    fs::remove_dir_all(&folder)?;
    measured
}

fn measure_in(folder: &Path, turns: usize) -> Result<Vec<Shares>> {
    let mut measured = Vec::new();
    for library in SERVED {
        let with = Server::start(library, "with", folder)?;
        let without = Server::start(library, "without", folder)?;
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
                rounds.push((with, without));
            }
            // The first warms up.
            rounds.remove(0);
            measured.push(Shares {
                library,
                case,
                with: median(rounds.iter().map(|(with, _)| *with)),
                without: median(rounds.iter().map(|(_, without)| *without)),
                share: Spread::of(rounds.iter().map(|(with, without)| with / without)),
            });
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
         of {SECONDS} seconds. The share is of what the same server answers without sessions. {}\n\n\
         | request | library | with | without | share, % |\n|---|---|---:|---:|---:|\n",
        Spread::explained(turns)
    );
    let rows = measure(run)?;
    for Shares { library, case, with, without, share } in &rows {
        let (case, title) = (case.title(), library.title());
        writeln!(
            text,
            "| {case} | {title} | {with:.0} | {without:.0} | {} |",
            (*share * 100.0).cell(1)
        )?;
    }
    let groups = CASES.map(|case| group(case, rows.iter().filter(|row| row.case == case)));
    text.push_str(&run.draw("sockets", "Requests a second over a socket", &groups)?);
    Ok(text)
}

fn group<'a>(case: Case, rows: impl Iterator<Item = &'a Shares> + Clone) -> Group {
    let with = rows.clone().map(|row| Bar::new(row.library.title(), whole(row.with)));
    let bare = median(rows.map(|row| row.without));
    let bare = Bar::new("axum alone", whole(bare));
    Group::new(case.title(), with.chain([bare]).collect())
}
