//! QoS 1 in both directions.

use crate::support::*;

/// [MQTT-2.2.1-5] [MQTT-4.3.2-4] [MQTT-4.3.2-5]
#[test]
fn each_publish_is_acknowledged_by_its_identifier_and_is_a_new_message() {
    let world = World::new();
    let subscriber = world.connect(v311("subscriber"));
    subscriber.subscribe("t", QOS1);
    for options in [v31("a"), v311("b"), v5("c")] {
        let publisher = world.connect(options);
        for dup in [false, true] {
            publisher.publish_with(QOS1, "t", "x", |publish| {
                publish.packet_id = PacketId::new(77);
                publish.dup = dup;
            });
            publisher.expect(PacketKind::Puback, 77);
            let received = subscriber.receive_and_acknowledge();
            assert!(!received.dup, "[MQTT-3.3.1-3]");
        }
    }
}

/// [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.2-2]
#[test]
fn identifiers_start_at_one_and_are_not_used_twice_at_a_time() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    let subscriber = world.connect(v311("subscriber"));
    subscriber.subscribe("t", QOS2);
    for n in 1..=20 {
        publisher.publish_acknowledged_at(if n % 2 == 0 { QOS1 } else { QOS2 }, "t", "x");
        let received = subscriber.receive();
        assert_eq!((received.id, received.dup), (n, false));
    }
}

/// [MQTT-4.3.2-3] [MQTT-4.4.0-1] [MQTT-3.3.1-1], and of 3.1.1 [MQTT-2.3.1-4] [MQTT-4.6.0-6]
#[test]
fn what_was_not_acknowledged_comes_again_in_order_and_only_on_a_new_connection() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    for options in [v311("a").kept(), v5("b").kept()] {
        let first = world.connect(options.clone());
        first.subscribe("t", QOS1);
        for n in 1..=4 {
            publisher.publish_acknowledged("t", &n.to_string());
        }
        let sent: Vec<Received> = (0..4).map(|_| first.receive()).collect();
        first.puback(sent[1].id);
        world.advance_s(3600 * 24);
        first.expect_nothing();
        first.hang_up();
        let again = world.connect(options);
        for expected in [&sent[0], &sent[2], &sent[3]] {
            assert_eq!(again.receive(), Received { dup: true, ..expected.clone() });
        }
        again.expect_nothing();
        again.puback(sent[0].id);
        again.puback(sent[2].id);
        again.puback(sent[3].id);
        again.unsubscribe("t");
    }
    assert_eq!(world.metrics().queued_messages, 0);
}

/// [MQTT-4.4.0-2] and [MQTT-3.4.2-1]
#[test]
fn a_refusal_by_the_receiver_ends_the_delivery() {
    let world = World::new();
    let publisher = world.connect(v5("publisher"));
    let subscriber = world.connect(v5("subscriber").kept().receive_max(1));
    subscriber.subscribe("t", QOS1);
    publisher.publish_acknowledged("t", "1");
    publisher.publish_acknowledged("t", "2");
    let first = subscriber.receive();
    let refused = Acknowledge::with_reason(packet_id(first.id), ReasonCode::NotAuthorized);
    subscriber.send(Packet::Puback(refused));
    assert_eq!(subscriber.receive_and_acknowledge().payload, "2");
    subscriber.hang_up();
    world.connect(v5("subscriber").kept()).expect_nothing();
}

/// Acknowledgements of what was never sent change nothing.
#[test]
fn acknowledgements_for_unknown_identifiers_do_no_harm() {
    let world = World::new();
    let publisher = world.connect(v5("publisher"));
    let subscriber = world.connect(v5("subscriber").kept());
    subscriber.subscribe("t", QOS1);
    subscriber.puback(9);
    subscriber.pubcomp(9);
    publisher.publish_acknowledged("t", "x");
    let received = subscriber.receive();
    subscriber.pubcomp(received.id);
    subscriber.hang_up();
    assert_eq!(world.connect(v5("subscriber").kept()).payloads(), ["x"]);
}

/// A user sees that nobody listens.
#[test]
fn a_message_for_nobody_says_so() {
    let world = World::new();
    let new = world.connect(v5("new"));
    new.publish(QOS1, "t", "x");
    assert_eq!(new.expect_reason(PacketKind::Puback, 1), ReasonCode::NoMatchingSubscribers);
    new.publish(QOS2, "t", "x");
    assert_eq!(new.expect_reason(PacketKind::Pubrec, 2), ReasonCode::NoMatchingSubscribers);
    world.connect(v311("old")).publish_acknowledged("t", "x");
}

/// `$SYS` and the like belong to the broker; 3.x has no way to be told.
#[test]
fn a_client_cannot_publish_to_topics_of_the_broker() {
    let world = World::new();
    let watcher = world.connect(v311("watcher"));
    watcher.subscribe("$SYS/#", QOS2);
    let new = world.connect(v5("new"));
    for n in 0..30 {
        new.publish_retained(QOS1, "$SYS/x", "mine");
        let refused = ReasonCode::NotAuthorized;
        assert_eq!(new.expect_reason(PacketKind::Puback, 2 * n + 1), refused);
        let id = new.publish(QOS2, "$SYS/x", "mine");
        assert_eq!(new.expect_reason(PacketKind::Pubrec, id), refused);
    }
    new.publish(QOS0, "$SYS/x", "mine");
    let old = world.connect(v311("old"));
    old.publish_acknowledged("$SYS/x", "mine");
    old.publish_exactly_once("$SYS/x", "mine");
    watcher.expect_nothing();
    assert_eq!(world.metrics().retained, 0);
}
