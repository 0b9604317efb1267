//! The application is killed (`kill -9`), or its connections are cut, between any two messages of a conversation with a
//! server: what was answered holds, what was not answered is done whole or not at all.
//!
//! The application that is killed is this program, started as a child that runs one test. It says which of its calls were
//! answered. What must be there then, the reference store says, to which the same was done.

use crate::{
    home::Home,
    support::{NOW, in_full, key},
};
use ::servers::{Direction, Engine, Proxy, Server};
use dframework_session_sqlx::SqlStore;
use dframework_session_store::{
    Change, Loaded, NewRecord, Page, Store, StoreError, Timestamp, Tombstone, Version,
    testing::ReferenceStore,
};
use std::{
    env,
    fmt::Debug,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

/// What the child is told: where its database is.
const URL: &str = "KILLED_URL";
const ENGINES: [Engine; 2] = [Engine::Postgres, Engine::MariaDb];
const WAYS: [Direction; 2] = [Direction::ToServer, Direction::ToClient];
/// More messages than any of the conversations has.
const MOST: u64 = 200;

const STEPS: usize = 11;
/// When the tombstones of the steps may be forgotten, but for one.
const SOON: Timestamp = Timestamp::from_millis(NOW.as_millis() + 60_000);
const LATE: Timestamp = Timestamp::from_millis(NOW.as_millis() + 120_000);

fn change(bytes: &[u8]) -> Change<'_> {
    let mut change = Change::new(bytes, Timestamp::MAX);
    change.owner = Some("42");
    change
}

fn new(owner: Option<&str>) -> NewRecord<'_> {
    let mut new = NewRecord::new(b"bytes", NOW, Timestamp::MAX);
    new.owner = owner;
    new
}

/// One call, or several that go together. What it answers is compared as text.
async fn step(store: &impl Store, number: usize) -> Result<String, StoreError> {
    fn text(answer: impl Debug) -> String {
        format!("{answer:?}")
    }
    Ok(match number {
        0 => text(store.create(&key(1), new(None), NOW).await?),
        // A login, after which there is another token.
        1 => {
            let mut change = change(b"login");
            (change.move_to, change.remember_until) = (Some(key(2)), SOON);
            text(store.commit(&key(1), Version(1), change).await?)
        }
        2 => text(store.commit(&key(2), Version(2), change(b"more")).await?),
        3 => {
            let mut new = new(Some("42"));
            new.presented = Some(Tombstone { key: key(9), remember_until: LATE });
            text(store.create(&key(3), new, NOW).await?)
        }
        4 => {
            let mut change = change(b"again");
            (change.move_to, change.remember_until) = (Some(key(4)), SOON);
            text(store.commit(&key(2), Version(3), change).await?)
        }
        5 => text(store.create(&key(5), new(Some("42")), NOW).await?),
        6 => {
            // All of them wait before a lane can take the first one.
            let save = async |number, version| {
                store.commit(&key(number), Version(version), change(b"together")).await
            };
            let (one, two, three) = tokio::join!(save(3, 1), save(4, 4), save(5, 1));
            text([one?, two?, three?])
        }
        7 => text(store.touch(&key(3), Timestamp::MAX).await?),
        8 => text(store.end(&key(5), SOON).await?),
        9 => text(store.end_owned_by("42", Some(&key(4)), LATE).await?),
        _ => text(store.delete_expired(SOON, 9).await?),
    })
}

/// All that a store has of the steps.
async fn contents(store: &impl Store) -> Vec<String> {
    let keys: Vec<_> = (1..=9).map(key).collect();
    let mut contents = Vec::new();
    for (number, loaded) in (1..).zip(store.load(&keys).await.unwrap()) {
        contents.push(match loaded {
            Loaded::Live(stored) => {
                let bytes = String::from_utf8(stored.bytes).unwrap();
                format!("{number}: {bytes}, {:?} until {:?}", stored.version, stored.expires_at)
            }
            other => format!("{number}: {other:?}"),
        });
    }
    let page = Page { after: None, limit: 99 };
    for entry in store.owned_by("42", NOW, page).await.unwrap() {
        let number = keys.iter().position(|key| *key == entry.key).unwrap() + 1;
        contents.push(format!("owned: {number} since {:?}", entry.created));
    }
    contents
}

/// What each step answers, and what there is before the first and after each of them.
struct Expected {
    answers: Vec<String>,
    contents: Vec<Vec<String>>,
}

impl Expected {
    async fn new() -> Self {
        let store = ReferenceStore::default();
        let mut expected = Self { answers: Vec::new(), contents: vec![contents(&store).await] };
        for number in 0..STEPS {
            expected.answers.push(step(&store, number).await.unwrap());
            expected.contents.push(contents(&store).await);
        }
        // Each of them would be noticed, but for the one that touches what lives for ever already.
        let changes = expected.contents.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert_eq!(changes, STEPS - 1);
        expected
    }
}

/// The conversation: a table is made, and then step after step.
#[tokio::test]
#[ignore = "the test below starts it, and kills it"]
async fn child() {
    let url = env::var(URL).expect("a database to work on");
    // What the test runner has written stands on a line of its own.
    println!();
    let store = SqlStore::open(&url).await.unwrap();
    store.migrate().await.unwrap();
    for number in 0..STEPS {
        println!("> {}", step(&store, number).await.unwrap());
    }
}

/// The child, and what it says. It does not outlive this value.
struct Application {
    process: Child,
    lines: Receiver<String>,
}

impl Application {
    fn start(url: &str) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "killed::child", "--ignored", "--nocapture"])
            .env(URL, url)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (say, lines) = channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let Some(answer) = line.strip_prefix("> ") else { continue };
                // Nobody listens any more where the test has failed.
                let _ = say.send(answer.to_owned());
            }
        });
        Self { process, lines }
    }

    /// Kills it once the proxy holds something that goes this way. Gives what was answered to it before, and whether it
    /// came to its end first.
    fn kill_where_it_is_held(mut self, proxy: &Proxy, way: Direction) -> (Vec<String>, bool) {
        let mut answers = Vec::new();
        let mut has_ended = false;
        while !has_ended && !proxy.holds(way) {
            match self.lines.recv_timeout(Duration::from_millis(1)) {
                Ok(answer) => answers.push(answer),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => has_ended = true,
            }
        }
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        // What it had said before.
        answers.extend(self.lines.iter());
        (answers, has_ended)
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The server that all tests share, and a database of it.
fn home(engine: Engine) -> Option<(&'static Server, Home)> {
    let server = Server::shared(engine)?;
    let database = server.database();
    Some((
        server,
        match engine {
            Engine::Postgres => Home::Postgres(database),
            _ => Home::MariaDb(database),
        },
    ))
}

/// Leaves nothing of those who were there before.
async fn clear(home: &Home) {
    let tables = "DROP TABLE IF EXISTS sessions, dframework_session_schema";
    home.connect().await.run(tables).await;
}

/// Looks at a database with a fresh store: whatever was answered is there, and at most one step more, all of it.
async fn check(home: &Home, answers: &[String], expected: &Expected) -> SqlStore {
    let done = answers.len();
    assert_eq!(answers, &expected.answers[..done]);
    let store = home.store().await;
    let found = contents(&store).await;
    let (before, after) = (&expected.contents[done], &expected.contents[(done + 1).min(STEPS)]);
    assert!(
        found == *before || found == *after,
        "{done} steps: {found:#?}\n{before:#?}\n{after:#?}"
    );
    store
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_any_two_messages_every_step_is_whole_or_not_done() {
    let expected = Expected::new().await;
    for engine in ENGINES {
        let Some((server, home)) = home(engine) else { continue };
        for way in WAYS {
            let mut steps_before_the_end = Vec::new();
            for messages in 1..MOST {
                clear(&home).await;
                let proxy = Proxy::to(server.port());
                proxy.hold_after(way, messages);
                let application = Application::start(&home.url_through(&proxy));
                let (answers, has_ended) = application.kill_where_it_is_held(&proxy, way);
                proxy.cut();
                let store = check(&home, &answers, &expected).await;
                // And it works: nobody is in the way.
                store.create(&key(100), new(Some("42")), NOW).await.unwrap();
                store.end_owned_by("42", None, LATE).await.unwrap();
                steps_before_the_end.push(answers.len());
                if has_ended {
                    break;
                }
            }
            // It was killed within each step, and came to the end at last. What is sent at once may arrive in two pieces,
            // so one or the other step may have been passed over.
            steps_before_the_end.sort_unstable();
            steps_before_the_end.dedup();
            let (met, last) = (steps_before_the_end.len(), steps_before_the_end.last());
            assert!(met >= STEPS - 1 && last == Some(&STEPS), "{steps_before_the_end:?}");
        }
    }
}

/// Carries a step out until it is answered. What is said where it fails is true. Gives how often it failed.
async fn insist(store: &SqlStore, number: usize, expected: &Expected, reader: &SqlStore) -> usize {
    let mut failures = 0;
    loop {
        let error = match step(store, number).await {
            Ok(answer) => {
                assert_eq!(answer, expected.answers[number]);
                return failures;
            }
            Err(error) => error,
        };
        failures += 1;
        // Two connections write, and both were lost.
        assert!(failures <= 2, "{}", in_full(&error));
        let found = contents(reader).await;
        let (before, after) = (&expected.contents[number], &expected.contents[number + 1]);
        if error.outcome_is_unknown() && found == *after {
            return failures;
        }
        assert_eq!(found, *before, "{number}: {}", in_full(&error));
    }
}

#[tokio::test]
async fn cut_between_any_two_messages_every_answer_is_true() {
    let expected = Expected::new().await;
    for engine in ENGINES {
        let Some((server, home)) = home(engine) else { continue };
        for way in WAYS {
            let (mut failures, mut is_over) = (0, false);
            for messages in 0..MOST {
                clear(&home).await;
                let (proxy, reader) = (Proxy::to(server.port()), home.store().await);
                let store = SqlStore::open(&home.url_through(&proxy)).await.unwrap();
                proxy.cut_after(way, messages);
                for number in 0..STEPS {
                    failures += insist(&store, number, &expected, &reader).await;
                    assert_eq!(contents(&reader).await, expected.contents[number + 1]);
                }
                // No message was left to be cut.
                is_over = proxy.awaits(way);
                if is_over {
                    break;
                }
            }
            assert!(is_over && failures > 0, "{engine:?} {way:?}: {failures}");
        }
    }
}
