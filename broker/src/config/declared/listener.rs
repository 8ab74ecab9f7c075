//! The keys of a listener.

use super::super::{
    key::{Form, Initial, Key, Kind, Section},
    listeners::Protocol,
};

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
            kind: Kind::Address,
            initial: Initial::Required { example: "\"127.0.0.1:1883\"" },
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
            kind: Kind::Mode,
            initial: Initial::Default("\"0660\""),
        },
        Key {
            name: "protocol",
            text: "What is spoken there: MQTT 3.1, 3.1.1 and 5.0.",
            kind: Kind::Choice(&Protocol::NAMES),
            initial: Initial::Default("\"mqtt\""),
        },
        Key {
            name: "max_connections",
            text: "Connections of this listener; more are closed at once. -1 = no limit.",
            kind: Kind::Whole { min: -1, max: 10_000_000, unit: "connections" },
            initial: Initial::Default("-1"),
        },
    ],
};
