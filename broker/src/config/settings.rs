//! The configuration as the rest of the program uses it: plain values with their types, all
//! within their declared ranges. Fields have the names of the keys.

use std::{path::PathBuf, sync::Arc, time::Duration};

use weir_config::Values;
use weir_rules::Source;

use super::{
    AdminConfig, AuthConfig, ConfigFiles, FleetConfig, HistoryConfig, HostPort, ListenerConfig,
    UpstreamConfig,
    declared::{LIMITS, LOG, STORE, TOP},
};
use crate::auth::Sources;

/// Everything that `weir.toml` and the rule files say.
///
/// ```
/// use weir_broker::config::Config;
///
/// let mut config = Config::default();
/// config.limits.max_inflight_messages = 50;
/// assert_eq!(config.listeners[0].address.to_string(), "127.0.0.1:1883");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Directory of the store.
    pub data_dir: PathBuf,
    /// What this was read from; None = it was made by a program.
    pub files: Option<ConfigFiles>,
    /// The rule files, read.
    pub rules: Vec<Source>,
    /// Whether the store is on disk.
    pub persistence: bool,
    /// How often the `$SYS` tree is brought up to date; `None` = there is none.
    pub sys_interval: Option<Duration>,
    /// A file that is there once the clock of the machine is set; `None` = it always is.
    pub clock_file: Option<PathBuf>,
    /// Devices that cannot speak MQTT, and their bridge; `None` = there is none.
    pub bridge: Option<Arc<weir_firmware_bridge::config::Config>>,
    /// Threads that serve clients; `None` = by the cores of the machine.
    pub shards: Option<u8>,
    /// At least one listener.
    pub listeners: Vec<ListenerConfig>,
    /// Who may connect.
    pub auth: AuthConfig,
    /// The store on disk.
    pub store: StoreConfig,
    /// How durable the messages of some topics are, in the order in which it is asked.
    pub durability: Vec<DurabilityConfig>,
    /// Messages that are kept, by topic, in the order in which it is asked.
    pub history: Vec<HistoryConfig>,
    /// Limits for each client and for the whole broker.
    pub limits: LimitsConfig,
    /// The log.
    pub log: LogConfig,
    /// The admin server.
    pub admin: AdminConfig,
    /// Where messages are forwarded to, by name.
    pub upstreams: Vec<UpstreamConfig>,
    /// The other boxes that this one is joined with; `None` = it is alone.
    pub fleet: Option<FleetConfig>,
}

/// `[store]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreConfig {
    /// Memory for pages of the store.
    pub cache_bytes: u64,
    /// How durable messages are before they are acknowledged.
    pub durability: DurabilityLevel,
    /// How long what nobody waits for may be put off.
    pub flush_interval: Duration,
    /// Memory for messages that wait for upstreams alone, in bytes.
    pub upstream_memory: u64,
    /// How long after the beginning of the commit before a commit begins.
    pub group_commit_max_delay: Duration,
    /// What the records may take; `None` = no limit.
    pub max_store_bytes: Option<u64>,
    /// What stays free on the disk of the store; `None` = no limit.
    pub min_free_disk: Option<u64>,
    /// What a start does with a store that is damaged.
    pub on_damage: OnDamage,
}

/// One `[[durability]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DurabilityConfig {
    /// The topic filter.
    pub filter: String,
    /// How durable its messages are before they are acknowledged.
    pub level: DurabilityLevel,
}

/// `[limits]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitsConfig {
    /// QoS 1 and 2 messages under way to or from one client.
    pub max_inflight_messages: u16,
    /// Bytes of QoS 1 and 2 messages under way to one client; `None` = no limit.
    pub max_inflight_bytes: Option<u64>,
    /// Largest packet of a client, in bytes.
    pub max_packet_size: u32,
    /// Topic aliases that a client may use.
    pub max_topic_alias: u16,
    /// Topic aliases that the broker uses towards a client.
    pub max_topic_alias_broker: u16,
    /// Highest QoS of clients.
    pub max_qos: u8,
    /// Messages go out at the QoS of the subscription.
    pub upgrade_outgoing_qos: bool,
    /// Clients may retain messages.
    pub retain_available: bool,
    /// Which member of a shared subscription gets a message.
    pub shared_subscription_strategy: ShareStrategy,
    /// What response topics begin with; `None` = clients are told nothing.
    pub response_information: Option<String>,
    /// Longest keep alive in seconds; `None` = no limit.
    pub max_keepalive: Option<u16>,
    /// Messages that wait for one client; `None` = no limit.
    pub max_queued_messages: Option<u32>,
    /// Bytes that wait for one client; `None` = no limit.
    pub max_queued_bytes: Option<u64>,
    /// What happens when a queue is full.
    pub queue_full: QueueFull,
    /// Bytes that wait in memory for a slow client that is connected.
    pub max_send_buffer: u32,
    /// Sessions that were not used for so long are removed; `None` = never.
    pub persistent_client_expiration: Option<Duration>,
    /// Sessions of the whole broker; `None` = no limit.
    pub global_max_clients: Option<u32>,
    /// Whether QoS 0 messages wait for clients that are away.
    pub queue_qos0_messages: bool,
    /// Connections of the whole broker; `None` = no limit.
    pub global_max_connections: Option<u32>,
    /// Until when a connection must have sent CONNECT.
    pub connect_timeout: Duration,
    /// Most levels of a topic or filter.
    pub topic_levels: u16,
    /// Longest topic or filter, in bytes.
    pub max_topic_bytes: u16,
    /// Subscriptions of one client.
    pub max_subscriptions: u32,
    /// Messages that one client may publish in a second; 0 = no limit.
    pub max_message_rate: u32,
    /// Bytes that one client may send in a second; 0 = no limit.
    pub max_byte_rate: u32,
    /// Topic filters that one client may subscribe to in a second; 0 = no limit.
    pub max_subscribe_rate: u32,
    /// Retained messages of the whole broker.
    pub max_retained_messages: u32,
    /// Topic below which lost messages are published; `None` = they are not.
    pub dead_letter: Option<String>,
    /// Messages of the whole broker that wait for their time.
    pub max_delayed_messages: u32,
    /// Longest time that a message may wait.
    pub max_delay: Duration,
    /// Memory of the process, in bytes; `None` = no limit.
    pub memory_limit: Option<u64>,
    /// Memory for queued messages of the whole broker, in bytes.
    pub queued_memory: u64,
}

impl LimitsConfig {
    /// What `memory_limit` leaves for clients and their messages; `None` = no limit. The program
    /// itself, what it reads and writes with, and the cache of the store come first.
    pub(crate) fn memory_for_clients(&self, cache_bytes: u64) -> Option<u64> {
        Some(self.memory_limit?.saturating_sub(PROGRAM_BYTES.saturating_add(cache_bytes)))
    }

    /// What queued messages may take: `queued_memory`, but no more than there is for clients.
    pub(crate) fn memory_for_queues(&self, cache_bytes: u64) -> u64 {
        let for_clients = self.memory_for_clients(cache_bytes);
        for_clients.map_or(self.queued_memory, |bytes| bytes.min(self.queued_memory))
    }

    /// The least `memory_limit` that leaves clients something.
    pub(crate) fn memory_limit_min(cache_bytes: u64) -> u64 {
        PROGRAM_BYTES.saturating_add(cache_bytes).saturating_add(CLIENTS_BYTES_MIN)
    }
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogConfig {
    /// The least important events that are written.
    pub level: LogLevel,
}

/// When a message is acknowledged, and what of it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurabilityLevel {
    /// When it is on disk.
    Commit,
    /// At once; it is never written.
    None,
    /// At once; it is written some time later.
    Relaxed,
    /// When the upstreams that it is forwarded to have acknowledged it; it is never written.
    Upstream,
}

/// What happens to a message for a client whose queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueFull {
    /// The client is disconnected.
    Disconnect,
    /// The message is dropped.
    DropNew,
    /// The oldest message is dropped.
    DropOld,
}

/// Which member of a shared subscription gets a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareStrategy {
    /// The same for all messages of a publisher.
    HashClient,
    /// The same for all messages of a topic.
    HashTopic,
    /// The one with the fewest messages under way and waiting.
    LeastInflight,
    /// One after the other.
    RoundRobin,
    /// The same for as long as it is there.
    Sticky,
}

/// The least important events that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Data was lost or someone must act.
    Error,
    /// Odd, but handled.
    Warn,
    /// Start, stop, upstreams.
    Info,
    /// Each connection.
    Debug,
    /// Each packet.
    Trace,
}

/// What a start does with a store that is damaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDamage {
    /// It is an error.
    Refuse,
    /// What can be read goes into a new store; the old one is put aside.
    #[default]
    Salvage,
}

impl Config {
    /// Where it stands who may do what.
    pub(crate) fn sources(&self) -> Sources {
        Sources { api_tokens: self.admin.tokens_file.clone(), ..self.auth.sources() }
    }
}

impl Default for Config {
    fn default() -> Self {
        let top = Values::new(&TOP);
        Self {
            data_dir: top.path("data_dir"),
            files: None,
            rules: Vec::new(),
            persistence: top.flag("persistence"),
            sys_interval: Self::read_sys_interval(&top),
            bridge: None,
            clock_file: None,
            shards: None,
            listeners: vec![ListenerConfig::new(HostPort::new("127.0.0.1", 1883))],
            auth: AuthConfig::default(),
            store: StoreConfig::default(),
            durability: Vec::new(),
            history: Vec::new(),
            limits: LimitsConfig::default(),
            log: LogConfig::default(),
            admin: AdminConfig::default(),
            upstreams: Vec::new(),
            fleet: None,
        }
    }
}

impl Config {
    /// How many threads serve clients. One costs the least as long as it keeps up, and the disk, the
    /// rules and the upstreams have threads of their own.
    #[must_use]
    pub fn shards(&self) -> u8 {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.shards.unwrap_or_else(|| u8::try_from(cores() / 4).unwrap_or(64).clamp(1, 64))
    }

    pub(crate) fn read_sys_interval(values: &Values) -> Option<Duration> {
        unless_zero(values.whole::<u64>("sys_interval")).map(Duration::from_secs)
    }
}

impl StoreConfig {
    pub(crate) fn read(values: &Values) -> Self {
        Self {
            cache_bytes: values.size("cache_bytes"),
            durability: DurabilityLevel::from_name(values.choice("durability")),
            flush_interval: values.duration("flush_interval"),
            upstream_memory: values.size("upstream_memory"),
            group_commit_max_delay: values.duration("group_commit_max_delay"),
            max_store_bytes: unless_zero(values.size("max_store_bytes")),
            min_free_disk: unless_zero(values.size("min_free_disk")),
            on_damage: OnDamage::from_name(values.choice("on_damage")),
        }
    }
}

impl DurabilityConfig {
    /// A level for the topics of a filter.
    pub fn new(filter: impl Into<String>, level: DurabilityLevel) -> Self {
        Self { filter: filter.into(), level }
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self::read(&Values::new(&STORE))
    }
}

impl LimitsConfig {
    pub(crate) fn read(values: &Values) -> Self {
        let expiration = values.duration("persistent_client_expiration");
        Self {
            max_inflight_messages: values.whole("max_inflight_messages"),
            max_inflight_bytes: unless_zero(values.size("max_inflight_bytes")),
            max_packet_size: values.small_size("max_packet_size"),
            max_topic_alias: values.whole("max_topic_alias"),
            max_topic_alias_broker: values.whole("max_topic_alias_broker"),
            max_qos: values.whole("max_qos"),
            upgrade_outgoing_qos: values.flag("upgrade_outgoing_qos"),
            retain_available: values.flag("retain_available"),
            shared_subscription_strategy: ShareStrategy::from_name(
                values.choice("shared_subscription_strategy"),
            ),
            response_information: values.optional("response_information", Values::text),
            max_keepalive: unless_zero(values.whole("max_keepalive")),
            max_queued_messages: unless_zero(values.whole("max_queued_messages")),
            max_queued_bytes: unless_zero(values.size("max_queued_bytes")),
            queue_full: QueueFull::from_name(values.choice("queue_full")),
            max_send_buffer: values.small_size("max_send_buffer"),
            persistent_client_expiration: unless_zero(expiration),
            global_max_clients: values.whole::<i64>("global_max_clients").try_into().ok(),
            queue_qos0_messages: values.flag("queue_qos0_messages"),
            global_max_connections: values.whole::<i64>("global_max_connections").try_into().ok(),
            connect_timeout: values.duration("connect_timeout"),
            topic_levels: values.whole("topic_levels"),
            max_topic_bytes: values.whole("max_topic_bytes"),
            max_subscriptions: values.whole("max_subscriptions"),
            max_message_rate: values.whole("max_message_rate"),
            max_byte_rate: values.small_size("max_byte_rate"),
            max_subscribe_rate: values.whole("max_subscribe_rate"),
            max_retained_messages: values.whole("max_retained_messages"),
            dead_letter: values.optional("dead_letter", Values::text),
            max_delayed_messages: values.whole("max_delayed_messages"),
            max_delay: values.duration("max_delay"),
            memory_limit: unless_zero(values.size("memory_limit")),
            queued_memory: values.size("queued_memory"),
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self::read(&Values::new(&LIMITS))
    }
}

impl LogConfig {
    pub(crate) fn read(values: &Values) -> Self {
        Self { level: LogLevel::from_name(values.choice("level")) }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self::read(&Values::new(&LOG))
    }
}

impl DurabilityLevel {
    pub(crate) const NAMES: [&'static str; 4] = ["commit", "relaxed", "upstream", "none"];

    pub(crate) fn from_name(name: &str) -> Self {
        match name {
            "commit" => Self::Commit,
            "none" => Self::None,
            "relaxed" => Self::Relaxed,
            "upstream" => Self::Upstream,
            _ => unreachable!("declared by the same names"),
        }
    }
}

impl QueueFull {
    pub(crate) const NAMES: [&'static str; 3] = ["drop_new", "drop_old", "disconnect"];

    fn from_name(name: &str) -> Self {
        match name {
            "disconnect" => Self::Disconnect,
            "drop_new" => Self::DropNew,
            "drop_old" => Self::DropOld,
            _ => unreachable!("declared by the same names"),
        }
    }
}

impl OnDamage {
    pub(crate) const NAMES: [&'static str; 2] = ["salvage", "refuse"];

    fn from_name(name: &str) -> Self {
        match name {
            "refuse" => Self::Refuse,
            "salvage" => Self::Salvage,
            _ => unreachable!("declared by the same names"),
        }
    }
}

impl ShareStrategy {
    pub(crate) const NAMES: [&'static str; 5] =
        ["round_robin", "least_inflight", "sticky", "hash_client", "hash_topic"];

    fn from_name(name: &str) -> Self {
        match name {
            "hash_client" => Self::HashClient,
            "hash_topic" => Self::HashTopic,
            "least_inflight" => Self::LeastInflight,
            "round_robin" => Self::RoundRobin,
            "sticky" => Self::Sticky,
            _ => unreachable!("declared by the same names"),
        }
    }
}

impl LogLevel {
    pub(crate) const NAMES: [&'static str; 5] = ["error", "warn", "info", "debug", "trace"];

    /// The name in the configuration, which is the one `tracing` uses too.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    fn from_name(name: &str) -> Self {
        match name {
            "error" => Self::Error,
            "warn" => Self::Warn,
            "info" => Self::Info,
            "debug" => Self::Debug,
            "trace" => Self::Trace,
            _ => unreachable!("declared by the same names"),
        }
    }
}

/// In the file 0 stands for "no limit".
pub(crate) fn unless_zero<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

/// The program with its threads and fixed buffers, and the group that is on its way to the store.
const PROGRAM_BYTES: u64 = 24_000_000;
/// What clients and their messages have at least.
const CLIENTS_BYTES_MIN: u64 = 8_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_the_declared_ones() {
        let config = Config::default();
        assert_eq!(config.limits.max_packet_size, 2 * 1024 * 1024);
        assert_eq!(config.limits.max_keepalive, None);
        assert_eq!(config.limits.global_max_connections, None);
        assert_eq!(config.limits.queue_full, QueueFull::DropNew);
        assert_eq!(config.store.cache_bytes, 8 * 1024 * 1024);
        assert_eq!(config.log.level, LogLevel::Info);
        assert!(config.auth.allow_anonymous && config.persistence);
        let upstream = UpstreamConfig::new("cloud", HostPort::new("localhost", 1884));
        assert_eq!(upstream.restart_timeout.max, Duration::from_secs(30));
    }
}
