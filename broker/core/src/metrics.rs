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

/// What a core has done so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Metrics {
    /// Bytes received from connections.
    pub bytes_received: u64,
    /// Bytes written to connections.
    pub bytes_sent: u64,
    /// Connections that are open.
    pub connections: u64,
    /// Messages dropped, by reason.
    pub drops: Drops,
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
    /// Clients that have shown once more who they are.
    pub reauthenticated: u64,
    /// Clients that were refused for their credentials.
    pub refused: u64,
    /// Clients that were connected and whose credentials did not hold any more.
    pub revoked: u64,
    /// Connections that ended because of what the client sent.
    pub violations: u64,
}
