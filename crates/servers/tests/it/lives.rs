//! Servers start, are apart from each other, and leave nothing behind.

use servers::{Engine, Server};
use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const ENGINES: [Engine; 3] = [Engine::Postgres, Engine::MariaDb, Engine::Redis];

/// What is asked of an engine that answers with these words.
fn echo(engine: Engine, words: &str) -> (String, String) {
    match engine {
        Engine::Redis => (format!("PUBLISH {words} {words}"), ":0".to_owned()),
        _ => (format!("SELECT '{words}'"), words.to_owned()),
    }
}

fn is_gone(path: &Path) -> bool {
    !path.exists()
}

/// Waits, for a bounded time, for what another process does.
#[track_caller]
fn wait_until(is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited in vain");
        thread::yield_now();
    }
}

#[test]
fn a_server_that_is_started_answers() {
    for engine in ENGINES {
        for server in [Server::start(engine), Server::start_durable(engine)].into_iter().flatten() {
            let (question, answer) = echo(engine, "words");
            assert_eq!(server.ask(&question), answer, "{server:?}");
            assert!(server.url().contains(&format!("127.0.0.1:{}/", server.port())));
        }
    }
}

#[test]
fn a_server_listens_on_the_loopback_address_alone() {
    for engine in ENGINES {
        let Some(server) = Server::start(engine) else { continue };
        // Another address of this machine: one that nobody listens on can be bound.
        TcpListener::bind(("127.0.0.2", server.port())).unwrap();
        TcpListener::bind(("127.0.0.1", server.port())).unwrap_err();
    }
}

#[test]
fn a_server_ends_with_its_value_and_its_folder_too() {
    for engine in ENGINES {
        let Some(server) = Server::start(engine) else { continue };
        let (folder, process) = (server.folder().to_owned(), server.process());
        assert!(folder.join("log").exists());
        drop(server);
        assert!(is_gone(&folder), "{engine:?}");
        assert!(is_gone(Path::new(&format!("/proc/{process}"))), "{engine:?}");
    }
}

#[test]
fn a_server_ends_when_its_test_panics() {
    for engine in ENGINES {
        let Some(server) = Server::start(engine) else { continue };
        let (folder, process) = (server.folder().to_owned(), server.process());
        let test = thread::spawn(move || {
            let _server = server;
            panic!("on purpose");
        });
        assert!(test.join().is_err());
        assert!(is_gone(&folder), "{engine:?}");
        assert!(is_gone(Path::new(&format!("/proc/{process}"))), "{engine:?}");
    }
}

/// Set for the process that is killed, and for no other: it would wait for ever.
const CHILD: &str = "SERVERS_CHILD";

/// What the next test runs in a process of its own: it shares servers, says where they are, and waits to be killed.
#[test]
#[ignore = "runs inside of the next one"]
fn child_that_is_killed() {
    if env::var_os(CHILD).is_none() {
        return;
    }
    for engine in ENGINES {
        if let Some(server) = Server::shared(engine) {
            println!("{} {}", server.process(), server.folder().display());
        }
    }
    println!("ready");
    loop {
        thread::park();
    }
}

#[test]
fn nothing_is_left_of_a_process_that_is_killed() {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "lives::child_that_is_killed"])
        .env(CHILD, "yes")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let servers: Vec<(String, PathBuf)> = lines
        .take_while(|line| line != "ready")
        .filter_map(|line| {
            let (process, folder) = line.split_once(" /")?;
            let process = process.rsplit(' ').next()?.to_owned();
            Some((process, Path::new("/").join(folder))).filter(|(_, folder)| folder.exists())
        })
        .collect();
    assert_eq!(servers.is_empty(), Server::shared(Engine::Postgres).is_none());
    child.kill().unwrap();
    child.wait().unwrap();
    for (process, folder) in servers {
        wait_until(|| is_gone(folder.parent().unwrap()));
        wait_until(|| fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default().is_empty());
    }
}

#[test]
fn every_database_of_a_shared_server_is_its_own_and_is_removed() {
    for engine in [Engine::Postgres, Engine::MariaDb] {
        let Some(server) = Server::shared(engine) else { continue };
        let (one, other) = (server.database(), server.database());
        assert_ne!(one.url(), other.url());
        one.ask("CREATE TABLE things (id INTEGER)");
        other.ask("CREATE TABLE things (id INTEGER)");
        one.ask("INSERT INTO things VALUES (7)");
        assert_eq!(one.ask("SELECT * FROM things"), "7");
        assert_eq!(other.ask("SELECT * FROM things"), "");
        let names = match engine {
            Engine::Postgres => "SELECT datname FROM pg_database",
            _ => "SHOW DATABASES",
        };
        let name = one.name().to_owned();
        let is_there = || server.ask(names).lines().any(|line| line == name);
        assert!(is_there());
        drop(one);
        assert!(!is_there());
    }
    let Some(server) = Server::shared(Engine::Redis) else { return };
    let (one, other) = (server.database(), server.database());
    one.ask("SET thing 7");
    assert_eq!((one.ask("DBSIZE"), other.ask("DBSIZE")), (":1".into(), ":0".into()));
    let again = format!("SELECT {}\r\nDBSIZE", one.name());
    drop(one);
    assert_eq!(server.ask(&again), ":0");
}

#[test]
fn many_servers_start_at_the_same_time() {
    let starting: Vec<_> =
        (0..6).map(|_| thread::spawn(|| Server::start(Engine::Postgres))).collect();
    let servers: Vec<_> = starting.into_iter().filter_map(|one| one.join().unwrap()).collect();
    let mut ports: Vec<_> = servers.iter().map(Server::port).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), servers.len());
    for server in &servers {
        assert_eq!(server.ask("SHOW port"), server.port().to_string());
    }
}
