//! The keys of `[admin]`.

use weir_config::{Form, Initial, Key, Kind, Section};

use super::super::listeners::TLS_VERSIONS;
use super::super::notation::{ADDRESS, HOST_NAMES};

pub(crate) static ADMIN: Section = Section {
    name: "admin",
    form: Form::Table,
    text: "An HTTP server for `weir status`, health checks, metrics and the API. On this machine it \
           tells figures to everybody; who wants to see clients, topics or payloads, or to change \
           something, needs a token, and from other machines everybody does. See docs/api.md.",
    keys: &[
        Key {
            name: "address",
            text: "Where it listens.",
            kind: ADDRESS,
            initial: Initial::Unset { example: "\"127.0.0.1:8080\"", meaning: "no admin server" },
        },
        Key {
            name: "tokens_file",
            text: "Who may use it, with a role and the hash of a token each, as weir token writes \
                   them. Read again by `weir reload` and on SIGHUP.",
            kind: Kind::Path,
            initial: Initial::Unset {
                example: "\"tokens\"",
                meaning: "only who can read admin.key in the data directory",
            },
        },
        Key {
            name: "host_names",
            text: "Names under which browsers reach it, besides addresses and `localhost`. Another \
                   name in a request without a token is refused: it may be that of a page which \
                   is not ours.",
            kind: HOST_NAMES,
            initial: Initial::Unset { example: "[\"gateway.local\"]", meaning: "no other names" },
        },
        Key {
            name: "tls",
            text: "TLS: a table of its own, see below.",
            kind: Kind::Table(&ADMIN_TLS),
            initial: Initial::Unset {
                example: "{ certfile = \"admin.pem\", keyfile = \"admin.key.pem\" }",
                meaning: "no TLS",
            },
        },
    ],
};

pub(crate) static ADMIN_TLS: Section = Section {
    name: "admin.tls",
    form: Form::Within,
    text: "TLS of the admin server, also written as `tls = { … }` in `admin`. The files are in PEM \
           form. They are read again a few seconds after they have changed, by `weir reload` and \
           on SIGHUP; new files that cannot be used leave the old ones in place.",
    keys: &[
        Key {
            name: "certfile",
            text: "Its certificate, followed by those that lead to its authority.",
            kind: Kind::Path,
            initial: Initial::Required { example: "\"admin.pem\"" },
        },
        Key {
            name: "keyfile",
            text: "Its private key, without a password.",
            kind: Kind::Path,
            initial: Initial::Required { example: "\"admin.key.pem\"" },
        },
        Key {
            name: "cafile",
            text: "Authorities whose certificates of clients are believed. A token is needed all \
                   the same.",
            kind: Kind::Path,
            initial: Initial::Unset {
                example: "\"admins-ca.pem\"",
                meaning: "clients are not asked for a certificate",
            },
        },
        Key {
            name: "require_certificate",
            text: "Talk only with clients that have a certificate of `cafile`.",
            kind: Kind::Flag,
            initial: Initial::Default("false"),
        },
        Key {
            name: "crlfile",
            text: "Revocation lists of the authorities in `cafile`.",
            kind: Kind::Path,
            initial: Initial::Unset { example: "\"admins.crl\"", meaning: "nobody is revoked" },
        },
        Key {
            name: "tls_version",
            text: "The oldest version of TLS that clients may speak.",
            kind: Kind::Choice(&TLS_VERSIONS),
            initial: Initial::Default("\"1.2\""),
        },
    ],
};
