//! What must not be said before the store has said that it is durable.
//!
//! One queue in the order of the batches, so the acknowledgements of a client keep the order of
//! its packets [MQTT-4.6.0-2] and one commit releases all of its own at once. Nothing leaves the
//! gate but through [`Gate::open`], and that is called for committed batches only.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use smallvec::SmallVec;
use weir_mqtt::PacketId;

use crate::identity::{ConnectionId, Sequence, SessionId, ShardId};

/// Something that waits for a commit.
#[derive(Debug)]
pub(crate) enum Gated {
    /// The answer to CONNECT, and with it the start of the connection.
    Connect { connection: ConnectionId },
    /// A QoS 2 message may go out under its identifier.
    Deliver { session: SessionId, packet_id: PacketId },
    /// A message for which the publisher of another shard waits.
    Release { shard: ShardId, waits: Sequence },
    /// The retained messages of a subscription, once all shards know of it.
    Replay { connection: ConnectionId, session: SessionId, filter: Arc<str> },
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
    /// Everything up to this batch is durable.
    committed: u64,
    /// The client identifiers of sessions whose removal is not durable, with its batch.
    removed: BTreeMap<Arc<str>, u64>,
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

    /// Whether a batch is durable.
    pub(crate) fn is_committed(&self, batch: u64) -> bool {
        batch <= self.committed
    }

    /// A session that the store knows ends in `batch`.
    pub(crate) fn session_removed(&mut self, client_id: Arc<str>, batch: u64) {
        self.removed.insert(client_id, batch);
    }

    /// What a client waits for before it may be told that it has no session: until then a crash
    /// brings back the one that it had.
    pub(crate) fn removal_of(&self, client_id: &str) -> Option<u64> {
        let batch = *self.removed.get(client_id)?;
        Some(self.last_batch().map_or(batch, |last| last.max(batch)))
    }

    /// The next item whose batch is durable now that `committed` is.
    pub(crate) fn open(&mut self, committed: u64) -> Option<Gated> {
        self.committed = self.committed.max(committed);
        if !self.removed.is_empty() {
            self.removed.retain(|_, batch| *batch > committed);
        }
        let (batch, _) = self.waiting.front()?;
        if *batch > committed { None } else { self.waiting.pop_front().map(|(_, item)| item) }
    }

    /// How many answers wait for each connection; for checks.
    pub(crate) fn replies(&self) -> BTreeMap<ConnectionId, u32> {
        let mut counts = BTreeMap::new();
        for (_, item) in &self.waiting {
            if let Gated::Reply { connection, .. } = item {
                *counts.entry(*connection).or_default() += 1;
            }
        }
        counts
    }

    /// Number of items that wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}
