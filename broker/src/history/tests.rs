//! What a history keeps and gives back, with files in a directory of the test.

mod again;
mod damage;
mod reading;
mod thread;

use std::cell::Cell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use weir_core::{MessageParts, Records as Handed, Sequence};
use weir_mqtt::QoS;

use super::read::{Reader, Wanted};
use super::record::{self, MARK, RECORD_HEADER_BYTES};
use super::recorder::{Recorder, System, directory};
use super::segment::{self, HEADER_BYTES, Logged, Records, SegmentHeader};
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

    /// The log offers nothing.
    fn recorder(&self, configs: &[HistoryConfig], done: u64) -> Recorder {
        self.recorder_offered(configs, done, &Handed::default())
    }

    /// The log offers these again.
    fn recorder_offered(&self, configs: &[HistoryConfig], done: u64, waiting: &Handed) -> Recorder {
        let system = System { flush, salt: || Ok(77) };
        Recorder::open(&self.0, configs, Sequence(done), waiting, system).expect("it opens")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

thread_local! {
    /// So many flushes fail from now on.
    static FAILING: Cell<u32> = const { Cell::new(0) };
    static FLUSHES: Cell<u32> = const { Cell::new(0) };
}

fn flush(file: &fs::File) -> io::Result<()> {
    FLUSHES.set(FLUSHES.get() + 1);
    if let Some(left) = FAILING.get().checked_sub(1) {
        FAILING.set(left);
        return Err(io::Error::other("the disk has lost it"));
    }
    file.sync_data()
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
fn record_some(folder: &Folder, count: u64) {
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
        received_before_ms: 1_600_000_000_000,
        logged_before: Logged { sequence: Sequence(5), checksum: 99 },
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
