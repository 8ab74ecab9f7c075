//! Which level of durability a message has, where it stands, and what waits for upstreams.

use smallvec::SmallVec;
use weir_mqtt::Publish;

use crate::change::{Change, Destination, Target};
use crate::core::Core;
use crate::durability::Durability;
use crate::identity::{ConnectionId, Sequence};
use crate::message::Message;
use crate::reader_config::ReaderKind;
use crate::store_room::StoreRoom;
use crate::subscriptions::Holder;

impl Core {
    /// The level of a topic. What no upstream gets cannot wait for one. Nobody knows how long a
    /// store that fails will take, and that is how much would be lost of what was acknowledged
    /// before it is written.
    pub(crate) fn level_of(&mut self, topic: &str) -> Durability {
        match self.levels.of(topic) {
            Durability::Relaxed if self.store_room != StoreRoom::Ample => Durability::Commit,
            Durability::Upstream if !self.is_forwarded(topic) => Durability::Commit,
            level => level,
        }
    }

    /// The level of a message for whose acknowledgement nobody waits: what the broker publishes
    /// itself, rules and upstreams included, and wills.
    pub(crate) fn level_inside(&mut self, topic: &str) -> Durability {
        match self.levels.of(topic) {
            Durability::Upstream => Durability::Commit,
            level => level,
        }
    }

    /// The level of a message that goes to another session than the one that it waited for. What
    /// the store has had, it goes on to have.
    pub(crate) fn level_again(&mut self, topic: &str, was_logged: bool) -> Durability {
        let level = self.level_of(topic);
        if was_logged && !level.is_written() { Durability::Commit } else { level }
    }

    /// The level of a message for which there may be no room in memory. One behind others of its
    /// connection that wait for upstreams waits as well, or a crash would bring it before them;
    /// how many wait for a connection is bounded.
    pub(crate) fn level_with_room(
        &mut self,
        id: ConnectionId,
        level: Durability,
        publish: &Publish<'_>,
    ) -> Durability {
        let bytes = self.held.bytes() + publish.topic.len() + publish.payload.len();
        let is_behind = self.connections.get(id).is_some_and(|open| !open.deferred.is_empty());
        if level == Durability::Upstream && !is_behind && bytes > self.limits.held_bytes_max {
            self.metrics.held_full += 1;
            return Durability::Commit;
        }
        level
    }

    /// How the retained message of a topic is kept: always alike, so that the store never has an
    /// older one than the process.
    pub(crate) fn retained_level(&mut self, level: Durability, topic: &str) -> Durability {
        if level == Durability::Commit { self.level_of(topic) } else { level }
    }

    /// Lets a message wait for upstreams.
    pub(crate) fn hold(
        &mut self,
        sequence: Sequence,
        message: Message,
        targets: SmallVec<[Target; 2]>,
    ) {
        if let Some(end) = self.held.reserve(sequence) {
            self.record(Change::PositionsReserved { end });
        }
        let readers = targets.iter().filter_map(|target| match target.destination {
            Destination::Reader(reader) => Some(reader),
            Destination::Session(_) => None,
        });
        self.held.hold(sequence, message.len(), readers);
        self.turn.held = Some(sequence);
        self.record(Change::MessageHeld { sequence, message, targets });
    }

    /// Whether any upstream gets the messages of a topic.
    fn is_forwarded(&mut self, topic: &str) -> bool {
        let readers = &self.readers;
        let mut is_forwarded = false;
        self.subscriptions.matching(topic, |subscriber| {
            if let Holder::Reader(index) = subscriber.holder {
                is_forwarded |= readers[usize::from(index)].config.kind == ReaderKind::Upstream;
            }
        });
        is_forwarded
    }
}
