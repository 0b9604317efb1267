//! Parallel requests of one browser, in every order of their store calls and of their answers.
//!
//! Nothing is left to chance: each store call waits until the test lets it go on, the test tries every choice
//! of who goes next, and the answers reach the jar in every order.

use crate::{
    stores::{Fault, Probe},
    support::{Bench, Client, Jar, NAME, in_a_store, in_memory},
};
use dframework_session::{Config, MemoryStore, RequestHead, ResponseHead, SessionHandle, Sessions};

/// What a request does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Act {
    Read,
    Increment,
    SetA,
    SetB,
    Flash,
    Permanent,
    Login(&'static str),
    Logout,
}

use Act::{Flash, Increment, Login, Logout, Permanent, Read, SetA, SetB};

async fn carry_out(act: Act, session: &SessionHandle) -> Result<(), dframework_session::Error> {
    match act {
        Read => session.all().await.map(drop),
        Increment => session.increment("count", 1).await.map(drop),
        SetA => session.set("a", 1).await,
        SetB => session.set("b", 1).await,
        Flash => session.flash("status", "hello").await,
        Permanent => session.permanent(serde_json::json!({ "terms": true })).await,
        Login(owner) => session.set_owner(owner).await,
        Logout => session.forget(..).await,
    }
}

/// What a request came to.
#[derive(Clone, Debug)]
struct Answer {
    act: Act,
    ok: bool,
    lines: Vec<String>,
}

impl Answer {
    fn sets_session_cookie(&self) -> bool {
        self.lines.iter().any(|line| line.starts_with(&format!("{NAME}=")))
    }
}

/// Runs the choices of a search through a tree, one leaf a run.
#[derive(Default)]
pub(crate) struct Choices {
    taken: Vec<(usize, usize)>,
    depth: usize,
}

impl Choices {
    pub(crate) fn next(&mut self, of: usize) -> usize {
        if self.depth == self.taken.len() {
            self.taken.push((0, of));
        }
        let (choice, recorded) = self.taken[self.depth];
        assert_eq!(recorded, of, "the same choices lead to the same place");
        self.depth += 1;
        choice
    }

    /// Moves on to the next leaf; `false` after the last.
    pub(crate) fn advance(&mut self) -> bool {
        self.depth = 0;
        while let Some((choice, of)) = self.taken.pop() {
            if choice + 1 < of {
                self.taken.push((choice + 1, of));
                return true;
            }
        }
        false
    }
}

/// How many server processes answer the requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Instances {
    One,
    OneEach,
}

/// Runs the requests once, in the order that the choices say.
async fn run(
    acts: &[Act],
    instances: Instances,
    choices: &mut Choices,
) -> (Bench, Jar, Vec<Answer>) {
    let store = MemoryStore::new();
    let bench = in_a_store(store.clone());
    let jar = prepared(&bench).await;
    let start = |sessions, index: usize| request(sessions, jar.field(), acts[index]);
    let answers = interleave(&bench, store, (acts.len(), instances), choices, start).await;
    (bench, jar, answers)
}

/// Runs so many requests at once on gated instances of the bench's store, in the order that the choices say.
pub(crate) async fn interleave<F>(
    bench: &Bench,
    store: MemoryStore,
    (count, instances): (usize, Instances),
    choices: &mut Choices,
    start: impl Fn(Sessions, usize) -> F,
) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let gate = Probe::over(store);
    gate.fail_all(Fault::Held);
    let config = Config::new().clock(bench.clock.clone());
    let instance = || Sessions::from_store(gate.clone(), &config).unwrap();
    let shared = instance();
    let requests: Vec<_> = (0..count)
        .map(|index| {
            let sessions = if instances == Instances::One { shared.clone() } else { instance() };
            tokio::spawn(start(sessions, index))
        })
        .collect();
    loop {
        let waiting = settle(&gate).await;
        if waiting == 0 {
            if requests.iter().all(tokio::task::JoinHandle::is_finished) {
                break;
            }
            // Everybody pauses after a conflict: the clock of the runtime moves on by itself.
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            continue;
        }
        gate.release_nth(choices.next(waiting));
    }
    let mut answers = Vec::new();
    for request in requests {
        answers.push(request.await.unwrap());
    }
    answers
}

/// Lets every task run until it waits at the gate or for another; returns how many are at the gate.
async fn settle(gate: &Probe) -> usize {
    let mut waiting = gate.waiting();
    let mut quiet = 0;
    while quiet < 12 {
        tokio::task::yield_now().await;
        let now = gate.waiting();
        quiet = if now == waiting { quiet + 1 } else { 0 };
        waiting = now;
    }
    waiting
}

async fn request(sessions: Sessions, cookies: String, act: Act) -> Answer {
    let handle = sessions.open(RequestHead::new("POST").with_cookies([cookies.as_bytes()]));
    let handled = carry_out(act, &handle).await.is_ok();
    let status = if handled { 200 } else { 409 };
    let (committed, lines) = match sessions.commit(&handle, ResponseHead::new(status)).await {
        Ok(head) => (true, head.set_cookies),
        Err(failed) => (false, failed.head.set_cookies),
    };
    Answer { act, ok: handled && committed, lines }
}

/// A browser with a live session that has counted to five.
async fn prepared(bench: &Bench) -> Jar {
    let mut jar = Jar::default();
    bench.ok(&mut jar, async |session| session.set("count", 5).await).await;
    jar
}

/// Every order of the indices below `count`.
fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let shorter = orders(count - 1);
    let insert = |order: &Vec<usize>, at: usize| {
        let mut order = order.clone();
        order.insert(at, count - 1);
        order
    };
    shorter.iter().flat_map(|order| (0..count).map(move |at| insert(order, at))).collect()
}

/// What a browser with this session cookie alone sees.
async fn seen_with(bench: &Bench, token: &str) -> serde_json::Map<String, serde_json::Value> {
    let mut jar = Jar::holding(token);
    bench.ok(&mut jar, async |session| session.all().await).await
}

/// Checks what must hold whatever the order was.
async fn check(bench: &Bench, before: &Jar, answers: &[Answer]) {
    let first_token = before.session().unwrap();
    let logout_ended =
        answers.iter().any(|answer| answer.act == Logout && !answer.lines.is_empty());
    let mut tokens = vec![first_token.to_owned()];
    for answer in answers {
        let mut jar = Jar::default();
        jar.take(&answer.lines);
        match answer.act {
            Login(_) => {
                assert!(answer.ok, "a login is never refused: {answers:?}");
                tokens.push(jar.session().expect("a login sends its token").to_owned());
            }
            Logout => assert!(answer.ok && jar == Jar::default(), "{answers:?}"),
            Read => assert!(answer.ok && answer.lines.is_empty(), "{answers:?}"),
            _ => assert!(!answer.sets_session_cookie(), "only logins and logouts do: {answers:?}"),
        }
        if !answer.ok {
            assert!(answer.lines.is_empty(), "what is refused sends nothing: {answers:?}");
        }
    }
    check_data(bench, &tokens, logout_ended, answers).await;
    for order in orders(answers.len()) {
        let mut jar = before.clone();
        for index in &order {
            jar.take(&answers[*index].lines);
        }
        check_jar(bench, &order, jar, before, answers).await;
    }
}

/// No update is lost, and nothing that ended comes back.
async fn check_data(bench: &Bench, tokens: &[String], logout_ended: bool, answers: &[Answer]) {
    let done = |act| answers.iter().filter(|answer| answer.ok && answer.act == act).count();
    let mut with_data = Vec::new();
    for token in tokens {
        let seen = seen_with(bench, token).await;
        if seen.contains_key("count") {
            with_data.push(seen);
        }
    }
    let any_login = answers.iter().any(|answer| matches!(answer.act, Login(_)));
    if any_login || logout_ended {
        let seen = seen_with(bench, &tokens[0]).await;
        assert!(seen.is_empty(), "the old token opens nothing: {answers:?}");
    }
    if logout_ended {
        assert!(with_data.is_empty(), "what was logged out is gone: {answers:?}");
        return;
    }
    let [data] = &with_data[..] else { panic!("one session has the data: {answers:?}") };
    assert_eq!(data["count"], 5 + done(Increment), "{answers:?}");
    assert_eq!(data.contains_key("a"), done(SetA) > 0, "{answers:?}");
    assert_eq!(data.contains_key("b"), done(SetB) > 0, "{answers:?}");
    if !any_login {
        assert!(answers.iter().all(|answer| answer.ok), "nothing ended: {answers:?}");
    }
}

/// The jar holds what the last answer that could say so said, and it works.
async fn check_jar(bench: &Bench, order: &[usize], mut jar: Jar, before: &Jar, answers: &[Answer]) {
    let last = order
        .iter()
        .rev()
        .map(|index| &answers[*index])
        .find(|answer| answer.sets_session_cookie());
    let mut expected = before.clone();
    if let Some(last) = last {
        expected.take(&last.lines);
    }
    assert_eq!(jar.session(), expected.session(), "{order:?} {answers:?}");
    if let Some(Answer { act: Login(owner), .. }) = last {
        let seen = bench.ok(&mut jar.clone(), async |session| session.owner().await).await;
        assert_eq!(seen.as_deref(), Some(*owner), "{order:?} {answers:?}");
    }
    let has_ending = answers.iter().any(|answer| matches!(answer.act, Login(_) | Logout));
    if has_ending {
        return;
    }
    let flashed = answers.iter().any(|answer| answer.act == Flash);
    let made_permanent = answers.iter().any(|answer| answer.act == Permanent);
    let look = async |session: SessionHandle| {
        let status: Option<String> = session.get("status").await?;
        let terms: Option<bool> = session.get("terms").await?;
        Ok::<_, dframework_session::Error>((status, terms))
    };
    let (first, _) = bench.request(&mut jar, Client::Navigation, 200, look).await;
    let (status, terms) = first.unwrap();
    assert_eq!(status.is_some(), flashed, "the next page shows the message: {order:?} {answers:?}");
    assert_eq!(terms.is_some(), made_permanent, "{order:?} {answers:?}");
    let (second, _) = bench.request(&mut jar, Client::Navigation, 200, look).await;
    assert_eq!(second.unwrap().0, None, "the page after it does not");
}

/// Tries every order of these requests' store calls; returns how many there are.
async fn all_orders(acts: &[Act], instances: Instances) -> usize {
    let mut choices = Choices::default();
    let mut runs = 0;
    loop {
        let (bench, jar, answers) = run(acts, instances, &mut choices).await;
        check(&bench, &jar, &answers).await;
        runs += 1;
        if !choices.advance() {
            return runs;
        }
    }
}

const ACTS: [Act; 8] = [Read, Increment, SetA, SetB, Flash, Permanent, Login("42"), Logout];

fn pairs() -> impl Iterator<Item = [Act; 2]> {
    let pair = |first: usize| (first..ACTS.len()).map(move |second| [ACTS[first], ACTS[second]]);
    // Two first permanent values at once are two records: the jar keeps one, as documented.
    (0..ACTS.len()).flat_map(pair).filter(|pair| *pair != [Permanent, Permanent])
}

#[tokio::test(start_paused = true)]
async fn two_requests_lose_nothing_and_bring_nothing_back_on_one_instance() {
    let mut runs = 0;
    for acts in pairs() {
        runs += all_orders(&acts, Instances::One).await;
    }
    assert!(runs >= 200, "{runs}");
}

#[tokio::test(start_paused = true)]
async fn two_requests_lose_nothing_and_bring_nothing_back_on_two_instances() {
    let mut runs = 0;
    for acts in pairs() {
        runs += all_orders(&acts, Instances::OneEach).await;
    }
    assert!(runs >= 200, "{runs}");
}

/// The triples in which two may race and the third meets what they leave.
const TRIPLES: [[Act; 3]; 10] = [
    [Increment, Increment, Increment],
    [Increment, SetA, SetB],
    [Increment, Increment, Logout],
    [Increment, Login("42"), Read],
    [SetA, Login("42"), Logout],
    [Login("42"), Login("43"), Read],
    [Login("42"), Login("43"), Logout],
    [Flash, Read, Increment],
    [Flash, Flash, Read],
    [Permanent, Increment, Read],
];

#[tokio::test(start_paused = true)]
async fn three_requests_lose_nothing_and_bring_nothing_back_on_one_instance() {
    for acts in TRIPLES {
        let runs = all_orders(&acts, Instances::One).await;
        assert!(runs >= 30, "{acts:?} {runs}");
    }
}

#[tokio::test(start_paused = true)]
async fn three_requests_lose_nothing_and_bring_nothing_back_on_three_instances() {
    for acts in TRIPLES {
        let runs = all_orders(&acts, Instances::OneEach).await;
        assert!(runs >= 30, "{acts:?} {runs}");
    }
}

/// The memory driver never waits, so its requests interleave where they load and where they commit.
async fn all_orders_in_memory(acts: &[Act]) -> usize {
    let mut choices = Choices::default();
    let mut runs = 0;
    loop {
        let bench = in_memory().await;
        let jar = prepared(&bench).await;
        let handles: Vec<_> =
            acts.iter().map(|_| bench.open(&jar, Client::Plain, "POST")).collect();
        let mut handled: Vec<Option<bool>> = vec![None; acts.len()];
        let mut answers: Vec<Option<Answer>> = vec![None; acts.len()];
        loop {
            let open: Vec<_> = (0..acts.len()).filter(|index| answers[*index].is_none()).collect();
            let Some(index) = (!open.is_empty()).then(|| open[choices.next(open.len())]) else {
                break;
            };
            let (act, handle) = (acts[index], &handles[index]);
            match handled[index] {
                None => handled[index] = Some(carry_out(act, handle).await.is_ok()),
                Some(handled) => {
                    let status = if handled { 200 } else { 409 };
                    let head = bench.sessions.commit_now(handle, ResponseHead::new(status));
                    let (ok, lines) = match head {
                        Ok(head) => (handled, head.set_cookies),
                        Err(failed) => (false, failed.head.set_cookies),
                    };
                    answers[index] = Some(Answer { act, ok, lines });
                }
            }
        }
        let answers: Vec<_> = answers.into_iter().flatten().collect();
        check(&bench, &jar, &answers).await;
        runs += 1;
        if !choices.advance() {
            return runs;
        }
    }
}

#[tokio::test]
async fn parallel_requests_lose_nothing_and_bring_nothing_back_in_memory() {
    for acts in pairs() {
        assert_eq!(all_orders_in_memory(&acts).await, 6);
    }
    for acts in TRIPLES {
        assert_eq!(all_orders_in_memory(&acts).await, 90);
    }
}
