//! The message path allocates nothing: reading a PUBLISH never, writing one not once the buffer
//! has grown.

use allocation_counter::measure;
use weir_mqtt::{
    Acknowledge, Delivery, Packet, PacketId, Publish, PublishProperties, QoS, SubscribeFilter,
    SubscribeProperties, SubscriptionOptions, TopicFilter, UserProperties, Version, frame_len,
};

#[test]
fn decoding_a_publish_allocates_nothing() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let frame = encode(&Packet::Publish(publish()), version);
        let allocations = measure(|| {
            assert_eq!(frame_len(&frame), Ok(Some(frame.len())));
            let Ok(Packet::Publish(publish)) = Packet::decode(&frame, version) else {
                panic!("the packet is right")
            };
            assert!(publish.properties.user_properties.iter().count() < 3);
        });
        assert_eq!(allocations.count_total, 0, "{version:?}");
    }
}

#[test]
fn refusing_a_packet_allocates_nothing() {
    let frame = encode(&Packet::Publish(publish()), Version::V5);
    let allocations = measure(|| {
        for len in 0..frame.len() {
            assert!(Packet::decode(&frame[..len], Version::V5).is_err());
        }
    });
    assert_eq!(allocations.count_total, 0);
}

#[test]
fn decoding_a_subscribe_allocates_nothing() {
    let filters = ["plant/+/temperature", "$share/workers/jobs/#"].map(|filter| SubscribeFilter {
        filter: TopicFilter::parse(filter).expect("the filter is right"),
        options: SubscriptionOptions::new(QoS::AtLeastOnce),
    });
    let subscribe = weir_mqtt::Subscribe {
        packet_id: packet_id(),
        properties: SubscribeProperties::default(),
        filters: filters[..].into(),
    };
    let frame = encode(&Packet::Subscribe(subscribe), Version::V5);
    let allocations = measure(|| {
        let Ok(Packet::Subscribe(subscribe)) = Packet::decode(&frame, Version::V5) else {
            panic!("the packet is right")
        };
        let matching = |filter: &SubscribeFilter<'_>| filter.filter.matches("jobs/7");
        assert_eq!(subscribe.filters.iter().filter(matching).count(), 1);
    });
    assert_eq!(allocations.count_total, 0);
}

#[test]
fn delivering_into_a_buffer_with_room_allocates_nothing() {
    let mut end_to_end = Vec::new();
    publish().properties.encode_end_to_end(&mut end_to_end).expect("the properties are right");
    let delivery = Delivery {
        qos: QoS::AtLeastOnce,
        packet_id: Some(packet_id()),
        end_to_end: &end_to_end,
        subscription_identifiers: &[1, 200],
        ..Delivery::new("plant/boiler", b"21.5")
    };
    let mut out = Vec::with_capacity(64 * delivery.encoded_len(Version::V5));
    let allocations = measure(|| {
        for _ in 0..32 {
            delivery.encode(Version::V5, &mut out).expect("the delivery is right");
            let puback = Packet::Puback(Acknowledge::success(packet_id()));
            puback.encode(Version::V5, &mut out).expect("the packet is right");
        }
    });
    assert_eq!(allocations.count_total, 0);
}

fn publish() -> Publish<'static> {
    const USER_PROPERTIES: &[(&str, &str)] = &[("unit", "celsius"), ("site", "north")];
    let properties = PublishProperties {
        content_type: Some("text/plain"),
        response_topic: Some("answers/7"),
        user_properties: UserProperties::from(USER_PROPERTIES),
        ..PublishProperties::default()
    };
    Publish { properties, ..Publish::new("plant/boiler", b"21.5") }
}

fn packet_id() -> PacketId {
    PacketId::new(10).expect("10 is not zero")
}

fn encode(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(version, &mut out).expect("the packet is right");
    out
}
