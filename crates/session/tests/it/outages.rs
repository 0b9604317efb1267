//! A database server that goes away while requests run, and comes back: what was answered holds, what could not be
//! done is 503, what asks nothing of it goes on, and everything works again without a restart.

use crate::{
    homes::PATIENCE,
    support::{Bench, Client, HOUR, Jar, UNKNOWN, until},
};
use dframework_session::{Clock, Config, DriverName, Error, SessionHandle, Sessions};
use futures_util::future::join_all;
use servers::{Direction, Engine, Proxy, Server};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

const ENGINES: [Engine; 2] = [Engine::Postgres, Engine::MariaDb];

/// Waited for in vain. Longer than what is answered takes, on a machine that has much else to do.
const SHORT: Duration = Duration::from_secs(5);

/// One more process on this server.
async fn connect(server: &Server, clock: &Clock) -> Bench {
    let config = Config::new().driver(DriverName::Database).database_url(server.url());
    let config = config.clock(clock.clone()).store_timeout(PATIENCE);
    let sessions = Sessions::connect(&config).await.unwrap();
    Bench::new(sessions.driver(), sessions, clock.clone())
}

/// The handles of requests that have used their session, and are not answered yet.
struct UnderWay {
    reader: SessionHandle,
    writers: Vec<(&'static str, SessionHandle)>,
    idle: SessionHandle,
}

const CHANGES: [&str; 8] =
    ["increment", "permanent", "flash", "regenerate", "login", "clear", "logout", "claim"];

async fn change(how: &str, session: &SessionHandle) -> Result<(), Error> {
    match how {
        "increment" => session.increment("visits", 1).await.map(drop),
        "permanent" => session.permanent(serde_json::json!({ "terms": true })).await,
        "flash" => session.flash("status", "saved").await,
        "regenerate" => session.regenerate().await,
        "login" => session.set_owner("43").await,
        "clear" => session.clear().await,
        "logout" => session.destroy().await,
        _ => session.claim::<String>("name").await.map(drop),
    }
}

async fn set_out(bench: &Bench, jar: &Jar) -> UnderWay {
    let open = || bench.open(jar, Client::Plain, "POST");
    let (reader, idle) = (open(), open());
    assert_eq!(reader.get("visits").await.unwrap(), Some(1));
    let mut writers = Vec::new();
    for how in CHANGES {
        let session = open();
        assert!(session.has("name").await.unwrap());
        if how != "claim" {
            change(how, &session).await.unwrap();
        }
        writers.push((how, session));
    }
    UnderWay { reader, writers, idle }
}

/// How requests are answered while nobody reaches the server.
async fn answers(bench: &Bench, jar: &Jar, under_way: UnderWay) {
    let mut after = jar.clone();
    // A use that is to be noted and a message that is to age are no reason for 503.
    bench.answer(&mut after, &under_way.reader, 200).await.unwrap();
    bench.answer(&mut after, &under_way.idle, 200).await.unwrap();
    for (how, session) in under_way.writers {
        let claimed = if how == "claim" { change(how, &session).await } else { Ok(()) };
        let answered = bench.answer(&mut after, &session, 200).await;
        let error = claimed.err().or(answered.err().map(|failed| failed.error));
        assert!(error.is_some_and(|e| e.is_unavailable() && e.status() == 503), "{how}");
    }
    assert_eq!(after, *jar, "no cookie goes out");

    // Who comes now is told so, and is no stranger with an empty session.
    let session = bench.open(jar, Client::Plain, "GET");
    assert!(session.get::<i64>("visits").await.unwrap_err().is_unavailable());
    assert!(session.set("visits", 7).await.unwrap_err().is_unavailable());
    bench.answer(&mut after, &session, 200).await.unwrap();
    let session = bench.open(&Jar::holding(UNKNOWN), Client::Plain, "GET");
    assert!(session.has("name").await.unwrap_err().is_unavailable());
    let mut stranger = Jar::default();
    assert_eq!(bench.read(&stranger, "name").await, None, "nothing is asked of the server");
    let session = bench.open(&stranger, Client::Plain, "POST");
    session.set("name", "stranger").await.unwrap();
    let failed = bench.answer(&mut stranger, &session, 200).await.unwrap_err();
    assert_eq!(failed.error.status(), 503);
    assert_eq!((after, stranger), (jar.clone(), Jar::default()), "no cookie goes out");

    let sessions = &bench.sessions;
    assert!(sessions.of("42", None, 9).await.unwrap_err().is_unavailable());
    assert!(sessions.revoke_all("42").await.unwrap_err().is_unavailable());
    assert!(sessions.count().await.unwrap_err().is_unavailable());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_server_changes_are_503_and_afterwards_all_is_as_it_was() {
    for engine in ENGINES {
        let Some(mut server) = Server::start_durable(engine) else { continue };
        let clock = Clock::manual();
        let benches = [connect(&server, &clock).await, connect(&server, &clock).await];
        for (go, how) in [(Server::stop as fn(&mut Server), "stopped"), (Server::kill, "killed")] {
            let mut jar = benches[0].visitor().await;
            benches[0].ok(&mut jar, async |session| session.set_owner("42").await).await;
            benches[1].ok(&mut jar, async |session| session.increment("visits", 1).await).await;
            // From here on, every request has a use to note.
            clock.advance(HOUR);
            let [one, other] = [set_out(&benches[0], &jar).await, set_out(&benches[1], &jar).await];
            go(&mut server);
            answers(&benches[0], &jar, one).await;
            answers(&benches[1], &jar, other).await;
            server.restart();
            for bench in &benches {
                let case = format!("{engine:?} {how}");
                let is_back = async || {
                    let session = bench.open(&jar, Client::Plain, "GET");
                    session.has("name").await.is_ok()
                };
                until(is_back).await;
                assert_eq!(bench.visits(&jar).await, Some(1), "{case}: nothing was done");
                assert_eq!(bench.read(&jar, "name").await.as_deref(), Some("guest"), "{case}");
                assert_eq!(bench.sessions.of("42", None, 9).await.unwrap().len(), 1, "{case}");
                assert_eq!(bench.sessions.count().await.unwrap(), 1, "{case}");
            }
            let [one, other] = &benches;
            one.ok(&mut jar, async |session| session.increment("visits", 1).await).await;
            assert_eq!(other.visits(&jar).await, Some(2));
            let before = jar.clone();
            other.ok(&mut jar, async |session| session.destroy().await).await;
            assert!(!one.is_alive(&before).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_answer_makes_changes_503_and_readers_wait() {
    for engine in ENGINES {
        let Some(server) = Server::shared(engine) else { continue };
        let (database, proxy, clock) =
            (server.database(), Proxy::to(server.port()), Clock::manual());
        let config = Config::new().driver(DriverName::Database).clock(clock.clone());
        let config = config.database_url(database.url_through(proxy.port()));
        let sessions = Sessions::connect(&config.store_timeout(SHORT)).await.unwrap();
        let bench = Bench::new(sessions.driver(), sessions, clock);
        let jar = bench.visitor().await;
        bench.clock.advance(HOUR);
        let under_way = [(); 4].map(|()| bench.open(&jar, Client::Plain, "POST"));
        for session in &under_way[1..] {
            session.increment("visits", 1).await.unwrap();
        }
        assert!(under_way[0].has("name").await.unwrap());

        proxy.hold(Direction::ToClient);
        let answers = under_way.iter().map(async |session| {
            let mut after = jar.clone();
            let answered = bench.answer(&mut after, session, 200).await;
            assert_eq!(after, jar, "{engine:?}: no cookie goes out");
            answered.err().map(|failed| failed.error.status())
        });
        let mut expected = [Some(503); 4];
        expected[0] = None;
        assert_eq!(join_all(answers).await, expected, "{engine:?}");

        proxy.release(Direction::ToClient);
        let is_back = async || {
            let session = bench.open(&jar, Client::Plain, "GET");
            session.has("name").await.is_ok()
        };
        until(is_back).await;
        // What was answered with 503 is done, or will be, or never: but not twice.
        let count = async |session: SessionHandle| session.increment("visits", 1).await;
        let visits = bench.ok(&mut jar.clone(), count).await;
        assert!((1..=4).contains(&visits), "{engine:?}: {visits}");
    }
}

/// What a visitor was told, and what may hold beyond it.
#[derive(Default)]
struct Told {
    /// Visits that were confirmed, and those that were answered with 503.
    visits: i64,
    unsure: i64,
    /// Tokens that were confirmed to be dead.
    ended: Vec<Jar>,
    /// The last token, unless the answer of its successor was 503.
    rotating: Option<Jar>,
}

const VISITORS: usize = 6;

/// Counts visits, changes its token, logs in and out, until it is stopped.
async fn visit(bench: Bench, jar: Jar, stop: Arc<AtomicBool>, done: Arc<AtomicUsize>) -> Told {
    let mut told = Told::default();
    while !stop.load(Ordering::Relaxed) {
        match attempt(&bench, &jar, "increment").await {
            Ok(_) => told.visits += 1,
            Err(()) => told.unsure += 1,
        }
        let rotating = match told.rotating.take() {
            Some(jar) => Ok(jar),
            None => attempt(&bench, &Jar::default(), "login").await,
        };
        if let Ok(before) = rotating
            && let Ok(after) = attempt(&bench, &before, "regenerate").await
        {
            told.ended.push(before);
            told.rotating = Some(after);
        }
        if let Ok(leaving) = attempt(&bench, &Jar::default(), "login").await
            && attempt(&bench, &leaving, "logout").await.is_ok()
        {
            told.ended.push(leaving);
            done.fetch_add(1, Ordering::Relaxed);
        }
    }
    told
}

/// A request, and the cookies after it. All that may come in its way is that the server is not there.
async fn attempt(bench: &Bench, jar: &Jar, how: &str) -> Result<Jar, ()> {
    let (mut jar, session) = (jar.clone(), bench.open(jar, Client::Plain, "POST"));
    let unavailable = |error: &Error| assert!(error.is_unavailable(), "{how}: {error}");
    change(how, &session).await.inspect_err(unavailable).map_err(drop)?;
    let answered = bench.answer(&mut jar, &session, 200).await;
    answered.map_err(|failed| failed.error).inspect_err(unavailable).map_err(drop)?;
    Ok(jar)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_under_load_takes_back_nothing_that_was_answered() {
    for engine in ENGINES {
        let Some(mut server) = Server::start_durable(engine) else { continue };
        let clock = Clock::manual();
        let benches = [connect(&server, &clock).await, connect(&server, &clock).await];
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut visitors = Vec::new();
        for bench in benches.iter().cycle().take(VISITORS) {
            let (jar, [bench, _]) = (bench.visitor().await, bench.processes());
            let visiting = visit(bench, jar.clone(), stop.clone(), done.clone());
            visitors.push((jar, tokio::spawn(visiting)));
        }
        // As many as it takes until each has been there once or twice.
        let some = async || {
            let enough = done.load(Ordering::Relaxed) + VISITORS * 2;
            until(async || done.load(Ordering::Relaxed) >= enough).await;
        };
        some().await;
        server.kill();
        server.restart();
        some().await;
        stop.store(true, Ordering::Relaxed);
        let mut unsure = 0;
        for (jar, visiting) in visitors {
            let told = visiting.await.unwrap();
            let visits = benches[0].visits(&jar).await.unwrap_or(0);
            let possible = told.visits..=told.visits + told.unsure;
            assert!(possible.contains(&visits), "{engine:?}: {visits}, {possible:?}");
            for ended in &told.ended {
                assert!(!benches[1].is_alive(ended).await, "{engine:?}: a token that has ended");
            }
            if let Some(alive) = told.rotating {
                assert!(benches[1].is_alive(&alive).await, "{engine:?}: a token that was given");
            }
            unsure += told.unsure;
        }
        assert!(unsure > 0, "{engine:?}: the server was away");
    }
}
