//! What the store hands to a core when the broker starts.
//!
//! It is the state after the last committed batch, nothing more: a message that no target waits
//! for any more may still be in `log`, and the core drops it.

use weir_mqtt::PacketId;

use crate::change::{Cursor, InflightState, SessionRecord, SubscriptionRecord, Target};
use crate::identity::{ReaderId, Sequence, SessionId};
use crate::message::Message;

/// The committed state of one shard.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recovered {
    /// The position after the last one that was ever written; some before it may be missing, and
    /// cursors may stand behind it.
    pub next_sequence: Sequence,
    /// The sessions, by ascending number.
    pub sessions: Vec<RecoveredSession>,
    /// Logged messages that may still be waited for, in order.
    pub log: Vec<QueuedRecord>,
    /// The retained messages, one per topic.
    pub retained: Vec<Message>,
    /// The last position each reader is done with.
    pub readers: Vec<(ReaderId, Sequence)>,
}

impl Recovered {
    /// The first position that may be given again. Some are never written, because their message
    /// waited for nobody that is kept, but a cursor may stand behind them already: a message
    /// that got such a position would count as delivered.
    pub(crate) fn first_unused(&self) -> Sequence {
        let cursors = self.sessions.iter().map(|session| session.cursor.start);
        let readers = self.readers.iter().map(|(_, done)| done.next());
        cursors.chain(readers).fold(self.next_sequence, Sequence::max)
    }
}

/// One message of the log that waits for somebody.
#[derive(Clone, Debug, PartialEq)]
pub struct QueuedRecord {
    /// Its position.
    pub sequence: Sequence,
    /// Length of the message, bytes.
    pub bytes: usize,
    /// When it expires, milliseconds since the Unix epoch.
    pub expires_at_ms: Option<u64>,
    /// The message; none when it is to stay on the disk until its turn comes. One that waits for a
    /// shared subscription is always there.
    pub message: Option<Message>,
    /// Who it waits for.
    pub targets: Vec<Target>,
}

/// One message of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRecord {
    /// Its position.
    pub sequence: Sequence,
    /// The message.
    pub message: Message,
    /// Who it waited for when it was written.
    pub targets: Vec<Target>,
}

/// One session with all that belongs to it.
#[derive(Clone, Debug, PartialEq)]
pub struct RecoveredSession {
    /// Its number.
    pub session: SessionId,
    /// Its record.
    pub record: SessionRecord,
    /// How far it is through the log.
    pub cursor: Cursor,
    /// Its subscriptions, by filter.
    pub subscriptions: Vec<(Box<str>, SubscriptionRecord)>,
    /// The packet identifiers in use towards the client, beyond those in `log`.
    pub inflight: Vec<(PacketId, InflightState)>,
    /// The packet identifiers of received QoS 2 messages that are not released yet.
    pub received: Vec<PacketId>,
}
