//! Carries a sequence out on the library and on the model, and compares after every step.

use super::{
    actions::{Action, Arrival, As, BROWSERS, During, From, Keys, OWNERS, Owner, Verb},
    draft::Fault,
    request::{Head, Request},
    world::{Cookies, DAY, Lines, Millis, Permanence, Token, World},
};
use crate::support::{Bench, Client, Jar, NAME};
use dframework_session::{Error, HeadChanges, ResponseHead, SessionHandle, store::SessionId};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How long a browser keeps a cookie at most.
const CLAMP: Millis = 400 * DAY;
/// So many requests are open, answers under way, and answered requests at work, at once.
const AT_ONCE: usize = 4;
/// Far more than a logout takes.
const LONG: Duration = Duration::from_secs(10);

pub(super) struct Run<'a> {
    bench: &'a Bench,
    world: World,
    browsers: Vec<Browser>,
    open: Vec<Open>,
    late: Vec<Open>,
    answers: Vec<Answer>,
    /// What the browsers held at some time.
    copies: Vec<(Jar, Cookies)>,
    texts: BTreeMap<Token, String>,
    ids: BTreeMap<Token, SessionId>,
}

#[derive(Default)]
struct Browser {
    jar: Jar,
    cookies: Cookies,
    /// When `.p` arrived.
    permanent_since: Millis,
}

struct Open {
    browser: usize,
    handle: SessionHandle,
    model: Request,
}

struct Answer {
    browser: usize,
    real: Vec<String>,
    lines: Lines,
}

type Checked<T = ()> = Result<T, String>;

impl<'a> Run<'a> {
    pub(super) fn new(bench: &'a Bench) -> Self {
        let mut browsers = Vec::new();
        browsers.resize_with(BROWSERS, Browser::default);
        Self {
            bench,
            world: World::new(bench.clock.now().as_millis()),
            browsers,
            open: Vec::new(),
            late: Vec::new(),
            answers: Vec::new(),
            copies: Vec::new(),
            texts: BTreeMap::new(),
            ids: BTreeMap::new(),
        }
    }

    pub(super) async fn step(&mut self, action: &Action) -> Checked {
        match action {
            Action::Stay(browser, times) => {
                for time in times {
                    let from =
                        From { browser: *browser, client: Client::Navigation, method: "GET" };
                    let mut request = self.begin(from);
                    self.call(&mut request, &Verb::Owner).await?;
                    let answer = self.answer(&mut request, 200).await?;
                    self.deliver(&answer)?;
                    self.wait(*time);
                }
            }
            Action::Request(from, verbs, status) => {
                let mut request = self.begin(*from);
                for verb in verbs {
                    self.call(&mut request, verb).await?;
                }
                let answer = self.answer(&mut request, *status).await?;
                self.deliver(&answer)?;
                self.keep_late(request).await;
            }
            Action::During(during) => self.during(during).await?,
            Action::Open(from) => {
                let request = self.begin(*from);
                if self.open.len() < AT_ONCE {
                    self.open.push(request);
                }
            }
            Action::Work(index, verb) => {
                if let Some(mut request) = taken(&mut self.open, *index) {
                    self.call(&mut request, verb).await?;
                    self.open.push(request);
                }
            }
            Action::Answer(index, status) => {
                if let Some(mut request) = taken(&mut self.open, *index) {
                    let answer = self.answer(&mut request, *status).await?;
                    self.answers.push(answer);
                    self.keep_late(request).await;
                }
            }
            Action::Deliver(index) => {
                if let Some(answer) = taken(&mut self.answers, *index) {
                    self.deliver(&answer)?;
                }
            }
            Action::Drop(index) => {
                if let Some(request) = taken(&mut self.open, *index) {
                    self.hang_up(request).await;
                }
            }
            Action::Late(index, verb) => {
                if let Some(mut request) = taken(&mut self.late, *index) {
                    self.call(&mut request, verb).await?;
                    self.late.push(request);
                }
            }
            Action::Copied(index, verbs, status) => {
                self.use_copy(*index, verbs, *status).await?;
            }
            Action::Wait(time) => self.wait(*time),
            Action::Restart(index) => self.browsers[*index].restart(),
            Action::Plant(index) => self.plant(*index),
            Action::Revoke(index) => self.revoke(*index).await?,
            Action::RevokeOthers(index) => self.revoke_others(*index).await?,
            Action::RevokeAll(owner) => self.revoke_all(owner).await?,
        }
        self.leave_out_the_unsure();
        self.check().await
    }

    fn begin(&mut self, from: From) -> Open {
        let browser = &self.browsers[from.browser];
        Open {
            browser: from.browser,
            handle: self.bench.open(&browser.jar, from.client, from.method),
            model: Request::new(browser.cookies.clone(), from.client, from.method),
        }
    }

    /// Leaves requests out of which nobody can tell what they do. The library never hears of them again.
    fn leave_out_the_unsure(&mut self) {
        for list in [&mut self.open, &mut self.late] {
            for request in
                list.extract_if(.., |request| request.model.destroys_expired(&self.world))
            {
                std::mem::forget(request.handle);
            }
        }
    }

    async fn during(&mut self, during: &During) -> Checked {
        let mut outer = self.begin(during.outer);
        for verb in &during.before {
            self.call(&mut outer, verb).await?;
        }
        let mut inner = self.begin(during.inner);
        for verb in &during.inner_verbs {
            self.call(&mut inner, verb).await?;
        }
        let first = self.answer(&mut inner, during.inner_status).await?;
        self.wait(during.pause);
        for verb in &during.after {
            if !outer.model.destroys_expired(&self.world) {
                self.call(&mut outer, verb).await?;
            }
        }
        if outer.model.destroys_expired(&self.world) {
            std::mem::forget(outer.handle);
            return self.deliver(&first);
        }
        let second = self.answer(&mut outer, during.status).await?;
        match during.arrival {
            Arrival::InnerFirst => (self.deliver(&first)?, self.deliver(&second)?),
            Arrival::OuterFirst => (self.deliver(&second)?, self.deliver(&first)?),
        };
        self.keep_late(inner).await;
        self.keep_late(outer).await;
        Ok(())
    }

    async fn keep_late(&mut self, request: Open) {
        self.late.push(request);
        if self.late.len() > AT_ONCE {
            let oldest = self.late.remove(0);
            self.hang_up(oldest).await;
        }
    }

    /// Nobody has the handle any more.
    async fn hang_up(&mut self, mut request: Open) {
        if request.model.destroys_expired(&self.world) {
            return std::mem::forget(request.handle);
        }
        request.model.fail(&mut self.world);
        drop(request.handle);
        // Its logout is carried out by a task that nobody waits for. Where that does not come about, the next look at the
        // records says so.
        let is_over = async {
            while !matches!(self.records().await, Ok(count) if count == self.world.count() as u64) {
                tokio::task::yield_now().await;
            }
        };
        let _ = tokio::time::timeout(LONG, is_over).await;
    }

    async fn records(&self) -> Checked<u64> {
        self.bench.anywhere().count().await.map_err(|error| error.to_string())
    }

    async fn call(&mut self, request: &mut Open, verb: &Verb) -> Checked {
        if let Verb::Id = verb {
            return self.id(request).await;
        }
        let expected = request.model.call(verb, &mut self.world).map_err(Fault::told);
        let returned = carry_out(&request.handle, verb).await;
        same("", &expected, &returned)
            .map_err(|difference| format!("{verb:?} of {:?}{difference}", request.model))
    }

    async fn id(&mut self, request: &mut Open) -> Checked {
        let expected = request.model.id(&self.world);
        let told = request.handle.id().await.map_err(|error| error.to_string())?;
        self.same_id(expected, told)
    }

    /// A token has one id, and an id one token.
    fn same_id(&mut self, expected: Option<Token>, told: Option<SessionId>) -> Checked {
        let (Some(token), Some(id)) = (expected, told) else {
            return same("id", &expected.is_some(), &told.is_some());
        };
        let other = self.ids.iter().find(|(_, other)| **other == id).map(|(token, _)| *token);
        same("the id is of", &Some(token), &Some(other.unwrap_or(token)))?;
        same("id", self.ids.entry(token).or_insert(id), &id)
    }

    async fn answer(&mut self, request: &mut Open, status: u16) -> Checked<Answer> {
        let (expected, head) = request.model.answer(status, &mut self.world);
        let committed =
            self.bench.anywhere().commit(&request.handle, ResponseHead::new(status)).await;
        let (result, real) = match committed {
            Ok(head) => (Ok(()), head),
            Err(failed) => (Err(fault(&failed.error)), failed.head),
        };
        let compared = same("", &expected.map_err(Fault::told), &result)
            .and_then(|()| self.same_head(&head, &real));
        compared.map_err(|difference| {
            format!("answer {status} to {:?}: {difference}", request.model)
        })?;
        Ok(Answer { browser: request.browser, real: real.set_cookies, lines: head.lines })
    }

    fn same_head(&mut self, head: &Head, real: &HeadChanges) -> Checked {
        let lines = self.read_lines(&head.lines, &real.set_cookies)?;
        same("lines", &head.lines, &lines)?;
        let cache_control = match (head.lines.is_empty(), head.is_used) {
            (false, _) => Some("no-store"),
            (true, true) => Some("private"),
            (true, false) => None,
        };
        same("Cache-Control", &cache_control, &real.cache_control)?;
        same("Vary", &(head.is_used || !head.lines.is_empty()), &real.vary)
    }

    /// What the lines say. A text that is new is the token that is expected.
    fn read_lines(&mut self, expected: &Lines, real: &[String]) -> Checked<Lines> {
        let mut lines = Lines::default();
        for line in real {
            let (pair, attributes) = line.split_once("; ").ok_or("no attributes")?;
            let (name, value) = pair.split_once('=').ok_or("no value")?;
            let ending = name.strip_prefix(NAME).ok_or("a name of its own")?;
            let removes = attributes.contains("Max-Age=0");
            let age = if removes {
                "; Max-Age=0"
            } else if ending == ".p" {
                "; Max-Age=315360000"
            } else {
                ""
            };
            let expected_attributes = format!("Path=/{age}; Secure; HttpOnly; SameSite=Lax");
            let doubled = match ending {
                "" => {
                    let token = match (removes, expected.session.flatten()) {
                        (true, _) => None,
                        (false, token) => Some(self.token(token, value)?),
                    };
                    lines.session.replace(token).is_some()
                }
                ".p" => {
                    let permanence = match (removes, expected.permanent.flatten()) {
                        (true, _) => None,
                        (false, expected) => Some(self.permanence(expected, value)?),
                    };
                    lines.permanent.replace(permanence).is_some()
                }
                _ => {
                    let generation = ending.strip_prefix(".f").and_then(|digit| digit.parse().ok());
                    let generation = generation.ok_or("an unknown companion")?;
                    lines.messages.insert(generation, !removes).is_some()
                }
            };
            same("one line for one name", &false, &doubled)?;
            let mut parts: Vec<_> =
                attributes.split("; ").filter(|part| !part.starts_with("Expires=")).collect();
            let mut wanted: Vec<_> = expected_attributes.split("; ").collect();
            parts.sort_unstable();
            wanted.sort_unstable();
            same("attributes", &wanted, &parts)?;
        }
        Ok(lines)
    }

    /// The number of a token: that of an earlier one, or the expected one if both are new.
    fn token(&mut self, expected: Option<Token>, text: &str) -> Checked<Token> {
        if let Some((token, _)) = self.texts.iter().find(|(_, known)| *known == text) {
            return Ok(*token);
        }
        let token = expected.ok_or("a token that is not expected")?;
        if let Some(known) = self.texts.insert(token, text.to_owned()) {
            return Err(format!("{known} was to be sent, and {text} was"));
        }
        Ok(token)
    }

    fn permanence(&mut self, expected: Option<Permanence>, value: &str) -> Checked<Permanence> {
        let (text, day) = value.split_once('.').ok_or("no day")?;
        let token = self.token(expected.map(|permanence| permanence.token), text)?;
        // What it says of the day is for the library alone; that it says it shows in thirty days.
        let _ = day;
        Ok(Permanence { token, day: expected.map_or(0, |permanence| permanence.day) })
    }

    fn deliver(&mut self, answer: &Answer) -> Checked {
        let Some(browser) = self.browsers.get_mut(answer.browser) else { return Ok(()) };
        browser.jar.take(&answer.real);
        browser.cookies.take(&answer.lines);
        if answer.lines.permanent.is_some() {
            browser.permanent_since = self.world.now;
        }
        if !answer.lines.is_empty() {
            self.copies.push((browser.jar.clone(), browser.cookies.clone()));
        }
        same(
            "cookies",
            &browser.cookies.messages,
            &browser.jar.generations().into_iter().collect::<BTreeSet<_>>(),
        )
    }

    /// A request with the cookies that a browser once had. Its answer goes elsewhere.
    async fn use_copy(&mut self, index: usize, verbs: &[Verb], status: u16) -> Checked {
        if self.copies.is_empty() {
            return Ok(());
        }
        let (jar, cookies) = self.copies[index % self.copies.len()].clone();
        let mut request = Open {
            browser: usize::MAX,
            handle: self.bench.open(&jar, Client::Plain, "POST"),
            model: Request::new(cookies, Client::Plain, "POST"),
        };
        for verb in verbs {
            self.call(&mut request, verb).await?;
        }
        let answer = self.answer(&mut request, status).await?;
        self.deliver(&answer)
    }

    fn wait(&mut self, time: std::time::Duration) {
        self.bench.clock.advance(time);
        self.world.now = self.bench.clock.now().as_millis();
        for browser in &mut self.browsers {
            if browser.cookies.permanent.is_some()
                && browser.permanent_since + CLAMP <= self.world.now
            {
                browser.cookies.permanent = None;
                browser.jar.remove(&format!("{NAME}.p"));
            }
        }
    }

    /// Puts a token into a browser that nobody has made.
    fn plant(&mut self, browser: usize) {
        let token = self.world.new_token();
        let text = format!("{token:0>42}A");
        self.texts.insert(token, text.clone());
        let browser = &mut self.browsers[browser];
        browser.jar.insert(NAME, &text);
        browser.cookies.session = Some(token);
    }

    /// Ends a session by its id, which may be of one that has ended.
    async fn revoke(&mut self, index: usize) -> Checked {
        let Some((token, id)) = self.ids.iter().nth(index % self.ids.len().max(1)) else {
            return Ok(());
        };
        let expected = self.world.sessions.end(*token, self.world.now);
        let ended = self.bench.anywhere().revoke(*id).await.map_err(|error| error.to_string())?;
        same("revoke", &expected, &ended)
    }

    async fn revoke_others(&mut self, browser: usize) -> Checked {
        let from = From { browser, client: Client::Plain, method: "GET" };
        let mut request = self.begin(from);
        let owner = request.model.owner(&self.world);
        if owner.is_some_and(|owner| self.world.has_expired_session_of(owner)) {
            return Ok(());
        }
        let here = request.model.id(&self.world);
        let expected = owner.map_or(0, |owner| self.world.revoke(owner, here));
        let ended = self.bench.anywhere().revoke_others(&request.handle).await;
        same("revoke_others", &expected, &ended.map_err(|error| error.to_string())?)
    }

    async fn revoke_all(&mut self, owner: Owner) -> Checked {
        if self.world.has_expired_session_of(owner) {
            return Ok(());
        }
        let expected = self.world.revoke(owner, None);
        let ended =
            self.bench.anywhere().revoke_all(owner).await.map_err(|error| error.to_string())?;
        same("revoke_all", &expected, &ended)
    }

    /// What holds after every step.
    async fn check(&mut self) -> Checked {
        same("records", &(self.world.count() as u64), &self.records().await?)?;
        for owner in OWNERS {
            self.check_owner(owner).await?;
        }
        for browser in 0..BROWSERS {
            self.check_next(browser).await?;
        }
        Ok(())
    }

    async fn check_owner(&mut self, owner: Owner) -> Checked {
        let listed =
            self.bench.anywhere().of(owner, None, 100).await.map_err(|error| error.to_string())?;
        let expected = self.world.owned_by(owner);
        let mut created: Vec<_> = expected.values().copied().collect();
        let mut told: Vec<_> = listed.iter().map(|session| session.created.as_millis()).collect();
        created.sort_unstable();
        told.sort_unstable();
        same("when the sessions of an owner began", &created, &told)
    }

    /// What the next request of a browser would see. It is never answered, so nothing comes of it.
    async fn check_next(&mut self, browser: usize) -> Checked {
        let from = From { browser, client: Client::Fetch("image"), method: "GET" };
        let mut request = self.begin(from);
        self.call(&mut request, &Verb::All).await?;
        self.call(&mut request, &Verb::Owner).await?;
        self.id(&mut request).await
    }

    /// What holds at the end: a token opens something if its record lives, and nothing else.
    pub(super) async fn finish(mut self) -> Checked {
        for request in self.open.split_off(0).into_iter().chain(self.late.split_off(0)) {
            self.hang_up(request).await;
        }
        for (token, text) in self.texts.clone() {
            let cookies = Cookies { session: Some(token), ..Cookies::default() };
            let jar = Jar::holding(&text);
            self.opens(jar, cookies).await?;
            let permanent = Some(Permanence { token, day: self.world.today() });
            let cookies = Cookies { permanent, ..Cookies::default() };
            let day = self.world.today();
            let mut jar = Jar::default();
            jar.insert(&format!("{NAME}.p"), &format!("{text}.{day}"));
            self.opens(jar, cookies).await?;
        }
        for (jar, cookies) in self.copies.clone() {
            self.opens(jar, cookies).await?;
        }
        Ok(())
    }

    async fn opens(&mut self, jar: Jar, cookies: Cookies) -> Checked {
        let mut request = Open {
            browser: usize::MAX,
            handle: self.bench.open(&jar, Client::Plain, "GET"),
            model: Request::new(cookies, Client::Plain, "GET"),
        };
        self.call(&mut request, &Verb::All).await?;
        self.id(&mut request).await
    }
}

impl Browser {
    fn restart(&mut self) {
        self.cookies.restart();
        let permanent = format!("{NAME}.p");
        for name in self.jar.pairs().into_keys().filter(|name| *name != permanent) {
            self.jar.remove(&name);
        }
    }
}

fn taken<T>(from: &mut Vec<T>, index: usize) -> Option<T> {
    (!from.is_empty()).then(|| from.remove(index % from.len()))
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, found: &T) -> Checked {
    if expected == found {
        return Ok(());
    }
    Err(format!("{what}\n  by the rules: {expected:?}\n   the library: {found:?}"))
}

fn fault(error: &Error) -> Fault {
    let is = [
        (error.is_gone(), Fault::Gone),
        (error.is_conflict(), Fault::Conflict),
        (error.is_late(), Fault::Late),
        (error.is_wrong_type(), Fault::WrongType),
        (error.is_invalid(), Fault::Invalid),
    ];
    let found = is.into_iter().find(|(holds, _)| *holds);
    found.unwrap_or_else(|| panic!("an error that no rule knows: {error}")).1
}

/// The error of a function given to `try_remember`, or of the session.
enum Failure {
    Own,
    Session(Error),
}

impl std::convert::From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Session(error)
    }
}

async fn carry_out(session: &SessionHandle, verb: &Verb) -> Result<Value, Fault> {
    match verb {
        Verb::TryRemember(key, made) => {
            let made = *made;
            let remembered = session.try_remember(*key, async || made.ok_or(Failure::Own)).await;
            remembered.map(|number: i64| json!(number)).map_err(|failure| match failure {
                Failure::Own => Fault::Own,
                Failure::Session(error) => fault(&error),
            })
        }
        _ => call(session, verb).await.map_err(|error| fault(&error)),
    }
}

#[rustfmt::skip]
async fn call(session: &SessionHandle, verb: &Verb) -> Result<Value, Error> {
    fn some<T: serde::Serialize>(found: Option<T>) -> Value {
        found.map_or(json!([]), |value| json!([value]))
    }
    let nothing = Value::Null;
    Ok(match verb.clone() {
        Verb::Get(key, As::Anything) => some(session.get::<Value>(key).await?),
        Verb::Get(key, As::Number) => some(session.get::<i64>(key).await?),
        Verb::Get(key, As::Text) => some(session.get::<String>(key).await?),
        Verb::Get(key, As::List) => some(session.get::<Vec<Value>>(key).await?),
        Verb::GetOr(key, default) => json!(session.get_or(key, &default).await?),
        Verb::Has(key) => json!(session.has(key).await?),
        Verb::Exists(key) => json!(session.exists(key).await?),
        Verb::Keys => json!(session.keys().await?),
        Verb::All => json!(session.all().await?),
        Verb::Owner => json!(session.owner().await?),
        Verb::Set(key, value) => { session.set(key, value).await?; nothing }
        Verb::SetFor(key, value, lifetime) => { session.set_for(key, value, lifetime).await?; nothing }
        Verb::Permanent(entries) => {
            let entries: Map<String, Value> =
                entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
            session.permanent(entries).await?;
            nothing
        }
        Verb::Flash(key, value) => { session.flash(key, value).await?; nothing }
        Verb::Now(key, value) => { session.now(key, value).await?; nothing }
        Verb::Reflash => { session.reflash().await?; nothing }
        Verb::Keep(Keys::One(key)) => { session.keep(key).await?; nothing }
        Verb::Keep(Keys::Several(keys)) => { session.keep(keys).await?; nothing }
        Verb::Keep(Keys::All) => { session.keep(..).await?; nothing }
        Verb::Forget(Keys::One(key)) => { session.forget(key).await?; nothing }
        Verb::Forget(Keys::Several(keys)) => { session.forget(keys).await?; nothing }
        Verb::Forget(Keys::All) => { session.forget(..).await?; nothing }
        Verb::Pull(key, As::Anything) => some(session.pull::<Value>(key).await?),
        Verb::Pull(key, As::Number) => some(session.pull::<i64>(key).await?),
        Verb::Pull(key, As::Text) => some(session.pull::<String>(key).await?),
        Verb::Pull(key, As::List) => some(session.pull::<Vec<Value>>(key).await?),
        Verb::Claim(key, As::Anything) => some(session.claim::<Value>(key).await?),
        Verb::Claim(key, As::Number) => some(session.claim::<i64>(key).await?),
        Verb::Claim(key, As::Text) => some(session.claim::<String>(key).await?),
        Verb::Claim(key, As::List) => some(session.claim::<Vec<Value>>(key).await?),
        Verb::UpdateNumber(key) => {
            let twice = |number: Option<i64>| number.unwrap_or(0).wrapping_mul(2).wrapping_add(1);
            json!(session.update(key, twice).await?)
        }
        Verb::UpdateAnything(key) => json!(session.update(key, |value: Option<Value>| json!([value])).await?),
        Verb::Increment(key, by) => json!(session.increment(key, by).await?),
        Verb::Decrement(key, by) => json!(session.decrement(key, by).await?),
        Verb::Push(key, item) => { session.push(key, item).await?; nothing }
        Verb::Remember(key, made) => json!(session.remember::<i64, _>(key, async || made).await?),
        Verb::Clear => { session.clear().await?; nothing }
        Verb::Regenerate => { session.regenerate().await?; nothing }
        Verb::SetOwner(owner) => { session.set_owner(owner).await?; nothing }
        Verb::Destroy => { session.destroy().await?; nothing }
        Verb::Save => { session.save().await?; nothing }
        Verb::Id | Verb::TryRemember(..) => unreachable!("called elsewhere"),
    })
}
