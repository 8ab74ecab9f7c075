//! `[upstream.NAME]` as the rest of the program uses it.

mod amqp;
mod http;
mod kafka;
mod nats;
mod secret;

use std::time::Duration;

use weir_config::Values;

use super::{
    HostPort, Priority, Route, TlsClientConfig, TopicTemplate, declared::UPSTREAM, notation,
};

pub use amqp::{AmqpConfig, AmqpSasl, Unroutable};
pub use http::{HttpBody, HttpCompression, HttpConfig};
pub use kafka::{KafkaCompression, KafkaConfig, KafkaKey, KafkaSasl};
pub use nats::NatsConfig;
pub use secret::Secret;

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
    /// The program that runs the broker takes them itself; not for a file.
    Program,
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

impl UpstreamConfig {
    /// An upstream with the defaults, to which nothing is forwarded yet.
    pub fn new(name: impl Into<String>, address: HostPort) -> Self {
        let values = Values::new(&UPSTREAM);
        Self { address: vec![address], ..Self::read(&values, name.into()) }
    }

    /// An upstream whose messages the program takes itself, with
    /// [`Broker::sink`](crate::Broker::sink): those of these topic filters, under their own topics,
    /// with QoS 1. A reload leaves it as it is. Of the other fields `forward` and the limits of the
    /// backlog are of use.
    ///
    /// The name is that of its backlog on the disk. One with `/`, or that another upstream has, or a
    /// filter that is none, is an error of [`Broker::start`](crate::Broker::start).
    pub fn for_program(
        name: impl Into<String>,
        filters: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let mut config = Self::new(name, HostPort::new("program", 0));
        config.kind = UpstreamKind::Program;
        let [min, max] = PROGRAM_PAUSES;
        config.restart_timeout = RestartTimeout { min, max };
        let route = |from: String| Route {
            to: TopicTemplate::parse("{topic}", &from).expect("it has no other placeholder"),
            from,
            qos: 1,
            priority: Priority::Normal,
        };
        config.forward = filters.into_iter().map(|filter| route(filter.into())).collect();
        config
    }

    /// Without routes and without what is in the password file: both can fail.
    pub(crate) fn read(values: &Values, name: String) -> Self {
        Self {
            name,
            kind: UpstreamKind::from_name(values.choice("kind")),
            address: values.all_parsed("address"),
            forward: Vec::new(),
            receive: Vec::new(),
            remote_clientid: values.optional("remote_clientid", Values::text),
            notification_topic: values.optional("notification_topic", Values::text),
            keepalive_interval: values.whole("keepalive_interval"),
            bridge_protocol_version: MqttVersion::from_name(
                values.choice("bridge_protocol_version"),
            ),
            tls: None,
            amqp: AmqpConfig::read(values.table("amqp")),
            http: HttpConfig::read(values.table("http")),
            kafka: KafkaConfig::read(values.table("kafka")),
            nats: NatsConfig::read(values.table("nats")),
            username: values.optional("username", Values::text),
            password: values.optional("password", Values::text).map(Secret::new),
            start_type: StartType::from_name(values.choice("start_type")),
            threshold: values.whole("threshold"),
            idle_timeout: values.duration("idle_timeout"),
            restart_timeout: RestartTimeout::read(values),
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

impl RestartTimeout {
    pub(crate) fn read(values: &Values) -> Self {
        let pauses = notation::pauses(&values.text("restart_timeout"));
        let [min, max] = pauses.expect("it was read as two");
        Self { min, max }
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
            Self::Program => "program",
        }
    }

    /// Whether it is part of this program: some have a dependency of their own, and a feature of
    /// the same name.
    pub(crate) fn is_built(self) -> bool {
        match self {
            Self::Amqp => cfg!(feature = "amqp"),
            Self::Http | Self::Mqtt | Self::Program => true,
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

/// Until the program can take its sink again.
const PROGRAM_PAUSES: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(100)];
