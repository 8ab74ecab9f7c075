//! The keys of `[upstream.NAME]`.

use std::time::Duration;

use weir_config::{Form, Initial, Key, Kind, Section};

use super::super::{
    listeners::TLS_VERSIONS,
    notation::{ADDRESSES, PAUSES, TOPIC_LINES},
    upstream::{
        AmqpSasl, BacklogFull, HttpBody, HttpCompression, KafkaCompression, KafkaKey, KafkaSasl,
        MqttVersion, StartType, Unroutable, UpstreamKind,
    },
};
use super::{KB, ROUTE, TB, YEAR};

/// A login at a NATS server.
pub(super) const TOKEN: Key = Key {
    name: "token",
    text: "Token. Better keep it in a file of its own.",
    kind: Kind::Secret,
    initial: Initial::Unset { example: "\"secret\"", meaning: "no token" },
};
/// The same in a file.
pub(super) const TOKEN_FILE: Key = Key {
    name: "token_file",
    text: "File whose first line is the token.",
    kind: Kind::Path,
    initial: Initial::Unset { example: "\"nats.token\"", meaning: "no token" },
};

pub(crate) static UPSTREAM: Section = Section {
    name: "upstream",
    form: Form::Named { what: "an upstream", example: "cloud" },
    text: "Brokers and services that messages are forwarded to, each with a name that rules can \
           use. What was accepted for an upstream is kept until the upstream has acknowledged it.",
    keys: &[
        Key {
            name: "kind",
            text: "What is spoken there: MQTT in both directions, HTTP, where each message is \
                   posted, NATS, where it is published to JetStream, AMQP 0.9.1, as RabbitMQ speaks \
                   it, or Kafka. NATS, AMQP and Kafka are features of the build.",
            kind: Kind::Choice(&UpstreamKind::NAMES),
            initial: Initial::Default("\"mqtt\""),
        },
        Key {
            name: "address",
            text: "Where it is. Of several addresses the next one is tried when one fails.",
            kind: ADDRESSES,
            initial: Initial::Required { example: "[\"mqtt.example.org:1883\"]" },
        },
        Key {
            name: "round_robin",
            text: "Whether the next address is kept until it fails, too. Otherwise the first one is tried \
                   again and again, with the longest pause of `restart_timeout`, and used as soon as it \
                   answers.",
            kind: Kind::Flag,
            initial: Initial::Default("false"),
        },
        Key {
            name: "forward",
            text: "Messages that go there. In `to`, {topic} is the topic of the message and \
                   {rest} what `#` matched. What is `high` goes before what waits with the \
                   `priority` `normal`, and `low` when nothing else waits. Of several routes that \
                   match, the first counts.",
            kind: Kind::Tables(&ROUTE),
            initial: Initial::Unset {
                example: "[{ from = \"agg/#\", to = \"{topic}\", qos = 1, priority = \"normal\" }]",
                meaning: "only what rules send there",
            },
        },
        Key {
            name: "receive",
            text: "Messages that are fetched from there.",
            kind: Kind::Tables(&ROUTE),
            initial: Initial::Unset {
                example: "[{ from = \"site/berlin/cmd/#\", to = \"cmd/{rest}\", qos = 1 }]",
                meaning: "nothing",
            },
        },
        Key {
            name: "topics",
            text: "The same as lines of mosquitto's bridge option `topic`.",
            kind: TOPIC_LINES,
            initial: Initial::Unset {
                example: "[\"sensors/# out 1 local/ remote/\"]",
                meaning: "none",
            },
        },
        Key {
            name: "remote_clientid",
            text: "Client identifier at the upstream. It must not change and must be the only \
                   one of its name there.",
            kind: Kind::Text,
            initial: Initial::Unset {
                example: "\"gateway-7\"",
                meaning: "made from the host name and the name of the upstream",
            },
        },
        Key {
            name: "notification_topic",
            text: "Topic there with a retained `1` while this upstream is connected, and `0` when it is \
                   not: its will, or what it says before it leaves.",
            kind: Kind::Text,
            initial: Initial::Unset {
                example: "\"site/berlin/connected\"",
                meaning: "nothing is told",
            },
        },
        Key {
            name: "keepalive_interval",
            text: "Keep alive of the connection.",
            kind: Kind::Whole { min: 5, max: 65_535, unit: "seconds" },
            initial: Initial::Default("60"),
        },
        Key {
            name: "bridge_protocol_version",
            text: "MQTT 5.0 or 3.1.1. An upstream that says that it does not speak 5.0, or ends two \
                   connections without an answer, is spoken to in 3.1.1 on the next one.",
            kind: Kind::Choice(&MqttVersion::NAMES),
            initial: Initial::Default("\"mqttv50\""),
        },
        Key {
            name: "username",
            text: "User name at the upstream.",
            kind: Kind::Text,
            initial: Initial::Unset { example: "\"gateway-7\"", meaning: "anonymous" },
        },
        Key {
            name: "password",
            text: "Password at the upstream. Better keep it in a file of its own.",
            kind: Kind::Secret,
            initial: Initial::Unset { example: "\"secret\"", meaning: "no password" },
        },
        Key {
            name: "password_file",
            text: "File whose first line is the password.",
            kind: Kind::Path,
            initial: Initial::Unset { example: "\"cloud.password\"", meaning: "no password" },
        },
        Key {
            name: "start_type",
            text: "When it is connected: always (`automatic`), only while messages wait for it \
                   (`lazy`, for links that cost), or from the start until the connection is lost \
                   (`once`). What waits stays in any case.",
            kind: Kind::Choice(&StartType::NAMES),
            initial: Initial::Default("\"automatic\""),
        },
        Key {
            name: "threshold",
            text: "Messages that must wait before a `lazy` upstream is connected. QoS 0 messages are \
                   sent as they come.",
            kind: Kind::Whole { min: 1, max: 1_000_000, unit: "messages" },
            initial: Initial::Default("1"),
        },
        Key {
            name: "idle_timeout",
            text: "How long nothing has happened until a `lazy` upstream is left.",
            kind: Kind::Duration { min: Duration::from_secs(1), max: YEAR },
            initial: Initial::Default("\"60s\""),
        },
        Key {
            name: "restart_timeout",
            text: "Shortest and longest pause before the next attempt to connect.",
            kind: PAUSES,
            initial: Initial::Default("\"5s 30s\""),
        },
        Key {
            name: "window",
            text: "Messages under way at a time, never more than the upstream allows.",
            kind: Kind::Whole { min: 1, max: 100, unit: "messages" },
            initial: Initial::Default("20"),
        },
        Key {
            name: "backlog_max_bytes",
            text: "Bytes that wait on disk while the upstream is away; `backlog_full` says what \
                   becomes of more.",
            kind: Kind::Size { min: 64 * KB, max: TB },
            initial: Initial::Default("\"128MB\""),
        },
        Key {
            name: "backlog_full",
            text: "What happens at `backlog_max_bytes`: drop the oldest message or the new one. thin: of \
                   each topic only every second message is taken from half of it on, every fourth \
                   from three quarters and every eighth from seven eighths on, so that what waits \
                   reaches back longer; beyond it the oldest are dropped. What is dropped is counted.",
            kind: Kind::Choice(&BacklogFull::NAMES),
            initial: Initial::Default("\"drop_old\""),
        },
        Key {
            name: "backlog_max_age",
            text: "What has waited longer for the upstream is dropped and counted, also while it is \
                   away. What came before the clock of the machine was set (`clock_file`) has no age.",
            kind: Kind::Duration { min: Duration::from_secs(1), max: YEAR },
            initial: Initial::Unset { example: "\"7d\"", meaning: "it waits for ever" },
        },
        Key {
            name: "drain_rate",
            text: "Messages that are sent there in a second, evenly: after an outage the backlog does \
                   not fill a link that others use too. 0 = as fast as the upstream acknowledges.",
            kind: Kind::Whole { min: 0, max: 1_000_000, unit: "messages" },
            initial: Initial::Default("0"),
        },
        Key {
            name: "live_first",
            text: "After an outage what is published goes ahead of what has waited, which is sent where \
                   there is room left, at `drain_rate`. Messages are then out of order, and what went \
                   ahead is sent again, with the same `id`, if weir is restarted before the end.",
            kind: Kind::Flag,
            initial: Initial::Default("false"),
        },
        Key {
            name: "tls",
            text: "TLS to the upstream: a table of its own, see below.",
            kind: Kind::Table(&UPSTREAM_TLS),
            initial: Initial::Unset { example: "{ cafile = \"cloud-ca.pem\" }", meaning: "no TLS" },
        },
        Key {
            name: "http",
            text: "Requests of an upstream of kind `http`: a table of its own, see below.",
            kind: Kind::Table(&UPSTREAM_HTTP),
            initial: Initial::Unset {
                example: "{ path = \"/ingest\" }",
                meaning: "as its keys say, if `kind` is `http`",
            },
        },
        Key {
            name: "nats",
            text: "Stream and login of an upstream of kind `nats`: a table of its own, see below.",
            kind: Kind::Table(&UPSTREAM_NATS),
            initial: Initial::Unset {
                example: "{ creds_file = \"gateway-7.creds\" }",
                meaning: "as its keys say, if `kind` is `nats`",
            },
        },
        Key {
            name: "amqp",
            text: "Where an upstream of kind `amqp` is sent to: a table of its own, see below.",
            kind: Kind::Table(&UPSTREAM_AMQP),
            initial: Initial::Unset {
                example: "{ vhost = \"plant\" }",
                meaning: "as its keys say, if `kind` is `amqp`",
            },
        },
        Key {
            name: "kafka",
            text: "Topics and batches of an upstream of kind `kafka`: a table of its own, see below.",
            kind: Kind::Table(&UPSTREAM_KAFKA),
            initial: Initial::Unset {
                example: "{ topic = \"sensors\" }",
                meaning: "as its keys say, if `kind` is `kafka`",
            },
        },
    ],
};

pub(crate) static UPSTREAM_HTTP: Section = Section {
    name: "upstream.http",
    form: Form::Within,
    text: "Requests to the upstream above, also written as `http = { … }` in it. Each is a POST; a \
           status of 2xx acknowledges its messages. With `tls` it is HTTPS.",
    keys: &[
        Key {
            name: "path",
            text: "Path and query of the requests.",
            kind: Kind::Text,
            initial: Initial::Default("\"/\""),
        },
        Key {
            name: "body",
            text: "What a request holds: an object of JSON for each message, payloads one to a line \
                   (as InfluxDB takes them, or NDJSON), or one payload as it came.",
            kind: Kind::Choice(&HttpBody::NAMES),
            initial: Initial::Default("\"json\""),
        },
        Key {
            name: "batch",
            text: "Messages in one request, if so many wait. With more than 1, a body of JSON is an \
                   array; `raw` has one message.",
            kind: Kind::Whole { min: 1, max: 1000, unit: "messages" },
            initial: Initial::Default("1"),
        },
        Key {
            name: "compression",
            text: "How the body of a request is compressed. gzip: with `Content-Encoding: gzip`, which \
                   not every service understands; InfluxDB does. It pays with a larger `batch`.",
            kind: Kind::Choice(&HttpCompression::NAMES),
            initial: Initial::Default("\"none\""),
        },
        Key {
            name: "authorization",
            text: "Value of the header `Authorization`. Better keep it in a file of its own. Without \
                   it `username` and `password` are sent, if they are given (Basic).",
            kind: Kind::Secret,
            initial: Initial::Unset { example: "\"Token abc\"", meaning: "no header" },
        },
        Key {
            name: "authorization_file",
            text: "File whose first line is that value.",
            kind: Kind::Path,
            initial: Initial::Unset { example: "\"influx.token\"", meaning: "no header" },
        },
    ],
};

pub(crate) static UPSTREAM_NATS: Section = Section {
    name: "upstream.nats",
    form: Form::Within,
    text: "JetStream of the upstream above, also written as `nats = { … }` in it. Users with a \
           password have `username` and `password_file` of the upstream instead of a login here.",
    keys: &[
        Key {
            name: "stream",
            text: "The stream that is to take the messages. If another one takes their subjects, that \
                   is told and nothing is stored there. Streams are made at the server.",
            kind: Kind::Text,
            initial: Initial::Unset {
                example: "\"PLANT\"",
                meaning: "whichever takes the subject of a message",
            },
        },
        Key {
            name: "creds_file",
            text: "Credentials file: the JWT of a user and the seed of its NKey, as nsc and Synadia \
                   Cloud write it. It is read for each connection.",
            kind: Kind::Path,
            initial: Initial::Unset { example: "\"gateway-7.creds\"", meaning: "no JWT" },
        },
        Key {
            name: "nkey_file",
            text: "File with the seed of an NKey (SU…). It is read for each connection.",
            kind: Kind::Path,
            initial: Initial::Unset { example: "\"gateway-7.nk\"", meaning: "no NKey" },
        },
        TOKEN,
        TOKEN_FILE,
        Key {
            name: "inbox_prefix",
            text: "Where the subjects begin on which acknowledgements come; the user must be allowed to \
                   subscribe below it.",
            kind: Kind::Text,
            initial: Initial::Default("\"_INBOX\""),
        },
    ],
};

pub(crate) static UPSTREAM_AMQP: Section = Section {
    name: "upstream.amqp",
    form: Form::Within,
    text: "Where messages go at the upstream above, also written as `amqp = { … }` in it. The routing \
           key is the topic with `.` for each `/`. `username` and `password` are `guest` unless given.",
    keys: &[
        Key {
            name: "exchange",
            text: "Exchange that messages are published to; it must be there. \"\" is the default \
                   exchange, where the routing key names a queue.",
            kind: Kind::Text,
            initial: Initial::Default("\"amq.topic\""),
        },
        Key {
            name: "vhost",
            text: "Virtual host that the exchange is in.",
            kind: Kind::Text,
            initial: Initial::Default("\"/\""),
        },
        Key {
            name: "unroutable",
            text: "What becomes of a message that no queue takes. dead_letter: it is published here as \
                   a dead letter, since it would be lost there. ignore: nobody wanted it.",
            kind: Kind::Choice(&Unroutable::NAMES),
            initial: Initial::Default("\"dead_letter\""),
        },
        Key {
            name: "sasl",
            text: "How this box says who it is. plain: with `username` and `password`. external: with \
                   the certificate in `tls`, which the plugin rabbitmq_auth_mechanism_ssl of RabbitMQ \
                   takes for the name of a user.",
            kind: Kind::Choice(&AmqpSasl::NAMES),
            initial: Initial::Default("\"plain\""),
        },
    ],
};

pub(crate) static UPSTREAM_KAFKA: Section = Section {
    name: "upstream.kafka",
    form: Form::Within,
    text: "Topics and batches of the upstream above, also written as `kafka = { … }` in it. All of \
           `address` are asked for the other brokers.",
    keys: &[
        Key {
            name: "topic",
            text: "Topic of Kafka that all messages go to.",
            kind: Kind::Text,
            initial: Initial::Unset {
                example: "\"sensors\"",
                meaning: "the topic of the message with `.` for each `/`",
            },
        },
        Key {
            name: "key",
            text: "Key of a record. topic: the topic of the message, so that what has the same one is \
                   in one partition and in order. none: records go to all partitions in turn.",
            kind: Kind::Choice(&KafkaKey::NAMES),
            initial: Initial::Default("\"topic\""),
        },
        Key {
            name: "compression",
            text: "How batches are compressed: gzip makes the smallest ones, lz4 and snappy take less \
                   time.",
            kind: Kind::Choice(&KafkaCompression::NAMES),
            initial: Initial::Default("\"none\""),
        },
        Key {
            name: "sasl",
            text: "How `username` and `password` are told. plain: as they are, for TLS. scram-sha-256 \
                   and scram-sha-512: the password itself is not told.",
            kind: Kind::Choice(&KafkaSasl::NAMES),
            initial: Initial::Default("\"plain\""),
        },
    ],
};

pub(crate) static UPSTREAM_TLS: Section = Section {
    name: "upstream.tls",
    form: Form::Within,
    text: "TLS to the upstream above, also written as `tls = { … }` in it; `tls = {}` believes the \
           authorities of the system. The files are in PEM form and are read for each connection, so \
           new ones are used from the next connection on.",
    keys: &[
        Key {
            name: "cafile",
            text: "Authorities whose certificate of the upstream is believed.",
            kind: Kind::Path,
            initial: Initial::Unset {
                example: "\"cloud-ca.pem\"",
                meaning: "those that the system believes",
            },
        },
        Key {
            name: "certfile",
            text: "Certificate that is shown to the upstream, followed by those that lead to its \
                   authority. It needs `keyfile`.",
            kind: Kind::Path,
            initial: Initial::Unset { example: "\"gateway-7.pem\"", meaning: "no certificate" },
        },
        Key {
            name: "keyfile",
            text: "Its private key, without a password.",
            kind: Kind::Path,
            initial: Initial::Unset { example: "\"gateway-7.key\"", meaning: "no certificate" },
        },
        Key {
            name: "insecure",
            text: "Believe a certificate of a known authority that is for another host name than that \
                   of `address`. Whoever has a certificate of that authority can be the upstream then.",
            kind: Kind::Flag,
            initial: Initial::Default("false"),
        },
        Key {
            name: "alpn",
            text: "Protocol that is asked for in the handshake, where a port serves several.",
            kind: Kind::Text,
            initial: Initial::Unset { example: "\"mqtt\"", meaning: "none" },
        },
        Key {
            name: "tls_version",
            text: "The oldest version of TLS that may be spoken.",
            kind: Kind::Choice(&TLS_VERSIONS),
            initial: Initial::Default("\"1.2\""),
        },
    ],
};
