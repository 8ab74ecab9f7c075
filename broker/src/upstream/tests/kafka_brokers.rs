//! Brokers as the C library of Kafka has them, in this process, and what came there.

use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::client::PATIENCE;
use crate::config::HostPort;

/// They end with the value.
pub(super) struct Brokers {
    pub(super) cluster: MockCluster<'static, DefaultProducerContext>,
}

/// A record as a consumer gets it.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) partition: i32,
    pub(super) key: Option<String>,
    pub(super) payload: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) timestamp_ms: Option<i64>,
}

/// A consumer of all partitions of a topic, from the beginning.
pub(super) struct Reader(BaseConsumer);

impl Brokers {
    /// So many of them; a topic that nobody has made has four partitions.
    pub(super) fn start(count: i32) -> Self {
        Self { cluster: MockCluster::new(count).expect("brokers in this process") }
    }

    /// With a topic of so many partitions.
    pub(super) fn with_topic(count: i32, topic: &str, partitions: i32) -> Self {
        let brokers = Self::start(count);
        brokers.cluster.create_topic(topic, partitions, count).expect("a new topic");
        brokers
    }

    pub(super) fn addresses(&self) -> Vec<HostPort> {
        let servers = self.cluster.bootstrap_servers();
        servers.split(',').map(|server| server.parse().expect("a host and a port")).collect()
    }

    /// A consumer; the topic is there.
    pub(super) fn reader(&self, topic: &str, partitions: i32) -> Reader {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .set("group.id", "reader")
            .set("check.crcs", "true")
            .set("fetch.wait.max.ms", "10")
            .set("reconnect.backoff.max.ms", "100")
            .create()
            .expect("a consumer");
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            let added = list.add_partition_offset(topic, partition, Offset::Beginning);
            added.expect("a partition");
        }
        consumer.assign(&list).expect("partitions");
        Reader(consumer)
    }
}

impl Reader {
    pub(super) async fn next(&self) -> Arrived {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // What is told as an error is that brokers are away, which is meant.
            if let Some(Ok(message)) = self.0.poll(Duration::ZERO) {
                return Arrived::of(&message);
            }
            assert!(Instant::now() < deadline, "no record in time");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// How many records the first partition of a topic has.
    pub(super) fn count(&self, topic: &str) -> i64 {
        let found = self.0.fetch_watermarks(topic, 0, PATIENCE);
        found.expect("the broker is there").1
    }

    /// The payloads of so many records with different ones, in the order in which they came first.
    pub(super) async fn payloads(&self, count: usize) -> Vec<String> {
        let mut payloads: Vec<String> = Vec::new();
        while payloads.len() < count {
            let payload = self.next().await.payload;
            if !payloads.contains(&payload) {
                payloads.push(payload);
            }
        }
        payloads
    }
}

impl Arrived {
    fn of(message: &rdkafka::message::BorrowedMessage<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("the tests send text");
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        let header = |header: rdkafka::message::Header<'_, &[u8]>| {
            (header.key.to_owned(), text(header.value.expect("a value")))
        };
        Self {
            partition: message.partition(),
            key: message.key().map(text),
            payload: text(message.payload().expect("never a tombstone")),
            headers: headers.map(header).collect(),
            timestamp_ms: message.timestamp().to_millis(),
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| value.as_str())
    }
}
