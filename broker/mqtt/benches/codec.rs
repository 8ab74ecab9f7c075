//! What it costs to read and write a packet, next to other codecs in the same run.
//!
//! Every case is a stream of equal packets that is read from front to back, or a buffer that
//! equal packets are appended to. The figure is the fastest of many rounds; the contenders take
//! turns, so that a busy machine hits all of them.
//!
//! ```text
//! cargo bench -p weir-mqtt
//! ```
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use mqttbytes::{QoS as TheirQoS, v4, v5};
use tokio_util::codec::{Decoder, Encoder};
use weir_mqtt::{
    Acknowledge, Delivery, Packet, PacketId, Publish, PublishProperties, QoS, SubscribeFilter,
    SubscribeProperties, SubscriptionOptions, TopicFilter, Version, frame_len,
};

/// Times the reading or writing of [`BATCH`] packets.
type Round<'a> = Box<dyn FnMut() -> Duration + 'a>;

fn main() {
    println!("{:34} {:>12} {:>9} {:>9}", "case", "codec", "ns/packet", "ratio");
    decode_publish();
    encode_publish();
    decode_publish_with_properties();
    encode_publish_with_properties();
    acknowledge();
    subscribe();
}

fn decode_publish() {
    let stream = stream_of(&Packet::Publish(Publish::new(TOPIC, &PAYLOAD)), Version::V311);
    compare(
        "decode PUBLISH QoS 0, 3.1.1",
        vec![
            ("weir", ours_decoding(&stream, Version::V311)),
            ("mqttbytes", mqttbytes_decoding(&stream, Version::V311)),
            ("rmqtt-codec", rmqtt_decoding(&stream, Version::V311)),
            ("mqtt-proto", mqtt_proto_decoding(&stream, Version::V311)),
        ],
    );
    let stream = stream_of(&Packet::Publish(Publish::new(TOPIC, &PAYLOAD)), Version::V5);
    compare(
        "decode PUBLISH QoS 0, 5.0",
        vec![
            ("weir", ours_decoding(&stream, Version::V5)),
            ("mqttbytes", mqttbytes_decoding(&stream, Version::V5)),
            ("rmqtt-codec", rmqtt_decoding(&stream, Version::V5)),
            ("mqtt-proto", mqtt_proto_decoding(&stream, Version::V5)),
        ],
    );
}

fn encode_publish() {
    let delivery = Delivery::new(TOPIC, &PAYLOAD);
    let publish = v4::Publish::new(TOPIC, TheirQoS::AtMostOnce, &PAYLOAD[..]);
    let rmqtt = rmqtt_codec::v3::Packet::Publish(Box::new(rmqtt_codec::types::Publish {
        dup: false,
        retain: false,
        qos: rmqtt_codec::types::QoS::AtMostOnce,
        topic: TOPIC.into(),
        packet_id: None,
        payload: Bytes::from_static(&PAYLOAD),
        properties: None,
    }));
    let mqtt_proto = mqtt_proto::v3::Packet::Publish(mqtt_proto::v3::Publish::new(
        mqtt_proto::QosPid::Level0,
        mqtt_proto::TopicName::try_from(TOPIC).expect("the topic is right"),
        Bytes::from_static(&PAYLOAD),
    ));
    compare(
        "encode PUBLISH QoS 0, 3.1.1",
        vec![
            ("weir", delivering(&delivery, Version::V311)),
            (
                "mqttbytes",
                appending(|out| {
                    publish.write(out).expect("it can be written");
                }),
            ),
            (
                "rmqtt-codec",
                appending(|out| {
                    let mut codec = rmqtt_codec::v3::Codec::new(0);
                    codec.encode(rmqtt.clone(), out).expect("it can be written");
                }),
            ),
            (
                "mqtt-proto",
                appending(|out| {
                    let bytes = mqtt_proto.encode().expect("it can be written");
                    out.extend_from_slice(bytes.as_ref());
                }),
            ),
        ],
    );
}

fn decode_publish_with_properties() {
    let properties = PublishProperties {
        payload_format_utf8: Some(true),
        message_expiry_interval_s: Some(3600),
        content_type: Some("application/json"),
        response_topic: Some("plant/answers/42"),
        correlation_data: Some(&[7; 16]),
        user_properties: USER_PROPERTIES.into(),
        ..PublishProperties::default()
    };
    let publish = Publish {
        qos: QoS::AtLeastOnce,
        packet_id: PacketId::new(10),
        properties,
        ..Publish::new(TOPIC, &PAYLOAD)
    };
    let stream = stream_of(&Packet::Publish(publish), Version::V5);
    compare(
        "decode PUBLISH QoS 1, 7 properties",
        vec![
            ("weir", ours_decoding(&stream, Version::V5)),
            ("mqttbytes", mqttbytes_decoding(&stream, Version::V5)),
            ("rmqtt-codec", rmqtt_decoding(&stream, Version::V5)),
            ("mqtt-proto", mqtt_proto_decoding(&stream, Version::V5)),
        ],
    );
}

fn encode_publish_with_properties() {
    let properties = PublishProperties {
        payload_format_utf8: Some(true),
        content_type: Some("application/json"),
        user_properties: USER_PROPERTIES.into(),
        ..PublishProperties::default()
    };
    let mut end_to_end = Vec::new();
    properties.encode_end_to_end(&mut end_to_end).expect("it can be written");
    let delivery = Delivery {
        qos: QoS::AtLeastOnce,
        packet_id: PacketId::new(10),
        end_to_end: &end_to_end,
        message_expiry_interval_s: Some(3600),
        subscription_identifiers: &[3],
        ..Delivery::new(TOPIC, &PAYLOAD)
    };
    let theirs = v5::Publish {
        pkid: 10,
        properties: Some(v5::PublishProperties {
            payload_format_indicator: Some(1),
            message_expiry_interval: Some(3600),
            topic_alias: None,
            response_topic: None,
            correlation_data: None,
            user_properties: USER_PROPERTIES
                .iter()
                .map(|&(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            subscription_identifiers: vec![3],
            content_type: Some("application/json".to_owned()),
        }),
        ..v5::Publish::new(TOPIC, TheirQoS::AtLeastOnce, &PAYLOAD[..])
    };
    compare(
        "encode PUBLISH QoS 1, 6 properties",
        vec![
            ("weir", delivering(&delivery, Version::V5)),
            (
                "mqttbytes",
                appending(|out| {
                    theirs.write(out).expect("it can be written");
                }),
            ),
        ],
    );
}

fn acknowledge() {
    let packet_id = PacketId::new(10).expect("10 is not zero");
    let puback = Packet::Puback(Acknowledge::success(packet_id));
    let stream = stream_of(&puback, Version::V311);
    compare(
        "decode PUBACK, 3.1.1",
        vec![
            ("weir", ours_decoding(&stream, Version::V311)),
            ("mqttbytes", mqttbytes_decoding(&stream, Version::V311)),
            ("rmqtt-codec", rmqtt_decoding(&stream, Version::V311)),
            ("mqtt-proto", mqtt_proto_decoding(&stream, Version::V311)),
        ],
    );
    let theirs = v4::PubAck { pkid: 10 };
    let mut out = Vec::with_capacity(BUFFER_LEN);
    compare(
        "encode PUBACK, 3.1.1",
        vec![
            (
                "weir",
                Box::new(move || {
                    out.clear();
                    let start = Instant::now();
                    for _ in 0..BATCH {
                        let puback = Packet::Puback(Acknowledge::success(black_box(packet_id)));
                        puback.encode(Version::V311, &mut out).expect("it can be written");
                    }
                    let elapsed = start.elapsed();
                    black_box(&out);
                    elapsed
                }),
            ),
            (
                "mqttbytes",
                appending(|out| {
                    black_box(&theirs).write(out).expect("it can be written");
                }),
            ),
        ],
    );
}

fn subscribe() {
    let filters: Vec<_> = ["plant/+/temperature", "plant/#", "$share/workers/jobs/+/new"]
        .iter()
        .map(|filter| SubscribeFilter {
            filter: TopicFilter::parse(filter).expect("the filter is right"),
            options: SubscriptionOptions::new(QoS::AtLeastOnce),
        })
        .collect();
    let subscribe = weir_mqtt::Subscribe {
        packet_id: PacketId::new(10).expect("10 is not zero"),
        properties: SubscribeProperties::default(),
        filters: filters[..].into(),
    };
    let stream = stream_of(&Packet::Subscribe(subscribe), Version::V311);
    compare(
        "decode SUBSCRIBE, 3 filters, 3.1.1",
        vec![
            ("weir", ours_decoding(&stream, Version::V311)),
            ("mqttbytes", mqttbytes_decoding(&stream, Version::V311)),
            ("rmqtt-codec", rmqtt_decoding(&stream, Version::V311)),
            ("mqtt-proto", mqtt_proto_decoding(&stream, Version::V311)),
        ],
    );
}

/// Runs all contenders in turns and prints the fastest round of each, with its ratio to ours.
fn compare(case: &str, mut contenders: Vec<(&str, Round<'_>)>) {
    let mut fastest = vec![Duration::MAX; contenders.len()];
    for _ in 0..ROUNDS {
        for (fastest, (_, round)) in fastest.iter_mut().zip(&mut contenders) {
            *fastest = round().min(*fastest);
        }
    }
    let ours = fastest[0].as_secs_f64();
    for ((codec, _), fastest) in contenders.iter().zip(&fastest) {
        let ns = fastest.as_secs_f64() * 1e9 / BATCH as f64;
        println!("{case:34} {codec:>12} {ns:>9.1} {:>9.2}", fastest.as_secs_f64() / ours);
    }
}

fn stream_of(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut stream = Vec::new();
    for _ in 0..BATCH {
        packet.encode(version, &mut stream).expect("it can be written");
    }
    stream
}

fn ours_decoding(stream: &[u8], version: Version) -> Round<'_> {
    Box::new(move || {
        let start = Instant::now();
        let mut rest = black_box(stream);
        while let Some(len) = frame_len(rest).expect("the stream is right") {
            let (frame, next) = rest.split_at(len);
            black_box(&Packet::decode(frame, version).expect("the packet is right"));
            rest = next;
        }
        start.elapsed()
    })
}

fn mqttbytes_decoding(stream: &[u8], version: Version) -> Round<'_> {
    Box::new(move || {
        let mut rest = BytesMut::from(stream);
        let start = Instant::now();
        while !rest.is_empty() {
            if version == Version::V5 {
                black_box(&v5::read(&mut rest, usize::MAX).expect("the packet is right"));
            } else {
                black_box(&v4::read(&mut rest, usize::MAX).expect("the packet is right"));
            }
        }
        start.elapsed()
    })
}

fn rmqtt_decoding(stream: &[u8], version: Version) -> Round<'_> {
    Box::new(move || {
        let mut rest = BytesMut::from(stream);
        let start = Instant::now();
        if version == Version::V5 {
            let mut codec = rmqtt_codec::v5::Codec::default();
            while let Some(packet) = codec.decode(&mut rest).expect("the packet is right") {
                black_box(&packet);
            }
        } else {
            let mut codec = rmqtt_codec::v3::Codec::default();
            while let Some(packet) = codec.decode(&mut rest).expect("the packet is right") {
                black_box(&packet);
            }
        }
        start.elapsed()
    })
}

fn mqtt_proto_decoding(stream: &[u8], version: Version) -> Round<'_> {
    Box::new(move || {
        let start = Instant::now();
        let mut rest = black_box(stream);
        while let Some(len) = frame_len(rest).expect("the stream is right") {
            let (frame, next) = rest.split_at(len);
            if version == Version::V5 {
                black_box(&mqtt_proto::v5::Packet::decode(frame).expect("the packet is right"));
            } else {
                black_box(&mqtt_proto::v3::Packet::decode(frame).expect("the packet is right"));
            }
            rest = next;
        }
        start.elapsed()
    })
}

fn delivering<'a>(delivery: &'a Delivery<'a>, version: Version) -> Round<'a> {
    let mut out = Vec::with_capacity(BUFFER_LEN);
    Box::new(move || {
        out.clear();
        let start = Instant::now();
        for _ in 0..BATCH {
            black_box(delivery).encode(version, &mut out).expect("it can be written");
        }
        let elapsed = start.elapsed();
        black_box(&out);
        elapsed
    })
}

fn appending<'a>(write: impl Fn(&mut BytesMut) + 'a) -> Round<'a> {
    let mut out = BytesMut::with_capacity(BUFFER_LEN);
    Box::new(move || {
        out.clear();
        let start = Instant::now();
        for _ in 0..BATCH {
            write(&mut out);
        }
        let elapsed = start.elapsed();
        black_box(&out);
        elapsed
    })
}

/// Packets in a stream: few enough to stay in the first cache, as in a turn of the broker.
const BATCH: usize = 100;
const ROUNDS: usize = 20_000;
const BUFFER_LEN: usize = 64 * 1024;

const TOPIC: &str = "plant/boiler-7/temperature/now";
static PAYLOAD: [u8; 64] = [b'x'; 64];
const USER_PROPERTIES: &[(&str, &str)] = &[("unit", "celsius"), ("site", "north")];
