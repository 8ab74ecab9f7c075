//! The bounds of the core and of its clients.

use crate::support::*;

/// A message that the client would not take kept its place in the window for ever, so that after
/// as many as the window has places nothing arrived any more. One that was too large by no more
/// than its packet identifier did the same out of the queue. [MQTT-3.1.2-24] [MQTT-3.1.2-25]
#[test]
fn a_message_too_large_for_the_client_is_dropped_as_if_delivered() {
    for (qos, queued) in [(QOS1, false), (QOS2, false), (QOS1, true), (QOS2, true)] {
        let world = World::new();
        let publisher = world.connect(v5("publisher"));
        let options = || v5("small").kept().packet_max(60).receive_max(2);
        let small = world.connect(options());
        small.subscribe("t", qos);
        if queued {
            small.hang_up();
        }
        // Header, topic, identifier and the length of properties take 8 bytes.
        for length in [53, 54, 55, 100, 300] {
            publisher.publish_acknowledged_at(qos, "t", &"x".repeat(length));
        }
        publisher.publish_acknowledged_at(qos, "t", &"x".repeat(52));
        let small = if queued { world.connect(options()) } else { small };
        let lengths: Vec<usize> = small.payloads().iter().map(String::len).collect();
        assert_eq!(lengths, [52], "{qos:?} queued: {queued}");
        assert_eq!(world.metrics().drops.too_large, 5);
        assert_eq!(world.metrics().queued_messages, 0);
    }
}

/// Coming back with a smaller maximum packet size is no reason to break it.
/// [MQTT-3.1.2-24]
#[test]
fn a_message_that_became_too_large_is_not_sent_again() {
    let world = World::new();
    let publisher = world.connect(v5("publisher"));
    let first = world.connect(v5("a").kept());
    first.subscribe("t", QOS1);
    publisher.publish_acknowledged("t", &"x".repeat(100));
    publisher.publish_acknowledged("t", "short");
    first.hang_up();
    let again = world.connect(v5("a").kept().packet_max(50).receive_max(1));
    assert_eq!(again.payloads(), ["short"]);
    assert_eq!(world.metrics().queued_messages, 0);
}

/// A SUBACK could be longer than the client takes. [MQTT-3.1.2-24]
#[test]
fn an_answer_too_long_for_the_client_is_not_sent() {
    let world = World::new();
    let client = world.connect(v5("a").packet_max(60));
    let filters: Vec<String> = (0..60).map(|n| format!("t/{n}")).collect();
    let filters: Vec<SubscribeFilter<'_>> = filters
        .iter()
        .map(|filter| SubscribeFilter {
            filter: TopicFilter::parse(filter).unwrap(),
            options: SubscriptionOptions::default(),
        })
        .collect();
    client.send(Packet::Subscribe(Subscribe {
        packet_id: packet_id(1),
        properties: Default::default(),
        filters: filters.as_slice().into(),
    }));
    client.expect_disconnected(ReasonCode::PacketTooLarge);
    world.dial(&v5("b").packet_max(20)).expect_refused(ReasonCode::PacketTooLarge);
}

/// A client that takes less than the five bytes of a refusal was sent them nevertheless.
/// [MQTT-3.1.2-24]
#[test]
fn a_client_that_takes_no_connack_gets_none() {
    let world = World::new();
    world.dial(&v5("a").packet_max(5)).expect_refused(ReasonCode::PacketTooLarge);
    world.dial(&v5("a").packet_max(4)).expect_closed();
}

/// The refusal is the one that the documentation names.
#[test]
fn past_the_limit_of_connections_a_client_is_refused() {
    let world = World::with_limits(Limits { connections_max: 1, ..Limits::default() });
    let first = world.connect(v5("a"));
    world.dial(&v5("b")).expect_refused(ReasonCode::QuotaExceeded);
    world.dial(&v311("c")).expect_refused(ReasonCode::ServerUnavailable);
    first.ping();
    first.disconnect();
    world.connect(v5("b"));
}

/// Answers to a client that does not read were buffered without a bound.
#[test]
fn a_client_that_asks_and_never_reads_is_disconnected() {
    let limits = Limits { send_buffer_bytes_max: 100, packet_bytes_max: 100, ..Limits::default() };
    let world = World::with_limits(limits);
    let client = world.connect(v311("a"));
    client.stall();
    for _ in 0..150 {
        client.ping();
    }
    assert!(!client.is_closed());
    client.ping();
    assert!(client.is_closed());
    assert_eq!(world.metrics().connections, 0);
}

/// A message that can never fit emptied the whole queue first.
#[test]
fn a_message_larger_than_the_queue_does_not_push_the_others_out() {
    let limits =
        Limits { queued_bytes_max: 200, queue_full: QueueFull::DropOld, ..Limits::default() };
    let world = World::with_limits(limits);
    let publisher = world.connect(v311("publisher"));
    let away = world.connect(v311("away").kept());
    away.subscribe("t", QOS1);
    away.hang_up();
    publisher.publish_acknowledged("t", "small");
    publisher.publish_acknowledged("t", &"x".repeat(300));
    assert_eq!(world.connect(v311("away").kept()).payloads(), ["small"]);
    assert_eq!(world.metrics().drops.queue_full, 1);
}

/// [MQTT-3.3.4-7] [MQTT-3.2.2-7]
#[test]
fn a_client_past_the_receive_maximum_is_disconnected() {
    let world = World::with_limits(Limits { inflight_messages_max: 3, ..Limits::default() });
    let keeper = world.connect(v311("keeper").kept());
    keeper.subscribe("t", QOS1);
    let client = world.connect(v5("a").kept());
    for _ in 0..3 {
        let id = client.publish(QOS2, "t", "x");
        client.expect(PacketKind::Pubrec, id);
    }
    client.pubrel(1);
    client.expect(PacketKind::Pubcomp, 1);
    let id = client.publish(QOS2, "t", "x");
    client.expect(PacketKind::Pubrec, id);
    client.publish(QOS0, "t", "QoS 0 needs no quota");
    client.publish(QOS1, "t", "one too many");
    client.expect_disconnected(ReasonCode::ReceiveMaximumExceeded);
    // The quota begins anew; releasing an old message does not make it larger.
    let client = world.connect(v5("a").kept());
    client.pubrel(id);
    client.expect(PacketKind::Pubcomp, id);
    world.hold_commits();
    for id in 11..14 {
        client.publish_with(QOS1, "t", "x", |publish| publish.packet_id = PacketId::new(id));
    }
    client.expect_nothing();
    client.publish_with(QOS1, "t", "x", |publish| publish.packet_id = PacketId::new(14));
    client.expect_disconnected(ReasonCode::ReceiveMaximumExceeded);
}

/// [MQTT-3.3.4-9] [MQTT-3.3.4-10] [MQTT-4.9.0-1] [MQTT-4.9.0-2] [MQTT-4.9.0-3]
#[test]
fn no_more_is_under_way_to_a_client_than_it_takes() {
    for (qos, options) in [
        (QOS1, v5("a").receive_max(2)),
        (QOS2, v5("a").receive_max(2)),
        (QOS2, v5("a").kept().receive_max(2)),
    ] {
        let world = World::new();
        let publisher = world.connect(v311("publisher"));
        let client = world.connect(options);
        client.subscribe("t", qos);
        for n in 0..5 {
            publisher.publish_acknowledged_at(qos, "t", &n.to_string());
        }
        let ids = [client.receive().id, client.receive().id];
        client.expect_nothing();
        client.ping();
        client.look(|packet| assert_eq!(*packet, Packet::Pingresp));
        publisher.publish(QOS0, "t", "QoS 0 flows on");
        assert_eq!(client.receive().qos, QOS0);
        if qos == QOS1 {
            client.puback(ids[1]);
        } else {
            client.pubrec(ids[1]);
            client.expect(PacketKind::Pubrel, ids[1]);
            client.expect_nothing();
            client.pubcomp(ids[1]);
        }
        assert_eq!(client.receive().payload, "2");
        client.expect_nothing();
    }
}

/// [MQTT-3.2.2-15]
#[test]
fn a_packet_above_the_limit_is_refused_by_its_header() {
    let world = World::with_limits(Limits { packet_bytes_max: 1000, ..Limits::default() });
    let new = world.connect(v5("a"));
    new.publish(QOS0, "t", &"x".repeat(990));
    new.expect_nothing();
    new.send_bytes(&[0x30, 0xff, 0x7f]);
    new.expect_disconnected(ReasonCode::PacketTooLarge);
    let unknown = world.open();
    unknown.send_bytes(&[0x10, 0xff, 0xff, 0x7f]);
    unknown.expect_closed();
}

fn fill_queue(queue_full: QueueFull, is_online: bool) -> (World, Client, Vec<String>) {
    let limits = Limits { queued_messages_max: 3, queue_full, ..Limits::default() };
    let world = World::with_limits(limits);
    let publisher = world.connect(v311("publisher"));
    let options = || v5("a").kept().receive_max(1);
    let client = world.connect(options());
    client.subscribe("t", QOS1);
    if !is_online {
        client.hang_up();
        publisher.publish_acknowledged("t", "first");
    } else {
        publisher.publish_acknowledged("t", "first");
    }
    for n in 0..5 {
        publisher.publish_acknowledged("t", &n.to_string());
    }
    let arrived = if is_online && queue_full != QueueFull::Disconnect {
        client.payloads()
    } else {
        world.crash();
        world.connect(options()).payloads()
    };
    (world, client, arrived)
}

#[test]
fn a_full_queue_drops_the_new_message() {
    assert_eq!(fill_queue(QueueFull::DropNew, true).2, ["first", "0", "1", "2"]);
    assert_eq!(fill_queue(QueueFull::DropNew, false).2, ["first", "0", "1"]);
}

#[test]
fn a_full_queue_drops_the_old_message() {
    assert_eq!(fill_queue(QueueFull::DropOld, true).2, ["first", "2", "3", "4"]);
    let (_, _, arrived) = fill_queue(QueueFull::DropOld, false);
    assert_eq!(arrived, ["2", "3", "4"]);
}

#[test]
fn a_full_queue_ends_the_connection() {
    let (_, client, arrived) = fill_queue(QueueFull::Disconnect, true);
    assert_eq!(client.receive().payload, "first");
    client.expect_disconnected(ReasonCode::QuotaExceeded);
    assert_eq!(arrived, ["first", "0", "1", "2"]);
    assert_eq!(fill_queue(QueueFull::Disconnect, false).2, ["first", "0", "1"]);
}

#[test]
fn bytes_of_a_queue_are_bounded() {
    let world = World::with_limits(Limits { queued_bytes_max: 1000, ..Limits::default() });
    let publisher = world.connect(v311("publisher"));
    let away = world.connect(v311("away").kept());
    away.subscribe("t", QOS1);
    away.hang_up();
    for _ in 0..20 {
        publisher.publish_acknowledged("t", &"x".repeat(100));
    }
    assert!(world.metrics().queued_bytes <= 1000);
    assert_eq!(world.metrics().queued_messages + world.metrics().drops.queue_full, 20);
    assert!(world.metrics().queued_messages >= 8);
}

#[test]
fn the_number_of_subscriptions_is_bounded() {
    let world = World::with_limits(Limits { subscriptions_max: 2, ..Limits::default() });
    let client = world.connect(v5("a"));
    client.subscribe("a", QOS0);
    client.subscribe("b", QOS0);
    client.send_subscribe("c", QOS0, None, |_| {});
    assert_eq!(client.expect_suback(), [0x97]);
    client.subscribe("b", QOS1);
    client.unsubscribe("a");
    client.subscribe("c", QOS0);
}

#[test]
fn topics_are_bounded_in_length_and_depth() {
    let limits = Limits { topic_levels_max: 3, topic_bytes_max: 10, ..Limits::default() };
    let world = World::with_limits(limits);
    for topic in ["a/b/c/d", "12345678901"] {
        let client = world.connect(v5("a"));
        client.publish(QOS0, "a/b/c", "x");
        client.publish(QOS0, topic, "x");
        client.expect_disconnected(ReasonCode::TopicNameInvalid);
    }
    world.dial(&v5("b").will("a/b/c/d", "x")).expect_refused(ReasonCode::TopicNameInvalid);
}
