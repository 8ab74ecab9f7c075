//! Files that are cut off or damaged, and payloads that look like files.

use super::*;

#[test]
fn a_file_that_is_cut_off_anywhere_keeps_what_is_whole_and_goes_on() {
    let folder = Folder::new();
    record_some(&folder, 3);
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
    record_some(&folder, 3);
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
    record::append(&mut forged, 0, 9, None, &message("a", b"forged", 1));
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

/// The checksum stood over the message as well, so each place that looked like the begin of a
/// record cost as much as the length that was written there: 130 GB for a payload of 2 MB.
#[test]
fn what_looks_like_the_begin_of_many_records_costs_nothing() {
    let folder = Folder::new();
    let mut recorder = folder.recorder(&[HistoryConfig::new("a")], 0);
    let length = 100_000_u32.to_le_bytes();
    let payload = [MARK, length].concat().repeat(50_000);
    recorder.record(None, &message("a", &payload, 1000));
    recorder.record(None, &message("a", b"last", 1000));
    recorder.write();
    let path = only_file(&folder);
    let whole = fs::read(&path).expect("the file can be read");
    let checked = |damage: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        damage(&mut bytes);
        fs::write(&path, &bytes).expect("the file can be written");
        let first = segment::list(&folder.of("a")).expect("it can be read")[0];
        let records = Records::open(&folder.of("a"), first, 0).expect("it can be read");
        let mut records = records.expect("the header is whole");
        let mut count = 0;
        while records.next().expect("it can be read").is_some() {
            count += 1;
        }
        (count, records.checked)
    };
    let first = HEADER_BYTES as usize;
    let last = whole.len() - first - 2 * RECORD_HEADER_BYTES - payload.len();
    assert!(last < 100, "the second message takes {last} bytes");
    let (count, bytes) = checked(&|bytes| bytes[first + 9] ^= 1);
    assert!(count == 1 && bytes < 100, "the header is damaged: {bytes}");
    let (count, bytes) = checked(&|bytes| bytes[first + RECORD_HEADER_BYTES] ^= 1);
    assert!(count == 1 && bytes < payload.len() + 200, "the message is damaged: {bytes}");
    assert_eq!(checked(&|bytes| bytes.truncate(payload.len())), (0, 0), "the message is cut off");
}

/// A file with any bytes in the place of some: what is read was written, once and in order, and
/// whatever lies outside of the damage is read.
#[test]
fn random_damage_costs_what_it_hits() {
    let folder = Folder::new();
    let mut recorder = folder.recorder(&[HistoryConfig::new("a")], 0);
    let mut noise = 1_u64;
    let mut next = move |below: usize| {
        noise =
            noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (noise >> 33) as usize % below
    };
    let path = segment::path(&folder.of("a"), 1);
    let (mut ends, mut written) = (Vec::new(), Vec::new());
    for number in 0..200 {
        let payload = format!("{number} {}", "wrec".repeat(next(100)));
        recorder.record(None, &message("a", payload.as_bytes(), 1000));
        recorder.write();
        written.push(payload);
        ends.push(fs::metadata(&path).expect("the file is there").len() as usize);
    }
    let whole = fs::read(&path).expect("the file can be read");
    for round in 0..200 {
        let mut bytes = whole.clone();
        let from = HEADER_BYTES as usize + next(whole.len() - HEADER_BYTES as usize);
        let to = (from + 1 + next(3000)).min(whole.len());
        for (place, byte) in bytes[from..to].iter_mut().enumerate() {
            *byte = if round % 2 == 0 { next(256) as u8 } else { MARK[place % MARK.len()] };
        }
        fs::write(&path, &bytes).expect("the file can be written");
        let starts = std::iter::once(HEADER_BYTES as usize).chain(ends.iter().copied());
        let untouched: Vec<&String> = starts
            .zip(&ends)
            .zip(&written)
            .filter(|((start, end), _)| bytes[*start..**end] == whole[*start..**end])
            .map(|(_, payload)| payload)
            .collect();
        let (found, _) = payloads(&folder.of("a"));
        assert_eq!(found.iter().collect::<Vec<_>>(), untouched, "round {round}");
    }
}

/// The form that is on disks: a difference here needs a new version of it.
#[test]
fn a_file_of_version_1_is_what_it_was() {
    let fixture = include_str!("fixture-1.txt");
    let bytes = fixture.lines().filter_map(|line| line.split('|').next());
    let hexadecimal: String = bytes.flat_map(str::split_whitespace).collect();
    let stored: Vec<u8> = (0..hexadecimal.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hexadecimal[at..at + 2], 16).expect("hexadecimal"))
        .collect();
    let folder = Folder::new();
    let mut recorder = folder.recorder(&[HistoryConfig::new("a/+")], 0);
    let alarm = MessageParts {
        retain: true,
        expires_at_ms: Some(1_700_000_100_000),
        properties: &[1, 1],
        ..message("a/b", b"21.5", 1_700_000_000_000)
    };
    recorder.record(Some(Sequence(300)), &alarm);
    let live = MessageParts {
        qos: QoS::AtMostOnce,
        publisher: "",
        ..message("a/c", b"", 1_700_000_000_001)
    };
    recorder.record(None, &live);
    recorder.write();
    let written = fs::read(segment::path(&folder.of("a/+"), 1)).expect("the file can be read");
    let shown: String = written.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(written, stored, "{shown}");
}
