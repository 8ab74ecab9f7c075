//! Counters of a core; they only grow, but for those that say how many there are now.

/// Why a message did not reach somebody it was for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Drops {
    /// Its publisher may not write the topic, or its receiver may not read it.
    pub acl: u64,
    /// Its time was over.
    pub expired: u64,
    /// The queue, or the memory of all queues, was full.
    pub queue_full: u64,
    /// A new topic past the limit of retained messages: delivered, but not retained.
    pub retained_full: u64,
    /// QoS 0 to a client that does not read fast enough.
    pub slow_qos0: u64,
    /// Larger than the client's maximum packet size.
    pub too_large: u64,
}

impl Drops {
    /// Each reason with its count, in the order of their names.
    pub fn by_reason(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("acl", self.acl),
            ("expired", self.expired),
            ("queue_full", self.queue_full),
            ("retained_full", self.retained_full),
            ("slow_qos0", self.slow_qos0),
            ("too_large", self.too_large),
        ]
        .into_iter()
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_reason().map(|(_, count)| count).sum()
    }
}

/// What a core has done so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Metrics {
    /// Bytes received from connections.
    pub bytes_received: u64,
    /// Bytes written to connections.
    pub bytes_sent: u64,
    /// Clients that are connected.
    pub clients_connected: u64,
    /// Most clients that were connected at a time.
    pub clients_connected_max: u64,
    /// Sessions whose time was over while their client was away.
    pub clients_expired: u64,
    /// Connections that are open.
    pub connections: u64,
    /// Connections that were opened.
    pub connections_opened: u64,
    /// CONNECT packets received.
    pub connects_received: u64,
    /// Messages dropped, by reason.
    pub drops: Drops,
    /// QoS 1 and 2 messages that are under way to clients.
    pub inflight: u64,
    /// Bytes that wait to be written to connections.
    pub outbound_bytes: u64,
    /// Packets in buffers that are not written to their end.
    pub outbound_packets: u64,
    /// Packets received, of every kind.
    pub packets_received: u64,
    /// Packets sent, of every kind.
    pub packets_sent: u64,
    /// Payload of the PUBLISH packets received, bytes.
    pub publish_bytes_received: u64,
    /// Payload of the PUBLISH packets sent, bytes.
    pub publish_bytes_sent: u64,
    /// PUBLISH packets received.
    pub publish_received: u64,
    /// PUBLISH packets sent.
    pub publish_sent: u64,
    /// Messages in queues and in flight, each counted once.
    pub queued_messages: u64,
    /// Their bytes, without those of retained messages for a new subscription, which are shared.
    pub queued_bytes: u64,
    /// Retained messages.
    pub retained: u64,
    /// Their bytes.
    pub retained_bytes: u64,
    /// Sessions, connected or not.
    pub sessions: u64,
    /// Memberships of shared subscriptions.
    pub shared_subscriptions: u64,
    /// Subscriptions, with the shared ones and those of readers.
    pub subscriptions: u64,
    /// Clients that were refused for their credentials.
    pub refused: u64,
    /// Connections that ended because of what the client sent.
    pub violations: u64,
}
