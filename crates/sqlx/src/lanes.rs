//! Lanes: tasks that hold a connection each and carry out what waits for them.
//!
//! A call waits in the queue of its lanes until one of them takes it. It can be withdrawn until then, and is carried
//! out whole from then on, whatever becomes of its caller: no transaction is left open by somebody who goes. A lane
//! takes one call at a time; a batch would be to take all that wait.

use dframework_session_store::StoreError;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Mutex, mpsc, oneshot},
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

impl<O, A> Job<O, A> {
    /// Takes the call, unless its caller has gone or has withdrawn it. From then on it counts as carried out.
    pub(crate) fn take(&self) -> bool {
        !self.is_abandoned() && self.ticket.pass_to(TAKEN)
    }

    /// Whether nobody waits for the answer any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    pub(crate) fn operation(&self) -> &O {
        &self.operation
    }

    /// Until when the caller can be told that nothing was done.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
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
pub(crate) struct Queue<C>(Arc<Mutex<mpsc::Receiver<C>>>);

impl<C> Clone for Queue<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// A queue for calls of one kind.
pub(crate) fn queue<C>() -> (Entrance<C>, Queue<C>) {
    let (sender, receiver) = mpsc::channel(MOST_WAITING);
    (Entrance(sender), Queue(Arc::new(Mutex::new(receiver))))
}

impl<C> Queue<C> {
    /// The next call. `None` once the store has gone and nothing waits any more.
    pub(crate) async fn next(&self) -> Option<C> {
        self.0.lock().await.recv().await
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
        match timeout_at(deadline, self.0.send(job)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(ended()),
            Err(_) => return Err(busy(patience)),
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
