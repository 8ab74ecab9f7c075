//! What a running broker says about itself: the answer of the admin server, which `weir status`
//! shows. Counters count from the start of the process. The field names are part of the HTTP
//! interface.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The state of a broker at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// Whether clients can connect: the store is recovered and the listeners are open.
    pub ready: bool,
    /// The clock of the machine is not set yet, as `clock_file` of the configuration tells it.
    #[serde(default)]
    pub clock_unset: bool,
    /// Threads that serve connections.
    pub shards: u32,
    /// Open connections.
    pub connections: u64,
    /// Connections that ended before they could speak MQTT, by reason, for example
    /// `max_connections`.
    #[serde(default)]
    pub refused: BTreeMap<String, u64>,
    /// Credentials of clients.
    #[serde(default)]
    pub auth: AuthStatus,
    /// Clients and listeners that had to wait for having been too fast, by rate, for example
    /// `messages`.
    #[serde(default)]
    pub throttled: BTreeMap<String, u64>,
    /// Sessions, connected or not.
    pub sessions: u64,
    /// Subscriptions of all sessions.
    pub subscriptions: u64,
    /// Retained messages.
    pub retained: u64,
    /// Messages in and out.
    pub messages: MessageStatus,
    /// The store on disk.
    pub store: StoreStatus,
    /// The rules, in the order of their files.
    pub rules: Vec<RuleStatus>,
    /// The upstreams, in the order of their names.
    pub upstreams: Vec<UpstreamStatus>,
    /// The histories, in the order of the configuration.
    #[serde(default)]
    pub history: Vec<HistoryStatus>,
    /// The fleet, if this box is in one.
    #[serde(default)]
    pub fleet: Option<FleetStatus>,
    /// The bridge inside the broker, if there is one.
    #[serde(default)]
    pub bridge: Option<BridgeStatus>,
}

/// The bridge for devices that cannot speak MQTT.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgeStatus {
    /// What the host agent has counted, by name; empty when it does not answer.
    pub agent: BTreeMap<String, u64>,
    /// The same of the MQTT-SN gateway; empty also when there is none.
    pub gateway: BTreeMap<String, u64>,
}

/// Credentials of clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthStatus {
    /// Clients that were refused for their credentials.
    pub refused: u64,
    /// Clients that were connected and whose credentials did not hold any more.
    pub revoked: u64,
    /// Clients that have shown again who they are while they were connected.
    pub reauthenticated: u64,
    /// The service that is asked, if there is one.
    pub service: Option<ServiceStatus>,
}

/// The service of `[auth.http]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Questions that were put to it.
    pub requests: u64,
    /// Questions that it did not answer.
    pub failures: u64,
    /// Questions that had an answer already.
    pub remembered: u64,
}

/// Messages in and out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageStatus {
    /// PUBLISH packets from clients.
    pub received: u64,
    /// PUBLISH packets to clients.
    pub sent: u64,
    /// Messages that were dropped, by reason, for example `queue_full`.
    pub dropped: BTreeMap<String, u64>,
}

/// The store on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreStatus {
    /// In what condition it is, in one word: `ok`, `full`, `failed` or `repaired`.
    #[serde(default)]
    pub status: String,
    /// If that is not `ok`, what the matter is and what to do.
    #[serde(default)]
    pub problem: Option<String>,
    /// Length of the file.
    #[serde(default)]
    pub bytes: u64,
    /// What the records take, which `max_store_bytes` limits.
    #[serde(default)]
    pub used_bytes: u64,
    /// What they may take; none without `max_store_bytes`.
    #[serde(default)]
    pub max_bytes: Option<u64>,
    /// Bytes written to the disk.
    pub bytes_written: u64,
    /// Flushes of the disk.
    #[serde(default)]
    pub flushes: u64,
    /// Transactions.
    pub commits: u64,
    /// Half of them took no longer, microseconds.
    #[serde(default)]
    pub commit_p50_us: u64,
    /// 99 of 100 took no longer, microseconds.
    #[serde(default)]
    pub commit_p99_us: u64,
    /// Messages in the log: queued for sessions and upstreams.
    pub log_records: u64,
}

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleStatus {
    /// Its name.
    pub name: String,
    /// Whether it takes no messages for now.
    #[serde(default)]
    pub paused: bool,
    /// Messages that it read.
    pub matched: u64,
    /// Messages that `where` did not let pass.
    #[serde(default)]
    pub filtered: u64,
    /// Messages that it sent.
    pub emitted: u64,
    /// Messages that came after their window was closed.
    pub late: u64,
    /// Messages that went into no result, because they were too late or a limit was reached.
    #[serde(default)]
    pub dropped: u64,
    /// Messages that it could not use.
    pub errors: u64,
    /// The same by code.
    #[serde(default)]
    pub errors_by_code: BTreeMap<String, u64>,
    /// Keys that it holds state for.
    pub keys: u64,
    /// Estimate of the memory of its state.
    #[serde(default)]
    pub state_bytes: u64,
    /// Bytes of the payloads that it read.
    #[serde(default)]
    pub bytes_in: u64,
    /// Bytes of the payloads that it sent.
    #[serde(default)]
    pub bytes_out: u64,
    /// When it has sent a message last, milliseconds since the Unix epoch.
    #[serde(default)]
    pub last_sent_at_ms: Option<u64>,
    /// How far the watermark was behind the arrival of the last message, milliseconds; only of
    /// rules with `time`.
    #[serde(default)]
    pub watermark_lag_ms: Option<i64>,
    /// How long it takes with a message, nanoseconds: half of them no longer. Of a sample.
    #[serde(default)]
    pub handling_p50_ns: Option<u64>,
    /// 99 of 100 no longer.
    #[serde(default)]
    pub handling_p99_ns: Option<u64>,
    /// From the arrival of a message until what was made from it is durable, milliseconds: half of
    /// the times no longer. None if it has sent nothing with QoS 1 or 2, and nothing retained.
    #[serde(default)]
    pub commit_lag_p50_ms: Option<u64>,
    /// 99 of 100 no longer.
    #[serde(default)]
    pub commit_lag_p99_ms: Option<u64>,
}

/// One history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryStatus {
    /// Its topic filter.
    pub filter: String,
    /// Messages that it holds.
    pub messages: u64,
    /// What they take on disk.
    pub bytes: u64,
    /// When the oldest of them was received, milliseconds since the Unix epoch.
    pub oldest_at_ms: Option<u64>,
    /// Messages that it misses, by reason: `failed`, `too_large`; or parts of files, `damaged`.
    pub dropped: BTreeMap<String, u64>,
}

/// The fleet that this box is in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetStatus {
    /// The name of this box.
    pub name: String,
    /// Whether the server is reached and the others are known.
    pub is_connected: bool,
    /// The other boxes, by name.
    pub boxes: Vec<BoxStatus>,
    /// Filters that this box asks the others for.
    pub filters: u64,
    /// There are too many to be told one by one: more is asked for than is wanted.
    pub filters_are_cut: bool,
    /// Retained messages of all boxes together.
    pub retained: u64,
    /// Messages that wait for other boxes.
    pub depth: u64,
    /// Bytes that wait for them.
    pub depth_bytes: u64,
    /// When the oldest of them was received, milliseconds since the Unix epoch.
    pub oldest_at_ms: Option<u64>,
    /// Messages that were sent, one for each box that wants it, repetitions included.
    pub sent: u64,
    /// Those of them that are stored for their box.
    pub acknowledged: u64,
    /// Messages that came from other boxes.
    pub received: u64,
    /// Messages that came more than once and were published once.
    pub repeated: u64,
    /// Values that were written for all boxes.
    pub retained_sent: u64,
    /// Values that came from other boxes.
    pub retained_received: u64,
    /// How often the server had no room for a message or a value.
    #[serde(default)]
    pub without_room: u64,
    /// Messages that were dropped, by reason, for example `backlog_full`.
    pub dropped: BTreeMap<String, u64>,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// Another box of the fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoxStatus {
    /// Its name.
    pub name: String,
    /// Whether it was heard of lately; as far as is known when the server is not reached.
    pub is_here: bool,
    /// When it was heard of last, milliseconds since the Unix epoch by the clock of the server.
    pub heard_at_ms: u64,
    /// Filters that it asks for.
    pub filters: u64,
    /// The version of its program.
    pub version: String,
}

/// One upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamStatus {
    /// Its name.
    pub name: String,
    /// Whether it is connected.
    pub state: UpstreamState,
    /// Messages that wait for it.
    pub depth: u64,
    /// How many of them by priority, those only of which some wait.
    #[serde(default)]
    pub depth_by_priority: BTreeMap<String, u64>,
    /// Bytes that wait for it.
    #[serde(default)]
    pub depth_bytes: u64,
    /// When the oldest of them was received, milliseconds since the Unix epoch.
    #[serde(default)]
    pub oldest_at_ms: Option<u64>,
    /// In how many seconds nothing will wait, if it goes on as in the last half minute; none while
    /// it does not become less, or without a connection.
    #[serde(default)]
    pub empty_in_s: Option<u64>,
    /// Messages that were sent to it, repetitions included.
    pub sent: u64,
    /// Messages that it has acknowledged.
    pub acknowledged: u64,
    /// Messages that came from it.
    #[serde(default)]
    pub received: u64,
    /// Messages that were dropped, by reason, for example `backlog_full`.
    #[serde(default)]
    pub dropped: BTreeMap<String, u64>,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// Whether an upstream is connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamState {
    /// Connected.
    Connected,
    /// On the way to be connected.
    #[default]
    Connecting,
    /// Not connected, since nothing waits.
    Idle,
    /// Not connected any more before the next start.
    Stopped,
    /// Waiting before the next attempt.
    Waiting,
}
