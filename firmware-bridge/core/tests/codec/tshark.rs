//! Wireshark takes our packets for what they are.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs, process};

use weir_node::mqtt_sn_1_2::{Delivery, Packet, SubscribeTopic, TopicRef};

use super::packets::{encoded, for_each_packet};
use crate::support;

#[test]
fn tshark_takes_packets_for_what_they_are() {
    let Some(tshark) = support::program("codec against tshark", "tshark") else { return };
    let (mut expected, mut datagrams) = (Vec::new(), Vec::new());
    for_each_packet(60, |packet| {
        let datagram = encoded(packet);
        expected.push(row(packet, datagram.len()));
        datagrams.push(datagram);
    });
    let capture = Capture::write(&datagrams);
    let mut command = Command::new(tshark);
    command.arg("-r").arg(&capture.0).args(["-d", "udp.port==1883,mqttsn", "-T", "fields"]);
    for column in COLUMNS {
        command.args(["-e", &format!("mqttsn.{column}")]);
    }
    let output = command.args(["-e", "_ws.malformed", "-E", "separator=|"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed.lines().count(), expected.len());
    for (shown, expected) in printed.lines().zip(expected) {
        assert_eq!(shown, expected);
    }
}

/// The fields of a packet in the order of tshark's answer.
const COLUMNS: [&str; 26] = [
    "msg.type",
    "msg.len",
    "dup",
    "qos",
    "retain",
    "will",
    "clean.session",
    "topic.id.type",
    "topic.id",
    "msg.id",
    "return.code",
    "gw.id",
    "gw.addr",
    "adv.interv",
    "radius",
    "protocol.id",
    "client.id",
    "keep.alive",
    "topic",
    "topic.name.or.id",
    "will.topic",
    "will.msg",
    "pub.msg",
    "sleep.timer",
    "control.info",
    "wireless.node.id",
];

const MALFORMED: &str = "[Malformed Packet: MQTT-SN],_ws.malformed";

/// What tshark should show.
fn row(packet: &Packet<'_>, length: usize) -> String {
    let length = match packet {
        Packet::Encapsulated(encapsulated) => {
            let inside = encapsulated.packet.len();
            format!("{},{inside}", length - inside)
        }
        _ => length.to_string(),
    };
    let mut shown = vec![("msg.len", length)];
    shown.extend(fields(packet));
    let mut kind = format!("0x{:02x}", packet.kind().code());
    if let Packet::Encapsulated(encapsulated) = packet {
        kind += &format!(",0x{:02x}", encapsulated.packet[1]);
    }
    shown.push(("msg.type", kind));
    let value = |column: &&str| {
        let found = shown.iter().find(|(name, _)| name == column);
        format!("{}|", found.map_or("", |(_, value)| value))
    };
    let row: String = COLUMNS.iter().map(value).collect();
    // The last column. tshark wants flags in a will topic that is none, which has no field (5.4.7).
    let is_no_will = matches!(packet, Packet::WillTopic(None) | Packet::WillTopicUpd(None));
    row + if is_no_will { MALFORMED } else { "" }
}

fn fields(packet: &Packet<'_>) -> Vec<(&'static str, String)> {
    let number = |name, value: u16| (name, value.to_string());
    let octet = |name, value: u8| (name, format!("0x{value:02x}"));
    let text = |name, value: &[u8]| (name, String::from_utf8_lossy(value).into_owned());
    match packet {
        Packet::Advertise(advertise) => vec![
            number("gw.id", advertise.gw_id.into()),
            number("adv.interv", advertise.duration_s),
        ],
        Packet::SearchGw(radius) => vec![number("radius", (*radius).into())],
        Packet::GwInfo(info) => {
            vec![number("gw.id", info.gw_id.into()), text("gw.addr", info.gw_address)]
        }
        Packet::Connect(connect) => vec![
            number("will", connect.will.into()),
            number("clean.session", connect.clean_session.into()),
            octet("topic.id.type", 0),
            octet("protocol.id", 1),
            text("client.id", connect.client_id.as_bytes()),
            number("keep.alive", connect.duration_s),
        ],
        Packet::Connack(code) | Packet::WillTopicResp(code) | Packet::WillMsgResp(code) => {
            vec![octet("return.code", code.code())]
        }
        Packet::WillTopic(will) | Packet::WillTopicUpd(will) => {
            let Some(will) = will else { return Vec::new() };
            // Of the flags, only these are shown.
            vec![octet("topic.id.type", 0), text("will.topic", will.topic.as_bytes())]
        }
        Packet::WillMsg(message) | Packet::WillMsgUpd(message) => vec![text("will.msg", message)],
        Packet::Register(register) => vec![
            number("topic.id", register.topic_id.0),
            number("msg.id", register.message_id.0),
            text("topic", register.topic.as_bytes()),
        ],
        Packet::Regack(regack) => vec![
            number("topic.id", regack.topic_id.0),
            number("msg.id", regack.message_id.0),
            octet("return.code", regack.return_code.code()),
        ],
        Packet::Publish(publish) => publish_fields(publish),
        Packet::Puback(puback) => vec![
            number("topic.id", puback.topic_id.0),
            number("msg.id", puback.message_id.0),
            octet("return.code", puback.return_code.code()),
        ],
        Packet::Pubcomp(id) | Packet::Pubrec(id) | Packet::Pubrel(id) | Packet::Unsuback(id) => {
            vec![number("msg.id", id.0)]
        }
        Packet::Subscribe(subscribe) => topic_fields(subscribe.message_id.0, subscribe.topic),
        Packet::Unsubscribe(unsubscribe) => {
            topic_fields(unsubscribe.message_id.0, unsubscribe.topic)
        }
        Packet::Suback(suback) => vec![
            octet("topic.id.type", 0),
            number("topic.id", suback.topic_id.0),
            number("msg.id", suback.message_id.0),
            octet("return.code", suback.return_code.code()),
        ],
        Packet::Pingreq(Some(client_id)) => vec![text("client.id", client_id.as_bytes())],
        Packet::Disconnect(Some(duration_s)) => vec![number("sleep.timer", *duration_s)],
        Packet::Encapsulated(encapsulated) => {
            let id = encapsulated.wireless_node_id;
            let id = id.iter().fold(0, |number, byte| number << 8 | u16::from(*byte));
            vec![octet("control.info", encapsulated.radius), number("wireless.node.id", id)]
        }
        Packet::Disconnect(None)
        | Packet::Pingreq(None)
        | Packet::Pingresp
        | Packet::WillMsgReq
        | Packet::WillTopicReq => Vec::new(),
    }
}

fn publish_fields(publish: &weir_node::mqtt_sn_1_2::Publish<'_>) -> Vec<(&'static str, String)> {
    let (qos, dup, message_id) = match publish.delivery {
        Delivery::MinusOne => (3, false, 0),
        Delivery::AtMostOnce => (0, false, 0),
        Delivery::AtLeastOnce { message_id, dup } => (1, dup, message_id.0),
        Delivery::ExactlyOnce { message_id, dup } => (2, dup, message_id.0),
    };
    let (topic_id_type, topic_id) = match publish.topic {
        TopicRef::Normal(id) => (0, id.0),
        TopicRef::Predefined(id) => (1, id.0),
        TopicRef::Short(name) => (2, u16::from_be_bytes(name)),
    };
    vec![
        ("dup", u8::from(dup).to_string()),
        ("qos", format!("0x{qos:02x}")),
        ("retain", u8::from(publish.retain).to_string()),
        ("topic.id.type", format!("0x{topic_id_type:02x}")),
        ("topic.id", topic_id.to_string()),
        ("msg.id", message_id.to_string()),
        ("pub.msg", String::from_utf8_lossy(publish.payload).into_owned()),
    ]
}

fn topic_fields(message_id: u16, topic: SubscribeTopic<'_>) -> Vec<(&'static str, String)> {
    let (topic_id_type, name) = match topic {
        SubscribeTopic::Name(name) => (0, name.to_owned()),
        // Shown as the text that the two octets are; here they are letters.
        SubscribeTopic::Predefined(id) => {
            (1, String::from_utf8_lossy(&id.0.to_be_bytes()).into_owned())
        }
        SubscribeTopic::Short(name) => (2, String::from_utf8_lossy(&name).into_owned()),
    };
    vec![
        ("topic.id.type", format!("0x{topic_id_type:02x}")),
        ("msg.id", message_id.to_string()),
        ("topic.name.or.id", name),
    ]
}

/// A file of captured UDP datagrams, removed in the end.
struct Capture(PathBuf);

impl Capture {
    fn write(datagrams: &[Vec<u8>]) -> Self {
        let path = env::temp_dir().join(format!("weir-codec-{}.pcap", process::id()));
        // Magic number, version 2.4, no offset, accuracy, longest packet, raw IPv4.
        let mut file = Vec::from(0xa1b2_c3d4_u32.to_le_bytes());
        file.extend([2, 0, 4, 0]);
        for word in [0, 0, 65_535, 228_u32] {
            file.extend(word.to_le_bytes());
        }
        for (number, datagram) in datagrams.iter().enumerate() {
            let packet = ip_packet(datagram);
            let length = packet.len() as u32;
            for word in [number as u32, 0, length, length] {
                file.extend(word.to_le_bytes());
            }
            file.extend(packet);
        }
        fs::write(&path, file).unwrap();
        Self(path)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// An IPv4 packet with a UDP datagram, without checksums.
fn ip_packet(datagram: &[u8]) -> Vec<u8> {
    let udp_length = 8 + datagram.len() as u16;
    let mut packet = vec![0x45, 0];
    packet.extend((20 + udp_length).to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
    for field in [40_000, 1_883, udp_length, 0] {
        packet.extend(field.to_be_bytes());
    }
    packet.extend(datagram);
    packet
}
