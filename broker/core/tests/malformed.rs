//! What breaks the rules is answered with the right reason, and the connection closed.

use crate::support::*;

/// A client could send the subscription identifiers that only a server sends. [MQTT-3.3.4-6]
#[test]
fn a_subscription_identifier_from_a_client_is_a_protocol_error() {
    let world = World::new();
    let client = world.connect(v5("a"));
    client.publish_with(QOS0, "t", "x", |publish| {
        publish.properties.subscription_identifiers = (&[7_u32][..]).into();
    });
    client.expect_disconnected(ReasonCode::ProtocolError);
}

/// [MQTT-4.13.1-1] [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-1.5.5-1] [MQTT-2.1.3-1] [MQTT-3.3.1-2]
/// [MQTT-3.3.1-4] [MQTT-3.3.2-2] [MQTT-3.3.2-14] [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.8.3-2]
/// [MQTT-3.8.3-4] [MQTT-3.8.3-5] [MQTT-3.10.1-1] [MQTT-3.10.3-2] [MQTT-3.14.1-1] [MQTT-3.15.1-1]
#[test]
fn what_breaks_the_rules_is_told_why() {
    use ReasonCode::{MalformedPacket, ProtocolError, TopicFilterInvalid, TopicNameInvalid};
    let world = World::new();
    let cases: [(&[u8], ReasonCode); 22] = [
        (b"\x30\x04\x00\x01\xff\x00", MalformedPacket),
        (b"\x30\x04\x00\x01\x00\x00", MalformedPacket),
        (b"\x30\x06\x00\x03\xed\xa0\x80\x00", MalformedPacket),
        (b"\x30\x84\x00\x00\x01t\x00", MalformedPacket),
        (b"\x30\xff\xff\xff\xff\x01", MalformedPacket),
        (b"\x38\x04\x00\x01t\x00", MalformedPacket),
        (b"\x36\x06\x00\x01t\x00\x01\x00", MalformedPacket),
        (b"\x30\x04\x00\x01#\x00", TopicNameInvalid),
        (b"\x30\x03\x00\x00\x00", ProtocolError),
        (b"\x32\x06\x00\x01t\x00\x00\x00", ProtocolError),
        (b"\x30\x08\x00\x01t\x04\x08\x00\x01+", TopicNameInvalid),
        (b"\x30\x08\x00\x01t\x04\x01\x00\x01\x00", ProtocolError),
        (b"\x60\x02\x00\x01", MalformedPacket),
        (b"\x80\x07\x00\x01\x00\x00\x01t\x00", MalformedPacket),
        (b"\x82\x03\x00\x01\x00", ProtocolError),
        (b"\x82\x07\x00\x01\x00\x00\x01t\x40", MalformedPacket),
        (b"\x82\x08\x00\x01\x00\x00\x02a#\x00", TopicFilterInvalid),
        (b"\x82\x10\x00\x01\x00\x00\x0a$share/g/t\x04", ProtocolError),
        (b"\xa0\x06\x00\x01\x00\x00\x01t", MalformedPacket),
        (b"\xa2\x03\x00\x01\x00", ProtocolError),
        (b"\xe1\x00", MalformedPacket),
        (b"\xf1\x00", MalformedPacket),
    ];
    for (bytes, reason) in cases {
        let client = world.connect(v5("a"));
        client.send_bytes(bytes);
        client.ping();
        client.expect_disconnected(reason);
    }
}

/// [MQTT-4.8.0-1 of 3.1.1]
#[test]
fn what_breaks_the_rules_of_3_1_1_closes_the_connection() {
    let world = World::new();
    let cases: [&[u8]; 8] = [
        b"\x30\x03\x00\x01\xff",
        b"\x36\x05\x00\x01t\x00\x01",
        b"\x30\x03\x00\x01+",
        b"\x62\x02\x00\x00",
        b"\x82\x02\x00\x01",
        b"\x82\x06\x00\x01\x00\x01t\x03",
        b"\xe0\x01\x00",
        b"\xf0\x00",
    ];
    for bytes in cases {
        let client = world.connect(v311("a"));
        client.send_bytes(bytes);
        client.expect_closed();
    }
}

/// What only a server says is no better. [MQTT-4.13.2-1]
#[test]
fn packets_of_a_server_are_protocol_errors() {
    let world = World::new();
    for bytes in [
        &b"\x20\x03\x00\x00\x00"[..],
        b"\x90\x04\x00\x01\x00\x00",
        b"\xb0\x04\x00\x01\x00\x00",
        b"\xd0\x00",
    ] {
        let client = world.connect(v5("a"));
        client.send_bytes(bytes);
        client.expect_disconnected(ReasonCode::ProtocolError);
    }
}

/// [MQTT-3.14.4-1] [MQTT-3.14.4-2]
#[test]
fn nothing_is_done_after_disconnect() {
    let world = World::new();
    let watcher = world.connect(v311("watcher"));
    watcher.subscribe("t", QOS0);
    for options in [v311("a"), v5("b")] {
        let client = world.connect(options);
        client.send_bytes(b"\xe0\x00\xc0\x00\x30\x03\x00\x01t");
        client.expect_closed();
    }
    watcher.expect_nothing();
}

/// [MQTT-1.5.4-3]
#[test]
fn a_byte_order_mark_stays_where_it_is() {
    let world = World::new();
    let client = world.connect(v311("a"));
    client.subscribe("\u{feff}t", QOS0);
    client.publish(QOS0, "t", "other");
    client.publish(QOS0, "\u{feff}t", "x");
    let received = client.receive();
    assert_eq!((received.topic.as_str(), received.payload.as_str()), ("\u{feff}t", "x"));
}

/// [MQTT-1.5.7-1] [MQTT-3.3.2-1] [MQTT-3.3.2-13] [MQTT-3.3.2-19] [MQTT-3.8.3-1] [MQTT-3.10.3-1]
/// [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-4.8.2-1] [MQTT-4.8.2-2]
#[test]
fn text_that_is_none_and_filters_that_cannot_be_are_told_apart() {
    use ReasonCode::{MalformedPacket, TopicFilterInvalid};
    let world = World::new();
    let cases: [(&[u8], ReasonCode); 9] = [
        (b"\x30\x0b\x00\x01t\x07\x26\x00\x01a\x00\x01\xff", MalformedPacket),
        (b"\x30\x08\x00\x01t\x04\x03\x00\x01\xff", MalformedPacket),
        (b"\x30\x08\x00\x01t\x04\x08\x00\x01\xff", MalformedPacket),
        (b"\x82\x07\x00\x01\x00\x00\x01\xff\x00", MalformedPacket),
        (b"\x82\x07\x00\x01\x00\x00\x01\x00\x00", MalformedPacket),
        (b"\xa2\x06\x00\x01\x00\x00\x01\xff", MalformedPacket),
        (b"\x82\x06\x00\x01\x00\x00\x00\x00", TopicFilterInvalid),
        (b"\x82\x10\x00\x01\x00\x00\x0a$share/+/t\x00", TopicFilterInvalid),
        (b"\x82\x0f\x00\x01\x00\x00\x09$share//t\x00", TopicFilterInvalid),
    ];
    for (bytes, reason) in cases {
        let client = world.connect(v5("a"));
        client.send_bytes(bytes);
        client.expect_disconnected(reason);
    }
}

/// The shell lets the client read the last word only where there is one.
#[test]
fn a_close_says_whether_something_was_said_last() {
    let world = World::new();
    let told = world.connect(v5("a"));
    told.send_bytes(&[0xf1, 0]);
    told.expect_disconnected(ReasonCode::MalformedPacket);
    assert_eq!(world.net().farewells, 1);
    world.connect(v5("b")).disconnect();
    let old = world.connect(v311("c"));
    old.send_bytes(&[0xf1, 0]);
    old.expect_closed();
    assert_eq!(world.net().farewells, 1);
    world.dial(&v311("").kept()).expect_refused(ReasonCode::ClientIdentifierNotValid);
    assert_eq!(world.net().farewells, 2);
}
