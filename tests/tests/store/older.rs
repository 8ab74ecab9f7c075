//! Files of version 2: what such a file holds is there after it was opened, also when the power
//! fails meanwhile.
//!
//! Its tables had columns of many types, which stand here as they were declared.

use redb::{
    Database, Key, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableHandle as _,
    Value, WriteTransaction,
};
use weir_tests::sim::disk::{Image, SimulatedDisk, SimulatedDisks};
use weir_tests::sim::random::Random;

use crate::workload::{Workload, open, seeds};

const CURSOR: TableDefinition<'_, &[u8; 5], &[u8]> = TableDefinition::new("cursor");
const INFLIGHT_OUT: TableDefinition<'_, &[u8; 7], u64> = TableDefinition::new("inflight_out");
const LOG: TableDefinition<'_, &[u8; 9], &[u8]> = TableDefinition::new("log");
pub(crate) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const POSITION: TableDefinition<'_, u8, u64> = TableDefinition::new("position");
const READER: TableDefinition<'_, &str, u16> = TableDefinition::new("reader");
const READER_CURSOR: TableDefinition<'_, &[u8; 3], u64> = TableDefinition::new("reader_cursor");
const RECEIVED_QOS2: TableDefinition<'_, &[u8; 7], ()> = TableDefinition::new("received_qos2");
pub(crate) const RETAINED: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("retained");
const RULE_DELTA: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("rule_delta");
const RULE_SNAPSHOT: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("rule_snapshot");
const SESSION: TableDefinition<'_, &[u8; 5], &[u8]> = TableDefinition::new("session");
const SUBSCRIPTION: TableDefinition<'_, &[u8], &[u8; 5]> = TableDefinition::new("subscription");

/// Gives a database the columns of version 2, and says that it is of that version.
pub(crate) fn make_older(database: &Database) {
    let transaction = database.begin_write().expect("nobody else writes");
    give_columns(&transaction, CURSOR, <[u8]>::to_vec);
    give_columns(&transaction, INFLIGHT_OUT, <[u8]>::to_vec);
    give_columns(&transaction, LOG, <[u8]>::to_vec);
    give_columns(&transaction, META, <[u8]>::to_vec);
    give_columns(&transaction, POSITION, <[u8]>::to_vec);
    give_columns(&transaction, READER, <[u8]>::to_vec);
    give_columns(&transaction, READER_CURSOR, <[u8]>::to_vec);
    give_columns(&transaction, RECEIVED_QOS2, <[u8]>::to_vec);
    give_columns(&transaction, RETAINED, <[u8]>::to_vec);
    // The engine's numbers are little-endian.
    let reversed = |key: &[u8]| key.iter().rev().copied().collect();
    give_columns(&transaction, RULE_DELTA, reversed);
    give_columns(&transaction, RULE_SNAPSHOT, reversed);
    give_columns(&transaction, SESSION, <[u8]>::to_vec);
    give_columns(&transaction, SUBSCRIPTION, <[u8]>::to_vec);
    let mut meta = transaction.open_table(META).expect("it was made");
    meta.insert("format_version", 2).expect("a working disk");
    drop(meta);
    transaction.commit().expect("a working disk");
}

fn give_columns<K: Key + 'static, V: Value + 'static>(
    transaction: &WriteTransaction,
    table: TableDefinition<'static, K, V>,
    key_of_old: impl Fn(&[u8]) -> Vec<u8>,
) {
    let now: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("now");
    transaction.rename_table(table, now).expect("a store has every table");
    let mut old = transaction.open_table(table).expect("the name is free");
    for row in transaction.open_table(now).expect("it was renamed").iter().expect("a disk") {
        let (key, value) = row.expect("a working disk");
        let key = key_of_old(key.value());
        old.insert(K::from_bytes(&key), V::from_bytes(value.value())).expect("a working disk");
    }
    transaction.delete_table(now).expect("a working disk");
}

/// A store of version 2 with a journal, and what it holds.
fn older(seed: u64) -> (Image, Workload) {
    let disks = SimulatedDisks::new();
    let store = open(disks.clone()).expect("an empty disk");
    let mut workload = Workload::new(seed, 2);
    for _ in 0..20 {
        store.commit(&workload.group(6)).expect("a working disk");
    }
    drop(store);
    let image = disks.image();
    let disk = SimulatedDisk::from_image(image.database);
    let database = redb::Builder::new().create_with_backend(disk.clone()).expect("a whole file");
    make_older(&database);
    drop(database);
    (Image { database: disk.image(), journal: image.journal }, workload)
}

#[test]
fn all_that_a_file_of_version_2_holds_is_there() {
    for seed in seeds(30) {
        let (image, mut workload) = older(seed);
        let disks = SimulatedDisks::from_image(image);
        for _ in 0..3 {
            let store = open(disks.clone()).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            workload.model.check(&store, seed);
            store.commit(&workload.group(6)).expect("a working disk");
            workload.model.check(&store, seed);
        }
        let disk = SimulatedDisk::from_image(disks.image().database);
        let database = redb::Builder::new().create_with_backend(disk).expect("a whole file");
        let transaction = database.begin_read().expect("a working disk");
        let tables: Vec<String> = transaction
            .list_tables()
            .expect("a working disk")
            .map(|table| table.name().to_owned())
            .collect();
        assert_eq!(tables.len(), 13, "{tables:?}");
        for table in &tables {
            let now: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new(table);
            transaction.open_table(now).unwrap_or_else(|error| panic!("{table}: {error}"));
        }
    }
}

/// The deltas of the rules are applied in the order of their numbers, which were little-endian: as
/// bytes, 256 came before 1.
#[test]
fn the_changes_of_the_rules_stay_in_order() {
    let disks = SimulatedDisks::new();
    let store = open(disks.clone()).expect("an empty disk");
    let delta = |number: u64| weir_core::Batch {
        shard: weir_core::ShardId(0),
        number,
        changes: vec![weir_core::Change::RuleDelta { delta: number.to_be_bytes().to_vec() }],
        log_start: weir_core::Sequence(0),
        is_awaited: true,
        links: weir_core::Links::default(),
    };
    let batches: Vec<_> = (1..=600).map(delta).collect();
    for group in batches.chunks(50) {
        store.commit(group).expect("a working disk");
    }
    let before = store.rules().expect("it can be read");
    assert_eq!(before.deltas.len(), 600);
    drop(store);
    let database =
        redb::Builder::new().create_with_backend(disks.database.clone()).expect("a whole file");
    make_older(&database);
    drop(database);
    let store = open(disks).expect("a file of version 2");
    assert_eq!(store.rules().expect("it can be read"), before);
}

#[test]
fn the_power_may_fail_at_any_operation_of_the_change() {
    let mut random = Random::new(1);
    let (image, workload) = older(7);
    let disks = SimulatedDisks::from_image(image.clone());
    let before = disks.operations();
    drop(open(disks.clone()).expect("a file of version 2"));
    let operations = disks.operations() - before;
    assert!(operations > 20, "{operations} are few for a change of all pages");
    for operation in 0..operations {
        let disks = SimulatedDisks::from_image(image.clone());
        disks.crash_after(operation);
        let interrupted = open(disks.clone());
        let image = disks.power_cut(&mut random);
        disks.crash_after(0);
        drop(interrupted);
        let store = open(SimulatedDisks::from_image(image))
            .unwrap_or_else(|error| panic!("operation {operation}: {error}"));
        workload.model.check(&store, operation);
    }
}

/// There has to be room for all rows once more; without it the file stays what it was.
#[test]
fn a_disk_without_room_for_the_change_loses_nothing() {
    let (image, workload) = older(3);
    let disks = SimulatedDisks::from_image(image.clone());
    disks.fill();
    let error = open(disks.clone()).expect_err("there is no room");
    assert!(matches!(error, weir_broker::store::StoreError::DiskFull { .. }), "{error:?}");
    disks.give_room();
    let store = open(SimulatedDisks::from_image(disks.image())).expect("there is room now");
    workload.model.check(&store, 3);
}
