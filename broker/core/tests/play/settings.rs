//! A broker with narrow limits, so that a short script reaches them.

use std::sync::Arc;

use weir_core::{
    Access, Acl, Durability, DurabilityLevels, Limits, ListenerLimits, QueueFull, ReaderConfig,
    ReaderId, ReaderKind, Rule, ShareStrategy,
};
use weir_mqtt::{QoS, TopicFilter};

use super::script::Script;

/// Listeners: a plain one, and one with a mount point.
pub(super) const LISTENERS: usize = 2;
pub(super) const READER: ReaderId = ReaderId(1);
pub(super) const SESSION_EXPIRY_S_MAX: u32 = 1000;
pub(super) const DELAY_S_MAX: u32 = 1000;

/// `is_rough`: clients meet limits that end their connection.
pub(super) fn limits(script: &mut Script<'_>, is_rough: bool) -> Limits {
    let strategies = [
        ShareStrategy::RoundRobin,
        ShareStrategy::HashClient,
        ShareStrategy::HashTopic,
        ShareStrategy::LeastInflight,
        ShareStrategy::Sticky,
    ];
    let qos_max = [QoS::ExactlyOnce, QoS::ExactlyOnce, QoS::AtLeastOnce];
    let mounted = ListenerLimits { mount_point: Some("u/".into()), ..ListenerLimits::default() };
    Limits {
        listeners: vec![ListenerLimits::default(), mounted],
        authentication: script.is_rare(4),
        packet_bytes_max: if is_rough { script.one_of(&[2000, 200]) } else { 2000 },
        inflight_messages_max: script.one_of(if is_rough { &[1, 2, 3, 20] } else { &[20, 0, 6] }),
        unacknowledged_inbound_max: script.one_of(&[1024, 1, 3]),
        topic_aliases_max: if is_rough { script.one_of(&[2, 0]) } else { 2 },
        outbound_topic_aliases_max: script.one_of(&[2, 0, 10]),
        keep_alive_s_max: script.one_of(&[0, 30]),
        queued_messages_max: script.one_of(&[100, 0, 1, 3]),
        queued_bytes_max: script.one_of(&[10_000, 0, 100, 400]),
        queue_full: script.one_of(&[QueueFull::DropNew, QueueFull::DropOld, QueueFull::Disconnect]),
        queued_memory_max: script.one_of(&[100_000, 300, 1000]),
        pinned_positions: script.one_of(&[1024, 0, 3]),
        queued_memory_eased_at: script.one_of(&[0, 200, usize::MAX]),
        memory_max: if is_rough { script.one_of(&[usize::MAX, 100_000]) } else { usize::MAX },
        send_buffer_bytes_max: script.one_of(&[10_000, 40, 400]),
        session_expiry_s_max: SESSION_EXPIRY_S_MAX,
        connections_max: script.one_of(&[100, 3]),
        subscriptions_max: script.one_of(&[100, 2]),
        share_strategy: script.one_of(&strategies),
        qos_max: if is_rough { script.one_of(&qos_max) } else { QoS::ExactlyOnce },
        response_information: script.one_of(&[None, Some("r/{client}".to_owned())]),
        delayed_messages_max: script.one_of(&[100, 1]),
        delay_s_max: DELAY_S_MAX,
        dead_letter: script.one_of(&[None, Some("$dead".into())]),
        retained_messages_max: script.one_of(&[100, 1, 2]),
        durability: script.one_of(&[DurabilityLevels::default(), levels()]),
        held_bytes_max: script.one_of(&[100_000, 0, 200]),
        ..Limits::default()
    }
}

/// Each level for some topics that are published to.
fn levels() -> DurabilityLevels {
    let filters = [
        ("t/1", Durability::Relaxed),
        ("t/0/#", Durability::None),
        ("u/#", Durability::Upstream),
        ("t", Durability::Upstream),
    ];
    let filters = filters.map(|(filter, level)| (filter.to_owned(), level)).to_vec();
    DurabilityLevels { default: Durability::Commit, filters }
}

/// Whether a message of this topic may be acknowledged before it is durable, and whether it is
/// never to become so.
pub(super) fn is_early(limits: &Limits, topic: &str) -> (bool, bool) {
    let matches = |filter: &str| TopicFilter::parse(filter).is_ok_and(|f| f.matches(topic));
    let level = limits.durability.filters.iter().find(|(filter, _)| matches(filter));
    let level = level.map_or(limits.durability.default, |(_, level)| *level);
    (level != Durability::Commit, level == Durability::None)
}

pub(super) fn readers(script: &mut Script<'_>) -> Vec<ReaderConfig> {
    let filters = vec!["t/#".to_owned(), "t/1".to_owned()];
    let kind = if script.is_rare(2) { ReaderKind::Rules } else { ReaderKind::Upstream };
    script.one_of(&[
        vec![],
        vec![ReaderConfig { reader: READER, filters, kind, names_publishers: false }],
    ])
}

/// Nothing is restricted, or most is.
pub(super) fn acl(script: &mut Script<'_>) -> Option<Arc<Acl>> {
    let rule = |access, filter| Rule::topic(access, TopicFilter::parse(filter).expect("a filter"));
    let open = [rule(Access::ReadWrite, "t/#"), rule(Access::Read, "$dead/#")];
    let narrow = [rule(Access::Read, "t/+"), rule(Access::Write, "t/0")];
    match script.below(3) {
        0 => None,
        1 => Some(Arc::new(Acl::new([], open))),
        _ => Some(Arc::new(Acl::new([], narrow))),
    }
}
