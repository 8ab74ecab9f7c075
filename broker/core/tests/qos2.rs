//! QoS 2 in both directions, without crashes; those are in `recovery.rs`.

use crate::support::*;

/// Messages that waited at the gate did not count as under way, so a client that came back had
/// its whole queue put under way at once; with more than there are packet identifiers, the core
/// panicked. [MQTT-4.9.0-1]
#[test]
fn a_long_queue_of_qos2_messages_goes_through_the_window() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    let away = world.connect(v311("away").kept());
    away.subscribe("t", QOS2);
    away.hang_up();
    for _ in 0..300 {
        publisher.publish_exactly_once("t", "x");
    }
    world.hold_commits();
    let back = world.dial(&v311("away").kept());
    world.commit();
    let put = |change: &Change| matches!(change, Change::InflightPut { .. });
    let under_way: usize = world
        .net()
        .pending
        .iter()
        .map(|batch| batch.changes.iter().filter(|c| put(c)).count())
        .sum();
    assert_eq!(under_way, 100);
    world.release_commits();
    assert!(back.expect_connack());
    assert_eq!(back.receive_all().len(), 300);
}

/// [MQTT-4.3.3-8] [MQTT-4.3.3-10] [MQTT-4.3.3-11] [MQTT-4.3.3-12], and of 3.1.1 [MQTT-4.3.3-2]
#[test]
fn a_repeated_publish_is_one_message_until_it_is_released() {
    let world = World::new();
    let subscriber = world.connect(v311("subscriber"));
    subscriber.subscribe("t", QOS0);
    for options in [v31("a").kept(), v311("b"), v5("c").kept()] {
        let publisher = world.connect(options);
        let say = |payload, dup| {
            publisher.publish_with(QOS2, "t", payload, |publish| {
                publish.packet_id = PacketId::new(5);
                publish.dup = dup;
            });
            publisher.expect(PacketKind::Pubrec, 5);
        };
        say("1", false);
        say("1", true);
        say("1", false);
        publisher.pubrel(5);
        publisher.expect(PacketKind::Pubcomp, 5);
        say("2", true);
        publisher.pubrel(5);
        publisher.expect(PacketKind::Pubcomp, 5);
        assert_eq!(subscriber.payloads(), ["1", "2"]);
    }
}

/// [MQTT-4.3.3-11] [MQTT-3.7.2-1]: a sender must be able to finish what it began.
#[test]
fn pubrel_for_an_unknown_identifier_is_answered() {
    let world = World::new();
    for options in [v31("a"), v311("b")] {
        let client = world.connect(options);
        client.pubrel(3);
        client.expect(PacketKind::Pubcomp, 3);
    }
    let client = world.connect(v5("c"));
    client.pubrel(3);
    let reason = client.expect_reason(PacketKind::Pubcomp, 3);
    assert_eq!(reason, ReasonCode::PacketIdentifierNotFound);
    client.pubrec(4);
    let reason = client.expect_reason(PacketKind::Pubrel, 4);
    assert_eq!(reason, ReasonCode::PacketIdentifierNotFound);
}

/// [MQTT-4.3.3-1] to [MQTT-4.3.3-6], and of 3.1.1 [MQTT-4.3.3-1]
#[test]
fn a_delivery_goes_through_its_four_steps_whatever_breaks_between() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    for options in [v311("a").kept(), v5("b").kept()] {
        let client = world.connect(options.clone());
        client.subscribe("t", QOS2);
        publisher.publish_exactly_once("t", "x");
        let first = client.receive();
        assert!(!first.dup);
        let client = world.connect(options.clone());
        assert_eq!(client.receive(), Received { dup: true, ..first.clone() });
        client.pubrec(first.id);
        client.expect(PacketKind::Pubrel, first.id);
        client.pubrec(first.id);
        client.expect(PacketKind::Pubrel, first.id);
        let client = world.connect(options.clone());
        client.expect(PacketKind::Pubrel, first.id);
        client.expect_nothing();
        client.pubcomp(first.id);
        let client = world.connect(options);
        client.expect_nothing();
        client.unsubscribe("t");
    }
}

/// PUBRELs first, then messages, each in their order. [MQTT-4.4.0-1]
#[test]
fn owed_pubrels_come_again_before_the_messages() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    let client = world.connect(v5("a").kept());
    client.subscribe("t", QOS2);
    for n in 0..6 {
        publisher.publish_exactly_once("t", &n.to_string());
    }
    let ids: Vec<u16> = (0..6).map(|_| client.receive().id).collect();
    for n in [0, 1, 3] {
        client.pubrec(ids[n]);
        client.expect(PacketKind::Pubrel, ids[n]);
    }
    world.crash();
    let client = world.connect(v5("a").kept());
    let mut released: Vec<u16> = Vec::new();
    for _ in 0..3 {
        released.push(client.look(|packet| match packet {
            Packet::Pubrel(pubrel) => pubrel.packet_id.get(),
            other => panic!("{other:?}"),
        }));
    }
    assert_eq!(released, [ids[0], ids[1], ids[3]]);
    for n in [2, 4, 5] {
        let again = client.receive();
        assert_eq!((again.id, again.dup, again.payload), (ids[n], true, n.to_string()));
    }
}

/// [MQTT-4.4.0-2] [MQTT-4.3.3-4]
#[test]
fn an_error_in_pubrec_ends_the_delivery() {
    let world = World::new();
    let publisher = world.connect(v5("publisher"));
    let client = world.connect(v5("a").kept());
    client.subscribe("t", QOS2);
    publisher.publish_exactly_once("t", "x");
    let id = client.receive().id;
    let refused = Acknowledge::with_reason(packet_id(id), ReasonCode::QuotaExceeded);
    client.send(Packet::Pubrec(refused));
    client.expect_nothing();
    client.hang_up();
    world.connect(v5("a").kept()).expect_nothing();
    assert_eq!(world.metrics().queued_messages, 0);
}

/// [MQTT-4.3.3-7] [MQTT-4.3.3-13]
#[test]
fn a_message_that_was_sent_does_not_expire_any_more() {
    let world = World::new();
    let publisher = world.connect(v5("publisher"));
    let client = world.connect(v5("a").kept());
    client.subscribe("t", QOS2);
    publisher.publish_with(QOS2, "t", "x", |publish| {
        publish.packet_id = PacketId::new(1);
        publish.properties.message_expiry_interval_s = Some(5);
    });
    publisher.expect(PacketKind::Pubrec, 1);
    let id = client.receive().id;
    world.advance_s(10);
    publisher.pubrel(1);
    publisher.expect(PacketKind::Pubcomp, 1);
    let client = world.connect(v5("a").kept());
    assert_eq!(client.receive().id, id);
    client.pubrec(id);
    client.expect(PacketKind::Pubrel, id);
}

/// [MQTT-4.3.3-9]
#[test]
fn after_a_refusal_the_identifier_means_a_new_message() {
    let world = World::new();
    let watcher = world.connect(v311("watcher"));
    watcher.subscribe("t", QOS0);
    let client = world.connect(v5("a"));
    for (topic, is_refused) in [("$SYS/t", true), ("t", false)] {
        client.publish_with(QOS2, topic, "x", |publish| publish.packet_id = PacketId::new(5));
        let reason = client.expect_reason(PacketKind::Pubrec, 5);
        assert_eq!(reason.is_error(), is_refused);
    }
    assert_eq!(watcher.payloads(), ["x"]);
}
