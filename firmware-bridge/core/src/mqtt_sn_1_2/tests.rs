mod vectors;

use std::string::String;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use self::vectors::VECTORS;
use super::*;

fn octets(hex: &str) -> Vec<u8> {
    hex.split(' ').map(|octet| u8::from_str_radix(octet, 16).unwrap()).collect()
}

fn encoded(packet: &Packet<'_>) -> Result<Vec<u8>, EncodeError> {
    let mut out = vec![0; packet.encoded_len()?];
    assert_eq!(packet.encode(&mut out), Ok(out.len()));
    Ok(out)
}

fn decoded(hex: &str) -> Result<String, DecodeError> {
    Packet::decode(&octets(hex)).map(|packet| std::format!("{packet:?}"))
}

#[test]
fn every_kind_is_read_and_written_as_another_implementation_does() {
    for (hex, packet) in VECTORS {
        assert_eq!(Packet::decode(&octets(hex)), Ok(*packet), "{hex}");
        assert_eq!(encoded(packet).as_deref(), Ok(octets(hex).as_slice()), "{packet:?}");
    }
    for kind in PacketKind::ALL {
        assert!(VECTORS.iter().any(|(_, packet)| packet.kind() == kind), "no vector of {kind}");
    }
}

#[test]
fn length_has_three_octets_from_256_on() {
    let message = [7; 70_000];
    let of_length = |length| encoded(&Packet::WillMsg(message.get(..length).unwrap()));
    assert!(of_length(253).unwrap().starts_with(&[0xff, 0x09, 7]));
    assert!(of_length(254).unwrap().starts_with(&[0x01, 0x01, 0x02, 0x09, 7]));
    assert!(of_length(65_531).unwrap().starts_with(&[0x01, 0xff, 0xff, 0x09, 7]));
    assert_eq!(of_length(65_532), Err(EncodeError::TooLong));
}

#[test]
fn three_octets_of_length_are_read_for_a_short_packet_too() {
    assert_eq!(Packet::decode(&[0x01, 0x00, 0x04, 0x17]), Ok(Packet::Pingresp));
}

#[test]
fn length_that_disagrees_with_the_datagram_is_refused() {
    let mismatch = |stated, actual| Err(DecodeError::LengthMismatch { stated, actual });
    assert_eq!(decoded("03 17"), mismatch(3, 2));
    assert_eq!(decoded("02 17 00"), mismatch(2, 3));
    assert_eq!(decoded("01 01 00 17"), mismatch(256, 4));
    assert_eq!(decoded("00 17"), Err(DecodeError::LengthInvalid));
    assert_eq!(decoded("01 00 03 17"), Err(DecodeError::LengthInvalid));
    assert_eq!(decoded("02"), Err(DecodeError::Truncated));
    assert_eq!(decoded("01 00"), Err(DecodeError::Truncated));
    assert_eq!(Packet::decode(&[]), Err(DecodeError::Truncated));
}

#[test]
fn reserved_kinds_are_refused() {
    for code in 0..=u8::MAX {
        let reserved = Packet::decode(&[0x02, code]) == Err(DecodeError::KindReserved(code));
        assert_eq!(reserved, PacketKind::from_code(code).is_none(), "{code:#04x}");
    }
}

#[test]
fn what_would_change_the_meaning_is_refused() {
    for (hex, error) in [
        // CONNECT of another protocol, and with text that is none.
        ("07 04 00 02 00 3c 61", DecodeError::ProtocolIdUnknown(2)),
        ("07 04 00 01 00 3c ff", DecodeError::TextNotUtf8),
        ("07 04 00 01 00 3c 00", DecodeError::TextHasNul),
        ("03 05 04", DecodeError::ReturnCodeReserved(4)),
        ("04 05 00 00", DecodeError::TrailingBytes),
        // A will topic of flags only is not the empty packet.
        ("03 07 00", DecodeError::TopicEmpty),
        ("04 07 60 61", DecodeError::QoSNotAllowed),
        ("06 0a 00 00 00 01", DecodeError::TopicEmpty),
        // PUBLISH: reserved topic id type, QoS 1 and 2 without identifier, QoS -1 with topic id.
        ("07 0c 03 00 09 00 00", DecodeError::TopicIdTypeReserved),
        ("07 0c 20 00 09 00 00", DecodeError::MessageIdZero),
        ("07 0c 40 00 09 00 00", DecodeError::MessageIdZero),
        ("07 0c 60 00 09 00 00", DecodeError::QoSMinusOneWithTopicId),
        ("06 0c 00 00 09 00", DecodeError::Truncated),
        ("04 0f 00 00", DecodeError::MessageIdZero),
        ("05 12 00 00 04", DecodeError::TopicEmpty),
        ("06 12 60 00 04 61", DecodeError::QoSNotAllowed),
        ("06 12 03 00 04 61", DecodeError::TopicIdTypeReserved),
        // A short topic name of three octets.
        ("08 12 02 00 04 61 62 63", DecodeError::TrailingBytes),
        ("08 13 60 00 09 00 04 00", DecodeError::QoSNotAllowed),
        ("03 18 00", DecodeError::Truncated),
        ("05 18 00 00 00", DecodeError::TrailingBytes),
        ("04 fe 00 01", DecodeError::Truncated),
    ] {
        assert_eq!(decoded(hex), Err(error), "{hex}");
    }
}

#[test]
fn flags_that_a_packet_does_not_use_are_ignored() {
    let plain = Packet::decode(&[0x07, 0x04, 0x00, 0x01, 0x00, 0x3c, 0x61]);
    assert!(plain.is_ok());
    assert_eq!(Packet::decode(&[0x07, 0x04, 0xf3, 0x01, 0x00, 0x3c, 0x61]), plain);
}

#[test]
fn client_identifier_of_any_length_is_read_so_that_it_can_be_answered() {
    let read = Packet::decode(&[0x06, 0x04, 0x00, 0x01, 0x00, 0x3c]);
    assert!(matches!(read, Ok(Packet::Connect(Connect { client_id: "", .. }))));
    let client_id = "c".repeat(300);
    let connect =
        Connect { clean_session: false, will: false, duration_s: 1, client_id: &client_id };
    let bytes = encoded(&Packet::Connect(connect)).unwrap();
    assert_eq!(Packet::decode(&bytes), Ok(Packet::Connect(connect)));
}

#[test]
fn what_the_standard_forbids_is_not_written() {
    let publish =
        |delivery, topic| Packet::Publish(Publish { delivery, retain: false, topic, payload: &[] });
    let no_id = MessageId(0);
    let topic = TopicRef::Normal(TopicId(1));
    let encapsulated = |radius, wireless_node_id, packet| {
        Packet::Encapsulated(Encapsulated { radius, wireless_node_id, packet })
    };
    let register = |topic| {
        Packet::Register(Register { topic_id: TopicId(1), message_id: MessageId(1), topic })
    };
    for (packet, error) in [
        (Packet::Pingreq(Some("")), EncodeError::ClientIdEmpty),
        (Packet::Pubrel(no_id), EncodeError::MessageIdZero),
        (
            publish(Delivery::AtLeastOnce { message_id: no_id, dup: false }, topic),
            EncodeError::MessageIdZero,
        ),
        (publish(Delivery::MinusOne, topic), EncodeError::QoSMinusOneWithTopicId),
        (register(""), EncodeError::TopicEmpty),
        (register("a\0b"), EncodeError::TextHasNul),
        (encapsulated(4, &[1], &[2, 0x16]), EncodeError::RadiusTooLarge),
        (encapsulated(0, &[1], &[]), EncodeError::PacketEmpty),
        (encapsulated(0, &[1; 253], &[2, 0x16]), EncodeError::TooLong),
    ] {
        let mut out = [0xaa; 300];
        assert_eq!(packet.encode(&mut out), Err(error), "{packet:?}");
        assert_eq!(out, [0xaa; 300], "an error leaves the buffer as it was");
    }
}

#[test]
fn buffer_too_small_says_how_much_is_needed() {
    let mut out = [0xaa; 4];
    let error = Packet::WillMsg(b"gone").encode(&mut out);
    assert_eq!(error, Err(EncodeError::BufferTooSmall { needed: 6 }));
    assert_eq!(out, [0xaa; 4]);
}

/// What packets are made of.
#[derive(Clone, Debug)]
struct Parts {
    kind: PacketKind,
    text: String,
    bytes: Vec<u8>,
    first: u16,
    second: u16,
    octet: u8,
    choice: u8,
    dup: bool,
    flag: bool,
}

fn parts() -> impl Strategy<Value = Parts> {
    (
        prop::sample::select(&PacketKind::ALL[..]),
        "[^\0]{0,40}",
        prop::collection::vec(any::<u8>(), 0..300),
        any::<(u16, u16, u8, u8, bool, bool)>(),
    )
        .prop_map(|(kind, text, bytes, (first, second, octet, choice, dup, flag))| Parts {
            kind,
            text,
            bytes,
            first,
            second,
            octet,
            choice,
            dup,
            flag,
        })
}

impl Parts {
    fn packet(&self) -> Packet<'_> {
        let topic_id = TopicId(self.first);
        let message_id = MessageId(self.second);
        let return_code = self.return_code();
        match self.kind {
            PacketKind::Advertise => {
                Packet::Advertise(Advertise { gw_id: self.octet, duration_s: self.first })
            }
            PacketKind::SearchGw => Packet::SearchGw(self.octet),
            PacketKind::GwInfo => {
                Packet::GwInfo(GwInfo { gw_id: self.octet, gw_address: &self.bytes })
            }
            PacketKind::Connect => Packet::Connect(Connect {
                clean_session: self.dup,
                will: self.flag,
                duration_s: self.first,
                client_id: &self.text,
            }),
            PacketKind::Connack => Packet::Connack(return_code),
            PacketKind::WillTopicReq => Packet::WillTopicReq,
            PacketKind::WillTopic => Packet::WillTopic(self.will()),
            PacketKind::WillMsgReq => Packet::WillMsgReq,
            PacketKind::WillMsg => Packet::WillMsg(&self.bytes),
            PacketKind::Register => {
                Packet::Register(Register { topic_id, message_id, topic: &self.text })
            }
            PacketKind::Regack => Packet::Regack(Regack { topic_id, message_id, return_code }),
            PacketKind::Publish => Packet::Publish(Publish {
                delivery: self.delivery(),
                retain: self.flag,
                topic: self.topic_ref(),
                payload: &self.bytes,
            }),
            PacketKind::Puback => Packet::Puback(Puback { topic_id, message_id, return_code }),
            PacketKind::Pubcomp => Packet::Pubcomp(message_id),
            PacketKind::Pubrec => Packet::Pubrec(message_id),
            PacketKind::Pubrel => Packet::Pubrel(message_id),
            PacketKind::Subscribe => Packet::Subscribe(Subscribe {
                dup: self.dup,
                qos: self.qos(),
                message_id,
                topic: self.subscribe_topic(),
            }),
            PacketKind::Suback => {
                Packet::Suback(Suback { qos: self.qos(), topic_id, message_id, return_code })
            }
            PacketKind::Unsubscribe => {
                Packet::Unsubscribe(Unsubscribe { message_id, topic: self.subscribe_topic() })
            }
            PacketKind::Unsuback => Packet::Unsuback(message_id),
            PacketKind::Pingreq => Packet::Pingreq(self.flag.then_some(self.text.as_str())),
            PacketKind::Pingresp => Packet::Pingresp,
            PacketKind::Disconnect => Packet::Disconnect(self.flag.then_some(self.first)),
            PacketKind::WillTopicUpd => Packet::WillTopicUpd(self.will()),
            PacketKind::WillTopicResp => Packet::WillTopicResp(return_code),
            PacketKind::WillMsgUpd => Packet::WillMsgUpd(&self.bytes),
            PacketKind::WillMsgResp => Packet::WillMsgResp(return_code),
            PacketKind::Encapsulated => Packet::Encapsulated(Encapsulated {
                radius: self.octet % 5,
                wireless_node_id: self.text.as_bytes(),
                packet: &self.bytes,
            }),
        }
    }

    fn qos(&self) -> QoS {
        match self.octet % 3 {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            _ => QoS::ExactlyOnce,
        }
    }

    fn return_code(&self) -> ReturnCode {
        match self.octet % 4 {
            0 => ReturnCode::Accepted,
            1 => ReturnCode::Congestion,
            2 => ReturnCode::InvalidTopicId,
            _ => ReturnCode::NotSupported,
        }
    }

    fn will(&self) -> Option<WillTopic<'_>> {
        let will = WillTopic { qos: self.qos(), retain: self.dup, topic: &self.text };
        self.flag.then_some(will)
    }

    fn delivery(&self) -> Delivery {
        let (message_id, dup) = (MessageId(self.second), self.dup);
        match self.octet % 4 {
            0 => Delivery::MinusOne,
            1 => Delivery::AtMostOnce,
            2 => Delivery::AtLeastOnce { message_id, dup },
            _ => Delivery::ExactlyOnce { message_id, dup },
        }
    }

    fn topic_ref(&self) -> TopicRef {
        match self.choice % 3 {
            0 => TopicRef::Normal(TopicId(self.first)),
            1 => TopicRef::Predefined(TopicId(self.first)),
            _ => TopicRef::Short(self.first.to_be_bytes()),
        }
    }

    fn subscribe_topic(&self) -> SubscribeTopic<'_> {
        match self.choice % 3 {
            0 => SubscribeTopic::Name(&self.text),
            1 => SubscribeTopic::Predefined(TopicId(self.first)),
            _ => SubscribeTopic::Short(self.first.to_be_bytes()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_096, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back(parts in parts()) {
        let packet = parts.packet();
        if let Ok(bytes) = encoded(&packet) {
            prop_assert_eq!(Packet::decode(&bytes), Ok(packet));
        }
    }

    /// Also: what was accepted can be written, and is then the same packet.
    #[test]
    fn no_datagram_makes_it_panic(
        kind in prop::sample::select(&PacketKind::ALL[..]),
        fields in prop::collection::vec(any::<u8>(), 0..40),
        stated in prop_oneof![4 => Just(None), 1 => any::<u8>().prop_map(Some)],
    ) {
        let mut datagram = vec![stated.unwrap_or(fields.len() as u8 + 2), kind.code()];
        datagram.extend(fields);
        if let Ok(packet) = Packet::decode(&datagram) {
            let bytes = encoded(&packet).unwrap();
            prop_assert_eq!(Packet::decode(&bytes), Ok(packet));
        }
    }

    #[test]
    fn no_noise_makes_it_panic(datagram in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = Packet::decode(&datagram);
    }

    #[test]
    fn packet_cut_short_is_refused(parts in parts(), cut in 1..20usize) {
        if let Ok(bytes) = encoded(&parts.packet()) {
            let kept = bytes.len().saturating_sub(cut);
            // An encapsulation does not know where the packet in it ends.
            if parts.kind != PacketKind::Encapsulated {
                prop_assert!(Packet::decode(bytes.get(..kept).unwrap()).is_err());
            }
        }
    }
}
