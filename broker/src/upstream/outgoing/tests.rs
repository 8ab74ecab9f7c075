use super::*;
use crate::config::{Priority, TopicTemplate};

const PEER: Peer = Peer {
    version: Version::V5,
    receive_max: 20,
    packet_bytes_max: usize::MAX,
    qos_max: QoS::ExactlyOnce,
    retain_available: true,
};
const RECORD: Origin = Origin::Routed(Sequence(31));

fn forwarding() -> Forwarding {
    let route = |from: &str, to: &str, qos| Route {
        from: from.into(),
        to: TopicTemplate::parse(to, from).unwrap(),
        qos,
        priority: Priority::Normal,
    };
    Forwarding {
        routes: vec![route("agg/#", "site/{topic}", 1), route("#", "rest/{topic}", 0)],
        node: "gate".into(),
        shard: ShardId(2),
        qos_max: QoS::ExactlyOnce,
    }
}

fn message<'a>(topic: &'a str, properties: &'a [u8]) -> MessageParts<'a> {
    MessageParts {
        qos: QoS::ExactlyOnce,
        retain: true,
        expires_at_ms: Some(10_500),
        received_at_ms: 0xabc,
        publisher: "",
        topic,
        properties,
        payload: b"21.5",
    }
}

fn encoded(properties: PublishProperties<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    properties.encode_end_to_end(&mut out).unwrap();
    out
}

fn user(outgoing: &Outgoing) -> Vec<(&str, &str)> {
    outgoing.user_properties.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect()
}

#[test]
fn the_first_matching_route_says_topic_and_qos() {
    let outgoing = |topic| forwarding().outgoing(&message(topic, &[]), RECORD, &PEER, 0).unwrap();
    let first = outgoing("agg/a");
    assert_eq!((first.topic.as_str(), first.qos), ("site/agg/a", QoS::AtLeastOnce));
    let second = outgoing("other");
    assert_eq!((second.topic.as_str(), second.qos), ("rest/other", QoS::AtMostOnce));
    assert!(first.retain);
}

#[test]
fn what_a_rule_sends_goes_out_as_it_is() {
    let origin = Origin::Rule(Sequence(1));
    let outgoing = forwarding().outgoing(&message("agg/a", &[]), origin, &PEER, 0).unwrap();
    assert_eq!((outgoing.topic.as_str(), outgoing.qos), ("agg/a", QoS::ExactlyOnce));
}

#[test]
fn properties_are_kept_and_the_origin_is_added() {
    let properties = encoded(PublishProperties {
        payload_format_utf8: Some(true),
        content_type: Some("text/plain"),
        response_topic: Some("answer"),
        correlation_data: Some(&[1, 2]),
        user_properties: (&[("unit", "celsius")][..]).into(),
        ..PublishProperties::default()
    });
    let outgoing =
        forwarding().outgoing(&message("agg/a", &properties), RECORD, &PEER, 1_000).unwrap();
    assert_eq!(outgoing.message_expiry_interval_s, Some(10));
    assert_eq!(outgoing.payload_format_utf8, Some(true));
    assert_eq!(outgoing.content_type.as_deref(), Some("text/plain"));
    assert_eq!(outgoing.response_topic.as_deref(), Some("answer"));
    assert_eq!(outgoing.correlation_data.as_deref(), Some(&[1, 2][..]));
    let id = "gate-02-000000000000001f-abc";
    let expected =
        [("unit", "celsius"), ("id", id), ("seq", "31"), ("src", "gate"), ("weir-hop", "1")];
    assert_eq!(user(&outgoing), expected);
}

#[test]
fn an_identifier_of_the_message_itself_is_kept() {
    let properties = encoded(PublishProperties {
        user_properties: (&[("id", "rule-7")][..]).into(),
        ..PublishProperties::default()
    });
    let outgoing = forwarding().outgoing(&message("agg/a", &properties), RECORD, &PEER, 0).unwrap();
    let ids: Vec<_> = user(&outgoing).into_iter().filter(|pair| pair.0 == "id").collect();
    assert_eq!(ids, [("id", "rule-7")]);
}

#[test]
fn a_message_that_was_forwarded_before_is_not_forwarded_again() {
    let properties = encoded(PublishProperties {
        user_properties: (&[("weir-hop", "1")][..]).into(),
        ..PublishProperties::default()
    });
    let message = message("agg/a", &properties);
    let outgoing = |origin| forwarding().outgoing(&message, origin, &PEER, 0);
    assert_eq!(outgoing(RECORD), Err(Unsent::HopLimit));
    assert_eq!(outgoing(Origin::Live), Err(Unsent::HopLimit));
    assert!(outgoing(Origin::Rule(Sequence(1))).is_ok(), "a rule makes a new message");
}

#[test]
fn an_older_upstream_gets_no_properties() {
    let peer = Peer { version: Version::V311, ..PEER };
    let outgoing = forwarding().outgoing(&message("agg/a", &[]), RECORD, &peer, 0).unwrap();
    assert_eq!(outgoing.user_properties, []);
    assert_eq!(outgoing.message_expiry_interval_s, None);
}

#[test]
fn what_the_upstream_does_not_offer_is_not_used() {
    let peer = Peer { qos_max: QoS::AtMostOnce, retain_available: false, ..PEER };
    let outgoing = forwarding().outgoing(&message("agg/a", &[]), RECORD, &peer, 0).unwrap();
    assert_eq!((outgoing.qos, outgoing.retain), (QoS::AtMostOnce, false));
}

#[test]
fn what_cannot_be_sent_says_why() {
    let outgoing = |peer: &Peer, unix_ms| {
        forwarding().outgoing(&message("agg/a", &[]), RECORD, peer, unix_ms).unwrap_err()
    };
    assert_eq!(outgoing(&PEER, 10_500), Unsent::Expired);
    let exact = forwarding().outgoing(&message("agg/a", &[]), RECORD, &PEER, 0).unwrap().len();
    let peer = |packet_bytes_max| Peer { packet_bytes_max, ..PEER };
    assert_eq!(outgoing(&peer(exact - 1), 0), Unsent::TooLarge);
    assert!(forwarding().outgoing(&message("agg/a", &[]), RECORD, &peer(exact), 0).is_ok());
    let none = Forwarding { routes: Vec::new(), ..forwarding() };
    let unsent = none.outgoing(&message("agg/a", &[]), RECORD, &PEER, 0);
    assert_eq!(unsent, Err(Unsent::NoRoute));
    let origin = Origin::Rule(Sequence(1));
    let unsent = none.outgoing(&message("a/#", &[]), origin, &PEER, 0);
    assert_eq!(unsent, Err(Unsent::BadTopic));
}
