//! The whole broker on virtual time, with faulty clients, network and disk.
//!
//! A failure prints its seed and what happened; seeds that ever failed are kept in `seeds/`.
//! `WEIR_SIM_SEEDS=5000` runs more seeds, `WEIR_SIM_SEED=7` runs that one, with
//! `WEIR_SIM_ALL=1` everything that happened is told.

use std::time::Instant;

use weir_tests::sim::{Setup, Summary, run};

/// Seeds of an ordinary run.
const SEEDS: u64 = 200;

#[test]
fn seeds_hold() {
    let count = number_of("WEIR_SIM_SEEDS").unwrap_or(SEEDS);
    let started = Instant::now();
    let mut failures = Vec::new();
    let mut total = Summary::default();
    for seed in 0..count {
        match run(&Setup::of_seed(seed)) {
            Ok(summary) => total += summary,
            Err(failure) => {
                println!("seed {seed}: {}", failure.problem);
                failures.push(failure);
            }
        }
        if seed % 500 == 499 {
            println!("{} seeds, {} failures", seed + 1, failures.len());
        }
    }
    println!("{count} seeds in {:?}: {total}", started.elapsed());
    if let Some(failure) = failures.first() {
        panic!("{} of {count} seeds failed, the first one:\n{failure}", failures.len());
    }
}

#[test]
fn one_seed() {
    let Some(seed) = number_of("WEIR_SIM_SEED") else { return };
    let tells_all = number_of("WEIR_SIM_ALL").is_some();
    match run(&Setup { tells_all, ..Setup::of_seed(seed) }) {
        Ok(summary) => println!("seed {seed}: {summary:?}"),
        Err(failure) => panic!("{failure}"),
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let twice = [(); 2].map(|()| run(&Setup::of_seed(3)).expect("a run without problem"));
    assert_eq!(twice[0], twice[1]);
}

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
