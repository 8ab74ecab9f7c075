//! The keys of an entry of `forward` and `receive`.

use weir_config::{Form, Initial, Key, Kind, Section};

use super::super::Priority;

pub(crate) static ROUTE: Section = Section {
    name: "route",
    form: Form::WithinList,
    text: "One way of messages.",
    keys: &[
        Key {
            name: "from",
            text: "Topic filter of the messages.",
            kind: Kind::Text,
            initial: Initial::Required { example: "\"agg/#\"" },
        },
        Key {
            name: "to",
            text: "Their topic on the other side.",
            kind: Kind::Text,
            initial: Initial::Default("\"{topic}\""),
        },
        Key {
            name: "qos",
            text: "The highest QoS they travel with.",
            kind: Kind::Whole { min: 0, max: 2, unit: "" },
            initial: Initial::Default("1"),
        },
        Key {
            name: "priority",
            text: "Before what else they are sent.",
            kind: Kind::Choice(&Priority::NAMES),
            initial: Initial::Default("\"normal\""),
        },
    ],
};
