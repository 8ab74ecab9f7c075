//! Scapy reads what we write, and writes what we read.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use weir_node::mqtt_sn_1_2::{
    Connect, Delivery, Packet, PacketKind, QoS, SubscribeTopic, TopicRef, WillTopic,
};

use super::packets::{encoded, for_each_packet};
use crate::support;

#[test]
fn scapy_reads_what_we_write_and_writes_the_same() {
    let Some(python) = support::python("codec against Scapy", "scapy") else { return };
    let mut lines = String::new();
    for_each_packet(60, |packet| {
        let _ = writeln!(lines, "{} {}", hex(&encoded(packet)), described(packet));
    });
    let printed = answers(&python, &lines);
    let mut printed = printed.lines();
    for line in lines.lines() {
        assert_eq!(printed.next(), Some(line), "read by Scapy");
        let octets = line.split(' ').next();
        assert_eq!(printed.next(), octets, "written by Scapy: {line}");
    }
    assert_eq!(printed.next(), None);
}

fn answers(python: &std::path::Path, lines: &str) -> String {
    let script = support::top().join("tests/foreign/scapy_mqttsn.py");
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let lines = lines.to_owned();
    // On the side, since both pipes may be full.
    let writer = std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(lines.as_bytes()).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(writer.status.success(), "the script ended with {}", writer.status);
    String::from_utf8(writer.stdout).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Kind and fields with Scapy's names.
fn described(packet: &Packet<'_>) -> String {
    let fields = fields(packet);
    let words = fields.iter().map(|(name, value)| format!(" {name}={value}"));
    format!("{}{}", packet.kind().code(), words.collect::<String>())
}

type Fields = Vec<(&'static str, String)>;

fn fields(packet: &Packet<'_>) -> Fields {
    let number = |name, value: u16| (name, value.to_string());
    let text = |name, value: &[u8]| (name, hex(value));
    match packet {
        Packet::Advertise(advertise) => {
            vec![number("gw_id", advertise.gw_id.into()), number("duration", advertise.duration_s)]
        }
        Packet::SearchGw(radius) => vec![number("radius", (*radius).into())],
        Packet::GwInfo(info) => {
            vec![number("gw_id", info.gw_id.into()), text("gw_addr", info.gw_address)]
        }
        Packet::Connect(connect) => {
            let Connect { clean_session, will, duration_s, client_id } = *connect;
            let mut fields = flags(Flags { clean_session, will, ..Flags::default() });
            fields.extend([number("prot_id", 1), number("duration", duration_s)]);
            fields.push(text("client_id", client_id.as_bytes()));
            fields
        }
        Packet::Connack(code) | Packet::WillTopicResp(code) | Packet::WillMsgResp(code) => {
            vec![number("return_code", code.code().into())]
        }
        Packet::WillTopic(will) | Packet::WillTopicUpd(will) => {
            let Some(WillTopic { qos, retain, topic }) = *will else { return Vec::new() };
            let mut fields = flags(Flags { qos: qos_bits(qos), retain, ..Flags::default() });
            fields.push(text("will_topic", topic.as_bytes()));
            fields
        }
        Packet::WillMsg([]) | Packet::WillMsgUpd([]) | Packet::Pingreq(None) => Vec::new(),
        Packet::WillMsg(message) | Packet::WillMsgUpd(message) => {
            vec![text("will_msg", message)]
        }
        Packet::Register(register) => vec![
            number("tid", register.topic_id.0),
            number("mid", register.message_id.0),
            text("topic_name", register.topic.as_bytes()),
        ],
        Packet::Regack(regack) => vec![
            number("tid", regack.topic_id.0),
            number("mid", regack.message_id.0),
            number("return_code", regack.return_code.code().into()),
        ],
        Packet::Puback(puback) => vec![
            number("tid", puback.topic_id.0),
            number("mid", puback.message_id.0),
            number("return_code", puback.return_code.code().into()),
        ],
        Packet::Publish(publish) => publish_fields(publish),
        Packet::Pubcomp(id) | Packet::Pubrec(id) | Packet::Pubrel(id) | Packet::Unsuback(id) => {
            vec![number("mid", id.0)]
        }
        Packet::Subscribe(subscribe) => {
            let (dup, qos) = (subscribe.dup, qos_bits(subscribe.qos));
            let flags = Flags { dup, qos, ..Flags::default() };
            topic_fields(flags, subscribe.message_id.0, subscribe.topic)
        }
        Packet::Unsubscribe(unsubscribe) => {
            topic_fields(Flags::default(), unsubscribe.message_id.0, unsubscribe.topic)
        }
        Packet::Suback(suback) => {
            let mut fields = flags(Flags { qos: qos_bits(suback.qos), ..Flags::default() });
            fields.extend([
                number("tid", suback.topic_id.0),
                number("mid", suback.message_id.0),
                number("return_code", suback.return_code.code().into()),
            ]);
            fields
        }
        Packet::Pingreq(Some(client_id)) => vec![text("client_id", client_id.as_bytes())],
        Packet::Disconnect(Some(duration_s)) => vec![number("duration", *duration_s)],
        Packet::Encapsulated(encapsulated) => vec![
            number("radius", encapsulated.radius.into()),
            text("w_node_id", encapsulated.wireless_node_id),
            text("packet", encapsulated.packet),
        ],
        Packet::Disconnect(None) | Packet::Pingresp | Packet::WillMsgReq | Packet::WillTopicReq => {
            Vec::new()
        }
    }
}

fn publish_fields(publish: &weir_node::mqtt_sn_1_2::Publish<'_>) -> Fields {
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
    let retain = publish.retain;
    let mut fields = flags(Flags { dup, qos, retain, topic_id_type, ..Flags::default() });
    fields.push(("tid", topic_id.to_string()));
    fields.push(("mid", message_id.to_string()));
    fields.push(("data", hex(publish.payload)));
    fields
}

fn topic_fields(before: Flags, message_id: u16, topic: SubscribeTopic<'_>) -> Fields {
    let (topic_id_type, field) = match topic {
        SubscribeTopic::Name(name) => (0, ("topic_name", hex(name.as_bytes()))),
        SubscribeTopic::Predefined(id) => (1, ("tid", id.0.to_string())),
        SubscribeTopic::Short(name) => (2, ("short_topic", hex(&name))),
    };
    let mut fields = flags(Flags { topic_id_type, ..before });
    fields.push(("mid", message_id.to_string()));
    fields.push(field);
    fields
}

#[derive(Default)]
struct Flags {
    dup: bool,
    qos: u8,
    retain: bool,
    will: bool,
    clean_session: bool,
    topic_id_type: u8,
}

fn flags(flags: Flags) -> Fields {
    [
        ("dup", flags.dup.into()),
        ("qos", flags.qos),
        ("retain", flags.retain.into()),
        ("will", flags.will.into()),
        ("cleansess", flags.clean_session.into()),
        ("tid_type", flags.topic_id_type),
    ]
    .map(|(name, value)| (name, value.to_string()))
    .into()
}

fn qos_bits(qos: QoS) -> u8 {
    match qos {
        QoS::AtMostOnce => 0,
        QoS::AtLeastOnce => 1,
        QoS::ExactlyOnce => 2,
    }
}

#[test]
fn every_kind_is_compared() {
    let mut kinds = Vec::new();
    for_each_packet(1, |packet| kinds.push(packet.kind()));
    assert_eq!(kinds, PacketKind::ALL);
}
