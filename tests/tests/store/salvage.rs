//! What becomes of the rows of a damaged store, and of its files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use redb::TableDefinition;
use weir_broker::config::OnDamage;
use weir_broker::store::{ExportTable, Store, StoreError, StoreOptions, copy, examine, export};
use weir_core::{
    Batch, Change, Cursor, Destination, InflightState, Links, Message, MessageParts, Sequence,
    SessionId, SessionRecord, ShardId, SubscriptionRecord, Target,
};
use weir_mqtt::{PacketId, QoS, RetainHandling, SubscriptionOptions, Version};

use crate::damage::{NOW_S, file, start};
use crate::older::{self, make_older};
use crate::start::directory;
use crate::workload::{READERS, options};

/// A group in the middle of the journal is lost; those behind it are there.
#[test]
fn what_is_behind_a_gap_in_the_journal_is_kept() {
    let path = small("salvage-gap");
    let store = Store::open(&path, options()).expect("nobody uses it");
    for number in 0..10_u64 {
        let message = message(&format!("late/{number}"), "x");
        let changes = vec![Change::RetainedPut { message }];
        let group = batch(number + 2, changes);
        store.commit(&[group]).expect("a working disk");
    }
    let (image, mut journal) = (file(&path, "weir.redb"), file(&path, "weir.journal"));
    drop(store);
    let place = journal.windows(6).position(|window| window == b"late/4").expect("it is there");
    journal[place] ^= 1;
    let path = directory("salvage-gap-again");
    fs::write(path.join("weir.redb"), &image).expect("there is room");
    fs::write(path.join("weir.journal"), &journal).expect("there is room");
    let found = examine(&path.join("weir.redb")).expect("it can be read");
    assert!(found.journal.is_damaged && found.journal.records == 9, "{found:?}");
    let (store, salvage) = start(&path).expect("it is salvaged");
    let salvage = salvage.expect("it was damaged");
    assert!(salvage.problems[0].starts_with("the journal: groups are missing"), "{salvage:?}");
    let retained = store.recover(SHARD, usize::MAX).expect("it can be read").retained;
    let topics: Vec<&str> = retained.iter().map(Message::topic).collect();
    let expected = [0, 1, 2, 3, 5, 6, 7, 8, 9].map(|number| format!("late/{number}"));
    assert_eq!(topics[0], "kept");
    assert!(topics[1..].iter().eq(expected.iter()), "{topics:?}");
    let aside = path.join(format!("weir.journal.corrupt-{NOW_S}"));
    assert!(fs::read(aside).expect("it is kept") == journal);
}

/// The first form: other columns, no journal, and two rows less in `meta`.
#[test]
fn a_store_of_format_version_1_is_looked_at_copied_and_started() {
    let path = small("salvage-version-1");
    take(&path, META, b"journal_epoch");
    take(&path, META, b"store_id");
    let database = redb::Database::create(path.join("weir.redb")).expect("nobody uses it");
    make_older(&database);
    let transaction = database.begin_write().expect("nobody else writes");
    let mut meta = transaction.open_table(older::META).expect("the store has it");
    meta.insert("format_version", 1).expect("a working disk");
    drop(meta);
    transaction.commit().expect("a working disk");
    drop(database);
    fs::remove_file(path.join("weir.journal")).expect("it is empty");
    let from = path.join("weir.redb");
    let found = examine(&from).expect("it can be read");
    assert_eq!((found.format_version, found.problems), (Some(1), Vec::new()));
    let to = directory("salvage-version-2").join("copy.redb");
    copy(&from, &to).expect("it is whole");
    let found = examine(&to).expect("it can be read");
    assert_eq!((found.format_version, found.problems), (Some(3), Vec::new()));
    let mut lines = Vec::new();
    export(&from, &ExportTable::ALL, &mut lines).expect("it can be read");
    assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), 2 + 2 + 1 + 4);
    let database = redb::Database::create(&from).expect("nobody uses it");
    let transaction = database.begin_write().expect("nobody else writes");
    let mut retained = transaction.open_table(older::RETAINED).expect("the store has it");
    retained.insert("bad", &[1, 2, 3][..]).expect("a working disk");
    drop(retained);
    transaction.commit().expect("a working disk");
    drop(database);
    let (store, salvage) = start(&path).expect("it is salvaged");
    assert_eq!(salvage.expect("it was damaged").lost(), Some(1));
    let rules = store.rules().expect("it can be read");
    assert_eq!(rules.snapshot, [b"state"]);
    assert_eq!(store.recover(SHARD, usize::MAX).expect("it can be read").log.len(), 4);
}

fn message(topic: &str, payload: &str) -> Message {
    let parts = MessageParts {
        qos: QoS::AtLeastOnce,
        retain: false,
        expires_at_ms: None,
        received_at_ms: 1,
        publisher: "",
        topic,
        properties: &[],
        payload: payload.as_bytes(),
    };
    Message::new(&parts, &mut Vec::new())
}

const SHARD: ShardId = ShardId(0);

fn batch(number: u64, changes: Vec<Change>) -> Batch {
    Batch {
        shard: SHARD,
        number,
        changes,
        log_start: Sequence(1),
        is_awaited: true,
        links: Links::default(),
    }
}

fn target(session: u32) -> Target {
    Target {
        destination: Destination::Session(SessionId(session)),
        qos: QoS::ExactlyOnce,
        retain: false,
        packet_id: None,
        subscription_identifiers: smallvec::smallvec![],
    }
}

/// Two sessions with everything that a session can have, and a few messages.
fn small(name: &str) -> PathBuf {
    let path = directory(name);
    let store = Store::open(&path, options()).expect("an empty directory");
    store.register_readers(&READERS).expect("a working disk");
    let mut changes = Vec::new();
    let options = SubscriptionOptions {
        qos: QoS::ExactlyOnce,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Send,
    };
    let packet_id = PacketId::new(9).expect("not zero");
    for number in [1, 2] {
        let session = SessionId(number);
        let record = SessionRecord {
            client_id: format!("client-{number}").into(),
            version: Version::V5,
            expiry_interval_s: u32::MAX,
            disconnected_at_ms: Some(5),
            will: None,
        };
        let cursor = Cursor { start: Sequence(3), inflight: vec![Sequence(1), Sequence(2)] };
        let sent = InflightState::Sent { sequence: Sequence(2) };
        let options = SubscriptionRecord { options, identifier: None };
        changes.extend([
            Change::SessionPut { session, record },
            Change::CursorMoved { session, cursor },
            Change::SubscriptionPut { session, filter: "a/#".into(), options },
            Change::InflightPut { session, packet_id, state: sent },
            Change::ReceivedPut { session, packet_id },
        ]);
    }
    for sequence in 1..=4 {
        changes.push(Change::LogAppended {
            sequence: Sequence(sequence),
            message: message("a/1", &sequence.to_string()),
            targets: smallvec::smallvec![target(1), target(2)],
        });
    }
    changes.push(Change::RetainedPut { message: message("kept", "x") });
    changes.push(Change::RuleSnapshot { shards: vec![b"state".to_vec()] });
    let group = batch(1, changes);
    store.commit(&[group]).expect("a working disk");
    path
}

/// Puts a row into a table past everything that checks rows.
fn put(path: &Path, table: Rows, key: &[u8], value: &[u8]) {
    let database = redb::Database::create(path.join("weir.redb")).expect("nobody uses it");
    let transaction = database.begin_write().expect("nobody else writes");
    transaction.open_table(table).expect("the store has it").insert(key, value).expect("a disk");
    transaction.commit().expect("a working disk");
}

fn take(path: &Path, table: Rows, key: &[u8]) {
    let database = redb::Database::create(path.join("weir.redb")).expect("nobody uses it");
    let transaction = database.begin_write().expect("nobody else writes");
    let mut rows = transaction.open_table(table).expect("the store has it");
    assert!(rows.remove(key).expect("a working disk").is_some());
    drop(rows);
    transaction.commit().expect("a working disk");
}

type Rows = TableDefinition<'static, &'static [u8], &'static [u8]>;

const CURSOR: Rows = TableDefinition::new("cursor");
const INFLIGHT: Rows = TableDefinition::new("inflight_out");
const LOG: Rows = TableDefinition::new("log");
const META: Rows = TableDefinition::new("meta");
const RECEIVED: Rows = TableDefinition::new("received_qos2");
const RETAINED: Rows = TableDefinition::new("retained");
const SESSION: Rows = TableDefinition::new("session");
const SUBSCRIPTION: Rows = TableDefinition::new("subscription");

#[test]
fn a_bad_row_of_any_table_is_left_out_and_the_rest_is_kept() {
    type Spoil = fn(&Path);
    let spoils: [(&str, Spoil); 7] = [
        ("session", |path| put(path, SESSION, &[0, 0, 0, 0, 9], &[9, 9, 9])),
        ("cursor", |path| put(path, CURSOR, &[0, 0, 0, 0, 9], &[5, 6])),
        ("log", |path| put(path, LOG, &[0, 0, 0, 0, 0, 0, 0, 0, 9], &[0xff; 20])),
        ("retained", |path| put(path, RETAINED, b"bad", &[1, 2, 3])),
        ("subscription", |path| put(path, SUBSCRIPTION, &[0, 0, 0, 0, 1, b'x'], &[0xff; 5])),
        ("inflight_out", |path| put(path, INFLIGHT, &[0, 0, 0, 0, 1, 0, 0], &[1; 8])),
        ("received_qos2", |path| put(path, RECEIVED, &[0, 0, 0, 0, 1, 0, 0], &[])),
    ];
    for (table, spoil) in spoils {
        let path = small(&format!("salvage-bad-{table}"));
        let (store, _) = start(&path).expect("nothing is wrong yet");
        let before = store.recover(SHARD, usize::MAX).expect("it can be read");
        drop(store);
        spoil(&path);
        let (store, salvage) = start(&path).unwrap_or_else(|error| panic!("{table}: {error}"));
        let salvage = salvage.unwrap_or_else(|| panic!("{table}: nobody noticed"));
        let of = salvage.tables.iter().find(|found| found.table == table);
        assert_eq!(of.map(|found| found.lost), Some(Some(1)), "{table}: {salvage:?}");
        assert_eq!(salvage.lost(), Some(1), "{table}: {salvage:?}");
        let after = store.recover(SHARD, usize::MAX).expect("it can be read");
        assert!(after.next_sequence > before.next_sequence, "{table}");
        let after = weir_core::Recovered { next_sequence: before.next_sequence, ..after };
        assert_eq!(after, before, "{table}");
        let report = fs::read_to_string(&salvage.report).expect("it was written");
        assert!(report.contains(&format!("table {table}: 1 bad rows")), "{report}");
    }
}

#[test]
fn high_trees_and_long_values_are_read_too() {
    let path = small("salvage-large");
    let store = Store::open(&path, options()).expect("nobody uses it");
    let retained = (0..20_000).map(|number| {
        let payload = "x".repeat(if number % 4_000 == 0 { 300_000 } else { 20 });
        Change::RetainedPut { message: message(&format!("many/{number}"), &payload) }
    });
    let changes = retained.collect();
    store.commit(&[batch(2, changes)]).expect("a disk");
    let before = store.recover(SHARD, usize::MAX).expect("it can be read");
    drop(store);
    put(&path, RETAINED, b"bad", &[1, 2, 3]);
    let (store, salvage) = start(&path).expect("it is salvaged");
    assert_eq!(salvage.expect("it was damaged").lost(), Some(1));
    let after = store.recover(SHARD, usize::MAX).expect("it can be read");
    assert!(after.retained == before.retained, "the same 20,001 messages");
}

/// What a session that is gone has left behind would become that of the next new one.
#[test]
fn what_a_lost_session_leaves_behind_goes_with_it() {
    let path = small("salvage-orphans");
    take(&path, SESSION, &[0, 0, 0, 0, 2]);
    // Something has to be wrong for the store to be looked at closely.
    put(&path, RETAINED, b"bad", &[1, 2, 3]);
    let (store, salvage) = start(&path).expect("it is salvaged");
    let salvage = salvage.expect("it was damaged");
    let removed = |table: &str| {
        salvage.tables.iter().find(|found| found.table == table).map(|found| found.removed)
    };
    for table in ["cursor", "subscription", "inflight_out", "received_qos2"] {
        assert_eq!(removed(table), Some(1), "{table}: {salvage:?}");
    }
    let recovered = store.recover(SHARD, usize::MAX).expect("it can be read");
    assert_eq!(recovered.sessions.len(), 1);
    assert!(recovered.log.iter().all(|record| record.targets == [target(1)]));
    // A new session gets the number of the lost one, and nothing else of it.
    let record =
        SessionRecord { client_id: "stranger".into(), ..recovered.sessions[0].record.clone() };
    let changes = vec![Change::SessionPut { session: SessionId(2), record }];
    let group = batch(1, changes);
    store.commit(&[group]).expect("a working disk");
    let recovered = store.recover(SHARD, usize::MAX).expect("it can be read");
    let stranger = &recovered.sessions[1];
    assert_eq!(&*stranger.record.client_id, "stranger");
    assert!(stranger.subscriptions.is_empty() && stranger.received.is_empty(), "{stranger:?}");
    assert!(stranger.inflight.is_empty() && stranger.cursor == Cursor::default(), "{stranger:?}");
}

/// The receiver of a QoS 2 message whose rest is lost may know its identifier. Given to another
/// message, that one would be taken for a repetition.
#[test]
fn a_delivery_whose_message_is_lost_still_gives_its_identifier_back() {
    let path = small("salvage-identifier");
    take(&path, LOG, &[0, 0, 0, 0, 0, 0, 0, 0, 2]);
    put(&path, RETAINED, b"bad", &[1, 2, 3]);
    let (store, salvage) = start(&path).expect("it is salvaged");
    let told = salvage.expect("it was damaged").consequences;
    assert!(told.iter().any(|line| line.starts_with("2 deliveries under way")), "{told:?}");
    let recovered = store.recover(SHARD, usize::MAX).expect("it can be read");
    for session in &recovered.sessions {
        assert_eq!(session.cursor.inflight, [Sequence(1)]);
        assert!(session.inflight.iter().all(|(_, state)| *state == InflightState::Released));
        assert_eq!(session.inflight.len(), 1);
    }
}

#[test]
fn a_start_that_is_told_to_refuse_changes_nothing() {
    let path = small("salvage-refuse");
    put(&path, RETAINED, b"bad", &[1, 2, 3]);
    let image = fs::read(path.join("weir.redb")).expect("it is there");
    let error = Store::start(&path, options(), OnDamage::Refuse, NOW_S).expect_err("it is damaged");
    let text = error.to_string();
    assert!(text.contains("table retained: 1 bad rows"), "{text}");
    assert!(text.contains("set `on_damage = \"salvage\"`"), "{text}");
    assert!(fs::read(path.join("weir.redb")).expect("it is there") == image);
    assert_eq!(fs::read_dir(&path).expect("it is there").count(), 2);
}

#[test]
fn two_salvages_of_one_second_keep_both_files() {
    let path = small("salvage-twice");
    let mut kept = BTreeSet::new();
    for _ in 0..3 {
        put(&path, RETAINED, b"bad", &[1, 2, 3]);
        let (_, salvage) = start(&path).expect("it is salvaged");
        let salvage = salvage.expect("it was damaged");
        assert!(kept.insert(salvage.quarantined) && kept.insert(salvage.report), "{kept:?}");
    }
    assert!(kept.iter().all(|path| path.exists()));
    assert!(kept.contains(&path.join(format!("weir.redb.corrupt-{NOW_S}-3"))), "{kept:?}");
}

/// Wherever the process ends, the next start has either the damaged store or the new one.
#[test]
fn a_salvage_that_was_interrupted_is_finished() {
    let path = small("salvage-interrupted");
    put(&path, RETAINED, b"bad", &[1, 2, 3]);
    let damaged = fs::read(path.join("weir.redb")).expect("it is there");
    let (_, salvage) = start(&path).expect("it is salvaged");
    let salvage = salvage.expect("it was damaged");
    let salvaged = fs::read(path.join("weir.redb")).expect("it is there");
    let report = fs::read(&salvage.report).expect("it is there");
    let report_name = salvage.report.file_name().expect("it has one").to_owned();
    // Which of the files are where: the old one, the one put aside, the new one, its report.
    for step in 0..5 {
        let path = directory("salvage-interrupted-again");
        let finished = path.join("weir.salvaged");
        fs::create_dir_all(&finished).expect("it can be made");
        if step < 4 {
            fs::write(finished.join(&report_name), &report).expect("it can be written");
        }
        if step < 2 {
            fs::write(finished.join("weir.redb"), &salvaged).expect("it can be written");
        } else {
            fs::write(path.join("weir.redb"), &salvaged).expect("it can be written");
        }
        let aside = salvage.quarantined.file_name().expect("it has one");
        if step == 0 {
            fs::write(path.join("weir.redb"), &damaged).expect("it can be written");
        } else {
            fs::write(path.join(aside), &damaged).expect("it can be written");
        }
        if step == 4 {
            fs::write(path.join(&report_name), &report).expect("it can be written");
        }
        let (store, again) = start(&path).unwrap_or_else(|error| panic!("step {step}: {error}"));
        assert_eq!(again, None, "step {step}");
        let retained = store.recover(SHARD, usize::MAX).expect("it can be read").retained;
        assert_eq!(retained, [message("kept", "x")], "step {step}");
        let names = ["weir.redb".as_ref(), aside, report_name.as_os_str()];
        assert!(names.iter().all(|name| path.join(name).exists()), "step {step}");
        assert!(!finished.exists(), "step {step}");
        assert!(fs::read(path.join(aside)).expect("it is there") == damaged, "step {step}");
    }
}

#[test]
fn a_store_that_cannot_be_written_anew_stays_as_it_is() {
    let path = small("salvage-no-place");
    put(&path, RETAINED, b"bad", &[1, 2, 3]);
    let image = fs::read(path.join("weir.redb")).expect("it is there");
    // Nothing can be made below a file, whoever tries.
    fs::write(path.join("weir.salvage"), "").expect("it can be written");
    let error = start(&path).expect_err("there is no place for the new one");
    assert!(matches!(error, StoreError::NotSalvaged { .. }), "{error:?}");
    assert!(error.to_string().contains("is damaged"), "{error}");
    assert!(fs::read(path.join("weir.redb")).expect("it is there") == image);
}

#[test]
fn files_of_others_and_of_newer_versions_are_no_damage() {
    let path = directory("salvage-foreign");
    let file = path.join("weir.redb");
    fs::write(&file, "[some other program]\n".repeat(1000)).expect("it can be written");
    let error = start(&path).expect_err("it is not ours");
    assert!(matches!(error, StoreError::NotAStore { .. }), "{error:?}");

    fs::remove_file(&file).expect("it is there");
    let database = redb::Database::create(&file).expect("it can be made");
    let transaction = database.begin_write().expect("nobody else writes");
    let other: TableDefinition<'_, u64, u64> = TableDefinition::new("other");
    transaction.open_table(other).expect("an empty file");
    transaction.commit().expect("a working disk");
    drop(database);
    let error = start(&path).expect_err("it is not ours");
    assert!(matches!(error, StoreError::NotAStore { .. }), "{error:?}");

    let path = small("salvage-newer");
    put(&path, META, b"format_version", &77_u64.to_le_bytes());
    let error = start(&path).expect_err("it is newer");
    assert!(matches!(error, StoreError::UnknownFormat { found: 77, .. }), "{error:?}");

    let path = small("salvage-in-use");
    let store = Store::open(&path, StoreOptions::default()).expect("nobody uses it");
    let error = start(&path).expect_err("it is in use");
    assert!(matches!(error, StoreError::Locked { .. }), "{error:?}");
    drop(store);
    for path in ["salvage-foreign", "salvage-newer", "salvage-in-use"] {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("store-{path}"));
        let mut entries = fs::read_dir(&path).expect("it is there");
        assert!(entries.all(|entry| {
            !entry.expect("it can be listed").path().to_string_lossy().contains("corrupt")
        }));
    }
}
