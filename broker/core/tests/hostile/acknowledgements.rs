//! Acknowledgements that nobody waits for, and exchanges that nobody ends.

use super::*;

/// A subscriber with one message of each QoS under way: QoS 1 under 1, QoS 2 under 2.
fn with_two_under_way(world: &World) -> Client {
    let client = world.connect(v5("wrong").kept());
    client.subscribe("one", QOS1);
    client.subscribe("two", QOS2);
    let publisher = world.connect(v311("publisher"));
    publisher.publish_acknowledged("one", "1");
    publisher.publish_exactly_once("two", "2");
    assert_eq!((client.receive().id, client.receive().id), (1, 2));
    client
}

/// None of them ends an exchange of another kind, nor one that is not there.
#[test]
fn the_wrong_acknowledgement_changes_nothing() {
    let world = World::new();
    let mut neighbours = Neighbours::new(&world);
    let client = with_two_under_way(&world);
    for id in [2, 3, 65_535] {
        client.puback(id);
    }
    for id in [1, 2, 3, 65_535] {
        client.pubcomp(id);
    }
    client.expect_nothing();
    for id in [1, 3, 65_535] {
        client.pubrec(id);
        let reason = client.expect_reason(PacketKind::Pubrel, id);
        assert_eq!(reason, ReasonCode::PacketIdentifierNotFound);
        client.refuse(QOS1, 2);
        client.refuse(QOS2, id);
        let reason = client.expect_reason(PacketKind::Pubrel, id);
        assert_eq!(reason, ReasonCode::PacketIdentifierNotFound);
    }
    assert_eq!(world.metrics().inflight, 2);
    assert_eq!(world.metrics().drops.total(), 0);
    // Both are sent again, and can be ended by the book.
    client.hang_up();
    let client = world.connect(v5("wrong").kept());
    assert!(client.session_present);
    let again: Vec<_> = client.receive_all().iter().map(|m| (m.id, m.dup)).collect();
    assert_eq!(again, [(1, true), (2, true)]);
    assert_eq!(world.metrics().inflight, 0);
    neighbours.check();
}

/// Each is answered, so what is answered has to be read.
#[test]
fn releasing_what_was_never_sent_is_answered_and_takes_no_memory() {
    let world = World::new();
    let mut neighbours = Neighbours::new(&world);
    for version in [v5("storm").kept(), v311("storm").kept()] {
        let is_v5 = version.version == Version::V5;
        let client = world.connect(version);
        let taken = memory_of(|| {
            for id in 1..=u16::MAX {
                client.pubrel(id);
                let reason = client.expect_reason(PacketKind::Pubcomp, id);
                let expected = ReasonCode::PacketIdentifierNotFound;
                assert!(!is_v5 || reason == expected, "{reason}");
            }
        });
        assert!(taken < 100_000, "{taken} bytes");
        client.stall();
        let storm: Vec<u8> = (1..=1_000_u16)
            .flat_map(|id| client.encode(&Packet::Pubrel(Acknowledge::success(packet_id(id)))))
            .collect();
        let taken = memory_of(|| {
            (0..500).for_each(|_| client.send_bytes(&storm));
        });
        // What may wait to be written; the buffer of that doubles as it grows.
        let bound = 2_000_000 + 2 * 256_000;
        assert!(taken < 3 * bound, "{taken} bytes");
        assert_eq!(client.is_closed(), is_v5);
        neighbours.check();
    }
}

/// An older client has no receive maximum; there are only so many identifiers.
#[test]
fn all_identifiers_may_be_under_way_from_a_client() {
    let world = World::new();
    let mut neighbours = Neighbours::new(&world);
    let watcher = world.connect(v5("watcher"));
    watcher.subscribe("t", QOS0);
    let client = world.connect(v311("greedy").kept());
    let taken = memory_of(|| {
        for round in 0..2 {
            for id in 1..=u16::MAX {
                client.publish_with(QOS2, "t", "x", |p| p.packet_id = PacketId::new(id));
                client.expect(PacketKind::Pubrec, id);
                assert_eq!(watcher.has_arrived(), round == 0, "{id}");
                watcher.next_frame();
            }
        }
    });
    assert!(taken < 10_000_000, "{taken} bytes");
    neighbours.check();
    client.hang_up();
    let client = world.connect(v311("greedy").kept());
    for id in 1..=u16::MAX {
        client.pubrel(id);
        client.expect(PacketKind::Pubcomp, id);
    }
    assert_eq!(world.metrics().drops.total(), 0);
    neighbours.check();
}

/// The window is as wide as it can be: what the client says must still be found quickly.
#[test]
fn all_identifiers_may_be_under_way_to_a_client() {
    let limits = Limits { inflight_messages_max: 0, ..Limits::default() };
    let world = World::with_limits(limits);
    let mut neighbours = Neighbours::new(&world);
    let client = world.connect(v311("deaf"));
    client.subscribe("t", QOS1);
    let publisher = world.connect(v311("publisher"));
    for _ in 0..65_535 + 10 {
        publisher.publish_with(QOS1, "t", "x", |publish| publish.packet_id = PacketId::new(1));
        publisher.expect(PacketKind::Puback, 1);
    }
    let mut ids = Vec::new();
    while client.has_arrived() {
        ids.push(client.receive().id);
    }
    assert_eq!(ids, (1..=u16::MAX).collect::<Vec<_>>());
    assert_eq!(world.metrics().inflight, 65_535);
    let storm: Vec<u8> = client.encode(&Packet::Puback(Acknowledge::success(packet_id(1))));
    client.send_bytes(&storm);
    for _ in 0..10 {
        client.send_bytes(&storm.repeat(1_000));
        neighbours.check();
    }
    // The identifier was free then, and went to what had waited, again and again.
    for _ in 0..10 {
        assert_eq!(client.receive().id, 1);
    }
    client.expect_nothing();
    // Backwards, so that none is where it would be expected.
    for id in (2..=u16::MAX).rev().take(30_000) {
        client.puback(id);
    }
    neighbours.check();
    assert_eq!(world.metrics().inflight, 65_534 - 30_000);
}

#[test]
fn a_new_client_past_its_quota_is_told_so() {
    let world = World::new();
    let mut neighbours = Neighbours::new(&world);
    let client = world.connect(v5("greedy").kept());
    for id in 1..=100 {
        client.publish_with(QOS2, "t", "x", |publish| publish.packet_id = PacketId::new(id));
        client.expect_reason(PacketKind::Pubrec, id);
    }
    // Again, which is no new exchange, any number of times.
    for id in (1..=100).cycle().take(10_000) {
        client.publish_with(QOS2, "t", "x", |publish| {
            publish.packet_id = PacketId::new(id);
            publish.dup = true;
        });
        client.expect_reason(PacketKind::Pubrec, id);
    }
    client.publish_with(QOS2, "t", "x", |publish| publish.packet_id = PacketId::new(101));
    client.expect_disconnected(ReasonCode::ReceiveMaximumExceeded);
    neighbours.check();
}
