use redb::backends::InMemoryBackend;
use smallvec::smallvec;
use weir_core::{
    Change, Cursor, Destination, InflightState, Links, Message, MessageParts, ReaderId, Sequence,
    SessionId, SessionRecord, ShardId, SubscriptionRecord, Target,
};
use weir_mqtt::{PacketId, QoS, RetainHandling, SubscriptionOptions, Version};

use super::*;

const STORE: u64 = 7;
const EPOCH: u64 = 3;
const SESSION: SessionId = SessionId(0x0102_0304);

/// A file in memory whose bytes a test can change.
#[derive(Clone, Debug)]
struct Disk(std::sync::Arc<InMemoryBackend>);

impl Disk {
    fn new() -> Self {
        Self(std::sync::Arc::new(InMemoryBackend::new()))
    }

    fn journal(&self) -> Journal {
        let mut journal =
            Journal::new(Box::new(self.clone()), PathBuf::from("weir.journal"), STORE, 1 << 20)
                .expect("a journal or nothing");
        journal.begin(EPOCH);
        journal
    }

    fn flip(&self, at: u64) {
        let mut byte = [0];
        self.0.read(at, &mut byte).expect("it is in the file");
        self.0.write(at, &[byte[0] ^ 1]).expect("it is in the file");
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

fn message(payload: &[u8]) -> Message {
    let parts = MessageParts {
        qos: QoS::AtLeastOnce,
        retain: false,
        expires_at_ms: None,
        received_at_ms: 5,
        publisher: "",
        topic: "site/a/temperature",
        properties: &[],
        payload,
    };
    Message::new(&parts, &mut Vec::new())
}

fn batch(changes: Vec<Change>) -> Batch {
    Batch {
        shard: ShardId(2),
        number: 0,
        changes,
        log_start: Sequence(300),
        is_awaited: false,
        links: Links::default(),
    }
}

fn delta(byte: u8, bytes: usize) -> Vec<Batch> {
    vec![batch(vec![Change::RuleDelta { delta: vec![byte; bytes] }])]
}

/// One of each kind.
fn changes() -> Vec<Change> {
    let packet_id = PacketId::new(0x0506).expect("not zero");
    let options = SubscriptionRecord {
        options: SubscriptionOptions {
            qos: QoS::AtLeastOnce,
            no_local: true,
            retain_as_published: false,
            retain_handling: RetainHandling::SendIfNew,
        },
        identifier: Some(300),
    };
    let record = SessionRecord {
        client_id: "sensor-1".into(),
        version: Version::V5,
        expiry_interval_s: 3600,
        disconnected_at_ms: None,
        will: None,
    };
    let target = Target {
        destination: Destination::Session(SESSION),
        qos: QoS::AtLeastOnce,
        retain: false,
        packet_id: None,
        subscription_identifiers: smallvec![],
    };
    let cursor = Cursor { start: Sequence(300), inflight: vec![Sequence(7)] };
    vec![
        Change::SessionRemoved { session: SessionId(1) },
        Change::SessionPut { session: SESSION, record },
        Change::CursorMoved { session: SESSION, cursor },
        Change::SubscriptionPut { session: SESSION, filter: "a/+".into(), options },
        Change::SubscriptionRemoved { session: SESSION, filter: "b".into() },
        Change::InflightPut { session: SESSION, packet_id, state: InflightState::Released },
        Change::InflightPut {
            session: SESSION,
            packet_id,
            state: InflightState::Sent { sequence: Sequence(301) },
        },
        Change::InflightRemoved { session: SESSION, packet_id },
        Change::ReceivedPut { session: SESSION, packet_id },
        Change::ReceivedRemoved { session: SESSION, packet_id },
        Change::ReaderMoved { reader: ReaderId(1), done: Sequence(300) },
        Change::LogAppended {
            sequence: Sequence(301),
            message: message(b"21.5"),
            targets: smallvec![target],
        },
        Change::RetainedPut { message: message(b"22") },
        Change::RetainedRemoved { topic: "c".into() },
        Change::RuleSnapshot { shards: vec![vec![1], vec![]] },
        Change::RuleDelta { delta: vec![2, 3] },
        Change::PositionsReserved { end: Sequence(70_000) },
    ]
}

#[test]
fn each_kind_of_change_comes_back() {
    let batches = vec![batch(changes()), Batch { shard: ShardId(3), ..batch(vec![]) }];
    let mut bytes = Vec::new();
    payload::encode(&batches, &mut bytes);
    assert_eq!(payload::decode(&bytes), Ok(batches));
}

#[test]
fn content_cut_short_is_an_error_or_has_fewer_changes() {
    let whole = batch(changes());
    let mut bytes = Vec::new();
    payload::encode(std::slice::from_ref(&whole), &mut bytes);
    for end in 0..bytes.len() {
        if let Ok(batches) = payload::decode(&bytes[..end]) {
            let changes = batches.first().map_or(&[][..], |batch| &batch.changes);
            assert!(whole.changes.starts_with(changes) && changes.len() < whole.changes.len());
        }
    }
    assert_eq!(payload::decode(&[3]), Err(MalformedRecord::CutShort));
    assert_eq!(payload::decode(&[1, 0, 0, 99]), Err(MalformedRecord::UnknownKind));
    assert_eq!(payload::decode(&[11, 0]), Err(MalformedRecord::UnknownKind), "no shard yet");
}

fn appended(disk: &Disk, groups: &[Vec<Batch>]) -> Journal {
    let mut journal = disk.journal();
    for group in groups {
        journal.prepare(group);
        assert!(journal.has_room());
        journal.append().expect("memory");
    }
    journal
}

#[test]
fn records_come_back_in_order_and_fill_whole_blocks() {
    let disk = Disk::new();
    let groups = [delta(1, 10), delta(2, 10_000), delta(3, 4096 - 48 - 8), delta(4, 1)];
    appended(&disk, &groups);
    let found = disk.journal().read(EPOCH).expect("memory");
    assert_eq!(found.batches, groups.concat());
    assert!(!found.is_damaged);
    let records = records(&disk).expect("memory");
    let offsets: Vec<u64> = records.iter().map(|record| record.offset / 4096).collect();
    assert_eq!(offsets, [0, 1, 4, 5]);
}

#[test]
fn what_is_of_an_earlier_epoch_is_passed_over() {
    let disk = Disk::new();
    let mut journal = appended(&disk, &[delta(1, 1), delta(2, 1), delta(3, 1)]);
    journal.begin(EPOCH + 1);
    journal.prepare(&delta(4, 1));
    journal.append().expect("memory");
    let found = disk.journal().read(EPOCH + 1).expect("memory");
    assert_eq!((found.batches, found.is_damaged), (delta(4, 1), false));
    let found = disk.journal().read(EPOCH + 2).expect("memory");
    assert_eq!((found.records, found.is_damaged), (0, false));
}

#[test]
fn a_torn_end_is_no_damage_and_a_torn_middle_is() {
    for (at, records, is_damaged) in [(0, 0, true), (1, 1, true), (2, 2, false)] {
        for byte in [0, 13, 20, 27, 35, 47, 50] {
            let disk = Disk::new();
            appended(&disk, &[delta(1, 1), delta(2, 1), delta(3, 1)]);
            disk.flip(at * 4096 + byte);
            let read = || disk.journal().read(EPOCH).expect("memory");
            // A file that does not begin as a journal is no journal.
            if (at, byte) == (0, 0) {
                let path = PathBuf::from("weir.journal");
                let error = Journal::new(Box::new(disk.clone()), path, STORE, 1 << 20);
                assert!(matches!(error, Err(StoreError::NotAStore { .. })));
                continue;
            }
            let found = read();
            assert_eq!((found.records, found.is_damaged), (records, is_damaged), "{at}, {byte}");
        }
    }
}

#[test]
fn a_journal_that_is_ahead_of_its_database_is_damage() {
    let disk = Disk::new();
    appended(&disk, &[delta(1, 1)]);
    let found = disk.journal().read(EPOCH - 1).expect("memory");
    assert_eq!((found.records, found.is_damaged), (0, true));
}

#[test]
fn a_journal_of_another_store_is_refused() {
    let disk = Disk::new();
    appended(&disk, &[delta(1, 1)]);
    let mut journal = disk.journal();
    journal.belong_to(STORE + 1);
    let error = journal.read(EPOCH).expect_err("it belongs to another");
    assert!(matches!(error, StoreError::ForeignJournal { .. }), "{error:?}");
}

/// The last record of a full journal was taken for one that goes past the end of the file.
#[test]
fn a_record_that_ends_with_the_file_comes_back() {
    let disk = Disk::new();
    let groups = [delta(1, 1), delta(2, (1 << 20) - 4096 - 48 - 10)];
    let journal = appended(&disk, &groups);
    assert_eq!((journal.offset, journal.len), (1 << 20, 1 << 20));
    let found = disk.journal().read(EPOCH).expect("memory");
    assert_eq!((found.batches, found.is_damaged), (groups.concat(), false));
}

#[test]
fn a_journal_has_an_end() {
    let disk = Disk::new();
    let mut journal = disk.journal();
    let mut appended = 0;
    loop {
        journal.prepare(&delta(1, 60_000));
        if !journal.has_room() {
            break;
        }
        journal.append().expect("memory");
        appended += 1;
    }
    assert_eq!((appended, disk.len().expect("memory")), (17, 1 << 20));
}

/// The format that is on disks: a difference here needs a new format version and a migration.
#[test]
fn format_version_2_is_what_it_was() {
    let fixture = include_str!("fixture-2.txt");
    let rows = fixture.lines().filter(|line| !line.starts_with('#'));
    let digits: String = rows.filter_map(|line| line.split(' ').next()).collect();
    let stored: Vec<u8> = (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal"))
        .collect();
    let group = [batch(changes())];
    let disk = Disk::new();
    let mut journal = appended(&disk, &[delta(1, 1)]);
    journal.prepare(&group);
    journal.finish_record();
    let used = journal.record.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let hexadecimal: String =
        journal.record[..used].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(journal.record[..used], stored, "{hexadecimal}");
    disk.0.set_len(4096).expect("memory");
    disk.0.write(0, &stored).expect("memory");
    let records = records(&disk).expect("memory");
    assert_eq!((records[0].store_id, records[0].epoch, records[0].number), (STORE, EPOCH, 1));
    assert_eq!(records[0].batches(), Ok(group.to_vec()));
}
