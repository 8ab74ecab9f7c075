//! Dead letters: what was lost is published once more, for whoever looks after that.

use crate::support::*;

fn limits() -> Limits {
    Limits { dead_letter: Some("$dead".into()), ..Limits::default() }
}

/// A client that publishes, and one that is kept and reads the letters.
fn world(limits: Limits) -> (World, Client, Client) {
    let world = World::with_limits(limits);
    let publisher = world.connect(v5("publisher"));
    let keeper = world.connect(v5("keeper").kept());
    keeper.subscribe("$dead/#", QOS2);
    (world, publisher, keeper)
}

fn away(world: &World, client_id: &str) {
    let away = world.connect(v5(client_id).kept());
    away.subscribe("t/#", QOS2);
    away.hang_up();
}

/// What a letter says about the message that was lost.
#[track_caller]
fn expect_letter(letter: &Received, reason: &str, client_id: &str, topic: &str) {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let about = [
        pair("dead-letter-reason", reason),
        pair("dead-letter-client", client_id),
        pair("dead-letter-topic", topic),
    ];
    assert!(letter.user_properties.ends_with(&about), "{letter:?}");
    assert!(!letter.retain && letter.expiry_s.is_none(), "{letter:?}");
}

#[test]
fn what_a_full_queue_drops_becomes_a_letter() {
    for (queue_full, lost) in [
        (QueueFull::DropNew, ["2", "3"]),
        (QueueFull::DropOld, ["0", "1"]),
        (QueueFull::Disconnect, ["2", "3"]),
    ] {
        let limits = Limits { queued_messages_max: 2, queue_full, ..limits() };
        let (world, publisher, keeper) = world(limits);
        away(&world, "away");
        for n in 0..4 {
            let id = publisher.next_id();
            publisher.publish_with(QOS1, "t/x", &n.to_string(), |publish| {
                publish.packet_id = PacketId::new(id);
                publish.properties.user_properties = (&[("unit", "celsius")][..]).into();
            });
            publisher.expect(PacketKind::Puback, id);
        }
        let letters = keeper.receive_all();
        let payloads: Vec<&str> = letters.iter().map(|letter| letter.payload.as_str()).collect();
        assert_eq!(payloads, lost, "{queue_full:?}");
        for letter in &letters {
            assert_eq!((letter.topic.as_str(), letter.qos), ("$dead/away/t/x", QOS1));
            assert_eq!(letter.user_properties[0], ("unit".to_owned(), "celsius".to_owned()));
            expect_letter(letter, "queue_full", "away", "t/x");
        }
        assert_eq!(world.metrics().dead_letters, 2);
    }
}

#[test]
fn what_expires_in_a_queue_becomes_a_letter_that_does_not_expire() {
    let (world, publisher, keeper) = world(limits());
    away(&world, "away");
    let id = publisher.next_id();
    publisher.publish_with(QOS2, "t/x", "late", |publish| {
        publish.packet_id = PacketId::new(id);
        publish.properties.message_expiry_interval_s = Some(5);
    });
    publisher.expect(PacketKind::Pubrec, id);
    world.advance_s(6);
    let _back = world.connect(v5("away").kept());
    let letter = keeper.receive_and_acknowledge();
    assert_eq!((letter.payload.as_str(), letter.qos), ("late", QOS2));
    expect_letter(&letter, "expired", "away", "t/x");
}

#[test]
fn what_its_receiver_refuses_becomes_a_letter() {
    let (world, publisher, keeper) = world(limits());
    let choosy = world.connect(v5("choosy"));
    choosy.subscribe("t/#", QOS2);
    for qos in [QOS1, QOS2] {
        publisher.publish_acknowledged_at(qos, "t/x", "no");
        choosy.refuse(qos, choosy.receive().id);
        let letter = keeper.receive_and_acknowledge();
        assert_eq!((letter.payload.as_str(), letter.qos), ("no", qos));
        expect_letter(&letter, "refused", "choosy", "t/x");
    }
}

#[test]
fn what_is_too_large_for_a_client_becomes_a_letter_at_every_qos() {
    let (world, publisher, keeper) = world(limits());
    let small = world.connect(v5("small").packet_max(60));
    small.subscribe("t/#", QOS2);
    let large = "x".repeat(80);
    for qos in [QOS0, QOS1, QOS2] {
        publisher.publish_acknowledged_at(qos, "t/x", &large);
        expect_letter(&keeper.receive_and_acknowledge(), "too_large", "small", "t/x");
    }
}

/// A letter in a full queue, or one that is refused, would otherwise make the next one.
#[test]
fn a_letter_that_is_lost_makes_no_letter() {
    let (world, publisher, keeper) = world(Limits { queued_messages_max: 1, ..limits() });
    away(&world, "away");
    keeper.hang_up();
    for _ in 0..4 {
        publisher.publish_acknowledged("t/x", "x");
    }
    // One message and one letter wait; three messages and two letters were dropped.
    assert_eq!(world.metrics().dead_letters, 3);
    assert_eq!(world.drops_of("away").queue_full, 3);
    assert_eq!(world.drops_of("keeper").queue_full, 2);
    let keeper = world.connect(v5("keeper").kept());
    keeper.refuse(QOS1, keeper.receive().id);
    keeper.expect_nothing();
    assert_eq!(world.metrics().dead_letters, 3);
}

/// The publisher is told that its message is safe when the letter is.
#[test]
fn a_letter_is_durable_before_the_message_is_acknowledged() {
    let (world, publisher, keeper) = world(Limits { queued_messages_max: 1, ..limits() });
    away(&world, "away");
    publisher.publish_acknowledged("t/x", "fits");
    keeper.hang_up();
    world.hold_commits();
    let id = publisher.publish(QOS1, "t/x", "lost");
    publisher.expect_nothing();
    world.release_commits();
    publisher.expect(PacketKind::Puback, id);
    world.crash();
    let keeper = world.connect(v5("keeper").kept());
    expect_letter(&keeper.receive_and_acknowledge(), "queue_full", "away", "t/x");
}

#[test]
fn nothing_becomes_a_letter_unless_letters_are_wanted() {
    let (world, publisher, keeper) = world(Limits { queued_messages_max: 1, ..Limits::default() });
    away(&world, "away");
    publisher.publish_acknowledged("t/x", "fits");
    publisher.publish_acknowledged("t/x", "lost");
    keeper.expect_nothing();
    // Then the name is one like others.
    publisher.publish_acknowledged("$dead/mine", "x");
    assert_eq!(keeper.receive().topic, "$dead/mine");
}

#[test]
fn clients_cannot_forge_letters() {
    let (world, publisher, keeper) = world(limits());
    for topic in ["$dead", "$dead/away/t/x"] {
        let id = publisher.publish(QOS1, topic, "forged");
        let reason = publisher.expect_reason(PacketKind::Puback, id);
        assert_eq!(reason, ReasonCode::NotAuthorized);
    }
    let with_will = world.dial(&v5("will").will("$dead/away/t/x", "forged"));
    with_will.expect_refused(ReasonCode::NotAuthorized);
    publisher.publish_acknowledged("$deadline", "mine");
    keeper.expect_nothing();
}

/// A client identifier may have characters that a topic name may not, and both may be long.
#[test]
fn the_topic_of_a_letter_is_valid_whatever_the_client_is_called() {
    let limits = Limits { queued_messages_max: 1, topic_levels_max: 5, ..limits() };
    let (world, publisher, keeper) = world(limits);
    for client_id in ["a/+/#", "b"] {
        away(&world, client_id);
    }
    publisher.publish_acknowledged("t/1/2", "fits");
    publisher.publish_acknowledged("t/1/2", "lost");
    let letters = keeper.receive_all();
    let topics: Vec<&str> = letters.iter().map(|letter| letter.topic.as_str()).collect();
    assert_eq!(topics, ["$dead/a____/t/1/2", "$dead/b/t/1/2"]);
    expect_letter(&letters[0], "queue_full", "a/+/#", "t/1/2");
    publisher.publish_acknowledged("t/1/2/3", "lost");
    let letters = keeper.receive_all();
    assert_eq!(letters[1].topic, "$dead/b");
    expect_letter(&letters[1], "queue_full", "b", "t/1/2/3");
}

/// So many can only come from a long queue that has expired as a whole.
#[test]
fn letters_of_one_input_are_bounded_and_the_rest_is_counted() {
    let (world, publisher, keeper) = world(limits());
    away(&world, "away");
    for n in 0..1100 {
        publisher.publish_with(QOS1, "t/x", "x", |publish| {
            publish.packet_id = PacketId::new(n + 1);
            publish.properties.message_expiry_interval_s = Some(5);
        });
        publisher.expect(PacketKind::Puback, n + 1);
    }
    world.advance_s(6);
    let _back = world.connect(v5("away").kept());
    assert_eq!(keeper.receive_all().len(), 1024);
    assert_eq!((world.metrics().dead_letters, world.metrics().dead_letters_missed), (1024, 76));
    assert_eq!(world.drops_of("away").expired, 1100);
}
