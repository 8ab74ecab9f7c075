//! The journal in front of the database: what it costs, what it saves, and whose it is.

use std::fs;

use weir_broker::store::{Condition, Store, StoreError, StoreOptions, journal_records};
use weir_core::{Batch, Change, Cursor, Links, Sequence, ShardId};
use weir_tests::sim::disk::{Image, SimulatedDisk, SimulatedDisks};

use crate::model::Model;
use crate::start::directory;
use crate::workload::{READERS, SESSION, Workload, logged_alone, open, options};

const SHARD: ShardId = ShardId(0);

/// The session takes what is below `start`.
fn acknowledged(number: u64, start: u64) -> Batch {
    let start = Sequence(start);
    let cursor = Cursor { start, inflight: Vec::new() };
    let changes = vec![Change::CursorMoved { session: SESSION, cursor }];
    Batch {
        shard: SHARD,
        number,
        changes,
        log_start: start,
        is_awaited: true,
        links: Links::default(),
    }
}

#[test]
fn a_lone_message_writes_one_block_and_flushes_once() {
    let store = SimulatedDisks::new().open(StoreOptions::default()).expect("an empty disk");
    for sequence in 1..=200 {
        let before = store.stats().expect("a working disk");
        store.commit(&[logged_alone(sequence, 100)]).expect("a working disk");
        let after = store.stats().expect("a working disk");
        assert_eq!(after.bytes_written - before.bytes_written, 4096);
        assert_eq!(after.journal_bytes_written - before.journal_bytes_written, 4096);
        assert_eq!(after.syncs - before.syncs, 1);
        assert_eq!(after.log_records, sequence);
    }
    let stats = store.stats().expect("a working disk");
    assert_eq!((stats.checkpoints, stats.journal_bytes), (0, 1024 * 1024));
}

#[test]
fn lone_messages_come_to_less_than_8_kb_each_with_their_checkpoints() {
    let store = SimulatedDisks::new().open(StoreOptions::default()).expect("an empty disk");
    let before = store.stats().expect("a working disk");
    for sequence in 1..=3_000 {
        store.commit(&[logged_alone(sequence, 64)]).expect("a working disk");
    }
    store.checkpoint().expect("a working disk");
    let after = store.stats().expect("a working disk");
    assert!(after.checkpoints >= 3, "{after:?}");
    let each = (after.bytes_written - before.bytes_written) / 3_000;
    assert!(each < 8 * 1024, "{each} bytes");
}

#[test]
fn what_is_acknowledged_before_a_checkpoint_never_comes_to_the_database() {
    let disks = SimulatedDisks::new();
    let store = disks.open(StoreOptions::default()).expect("an empty disk");
    for sequence in 1..=100 {
        store.commit(&[logged_alone(sequence, 10_000)]).expect("a working disk");
    }
    store.commit(&[acknowledged(101, 101)]).expect("a working disk");
    assert_eq!(store.stats().expect("a working disk").log_records, 0);
    store.checkpoint().expect("a working disk");
    let stats = store.stats().expect("a working disk");
    let database_bytes = stats.bytes_written - stats.journal_bytes_written;
    assert_eq!(stats.log_records, 0);
    assert!(database_bytes < 100_000, "{database_bytes} bytes, less than ten of the messages");
    // Their positions are taken all the same.
    assert_eq!(store.log_stats(SHARD).next, Sequence(101));
    drop(store);
    let store = disks.open(StoreOptions::default()).expect("a working disk");
    let recovered = store.recover(SHARD, usize::MAX).expect("a working disk");
    assert_eq!(recovered.next_sequence, Sequence(101));
}

#[test]
fn a_position_that_was_committed_is_never_given_again() {
    let disks = SimulatedDisks::new();
    let store = disks.open(StoreOptions::default()).expect("an empty disk");
    store.commit(&[logged_alone(1, 10)]).expect("a working disk");
    // Nobody waits any more, and no cursor tells how far the log had come.
    let forgotten = Batch {
        shard: SHARD,
        number: 2,
        changes: vec![Change::SessionRemoved { session: SESSION }],
        log_start: Sequence(2),
        is_awaited: true,
        links: Links::default(),
    };
    store.commit(&[forgotten]).expect("a working disk");
    drop(store);
    let store = disks.open(StoreOptions::default()).expect("a working disk");
    let recovered = store.recover(SHARD, usize::MAX).expect("a working disk");
    assert!(recovered.log.is_empty());
    assert_eq!(recovered.next_sequence, Sequence(2));
    let error = store.commit(&[logged_alone(1, 10)]).expect_err("the position is taken");
    assert!(matches!(error, StoreError::PositionTaken { .. }), "{error:?}");
}

#[test]
fn a_stopped_store_is_one_plain_file() {
    let disks = SimulatedDisks::new();
    let store = open(disks.clone()).expect("an empty disk");
    let mut workload = Workload::new(1, 2);
    for _ in 0..10 {
        store.commit(&workload.group(4)).expect("a working disk");
    }
    drop(store);
    let image = Image { database: disks.image().database, journal: Vec::new() };
    let store = open(SimulatedDisks::from_image(image)).expect("a whole file");
    assert_eq!(store.condition(), Condition::Clean);
    workload.model.check(&store, 1);
}

/// The files of a store that was killed, an earlier database of it, and the last state.
fn killed() -> (Image, Vec<u8>, Model) {
    let disks = SimulatedDisks::new();
    let mut workload = Workload::new(1, 2);
    let store = open(disks.clone()).expect("an empty disk");
    store.commit(&workload.group(4)).expect("a working disk");
    drop(store);
    let earlier = disks.image().database;
    let store = open(disks.clone()).expect("a working disk");
    while store.stats().expect("a working disk").checkpoints < 2 {
        store.commit(&workload.group(4)).expect("a working disk");
    }
    let mut records = 0;
    while records < 3 {
        let before = store.stats().expect("a working disk");
        store.commit(&workload.group(2)).expect("a working disk");
        let after = store.stats().expect("a working disk");
        let is_record = after.commits > before.commits;
        records =
            if after.checkpoints > before.checkpoints { 0 } else { records + u64::from(is_record) };
    }
    let image = disks.image();
    disks.crash_after(0);
    (image, earlier, workload.model)
}

#[test]
fn a_start_takes_over_what_is_in_the_journal() {
    let (image, _, model) = killed();
    let store = open(SimulatedDisks::from_image(image.clone())).expect("a killed store");
    assert_eq!(store.condition(), Condition::Interrupted);
    model.check(&store, 1);
    let records = journal_records(&SimulatedDisk::from_image(image.journal)).expect("a disk");
    let last_epoch = records.iter().map(|record| record.epoch).max();
    let of_last = records.iter().filter(|record| Some(record.epoch) == last_epoch);
    let changes = of_last.flat_map(|record| record.batches().expect("they are whole")).count();
    assert!(changes >= 3, "{changes}");
}

#[test]
fn a_database_that_is_older_than_its_journal_is_damaged() {
    let (image, earlier, _) = killed();
    let image = Image { database: earlier, journal: image.journal };
    let store = open(SimulatedDisks::from_image(image)).expect("a whole file");
    assert_eq!(store.condition(), Condition::Damaged);
}

#[test]
fn a_lost_record_before_others_is_damage_and_the_others_do_not_count() {
    let (mut image, ..) = killed();
    let records = journal_records(&SimulatedDisk::from_image(image.journal.clone()));
    let records = records.expect("a working disk");
    let epoch = records.iter().map(|record| record.epoch).max().expect("there are some");
    let lost = records.iter().find(|record| record.epoch == epoch && record.number == 1);
    let at = usize::try_from(lost.expect("there are three").offset).expect("a small file");
    image.journal[at + 100..at + 120].fill(0x5a);
    let store = open(SimulatedDisks::from_image(image)).expect("its database is whole");
    assert_eq!(store.condition(), Condition::Damaged);
    let recovered = store.recover(SHARD, usize::MAX);
    recovered.expect("what it holds is whole");
}

fn used(name: &str) -> std::path::PathBuf {
    let path = directory(name);
    let store = Store::open(&path, options()).expect("a directory that can be written");
    store.register_readers(&READERS).expect("a working disk");
    let mut workload = Workload::new(1, 1);
    for _ in 0..3 {
        store.commit(&workload.group(4)).expect("a working disk");
    }
    path
}

#[test]
fn the_journal_of_another_store_is_refused_and_left_alone() {
    let (one, other) = (used("journal-one"), used("journal-other"));
    let foreign = fs::read(one.join("weir.journal")).expect("it can be read");
    fs::write(other.join("weir.journal"), &foreign).expect("it can be written");
    let error = Store::open(&other, options()).expect_err("the journal is of another store");
    assert!(matches!(error, StoreError::ForeignJournal { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("weir.journal") && text.contains("move it away"), "{text}");
    assert_eq!(fs::read(other.join("weir.journal")).expect("it can be read"), foreign);
    fs::remove_file(other.join("weir.journal")).expect("it is there");
    Store::open(&other, options()).expect("a stopped store does without");
}

#[test]
fn a_journal_that_is_another_file_is_refused_and_left_alone() {
    let path = used("journal-foreign");
    fs::write(path.join("weir.journal"), "dear diary").expect("it can be written");
    let error = Store::open(&path, options()).expect_err("it is no journal");
    assert!(matches!(error, StoreError::NotAStore { .. }), "{error:?}");
    assert!(error.to_string().contains("weir.journal"), "{error}");
    let text = fs::read_to_string(path.join("weir.journal")).expect("it can be read");
    assert_eq!(text, "dear diary");
}
