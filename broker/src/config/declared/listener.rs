//! The keys of a listener.

use super::super::{
    key::{Form, Initial, Key, Kind, Section},
    listeners::{PROXY_PROTOCOLS, Protocol, TLS_VERSIONS},
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
           form. They are read again when they change and the next client comes; clients stay \
           connected, and new files that cannot be used leave the old ones in place.",
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
