//! The limits and levels of the configuration, as a core has them.

use weir_core::{
    ClientRates, Durability, DurabilityLevels, Limits, ListenerLimits, QueueFull, ShareStrategy,
};
use weir_mqtt::QoS;

use crate::config::{self, Config};

/// Those of one of several shards: each has its part of the memory.
pub(crate) fn of_shard(config: &Config, shards: u8) -> Limits {
    let from = &config.limits;
    let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let part = |bytes: usize| bytes / usize::from(shards);
    let queued_memory = part(bytes(from.memory_for_queues(config.store.cache_bytes)));
    Limits {
        listeners: config
            .listeners
            .iter()
            .map(|listener| listener_limits(listener, from))
            // Those of connections from inside the process are the last ones.
            .chain([inside(from), watching(from)])
            .collect(),
        durability: durability(config),
        history: config.history.iter().map(|history| history.filter.as_str().into()).collect(),
        held_bytes_max: bytes(config.store.upstream_memory),
        allow_anonymous: config.auth.allow_anonymous,
        authentication: config.auth.checks_credentials(),
        connect_timeout_ms: u64::try_from(from.connect_timeout.as_millis()).unwrap_or(u64::MAX),
        packet_bytes_max: from.max_packet_size as usize,
        inflight_messages_max: from.max_inflight_messages,
        inflight_bytes_max: bytes(from.max_inflight_bytes.unwrap_or(0)),
        topic_aliases_max: from.max_topic_alias,
        outbound_topic_aliases_max: from.max_topic_alias_broker,
        qos_max: QoS::try_from(from.max_qos).unwrap_or(QoS::ExactlyOnce),
        upgrades_qos: from.upgrade_outgoing_qos,
        retain_available: from.retain_available,
        share_strategy: match from.shared_subscription_strategy {
            config::ShareStrategy::HashClient => ShareStrategy::HashClient,
            config::ShareStrategy::HashTopic => ShareStrategy::HashTopic,
            config::ShareStrategy::LeastInflight => ShareStrategy::LeastInflight,
            config::ShareStrategy::RoundRobin => ShareStrategy::RoundRobin,
            config::ShareStrategy::Sticky => ShareStrategy::Sticky,
        },
        response_information: from.response_information.clone(),
        keep_alive_s_max: from.max_keepalive.unwrap_or(0),
        queued_messages_max: from.max_queued_messages.unwrap_or(0) as usize,
        queued_bytes_max: bytes(from.max_queued_bytes.unwrap_or(0)),
        queue_full: match from.queue_full {
            config::QueueFull::Disconnect => QueueFull::Disconnect,
            config::QueueFull::DropNew => QueueFull::DropNew,
            config::QueueFull::DropOld => QueueFull::DropOld,
        },
        queued_memory_max: queued_memory,
        // A store without a disk is memory too.
        queued_memory_eased_at: queued_memory / if config.persistence { 2 } else { 1 },
        memory_max: from
            .memory_for_clients(config.store.cache_bytes)
            .map_or(usize::MAX, |memory| part(bytes(memory))),
        send_buffer_bytes_max: from.max_send_buffer as usize,
        session_expiry_s_max: from
            .persistent_client_expiration
            .map_or(u32::MAX, |time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX)),
        sessions_max: from.global_max_clients.map_or(usize::MAX, |max| max as usize),
        queues_qos0: from.queue_qos0_messages,
        connections_max: from.global_max_connections.map_or(usize::MAX, |max| max as usize),
        topic_levels_max: from.topic_levels.into(),
        topic_bytes_max: from.max_topic_bytes.into(),
        subscriptions_max: from.max_subscriptions as usize,
        retained_messages_max: from.max_retained_messages as usize,
        dead_letter: from.dead_letter.as_deref().map(Into::into),
        delayed_messages_max: part(from.max_delayed_messages as usize).max(1),
        delay_s_max: u32::try_from(from.max_delay.as_secs()).unwrap_or(u32::MAX),
        ..Limits::default()
    }
}

/// The process vouches for its users, whether or not others have to show who they are.
fn inside(all: &config::LimitsConfig) -> ListenerLimits {
    let limits = listener_limits(&config::ListenerConfig::inside(), all);
    ListenerLimits { vouches_for_users: true, ..limits }
}

fn listener_limits(
    listener: &config::ListenerConfig,
    all: &config::LimitsConfig,
) -> ListenerLimits {
    let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    ListenerLimits {
        allow_anonymous: listener.allow_anonymous,
        allow_empty_client_id: listener.allow_zero_length_clientid,
        client_rates: ClientRates {
            bytes: listener.max_byte_rate.unwrap_or(all.max_byte_rate),
            messages: listener.max_message_rate.unwrap_or(all.max_message_rate),
            subscriptions: listener.max_subscribe_rate.unwrap_or(all.max_subscribe_rate),
        },
        connects_per_second_max: listener.max_connect_rate,
        inflight_bytes_max: listener.max_inflight_bytes.map(bytes),
        inflight_messages_max: listener.max_inflight_messages,
        queued_bytes_max: listener.max_queued_bytes.map(bytes),
        queued_messages_max: listener.max_queued_messages.map(|max| max as usize),
        upgrades_qos: listener.upgrade_outgoing_qos,
        knows_clients: listener.knows_clients(),
        vouches_for_users: false,
        mount_point: listener.mount_point.as_deref().map(Into::into),
        payload_bytes_max: listener.message_size_limit.map_or(usize::MAX, bytes),
        qos_max: QoS::try_from(listener.max_qos).unwrap_or(QoS::ExactlyOnce),
        retain_available: listener.retain_available,
        versions: listener.accept_protocol_versions.clone(),
    }
}

/// Those of the sessions of the API: the shell says who they are.
fn watching(all: &config::LimitsConfig) -> ListenerLimits {
    ListenerLimits { knows_clients: true, ..inside(all) }
}

fn durability(config: &Config) -> DurabilityLevels {
    let level = |level| match level {
        config::DurabilityLevel::Commit => Durability::Commit,
        config::DurabilityLevel::None => Durability::None,
        config::DurabilityLevel::Relaxed => Durability::Relaxed,
        config::DurabilityLevel::Upstream => Durability::Upstream,
    };
    DurabilityLevels {
        default: level(config.store.durability),
        filters: config
            .durability
            .iter()
            .map(|topics| (topics.filter.clone(), level(topics.level)))
            .collect(),
    }
}
