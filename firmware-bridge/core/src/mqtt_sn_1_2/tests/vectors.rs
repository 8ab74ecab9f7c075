//! Packets and their octets.
//!
//! The octets were made by Scapy 2.8.0, which knows nothing of this crate; only those of the
//! DISCONNECT without a duration are from the specification, since Scapy adds a duration to it.

use super::super::*;

/// One packet of each kind at least, and its octets in hexadecimal.
pub(super) const VECTORS: &[(&str, Packet<'static>)] = &[
    ("05 00 07 03 84", Packet::Advertise(Advertise { gw_id: 7, duration_s: 900 })),
    ("03 01 02", Packet::SearchGw(2)),
    ("03 02 07", Packet::GwInfo(GwInfo { gw_id: 7, gw_address: &[] })),
    ("07 02 07 c0 a8 01 09", Packet::GwInfo(GwInfo { gw_id: 7, gw_address: &[192, 168, 1, 9] })),
    (
        "0c 04 0c 01 00 3c 6e 6f 64 65 2d 31",
        Packet::Connect(Connect {
            clean_session: true,
            will: true,
            duration_s: 60,
            client_id: "node-1",
        }),
    ),
    ("03 05 01", Packet::Connack(ReturnCode::Congestion)),
    ("02 06", Packet::WillTopicReq),
    (
        "0a 07 30 77 69 6c 6c 2f c3 a9",
        Packet::WillTopic(Some(WillTopic {
            qos: QoS::AtLeastOnce, retain: true, topic: "will/é"
        })),
    ),
    ("02 08", Packet::WillMsgReq),
    ("06 09 67 6f 6e 65", Packet::WillMsg(b"gone")),
    (
        "09 0a 00 00 01 02 61 2f 62",
        Packet::Register(Register {
            topic_id: TopicId(0),
            message_id: MessageId(258),
            topic: "a/b",
        }),
    ),
    (
        "07 0b 00 09 01 02 03",
        Packet::Regack(Regack {
            topic_id: TopicId(9),
            message_id: MessageId(258),
            return_code: ReturnCode::NotSupported,
        }),
    ),
    (
        "0b 0c 10 00 09 00 00 32 31 2e 35",
        Packet::Publish(Publish {
            delivery: Delivery::AtMostOnce,
            retain: true,
            topic: TopicRef::Normal(TopicId(9)),
            payload: b"21.5",
        }),
    ),
    (
        "07 0c a1 00 09 00 03",
        Packet::Publish(Publish {
            delivery: Delivery::AtLeastOnce { message_id: MessageId(3), dup: true },
            retain: false,
            topic: TopicRef::Predefined(TopicId(9)),
            payload: &[],
        }),
    ),
    (
        "0a 0c 42 61 62 ff ff 00 00 00",
        Packet::Publish(Publish {
            delivery: Delivery::ExactlyOnce { message_id: MessageId(65535), dup: false },
            retain: false,
            topic: TopicRef::Short(*b"ab"),
            payload: &[0; 3],
        }),
    ),
    (
        "08 0c 62 61 62 00 00 78",
        Packet::Publish(Publish {
            delivery: Delivery::MinusOne,
            retain: false,
            topic: TopicRef::Short(*b"ab"),
            payload: b"x",
        }),
    ),
    (
        "07 0d 00 09 00 03 02",
        Packet::Puback(Puback {
            topic_id: TopicId(9),
            message_id: MessageId(3),
            return_code: ReturnCode::InvalidTopicId,
        }),
    ),
    ("04 0e 00 03", Packet::Pubcomp(MessageId(3))),
    ("04 0f 00 03", Packet::Pubrec(MessageId(3))),
    ("04 10 00 03", Packet::Pubrel(MessageId(3))),
    (
        "08 12 40 00 04 61 2f 2b",
        Packet::Subscribe(Subscribe {
            dup: false,
            qos: QoS::ExactlyOnce,
            message_id: MessageId(4),
            topic: SubscribeTopic::Name("a/+"),
        }),
    ),
    (
        "07 12 a1 00 04 00 09",
        Packet::Subscribe(Subscribe {
            dup: true,
            qos: QoS::AtLeastOnce,
            message_id: MessageId(4),
            topic: SubscribeTopic::Predefined(TopicId(9)),
        }),
    ),
    (
        "07 12 02 00 04 61 62",
        Packet::Subscribe(Subscribe {
            dup: false,
            qos: QoS::AtMostOnce,
            message_id: MessageId(4),
            topic: SubscribeTopic::Short(*b"ab"),
        }),
    ),
    (
        "08 13 20 00 09 00 04 00",
        Packet::Suback(Suback {
            qos: QoS::AtLeastOnce,
            topic_id: TopicId(9),
            message_id: MessageId(4),
            return_code: ReturnCode::Accepted,
        }),
    ),
    (
        "08 14 00 00 05 61 2f 2b",
        Packet::Unsubscribe(Unsubscribe {
            message_id: MessageId(5),
            topic: SubscribeTopic::Name("a/+"),
        }),
    ),
    (
        "07 14 02 00 05 61 62",
        Packet::Unsubscribe(Unsubscribe {
            message_id: MessageId(5),
            topic: SubscribeTopic::Short(*b"ab"),
        }),
    ),
    ("04 15 00 05", Packet::Unsuback(MessageId(5))),
    ("02 16", Packet::Pingreq(None)),
    ("08 16 6e 6f 64 65 2d 31", Packet::Pingreq(Some("node-1"))),
    ("02 17", Packet::Pingresp),
    ("02 18", Packet::Disconnect(None)),
    ("04 18 02 58", Packet::Disconnect(Some(600))),
    (
        "04 1a 40 77",
        Packet::WillTopicUpd(Some(WillTopic { qos: QoS::ExactlyOnce, retain: false, topic: "w" })),
    ),
    ("03 1b 00", Packet::WillTopicResp(ReturnCode::Accepted)),
    ("06 1c 67 6f 6e 65", Packet::WillMsgUpd(b"gone")),
    ("03 1d 03", Packet::WillMsgResp(ReturnCode::NotSupported)),
    (
        "06 fe 02 01 02 03 02 16",
        Packet::Encapsulated(Encapsulated {
            radius: 2,
            wireless_node_id: &[1, 2, 3],
            packet: &[2, 0x16],
        }),
    ),
];
