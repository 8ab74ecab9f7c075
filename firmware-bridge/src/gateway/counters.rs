//! What the gateway counts, under the names that metrics have.

/// Something that is counted since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// ADVERTISE sent.
    Advertised,
    /// Messages from nodes dropped because they should say how old they are and do not.
    AgeMissing,
    /// Sessions that the broker lost or refused.
    BrokerLost,
    /// Requests answered with return code 1.
    Congested,
    /// CONNECT accepted.
    Connected,
    /// Messages to nodes that were handed over: acknowledged, or sent if QoS 0.
    Delivered,
    /// Messages to nodes dropped because the node refused them.
    DroppedNack,
    /// QoS 0 messages of sleepers dropped beyond the limit of their queue.
    DroppedOverflow,
    /// Messages to nodes dropped because the node refused the topic, or had no id left for it.
    DroppedTopic,
    /// Messages to nodes dropped because they do not fit the link.
    DroppedTooLong,
    /// Repetitions from nodes that were recognized.
    Duplicates,
    /// Frames of serial lines that are broken otherwise than by their checksum.
    FramesBroken,
    /// Frames of serial lines whose checksum does not match.
    FramesCrc,
    /// Datagrams dropped because the gateway or a link did not keep up.
    FramesDropped,
    /// Datagrams from the links.
    FramesIn,
    /// Datagrams to the links.
    FramesOut,
    /// Datagrams dropped because they are not packets.
    Malformed,
    /// Refusals by nodes: PUBACK or REGACK with a return code.
    Nacks,
    /// Nodes lost: silent beyond their keep-alive time or sleep, or without acknowledgement.
    NodesLost,
    /// Messages from nodes that the broker has, or was given if QoS 0.
    Published,
    /// QoS 0 messages to nodes dropped before the gateway had them, because it did not keep up.
    QoS0Dropped,
    /// QoS 0 messages from nodes dropped while the broker was away or full.
    QoS0Lost,
    /// Refused for their client id, address or topic.
    Refused,
    /// Packets to nodes that were sent again.
    Retries,
    /// Packets dropped because they mean nothing here: kinds that only a gateway sends, and
    /// acknowledgements of nothing.
    Unexpected,
    /// Packets of senders without a session.
    UnknownSender,
    /// PUBLISH with a topic id that means nothing.
    UnknownTopicId,
}

impl Counter {
    /// All of them.
    pub const ALL: [Self; 27] = [
        Self::Advertised,
        Self::AgeMissing,
        Self::BrokerLost,
        Self::Congested,
        Self::Connected,
        Self::Delivered,
        Self::DroppedNack,
        Self::DroppedOverflow,
        Self::DroppedTopic,
        Self::DroppedTooLong,
        Self::Duplicates,
        Self::FramesBroken,
        Self::FramesCrc,
        Self::FramesDropped,
        Self::FramesIn,
        Self::FramesOut,
        Self::Malformed,
        Self::Nacks,
        Self::NodesLost,
        Self::Published,
        Self::QoS0Dropped,
        Self::QoS0Lost,
        Self::Refused,
        Self::Retries,
        Self::Unexpected,
        Self::UnknownSender,
        Self::UnknownTopicId,
    ];

    /// What the metric is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Advertised => "advertised",
            Self::AgeMissing => "age_missing",
            Self::BrokerLost => "broker_lost",
            Self::Congested => "congested",
            Self::Connected => "connected",
            Self::Delivered => "delivered",
            Self::DroppedNack => "dropped_nack",
            Self::DroppedOverflow => "dropped_overflow",
            Self::DroppedTopic => "dropped_topic",
            Self::DroppedTooLong => "dropped_too_long",
            Self::Duplicates => "duplicates",
            Self::FramesBroken => "frames_broken",
            Self::FramesCrc => "frames_crc",
            Self::FramesDropped => "frames_dropped",
            Self::FramesIn => "frames_in",
            Self::FramesOut => "frames_out",
            Self::Malformed => "malformed",
            Self::Nacks => "nacks",
            Self::NodesLost => "nodes_lost",
            Self::Published => "published",
            Self::QoS0Dropped => "qos0_dropped",
            Self::QoS0Lost => "qos0_lost",
            Self::Refused => "refused",
            Self::Retries => "retries",
            Self::Unexpected => "unexpected",
            Self::UnknownSender => "unknown_sender",
            Self::UnknownTopicId => "unknown_topic_id",
        }
    }
}

/// The counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters([u64; Counter::ALL.len()]);

impl Counters {
    /// One of them.
    pub fn of(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }

    /// All of them with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Counter::ALL.into_iter().map(|counter| (counter.name(), self.of(counter)))
    }

    pub(super) fn add(&mut self, counter: Counter, by: u64) {
        self.0[counter as usize] += by;
    }
}

/// How much there is of what comes and goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Clients, with those that are away and whose session is kept.
    pub clients: usize,
    /// Those of them that sleep.
    pub sleepers: usize,
    /// Messages to nodes that are here and not handed over yet.
    pub queued: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_listed_at_its_place() {
        for (place, counter) in Counter::ALL.into_iter().enumerate() {
            assert_eq!(counter as usize, place, "{counter:?}");
        }
    }
}
