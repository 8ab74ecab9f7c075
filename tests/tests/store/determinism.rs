//! The same groups give the same bytes in the same order, so a run can be repeated.

use weir_tests::sim::disk::{Image, SimulatedDisks};

use crate::workload::{Workload, open};

fn trace(seed: u64) -> (u64, u64, Image) {
    let disks = SimulatedDisks::new();
    let mut workload = Workload::new(seed, 3);
    for _ in 0..3 {
        let store = open(disks.clone()).expect("a working disk");
        for _ in 0..15 {
            store.commit(&workload.group(5)).expect("a working disk");
        }
    }
    (disks.operations(), disks.trace(), disks.image())
}

#[test]
fn the_same_groups_give_the_same_operations_on_the_disk() {
    for seed in 0..10 {
        assert!(trace(seed) == trace(seed), "seed {seed}");
    }
    assert_ne!(trace(1).1, trace(2).1);
}
