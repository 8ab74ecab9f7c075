//! What the log offers again after an end, and what a disk has lost that said so.

use std::ops::RangeInclusive;

use super::*;

/// After a crash the log offers what its cursor has not passed, of which some is kept already.
#[test]
fn what_the_log_offers_again_is_kept_once_and_what_is_missing_is_kept() {
    let folder = Folder::new();
    let config = HistoryConfig::new("a");
    let mut recorder = folder.recorder(std::slice::from_ref(&config), 0);
    give(&mut recorder, &logged(1..=5, b""));
    recorder.sync();
    let offered = logged(3..=7, b"");
    let mut recorder = folder.recorder_offered(&[config], 2, &offered);
    give(&mut recorder, &offered);
    recorder.sync();
    assert_eq!(
        payloads(&folder.of("a")),
        (["1", "2", "3", "4", "5", "6", "7"].map(str::to_owned).to_vec(), 0)
    );
    assert_eq!(status(&recorder).messages, 7);
}

#[test]
fn the_positions_of_another_store_are_those_of_other_messages() {
    let folder = Folder::new();
    let config = HistoryConfig { max_bytes: 1 << 20, ..HistoryConfig::new("a") };
    let mut recorder = folder.recorder(std::slice::from_ref(&config), 0);
    give(&mut recorder, &logged(1..=100, &[b'x'; 20_000]));
    recorder.write();
    let kept = status(&recorder).messages;
    assert!((30..60).contains(&kept), "{kept} are kept");
    let offered = logged(1..=2, b" of a new store");
    let mut recorder = folder.recorder_offered(&[config], 0, &offered);
    give(&mut recorder, &offered);
    recorder.write();
    let found = payloads(&folder.of("a")).0;
    assert_eq!(found[found.len() - 2..], ["1 of a new store", "2 of a new store"]);
}

/// QoS 0 filled the file of a logged message, and the next one had nothing that was logged: the
/// start looked no further back than that, and took the message for one that was not kept.
#[test]
fn what_is_offered_again_is_known_behind_files_that_only_have_qos_0() {
    let folder = Folder::new();
    let config = HistoryConfig { max_bytes: 1 << 20, ..HistoryConfig::new("a") };
    let payload = vec![b'x'; 10_000];
    let mut recorder = folder.recorder(std::slice::from_ref(&config), 0);
    let offered = logged(5..=5, b"");
    give(&mut recorder, &offered);
    for _ in 0..40 {
        recorder.record(None, &message("a", &payload, 1000));
    }
    recorder.write();
    assert!(segment::list(&folder.of("a")).expect("it can be read").len() > 4);
    drop(recorder);

    let mut recorder = folder.recorder_offered(&[config], 4, &offered);
    give(&mut recorder, &offered);
    recorder.write();
    let found = payloads(&folder.of("a")).0;
    assert_eq!(found.iter().filter(|payload| *payload == "5").count(), 1);
}

/// What came and went before the log was told of it came once more after a crash, behind what is
/// younger.
#[test]
fn what_had_to_go_does_not_come_again() {
    let folder = Folder::new();
    let configs =
        [HistoryConfig { max_bytes: 1 << 20, ..HistoryConfig::new("a") }, HistoryConfig::new("b")];
    let mut recorder = folder.recorder(&configs, 0);
    let offered = logged(1..=100, &[b'x'; 20_000]);
    give(&mut recorder, &offered);
    recorder.write();
    let before = all_payloads(&folder);
    assert!((30..60).contains(&before.len()), "{} are kept", before.len());

    let mut more = offered;
    let other = message("b", b"of b", 1000);
    more.push(Some(Sequence(101)), &other);
    more.push(Some(Sequence(102)), &message("a", b"of a", 1000));
    let mut recorder = folder.recorder_offered(&configs, 0, &more);
    give(&mut recorder, &more);
    recorder.write();
    let found = all_payloads(&folder);
    assert_eq!(found[..before.len()], before);
    assert_eq!(found[before.len()..], ["of b", "of a"]);
}

/// What a process that was killed had written was known at the next start, but nobody had flushed
/// it before the log was told that it is kept.
#[test]
fn what_another_process_has_written_is_flushed_at_the_start() {
    let folder = Folder::new();
    record_some(&folder, 1);
    let flushes = FLUSHES.get();
    folder.recorder(&[HistoryConfig::new("a")], 0);
    assert_eq!(FLUSHES.get(), flushes + 1);
}

/// The cursor of the log moved although the flush had failed: after a power cut nobody had the
/// messages any more.
#[test]
fn what_a_flush_has_lost_is_read_from_the_log_again() {
    let folder = Folder::new();
    let configs = [HistoryConfig::new("a"), HistoryConfig::new("b")];
    let mut recorder = folder.recorder(&configs, 0);
    keep(&mut recorder, 1..=3);
    assert!(recorder.sync());
    keep(&mut recorder, 4..=6);
    recorder.record(None, &message("a", b"not logged", 1000));
    FAILING.set(1);
    assert!(!recorder.sync(), "the log must not go on");
    assert_eq!(all_payloads(&folder), ["1", "2", "3", "5"], "only what is on the disk for certain");
    let found = recorder.status();
    assert_eq!((found[0].messages, found[0].dropped.get("failed")), (1, Some(&1)));
    assert_eq!((found[1].messages, found[1].dropped.get("failed")), (3, None));

    keep(&mut recorder, 7..=8);
    // The log holds all behind its cursor, that of others too.
    recorder.repeat(&log(4..=8));
    assert!(recorder.sync());
    assert_eq!(all_payloads(&folder), ["1", "2", "3", "5", "7", "8", "4", "6"]);
    let messages: Vec<u64> = recorder.status().iter().map(|status| status.messages).collect();
    assert_eq!(messages, [4, 4]);
    drop(recorder);
    assert_eq!(folder.recorder(&configs, 8).status()[0].messages, 4);
}

/// A file is flushed when it is full; nothing of that may get lost either.
#[test]
fn what_the_flush_of_a_full_file_has_lost_is_read_from_the_log_again() {
    let folder = Folder::new();
    let config = HistoryConfig { max_bytes: 1 << 20, ..HistoryConfig::new("a") };
    let mut recorder = folder.recorder(&[config], 0);
    let large = vec![b'x'; 70_000];
    give(&mut recorder, &logged(1..=1, &large));
    FAILING.set(1);
    give(&mut recorder, &logged(2..=2, &large));
    assert_eq!(FAILING.get(), 0, "the second begins a new file");
    assert!(!recorder.sync());
    let records = logged(1..=2, &large);
    FAILING.set(1);
    recorder.repeat(&records);
    assert!(!recorder.sync(), "it fails once more");
    recorder.repeat(&records);
    assert!(recorder.sync());
    let found = status(&recorder);
    assert_eq!((found.messages, found.dropped.len()), (2, 0));
}

#[test]
fn what_the_log_does_not_hold_any_more_is_counted() {
    let folder = Folder::new();
    let mut recorder = folder.recorder(&[HistoryConfig::new("a"), HistoryConfig::new("b")], 0);
    keep(&mut recorder, 1..=4);
    FAILING.set(2);
    assert!(!recorder.sync());
    recorder.repeat(&log(3..=4));
    assert!(recorder.sync());
    let found = recorder.status();
    assert_eq!((found[0].messages, found[0].dropped.get("failed")), (1, Some(&1)));
    assert_eq!((found[1].messages, found[1].dropped.get("failed")), (1, Some(&1)));
    assert_eq!(all_payloads(&folder), ["4", "3"]);
}

/// Messages of topic `a`, whose payloads begin with their positions.
fn logged(positions: RangeInclusive<u64>, rest: &[u8]) -> Handed {
    let mut records = Handed::default();
    for position in positions {
        let payload = [position.to_string().as_bytes(), rest].concat();
        records.push(Some(Sequence(position)), &message("a", &payload, 1000));
    }
    records
}

fn give(recorder: &mut Recorder, records: &Handed) {
    records.iter().for_each(|(sequence, message)| recorder.record(sequence, &message));
}

/// Odd positions are of topic `b`.
fn topic(position: u64) -> &'static str {
    if position.is_multiple_of(2) { "a" } else { "b" }
}

fn keep(recorder: &mut Recorder, positions: RangeInclusive<u64>) {
    give(recorder, &log(positions));
}

fn log(positions: RangeInclusive<u64>) -> Handed {
    let mut records = Handed::default();
    for position in positions {
        let payload = position.to_string();
        let message = message(topic(position), payload.as_bytes(), 1000);
        records.push(Some(Sequence(position)), &message);
    }
    records
}

/// Of both histories, in the order of their numbers.
fn all_payloads(folder: &Folder) -> Vec<String> {
    let directories = [folder.of("a"), folder.of("b")];
    let wanted = Wanted { directories: &directories, since_ms: 0, matches: &|_| true };
    let mut reader = Reader::new(wanted, &[], u64::MAX).expect("it can be read");
    std::iter::from_fn(|| reader.next().expect("it can be read"))
        .map(|kept| String::from_utf8_lossy(kept.message().payload()).into_owned())
        .collect()
}
