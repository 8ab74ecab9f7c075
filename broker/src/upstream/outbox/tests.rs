use std::convert::Infallible;

use super::*;
use crate::upstream::sample;

const READER: ReaderId = ReaderId(3);

/// A log with one record of `bytes` payload bytes at each even position.
struct FakeLog {
    records: Vec<LogRecord>,
}

impl FakeLog {
    fn new(count: u64, bytes: usize) -> Self {
        Self { records: (1..=count).map(|n| record(2 * n, bytes, n % 2 == 0)).collect() }
    }

    fn read(
        &self,
        after: Sequence,
        bytes_max: usize,
        out: &mut Vec<LogRecord>,
    ) -> Result<Sequence, Infallible> {
        let (mut scanned, mut bytes) = (after, 0);
        for record in self.records.iter().filter(|record| record.sequence > after) {
            if bytes > 0 && bytes + record.message.len() > bytes_max {
                break;
            }
            bytes += record.message.len();
            scanned = record.sequence;
            out.push(record.clone());
        }
        Ok(scanned)
    }

    fn read_all(&self, outbox: &mut Outbox, sender: &mut Sender) {
        let read = |after, bytes, out: &mut Vec<LogRecord>| self.read(after, bytes, out);
        while outbox.read(sender, read) == Ok(Read::More) {}
    }
}

fn record(sequence: u64, bytes: usize, routed: bool) -> LogRecord {
    let mut record = sample::record(READER, sequence, &vec![0; bytes], 0);
    if !routed {
        record.targets[0].subscription_identifiers.clear();
    }
    record
}

fn settle(outbox: &mut Outbox, sender: &mut Sender) {
    sender.drain_settled().for_each(|(sequence, bytes)| outbox.settle(sequence, bytes));
}

/// Sends and acknowledges everything; answers the positions.
fn drain(log: &FakeLog, outbox: &mut Outbox, sender: &mut Sender) -> Vec<u64> {
    let mut sent = Vec::new();
    sender.connected(u16::MAX);
    loop {
        log.read_all(outbox, sender);
        let Some(next) = sender.next() else { return sent };
        sent.push(next.sequence.0);
        sender.hand_over();
        sender.handle_sent(Some(1));
        assert!(sender.handle_acknowledged(1));
        settle(outbox, sender);
    }
}

#[test]
fn a_long_backlog_is_counted_in_full_and_read_in_part() {
    let log = FakeLog::new(5_000, 200);
    let (mut outbox, mut sender) = (Outbox::new(READER, Sequence(0)), Sender::new(Sequence(0), 20));
    log.read_all(&mut outbox, &mut sender);
    assert_eq!(outbox.records(), 5_000);
    assert!(sender.has_ahead(AHEAD_BYTES));
    let bytes = log.records[0].message.len() as u64;
    assert_eq!(outbox.bytes(), 5_000 * bytes);
    let sent = drain(&log, &mut outbox, &mut sender);
    assert_eq!(sent, (1..=5_000).map(|n| 2 * n).collect::<Vec<_>>());
    assert_eq!((outbox.records(), outbox.bytes()), (0, 0));
    assert!(outbox.segments.is_empty());
}

#[test]
fn reading_goes_on_after_the_stored_cursor() {
    let log = FakeLog::new(10, 10);
    let (mut outbox, mut sender) =
        (Outbox::new(READER, Sequence(13)), Sender::new(Sequence(13), 20));
    assert_eq!(drain(&log, &mut outbox, &mut sender), [14, 16, 18, 20]);
}

#[test]
fn a_record_that_a_rule_sent_is_told_from_a_routed_one() {
    let log = FakeLog::new(2, 10);
    let (mut outbox, mut sender) = (Outbox::new(READER, Sequence(0)), Sender::new(Sequence(0), 2));
    log.read_all(&mut outbox, &mut sender);
    sender.connected(2);
    assert_eq!(sender.next().map(|record| record.routed), Some(false));
    sender.skip();
    assert_eq!(sender.next().map(|record| record.routed), Some(true));
}

#[test]
fn too_long_a_backlog_loses_its_oldest_records_and_counts_them() {
    let log = FakeLog::new(5_000, 200);
    let (mut outbox, mut sender) = (Outbox::new(READER, Sequence(0)), Sender::new(Sequence(0), 20));
    log.read_all(&mut outbox, &mut sender);
    let dropped = outbox.drop_old(&mut sender, 100_000);
    settle(&mut outbox, &mut sender);
    assert!(outbox.bytes() <= 100_000 && outbox.bytes() > 100_000 - 2 * SEGMENT_BYTES);
    assert_eq!(outbox.records() + dropped, 5_000);
    assert_eq!(sender.done(), Sequence(2 * dropped));
    let sent = drain(&log, &mut outbox, &mut sender);
    assert_eq!(sent.first(), Some(&(2 * dropped + 2)));
    assert_eq!(sent.len() as u64 + dropped, 5_000);
    assert_eq!((outbox.records(), outbox.bytes()), (0, 0));
}

#[test]
fn what_is_under_way_is_not_dropped() {
    let log = FakeLog::new(1_000, 200);
    let (mut outbox, mut sender) = (Outbox::new(READER, Sequence(0)), Sender::new(Sequence(0), 2));
    log.read_all(&mut outbox, &mut sender);
    sender.connected(2);
    for packet_id in [1, 2] {
        sender.hand_over();
        sender.handle_sent(Some(packet_id));
    }
    let dropped = outbox.drop_old(&mut sender, 64_000);
    settle(&mut outbox, &mut sender);
    assert_eq!(sender.done(), Sequence(0));
    assert!(sender.handle_acknowledged(1) && sender.handle_acknowledged(2));
    settle(&mut outbox, &mut sender);
    assert_eq!(sender.done(), Sequence(2 * (dropped + 2)));
    assert_eq!(drain(&log, &mut outbox, &mut sender).len() as u64 + dropped + 2, 1_000);
    assert_eq!(outbox.records(), 0);
}

/// By segments, of which the newest record counts; what came before 2020 has no age.
#[test]
fn what_has_waited_too_long_is_dropped() {
    const YEAR_2026_MS: u64 = 1_767_225_600_000;
    let aged = |sequence: u64, at: u64| sample::record(READER, sequence, &[0; 10_000], at);
    let times = [0, 1_000, 2_000, 3_000, 4_000, 5_000].map(|ms| YEAR_2026_MS + ms);
    let records = (1..).zip(times).map(|(n, at)| aged(n, at)).collect();
    let (mut outbox, mut sender) = (Outbox::new(READER, Sequence(0)), Sender::new(Sequence(0), 20));
    FakeLog { records }.read_all(&mut outbox, &mut sender);
    let (max_ms, at) = (10_000, |ms| YEAR_2026_MS + ms);
    let age = &MaxAge { max_ms, wrong_ms: 0..0 };
    assert_eq!(outbox.drop_aged(&mut sender, age, at(11_000)), 0, "the newer one is not over");
    assert_eq!(outbox.drop_aged(&mut sender, age, at(11_001)), 2);
    assert_eq!(outbox.drop_aged(&mut sender, age, at(5_000)), 0, "the clock was set back");
    assert_eq!((outbox.records(), outbox.drop_aged(&mut sender, age, u64::MAX)), (4, 4));
    let records = vec![aged(20, 5_000)];
    FakeLog { records }.read_all(&mut outbox, &mut sender);
    assert_eq!((outbox.drop_aged(&mut sender, age, u64::MAX), outbox.records()), (0, 1));
}
