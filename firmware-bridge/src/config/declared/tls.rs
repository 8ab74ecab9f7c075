//! The keys of TLS to the broker. They are called as those of an upstream of the broker.

use weir_config::{Form, Initial, Key, Kind, Section};

pub(crate) static TLS: Section = Section {
    name: "tls",
    form: Form::Table,
    text: "TLS to the broker, when the bridge runs as a program of its own; the port of `broker` is \
           then mostly 8883. An empty `[tls]` believes the authorities of the system. The files are \
           in PEM form; new ones are used from the next connection on.",
    keys: &[
        Key {
            name: "cafile",
            text: "Authorities whose certificate of the broker is believed.",
            kind: Kind::Path,
            initial: Initial::Unset {
                example: "\"broker-ca.pem\"",
                meaning: "those that the system believes",
            },
        },
        Key {
            name: "certfile",
            text: "Certificate that is shown to the broker, followed by those that lead to its \
                   authority. It needs `keyfile`.",
            kind: Kind::Path,
            initial: Initial::Unset { example: "\"bridge.pem\"", meaning: "no certificate" },
        },
        Key {
            name: "keyfile",
            text: "Its private key, without a password.",
            kind: Kind::Path,
            initial: Initial::Unset { example: "\"bridge.key\"", meaning: "no certificate" },
        },
        Key {
            name: "server_name",
            text: "Name that the certificate of the broker is for, where it is not that in `broker`.",
            kind: Kind::Text,
            initial: Initial::Unset {
                example: "\"broker.example\"",
                meaning: "the host in `broker`",
            },
        },
        Key {
            name: "insecure",
            text: "Believe a certificate of a known authority that is for any other name. Whoever has \
                   a certificate of that authority can be the broker then.",
            kind: Kind::Flag,
            initial: Initial::Default("false"),
        },
        Key {
            name: "tls_version",
            text: "The oldest version of TLS that may be spoken.",
            kind: Kind::Choice(&["1.2", "1.3"]),
            initial: Initial::Default("\"1.2\""),
        },
    ],
};
