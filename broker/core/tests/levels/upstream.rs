//! Level `upstream`: an acknowledgement says that the upstream has the message.

use super::*;

const OTHER_UPSTREAM: ReaderId = ReaderId(3);

/// With two upstreams: one for everything below `up`, the other for part of it.
fn forwarding(limits: Limits) -> World {
    let reader = |reader, filter: &str, kind| ReaderConfig {
        reader,
        filters: vec![filter.to_owned()],
        kind,
        names_publishers: false,
    };
    let readers = vec![
        reader(RULES, "up/rules/#", ReaderKind::Rules),
        reader(UPSTREAM, "up/#", ReaderKind::Upstream),
        reader(OTHER_UPSTREAM, "up/both/#", ReaderKind::Upstream),
    ];
    World::with_readers(limits, readers)
}

/// Positions of the messages that wait for upstreams in memory.
fn held(world: &World) -> Vec<Sequence> {
    world.net().store.held.keys().copied().collect()
}

#[test]
fn upstream_is_acknowledged_by_the_upstream_and_writes_nothing_meanwhile() {
    let world = forwarding(limits());
    let publisher = world.connect(v311("publisher"));
    publisher.publish(QOS1, "up/t", "first");
    world.reader_done(UPSTREAM, held(&world)[0]);
    publisher.expect(PacketKind::Puback, 1);
    let written = writes(&world);
    assert_eq!(written, 1, "the reserve of positions");
    for id in 2..50 {
        publisher.publish(QOS1, "up/t", "x");
        publisher.expect_nothing();
        let waiting = held(&world);
        assert_eq!(waiting.len(), 1);
        assert_eq!(world.metrics().held, 1);
        world.reader_done(UPSTREAM, waiting[0]);
        publisher.expect(PacketKind::Puback, id);
        assert!(held(&world).is_empty() && world.metrics().held_bytes == 0);
    }
    assert_eq!(writes(&world), written);
    assert!(world.net().store.log.is_empty());
}

#[test]
fn upstream_waits_for_each_of_several() {
    let world = forwarding(limits());
    let publisher = world.connect(v5("publisher"));
    publisher.publish(QOS1, "up/both/t", "x");
    let at = held(&world)[0];
    world.reader_done(UPSTREAM, at);
    publisher.expect_nothing();
    assert_eq!(held(&world), [at]);
    world.reader_done(OTHER_UPSTREAM, at);
    publisher.expect(PacketKind::Puback, 1);
    assert!(held(&world).is_empty());
}

#[test]
fn what_no_upstream_gets_is_committed() {
    let world = World::with_limits(limits());
    away(&world, "away");
    let publisher = world.connect(v311("publisher"));
    publisher.publish_retained(QOS1, "up/t", "x");
    publisher.expect(PacketKind::Puback, 1);
    world.crash();
    assert_eq!(payloads(&back(&world, "away")), ["x"]);
    assert_eq!(world.metrics().retained, 1);
}

/// Past its memory it is level commit: acknowledged, and kept over a power cut. A client that has
/// messages waiting is not read instead, so that none of them overtakes another.
#[test]
fn upstream_is_committed_when_its_memory_is_full() {
    let world = forwarding(Limits { held_bytes_max: 20, ..limits() });
    let publisher = world.connect(v311("publisher"));
    let other = world.connect(v311("other"));
    publisher.publish(QOS1, "up/t", "1");
    publisher.publish(QOS1, "up/t", "2");
    other.publish_acknowledged("up/t", "3");
    assert_eq!((held(&world).len(), world.metrics().held_full), (1, 1));
    assert_eq!(world.net().store.log.len(), 1);
    publisher.expect_nothing();
    world.reader_done(UPSTREAM, held(&world)[0]);
    publisher.expect(PacketKind::Puback, 1);
    publisher.expect_nothing();
    world.reader_done(UPSTREAM, held(&world)[0]);
    publisher.expect(PacketKind::Puback, 2);
    assert!(world.net().store.log.is_empty(), "the upstream is past all three");
}

/// [MQTT-4.6.0-2]: whatever a client publishes behind it is acknowledged behind it, by its own
/// commit too. Nobody else waits.
#[test]
fn acknowledgements_keep_their_order_behind_one_that_waits_for_an_upstream() {
    let world = forwarding(limits());
    away(&world, "away");
    let publisher = world.connect(v5("publisher"));
    let other = world.connect(v5("other"));
    publisher.publish(QOS1, "up/t", "1");
    world.hold_commits();
    publisher.publish(QOS1, "t", "2");
    publisher.publish(QOS1, "none/t", "3");
    assert!(world.commit_awaited());
    publisher.publish(QOS1, "t", "4");
    publisher.ping();
    publisher.look(|packet| assert_eq!(packet.kind(), PacketKind::Pingresp));
    publisher.expect_nothing();
    other.publish_acknowledged("none/t", "5");
    let at = held(&world)[0];
    world.reader_done(UPSTREAM, at);
    for id in 1..=3 {
        publisher.expect(PacketKind::Puback, id);
    }
    publisher.expect_nothing();
    world.release_commits();
    publisher.expect(PacketKind::Puback, 4);
}

/// The upstream is away: the client offers it again. At QoS 2 it is the same message for as long
/// as the process lives, at QoS 1 another one.
#[test]
fn a_message_that_was_not_acknowledged_is_offered_again() {
    let world = forwarding(limits());
    for (qos, answer, count) in [(QOS1, PacketKind::Puback, 2), (QOS2, PacketKind::Pubrec, 1)] {
        let publish = |client: &Client, dup| {
            client.publish_with(qos, "up/t", "x", |publish| {
                publish.packet_id = PacketId::new(9);
                publish.dup = dup;
            });
        };
        let publisher = world.connect(v311("publisher").kept());
        publish(&publisher, false);
        publisher.hang_up();
        let publisher = world.connect(v311("publisher").kept());
        publish(&publisher, true);
        publisher.expect_nothing();
        assert_eq!(held(&world).len(), count);
        let last = *held(&world).last().expect("it waits");
        world.reader_done(UPSTREAM, last);
        publisher.expect(answer, 9);
        if qos == QOS2 {
            publisher.pubrel(9);
            publisher.expect(PacketKind::Pubcomp, 9);
        }
    }
}

/// A far end that knows messages by their positions must not take one for another.
#[test]
fn a_position_is_never_given_twice() {
    let world = forwarding(limits());
    let mut last = Sequence(0);
    for round in 0..5 {
        let publisher = world.connect(v311("publisher"));
        for n in 0..3 {
            publisher.publish(QOS1, "up/t", &format!("{round}/{n}"));
            let at = *held(&world).last().expect("it waits");
            assert!(at > last, "{at:?} after {last:?}");
            last = at;
        }
        world.crash();
        assert!(held(&world).is_empty(), "it is lost with the process");
    }
}

/// A position that is not reserved durably is not used: nobody sees the message before.
#[test]
fn a_position_is_reserved_before_anybody_sees_it() {
    let world = forwarding(limits());
    let publisher = world.connect(v311("publisher"));
    world.hold_commits();
    publisher.publish(QOS1, "up/t", "x");
    let net = world.net();
    let changes = &net.pending[0].changes;
    assert!(matches!(changes[0], Change::PositionsReserved { .. }), "{changes:?}");
    assert!(matches!(changes[1], Change::MessageHeld { .. }), "{changes:?}");
    assert!(net.pending[0].is_awaited);
}

/// Whoever else gets it gets it from memory, as at level none.
#[test]
fn upstream_is_as_none_for_everybody_else() {
    let world = forwarding(limits());
    away(&world, "away");
    let publisher = world.connect(v311("publisher"));
    publisher.publish_retained(QOS2, "up/rules/t", "1");
    world.reader_done(UPSTREAM, held(&world)[0]);
    publisher.expect(PacketKind::Pubrec, 1);
    let seen = world.take_reader_messages();
    let seen: Vec<_> = seen.iter().map(|m| (m.reader, m.sequence, m.payload.as_str())).collect();
    assert_eq!(seen, [(RULES, None, "1")]);
    let received = back(&world, "away");
    assert_eq!((payloads(&received), received[0].qos), (vec!["1"], QOS1));
    assert!(world.net().store.log.is_empty() && world.net().store.retained.is_empty());
    publisher.publish(QOS1, "up/rules/t", "2");
    world.reader_done(UPSTREAM, held(&world)[0]);
    publisher.expect(PacketKind::Puback, 2);
    world.crash();
    assert!(back(&world, "away").is_empty(), "it was acknowledged by the upstream alone");
}

/// What the broker publishes itself waits for nobody's acknowledgement.
#[test]
fn a_will_for_an_upstream_is_committed() {
    let world = forwarding(limits());
    world.connect(v311("client").will("up/t", "gone")).hang_up();
    assert!(held(&world).is_empty());
    assert_eq!(world.net().store.log.len(), 1);
}

/// A dead letter that was made of a refused message is durable before its publisher is told.
#[test]
fn a_publisher_waits_for_the_dead_letter_too() {
    let world = forwarding(limits());
    away(&world, "away");
    let publisher = world.connect(v311("publisher"));
    publisher.publish(QOS1, "up/t", "x");
    let at = held(&world)[0];
    world.hold_commits();
    world.in_one_turn(|| {
        let message = MessageParts {
            qos: QOS1,
            retain: false,
            expires_at_ms: None,
            received_at_ms: 0,
            publisher: "",
            topic: "dead/t",
            properties: &[],
            payload: b"x",
        };
        let route = Route::Subscribers { origin: Some(UPSTREAM) };
        world.publish(Publication { message, route });
        world.reader_done(UPSTREAM, at);
    });
    publisher.expect_nothing();
    world.commit();
    publisher.expect(PacketKind::Puback, 1);
}

/// A client with many of them is not read for a while, and then it is.
#[test]
fn a_client_whose_messages_wait_for_an_upstream_meets_the_brake() {
    let world = forwarding(Limits { unacknowledged_inbound_max: 4, ..limits() });
    let publisher = world.connect(v311("publisher"));
    for _ in 0..10 {
        publisher.publish(QOS1, "up/t", "x");
    }
    assert!(publisher.is_paused());
    assert_eq!(held(&world).len(), 4);
    while let Some(at) = held(&world).first().copied() {
        world.reader_done(UPSTREAM, at);
    }
    assert!(!publisher.is_paused());
    for id in 1..=10 {
        publisher.expect(PacketKind::Puback, id);
    }
}

/// Otherwise a publisher would wait for ever.
#[test]
fn a_publisher_does_not_wait_for_an_upstream_that_leaves() {
    let world = forwarding(limits());
    let publisher = world.connect(v311("publisher"));
    let id = publisher.publish(QOS1, "up/t", "x");
    publisher.expect_nothing();
    world.reader_leaves(UPSTREAM);
    publisher.expect(PacketKind::Puback, id);
    assert_eq!(held(&world), []);
}
