//! Messages produced to brokers of the C library of Kafka.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::client::Client;
use super::kafka_brokers::{Arrived, Brokers};
use super::kafka_gate::{self, Gate, Wanted};
use super::mosquitto::{Directory, Mosquitto};
use super::tls::Files;
use super::{numbers, route, start, until};
use crate::config::{
    KafkaCompression, KafkaKey, KafkaSasl, RestartTimeout, Secret, TlsClientConfig, UpstreamConfig,
    UpstreamKind,
};
use crate::status::UpstreamState;

/// An upstream that everything below `agg` goes to.
fn upstream(brokers: &Brokers) -> UpstreamConfig {
    let mut addresses = brokers.addresses();
    let mut config = UpstreamConfig::new("cloud", addresses.remove(0));
    config.address.extend(addresses);
    config.kind = UpstreamKind::Kafka;
    config.remote_clientid = Some("gate".to_owned());
    config.forward = vec![route("agg/#", "{topic}", 1)];
    config.restart_timeout =
        RestartTimeout { min: Duration::from_millis(20), max: Duration::from_millis(100) };
    config
}

/// The same, to the topic `plant`.
fn to_plant(brokers: &Brokers) -> UpstreamConfig {
    let mut config = upstream(brokers);
    config.kafka.topic = Some("plant".to_owned());
    config
}

#[tokio::test]
async fn a_message_arrives_with_what_belongs_to_it() {
    let brokers = Brokers::start(1);
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &upstream(&brokers));
    let publisher = Client::connect(&here, "here");
    publisher.publish("agg/Keller-1/t", 1, "21.5");
    let status = until(&broker, |status| status.depth == 0 && status.acknowledged == 1).await;
    assert_eq!((status.sent, status.dropped.len(), status.last_error), (1, 0, None));
    let reader = brokers.reader("agg.Keller-1.t", 4);
    let record = reader.next().await;
    assert_eq!((record.key.as_deref(), record.payload.as_str()), (Some("agg/Keller-1/t"), "21.5"));
    assert!(record.timestamp_ms.is_some_and(|at| at > 1_700_000_000_000));
    assert_eq!(record.header("mqtt-topic"), Some("agg/Keller-1/t"));
    assert_eq!(record.header("content-type"), Some("text/plain"));
    assert_eq!(record.header("unit"), Some("celsius"));
    assert_eq!(record.header("src"), Some("gate"));
    assert!(record.header("id").is_some_and(|id| id.starts_with("gate-")), "{record:?}");
    assert!(record.header("seq").is_some_and(|seq| seq.parse::<u64>().is_ok()));
    publisher.publish("agg/Keller-1/t", 0, "now");
    assert_eq!(reader.next().await.payload, "now");
}

#[tokio::test]
async fn every_compression_is_read_by_others() {
    for compression in [
        KafkaCompression::None,
        KafkaCompression::Gzip,
        KafkaCompression::Lz4,
        KafkaCompression::Snappy,
    ] {
        let brokers = Brokers::with_topic(1, "plant", 1);
        let mut config = to_plant(&brokers);
        config.kafka.compression = compression;
        let directory = Directory::new("data");
        let (broker, here) = start(&directory, &config);
        let publisher = Client::connect(&here, "here");
        let large = "21.5 degrees ".repeat(20_000);
        publisher.publish("agg/large", 1, &large);
        numbers(200).iter().for_each(|payload| publisher.publish("agg/a", 1, payload));
        until(&broker, |status| status.acknowledged == 201 && status.depth == 0).await;
        let reader = brokers.reader("plant", 1);
        let payloads = reader.payloads(201).await;
        assert!(payloads[0] == large, "{compression:?}");
        assert_eq!(payloads[1..], numbers(200), "{compression:?}");
    }
}

/// Where a producer of the C library puts records with these keys, partitioned as by Java.
fn partitions_of_others(brokers: &Brokers, keys: &[String]) {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers.cluster.bootstrap_servers())
        .set("partitioner", "murmur2")
        .create()
        .expect("a producer");
    for key in keys {
        let record = BaseRecord::to("plant").key(key).payload("other");
        producer.send(record).map_err(|(error, _)| error).expect("there is room");
    }
    producer.flush(Duration::from_secs(30)).expect("the brokers are there");
}

#[tokio::test]
async fn a_topic_has_one_partition_which_other_producers_choose_too() {
    let brokers = Brokers::with_topic(3, "plant", 7);
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &to_plant(&brokers));
    let publisher = Client::connect(&here, "here");
    let topics: Vec<String> = (0..40).map(|number| format!("agg/sensor-{number}")).collect();
    for payload in numbers(25) {
        topics.iter().for_each(|topic| publisher.publish(topic, 1, &payload));
    }
    until(&broker, |status| status.acknowledged == 1_000 && status.depth == 0).await;
    partitions_of_others(&brokers, &topics);
    let reader = brokers.reader("plant", 7);
    let mut partitions: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    let mut payloads: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for _ in 0..1_040 {
        let Arrived { partition, key, payload, .. } = reader.next().await;
        let key = key.expect("the topic is the key");
        partitions.entry(key.clone()).or_default().insert(partition);
        if payload != "other" {
            payloads.entry(key).or_default().push(payload);
        }
    }
    assert!(payloads.values().all(|payloads| *payloads == numbers(25)), "in order, and once");
    assert!(partitions.values().all(|partitions| partitions.len() == 1), "{partitions:?}");
    let used: BTreeSet<i32> = partitions.into_values().flatten().collect();
    assert_eq!(used.len(), 7, "all of them are used");
}

#[tokio::test]
async fn records_without_a_key_use_all_partitions() {
    let brokers = Brokers::with_topic(1, "plant", 3);
    let mut config = to_plant(&brokers);
    config.kafka.key = KafkaKey::None;
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &config);
    let publisher = Client::connect(&here, "here");
    let reader = brokers.reader("plant", 3);
    let mut partitions = BTreeSet::new();
    for (index, payload) in numbers(6).iter().enumerate() {
        publisher.publish("agg/a", 1, payload);
        until(&broker, |status| status.acknowledged == index as u64 + 1).await;
        let record = reader.next().await;
        assert_eq!(record.key, None);
        partitions.insert(record.partition);
    }
    assert_eq!(partitions.len(), 3);
}

#[tokio::test]
async fn what_was_accepted_while_the_brokers_were_away_arrives_in_order() {
    let brokers = Brokers::with_topic(2, "plant", 1);
    brokers.cluster.broker_down(-1).expect("they are there");
    let directory = Directory::new("data");
    let config = to_plant(&brokers);
    let (broker, here) = start(&directory, &config);
    let publisher = Client::connect(&here, "here");
    numbers(600).iter().for_each(|payload| publisher.publish("agg/a", 1, payload));
    let status = until(&broker, |status| status.depth == 600 && status.last_error.is_some()).await;
    assert_ne!(status.state, UpstreamState::Connected);
    broker.shutdown();
    let (broker, _) = start(&directory, &config);
    brokers.cluster.broker_up(-1).expect("they are there");
    until(&broker, |status| status.acknowledged == 600 && status.depth == 0).await;
    assert_eq!(brokers.reader("plant", 1).payloads(600).await, numbers(600));
}

#[tokio::test]
async fn brokers_that_fail_again_and_again_lose_nothing() {
    let brokers = Brokers::with_topic(3, "plant", 6);
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &to_plant(&brokers));
    let publisher = Client::connect(&here, "here");
    let topics: Vec<String> = (0..10).map(|number| format!("agg/{number}")).collect();
    for (index, payload) in numbers(1_500).iter().enumerate() {
        publisher.publish(&topics[index % 10], 1, payload);
        if index % 250 == 200 {
            let least = index as u64 - 150;
            until(&broker, |status| status.acknowledged >= least).await;
            let fails = 1 + (index / 250 % 3) as i32;
            brokers.cluster.broker_down(fails).expect("it is there");
            // The others take over what it led.
            for partition in 0..6 {
                let leader = 1 + (fails + partition % 2) % 3;
                brokers.cluster.partition_leader("plant", partition, Some(leader)).expect("it is");
            }
            let seen = broker.status().upstreams.remove(0).acknowledged;
            until(&broker, |status| status.acknowledged > seen || status.depth == 0).await;
            brokers.cluster.broker_up(fails).expect("it is there");
        }
    }
    let status = until(&broker, |status| status.acknowledged == 1_500 && status.depth == 0).await;
    assert_eq!(status.dropped.len(), 0, "{status:?}");
    let reader = brokers.reader("plant", 6);
    let mut ids = BTreeSet::new();
    let mut payloads: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    while ids.len() < 1_500 {
        let record = reader.next().await;
        if ids.insert(record.header("id").expect("each has an id").to_owned()) {
            let number = record.payload.parse().expect("a number");
            payloads.entry(record.key.expect("a key")).or_default().push(number);
        }
    }
    assert!(payloads.values().all(|numbers| numbers.is_sorted()), "in the order of each topic");
}

/// Nobody need know of what passes within a moment.
#[tokio::test]
async fn a_partition_that_moves_does_not_end_the_connection() {
    let brokers = Brokers::with_topic(2, "plant", 1);
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &to_plant(&brokers));
    let publisher = Client::connect(&here, "here");
    brokers.cluster.partition_leader("plant", 0, Some(1)).expect("it is there");
    publisher.publish("agg/a", 1, "0");
    until(&broker, |status| status.acknowledged == 1).await;
    brokers.cluster.partition_leader("plant", 0, Some(2)).expect("it is there");
    publisher.publish("agg/a", 1, "1");
    until(&broker, |status| status.acknowledged == 2).await;
    brokers.cluster.request_errors(
        RDKafkaApiKey::Produce,
        &[
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        ],
    );
    publisher.publish("agg/a", 1, "2");
    until(&broker, |status| status.acknowledged == 3).await;
    brokers.cluster.partition_leader("plant", 0, None).expect("it is there");
    publisher.publish("agg/a", 1, "3");
    until(&broker, |status| status.depth == 1).await;
    brokers.cluster.partition_leader("plant", 0, Some(1)).expect("it is there");
    let status = until(&broker, |status| status.acknowledged == 4).await;
    assert_eq!((status.state, status.last_error), (UpstreamState::Connected, None));
    assert_eq!(brokers.reader("plant", 1).payloads(4).await, numbers(4));
}

/// A message that is too large for the topic among others, and one that breaks its rules.
#[tokio::test]
async fn of_a_batch_only_the_message_that_is_refused_is_a_dead_letter() {
    for (error, requests, name) in [
        // In halves until the first one is alone.
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, 4, "MESSAGE_TOO_LARGE"),
        // Each by itself.
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_RECORD, 2, "INVALID_RECORD"),
    ] {
        let brokers = Brokers::with_topic(1, "plant", 1);
        brokers.cluster.broker_down(-1).expect("they are there");
        let directory = Directory::new("data");
        let (broker, here) = start(&directory, &to_plant(&brokers));
        let mut local = Client::connect(&here, "local");
        local.subscribe("dead/#").await;
        let publisher = Client::connect(&here, "here");
        numbers(8).iter().for_each(|payload| publisher.publish("agg/a", 1, payload));
        until(&broker, |status| status.depth == 8).await;
        brokers.cluster.request_errors(RDKafkaApiKey::Produce, &vec![error; requests]);
        brokers.cluster.broker_up(-1).expect("they are there");
        let letter = local.next().await;
        assert_eq!(
            (letter.topic.as_str(), letter.payload.as_str()),
            ("dead/upstream/cloud/agg/a", "0")
        );
        assert_eq!(letter.user["error"], name);
        let status = until(&broker, |status| status.depth == 0).await;
        assert_eq!((status.acknowledged, status.dropped["refused"]), (7, 1), "{name}");
        assert_eq!(brokers.reader("plant", 1).payloads(7).await, numbers(8)[1..], "{name}");
    }
}

#[tokio::test]
async fn a_topic_that_is_not_for_this_box_is_a_dead_letter_and_does_not_hold_up_the_rest() {
    let brokers = Brokers::start(1);
    let forbidden = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    brokers.cluster.topic_error("agg.secret", forbidden).expect("a topic");
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &upstream(&brokers));
    let mut local = Client::connect(&here, "local");
    local.subscribe("dead/#").await;
    let publisher = Client::connect(&here, "here");
    for payload in numbers(30) {
        let topic = match payload.as_str() {
            "10" => "agg/secret",
            "20" => "agg/Living Room",
            _ => "agg/a",
        };
        publisher.publish(topic, 1, &payload);
    }
    let mut letters = Vec::new();
    for _ in 0..2 {
        let letter = local.next().await;
        letters.push((letter.payload, letter.user["error"].clone()));
    }
    letters.sort();
    let letter = |payload: &str, error: &str| (payload.to_owned(), error.to_owned());
    let expected = [
        letter("10", "TOPIC_AUTHORIZATION_FAILED"),
        letter("20", "its Kafka topic would have the character ` `"),
    ];
    assert_eq!(letters, expected);
    let status = until(&broker, |status| status.depth == 0).await;
    assert_eq!((status.acknowledged, status.dropped["refused"]), (28, 2));
    assert_eq!(brokers.reader("agg.a", 4).payloads(28).await.len(), 28);
}

/// It is no mistake of any message: all of them would be refused.
#[tokio::test]
async fn a_mistake_with_the_topic_of_all_messages_is_told_and_nothing_is_lost() {
    for (error, name) in [
        (
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
            "TOPIC_AUTHORIZATION_FAILED",
        ),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, "UNKNOWN_TOPIC_OR_PARTITION"),
    ] {
        let brokers = Brokers::with_topic(1, "plant", 1);
        brokers.cluster.topic_error("plant", error).expect("a topic");
        let directory = Directory::new("data");
        let (broker, here) = start(&directory, &to_plant(&brokers));
        let publisher = Client::connect(&here, "here");
        numbers(20).iter().for_each(|payload| publisher.publish("agg/a", 1, payload));
        let status = until(&broker, |status| status.last_error.is_some()).await;
        let expected = format!("the upstream refused the connection: topic `plant`: {name}");
        assert_eq!(status.last_error, Some(expected));
        let none = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
        brokers.cluster.topic_error("plant", none).expect("a topic");
        let status = until(&broker, |status| status.depth == 0).await;
        assert_eq!((status.acknowledged, status.dropped.len()), (20, 0));
        assert_eq!(brokers.reader("plant", 1).payloads(20).await, numbers(20));
    }
}

#[tokio::test]
async fn too_few_replicas_are_told_and_the_messages_are_sent_when_there_are_enough() {
    let brokers = Brokers::with_topic(1, "plant", 1);
    let directory = Directory::new("data");
    let error = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS;
    brokers.cluster.request_errors(RDKafkaApiKey::Produce, &[error; 3]);
    let mut config = to_plant(&brokers);
    config.restart_timeout.min = Duration::from_secs(1);
    let (broker, here) = start(&directory, &config);
    let publisher = Client::connect(&here, "here");
    publisher.publish("agg/a", 1, "0");
    let status = until(&broker, |status| status.last_error.is_some()).await;
    let error = status.last_error.unwrap_or_default();
    assert!(error.ends_with("topic `plant`: NOT_ENOUGH_REPLICAS"), "{error}");
    brokers.cluster.clear_request_errors(RDKafkaApiKey::Produce);
    until(&broker, |status| status.acknowledged == 1 && status.depth == 0).await;
    assert_eq!(brokers.reader("plant", 1).payloads(1).await, numbers(1));
}

/// An upstream behind a gate, where `gate` has the password `right`.
fn through(gate: &Gate, sasl: KafkaSasl) -> UpstreamConfig {
    let mut config = UpstreamConfig::new("cloud", gate.address());
    config.kind = UpstreamKind::Kafka;
    config.forward = vec![route("agg/#", "{topic}", 1)];
    config.kafka.topic = Some("plant".to_owned());
    config.kafka.sasl = sasl;
    (config.username, config.password) = (Some("gate".to_owned()), Some(Secret::new("right")));
    config.restart_timeout =
        RestartTimeout { min: Duration::from_millis(20), max: Duration::from_millis(100) };
    config
}

#[tokio::test]
async fn a_login_is_told_as_the_brokers_want_it() {
    for (sasl, mechanism) in
        [(KafkaSasl::Plain, "PLAIN"), (KafkaSasl::ScramSha256, "SCRAM-SHA-256")]
    {
        let brokers = Brokers::with_topic(1, "plant", 1);
        let wanted = Wanted { sasl: Some(mechanism), ..Wanted::default() };
        let gate = Gate::open(brokers.addresses().remove(0), wanted).await;
        gate.forget(true);
        let directory = Directory::new("data");
        let (broker, here) = start(&directory, &through(&gate, sasl));
        let publisher = Client::connect(&here, "here");
        publisher.publish("agg/a", 1, "0");
        let status = until(&broker, |status| status.last_error.is_some()).await;
        let expected = "the upstream refused the connection: Authentication failed: Invalid \
                        username or password";
        assert_eq!(status.last_error.as_deref(), Some(expected));
        gate.forget(false);
        until(&broker, |status| status.acknowledged == 1 && status.depth == 0).await;
        assert_eq!(brokers.reader("plant", 1).payloads(1).await, numbers(1), "{mechanism}");
    }
}

#[tokio::test]
async fn another_login_than_the_brokers_want_is_told() {
    let brokers = Brokers::with_topic(1, "plant", 1);
    let address = brokers.addresses().remove(0);
    let scram = Wanted { sasl: Some("SCRAM-SHA-256"), ..Wanted::default() };
    let nobody = Wanted::default();
    for (wanted, has_login, error) in [
        (scram.clone(), true, "it does not take SCRAM-SHA-512, but SCRAM-SHA-256"),
        (scram, false, "it ended it at the first request"),
        (nobody, true, "nobody logs in at this port"),
    ] {
        let gate = Gate::open(address.clone(), wanted).await;
        let mut config = through(&gate, KafkaSasl::ScramSha512);
        if !has_login {
            (config.username, config.password) = (None, None);
        }
        let directory = Directory::new("data");
        let (broker, _) = start(&directory, &config);
        let status = until(&broker, |status| status.last_error.is_some()).await;
        let expected = format!("the upstream refused the connection: {error}");
        assert_eq!(status.last_error, Some(expected));
    }
}

#[tokio::test]
async fn tls_with_a_certificate_of_the_box() {
    let files = Files::new();
    let brokers = Brokers::with_topic(1, "plant", 1);
    let wanted = Wanted { sasl: Some("PLAIN"), tls: Some(kafka_gate::tls(&files)), pause_ms: 0 };
    let gate = Gate::open(brokers.addresses().remove(0), wanted).await;
    let config = through(&gate, KafkaSasl::Plain);
    let other = TlsClientConfig { cafile: Some(files.path("other-ca.pem")), ..files.tls() };
    let nobody = TlsClientConfig { certificate: None, ..files.tls() };
    for (tls, error) in [
        (Some(other), "no TLS with the upstream: invalid peer certificate: UnknownIssuer"),
        (Some(nobody), "no TLS with the upstream: "),
        (None, "the upstream refused the connection: it "),
    ] {
        let directory = Directory::new("data");
        let (broker, _) = start(&directory, &UpstreamConfig { tls, ..config.clone() });
        let status = until(&broker, |status| status.last_error.is_some()).await;
        let text = status.last_error.unwrap_or_default();
        assert!(text.starts_with(error), "{text}");
    }
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &UpstreamConfig { tls: Some(files.tls()), ..config });
    let publisher = Client::connect(&here, "here");
    numbers(50).iter().for_each(|payload| publisher.publish("agg/a", 1, payload));
    until(&broker, |status| status.acknowledged == 50 && status.depth == 0).await;
    assert_eq!(brokers.reader("plant", 1).payloads(50).await, numbers(50));
}

/// An answer that asks for a pause says all the same that the batch is stored.
#[tokio::test]
async fn a_client_over_its_quota_waits_and_sends_nothing_twice() {
    let brokers = Brokers::with_topic(1, "plant", 1);
    let wanted = Wanted { pause_ms: 100, ..Wanted::default() };
    let gate = Gate::open(brokers.addresses().remove(0), wanted).await;
    let mut config = through(&gate, KafkaSasl::Plain);
    (config.username, config.password) = (None, None);
    let directory = Directory::new("data");
    let (broker, here) = start(&directory, &config);
    let publisher = Client::connect(&here, "here");
    let begun = Instant::now();
    for payload in numbers(5) {
        publisher.publish("agg/a", 1, &payload);
        let count = payload.parse::<u64>().expect("a number") + 1;
        until(&broker, |status| status.acknowledged == count).await;
    }
    assert!(begun.elapsed() >= Duration::from_millis(400), "four pauses");
    let reader = brokers.reader("plant", 1);
    assert_eq!(reader.payloads(5).await, numbers(5));
    assert_eq!(reader.count("plant"), 5);
}

#[tokio::test]
async fn what_is_not_kafka_is_told() {
    let Some(far) = Mosquitto::open(&[]) else { return };
    let mut config = UpstreamConfig::new("cloud", far.address());
    config.kind = UpstreamKind::Kafka;
    let directory = Directory::new("data");
    let (broker, _) = start(&directory, &config);
    let status = until(&broker, |status| status.last_error.is_some()).await;
    let text = status.last_error.unwrap_or_default();
    assert!(text.starts_with("the upstream refused the connection: it ended it while"), "{text}");
}
