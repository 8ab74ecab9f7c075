use std::convert::Infallible;

use weir_core::ShardId;
use weir_mqtt::{QoS, Version};

use super::*;
use crate::config::{BacklogFull, Priority, Route, TopicTemplate};
use crate::upstream::sample;

const READER: ReaderId = ReaderId(3);
const NORMAL: Place = Place { priority: Priority::Normal, reader: READER, done: Sequence(0) };
const HIGH: Place = Place { priority: Priority::High, reader: ReaderId(4), done: Sequence(0) };
const START: Now = Now { monotonic: Instant(5_000), unix_ms: 1_800_000_000_000 };

fn options() -> ForwarderOptions {
    let to = TopicTemplate::parse("{topic}", "#").expect("a template");
    ForwarderOptions {
        name: "cloud".to_owned(),
        shard: ShardId(0),
        node: "box".to_owned(),
        routes: vec![Route { from: "#".to_owned(), to, qos: 1, priority: Priority::Normal }],
        qos_max: QoS::ExactlyOnce,
        backlog_bytes_max: 1 << 30,
        backlog_full: BacklogFull::DropOld,
        backlog_age_max_ms: None,
        drain_rate: 0,
        live_first: false,
        window: 20,
    }
}

/// A forwarder with records that were received at these times before the start, and a connection.
fn connected(options: ForwarderOptions, ages_ms: &[u64]) -> Forwarder {
    let mut forwarder = Forwarder::new(options, vec![NORMAL]);
    let records = (1..).zip(ages_ms).map(|(sequence, age)| record(sequence, START.unix_ms - age));
    let mut records: Vec<LogRecord> = records.collect();
    let end = Sequence(records.len() as u64);
    let read = forwarder.read(|_, _, _, out| {
        out.append(&mut records);
        Ok::<_, Infallible>(end)
    });
    assert_eq!(read, Ok(Read::More));
    forwarder.connected(Peer {
        version: Version::V5,
        receive_max: u16::MAX,
        packet_bytes_max: usize::MAX,
        qos_max: QoS::ExactlyOnce,
        retain_available: true,
    });
    forwarder
}

fn record(sequence: u64, received_at_ms: u64) -> LogRecord {
    sample::record(READER, sequence, b"21.5", received_at_ms)
}

/// Sends what may go now, all of which is acknowledged; answers how many it were.
fn send(forwarder: &mut Forwarder, now: Now) -> u16 {
    let mut sent = 0;
    forwarder.send(now, |_| {
        sent += 1;
        Ok(())
    });
    (1..=sent).for_each(|id| forwarder.handle_sent(Some(id)));
    (1..=sent).for_each(|id| forwarder.handle_acknowledged(id));
    sent
}

#[test]
fn a_backlog_is_sent_at_the_rate_that_is_allowed() {
    let options = ForwarderOptions { drain_rate: 10, ..options() };
    let mut forwarder = connected(options, &[0; 40]);
    let mut now = START;
    let mut times = Vec::new();
    while forwarder.depth() > 0 {
        if send(&mut forwarder, now) > 0 {
            times.push(now.monotonic.0 - START.monotonic.0);
        }
        // Nobody looks at it earlier than it says.
        let due = forwarder.poll_timeout().unwrap_or(now.monotonic);
        let waited = due.0.saturating_sub(now.monotonic.0);
        now = Now { monotonic: due, unix_ms: now.unix_ms + waited };
        forwarder.take_turn(now.monotonic, false);
    }
    assert!((3_850..=3_900).contains(times.last().expect("they went")), "{times:?}");
    assert!(times.len() > 35, "evenly: {times:?}");
}

#[test]
fn a_refusal_without_a_packet_identifier_is_counted_and_is_of_no_record() {
    let mut forwarder = connected(options(), &[0]);
    assert_eq!(forwarder.handle_refused(None, "too large", true, START.unix_ms), Ok(()));
    assert_eq!(forwarder.figures().dropped.get("refused"), Some(&1));
    assert_eq!(forwarder.depth(), 1);
    assert!(forwarder.take_turn(START.monotonic, true).is_none(), "no dead letter");
}

#[test]
fn without_a_rate_the_window_is_the_limit() {
    let mut forwarder = connected(options(), &[0; 40]);
    assert_eq!(send(&mut forwarder, START), 20);
    assert_eq!(send(&mut forwarder, START), 20);
    assert_eq!(forwarder.depth(), 0);
}

/// Eight days without power, and the clock of the box is set after sensors have published.
#[test]
fn what_came_before_the_clock_was_set_has_no_age() {
    let options = ForwarderOptions { backlog_age_max_ms: Some(1_000), ..options() };
    let mut forwarder = connected(options, &[9_000, 8_000, 3_000, 500]);
    let wrong_ms = START.unix_ms - 9_000..START.unix_ms - 5_000;
    forwarder.distrust_clock(wrong_ms);
    forwarder.drop_aged(START.unix_ms);
    assert_eq!((send(&mut forwarder, START), forwarder.depth()), (3, 0));
    assert_eq!(forwarder.figures().dropped.get("backlog_age"), Some(&1));
}

/// Although they are in one segment of the backlog with one that is not.
#[test]
fn single_records_that_are_too_old_are_not_sent() {
    let options = ForwarderOptions { backlog_age_max_ms: Some(1_000), ..options() };
    let mut forwarder = connected(options, &[3_000, 2_000, 1_000, 0]);
    assert_eq!(send(&mut forwarder, START), 2);
    assert_eq!(forwarder.depth(), 0);
    assert_eq!(forwarder.figures().dropped.get("backlog_age"), Some(&2));
}

/// A forwarder with two priorities, and a log that both read.
struct Urgent {
    forwarder: Forwarder,
    log: Vec<LogRecord>,
    last_id: u16,
}

impl Urgent {
    fn new(window: u16) -> Self {
        let route = |from: &str, priority| Route {
            from: from.to_owned(),
            to: TopicTemplate::parse("{topic}", from).expect("a template"),
            qos: 1,
            priority,
        };
        let routes = vec![route("a", Priority::High), route("#", Priority::Normal)];
        let options = ForwarderOptions { routes, window, ..options() };
        let forwarder = Forwarder::new(options, vec![NORMAL, HIGH]);
        Self { forwarder, log: Vec::new(), last_id: 0 }
    }

    /// One more record for these readers.
    fn add(&mut self, readers: &[ReaderId]) {
        let mut added = record(self.log.len() as u64 + 1, START.unix_ms);
        let targets = readers
            .iter()
            .flat_map(|reader| sample::record(*reader, 1, b"", START.unix_ms).targets);
        added.targets = targets.collect();
        self.log.push(added);
        let (log, end) = (&self.log, Sequence(self.log.len() as u64));
        let read = self.forwarder.read(|reader, after, _, out| {
            let own = |record: &&LogRecord| {
                let is_own = |target: &weir_core::Target| {
                    target.destination == weir_core::Destination::Reader(reader)
                };
                record.sequence > after && record.targets.iter().any(is_own)
            };
            out.extend(log.iter().filter(own).cloned());
            Ok::<_, Infallible>(end)
        });
        assert!(read.is_ok());
    }

    fn connect(&mut self, receive_max: u16) {
        self.forwarder.connected(Peer {
            version: Version::V5,
            receive_max,
            packet_bytes_max: usize::MAX,
            qos_max: QoS::ExactlyOnce,
            retain_available: true,
        });
    }

    /// Sends what may go; answers the positions, which have the packet identifiers that follow.
    fn send(&mut self) -> Vec<u64> {
        let mut sent = Vec::new();
        self.forwarder.send(START, |outgoing| {
            let seq = outgoing.user_properties.iter().find(|pair| pair.0 == "seq");
            sent.push(seq.expect("each has one").1.parse().expect("a number"));
            Ok(())
        });
        for _ in &sent {
            self.last_id += 1;
            self.forwarder.handle_sent(Some(self.last_id));
        }
        sent
    }

    fn done(&self) -> Vec<(Priority, u64)> {
        self.forwarder.places().iter().map(|place| (place.priority, place.done.0)).collect()
    }
}

#[test]
fn what_is_urgent_goes_before_what_has_waited_longer() {
    let mut urgent = Urgent::new(20);
    for _ in 0..3 {
        urgent.add(&[NORMAL.reader]);
    }
    urgent.add(&[HIGH.reader]);
    urgent.connect(u16::MAX);
    assert_eq!(urgent.send(), [4, 1, 2, 3]);
    assert_eq!(urgent.done(), [(Priority::High, 0), (Priority::Normal, 0)]);
    urgent.forwarder.handle_acknowledged(1);
    assert_eq!(urgent.done(), [(Priority::High, 4), (Priority::Normal, 0)]);
    let turn = urgent.forwarder.take_turn(START.monotonic, true).expect("one is done");
    assert_eq!(turn.done, Some((HIGH.reader, Sequence(4))));
    assert!(urgent.forwarder.take_turn(START.monotonic, true).is_none());
}

#[test]
fn a_record_for_two_priorities_is_sent_and_counted_once() {
    let mut urgent = Urgent::new(20);
    urgent.add(&[NORMAL.reader, HIGH.reader]);
    urgent.add(&[NORMAL.reader]);
    urgent.add(&[NORMAL.reader, HIGH.reader]);
    let figures = urgent.forwarder.figures();
    assert_eq!((figures.depth, figures.waiting), (3, [2, 1, 0]));
    urgent.connect(u16::MAX);
    assert_eq!(urgent.send(), [1, 3, 2]);
    assert_eq!(urgent.done(), [(Priority::High, 0), (Priority::Normal, 1)]);
    (1..=3).for_each(|id| urgent.forwarder.handle_acknowledged(id));
    assert_eq!(urgent.done(), [(Priority::High, 3), (Priority::Normal, 3)]);
    assert_eq!(urgent.forwarder.figures().acknowledged, 3);
    urgent.add(&[NORMAL.reader, HIGH.reader]);
    assert_eq!(urgent.send(), [4]);
}

#[test]
fn all_priorities_together_take_no_more_places_than_the_far_end_has() {
    let mut urgent = Urgent::new(20);
    for reader in [NORMAL.reader, NORMAL.reader, HIGH.reader, HIGH.reader] {
        urgent.add(&[reader]);
    }
    urgent.connect(4);
    assert_eq!(urgent.send(), [3, 4, 1], "a place is left for what is not a record");
    urgent.add(&[HIGH.reader]);
    assert_eq!(urgent.send(), [] as [u64; 0]);
    urgent.forwarder.handle_acknowledged(3);
    assert_eq!(urgent.send(), [5], "urgent, as soon as there is a place");
    urgent.forwarder.disconnected();
    urgent.connect(u16::MAX);
    assert_eq!(urgent.send(), [3, 4, 5, 2], "what was not acknowledged, again");
}

#[test]
fn of_what_is_not_in_the_log_each_message_is_sent_once() {
    let mut urgent = Urgent::new(20);
    urgent.connect(u16::MAX);
    let mut records = Records::default();
    records.push(None, &record(1, START.unix_ms).message.parts());
    let mut given = vec![(Priority::Normal, records.clone()), (Priority::High, records)];
    let mut topics = Vec::new();
    urgent.forwarder.send_live(
        START.unix_ms,
        || given.pop(),
        |outgoing| {
            topics.push(outgoing.topic);
            Ok(())
        },
    );
    assert_eq!(topics, ["a"]);
}
