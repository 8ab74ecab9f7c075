//! The whole broker on virtual time, with faulty clients, network and disk.
//!
//! A failure prints its seed and what happened; seeds that ever failed are kept in
//! `seeds/simulation.txt` and run first. `WEIR_SIM_SEEDS=5000` runs more seeds, from
//! `WEIR_SIM_FIRST` on; `WEIR_SIM_SEED=7` runs that one, with what `WEIR_SIM_SETUP` says of it,
//! and with `WEIR_SIM_ALL=1` tells everything that happened.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use weir_tests::sim::{Failure, Kind, Misbehaviour, Setup, Summary, run, shrink};

/// Seeds of an ordinary run.
const SEEDS: u64 = 200;
/// A deliberate fault is found within so many seeds.
const SEEDS_PER_FAULT: u64 = 40;
/// In a run with fewer there is not much to leave out.
const LONG_RUN_EVENTS: u64 = 1_500;
const PROGRESS_SEEDS: usize = 500;
/// Runs that are spent on telling a failure with less.
const ATTEMPTS: u32 = 200;
/// So much of a problem is told in a table.
const PROBLEM_CHARS: usize = 110;
/// An ordinary run cuts the power at one of so many operations.
const STRIDE: usize = 5;
/// A start after a power cut has about so many operations.
const STARTING_OPERATIONS: u64 = 60;

#[test]
fn seeds_hold() {
    let first = number_of("WEIR_SIM_FIRST").unwrap_or(0);
    let count = number_of("WEIR_SIM_SEEDS").unwrap_or(SEEDS);
    hold(kept_seeds().chain(first..first + count).map(Setup::of_seed).collect());
}

#[test]
fn one_seed() {
    let Some(seed) = number_of("WEIR_SIM_SEED") else { return };
    let tells_all = number_of("WEIR_SIM_ALL").is_some();
    let text = std::env::var("WEIR_SIM_SETUP").unwrap_or_default();
    let setup = Setup::read(seed, &text).expect("WEIR_SIM_SETUP as a failure prints it");
    match run(&Setup { tells_all, ..setup }) {
        Ok(summary) => println!("seed {seed}: {summary}"),
        Err(failure) if text.is_empty() && !tells_all => panic!("{}", shrink(*failure, ATTEMPTS)),
        Err(failure) => panic!("{failure}"),
    }
}

/// Syncs that lie lose what was acknowledged, but nothing else goes wrong.
#[test]
fn a_disk_that_lies_makes_nobody_invent_anything() {
    let count = number_of("WEIR_SIM_SEEDS").unwrap_or(SEEDS) / 5;
    let setup = |seed| Setup { kind: Kind::Lying, ..Setup::of_seed(seed) };
    hold((0..count).map(setup).collect());
}

/// A short run, with a power cut at each operation of its disk, one after the other, and with
/// another one while the broker starts after that.
#[test]
fn a_power_cut_at_any_operation_of_the_disk_loses_nothing() {
    let is_long = number_of("WEIR_SIM_SEEDS").is_some();
    let (seeds, stride) = if is_long { (10, 1) } else { (1, STRIDE) };
    let mut cuts = VecDeque::new();
    for seed in 0..seeds {
        let short = |power_cuts| Setup { kind: Kind::Short, power_cuts, ..Setup::of_seed(seed) };
        let whole = run(&short(Vec::new())).unwrap_or_else(|failure| panic!("{failure}"));
        let operations = whole.disk_operations;
        assert!(operations > 50, "{operations} operations are too few to be worth it");
        cuts.extend((0..operations).step_by(stride).map(|first| short(vec![first])));
        let starts = (0..STARTING_OPERATIONS).step_by(stride);
        let twice = starts.map(|second| short(vec![operations / 2, second, second / 2]));
        cuts.extend(twice);
    }
    hold(cuts);
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
    let faults = Mutex::new(VecDeque::from(Misbehaviour::ALL));
    in_parallel(|| {
        loop {
            let Some(misbehaviour) = lock(&faults).pop_front() else { return };
            let setup = |seed| Setup { misbehaviour: Some(misbehaviour), ..Setup::of_seed(seed) };
            let found = (0..SEEDS_PER_FAULT).find_map(|seed| run(&setup(seed)).err());
            let found = found.unwrap_or_else(|| panic!("{misbehaviour:?} is not found"));
            let problem: String = found.problem.chars().take(PROBLEM_CHARS).collect();
            println!("| {misbehaviour:?} | {} | {problem} |", found.setup.seed + 1);
        }
    });
}

/// For faults in the source itself: see `mutations.rs`.
#[test]
#[ignore = "tells the first seed that fails, if there is one"]
fn first_failure() {
    let count = number_of("WEIR_SIM_SEEDS").unwrap_or(SEEDS);
    let failed = (0..count).find_map(|seed| run(&Setup::of_seed(seed)).err());
    match failed {
        Some(failure) => println!("first failure: {} {}", failure.setup.seed, failure.problem),
        None => println!("no failure"),
    }
}

/// A failure is told with less, and the text of that repeats it.
#[test]
fn a_failure_is_told_with_as_little_as_possible() {
    // The longest first.
    let faults = Mutex::new(VecDeque::from([
        Misbehaviour::ReleasesForgotten,
        Misbehaviour::CursorsForgotten,
        Misbehaviour::ForwardedTooEarly,
        Misbehaviour::OlderRetained,
        Misbehaviour::DelayedForgotten,
    ]));
    in_parallel(|| {
        loop {
            let Some(misbehaviour) = lock(&faults).pop_front() else { return };
            tell_with_less(misbehaviour);
        }
    });
}

#[expect(clippy::print_stdout, reason = "what is left tells how well it works")]
fn tell_with_less(misbehaviour: Misbehaviour) {
    let setup = |seed| Setup { misbehaviour: Some(misbehaviour), ..Setup::of_seed(seed) };
    let mut failures = (0..SEEDS_PER_FAULT).filter_map(|seed| run(&setup(seed)).err());
    let failed = failures.find(|failed| failed.events >= LONG_RUN_EVENTS);
    let failed = *failed.expect("the fault is found");
    let events = failed.events;
    let small = shrink(failed, 400);
    println!("{misbehaviour:?}: {} of {events} events are left", small.events);
    assert!(small.events * 4 < events, "{} of {events} events are left", small.events);
    let again = Setup::read(small.setup.seed, &small.setup.to_string()).expect("its own text");
    let again = run(&again).expect_err("it fails again");
    assert_eq!((again.problem, again.events), (small.problem, small.events));
}

fn kept_seeds() -> impl Iterator<Item = u64> {
    let lines = include_str!("../seeds/simulation.txt").lines();
    lines.filter_map(|line| line.split_whitespace().next()?.parse().ok())
}

/// Runs seeds on all cores and panics with the first failure.
#[expect(clippy::print_stdout, reason = "a long run shows how far it is")]
fn hold(setups: VecDeque<Setup>) {
    let started = Instant::now();
    let count = setups.len();
    let setups = Mutex::new(setups);
    let results: Mutex<(Summary, Vec<Failure>, usize)> = Mutex::default();
    let work = || {
        loop {
            let Some(setup) = lock(&setups).pop_front() else { return };
            let result = run(&setup);
            let (total, failures, done) = &mut *lock(&results);
            match result {
                Ok(summary) => *total += summary,
                Err(failure) => {
                    println!("seed {} {setup}: {}", setup.seed, failure.problem);
                    failures.push(*failure);
                }
            }
            *done += 1;
            if done.is_multiple_of(PROGRESS_SEEDS) {
                println!("{done} runs, {} failures", failures.len());
            }
        }
    };
    in_parallel(work);
    let (total, mut failures, _) = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{count} runs in {:.1?}: {total}", started.elapsed());
    failures.sort_by_key(|failure| failure.setup.seed);
    let failed = failures.len();
    if let Some(failure) = failures.into_iter().next() {
        let failure = shrink(failure, ATTEMPTS);
        panic!("{failed} of {count} runs failed, the first one, shortened:\n{failure}");
    }
}

fn in_parallel(work: impl Fn() + Sync) {
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(&work);
        }
    });
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
