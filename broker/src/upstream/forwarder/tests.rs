use std::convert::Infallible;

use weir_mqtt::Version;

use super::*;
use crate::config::{BacklogFull, TopicTemplate};
use crate::upstream::sample;

const READER: ReaderId = ReaderId(3);
const START: Now = Now { monotonic: Instant(5_000), unix_ms: 1_800_000_000_000 };

fn options() -> ForwarderOptions {
    let to = TopicTemplate::parse("{topic}", "#").expect("a template");
    ForwarderOptions {
        name: "cloud".to_owned(),
        reader: READER,
        shard: ShardId(0),
        node: "box".to_owned(),
        routes: vec![Route { from: "#".to_owned(), to, qos: 1 }],
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
    let mut forwarder = Forwarder::new(options, Sequence(0));
    let records = (1..).zip(ages_ms).map(|(sequence, age)| record(sequence, START.unix_ms - age));
    let mut records: Vec<LogRecord> = records.collect();
    let end = Sequence(records.len() as u64);
    let read = forwarder.read(|_, _, out| {
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
