//! Lanes: tasks that hold a connection each and carry out what waits for them.
//!
//! A call waits in the queue of its lanes until one of them takes it. It can be withdrawn until then, and is carried
//! out whole from then on, whatever becomes of its caller: no transaction is left open by somebody who goes. A lane
//! that becomes free takes all that wait and may go together.

use crate::party::Call;
use dframework_session_store::StoreError;
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{
        Mutex,
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::{Instant, timeout_at},
};

/// How many calls wait in a queue. Those beyond wait for room, as long as they may.
const MOST_WAITING: usize = 1024;

/// A call that waits for a lane, or is being carried out by one.
pub(crate) struct Job<O, A> {
    operation: O,
    deadline: Instant,
    ticket: Ticket,
    reply: oneshot::Sender<Result<A, StoreError>>,
}

/// A caller that waits, whatever for.
pub(crate) trait Waiting {
    /// Takes the call, unless its caller has gone or has withdrawn it. From then on it counts as carried out.
    fn take(&self) -> bool;

    /// Whether nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;

    /// Until when the caller can be told that nothing was done.
    fn deadline(&self) -> Instant;
}

impl<O, A> Waiting for Job<O, A> {
    fn take(&self) -> bool {
        !self.is_abandoned() && self.ticket.pass_to(TAKEN)
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }
}

impl<O, A> Job<O, A> {
    pub(crate) fn operation(&self) -> &O {
        &self.operation
    }

    pub(crate) fn answer(self, answer: Result<A, StoreError>) {
        // Whoever has gone in this moment needs no answer.
        let _ = self.reply.send(answer);
    }
}

const WAITING: u8 = 0;
const TAKEN: u8 = 1;
const WITHDRAWN: u8 = 2;

/// Who has a call: it leaves the queue once, taken by a lane or withdrawn by its caller.
#[derive(Clone, Default)]
struct Ticket(Arc<AtomicU8>);

impl Ticket {
    fn pass_to(&self, state: u8) -> bool {
        self.0.compare_exchange(WAITING, state, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// Where callers put their calls.
pub(crate) struct Entrance<C>(mpsc::Sender<C>);

impl<C> Clone for Entrance<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Where lanes take them.
pub(crate) struct Queue<C> {
    waiting: Arc<Mutex<Line<C>>>,
    /// How many calls go together at most.
    most: usize,
}

/// The calls that wait, those that came first in front.
struct Line<C> {
    /// Those that could not go with the ones before them. No more than [`MOST_WAITING`].
    passed: VecDeque<C>,
    coming: mpsc::Receiver<C>,
}

impl<C> Clone for Queue<C> {
    fn clone(&self) -> Self {
        Self { waiting: self.waiting.clone(), most: self.most }
    }
}

/// A queue for calls of one kind, of which so many go together at most.
pub(crate) fn queue<C>(most: usize) -> (Entrance<C>, Queue<C>) {
    let (sender, coming) = mpsc::channel(MOST_WAITING);
    let waiting = Arc::new(Mutex::new(Line { passed: VecDeque::new(), coming }));
    (Entrance(sender), Queue { waiting, most })
}

impl<C: Call> Queue<C> {
    /// The next call, and those that wait and may go with it. `None` once the store has gone and nothing waits any more.
    pub(crate) async fn next(&self) -> Option<Vec<C>> {
        let mut line = self.waiting.lock().await;
        let first = match line.passed.pop_front() {
            Some(first) => first,
            None => line.coming.recv().await?,
        };
        // From here on nobody waits, so no call is lost where this future is.
        Some(line.with_others(first, self.most))
    }
}

impl<C: Call> Line<C> {
    fn with_others(&mut self, first: C, most: usize) -> Vec<C> {
        let mut party = C::Party::default();
        let goes_alone = !first.join(&mut party);
        let mut together = vec![first];
        if goes_alone {
            return together;
        }
        let mut passed = VecDeque::new();
        while together.len() < most && passed.len() < MOST_WAITING {
            let next = self.passed.pop_front().or_else(|| self.coming.try_recv().ok());
            let Some(call) = next else { break };
            if call.join(&mut party) {
                together.push(call);
            } else {
                passed.push_back(call);
            }
        }
        // They go before all that is left.
        passed.append(&mut self.passed);
        self.passed = passed;
        together
    }
}

impl<C> Entrance<C> {
    /// Whether the lanes have gone: their runtime has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Has a call carried out, and gives its answer.
    ///
    /// A call that no lane takes within `patience` is withdrawn: nothing was done. One that was taken is waited for.
    pub(crate) async fn ask<O, A>(
        &self,
        wrap: impl FnOnce(Job<O, A>) -> C,
        operation: O,
        patience: Duration,
    ) -> Result<A, StoreError> {
        let deadline = Instant::now() + patience;
        let (ticket, (reply, mut answer)) = (Ticket::default(), oneshot::channel());
        let job = wrap(Job { operation, deadline, ticket: ticket.clone(), reply });
        // There is room nearly always, and a timer costs more than a look.
        if let Err(refused) = self.0.try_send(job) {
            let TrySendError::Full(job) = refused else { return Err(ended()) };
            match timeout_at(deadline, self.0.send(job)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(ended()),
                Err(_) => return Err(busy(patience)),
            }
        }
        let answered = match timeout_at(deadline, &mut answer).await {
            Ok(answered) => answered,
            Err(_) if ticket.pass_to(WITHDRAWN) => return Err(busy(patience)),
            Err(_) => answer.await,
        };
        match answered {
            Ok(answer) => answer,
            Err(_) if ticket.pass_to(WITHDRAWN) => Err(ended()),
            Err(_) => {
                Err(StoreError::unknown_outcome("the runtime ended while the database was asked"))
            }
        }
    }
}

fn busy(patience: Duration) -> StoreError {
    StoreError::unavailable(format!("no connection to the database was free within {patience:?}"))
}

fn ended() -> StoreError {
    StoreError::unavailable("the runtime that talked to the database has ended")
}
