//! What a visitor, an application and an operator can do, and random sequences of it.
//!
//! Few keys, few values and few owners, so that layers, requests and browsers meet. Numbers that choose something,
//! such as an open request, count round what there is, so that a shorter sequence still means something.

use crate::support::Client;
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any},
    prop_oneof,
    sample::select,
};
use serde_json::{Value, json};
use std::time::Duration;

pub(super) type Key = &'static str;
pub(super) type Owner = &'static str;

pub(super) const KEYS: [Key; 3] = ["a", "b", "c"];
pub(super) const OWNERS: [Owner; 2] = ["guest", "friend"];
pub(super) const BROWSERS: usize = 2;

/// The type that a value is read as.
#[derive(Clone, Copy, Debug)]
pub(super) enum As {
    Anything,
    Number,
    Text,
    List,
}

/// What `forget` and `keep` are given.
#[derive(Clone, Debug)]
pub(super) enum Keys {
    One(Key),
    Several(Vec<Key>),
    All,
}

/// A call of a verb.
#[derive(Clone, Debug)]
pub(super) enum Verb {
    Get(Key, As),
    GetOr(Key, i64),
    Has(Key),
    Exists(Key),
    Keys,
    All,
    Owner,
    Id,
    Set(Key, Value),
    SetFor(Key, Value, Duration),
    Permanent(Vec<(Key, Value)>),
    Flash(Key, Value),
    Now(Key, Value),
    Reflash,
    Keep(Keys),
    Forget(Keys),
    Pull(Key, As),
    Claim(Key, As),
    /// Twice the number and one.
    UpdateNumber(Key),
    /// A list with what was there.
    UpdateAnything(Key),
    Increment(Key, i64),
    Decrement(Key, i64),
    Push(Key, Value),
    Remember(Key, i64),
    /// `None`: the function fails.
    TryRemember(Key, Option<i64>),
    Clear,
    Regenerate,
    SetOwner(Owner),
    Destroy,
    Save,
}

/// How a request presents itself.
#[derive(Clone, Copy)]
pub(super) struct From {
    pub(super) browser: usize,
    pub(super) client: Client,
    pub(super) method: &'static str,
}

impl std::fmt::Debug for From {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let client = match self.client {
            Client::Plain => "plain",
            Client::Navigation => "navigation",
            Client::Fetch(dest) => dest,
            Client::Prefetch => "prefetch",
        };
        write!(f, "browser {}, {client}, {}", self.browser, self.method)
    }
}

/// One step of a sequence.
#[derive(Clone, Debug)]
pub(super) enum Action {
    /// A whole request whose answer arrives.
    Request(From, Vec<Verb>, u16),
    /// A request into which another one falls.
    During(Box<During>),
    /// A request begins: others come between.
    Open(From),
    /// An open request goes on.
    Work(usize, Verb),
    /// An open request is answered; the answer is on its way.
    Answer(usize, u16),
    /// An answer arrives.
    Deliver(usize),
    /// The handler of an open request panics, or its client hangs up.
    Drop(usize),
    /// A request that has been answered goes on, and perhaps saves.
    Late(usize, Verb),
    /// Somebody who copied the cookies of a browser at some time uses them.
    Copied(usize, Vec<Verb>, u16),
    Wait(Duration),
    /// A visitor stays: reads a page, and after each of these times another.
    Stay(usize, Vec<Duration>),
    /// The browser is closed and opened again.
    Restart(usize),
    /// Somebody plants a token in a browser.
    Plant(usize),
    /// A session is ended by its id.
    Revoke(usize),
    RevokeOthers(usize),
    RevokeAll(Owner),
}

/// Two requests of one browser that overlap: both begin with the same cookies, the inner one is answered first.
#[derive(Clone, Debug)]
pub(super) struct During {
    pub(super) outer: From,
    pub(super) before: Vec<Verb>,
    pub(super) inner: From,
    pub(super) inner_verbs: Vec<Verb>,
    pub(super) inner_status: u16,
    /// What goes by before the outer request goes on.
    pub(super) pause: Duration,
    pub(super) after: Vec<Verb>,
    pub(super) status: u16,
    pub(super) arrival: Arrival,
}

/// Whose answer reaches the browser first.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arrival {
    InnerFirst,
    OuterFirst,
}

pub(super) fn sequences() -> impl Strategy<Value = Vec<Action>> {
    vec(action(), 1..30)
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        30 => (from(), verbs(), status()).prop_map(|(from, verbs, status)| Action::Request(from, verbs, status)),
        14 => during().prop_map(|during| Action::During(Box::new(during))),
        8 => from().prop_map(Action::Open),
        24 => (any_of(), verb()).prop_map(|(open, verb)| Action::Work(open, verb)),
        8 => (any_of(), status()).prop_map(|(open, status)| Action::Answer(open, status)),
        7 => any_of().prop_map(Action::Deliver),
        1 => any_of().prop_map(Action::Drop),
        6 => (any_of(), late_verb()).prop_map(|(late, verb)| Action::Late(late, verb)),
        5 => (any_of(), verbs(), status()).prop_map(|(jar, verbs, status)| Action::Copied(jar, verbs, status)),
        14 => wait().prop_map(Action::Wait),
        3 => (browser(), vec(stay(), 1..7)).prop_map(|(browser, times)| Action::Stay(browser, times)),
        1 => browser().prop_map(Action::Restart),
        1 => browser().prop_map(Action::Plant),
        1 => any_of().prop_map(Action::Revoke),
        1 => browser().prop_map(Action::RevokeOthers),
        1 => owner().prop_map(Action::RevokeAll),
    ]
}

fn during() -> impl Strategy<Value = During> {
    let pause = prop_oneof![3 => Just(Duration::ZERO), 1 => wait()];
    let arrival = select(vec![Arrival::InnerFirst, Arrival::OuterFirst]);
    let inner = (client(), method(), verbs(), status());
    let after = vec(verb(), 0..3);
    let outer = (from(), vec(verb(), 1..4), after, status());
    (outer, inner, pause, arrival).prop_map(|(outer, inner, pause, arrival)| {
        let (outer, before, after, status) = outer;
        let (client, method, inner_verbs, inner_status) = inner;
        let inner = From { browser: outer.browser, client, method };
        During { outer, before, inner, inner_verbs, inner_status, pause, after, status, arrival }
    })
}

fn any_of() -> impl Strategy<Value = usize> {
    0..16_usize
}

fn browser() -> impl Strategy<Value = usize> {
    prop_oneof![4 => Just(0), 1 => Just(1)]
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![3 => Just(KEYS[0]), 2 => Just(KEYS[1]), 1 => Just(KEYS[2])]
}

fn owner() -> impl Strategy<Value = Owner> {
    select(&OWNERS[..])
}

fn client() -> impl Strategy<Value = Client> {
    prop_oneof![
        3 => Just(Client::Plain),
        3 => Just(Client::Navigation),
        3 => Just(Client::Fetch("image")),
        1 => Just(Client::Prefetch),
    ]
}

fn method() -> impl Strategy<Value = &'static str> {
    prop_oneof![6 => Just("GET"), 4 => Just("POST"), 1 => Just("HEAD"), 1 => Just("OPTIONS")]
}

fn from() -> impl Strategy<Value = From> {
    (browser(), client(), method()).prop_map(|(browser, client, method)| From {
        browser,
        client,
        method,
    })
}

fn status() -> impl Strategy<Value = u16> {
    prop_oneof![8 => Just(200), 1 => Just(302), 1 => Just(304), 1 => Just(404), 1 => Just(500)]
}

fn wait() -> impl Strategy<Value = Duration> {
    const SECOND: Duration = Duration::from_secs(1);
    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = crate::support::HOUR;
    const DAY: Duration = crate::support::DAY;
    const MOMENT: Duration = Duration::from_millis(1);
    let around = |middle: Duration| {
        prop_oneof![Just(middle.saturating_sub(MOMENT)), Just(middle), Just(middle + MOMENT)]
    };
    prop_oneof![
        4 => around(SECOND),
        // Tombstones.
        8 => around(MINUTE),
        // Old messages.
        4 => around(10 * MINUTE),
        // A tenth of the idle timeout.
        4 => around(12 * MINUTE),
        3 => around(HOUR),
        4 => around(2 * HOUR),
        2 => around(2 * HOUR + 12 * MINUTE),
        // The absolute lifetime.
        2 => around(5 * HOUR),
        // `.p` is sent again.
        3 => around(30 * DAY),
        1 => around(400 * DAY),
        1 => around(3650 * DAY),
    ]
}

/// Less than the idle timeout.
fn stay() -> impl Strategy<Value = Duration> {
    select(vec![Duration::from_secs(720), crate::support::HOUR, Duration::from_millis(7_199_999)])
}

fn value() -> impl Strategy<Value = Value> {
    select(vec![json!(null), json!(1), json!(2), json!("x"), json!([]), json!(i64::MAX)])
}

fn reading() -> impl Strategy<Value = As> {
    prop_oneof![4 => Just(As::Anything), 1 => Just(As::Number), 1 => Just(As::Text), 1 => Just(As::List)]
}

fn keys() -> impl Strategy<Value = Keys> {
    prop_oneof![
        4 => key().prop_map(Keys::One),
        2 => vec(key(), 0..3).prop_map(Keys::Several),
        1 => Just(Keys::All),
    ]
}

fn verbs() -> impl Strategy<Value = Vec<Verb>> {
    vec(verb(), 0..5)
}

fn late_verb() -> impl Strategy<Value = Verb> {
    prop_oneof![2 => verb(), 1 => Just(Verb::Save)]
}

fn verb() -> impl Strategy<Value = Verb> {
    prop_oneof![8 => reading_verb(), 16 => writing_verb(), 5 => whole_verb()]
}

fn reading_verb() -> impl Strategy<Value = Verb> {
    prop_oneof![
        4 => (key(), reading()).prop_map(|(key, reading)| Verb::Get(key, reading)),
        1 => (key(), 5..8_i64).prop_map(|(key, default)| Verb::GetOr(key, default)),
        1 => key().prop_map(Verb::Has),
        1 => key().prop_map(Verb::Exists),
        1 => Just(Verb::Keys),
        3 => Just(Verb::All),
        1 => Just(Verb::Owner),
        1 => Just(Verb::Id),
    ]
}

fn lifetime() -> impl Strategy<Value = Duration> {
    select(vec![Duration::ZERO, Duration::from_secs(60), Duration::from_secs(3600)])
}

fn writing_verb() -> impl Strategy<Value = Verb> {
    let step = || select(vec![1_i64, -1, 2, i64::MAX, i64::MIN]);
    prop_oneof![
        6 => (key(), value()).prop_map(|(key, value)| Verb::Set(key, value)),
        2 => (key(), value(), lifetime()).prop_map(|(key, value, lifetime)| Verb::SetFor(key, value, lifetime)),
        5 => vec((key(), value()), 0..3).prop_map(Verb::Permanent),
        6 => (key(), value()).prop_map(|(key, value)| Verb::Flash(key, value)),
        2 => (key(), value()).prop_map(|(key, value)| Verb::Now(key, value)),
        1 => Just(Verb::Reflash),
        2 => keys().prop_map(Verb::Keep),
        4 => keys().prop_map(Verb::Forget),
        2 => (key(), reading()).prop_map(|(key, reading)| Verb::Pull(key, reading)),
        3 => (key(), reading()).prop_map(|(key, reading)| Verb::Claim(key, reading)),
        1 => key().prop_map(Verb::UpdateNumber),
        1 => key().prop_map(Verb::UpdateAnything),
        2 => (key(), step()).prop_map(|(key, by)| Verb::Increment(key, by)),
        1 => (key(), step()).prop_map(|(key, by)| Verb::Decrement(key, by)),
        2 => (key(), value()).prop_map(|(key, value)| Verb::Push(key, value)),
        1 => (key(), 1..4_i64).prop_map(|(key, value)| Verb::Remember(key, value)),
        1 => (key(), any::<bool>(), 1..4_i64).prop_map(|(key, fails, value)| {
            Verb::TryRemember(key, (!fails).then_some(value))
        }),
    ]
}

/// Verbs that concern the session as a whole.
fn whole_verb() -> impl Strategy<Value = Verb> {
    prop_oneof![
        2 => Just(Verb::Clear),
        4 => Just(Verb::Regenerate),
        4 => owner().prop_map(Verb::SetOwner),
        3 => Just(Verb::Destroy),
        5 => Just(Verb::Save),
    ]
}
