use weir_core::{Links, MessageParts, ReaderId};
use weir_mqtt::{PacketId, QoS};

use super::*;

const SHARD: ShardId = ShardId(0);
const SESSION: SessionId = SessionId(1);

fn message(topic: &str) -> Message {
    let parts = MessageParts {
        qos: QoS::AtLeastOnce,
        retain: false,
        expires_at_ms: None,
        received_at_ms: 0,
        publisher: "",
        topic,
        properties: &[],
        payload: b"1",
    };
    Message::new(&parts, &mut Vec::new())
}

fn batch(log_start: u64, changes: Vec<Change>) -> Batch {
    Batch {
        shard: SHARD,
        number: 1,
        changes,
        log_start: Sequence(log_start),
        is_awaited: true,
        links: Links::default(),
    }
}

fn target(destination: Destination) -> Target {
    let subscription_identifiers = smallvec::smallvec![];
    let qos = QoS::AtLeastOnce;
    Target { destination, qos, retain: false, packet_id: None, subscription_identifiers }
}

fn appended(sequence: u64) -> Change {
    let targets = smallvec::smallvec![target(Destination::Session(SESSION))];
    Change::LogAppended { sequence: Sequence(sequence), message: message("t"), targets }
}

fn put(number: u16) -> Change {
    let packet_id = PacketId::new(number).expect("not zero");
    Change::InflightPut { session: SESSION, packet_id, state: InflightState::Released }
}

#[test]
fn the_last_change_of_a_topic_counts() {
    let batches = [
        batch(0, vec![Change::RetainedPut { message: message("a") }]),
        batch(0, vec![Change::RetainedPut { message: message("b") }]),
        batch(0, vec![Change::RetainedRemoved { topic: "a".into() }]),
    ];
    let group = Group::of(&batches);
    let retained: Vec<_> =
        group.retained.iter().map(|(topic, message)| (*topic, message.is_some())).collect();
    assert_eq!(retained, [("a", false), ("b", true)]);
}

#[test]
fn a_message_that_nobody_needs_any_more_is_not_logged() {
    let batches = [batch(1, vec![appended(1), appended(2)]), batch(2, vec![])];
    let group = Group::of(&batches);
    let logged: Vec<_> = group.logged.iter().map(|logged| logged.sequence).collect();
    assert_eq!(logged, [Sequence(2)]);
    assert_eq!(group.log_starts[&SHARD].next, Sequence(3));
}

#[test]
fn the_end_of_a_session_takes_what_was_before_and_leaves_what_comes_after() {
    let batches = [
        batch(0, vec![put(1), put(2)]),
        batch(0, vec![Change::SessionRemoved { session: SESSION }, put(2), put(3)]),
    ];
    let group = Group::of(&batches);
    let left: Vec<_> = group.inflight.iter().map(|(key, _)| key[6]).collect();
    assert_eq!(left, [2, 3]);
    assert_eq!(group.removed_sessions, [session_key(SHARD, SESSION)]);
}

#[test]
fn a_snapshot_takes_the_deltas_before_it() {
    let delta = |byte| Change::RuleDelta { delta: vec![byte] };
    let snapshot = Change::RuleSnapshot { shards: vec![vec![9]] };
    let batches = [batch(0, vec![delta(1), snapshot, delta(2)]), batch(0, vec![delta(3)])];
    let group = Group::of(&batches);
    assert_eq!(group.rule_snapshot, Some(&[vec![9]][..]));
    assert_eq!(group.rule_deltas, [&[2][..], &[3]]);
}

#[test]
fn several_changes_of_a_retained_topic_are_one_record() {
    let put = || Change::RetainedPut { message: message("a") };
    let batches = [batch(0, vec![put(), put()]), batch(0, vec![put()])];
    assert_eq!(Group::of(&batches).records(), 1);
}

/// What is held in memory is no part of what is written.
#[test]
fn what_is_held_makes_no_record() {
    let held = Change::MessageHeld {
        sequence: Sequence(1),
        message: message("t"),
        targets: smallvec::smallvec![target(Destination::Reader(ReaderId(1)))],
    };
    let released = Change::HeldReleased { sequences: vec![Sequence(1)] };
    let reserved = |end| Change::PositionsReserved { end: Sequence(end) };
    assert_eq!(Group::of(&[batch(1, vec![held.clone(), released])]).records(), 0);
    let batches = [batch(1, vec![reserved(70), held]), batch(1, vec![reserved(60)])];
    let group = Group::of(&batches);
    assert_eq!((group.records(), group.reserved[&SHARD]), (1, Sequence(70)));
}

#[test]
fn what_is_left_of_a_group_comes_to_the_same_group() {
    let other = ShardId(1);
    let batches = [
        batch(1, vec![put(1), put(2), Change::RetainedPut { message: message("a") }]),
        batch(
            1,
            vec![
                Change::SessionRemoved { session: SESSION },
                put(2),
                Change::InflightRemoved {
                    session: SESSION,
                    packet_id: PacketId::new(3).expect("not zero"),
                },
                Change::RuleDelta { delta: vec![1] },
                appended(1),
            ],
        ),
        Batch { shard: other, ..batch(1, vec![appended(1), appended(2)]) },
        batch(2, vec![Change::RetainedRemoved { topic: "a".into() }, appended(2)]),
    ];
    let group = Group::of(&batches);
    let left = group.to_batches();
    let again = Group::of(&left);
    assert_eq!(format!("{again:?}"), format!("{group:?}"));
    assert_eq!(again.to_batches(), left);
    let changes: usize = left.iter().map(|batch| batch.changes.len()).sum();
    assert_eq!((left.len(), changes), (2, group.records()));
}
