//! The whole broker on virtual time, with faulty clients, network and disk.
//!
//! A failure prints its seed and what happened; seeds that ever failed are kept in
//! `seeds/simulation.txt` and run first. `WEIR_SIM_SEEDS=5000` runs more seeds, from
//! `WEIR_SIM_FIRST` on; `WEIR_SIM_SEED=7` runs that one, and with `WEIR_SIM_ALL=1` tells
//! everything that happened.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use weir_tests::sim::{Failure, Misbehaviour, Setup, Summary, run};

/// Seeds of an ordinary run.
const SEEDS: u64 = 200;
/// A deliberate fault is found within so many seeds.
const SEEDS_PER_FAULT: u64 = 40;
const PROGRESS_SEEDS: usize = 500;

#[test]
fn seeds_hold() {
    let first = number_of("WEIR_SIM_FIRST").unwrap_or(0);
    let count = number_of("WEIR_SIM_SEEDS").unwrap_or(SEEDS);
    hold(kept_seeds().chain(first..first + count).collect());
}

#[test]
fn one_seed() {
    let Some(seed) = number_of("WEIR_SIM_SEED") else { return };
    let tells_all = number_of("WEIR_SIM_ALL").is_some();
    match run(&Setup { tells_all, ..Setup::of_seed(seed) }) {
        Ok(summary) => println!("seed {seed}: {summary}"),
        Err(failure) => panic!("{failure}"),
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [3, 4] {
        let twice = [(); 2].map(|()| run(&Setup::of_seed(seed)).expect("a run without problem"));
        assert_eq!(twice[0], twice[1], "seed {seed}");
    }
}

/// A simulation that finds nothing may be blind: each of these faults is put into the broker on
/// purpose.
#[test]
fn each_deliberate_fault_is_found() {
    for misbehaviour in Misbehaviour::ALL {
        let setup = |seed| Setup { misbehaviour: Some(misbehaviour), ..Setup::of_seed(seed) };
        let mut seeds = kept_seeds().chain(0..SEEDS_PER_FAULT);
        let found = seeds.find_map(|seed| run(&setup(seed)).err());
        let found = found.unwrap_or_else(|| panic!("{misbehaviour:?} is not found"));
        println!("{misbehaviour:?}: seed {}: {}", found.seed, found.problem);
    }
}

fn kept_seeds() -> impl Iterator<Item = u64> {
    let lines = include_str!("../seeds/simulation.txt").lines();
    lines.filter_map(|line| line.split_whitespace().next()?.parse().ok())
}

/// Runs seeds on all cores and panics with the first failure.
#[expect(clippy::print_stdout, reason = "a long run shows how far it is")]
fn hold(seeds: VecDeque<u64>) {
    let started = Instant::now();
    let count = seeds.len();
    let seeds = Mutex::new(seeds);
    let results: Mutex<(Summary, Vec<Failure>, usize)> = Mutex::default();
    let work = || {
        loop {
            let Some(seed) = lock(&seeds).pop_front() else { return };
            let result = run(&Setup::of_seed(seed));
            let (total, failures, done) = &mut *lock(&results);
            match result {
                Ok(summary) => *total += summary,
                Err(failure) => {
                    println!("seed {seed}: {}", failure.problem);
                    failures.push(*failure);
                }
            }
            *done += 1;
            if done.is_multiple_of(PROGRESS_SEEDS) {
                println!("{done} seeds, {} failures", failures.len());
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let (total, mut failures, _) = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{count} seeds in {:.1?}: {total}", started.elapsed());
    failures.sort_by_key(|failure| failure.seed);
    if let Some(failure) = failures.first() {
        panic!("{} of {count} seeds failed, the first one:\n{failure}", failures.len());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
