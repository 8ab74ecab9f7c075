use std::convert::Infallible;

use super::*;
use crate::upstream::sample::record;

const READER: ReaderId = ReaderId(3);

/// A log, and the lanes that read it.
struct Bench {
    lanes: Lanes,
    log: Vec<LogRecord>,
    /// What is under way, by packet identifier.
    under_way: Vec<(u16, u64)>,
    last_id: u16,
}

impl Bench {
    fn new(live_first: bool) -> Self {
        let lanes = Lanes::new(READER, Sequence(0), 20, live_first);
        Self { lanes, log: Vec::new(), under_way: Vec::new(), last_id: 0 }
    }

    /// So many more messages are published.
    fn publish(&mut self, count: u64) {
        for _ in 0..count {
            let sequence = self.log.len() as u64 + 1;
            self.log.push(record(READER, sequence, b"21.5", 0));
        }
        self.read();
    }

    /// Reads while there may be something.
    fn read(&mut self) {
        let log = &self.log;
        for _ in 0..10 {
            let read = self.lanes.read(|after, _, out| {
                out.extend(log.iter().filter(|record| record.sequence > after).cloned());
                Ok::<_, Infallible>(out.last().map_or(after, |record| record.sequence))
            });
            if read == Ok(Read::Enough) && !self.lanes.is_behind() {
                return;
            }
        }
        panic!("there is no end of it");
    }

    fn connect(&mut self, places: u16) {
        self.under_way.clear();
        self.lanes.connected(places);
        self.read();
    }

    /// Sends what there is room for; answers the positions.
    fn send(&mut self) -> Vec<u64> {
        let mut sent = Vec::new();
        while let Some(which) = self.lanes.next(true) {
            let sequence = self.lanes.record(which).sequence.0;
            self.lanes.hand_over(which);
            self.last_id += 1;
            self.lanes.handle_sent(Some(self.last_id));
            self.under_way.push((self.last_id, sequence));
            sent.push(sequence);
        }
        sent
    }

    /// The far end takes the oldest messages.
    fn acknowledge(&mut self, count: usize) {
        for (id, _) in self.under_way.drain(..count) {
            assert!(self.lanes.handle_acknowledged(id));
        }
    }
}

#[test]
fn what_comes_goes_ahead_of_what_waits() {
    let mut bench = Bench::new(true);
    bench.publish(10);
    bench.connect(4);
    assert_eq!(bench.send(), [1, 2, 3, 4]);
    bench.publish(2);
    assert!(bench.send().is_empty(), "no more than the far end takes");
    bench.acknowledge(3);
    assert_eq!(bench.send(), [11, 12, 5]);
    assert_eq!(bench.lanes.done(), Sequence(3));
    assert_eq!(bench.lanes.records(), 9);
    bench.acknowledge(4);
    assert_eq!(bench.send(), [6, 7, 8, 9]);
    assert_eq!(bench.lanes.done(), Sequence(5), "not past what waits");
    bench.acknowledge(4);
    assert_eq!(bench.send(), [10]);
    bench.acknowledge(1);
    assert_eq!((bench.lanes.done(), bench.lanes.records()), (Sequence(12), 0));
    bench.publish(1);
    assert_eq!(bench.send(), [13], "one lane again");
}

#[test]
fn without_it_messages_go_in_the_order_of_the_log() {
    let mut bench = Bench::new(false);
    bench.publish(10);
    bench.connect(4);
    bench.send();
    bench.publish(2);
    bench.acknowledge(3);
    assert_eq!(bench.send(), [5, 6, 7]);
}

#[test]
fn a_backlog_that_goes_at_once_has_nothing_ahead() {
    let mut bench = Bench::new(true);
    bench.publish(4);
    bench.connect(4);
    bench.publish(1);
    assert_eq!(bench.send(), [1, 2, 3, 4]);
    bench.acknowledge(1);
    assert_eq!((bench.send(), bench.lanes.done()), (vec![5], Sequence(1)));
}

#[test]
fn what_was_not_acknowledged_is_sent_again_and_still_ahead() {
    let mut bench = Bench::new(true);
    bench.publish(6);
    bench.connect(3);
    bench.send();
    bench.acknowledge(3);
    bench.publish(2);
    assert_eq!(bench.send(), [7, 8, 4]);
    bench.lanes.disconnected();
    bench.publish(1);
    bench.connect(3);
    assert_eq!(bench.send(), [7, 8, 9]);
    bench.acknowledge(3);
    assert_eq!(bench.send(), [4, 5, 6]);
    bench.acknowledge(3);
    assert_eq!((bench.lanes.done(), bench.lanes.records()), (Sequence(9), 0));
}

#[test]
fn the_oldest_are_dropped_first() {
    let mut bench = Bench::new(true);
    bench.publish(2_000);
    bench.connect(3);
    bench.publish(10);
    let bytes = bench.lanes.bytes();
    let dropped = bench.lanes.drop_old(bytes / 2);
    assert!((1_000..2_000).contains(&dropped), "{dropped}");
    assert_eq!(bench.lanes.records(), 2_010 - dropped);
    assert_eq!(bench.send()[0], 2_001);
    let dropped = bench.lanes.drop_old(0);
    assert_eq!(bench.lanes.records(), 0, "{dropped}");
}
