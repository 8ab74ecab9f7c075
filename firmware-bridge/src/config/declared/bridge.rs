//! The keys of the bridge itself.

use weir_config::{Form, Initial, Key, Kind, Section};

use super::super::notation::{ADDRESS, LEVEL, TOPIC};

pub(crate) static BRIDGE: Section = Section {
    name: "bridge",
    form: Form::Table,
    text: "The bridge itself: where its topics are, and the broker it brings devices to.",
    keys: &[
        Key {
            name: "id",
            text: "Name of this bridge, the level of topics behind `root`. Two bridges at one \
                   broker need two names.",
            kind: LEVEL,
            initial: Initial::Default("\"gateway\""),
        },
        Key {
            name: "root",
            text: "Where all topics of the bridge start.",
            kind: TOPIC,
            initial: Initial::Default("\"edge\""),
        },
        Key {
            name: "layout",
            text: "`json`: one message for a sample, with all its quantities. `flat`: one message \
                   with a plain value for each quantity.",
            kind: Kind::Choice(&["json", "flat"]),
            initial: Initial::Default("\"json\""),
        },
        Key {
            name: "state_qos",
            text: "QoS of samples. With 0 a sample that finds no broker is lost.",
            kind: Kind::Whole { min: 0, max: 1, unit: "QoS" },
            initial: Initial::Default("1"),
        },
        Key {
            name: "state_retain",
            text: "Let the broker keep the latest sample for those who subscribe later.",
            kind: Kind::Flag,
            initial: Initial::Default("true"),
        },
        Key {
            name: "discovery",
            text: "Tell Home Assistant which devices there are.",
            kind: Kind::Choice(&["none", "homeassistant"]),
            initial: Initial::Default("\"none\""),
        },
        Key {
            name: "discovery_prefix",
            text: "Where Home Assistant looks for devices and says that it has started.",
            kind: TOPIC,
            initial: Initial::Default("\"homeassistant\""),
        },
        Key {
            name: "broker",
            text: "The broker, when the bridge runs as a program of its own. Without \
                   `[tls]` the connection is not encrypted.",
            kind: ADDRESS,
            initial: Initial::Default("\"127.0.0.1:1883\""),
        },
        Key {
            name: "username",
            text: "User name at the broker.",
            kind: Kind::Text,
            initial: Initial::Unset { example: "\"edge-box\"", meaning: "no user name" },
        },
        Key {
            name: "password_file",
            text: "File whose first line is the password. It should be readable by the user of \
                   the bridge only.",
            kind: Kind::Path,
            initial: Initial::Unset {
                example: "\"/etc/weir/bridge.password\"",
                meaning: "no password",
            },
        },
        Key {
            name: "data_dir",
            text: "Directory for what waits while the broker is away, and for the names of \
                   devices that have been announced.",
            kind: Kind::Path,
            initial: Initial::Unset {
                example: "\"/var/lib/weir-bridge\"",
                meaning: "kept in memory only",
            },
        },
        Key {
            name: "queue_max_mb",
            text: "Most that waits for the broker; then the oldest messages go.",
            kind: Kind::Whole { min: 1, max: 4_096, unit: "MB" },
            initial: Initial::Default("64"),
        },
        Key {
            name: "queue_max_age_s",
            text: "What has waited longer is dropped.",
            kind: Kind::Whole { min: 1, max: 31_536_000, unit: "seconds" },
            initial: Initial::Default("604_800"),
        },
        Key {
            name: "safe_after_s",
            text: "How long outputs stay as they are when the broker is lost. Then each goes to \
                   its `safe_state`.",
            kind: Kind::Seconds { min: 0.0, max: 86_400.0 },
            initial: Initial::Default("30"),
        },
        Key {
            name: "clock_wait_s",
            text: "How long samples are held back at the start of a machine whose clock is not \
                   set yet. Then they are published with the time since the start and \
                   `\"ts_src\":\"uptime\"`.",
            kind: Kind::Seconds { min: 0.0, max: 86_400.0 },
            initial: Initial::Default("120"),
        },
        Key {
            name: "metrics_s",
            text: "How often the counters of the bridge are published. 0 = never.",
            kind: Kind::Seconds { min: 0.0, max: 86_400.0 },
            initial: Initial::Default("60"),
        },
    ],
};
