//! `kafka` of an upstream.

use weir_config::Values;

use super::super::declared::UPSTREAM_KAFKA;

/// `kafka` of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KafkaConfig {
    /// The topic at Kafka for all messages; `None` = the topic of the message with `.` for `/`.
    pub topic: Option<String>,
    /// The key of a record.
    pub key: KafkaKey,
    /// How batches are compressed.
    pub compression: KafkaCompression,
    /// How user name and password are told.
    pub sasl: KafkaSasl,
}

/// How batches for Kafka are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KafkaCompression {
    /// Not at all.
    None,
    /// The smallest ones.
    Gzip,
    /// Fast.
    Lz4,
    /// Fast.
    Snappy,
}

/// The key of a record for Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KafkaKey {
    /// There is none: records go to all partitions in turn.
    None,
    /// The topic there: what has the same one stays in order.
    Topic,
}

/// How user name and password are told to Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KafkaSasl {
    /// As they are.
    Plain,
    /// Without telling the password, with SHA-256.
    ScramSha256,
    /// Without telling the password, with SHA-512.
    ScramSha512,
}

impl KafkaConfig {
    pub(super) fn read(values: Option<&Values>) -> Self {
        let declared = Values::new(&UPSTREAM_KAFKA);
        let values = values.unwrap_or(&declared);
        Self {
            topic: values.optional("topic", Values::text),
            key: KafkaKey::from_name(values.choice("key")),
            compression: KafkaCompression::from_name(values.choice("compression")),
            sasl: KafkaSasl::from_name(values.choice("sasl")),
        }
    }
}

impl KafkaCompression {
    pub(crate) const NAMES: [&'static str; 4] = ["none", "gzip", "lz4", "snappy"];

    fn from_name(name: &str) -> Self {
        match name {
            "none" => Self::None,
            "gzip" => Self::Gzip,
            "lz4" => Self::Lz4,
            "snappy" => Self::Snappy,
            _ => unreachable!("declared by the same names"),
        }
    }
}

impl KafkaKey {
    pub(crate) const NAMES: [&'static str; 2] = ["topic", "none"];

    fn from_name(name: &str) -> Self {
        match name {
            "topic" => Self::Topic,
            "none" => Self::None,
            _ => unreachable!("declared by the same names"),
        }
    }
}

impl KafkaSasl {
    pub(crate) const NAMES: [&'static str; 3] = ["plain", "scram-sha-256", "scram-sha-512"];

    /// What Kafka calls it.
    #[cfg(feature = "kafka")]
    pub(crate) fn mechanism(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }

    fn from_name(name: &str) -> Self {
        match name {
            "plain" => Self::Plain,
            "scram-sha-256" => Self::ScramSha256,
            "scram-sha-512" => Self::ScramSha512,
            _ => unreachable!("declared by the same names"),
        }
    }
}
