//! What a turn asks the store to remember.
//!
//! A [`Batch`] holds every durable change of one turn and is committed as a whole or not at all.
//! Later changes of a batch overwrite earlier ones of the same key. The core never waits for a
//! batch; what must not be said before the commit waits behind its gate.

use std::ops::Range;

use smallvec::SmallVec;
use weir_mqtt::{PacketId, QoS, SubscriptionOptions, Version, Will};

use crate::identity::{ReaderId, Sequence, SessionId, ShardId};
use crate::message::{Message, MessageParts};
use crate::share_mark::ShareMark;

/// The durable changes of one turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The shard that made it.
    pub shard: ShardId,
    /// Counts up by one per batch of a shard since the start of the process.
    pub number: u64,
    /// The changes, in the order in which they were made.
    pub changes: Vec<Change>,
    /// No session and no reader needs the shard's log below this position any more.
    pub log_start: Sequence,
    /// Something must not be said before it is durable, or must not be put off: it is to be
    /// committed at once. Any other may wait for one that is awaited, for some time.
    pub is_awaited: bool,
    /// Batches of other shards that it is to be durable with.
    pub links: Links,
}

/// How a batch hangs together with those of other shards. One that has sent something and the one
/// of the turn in which that was handled are committed together or not at all.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Links {
    /// What its turn has sent, and to whom.
    pub sent: Vec<Link>,
    /// What its turn has handled, and from whom.
    pub handled: Vec<Link>,
}

/// What one shard has sent to another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Link {
    /// The other shard.
    pub shard: ShardId,
    /// Counts up by one for all that one shard sends to another in this way.
    pub number: u64,
}

impl Links {
    /// True for a batch that stands for itself.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sent.is_empty() && self.handled.is_empty()
    }
}

/// One durable change.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Nobody waits any more for these messages, which were held. Nothing is written.
    HeldReleased {
        /// Their positions.
        sequences: Vec<Sequence>,
    },
    /// A message waits for its targets.
    LogAppended {
        /// Its position.
        sequence: Sequence,
        /// The message itself.
        message: Message,
        /// Who it waits for; never empty.
        targets: SmallVec<[Target; 2]>,
    },
    /// No session waits for anything at these positions any more, although one still waits for
    /// an older message. What a reader that is known waits for stays until it is done with it.
    /// It may be forgotten: what is left over is named again after a restart.
    LogReleased {
        /// The positions, in no order; most of them were never written or are gone already.
        ranges: Vec<Range<Sequence>>,
    },
    /// A session is done with part of the log.
    CursorMoved {
        /// Whose cursor.
        session: SessionId,
        /// Where it stands now.
        cursor: Cursor,
    },
    /// A message waits for readers, which find it in the log although it is not written: it is lost
    /// with the process.
    MessageHeld {
        /// Its position, which is reserved.
        sequence: Sequence,
        /// The message itself.
        message: Message,
        /// The readers it waits for; never empty.
        targets: SmallVec<[Target; 2]>,
    },
    /// No position below this one is given again, whatever becomes of those that were.
    PositionsReserved {
        /// The first position that is not reserved.
        end: Sequence,
    },
    /// A packet identifier towards a client is in use.
    InflightPut {
        /// Whose identifier.
        session: SessionId,
        /// The identifier.
        packet_id: PacketId,
        /// How far the delivery has come.
        state: InflightState,
    },
    /// A packet identifier towards a client is free again.
    InflightRemoved {
        /// Whose identifier.
        session: SessionId,
        /// The identifier.
        packet_id: PacketId,
    },
    /// A reader is done with the log up to and with this position.
    ReaderMoved {
        /// Which reader.
        reader: ReaderId,
        /// The last position it is done with.
        done: Sequence,
    },
    /// A QoS 2 message with this identifier was received and is not released yet.
    ReceivedPut {
        /// Whose identifier.
        session: SessionId,
        /// The identifier.
        packet_id: PacketId,
    },
    /// A QoS 2 message with this identifier was released by its sender.
    ReceivedRemoved {
        /// Whose identifier.
        session: SessionId,
        /// The identifier.
        packet_id: PacketId,
    },
    /// A topic has a retained message; the topic is the message's own.
    RetainedPut {
        /// The message.
        message: Message,
    },
    /// A topic has no retained message any more.
    RetainedRemoved {
        /// The topic name.
        topic: Box<str>,
    },
    /// The state of the rules changed; applied after the snapshot, in order.
    RuleDelta {
        /// As the rule engine encoded it.
        delta: Vec<u8>,
    },
    /// The whole state of the rules; replaces the snapshot and every delta before it.
    RuleSnapshot {
        /// As the rule engine encoded them, in order.
        shards: Vec<Vec<u8>>,
    },
    /// A session exists, or its record changed.
    SessionPut {
        /// Its number.
        session: SessionId,
        /// Its record.
        record: SessionRecord,
    },
    /// A session ended: its subscriptions, cursor and identifiers end with it.
    SessionRemoved {
        /// Its number.
        session: SessionId,
    },
    /// A session subscribes to a filter, or with other options than before.
    SubscriptionPut {
        /// Whose subscription.
        session: SessionId,
        /// The filter, with its `$share/` part.
        filter: Box<str>,
        /// How.
        options: SubscriptionRecord,
    },
    /// A session does not subscribe to a filter any more.
    SubscriptionRemoved {
        /// Whose subscription.
        session: SessionId,
        /// The filter, with its `$share/` part.
        filter: Box<str>,
    },
}

/// Who a logged message waits for, and how it is to be delivered.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Who.
    pub destination: Destination,
    /// The QoS of the delivery.
    pub qos: QoS,
    /// The RETAIN flag of the delivery.
    pub retain: bool,
    /// The packet identifier, when the delivery began at once.
    pub packet_id: Option<PacketId>,
    /// The identifiers of the subscriptions that matched; before them, for a member of a shared
    /// subscription, the mark of the share, which has more bits than an identifier.
    pub subscription_identifiers: SmallVec<[u32; 1]>,
}

impl Target {
    /// Whether it waits for a member of a shared subscription, which others may take it from.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        let first = self.subscription_identifiers.first();
        first.is_some_and(|first| ShareMark::from_identifier(*first).is_some())
    }
}

/// Who a logged message waits for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Destination {
    /// Something inside the broker.
    Reader(ReaderId),
    /// A client's session.
    Session(SessionId),
}

/// How far a session is through the log: of the messages that name it as a target, those at or
/// above `start` wait, and of those below only the ones in `inflight`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Cursor {
    /// Every position at or above this one still waits.
    pub start: Sequence,
    /// Positions below `start` that still wait, ascending. Bounded by the messages in flight and
    /// by how many stay when messages behind them go to other members of a share.
    pub inflight: Vec<Sequence>,
}

/// How far a delivery has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InflightState {
    /// PUBREC came, PUBREL is owed; the message is no longer needed.
    Released,
    /// The PUBLISH is under way, or about to be.
    Sent {
        /// The message.
        sequence: Sequence,
    },
}

/// What outlives the connection of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionRecord {
    /// The client identifier.
    pub client_id: Box<str>,
    /// The protocol version of its last connection.
    pub version: Version,
    /// Seconds that it outlives its connection; `u32::MAX` = for ever.
    pub expiry_interval_s: u32,
    /// When its connection ended, milliseconds since the Unix epoch; none while it is open.
    pub disconnected_at_ms: Option<u64>,
    /// What is to be published when the connection ends, or once its delay is over.
    pub will: Option<WillRecord>,
}

/// A will, as the store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct WillRecord {
    /// What to publish. Its expiry is counted from then, so the record itself holds none.
    pub message: Message,
    /// Seconds after the end of the connection.
    pub delay_interval_s: u32,
    /// Message expiry interval, seconds.
    pub expiry_interval_s: Option<u32>,
}

impl WillRecord {
    /// The record of the will of a CONNECT.
    pub(crate) fn of(will: &Will<'_>, scratch: &mut Vec<u8>) -> Self {
        let mut properties = Vec::new();
        will.properties
            .encode_end_to_end(&mut properties)
            .expect("properties that were decoded can be encoded");
        let parts = MessageParts {
            qos: will.qos,
            retain: will.retain,
            expires_at_ms: None,
            received_at_ms: 0,
            publisher: "",
            topic: will.topic,
            properties: &properties,
            payload: will.payload,
        };
        Self {
            message: Message::new(&parts, scratch),
            delay_interval_s: will.properties.will_delay_interval_s.unwrap_or(0),
            expiry_interval_s: will.properties.message_expiry_interval_s,
        }
    }
}

/// A subscription, as the store keeps it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SubscriptionRecord {
    /// QoS, no local, retain as published, retain handling.
    pub options: SubscriptionOptions,
    /// The subscription identifier.
    pub identifier: Option<u32>,
}
