//! The disk fails and works again while the store is open: it is opened anew, everything that was
//! acknowledged is there, and what waited goes on. With a power cut right after, and at each
//! operation of the way back.

use std::io::ErrorKind;

use weir_broker::store::{LastGroup, Store, StoreError};
use weir_core::{Batch, Change, Links, Sequence, ShardId};
use weir_tests::sim::disk::{Image, SimulatedDisks};
use weir_tests::sim::random::Random;

use crate::power_cut::Script;
use crate::workload::{READERS, Workload, logged_alone, options, seeds};

/// How the disk fails.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// One flush fails, and what it should have flushed is still in the cache.
    SyncKeeps,
    /// One flush fails, and what it should have flushed is lost.
    SyncLoses,
    /// Nothing can be written for a while.
    Refusing(ErrorKind),
}

const FAULTS: [Fault; 5] = [
    Fault::SyncKeeps,
    Fault::SyncLoses,
    Fault::Refusing(ErrorKind::StorageFull),
    Fault::Refusing(ErrorKind::ReadOnlyFilesystem),
    Fault::Refusing(ErrorKind::Other),
];

impl Fault {
    fn strike(self, disks: &SimulatedDisks, after: u64) {
        match self {
            Self::SyncKeeps => disks.fail_sync_after(after),
            Self::SyncLoses => disks.lose_sync_after(after),
            Self::Refusing(kind) => disks.refuse_after(after, kind),
        }
    }
}

fn open(disks: &SimulatedDisks) -> Store {
    let store = disks.open_for_good(options()).expect("a working disk");
    store.register_readers(&READERS).expect("a working disk");
    store
}

fn fresh() -> Image {
    let disks = SimulatedDisks::new();
    drop(open(&disks));
    disks.image()
}

/// Opens the store anew and commits the group if it is not there.
fn commit_again(store: &Store, group: &[Batch]) -> Result<LastGroup, StoreError> {
    let found = store.reopen()?;
    if found == LastGroup::IsMissing {
        store.commit(group)?;
    }
    Ok(found)
}

/// Commits the groups in order; the fault strikes after so many operations. Answers the group
/// that failed and the store; none when the fault came too late.
fn play_until_failure(
    script: &Script,
    disks: &SimulatedDisks,
    fault: Fault,
    after: u64,
) -> Option<(Store, usize)> {
    let store = open(disks);
    fault.strike(disks, after);
    let committed = script.groups.iter().take_while(|group| store.commit(group).is_ok()).count();
    (committed < script.groups.len()).then_some((store, committed))
}

#[test]
fn after_any_failure_the_store_is_taken_up_again_and_nothing_is_lost() {
    let fresh = fresh();
    let (mut missing, mut there) = (0, 0);
    for (seed, fault) in seeds(2).flat_map(|seed| FAULTS.map(|fault| (seed, fault))) {
        let script = Script::new(seed);
        for after in 0.. {
            let place = format!("seed {seed}, {fault:?} after operation {after}");
            let disks = SimulatedDisks::from_image(fresh.clone());
            let Some((store, failed)) = play_until_failure(&script, &disks, fault, after) else {
                break;
            };
            let group = &script.groups[failed];
            assert!(store.has_failed() && store.commit(group).is_err(), "{place}");
            if let Fault::Refusing(_) = fault {
                // As long as the disk refuses, it stays so.
                for _ in 0..2 {
                    assert!(store.reopen().is_err() && store.has_failed(), "{place}");
                }
                disks.heal();
            }
            match commit_again(&store, group).unwrap_or_else(|error| panic!("{place}: {error}")) {
                LastGroup::IsMissing => missing += 1,
                LastGroup::IsThere => there += 1,
            }
            assert!(!store.has_failed(), "{place}");
            let random = &mut Random::new(seed << 32 | after);
            script.check(disks.power_cut(random), failed + 1, false, &place);
            for (number, group) in script.groups.iter().enumerate().skip(failed + 1) {
                store.commit(group).unwrap_or_else(|error| panic!("{place}, {number}: {error}"));
            }
            script.check(disks.power_cut(random), script.groups.len(), false, &place);
        }
    }
    // A test that never meets one of the two would pass as well.
    assert!(missing > 100 && there > 10, "{missing} missing, {there} there");
}

#[test]
fn a_power_cut_at_any_operation_of_the_way_back_loses_nothing() {
    let fresh = fresh();
    let mut cuts = 0;
    for (seed, fault) in seeds(1).flat_map(|seed| FAULTS.map(|fault| (seed, fault))) {
        let script = Script::new(seed);
        for after in (0..).step_by(7) {
            let fail = || {
                let disks = SimulatedDisks::from_image(fresh.clone());
                let failed = play_until_failure(&script, &disks, fault, after)?;
                disks.heal();
                Some((disks, failed))
            };
            if fail().is_none() {
                break;
            }
            for at in 0.. {
                let (disks, (store, failed)) = fail().expect("it is the same each time");
                disks.crash_after(at);
                let ended = commit_again(&store, &script.groups[failed]);
                let place = format!("seed {seed}, {fault:?} after {after}, operation {at}");
                let random = &mut Random::new(seed << 40 | after << 20 | at);
                let image = disks.power_cut(random);
                script.check(image, failed + usize::from(ended.is_ok()), ended.is_err(), &place);
                disks.crash_after(0);
                cuts += 1;
                if ended.is_ok() {
                    break;
                }
            }
        }
    }
    assert!(cuts > 500, "{cuts} cuts only");
}

/// Failures one after the other, of every kind, also while the store is taken up again.
#[test]
fn failures_in_any_order_lose_nothing() {
    let mut failures = 0;
    for seed in seeds(40) {
        let mut workload = Workload::new(seed, 2);
        let disks = SimulatedDisks::from_image(fresh());
        let store = open(&disks);
        for number in 0..40 {
            if workload.random.chance(60) {
                let fault = FAULTS[workload.random.below(FAULTS.len() as u64) as usize];
                fault.strike(&disks, workload.random.below(30));
            }
            let group = workload.group(4);
            let mut result = store.commit(&group).map(|_| ());
            let mut tries = 0;
            while let Err(error) = result {
                tries += 1;
                failures += 1;
                assert!(tries < 20, "seed {seed}, group {number}: {error}");
                if workload.random.chance(40) {
                    disks.heal();
                }
                result = commit_again(&store, &group).map(|_| ());
            }
            if workload.random.chance(20) {
                let image = disks.power_cut(&mut workload.random);
                let store = open(&SimulatedDisks::from_image(image));
                workload.model.check(&store, seed);
            }
        }
    }
    assert!(failures > 500, "{failures} failures only");
}

/// A disk that is full for real, of either file, and then has room.
#[test]
fn a_full_disk_goes_on_when_it_has_room() {
    for seed in seeds(20) {
        let mut workload = Workload::new(seed, 1);
        let disks = SimulatedDisks::from_image(fresh());
        let store = open(&disks);
        let (full, batches_max) = match seed % 2 {
            0 => (&disks.database, 20),
            _ => (&disks.journal, 2),
        };
        for _ in 0..5 {
            store.commit(&workload.group(batches_max)).expect("there is room");
        }
        full.fill();
        let mut groups = 0;
        let group = loop {
            groups += 1;
            assert!(groups < 5_000, "seed {seed}: the disk does not become full");
            let mut group = workload.group(batches_max);
            group.push(workload.growth());
            match store.commit(&group) {
                Ok(_) => {}
                Err(StoreError::DiskFull { .. }) => break group,
                Err(error) => panic!("seed {seed}: {error}"),
            }
        };
        full.set_capacity(None);
        commit_again(&store, &group).expect("there is room");
        workload.model.check(&store, seed);
        let image = disks.power_cut(&mut workload.random);
        workload.model.check(&open(&SimulatedDisks::from_image(image)), seed);
    }
}

#[test]
fn a_store_that_somebody_else_has_opened_meanwhile_stays_failed() {
    let disks = SimulatedDisks::from_image(fresh());
    let store = open(&disks);
    let mut workload = Workload::new(1, 1);
    disks.refuse_after(0, ErrorKind::ReadOnlyFilesystem);
    let group = loop {
        let group = workload.group(4);
        if store.commit(&group).is_err() {
            break group;
        }
    };
    // The files are locked until they are let go.
    assert!(store.reopen().is_err());
    disks.heal();
    drop(open(&disks));
    let error = commit_again(&store, &group).expect_err("it is another one");
    assert!(matches!(error, StoreError::Replaced { .. }), "{error:?}");
    assert!(store.has_failed());
}

/// A store with messages that nothing of is in memory, and where they are.
fn with_messages() -> (SimulatedDisks, Store, Workload, Vec<Sequence>) {
    let disks = SimulatedDisks::from_image(fresh());
    let mut workload = Workload::new(1, 1);
    let store = open(&disks);
    for _ in 0..100 {
        store.commit(&workload.group(4)).expect("a working disk");
    }
    drop(store);
    let log: Vec<Sequence> = workload.model.shard(ShardId(0)).log.keys().copied().collect();
    assert!(log.len() > 100, "{}", log.len());
    let store = open(&disks);
    (disks, store, workload, log)
}

/// A read that fails stops the database engine. The journal does not need it, so commits went on,
/// and nothing could be read until the next checkpoint.
#[test]
fn after_a_failed_read_the_next_one_opens_the_files_anew() {
    let (disks, store, mut workload, log) = with_messages();
    disks.database.fail_read_after(0);
    let error = store.read_messages(ShardId(0), &log).expect_err("the disk");
    assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
    store.commit(&workload.group(1)).expect("the journal works");
    let messages = store.read_messages(ShardId(0), &log).expect("the files are opened anew");
    assert!(!messages.is_empty());
    workload.model.check(&store, 1);
    store.commit(&workload.group(4)).expect("a working disk");
    let image = disks.power_cut(&mut workload.random);
    workload.model.check(&open(&SimulatedDisks::from_image(image)), 1);
}

/// Without its files the store would keep nothing of what it says to have committed.
#[test]
fn nothing_is_committed_while_the_files_cannot_be_opened_anew() {
    let (disks, store, mut workload, log) = with_messages();
    disks.database.fail_read_after(0);
    let read = || store.read_messages(ShardId(0), &log);
    assert!(matches!(read(), Err(StoreError::Io { .. })));
    disks.refuse_after(0, ErrorKind::Other);
    assert!(matches!(read(), Err(StoreError::Io { .. })));
    let group = workload.group(4);
    assert!(matches!(store.commit(&group), Err(StoreError::Failed { .. })));
    disks.heal();
    assert!(!read().expect("the disk works").is_empty());
    commit_again(&store, &group).expect("the disk works");
    workload.model.check(&store, 1);
    let image = disks.power_cut(&mut workload.random);
    workload.model.check(&open(&SimulatedDisks::from_image(image)), 1);
}

#[test]
fn a_store_that_has_not_failed_is_left_alone() {
    let disks = SimulatedDisks::from_image(fresh());
    let store = open(&disks);
    let operations = disks.operations();
    assert_eq!(store.reopen().expect("nothing happens"), LastGroup::IsMissing);
    assert_eq!(disks.operations(), operations);
}

/// A store whose files nobody can open again says so.
#[test]
fn a_store_without_files_of_its_own_stays_failed() {
    let disks = SimulatedDisks::from_image(fresh());
    let store = crate::workload::open(disks.clone()).expect("a working disk");
    disks.fail_sync_after(0);
    let mut workload = Workload::new(1, 1);
    while store.commit(&workload.group(4)).is_ok() {}
    assert!(matches!(store.reopen(), Err(StoreError::Failed { .. })));
}

/// What the store says that it holds is what a look at every row says.
#[test]
fn the_bytes_of_all_rows_are_counted() {
    let meta: redb::TableDefinition<&[u8], &[u8]> = redb::TableDefinition::new("meta");
    for seed in seeds(10) {
        let mut workload = Workload::new(seed, 2);
        let disks = SimulatedDisks::from_image(fresh());
        let store = open(&disks);
        for _ in 0..60 {
            store.commit(&workload.group(6)).expect("a working disk");
        }
        store.checkpoint().expect("a working disk");
        let used = store.used_bytes();
        assert!(used > 10_000, "seed {seed}: {used}");
        drop(store);
        let database = redb::Builder::new()
            .create_with_backend(disks.database.clone())
            .expect("the store has closed it");
        let transaction = database.begin_write().expect("nobody else writes");
        let known = {
            let mut meta = transaction.open_table(meta).expect("the store has it");
            let known = meta.remove(&b"row_bytes"[..]).expect("a working disk");
            known.map(|known| known.value().to_vec())
        };
        transaction.commit().expect("a working disk");
        drop(database);
        assert_eq!(known, Some(used.to_le_bytes().to_vec()), "seed {seed}");
        assert_eq!(open(&disks).used_bytes(), used, "seed {seed}: counted again");
    }
}

fn fill(store: &Store, messages: u64, payload_bytes: usize) {
    let batches: Vec<Batch> =
        (1..=messages).map(|number| logged_alone(number, payload_bytes)).collect();
    for group in batches.chunks(16) {
        store.commit(group).expect("a working disk");
    }
    store.checkpoint().expect("a working disk");
}

/// What counts for the limit goes down when messages are taken, although the file stays long.
#[test]
fn what_the_records_take_goes_down_when_messages_go() {
    let disks = SimulatedDisks::from_image(fresh());
    let store = open(&disks);
    let empty = store.used_bytes();
    fill(&store, 2_000, 500);
    let full = store.used_bytes();
    assert!((1_100_000..1_200_000).contains(&(full - empty)), "{full}");
    let batch = Batch {
        shard: ShardId(0),
        number: 2_001,
        changes: vec![Change::RuleDelta { delta: vec![1] }],
        log_start: Sequence(2_001),
        is_awaited: true,
        links: Links::default(),
    };
    store.commit(&[batch]).expect("a working disk");
    store.checkpoint().expect("a working disk");
    let left = store.used_bytes();
    assert!(left < empty + 100, "{left} of {full}, {empty} when it was empty");
}

#[test]
#[ignore = "prints what is in docs/full-disk.md"]
fn what_the_file_takes_for_the_records() {
    for (messages, payload_bytes) in [(40_000, 20), (20_000, 200), (5_000, 2_000), (500, 20_000)] {
        let disks = SimulatedDisks::from_image(fresh());
        let store = open(&disks);
        fill(&store, messages, payload_bytes);
        let used = store.used_bytes();
        drop(store);
        let file = disks.image().database.len() as u64;
        let database = redb::Builder::new()
            .create_with_backend(disks.database.clone())
            .expect("the store has closed it");
        let transaction = database.begin_write().expect("nobody else writes");
        let stats = transaction.stats().expect("a working disk");
        let pages = stats.allocated_pages() * stats.page_size() as u64;
        println!(
            "{messages} messages of {payload_bytes} bytes: records {used}, pages {pages} ({:.2}), \
             file {file} ({:.2})",
            pages as f64 / used as f64,
            file as f64 / used as f64,
        );
    }
}
