//! What a history keeps and gives back, with files in a directory of the test.

mod reading;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use weir_core::{MessageParts, Sequence};
use weir_mqtt::QoS;

use super::read::{Reader, Wanted};
use super::recorder::{Recorder, directory};
use super::segment::{self, HEADER_BYTES, Records, SegmentHeader};
use crate::config::HistoryConfig;
use crate::status::HistoryStatus;

/// A data directory that goes away.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("weir-history-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a directory for the test");
        Self(path)
    }

    /// The directory of the history of a filter.
    fn of(&self, filter: &str) -> PathBuf {
        directory(&self.0).join(HistoryConfig::new(filter).directory())
    }

    fn recorder(&self, configs: &[HistoryConfig], done: u64) -> Recorder {
        Recorder::open(&self.0, configs, Sequence(done), || Ok(77)).expect("it opens")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn message<'a>(topic: &'a str, payload: &'a [u8], received_at_ms: u64) -> MessageParts<'a> {
    MessageParts {
        qos: QoS::AtLeastOnce,
        retain: false,
        expires_at_ms: None,
        received_at_ms,
        publisher: "sensor-1",
        topic,
        properties: &[],
        payload,
    }
}

/// The payloads of a directory in order, and how many gaps there are.
fn payloads(directory: &Path) -> (Vec<String>, u64) {
    let (mut found, mut damaged) = (Vec::new(), 0);
    for first in segment::list(directory).expect("the directory can be read") {
        let records = Records::open(directory, first, 0).expect("the file can be read");
        let Some(mut records) = records else { continue };
        while let Some(stored) = records.next().expect("the file can be read") {
            found.push(String::from_utf8_lossy(stored.parts.payload).into_owned());
        }
        damaged += records.damaged();
    }
    (found, damaged)
}

/// Records `count` messages of topic `a` with positions from 1 on, and ends.
fn record(folder: &Folder, count: u64) {
    let mut recorder = folder.recorder(&[HistoryConfig::new("a")], 0);
    for number in 1..=count {
        let payload = format!("payload {number}");
        recorder.record(Some(Sequence(number)), &message("a", payload.as_bytes(), 1000 + number));
    }
    recorder.sync();
}

fn status(recorder: &Recorder) -> HistoryStatus {
    recorder.status().into_iter().next().expect("there is one history")
}

fn only_file(folder: &Folder) -> PathBuf {
    let firsts = segment::list(&folder.of("a")).expect("the directory can be read");
    assert_eq!(firsts.len(), 1);
    segment::path(&folder.of("a"), firsts[0])
}

#[test]
fn a_file_that_is_cut_off_anywhere_keeps_what_is_whole_and_goes_on() {
    let folder = Folder::new();
    record(&folder, 3);
    let path = only_file(&folder);
    let whole = fs::read(&path).expect("the file can be read");
    let record_bytes = (whole.len() - HEADER_BYTES as usize) / 3;
    for end in 0..=whole.len() {
        fs::remove_dir_all(folder.of("a")).expect("it was there");
        fs::create_dir_all(folder.of("a")).expect("it can be made");
        fs::write(&path, &whole[..end]).expect("the file can be written");
        let kept = end.saturating_sub(HEADER_BYTES as usize) / record_bytes;

        let mut recorder = folder.recorder(&[HistoryConfig::new("a")], 0);
        let status = status(&recorder);
        assert_eq!((status.messages, status.dropped.len()), (kept as u64, 0), "cut at {end}");
        recorder.record(None, &message("a", b"after", 2000));
        recorder.write();
        let mut expected: Vec<String> = (1..=kept).map(|n| format!("payload {n}")).collect();
        expected.push("after".to_owned());
        assert_eq!(payloads(&folder.of("a")), (expected, 0), "cut at {end}");
    }
}

#[test]
fn a_flipped_byte_costs_the_record_that_it_is_in_and_no_other() {
    let folder = Folder::new();
    record(&folder, 3);
    let path = only_file(&folder);
    let whole = fs::read(&path).expect("the file can be read");
    let record_bytes = (whole.len() - HEADER_BYTES as usize) / 3;
    for at in HEADER_BYTES as usize + record_bytes..HEADER_BYTES as usize + 2 * record_bytes {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x41;
        fs::write(&path, &damaged).expect("the file can be written");
        let expected = vec!["payload 1".to_owned(), "payload 3".to_owned()];
        assert_eq!(payloads(&folder.of("a")), (expected, 1), "byte {at}");
        let recorder = folder.recorder(&[HistoryConfig::new("a")], 0);
        assert_eq!(status(&recorder).dropped.get("damaged"), Some(&1), "byte {at}");
    }
    let mut damaged = whole.clone();
    damaged[9] ^= 1;
    fs::write(&path, &damaged).expect("the file can be written");
    let recorder = folder.recorder(&[HistoryConfig::new("a")], 0);
    assert_eq!(status(&recorder).messages, 0, "without a header nothing is believed");
    assert_eq!(status(&recorder).dropped.get("damaged"), Some(&1));
}

/// A client could put a record into a payload; behind a torn write it would be found.
#[test]
fn what_a_payload_holds_is_no_record() {
    let folder = Folder::new();
    let mut forged = Vec::new();
    super::record::append(&mut forged, 0, 9, None, &message("a", b"forged", 1));
    let mut recorder = folder.recorder(&[HistoryConfig::new("a")], 0);
    recorder.record(None, &message("a", &forged, 1000));
    recorder.record(None, &message("a", b"last", 1000));
    recorder.write();
    let path = only_file(&folder);
    let mut bytes = fs::read(&path).expect("the file can be read");
    bytes[HEADER_BYTES as usize] ^= 1;
    fs::write(&path, &bytes).expect("the file can be written");
    assert_eq!(payloads(&folder.of("a")), (vec!["last".to_owned()], 1));
}

/// After a crash the log offers what its cursor has not passed, of which some is kept already.
#[test]
fn what_the_log_offers_again_is_kept_once_and_what_is_missing_is_kept() {
    let folder = Folder::new();
    record(&folder, 5);
    let mut recorder = folder.recorder(&[HistoryConfig::new("a")], 2);
    for number in 3..=7_u64 {
        let payload = format!("payload {number}");
        recorder.record(Some(Sequence(number)), &message("a", payload.as_bytes(), 1000 + number));
    }
    recorder.sync();
    let expected: Vec<String> = (1..=7).map(|number| format!("payload {number}")).collect();
    assert_eq!(payloads(&folder.of("a")), (expected, 0));
    assert_eq!(status(&recorder).messages, 7);
}

#[test]
fn the_positions_of_another_store_are_those_of_other_messages() {
    let folder = Folder::new();
    record(&folder, 2);
    let mut recorder = folder.recorder(&[HistoryConfig::new("a")], 0);
    recorder.record(Some(Sequence(1)), &message("a", b"of a new store", 3000));
    recorder.write();
    let expected = ["payload 1", "payload 2", "of a new store"].map(str::to_owned).to_vec();
    assert_eq!(payloads(&folder.of("a")), (expected, 0));
}

#[test]
fn the_oldest_go_when_there_are_too_many_bytes() {
    let folder = Folder::new();
    let config = HistoryConfig { max_bytes: 1 << 20, ..HistoryConfig::new("a") };
    let mut recorder = folder.recorder(std::slice::from_ref(&config), 0);
    let payload = vec![7; 10_000];
    for number in 0..1000 {
        recorder.record(None, &message("a", &payload, 1000 + number));
        recorder.write();
        assert!(status(&recorder).bytes <= 1 << 20, "at {number}");
    }
    let found = status(&recorder);
    assert!((85..=104).contains(&found.messages), "{} messages are kept", found.messages);
    let oldest = found.oldest_at_ms.expect("there are some");
    assert_eq!(oldest, 1000 + 1000 - found.messages, "the youngest are kept");
    let on_disk: u64 = segment::list(&folder.of("a"))
        .expect("the directory can be read")
        .iter()
        .map(|first| fs::metadata(segment::path(&folder.of("a"), *first)).expect("it is there"))
        .map(|metadata| metadata.len())
        .sum();
    assert_eq!(on_disk, found.bytes);
    drop(recorder);
    assert_eq!(status(&folder.recorder(&[config], 0)), found, "counted again after a restart");

    let mut recorder =
        folder.recorder(&[HistoryConfig { max_bytes: 1 << 20, ..HistoryConfig::new("a") }], 0);
    recorder.record(None, &message("a", &vec![0; (1 << 19) + 1], 5000));
    assert_eq!(status(&recorder).dropped.get("too_large"), Some(&1));
    assert_eq!(status(&recorder).messages, found.messages);
}

#[test]
fn what_takes_more_than_half_with_all_that_belongs_to_it_is_too_large() {
    let folder = Folder::new();
    let config = HistoryConfig { max_bytes: 1 << 20, ..HistoryConfig::new("a") };
    let mut recorder = folder.recorder(&[config], 0);
    let properties = vec![0; 300_000];
    let large = MessageParts { properties: &properties, ..message("a", &[0; 300_000], 1000) };
    recorder.record(None, &large);
    assert_eq!(status(&recorder).dropped.get("too_large"), Some(&1));
    assert_eq!(status(&recorder).messages, 0);
}

#[test]
fn files_go_when_all_of_them_is_too_old() {
    let folder = Folder::new();
    let max_age = Duration::from_secs(160);
    let config = HistoryConfig { max_age, ..HistoryConfig::new("a") };
    let mut recorder = folder.recorder(&[config], 0);
    for second in 0..200 {
        recorder.record(None, &message("a", b"x", 1_000_000 + second * 1000));
    }
    recorder.write();
    recorder.expire(1_000_000 + 200_000);
    let found = status(&recorder);
    let oldest_s = (found.oldest_at_ms.expect("there are some") - 1_000_000) / 1000;
    assert!((30..=40).contains(&oldest_s), "the oldest is of second {oldest_s}");
    assert_eq!(found.messages, 200 - oldest_s);
    recorder.expire(1_000_000 + 360_000);
    assert_eq!((status(&recorder).messages, status(&recorder).oldest_at_ms), (0, None));
    assert!(segment::list(&folder.of("a")).expect("the directory can be read").is_empty());
    recorder.record(None, &message("a", b"y", 2_000_000));
    assert_eq!(status(&recorder).messages, 1, "and it goes on");
}

#[test]
fn a_message_belongs_to_the_first_history_that_matches() {
    let folder = Folder::new();
    let configs = [HistoryConfig::new("a/+"), HistoryConfig::new("a/#")];
    let mut recorder = folder.recorder(&configs, 0);
    for topic in ["a/b", "a/b/c", "c", "a"] {
        recorder.record(None, &message(topic, topic.as_bytes(), 1));
    }
    recorder.write();
    let found = |filter: &str| payloads(&folder.of(filter)).0;
    assert_eq!(
        (found("a/+"), found("a/#")),
        (vec!["a/b".into()], vec!["a/b/c".into(), "a".into()])
    );
}

#[test]
fn a_header_comes_back_and_is_refused_when_a_byte_of_it_is_wrong() {
    let folder = Folder::new();
    let header = SegmentHeader {
        first: 7,
        messages_before: 3,
        first_received_ms: 1_700_000_000_000,
        salt: 9,
    };
    let path = segment::path(&folder.0, 7);
    fs::write(&path, header.encode()).expect("the file can be written");
    assert_eq!(SegmentHeader::read(&folder.0, 7).expect("it can be read"), Some(header));
    assert_eq!(header.encode().len() as u64, HEADER_BYTES);
    for at in 0..header.encode().len() {
        let mut bytes = header.encode();
        bytes[at] ^= 1;
        fs::write(&path, bytes).expect("the file can be written");
        assert_eq!(SegmentHeader::read(&folder.0, 7).expect("it can be read"), None, "at {at}");
    }
}
