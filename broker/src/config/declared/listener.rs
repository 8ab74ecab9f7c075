//! The keys of a listener.

use weir_config::{Form, Initial, Key, Kind, Section};

use super::super::listeners::{MQTT_VERSIONS, PROXY_PROTOCOLS, Protocol, TLS_VERSIONS};
use super::super::notation::{ADDRESS, MODE};

pub(crate) static LISTENER: Section = Section {
    name: "listener",
    form: Form::List,
    text: "Where clients connect; repeat the table for more. Without any, Weir listens on \
           127.0.0.1:1883 and anonymous clients are allowed.",
    keys: &[
        Key {
            name: "address",
            text: "Address and port. 0.0.0.0 means every IPv4 address of this machine, [::] \
                   every address. Not together with `path`.",
            kind: ADDRESS,
            initial: Initial::Unset { example: "\"127.0.0.1:1883\"", meaning: "`path` is needed" },
        },
        Key {
            name: "path",
            text: "A Unix socket for programs on this machine, in the place of `address`.",
            kind: Kind::Path,
            initial: Initial::Unset { example: "\"/run/weir/mqtt.sock\"", meaning: "TCP" },
        },
        Key {
            name: "mode",
            text: "Who may connect to the Unix socket: the permissions of its file.",
            kind: MODE,
            initial: Initial::Default("\"0660\""),
        },
        Key {
            name: "protocol",
            text: "What is spoken there: MQTT 3.1, 3.1.1 and 5.0 as it is, or in WebSocket frames \
                   as browsers send it, with any path.",
            kind: Kind::Choice(&Protocol::NAMES),
            initial: Initial::Default("\"mqtt\""),
        },
        Key {
            name: "proxy_protocol",
            text: "A load balancer in front puts a header of this version before everything, \
                   which says the address of the client. Then nobody else may reach the \
                   listener: anybody could make one up.",
            kind: Kind::Choice(&PROXY_PROTOCOLS),
            initial: Initial::Default("false"),
        },
        Key {
            name: "max_connections",
            text: "Connections of this listener; more are closed at once. -1 = no limit.",
            kind: Kind::Whole { min: -1, max: 10_000_000, unit: "connections" },
            initial: Initial::Default("-1"),
        },
        Key {
            name: "max_connect_rate",
            text: "Connections that are taken in a second; more wait until their turn comes. \
                   0 = no limit.",
            kind: Kind::Whole { min: 0, max: 1_000_000, unit: "connections a second" },
            initial: Initial::Default("0"),
        },
        Key {
            name: "allow_anonymous",
            text: "Let clients of this listener in without a user name, or do not.",
            kind: Kind::Flag,
            initial: Initial::Unset { example: "false", meaning: "what [auth] says" },
        },
        Key {
            name: "allow_zero_length_clientid",
            text: "Give a client without an identifier one. With false it is refused.",
            kind: Kind::Flag,
            initial: Initial::Default("true"),
        },
        Key {
            name: "accept_protocol_versions",
            text: "Versions of MQTT that are spoken; clients of others are refused.",
            kind: Kind::List { of: &Kind::Choice(&MQTT_VERSIONS), least: 1 },
            initial: Initial::Default("[\"3.1\", \"3.1.1\", \"5.0\"]"),
        },
        Key {
            name: "max_qos",
            text: "Highest QoS of clients of this listener, never above that of [limits].",
            kind: Kind::Whole { min: 0, max: 2, unit: "QoS" },
            initial: Initial::Default("2"),
        },
        Key {
            name: "retain_available",
            text: "Clients of this listener may retain messages and are sent retained ones, if \
                   [limits] allows it.",
            kind: Kind::Flag,
            initial: Initial::Default("true"),
        },
        Key {
            name: "message_size_limit",
            text: "Largest payload of a message. A larger one is dropped, and an MQTT 5 client is \
                   told (0x97). 0 = what max_packet_size of [limits] leaves room for.",
            kind: Kind::Size { min: 0, max: 256 << 20 },
            initial: Initial::Default("0"),
        },
        Key {
            name: "max_inflight_messages",
            text: "QoS 1 and 2 messages under way to or from each client of this listener, in the \
                   place of what [limits] says; so are the next four.",
            kind: Kind::Whole { min: 1, max: 65_535, unit: "messages" },
            initial: Initial::Unset { example: "100", meaning: "what [limits] says" },
        },
        Key {
            name: "max_inflight_bytes",
            text: "Bytes of the QoS 1 and 2 messages under way to each client. 0 = no limit.",
            kind: Kind::Size { min: 0, max: 1 << 30 },
            initial: Initial::Unset { example: "\"64KB\"", meaning: "what [limits] says" },
        },
        Key {
            name: "max_queued_messages",
            text: "Messages that wait for each client. 0 = no limit.",
            kind: Kind::Whole { min: 0, max: 100_000_000, unit: "messages" },
            initial: Initial::Unset { example: "1000", meaning: "what [limits] says" },
        },
        Key {
            name: "max_queued_bytes",
            text: "Bytes that wait for each client. 0 = no limit.",
            kind: Kind::Size { min: 0, max: 1 << 40 },
            initial: Initial::Unset { example: "\"1MB\"", meaning: "what [limits] says" },
        },
        Key {
            name: "upgrade_outgoing_qos",
            text: "Send every message at the QoS of the subscription.",
            kind: Kind::Flag,
            initial: Initial::Unset { example: "true", meaning: "what [limits] says" },
        },
        Key {
            name: "max_message_rate",
            text: "Messages that each client of this listener may publish in a second, in the \
                   place of what [limits] says; so are the next two. 0 = no limit.",
            kind: Kind::Whole { min: 0, max: 1_000_000_000, unit: "messages a second" },
            initial: Initial::Unset { example: "100", meaning: "what [limits] says" },
        },
        Key {
            name: "max_byte_rate",
            text: "Bytes that each may send in a second. 0 = no limit.",
            kind: Kind::Size { min: 0, max: 1 << 30 },
            initial: Initial::Unset { example: "\"64KB\"", meaning: "what [limits] says" },
        },
        Key {
            name: "max_subscribe_rate",
            text: "Topic filters that each may subscribe to, or unsubscribe from, in a second. \
                   0 = no limit.",
            kind: Kind::Whole { min: 0, max: 1_000_000_000, unit: "topic filters a second" },
            initial: Initial::Unset { example: "20", meaning: "what [limits] says" },
        },
        Key {
            name: "mount_point",
            text: "What all topics of clients of this listener begin with, unseen by them: with \
                   \"site/a/\" their topic t is site/a/t to everybody else. It ends with a slash.",
            kind: Kind::Text,
            initial: Initial::Unset { example: "\"site/a/\"", meaning: "clients see all topics" },
        },
        Key {
            name: "tls",
            text: "TLS in front of what is spoken: a table of its own, see below.",
            kind: Kind::Table(&LISTENER_TLS),
            initial: Initial::Unset {
                example: "{ certfile = \"broker.pem\", keyfile = \"broker.key\" }",
                meaning: "no TLS",
            },
        },
    ],
};

pub(crate) static LISTENER_TLS: Section = Section {
    name: "listener.tls",
    form: Form::Within,
    text: "TLS of the listener above, also written as `tls = { … }` in it. The files are in PEM \
           form. They are read again a few seconds after they have changed, by `weir reload` and \
           on SIGHUP; clients stay connected unless their own certificate is revoked, and new \
           files that cannot be used leave the old ones in place.",
    keys: &[
        Key {
            name: "certfile",
            text: "Certificate of the broker, followed by those that lead to its authority.",
            kind: Kind::Path,
            initial: Initial::Required { example: "\"broker.pem\"" },
        },
        Key {
            name: "keyfile",
            text: "Its private key, without a password.",
            kind: Kind::Path,
            initial: Initial::Required { example: "\"broker.key\"" },
        },
        Key {
            name: "cafile",
            text: "Authorities whose certificates of clients are believed.",
            kind: Kind::Path,
            initial: Initial::Unset {
                example: "\"clients-ca.pem\"",
                meaning: "clients are not asked for a certificate",
            },
        },
        Key {
            name: "require_certificate",
            text: "Let in only clients with a certificate of `cafile`. With false a client may \
                   do without, but one that it has must be right.",
            kind: Kind::Flag,
            initial: Initial::Default("false"),
        },
        Key {
            name: "crlfile",
            text: "Revocation lists of the authorities in `cafile`. Then each of them must have \
                   one; its date of the next update is not looked at.",
            kind: Kind::Path,
            initial: Initial::Unset { example: "\"clients.crl\"", meaning: "nobody is revoked" },
        },
        Key {
            name: "use_identity_as_username",
            text: "The common name in the certificate of a client is its user name.",
            kind: Kind::Flag,
            initial: Initial::Default("false"),
        },
        Key {
            name: "use_subject_as_username",
            text: "The whole subject is, as in CN=node-7,O=Works.",
            kind: Kind::Flag,
            initial: Initial::Default("false"),
        },
        Key {
            name: "tls_version",
            text: "The oldest version of TLS that clients may speak.",
            kind: Kind::Choice(&TLS_VERSIONS),
            initial: Initial::Default("\"1.2\""),
        },
    ],
};
