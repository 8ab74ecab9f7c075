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
