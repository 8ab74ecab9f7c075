//! After each group the store gives back what the model holds, also after it was opened anew.

use weir_core::{Batch, Change, Destination, ReaderId, Sequence, ShardId};
use weir_tests::sim::disk::SimulatedDisk;

use crate::workload::{READERS, Workload, open, seeds};

#[test]
fn the_recovered_state_is_the_model_after_each_group() {
    for seed in seeds(40) {
        let mut workload = Workload::new(seed, 1 + (seed % 3) as u8);
        let disk = SimulatedDisk::new();
        let mut store = open(disk.clone()).expect("an empty disk");
        for _ in 0..25 {
            let group = workload.group(6);
            store.commit(&group).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            workload.model.check(&store, seed);
            if workload.random.chance(15) {
                drop(store);
                store = open(disk.clone()).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
                workload.model.check(&store, seed);
            }
        }
    }
}

/// Makes a batch one that lets go of nothing.
fn keep_the_log(batch: &mut Batch) {
    batch.log_start = Sequence(0);
    batch.changes.retain(|change| !matches!(change, Change::LogReleased { .. }));
}

#[test]
fn a_reader_gets_each_of_its_messages_once_and_in_order() {
    for seed in seeds(20) {
        let mut workload = Workload::new(seed, 1);
        let store = open(SimulatedDisk::new()).expect("an empty disk");
        let reader = ReaderId(0);
        let (mut after, mut read) = (Sequence(0), Vec::new());
        let mut expected = Vec::new();
        for _ in 0..30 {
            let mut group = workload.group(4);
            // Nothing is trimmed here, so that what is expected does not depend on when.
            group.iter_mut().for_each(keep_the_log);
            store.commit(&group).expect("a working disk");
            for change in group.iter().flat_map(|batch| &batch.changes) {
                let Change::LogAppended { sequence, targets, .. } = change else {
                    continue;
                };
                if targets.iter().any(|target| target.destination == Destination::Reader(reader)) {
                    expected.push(*sequence);
                }
            }
            let bytes_max = workload.random.below(2000) as usize;
            after = store
                .read_log(ShardId(0), after, reader, bytes_max, &mut read)
                .expect("a working disk");
        }
        while {
            let before = after;
            after =
                store.read_log(ShardId(0), after, reader, 500, &mut read).expect("a working disk");
            after != before
        } {}
        let read: Vec<_> = read.iter().map(|record| record.sequence).collect();
        assert_eq!(read, expected, "seed {seed}");
    }
}

#[test]
fn one_look_into_the_log_is_bounded_also_for_a_reader_without_messages() {
    let store = open(SimulatedDisk::new()).expect("an empty disk");
    let mut workload = Workload::new(1, 1);
    let mut logged = 0;
    while logged < 6000 {
        let mut group = workload.group(200);
        group.iter_mut().for_each(keep_the_log);
        store.commit(&group).expect("a working disk");
        logged = workload.model.shard(ShardId(0)).next.0 - 1;
    }
    let nobody = ReaderId(9);
    let look = |after| {
        let mut read = Vec::new();
        let scanned = store.read_log(ShardId(0), after, nobody, 1 << 20, &mut read);
        assert!(read.is_empty());
        scanned.expect("a working disk")
    };
    assert_eq!(look(Sequence(0)), Sequence(4096));
    assert_eq!(look(Sequence(4096)), Sequence(logged));
    assert_eq!(look(Sequence(logged)), Sequence(logged));
}

#[test]
fn readers_keep_their_numbers_and_those_not_named_are_passed_over() {
    let disk = SimulatedDisk::new();
    let mut workload = Workload::new(1, 1);
    let store = open(disk.clone()).expect("an empty disk");
    for _ in 0..20 {
        store.commit(&workload.group(4)).expect("a working disk");
    }
    drop(store);
    let store = weir_broker::store::Store::with_backend(disk, crate::workload::options())
        .expect("a working disk");
    let ids = store.register_readers(&[READERS[1]]).expect("a working disk");
    assert_eq!(ids, [ReaderId(1)]);
    let recovered = store.recover(ShardId(0), usize::MAX).expect("a working disk");
    let others = recovered.log.iter().flat_map(|record| &record.targets);
    assert!(
        others.into_iter().all(|target| target.destination != Destination::Reader(ReaderId(0)))
    );
    assert!(recovered.readers.iter().all(|(reader, _)| *reader == ReaderId(1)));
    let ids = store.register_readers(&["new", READERS[0]]).expect("a working disk");
    assert_eq!(ids, [ReaderId(2), ReaderId(0)]);
    assert!(store.stats().expect("a working disk").log_records > 0);
}

#[test]
fn the_boot_epoch_counts_the_starts_and_a_group_without_changes_writes_nothing() {
    let disk = SimulatedDisk::new();
    let store = open(disk.clone()).expect("an empty disk");
    assert_eq!(store.boot_epoch(), 1);
    drop(store);
    let store = open(disk.clone()).expect("a working disk");
    assert_eq!(store.boot_epoch(), 2);
    let before = disk.operations();
    let mut workload = Workload::new(1, 1);
    let mut batch = workload.batch();
    batch.changes.clear();
    let committed = store.commit(&[batch]).expect("a working disk");
    assert_eq!((committed.records, disk.operations()), (0, before));
}
