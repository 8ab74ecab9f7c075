//! CONNECT and CONNACK.

use crate::support::*;

/// [MQTT-3.1.4-5] [MQTT-3.2.0-1]
#[test]
fn an_accepted_connect_is_answered_with_success() {
    let world = World::new();
    for options in [v31("a"), v311("b"), v5("c")] {
        let client = world.connect(options);
        assert!(!client.session_present);
        client.expect_nothing();
    }
}

/// [MQTT-3.1.0-1]
#[test]
fn the_first_packet_must_be_connect() {
    let world = World::new();
    for first in
        [&b"\xc0\x00"[..], b"\x30\x04\x00\x01tx", b"\xe0\x00", b"\x82\x06\x00\x01\x00\x01t\x00"]
    {
        let client = world.open();
        client.send_bytes(first);
        client.expect_closed();
    }
}

/// [MQTT-3.1.0-2] [MQTT-3.2.0-2]
#[test]
fn a_second_connect_is_a_protocol_error() {
    let world = World::new();
    for options in [v311("a"), v5("b")] {
        let client = world.connect(options.clone());
        client.send_bytes(&options.encode());
        client.expect_disconnected(ReasonCode::ProtocolError);
    }
}

/// [MQTT-3.1.2-1] [MQTT-3.1.2-2], and of 3.1.1 [MQTT-3.1.2-2]
#[test]
fn an_unknown_protocol_name_or_version_is_refused() {
    let world = World::new();
    for connect in [
        &b"\x10\x0d\x00\x04MQTX\x04\x02\x00\x3c\x00\x01a"[..],
        b"\x10\x0d\x00\x04MQTT\x06\x02\x00\x3c\x00\x01a",
        b"\x10\x0d\x00\x04MQTT\x03\x02\x00\x3c\x00\x01a",
    ] {
        let client = world.open();
        client.send_bytes(connect);
        client.expect_refused(ReasonCode::UnsupportedProtocolVersion);
    }
}

/// [MQTT-3.1.2-3], and of 3.1.1 [MQTT-3.1.4-1]: no CONNACK there.
#[test]
fn the_reserved_connect_flag_is_malformed() {
    let world = World::new();
    let old = world.open();
    old.send_bytes(b"\x10\x0d\x00\x04MQTT\x04\x03\x00\x3c\x00\x01a");
    old.expect_closed();
    let mut new = world.open();
    new.version = Version::V5;
    new.send_bytes(b"\x10\x0e\x00\x04MQTT\x05\x03\x00\x3c\x00\x00\x01a");
    new.expect_refused(ReasonCode::MalformedPacket);
}

/// [MQTT-3.1.2-11] [MQTT-3.1.2-12] [MQTT-3.1.2-13], and of 3.1.1 [MQTT-3.1.2-13]
/// [MQTT-3.1.2-14] [MQTT-3.1.2-15]
#[test]
fn contradicting_will_flags_are_malformed() {
    let world = World::new();
    for flags in [0b0000_1010, 0b0010_0010, 0b0001_1110_u8] {
        let mut client = world.open();
        client.version = Version::V5;
        let mut connect = b"\x10\x0e\x00\x04MQTT\x05\x03\x00\x3c\x00\x00\x01a".to_vec();
        connect[9] = flags;
        client.send_bytes(&connect);
        client.expect_refused(ReasonCode::MalformedPacket);
        connect[8] = 4;
        connect.remove(12);
        connect[1] -= 1;
        let old = world.open();
        old.send_bytes(&connect);
        old.expect_closed();
    }
}

/// [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16]
#[test]
fn a_client_without_a_name_is_given_one_that_is_its_own() {
    let world = World::new();
    let name = |client: Client| {
        client.look(|packet| match packet {
            Packet::Connack(connack) => {
                connack.properties.assigned_client_identifier.expect("a name").to_owned()
            }
            other => panic!("{other:?}"),
        })
    };
    let first = name(world.dial(&v5("")));
    let second = name(world.dial(&v5("").expiry(60)));
    assert!(first.starts_with("auto-") && second.starts_with("auto-"));
    assert_ne!(first, second);
    world.connect(v311(""));
    assert_eq!(world.metrics().sessions, 3);
}

/// [MQTT-3.1.3-8], and of 3.1.1 [MQTT-3.1.3-7] [MQTT-3.1.3-8] [MQTT-3.1.3-9]
#[test]
fn a_name_that_cannot_be_is_refused() {
    let world = World::new();
    let refused = ReasonCode::ClientIdentifierNotValid;
    world.dial(&v311("").kept()).expect_refused(refused);
    world.dial(&v31("")).expect_refused(refused);
    world.dial(&v31("123456789012345678901234")).expect_refused(refused);
    world.dial(&v5(&"x".repeat(2000))).expect_refused(refused);
}

/// [MQTT-3.1.3-5]
#[test]
fn names_of_letters_and_digits_are_accepted() {
    let world = World::new();
    for options in [v31, v311, v5] {
        world.connect(options("0123456789abcdefghijABC"));
        world.connect(options("Z"));
    }
}

/// [MQTT-3.1.4-2] [MQTT-3.2.2-6] [MQTT-3.2.2-7] [MQTT-3.1.4-6], and of 3.1.1 [MQTT-3.1.4-5]
#[test]
fn what_comes_behind_a_refused_connect_is_ignored() {
    let world = World::with_limits(Limits { allow_anonymous: false, ..Limits::default() });
    for options in [v5("a"), v311("a")] {
        let mut client = world.open();
        client.version = options.version;
        let mut bytes = options.encode();
        bytes.extend_from_slice(&[0xc0, 0]);
        client.send_bytes(&bytes);
        client.expect_refused(ReasonCode::NotAuthorized);
    }
    assert_eq!(world.metrics().sessions, 0);
}

/// [MQTT-4.12.0-1]
#[test]
fn an_authentication_method_that_is_not_known_is_refused() {
    let options = Options { authentication_method: Some("SCRAM-SHA-1"), ..v5("a") };
    World::new().dial(&options).expect_refused(ReasonCode::BadAuthenticationMethod);
}

/// [MQTT-4.12.0-6] [MQTT-4.12.0-7]
#[test]
fn auth_without_a_method_in_connect_is_a_protocol_error() {
    let client = World::new().connect(v5("a"));
    client.send_bytes(b"\xf0\x06\x18\x04\x15\x00\x01m");
    client.expect_disconnected(ReasonCode::ProtocolError);
}

/// What a client can rely on stands in CONNACK. [MQTT-3.2.2-1]
#[test]
fn connack_says_what_the_broker_takes() {
    let limits = Limits { session_expiry_s_max: 100, keep_alive_s_max: 30, ..Limits::default() };
    let world = World::with_limits(limits);
    world.dial(&v5("a").expiry(1000).keep_alive(60)).look(|packet| {
        let Packet::Connack(connack) = packet else { panic!("{packet:?}") };
        let properties = &connack.properties;
        assert_eq!(properties.session_expiry_interval_s, Some(100));
        assert_eq!(properties.server_keep_alive_s, Some(30));
        assert_eq!(properties.receive_maximum.map(|max| max.get()), Some(100));
        assert_eq!(properties.maximum_packet_size.map(|max| max.get()), Some(2_000_000));
        assert_eq!(properties.topic_alias_maximum, Some(10));
        assert_eq!(properties.shared_subscription_available, None);
        assert_eq!(properties.response_information, None);
        assert_eq!(properties.authentication_method, None);
    });
    world.dial(&v5("b").expiry(100).keep_alive(30)).look(|packet| {
        let Packet::Connack(connack) = packet else { panic!("{packet:?}") };
        assert_eq!(connack.properties.session_expiry_interval_s, None);
        assert_eq!(connack.properties.server_keep_alive_s, None);
    });
}

/// A connection that was opened and says nothing costs a place; it does not keep it.
#[test]
fn a_connection_without_connect_is_closed_in_time() {
    let world = World::new();
    let silent = world.open();
    let slow = world.open();
    slow.send_bytes(&[0x10]);
    world.advance_ms(9_999);
    assert!(!silent.is_closed());
    world.advance_ms(1);
    silent.expect_closed();
    slow.expect_closed();
}

/// [MQTT-4.2-1]: the stream may be cut anywhere.
#[test]
fn packets_may_arrive_in_any_portions() {
    let world = World::new();
    let mut client = world.open();
    client.version = Version::V5;
    let mut stream = v5("a").encode();
    let publish = Packet::Publish(Publish {
        qos: QOS1,
        packet_id: PacketId::new(7),
        ..Publish::new("t", b"hello")
    });
    stream.extend(client.encode(&publish));
    stream.extend_from_slice(&[0xc0, 0]);
    for byte in stream {
        client.send_bytes(&[byte]);
    }
    client.expect_connack();
    client.expect(PacketKind::Puback, 7);
    client.look(|packet| assert_eq!(*packet, Packet::Pingresp));
}

/// [MQTT-3.1.2-9] [MQTT-3.1.2-16] to [MQTT-3.1.2-18] [MQTT-3.1.3-1] [MQTT-3.1.3-3] [MQTT-3.1.3-4]
/// [MQTT-3.1.3-11] [MQTT-3.1.3-12] [MQTT-3.1.4-1]
#[test]
fn a_connect_whose_fields_are_wrong_is_malformed() {
    let world = World::new();
    for (flags, payload) in [
        (0x02, &b""[..]),
        (0x02, b"\x00\x01\xff"),
        (0x82, b"\x00\x01a"),
        (0x02, b"\x00\x01a\x00\x01u"),
        (0x42, b"\x00\x01a"),
        (0x82, b"\x00\x01a\x00\x01\xff"),
        (0x06, b"\x00\x01a"),
        (0x06, b"\x00\x01a\x00\x00\x01\xff\x00\x00"),
    ] {
        let mut bytes = b"\x10\x0b\x00\x04MQTT\x05\x02\x00\x3c\x00".to_vec();
        bytes[1] += u8::try_from(payload.len()).unwrap();
        bytes[9] = flags;
        bytes.extend_from_slice(payload);
        let mut client = world.open();
        client.version = Version::V5;
        client.send_bytes(&bytes);
        client.expect_refused(ReasonCode::MalformedPacket);
    }
}

/// [MQTT-3.1.2-19], and of 3.1.1 [MQTT-3.1.2-22]
#[test]
fn a_password_may_come_without_a_user_name_in_5_0_only() {
    let world = World::new();
    let mut new = world.open();
    new.version = Version::V5;
    new.send_bytes(b"\x10\x11\x00\x04MQTT\x05\x42\x00\x3c\x00\x00\x01a\x00\x01p");
    new.expect_connack();
    let old = world.open();
    old.send_bytes(b"\x10\x10\x00\x04MQTT\x04\x42\x00\x3c\x00\x01a\x00\x01p");
    old.expect_closed();
}
