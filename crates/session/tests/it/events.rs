//! What is told of sessions: each thing once, to hooks and to the log, with the ids that it is about.

use crate::{
    instructions::{instructions, is_installed},
    stores::{Fault, Probe, Verb},
    support::{Bench, Client, HOUR, Jar, UNKNOWN, keepers_with, until, yield_often},
};
use axum::response::IntoResponse;
use dframework_session::{
    Clock, Config, DriverName, Env, Event, RequestHead, SessionHandle, SessionId, Sessions,
};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};
use tracing::{Level, Metadata, Subscriber, span};

/// Everything that a hook was called with.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<Event>>>);

impl Heard {
    pub(crate) fn listen(&self, config: Config) -> Config {
        let heard = self.clone();
        config.on_event(move |event| heard.0.lock().unwrap().push(event.clone()))
    }

    /// What was told since the last look.
    pub(crate) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn is_empty(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.take().iter().map(Event::name).collect()
    }

    /// The only event since the last look.
    fn only(&self) -> Event {
        let mut events = self.take();
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }
}

/// Sessions on every driver with a hook, and what it hears.
pub(crate) async fn listened() -> Vec<(Bench, Heard)> {
    let heard = Mutex::new(Vec::new());
    let listen = |config| {
        let mut heard = heard.lock().unwrap();
        heard.push(Heard::default());
        heard.last().unwrap().listen(config)
    };
    let benches = keepers_with(listen).await;
    // What is told once is told once by each process.
    let benches = benches.into_iter().map(Bench::alone);
    benches.zip(heard.into_inner().unwrap()).collect()
}

/// Sessions in a store that can fail, with a hook.
pub(crate) fn listened_probe() -> (Probe, Bench, Heard) {
    let (store, clock, heard) = (Probe::default(), Clock::manual(), Heard::default());
    let config = heard.listen(Config::new().clock(clock.clone()));
    let sessions = Sessions::from_store(store.clone(), &config).unwrap();
    (store, Bench::new("store", sessions, clock), heard)
}

/// Sessions in memory with this much room, and a hook.
pub(crate) async fn listened_memory(most: usize) -> (Bench, Heard) {
    let (clock, heard) = (Clock::manual(), Heard::default());
    let config = Config::new().driver(DriverName::Memory).clock(clock.clone()).max_sessions(most);
    let sessions = Sessions::connect(&heard.listen(config)).await.unwrap();
    (Bench::new("memory", sessions, clock), heard)
}

async fn login(bench: &Bench, jar: &mut Jar, owner: &'static str) -> SessionId {
    bench.ok(jar, async |session| session.set_owner(owner).await).await;
    bench.ok(jar, async |session| session.id().await).await.unwrap()
}

async fn id(bench: &Bench, jar: &Jar) -> SessionId {
    bench.ok(&mut jar.clone(), async |session| session.id().await).await.unwrap()
}

/// Answers a request with an error of its session, as axum does.
async fn answer_with_an_error(bench: &Bench, jar: &Jar) {
    let handle = bench.open(jar, Client::Plain, "GET");
    let answering = async {
        let error = handle.get::<u64>("name").await.unwrap_err();
        error.into_response()
    };
    bench.sessions.scope(handle.clone(), answering).await;
}

type Told = Vec<(&'static str, Vec<Event>)>;

/// Life as it is on every driver: each situation and what was told of it.
async fn life(bench: &Bench, heard: &Heard) -> Told {
    let mut told = Told::new();
    let mut note = |situation| told.push((situation, heard.take()));
    let terms = json!({ "terms": true });
    let mut jar = Jar::default();

    bench.ok(&mut jar, async |s| s.has("name").await).await;
    bench.ok(&mut jar, async |s| s.destroy().await).await;
    note("a visitor reads and logs out");
    bench.ok(&mut jar, async |s| s.set("name", "guest").await).await;
    note("the first session");
    bench.ok(&mut jar, async |s| s.get::<String>("name").await).await;
    bench.ok(&mut jar, async |s| s.set("name", "friend").await).await;
    bench.ok(&mut jar, async |s| s.flash("status", "hello").await).await;
    bench.clock.advance(HOUR);
    bench.ok(&mut jar, async |s| s.get::<String>("name").await).await;
    note("a session is used");
    bench.ok(&mut jar, async |s| s.regenerate().await).await;
    note("a new token");
    bench.ok(&mut jar, async |s| s.set_owner("41").await).await;
    note("a login");
    bench.ok(&mut jar, async |s| s.set_owner("41").await).await;
    note("the same owner again");
    bench.ok(&mut jar, async |s| s.set_owner("42").await).await;
    note("another owner");
    bench.ok(&mut jar, async |s| s.permanent(&terms).await).await;
    note("permanent data");
    bench.ok(&mut jar, async |s| s.permanent(&terms).await).await;
    note("the same permanent data");
    bench.ok(&mut jar, async |s| s.forget("terms").await).await;
    note("the last permanent value is forgotten");
    bench.ok(&mut jar, async |s| s.permanent(&terms).await).await;
    heard.take();
    bench.ok(&mut jar, async |s| s.claim::<bool>("terms").await).await;
    note("the last permanent value is claimed");
    bench.ok(&mut jar, async |s| s.permanent(&terms).await).await;
    heard.take();
    bench.ok(&mut jar, async |s| s.destroy().await).await;
    note("a logout");
    login(bench, &mut jar, "42").await;
    note("a login without a session");
    let destroy_and_set = async |s: SessionHandle| {
        s.destroy().await?;
        s.set("name", "guest").await
    };
    bench.ok(&mut jar, destroy_and_set).await;
    note("a logout and a new value");
    let (_, _) = bench.request(&mut jar, Client::Plain, 500, async |s| s.destroy().await).await;
    note("a logout that is answered with 500");
    let mut jar = bench.visitor().await;
    heard.take();
    let handle = bench.open(&jar, Client::Plain, "GET");
    handle.destroy().await.unwrap();
    drop(handle);
    until(async || !heard.is_empty()).await;
    note("a logout without an answer");
    let handle = bench.open(&Jar::default(), Client::Plain, "GET");
    handle.set("name", "guest").await.unwrap();
    handle.save().await.unwrap();
    note("a session that is saved");
    bench.answer(&mut jar, &handle, 200).await.unwrap();
    note("the answer after that");
    told
}

/// What the situations of [`life`] are told as.
const LIFE: [(&str, &[&str]); 18] = [
    ("a visitor reads and logs out", &[]),
    ("the first session", &["created", "cookie_needs_https"]),
    ("a session is used", &[]),
    ("a new token", &["regenerated"]),
    ("a login", &["regenerated", "owner_set"]),
    ("the same owner again", &[]),
    ("another owner", &["regenerated", "owner_set"]),
    ("permanent data", &["permanent_created"]),
    ("the same permanent data", &[]),
    ("the last permanent value is forgotten", &["permanent_ended"]),
    ("the last permanent value is claimed", &["permanent_ended"]),
    ("a logout", &["destroyed", "permanent_ended"]),
    ("a login without a session", &["created", "owner_set"]),
    ("a logout and a new value", &["destroyed", "created"]),
    ("a logout that is answered with 500", &["destroyed"]),
    ("a logout without an answer", &["destroyed"]),
    ("a session that is saved", &["created"]),
    ("the answer after that", &[]),
];

/// What goes wrong, or is done from outside a request, on every driver.
async fn trouble(bench: &Bench, heard: &Heard) -> Told {
    let mut told = Told::new();
    let mut note = |situation| told.push((situation, heard.take()));
    let (mut one, mut other) = (Jar::default(), Jar::default());
    let first = login(bench, &mut one, "42").await;
    login(bench, &mut other, "42").await;
    heard.take();

    bench.sessions.revoke(first).await.unwrap();
    note("one is revoked");
    bench.sessions.revoke(first).await.unwrap();
    bench.sessions.revoke_all("43").await.unwrap();
    let here = bench.open(&other, Client::Plain, "GET");
    bench.sessions.revoke_others(&here).await.unwrap();
    note("nothing is revoked");
    login(bench, &mut one, "42").await;
    heard.take();
    bench.sessions.revoke_others(&here).await.unwrap();
    note("others are revoked");
    bench.sessions.revoke_all("42").await.unwrap();
    note("all are revoked");

    bench.is_alive(&Jar::holding(UNKNOWN)).await;
    note("an unknown token");
    let mut jar = bench.visitor().await;
    heard.take();
    let doubled = [jar.field(), jar.field()].join("; ");
    drop(bench.sessions.open(RequestHead::new("GET").with_cookies([doubled.as_bytes()])));
    note("a cookie that came twice");
    answer_with_an_error(bench, &jar).await;
    note("a handler that is answered with an error");

    let slow = bench.open(&jar, Client::Plain, "POST");
    slow.set("name", "friend").await.unwrap();
    bench.ok(&mut jar.clone(), async |s| s.destroy().await).await;
    heard.take();
    bench.answer(&mut jar, &slow, 200).await.unwrap_err();
    drop(slow);
    note("a commit that was overtaken by a logout");

    let jar = bench.visitor().await;
    heard.take();
    let late = bench.open(&jar, Client::Plain, "GET");
    late.has("name").await.unwrap();
    bench.answer(&mut jar.clone(), &late, 200).await.unwrap();
    late.set("name", "friend").await.unwrap();
    late.forget("color").await.unwrap();
    drop(late);
    note("changes after the head that are not saved");

    bench.clock.advance(3 * HOUR);
    bench.is_alive(&jar).await;
    note("a session that has expired");
    told
}

/// What the situations of [`trouble`] are told as.
const TROUBLE: [(&str, &[&str]); 10] = [
    ("one is revoked", &["revoked"]),
    ("nothing is revoked", &[]),
    ("others are revoked", &["others_revoked"]),
    ("all are revoked", &["all_revoked"]),
    ("an unknown token", &["unknown_token"]),
    ("a cookie that came twice", &["cookie_doubled"]),
    ("a handler that is answered with an error", &["request_failed"]),
    ("a commit that was overtaken by a logout", &["commit_failed"]),
    ("changes after the head that are not saved", &["changes_dropped"]),
    ("a session that has expired", &["unknown_token"]),
];

#[track_caller]
fn assert_told(driver: &str, told: &Told, expected: &[(&str, &[&str])]) {
    let names = |events: &Vec<Event>| events.iter().map(Event::name).collect::<Vec<_>>();
    let told: Vec<_> = told.iter().map(|(situation, events)| (*situation, names(events))).collect();
    let expected = expected.iter().map(|(situation, names)| (*situation, names.to_vec()));
    let expected: Vec<_> = expected.collect();
    assert_eq!(told, expected, "{driver}");
}

#[tokio::test]
async fn each_thing_that_happens_is_told_once() {
    for (bench, heard) in listened().await {
        assert_told(bench.driver, &life(&bench, &heard).await, &LIFE);
        assert_told(bench.driver, &trouble(&bench, &heard).await, &TROUBLE);
    }
}

/// What a store that fails is told as, and what a memory that is full is.
async fn faults() -> Told {
    let mut told = Told::new();
    let (store, bench, heard) = listened_probe();
    let mut jar = bench.visitor().await;
    heard.take();

    bench.clock.advance(HOUR);
    store.fail_next(Verb::Touch, Fault::Unavailable);
    bench.ok(&mut jar, async |s| s.has("name").await).await;
    told.push(("a touch fails", heard.take()));
    let handle = bench.open(&jar, Client::Plain, "POST");
    handle.set("name", "friend").await.unwrap();
    store.fail_next(Verb::Commit, Fault::Unavailable);
    bench.answer(&mut jar, &handle, 200).await.unwrap_err();
    drop(handle);
    told.push(("a commit fails", heard.take()));
    let handle = bench.open(&jar, Client::Plain, "POST");
    handle.destroy().await.unwrap();
    store.fail_next(Verb::End, Fault::Unavailable);
    drop(handle);
    yield_often().await;
    told.push(("an end fails that nobody waits for", heard.take()));
    let handle = bench.open(&jar, Client::Plain, "POST");
    handle.set("name", "friend").await.unwrap();
    store.fail_every(Verb::Commit, Fault::Conflict);
    handle.save().await.unwrap_err();
    store.mend();
    drop(handle);
    told.push(("a commit loses every round", heard.take()));
    let handle = bench.open(&jar, Client::Plain, "POST");
    handle.has("name").await.unwrap();
    store.fail_every(Verb::Commit, Fault::Conflict);
    handle.claim::<String>("name").await.unwrap_err();
    store.mend();
    drop(handle);
    told.push(("a claim loses every round", heard.take()));
    store.fail_next(Verb::Load, Fault::Unavailable);
    answer_with_an_error(&bench, &jar).await;
    told.push(("a load fails", heard.take()));
    let (key, stored) = store.only().await;
    store.overwrite(key, &stored.bytes[..30]).await;
    let handle = bench.open(&jar, Client::Plain, "GET");
    handle.has("name").await.unwrap_err();
    handle.has("name").await.unwrap_err();
    drop(handle);
    told.push(("a record is damaged", heard.take()));
    bench.ok(&mut jar, async |s| s.destroy().await).await;
    told.push(("a damaged record is destroyed", heard.take()));

    let (bench, heard) = listened_memory(1).await;
    bench.visitor().await;
    heard.take();
    bench.ok(&mut Jar::default(), async |s| s.set_owner("42").await).await;
    told.push(("a session takes the place of another", heard.take()));
    let handle = bench.open(&Jar::default(), Client::Plain, "POST");
    handle.set("name", "guest").await.unwrap();
    bench.answer(&mut Jar::default(), &handle, 200).await.unwrap_err();
    told.push(("there is no room", heard.take()));

    let (store, bench, heard) = listened_probe();
    store.fail_next(Verb::DeleteExpired, Fault::Unavailable);
    bench.sessions.start_sweeper();
    yield_often().await;
    tokio::time::advance(Duration::from_secs(90)).await;
    yield_often().await;
    told.push(("a sweep fails", heard.take()));
    told
}

/// What the situations of [`faults`] are told as.
const FAULTS: [(&str, &[&str]); 11] = [
    ("a touch fails", &["touch_failed"]),
    ("a commit fails", &["commit_failed"]),
    ("an end fails that nobody waits for", &["end_failed"]),
    ("a commit loses every round", &["conflict_given_up"]),
    ("a claim loses every round", &["conflict_given_up"]),
    ("a load fails", &["request_failed"]),
    ("a record is damaged", &["unreadable"]),
    ("a damaged record is destroyed", &["unreadable", "destroyed"]),
    ("a session takes the place of another", &["evicted", "created", "owner_set"]),
    ("there is no room", &["commit_failed"]),
    ("a sweep fails", &["sweep_failed"]),
];

#[tokio::test(start_paused = true)]
async fn each_thing_that_fails_is_told_once() {
    assert_told("", &faults().await, &FAULTS);
}

/// What is told at start: without a driver, and for a local environment.
async fn start() -> Told {
    let heard = Heard::default();
    let mut told = Told::new();
    Sessions::connect(&heard.listen(Config::new())).await.unwrap();
    told.push(("no driver is set", heard.take()));
    let local = heard.listen(Config::new().env(Env::Local).driver(DriverName::Memory));
    let sessions = Sessions::connect(&local).await.unwrap();
    told.push(("the environment is local", heard.take()));
    let bench = Bench::new("memory", sessions, Clock::manual());
    bench.ok(&mut Jar::default(), async |s| s.set("name", "guest").await).await;
    told.push(("a first cookie that is not Secure", heard.take()));
    Sessions::from_store(Probe::default(), &heard.listen(Config::new().env(Env::Local))).unwrap();
    told.push(("the environment is local, in a store", heard.take()));
    let https = Sessions::from_store(Probe::default(), &heard.listen(Config::new())).unwrap();
    let mut head = RequestHead::new("GET");
    head.scheme = Some("https");
    let handle = https.open(head);
    handle.set("name", "guest").await.unwrap();
    https.commit(&handle, dframework_session::ResponseHead::new(200)).await.unwrap();
    told.push(("a first cookie over https", heard.take()));
    told
}

/// What the situations of [`start`] are told as.
const START: [(&str, &[&str]); 5] = [
    ("no driver is set", &["driver_not_set"]),
    ("the environment is local", &["local_environment"]),
    ("a first cookie that is not Secure", &["created"]),
    ("the environment is local, in a store", &["local_environment"]),
    ("a first cookie over https", &["created"]),
];

#[tokio::test]
async fn a_start_that_deserves_a_warning_is_told() {
    assert_told("", &start().await, &START);
}

/// The lines of the log that are ours: target, level and fields.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Line>>>);

#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) target: &'static str,
    pub(crate) level: Level,
    pub(crate) fields: BTreeMap<&'static str, String>,
}

impl Log {
    pub(crate) fn take(&self) -> Vec<Line> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("dframework_session")
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        struct Fields<'a>(&'a mut BTreeMap<&'static str, String>);
        impl tracing::field::Visit for Fields<'_> {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0.insert(field.name(), format!("{value:?}"));
            }
        }
        let mut fields = BTreeMap::new();
        event.record(&mut Fields(&mut fields));
        let (target, level) = (event.metadata().target(), *event.metadata().level());
        self.0.lock().unwrap().push(Line { target, level, fields });
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// A row of the manual's table.
struct Row {
    variant: &'static str,
    name: &'static str,
    level: &'static str,
    fields: BTreeSet<&'static str>,
}

fn documented() -> Vec<Row> {
    let code = |cell: &'static str| cell.trim().strip_prefix('`')?.strip_suffix('`');
    let row = |line: &'static str| {
        let cells: Vec<_> = line.strip_prefix('|')?.split('|').collect();
        let [variant, name, level, _, fields, _] = cells[..] else { return None };
        let level = level.trim().split(',').next()?;
        let fields = fields.split('`').skip(1).step_by(2).collect();
        Some(Row { variant: code(variant)?, name: code(name)?, level, fields })
    };
    include_str!("../../docs/events.md").lines().filter_map(row).collect()
}

#[tokio::test(start_paused = true)]
async fn hooks_and_log_are_told_the_same_and_the_manual_has_a_row_for_each() {
    let log = Log::default();
    let _guard = crate::support::subscribe(log.clone());
    let (_, bench, heard) = listened_probe();
    let mut told = life(&bench, &heard).await;
    told.extend(trouble(&bench, &heard).await);
    told.extend(faults().await);
    told.extend(start().await);
    told.extend(crate::stealth::told().await);
    let told: Vec<_> = told.into_iter().flat_map(|(_, events)| events).collect();
    let lines = log.take();
    for row in documented() {
        let told: Vec<_> = told.iter().filter(|event| event.name() == row.name).collect();
        assert!(!told.is_empty(), "{}", row.name);
        assert!(told.iter().all(|event| format!("{event:?}").starts_with(row.variant)));

        let target = format!("dframework_session::{}", row.name);
        let lines: Vec<_> = lines.iter().filter(|line| line.target == target).collect();
        // The hooks were not asked about what had only made the situations.
        assert!(lines.len() >= told.len(), "{}", row.name);
        let mut fields = BTreeSet::new();
        for line in lines {
            // A session that has ended elsewhere is nothing for the operator to mend.
            let is_conflict = line.fields.get("status").is_some_and(|status| status == "409");
            let level = if is_conflict { "WARN" } else { row.level };
            assert_eq!(line.level.to_string(), level, "{line:?}");
            fields.extend(line.fields.keys().copied().filter(|field| *field != "message"));
        }
        assert_eq!(fields, row.fields, "{}", row.name);
    }
    let known: BTreeSet<_> = documented().iter().map(|row| row.name).collect();
    let unknown = |line: &&Line| !known.contains(line.target.rsplit("::").next().unwrap());
    assert_eq!(lines.iter().find(unknown).map(|line| line.target), None);
}

#[tokio::test]
async fn ids_lead_from_the_first_token_to_the_last() {
    for (bench, heard) in listened().await {
        let mut jar = bench.visitor().await;
        let first = id(&bench, &jar).await;
        let told = heard.take();
        assert!(matches!(told[0], Event::Created { id, .. } if id == first), "{told:?}");

        let second = login(&bench, &mut jar, "42").await;
        let told = heard.take();
        assert!(
            matches!(told[0], Event::Regenerated { previous, id, .. } if (previous, id) == (first, second)),
            "{told:?}"
        );
        let Event::OwnerSet { id, owner, .. } = &told[1] else { panic!("{told:?}") };
        assert_eq!((*id, owner.as_str()), (second, "42"));

        let elsewhere = login(&bench, &mut Jar::default(), "42").await;
        heard.take();
        let here = bench.open(&jar, Client::Plain, "GET");
        bench.sessions.revoke_others(&here).await.unwrap();
        let told = heard.only();
        let Event::OthersRevoked { owner, kept, count, .. } = &told else { panic!("{told:?}") };
        assert_eq!((owner.as_str(), *kept, *count), ("42", Some(second), 1));
        assert!(!bench.sessions.revoke(elsewhere).await.unwrap());

        let third = login(&bench, &mut Jar::default(), "42").await;
        heard.take();
        bench.sessions.revoke(third).await.unwrap();
        assert!(matches!(heard.only(), Event::Revoked { id, .. } if id == third));

        bench.ok(&mut jar, async |session| session.destroy().await).await;
        assert!(matches!(heard.only(), Event::Destroyed { id, .. } if id == second));

        login(&bench, &mut jar, "42").await;
        login(&bench, &mut Jar::default(), "42").await;
        heard.take();
        bench.sessions.revoke_all("42").await.unwrap();
        let told = heard.only();
        let Event::AllRevoked { owner, count, .. } = &told else { panic!("{told:?}") };
        assert_eq!((owner.as_str(), *count), ("42", 2));
    }
}

/// The session that an event of trouble is about.
fn troubled(event: &Event) -> Option<SessionId> {
    match event {
        Event::CommitFailed { id, .. }
        | Event::RequestFailed { id, .. }
        | Event::ChangesDropped { id, .. }
        | Event::ConflictGivenUp { id, .. } => *id,
        Event::TouchFailed { id, .. }
        | Event::EndFailed { id, .. }
        | Event::Unreadable { id, .. }
        | Event::UnknownToken { id, .. }
        | Event::PermanentCreated { id, .. }
        | Event::PermanentEnded { id, .. } => Some(*id),
        _ => None,
    }
}

#[tokio::test]
async fn trouble_names_the_session_that_has_it() {
    for (bench, heard) in listened().await {
        let mut jar = bench.visitor().await;
        let session = id(&bench, &jar).await;
        heard.take();
        answer_with_an_error(&bench, &jar).await;
        assert_eq!(troubled(&heard.only()), Some(session), "{}", bench.driver);

        let slow = bench.open(&jar, Client::Plain, "POST");
        slow.set("name", "friend").await.unwrap();
        bench.ok(&mut jar.clone(), async |s| s.regenerate().await).await;
        heard.take();
        bench.answer(&mut jar, &slow, 200).await.unwrap_err();
        assert_eq!(troubled(&heard.only()), Some(session), "{}: as it was called", bench.driver);

        let mut jar = bench.visitor().await;
        let session = id(&bench, &jar).await;
        heard.take();
        let late = bench.open(&jar, Client::Plain, "GET");
        late.has("name").await.unwrap();
        bench.answer(&mut jar, &late, 200).await.unwrap();
        late.set("name", "friend").await.unwrap();
        late.set("color", "red").await.unwrap();
        drop(late);
        let told = heard.only();
        assert_eq!(troubled(&told), Some(session), "{}", bench.driver);
        let Event::ChangesDropped { names, .. } = told else { panic!("{told:?}") };
        assert_eq!(names, ["color", "name"]);

        bench.clock.advance(3 * HOUR);
        bench.is_alive(&jar).await;
        assert_eq!(troubled(&heard.only()), Some(session), "{}: expired", bench.driver);
    }
}

#[tokio::test]
async fn permanent_data_keeps_its_id_until_it_ends() {
    for (bench, heard) in listened().await {
        let mut jar = bench.visitor().await;
        heard.take();
        bench.ok(&mut jar, async |s| s.permanent(json!({ "terms": true })).await).await;
        let made = troubled(&heard.only()).unwrap();
        assert_ne!(made, id(&bench, &jar).await);
        bench.ok(&mut jar, async |s| s.set("terms", false).await).await;
        assert_eq!(heard.names(), [""; 0]);
        bench.ok(&mut jar, async |s| s.forget("terms").await).await;
        assert_eq!(troubled(&heard.only()), Some(made), "{}", bench.driver);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_told_with_the_session_and_the_reason() {
    let (store, bench, heard) = listened_probe();
    let mut jar = bench.visitor().await;
    let session = id(&bench, &jar).await;
    heard.take();
    let handle = bench.open(&jar, Client::Plain, "POST");
    handle.set("name", "friend").await.unwrap();
    store.fail_next(Verb::Commit, Fault::Unavailable);
    bench.answer(&mut jar, &handle, 200).await.unwrap_err();
    let told = heard.only();
    let Event::CommitFailed { id, error, .. } = &told else { panic!("{told:?}") };
    assert_eq!((*id, error.status()), (Some(session), 503));
    assert!(error.is_unavailable() && format!("{told:?}").contains("the store is down"));

    bench.clock.advance(HOUR);
    store.fail_next(Verb::Touch, Fault::Unavailable);
    bench.ok(&mut jar, async |s| s.has("name").await).await;
    let told = heard.only();
    assert_eq!(troubled(&told), Some(session));
    let Event::TouchFailed { error, .. } = &told else { panic!("{told:?}") };
    assert_eq!(
        error.to_string(),
        "the session store failed while recording the use of the session"
    );

    let handle = bench.open(&jar, Client::Plain, "POST");
    handle.set("name", "friend").await.unwrap();
    store.fail_every(Verb::Commit, Fault::Conflict);
    handle.save().await.unwrap_err();
    store.mend();
    let told = heard.only();
    assert_eq!(troubled(&told), Some(session));
    assert!(matches!(told, Event::ConflictGivenUp { rounds: 32, .. }), "{told:?}");
}

#[test]
fn an_end_without_a_runtime_is_told_for_each_record() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (handle, heard, ids) = runtime.block_on(async {
        let (_, bench, heard) = listened_probe();
        let mut jar = bench.visitor().await;
        bench.ok(&mut jar, async |s| s.permanent(json!({ "terms": true })).await).await;
        let permanent = heard.take().iter().find_map(troubled);
        let handle = bench.open(&jar, Client::Plain, "POST");
        handle.destroy().await.unwrap();
        (handle, heard, [Some(id(&bench, &jar).await), permanent])
    });
    drop(runtime);
    drop(handle);
    let told = heard.take();
    assert!(told.iter().all(|event| matches!(event, Event::EndFailed { .. })), "{told:?}");
    assert_eq!(told.iter().map(troubled).collect::<Vec<_>>(), ids);
}

#[tokio::test]
async fn hostile_requests_do_not_flood_the_log() {
    let log = Log::default();
    let _guard = crate::support::subscribe(log.clone());
    for (bench, heard) in listened().await {
        let unknown = Jar::holding(UNKNOWN);
        let doubled = [unknown.field(), unknown.field()].join("; ");
        let attack = async |times: usize| {
            for _ in 0..times {
                bench.is_alive(&unknown).await;
                let head = RequestHead::new("GET").with_cookies([doubled.as_bytes()]);
                drop(bench.sessions.open(head));
            }
        };
        let times = if bench.driver == "memory" { 10_000 } else { 200 };
        attack(times).await;
        assert_eq!(heard.names(), ["unknown_token", "cookie_doubled"], "{}", bench.driver);
        assert_eq!(log.take().len(), 2, "{}", bench.driver);

        bench.clock.advance(HOUR / 60);
        attack(1).await;
        for event in heard.take() {
            let left_out = match event {
                Event::UnknownToken { left_out, .. } | Event::CookieDoubled { left_out, .. } => {
                    left_out
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(usize::try_from(left_out), Ok(times - 1), "{}", bench.driver);
        }
        let left_out = |line: &Line| line.fields["left_out"].clone();
        assert_eq!(
            log.take().iter().map(left_out).collect::<Vec<_>>(),
            [(times - 1).to_string(), (times - 1).to_string()]
        );
    }
}

#[tokio::test]
async fn a_filter_picks_events_by_target_and_level() {
    /// Takes logins alone.
    struct Logins(Log);
    impl Subscriber for Logins {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "dframework_session::owner_set" && *metadata.level() == Level::INFO
        }
        fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
            self.0.new_span(span)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, event: &tracing::Event<'_>) {
            self.0.event(event);
        }
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }
    for bench in crate::support::drivers().await {
        let log = Log::default();
        let _guard = crate::support::subscribe(Logins(log.clone()));
        let session = login(&bench, &mut bench.visitor().await, "guest@mail").await;
        let lines = log.take();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0].fields["session"], session.to_string());
        assert!(
            !format!("{lines:?}").contains("guest@mail"),
            "an owner may be an address: {lines:?}"
        );
    }
}

#[test]
#[ignore = "the process whose instructions the test below counts"]
fn works_through_requests() {
    let Ok(what) = std::env::var("EVENTS_REQUESTS") else { return };
    let mut config = Config::new().driver(DriverName::Memory);
    if what.contains("hook") {
        config = config.on_event(|event| assert!(!event.name().is_empty()));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let sessions = Sessions::connect(&config).await.unwrap();
        let bench = Bench::new("memory", sessions, Clock::manual());
        let jar = bench.visitor().await;
        for _ in 0..if what.contains("many") { 510 } else { 10 } {
            match what.contains("read") {
                true => drop(bench.read(&jar, "name").await),
                false => drop(bench.visitor().await),
            }
        }
    });
}

#[test]
fn ids_are_computed_for_those_who_listen_and_never_to_read() {
    if !is_installed("valgrind") {
        return;
    }
    // What five hundred requests cost more than none, with a hook and without.
    let cost = |what: &str| {
        let run =
            |what: &str| instructions("events::works_through_requests", "EVENTS_REQUESTS", what);
        run(&format!("{what} many")) - run(what)
    };
    let (quiet, heard) = (cost("read"), cost("read hook"));
    assert!(heard.abs_diff(quiet) < quiet / 50, "reading: {quiet}, with a hook {heard}");
    let (quiet, heard) = (cost("write"), cost("write hook"));
    // A digest takes 3,500 instructions at the least.
    assert!(heard > quiet + 1_500_000, "a digest each: {quiet}, with a hook {heard}");
}
