//! Random sequences of everything that a visitor and an application can do, against a model of the rules.
//!
//! The model (`world.rs`, `draft.rs`, `request.rs`) is plain maps and the rules of the manual in words; it shares no
//! code with the library. After each step, what every verb returned, which cookies went out and which errors were met
//! must agree; at the end, what every token of the past opens, and how many records are left.
//!
//! Where the driver lets processes share records, two do, and each request reaches one of them.
//!
//! 600 sequences of up to 30 actions, from a fixed seed, on the drivers whose records are in this process, and 20 of them
//! on each database. `PROPTEST_CASES=100000` and `PROPTEST_CASES_ON_DATABASES=1000` run more, `PROPTEST_RNG_SEED=7` others.
//! A sequence that fails is shortened before it is shown.

mod actions;
mod draft;
mod request;
mod run;
mod world;

use crate::{
    homes::homes,
    support::{Bench, at_home_with, in_a_shared_store_with, in_memory_with},
};
use actions::Action;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use std::time::Duration;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

async fn check(bench: &Bench, sequence: &[Action]) -> Result<(), String> {
    let mut run = run::Run::new(bench);
    for (index, action) in sequence.iter().enumerate() {
        let step = run.step(action).await;
        step.map_err(|difference| {
            format!("{}, step {index}: {action:?}: {difference}", bench.driver)
        })?;
    }
    run.finish().await.map_err(|difference| format!("{}, at the end: {difference}", bench.driver))
}

fn configure(config: dframework_session::Config) -> dframework_session::Config {
    config.lifetime(Duration::from_millis(world::LIFETIME))
}

#[test]
fn whatever_is_done_the_library_does_what_the_rules_say() {
    check_all(number("PROPTEST_CASES", 600), async || {
        vec![in_memory_with(configure).await, in_a_shared_store_with(configure)]
    });
}

#[test]
fn whatever_two_processes_on_a_database_do_is_what_the_rules_say() {
    check_all(number("PROPTEST_CASES_ON_DATABASES", 20), async || {
        let mut benches = Vec::new();
        for home in homes() {
            benches.push(at_home_with(home, configure).await);
        }
        benches
    });
}

/// Carries so many sequences out on new benches each.
fn check_all(cases: u64, benches: impl AsyncFn() -> Vec<Bench>) {
    let config = Config {
        cases: u32::try_from(cases).unwrap(),
        rng_seed: RngSeed::Fixed(number("PROPTEST_RNG_SEED", 1)),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        // In milliseconds: each step asks every database again.
        max_shrink_time: 300_000,
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outcome = TestRunner::new(config).run(&actions::sequences(), |sequence| {
        runtime.block_on(async {
            for bench in benches().await {
                check(&bench, &sequence).await.map_err(TestCaseError::fail)?;
            }
            Ok(())
        })
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(difference, sequence)) => {
            let steps: Vec<_> = sequence.iter().map(|action| format!("  {action:?}\n")).collect();
            panic!("{difference}\nThe shortest sequence that shows it:\n{}", steps.concat());
        }
        Err(other) => panic!("{other}"),
    }
}
