//! MQTT 3.1.1 with clients of its own: statements that it numbers or words otherwise than 5.0.

use crate::support::*;

fn subscribe_all(client: &Client, id: u16, filters: &[&str]) {
    let options = SubscriptionOptions { qos: QOS1, ..SubscriptionOptions::default() };
    let filters: Vec<SubscribeFilter<'_>> = filters
        .iter()
        .map(|filter| SubscribeFilter {
            filter: TopicFilter::parse(filter).expect("a valid filter"),
            options,
        })
        .collect();
    client.send(Packet::Subscribe(Subscribe {
        packet_id: packet_id(id),
        properties: Default::default(),
        filters: filters.as_slice().into(),
    }));
}

fn unsubscribe_all(client: &Client, id: u16, filters: &[&str]) {
    let filters: Vec<TopicFilter<'_>> =
        filters.iter().map(|filter| TopicFilter::parse(filter).expect("a valid filter")).collect();
    client.send(Packet::Unsubscribe(Unsubscribe {
        packet_id: packet_id(id),
        user_properties: Default::default(),
        filters: filters.as_slice().into(),
    }));
}

/// Of 3.1.1 [MQTT-2.3.1-6] [MQTT-3.3.4-1] [MQTT-4.3.2-2]: the answer has the kind of the QoS and
/// the identifier of the message, and an identifier that was answered is free again.
#[test]
fn each_publish_is_answered_by_its_qos() {
    let world = World::new();
    let client = world.connect(v311("a"));
    let watcher = world.connect(v311("watcher"));
    watcher.subscribe("t", QOS2);
    client.send_bytes(b"\x30\x04\x00\x01t0");
    client.expect_nothing();
    for payload in ["1", "2"] {
        client.publish_with(QOS1, "t", payload, |publish| publish.packet_id = PacketId::new(700));
        assert_eq!(client.next_frame().as_deref(), Some(&b"\x40\x02\x02\xbc"[..]));
    }
    client.publish_with(QOS2, "t", "3", |publish| publish.packet_id = PacketId::new(700));
    assert_eq!(client.next_frame().as_deref(), Some(&b"\x50\x02\x02\xbc"[..]));
    client.pubrel(700);
    assert_eq!(client.next_frame().as_deref(), Some(&b"\x70\x02\x02\xbc"[..]));
    assert_eq!(watcher.payloads(), ["0", "1", "2", "3"]);
}

/// Of 3.1.1 [MQTT-2.3.1-7] [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-4] [MQTT-3.8.4-5]
/// [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.10.4-6], and of 5.0 [MQTT-2.2.1-6]
#[test]
fn one_answer_for_all_filters_with_the_identifier_of_the_request() {
    let world = World::new();
    let old = world.connect(v311("old"));
    subscribe_all(&old, 300, &["a", "b", "a/#"]);
    assert_eq!(old.next_frame().as_deref(), Some(&b"\x90\x05\x01\x2c\x01\x01\x01"[..]));
    unsubscribe_all(&old, 301, &["a", "never"]);
    assert_eq!(old.next_frame().as_deref(), Some(&b"\xb0\x02\x01\x2d"[..]));
    unsubscribe_all(&old, 302, &["never"]);
    assert_eq!(old.next_frame().as_deref(), Some(&b"\xb0\x02\x01\x2e"[..]));
    let new = world.connect(v5("new"));
    subscribe_all(&new, 300, &["a", "b", "a/#"]);
    assert_eq!(new.next_frame().as_deref(), Some(&b"\x90\x06\x01\x2c\x00\x01\x01\x01"[..]));
    unsubscribe_all(&new, 301, &["a", "never"]);
    assert_eq!(new.next_frame().as_deref(), Some(&b"\xb0\x05\x01\x2d\x00\x00\x11"[..]));
}

/// Of 3.1.1 [MQTT-3.1.0-1] [MQTT-3.1.0-2]
#[test]
fn connect_comes_first_and_once() {
    let world = World::new();
    let early = world.open();
    early.send_bytes(b"\xc0\x00");
    early.expect_closed();
    let twice = world.connect(v311("a"));
    twice.send_bytes(&v311("a").encode());
    twice.expect_closed();
}

/// Of 3.1.1 [MQTT-3.1.4-3] [MQTT-3.1.4-4] [MQTT-3.2.0-1]
#[test]
fn connack_is_the_first_answer_and_says_that_all_is_well() {
    let world = World::new();
    let (kept, clean) = (v311("a").kept(), v311("a"));
    for (options, present) in [(&kept, 0), (&kept, 1), (&clean, 0)] {
        let client = world.dial(options);
        assert_eq!(client.next_frame().as_deref(), Some(&[0x20, 2, present, 0][..]));
        client.disconnect();
    }
    assert_eq!(world.metrics().sessions, 0, "a clean session leaves nothing");
}

/// Of 3.1.1 [MQTT-3.2.2-5] [MQTT-3.2.2-6]: a reason without a return code closes without CONNACK.
#[test]
fn a_refusal_ends_the_connection() {
    let world = World::with_limits(Limits { allow_anonymous: false, ..Limits::default() });
    world.dial(&v311("a")).expect_refused(ReasonCode::NotAuthorized);
    let world = World::with_limits(Limits { qos_max: QOS0, ..Limits::default() });
    world.dial(&v311("a").will("t", "x")).expect_closed();
}

/// Of 3.1.1 [MQTT-3.1.2-5] [MQTT-3.1.3-2] [MQTT-4.1.0-1] [MQTT-4.5.0-1]
#[test]
fn a_session_of_the_client_identifier_takes_messages_while_its_client_is_away() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    for name in ["a", "b"] {
        let client = world.connect(v311(name).kept());
        client.subscribe("t", QOS2);
        client.disconnect();
    }
    publisher.publish_acknowledged("t", "1");
    publisher.publish_exactly_once("t", "2");
    for name in ["a", "b"] {
        let client = world.connect(v311(name).kept());
        assert!(client.session_present);
        assert_eq!(client.payloads(), ["1", "2"]);
    }
    assert!(!world.connect(v311("c").kept()).session_present);
}

/// Of 3.1.1 [MQTT-4.1.0-2]: a session that is not kept lasts as long as its connection.
#[test]
fn a_clean_session_lasts_as_long_as_its_connection() {
    let world = World::new();
    let client = world.connect(v311("a"));
    client.subscribe("t", QOS1);
    world.advance_s(1_000_000);
    world.connect(v311("publisher")).publish_acknowledged("t", "x");
    assert_eq!(client.payloads(), ["x"]);
    client.hang_up();
    let client = world.connect(v311("a").kept());
    assert!(!client.session_present);
    assert_eq!(world.metrics().subscriptions, 0);
}

/// Of 3.1.1 [MQTT-3.1.2-8] [MQTT-3.1.2-10] [MQTT-3.1.2-12] [MQTT-3.14.4-3]
#[test]
fn a_will_is_published_once_and_only_without_goodbye() {
    let world = World::new();
    let watcher = world.connect(v311("watcher"));
    watcher.subscribe("will", QOS0);
    let with_will = || v311("a").kept().will("will", "gone");
    world.connect(with_will()).disconnect();
    watcher.expect_nothing();
    world.connect(with_will()).hang_up();
    assert_eq!(watcher.payloads(), ["gone"]);
    world.connect(v311("a").kept()).hang_up();
    watcher.expect_nothing();
}

/// Of 3.1.1 [MQTT-3.1.3-6]
#[test]
fn clients_without_an_identifier_are_different_clients() {
    let world = World::new();
    let first = world.connect(v311(""));
    let second = world.connect(v311(""));
    assert_eq!(world.metrics().sessions, 2);
    first.ping();
    assert!(first.has_arrived() && !second.has_arrived());
}

/// Of 3.1.1 [MQTT-3.3.1-1] [MQTT-4.4.0-1] [MQTT-4.3.1-1] [MQTT-4.3.2-1]
#[test]
fn what_is_open_is_sent_again_with_dup_and_its_identifier() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    let client = world.connect(v311("a").kept());
    client.subscribe("t", QOS2);
    publisher.publish(QOS0, "t", "0");
    publisher.publish_acknowledged("t", "1");
    publisher.publish_exactly_once("t", "2");
    publisher.publish_exactly_once("t", "3");
    let sent: Vec<Received> = (0..4).map(|_| client.receive()).collect();
    assert!(sent.iter().all(|received| !received.dup));
    assert_eq!(sent.iter().map(|received| received.id).collect::<Vec<_>>(), [0, 1, 2, 3]);
    client.pubrec(3);
    client.expect(PacketKind::Pubrel, 3);
    let client = world.connect(v311("a").kept());
    client.expect(PacketKind::Pubrel, 3);
    for sent in &sent[1..3] {
        assert_eq!(client.receive(), Received { dup: true, ..sent.clone() });
    }
    client.puback(1);
    let client = world.connect(v311("a").kept());
    client.expect(PacketKind::Pubrel, 3);
    assert_eq!(client.receive().payload, "2");
    client.expect_nothing();
}

/// [MQTT-3.3.1-3], and of 3.1.1 [MQTT-3.3.1-3]: whether the publisher repeats itself is not the
/// receiver's business.
#[test]
fn dup_of_a_publisher_is_not_passed_on() {
    let world = World::new();
    for options in [v311("a"), v5("b")] {
        let client = world.connect(options);
        client.subscribe("t", QOS2);
        for qos in [QOS1, QOS2] {
            client.publish_with(qos, "t", "x", |publish| {
                publish.dup = true;
                publish.packet_id = PacketId::new(9);
            });
            let mut seen = false;
            while let Some(frame) = client.next_frame() {
                if let Packet::Publish(publish) = Packet::decode(&frame, client.version).unwrap() {
                    assert!(!publish.dup);
                    seen = true;
                }
            }
            assert!(seen, "{qos:?}");
        }
    }
}

/// Of 3.1.1 [MQTT-3.3.2-3] [MQTT-3.10.4-1] [MQTT-3.10.4-2]
#[test]
fn only_what_matches_arrives_and_only_while_subscribed() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    let client = world.connect(v311("a"));
    client.subscribe("a/+", QOS1);
    for topic in ["a/b", "a", "a/b/c", "b/a"] {
        publisher.publish_acknowledged(topic, topic);
    }
    assert_eq!(client.payloads(), ["a/b"]);
    client.unsubscribe("a/b");
    publisher.publish_acknowledged("a/b", "still");
    assert_eq!(client.payloads(), ["still"]);
    client.unsubscribe("a/+");
    publisher.publish_acknowledged("a/b", "no more");
    client.expect_nothing();
}

/// Of 3.1.1 [MQTT-3.10.4-3]
#[test]
fn a_delivery_that_has_begun_is_finished_after_unsubscribe() {
    let world = World::new();
    let client = world.connect(v311("a").kept());
    client.subscribe("t", QOS2);
    world.connect(v311("publisher")).publish_exactly_once("t", "x");
    let id = client.receive().id;
    client.unsubscribe("t");
    let client = world.connect(v311("a").kept());
    assert!(client.receive().dup);
    client.pubrec(id);
    client.expect(PacketKind::Pubrel, id);
    client.pubcomp(id);
}

/// Of 3.1.1 [MQTT-3.8.4-3]: the retained messages come again, and nothing live is lost.
#[test]
fn the_same_filter_again_brings_the_retained_messages_again() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    publisher.publish_retained(QOS0, "t", "retained");
    let client = world.connect(v311("a"));
    for qos in [QOS0, QOS1] {
        client.subscribe("t", qos);
        assert!(client.receive().retain);
        publisher.publish_acknowledged("t", "live");
        assert_eq!(client.receive_and_acknowledge().qos, qos);
        client.expect_nothing();
    }
    assert_eq!(world.metrics().subscriptions, 1);
}

/// Of 3.1.1 [MQTT-3.3.5-2]: a message that is not allowed is acknowledged and goes nowhere.
#[test]
fn a_message_that_is_not_allowed_is_acknowledged_and_goes_nowhere() {
    let world = World::new();
    let watcher = world.connect(v311("watcher"));
    watcher.subscribe("$SYS/#", QOS0);
    let client = world.connect(v311("a"));
    client.publish_acknowledged("$SYS/x", "x");
    client.publish_exactly_once("$SYS/x", "x");
    watcher.expect_nothing();
}

/// Of 3.1.1 [MQTT-3.12.4-1]
#[test]
fn a_ping_is_answered() {
    let client = World::new().connect(v311("a"));
    client.ping();
    assert_eq!(client.next_frame().as_deref(), Some(&b"\xd0\x00"[..]));
}

/// Of 3.1.1 [MQTT-4.6.0-5]
#[test]
fn messages_of_a_topic_keep_their_order() {
    let world = World::new();
    let publisher = world.connect(v311("publisher"));
    let client = world.connect(v311("a").kept());
    client.subscribe("t", QOS1);
    let expected: Vec<String> = (0..60).map(|n| n.to_string()).collect();
    for (n, payload) in expected.iter().enumerate() {
        if n == 30 {
            client.hang_up();
        }
        publisher.publish_acknowledged("t", payload);
    }
    let mut payloads: Vec<String> = Vec::new();
    while client.has_arrived() {
        payloads.push(client.receive().payload);
    }
    let again = world.connect(v311("a").kept()).payloads();
    let unacknowledged = again.len() + payloads.len() - expected.len();
    assert_eq!(payloads[payloads.len() - unacknowledged..], again[..unacknowledged]);
    payloads.extend_from_slice(&again[unacknowledged..]);
    assert_eq!(payloads, expected);
}

/// [MQTT-4.7.3-3], and of 3.1.1 [MQTT-4.7.3-3]
#[test]
fn a_topic_may_have_all_the_bytes_that_its_length_can_say() {
    let world = World::with_limits(Limits { topic_bytes_max: 65_535, ..Limits::default() });
    let topic = "t".repeat(65_535);
    for options in [v311("a"), v5("b")] {
        let client = world.connect(options);
        client.subscribe(&topic, QOS0);
        client.publish(QOS0, &topic, "x");
        assert_eq!(client.receive().topic.len(), 65_535);
        client.disconnect();
    }
}

/// Of 3.1.1 [MQTT-7.1.1-1]: the stream may be cut anywhere.
#[test]
fn bytes_may_arrive_one_by_one() {
    let world = World::new();
    let mut bytes = v311("a").encode();
    bytes.extend_from_slice(b"\x82\x06\x00\x01\x00\x01t\x00\x30\x04\x00\x01tx\xc0\x00");
    let client = world.open();
    bytes.iter().for_each(|byte| client.send_bytes(&[*byte]));
    assert!(!client.expect_connack());
    assert_eq!(client.expect_suback(), [0]);
    assert_eq!(client.receive().payload, "x");
    assert_eq!(client.next_frame().as_deref(), Some(&b"\xd0\x00"[..]));
}
