//! Counters of a core; they only grow, but for those that say how many there are now.

use crate::clock::Instant;
use crate::episode::Episode;
use crate::rates::Throttles;

/// Why a message did not reach somebody it was for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Drops {
    /// Its publisher may not write the topic, or its receiver may not read it.
    pub acl: u64,
    /// The store had no room for it: refused, or delivered and not kept.
    pub disk_full: u64,
    /// Its time was over.
    pub expired: u64,
    /// The queue, or the memory of all queues, was full.
    pub queue_full: u64,
    /// Its receiver has refused it, with a reason code of 0x80 or more in PUBACK or PUBREC.
    pub refused: u64,
    /// A new topic past the limit of retained messages: delivered, but not retained.
    pub retained_full: u64,
    /// QoS 0 to a client that does not read fast enough.
    pub slow_qos0: u64,
    /// Larger than the client's maximum packet size.
    pub too_large: u64,
    /// The store could not give it back.
    pub unreadable: u64,
}

/// One of the reasons in [`Drops`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DropReason {
    /// See [`Drops::acl`].
    Acl,
    /// See [`Drops::disk_full`].
    DiskFull,
    /// See [`Drops::expired`].
    Expired,
    /// See [`Drops::queue_full`].
    QueueFull,
    /// See [`Drops::refused`].
    Refused,
    /// See [`Drops::retained_full`].
    RetainedFull,
    /// See [`Drops::slow_qos0`].
    SlowQos0,
    /// See [`Drops::too_large`].
    TooLarge,
    /// See [`Drops::unreadable`].
    Unreadable,
}

impl DropReason {
    /// Every reason, in the order of their names.
    pub const ALL: [Self; 9] = [
        Self::Acl,
        Self::DiskFull,
        Self::Expired,
        Self::QueueFull,
        Self::Refused,
        Self::RetainedFull,
        Self::SlowQos0,
        Self::TooLarge,
        Self::Unreadable,
    ];

    /// Its name, as the operator reads it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Acl => "acl",
            Self::DiskFull => "disk_full",
            Self::Expired => "expired",
            Self::QueueFull => "queue_full",
            Self::Refused => "refused",
            Self::RetainedFull => "retained_full",
            Self::SlowQos0 => "slow_qos0",
            Self::TooLarge => "too_large",
            Self::Unreadable => "unreadable",
        }
    }
}

impl Drops {
    /// How many messages were dropped for a reason.
    #[must_use]
    pub fn of(&self, reason: DropReason) -> u64 {
        match reason {
            DropReason::Acl => self.acl,
            DropReason::DiskFull => self.disk_full,
            DropReason::Expired => self.expired,
            DropReason::QueueFull => self.queue_full,
            DropReason::Refused => self.refused,
            DropReason::RetainedFull => self.retained_full,
            DropReason::SlowQos0 => self.slow_qos0,
            DropReason::TooLarge => self.too_large,
            DropReason::Unreadable => self.unreadable,
        }
    }

    /// Each reason with its count, in the order of their names.
    pub fn by_reason(&self) -> impl Iterator<Item = (&'static str, u64)> {
        DropReason::ALL.into_iter().map(|reason| (reason.name(), self.of(reason)))
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        DropReason::ALL.into_iter().map(|reason| self.of(reason)).sum()
    }

    /// What was dropped here and there.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            acl: self.acl + other.acl,
            disk_full: self.disk_full + other.disk_full,
            expired: self.expired + other.expired,
            queue_full: self.queue_full + other.queue_full,
            refused: self.refused + other.refused,
            retained_full: self.retained_full + other.retained_full,
            slow_qos0: self.slow_qos0 + other.slow_qos0,
            too_large: self.too_large + other.too_large,
            unreadable: self.unreadable + other.unreadable,
        }
    }

    pub(crate) fn count(&mut self, reason: DropReason) {
        *match reason {
            DropReason::Acl => &mut self.acl,
            DropReason::DiskFull => &mut self.disk_full,
            DropReason::Expired => &mut self.expired,
            DropReason::QueueFull => &mut self.queue_full,
            DropReason::Refused => &mut self.refused,
            DropReason::RetainedFull => &mut self.retained_full,
            DropReason::SlowQos0 => &mut self.slow_qos0,
            DropReason::TooLarge => &mut self.too_large,
            DropReason::Unreadable => &mut self.unreadable,
        } += 1;
    }
}

/// What one client has lost.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientDrops {
    counts: Drops,
    /// By reason.
    episodes: [Episode; DropReason::ALL.len()],
}

impl ClientDrops {
    /// Counts a message; true when that begins an episode.
    pub(crate) fn count(&mut self, reason: DropReason, now: Instant) -> bool {
        self.counts.count(reason);
        self.episodes[reason as usize].begins(now)
    }

    pub(crate) fn counts(&self) -> Drops {
        self.counts
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
    /// Dead letters that were published.
    pub dead_letters: u64,
    /// Dead letters that were not made, because there were too many at a time.
    pub dead_letters_missed: u64,
    /// Messages that wait for their time.
    pub delayed: u64,
    /// Their bytes.
    pub delayed_bytes: u64,
    /// Messages dropped, by reason.
    pub drops: Drops,
    /// Messages that wait in memory for upstreams.
    pub held: u64,
    /// Their bytes.
    pub held_bytes: u64,
    /// Messages that would have waited there and were written, for want of room.
    pub held_full: u64,
    /// QoS 1 and 2 messages that are under way to clients.
    pub inflight: u64,
    /// Memory of the core, bytes, about.
    pub memory_bytes: u64,
    /// Bytes that wait to be written to connections.
    pub outbound_bytes: u64,
    /// Packets in buffers that are not written to their end.
    pub outbound_packets: u64,
    /// Packets received, of every kind.
    pub packets_received: u64,
    /// Packets sent, of every kind.
    pub packets_sent: u64,
    /// QoS 1 and 2 messages that were acknowledged before they were durable, because their topics
    /// have such a level.
    pub publish_acknowledged_early: u64,
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
    /// Those of them that are in memory; the others are on the disk until their turn comes.
    pub queued_bytes_in_memory: u64,
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
    /// Clients and listeners that had to wait for having been too fast, by rate.
    pub throttled: Throttles,
    /// Connections that ended because of what the client sent.
    pub violations: u64,
}

impl Metrics {
    /// What two shards have done together. The most clients at a time may have been fewer.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            bytes_received: self.bytes_received + other.bytes_received,
            bytes_sent: self.bytes_sent + other.bytes_sent,
            clients_connected: self.clients_connected + other.clients_connected,
            clients_connected_max: self.clients_connected_max + other.clients_connected_max,
            clients_expired: self.clients_expired + other.clients_expired,
            connections: self.connections + other.connections,
            connections_opened: self.connections_opened + other.connections_opened,
            connects_received: self.connects_received + other.connects_received,
            dead_letters: self.dead_letters + other.dead_letters,
            dead_letters_missed: self.dead_letters_missed + other.dead_letters_missed,
            delayed: self.delayed + other.delayed,
            delayed_bytes: self.delayed_bytes + other.delayed_bytes,
            drops: self.drops.plus(&other.drops),
            held: self.held + other.held,
            held_bytes: self.held_bytes + other.held_bytes,
            held_full: self.held_full + other.held_full,
            inflight: self.inflight + other.inflight,
            memory_bytes: self.memory_bytes + other.memory_bytes,
            outbound_bytes: self.outbound_bytes + other.outbound_bytes,
            outbound_packets: self.outbound_packets + other.outbound_packets,
            packets_received: self.packets_received + other.packets_received,
            packets_sent: self.packets_sent + other.packets_sent,
            publish_acknowledged_early: self.publish_acknowledged_early
                + other.publish_acknowledged_early,
            publish_bytes_received: self.publish_bytes_received + other.publish_bytes_received,
            publish_bytes_sent: self.publish_bytes_sent + other.publish_bytes_sent,
            publish_received: self.publish_received + other.publish_received,
            publish_sent: self.publish_sent + other.publish_sent,
            queued_messages: self.queued_messages + other.queued_messages,
            queued_bytes: self.queued_bytes + other.queued_bytes,
            queued_bytes_in_memory: self.queued_bytes_in_memory + other.queued_bytes_in_memory,
            // The same messages are in all shards.
            retained: self.retained.max(other.retained),
            retained_bytes: self.retained_bytes.max(other.retained_bytes),
            sessions: self.sessions + other.sessions,
            shared_subscriptions: self.shared_subscriptions + other.shared_subscriptions,
            subscriptions: self.subscriptions + other.subscriptions,
            reauthenticated: self.reauthenticated + other.reauthenticated,
            refused: self.refused + other.refused,
            revoked: self.revoked + other.revoked,
            throttled: self.throttled.plus(&other.throttled),
            violations: self.violations + other.violations,
        }
    }
}
