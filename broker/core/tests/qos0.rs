//! QoS 0, and what is the same for every QoS.

use crate::support::*;

/// In the order in which they came among those of QoS 1, for kept sessions only, and not over a
/// restart.
#[test]
fn qos0_messages_wait_for_clients_that_are_away_if_that_is_wanted() {
    for wanted in [true, false] {
        let world = World::with_limits(Limits { queues_qos0: wanted, ..Limits::default() });
        let publisher = world.connect(v5("publisher"));
        let away = world.connect(v5("away").kept());
        away.subscribe("t/#", QOS1);
        away.hang_up();
        let send = || {
            publisher.publish(QOS0, "t/0", "0");
            publisher.publish_acknowledged("t/1", "1");
            publisher.publish(QOS0, "t/2", "2");
        };
        send();
        let expected: &[&str] = if wanted { &["0", "1", "2"] } else { &["1"] };
        let back = world.connect(v5("away").kept());
        assert_eq!(back.payloads(), expected);
        back.hang_up();
        send();
        world.crash();
        assert_eq!(world.connect(v5("away").kept()).payloads(), ["1"]);
    }
}

/// What waits is bounded like all that waits in memory.
#[test]
fn qos0_messages_that_wait_are_bounded() {
    let limits = Limits { queues_qos0: true, queued_messages_max: 5, ..Limits::default() };
    let world = World::with_limits(limits);
    let publisher = world.connect(v5("publisher"));
    let away = world.connect(v5("away").kept());
    away.subscribe("t", QOS0);
    away.hang_up();
    for n in 0..20 {
        publisher.publish(QOS0, "t", &n.to_string());
    }
    assert_eq!(world.drops_of("away").queue_full, 15);
    let back = world.connect(v5("away").kept());
    assert_eq!(back.payloads(), ["0", "1", "2", "3", "4"]);
    assert_eq!(world.metrics().queued_messages, 0);
}

/// [MQTT-2.2.1-2] [MQTT-4.3.1-1] [MQTT-3.3.1-2] [MQTT-3.3.4-1]
#[test]
fn a_message_goes_to_everybody_who_wants_it_and_is_not_answered() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    let subscribers = [v31("a"), v311("b"), v5("c")].map(|options| world.connect(options));
    for subscriber in &subscribers {
        subscriber.subscribe("a/+", QOS2);
    }
    publisher.publish(QOS0, "a/b", "hello");
    publisher.publish(QOS0, "a", "not for them");
    publisher.expect_nothing();
    for subscriber in &subscribers {
        let received = subscriber.receive();
        let expected = Received {
            topic: "a/b".to_owned(),
            payload: "hello".to_owned(),
            ..Received::default()
        };
        assert_eq!(received, expected);
        subscriber.expect_nothing();
    }
}

/// Not a byte is written to the store for it.
#[test]
fn qos0_costs_no_write() {
    in_one_shard();
    let world = World::new();
    let subscriber = world.connect(v311("a").kept());
    subscriber.subscribe("t", QOS2);
    world.hold_commits();
    let publisher = world.connect(v5("publisher"));
    publisher.publish(QOS0, "t", "x");
    assert_eq!(subscriber.payloads(), ["x"]);
    let unkept = world.connect(v5("unkept"));
    unkept.subscribe("u", QOS2);
    publisher.publish_acknowledged("u", "x");
    assert_eq!(unkept.payloads(), ["x"]);
    assert!(world.net().pending.is_empty());
}

#[test]
fn a_slow_client_loses_qos0_and_nobody_else_does() {
    let world = World::with_limits(Limits { send_buffer_bytes_max: 1000, ..Limits::default() });
    let publisher = world.connect(v311("publisher"));
    let slow = world.connect(v311("slow"));
    let quick = world.connect(v311("quick"));
    slow.subscribe("t", QOS0);
    quick.subscribe("t", QOS0);
    slow.stall();
    for _ in 0..100 {
        publisher.publish(QOS0, "t", &"x".repeat(95));
    }
    assert_eq!(quick.payloads().len(), 100);
    assert_eq!(world.metrics().drops.slow_qos0, 90);
    slow.go_on_reading();
    assert_eq!(slow.payloads().len(), 10);
}

/// [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18]
/// [MQTT-3.3.2-20]
#[test]
fn properties_pass_through_in_their_order() {
    let world = World::new();
    let publisher = world.connect(v5("publisher"));
    let subscriber = world.connect(v5("subscriber").kept());
    let old = world.connect(v311("old"));
    subscriber.subscribe("t", QOS1);
    old.subscribe("t", QOS1);
    let pairs = [("a", "1"), ("b", "2"), ("a", "3")];
    let say = |qos, id| {
        publisher.publish_with(qos, "t", "x", |publish| {
            publish.packet_id = PacketId::new(id);
            publish.properties.payload_format_utf8 = Some(true);
            publish.properties.response_topic = Some("answer/here");
            publish.properties.correlation_data = Some(&[0, 1, 2]);
            publish.properties.content_type = Some("text/plain");
            publish.properties.user_properties = (&pairs[..]).into();
        });
    };
    let check = |client: &Client| {
        client.look(|packet| {
            let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
            let properties = &publish.properties;
            assert_eq!(properties.payload_format_utf8, Some(true));
            assert_eq!(properties.response_topic, Some("answer/here"));
            assert_eq!(properties.correlation_data, Some(&[0_u8, 1, 2][..]));
            assert_eq!(properties.content_type, Some("text/plain"));
            assert!(properties.user_properties.iter().eq(pairs));
        });
    };
    say(QOS0, 0);
    check(&subscriber);
    subscriber.hang_up();
    say(QOS1, 1);
    world.crash();
    check(&world.connect(v5("subscriber").kept()));
    assert_eq!(old.receive_all().len(), 2);
}
