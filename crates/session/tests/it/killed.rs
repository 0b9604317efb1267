//! The application is killed (`kill -9`) after any of its statements, and in the middle of load: what was answered is
//! there, what has ended stays so, and of a session there is one token.
//!
//! The application is this program, started as a child that runs one test. It says what was answered, and a line that
//! it has not written was not answered.

use crate::{
    database::Folder,
    support::{Bench, Client, Jar},
};
use dframework_session::{
    Clock, Config, Sessions,
    database::{
        SqlStore,
        sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
    },
};
use serde_json::json;
use std::{
    env,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};
use tracing::{
    Event, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};

/// What the child is told: the database, and after how many statements it stops, or which round of load it is.
const FILE: &str = "KILLED_FILE";
const STOP_AFTER: &str = "KILLED_STOP_AFTER";
const ROUND: &str = "KILLED_ROUND";

const WORKERS: usize = 4;

#[test]
#[ignore = "the tests below start it, and kill it"]
fn child() {
    let file = env::var(FILE).expect("a database to work on");
    // What the test runner has written stands on a line of its own.
    println!();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if let Ok(statements) = env::var(STOP_AFTER) {
            let left = AtomicUsize::new(statements.parse().unwrap());
            tracing::subscriber::set_global_default(Stop { left }).unwrap();
            walk(&open(Path::new(&file)).await).await;
            println!("> finished");
        } else {
            let round = env::var(ROUND).unwrap().parse().unwrap();
            load(Path::new(&file), round).await;
        }
    });
}

/// Sessions on a pool with every default, so that sqlx tells of its statements.
async fn open(file: &Path) -> Bench {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal);
    let store = SqlStore::new(SqlitePoolOptions::new().connect_lazy_with(options));
    store.migrate().await.unwrap();
    let clock = Clock::manual();
    let sessions = Sessions::from_store(store, &Config::new().clock(clock.clone())).unwrap();
    Bench::new("database", sessions, clock)
}

/// Stops the thread that has carried out the last of so many statements, before anybody hears of it.
struct Stop {
    left: AtomicUsize,
}

impl Subscriber for Stop {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }

    fn event(&self, _: &Event<'_>) {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            println!("> stopped");
            loop {
                std::thread::park();
            }
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Step {
    Begin,
    Count,
    Token,
    Login,
    Terms,
    Both,
    Logout,
}

const STEPS: [Step; 8] = [
    Step::Begin,
    Step::Count,
    Step::Token,
    Step::Terms,
    Step::Login,
    Step::Both,
    Step::Logout,
    Step::Begin,
];

/// One request, whose answer is written down.
async fn take(bench: &Bench, jar: &mut Jar, step: Step, owner: &str) {
    let request = async |session: dframework_session::SessionHandle| match step {
        Step::Begin | Step::Count => session.increment("visits", 1).await.map(drop),
        Step::Token => session.regenerate().await,
        Step::Login => session.set_owner(owner).await,
        Step::Terms => session.permanent(json!({ "terms": 1 })).await,
        Step::Both => {
            session.increment("terms", 1).await?;
            session.increment("visits", 1).await.map(drop)
        }
        Step::Logout => session.destroy().await,
    };
    bench.ok(jar, request).await;
}

async fn walk(bench: &Bench) {
    let mut jar = Jar::default();
    for step in STEPS {
        take(bench, &mut jar, step, "42").await;
        println!("> {}", jar.field());
    }
}

/// What a worker does over and over: its session begins, is used, and ends.
const CYCLE: [Step; 7] =
    [Step::Begin, Step::Login, Step::Count, Step::Token, Step::Count, Step::Token, Step::Logout];

fn owner(round: usize, worker: usize) -> String {
    format!("{round}-{worker}")
}

async fn load(file: &Path, round: usize) {
    let workers = (0..WORKERS).map(|worker| {
        let file = file.to_owned();
        tokio::spawn(async move {
            // Each with sessions of its own, as processes have them.
            let (bench, mut jar) = (open(&file).await, Jar::default());
            for step in CYCLE.iter().cycle() {
                take(&bench, &mut jar, *step, &owner(round, worker)).await;
                println!("> {worker} {}", jar.field());
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
}

/// The child, and what it says. It does not outlive this value.
struct Application {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Application {
    fn start(folder: &Folder, task: &str, number: usize) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "killed::child", "--ignored", "--nocapture"])
            .env(FILE, folder.file())
            .env(task, number.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output }
    }

    /// The next line that is whole; `None` once there are no more.
    fn line(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            self.output.read_line(&mut line).unwrap();
            let whole = line.strip_suffix('\n')?;
            if let Some(said) = whole.strip_prefix("> ") {
                return Some(said.to_owned());
            }
        }
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The cookies of a `Cookie` field.
fn jar(field: &str) -> Jar {
    let mut jar = Jar::default();
    for pair in field.split("; ").filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap();
        jar.insert(name, value);
    }
    jar
}

/// What a request with these cookies would read, without any trace of it.
async fn look(bench: &Bench, jar: &Jar, key: &'static str) -> Option<i64> {
    bench.open(jar, Client::Plain, "GET").get(key).await.unwrap()
}

/// The numbers `visits` and `terms` after so many steps of the walk.
fn numbers_after(steps: usize) -> (Option<i64>, Option<i64>) {
    let (mut visits, mut terms) = (None, None);
    for step in &STEPS[..steps] {
        match step {
            Step::Begin | Step::Count => visits = Some(visits.unwrap_or(0) + 1),
            Step::Terms => terms = Some(1),
            Step::Both => (visits, terms) = (visits.map(|n| n + 1), terms.map(|n| n + 1)),
            Step::Logout => (visits, terms) = (None, None),
            Step::Token | Step::Login => {}
        }
    }
    (visits, terms)
}

/// Holds the database to what was answered before the end: the cookies after each step.
async fn check_walk(bench: &Bench, answered: &[Jar]) {
    let done = answered.len();
    let newest = answered.last().cloned().unwrap_or_default();
    for old in answered.iter().filter(|old| old.session() != newest.session()) {
        assert!(old.session().is_none() || !bench.is_alive(old).await, "an old token is dead");
    }
    let (before, after) = (numbers_after(done), numbers_after((done + 1).min(STEPS.len())));
    let seen = (look(bench, &newest, "visits").await, look(bench, &newest, "terms").await);
    let records = bench.sessions.count().await.unwrap();
    let expected_before = u64::from(before.0.is_some()) + u64::from(before.1.is_some());
    let is_untouched = seen == before && records == expected_before;
    let is_as_it_may_be = match STEPS.get(done) {
        None => is_untouched,
        Some(Step::Count) => is_untouched || seen == after && records == expected_before,
        // The token of a new session was not answered, so nobody can look into it.
        Some(Step::Begin) => is_untouched || seen == (None, None) && records == 1,
        // The permanent data still opens by its own cookie; the session is there once, under another token.
        Some(Step::Token | Step::Login) => {
            is_untouched || seen == (None, before.1) && records == expected_before
        }
        Some(Step::Terms) => is_untouched || seen == before && records == expected_before + 1,
        // Each of the two is whole; the permanent one goes first.
        Some(Step::Both) => {
            records == expected_before && [before, (before.0, after.1), after].contains(&seen)
        }
        // The session goes first.
        Some(Step::Logout) => {
            is_untouched
                || seen == (None, before.1) && records == expected_before - 1
                || seen == (None, None) && records == 0
        }
    };
    assert!(is_as_it_may_be, "{seen:?} in {records} records after {done} steps");
}

#[test]
fn killed_after_any_statement_every_step_is_whole_or_not_done() {
    const MOST: usize = 200;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut steps_before_the_end = Vec::new();
    for statements in 1..=MOST {
        let folder = Folder::new();
        folder.make();
        let mut application = Application::start(&folder, STOP_AFTER, statements);
        let (mut answered, mut end) = (Vec::new(), None);
        while let Some(line) = application.line() {
            match &*line {
                "stopped" | "finished" => {
                    end = Some(line);
                    break;
                }
                field => answered.push(jar(field)),
            }
        }
        application.kill();
        runtime.block_on(async {
            let bench = open(&folder.file()).await;
            check_walk(&bench, &answered).await;
            // And it works.
            let visitor = bench.visitor().await;
            assert_eq!(bench.read(&visitor, "name").await.as_deref(), Some("guest"));
        });
        steps_before_the_end.push(answered.len());
        if end.expect("the application said why it waits") == "finished" {
            break;
        }
    }
    // It was stopped within every step of the walk, and reached the end.
    steps_before_the_end.dedup();
    assert_eq!(steps_before_the_end, (0..=STEPS.len()).collect::<Vec<_>>());
}

/// What was answered to a worker: its cookies after each of its steps.
async fn check_worker(bench: &Bench, answered: &[Jar], owner: &str) {
    let newest = answered.last().cloned().unwrap_or_default();
    for old in answered.iter().rev().take(10) {
        let is_over = old.session() != newest.session();
        assert!(!is_over || old.session().is_none() || !bench.is_alive(old).await, "it has ended");
    }
    let done = answered.len() % CYCLE.len();
    let counts = |step: &&Step| matches!(step, Step::Begin | Step::Count);
    let before = i64::try_from(CYCLE[..done].iter().filter(counts).count()).unwrap();
    let seen = look(bench, &newest, "visits").await;
    let owned = bench.sessions.of(owner, None, 20).await.unwrap().len();
    let is_untouched = seen == Some(before).filter(|_| done > 0);
    let is_as_it_may_be = match CYCLE[done] {
        // Whoever begins has no owner yet.
        Step::Begin => seen.is_none() && owned == 0,
        Step::Login => is_untouched && owned == 0 || seen.is_none() && owned == 1,
        Step::Count => (is_untouched || seen == Some(before + 1)) && owned == 1,
        Step::Token => (is_untouched || seen.is_none()) && owned == 1,
        Step::Logout => is_untouched && owned == 1 || seen.is_none() && owned == 0,
        Step::Terms | Step::Both => false,
    };
    assert!(is_as_it_may_be, "{seen:?}, {owned} of {owner} after {} steps", answered.len());
}

#[test]
fn killed_under_load_nothing_that_was_answered_is_lost() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = Folder::new();
    folder.make();
    for (round, answers) in [1, 3, 10, 30, 31, 100, 150].into_iter().enumerate() {
        let mut application = Application::start(&folder, ROUND, round);
        let mut answered = vec![Vec::new(); WORKERS];
        let mut note = |line: Option<String>| {
            let line = line?;
            let (worker, field) = line.split_once(' ').unwrap();
            answered[worker.parse::<usize>().unwrap()].push(jar(field));
            Some(())
        };
        for _ in 0..answers {
            note(application.line()).expect("the application works");
        }
        application.kill();
        // What it had said before it was killed.
        while note(application.line()).is_some() {}
        runtime.block_on(async {
            let bench = open(&folder.file()).await;
            for (worker, answered) in answered.iter().enumerate() {
                check_worker(&bench, answered, &owner(round, worker)).await;
            }
        });
    }
}
