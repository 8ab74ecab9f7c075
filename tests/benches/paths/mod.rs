//! The hot paths, each as often as it is told.

mod broker;
mod rules;

use std::hint::black_box;

use weir_mqtt::{Packet, PacketId, Publish, QoS, Version};

use broker::Broker;

/// Something that is done for each message.
pub(crate) struct HotPath {
    pub(crate) name: &'static str,
    pub(crate) says: &'static str,
    pub(crate) run: fn(u64),
}

pub(crate) const PATHS: [HotPath; 8] = [
    HotPath { name: "decode", says: "decode a PUBLISH of 5.0 with two properties", run: decode },
    HotPath { name: "encode", says: "encode it", run: encode },
    HotPath { name: "match", says: "a message that 10,000 filters do not match", run: no_match },
    HotPath { name: "fan-in", says: "20 of QoS 0 in one read, to one subscriber", run: fan_in },
    HotPath { name: "fan-out", says: "QoS 0 to 50 subscribers", run: fan_out },
    HotPath { name: "qos1", says: "QoS 1 to one subscriber, until its PUBACK", run: qos1 },
    HotPath { name: "qos1-kept", says: "the same to a session that is kept", run: qos1_kept },
    HotPath { name: "rule", says: "a message of 85 bytes in a sliding window", run: rules::window },
];

const TOPIC: &str = "site/line/4/temperature";
const PAYLOAD: &[u8] =
    b"{\"value\":21.5,\"unit\":\"celsius\",\"quality\":\"good\",\"sensor\":\"a-17\"}";

fn decode(times: u64) {
    let frame = broker::encoded(Version::V5, message(QoS::AtLeastOnce));
    for _ in 0..times {
        black_box(Packet::decode(black_box(&frame), Version::V5).expect("a valid packet"));
    }
}

fn encode(times: u64) {
    let mut bytes = Vec::with_capacity(256);
    for _ in 0..times {
        bytes.clear();
        let packet = black_box(message(QoS::AtLeastOnce));
        packet.encode(Version::V5, &mut bytes).expect("a valid packet");
        black_box(&bytes);
    }
}

fn no_match(times: u64) {
    let mut broker = Broker::new();
    for number in 0..100 {
        let session = broker.connect(&format!("holder-{number}"), false);
        for filter in 0..100 {
            let last = if filter % 10 == 0 { "+" } else { "humidity" };
            broker.subscribe(session, &format!("site/{number}/{filter}/{last}"), QoS::AtMostOnce);
        }
    }
    let publisher = broker.connect("publisher", false);
    let frame = broker::encoded(Version::V311, message(QoS::AtMostOnce));
    (0..times).for_each(|_| broker.receive(publisher, &frame));
}

fn fan_in(times: u64) {
    let mut broker = Broker::new();
    let subscriber = broker.connect("subscriber", false);
    broker.subscribe(subscriber, "site/line/#", QoS::AtMostOnce);
    let publisher = broker.connect("publisher", false);
    let frames = broker::encoded(Version::V311, message(QoS::AtMostOnce)).repeat(20);
    (0..times).for_each(|_| broker.receive(publisher, &frames));
    assert_eq!(broker.delivered(), times * 20);
}

fn fan_out(times: u64) {
    let mut broker = Broker::new();
    for number in 0..50 {
        let session = broker.connect(&format!("subscriber-{number}"), false);
        broker.subscribe(session, "site/line/#", QoS::AtMostOnce);
    }
    let publisher = broker.connect("publisher", false);
    let frame = broker::encoded(Version::V311, message(QoS::AtMostOnce));
    (0..times).for_each(|_| broker.receive(publisher, &frame));
    assert_eq!(broker.delivered(), times * 50);
}

fn qos1(times: u64) {
    acknowledged(times, false);
}

fn qos1_kept(times: u64) {
    acknowledged(times, true);
}

fn acknowledged(times: u64, is_kept: bool) {
    let mut broker = Broker::new();
    let subscriber = broker.connect("subscriber", is_kept);
    broker.subscribe(subscriber, "site/line/#", QoS::AtLeastOnce);
    let publisher = broker.connect("publisher", false);
    let frame = broker::encoded(Version::V311, message(QoS::AtLeastOnce));
    for _ in 0..times {
        broker.receive(publisher, &frame);
        broker.acknowledge(subscriber);
    }
    assert_eq!(broker.delivered(), times);
}

fn message(qos: QoS) -> Packet<'static> {
    let mut publish = Publish::new(TOPIC, PAYLOAD);
    publish.qos = qos;
    publish.packet_id = (qos > QoS::AtMostOnce).then(|| PacketId::new(7).expect("not zero"));
    publish.properties.content_type = Some("application/json");
    publish.properties.message_expiry_interval_s = Some(3600);
    Packet::Publish(publish)
}
