//! Sessions in their cookies: what this driver does that no other does, and what it cannot do.

use crate::{
    events::Heard,
    support::{Bench, Client, DAY, HOUR, Jar, KEY, NAME, in_cookies},
};
use dframework_session::{
    Clock, Config, DriverName, Error, Event, RequestHead, ResponseHead, Revocation, SessionHandle,
    Sessions,
};
use serde_json::json;
use std::{collections::HashSet, process::Command, time::Duration};

const OTHER_KEY: &str = "c41f7a90be2d63581f0e9dcb8a7765432a1b0c9d8e7f60514233f2e1d0cfbead";

/// Sessions in cookies, with this configuration.
pub(crate) async fn with(configure: impl FnOnce(Config) -> Config) -> Bench {
    let clock = Clock::manual();
    let config = Config::new().driver(DriverName::Stealth).key(KEY).unwrap().clock(clock.clone());
    let sessions = Sessions::connect(&configure(config)).await.unwrap();
    Bench::new("stealth", sessions, clock)
}

/// Another process with the same clock.
async fn beside(bench: &Bench, configure: impl FnOnce(Config) -> Config) -> Bench {
    let clock = bench.clock.clone();
    let mut beside = with(|config| configure(config.clock(clock.clone()))).await;
    beside.clock = clock;
    beside
}

async fn name(bench: &Bench, jar: &Jar) -> Option<String> {
    bench.read(jar, "name").await
}

/// The names of the cookies that these lines are about.
fn cookies(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| line.split('=').next().unwrap()).collect()
}

#[tokio::test]
async fn another_process_with_the_key_finds_the_session_and_one_without_it_does_not() {
    let bench = in_cookies().await;
    let jar = bench.visitor().await;
    assert_eq!(name(&beside(&bench, |config| config).await, &jar).await.as_deref(), Some("guest"));
    let others: [fn(Config) -> Config; 3] = [
        |config| config.key(OTHER_KEY).unwrap(),
        |config| config.audience("office"),
        |config| config.cookie_name("__Host-Http-office"),
    ];
    for other in others {
        let other = beside(&bench, other).await;
        let renamed = jar.pairs()[NAME].clone();
        let mut cookie = Jar::default();
        cookie.insert(other.sessions.cookie_name(), &renamed);
        assert_eq!(name(&other, &cookie).await, None, "{}", other.sessions.cookie_name());
    }
}

#[tokio::test]
async fn a_reader_sends_no_payload_and_says_beside_it_that_the_session_was_used() {
    let bench = in_cookies().await;
    let mut jar = bench.visitor().await;
    let (first, forgetful) = (jar.session().unwrap().to_owned(), jar.clone());
    for _ in 0..6 {
        bench.clock.advance(HOUR);
        let read = async |session: SessionHandle| session.get::<String>("name").await;
        let (value, head) = bench.request(&mut jar, Client::Plain, 200, read).await;
        assert_eq!(value.unwrap().as_deref(), Some("guest"));
        assert_eq!(cookies(&head.set_cookies), [format!("{NAME}.t")]);
    }
    assert_eq!(jar.session(), Some(&*first));
    assert_eq!(name(&bench, &forgetful).await, None, "nothing tells that it was used");
    let (_, head) = bench
        .request(&mut jar, Client::Plain, 200, async |session| session.has("name").await)
        .await;
    assert!(head.set_cookies.is_empty(), "a second use in the same step says nothing new");
}

#[tokio::test]
async fn the_activity_of_one_session_prolongs_no_other() {
    let bench = in_cookies().await;
    let (mut used, idle) = (bench.visitor().await, bench.visitor().await);
    bench.clock.advance(HOUR);
    bench.ok(&mut used, async |session| session.has("name").await).await;
    let mut mixed = idle.clone();
    mixed.insert(&format!("{NAME}.t"), used.companion(".t").unwrap());
    bench.clock.advance(HOUR + Duration::from_secs(720));
    assert_eq!(name(&bench, &mixed).await, None);
    assert_eq!(name(&bench, &used).await.as_deref(), Some("guest"));
}

#[tokio::test]
async fn no_use_outlives_the_absolute_lifetime() {
    let bench = in_cookies().await;
    let mut jar = bench.visitor().await;
    for hour in 0..720 {
        assert_eq!(name(&bench, &jar).await.as_deref(), Some("guest"), "after {hour} hours");
        let write = hour % 100 == 0;
        bench
            .ok(&mut jar, async |session| match write {
                true => session.set("hour", hour).await,
                false => session.has("name").await.map(drop),
            })
            .await;
        bench.clock.advance(HOUR);
    }
    assert_eq!(name(&bench, &jar).await, None);
}

#[tokio::test]
async fn a_copy_of_the_cookie_is_nobody_after_what_ends_the_session() {
    type End =
        fn(&SessionHandle) -> std::pin::Pin<Box<dyn Future<Output = Result<(), Error>> + '_>>;
    let ends: [(&str, End); 4] = [
        ("forget", |session| Box::pin(session.forget(..))),
        ("destroy", |session| Box::pin(session.destroy())),
        ("regenerate", |session| Box::pin(session.regenerate())),
        ("login", |session| Box::pin(session.set_owner("42"))),
    ];
    for (how, end) in ends {
        let bench = in_cookies().await;
        let mut jar = bench.visitor().await;
        bench.ok(&mut jar, async |s| s.permanent(json!({ "terms": true })).await).await;
        let copy = jar.clone();
        bench.ok(&mut jar, async |session| end(&session).await).await;
        for wait in [0, 59, 1, 3600] {
            bench.clock.advance(Duration::from_secs(wait));
            assert_eq!(name(&bench, &copy).await, None, "{how} {wait}");
            let ends_both = ["forget", "destroy"].contains(&how);
            let terms = bench.ok(&mut copy.clone(), async |s| s.has("terms").await).await;
            assert_eq!(terms, !ends_both, "{how} {wait}");
        }
        let other = beside(&bench, |config| config).await;
        assert!(name(&other, &copy).await.is_some(), "another process has not heard of it: {how}");
    }
}

#[tokio::test]
async fn with_revocation_off_a_logout_takes_the_cookie_and_nothing_else() {
    let bench = with(|config| config.revocation(Revocation::Off)).await;
    let mut jar = bench.visitor().await;
    let copy = jar.clone();
    bench.ok(&mut jar, async |session| session.destroy().await).await;
    assert!(jar.is_empty(), "{jar:?}");
    assert_eq!(name(&bench, &copy).await.as_deref(), Some("guest"));
    let id = bench.ok(&mut copy.clone(), async |session| session.id().await).await.unwrap();
    assert!(bench.sessions.revoke(id).await.unwrap_err().is_unsupported());
    assert!(bench.sessions.revoke_all("42").await.unwrap_err().is_unsupported());
}

#[tokio::test]
async fn sessions_end_by_their_ids() {
    let bench = in_cookies().await;
    let (jar, other) = (bench.visitor().await, bench.visitor().await);
    let id = bench.ok(&mut jar.clone(), async |session| session.id().await).await.unwrap();
    assert!(bench.sessions.revoke(id).await.unwrap());
    assert!(!bench.sessions.revoke(id).await.unwrap(), "it has ended");
    assert_eq!(name(&bench, &jar).await, None);
    assert_eq!(name(&bench, &other).await.as_deref(), Some("guest"));
    let error = bench.open(&jar, Client::Plain, "POST").set("name", "again").await.unwrap_err();
    assert!(error.is_gone(), "{error}");
}

#[tokio::test]
async fn sessions_end_by_their_owner_and_a_later_login_stands() {
    let bench = in_cookies().await;
    let mut jars = [Jar::default(), Jar::default(), Jar::default()];
    for (jar, owner) in jars.iter_mut().zip(["42", "42", "43"]) {
        bench.ok(jar, async |session| session.set_owner(owner).await).await;
        bench.ok(jar, async |session| session.set("name", "guest").await).await;
    }
    bench.sessions.revoke_all("42").await.unwrap();
    let mut again = Jar::default();
    bench.ok(&mut again, async |session| session.set_owner("42").await).await;
    bench.ok(&mut again, async |session| session.set("name", "guest").await).await;
    let mut names = Vec::new();
    for jar in jars.iter().chain([&again]) {
        names.push(name(&bench, jar).await.is_some());
    }
    assert_eq!(names, [false, false, true, true]);
}

#[tokio::test]
async fn the_others_of_an_owner_end_and_this_one_stays_under_a_new_id_too() {
    let bench = in_cookies().await;
    let (mut here, mut elsewhere) = (Jar::default(), Jar::default());
    for jar in [&mut here, &mut elsewhere] {
        bench.ok(jar, async |session| session.set_owner("42").await).await;
        bench.ok(jar, async |session| session.set("name", "guest").await).await;
    }
    let handle = bench.open(&here, Client::Plain, "POST");
    bench.sessions.revoke_others(&handle).await.unwrap();
    assert_eq!(name(&bench, &elsewhere).await, None);
    for step in ["as it was", "written", "with a new id"] {
        assert_eq!(name(&bench, &here).await.as_deref(), Some("guest"), "{step}");
        bench
            .ok(&mut here, async |session| match step {
                "as it was" => session.set("step", 1).await,
                _ => session.regenerate().await,
            })
            .await;
    }
    bench.sessions.revoke_all("42").await.unwrap();
    assert_eq!(name(&bench, &here).await, None);
}

#[tokio::test]
async fn keys_are_rotated_in_three_instances_without_a_logout() {
    let bench = in_cookies().await;
    let mut jar = bench.visitor().await;
    bench.ok(&mut jar, async |s| s.permanent(json!({ "terms": true })).await).await;
    let quiet = jar.clone();
    // First every instance learns the new key, then every one seals with it, then the old one goes.
    let stages: [(&str, &[&str]); 3] = [(KEY, &[OTHER_KEY]), (OTHER_KEY, &[KEY]), (OTHER_KEY, &[])];
    let configured = |(key, previous): (&'static str, &'static [&'static str])| {
        move |config: Config| config.key(key).unwrap().previous_keys(previous).unwrap()
    };
    let mut instances = Vec::new();
    for _ in 0..3 {
        instances.push(beside(&bench, |config| config).await);
    }
    for (stage, keys) in stages.into_iter().enumerate() {
        for changed in 0..3 {
            instances[changed] = beside(&bench, configured(keys)).await;
            for (number, instance) in instances.iter().enumerate() {
                let case = format!("stage {stage}, {changed} changed, on {number}");
                let visits = instance.ok(&mut jar, async |s| s.increment("visits", 1).await).await;
                let before = stage * 9 + changed * 3 + number;
                assert_eq!(visits, i64::try_from(before).unwrap() + 1, "{case}");
                let terms = async |session: SessionHandle| session.has("terms").await;
                assert!(instance.ok(&mut jar, terms).await || stage == 2, "{case}");
                let opens = name(instance, &quiet).await.is_some();
                assert_eq!(opens, stage < 2 || number > changed, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn a_cookie_with_any_bit_flipped_is_no_session() {
    let bench = in_cookies().await;
    let jar = bench.visitor().await;
    let value = jar.session().unwrap().as_bytes().to_vec();
    for at in 0..value.len() {
        for bit in 0..8 {
            let mut flipped = value.clone();
            flipped[at] ^= 1 << bit;
            let field = [format!("{NAME}=").as_bytes(), &flipped].concat();
            let head = RequestHead::new("GET").with_cookies([&field[..]]);
            let handle = bench.sessions.open(head);
            assert_eq!(handle.get::<String>("name").await.unwrap(), None, "byte {at}, bit {bit}");
        }
    }
    for length in 0..value.len() {
        let mut cut = Jar::default();
        cut.insert(NAME, std::str::from_utf8(&value[..length]).unwrap());
        assert_eq!(name(&bench, &cut).await, None, "the first {length}");
    }
}

#[tokio::test]
async fn a_cookie_in_the_place_of_another_is_no_session() {
    let bench = in_cookies().await;
    let mut jar = bench.visitor().await;
    bench.ok(&mut jar, async |s| s.permanent(json!({ "terms": true })).await).await;
    bench.clock.advance(HOUR);
    bench.ok(&mut jar, async |session| session.has("name").await).await;
    let places = ["", ".p", ".t"];
    for from in places {
        for to in places.into_iter().filter(|to| *to != from) {
            let mut moved = Jar::default();
            moved.insert(&format!("{NAME}{to}"), jar.companion(from).unwrap());
            let all = bench.ok(&mut moved, async |session| session.all().await).await;
            assert!(all.is_empty(), "{from:?} in the place of {to:?}: {all:?}");
        }
    }
}

/// A cookie that is no session.
struct Bad {
    what: &'static str,
    value: String,
    /// What the operator is told.
    reason: &'static str,
    /// When it comes, after it was sealed.
    after: Duration,
}

/// With one character in place of another.
fn altered(value: &str, at: usize) -> String {
    let other = if value[at..].starts_with('A') { "B" } else { "A" };
    [&value[..at], other, &value[at + 1..]].concat()
}

/// Everything that may be wrong with a cookie.
async fn bad_cookies() -> Vec<Bad> {
    let bench = in_cookies().await;
    let mut jar = bench.visitor().await;
    bench.ok(&mut jar, async |s| s.permanent(json!({ "terms": true })).await).await;
    let sealed = jar.session().unwrap().to_owned();
    let elsewhere = async |configure: fn(Config) -> Config| {
        let bench = with(configure).await;
        let mut jar = Jar::default();
        let handle = bench.open(&jar, Client::Plain, "POST");
        handle.set("name", "guest").await.unwrap();
        bench.answer(&mut jar, &handle, 200).await.unwrap();
        jar.pairs()[bench.sessions.cookie_name()].clone()
    };
    let ahead = in_cookies().await;
    ahead.clock.advance(HOUR);
    // The last character holds two bits of which no byte is made.
    assert_eq!(sealed.len() % 4, 3);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let place = alphabet.find(&sealed[sealed.len() - 1..]).unwrap();
    let respelled = format!("{}{}", &sealed[..sealed.len() - 1], &alphabet[place + 1..place + 2]);
    let last = sealed.len() - 2;
    let bad = |what, value: String, reason| Bad { what, value, reason, after: Duration::ZERO };
    let late = |what, after| Bad { after, ..bad(what, sealed.clone(), "expired") };
    vec![
        bad("nothing", String::new(), "malformed"),
        bad("a token", "A".repeat(43), "version"),
        bad("cut", sealed[..sealed.len() - 5].to_owned(), "malformed"),
        bad("longer", format!("{sealed}AAAA"), "malformed"),
        bad("longer than any cookie", sealed.repeat(20), "malformed"),
        bad("a megabyte", "A".repeat(1 << 20), "malformed"),
        bad("padded", format!("{sealed}="), "malformed"),
        bad("of the other alphabet", format!("{}+/", &sealed[..sealed.len() - 2]), "malformed"),
        bad("spelled otherwise", respelled, "malformed"),
        bad("of another version", altered(&sealed, 0), "version"),
        bad("of another kid", altered(&sealed, 4), "key"),
        bad("with another nonce", altered(&sealed, 20), "tag"),
        bad("with another text", altered(&sealed, 60), "tag"),
        bad("with another tag", altered(&sealed, last), "tag"),
        bad("of another key", elsewhere(|c| c.key(OTHER_KEY).unwrap()).await, "key"),
        bad("of another audience", elsewhere(|c| c.audience("office")).await, "tag"),
        bad("of another name", elsewhere(|c| c.cookie_name("__Host-office")).await, "tag"),
        bad("of another purpose", jar.companion(".p").unwrap().to_owned(), "tag"),
        bad("of the future", ahead.visitor().await.session().unwrap().to_owned(), "future"),
        late("idle for too long", 3 * HOUR),
        late("too old", 31 * DAY),
    ]
}

/// What a client sees: of a request that reads, of a logout, and of a request that writes.
async fn seen_by_the_client(
    bench: &Bench,
    value: &str,
) -> Vec<(Vec<String>, Option<&'static str>, bool)> {
    let field = format!("{NAME}={value}");
    let open = || bench.sessions.open(RequestHead::new("POST").with_cookies([field.as_bytes()]));
    let reader = open();
    assert!(reader.all().await.unwrap().is_empty());
    assert_eq!((reader.id().await.unwrap(), reader.owner().await.unwrap()), (None, None));
    let (leaver, writer) = (open(), open());
    leaver.destroy().await.unwrap();
    writer.set("name", "guest").await.unwrap();
    let mut seen = Vec::new();
    for handle in [reader, leaver, writer] {
        let mut head = bench.sessions.commit(&handle, ResponseHead::new(200)).await.unwrap();
        for line in &mut head.set_cookies {
            // What a new session is sealed to is random, and of one length.
            let (name, rest) = line.split_once('=').unwrap();
            let (value, attributes) = rest.split_once(';').unwrap();
            *line = format!("{name}, {} characters;{attributes}", value.len());
        }
        seen.push((head.set_cookies, head.cache_control, head.vary));
    }
    seen
}

#[tokio::test]
async fn whatever_is_wrong_with_a_cookie_the_client_sees_the_same_and_the_operator_why() {
    let mut seen = HashSet::new();
    for Bad { what, value, reason, after } in bad_cookies().await {
        let heard = Heard::default();
        let bench = with(|config| heard.listen(config)).await;
        bench.clock.advance(after);
        seen.insert(seen_by_the_client(&bench, &value).await);
        assert_eq!(seen.len(), 1, "{what}: {seen:?}");

        let events = heard.take();
        let told = events.iter().filter_map(|event| match event {
            Event::SealRefused { reason, .. } => Some(*reason),
            _ => None,
        });
        assert_eq!(told.collect::<Vec<_>>(), [reason], "{what}");
        assert!(!format!("{events:?}").contains(value.get(..16).unwrap_or("?")), "{what}");
    }
}

#[tokio::test]
async fn a_retired_key_opens_nothing_and_is_told_like_any_unknown_one() {
    let before = with(|config| config.key(OTHER_KEY).unwrap()).await;
    let jar = before.visitor().await;
    let changing = beside(&before, |config| config.previous_keys([OTHER_KEY]).unwrap()).await;
    assert_eq!(name(&changing, &jar).await.as_deref(), Some("guest"));
    let heard = Heard::default();
    let after = beside(&before, |config| heard.listen(config)).await;
    assert_eq!(name(&after, &jar).await, None);
    let told = heard.take();
    assert!(matches!(told[..], [Event::SealRefused { reason: "key", .. }]), "{told:?}");
}

#[tokio::test]
async fn of_several_cookies_of_a_plain_name_four_are_opened() {
    let bench = with(|config| config.cookie_name("sid")).await;
    let mut jar = Jar::default();
    bench.ok(&mut jar, async |session| session.set("name", "guest").await).await;
    let value = &jar.pairs()["sid"];
    let dead = altered(value, 60);
    for (others, opens) in [(0, true), (1, true), (3, true), (4, false), (400, false)] {
        let field = format!("{}sid={value}", format!("sid={dead}; ").repeat(others));
        let handle = bench.sessions.open(RequestHead::new("GET").with_cookies([field.as_bytes()]));
        assert_eq!(handle.has("name").await.unwrap(), opens, "behind {others}");
    }
}

#[tokio::test]
#[ignore = "the process of which the test below starts two"]
async fn seals_once() {
    let jar = in_cookies().await.visitor().await;
    println!("sealed={}.", jar.session().unwrap());
}

#[test]
fn another_process_seals_with_another_nonce_and_another_id() {
    let sealed = [(); 2].map(|()| {
        let arguments = ["--ignored", "--exact", "stealth::seals_once", "--nocapture"];
        let output =
            Command::new(std::env::current_exe().unwrap()).args(arguments).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (_, sealed) = text.split_once("sealed=").unwrap();
        sealed.split_once('.').unwrap().0.to_owned()
    });
    // Version and kid, and the first bits of the nonce.
    assert_eq!(sealed[0][..6], sealed[1][..6]);
    let pairs = sealed[0][7..].bytes().zip(sealed[1][7..].bytes());
    assert!(pairs.filter(|(one, other)| one == other).count() < 30, "{sealed:?}");
}

#[tokio::test]
async fn a_session_has_a_line_of_4093_bytes_at_most_and_what_is_more_is_refused_by_its_keys() {
    let bench = in_cookies().await;
    let mut longest = 0;
    for length in 2_000..3_500 {
        let mut jar = Jar::default();
        let handle = bench.open(&jar, Client::Plain, "POST");
        handle.set("small", 1).await.unwrap();
        handle.set("large", "x".repeat(length)).await.unwrap();
        match bench.answer(&mut jar, &handle, 200).await {
            Ok(head) => longest = longest.max(head.set_cookies[0].len()),
            Err(failed) => {
                assert!(longest > 4_000 && longest <= 4_093, "{longest}");
                let message = failed.error.to_string();
                assert!(failed.error.is_too_large() && failed.head.set_cookies.is_empty());
                assert!(message.contains("at most 4093; largest keys: \"large\""), "{message}");
                return;
            }
        }
    }
    panic!("nothing was too large");
}

#[tokio::test]
async fn what_is_too_large_leaves_the_session_as_it_was() {
    let bench = in_cookies().await;
    let mut jar = bench.visitor().await;
    for regenerates in [false, true] {
        let handle = bench.open(&jar, Client::Plain, "POST");
        if regenerates {
            handle.regenerate().await.unwrap();
        }
        handle.set("large", "x".repeat(4_000)).await.unwrap();
        let before = jar.clone();
        assert!(bench.answer(&mut jar, &handle, 200).await.unwrap_err().error.is_too_large());
        assert_eq!(jar, before);
        assert_eq!(name(&bench, &jar).await.as_deref(), Some("guest"));
    }
}

#[tokio::test]
async fn after_the_head_and_on_an_upgrade_nothing_can_change_but_a_logout() {
    let bench = in_cookies().await;
    let mut jar = bench.visitor().await;
    let late = bench.open(&jar, Client::Plain, "GET");
    late.has("name").await.unwrap();
    bench.answer(&mut jar, &late, 200).await.unwrap();
    assert!(late.set("name", "friend").await.unwrap_err().is_late());
    assert!(late.forget("name").await.unwrap_err().is_late());
    assert!(late.increment("n", 1).await.unwrap_err().is_late());
    assert_eq!(late.get::<String>("name").await.unwrap().as_deref(), Some("guest"));

    let upgrade = bench.open(&jar, Client::Plain, "GET");
    upgrade.set("name", "friend").await.unwrap();
    assert!(bench.answer(&mut jar, &upgrade, 101).await.unwrap_err().error.is_late());

    bench.clock.advance(HOUR);
    let used = bench.open(&jar, Client::Plain, "GET");
    used.has("name").await.unwrap();
    let head = bench.answer(&mut jar, &used, 101).await.unwrap();
    assert!(head.set_cookies.is_empty(), "an upgrade carries no cookie");

    late.destroy().await.unwrap();
    late.save().await.unwrap();
    assert_eq!(name(&bench, &jar).await, None);
}

#[tokio::test]
async fn what_takes_a_server_that_knows_the_sessions_is_unsupported() {
    let bench = in_cookies().await;
    let jar = bench.visitor().await;
    let handle = bench.open(&jar, Client::Plain, "GET");
    assert!(handle.claim::<String>("name").await.unwrap_err().is_unsupported());
    assert!(bench.sessions.count().await.unwrap_err().is_unsupported());
    let error = bench.sessions.of("42", None, 20).await.unwrap_err();
    assert!(error.is_unsupported() && error.status() == 500, "{error}");
    assert_eq!(handle.get::<String>("name").await.unwrap().as_deref(), Some("guest"));
}

#[tokio::test]
async fn a_commit_never_waits() {
    let bench = in_cookies().await;
    let mut jar = bench.visitor().await;
    for write in [false, true] {
        let handle = bench.open(&jar, Client::Plain, "POST");
        handle.has("name").await.unwrap();
        if write {
            handle.regenerate().await.unwrap();
        }
        let head = bench.sessions.commit_now(&handle, ResponseHead::new(200)).unwrap();
        assert_eq!(head.set_cookies.len(), usize::from(write));
        jar.take(&head.set_cookies);
    }
    assert_eq!(name(&bench, &jar).await.as_deref(), Some("guest"));
}

#[tokio::test]
async fn what_a_save_has_made_is_the_ground_of_the_next_commit() {
    let bench = in_cookies().await;
    let mut jar = Jar::default();
    let handle = bench.open(&jar, Client::Plain, "POST");
    handle.set_owner("42").await.unwrap();
    handle.save().await.unwrap();
    let id = handle.id().await.unwrap();
    handle.set("name", "guest").await.unwrap();
    handle.save().await.unwrap();
    handle.increment("n", 1).await.unwrap();
    bench.answer(&mut jar, &handle, 200).await.unwrap();
    assert_eq!(name(&bench, &jar).await.as_deref(), Some("guest"));
    let found = bench.open(&jar, Client::Plain, "GET");
    assert_eq!(found.id().await.unwrap(), id, "one session from the first save on");
    assert_eq!(found.owner().await.unwrap().as_deref(), Some("42"));
    assert_eq!(found.get::<i64>("n").await.unwrap(), Some(1));
}

#[tokio::test]
async fn of_two_parallel_writers_the_last_answer_wins() {
    let bench = in_cookies().await;
    let mut jar = bench.visitor().await;
    let (one, other) =
        (bench.open(&jar, Client::Plain, "POST"), bench.open(&jar, Client::Plain, "POST"));
    one.set("one", 1).await.unwrap();
    other.set("other", 2).await.unwrap();
    bench.answer(&mut jar, &one, 200).await.unwrap();
    bench.answer(&mut jar, &other, 200).await.unwrap();
    let all = bench.ok(&mut jar, async |session| session.keys().await).await;
    assert_eq!(all, ["name", "other"]);
}

#[tokio::test]
async fn an_answer_of_a_writer_that_arrives_last_brings_nobody_back_and_a_login_helps() {
    type End =
        fn(&SessionHandle) -> std::pin::Pin<Box<dyn Future<Output = Result<(), Error>> + '_>>;
    let ends: [(&str, End); 3] = [
        ("logout", |session| Box::pin(session.destroy())),
        ("another role", |session| Box::pin(session.regenerate())),
        ("login", |session| Box::pin(session.set_owner("43"))),
    ];
    for (how, end) in ends {
        let bench = in_cookies().await;
        let mut jar = Jar::default();
        bench.ok(&mut jar, async |session| session.set_owner("42").await).await;
        let writer = bench.open(&jar, Client::Plain, "POST");
        writer.set("name", "guest").await.unwrap();
        let late = bench.sessions.commit(&writer, ResponseHead::new(200)).await.unwrap();
        bench.ok(&mut jar, async |session| end(&session).await).await;
        jar.take(&late.set_cookies);

        let owner = async |session: SessionHandle| session.owner().await;
        assert_eq!(bench.ok(&mut jar, owner).await, None, "{how}");
        assert_eq!(name(&bench, &jar).await, None, "{how}");
        let refused = bench.open(&jar, Client::Plain, "POST").set("name", "guest").await;
        assert!(refused.unwrap_err().is_gone(), "{how}");
        let mut again = jar.clone();
        bench.ok(&mut again, async |session| session.set_owner("42").await).await;
        assert_eq!(bench.ok(&mut again, owner).await.as_deref(), Some("42"), "{how}");

        bench.clock.advance(Duration::from_secs(60));
        bench.ok(&mut jar, async |session| session.set("name", "friend").await).await;
        assert_eq!(name(&bench, &jar).await.as_deref(), Some("friend"), "{how}");
    }
}

#[tokio::test]
async fn permanent_data_is_sealed_again_by_a_page_after_thirty_days_and_dies_after_400() {
    let bench = in_cookies().await;
    let mut jar = Jar::default();
    bench.ok(&mut jar, async |s| s.permanent(json!({ "terms": true })).await).await;
    let first = jar.clone();
    let look = async |session: SessionHandle| session.get::<bool>("terms").await;
    for (days, client, is_sent) in [
        (29, Client::Navigation, false),
        (1, Client::Fetch("empty"), false),
        (0, Client::Navigation, true),
        (0, Client::Navigation, false),
        (399, Client::Plain, true),
    ] {
        bench.clock.advance(days * DAY);
        let (found, head) = bench.request(&mut jar, client, 200, look).await;
        assert_eq!(found.unwrap(), Some(true));
        assert_eq!(head.set_cookies.len(), usize::from(is_sent), "after {days} days, {client:?}");
        assert!(head.set_cookies.iter().all(|line| line.contains("; Max-Age=315360000")));
    }
    let found = bench.ok(&mut first.clone(), look).await;
    assert_eq!(found, None, "what no browser would have kept");
}

#[tokio::test]
async fn a_logout_ends_copies_of_permanent_data_for_as_long_as_they_could_open() {
    let bench = in_cookies().await;
    let mut jar = bench.visitor().await;
    bench.ok(&mut jar, async |s| s.permanent(json!({ "terms": true })).await).await;
    let copy = jar.without("");
    bench.ok(&mut jar, async |session| session.destroy().await).await;
    for _ in 0..5 {
        assert!(!bench.ok(&mut copy.clone(), async |session| session.has("terms").await).await);
        bench.clock.advance(90 * DAY);
    }
}

#[tokio::test]
async fn forgetting_the_last_permanent_key_ends_its_copies_too() {
    let bench = in_cookies().await;
    let mut jar = Jar::default();
    bench.ok(&mut jar, async |s| s.permanent(json!({ "terms": true })).await).await;
    let copy = jar.clone();
    bench.ok(&mut jar, async |session| session.forget("terms").await).await;
    assert!(jar.is_empty(), "{jar:?}");
    assert!(!bench.ok(&mut copy.clone(), async |session| session.has("terms").await).await);
}

#[tokio::test]
async fn a_key_is_made_in_a_file_and_found_there_again() {
    let folder = std::env::temp_dir().join(format!("stealth-key-{}", std::process::id()));
    let path = folder.join("session.key");
    let mut jar = Jar::default();
    for round in 0..2 {
        let heard = Heard::default();
        let config = Config::new().driver(DriverName::Stealth).key_file(&path);
        let sessions = Sessions::connect(&heard.listen(config)).await.unwrap();
        let bench = Bench::new("stealth", sessions, Clock::manual());
        assert_eq!(heard.names().contains(&"key_file_made"), round == 0);
        let visits = bench.ok(&mut jar, async |session| session.increment("visits", 1).await).await;
        assert_eq!(visits, round + 1);
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn without_a_key_production_does_not_start() {
    let error = Sessions::connect(&Config::new().driver(DriverName::Stealth)).await.unwrap_err();
    let message = error.to_string();
    assert!(error.is_config() && message.contains("app.key"), "{message}");
    assert!(message.contains("openssl rand -hex 32"), "{message}");
}

/// What is told of sessions in cookies and of no others.
pub(crate) async fn told() -> Vec<(&'static str, Vec<Event>)> {
    let heard = Heard::default();
    let mut told = Vec::new();
    let bench = with(|config| heard.listen(config)).await;
    let sealed = bench.visitor().await.session().unwrap().to_owned();
    heard.take();
    let stranger = beside(&bench, |config| config.key(OTHER_KEY).unwrap()).await;
    let ahead = in_cookies().await;
    ahead.clock.advance(HOUR);
    let version = format!("Ag{}", &sealed[2..]);
    let other = if &sealed[80..81] == "A" { "Q" } else { "A" };
    for (what, value) in [
        ("no seal", "no.seal".to_owned()),
        ("another version", version),
        ("an altered one", format!("{}{other}{}", &sealed[..80], &sealed[81..])),
        ("one of another key", stranger.visitor().await.session().unwrap().to_owned()),
        ("one of the future", ahead.visitor().await.session().unwrap().to_owned()),
    ] {
        for _ in 0..2 {
            let mut jar = Jar::default();
            jar.insert(NAME, &value);
            assert_eq!(name(&bench, &jar).await, None);
        }
        told.push((what, heard.take()));
    }
    let jar = bench.visitor().await;
    let id = bench.ok(&mut jar.clone(), async |session| session.id().await).await.unwrap();
    bench.sessions.revoke(id).await.unwrap();
    bench.clock.advance(Duration::from_secs(60));
    heard.take();
    assert_eq!(name(&bench, &jar).await, None);
    told.push(("a revoked one", heard.take()));
    let idle = bench.visitor().await;
    bench.clock.advance(3 * HOUR);
    heard.take();
    assert_eq!(name(&bench, &idle).await, None);
    told.push(("an expired one", heard.take()));

    for owner in 0..120_000 {
        bench.sessions.revoke_all(owner.to_string()).await.unwrap();
    }
    let full = heard.take().into_iter().filter(|event| event.name() == "revocations_full");
    told.push(("more is revoked than there is room for", full.take(1).collect()));
    with(|config| heard.listen(config.revocation(Revocation::Off))).await;
    told.push(("nothing can be revoked", heard.take()));
    let folder = std::env::temp_dir().join(format!("stealth-told-{}", std::process::id()));
    let config = Config::new().driver(DriverName::Stealth).key_file(folder.join("session.key"));
    Sessions::connect(&heard.listen(config)).await.unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    told.push(("a key is made", heard.take()));
    told
}

#[tokio::test]
async fn what_is_no_session_is_told_to_the_operator_with_its_reason_once_a_minute() {
    let reason = |event: &Event| match event {
        Event::SealRefused { reason, .. } => *reason,
        event => event.name(),
    };
    let told = told().await;
    let told = told.iter().map(|(what, events)| (*what, events.iter().map(reason).collect()));
    let expected: [(&str, Vec<&str>); 10] = [
        ("no seal", vec!["malformed"]),
        ("another version", vec!["version"]),
        ("an altered one", vec!["tag"]),
        ("one of another key", vec!["key"]),
        ("one of the future", vec!["future"]),
        ("a revoked one", vec!["revoked"]),
        ("an expired one", vec!["expired"]),
        ("more is revoked than there is room for", vec!["revocations_full"]),
        ("nothing can be revoked", vec!["revocation_off"]),
        ("a key is made", vec!["key_file_made"]),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

/// A login of this owner, with a value.
async fn member(bench: &Bench, owner: &'static str) -> Jar {
    let mut jar = Jar::default();
    bench.ok(&mut jar, async |session| session.set_owner(owner).await).await;
    bench.ok(&mut jar, async |session| session.set("name", "guest").await).await;
    jar
}

#[tokio::test]
async fn a_session_that_has_ended_keeps_itself_by_ending_no_others() {
    let bench = in_cookies().await;
    let (victim, thief) = (member(&bench, "42").await, member(&bench, "42").await);
    // The thief's request is under way when the victim ends all others.
    let stale = bench.open(&thief, Client::Plain, "POST");
    stale.has("name").await.unwrap();
    let late = bench.open(&thief, Client::Plain, "POST");
    late.has("name").await.unwrap();
    bench.answer(&mut thief.clone(), &late, 200).await.unwrap();
    bench.sessions.revoke_others(&bench.open(&victim, Client::Plain, "POST")).await.unwrap();
    for handle in [&stale, &late] {
        assert!(bench.sessions.revoke_others(handle).await.unwrap_err().is_gone());
        bench.clock.advance(Duration::from_secs(90));
        assert_eq!(name(&bench, &thief).await, None);
        assert_eq!(name(&bench, &victim).await.as_deref(), Some("guest"));
    }
    let kept = bench.open(&victim, Client::Plain, "POST");
    kept.has("name").await.unwrap();
    bench.sessions.revoke_all("42").await.unwrap();
    assert!(bench.sessions.revoke_others(&kept).await.unwrap_err().is_gone());
    assert_eq!(name(&bench, &victim).await, None);
}

#[tokio::test]
async fn a_clock_that_was_set_back_spares_no_login() {
    let bench = in_cookies().await;
    let jar = member(&bench, "42").await;
    let before = bench.clock.clone();
    before.advance(Duration::from_millis(u64::MAX - 1_999));
    bench.sessions.revoke_all("42").await.unwrap();
    assert_eq!(name(&bench, &jar).await, None);
    assert_eq!(name(&bench, &member(&bench, "42").await).await.as_deref(), Some("guest"));
}

#[tokio::test]
async fn a_reader_that_was_overtaken_by_a_logout_sends_no_cookie_of_any_kind() {
    let bench = in_cookies().await;
    let mut jar = bench.visitor().await;
    bench.clock.advance(HOUR);
    let reader = bench.open(&jar, Client::Plain, "GET");
    assert!(reader.has("name").await.unwrap());
    bench.ok(&mut jar, async |session| session.destroy().await).await;
    let head = bench.answer(&mut jar, &reader, 200).await.unwrap();
    assert!(head.set_cookies.is_empty(), "{head:?}");
    assert!(jar.is_empty(), "{jar:?}");
}

#[tokio::test]
async fn a_writer_that_was_overtaken_by_a_logout_seals_no_permanent_data_either() {
    let bench = in_cookies().await;
    let mut jar = bench.visitor().await;
    bench.ok(&mut jar, async |s| s.permanent(json!({ "terms": true })).await).await;
    let writer = bench.open(&jar, Client::Plain, "POST");
    writer.set("name", "friend").await.unwrap();
    writer.set("terms", false).await.unwrap();
    bench.ok(&mut jar, async |session| session.destroy().await).await;
    let failed = bench.answer(&mut jar, &writer, 200).await.unwrap_err();
    assert!(failed.error.is_gone() && failed.head.set_cookies.is_empty(), "{failed:?}");
}

#[tokio::test]
async fn what_can_be_no_seal_hides_none() {
    let bench = with(|config| config.cookie_name("session")).await;
    let handle = bench.open(&Jar::default(), Client::Plain, "POST");
    handle.set("name", "guest").await.unwrap();
    let head = bench.sessions.commit(&handle, ResponseHead::new(200)).await.unwrap();
    let ours = head.set_cookies[0].split(';').next().unwrap();
    let field = format!("session=; session=x y; session=\u{e9}; session=.; session=!; {ours}");
    let head = dframework_session::RequestHead::new("GET").with_cookies([field.as_bytes()]);
    let name = bench.sessions.open(head).get::<String>("name").await.unwrap();
    assert_eq!(name.as_deref(), Some("guest"));
}

#[tokio::test]
async fn a_lifetime_that_was_made_shorter_holds_for_what_was_sealed_before() {
    let bench = in_cookies().await;
    let jar = bench.visitor().await;
    let shorter = beside(&bench, |config| config.lifetime(2 * HOUR)).await;
    let shortest = beside(&bench, |config| config.lifetime(HOUR).idle_timeout(HOUR)).await;
    bench.clock.advance(HOUR);
    assert_eq!(name(&shorter, &jar).await.as_deref(), Some("guest"));
    assert_eq!(name(&shortest, &jar).await, None);
}
