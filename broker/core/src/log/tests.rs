use super::*;
use crate::message::MessageParts;
use weir_mqtt::QoS;

fn message(payload: &[u8]) -> Message {
    let parts = MessageParts {
        qos: QoS::AtLeastOnce,
        retain: false,
        expires_at_ms: None,
        received_at_ms: 0,
        publisher: "",
        topic: "t",
        properties: &[],
        payload,
    };
    Message::new(&parts, &mut Vec::new())
}

#[test]
fn a_message_stays_until_its_last_holder_lets_go() {
    let mut log = Log::new(Sequence(1), 1024);
    let sequence = log.reserve();
    log.hold(sequence, &message(b"a"), 1);
    log.hold(sequence, &message(b"a"), 1);
    assert_eq!(log.count(), 1);
    log.release(sequence);
    assert_eq!(log.message(sequence).map(Message::payload), Some(&b"a"[..]));
    log.release(sequence);
    assert_eq!((log.count(), log.bytes()), (0, 0));
    assert_eq!(log.start(), log.next());
}

#[test]
fn an_old_message_does_not_keep_the_chunks_behind_it() {
    let mut log = Log::new(Sequence(1), 1024);
    let pinned = log.reserve();
    log.hold(pinned, &message(b"pinned"), 6);
    for _ in 0..100 * CHUNK {
        let sequence = log.reserve();
        log.hold(sequence, &message(b"x"), 1);
        log.release(sequence);
    }
    assert_eq!(log.start(), pinned);
    assert_eq!(log.live + log.aside.len(), 1);
    log.release(pinned);
    assert_eq!(log.start(), log.next());
}

#[test]
fn only_what_is_on_the_disk_and_may_leaves_memory() {
    let mut log = Log::new(Sequence(1), 1024);
    let sequences: Vec<Sequence> = (0..3).map(|_| log.reserve()).collect();
    sequences.iter().for_each(|sequence| log.hold(*sequence, &message(b"x"), 10));
    log.allow_absence(sequences[0]);
    log.allow_absence(sequences[2]);
    let news = log.committed(sequences[2]);
    assert_eq!(news, sequences[0].0..sequences[2].0);
    sequences.iter().for_each(|sequence| log.leave_memory(*sequence));
    let there: Vec<bool> =
        sequences.iter().map(|sequence| log.message(*sequence).is_some()).collect();
    assert_eq!(there, [false, true, true], "absent, must stay, not durable");
    assert_eq!((log.bytes(), log.bytes_in_memory(), log.count()), (30, 20, 3));
    log.put_back(sequences[0], message(b"x"));
    assert_eq!(log.bytes_in_memory(), 30);
    log.leave_memory(sequences[0]);
    sequences.iter().for_each(|sequence| log.release(*sequence));
    assert_eq!((log.bytes(), log.bytes_in_memory(), log.count()), (0, 0, 0));
    log.put_back(sequences[0], message(b"x"));
    assert_eq!(log.bytes_in_memory(), 0, "nobody waits for it any more");
}

/// The positions of ranges, in order.
fn positions(ranges: &[Range<Sequence>]) -> Vec<u64> {
    let mut all: Vec<u64> = ranges.iter().flat_map(|range| range.start.0..range.end.0).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Messages that one session holds, and the log they are in.
fn held(count: u64) -> Log {
    let mut log = Log::new(Sequence(1), 1024);
    for _ in 0..count {
        let sequence = log.reserve();
        log.hold(sequence, &message(b"x"), 1);
    }
    log
}

#[test]
fn nothing_is_said_while_the_front_moves_on() {
    let mut log = held(100_000);
    for first in (1..=100_000).step_by(100) {
        (first..first + 100).for_each(|position| log.release(Sequence(position)));
        // The front is far behind the end, and yet the first time that is looked at.
        if first > 99_000 {
            assert!(log.take_released(log.start()).is_empty());
        }
    }
}

#[test]
fn behind_a_pinned_front_each_position_is_said_once() {
    let mut log = held(3000);
    (2..=2000).for_each(|position| log.release(Sequence(position)));
    let start = log.start();
    assert_eq!(start, Sequence(1));
    let mut said = Vec::new();
    while {
        let ranges = log.take_released(start);
        said.extend(positions(&ranges));
        !ranges.is_empty()
    } {}
    assert_eq!(said, (2..=2000).collect::<Vec<_>>(), "one sweep");
    [2500, 2100, 2501].into_iter().for_each(|position| log.release(Sequence(position)));
    assert_eq!(log.take_released(start).len(), 2);
    let sequence = log.reserve();
    assert_eq!(positions(&log.take_released(start)), [sequence.0], "it waits for no session");
    assert!(log.take_released(start).is_empty());
}

#[test]
fn large_messages_pin_the_front_sooner() {
    let mut log = held(10);
    log.logged(2 * 1024 * 1024);
    log.release(Sequence(5));
    assert_eq!(positions(&log.take_released(log.start())), [5]);
    (1..=9).filter(|position| *position != 5).for_each(|position| {
        log.release(Sequence(position));
    });
    log.take_released(log.start());
    assert!(!log.released.is_pinned(log.start(), log.next()), "the bytes went with the front");
}

#[test]
fn too_much_to_note_is_found_by_the_next_sweeps() {
    let mut log = held(20_000);
    let start = log.start();
    while log.released.swept() < log.next() {
        assert!(log.take_released(start).is_empty());
    }
    (2..=20_000).step_by(2).for_each(|position| log.release(Sequence(position)));
    let mut said = Vec::new();
    for _ in 0..100 {
        let ranges = log.take_released(start);
        assert!(ranges.len() <= NOTED_AND_SWEPT_MAX, "{}", ranges.len());
        said.extend(positions(&ranges));
    }
    said.sort_unstable();
    said.dedup();
    assert_eq!(said, (2..=20_000).step_by(2).collect::<Vec<_>>());
}

#[test]
fn what_a_reader_is_done_with_is_said_again() {
    let mut log = held(2000);
    let start = log.start();
    while log.released.swept() < log.next() {
        log.take_released(start);
    }
    log.release(Sequence(1500));
    assert_eq!(positions(&log.take_released(start)), [1500]);
    log.read(Sequence(1400), Sequence(1600));
    assert_eq!(positions(&log.take_released(start)), [1500], "no session holds it");
    log.read(Sequence(2000), Sequence(2000));
    assert!(log.take_released(start).is_empty());
}

#[test]
fn a_pinned_front_keeps_no_array_behind_it() {
    let mut log = held(10);
    let slow = 50_000;
    for position in 11..1_000_000 {
        let sequence = log.reserve();
        log.hold(sequence, &message(b"x"), 1);
        if position != slow {
            log.release(sequence);
        }
    }
    assert_eq!((log.start(), log.count()), (Sequence(1), 11));
    assert!(log.chunks.len() <= 2 * GAPS_MAX, "{}", log.chunks.len());
    let holders = (1..=10).chain([slow]).map(|position| (Sequence(position), 1)).collect();
    log.check(&holders);
    (1..=10).chain([slow]).for_each(|position| log.release(Sequence(position)));
    assert_eq!(log.start(), log.next());
    log.check(&BTreeMap::new());
}

const NOTED_AND_SWEPT_MAX: usize = 4096 + SWEEP_HELD_MAX + 1;
