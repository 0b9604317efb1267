//! The demo as it is shipped, on its database: over restarts, as several processes, and when something is wrong.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod server;

use dframework_session::database::sqlx::{
    Connection, Executor, SqliteConnection, sqlite::SqliteConnectOptions,
};
use server::{Demo, Folder, Visitor, command};
use servers::{Engine, Server};
use std::{fs, process::Stdio, sync::mpsc, thread};

#[test]
fn sessions_survive_a_restart_of_the_server() {
    let (folder, mut visitor) = (Folder::new(), Visitor::new());
    let demo = Demo::start(&folder);
    assert_eq!(visitor.post(&demo, "/name", "name=visitor").status, 303);
    assert_eq!(visitor.post(&demo, "/login", "account=42").status, 303);
    assert_eq!(visitor.post(&demo, "/terms", "").status, 303);
    assert_eq!(visitor.post(&demo, "/api/clicks", "").body, "1\n");
    assert!(folder.path().join("data/sessions.db").exists());
    #[cfg(unix)]
    assert!(demo.interrupt().success(), "Ctrl-C is no failure");
    #[cfg(not(unix))]
    demo.kill();

    let demo = Demo::start(&folder);
    assert_eq!(visitor.get(&demo, "/api/greeting").body, "hello, visitor\n");
    assert_eq!(visitor.post(&demo, "/api/clicks", "").body, "2\n");
    demo.kill();

    let demo = Demo::start(&folder);
    let session = visitor.session(&demo);
    for expected in ["\"accepted_terms\":true", "\"clicks\":2", "\"name\":\"visitor\""] {
        assert!(session.contains(expected), "{session}");
    }
    let before = visitor.clone();
    assert_eq!(visitor.post(&demo, "/logout", "").status, 303);
    demo.kill();

    // A logout survives as well.
    let demo = Demo::start(&folder);
    assert_eq!(before.clone().session(&demo), "{}\n");
}

#[test]
fn two_processes_on_one_file_have_one_session() {
    two_processes_have_one_session(None);
}

#[test]
fn two_processes_on_one_postgresql_have_one_session() {
    two_processes_on_a_server_have_one_session(Engine::Postgres);
}

#[test]
fn two_processes_on_one_mariadb_have_one_session() {
    two_processes_on_a_server_have_one_session(Engine::MariaDb);
}

fn two_processes_on_a_server_have_one_session(engine: Engine) {
    let Some(server) = Server::shared(engine) else { return };
    let database = server.database();
    two_processes_have_one_session(Some(&database.url()));
}

/// On this database, or on the file that they make. Requests go to one and the other by turns.
fn two_processes_have_one_session(url: Option<&str>) {
    const ROUNDS: u32 = 10;
    const AT_ONCE: u32 = 8;
    let (folder, mut visitor) = (Folder::new(), Visitor::new());
    let variables: Vec<_> = url.map(|url| ("APP_SESSION_DATABASE_URL", url)).into_iter().collect();
    // Both make folder, file and table, or find them.
    let demos = thread::scope(|scope| {
        let start = || Demo::start_with(&folder, &variables);
        let starting = [(); 2].map(|()| scope.spawn(start));
        starting.map(|demo| demo.join().unwrap())
    });
    visitor.post(&demos[0], "/name", "name=visitor");
    for round in 0..ROUNDS {
        for (turn, demo) in (0..).zip(&demos) {
            let clicks = visitor.post(demo, "/api/clicks", "").body;
            assert_eq!(clicks, format!("{}\n", 2 * round + turn + 1));
        }
    }
    // A new token by the one is known to the other, and the old one is dead in both.
    let before = visitor.clone();
    assert_eq!(visitor.post(&demos[1], "/login", "account=42").status, 303);
    for demo in &demos {
        assert_eq!(visitor.get(demo, "/api/greeting").body, "hello, visitor\n");
        assert_eq!(before.clone().get(demo, "/api/greeting").body, "hello, guest\n");
    }
    // At the same time by both: none is lost.
    thread::scope(|scope| {
        for demo in demos.iter().cycle().take(2 * AT_ONCE as usize) {
            let mut visitor = visitor.clone();
            scope.spawn(move || assert_eq!(visitor.post(demo, "/api/clicks", "").status, 200));
        }
    });
    let clicks = format!("\"clicks\":{}", 2 * ROUNDS + 2 * AT_ONCE);
    for demo in &demos {
        let session = visitor.session(demo);
        assert!(session.contains(&clicks), "{session}");
    }
    let before = visitor.clone();
    assert_eq!(visitor.post(&demos[0], "/logout", "").status, 303);
    assert_eq!(before.clone().session(&demos[1]), "{}\n");
    assert_eq!(before.clone().post(&demos[1], "/api/clicks", "").status, 409, "it has ended");
}

#[test]
fn a_session_that_was_cut_short_on_a_server_is_an_error_and_can_be_logged_out() {
    for engine in [Engine::Postgres, Engine::MariaDb] {
        let Some(server) = Server::shared(engine) else { continue };
        let database = server.database();
        let (folder, mut visitor) = (Folder::new(), Visitor::new());
        let demo = Demo::start_with(&folder, &[("APP_SESSION_DATABASE_URL", &database.url())]);
        visitor.post(&demo, "/name", "name=visitor");
        for length in [40, 10, 1, 0] {
            database.ask(&format!("UPDATE sessions SET payload = substr(payload, 1, {length})"));
            let status = visitor.get(&demo, "/api/greeting").status;
            assert_eq!(status, 500, "{engine:?}, {length} bytes");
        }
        assert_eq!(visitor.post(&demo, "/logout", "").status, 303);
        assert_eq!(visitor.get(&demo, "/api/greeting").body, "hello, guest\n");
        visitor.post(&demo, "/name", "name=visitor");
        assert_eq!(visitor.get(&demo, "/api/greeting").body, "hello, visitor\n");
    }
}

#[test]
fn killed_under_load_it_has_lost_nothing_that_it_answered() {
    const CLIENTS: usize = 6;
    let (folder, mut visitor) = (Folder::new(), Visitor::new());
    let mut answered = 0;
    let demo = Demo::start(&folder);
    visitor.post(&demo, "/name", "name=visitor");
    demo.kill();
    for most in [1, 20, 45] {
        let demo = Demo::start(&folder);
        let (sender, clicks) = mpsc::channel();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (address, sender, visitor) =
                    (demo.address.clone(), sender.clone(), visitor.clone());
                // Until nobody answers.
                thread::spawn(move || {
                    while let Some(answer) =
                        visitor.clone().send(&address, "POST", "/api/clicks", "")
                    {
                        assert_eq!(answer.status, 200, "{answer:?}");
                        sender.send(()).unwrap();
                    }
                })
            })
            .collect();
        drop(sender);
        let so_far = clicks.iter().take(most).count();
        demo.kill();
        let late = clicks.iter().count();
        for client in clients {
            client.join().unwrap();
        }
        answered += so_far + late;

        let demo = Demo::start(&folder);
        let stored: usize = visitor.post(&demo, "/api/clicks", "").body.trim().parse().unwrap();
        // Each client may have had a click in flight.
        let lost_answers = stored - 1 - answered;
        assert!(lost_answers <= CLIENTS, "{stored} stored, {answered} answered");
        answered = stored;
    }
}

#[test]
fn a_database_that_another_process_locks_is_told_and_waited_out() {
    let (folder, mut visitor) = (Folder::new(), Visitor::new());
    // Four fifths of it are waited.
    let demo = Demo::start_with(&folder, &[("APP_SESSION_STORE_TIMEOUT", "500ms")]);
    while visitor.post(&demo, "/name", "name=visitor").status != 303 {}
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = SqliteConnectOptions::new().filename(folder.path().join("data/sessions.db"));
    let mut other = runtime.block_on(SqliteConnection::connect_with(&options)).unwrap();
    runtime.block_on(other.execute("BEGIN IMMEDIATE")).unwrap();
    let refused = visitor.post(&demo, "/api/clicks", "");
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains("Nothing was lost"), "{refused:?}");
    assert_eq!(visitor.get(&demo, "/api/greeting").body, "hello, visitor\n");
    runtime.block_on(other.execute("COMMIT")).unwrap();
    let clicked = loop {
        let answer = visitor.post(&demo, "/api/clicks", "");
        if answer.status == 200 {
            break answer;
        }
    };
    assert_eq!(clicked.body, "1\n", "what was refused has not been done");
}

#[test]
fn what_it_cannot_open_it_names_and_ends() {
    let folder = Folder::new();
    fs::write(folder.path().join("data"), "no folder, and no database").unwrap();
    for (url, named) in [
        ("sqlite://data/sessions.db", "the folder data of the session database cannot be made"),
        ("sqlite://data", "the session database data is no SQLite database"),
        ("oracle://web:secret@db/app", "APP_SESSION_DATABASE_URL is a URL with \"oracle\""),
    ] {
        let mut command = command(&folder, &[("APP_SESSION_DATABASE_URL", url)]);
        let output = command.stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(named) && !said.contains("secret"), "{said}");
        assert_eq!(said.lines().filter(|line| line.starts_with("demo: ")).count(), 1, "{said}");
    }
}
