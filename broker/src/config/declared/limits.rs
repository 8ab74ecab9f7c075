//! The keys of `[limits]`.

use std::time::Duration;

use weir_config::{Form, Initial, Key, Kind, Section};

use super::super::settings::{QueueFull, ShareStrategy};
use super::{GB, KB, MB, TB, YEAR};

pub(crate) static LIMITS: Section = Section {
    name: "limits",
    form: Form::Table,
    text: "Limits for each client and for the whole broker.",
    keys: &[
        Key {
            name: "max_inflight_messages",
            text: "QoS 1 and 2 messages that are under way to or from one client at a time.",
            kind: Kind::Whole { min: 1, max: 65_535, unit: "messages" },
            initial: Initial::Default("100"),
        },
        Key {
            name: "max_inflight_bytes",
            text: "Bytes of the QoS 1 and 2 messages that are under way to one client at a time; a \
                   message that is larger goes by itself. 0 = no limit.",
            kind: Kind::Size { min: 0, max: GB },
            initial: Initial::Default("0"),
        },
        Key {
            name: "max_packet_size",
            text: "Largest packet a client may send. The connection of a larger one is closed \
                   before its payload is stored in memory.",
            kind: Kind::Size { min: KB, max: 256 * MB },
            initial: Initial::Default("\"2MB\""),
        },
        Key {
            name: "max_topic_alias",
            text: "Topic aliases that a client may use.",
            kind: Kind::Whole { min: 0, max: 65_535, unit: "aliases" },
            initial: Initial::Default("10"),
        },
        Key {
            name: "max_topic_alias_broker",
            text: "Topic aliases that Weir uses towards a client, if the client takes as many.",
            kind: Kind::Whole { min: 0, max: 1_000, unit: "aliases" },
            initial: Initial::Default("10"),
        },
        Key {
            name: "max_qos",
            text: "Highest QoS of messages from clients and of their subscriptions. MQTT 5 \
                   clients are told.",
            kind: Kind::Whole { min: 0, max: 2, unit: "QoS" },
            initial: Initial::Default("2"),
        },
        Key {
            name: "upgrade_outgoing_qos",
            text: "Send every message at the QoS of the subscription, also if it was published at \
                   a lower one. MQTT does not provide for that. Until a client has come back after \
                   a restart of the broker, what [limits] says holds for its session.",
            kind: Kind::Flag,
            initial: Initial::Default("false"),
        },
        Key {
            name: "retain_available",
            text: "Let clients retain messages. With false a client that tries is disconnected \
                   and no retained message is sent; MQTT 5 clients are told.",
            kind: Kind::Flag,
            initial: Initial::Default("true"),
        },
        Key {
            name: "shared_subscription_strategy",
            text: "Which member of a shared subscription gets a message: one after the other, \
                   the one with the fewest messages under way and waiting, the same for as long \
                   as it is there, or the same for each publisher or topic. Members that are \
                   connected go before those that are not.",
            kind: Kind::Choice(&ShareStrategy::NAMES),
            initial: Initial::Default("\"round_robin\""),
        },
        Key {
            name: "response_information",
            text: "What MQTT 5 clients that ask for it are told to begin their response topics \
                   with; {client} is the client identifier.",
            kind: Kind::Text,
            initial: Initial::Unset { example: "\"response/{client}\"", meaning: "nothing" },
        },
        Key {
            name: "max_keepalive",
            text: "Longest keep alive of a client; MQTT 5 clients are told. 0 = no limit.",
            kind: Kind::Whole { min: 0, max: 65_535, unit: "seconds" },
            initial: Initial::Default("0"),
        },
        Key {
            name: "max_queued_messages",
            text: "Messages that wait for one client, on disk. 0 = no limit.",
            kind: Kind::Whole { min: 0, max: 100_000_000, unit: "messages" },
            initial: Initial::Default("100000"),
        },
        Key {
            name: "max_queued_bytes",
            text: "Bytes that wait for one client, on disk; whichever limit is reached first \
                   holds. 0 = no limit.",
            kind: Kind::Size { min: 0, max: TB },
            initial: Initial::Default("\"16MB\""),
        },
        Key {
            name: "queue_full",
            text: "What happens at these limits: drop the new message, drop the oldest one, or \
                   disconnect the client.",
            kind: Kind::Choice(&QueueFull::NAMES),
            initial: Initial::Default("\"drop_new\""),
        },
        Key {
            name: "max_send_buffer",
            text: "Bytes that wait in memory for a slow client that is connected. QoS 0 \
                   messages beyond it are dropped and counted.",
            kind: Kind::Size { min: 4 * KB, max: 256 * MB },
            initial: Initial::Default("\"256KB\""),
        },
        Key {
            name: "persistent_client_expiration",
            text: "A session that was not used for so long is removed. 0s = never.",
            kind: Kind::Duration { min: Duration::ZERO, max: YEAR },
            initial: Initial::Default("\"14d\""),
        },
        Key {
            name: "global_max_clients",
            text: "Sessions of the whole broker, with those whose client is away. -1 = no limit.",
            kind: Kind::Whole { min: -1, max: 10_000_000, unit: "clients" },
            initial: Initial::Default("-1"),
        },
        Key {
            name: "queue_qos0_messages",
            text: "Whether QoS 0 messages wait for clients that are away and have a kept session. \
                   They wait in memory and do not survive a restart.",
            kind: Kind::Flag,
            initial: Initial::Default("false"),
        },
        Key {
            name: "global_max_connections",
            text: "Connections of the whole broker. -1 = no limit.",
            kind: Kind::Whole { min: -1, max: 10_000_000, unit: "connections" },
            initial: Initial::Default("-1"),
        },
        Key {
            name: "connect_timeout",
            text: "A connection that has not sent CONNECT by then is closed.",
            kind: Kind::Duration { min: Duration::from_millis(100), max: Duration::from_secs(600) },
            initial: Initial::Default("\"10s\""),
        },
        Key {
            name: "topic_levels",
            text: "Most levels of a topic or filter.",
            kind: Kind::Whole { min: 1, max: 1_000, unit: "levels" },
            initial: Initial::Default("128"),
        },
        Key {
            name: "max_topic_bytes",
            text: "Longest topic or filter.",
            kind: Kind::Whole { min: 16, max: 65_535, unit: "bytes" },
            initial: Initial::Default("4096"),
        },
        Key {
            name: "max_subscriptions",
            text: "Subscriptions of one client, and the memory that they may take: as much as that \
                   many of 4 KiB.",
            kind: Kind::Whole { min: 1, max: 1_000_000, unit: "subscriptions" },
            initial: Initial::Default("10000"),
        },
        Key {
            name: "max_message_rate",
            text: "Messages that one client may publish in a second. A client over this or one of the \
                   next two is not disconnected but read more slowly, so that nothing of it is \
                   lost; after a pause it may send what a second allows at once. 0 = no limit.",
            kind: Kind::Whole { min: 0, max: 1_000_000_000, unit: "messages a second" },
            initial: Initial::Default("0"),
        },
        Key {
            name: "max_byte_rate",
            text: "Bytes that one client may send in a second. 0 = no limit.",
            kind: Kind::Size { min: 0, max: GB },
            initial: Initial::Default("0"),
        },
        Key {
            name: "max_subscribe_rate",
            text: "Topic filters that one client may subscribe to, or unsubscribe from, in a second. 0 = no limit.",
            kind: Kind::Whole { min: 0, max: 1_000_000_000, unit: "topic filters a second" },
            initial: Initial::Default("0"),
        },
        Key {
            name: "max_retained_messages",
            text: "Retained messages of the whole broker.",
            kind: Kind::Whole { min: 0, max: 100_000_000, unit: "messages" },
            initial: Initial::Default("1000000"),
        },
        Key {
            name: "dead_letter",
            text: "Topic below which a message is published that a client should have got and has \
                   not, as dead_letter/client/topic: it expired, a queue was full, the client has \
                   refused it, or it was too large for it.",
            kind: Kind::Text,
            initial: Initial::Unset { example: "\"$dead\"", meaning: "no dead letters" },
        },
        Key {
            name: "max_delayed_messages",
            text: "Messages of the whole broker that wait for their time, published to \
                   $delayed/seconds/topic. 0 = none are taken.",
            kind: Kind::Whole { min: 0, max: 10_000_000, unit: "messages" },
            initial: Initial::Default("10000"),
        },
        Key {
            name: "max_delay",
            text: "Longest time that a message may wait there.",
            kind: Kind::Duration { min: Duration::from_secs(1), max: YEAR },
            initial: Initial::Default("\"7d\""),
        },
        Key {
            name: "memory_limit",
            text: "Memory of the process, without what rules may take (limits.memory of each \
                   rule). Near it QoS 0 to slow clients is dropped (from 70 of 100 on), then \
                   queues stay on disk and new retained topics, subscriptions and delayed \
                   messages are refused (85), then clients are refused (100). 0 = no limit.",
            kind: Kind::Size { min: 0, max: 64 * GB },
            initial: Initial::Default("\"128MB\""),
        },
        Key {
            name: "queued_memory",
            text: "Memory of the whole broker for queued messages, at most what memory_limit leaves \
                   beside 24MB and cache_bytes. From half of it on, those of \
                   kept sessions stay on disk until their client takes them; beyond it, what has \
                   to stay in memory (sessions that are not kept, shared subscriptions, anything \
                   without persistence) is dropped as from a full queue.",
            kind: Kind::Size { min: MB, max: 64 * GB },
            initial: Initial::Default("\"64MB\""),
        },
    ],
};
