//! Messages to nodes: behaviours 12, 20, 21 and 50.

use weir_node::mqtt_sn_1_2::{Delivery, MessageId, Packet, QoS, Register, ReturnCode, TopicId};

use super::super::{Counter, Gauges};
use super::world::{
    Node, World, again, connect, normal, puback, publish, qos_1, qos_2, regack, suback, subscribe,
};

const ACCEPTED: ReturnCode = ReturnCode::Accepted;

/// A node that is subscribed to `a/#` and knows `a/x` as 1.
fn subscribed(world: &mut World) -> Node {
    let node = world.connected("n");
    world.send(&node, subscribe(1, "a/x", QoS::ExactlyOnce));
    world.send(&node, subscribe(2, "a/#", QoS::ExactlyOnce));
    world.expect(&node, &[suback(1, 1, QoS::ExactlyOnce), suback(0, 2, QoS::ExactlyOnce)]);
    node
}

fn give(world: &mut World, topic: &str, payload: &str, qos: QoS) {
    world.broker.publish_text(topic, payload, qos);
    world.run();
}

fn register(topic_id: u16, message_id: u16, topic: &str) -> Packet<'_> {
    let (topic_id, message_id) = (TopicId(topic_id), MessageId(message_id));
    Packet::Register(Register { topic_id, message_id, topic })
}

/// 12.
#[test]
fn messages_come_with_their_quality_one_at_a_time_and_in_order() {
    let mut world = World::new();
    let node = subscribed(&mut world);
    give(&mut world, "a/x", "0", QoS::AtMostOnce);
    give(&mut world, "a/x", "1", QoS::AtLeastOnce);
    give(&mut world, "a/x", "2", QoS::ExactlyOnce);
    give(&mut world, "a/x", "3", QoS::AtMostOnce);
    let first = publish(Delivery::AtMostOnce, normal(1), "0");
    world.expect(&node, &[first, publish(qos_1(1), normal(1), "1")]);
    world.send(&node, puback(1, 1, ACCEPTED));
    world.expect(&node, &[publish(qos_2(2), normal(1), "2")]);
    assert_eq!(world.gateway.gauges(), Gauges { clients: 1, sleepers: 0, queued: 2 });
    world.send(&node, Packet::Pubrec(MessageId(2)));
    world.expect(&node, &[Packet::Pubrel(MessageId(2))]);
    world.send(&node, Packet::Pubcomp(MessageId(2)));
    world.expect(&node, &[publish(Delivery::AtMostOnce, normal(1), "3")]);
    assert_eq!(world.count(Counter::Delivered), 4);
    assert_eq!(world.broker.held("n"), 0);
}

#[test]
fn what_is_not_acknowledged_is_sent_again_and_then_the_node_is_lost() {
    let mut world = World::with(|options| options.retry_ms = 1_000);
    let node = subscribed(&mut world);
    give(&mut world, "a/x", "1", QoS::AtLeastOnce);
    let (first, repeated) =
        (publish(qos_1(1), normal(1), "1"), publish(again(qos_1(1)), normal(1), "1"));
    world.advance(2_500);
    world.expect(&node, &[first, repeated, repeated]);
    world.advance(3_499);
    world.expect(&node, &[repeated; 3]);
    assert_eq!(world.availability("n"), "online");
    world.advance(1);
    world.expect(&node, &[]);
    assert_eq!(world.availability("n"), "offline");
    assert_eq!(world.count(Counter::Retries), 5);
    let event = world.broker.texts("edge/gw/n/event").concat();
    let event: serde_json::Value = serde_json::from_str(&event).unwrap();
    assert_eq!((&event["kind"], &event["count"]), (&"lost".into(), &1.into()));
}

#[test]
fn release_is_retried_until_the_node_has_completed() {
    let mut world = World::with(|options| options.retry_ms = 1_000);
    let node = subscribed(&mut world);
    give(&mut world, "a/x", "2", QoS::ExactlyOnce);
    world.send(&node, Packet::Pubrec(MessageId(1)));
    assert_eq!(world.broker.held("n"), 0, "the node has it");
    world.advance(1_000);
    world.send(&node, Packet::Pubrec(MessageId(1)));
    let release = Packet::Pubrel(MessageId(1));
    world.expect(&node, &[publish(qos_2(1), normal(1), "2"), release, release, release]);
    world.send(&node, Packet::Pubcomp(MessageId(1)));
    world.send(&node, Packet::Pubcomp(MessageId(1)));
    world.advance(10_000);
    world.expect(&node, &[]);
    assert_eq!(world.count(Counter::Unexpected), 1);
}

/// 20.
#[test]
fn topic_that_the_node_refuses_is_dropped_and_others_are_not() {
    let mut world = World::new();
    let node = subscribed(&mut world);
    give(&mut world, "a/y", "1", QoS::AtLeastOnce);
    give(&mut world, "a/x", "2", QoS::AtLeastOnce);
    give(&mut world, "a/y", "3", QoS::AtLeastOnce);
    world.expect(&node, &[register(2, 1, "a/y")]);
    world.send(&node, regack(2, 1, ReturnCode::NotSupported));
    world.expect(&node, &[publish(qos_1(2), normal(1), "2")]);
    world.send(&node, puback(1, 2, ACCEPTED));
    world.expect(&node, &[]);
    assert_eq!(world.broker.held("n"), 0);
    assert_eq!((world.count(Counter::DroppedTopic), world.count(Counter::Nacks)), (2, 1));
    let event = world.broker.texts("edge/gw/n/event").concat();
    assert!(event.contains("\"topic\""), "{event}");
}

/// 21.
#[test]
fn message_too_long_for_the_link_is_not_sent_but_counted_and_reported() {
    let mut world = World::with(|options| options.links[0].datagram_max = 20);
    let node = subscribed(&mut world);
    give(&mut world, "a/x", &"x".repeat(14), QoS::AtLeastOnce);
    give(&mut world, "a/x", &"x".repeat(14), QoS::AtMostOnce);
    give(&mut world, "a/a-topic-that-does-not-fit", "", QoS::AtLeastOnce);
    world.expect(&node, &[]);
    give(&mut world, "a/x", &"x".repeat(13), QoS::AtMostOnce);
    world.expect(&node, &[publish(Delivery::AtMostOnce, normal(1), &"x".repeat(13))]);
    assert_eq!(world.count(Counter::DroppedTooLong), 3);
    assert_eq!(world.broker.held("n"), 0);
    world.advance(10_000);
    let events = world.broker.texts("edge/gw/n/event");
    let counts: Vec<_> = events
        .iter()
        .map(|event| serde_json::from_str::<serde_json::Value>(event).unwrap()["count"].clone())
        .collect();
    assert_eq!(counts, [1, 2], "{events:?}");
}

#[test]
fn node_that_has_forgotten_an_id_is_told_it_again() {
    let mut world = World::new();
    let node = subscribed(&mut world);
    give(&mut world, "a/x", "1", QoS::AtLeastOnce);
    world.expect(&node, &[publish(qos_1(1), normal(1), "1")]);
    world.send(&node, puback(1, 1, ReturnCode::InvalidTopicId));
    world.expect(&node, &[register(1, 2, "a/x")]);
    world.send(&node, regack(1, 2, ACCEPTED));
    world.expect(&node, &[publish(qos_1(3), normal(1), "1")]);
    // And if it still does not know it, it does not get it.
    world.send(&node, puback(1, 3, ReturnCode::InvalidTopicId));
    world.expect(&node, &[]);
    assert_eq!((world.count(Counter::DroppedNack), world.broker.held("n")), (1, 0));
}

#[test]
fn congested_node_is_left_alone_for_a_while() {
    let mut world = World::with(|options| options.wait_ms = 20_000);
    let node = subscribed(&mut world);
    give(&mut world, "a/x", "1", QoS::AtLeastOnce);
    world.send(&node, puback(1, 1, ReturnCode::Congestion));
    world.advance(19_999);
    world.expect(&node, &[publish(qos_1(1), normal(1), "1")]);
    world.advance(1);
    world.expect(&node, &[publish(again(qos_1(1)), normal(1), "1")]);
}

#[test]
fn message_without_an_id_left_is_dropped_and_reported() {
    let mut world = World::with(|options| options.topic_ids_max = 1);
    let node = subscribed(&mut world);
    give(&mut world, "a/y", "1", QoS::AtLeastOnce);
    give(&mut world, "a/x", "2", QoS::AtLeastOnce);
    world.expect(&node, &[publish(qos_1(1), normal(1), "2")]);
    assert_eq!(world.count(Counter::DroppedTopic), 1);
}

#[test]
fn kept_session_goes_on_with_what_was_not_acknowledged() {
    let mut world = World::new();
    let node = world.connected_with("n", false);
    world.send(&node, subscribe(1, "t", QoS::ExactlyOnce));
    give(&mut world, "t", "1", QoS::ExactlyOnce);
    give(&mut world, "t", "2", QoS::ExactlyOnce);
    world.send(&node, Packet::Pubrec(MessageId(1)));
    world.received(&node);
    world.send(&node, Packet::Disconnect(None));
    world.received(&node);
    assert_eq!(world.broker.held("n"), 1);
    world.send(&node, connect("n", false));
    // It has the first one, and is told to let it go.
    let connack = Packet::Connack(ACCEPTED);
    world.expect(&node, &[connack, Packet::Pubrel(MessageId(1))]);
    world.send(&node, Packet::Pubcomp(MessageId(1)));
    // It may have forgotten the id since.
    world.expect(&node, &[register(1, 2, "t")]);
    world.send(&node, regack(1, 2, ACCEPTED));
    world.expect(&node, &[publish(qos_2(3), normal(1), "2")]);
    world.send(&node, Packet::Pubrec(MessageId(3)));
    world.send(&node, Packet::Pubcomp(MessageId(3)));
    // The old session had it too, and it comes once.
    world.expect(&node, &[Packet::Pubrel(MessageId(3))]);
}

/// 50.
#[test]
fn all_counters_are_exported() {
    let mut world = World::with(|options| options.metrics_interval_ms = 5_000);
    let node = subscribed(&mut world);
    world.send_bytes(&node, b"\x09\x16");
    world.advance(5_000);
    let texts = world.broker.texts("edge/gw/bridge/metrics");
    let metrics: serde_json::Value = serde_json::from_str(texts[0]).unwrap();
    assert_eq!(texts.len(), 1);
    assert_eq!(metrics["malformed"], 1);
    assert_eq!(metrics["clients"], 1);
    assert_eq!(metrics.as_object().unwrap().len(), Counter::ALL.len() + 3);
}
