//! `[upstream.NAME]` as the rest of the program uses it.

use std::{fmt, path::PathBuf, time::Duration};

use super::{
    HostPort, Route, TlsClientConfig,
    declared::{UPSTREAM, UPSTREAM_AMQP, UPSTREAM_HTTP, UPSTREAM_KAFKA, UPSTREAM_NATS},
    values::Values,
};

/// One `[upstream.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpstreamConfig {
    /// The name that rules use.
    pub name: String,
    /// What is spoken there.
    pub kind: UpstreamKind,
    /// At least one address.
    pub address: Vec<HostPort>,
    /// Messages that go there; lines of `topics` included.
    pub forward: Vec<Route>,
    /// Messages that are fetched from there; lines of `topics` included.
    pub receive: Vec<Route>,
    /// Client identifier there; `None` = made from the host name and the upstream's name.
    pub remote_clientid: Option<String>,
    /// Topic there that says whether it is connected; `None` = nothing does.
    pub notification_topic: Option<String>,
    /// Keep alive of the connection, in seconds.
    pub keepalive_interval: u16,
    /// MQTT version of the connection.
    pub bridge_protocol_version: MqttVersion,
    /// How TLS is spoken there; `None` = it is not.
    pub tls: Option<TlsClientConfig>,
    /// Where an upstream of kind `amqp` is sent to.
    pub amqp: AmqpConfig,
    /// Requests of an upstream of kind `http`.
    pub http: HttpConfig,
    /// Topics and batches of an upstream of kind `kafka`.
    pub kafka: KafkaConfig,
    /// Streams and logins of an upstream of kind `nats`.
    pub nats: NatsConfig,
    /// User name there.
    pub username: Option<String>,
    /// Password there, from the key or from its file.
    pub password: Option<Secret>,
    /// When it is connected.
    pub start_type: StartType,
    /// Messages that must wait before a lazy one is.
    pub threshold: u32,
    /// How long nothing has happened until a lazy one is left.
    pub idle_timeout: Duration,
    /// Pauses between attempts to connect.
    pub restart_timeout: RestartTimeout,
    /// Messages under way at a time.
    pub window: u16,
    /// Bytes that wait on disk while the upstream is away.
    pub backlog_max_bytes: u64,
    /// What waits longer is dropped; `None` = it waits for ever.
    pub backlog_max_age: Option<Duration>,
    /// What becomes of messages for which there is no room.
    pub backlog_full: BacklogFull,
    /// Messages sent in a second; 0 = no limit.
    pub drain_rate: u32,
    /// Whether one of several addresses is kept until it is lost; otherwise the first one is gone
    /// back to.
    pub round_robin: bool,
    /// Whether what comes goes ahead of what has waited when there is a connection again.
    pub live_first: bool,
}

/// What becomes of messages when as many bytes wait as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BacklogFull {
    /// Those that come are not taken.
    DropNew,
    /// The oldest go.
    DropOld,
    /// The fuller it is, the fewer of each topic are taken; when that is not enough the oldest go.
    Thin,
}

/// `amqp` of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AmqpConfig {
    /// The exchange that messages are published to; the default exchange has no name.
    pub exchange: String,
    /// The virtual host that it is in.
    pub vhost: String,
    /// What becomes of a message that no queue takes.
    pub unroutable: Unroutable,
}

/// What becomes of a message that no queue of an upstream takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unroutable {
    /// It is a dead letter here.
    DeadLetter,
    /// Nobody wanted it.
    Ignore,
}

/// `http` of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpConfig {
    /// Path and query of the requests.
    pub path: String,
    /// What a request holds.
    pub body: HttpBody,
    /// Messages in one request.
    pub batch: u16,
    /// How a request is compressed.
    pub compression: HttpCompression,
    /// The header `Authorization`, from the key or from its file.
    pub authorization: Option<Secret>,
}

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

/// `nats` of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NatsConfig {
    /// The stream that is to take the messages; `None` = whichever takes their subjects.
    pub stream: Option<String>,
    /// Token, from the key or from its file.
    pub token: Option<Secret>,
    /// File with the JWT of a user and the seed of its NKey.
    pub creds_file: Option<PathBuf>,
    /// File with the seed of an NKey.
    pub nkey_file: Option<PathBuf>,
    /// Where the subjects begin on which acknowledgements come.
    pub inbox_prefix: String,
}

/// How a request to an upstream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpCompression {
    /// Not at all.
    None,
    /// With `Content-Encoding: gzip`.
    Gzip,
}

/// What a request to an upstream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpBody {
    /// An object for each message.
    Json,
    /// A payload on each line.
    Lines,
    /// One payload as it came.
    Raw,
}

/// What an upstream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpstreamKind {
    /// Messages are published over AMQP 0.9.1.
    Amqp,
    /// Messages are posted over HTTP/1.1.
    Http,
    /// Messages are produced to topics of Kafka.
    Kafka,
    /// MQTT over TCP.
    Mqtt,
    /// Messages are published to JetStream.
    Nats,
}

/// MQTT version of a connection to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MqttVersion {
    /// 3.1.1
    V311,
    /// 5.0
    V50,
}

/// When an upstream is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartType {
    /// Always.
    Automatic,
    /// While messages wait for it.
    Lazy,
    /// From the start until the connection is lost.
    Once,
}

/// Pauses between attempts to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartTimeout {
    /// The shortest pause, which is the first one.
    pub min: Duration,
    /// The longest pause.
    pub max: Duration,
}

/// A password; it does not show itself in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl UpstreamConfig {
    /// An upstream with the defaults, to which nothing is forwarded yet.
    pub fn new(name: impl Into<String>, address: HostPort) -> Self {
        let values = Values::new(&UPSTREAM);
        Self { address: vec![address], ..Self::read(&values, name.into()) }
    }

    /// Without routes and without what is in the password file: both can fail.
    pub(crate) fn read(values: &Values, name: String) -> Self {
        let (min, max) = values.duration_range("restart_timeout");
        Self {
            name,
            kind: UpstreamKind::from_name(values.choice("kind")),
            address: values.addresses("address"),
            forward: Vec::new(),
            receive: Vec::new(),
            remote_clientid: values.text("remote_clientid"),
            notification_topic: values.text("notification_topic"),
            keepalive_interval: values.whole("keepalive_interval"),
            bridge_protocol_version: MqttVersion::from_name(
                values.choice("bridge_protocol_version"),
            ),
            tls: None,
            amqp: AmqpConfig::read(values.table("amqp")),
            http: HttpConfig::read(values.table("http")),
            kafka: KafkaConfig::read(values.table("kafka")),
            nats: NatsConfig::read(values.table("nats")),
            username: values.text("username"),
            password: values.text("password").map(Secret::new),
            start_type: StartType::from_name(values.choice("start_type")),
            threshold: values.whole("threshold"),
            idle_timeout: values.duration("idle_timeout"),
            restart_timeout: RestartTimeout { min, max },
            window: values.whole("window"),
            backlog_max_bytes: values.size("backlog_max_bytes"),
            backlog_max_age: values.optional("backlog_max_age", Values::duration),
            backlog_full: BacklogFull::from_name(values.choice("backlog_full")),
            drain_rate: values.whole("drain_rate"),
            live_first: values.flag("live_first"),
            round_robin: values.flag("round_robin"),
        }
    }

    /// The user and the password, if there is a user.
    pub(crate) fn credentials(&self) -> Option<(String, String)> {
        let password = self.password.as_ref().map(Secret::reveal);
        Some((self.username.clone()?, password.unwrap_or_default().to_owned()))
    }
}

impl BacklogFull {
    pub(crate) const NAMES: [&'static str; 3] = ["drop_old", "drop_new", "thin"];

    fn from_name(name: &str) -> Self {
        match name {
            "drop_new" => Self::DropNew,
            "drop_old" => Self::DropOld,
            "thin" => Self::Thin,
            _ => unreachable!("declared by the same names"),
        }
    }
}

impl AmqpConfig {
    fn read(values: Option<&Values>) -> Self {
        let declared = Values::new(&UPSTREAM_AMQP);
        let values = values.unwrap_or(&declared);
        Self {
            exchange: values.text("exchange").unwrap_or_default(),
            vhost: values.text("vhost").unwrap_or_default(),
            unroutable: Unroutable::from_name(values.choice("unroutable")),
        }
    }
}

impl Unroutable {
    pub(crate) const NAMES: [&'static str; 2] = ["dead_letter", "ignore"];

    fn from_name(name: &str) -> Self {
        match name {
            "dead_letter" => Self::DeadLetter,
            "ignore" => Self::Ignore,
            _ => unreachable!("declared by the same names"),
        }
    }
}

impl HttpConfig {
    /// Without what is in the file, which can fail.
    fn read(values: Option<&Values>) -> Self {
        let declared = Values::new(&UPSTREAM_HTTP);
        let values = values.unwrap_or(&declared);
        Self {
            path: values.text("path").unwrap_or_default(),
            body: HttpBody::from_name(values.choice("body")),
            batch: values.whole("batch"),
            compression: HttpCompression::from_name(values.choice("compression")),
            authorization: values.text("authorization").map(Secret::new),
        }
    }
}

impl KafkaConfig {
    fn read(values: Option<&Values>) -> Self {
        let declared = Values::new(&UPSTREAM_KAFKA);
        let values = values.unwrap_or(&declared);
        Self {
            topic: values.text("topic"),
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

impl NatsConfig {
    /// Without what is in the file of the token, which can fail.
    fn read(values: Option<&Values>) -> Self {
        let declared = Values::new(&UPSTREAM_NATS);
        let values = values.unwrap_or(&declared);
        Self {
            stream: values.text("stream"),
            token: values.text("token").map(Secret::new),
            creds_file: values.path("creds_file"),
            nkey_file: values.path("nkey_file"),
            inbox_prefix: values.text("inbox_prefix").unwrap_or_default(),
        }
    }
}

impl HttpCompression {
    pub(crate) const NAMES: [&'static str; 2] = ["none", "gzip"];

    fn from_name(name: &str) -> Self {
        match name {
            "none" => Self::None,
            "gzip" => Self::Gzip,
            _ => unreachable!("declared by the same names"),
        }
    }
}

impl HttpBody {
    pub(crate) const NAMES: [&'static str; 3] = ["json", "lines", "raw"];

    fn from_name(name: &str) -> Self {
        match name {
            "json" => Self::Json,
            "lines" => Self::Lines,
            "raw" => Self::Raw,
            _ => unreachable!("declared by the same names"),
        }
    }
}

impl UpstreamKind {
    pub(crate) const NAMES: [&'static str; 5] = ["mqtt", "http", "nats", "amqp", "kafka"];

    /// The name in the configuration.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Amqp => "amqp",
            Self::Http => "http",
            Self::Kafka => "kafka",
            Self::Mqtt => "mqtt",
            Self::Nats => "nats",
        }
    }

    /// Whether it is part of this program: some have a dependency of their own, and a feature of
    /// the same name.
    pub(crate) fn is_built(self) -> bool {
        match self {
            Self::Amqp => cfg!(feature = "amqp"),
            Self::Http | Self::Mqtt => true,
            Self::Kafka => cfg!(feature = "kafka"),
            Self::Nats => cfg!(feature = "nats"),
        }
    }

    fn from_name(name: &str) -> Self {
        match name {
            "amqp" => Self::Amqp,
            "http" => Self::Http,
            "kafka" => Self::Kafka,
            "mqtt" => Self::Mqtt,
            "nats" => Self::Nats,
            _ => unreachable!("declared by the same names"),
        }
    }
}

impl StartType {
    pub(crate) const NAMES: [&'static str; 3] = ["automatic", "lazy", "once"];

    fn from_name(name: &str) -> Self {
        match name {
            "automatic" => Self::Automatic,
            "lazy" => Self::Lazy,
            "once" => Self::Once,
            _ => unreachable!("declared by the same names"),
        }
    }
}

impl MqttVersion {
    pub(crate) const NAMES: [&'static str; 2] = ["mqttv50", "mqttv311"];

    fn from_name(name: &str) -> Self {
        match name {
            "mqttv311" => Self::V311,
            "mqttv50" => Self::V50,
            _ => unreachable!("declared by the same names"),
        }
    }
}

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_does_not_show_in_debug_output() {
        assert!(!format!("{:?}", Secret::new("hunter2")).contains("hunter2"));
    }
}
