//! Messages from nodes: behaviours 9 to 12, 15 to 18 and 31.

use weir_node::mqtt_sn_1_2::{
    Delivery, MessageId, Packet, Publish, QoS, ReturnCode, TopicId, TopicRef,
};

use super::super::topic::Filter;
use super::super::{Counter, RefusalReason};
use super::world::{World, again, normal, puback, publish, qos_1, qos_2, regack, register};

const ACCEPTED: ReturnCode = ReturnCode::Accepted;
const CONGESTION: ReturnCode = ReturnCode::Congestion;

fn registered(world: &mut World, client_id: &str, topic: &str) -> super::world::Node {
    let node = world.connected(client_id);
    world.send(&node, register(1, topic));
    world.expect(&node, &[regack(1, 1, ACCEPTED)]);
    node
}

/// 9.
#[test]
fn same_name_is_registered_with_the_same_id() {
    let mut world = World::new();
    let node = registered(&mut world, "n", "a");
    world.send(&node, register(2, "b"));
    world.expect(&node, &[regack(2, 2, ACCEPTED)]);
    world.send(&node, register(3, "a"));
    world.expect(&node, &[regack(1, 3, ACCEPTED)]);
}

/// 10.
#[test]
fn ids_of_one_client_mean_nothing_to_another() {
    let mut world = World::new();
    let first = registered(&mut world, "first", "a");
    let second = world.connected("second");
    world.send(&second, publish(qos_1(1), normal(1), "x"));
    world.expect(&second, &[puback(1, 1, ReturnCode::InvalidTopicId)]);
    world.send(&second, register(2, "b"));
    world.expect(&second, &[regack(1, 2, ACCEPTED)]);
    world.send(&second, publish(Delivery::AtMostOnce, normal(1), "second"));
    world.send(&first, publish(Delivery::AtMostOnce, normal(1), "first"));
    assert_eq!(world.broker.texts("a"), ["first"]);
    assert_eq!(world.broker.texts("b"), ["second"]);
}

/// 11.
#[test]
fn unknown_id_is_refused_and_nothing_is_forwarded() {
    let mut world = World::new();
    let node = registered(&mut world, "n", "a");
    let published = world.broker.published.len();
    for (delivery, message_id) in [(qos_1(2), 2), (qos_2(3), 3), (Delivery::AtMostOnce, 0)] {
        for topic in [normal(0), normal(2), TopicRef::Predefined(TopicId(1))] {
            world.send(&node, publish(delivery, topic, "x"));
            let (TopicRef::Normal(id) | TopicRef::Predefined(id)) = topic else { panic!() };
            world.expect(&node, &[puback(id.0, message_id, ReturnCode::InvalidTopicId)]);
        }
    }
    assert_eq!(world.broker.published.len(), published);
    assert_eq!(world.count(Counter::UnknownTopicId), 9);
}

/// 12.
#[test]
fn messages_keep_their_quality_and_retain_flag() {
    let mut world = World::new();
    let node = registered(&mut world, "n", "a");
    for retain in [false, true] {
        for (delivery, qos) in [
            (Delivery::AtMostOnce, QoS::AtMostOnce),
            (qos_1(2), QoS::AtLeastOnce),
            (qos_2(3), QoS::ExactlyOnce),
        ] {
            let payload = &[u8::from(retain), 0xff];
            world.send(
                &node,
                Packet::Publish(Publish { delivery, retain, topic: normal(1), payload }),
            );
            let last = world.broker.published.last().unwrap();
            assert_eq!((&*last.client_id, &*last.topic), ("n", "a"));
            assert_eq!((&last.payload[..], last.qos, last.retain), (&payload[..], qos, retain));
            match qos {
                QoS::AtMostOnce => world.expect(&node, &[]),
                QoS::AtLeastOnce => world.expect(&node, &[puback(1, 2, ACCEPTED)]),
                QoS::ExactlyOnce => {
                    world.expect(&node, &[Packet::Pubrec(MessageId(3))]);
                    world.send(&node, Packet::Pubrel(MessageId(3)));
                    world.expect(&node, &[Packet::Pubcomp(MessageId(3))]);
                    world.advance(30_000);
                    world.send(&node, Packet::Pingreq(None));
                    world.expect(&node, &[Packet::Pingresp]);
                }
            }
        }
    }
    assert_eq!(world.count(Counter::Published), 6);
}

#[test]
fn nothing_is_acknowledged_before_the_broker_has_it() {
    let mut world = World::new();
    let node = registered(&mut world, "n", "a");
    world.broker.silent = true;
    world.send(&node, publish(qos_1(2), normal(1), "x"));
    world.send(&node, publish(qos_2(3), normal(1), "y"));
    // Repetitions meanwhile are not published again.
    world.send(&node, publish(again(qos_1(2)), normal(1), "x"));
    world.send(&node, publish(again(qos_2(3)), normal(1), "y"));
    world.expect(&node, &[]);
    world.broker.speak();
    world.run();
    world.expect(&node, &[puback(1, 2, ACCEPTED), Packet::Pubrec(MessageId(3))]);
    assert_eq!(world.broker.texts("a"), ["x", "y"]);
}

/// 15.
#[test]
fn repetition_of_what_was_acknowledged_is_acknowledged_again() {
    let mut world = World::new();
    let node = registered(&mut world, "n", "a");
    world.send(&node, publish(qos_1(2), normal(1), "x"));
    world.send(&node, publish(again(qos_1(2)), normal(1), "x"));
    world.expect(&node, &[puback(1, 2, ACCEPTED); 2]);
    world.send(&node, publish(qos_2(3), normal(1), "y"));
    world.send(&node, publish(again(qos_2(3)), normal(1), "y"));
    world.expect(&node, &[Packet::Pubrec(MessageId(3)); 2]);
    world.send(&node, Packet::Pubrel(MessageId(3)));
    world.send(&node, Packet::Pubrel(MessageId(3)));
    world.expect(&node, &[Packet::Pubcomp(MessageId(3)); 2]);
    // A duplicate that the network kept back.
    world.send(&node, publish(qos_2(3), normal(1), "y"));
    world.expect(&node, &[Packet::Pubrec(MessageId(3))]);
    assert_eq!(world.broker.texts("a").iter().filter(|text| **text == "y").count(), 1);
    // The number with another message is another message.
    world.send(&node, publish(qos_2(3), normal(1), "z"));
    assert_eq!(world.broker.texts("a").last(), Some(&"z"));
}

/// 16.
#[test]
fn predefined_ids_are_those_of_the_client_before_those_of_all() {
    let mut world = World::with(|options| {
        options.predefined.insert(None, TopicId(1), "all/1");
        options.predefined.insert(None, TopicId(2), "all/2");
        options.predefined.insert(Some("own"), TopicId(1), "own/1");
    });
    let own = world.connected("own");
    let other = world.connected("other");
    for (node, id, topic) in [(&own, 1, "own/1"), (&own, 2, "all/2"), (&other, 1, "all/1")] {
        world.send(node, publish(qos_1(1), TopicRef::Predefined(TopicId(id)), "x"));
        world.expect(node, &[puback(id, 1, ACCEPTED)]);
        assert_eq!(world.broker.texts(topic), ["x"]);
    }
    world.send(&other, publish(qos_1(2), TopicRef::Predefined(TopicId(3)), "x"));
    world.expect(&other, &[puback(3, 2, ReturnCode::InvalidTopicId)]);
}

/// 17.
#[test]
fn short_names_stand_for_themselves() {
    let mut world = World::new();
    let node = world.connected("n");
    world.send(&node, publish(qos_1(1), TopicRef::Short(*b"ab"), "x"));
    world.expect(&node, &[puback(0x6162, 1, ACCEPTED)]);
    assert_eq!(world.broker.texts("ab"), ["x"]);
    for no_name in [b"a#", b"+b", b"a\0", b"\xff\xff"] {
        world.send(&node, publish(qos_1(2), TopicRef::Short(*no_name), "x"));
        let id = u16::from_be_bytes(*no_name);
        world.expect(&node, &[puback(id, 2, ReturnCode::InvalidTopicId)]);
    }
}

/// 18.
#[test]
fn messages_without_a_session_are_off_unless_allowed() {
    let predefined = TopicRef::Predefined(TopicId(1));
    let mut world = World::with(|options| {
        options.predefined.insert(None, TopicId(1), "s/1");
    });
    let stranger = world.node(9);
    world.send(&stranger, publish(Delivery::MinusOne, predefined, "x"));
    world.expect(&stranger, &[]);
    assert!(world.broker.texts("s/1").is_empty());
    assert_eq!(world.refused[0].reason, RefusalReason::MinusOne);

    let mut world = World::with(|options| {
        options.predefined.insert(None, TopicId(1), "s/1");
        let filters = ["s/#", "ab"].map(|filter| Filter::parse(filter).unwrap());
        options.links[0].minus_one = Some(filters.into());
    });
    let connected = world.connected("n");
    for node in [&stranger, &connected] {
        world.send(node, publish(Delivery::MinusOne, predefined, "x"));
        world.send(node, publish(Delivery::MinusOne, TopicRef::Short(*b"ab"), "x"));
        world.send(node, publish(Delivery::MinusOne, TopicRef::Short(*b"xy"), "x"));
        world.send(node, publish(Delivery::MinusOne, TopicRef::Predefined(TopicId(2)), "x"));
        // With a topic id of a session it is not a packet at all.
        world.send_bytes(node, b"\x08\x0c\x60\x00\x01\x00\x00x");
        world.expect(node, &[]);
    }
    assert_eq!(world.broker.texts("s/1"), ["x", "x"]);
    assert_eq!(world.broker.texts("ab"), ["x", "x"]);
    assert!(world.broker.texts("xy").is_empty());
}

/// 31.
#[test]
fn broker_that_does_not_keep_up_is_congestion_to_the_node() {
    let mut world = World::new();
    let node = registered(&mut world, "n", "a");
    world.broker.silent = true;
    for message_id in 2..34 {
        world.send(&node, publish(qos_1(message_id), normal(1), "x"));
    }
    world.expect(&node, &[]);
    world.send(&node, publish(qos_1(40), normal(1), "x"));
    world.send(&node, publish(qos_2(41), normal(1), "x"));
    world.expect(&node, &[puback(1, 40, CONGESTION), puback(1, 41, CONGESTION)]);
    world.broker.speak();
    world.run();
    assert_eq!(world.received(&node).len(), 32);
    world.send(&node, publish(again(qos_1(40)), normal(1), "x"));
    world.expect(&node, &[puback(1, 40, ACCEPTED)]);
    assert_eq!(world.count(Counter::Congested), 2);
}

/// 31.
#[test]
fn broker_that_is_away_is_congestion_and_lost_messages_are_counted() {
    let mut world = World::new();
    let node = registered(&mut world, "n", "a");
    world.broker.silent = true;
    world.send(&node, publish(qos_2(2), normal(1), "waits"));
    world.broker.go_away();
    world.run();
    world.send(&node, publish(qos_1(3), normal(1), "x"));
    world.send(&node, publish(Delivery::AtMostOnce, normal(1), "lost"));
    world.send(&node, publish(again(qos_2(2)), normal(1), "waits"));
    world.expect(&node, &[puback(1, 3, CONGESTION), puback(1, 2, CONGESTION)]);
    assert_eq!(world.count(Counter::QoS0Lost), 1);
    world.broker.silent = false;
    world.broker.come_back(true);
    world.run();
    world.send(&node, publish(again(qos_1(3)), normal(1), "x"));
    world.expect(&node, &[puback(1, 3, ACCEPTED)]);
    assert_eq!(world.broker.texts("a"), ["waits", "x"]);
}

#[test]
fn topics_of_a_client_have_a_limit() {
    let mut world = World::with(|options| options.topic_ids_max = 2);
    let node = registered(&mut world, "n", "a");
    world.send(&node, register(2, "b"));
    world.send(&node, register(3, "c"));
    world.send(&node, register(4, "a"));
    let (full, known) = (regack(0, 3, CONGESTION), regack(1, 4, ACCEPTED));
    world.expect(&node, &[regack(2, 2, ACCEPTED), full, known]);
}

#[test]
fn name_that_no_broker_takes_is_not_registered() {
    let mut world = World::new();
    let node = world.connected("n");
    world.send(&node, register(1, "a/#"));
    world.expect(&node, &[regack(0, 1, ReturnCode::NotSupported)]);
}

/// 32. The broker has a say of its own, and a node that was told that all is well would never know.
#[test]
fn message_that_the_broker_refuses_is_refused_to_the_node_and_counted() {
    let mut world = World::new();
    world.broker.refused_topics.push("up/x".into());
    let node = registered(&mut world, "n", "up/x");
    for delivery in [qos_1(2), qos_2(3)] {
        world.send(&node, publish(delivery, normal(1), "x"));
        let number = if delivery == qos_1(2) { 2 } else { 3 };
        world.expect(&node, &[puback(1, number, ReturnCode::NotSupported)]);
    }
    assert_eq!(world.count(Counter::Refused), 2);
    assert!(world.broker.texts("up/x").is_empty());
    // What is allowed again is taken, under the same number too.
    world.broker.refused_topics.clear();
    world.send(&node, publish(qos_2(3), normal(1), "x"));
    world.expect(&node, &[Packet::Pubrec(MessageId(3))]);
    assert_eq!(world.broker.texts("up/x"), ["x"]);
}

/// A gateway without a battery for its clock: nobody is told a wrong day.
#[test]
fn reading_of_a_time_without_a_clock_is_marked_until_the_clock_is_set() {
    let mut world = World::new();
    world.gateway.set_clock(0, None, 60_000);
    let node = registered(&mut world, "n", "$age/site/state");
    let send = |world: &mut World, number| {
        let payload = [&5_000_u32.to_be_bytes()[..], br#"{"temperature_c":21.5}"#].concat();
        let (delivery, topic) = (qos_1(number), normal(1));
        let publish = Publish { delivery, retain: false, topic, payload: &payload };
        world.send_bytes(&node, &super::world::encoded(Packet::Publish(publish)));
        world.expect(&node, &[puback(1, number, ACCEPTED)]);
    };
    send(&mut world, 2);
    world.advance(1_000);
    send(&mut world, 3);
    let now = world.now;
    world.gateway.set_clock(now, Some(1_767_225_600_000), 61_000);
    send(&mut world, 4);
    let expected = [
        r#"{"temperature_c":21.5,"ts_ms":55000,"ts_src":"uptime"}"#,
        r#"{"temperature_c":21.5,"ts_ms":56000,"ts_src":"uptime"}"#,
        r#"{"temperature_c":21.5,"ts_ms":1767225595000}"#,
    ];
    assert_eq!(world.broker.texts("site/state"), expected);
}

/// 42. However often it is sent, and however long the broker takes.
#[test]
fn age_of_a_reading_is_taken_off_and_becomes_its_time() {
    let mut world = World::new();
    world.gateway.set_clock(0, Some(1_767_225_600_000), 0);
    let node = registered(&mut world, "n", "$age/site/state");
    world.advance(10_000);
    let message = |age: u32, delivery, payload: &[u8]| {
        let payload = [&age.to_be_bytes()[..], payload].concat();
        let topic = normal(1);
        let publish = Publish { delivery, retain: false, topic, payload: &payload };
        super::world::encoded(Packet::Publish(publish))
    };
    let reading = br#"{"temperature_c":21.5}"#;
    world.send_bytes(&node, &message(3_600_000, qos_2(2), reading));
    world.expect(&node, &[Packet::Pubrec(MessageId(2))]);
    // The node has not heard it, and the reading is older by now.
    world.advance(500);
    world.send_bytes(&node, &message(3_600_500, again(qos_2(2)), reading));
    world.expect(&node, &[Packet::Pubrec(MessageId(2))]);
    let expected = r#"{"temperature_c":21.5,"ts_ms":1767222010000}"#;
    assert_eq!(world.broker.texts("site/state"), [expected]);
    // Three octets are no age.
    for (delivery, answer) in [
        (qos_1(3), Some(puback(1, 3, ACCEPTED))),
        (qos_2(4), Some(Packet::Pubrec(MessageId(4)))),
        (Delivery::AtMostOnce, None),
    ] {
        world.send(&node, publish(delivery, normal(1), "\0\0\0"));
        world.expect(&node, answer.as_slice());
    }
    assert_eq!(world.count(Counter::AgeMissing), 3);
    assert_eq!(world.broker.texts("site/state").len(), 1);
}
