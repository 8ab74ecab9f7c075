//! The keys of `[fleet]`.

use std::time::Duration;

use weir_config::{Form, Initial, Key, Kind, Section};

use super::super::notation::{ADDRESSES, FILTERS, PAUSES};
use super::{MB, TB, TOKEN, TOKEN_FILE, UPSTREAM_TLS, YEAR};

pub(crate) static FLEET: Section = Section {
    name: "fleet",
    form: Form::Table,
    text: "Other boxes that this one is joined with through a NATS server with JetStream: what is \
           published on one reaches those who want it on another, and retained messages are on all. \
           It is a feature of the build. See docs/fleet.md.",
    keys: &[
        Key {
            name: "address",
            text: "Where the NATS server is. Of several addresses the next one is tried when one \
                   fails.",
            kind: ADDRESSES,
            initial: Initial::Unset {
                example: "[\"nats.example.org:4222\"]",
                meaning: "this box is alone",
            },
        },
        Key {
            name: "name",
            text: "Name of this box, the only one of it in the fleet: letters, digits, `-` and `_`. \
                   It must not change, since what waits for this box waits under it.",
            kind: Kind::Text,
            initial: Initial::Unset { example: "\"hall-3\"", meaning: "the host name" },
        },
        Key {
            name: "prefix",
            text: "Name of the fleet, with which its subjects, its stream and its buckets begin. \
                   Boxes with another one are in another fleet.",
            kind: Kind::Text,
            initial: Initial::Default("\"weir\""),
        },
        Key {
            name: "filters",
            text: "Topics that are shared. Of others nothing leaves this box, and nothing is taken. \
                   Topics that begin with `$` never are.",
            kind: FILTERS,
            initial: Initial::Default("[\"#\"]"),
        },
        Key {
            name: "away_max",
            text: "How long messages are kept for a box that is away, in the stream and by the others.",
            kind: Kind::Duration { min: Duration::from_secs(60), max: YEAR },
            initial: Initial::Default("\"1h\""),
        },
        Key {
            name: "backlog_max_bytes",
            text: "Bytes for the others that wait on disk while the server is away; beyond it the \
                   oldest are dropped and counted.",
            kind: Kind::Size { min: 64 << 10, max: TB },
            initial: Initial::Default("\"128MB\""),
        },
        Key {
            name: "backlog_max_age",
            text: "What has waited longer is dropped and counted.",
            kind: Kind::Duration { min: Duration::from_secs(1), max: YEAR },
            initial: Initial::Unset { example: "\"7d\"", meaning: "it waits for ever" },
        },
        Key {
            name: "messages_max_bytes",
            text: "What the messages that wait for boxes may take at the server, when this box makes \
                   the stream. Beyond it they wait on the disk of their box.",
            kind: Kind::Size { min: MB, max: TB },
            initial: Initial::Default("\"1GB\""),
        },
        Key {
            name: "retained_max_bytes",
            text: "What the retained messages may take there, when this box makes their bucket.",
            kind: Kind::Size { min: MB, max: TB },
            initial: Initial::Default("\"256MB\""),
        },
        Key {
            name: "replicas",
            text: "Servers of a NATS cluster that have a copy each of what is stored there, when this \
                   box makes the stream and the buckets.",
            kind: Kind::Whole { min: 1, max: 5, unit: "servers" },
            initial: Initial::Default("1"),
        },
        Key {
            name: "restart_timeout",
            text: "Shortest and longest pause before the next attempt to connect.",
            kind: PAUSES,
            initial: Initial::Default("\"1s 30s\""),
        },
        Key {
            name: "username",
            text: "User name at the server.",
            kind: Kind::Text,
            initial: Initial::Unset { example: "\"hall-3\"", meaning: "none" },
        },
        Key {
            name: "password",
            text: "Password there. Better keep it in a file of its own.",
            kind: Kind::Secret,
            initial: Initial::Unset { example: "\"secret\"", meaning: "no password" },
        },
        Key {
            name: "password_file",
            text: "File whose first line is the password.",
            kind: Kind::Path,
            initial: Initial::Unset { example: "\"nats.password\"", meaning: "no password" },
        },
        Key {
            name: "creds_file",
            text: "Credentials file: the JWT of a user and the seed of its NKey, as nsc and Synadia \
                   Cloud write it. It is read for each connection.",
            kind: Kind::Path,
            initial: Initial::Unset { example: "\"hall-3.creds\"", meaning: "no JWT" },
        },
        Key {
            name: "nkey_file",
            text: "File with the seed of an NKey (SU…). It is read for each connection.",
            kind: Kind::Path,
            initial: Initial::Unset { example: "\"hall-3.nk\"", meaning: "no NKey" },
        },
        TOKEN,
        TOKEN_FILE,
        Key {
            name: "tls",
            text: "TLS to the server: a table of its own, see below.",
            kind: Kind::Table(&FLEET_TLS),
            initial: Initial::Unset { example: "{ cafile = \"nats-ca.pem\" }", meaning: "no TLS" },
        },
        Key {
            name: "inbox_prefix",
            text: "Where the subjects begin on which answers come; the user must be allowed to \
                   subscribe below it.",
            kind: Kind::Text,
            initial: Initial::Default("\"_INBOX\""),
        },
    ],
};

pub(crate) static FLEET_TLS: Section = Section {
    name: "fleet.tls",
    form: Form::Within,
    text: "TLS to the server of the fleet, also written as `tls = { … }` in `fleet`; `tls = {}` \
           believes the authorities of the system. The files are in PEM form and are read for each \
           connection.",
    keys: UPSTREAM_TLS.keys,
};
