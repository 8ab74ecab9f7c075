//! Delayed publishing: `$delayed/<seconds>/<topic>`.

use crate::support::*;

/// A client that publishes, and one that subscribes to everything.
fn world(limits: Limits) -> (World, Client, Client) {
    let world = World::with_limits(limits);
    let publisher = world.connect(v5("publisher"));
    let subscriber = world.connect(v5("subscriber").kept());
    subscriber.subscribe("#", QOS2);
    (world, publisher, subscriber)
}

#[test]
fn a_message_comes_when_its_time_has_come_and_not_before() {
    in_one_shard();
    let (world, publisher, subscriber) = world(Limits::default());
    for qos in [QOS0, QOS1, QOS2] {
        publisher.publish_acknowledged_at(qos, "$delayed/10/a/b", "later");
        assert_eq!((world.metrics().delayed, world.metrics().sessions), (1, 2));
        world.advance_ms(9_999);
        subscriber.expect_nothing();
        world.advance_ms(1);
        let received = subscriber.receive_and_acknowledge();
        assert_eq!((received.topic.as_str(), received.payload.as_str()), ("a/b", "later"));
        assert_eq!(received.qos, qos);
        assert_eq!((world.metrics().delayed, world.metrics().delayed_bytes), (0, 0));
        assert!(world.net().store.sessions.len() == 1, "nothing of it is left");
    }
}

#[test]
fn messages_come_in_the_order_of_their_times() {
    let (world, publisher, subscriber) = world(Limits::default());
    for (seconds, payload) in [(30, "c"), (10, "a"), (20, "b"), (10, "a2"), (0, "now")] {
        publisher.publish_acknowledged(&format!("$delayed/{seconds}/t"), payload);
    }
    assert_eq!(subscriber.payloads(), ["now"]);
    world.advance_s(30);
    assert_eq!(subscriber.payloads(), ["a", "a2", "b", "c"]);
}

#[test]
fn properties_and_the_retain_flag_are_kept() {
    let (world, publisher, subscriber) = world(Limits::default());
    let id = publisher.next_id();
    publisher.publish_with(QOS1, "$delayed/10/t", "later", |publish| {
        publish.packet_id = PacketId::new(id);
        publish.retain = true;
        publish.properties.user_properties = (&[("unit", "celsius")][..]).into();
        // Counted from the moment at which it is published.
        publish.properties.message_expiry_interval_s = Some(5);
    });
    publisher.expect(PacketKind::Puback, id);
    assert_eq!(world.metrics().retained, 0);
    world.advance_s(10);
    let received = subscriber.receive_and_acknowledge();
    assert_eq!(received.user_properties, [("unit".to_owned(), "celsius".to_owned())]);
    assert_eq!(received.expiry_s, Some(5));
    assert_eq!(world.metrics().retained, 1);
    assert_eq!(world.net().store.retained["t"].payload(), b"later");
}

/// A message that was acknowledged survives a crash, and waits for what is left of its time.
#[test]
fn the_time_goes_on_over_a_crash() {
    for qos in [QOS0, QOS1, QOS2] {
        let (world, publisher, subscriber) = world(Limits::default());
        subscriber.hang_up();
        publisher.publish_acknowledged_at(qos, "$delayed/100/t", "later");
        world.advance_s(30);
        world.crash_for_s(30);
        let subscriber = world.connect(v5("subscriber").kept());
        world.advance_ms(39_999);
        subscriber.expect_nothing();
        world.advance_ms(1);
        assert_eq!(subscriber.receive_and_acknowledge().payload, "later");
        world.crash();
        let subscriber = world.connect(v5("subscriber").kept());
        world.advance_s(1000);
        subscriber.expect_nothing();
    }
}

#[test]
fn what_became_due_while_the_broker_was_down_comes_after_the_start() {
    let (world, publisher, subscriber) = world(Limits::default());
    subscriber.hang_up();
    publisher.publish_acknowledged("$delayed/20/t", "second");
    publisher.publish_acknowledged("$delayed/10/t", "first");
    world.crash_for_s(60);
    world.advance_ms(1);
    let subscriber = world.connect(v5("subscriber").kept());
    let mut payloads = subscriber.payloads();
    payloads.sort();
    assert_eq!(payloads, ["first", "second"]);
}

#[test]
fn it_is_acknowledged_when_it_is_durable() {
    let (world, publisher, _subscriber) = world(Limits::default());
    world.hold_commits();
    let at_least_once = publisher.publish(QOS1, "$delayed/10/t", "x");
    let exactly_once = publisher.publish(QOS2, "$delayed/10/t", "y");
    publisher.expect_nothing();
    world.commit();
    publisher.expect(PacketKind::Puback, at_least_once);
    publisher.expect(PacketKind::Pubrec, exactly_once);
}

/// [MQTT-4.3.3-10] A repetition is not taken twice.
#[test]
fn a_repeated_qos2_message_waits_once() {
    let (world, publisher, subscriber) = world(Limits::default());
    let id = publisher.publish(QOS2, "$delayed/10/t", "once");
    publisher.expect(PacketKind::Pubrec, id);
    publisher.publish_with(QOS2, "$delayed/10/t", "once", |publish| {
        publish.packet_id = PacketId::new(id);
        publish.dup = true;
    });
    publisher.expect(PacketKind::Pubrec, id);
    publisher.pubrel(id);
    publisher.expect(PacketKind::Pubcomp, id);
    assert_eq!(world.metrics().delayed, 1);
    world.advance_s(10);
    assert_eq!(subscriber.payloads(), ["once"]);
}

/// Nobody has it before the store has let go of it: otherwise a crash would bring it again.
#[test]
fn a_crash_at_its_time_neither_loses_nor_doubles_it() {
    for qos in [QOS1, QOS2] {
        let (world, publisher, subscriber) = world(Limits::default());
        publisher.publish_acknowledged_at(qos, "$delayed/10/t", "once");
        world.hold_commits();
        world.advance_s(10);
        subscriber.expect_nothing();
        world.crash();
        world.release_commits();
        let subscriber = world.connect(v5("subscriber").kept());
        world.advance_s(1);
        assert_eq!(subscriber.payloads(), ["once"]);
        assert_eq!(world.metrics().delayed, 0);
        world.crash();
        let subscriber = world.connect(v5("subscriber").kept());
        world.advance_s(1);
        subscriber.expect_nothing();
    }
}

/// 5.0 is told in the acknowledgement and why; who cannot be told there is disconnected.
#[test]
fn a_delay_that_is_none_is_refused() {
    let limits = Limits { delay_s_max: 100, ..Limits::default() };
    let (world, publisher, subscriber) = world(limits);
    let malformed = [
        "$delayed",
        "$delayed/",
        "$delayed/5",
        "$delayed/5/",
        "$delayed//t",
        "$delayed/-1/t",
        "$delayed/five/t",
        "$delayed/5s/t",
        "$delayed/101/t",
        "$delayed/99999999999/t",
        "$delayed/5/$delayed/5/t",
    ];
    for topic in malformed {
        for (qos, kind) in [(QOS1, PacketKind::Puback), (QOS2, PacketKind::Pubrec)] {
            let id = publisher.publish(qos, topic, "x");
            publisher.look(|packet| match packet {
                Packet::Puback(answer) | Packet::Pubrec(answer) => {
                    assert_eq!((packet.kind(), answer.packet_id.get()), (kind, id));
                    assert_eq!(answer.reason, ReasonCode::TopicNameInvalid, "{topic}");
                    assert!(answer.reason_string.is_some_and(|text| text.contains("delay")));
                }
                other => panic!("{other:?} for {topic}"),
            });
        }
        for (options, qos) in [(v5("other"), QOS0), (v311("other"), QOS0), (v311("other"), QOS2)] {
            let other = world.connect(options);
            other.publish(qos, topic, "x");
            other.expect_disconnected(ReasonCode::TopicNameInvalid);
        }
    }
    // The quota of the client is what it was.
    for _ in 0..100 {
        publisher.publish_acknowledged("$delayed/100/t", "x");
    }
    assert_eq!(world.metrics().delayed, 100);
    subscriber.expect_nothing();
    let with_will = world.dial(&v5("will").will("$delayed/5/t", "x"));
    with_will.expect_refused(ReasonCode::TopicNameInvalid);
}

/// A client of 3.x keeps a message that is not acknowledged.
#[test]
fn their_number_and_bytes_are_bounded() {
    let count = Limits { delayed_messages_max: 2, ..Limits::default() };
    let bytes = Limits { queued_memory_max: 100, ..Limits::default() };
    for limits in [count, bytes] {
        let (world, publisher, subscriber) = world(limits);
        for _ in 0..2 {
            publisher.publish_acknowledged("$delayed/10/t", "x");
        }
        for (qos, kind) in [(QOS1, PacketKind::Puback), (QOS2, PacketKind::Pubrec)] {
            let id = publisher.publish(qos, "$delayed/10/t", &"x".repeat(60));
            assert_eq!(publisher.expect_reason(kind, id), ReasonCode::QuotaExceeded);
        }
        let old = world.connect(v311("old"));
        old.publish(QOS2, "$delayed/10/t", &"x".repeat(60));
        old.expect_nothing();
        old.publish(QOS0, "$delayed/10/t", &"x".repeat(60));
        old.expect_nothing();
        assert_eq!(world.drops_of("old").queue_full, 1);
        assert_eq!(world.metrics().delayed, 2);
        world.advance_s(10);
        assert_eq!(subscriber.receive_all().len(), 2);
        publisher.publish_acknowledged("$delayed/10/t", "x");
    }
}

/// The topic that is meant decides, not the one that is written.
#[test]
fn the_acl_is_asked_about_the_real_topic() {
    let world = World::with_limits(Limits { authentication: true, ..Limits::default() });
    let rule = |filter| Rule::topic(Access::ReadWrite, TopicFilter::parse(filter).expect("valid"));
    let rules = [("a", rule("mine/#")), ("b", rule("$delayed/#")), ("b", rule("#"))];
    let rules = rules.map(|(name, rule)| (Some(name), rule));
    world.permit(Some(Acl::new(rules, [])));
    let subscriber = world.connect_as("b", v5("subscriber"));
    subscriber.subscribe("#", QOS1);
    let publisher = world.connect_as("a", v5("publisher"));
    publisher.publish_acknowledged("$delayed/10/mine/x", "allowed");
    for topic in ["$delayed/10/other", "$delayed/10/$SYS/x", "$delayed/0/other"] {
        let id = publisher.publish(QOS1, topic, "denied");
        let reason = publisher.expect_reason(PacketKind::Puback, id);
        assert_eq!(reason, ReasonCode::NotAuthorized, "{topic}");
    }
    let denied: Vec<String> = world.take_denials().iter().map(|d| d.topic.to_string()).collect();
    assert_eq!(denied, ["other"], "told once for each connection");
    world.advance_s(10);
    assert_eq!(subscriber.payloads(), ["allowed"]);
}

/// Its record has the form of one of a session, and no client may come by that.
#[test]
fn a_message_that_waits_is_no_session_of_anybody() {
    in_one_shard();
    let (world, publisher, _subscriber) = world(Limits::default());
    publisher.publish_acknowledged("$delayed/10/t", "x");
    let stored = |world: &World| {
        let net = world.net();
        let records = net.store.sessions.values().map(|stored| stored.record.client_id.to_string());
        records.filter(|client_id| client_id.starts_with('\0')).count()
    };
    assert_eq!(stored(&world), 1);
    let mut name = v5("?delayed/2").encode();
    let place = name.iter().position(|byte| *byte == b'?').expect("the name is there");
    name[place] = 0;
    let thief = world.open();
    thief.send_bytes(&name);
    assert!(thief.is_closed());
    // More clients take numbers before and after a restart.
    for round in 0..3 {
        for n in 0..3 {
            let client = world.connect(v5(&format!("client {round} {n}")).kept());
            client.subscribe("t", QOS1);
            client.hang_up();
        }
        world.crash();
        let publisher = world.connect(v5("publisher"));
        publisher.publish_acknowledged("$delayed/10/t", "x");
    }
    assert_eq!((stored(&world), world.metrics().delayed), (4, 4));
    assert_eq!(world.metrics().sessions, 1 + 9 + 1);
    world.advance_s(10);
    assert_eq!((stored(&world), world.metrics().delayed), (0, 0));
    let client = world.connect(v5("client 0 0").kept());
    assert_eq!(client.payloads(), ["x"; 4]);
}
