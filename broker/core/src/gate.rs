//! What must not be said before the store has said that it is durable.
//!
//! One queue in the order of the batches, so the acknowledgements of a client keep the order of
//! its packets [MQTT-4.6.0-2] and one commit releases all of its own at once. Nothing leaves the
//! gate but through [`Gate::open`], and that is called for committed batches only.

use std::collections::VecDeque;

use smallvec::SmallVec;
use weir_mqtt::PacketId;

use crate::identity::{ConnectionId, SessionId};

/// Something that waits for a commit.
#[derive(Debug)]
pub(crate) enum Gated {
    /// The answer to CONNECT, and with it the start of the connection.
    Connect { connection: ConnectionId },
    /// A QoS 2 message may go out under its identifier.
    Deliver { session: SessionId, packet_id: PacketId },
    /// An encoded packet.
    Reply {
        connection: ConnectionId,
        frame: SmallVec<[u8; 8]>,
        /// It ends a QoS 1 or 2 exchange that the client began.
        ends_exchange: bool,
    },
}

/// The queue before the commit.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    waiting: VecDeque<(u64, Gated)>,
}

impl Gate {
    /// Lets `item` wait for `batch`.
    pub(crate) fn wait(&mut self, batch: u64, item: Gated) {
        debug_assert!(self.last_batch().is_none_or(|last| last <= batch), "batches come in order");
        self.waiting.push_back((batch, item));
    }

    /// The batch that everything now waiting waits for; none when nothing waits.
    pub(crate) fn last_batch(&self) -> Option<u64> {
        self.waiting.back().map(|(batch, _)| *batch)
    }

    /// The next item whose batch is durable now that `committed` is.
    pub(crate) fn open(&mut self, committed: u64) -> Option<Gated> {
        let (batch, _) = self.waiting.front()?;
        if *batch > committed { None } else { self.waiting.pop_front().map(|(_, item)| item) }
    }

    /// Number of items that wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}
