//! Every key of the configuration, declared once: name, meaning, form, range and default. The
//! defaults in memory, the reading, `config/weir.toml` and `docs/configuration.md` come from here.

mod admin;
mod fleet;
mod limits;
mod listener;
mod route;
mod upstream;

pub(crate) use admin::{ADMIN, ADMIN_TLS};
pub(crate) use fleet::{FLEET, FLEET_TLS};
pub(crate) use limits::LIMITS;
pub(crate) use listener::{LISTENER, LISTENER_TLS};
pub(crate) use route::ROUTE;
use upstream::{TOKEN, TOKEN_FILE};
pub(crate) use upstream::{
    UPSTREAM, UPSTREAM_AMQP, UPSTREAM_HTTP, UPSTREAM_KAFKA, UPSTREAM_NATS, UPSTREAM_TLS,
};

use std::time::Duration;

use weir_config::{Declared, Form, Initial, Key, Kind, Limits, Section};

use super::code::CODES;
use super::notation::URLS;
use super::settings::{DurabilityLevel, LogLevel, OnDamage};

const KB: u64 = 1 << 10;
const MB: u64 = 1 << 20;
const GB: u64 = 1 << 30;
const TB: u64 = 1 << 40;
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// Keys of other versions and of the plan, so that a message can say more than "unknown".
const LATER: [&str; 1] = ["auth.hook"];

/// The sections in the order of the file.
pub(crate) static SECTIONS: [&Section; 21] = [
    &TOP,
    &LISTENER,
    &LISTENER_TLS,
    &AUTH,
    &JWT,
    &HTTP,
    &STORE,
    &DURABILITY,
    &HISTORY,
    &LIMITS,
    &LOG,
    &ADMIN,
    &ADMIN_TLS,
    &UPSTREAM,
    &UPSTREAM_TLS,
    &UPSTREAM_HTTP,
    &UPSTREAM_NATS,
    &UPSTREAM_AMQP,
    &UPSTREAM_KAFKA,
    &FLEET,
    &FLEET_TLS,
];

/// All of it.
pub(crate) static DECLARED: Declared = Declared {
    sections: &SECTIONS,
    codes: CODES,
    // A text of MQTT has no more bytes.
    limits: Limits { text_bytes: 65_535, elements: 10_000, entries: 10_000 },
    later: &LATER,
    service: "weir.service",
};

pub(crate) static TOP: Section = Section {
    name: "",
    form: Form::Top,
    text: "Where data is kept and which rules run. A relative path starts at this file.",
    keys: &[
        Key {
            name: "data_dir",
            text: "Directory of the store: retained messages, sessions, queued messages and the \
                   state of the rules. It is created when it does not exist.",
            kind: Kind::Path,
            initial: Initial::Default("\"/var/lib/weir\""),
        },
        Key {
            name: "rules",
            text: "Files with stream rules.",
            kind: Kind::List { of: &Kind::Glob, least: 0 },
            initial: Initial::Unset { example: "[\"rules/*.toml\"]", meaning: "no rules" },
        },
        Key {
            name: "persistence",
            text: "Keep what was acknowledged over a restart or a power cut. With false \
                   everything is kept in memory only.",
            kind: Kind::Flag,
            initial: Initial::Default("true"),
        },
        Key {
            name: "sys_interval",
            text: "How often what has changed below $SYS/broker is published: what the broker \
                   says about itself. 0 = never.",
            kind: Kind::Whole { min: 0, max: 86_400, unit: "seconds" },
            initial: Initial::Default("10"),
        },
        Key {
            name: "bridge",
            text: "The file of the bridge for devices that cannot speak MQTT, which then runs inside \
                   this process: sensors and outputs of this machine, Modbus, and nodes that speak \
                   MQTT-SN (docs/devices-configuration.md). Its devices have sessions of this broker; \
                   it needs no `broker` and no passwords. For \
                   `acl_file` the bridge is the user `bridge`, unless its file names another one.",
            kind: Kind::Path,
            initial: Initial::Unset { example: "\"bridge.toml\"", meaning: "there is none" },
        },
        Key {
            name: "clock_file",
            text: "For a machine without a clock that goes on without power: a file that is there \
                   once its clock is set. systemd-timesyncd makes the one of the example. Until it is \
                   there, rules do not hold time stamps against the clock, what they send has the \
                   user property clock = unset, and no history drops what is too old.",
            kind: Kind::Path,
            initial: Initial::Unset {
                example: "\"/run/systemd/timesync/synchronized\"",
                meaning: "the clock is right from the start",
            },
        },
        Key {
            name: "shards",
            text: "Threads that serve clients. Each has some of them, so one alone is cheapest until \
                   it has too much to do. Kept sessions stay with theirs: there are never fewer \
                   than have some.",
            kind: Kind::Whole { min: 1, max: 64, unit: "threads" },
            initial: Initial::Unset { example: "2", meaning: "a quarter of the cores, at least 1" },
        },
    ],
};

pub(crate) static AUTH: Section = Section {
    name: "auth",
    form: Form::Table,
    text: "Who may connect, and what they may do. The files are read again by `weir reload` and on \
           SIGHUP.",
    keys: &[
        Key {
            name: "allow_anonymous",
            text: "Let clients in without a user name.",
            kind: Kind::Flag,
            initial: Initial::Unset {
                example: "false",
                meaning: "true when no listener is configured, false otherwise",
            },
        },
        Key {
            name: "password_file",
            text: "Users and the hashes of their passwords, or keys of SCRAM, as mosquitto_passwd \
                   or weir passwd writes them.",
            kind: Kind::Path,
            initial: Initial::Unset { example: "\"passwords\"", meaning: "no user has a password" },
        },
        Key {
            name: "acl_file",
            text: "Which topics users may read and write, in the form of mosquitto. What no line \
                   allows is denied.",
            kind: Kind::Path,
            initial: Initial::Unset { example: "\"acl\"", meaning: "everybody may do everything" },
        },
        Key {
            name: "max_failures",
            text: "Wrong passwords from one address until it is banned. 0 = it never is.",
            kind: Kind::Whole { min: 0, max: 1_000_000, unit: "failures" },
            initial: Initial::Default("10"),
        },
        Key {
            name: "ban",
            text: "How long a banned address cannot connect with a password, and how long a wrong \
                   password is remembered.",
            kind: Kind::Duration { min: Duration::from_secs(1), max: YEAR },
            initial: Initial::Default("\"10m\""),
        },
    ],
};

pub(crate) static JWT: Section = Section {
    name: "auth.jwt",
    form: Form::Table,
    text: "JSON Web Tokens that clients send in the place of a password. One of the two files turns \
           them on.",
    keys: &[
        Key {
            name: "key_file",
            text: "Public key that checks them, in PEM form: RSA (RS256), P-256 (ES256) or Ed25519 \
                   (EdDSA).",
            kind: Kind::Path,
            initial: Initial::Unset { example: "\"jwt.pem\"", meaning: "no public key" },
        },
        Key {
            name: "secret_file",
            text: "Secret that checks them (HS256), in one line of at least 32 bytes.",
            kind: Kind::Path,
            initial: Initial::Unset { example: "\"jwt.secret\"", meaning: "no secret" },
        },
        Key {
            name: "username_claim",
            text: "Claim with the user name.",
            kind: Kind::Text,
            initial: Initial::Default("\"sub\""),
        },
        Key {
            name: "acl_claim",
            text: "Claim with a list of what the user may do, each as behind topic in an ACL file.",
            kind: Kind::Text,
            initial: Initial::Unset { example: "\"acl\"", meaning: "only acl_file says so" },
        },
        Key {
            name: "issuer",
            text: "Value that the claim iss must have.",
            kind: Kind::Text,
            initial: Initial::Unset { example: "\"https://ca.example.org\"", meaning: "any" },
        },
        Key {
            name: "audience",
            text: "Value that the claim aud must have, or have among others.",
            kind: Kind::Text,
            initial: Initial::Unset { example: "\"weir\"", meaning: "any" },
        },
    ],
};

pub(crate) static HTTP: Section = Section {
    name: "auth.http",
    form: Form::Table,
    text: "A service of yours that is asked about clients that the files do not know: who may \
           connect, and what they may do. What it does not answer is refused.",
    keys: &[
        Key {
            name: "url",
            text: "Where it is asked with POST. Of several the next is asked when one fails.",
            kind: URLS,
            initial: Initial::Unset {
                example: "\"http://127.0.0.1:8080/mqtt\"",
                meaning: "nobody is asked",
            },
        },
        Key {
            name: "ca_file",
            text: "Certificates, in PEM form, of those who sign the certificate of a service with \
                   https.",
            kind: Kind::Path,
            initial: Initial::Unset { example: "\"ca.pem\"", meaning: "https cannot be used" },
        },
        Key {
            name: "timeout",
            text: "How long an answer may take, at all addresses together.",
            kind: Kind::Duration { min: Duration::from_millis(100), max: Duration::from_secs(60) },
            initial: Initial::Default("\"5s\""),
        },
        Key {
            name: "ttl",
            text: "How long an answer holds: for the same client when it connects again, and until \
                   the service is asked again about one that is connected.",
            kind: Kind::Duration { min: Duration::from_secs(1), max: YEAR },
            initial: Initial::Default("\"30s\""),
        },
        Key {
            name: "grace",
            text: "How long a client that is connected goes on when the service does not answer \
                   after that.",
            kind: Kind::Duration { min: Duration::ZERO, max: YEAR },
            initial: Initial::Default("\"5m\""),
        },
        Key {
            name: "cache_size",
            text: "Answers that are remembered; beyond it the oldest are forgotten.",
            kind: Kind::Whole { min: 0, max: 1_000_000, unit: "answers" },
            initial: Initial::Default("10000"),
        },
    ],
};

pub(crate) static STORE: Section = Section {
    name: "store",
    form: Form::Table,
    text: "The store on disk.",
    keys: &[
        Key {
            name: "cache_bytes",
            text: "Memory for pages of the store.",
            kind: Kind::Size { min: MB, max: GB },
            initial: Initial::Default("\"8MB\""),
        },
        Key {
            name: "durability",
            text: "When a QoS 1 or 2 message is acknowledged whose topic has no level of its own \
                   in [[durability]]. commit: when it is on disk. relaxed: at once; it is on disk \
                   flush_interval later. upstream: when the upstreams that it is forwarded to have \
                   acknowledged it; it is never written. none: at once; it is never written. See \
                   docs/durability.md.",
            kind: Kind::Choice(&DurabilityLevel::NAMES),
            initial: Initial::Default("\"commit\""),
        },
        Key {
            name: "flush_interval",
            text: "How long what nobody waits for may be put off: relaxed messages, and what \
                   subscribers and upstreams have acknowledged. A power cut loses as much of it.",
            kind: Kind::Duration { min: Duration::from_millis(10), max: Duration::from_secs(60) },
            initial: Initial::Default("\"1s\""),
        },
        Key {
            name: "upstream_memory",
            text: "Memory for messages of level upstream that no upstream has acknowledged. Beyond \
                   it they are written, as at level commit.",
            kind: Kind::Size { min: 0, max: GB },
            initial: Initial::Default("\"4MB\""),
        },
        Key {
            name: "group_commit_max_delay",
            text: "A commit begins no sooner than so long after the one before has begun. A \
                   message that comes alone is not delayed; a stream is written in fewer and larger \
                   groups, which spares the flash: at 1,000 messages a second 50ms make groups of \
                   50.",
            kind: Kind::Duration { min: Duration::ZERO, max: Duration::from_secs(1) },
            initial: Initial::Default("\"0s\""),
        },
        Key {
            name: "max_store_bytes",
            text: "What queued and retained messages, sessions, subscriptions and the state of \
                   rules may take in the store. Beyond it what would have to be kept is refused \
                   (0x97) until there is room again. 0 = no limit.",
            kind: Kind::Size { min: 0, max: TB },
            initial: Initial::Default("\"256MB\""),
        },
        Key {
            name: "min_free_disk",
            text: "What stays free on the disk of data_dir. With less, what would have to be kept \
                   is refused in the same way. 0 = no limit.",
            kind: Kind::Size { min: 0, max: TB },
            initial: Initial::Default("\"64MB\""),
        },
        Key {
            name: "on_damage",
            text: "What a start does with a store that is damaged. salvage: what can be read goes \
                   into a new store, the damaged file is put aside with a report. refuse: it does \
                   not start.",
            kind: Kind::Choice(&OnDamage::NAMES),
            initial: Initial::Default("\"salvage\""),
        },
    ],
};

pub(crate) static DURABILITY: Section = Section {
    name: "durability",
    form: Form::List,
    text: "How durable the messages of some topics are before they are acknowledged; the first \
           filter that matches decides.",
    keys: &[
        Key {
            name: "filter",
            text: "Topic filter, of whole topics: what a listener puts in front of them is part of \
                   it.",
            kind: Kind::Text,
            initial: Initial::Required { example: "\"sensors/raw/#\"" },
        },
        Key {
            name: "level",
            text: "As durability in [store].",
            kind: Kind::Choice(&DurabilityLevel::NAMES),
            initial: Initial::Required { example: "\"relaxed\"" },
        },
    ],
};

pub(crate) static HISTORY: Section = Section {
    name: "history",
    form: Form::List,
    text: "Messages that are kept for a while after they were delivered: clients read them with \
           `$history/<seconds>/<filter>`, and `weir rules replay` runs rules over them. A message \
           belongs to the first filter that matches. At most 16 of them.",
    keys: &[
        Key {
            name: "filter",
            text: "Topic filter, of whole topics: what a listener puts in front of them is part of \
                   it.",
            kind: Kind::Text,
            initial: Initial::Required { example: "\"sensors/#\"" },
        },
        Key {
            name: "max_bytes",
            text: "What the messages may take on disk; beyond it the oldest go.",
            kind: Kind::Size { min: MB, max: TB },
            initial: Initial::Default("\"64MB\""),
        },
        Key {
            name: "max_age",
            text: "How long a message is kept at least, if there is room. It goes a sixteenth \
                   later, or when others of its file may.",
            kind: Kind::Duration { min: Duration::from_secs(60), max: YEAR },
            initial: Initial::Default("\"1d\""),
        },
    ],
};

pub(crate) static LOG: Section = Section {
    name: "log",
    form: Form::Table,
    text: "The log goes to stderr. The environment variable WEIR_LOG goes before this section \
           and may name a level for each part, as in WEIR_LOG=warn,weir_broker::upstream=debug.",
    keys: &[Key {
        name: "level",
        text: "error: data was lost or someone must act. warn: odd, but handled. info: start, \
               stop, upstreams. debug: each connection. trace: each packet.",
        kind: Kind::Choice(&LogLevel::NAMES),
        initial: Initial::Default("\"info\""),
    }],
};
