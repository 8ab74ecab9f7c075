//! Bits flip on the disk: the store says so, or gives the right data; it never panics.

use std::cell::Cell;
use std::panic;

use weir_broker::store::{Condition, Store, StoreError};
use weir_tests::sim::disk::{Image, SimulatedDisks};
use weir_tests::sim::random::Random;

use crate::model::Model;
use crate::workload::{Workload, options, seeds};

const GROUPS: usize = 30;

thread_local! {
    static PANICS: Cell<Option<u32>> = const { Cell::new(None) };
}

/// What became of the damaged files, counted.
#[derive(Debug, Default)]
struct Outcomes {
    refused: u32,
    /// Reading found a bad record.
    bad_record: u32,
    right: u32,
    /// Right, but older: the damage was said.
    older: u32,
    /// The database engine panicked and the store made an error of it.
    engine_panics: u32,
}

#[test]
fn a_flipped_bit_gives_an_error_or_the_right_data() {
    count_panics_of_this_thread();
    let mut outcomes = Outcomes::default();
    for base in 0..8 {
        // Every other file is as a kill leaves it.
        let (image, states) = written(base, base % 2 == 0);
        for flip in seeds(60) {
            let seed = base * 1_000_000 + flip;
            let mut random = Random::new(seed);
            let mut image = image.clone();
            for _ in 0..=random.below(4) {
                let is_in_journal = !image.journal.is_empty() && random.chance(40);
                let file = if is_in_journal { &mut image.journal } else { &mut image.database };
                let at = byte_in_use(file, &mut random);
                file[at] ^= 1 << random.below(8);
            }
            look(seed, image, &states, &mut outcomes);
        }
    }
    outcomes.engine_panics = PANICS.take().unwrap_or_default();
    let Outcomes { refused, right, .. } = outcomes;
    assert!(seeds(60).end < 60 || refused > 50 && right > 50, "{outcomes:?}");
}

/// A file after many groups, and what it held after each.
fn written(seed: u64, is_killed: bool) -> (Image, Vec<Model>) {
    let disks = SimulatedDisks::new();
    let store = open(disks.clone()).expect("an empty disk");
    let mut workload = Workload::new(seed, 1);
    let mut states = vec![workload.model.clone()];
    for _ in 0..GROUPS {
        store.commit(&workload.group(6)).expect("a working disk");
        states.push(workload.model.clone());
    }
    let killed = disks.image();
    drop(store);
    (if is_killed { killed } else { disks.image() }, states)
}

fn open(disks: SimulatedDisks) -> Result<Store, StoreError> {
    let store = disks.open(options())?;
    store.register_readers(&crate::workload::READERS)?;
    Ok(store)
}

/// Most of a young file is empty; what is not is more interesting.
fn byte_in_use(image: &[u8], random: &mut Random) -> usize {
    loop {
        let at = random.below(image.len() as u64) as usize;
        if image[at] != 0 || random.chance(1) {
            return at;
        }
    }
}

fn look(seed: u64, image: Image, states: &[Model], outcomes: &mut Outcomes) {
    let store = match open(SimulatedDisks::from_image(image)) {
        Ok(store) => store,
        Err(error) => {
            let is_told = matches!(
                error,
                StoreError::Corrupt { .. }
                    | StoreError::Io { .. }
                    | StoreError::NotAStore { .. }
                    | StoreError::UnknownFormat { .. }
            );
            assert!(is_told, "seed {seed}: {error:?}");
            outcomes.refused += 1;
            return;
        }
    };
    let mut last = None;
    for (place, state) in states.iter().enumerate().rev() {
        match state.difference(&store) {
            Ok(None) => {
                let is_last = place + 1 == states.len();
                let may_be_older = store.condition() != Condition::Clean;
                assert!(is_last || may_be_older, "seed {seed}: the state after group {place}");
                *(if is_last { &mut outcomes.right } else { &mut outcomes.older }) += 1;
                return;
            }
            Ok(difference) => last = last.or(difference),
            Err(_) => {
                outcomes.bad_record += 1;
                return;
            }
        }
    }
    panic!("seed {seed}, {:?}: wrong data: {last:?}", store.condition());
}

fn count_panics_of_this_thread() {
    PANICS.set(Some(0));
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| match PANICS.get() {
        Some(count) if info.location().is_some_and(|place| place.file().contains("redb")) => {
            PANICS.set(Some(count + 1));
        }
        _ => before(info),
    }));
}
