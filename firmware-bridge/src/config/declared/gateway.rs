//! The keys of the MQTT-SN gateway: its links, and the nodes behind them.

use weir_config::{Form, Initial, Key, Kind, Section};

use super::super::notation::{ADDRESS, GRANTS, NODE_TOPIC};

pub(crate) static LINK: Section = Section {
    name: "link",
    form: Form::List,
    text: "A link on which nodes speak MQTT-SN 1.2: a UDP port or a serial line.",
    keys: &[
        Key {
            name: "kind",
            text: "What the link is.",
            kind: Kind::Choice(&["udp", "serial"]),
            initial: Initial::Required { example: "\"udp\"" },
        },
        Key {
            name: "bind",
            text: "Address of a UDP link. Everything but this machine is kept out unless it says \
                   otherwise: MQTT-SN has no passwords.",
            kind: ADDRESS,
            initial: Initial::Default("\"127.0.0.1:1885\""),
        },
        Key {
            name: "path",
            text: "Device of a serial link.",
            kind: Kind::Path,
            initial: Initial::Unset { example: "\"/dev/ttyUSB0\"", meaning: "a UDP link" },
        },
        Key {
            name: "baud",
            text: "Speed of a serial link.",
            kind: Kind::Whole { min: 300, max: 4_000_000, unit: "baud" },
            initial: Initial::Default("115_200"),
        },
        Key {
            name: "framing",
            text: "Frames of a serial link: `cobs` has a checksum and finds the next frame after \
                   a disturbance, `raw` is the length of MQTT-SN alone.",
            kind: Kind::Choice(&["cobs", "raw"]),
            initial: Initial::Default("\"cobs\""),
        },
        Key {
            name: "advertise_s",
            text: "How often the gateway says on the link that it is there. 0 = never.",
            kind: Kind::Whole { min: 0, max: 65_535, unit: "seconds" },
            initial: Initial::Default("0"),
        },
        Key {
            name: "multicast",
            text: "Group of a UDP link for what concerns all nodes.",
            kind: ADDRESS,
            initial: Initial::Unset { example: "\"239.255.18.85:1885\"", meaning: "no group" },
        },
        Key {
            name: "sources",
            text: "Addresses that may speak on a UDP link, as address/bits.",
            kind: Kind::Text,
            initial: Initial::Unset { example: "\"192.168.7.0/24\"", meaning: "any" },
        },
        Key {
            name: "publish_without_connection",
            text: "Take messages of QoS -1: from anybody, without a connection, with predefined \
                   and short topics.",
            kind: Kind::Flag,
            initial: Initial::Default("false"),
        },
    ],
};

pub(crate) static PREDEFINED: Section = Section {
    name: "predefined",
    form: Form::List,
    text: "A topic id that nodes know without registration.",
    keys: &[
        Key {
            name: "id",
            text: "The topic id.",
            kind: Kind::Whole { min: 1, max: 65_534, unit: "" },
            initial: Initial::Required { example: "1" },
        },
        Key {
            name: "topic",
            text: "The topic it stands for. Behind `$age/` its messages begin with how old they are.",
            kind: NODE_TOPIC,
            initial: Initial::Required { example: "\"edge/node/state\"" },
        },
        Key {
            name: "client",
            text: "Client id of the node it is for, `*` for all.",
            kind: Kind::Text,
            initial: Initial::Default("\"*\""),
        },
    ],
};

pub(crate) static NODE: Section = Section {
    name: "node",
    form: Form::List,
    text: "A node that may connect. Without any, every node may.",
    keys: &[
        Key {
            name: "client_id",
            text: "Its client id.",
            kind: Kind::Text,
            initial: Initial::Required { example: "\"meter-1\"" },
        },
        Key {
            name: "user",
            text: "User name at the broker for this node.",
            kind: Kind::Text,
            initial: Initial::Unset { example: "\"meters\"", meaning: "that of the bridge" },
        },
        Key {
            name: "acl",
            text: "What the node may do, beside what the broker allows.",
            kind: GRANTS,
            initial: Initial::Unset {
                example: "[\"write edge/meter-1/#\"]",
                meaning: "whatever the broker allows",
            },
        },
        Key {
            name: "sleep_tolerance",
            text: "By which share a node may sleep longer than it said.",
            kind: Kind::Number { min: 0.0, max: 10.0, unit: "" },
            initial: Initial::Unset { example: "0.5", meaning: "as for the keep-alive time" },
        },
    ],
};
