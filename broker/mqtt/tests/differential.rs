//! Agreement with other codecs: what we write they read, and what they write of it we read back
//! as the same packet.
//!
//! A packet goes through another codec and must come out unchanged. Where the other codec is
//! wrong or leaves something out, the packet is not asked of it, with the reason beside.

mod packets;

use bytes::BytesMut;
use mqttbytes::{v4, v5};
use proptest::prelude::*;
use tokio_util::codec::{Decoder, Encoder};
use weir_mqtt::{ConnackProperties, Disconnect, Packet, ReasonCode, Version};

use packets::version_and_packet;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        max_global_rejects: 100_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn mqttbytes_agrees((version, packet) in version_and_packet()) {
        prop_assume!(mqttbytes_is_right(&packet, version));
        let theirs = through_mqttbytes(&encode(&packet, version), version);
        prop_assert_eq!(Packet::decode(&theirs, version), Ok(packet));
    }

    #[test]
    fn rmqtt_codec_agrees((version, packet) in version_and_packet()) {
        prop_assume!(rmqtt_codec_is_right(&packet, version));
        let theirs = through_rmqtt_codec(&encode(&packet, version), version);
        prop_assert_eq!(Packet::decode(&theirs, version), Ok(packet));
    }

    #[test]
    fn mqtt_proto_agrees((version, packet) in version_and_packet()) {
        prop_assume!(mqtt_proto_is_right(&packet, version));
        let theirs = through_mqtt_proto(&encode(&packet, version), version);
        prop_assert_eq!(Packet::decode(&theirs, version), Ok(packet));
    }
}

/// mqttbytes knows no 3.1, no bridges and no AUTH; it needs a user name and a password to be
/// text and not empty; DISCONNECT has to have properties; CONNACK must have some, or else its
/// own is written without their length; after two subscription identifiers it loses count.
fn mqttbytes_is_right(packet: &Packet<'_>, version: Version) -> bool {
    match packet {
        Packet::Connect(connect) => {
            let password = connect.password.map_or(Ok("x"), str::from_utf8);
            let has_plain_password = password.is_ok_and(|password| !password.is_empty());
            let has_plain_username = match connect.username {
                Some(username) => !username.is_empty(),
                None => connect.password.is_none(),
            };
            version != Version::V31 && !connect.bridge && has_plain_username && has_plain_password
        }
        Packet::Connack(connack) => {
            version != Version::V5 || connack.properties != ConnackProperties::default()
        }
        Packet::Publish(publish) => publish.properties.subscription_identifiers.iter().count() < 2,
        Packet::Disconnect(disconnect) => {
            let bare = Disconnect::with_reason(disconnect.reason);
            version != Version::V5
                || (*disconnect != bare && disconnect.reason != ReasonCode::BadAuthenticationMethod)
        }
        Packet::Auth(_) => false,
        _ => true,
    }
}

/// rmqtt-codec writes 3.1 as level 4 and knows no bridges; it refuses what is for the server to
/// refuse, an empty client identifier without clean start; it leaves out properties that have
/// their default value and does not take an expiry of zero; its empty AUTH is not empty.
fn rmqtt_codec_is_right(packet: &Packet<'_>, version: Version) -> bool {
    match packet {
        Packet::Connect(connect) => {
            let properties = &connect.properties;
            let will = connect.will.map(|will| will.properties).unwrap_or_default();
            version != Version::V31
                && !connect.bridge
                && (!connect.client_id.is_empty() || connect.clean_start)
                && properties.session_expiry_interval_s != Some(0)
                && properties.topic_alias_maximum != Some(0)
                && properties.request_problem_information != Some(true)
                && properties.request_response_information != Some(false)
                && will.message_expiry_interval_s != Some(0)
        }
        Packet::Connack(connack) => {
            let properties = &connack.properties;
            properties.topic_alias_maximum != Some(0)
                && properties.receive_maximum.is_none_or(|maximum| maximum.get() != u16::MAX)
                && properties.retain_available != Some(true)
                && properties.wildcard_subscription_available != Some(true)
                && properties.subscription_identifiers_available != Some(true)
                && properties.shared_subscription_available != Some(true)
        }
        Packet::Publish(publish) => {
            publish.properties.payload_format_utf8 != Some(false)
                && publish.properties.message_expiry_interval_s != Some(0)
        }
        Packet::Auth(auth) => auth.authentication_method.is_some(),
        _ => true,
    }
}

/// mqtt-proto knows no bridges; it looks into payloads that claim to be text, which is allowed;
/// it writes the failure in an old SUBACK as 3; it knows one subscription identifier; it takes
/// one table of the standard for DISCONNECT at its word where another lists 0x8C as well.
fn mqtt_proto_is_right(packet: &Packet<'_>, version: Version) -> bool {
    let is_text =
        |claimed: Option<bool>, payload| claimed != Some(true) || str::from_utf8(payload).is_ok();
    match packet {
        Packet::Connect(connect) => {
            let will_is_text = connect
                .will
                .is_none_or(|will| is_text(will.properties.payload_format_utf8, will.payload));
            !connect.bridge && will_is_text
        }
        Packet::Publish(publish) => {
            is_text(publish.properties.payload_format_utf8, publish.payload)
                && publish.properties.subscription_identifiers.iter().count() < 2
        }
        Packet::Suback(suback) => {
            version == Version::V5 || suback.reasons.iter().all(|reason| !reason.is_error())
        }
        Packet::Disconnect(disconnect) => disconnect.reason != ReasonCode::BadAuthenticationMethod,
        _ => true,
    }
}

fn through_mqttbytes(frame: &[u8], version: Version) -> Vec<u8> {
    let mut stream = BytesMut::from(frame);
    let mut out = BytesMut::new();
    let result = if version == Version::V5 {
        match v5::read(&mut stream, usize::MAX).expect("mqttbytes reads it") {
            v5::Packet::Connect(packet) => packet.write(&mut out),
            v5::Packet::ConnAck(packet) => packet.write(&mut out),
            v5::Packet::Publish(packet) => packet.write(&mut out),
            v5::Packet::PubAck(packet) => packet.write(&mut out),
            v5::Packet::PubRec(packet) => packet.write(&mut out),
            v5::Packet::PubRel(packet) => packet.write(&mut out),
            v5::Packet::PubComp(packet) => packet.write(&mut out),
            v5::Packet::Subscribe(packet) => packet.write(&mut out),
            v5::Packet::SubAck(packet) => packet.write(&mut out),
            v5::Packet::Unsubscribe(packet) => packet.write(&mut out),
            v5::Packet::UnsubAck(packet) => packet.write(&mut out),
            v5::Packet::PingReq => v5::PingReq.write(&mut out),
            v5::Packet::PingResp => v5::PingResp.write(&mut out),
            v5::Packet::Disconnect(packet) => packet.write(&mut out),
        }
    } else {
        match v4::read(&mut stream, usize::MAX).expect("mqttbytes reads it") {
            v4::Packet::Connect(packet) => packet.write(&mut out),
            v4::Packet::ConnAck(packet) => packet.write(&mut out),
            v4::Packet::Publish(packet) => packet.write(&mut out),
            v4::Packet::PubAck(packet) => packet.write(&mut out),
            v4::Packet::PubRec(packet) => packet.write(&mut out),
            v4::Packet::PubRel(packet) => packet.write(&mut out),
            v4::Packet::PubComp(packet) => packet.write(&mut out),
            v4::Packet::Subscribe(packet) => packet.write(&mut out),
            v4::Packet::SubAck(packet) => packet.write(&mut out),
            v4::Packet::Unsubscribe(packet) => packet.write(&mut out),
            v4::Packet::UnsubAck(packet) => packet.write(&mut out),
            v4::Packet::PingReq => v4::PingReq.write(&mut out),
            v4::Packet::PingResp => v4::PingResp.write(&mut out),
            v4::Packet::Disconnect => v4::Disconnect.write(&mut out),
        }
    };
    result.expect("mqttbytes writes it");
    out.to_vec()
}

fn through_rmqtt_codec(frame: &[u8], version: Version) -> Vec<u8> {
    let mut stream = BytesMut::from(frame);
    let mut out = BytesMut::new();
    if version == Version::V5 {
        let mut codec = rmqtt_codec::v5::Codec::default();
        let packet = codec.decode(&mut stream).expect("rmqtt-codec reads it");
        let (packet, _) = packet.expect("the packet is whole");
        codec.encode(packet, &mut out).expect("rmqtt-codec writes it");
    } else {
        let mut codec = rmqtt_codec::v3::Codec::default();
        let packet = codec.decode(&mut stream).expect("rmqtt-codec reads it");
        let (packet, _) = packet.expect("the packet is whole");
        codec.encode(packet, &mut out).expect("rmqtt-codec writes it");
    }
    out.to_vec()
}

fn through_mqtt_proto(frame: &[u8], version: Version) -> Vec<u8> {
    let bytes = if version == Version::V5 {
        let packet = mqtt_proto::v5::Packet::decode(frame).expect("mqtt-proto reads it");
        packet.expect("the packet is whole").encode()
    } else {
        let packet = mqtt_proto::v3::Packet::decode(frame).expect("mqtt-proto reads it");
        packet.expect("the packet is whole").encode()
    };
    bytes.expect("mqtt-proto writes it").as_ref().to_vec()
}

fn encode(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(version, &mut out).expect("the packet is right");
    out
}
