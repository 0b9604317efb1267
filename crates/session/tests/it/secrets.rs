//! What may be seen of a session, in logs, lists and stores, and what may not.

use crate::{
    events::{Heard, listened, listened_probe},
    stores::{Fault, Probe, Verb},
    support::{Bench, Client, HOUR, Jar, UNKNOWN, drivers, in_a_store, keepers, yield_often},
};
use axum::response::IntoResponse;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use dframework_session::{Error, RequestHead, SessionHandle};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::{
    fmt::{self, Write},
    sync::{Arc, Mutex},
};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

#[tokio::test]
async fn the_id_is_public_and_stable_and_not_the_token() {
    for bench in keepers().await {
        let mut jar = Jar::default();
        let before = bench
            .ok(&mut jar, async |session| {
                session.set("name", "guest").await?;
                session.id().await
            })
            .await;
        assert_eq!(before, None, "{}: there is nothing to name yet", bench.driver);
        let id = bench.ok(&mut jar, async |session| session.id().await).await.unwrap();
        bench.ok(&mut jar, async |session| session.set("name", "friend").await).await;
        let again = bench.ok(&mut jar, async |session| session.id().await).await.unwrap();
        assert_eq!(id, again, "{}", bench.driver);
        let text = id.to_string();
        assert_eq!(text.len(), 22, "{}", bench.driver);
        assert!(!jar.token().contains(&text), "{}", bench.driver);
        assert_eq!(id.as_bytes()[..], digest(&jar.token())[..16], "{}", bench.driver);
        bench.ok(&mut jar, async |session| session.regenerate().await).await;
        let other = bench.ok(&mut jar, async |session| session.id().await).await.unwrap();
        assert_ne!(id, other, "{}", bench.driver);
    }
}

/// SHA-256 of what a token spells.
fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(URL_SAFE_NO_PAD.decode(token).unwrap()).into()
}

#[tokio::test]
async fn a_store_is_shown_digests_of_tokens_and_nothing_else() {
    let store = Probe::default();
    let bench = in_a_store(store.clone());
    let mut jar = Jar::holding(UNKNOWN);
    let mut tokens = vec![UNKNOWN.to_owned()];
    for owner in ["41", "42"] {
        bench.ok(&mut jar, async |session| session.set("name", "guest").await).await;
        tokens.push(jar.token());
        bench.ok(&mut jar, async |session| session.set_owner(owner).await).await;
        tokens.push(jar.token());
        bench.clock.advance(HOUR);
        bench.read(&jar, "name").await;
    }
    let permanent = serde_json::json!({ "terms": true });
    bench.ok(&mut jar, async |session| session.permanent(&permanent).await).await;
    let companion = jar.companion(".p").unwrap().split_once('.').unwrap().0;
    tokens.push(companion.to_owned());
    bench.ok(&mut jar, async |session| session.destroy().await).await;
    let digests: Vec<_> = tokens.iter().map(|token| digest(token)).collect();
    let calls = store.take_calls();
    assert!(calls.len() > 10);
    for call in &calls {
        for key in &call.keys {
            assert!(digests.contains(key.as_bytes()), "{call:?}");
        }
        let bytes = call.bytes.clone().unwrap_or_default();
        for token in &tokens {
            let has_token = bytes.windows(token.len()).any(|part| part == token.as_bytes());
            assert!(!has_token, "{:?}", call.verb);
        }
    }
}

/// Fails if the text holds the token or the value, as text or as a list of bytes.
#[track_caller]
fn assert_tells_nothing(shown: &str, secrets: &[&str]) {
    for secret in secrets {
        assert!(!shown.contains(secret), "{shown}");
        let bytes: Vec<_> = secret.bytes().take(12).map(|byte| byte.to_string()).collect();
        assert!(!shown.contains(&bytes.join(", ")), "the bytes of a secret are in {shown}");
    }
}

#[tokio::test]
async fn nothing_that_is_shown_holds_a_token_or_a_value() {
    for bench in drivers().await {
        let mut jar = Jar::default();
        let value = "a value that nobody may see";
        let handle = bench.open(&jar, Client::Plain, "GET");
        handle.set("name", value).await.unwrap();
        let head = bench.answer(&mut jar, &handle, 200).await.unwrap();
        let token = jar.token();
        let handle = bench.open(&jar, Client::Plain, "GET");
        let wrong_type = handle.get::<u64>("name").await.unwrap_err();
        let refused = handle.increment("name", 1).await.unwrap_err();
        let late = bench.open(&jar, Client::Plain, "GET");
        bench.answer(&mut jar, &late, 200).await.unwrap();
        let late = late.flash("name", value).await.unwrap_err();
        let shown = format!(
            "{head:?} {head:#?} {handle:?} {:?} {wrong_type:?} {wrong_type} {refused:?} {refused} \
             {late:?} {late}",
            bench.sessions
        );
        assert_tells_nothing(&shown, &[&token, value]);
    }
}

#[tokio::test]
async fn the_head_of_a_request_does_not_show_its_cookies() {
    let field = Jar::holding(UNKNOWN).field();
    let head = RequestHead::new("GET").with_cookies([field.as_bytes()]);
    assert_tells_nothing(&format!("{head:?} {head:#?}"), &[UNKNOWN, &field]);
}

/// Everything that is logged on this thread, at every level.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<String>>);

impl Logged {
    fn take(&self) -> String {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Visit for Logged {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        writeln!(self.0.lock().unwrap(), "{field}={value:?}").unwrap();
    }
}

impl Subscriber for Logged {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.clone());
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn nothing_that_is_logged_holds_a_token_or_a_value() {
    let logged = Logged::default();
    let _guard = crate::support::subscribe(logged.clone());
    let store = Probe::default();
    let bench = in_a_store(store.clone());
    let value = "a value that nobody may see";
    let mut jar = Jar::default();
    bench.ok(&mut jar, async |session| session.set("name", value).await).await;
    assert!(logged.take().contains("Secure"), "the first cookie");
    let token = jar.token();

    let doubled = [jar.field(), jar.field()].join("; ");
    let head = RequestHead::new("GET").with_cookies([doubled.as_bytes()]);
    drop(bench.sessions.open(head));
    let mut told = logged.take();
    assert!(told.contains("twice"), "{told}");

    let handle = bench.open(&jar, Client::Plain, "POST");
    handle.set("name", format!("{value}, changed")).await.unwrap();
    store.fail_next(Verb::Commit, Fault::Unavailable);
    bench.answer(&mut jar, &handle, 200).await.unwrap_err();
    let failed = logged.take();
    assert!(failed.contains("the store is down"), "the cause is told: {failed}");

    handle.set("name", format!("{value}, late")).await.unwrap();
    drop(handle);
    let dropped = logged.take();
    assert!(dropped.contains("name"), "the keys of dropped changes are told: {dropped}");

    let (key, stored) = store.only().await;
    store.overwrite(key, &stored.bytes[..30]).await;
    let handle = bench.open(&jar, Client::Plain, "GET");
    assert!(handle.has("name").await.unwrap_err().is_corrupt());
    let unreadable = logged.take();
    assert!(unreadable.contains(&key.id().to_string()), "{unreadable}");

    for part in [failed, dropped, unreadable] {
        told.push_str(&part);
    }
    assert_tells_nothing(&told, &[&token, value]);
}

const SECRET: &str = "a value that nobody may see";
const OWNER: &str = "visitor@example.com";

/// Every verb once, with secrets wherever they can be.
async fn every_verb(s: SessionHandle) -> Result<(), Error> {
    s.set("name", SECRET).await?;
    s.set_for("code", SECRET, HOUR).await?;
    s.permanent(json!({ "terms": SECRET })).await?;
    s.flash("status", SECRET).await?;
    s.now("hint", SECRET).await?;
    s.reflash().await?;
    s.keep("status").await?;
    s.update("name", |name: Option<String>| name.unwrap_or_default() + SECRET).await?;
    s.push("list", SECRET).await?;
    s.remember("once", async || SECRET.to_owned()).await?;
    s.try_remember::<_, Error, _>("twice", async || Ok(SECRET.to_owned())).await?;
    s.increment("visits", 7_310_573_105).await?;
    s.decrement("visits", 1).await?;
    s.save().await?;
    s.claim::<String>("code").await?;
    s.pull::<String>("once").await?;
    s.get::<String>("name").await?;
    s.get_or("name", SECRET).await?;
    s.has("name").await?;
    s.exists("name").await?;
    s.keys().await?;
    s.all().await?;
    s.forget("list").await?;
    s.set_owner(OWNER).await?;
    s.save().await?;
    s.owner().await?;
    s.id().await?;
    s.regenerate().await?;
    s.clear().await?;
    s.set("name", SECRET).await
}

/// Errors of every kind that a handler can be answered with.
async fn every_error(bench: &Bench, jar: &Jar) {
    let handle = bench.open(jar, Client::Plain, "GET");
    let failing = async {
        let mut failed = vec![handle.get::<u64>("name").await.map(drop)];
        failed.push(handle.increment("name", 1).await.map(drop));
        failed.push(handle.set("huge", SECRET.repeat(50_000)).await);
        failed.push(handle.set_owner(OWNER.repeat(50)).await);
        failed.push(handle.set("number", f64::NAN).await);
        for error in failed {
            drop(error.unwrap_err().into_response());
        }
    };
    bench.sessions.scope(handle.clone(), failing).await;
}

/// The tokens that a browser holds.
fn tokens(jar: &Jar) -> Vec<String> {
    let ours = [jar.session(), jar.companion(".p")].into_iter().flatten();
    ours.map(|value| value.split('.').next().unwrap().to_owned()).collect()
}

/// A life with every verb, and what goes wrong in it. Returns all tokens that there were.
async fn live_and_fail(bench: &Bench) -> Vec<String> {
    let mut jar = Jar::default();
    let mut seen = vec![UNKNOWN.to_owned()];
    for _ in 0..3 {
        bench.ok(&mut jar, every_verb).await;
        seen.extend(tokens(&jar));
        every_error(bench, &jar).await;

        let late = bench.open(&jar, Client::Plain, "GET");
        late.has("name").await.unwrap();
        bench.answer(&mut jar.clone(), &late, 200).await.unwrap();
        late.set("name", SECRET).await.unwrap();
        drop(late);
        let slow = bench.open(&jar, Client::Plain, "POST");
        slow.set("color", SECRET).await.unwrap();
        bench.ok(&mut jar, async |s| s.regenerate().await).await;
        seen.extend(tokens(&jar));
        bench.answer(&mut jar.clone(), &slow, 200).await.unwrap_err();
        let doubled = [jar.field(), jar.field()].join("; ");
        drop(bench.sessions.open(RequestHead::new("GET").with_cookies([doubled.as_bytes()])));
        bench.is_alive(&Jar::holding(UNKNOWN)).await;
        let here = bench.open(&jar, Client::Plain, "GET");
        bench.sessions.revoke_others(&here).await.unwrap();
        bench.sessions.revoke(here.id().await.unwrap().unwrap()).await.unwrap();
        bench.clock.advance(HOUR);
        bench.ok(&mut jar, async |s| s.set_owner(OWNER).await).await;
        seen.extend(tokens(&jar));
        bench.sessions.revoke_all(OWNER).await.unwrap();
        bench.clock.advance(HOUR);
        bench.ok(&mut jar, every_verb).await;
        seen.extend(tokens(&jar));
        bench.ok(&mut jar, async |s| s.destroy().await).await;
    }
    seen.sort_unstable();
    seen.dedup();
    seen
}

/// How bytes may be written.
fn spellings(bytes: &[u8]) -> [String; 4] {
    let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    let upper = hex.to_uppercase();
    [hex, upper, URL_SAFE_NO_PAD.encode(bytes), STANDARD_NO_PAD.encode(bytes)]
}

#[track_caller]
fn assert_no_secret(told: &str, tokens: &[String]) {
    assert_tells_nothing(told, &[SECRET, OWNER, "731057310"]);
    for token in tokens {
        let key = digest(token);
        let token = URL_SAFE_NO_PAD.decode(token).unwrap();
        for bytes in [&token[..], &token[..16], &key[..], &key[16..]] {
            for spelling in spellings(bytes) {
                assert!(!told.contains(&spelling), "{spelling} is in {told}");
            }
            let list: Vec<_> = bytes.iter().take(8).map(u8::to_string).collect();
            assert!(!told.contains(&list.join(", ")), "the bytes of a secret are in {told}");
        }
    }
}

/// Everything that was told: the lines of the log, and every event as `Debug` shows it.
fn all_told(logged: &Logged, heard: &Heard) -> String {
    let events = heard.take();
    let names: std::collections::BTreeSet<_> =
        events.iter().map(dframework_session::Event::name).collect();
    assert!(names.len() > 12, "{names:?}");
    format!("{} {events:?} {events:#?}", logged.take())
}

#[tokio::test]
async fn nothing_that_is_told_holds_a_token_a_key_a_value_or_an_owner() {
    let logged = Logged::default();
    let _guard = crate::support::subscribe(logged.clone());
    for (bench, heard) in listened().await {
        let tokens = live_and_fail(&bench).await;
        assert!(tokens.len() > 10, "{}", bench.driver);
        let told = all_told(&logged, &heard);
        assert_no_secret(&told, &tokens);
        let named = digest(&tokens[1])[..16].to_vec();
        assert!(told.contains(&URL_SAFE_NO_PAD.encode(named)), "ids are told: {told}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_that_is_told_of_a_store_that_fails_holds_a_secret() {
    let logged = Logged::default();
    let _guard = crate::support::subscribe(logged.clone());
    let (store, bench, heard) = listened_probe();
    let mut seen = live_and_fail(&bench).await;
    for fault in [Fault::Unavailable, Fault::LostBefore, Fault::Silent, Fault::Conflict] {
        for verb in [Verb::Load, Verb::Create, Verb::Commit, Verb::Touch, Verb::End] {
            let mut jar = Jar::default();
            bench.ok(&mut jar, every_verb).await;
            seen.extend(tokens(&jar));
            bench.clock.advance(HOUR);
            store.fail_every(verb, fault);
            let handle = bench.open(&jar, Client::Plain, "POST");
            let failing = async {
                if let Err(error) = every_verb(handle.clone()).await {
                    drop(error.into_response());
                }
            };
            bench.sessions.scope(handle.clone(), failing).await;
            let _ = bench.answer(&mut jar, &handle, 200).await;
            seen.extend(tokens(&jar));
            drop(handle);
            let handle = bench.open(&jar, Client::Plain, "POST");
            let _ = handle.destroy().await;
            drop(handle);
            tokio::time::advance(HOUR).await;
            yield_often().await;
            store.mend();
        }
    }
    assert_no_secret(&all_told(&logged, &heard), &seen);
}
