//! The power fails at a random moment of a random run: what was acknowledged is there, and
//! groups are there as a whole or not at all.

use weir_tests::sim::disk::{Random, SimulatedDisk};

use crate::model::Model;
use crate::workload::{Workload, open, seeds};

/// Each seed goes through this many power cuts on one disk.
const CUTS: usize = 3;
const GROUPS: usize = 12;

#[test]
fn nothing_acknowledged_is_lost_and_groups_are_whole() {
    let fresh = SimulatedDisk::new();
    drop(open(fresh.clone()).expect("an empty disk"));
    let fresh = fresh.image();
    let mut moments = Moments::default();
    let seeds = seeds(300);
    let is_short = seeds.end < 300;
    for seed in seeds {
        run(seed, fresh.clone(), &mut moments);
    }
    // A test that never hits a commit would pass as well.
    let Moments { opening, committing, idle } = moments;
    assert!(is_short || opening > 50 && committing > 300 && idle > 10, "{moments:?}");
}

/// What the store did when the power went, counted.
#[derive(Debug, Default)]
struct Moments {
    opening: u32,
    committing: u32,
    idle: u32,
}

fn run(seed: u64, mut image: Vec<u8>, moments: &mut Moments) {
    let mut workload = Workload::new(seed, 2);
    let mut random = Random::new(!seed);
    for cut in 0..CUTS {
        let disk = SimulatedDisk::from_image(image);
        disk.crash_after(random.below(200));
        let before = workload.clone();
        // What the disk may hold afterwards, the last acknowledged state first.
        let mut possible = vec![before];
        let mut store = None;
        match open(disk.clone()) {
            Ok(opened) => {
                workload.model.check_unless_crashed(&opened, seed);
                let opened = store.insert(opened);
                moments.idle += 1;
                for _ in 0..GROUPS {
                    let group = workload.group(4);
                    if opened.commit(&group).is_err() {
                        possible.push(workload.clone());
                        moments.committing += 1;
                        moments.idle -= 1;
                        break;
                    }
                    possible = vec![workload.clone()];
                }
            }
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("power is gone"), "seed {seed}, cut {cut}: {text}");
                moments.opening += 1;
            }
        }
        // The power goes before the store can close the file.
        image = disk.power_cut(&mut random);
        disk.crash_after(0);
        drop(store);

        let reopened = open(SimulatedDisk::from_image(image.clone()))
            .unwrap_or_else(|error| panic!("seed {seed}, cut {cut}: {error}"));
        let found = possible.iter().find(|possible| {
            possible.model.difference(&reopened).expect("a repaired file").is_none()
        });
        let Some(found) = found else {
            let difference = possible[0].model.difference(&reopened);
            panic!("seed {seed}, cut {cut}: not the last acknowledged state: {difference:?}");
        };
        workload = found.clone();
    }
}

impl Model {
    /// The crash may come while the state is read; then there is nothing to compare.
    fn check_unless_crashed(&self, store: &weir_broker::store::Store, seed: u64) {
        if let Ok(difference) = self.difference(store) {
            assert_eq!(difference, None, "seed {seed}");
        }
    }
}

#[test]
fn a_sync_that_fails_ends_acknowledging_and_loses_nothing() {
    for seed in seeds(60) {
        let mut workload = Workload::new(seed, 1);
        let disk = SimulatedDisk::new();
        let store = open(disk.clone()).expect("an empty disk");
        disk.fail_sync_after(workload.random.below(60));
        let mut acknowledged = workload.model.clone();
        let mut attempted = acknowledged.clone();
        let failed = (0..40).any(|_| {
            let group = workload.group(3);
            attempted = workload.model.clone();
            let failed = store.commit(&group).is_err();
            if !failed {
                acknowledged = workload.model.clone();
            }
            failed
        });
        assert!(failed && store.has_failed(), "seed {seed}");
        assert!(store.commit(&workload.group(1)).is_err(), "seed {seed}");
        let image = disk.power_cut(&mut workload.random);
        drop(store);
        let store = open(SimulatedDisk::from_image(image)).expect("a working disk");
        let found = [&acknowledged, &attempted]
            .iter()
            .any(|model| model.difference(&store).expect("a working disk").is_none());
        assert!(found, "seed {seed}: {:?}", acknowledged.difference(&store));
    }
}

#[test]
fn a_full_disk_is_said_and_what_was_acknowledged_stays() {
    for seed in seeds(20) {
        let mut workload = Workload::new(seed, 1);
        let disk = SimulatedDisk::new();
        let store = open(disk.clone()).expect("an empty disk");
        disk.set_capacity(Some(200_000));
        let mut acknowledged = workload.model.clone();
        let error = loop {
            let group = workload.group(20);
            match store.commit(&group) {
                Ok(_) => acknowledged = workload.model.clone(),
                Err(error) => break error,
            }
        };
        let text = error.to_string();
        assert!(text.contains("is full"), "seed {seed}: {text}");
        drop(store);
        disk.set_capacity(None);
        let store = open(disk).expect("a disk with room");
        let difference = acknowledged.difference(&store).expect("a working disk");
        let attempted = workload.model.difference(&store).expect("a working disk");
        assert!(difference.is_none() || attempted.is_none(), "seed {seed}: {difference:?}");
    }
}
