//! Files of an older format are opened and are of the present one afterwards.

use redb::{Database, ReadableDatabase as _, TableDefinition};
use weir_core::{InflightState, ReaderId, Sequence, SessionId, ShardId};
use weir_mqtt::PacketId;
use weir_tests::sim::disk::{Image, SimulatedDisk, SimulatedDisks};

use crate::workload::{Workload, options};

const FIXTURE_1: &str = include_str!("../../../broker/src/store/record/fixture-1.txt");
const SHARD: ShardId = ShardId(2);
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// A row of the fixture.
fn row(name: &str) -> Vec<u8> {
    let rows = FIXTURE_1.lines().filter_map(|line| line.split_once(' '));
    let (_, hexadecimal) =
        rows.into_iter().find(|(row, _)| *row == name).expect("the fixture has the row");
    let digits = |at| u8::from_str_radix(&hexadecimal[at..at + 2], 16).expect("hexadecimal");
    (0..hexadecimal.len()).step_by(2).map(digits).collect()
}

fn key<const N: usize>(name: &str) -> [u8; N] {
    row(name).try_into().expect("a key of this length")
}

/// A file as version 1 wrote it: without a word about a journal.
fn version_1() -> Vec<u8> {
    let disk = SimulatedDisk::new();
    let database = redb::Builder::new().create_with_backend(disk.clone()).expect("an empty disk");
    let transaction = database.begin_write().expect("nobody else writes");
    {
        let mut meta = transaction.open_table(META).expect("an empty file");
        meta.insert("format_version", 1).expect("a working disk");
        meta.insert("boot_epoch", 4).expect("a working disk");
        let session: TableDefinition<'_, &[u8; 5], &[u8]> = TableDefinition::new("session");
        let mut session = transaction.open_table(session).expect("an empty file");
        session.insert(&key("session-key"), &*row("session")).expect("a working disk");
        let cursor: TableDefinition<'_, &[u8; 5], &[u8]> = TableDefinition::new("cursor");
        let mut cursor = transaction.open_table(cursor).expect("an empty file");
        cursor.insert(&key("session-key"), &*row("cursor")).expect("a working disk");
        let subscription: TableDefinition<'_, &[u8], &[u8; 5]> =
            TableDefinition::new("subscription");
        let mut subscription = transaction.open_table(subscription).expect("an empty file");
        subscription
            .insert(&*row("subscription-key"), &key("subscription"))
            .expect("a working disk");
        let inflight: TableDefinition<'_, &[u8; 7], u64> = TableDefinition::new("inflight_out");
        let mut inflight = transaction.open_table(inflight).expect("an empty file");
        inflight.insert(&key("packet-key"), 299).expect("a working disk");
        let log: TableDefinition<'_, &[u8; 9], &[u8]> = TableDefinition::new("log");
        let mut log = transaction.open_table(log).expect("an empty file");
        log.insert(&key("log-key"), &*row("log")).expect("a working disk");
        let done: TableDefinition<'_, &[u8; 3], u64> = TableDefinition::new("reader_cursor");
        let mut done = transaction.open_table(done).expect("an empty file");
        done.insert(&key("reader-key"), 12).expect("a working disk");
    }
    transaction.commit().expect("a working disk");
    drop(database);
    disk.image()
}

#[test]
fn a_file_of_version_1_is_opened_and_has_a_journal_afterwards() {
    let disks = SimulatedDisks::from_image(Image { database: version_1(), journal: Vec::new() });
    let mut workload = Workload::new(1, 1);
    for boot_epoch in 5..8 {
        let store = disks.open(options()).expect("a file of version 1");
        assert_eq!(store.boot_epoch(), boot_epoch);
        let recovered = store.recover(SHARD, usize::MAX).expect("its records are right");
        let session = &recovered.sessions[0];
        assert_eq!(session.session, SessionId(0x0102_0304));
        assert_eq!(&*session.record.client_id, "sensor-1");
        assert_eq!(session.cursor.inflight, [Sequence(7), Sequence(299)]);
        assert_eq!(&*session.subscriptions[0].0, "a/+");
        let sent = InflightState::Sent { sequence: Sequence(299) };
        let packet_id = PacketId::new(0x0506).expect("not zero");
        assert_eq!(session.inflight, [(packet_id, sent)]);
        let log = &recovered.log[0];
        assert_eq!(log.sequence, Sequence(0x0102_0304_0506_0708));
        assert_eq!(log.message.as_ref().expect("a session waits").topic(), "site/a/temperature");
        let done = store.reader_cursor(SHARD, ReaderId(0x0102)).expect("a working disk");
        assert_eq!(done, Sequence(12));
        // What is committed now goes through the journal.
        store.commit(&workload.group(20)).expect("a working disk");
    }
    assert!(!disks.image().journal.is_empty());
    let database = redb::Builder::new()
        .create_with_backend(SimulatedDisk::from_image(disks.image().database))
        .expect("a whole file");
    assert_eq!(number(&database, "format_version"), Some(3));
    assert_eq!(number(&database, "store_id"), Some(1));
    assert!(number(&database, "journal_epoch") >= Some(6));
}

fn number(database: &Database, name: &str) -> Option<u64> {
    let transaction = database.begin_read().expect("a working disk");
    let meta: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("meta");
    let meta = transaction.open_table(meta).expect("a store has it");
    let number = meta.get(name.as_bytes()).expect("a working disk")?;
    Some(u64::from_le_bytes(number.value().try_into().expect("eight bytes")))
}
