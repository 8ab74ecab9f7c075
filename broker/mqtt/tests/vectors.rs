//! Packets as data: every row of `tests/vectors` is decoded, compared and encoded again.
//!
//! A row says which statement of the standard it stands for, and every statement about the
//! inside of a packet must have a row.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use weir_mqtt::{
    Acknowledge, Auth, Connack, Connect, Disconnect, Packet, Publish, Suback, Subscribe,
    TopicFilter, Unsuback, Unsubscribe, UserProperties, Version, Will, frame_len,
};

#[test]
fn packets_decode_as_the_standard_says() {
    for (name, row) in packet_rows() {
        let version = version_of(&row);
        let frame = bytes_of(&row["hex"]);
        let decoded = decode_from_stream(&frame, version);
        match (row.get("packet"), decoded) {
            (Some(expected), Ok(packet)) => {
                assert_eq!(&describe(&packet), expected, "{name}: {row}");
            }
            (None, Err(error)) => {
                assert_eq!(row["error"], error.to_string(), "{name}: {row}");
                assert_eq!(row["reason"], error.reason().to_string(), "{name}: {row}");
            }
            (_, other) => panic!("{name}: {row}: {other:?}"),
        }
    }
}

#[test]
fn decoded_packets_encode_to_the_same_bytes() {
    for (name, row) in packet_rows() {
        let version = version_of(&row);
        let frame = bytes_of(&row["hex"]);
        let Ok(packet) = Packet::decode(&frame, version) else { continue };
        let mut encoded = Vec::new();
        packet.encode(version, &mut encoded).expect("what was decoded can be encoded");
        if row.get("canonical") == Some(&Value::Bool(false)) {
            assert_ne!(encoded, frame, "{name}: {row} says that this is not the usual form");
            let again = Packet::decode(&encoded, version).map(|packet| describe(&packet));
            assert_eq!(again.as_ref(), Ok(&row["packet"]), "{name}: {row}");
        } else {
            assert_eq!(encoded, frame, "{name}: {row}");
        }
    }
}

#[test]
fn every_shortened_packet_is_refused() {
    for (name, row) in packet_rows().into_iter().filter(|(_, row)| row.get("packet").is_some()) {
        let version = version_of(&row);
        let frame = bytes_of(&row["hex"]);
        for len in 0..frame.len() {
            assert!(Packet::decode(&frame[..len], version).is_err(), "{name}: {row} up to {len}");
        }
    }
}

#[test]
fn topic_filters_match_as_the_standard_says() {
    for (name, row) in rows_of(&vectors().join("topics")) {
        let filter = row["filter"].as_str().expect("a row names a filter");
        let topic = row["topic"].as_str().expect("a row names a topic");
        let parsed = TopicFilter::parse(filter).expect("the filter is right");
        assert_eq!(parsed.matches(topic), row["matches"], "{name}: {row}");
    }
}

#[test]
fn every_statement_about_the_inside_of_a_packet_has_a_row() {
    let mut seen = BTreeSet::new();
    let topics = rows_of(&vectors().join("topics"));
    for (_, row) in packet_rows().into_iter().chain(topics) {
        let version = row["version"].as_str().expect("a row names a version").to_owned();
        for statement in row["statements"].as_array().into_iter().flatten() {
            let statement = statement.as_str().expect("a statement is text");
            seen.insert((version.clone(), statement.to_owned()));
        }
    }
    for (version, statements) in [("3.1.1", STATEMENTS_311), ("5.0", STATEMENTS_5)] {
        for statement in statements.split_whitespace() {
            let statement = format!("MQTT-{statement}");
            assert!(
                seen.contains(&(version.to_owned(), statement.clone())),
                "no row for {statement} of {version}"
            );
        }
    }
}

/// Finds the packet as a server does, and sees to it that nothing past the end plays a part.
fn decode_from_stream(
    frame: &[u8],
    version: Version,
) -> Result<Packet<'_>, weir_mqtt::DecodeError> {
    if let Some(len) = frame_len(frame)? {
        let mut stream = frame.to_vec();
        stream.extend_from_slice(&[0xff; 4]);
        assert_eq!(frame_len(&stream), Ok(Some(len)));
    }
    Packet::decode(frame, version)
}

fn packet_rows() -> Vec<(String, Value)> {
    rows_of(&vectors())
}

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors")
}

fn rows_of(folder: &Path) -> Vec<(String, Value)> {
    let mut rows = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder with the vectors is there") {
        let path = entry.expect("the folder can be read").path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("the file can be read");
        let file: Vec<Value> = serde_json::from_str(&text).expect("the file is JSON");
        rows.extend(file.into_iter().map(|row| (name.clone(), row)));
    }
    assert!(!rows.is_empty(), "no vectors in {}", folder.display());
    rows
}

fn version_of(row: &Value) -> Version {
    match row["version"].as_str() {
        Some("3.1") => Version::V31,
        Some("3.1.1") => Version::V311,
        Some("5.0") => Version::V5,
        other => panic!("no version {other:?}"),
    }
}

fn bytes_of(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().expect("hex is text");
    let bytes = hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16));
    bytes.collect::<Result<_, _>>().expect("hex is hex")
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

/// A JSON object under construction; what is absent is left out.
#[derive(Default)]
struct Description(Map<String, Value>);

impl Description {
    fn of(kind: &str) -> Self {
        Self::default().with("kind", kind)
    }

    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    fn maybe(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    fn user_properties(self, user_properties: &UserProperties<'_>) -> Self {
        let pairs: Vec<_> =
            user_properties.iter().map(|(name, value)| json!([name, value])).collect();
        assert_eq!(pairs.is_empty(), user_properties.is_empty());
        self.maybe("user_properties", (!pairs.is_empty()).then_some(pairs))
    }
}

fn describe(packet: &Packet<'_>) -> Value {
    let kind = packet.kind().to_string();
    let description = match packet {
        Packet::Connect(connect) => describe_connect(connect),
        Packet::Connack(connack) => describe_connack(connack),
        Packet::Publish(publish) => describe_publish(publish),
        Packet::Puback(acknowledge)
        | Packet::Pubrec(acknowledge)
        | Packet::Pubrel(acknowledge)
        | Packet::Pubcomp(acknowledge) => describe_acknowledge(&kind, acknowledge),
        Packet::Subscribe(subscribe) => describe_subscribe(subscribe),
        Packet::Suback(suback) => describe_suback(suback),
        Packet::Unsubscribe(unsubscribe) => describe_unsubscribe(unsubscribe),
        Packet::Unsuback(unsuback) => describe_unsuback(unsuback),
        Packet::Pingreq | Packet::Pingresp => Description::of(&kind),
        Packet::Disconnect(disconnect) => describe_disconnect(disconnect),
        Packet::Auth(auth) => describe_auth(auth),
    };
    Value::Object(description.0)
}

fn describe_connect(connect: &Connect<'_>) -> Description {
    let version = match connect.version {
        Version::V31 => "3.1",
        Version::V311 => "3.1.1",
        Version::V5 => "5.0",
    };
    let properties = &connect.properties;
    let properties = Description::default()
        .maybe("session_expiry_interval_s", properties.session_expiry_interval_s)
        .maybe("receive_maximum", properties.receive_maximum.map(|value| value.get()))
        .maybe("maximum_packet_size", properties.maximum_packet_size.map(|value| value.get()))
        .maybe("topic_alias_maximum", properties.topic_alias_maximum)
        .maybe("request_response_information", properties.request_response_information)
        .maybe("request_problem_information", properties.request_problem_information)
        .user_properties(&properties.user_properties)
        .maybe("authentication_method", properties.authentication_method)
        .maybe("authentication_data", properties.authentication_data.map(hex_of));
    Description::of("CONNECT")
        .with("version", version)
        .with("bridge", connect.bridge)
        .with("clean_start", connect.clean_start)
        .with("keep_alive_s", connect.keep_alive_s)
        .with("client_id", connect.client_id)
        .maybe("will", connect.will.map(|will| Value::Object(describe_will(&will).0)))
        .maybe("username", connect.username)
        .maybe("password", connect.password.map(hex_of))
        .with("properties", properties.0)
}

fn describe_will(will: &Will<'_>) -> Description {
    let properties = &will.properties;
    let properties = Description::default()
        .maybe("will_delay_interval_s", properties.will_delay_interval_s)
        .maybe("payload_format_utf8", properties.payload_format_utf8)
        .maybe("message_expiry_interval_s", properties.message_expiry_interval_s)
        .maybe("content_type", properties.content_type)
        .maybe("response_topic", properties.response_topic)
        .maybe("correlation_data", properties.correlation_data.map(hex_of))
        .user_properties(&properties.user_properties);
    Description::default()
        .with("topic", will.topic)
        .with("payload", hex_of(will.payload))
        .with("qos", u8::from(will.qos))
        .with("retain", will.retain)
        .with("properties", properties.0)
}

fn describe_connack(connack: &Connack<'_>) -> Description {
    let properties = &connack.properties;
    let properties = Description::default()
        .maybe("session_expiry_interval_s", properties.session_expiry_interval_s)
        .maybe("receive_maximum", properties.receive_maximum.map(|value| value.get()))
        .maybe("maximum_qos", properties.maximum_qos.map(u8::from))
        .maybe("retain_available", properties.retain_available)
        .maybe("maximum_packet_size", properties.maximum_packet_size.map(|value| value.get()))
        .maybe("assigned_client_identifier", properties.assigned_client_identifier)
        .maybe("topic_alias_maximum", properties.topic_alias_maximum)
        .maybe("reason_string", properties.reason_string)
        .user_properties(&properties.user_properties)
        .maybe("wildcard_subscription_available", properties.wildcard_subscription_available)
        .maybe("subscription_identifiers_available", properties.subscription_identifiers_available)
        .maybe("shared_subscription_available", properties.shared_subscription_available)
        .maybe("server_keep_alive_s", properties.server_keep_alive_s)
        .maybe("response_information", properties.response_information)
        .maybe("server_reference", properties.server_reference)
        .maybe("authentication_method", properties.authentication_method)
        .maybe("authentication_data", properties.authentication_data.map(hex_of));
    Description::of("CONNACK")
        .with("session_present", connack.session_present)
        .with("reason", u8::from(connack.reason))
        .with("properties", properties.0)
}

fn describe_publish(publish: &Publish<'_>) -> Description {
    let properties = &publish.properties;
    let identifiers: Vec<_> = properties.subscription_identifiers.iter().collect();
    assert_eq!(identifiers.is_empty(), properties.subscription_identifiers.is_empty());
    let properties = Description::default()
        .maybe("payload_format_utf8", properties.payload_format_utf8)
        .maybe("message_expiry_interval_s", properties.message_expiry_interval_s)
        .maybe("topic_alias", properties.topic_alias.map(|value| value.get()))
        .maybe("response_topic", properties.response_topic)
        .maybe("correlation_data", properties.correlation_data.map(hex_of))
        .maybe("content_type", properties.content_type)
        .maybe("subscription_identifiers", (!identifiers.is_empty()).then_some(identifiers))
        .user_properties(&properties.user_properties);
    Description::of("PUBLISH")
        .with("dup", publish.dup)
        .with("qos", u8::from(publish.qos))
        .with("retain", publish.retain)
        .with("topic", publish.topic)
        .maybe("packet_id", publish.packet_id.map(|packet_id| packet_id.get()))
        .with("properties", properties.0)
        .with("payload", hex_of(publish.payload))
}

fn describe_acknowledge(kind: &str, acknowledge: &Acknowledge<'_>) -> Description {
    Description::of(kind)
        .with("packet_id", acknowledge.packet_id.get())
        .with("reason", u8::from(acknowledge.reason))
        .maybe("reason_string", acknowledge.reason_string)
        .user_properties(&acknowledge.user_properties)
}

fn describe_subscribe(subscribe: &Subscribe<'_>) -> Description {
    let filters: Vec<_> = subscribe
        .filters
        .iter()
        .map(|item| {
            let filter = item.filter;
            let shared_filter = filter.share_name().map(|_| filter.filter());
            let description = Description::default()
                .with("filter", filter.as_str())
                .maybe("share_name", filter.share_name())
                .maybe("shared_filter", shared_filter)
                .with("qos", u8::from(item.options.qos))
                .with("no_local", item.options.no_local)
                .with("retain_as_published", item.options.retain_as_published)
                .with("retain_handling", item.options.retain_handling as u8);
            Value::Object(description.0)
        })
        .collect();
    assert_eq!(filters.len(), subscribe.filters.len());
    let properties = Description::default()
        .maybe("subscription_identifier", subscribe.properties.subscription_identifier)
        .user_properties(&subscribe.properties.user_properties);
    Description::of("SUBSCRIBE")
        .with("packet_id", subscribe.packet_id.get())
        .with("properties", properties.0)
        .with("filters", filters)
}

fn describe_suback(suback: &Suback<'_>) -> Description {
    Description::of("SUBACK")
        .with("packet_id", suback.packet_id.get())
        .with("reasons", suback.reasons.iter().map(u8::from).collect::<Vec<_>>())
        .maybe("reason_string", suback.reason_string)
        .user_properties(&suback.user_properties)
}

fn describe_unsubscribe(unsubscribe: &Unsubscribe<'_>) -> Description {
    let filters: Vec<_> = unsubscribe.filters.iter().map(TopicFilter::as_str).collect();
    assert_eq!(filters.len(), unsubscribe.filters.len());
    Description::of("UNSUBSCRIBE")
        .with("packet_id", unsubscribe.packet_id.get())
        .user_properties(&unsubscribe.user_properties)
        .with("filters", filters)
}

fn describe_unsuback(unsuback: &Unsuback<'_>) -> Description {
    Description::of("UNSUBACK")
        .with("packet_id", unsuback.packet_id.get())
        .with("reasons", unsuback.reasons.iter().map(u8::from).collect::<Vec<_>>())
        .maybe("reason_string", unsuback.reason_string)
        .user_properties(&unsuback.user_properties)
}

fn describe_disconnect(disconnect: &Disconnect<'_>) -> Description {
    Description::of("DISCONNECT")
        .with("reason", u8::from(disconnect.reason))
        .maybe("session_expiry_interval_s", disconnect.session_expiry_interval_s)
        .maybe("reason_string", disconnect.reason_string)
        .maybe("server_reference", disconnect.server_reference)
        .user_properties(&disconnect.user_properties)
}

fn describe_auth(auth: &Auth<'_>) -> Description {
    Description::of("AUTH")
        .with("reason", u8::from(auth.reason))
        .maybe("authentication_method", auth.authentication_method)
        .maybe("authentication_data", auth.authentication_data.map(hex_of))
        .maybe("reason_string", auth.reason_string)
        .user_properties(&auth.user_properties)
}

const STATEMENTS_311: &str = "
    1.5.3-1 1.5.3-2 1.5.3-3 2.2.2-1 2.2.2-2 2.3.1-1 2.3.1-5
    3.1.2-1 3.1.2-2 3.1.2-3 3.1.2-9 3.1.2-11 3.1.2-13 3.1.2-14 3.1.2-15 3.1.2-16 3.1.2-17
    3.1.2-18 3.1.2-19 3.1.2-20 3.1.2-21 3.1.2-22
    3.1.3-1 3.1.3-3 3.1.3-4 3.1.3-5 3.1.3-10 3.1.3-11 3.1.4-1 3.2.2-2 3.2.2-4
    3.3.1-2 3.3.1-4 3.3.2-1 3.3.2-2 3.6.1-1
    3.8.1-1 3.8.3-1 3.8.3-3 3.8.3-4 3.9.3-1 3.9.3-2 3.10.1-1 3.10.3-1 3.10.3-2 3.14.1-1
    4.7.1-1 4.7.1-2 4.7.1-3 4.7.2-1 4.7.3-1 4.7.3-2 4.7.3-4
";

const STATEMENTS_5: &str = "
    1.5.4-1 1.5.4-2 1.5.4-3 1.5.5-1 1.5.7-1 2.1.3-1 2.2.1-2 2.2.2-1
    3.1.2-1 3.1.2-2 3.1.2-3 3.1.2-9 3.1.2-11 3.1.2-12 3.1.2-13 3.1.2-14 3.1.2-15 3.1.2-16
    3.1.2-17 3.1.2-18 3.1.2-19
    3.1.3-1 3.1.3-3 3.1.3-4 3.1.3-5 3.1.3-10 3.1.3-11 3.1.3-12 3.1.4-1
    3.2.2-1 3.2.2-3 3.2.2-6 3.2.2-8
    3.3.1-2 3.3.1-4 3.3.2-1 3.3.2-2 3.3.2-8 3.3.2-13 3.3.2-14 3.3.2-17 3.3.2-18 3.3.2-19 3.3.4-4
    3.4.2-1 3.5.2-1 3.6.1-1 3.6.2-1 3.7.2-1
    3.8.1-1 3.8.3-1 3.8.3-2 3.8.3-4 3.8.3-5 3.9.3-1 3.9.3-2
    3.10.1-1 3.10.3-1 3.10.3-2 3.11.3-1 3.11.3-2 3.14.1-1 3.14.2-1 3.15.1-1 3.15.2-1
    4.7.0-1 4.7.1-1 4.7.1-2 4.7.2-1 4.7.3-1 4.7.3-2 4.7.3-4 4.8.2-1 4.8.2-2
";
