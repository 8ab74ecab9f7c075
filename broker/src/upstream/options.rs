//! What an upstream does with messages, as its configuration says.

use weir_core::ShardId;
use weir_mqtt::QoS;

use crate::config::{BacklogFull, Route};

/// What an upstream forwards, and how.
#[derive(Clone, Debug)]
pub struct ForwarderOptions {
    /// The name of the upstream.
    pub name: String,
    /// Whose log it reads.
    pub shard: ShardId,
    /// The name of this broker at other brokers.
    pub node: String,
    /// What is forwarded where to; what rules send to the upstream needs no route.
    pub routes: Vec<Route>,
    /// The highest QoS that is used at all.
    pub qos_max: QoS,
    /// Bytes that may wait with each priority.
    pub backlog_bytes_max: u64,
    /// What becomes of more.
    pub backlog_full: BacklogFull,
    /// What waits longer is dropped, in milliseconds; none = it waits for ever.
    pub backlog_age_max_ms: Option<u64>,
    /// Records sent in a second; 0 = as fast as the far end acknowledges them.
    pub drain_rate: u32,
    /// Whether what comes goes ahead of what waits when there is a connection again.
    pub live_first: bool,
    /// Records under way at once, whatever the far end takes.
    pub window: u16,
}
