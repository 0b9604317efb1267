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
    /// How long each waited for its answer, in nanoseconds.
    waited: Vec<u64>,
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
    let mut all = Answers { waited: Vec::with_capacity(requests.count), ..Answers::default() };
    for task in tasks {
        let answers = task.await??;
        all.of_first += answers.of_first;
        all.refused += answers.refused;
        all.waited.extend(answers.waited);
    }
    let nanos = begun.elapsed().as_nanos();
    all.waited.sort_unstable();
    let [half, most] = [50, 99].map(|percent| longest(&all.waited, percent));
    let Answers { of_first, refused, .. } = all;
    let statements = statements() - statements_before;
    let rounds = lost_rounds() - rounds_before;
    let lost = if is_counted { of_first - (visits().await? - visits_before) } else { 0 };
    Ok(Measured { nanos, half, most, statements, rounds, lost, refused })
}

/// Every so many-th request, one after the other.
async fn one_by_one(
    requests: Requests,
    lane: usize,
    clients: Vec<Arc<Client>>,
) -> Result<Answers, String> {
    let Requests { case, in_flight, count, shared } = requests;
    let anybody = clients[0].stranger();
    let each = count.div_ceil(in_flight);
    let mut answers = Answers { waited: Vec::with_capacity(each), ..Answers::default() };
    for number in (lane..count).step_by(in_flight) {
        // Those of one session are spread among the others.
        let client = if number * 37 % 100 < shared { 0 } else { number % SESSIONS };
        let begun = Instant::now();
        match case {
            Case::New => anybody.clone().send(case.path()).await?,
            Case::Read | Case::Write => clients[client].ask(case.path()).await?,
            Case::Count => match clients[client].ask(case.path()).await {
                Ok(()) if client == 0 => answers.of_first += 1,
                Ok(()) => {}
                Err(_) => answers.refused += 1,
            },
        }
        answers.waited.push(begun.elapsed().as_nanos().try_into().unwrap_or(u64::MAX));
    }
    Ok(answers)
}

/// What so many of a hundred do not exceed, of times that rise.
fn longest(times: &[u64], percent: usize) -> u64 {
    let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times.get(place).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_of_a_hundred_wait_no_longer() {
        let times: Vec<u64> = (1..=200).collect();
        assert_eq!([50, 99, 100].map(|percent| longest(&times, percent)), [100, 198, 200]);
        assert_eq!([50, 99].map(|percent| longest(&[7], percent)), [7, 7]);
        assert_eq!(longest(&[], 50), 0);
    }
}
