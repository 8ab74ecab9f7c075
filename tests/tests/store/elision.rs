//! What nobody needs any more when its group is written is not written.

use weir_core::{ConnectionId, Limits};
use weir_mqtt::{Packet, Publish};

use crate::broker::{Broker, SHARD};

/// Larger than all else that a group writes here.
const PAYLOAD: [u8; 10_000] = [7; 10_000];

/// Two kept sessions that are there, and a publisher.
fn world(limits: Limits) -> (Broker, [ConnectionId; 3]) {
    let mut broker = Broker::new(limits);
    let one = broker.connect("one", 3600);
    broker.subscribe(one, "t");
    let two = broker.connect("two", 3600);
    broker.subscribe(two, "t");
    let publisher = broker.connect("publisher", 0);
    broker.settle();
    broker.acknowledge(publisher);
    // The next group goes to an empty journal.
    broker.store.checkpoint().expect("a working disk");
    (broker, [one, two, publisher])
}

#[test]
fn a_message_that_all_have_acknowledged_before_its_group_is_not_written() {
    let (mut broker, [one, two, publisher]) = world(Limits::default());
    broker.publish(publisher, &[("t", &PAYLOAD)]);
    assert_eq!(broker.acknowledge(one), [PAYLOAD]);
    assert_eq!(broker.acknowledge(two), [PAYLOAD]);
    assert_eq!(broker.packets(publisher), 0, "its group is not written yet");
    let committed = broker.commit();
    assert!(committed.record_bytes < 200, "{committed:?}");
    assert_eq!(broker.log_records(), 0);
    assert_eq!(broker.packets(publisher), 1);
}

#[test]
fn a_message_that_one_has_not_acknowledged_is_written_for_that_one() {
    let (mut broker, [one, _, publisher]) = world(Limits::default());
    broker.publish(publisher, &[("t", &PAYLOAD)]);
    broker.acknowledge(one);
    let committed = broker.commit();
    assert!(committed.record_bytes > 10_000, "{committed:?}");
    assert_eq!(broker.log_records(), 1);
    let mut broker = broker.restart(1);
    let one = broker.connect("one", 3600);
    assert!(broker.acknowledge(one).is_empty());
    let two = broker.connect("two", 3600);
    assert_eq!(broker.acknowledge(two), [PAYLOAD]);
}

/// The front of the log does not move, so that trimming alone would not know.
#[test]
fn a_session_that_is_away_makes_no_difference_to_the_messages_of_others() {
    let limits = Limits { pinned_positions: 10, ..Limits::default() };
    let (mut broker, [one, two, publisher]) = world(limits);
    let away = broker.connect("away", 3600);
    broker.subscribe(away, "old");
    broker.leave(away);
    let pinning: Vec<(&str, &[u8])> = vec![("old", b"x"); 12];
    broker.publish(publisher, &pinning);
    broker.settle();
    assert_eq!(broker.log_records(), 12);
    for _ in 0..20 {
        broker.publish(publisher, &[("t", &PAYLOAD)]);
        assert_eq!(broker.acknowledge(one), [PAYLOAD]);
        assert_eq!(broker.acknowledge(two), [PAYLOAD]);
        let committed = broker.commit();
        assert!(committed.record_bytes < 200, "{committed:?}");
        assert_eq!(broker.log_records(), 12);
    }
    let mut broker = broker.restart(1);
    let away = broker.connect("away", 3600);
    assert_eq!(broker.acknowledge(away).len(), 12);
}

#[test]
fn a_retained_topic_that_changes_often_in_a_group_is_written_once() {
    let (mut broker, [.., publisher]) = world(Limits::default());
    let before = broker.store.stats().expect("a working disk").records;
    for number in 0..50_u8 {
        let payload = [number; 1000];
        let publish = Publish { retain: true, ..Publish::new("r", &payload) };
        broker.send(publisher, &[Packet::Publish(publish)]);
    }
    let committed = broker.commit();
    assert_eq!(committed.records, 1);
    assert!(committed.record_bytes < 1100, "{committed:?}");
    assert_eq!(broker.store.stats().expect("a working disk").records, before + 1);
    let recovered = broker.store.recover(SHARD, 0).expect("a working disk");
    assert_eq!(recovered.retained.len(), 1);
    assert_eq!(recovered.retained[0].payload(), [49; 1000]);
}

#[test]
fn a_session_that_comes_and_goes_within_a_group_is_not_written() {
    let (mut broker, _) = world(Limits::default());
    for _ in 0..3 {
        let brief = broker.dial("brief", 1);
        broker.hang_up(brief);
        broker.advance_s(1);
    }
    let committed = broker.commit();
    // Only that they are gone, for the case that a row of them is older than the group.
    assert!(committed.record_bytes <= 3 * 6, "{committed:?}");
    let recovered = broker.store.recover(SHARD, 0).expect("a working disk");
    assert_eq!(recovered.sessions.len(), 2, "those that stay");
}
