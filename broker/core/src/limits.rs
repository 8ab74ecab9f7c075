//! Every bound of the core, in one place. What happens at a bound stands with its field.

use std::sync::Arc;

use weir_mqtt::{QoS, Version};

use crate::durability::DurabilityLevels;
use crate::identity::ListenerId;
use crate::rates::ClientRates;

/// What a full queue does with a message.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum QueueFull {
    /// Ends the session's connection and drops the new message.
    Disconnect,
    /// Drops the message that is offered.
    #[default]
    DropNew,
    /// Drops the message that has waited longest.
    DropOld,
}

/// Which member of a shared subscription gets a message. Members with a connection go before
/// those without in each case.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ShareStrategy {
    /// The same member for all messages of a publisher.
    HashClient,
    /// The same member for all messages of a topic.
    HashTopic,
    /// The member with the fewest messages under way and waiting.
    LeastInflight,
    /// One after the other.
    #[default]
    RoundRobin,
    /// The same member for as long as it is there.
    Sticky,
}

/// What holds for the connections of one listener, besides what holds for all: the narrower one
/// of the two.
#[derive(Clone, Debug)]
pub struct ListenerLimits {
    /// Whether a client without credentials may connect; none = what [`Limits`] says.
    pub allow_anonymous: Option<bool>,
    /// Whether a client without an identifier is given one. Otherwise CONNECT is refused with
    /// 0x85 (3.x: 0x02).
    pub allow_empty_client_id: bool,
    /// How fast each client may be; one that is faster is read more slowly.
    pub client_rates: ClientRates,
    /// Connections that are taken in a second; more wait until the shell may take them. 0 = no
    /// limit.
    pub connects_per_second_max: u32,
    /// Whether the shell knows who a client is, whatever CONNECT says, and is always asked.
    pub knows_clients: bool,
    /// The connection says whether the user is who CONNECT names, and nobody else is let in.
    pub vouches_for_users: bool,
    /// Bytes under way to a client, in the place of what [`Limits`] says, as are the next three
    /// where they are given.
    pub inflight_bytes_max: Option<usize>,
    /// Messages under way to or from a client.
    pub inflight_messages_max: Option<u16>,
    /// Bytes that wait for a session.
    pub queued_bytes_max: Option<usize>,
    /// Messages that wait for a session.
    pub queued_messages_max: Option<usize>,
    /// Whether messages go out at the QoS of the subscription; none = what [`Limits`] says.
    pub upgrades_qos: Option<bool>,
    /// What every topic of a client begins with although the client does not see it; it ends
    /// with a slash.
    pub mount_point: Option<Arc<str>>,
    /// Longest payload; a longer one is dropped, with 0x97 for MQTT 5, and refuses CONNECT as
    /// a will.
    pub payload_bytes_max: usize,
    /// Highest QoS, as in [`Limits`].
    pub qos_max: QoS,
    /// Whether messages may be retained, as in [`Limits`]. Clients of this listener are not sent
    /// retained messages of others either.
    pub retain_available: bool,
    /// The versions that are spoken. CONNECT of another one is refused with 0x84 (3.x: 0x01).
    pub versions: Vec<Version>,
}

/// The bounds of a core. The defaults are those of the configuration.
#[derive(Clone, Debug)]
pub struct Limits {
    /// What differs between listeners, by number.
    pub listeners: Vec<ListenerLimits>,
    /// How durable messages are before they are acknowledged, by topic.
    pub durability: DurabilityLevels,
    /// Bytes of the messages that wait in memory for upstreams; past it a message whose level is
    /// that has level `Commit` instead.
    pub held_bytes_max: usize,
    /// Whether a client without credentials may connect.
    pub allow_anonymous: bool,
    /// Whether credentials are checked, by the shell. Otherwise nobody has any: a name that a
    /// client gives itself counts for nothing.
    pub authentication: bool,
    /// A connection that has not sent CONNECT by then is closed, milliseconds.
    pub connect_timeout_ms: u64,
    /// Longest packet that is taken, bytes; a longer one closes the connection unread.
    pub packet_bytes_max: usize,
    /// QoS 1 and 2 messages under way to a client, and from an MQTT 5 client (its Receive
    /// Maximum, answered with 0x93 when exceeded). 0 = 65,535.
    pub inflight_messages_max: u16,
    /// Bytes of the QoS 1 and 2 messages under way to a client; a longer message goes by itself.
    /// 0 = no limit.
    pub inflight_bytes_max: usize,
    /// Answers to a client that wait for a commit; past it the connection is not read until half
    /// of them are out.
    pub unacknowledged_inbound_max: u32,
    /// Topic aliases that an MQTT 5 client may set; 0 = none.
    pub topic_aliases_max: u16,
    /// Topic aliases that the broker sets for an MQTT 5 client, if that takes as many; 0 = none.
    pub outbound_topic_aliases_max: u16,
    /// Cap on the keep alive, seconds; 0 = none.
    pub keep_alive_s_max: u16,
    /// Messages that wait for one session, besides those in flight and retained ones for a new
    /// subscription; 0 = no limit.
    pub queued_messages_max: usize,
    /// Bytes that wait for one session; 0 = no limit.
    pub queued_bytes_max: usize,
    /// What happens at either of the two.
    pub queue_full: QueueFull,
    /// Bytes of all queued messages in memory; past it queues count as full for what has to stay
    /// there: messages of sessions that are not kept, and of shared subscriptions.
    pub queued_memory_max: usize,
    /// Positions by which the oldest message that somebody waits for may be behind the newest one
    /// before what nobody waits for between them is named to the store
    /// ([`Change::LogReleased`](crate::Change::LogReleased)).
    pub pinned_positions: u64,
    /// Bytes of all queued messages in memory past which those that are on the disk leave it, until
    /// their turn comes; not below `queued_memory_max` = never.
    pub queued_memory_eased_at: usize,
    /// Memory of the core, bytes. What is given up near it: see
    /// [`MemoryPressure`](crate::MemoryPressure).
    pub memory_max: usize,
    /// Unsent bytes of a connection; past it QoS 0 is dropped and the rest waits in the queue.
    /// A client that lets answers pile up by as much again, and a packet, is disconnected.
    pub send_buffer_bytes_max: usize,
    /// Longest time that a session outlives its connection, seconds.
    pub session_expiry_s_max: u32,
    /// Sessions of this core, with those whose client is away; past it CONNECT of a client that has
    /// none is refused with 0x97 (3.x: 0x03).
    pub sessions_max: usize,
    /// Whether QoS 0 messages wait in memory for clients that are away. They do not survive the
    /// process.
    pub queues_qos0: bool,
    /// Connections of this core; past it CONNECT is refused with 0x97 (3.x: 0x03).
    pub connections_max: usize,
    /// Levels of a topic name or filter; past it the packet is refused.
    pub topic_levels_max: usize,
    /// Length of a topic name or filter, bytes.
    pub topic_bytes_max: usize,
    /// Subscriptions of one session; past it SUBACK says 0x97 (3.x: 0x80). So it does once they
    /// take as much memory as so many of 4 KiB.
    pub subscriptions_max: usize,
    /// How shared subscriptions are shared.
    pub share_strategy: ShareStrategy,
    /// Highest QoS that clients may publish with and are granted. A PUBLISH above it ends the
    /// connection with 0x9B, a will above it refuses CONNECT.
    pub qos_max: QoS,
    /// Whether a message goes out at the QoS of the subscription also when it was published at a
    /// lower one, against [MQTT-3.8.4-8].
    pub upgrades_qos: bool,
    /// Whether clients may retain messages. Otherwise RETAIN ends the connection with 0x9A, a
    /// retained will refuses CONNECT, and nothing is retained or sent as retained.
    pub retain_available: bool,
    /// What an MQTT 5 client that asks for it is told to build response topics from, with
    /// `{client}` in place of its identifier; none = nothing.
    pub response_information: Option<String>,
    /// Messages that wait for their time (`$delayed/<seconds>/<topic>`); past it one more is
    /// refused with 0x97. A client of 3.x gets no answer then, so that it still has the message;
    /// QoS 0 is dropped. The memory of queued messages bounds them too.
    pub delayed_messages_max: usize,
    /// Longest delay, seconds; past it the topic is refused with 0x90.
    pub delay_s_max: u32,
    /// The topic below which messages are published that a client should have got and has not:
    /// `<this>/<client>/<topic>`. Past 1,024 of one input the rest is counted only. None = no
    /// letters.
    pub dead_letter: Option<Box<str>>,
    /// The topic filters of what the shell keeps a history of.
    pub history: Vec<Box<str>>,
    /// Retained messages; past it a message for a new topic is delivered but not retained.
    pub retained_messages_max: usize,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            allow_anonymous: None,
            allow_empty_client_id: true,
            client_rates: ClientRates::default(),
            connects_per_second_max: 0,
            knows_clients: false,
            vouches_for_users: false,
            inflight_bytes_max: None,
            inflight_messages_max: None,
            queued_bytes_max: None,
            queued_messages_max: None,
            upgrades_qos: None,
            mount_point: None,
            payload_bytes_max: usize::MAX,
            qos_max: QoS::ExactlyOnce,
            retain_available: true,
            versions: vec![Version::V31, Version::V311, Version::V5],
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            listeners: vec![ListenerLimits::default()],
            durability: DurabilityLevels::default(),
            held_bytes_max: 4_000_000,
            allow_anonymous: true,
            authentication: false,
            connect_timeout_ms: 10_000,
            packet_bytes_max: 2_000_000,
            inflight_messages_max: 100,
            inflight_bytes_max: 0,
            unacknowledged_inbound_max: 1024,
            topic_aliases_max: 10,
            outbound_topic_aliases_max: 10,
            keep_alive_s_max: 0,
            queued_messages_max: 100_000,
            queued_bytes_max: 16_000_000,
            queue_full: QueueFull::DropNew,
            queued_memory_max: 64_000_000,
            pinned_positions: 1024,
            queued_memory_eased_at: 32_000_000,
            memory_max: usize::MAX,
            send_buffer_bytes_max: 256_000,
            session_expiry_s_max: 14 * 24 * 3600,
            sessions_max: usize::MAX,
            queues_qos0: false,
            connections_max: usize::MAX,
            topic_levels_max: 128,
            topic_bytes_max: 4096,
            subscriptions_max: 10_000,
            share_strategy: ShareStrategy::default(),
            qos_max: QoS::ExactlyOnce,
            upgrades_qos: false,
            retain_available: true,
            response_information: None,
            delayed_messages_max: 10_000,
            delay_s_max: 7 * 24 * 3600,
            dead_letter: None,
            history: Vec::new(),
            retained_messages_max: 1_000_000,
        }
    }
}

impl Limits {
    /// The window of QoS 1 and 2 messages of a listener, never zero.
    #[must_use]
    pub fn inflight_window(&self, listener: ListenerId) -> u16 {
        let listener = self.listeners.get(usize::from(listener.0));
        let own = listener.and_then(|listener| listener.inflight_messages_max);
        match own.unwrap_or(self.inflight_messages_max) {
            0 => u16::MAX,
            max => max,
        }
    }

    /// Memory that the subscriptions of one session may take, bytes; each by itself is allowed.
    pub(crate) fn subscription_bytes_max(&self) -> usize {
        self.subscriptions_max.saturating_mul(SUBSCRIPTION_BYTES)
    }

    /// No outbound buffer grows much further.
    pub(crate) fn outbound_bytes_max(&self) -> usize {
        self.packet_bytes_max.saturating_add(self.send_buffer_bytes_max.saturating_mul(2))
    }
}

/// What a subscription may take on average: twenty levels that no other filter shares.
const SUBSCRIPTION_BYTES: usize = 4096;
