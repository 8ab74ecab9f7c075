//! Where mqttbytes 0.6 is wrong and this codec is right.
//!
//! Each test shows one defect, so that nobody has to wonder why the codec is our own, and so
//! that it does not come in here by another door.

use std::panic::catch_unwind;

use bytes::BytesMut;
use mqttbytes::{Error, v4, v5};
use weir_mqtt::{
    Auth, Connack, DecodeError, Disconnect, Packet, PacketKind, ReasonCode, TopicFilter, Version,
};

/// The shortest DISCONNECT of 5.0, which most clients send, is refused: for its length of zero
/// mqttbytes knows only PINGREQ and PINGRESP.
#[test]
fn disconnect_of_5_may_be_empty() {
    let frame = [0xe0, 0x00];
    assert_eq!(mqttbytes_5(&frame), Err(Error::PayloadRequired));
    let packet = Packet::decode(&frame, Version::V5);
    assert_eq!(packet, Ok(Packet::Disconnect(Disconnect::default())));
}

/// There is no AUTH, and so no extended authentication.
#[test]
fn auth_exists() {
    let auth = Auth {
        reason: ReasonCode::ContinueAuthentication,
        authentication_method: Some("SCRAM-SHA-256"),
        ..Auth::default()
    };
    let frame = encode(&Packet::Auth(auth), Version::V5);
    assert_eq!(mqttbytes_5(&frame), Err(Error::InvalidPacketType(15)));
    assert_eq!(Packet::decode(&frame, Version::V5), Ok(Packet::Auth(auth)));
}

/// A CONNACK without properties is written without their length, which is malformed
/// [MQTT-2.2.2-1].
#[test]
fn connack_of_5_has_a_property_length() {
    let mut theirs = BytesMut::new();
    let connack = v5::ConnAck::new(v5::ConnectReturnCode::Success, false);
    connack.write(&mut theirs).expect("mqttbytes writes it");
    assert_eq!(theirs[..], [0x20, 0x02, 0x00, 0x00]);
    assert_eq!(Packet::decode(&theirs, Version::V5), Err(DecodeError::Truncated));
    let ours = encode(&Packet::Connack(Connack::default()), Version::V5);
    assert_eq!(ours, [0x20, 0x03, 0x00, 0x00, 0x00]);
}

/// Every subscription identifier is counted one byte too long, so that the third of them is
/// taken for the payload.
#[test]
fn third_subscription_identifier_is_no_payload() {
    let frame = [0x30, 0x0a, 0x00, 0x01, b't', 0x06, 0x0b, 1, 0x0b, 2, 0x0b, 3];
    let Ok(v5::Packet::Publish(theirs)) = mqttbytes_5(&frame) else { panic!("mqttbytes reads it") };
    assert_eq!(theirs.payload[..], [0x0b, 3]);
    let Ok(Packet::Publish(publish)) = Packet::decode(&frame, Version::V5) else {
        panic!("it is right")
    };
    assert!(publish.properties.subscription_identifiers.iter().eq([1, 2, 3]));
    assert_eq!(publish.payload, b"");
}

/// The first byte of the topic is cut off as if every letter had one byte: a message to such a
/// topic ends the thread.
#[test]
fn matching_survives_a_topic_that_begins_outside_of_ascii() {
    assert!(catch_unwind(|| mqttbytes::matches("été/jour", "+/jour")).is_err());
    assert!(filter("+/jour").matches("été/jour"));
    assert!(filter("#").matches("\u{1f321}"));
}

/// Topics that begin with `$` match nothing at all, while only filters that begin with a
/// wildcard are to pass them over [MQTT-4.7.2-1].
#[test]
fn dollar_topics_match_their_own_filters() {
    assert!(!mqttbytes::matches("$SYS/broker/uptime", "$SYS/#"));
    assert!(filter("$SYS/#").matches("$SYS/broker/uptime"));
    assert!(!filter("#").matches("$SYS/broker/uptime"));
}

/// The flags of the first byte are not looked at, neither in 3.1.1 nor in 5.0
/// [MQTT-2.2.2-2, MQTT-2.1.3-1].
#[test]
fn flags_of_control_packets_are_checked() {
    let subscribe = [0x80, 0x06, 0x00, 0x0a, 0x00, 0x01, b't', 0x00];
    assert!(mqttbytes_311(&subscribe).is_ok());
    let refused = Err(DecodeError::FlagsInvalid(PacketKind::Subscribe));
    assert_eq!(Packet::decode(&subscribe, Version::V311), refused);
    let pubrel = [0x60, 0x02, 0x00, 0x0a];
    assert!(mqttbytes_5(&pubrel).is_ok());
    let refused = Err(DecodeError::FlagsInvalid(PacketKind::Pubrel));
    assert_eq!(Packet::decode(&pubrel, Version::V5), refused);
}

/// Packet identifier 0 passes in everything but PUBLISH [MQTT-2.3.1-1].
#[test]
fn packet_identifier_zero_is_refused() {
    let subscribe = [0x82, 0x06, 0x00, 0x00, 0x00, 0x01, b't', 0x00];
    let puback = [0x40, 0x02, 0x00, 0x00];
    for frame in [&subscribe[..], &puback[..]] {
        assert!(mqttbytes_311(frame).is_ok());
        assert_eq!(Packet::decode(frame, Version::V311), Err(DecodeError::PacketIdZero));
    }
}

fn mqttbytes_311(frame: &[u8]) -> Result<v4::Packet, Error> {
    v4::read(&mut BytesMut::from(frame), usize::MAX)
}

fn mqttbytes_5(frame: &[u8]) -> Result<v5::Packet, Error> {
    v5::read(&mut BytesMut::from(frame), usize::MAX)
}

fn filter(text: &str) -> TopicFilter<'_> {
    TopicFilter::parse(text).expect("the filter is right")
}

fn encode(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(version, &mut out).expect("the packet is right");
    out
}
