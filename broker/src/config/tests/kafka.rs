//! What can be wrong with an upstream of kind `kafka`, and how one is read.

use super::*;
#[cfg(feature = "kafka")]
use crate::config::{KafkaCompression, KafkaKey, KafkaSasl};

#[test]
fn what_is_wrong_with_kafka_of_an_upstream_is_told() {
    let head = "[upstream.a]\naddress = \"a:9092\"\nkind = \"kafka\"\n";
    let messages = |more: &str| {
        let mut found = messages("upstream-kafka", &format!("{head}{more}\n"));
        let missing = "error[C006]: this weir was built without `kafka`";
        let is_missing = found.iter().any(|message| message == missing);
        assert_eq!(is_missing, !cfg!(feature = "kafka"));
        found.retain(|message| message != missing);
        found
    };
    let long = format!("kafka = {{ topic = \"{}\" }}", "t".repeat(250));
    for (more, message) in [
        ("window = 9", "error[C006]: `window` is for an upstream of kind `mqtt`"),
        ("kafka = { key = \"id\" }", "error[C003]: `key` cannot be `id`"),
        ("kafka = { compression = \"zstd\" }", "error[C003]: `compression` cannot be `zstd`"),
        ("kafka = { sasl = \"plain\" }", "error[C006]: nobody logs in without `username`"),
        (
            "kafka = { topic = \"site/agg\" }",
            "error[C006]: this is not the name of a topic of Kafka",
        ),
        ("kafka = { topic = \"..\" }", "error[C006]: this is not the name of a topic of Kafka"),
        (&long, "error[C006]: this is not the name of a topic of Kafka"),
        ("nats = {}", "error[C006]: `nats` is for an upstream of kind `nats`"),
        (
            "receive = [{ from = \"a\" }]",
            "error[C006]: nothing can be fetched from an upstream of kind `kafka`",
        ),
    ] {
        assert_eq!(messages(more), [message], "{more}");
    }
}

#[cfg(feature = "kafka")]
#[test]
fn an_upstream_over_kafka_is_read() {
    let text = "[upstream.a]\naddress = [\"a:9092\", \"b:9092\"]\nkind = \"kafka\"\n\
                username = \"gate\"\npassword = \"pw\"\n\
                kafka = { topic = \"plant\", key = \"none\", compression = \"lz4\", \
                sasl = \"scram-sha-512\" }\n";
    let config = Folder::new("kafka", text).load().unwrap().config;
    let kafka = &config.upstreams[0].kafka;
    assert_eq!(kafka.topic.as_deref(), Some("plant"));
    assert_eq!((kafka.key, kafka.compression), (KafkaKey::None, KafkaCompression::Lz4));
    assert_eq!(kafka.sasl, KafkaSasl::ScramSha512);
    let text = "[upstream.a]\naddress = \"a:9092\"\nkind = \"kafka\"\n";
    let config = Folder::new("kafka-bare", text).load().unwrap().config;
    let kafka = &config.upstreams[0].kafka;
    assert_eq!((kafka.key, kafka.compression), (KafkaKey::Topic, KafkaCompression::None));
    assert_eq!((&kafka.topic, kafka.sasl), (&None, KafkaSasl::Plain));
}
