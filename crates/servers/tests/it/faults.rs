//! Servers that are killed, stopped and paused, and ways to them that break.

use servers::{Direction, Engine, Proxy, Server};
use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

const DATABASES: [Engine; 2] = [Engine::Postgres, Engine::MariaDb];

/// A server with a table in a database, and a row in it.
fn with_a_row(engine: Engine) -> Option<(Server, servers::Database)> {
    let server = Server::start_durable(engine)?;
    let database = server.database();
    database.ask("CREATE TABLE things (id INTEGER)");
    database.ask("INSERT INTO things VALUES (7)");
    Some((server, database))
}

#[test]
fn a_server_that_was_killed_starts_again_with_its_port_and_its_data() {
    for engine in DATABASES {
        let Some((mut server, database)) = with_a_row(engine) else { continue };
        let (url, process) = (server.url(), server.process());
        server.kill();
        assert_eq!(
            TcpStream::connect(("127.0.0.1", server.port())).unwrap_err().kind(),
            ErrorKind::ConnectionRefused
        );
        server.restart();
        assert_eq!(server.url(), url);
        assert_ne!(server.process(), process);
        assert_eq!(database.ask("SELECT * FROM things"), "7");
    }
    let Some(mut redis) = Server::start_durable(Engine::Redis) else { return };
    redis.ask("SET thing 7");
    redis.kill();
    redis.restart();
    assert_eq!(redis.ask("DBSIZE"), ":1");
}

#[test]
fn a_server_that_was_stopped_starts_again_with_its_port_and_its_data() {
    for engine in DATABASES {
        let Some((mut server, database)) = with_a_row(engine) else { continue };
        let url = server.url();
        server.stop();
        server.stop();
        TcpStream::connect(("127.0.0.1", server.port())).unwrap_err();
        server.restart();
        server.restart();
        assert_eq!(server.url(), url);
        assert_eq!(database.ask("SELECT * FROM things"), "7");
    }
}

#[test]
fn a_server_that_is_paused_answers_nobody_until_it_goes_on() {
    let Some(mut server) = Server::start(Engine::Redis) else { return };
    let mut client = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let mut answer = [0; 7];
    client.write_all(b"PING\r\n").unwrap();
    client.read_exact(&mut answer).unwrap();
    server.pause();
    client.write_all(b"PING\r\n").unwrap();
    client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let refused = client.read_exact(&mut answer).unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{refused}");
    server.resume();
    client.set_read_timeout(None).unwrap();
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+PONG\r\n");
}

#[test]
fn all_processes_of_a_server_are_paused_and_go_on() {
    for engine in DATABASES {
        let Some((mut server, database)) = with_a_row(engine) else { continue };
        server.pause();
        let states = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.process())).unwrap();
            stat.rsplit(") ").next().unwrap().chars().next().unwrap()
        };
        assert_eq!(states(), 'T', "{engine:?}");
        server.resume();
        assert_eq!(database.ask("SELECT * FROM things"), "7");
    }
}

#[test]
fn a_server_that_is_paused_can_be_killed_and_dropped() {
    for engine in DATABASES {
        let Some((mut server, database)) = with_a_row(engine) else { continue };
        server.pause();
        server.kill();
        server.restart();
        assert_eq!(database.ask("SELECT * FROM things"), "7");
        server.pause();
        drop(server);
        drop(database);
    }
}

#[test]
fn a_bouncer_gives_the_databases_of_its_server() {
    let Some(server) = Server::shared(Engine::Postgres) else { return };
    let Some(bouncer) = server.bouncer() else { return };
    assert_ne!(bouncer.port(), server.port());
    assert_eq!(bouncer.ask("SHOW port"), server.port().to_string());
    let database = server.database();
    assert!(database.url_through(bouncer.port()).ends_with(database.name()));
}

/// A Redis, a proxy in front of it, and a client that has been answered once.
fn behind_a_proxy() -> Option<(Server, Proxy, TcpStream)> {
    let server = Server::start(Engine::Redis)?;
    let proxy = Proxy::to(server.port());
    let client = connect(&proxy);
    Some((server, proxy, client))
}

fn connect(proxy: &Proxy) -> TcpStream {
    let mut client = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    assert_eq!(ask(&mut client, "PING").unwrap(), "+PONG");
    client
}

fn ask(client: &mut TcpStream, words: &str) -> std::io::Result<String> {
    client.write_all(format!("{words}\r\n").as_bytes())?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        answer.extend(byte);
    }
    Ok(String::from_utf8(answer).unwrap().trim_end().to_owned())
}

#[test]
fn a_proxy_counts_what_is_sent_each_way() {
    let Some((_server, proxy, mut client)) = behind_a_proxy() else { return };
    let sends = || [Direction::ToServer, Direction::ToClient].map(|way| proxy.sends(way));
    assert_eq!(sends(), [1, 1]);
    for number in 2..10 {
        ask(&mut client, "PING").unwrap();
        assert_eq!(sends(), [number, number]);
    }
    assert_eq!(proxy.connections(), 1);
}

#[test]
fn a_proxy_that_is_cut_closes_what_is_open_and_lets_others_in() {
    let Some((_server, proxy, mut client)) = behind_a_proxy() else { return };
    proxy.cut();
    ask(&mut client, "PING").unwrap_err();
    connect(&proxy);
    assert_eq!(proxy.connections(), 2);
}

#[test]
fn a_proxy_cuts_or_holds_after_so_many_pieces() {
    let Some((_server, proxy, mut client)) = behind_a_proxy() else { return };
    proxy.hold_after(Direction::ToServer, 1);
    ask(&mut client, "PING").unwrap();
    assert!(!proxy.holds(Direction::ToServer));
    client.write_all(b"PING\r\n").unwrap();
    proxy.wait_until_held(Direction::ToServer);
    assert!(proxy.holds(Direction::ToServer));
    proxy.release(Direction::ToServer);
    client.read_exact(&mut [0; 7]).unwrap();
    proxy.cut_after(Direction::ToClient, 1);
    ask(&mut client, "PING").unwrap();
    assert!(proxy.awaits(Direction::ToClient));
    ask(&mut client, "PING").unwrap_err();
    assert!(!proxy.awaits(Direction::ToClient));
    // The plan is carried out once.
    connect(&proxy);
    connect(&proxy);
}

#[test]
fn a_proxy_that_refuses_keeps_what_is_open_and_lets_nobody_in() {
    let Some((_server, proxy, mut client)) = behind_a_proxy() else { return };
    proxy.refuse();
    assert_eq!(ask(&mut client, "PING").unwrap(), "+PONG");
    let mut late = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    ask(&mut late, "PING").unwrap_err();
    proxy.accept();
    connect(&proxy);
}

#[test]
fn an_answer_that_is_held_was_earned_and_can_be_lost() {
    let Some((server, proxy, mut client)) = behind_a_proxy() else { return };
    proxy.hold(Direction::ToClient);
    client.write_all(b"SET thing 7\r\n").unwrap();
    proxy.wait_until_held(Direction::ToClient);
    assert_eq!(server.ask("DBSIZE"), ":1");
    proxy.cut();
    assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)));
    proxy.release(Direction::ToClient);
    connect(&proxy);
}

#[test]
fn a_question_that_is_held_is_asked_later() {
    let Some((server, proxy, mut client)) = behind_a_proxy() else { return };
    proxy.hold(Direction::ToServer);
    client.write_all(b"SET thing 7\r\n").unwrap();
    proxy.wait_until_held(Direction::ToServer);
    assert_eq!(server.ask("DBSIZE"), ":0");
    proxy.release(Direction::ToServer);
    let mut answer = [0; 5];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(server.ask("DBSIZE"), ":1");
}

#[test]
fn a_proxy_ends_with_its_connections() {
    let Some((_server, proxy, mut client)) = behind_a_proxy() else { return };
    let port = proxy.port();
    drop(proxy);
    ask(&mut client, "PING").unwrap_err();
    TcpStream::connect(("127.0.0.1", port)).unwrap_err();
}
