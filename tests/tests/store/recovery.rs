//! After each group the store gives back what the model holds, also after it was opened anew.

use std::time::{Duration, Instant};

use weir_broker::store::Condition;
use weir_core::{Batch, Change, Destination, ReaderId, Sequence, ShardId};
use weir_tests::sim::disk::{Image, SimulatedDisks};

use crate::workload::{READERS, Workload, open, options, seeds};

const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn the_recovered_state_is_the_model_after_each_group() {
    for seed in seeds(40) {
        let mut workload = Workload::new(seed, 1 + (seed % 3) as u8);
        let disks = SimulatedDisks::new();
        let mut store = open(disks.clone()).expect("an empty disk");
        for _ in 0..25 {
            let group = workload.group(6);
            store.commit(&group).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            // A look at the whole state brings it into the database.
            if workload.random.chance(30) {
                workload.model.check(&store, seed);
            }
            if workload.random.chance(15) {
                drop(store);
                store = open(disks.clone()).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
                workload.model.check(&store, seed);
            }
        }
    }
}

/// A database that is older than its journal, as a restored copy or a disk that lied leaves it,
/// began an epoch that the journal had seen already. After the next crash what was left of the
/// first one counted as its continuation, and two lives of the store were mixed.
#[test]
fn an_older_database_takes_up_nothing_of_a_life_that_is_over() {
    for seed in seeds(20) {
        let disks = SimulatedDisks::new();
        let first = open(disks.clone()).expect("an empty disk");
        let older = disks.image().database;
        let mut workload = Workload::new(seed, 1);
        first.commit(&workload.group(1)).expect("a working disk");
        let disks = SimulatedDisks::from_image(disks.image());
        let second = open(disks.clone()).expect("a working disk");
        for _ in 0..5 {
            second.commit(&workload.group(1)).expect("a working disk");
        }
        let journal = disks.image().journal;
        let disks = SimulatedDisks::from_image(Image { database: older, journal });
        let third = open(disks.clone()).expect("a working disk");
        assert_eq!(third.condition(), Condition::Damaged, "seed {seed}");
        let mut workload = Workload::new(!seed, 1);
        third.commit(&workload.group(1)).expect("a working disk");
        let fourth = open(SimulatedDisks::from_image(disks.image())).expect("a working disk");
        workload.model.check(&fourth, seed);
    }
}

/// Makes a batch one that lets go of nothing.
fn keep_the_log(batch: &mut Batch) {
    batch.log_start = Sequence(0);
    forget_released(batch);
}

/// Makes it one that trims from the front alone.
fn forget_released(batch: &mut Batch) {
    batch.changes.retain(|change| !matches!(change, Change::LogReleased { .. }));
}

#[test]
fn a_reader_gets_each_of_its_messages_once_and_in_order() {
    for seed in seeds(20) {
        let mut workload = Workload::new(seed, 1);
        let store = open(SimulatedDisks::new()).expect("an empty disk");
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
fn readers_see_what_is_in_the_journal_only_and_what_is_in_the_database() {
    let (mut pending, mut stored) = (0, 0);
    for seed in seeds(20) {
        let mut workload = Workload::new(seed, 2);
        let store = open(SimulatedDisks::new()).expect("an empty disk");
        for _ in 0..25 {
            let before = store.stats().expect("a working disk");
            let mut group = workload.group(4);
            group.iter_mut().for_each(forget_released);
            store.commit(&group).expect("a working disk");
            let after = store.stats().expect("a working disk");
            *(if after.checkpoints == before.checkpoints { &mut pending } else { &mut stored }) +=
                1;
            let mut rows = 0;
            for (id, shard) in &workload.model.shards {
                let sequences: Vec<_> = shard.log.keys().copied().collect();
                let read = store.read_messages(*id, &sequences).expect("a working disk");
                let expected: Vec<_> =
                    shard.log.iter().map(|(at, (message, _))| (*at, message.clone())).collect();
                assert_eq!(read, expected, "seed {seed}");
                if let Some(last) = sequences.last() {
                    assert!(store.log_stats(*id).next > *last, "seed {seed}");
                }
                for (reader, done) in &shard.readers {
                    let found = store.reader_cursor(*id, *reader).expect("a working disk");
                    assert_eq!(found, *done, "seed {seed}");
                }
                rows += shard.log.len() as u64;
            }
            assert!(after.log_records >= rows, "seed {seed}: {} for {rows}", after.log_records);
        }
    }
    assert!(pending > 100 && stored > 20 || seeds(20).end < 20, "{pending} and {stored}");
}

/// A reader that looks while commits and checkpoints go on: a message that moves from the journal
/// to the database between two looks is not passed over.
#[test]
fn a_reader_misses_nothing_while_checkpoints_go_on() {
    let store = open(SimulatedDisks::new()).expect("an empty disk");
    let mut workload = Workload::new(3, 1);
    let groups: Vec<_> = (0..600)
        .map(|_| {
            let mut group = workload.group(3);
            group.iter_mut().for_each(keep_the_log);
            group
        })
        .collect();
    let reader = ReaderId(0);
    let expected: Vec<_> = groups
        .iter()
        .flatten()
        .flat_map(|batch| &batch.changes)
        .filter_map(|change| match change {
            Change::LogAppended { sequence, targets, .. } => targets
                .iter()
                .any(|target| target.destination == Destination::Reader(reader))
                .then_some(*sequence),
            _ => None,
        })
        .collect();
    let last = *expected.last().expect("the reader is a target of some");
    let read = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let (mut after, mut read) = (Sequence(0), Vec::new());
            let started = Instant::now();
            while read.last().is_none_or(|record: &weir_core::LogRecord| record.sequence < last) {
                assert!(started.elapsed() < DEADLINE, "the last message does not come");
                after = store
                    .read_log(ShardId(0), after, reader, 2_000, &mut read)
                    .expect("a working disk");
            }
            read
        });
        for group in &groups {
            store.commit(group).expect("a working disk");
        }
        reading.join().expect("it reads to the end")
    });
    let read: Vec<_> = read.iter().map(|record| record.sequence).collect();
    assert_eq!(read, expected);
    assert!(store.stats().expect("a working disk").checkpoints > 5);
}

#[test]
fn one_look_into_the_log_is_bounded_also_for_a_reader_without_messages() {
    let store = open(SimulatedDisks::new()).expect("an empty disk");
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
    let disks = SimulatedDisks::new();
    let mut workload = Workload::new(1, 1);
    let store = open(disks.clone()).expect("an empty disk");
    for _ in 0..20 {
        store.commit(&workload.group(4)).expect("a working disk");
    }
    drop(store);
    let store = disks.open(options()).expect("a working disk");
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
    let disks = SimulatedDisks::new();
    let store = open(disks.clone()).expect("an empty disk");
    assert_eq!(store.boot_epoch(), 1);
    drop(store);
    let store = open(disks.clone()).expect("a working disk");
    assert_eq!(store.boot_epoch(), 2);
    let before = disks.operations();
    let mut workload = Workload::new(1, 1);
    let mut batch = workload.batch();
    batch.changes.clear();
    let committed = store.commit(&[batch]).expect("a working disk");
    assert_eq!((committed.records, disks.operations()), (0, before));
}
