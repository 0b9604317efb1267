//! A server: a process that is ready, and what can happen to it.

use crate::{
    Database, Engine, PATIENCE,
    bouncer::Forgotten,
    engine::{Durability, Programs, Service},
    folder::Folder,
    postgres,
    process::{self, Signal},
};
use std::{
    fmt, fs,
    fs::File,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::{Child, Command},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU8, AtomicU16, Ordering},
    },
};

/// How often a server is started on another port because somebody has taken the one before.
const ATTEMPTS: usize = 10;

/// A server of its own, for a test that harms it or a benchmark; or one that [`Server::shared`] gives.
///
/// What was written last while it ran fast may be lost with a failure of the machine, and with [`Server::kill`]. A
/// durable one keeps it.
pub struct Server {
    service: Service,
    place: Arc<Place>,
    /// `None` while it does not run.
    process: Option<Child>,
}

/// Where a server is.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) programs: Programs,
    pub(crate) folder: Folder,
    pub(crate) port: u16,
    state: AtomicU8,
}

/// Whether a server answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Ended,
    Paused,
    Running,
}

impl Server {
    /// Starts one that does not wait for the disk, on a port and in a folder of its own.
    ///
    /// `None`, and one line on the standard error stream, where its programs are not installed.
    ///
    /// # Panics
    ///
    /// Its programs are not installed and `CI=true`, or it does not become ready; then the message has what it logged.
    pub fn start(engine: Engine) -> Option<Self> {
        Self::run(Service::Engine(engine, Durability::Fast))
    }

    /// Starts one that has every commit on the disk before it answers, as it would be in production.
    ///
    /// # Panics
    ///
    /// As [`Server::start`].
    pub fn start_durable(engine: Engine) -> Option<Self> {
        Self::run(Service::Engine(engine, Durability::Durable))
    }

    /// The one that all tests of this process share, started by the first of them.
    ///
    /// # Panics
    ///
    /// As [`Server::start`].
    pub fn shared(engine: Engine) -> Option<&'static Self> {
        static POSTGRES: OnceLock<Option<Server>> = OnceLock::new();
        static MARIADB: OnceLock<Option<Server>> = OnceLock::new();
        static REDIS: OnceLock<Option<Server>> = OnceLock::new();
        let shared = match engine {
            Engine::Postgres => &POSTGRES,
            Engine::MariaDb => &MARIADB,
            Engine::Redis => &REDIS,
        };
        shared.get_or_init(|| Self::start(engine)).as_ref()
    }

    /// Starts a PgBouncer in front of this PostgreSQL, which lends its connections for the time of a transaction.
    ///
    /// # Panics
    ///
    /// As [`Server::start`], and when this is no PostgreSQL.
    pub fn bouncer(&self) -> Option<Self> {
        self.pooled(Forgotten::Usual)
    }

    /// As [`Server::bouncer`], one that takes the settings that a client asks for at its start, and forgets them.
    ///
    /// # Panics
    ///
    /// As [`Server::bouncer`].
    pub fn forgetful_bouncer(&self) -> Option<Self> {
        self.pooled(Forgotten::Settings)
    }

    fn pooled(&self, forgotten: Forgotten) -> Option<Self> {
        let is_postgres = matches!(self.service, Service::Engine(Engine::Postgres, _));
        assert!(is_postgres, "PgBouncer stands in front of PostgreSQL");
        Self::run(Service::Bouncer { upstream: self.port(), forgotten })
    }

    fn run(service: Service) -> Option<Self> {
        let programs = service.programs()?;
        let folder = installed(service, &programs);
        let mut place = Place { programs, folder, port: 0, state: AtomicU8::new(0) };
        for _ in 0..ATTEMPTS {
            place.port = free_port();
            match launch(service, &place) {
                Ok(process) => {
                    place.enter(State::Running);
                    return Some(Self { service, place: Arc::new(place), process: Some(process) });
                }
                Err(log) if Service::says_port_is_taken(&log) => {}
                Err(log) => panic!("{service:?} did not become ready:\n{log}"),
            }
        }
        panic!("{service:?}: {ATTEMPTS} ports in a row were taken");
    }

    /// The port on which it listens, on the loopback address alone.
    pub fn port(&self) -> u16 {
        self.place.port
    }

    /// The number of its process.
    ///
    /// # Panics
    ///
    /// It does not run.
    pub fn process(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    /// Where a client finds the database that is always there.
    pub fn url(&self) -> String {
        self.service.url(self.port(), self.service.first_database())
    }

    /// A new, empty database.
    ///
    /// # Panics
    ///
    /// The server does not run.
    pub fn database(&self) -> Database {
        Database::make(self.service, self.place.clone())
    }

    /// Asks it in its own language, and gives the rows of the answer, one a line.
    ///
    /// # Panics
    ///
    /// The server refuses, or does not run.
    #[track_caller]
    pub fn ask(&self, words: &str) -> String {
        match self.service.ask(&self.place, self.service.first_database(), words) {
            Ok(answer) => answer,
            Err(error) => panic!("{words}: {error}"),
        }
    }

    /// Where it keeps what it writes.
    pub fn folder(&self) -> &Path {
        self.place.folder.path()
    }

    /// What it has logged since it was started last.
    pub fn log(&self) -> String {
        self.place.log()
    }

    /// Ends it at once, with all its children, as `kill -9` and a lack of memory do.
    pub fn kill(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        self.place.enter(State::Ended);
        // First what would start others or do something about those that go.
        Signal::Pause.send(process.id());
        process::end_all_in(self.folder());
        let _ = process.wait();
    }

    /// Ends it in good order, without waiting for its clients.
    ///
    /// # Panics
    ///
    /// It does not end; the message has what it logged.
    pub fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        self.place.enter(State::Ended);
        self.service.farewell().send(process.id());
        let ended = process::poll(|| process.try_wait().ok().flatten());
        assert!(ended.is_some(), "{:?} does not end:\n{}", self.service, self.log());
        process::end_all_in(self.folder());
    }

    /// Starts it again, on the same port and with the same data. Ends it in good order before if it runs.
    ///
    /// # Panics
    ///
    /// It does not become ready; the message has what it logged.
    pub fn restart(&mut self) {
        self.stop();
        match process::poll(|| match launch(self.service, &self.place) {
            // A connection of the one before may stand in the way for a moment.
            Err(log) if Service::says_port_is_taken(&log) => None,
            launched => Some(launched),
        }) {
            Some(Ok(process)) => self.process = Some(process),
            Some(Err(log)) => panic!("{:?} did not become ready again:\n{log}", self.service),
            None => panic!("the port {} of {:?} stays taken", self.port(), self.service),
        }
        self.place.enter(State::Running);
    }

    /// Stops it where it stands, with all its children: connections stay open, and nothing is answered.
    pub fn pause(&mut self) {
        self.place.enter(State::Paused);
        // First what would start others.
        Signal::Pause.send(self.process());
        process::pause_all_in(self.folder());
    }

    /// Lets it go on.
    pub fn resume(&mut self) {
        for process in process::all_in(self.folder()) {
            Signal::Resume.send(process);
        }
        self.place.enter(State::Running);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        postgres::forget_shared_memory(&self.folder().join("data"));
        // The folder goes with the last database, whose server has ended.
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("service", &self.service)
            .field("port", &self.port())
            .finish_non_exhaustive()
    }
}

impl Place {
    pub(crate) fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            0 => State::Ended,
            1 => State::Paused,
            _ => State::Running,
        }
    }

    fn enter(&self, state: State) {
        self.state.store(state as u8, Ordering::Release);
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// A folder with what the server needs before it starts. What an installer makes is made once and copied.
fn installed(service: Service, programs: &Programs) -> Folder {
    static MADE: Mutex<Vec<(Engine, Folder)>> = Mutex::new(Vec::new());
    let folder = Folder::new();
    let (Service::Engine(engine, _), Some(_)) = (service, &programs.installer) else {
        return folder;
    };
    // What panicked has put nothing there.
    let mut made = MADE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if !made.iter().any(|(one, _)| *one == engine) {
        let template = Folder::new();
        service.install(programs, &template);
        made.push((engine, template));
    }
    let (_, template) = made.iter().find(|(one, _)| *one == engine).expect("it was made");
    let mut copy = Command::new("cp");
    copy.args(["-a", "--reflink=auto"]).arg(template.path().join("data")).arg(folder.path());
    process::run(&mut copy).expect("a folder can be copied");
    folder
}

/// Starts the process and waits until it answers. What it has logged, where it does not.
fn launch(service: Service, place: &Place) -> Result<Child, String> {
    let log = File::create(place.folder.path().join("log"));
    let log = log.expect("a file can be made in the server's folder");
    let mut command = service.command(place);
    process::set_apart(&mut command);
    let both = log.try_clone().expect("a file can be held twice");
    let process = command.stdout(log).stderr(both).spawn();
    let mut process = process.expect("an installed program can be started");
    let (question, answer) = service.greeting();
    let ready = process::poll(|| match process.try_wait() {
        Ok(None) => match service.ask(place, service.first_database(), question) {
            Ok(answered) if answered == answer => Some(true),
            _ => None,
        },
        _ => Some(false),
    });
    if ready == Some(true) {
        return Ok(process);
    }
    process::end_all_in(place.folder.path());
    let _ = process.wait();
    let waited =
        if ready.is_none() { format!("(waited for {PATIENCE:?})\n") } else { String::new() };
    Err(waited + &place.log())
}

/// A port that is free in this moment. It is none of those that the system gives to clients, so that no client has it
/// while its server is down.
fn free_port() -> u16 {
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Other processes look for one too: each begins elsewhere.
    let start = std::process::id().wrapping_mul(7919) % u32::from(COUNT);
    let start = u16::try_from(start).expect("it is below the count");
    for _ in 0..COUNT {
        let port = FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("none of {COUNT} ports is free");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_somebody_has_is_told_from_other_failures() {
        for engine in [Engine::Postgres, Engine::MariaDb, Engine::Redis] {
            let service = Service::Engine(engine, Durability::Fast);
            let Some(programs) = service.programs() else { continue };
            let folder = installed(service, &programs);
            let port = free_port();
            let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
            let mut place = Place { programs, folder, port, state: AtomicU8::new(0) };
            let log = launch(service, &place).unwrap_err();
            assert!(Service::says_port_is_taken(&log), "{engine:?}: {log}");
            drop(taken);
            place.programs.server = "/bin/false".into();
            let log = launch(service, &place).unwrap_err();
            assert!(!Service::says_port_is_taken(&log), "{engine:?}: {log}");
        }
    }
}
