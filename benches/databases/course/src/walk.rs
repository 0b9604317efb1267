//! Requests on their way: so many at the same time, each begun when the one before it is answered.

use crate::{
    Measured, Requests, SESSIONS,
    client::Client,
    counters::{lost_rounds, statements},
    order::Case,
};
use std::{error::Error, sync::Arc, time::Instant};

/// What came of some requests.
#[derive(Default)]
struct Answers {
    /// Those of the first client, whose session others use too.
    of_first: i64,
    refused: u64,
}

/// Sends requests, and measures them all together.
pub(crate) async fn walk(
    requests: Requests,
    clients: &[Arc<Client>],
) -> Result<Measured, Box<dyn Error>> {
    let first = clients[0].clone();
    let is_counted = requests.case == Case::Count;
    let visits = async || if is_counted { first.number("/visits").await } else { Ok(0) };
    let visits_before = visits().await?;
    let (statements_before, rounds_before, begun) = (statements(), lost_rounds(), Instant::now());
    let mut tasks = Vec::new();
    for lane in 0..requests.in_flight {
        tasks.push(tokio::spawn(one_by_one(requests, lane, clients.to_vec())));
    }
    let (mut of_first, mut refused) = (0, 0);
    for task in tasks {
        let answers = task.await??;
        of_first += answers.of_first;
        refused += answers.refused;
    }
    let nanos = begun.elapsed().as_nanos();
    let statements = statements() - statements_before;
    let rounds = lost_rounds() - rounds_before;
    let lost = if is_counted { of_first - (visits().await? - visits_before) } else { 0 };
    Ok(Measured { nanos, statements, rounds, lost, refused })
}

/// Every so many-th request, one after the other.
async fn one_by_one(
    requests: Requests,
    lane: usize,
    clients: Vec<Arc<Client>>,
) -> Result<Answers, String> {
    let Requests { case, in_flight, count, shared } = requests;
    let anybody = clients[0].stranger();
    let mut answers = Answers::default();
    for number in (lane..count).step_by(in_flight) {
        // Those of one session are spread among the others.
        let client = if number * 37 % 100 < shared { 0 } else { number % SESSIONS };
        match case {
            Case::New => anybody.clone().send(case.path()).await?,
            Case::Read | Case::Write => clients[client].ask(case.path()).await?,
            Case::Count => match clients[client].ask(case.path()).await {
                Ok(()) if client == 0 => answers.of_first += 1,
                Ok(()) => {}
                Err(_) => answers.refused += 1,
            },
        }
    }
    Ok(answers)
}
