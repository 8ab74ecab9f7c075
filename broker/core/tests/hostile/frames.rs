//! Packets that come slowly, never end, or are as large as they can be.

use super::*;

/// Nobody takes a place by talking slowly.
#[test]
fn a_connect_that_drips_ends_in_time_and_takes_no_memory() {
    let world = World::new();
    let mut neighbours = Neighbours::new(&world);
    let connect = v5("slow").will("t", "x").encode();
    let connections: Vec<Client> = (0..1000).map(|_| world.open()).collect();
    let taken = memory_of(|| {
        for byte in connect.iter().take(9) {
            connections.iter().for_each(|client| client.send_bytes(&[*byte]));
            world.advance_ms(1_000);
            neighbours.check();
        }
    });
    assert!(taken < 200_000, "{taken} bytes");
    assert_eq!(world.metrics().connections, 1002);
    world.advance_ms(1_000);
    connections.iter().for_each(Client::expect_closed);
    assert_eq!(world.metrics().connections, 2);
    neighbours.check();
}

/// Before it is known who they are, many could make the broker hold the largest packet for each.
#[test]
fn no_connect_is_longer_than_its_fields_can_be() {
    let world = World::new();
    let mut neighbours = Neighbours::new(&world);
    for bytes in [&[0x10, 0x81, 0x80, 0x18][..], &[0x10, 0xff, 0xff, 0x5f]] {
        let client = world.open();
        client.send_bytes(bytes);
        client.expect_closed();
    }
    // All of them, each as long as its length can say.
    let long = "x".repeat(65_535);
    let mut body = b"\0\x04MQTT\x04\xc6\0\0".to_vec();
    let password = [b"\xff\xff", long.as_bytes()].concat();
    for field in [text("long"), text("t"), text(&long), text(&long), password] {
        body.extend(field);
    }
    let client = world.open();
    client.send_bytes(&packet(0x10, &body));
    client.expect_connack();
    // Once it is known, it may send what all may.
    client.publish(QOS0, "t", &"x".repeat(1_900_000));
    client.expect_nothing();
    neighbours.check();
}

#[test]
fn lengths_that_cannot_be_close_before_anything_is_kept() {
    let world = World::with_limits(Limits { packet_bytes_max: 10_000, ..Limits::default() });
    let mut neighbours = Neighbours::new(&world);
    let (large, malformed) = (ReasonCode::PacketTooLarge, ReasonCode::MalformedPacket);
    let cases: [(&[u8], ReasonCode); 6] = [
        (&[0x30, 0xff, 0xff, 0xff, 0x7f], large),
        (&[0x30, 0x8e, 0x4e], large),
        (&[0x82, 0x80, 0x80, 0x80, 0x01], large),
        (&[0x30, 0xff, 0xff, 0xff, 0xff, 0x7f], malformed),
        (&[0x30, 0x80, 0x80, 0x80, 0x80, 0x01], malformed),
        (&[0x30, 0x80, 0x00], malformed),
    ];
    for (bytes, reason) in cases {
        let client = world.connect(v5("large"));
        let rest = vec![0; 60_000];
        let taken = memory_of(|| {
            client.send_bytes(bytes);
            client.send_bytes(&rest);
        });
        assert!(taken < 10_000, "{taken} bytes for {bytes:?}");
        client.expect_disconnected(reason);
        neighbours.check();
    }
}

/// The last byte of each packet never comes.
#[test]
fn half_packets_take_no_more_than_was_sent() {
    let world = World::new();
    let mut neighbours = Neighbours::new(&world);
    let clients: Vec<Client> =
        (0..100).map(|n| world.connect(v5(&format!("half-{n}")).keep_alive(10))).collect();
    let half = &packet(0x30, &[text("t"), vec![0; 50_000]].concat())[..50_000];
    let taken = memory_of(|| {
        for piece in half.chunks(5_000) {
            clients.iter().for_each(|client| client.send_bytes(piece));
        }
    });
    assert!(taken < 100 * 2 * 50_000, "{taken} bytes");
    world.advance_ms(14_999);
    assert!(clients.iter().all(|client| !client.is_closed()));
    world.advance_ms(1);
    clients.iter().for_each(|client| client.expect_disconnected(ReasonCode::KeepAliveTimeout));
    neighbours.check();
}

#[test]
fn the_most_user_properties_arrive_as_they_were() {
    let world = World::new();
    let mut neighbours = Neighbours::new(&world);
    let watcher = world.connect(v5("watcher"));
    watcher.subscribe("t", QOS1);
    let small = world.connect(v5("small").packet_max(1_000));
    small.subscribe("t", QOS1);
    let client = world.connect(v5("many"));
    let pairs = vec![("k", "v"); 65_535];
    let taken = memory_of(|| {
        client.publish_with(QOS1, "t", "x", |publish| {
            publish.packet_id = PacketId::new(1);
            publish.properties.user_properties = pairs.as_slice().into();
        });
    });
    client.expect(PacketKind::Puback, 1);
    // 7 bytes each; this side has the packet twice, and so has the receiver.
    assert!(taken < 12 * 7 * 65_535, "{taken} bytes");
    let received = watcher.receive_and_acknowledge();
    assert_eq!(received.user_properties.len(), 65_535);
    small.expect_nothing();
    assert_eq!(world.drops_of("small").too_large, 1);
    neighbours.check();
}
