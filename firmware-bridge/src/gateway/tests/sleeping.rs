//! Sleepers: behaviours 23 to 26.

use weir_node::mqtt_sn_1_2::{Delivery, MessageId, Packet, QoS, ReturnCode};

use super::super::{Counter, NodeOptions, SleepPolicy};
use super::world::{
    Node, World, again, connect, connect_with_will, normal, puback, publish, qos_1, qos_2, suback,
    subscribe, will_topic,
};

const ACCEPTED: ReturnCode = ReturnCode::Accepted;

/// A node that is subscribed to `t` and sleeps for ten minutes.
fn asleep(world: &mut World, clean_session: bool) -> Node {
    let node = world.connected_with("n", clean_session);
    world.send(&node, subscribe(1, "t", QoS::ExactlyOnce));
    world.expect(&node, &[suback(1, 1, QoS::ExactlyOnce)]);
    world.send(&node, Packet::Disconnect(Some(600)));
    world.expect(&node, &[Packet::Disconnect(None)]);
    node
}

fn give(world: &mut World, payload: &str, qos: QoS) {
    world.broker.publish_text("t", payload, qos);
    world.run();
}

/// Acknowledges messages of QoS 1 until there are none, and gives them.
fn collect(world: &mut World, node: &Node) -> Vec<String> {
    let mut payloads = Vec::new();
    world.send(node, Packet::Pingreq(Some("n")));
    loop {
        let received = world.received(node);
        if received.is_empty() {
            world.advance(10);
            continue;
        }
        for bytes in received {
            match Packet::decode(&bytes).unwrap() {
                Packet::Publish(publish) => {
                    payloads.push(String::from_utf8(publish.payload.to_vec()).unwrap());
                    if let Delivery::AtLeastOnce { message_id, .. } = publish.delivery {
                        world.send(node, puback(1, message_id.0, ACCEPTED));
                    }
                }
                Packet::Pingresp => return payloads,
                other => panic!("{other:?}"),
            }
        }
    }
}

/// 23 and 24.
#[test]
fn sleeper_gets_its_messages_in_order_when_it_asks_and_then_an_answer() {
    let mut world = World::new();
    let node = asleep(&mut world, true);
    assert_eq!(world.availability("n"), "sleeping");
    assert_eq!(world.gateway.gauges().sleepers, 1);
    for text in ["1", "2"] {
        give(&mut world, text, QoS::AtLeastOnce);
    }
    give(&mut world, "3", QoS::ExactlyOnce);
    give(&mut world, "4", QoS::AtMostOnce);
    world.advance(100_000);
    world.expect(&node, &[]);
    world.send(&node, Packet::Pingreq(Some("n")));
    world.expect(&node, &[publish(qos_1(1), normal(1), "1")]);
    world.send(&node, puback(1, 1, ACCEPTED));
    world.expect(&node, &[publish(qos_1(2), normal(1), "2")]);
    world.send(&node, puback(1, 2, ACCEPTED));
    world.expect(&node, &[publish(qos_2(3), normal(1), "3")]);
    world.send(&node, Packet::Pubrec(MessageId(3)));
    world.send(&node, Packet::Pubcomp(MessageId(3)));
    let last = publish(Delivery::AtMostOnce, normal(1), "4");
    world.expect(&node, &[Packet::Pubrel(MessageId(3)), last]);
    world.advance(100);
    world.expect(&node, &[Packet::Pingresp]);
    // It sleeps again.
    give(&mut world, "5", QoS::AtLeastOnce);
    world.expect(&node, &[]);
    assert_eq!(world.availability("n"), "sleeping");
}

/// 24.
#[test]
fn sleeper_without_messages_is_answered_at_once() {
    let mut world = World::new();
    let node = asleep(&mut world, true);
    world.send(&node, Packet::Pingreq(Some("n")));
    world.expect(&node, &[Packet::Pingresp]);
    // Without its name it does not ask for messages.
    give(&mut world, "1", QoS::AtLeastOnce);
    world.send(&node, Packet::Pingreq(None));
    world.expect(&node, &[Packet::Pingresp]);
}

/// 23 and 24. More than the session hands over at a time.
#[test]
fn messages_of_a_sleeper_wait_at_the_broker() {
    let mut world = World::new();
    let node = asleep(&mut world, false);
    for number in 0..1_000 {
        give(&mut world, &number.to_string(), QoS::AtLeastOnce);
    }
    assert_eq!(world.broker.held("n"), 1_000);
    assert!(world.gateway.gauges().queued <= 16);
    let expected: Vec<_> = (0..1_000).map(|number| number.to_string()).collect();
    assert_eq!(collect(&mut world, &node), expected);
    assert_eq!(world.broker.held("n"), 0);
}

#[test]
fn sleeper_is_not_kept_awake_for_ever() {
    let mut world = World::with(|options| options.messages_per_wake = 2);
    let node = asleep(&mut world, true);
    for number in 0..5 {
        give(&mut world, &number.to_string(), QoS::AtLeastOnce);
    }
    assert_eq!(collect(&mut world, &node), ["0", "1"]);
    assert_eq!(collect(&mut world, &node), ["2", "3"]);
    assert_eq!(collect(&mut world, &node), ["4"]);
}

#[test]
fn sleeper_that_falls_silent_while_it_collects_loses_nothing() {
    let mut world = World::with(|options| {
        options.retry_ms = 1_000;
        options.retries = 1;
    });
    let node = asleep(&mut world, true);
    give(&mut world, "1", QoS::AtLeastOnce);
    world.send(&node, Packet::Pingreq(Some("n")));
    world.advance(5_000);
    let (first, repeated) =
        (publish(qos_1(1), normal(1), "1"), publish(again(qos_1(1)), normal(1), "1"));
    world.expect(&node, &[first, repeated]);
    assert_eq!(world.availability("n"), "sleeping");
    world.send(&node, Packet::Pingreq(Some("n")));
    world.expect(&node, &[repeated]);
    world.send(&node, puback(1, 1, ACCEPTED));
    world.advance(100);
    world.expect(&node, &[Packet::Pingresp]);
    assert_eq!(world.broker.held("n"), 0);
}

#[test]
fn sleeper_that_connects_is_awake_for_good() {
    let mut world = World::new();
    let node = asleep(&mut world, false);
    give(&mut world, "1", QoS::AtLeastOnce);
    world.send(&node, connect("n", false));
    // It knows the id since before it slept.
    world.expect(&node, &[Packet::Connack(ACCEPTED), publish(qos_1(1), normal(1), "1")]);
    assert_eq!(world.availability("n"), "online");
}

/// 21. It would take memory for as long as the node sleeps.
#[test]
fn message_too_long_for_the_link_does_not_wait_for_a_sleeper() {
    let mut world = World::new();
    let node = asleep(&mut world, true);
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        give(&mut world, &"x".repeat(100_000), qos);
    }
    assert_eq!((world.gateway.gauges().queued, world.broker.held("n")), (0, 0));
    assert_eq!(world.count(Counter::DroppedTooLong), 3);
    assert_eq!(collect(&mut world, &node), [""; 0]);
}

/// 25.
#[test]
fn sleeper_silent_beyond_its_time_and_tolerance_is_lost() {
    for (tolerance, lost_after_ms) in [(None, 660_000), (Some(200), 1_800_000)] {
        let mut world = World::with(|options| {
            let sleep_tolerance_pct = tolerance;
            let node = NodeOptions { sleep_tolerance_pct, ..NodeOptions::default() };
            options.nodes.insert("n".into(), node);
        });
        let node = world.node(1);
        world.send(&node, connect_with_will("n", true));
        world.send(&node, Packet::WillTopic(Some(will_topic("w"))));
        world.send(&node, Packet::WillMsg(b"dead"));
        world.send(&node, Packet::Disconnect(Some(600)));
        world.advance(lost_after_ms - 1);
        world.send(&node, Packet::Pingreq(Some("n")));
        world.advance(lost_after_ms - 1);
        assert!(world.broker.texts("w").is_empty());
        assert_eq!(world.availability("n"), "sleeping");
        world.advance(1);
        assert_eq!(world.broker.texts("w"), ["dead"]);
        assert_eq!(world.availability("n"), "offline");
    }
}

/// 26.
#[test]
fn messages_of_qos_0_beyond_the_cap_are_dropped_by_policy_and_counted() {
    for (policy, expected) in [
        (SleepPolicy::DropOldest, ["kept", "2", "3"]),
        (SleepPolicy::KeepOldest, ["kept", "0", "1"]),
    ] {
        let mut world = World::with(|options| {
            options.sleep_queue_max = 2;
            options.sleep_policy = policy;
        });
        let node = asleep(&mut world, true);
        give(&mut world, "kept", QoS::AtLeastOnce);
        for number in 0..4 {
            give(&mut world, &number.to_string(), QoS::AtMostOnce);
        }
        assert_eq!(world.count(Counter::DroppedOverflow), 2);
        assert_eq!(collect(&mut world, &node), expected);
        let events = world.broker.texts("edge/gw/n/event").concat();
        assert!(events.contains("overflow"), "{events}");
    }
}
