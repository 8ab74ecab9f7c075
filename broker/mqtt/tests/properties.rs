//! What holds for every packet and for all bytes.

mod packets;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use weir_mqtt::{
    Connect, DecodeError, Delivery, Packet, Publish, PublishProperties, QoS, TopicFilter,
    TopicName, Version, frame_len,
};

use packets::{bytes, packet, publish, text, topic_name, version, version_and_packet};

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_decodes_to_the_same((version, packet) in version_and_packet()) {
        let frame = encode(&packet, version);
        prop_assert_eq!(frame_len(&frame), Ok(Some(frame.len())));
        prop_assert_eq!(Packet::decode(&frame, version), Ok(packet));
    }

    #[test]
    fn what_decodes_encodes_again((version, frame) in version_and_damaged_frame()) {
        let Ok(packet) = Packet::decode(&frame, version) else { return Ok(()) };
        let again = encode(&packet, version);
        prop_assert_eq!(Packet::decode(&again, version), Ok(packet));
    }

    #[test]
    fn no_bytes_panic(frame in vec(any::<u8>(), 0..64), version in version()) {
        let _ = frame_len(&frame);
        let _ = Packet::decode(&frame, version);
        let _ = Connect::peek_version(&frame);
        let _ = PublishProperties::decode_end_to_end(&frame);
    }

    #[test]
    fn a_shortened_packet_is_refused((version, packet) in version_and_packet()) {
        let frame = encode(&packet, version);
        for len in 0..frame.len() {
            let shortened = &frame[..len];
            prop_assert!(Packet::decode(shortened, version).is_err());
            prop_assert!(matches!(frame_len(shortened), Ok(None | Some(_))));
        }
    }

    #[test]
    fn a_stream_in_pieces_is_the_same_stream(
        packets in vec(packet(Version::V5), 1..6),
        cuts in vec(any::<Index>(), 0..12),
    ) {
        let mut stream = Vec::new();
        for packet in &packets {
            packet.encode(Version::V5, &mut stream).expect("the packet is right");
        }
        let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        ends.push(stream.len());
        ends.sort_unstable();
        let mut received: Vec<u8> = Vec::new();
        let mut seen = 0;
        let mut start = 0;
        for end in ends {
            received.extend_from_slice(&stream[start..end]);
            start = end;
            while let Some(len) = frame_len(&received).expect("the stream is right") {
                if received.len() < len {
                    break;
                }
                let packet = Packet::decode(&received[..len], Version::V5);
                prop_assert_eq!(packet.as_ref(), Ok(&packets[seen]));
                seen += 1;
                received.drain(..len);
            }
        }
        prop_assert_eq!(seen, packets.len());
        prop_assert!(received.is_empty());
    }

    #[test]
    fn a_packet_is_appended_or_nothing_is(
        (version, packet) in version_and_packet(),
        before in bytes(),
    ) {
        let mut out = before.to_vec();
        packet.encode(version, &mut out).expect("the packet is right");
        prop_assert!(out.starts_with(before));
        prop_assert_eq!(&out[before.len()..], encode(&packet, version));
    }

    #[test]
    fn encoding_never_writes_what_decoding_refuses(
        topic in prop_oneof![text(), Just("a\0"), Just("")],
        dup: bool,
        publish in publish(Version::V5),
        version in version(),
    ) {
        let packet = Packet::Publish(Publish { topic, dup, ..publish });
        let mut out = vec![7];
        match packet.encode(version, &mut out) {
            Ok(()) => prop_assert!(Packet::decode(&out[1..], version).is_ok()),
            Err(_) => prop_assert_eq!(out, [7]),
        }
    }

    #[test]
    fn a_delivery_is_a_publish((version, publish) in version_and_publish()) {
        let (delivery, end_to_end);
        let identifiers: Vec<_> = publish.properties.subscription_identifiers.iter().collect();
        (end_to_end, delivery) = delivery_parts(&publish);
        let delivery = Delivery {
            end_to_end: &end_to_end,
            subscription_identifiers: &identifiers,
            ..delivery
        };
        let mut out = Vec::new();
        let packet_id_at = delivery.encode(version, &mut out).expect("the delivery is right");
        prop_assert_eq!(out.len(), delivery.encoded_len(version));
        prop_assert_eq!(Packet::decode(&out, version), Ok(Packet::Publish(publish)));
        prop_assert_eq!(packet_id_at.is_some(), publish.packet_id.is_some());
        if let (Some(at), Some(packet_id)) = (packet_id_at, publish.packet_id) {
            prop_assert_eq!(&out[at..at + 2], packet_id.get().to_be_bytes());
        }
    }

    #[test]
    fn a_delivery_below_5_has_no_properties(publish in publish(Version::V5)) {
        let (end_to_end, delivery) = delivery_parts(&publish);
        let delivery = Delivery {
            end_to_end: &end_to_end,
            subscription_identifiers: &[1],
            topic: if publish.topic.is_empty() { "t" } else { publish.topic },
            ..delivery
        };
        let mut out = Vec::new();
        delivery.encode(Version::V311, &mut out).expect("the delivery is right");
        prop_assert_eq!(out.len(), delivery.encoded_len(Version::V311));
        let expected = Publish {
            topic: delivery.topic,
            properties: PublishProperties::default(),
            ..publish
        };
        prop_assert_eq!(Packet::decode(&out, Version::V311), Ok(Packet::Publish(expected)));
    }

    #[test]
    fn end_to_end_properties_come_back(publish in publish(Version::V5)) {
        let mut stored = Vec::new();
        publish.properties.encode_end_to_end(&mut stored).expect("the properties are right");
        let expected = PublishProperties {
            message_expiry_interval_s: None,
            topic_alias: None,
            subscription_identifiers: Default::default(),
            ..publish.properties
        };
        prop_assert_eq!(PublishProperties::decode_end_to_end(&stored), Ok(expected));
    }

    #[test]
    fn a_filter_matches_as_the_rules_spell_out(filter in few_filters(), topic in few_names()) {
        let filters: Vec<_> = filter.split('/').collect();
        let names: Vec<_> = topic.split('/').collect();
        let hidden = topic.starts_with('$') && matches!(filters[0], "+" | "#");
        let parsed = TopicFilter::parse(&filter).expect("the filter is right");
        prop_assert_eq!(parsed.matches(&topic), !hidden && matches_recursively(&filters, &names));
    }

    #[test]
    fn a_topic_name_matches_itself(topic in topic_name()) {
        prop_assert_eq!(TopicName::parse(topic).map(TopicName::as_str), Ok(topic));
        if let Ok(filter) = TopicFilter::parse(topic) {
            prop_assert!(filter.share_name().is_some() || filter.matches(topic));
        }
    }

    #[test]
    fn names_and_filters_are_checked_as_if_byte_by_byte(text in prop_oneof![text(), any_text()]) {
        let is_name = !text.is_empty() && !text.contains(['\0', '+', '#']);
        prop_assert_eq!(TopicName::parse(text).is_ok(), is_name);
        if !text.starts_with("$share/") {
            let is_filter = !text.is_empty() && !text.contains('\0') && {
                let last = text.split('/').count() - 1;
                let level_is_right = |(index, level): (usize, &str)| match level {
                    "+" => true,
                    "#" => index == last,
                    other => !other.contains(['+', '#']),
                };
                text.split('/').enumerate().all(level_is_right)
            };
            prop_assert_eq!(TopicFilter::parse(text).is_ok(), is_filter);
        }
    }
}

#[test]
fn a_topic_of_65535_bytes_is_the_longest() {
    for version in [Version::V311, Version::V5] {
        let topic = "t".repeat(65_535);
        let frame = encode(&Packet::Publish(Publish::new(&topic, b"")), version);
        let Ok(Packet::Publish(publish)) = Packet::decode(&frame, version) else {
            panic!("a topic of 65535 bytes is allowed [MQTT-4.7.3-3]")
        };
        assert_eq!(publish.topic, topic);
        let longer = "t".repeat(65_536);
        assert!(Delivery::new(&longer, b"").encode(version, &mut Vec::new()).is_err());
        assert!(Packet::Publish(Publish::new(&longer, b"")).encode(version, &mut vec![]).is_err());
        assert!(TopicFilter::parse(&longer).is_err());
    }
}

#[test]
fn a_payload_beyond_the_longest_packet_is_refused() {
    let payload = vec![0; 268_435_456];
    let mut out = Vec::new();
    assert!(Delivery::new("t", &payload).encode(Version::V311, &mut out).is_err());
    assert!(out.is_empty());
    assert!(Delivery::new("t", &payload).encoded_len(Version::V311) > payload.len());
}

#[test]
fn the_version_of_a_wrong_connect_shows() {
    let frame = encode(&Packet::Connect(Connect::new(Version::V5, "sensor\u{1}")), Version::V5);
    let wrong: Vec<_> = frame.iter().map(|&byte| if byte == 1 { 0 } else { byte }).collect();
    assert_eq!(Packet::decode(&wrong, Version::V5), Err(DecodeError::TextHasNul));
    assert_eq!(Connect::peek_version(&wrong), Some(Version::V5));
    assert_eq!(Connect::peek_version(&encode(&Packet::Pingreq, Version::V5)), None);
}

fn encode(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(version, &mut out).expect("the packet is right");
    out
}

fn version_and_publish() -> impl Strategy<Value = (Version, Publish<'static>)> {
    version().prop_flat_map(|version| (Just(version), publish(version)))
}

/// Packets with some bytes changed, which are still right more often than mere bytes are.
fn version_and_damaged_frame() -> impl Strategy<Value = (Version, Vec<u8>)> {
    let damage = vec((any::<Index>(), any::<u8>()), 0..3);
    (version_and_packet(), damage, version()).prop_map(|((version, packet), damage, other)| {
        let mut frame = encode(&packet, version);
        for (index, byte) in damage {
            let len = frame.len();
            frame[index.index(len)] = byte;
        }
        (other, frame)
    })
}

fn any_text() -> impl Strategy<Value = &'static str> {
    vec(prop_oneof![Just('+'), Just('#'), Just('/'), Just('\0'), Just('a')], 0..20)
        .prop_map(|letters| &*letters.into_iter().collect::<String>().leak())
}

/// Names of so few levels that filters often match.
fn few_names() -> impl Strategy<Value = String> {
    let names = vec(select(&["a", "b", "", "$s"][..]), 1..4).prop_map(|levels| levels.join("/"));
    names.prop_filter("a name is not empty", |name| !name.is_empty())
}

fn few_filters() -> impl Strategy<Value = String> {
    let levels = vec(select(&["a", "b", "", "$s", "+", "+"][..]), 0..4);
    let filters = (levels, any::<bool>()).prop_map(|(mut levels, everything_below)| {
        levels.extend(everything_below.then_some("#"));
        levels.join("/")
    });
    filters.prop_filter("a filter is not empty", |filter| !filter.is_empty())
}

/// The delivery of a message as it was published.
fn delivery_parts<'a>(publish: &Publish<'a>) -> (Vec<u8>, Delivery<'a>) {
    let mut end_to_end = Vec::new();
    publish.properties.encode_end_to_end(&mut end_to_end).expect("the properties are right");
    assert!(publish.qos == QoS::AtMostOnce || publish.packet_id.is_some());
    let delivery = Delivery {
        dup: publish.dup,
        qos: publish.qos,
        retain: publish.retain,
        packet_id: publish.packet_id,
        message_expiry_interval_s: publish.properties.message_expiry_interval_s,
        topic_alias: publish.properties.topic_alias,
        ..Delivery::new(publish.topic, publish.payload)
    };
    (end_to_end, delivery)
}

/// The rules of wildcards, spelt out.
fn matches_recursively(filters: &[&str], names: &[&str]) -> bool {
    match (filters, names) {
        (["#"], _) | ([], []) => true,
        (["+", filters @ ..], [_, names @ ..]) => matches_recursively(filters, names),
        ([filter, filters @ ..], [name, names @ ..]) if filter == name => {
            matches_recursively(filters, names)
        }
        _ => false,
    }
}
