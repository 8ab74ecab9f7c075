//! SUBSCRIBE, UNSUBSCRIBE, and who gets what.

use crate::support::*;

fn subscribe_all(client: &Client, filters: &[(&str, QoS)]) -> Vec<u8> {
    let filters: Vec<SubscribeFilter<'_>> = filters
        .iter()
        .map(|(filter, qos)| SubscribeFilter {
            filter: TopicFilter::parse(filter).expect("a valid filter"),
            options: SubscriptionOptions { qos: *qos, ..SubscriptionOptions::default() },
        })
        .collect();
    client.send(Packet::Subscribe(Subscribe {
        packet_id: packet_id(99),
        properties: Default::default(),
        filters: filters.as_slice().into(),
    }));
    client.expect_suback()
}

/// [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1]
/// [MQTT-3.9.3-2]
#[test]
fn each_filter_has_its_answer_in_order() {
    let world = World::with_limits(Limits { topic_levels_max: 3, ..Limits::default() });
    let wanted = [("a", QOS1), ("$share/g/b", QOS1), ("c", QOS0), ("d/d/d/d", QOS0), ("e", QOS2)];
    let new = world.connect(v5("new"));
    assert_eq!(subscribe_all(&new, &wanted), [1, 1, 0, 0x8f, 2]);
    for options in [v31("old"), v311("middle")] {
        let old = world.connect(options);
        assert_eq!(subscribe_all(&old, &wanted), [1, 1, 0, 0x80, 2]);
    }
}

/// [MQTT-3.8.4-8] [MQTT-3.3.2-3], and of 3.1.1 [MQTT-3.8.4-6]
#[test]
fn the_smaller_qos_counts() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    for (granted, name) in [(QOS0, "0"), (QOS1, "1"), (QOS2, "2")] {
        let subscriber = world.connect(v311(name));
        subscriber.subscribe("t", granted);
        for published in [QOS0, QOS1, QOS2] {
            publisher.publish_acknowledged_at(published, "t", "x");
            let received = subscriber.receive_and_acknowledge();
            assert_eq!(received.qos, granted.min(published));
        }
        subscriber.disconnect();
    }
}

/// [MQTT-3.8.4-3]
#[test]
fn the_same_filter_again_replaces_the_subscription() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    let client = world.connect(v5("a").kept());
    client.subscribe_identified("t", QOS2, 1);
    client.subscribe_identified("t", QOS1, 2);
    publisher.publish_exactly_once("t", "x");
    let received = client.receive_and_acknowledge();
    assert_eq!((received.qos, received.identifiers), (QOS1, vec![2]));
    client.expect_nothing();
    assert_eq!(world.metrics().subscriptions, 1);
    world.crash();
    assert_eq!(world.metrics().subscriptions, 1);
}

/// [MQTT-3.3.4-2] [MQTT-3.3.4-3] [MQTT-3.3.4-4], and of 3.1.1 [MQTT-3.3.5-1]
#[test]
fn overlapping_subscriptions_deliver_once_with_all_identifiers() {
    let world = World::new();
    let publisher = world.connect(v5("publisher"));
    let client = world.connect(v5("a").kept());
    client.subscribe_identified("a/#", QOS0, 10);
    client.subscribe_identified("a/+", QOS2, 20);
    client.subscribe_identified("a/b", QOS1, 30);
    client.subscribe("+/b", QOS1);
    client.subscribe_identified("x", QOS1, 40);
    let check = |client: &Client, qos: QoS| {
        let mut received = client.receive_and_acknowledge();
        received.identifiers.sort_unstable();
        assert_eq!((received.qos, received.identifiers), (qos, vec![10, 20, 30]));
        client.expect_nothing();
    };
    publisher.publish(QOS0, "a/b", "x");
    check(&client, QOS0);
    publisher.publish_acknowledged("a/b", "x");
    check(&client, QOS1);
    publisher.publish_exactly_once("a/b", "x");
    check(&client, QOS2);
    client.hang_up();
    publisher.publish_exactly_once("a/b", "queued");
    world.crash();
    check(&world.connect(v5("a").kept()), QOS2);
}

/// [MQTT-3.8.3-3]
#[test]
fn no_local_keeps_own_messages_away() {
    let world = World::new();
    let client = world.connect(v5("a"));
    client.subscribe_with("t", QOS1, |options| options.no_local = true);
    let other = world.connect(v5("b"));
    client.publish(QOS0, "t", "own");
    client.expect_nothing();
    other.publish(QOS0, "t", "other");
    assert_eq!(client.payloads(), ["other"]);
    client.subscribe("+", QOS0);
    client.publish(QOS0, "t", "by the other filter");
    assert_eq!(client.payloads(), ["by the other filter"]);
}

/// [MQTT-3.3.1-12] [MQTT-3.3.1-13], and of 3.1.1 [MQTT-3.3.1-9]
#[test]
fn retain_as_published_keeps_the_flag() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    let with = world.connect(v5("with").kept());
    let without = world.connect(v5("without"));
    let old = world.connect(v311("old"));
    with.subscribe_with("t", QOS1, |options| options.retain_as_published = true);
    without.subscribe("t", QOS1);
    old.subscribe("t", QOS1);
    for qos in [QOS0, QOS1] {
        publisher.publish_retained(qos, "t", "x");
        assert!(with.receive_and_acknowledge().retain);
        assert!(!without.receive_and_acknowledge().retain);
        assert!(!old.receive_and_acknowledge().retain);
    }
    publisher.publish(QOS0, "t", "x");
    assert!(!with.receive().retain);
    with.hang_up();
    publisher.publish_retained(QOS1, "t", "queued");
    world.crash();
    assert!(world.connect(v5("with").kept()).receive().retain);
}

/// [MQTT-4.7.2-1] [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-4]
#[test]
fn filters_match_as_the_standard_says() {
    let world = World::new();
    let publisher = world.connect(v5("publisher"));
    let client = world.connect(v5("a"));
    for filter in ["#", "+/x", "a/#", "+", "A", "/+"] {
        client.subscribe(filter, QOS0);
    }
    for topic in ["a", "A", "/x", "a/b/c", " "] {
        publisher.publish(QOS0, topic, topic);
        assert_eq!(client.payloads(), [topic]);
    }
    let message = MessageParts {
        qos: QOS0,
        retain: false,
        expires_at_ms: None,
        received_at_ms: 0,
        publisher: "",
        topic: "$SYS/x",
        properties: &[],
        payload: b"from the broker",
    };
    let route = Route::Subscribers { origin: None };
    world.publish(Publication { message, route });
    client.expect_nothing();
    client.subscribe("$SYS/+", QOS0);
    world.publish(Publication { message, route });
    assert_eq!(client.payloads(), ["from the broker"]);
}

/// [MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.10.4-6]
/// [MQTT-3.11.3-1] [MQTT-3.11.3-2]
#[test]
fn unsubscribing_removes_exactly_the_filters_named() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    for options in [v311("old").kept(), v5("new").kept()] {
        let client = world.connect(options);
        client.subscribe("a/+", QOS1);
        client.subscribe("a/b", QOS1);
        client.unsubscribe("a/#");
        publisher.publish_acknowledged("a/b", "1");
        assert_eq!(client.payloads(), ["1"]);
        let filters = ["a/b", "never", "a/+"].map(|f| TopicFilter::parse(f).unwrap());
        client.send(Packet::Unsubscribe(Unsubscribe {
            packet_id: packet_id(50),
            user_properties: Default::default(),
            filters: (&filters[..]).into(),
        }));
        client.look(|packet| {
            let Packet::Unsuback(unsuback) = packet else { panic!("{packet:?}") };
            let reasons: Vec<u8> = unsuback.reasons.iter().map(u8::from).collect();
            let expected: &[u8] = if client.version == Version::V5 { &[0, 0x11, 0] } else { &[] };
            assert_eq!(reasons, expected);
            assert_eq!(unsuback.packet_id.get(), 50);
        });
        publisher.publish_acknowledged("a/b", "2");
        client.expect_nothing();
    }
    assert_eq!(world.metrics().subscriptions, 0);
    world.crash();
    assert_eq!(world.metrics().subscriptions, 0);
}

/// [MQTT-3.10.4-3]
#[test]
fn a_delivery_that_has_begun_is_finished_after_unsubscribe() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    let client = world.connect(v5("a").kept());
    client.subscribe("t", QOS2);
    publisher.publish_exactly_once("t", "x");
    let id = client.receive().id;
    client.unsubscribe("t");
    client.pubrec(id);
    client.expect(PacketKind::Pubrel, id);
    let client = world.connect(v5("a").kept());
    client.expect(PacketKind::Pubrel, id);
    client.pubcomp(id);
}

/// [MQTT-4.5.0-1]
#[test]
fn every_matching_session_gets_the_message_whether_it_is_there_or_not() {
    in_one_shard();
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    let names: Vec<String> = (0..10).map(|n| format!("s{n}")).collect();
    for (n, name) in names.iter().enumerate() {
        let client = world.connect(v311(name).kept());
        client.subscribe(["t", "+", "#"][n % 3], QOS1);
        if n % 2 == 0 {
            client.hang_up();
        }
    }
    publisher.publish_acknowledged("t", "x");
    assert_eq!(world.metrics().queued_messages, 1, "held once");
    for name in &names {
        assert_eq!(world.connect(v311(name).kept()).payloads(), ["x"]);
    }
    assert_eq!(world.metrics().queued_messages, 0);
}
