//! Messages that wait in memory for upstreams, and whose publishers wait for those.
//!
//! Here stands who still waits for a message and what all of them take. The messages themselves
//! go to the store, which shows them to the readers and writes nothing; their positions come from
//! a range that was reserved before, so that no position is ever used twice.

use std::collections::{BTreeMap, VecDeque};

use crate::identity::{ConnectionId, ReaderId, Sequence, ShardId};

/// The messages that are held.
#[derive(Debug, Default)]
pub(crate) struct Held {
    messages: BTreeMap<Sequence, HeldMessage>,
    /// What each reader is not done with, in the order of positions.
    waiting: BTreeMap<ReaderId, VecDeque<Sequence>>,
    bytes: usize,
    /// No position below this one is given again after a restart.
    reserved_end: Sequence,
}

/// Where a publisher waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Waiter {
    /// On a connection of this shard.
    Connection(ConnectionId),
    /// In another shard, under this position.
    Shard(ShardId, Sequence),
}

#[derive(Debug)]
struct HeldMessage {
    bytes: usize,
    /// Readers that are not done with it.
    readers: usize,
    /// Where its publisher waits, if it still does.
    publisher: Option<Waiter>,
}

impl Held {
    /// A message of `bytes` bytes waits for `readers`.
    pub(crate) fn hold(
        &mut self,
        sequence: Sequence,
        bytes: usize,
        readers: impl Iterator<Item = ReaderId>,
    ) {
        let mut count = 0;
        for reader in readers {
            self.waiting.entry(reader).or_default().push_back(sequence);
            count += 1;
        }
        assert!(count > 0, "somebody waits for it");
        self.bytes += bytes;
        let message = HeldMessage { bytes, readers: count, publisher: None };
        let before = self.messages.insert(sequence, message);
        assert!(before.is_none(), "a position is given once");
    }

    /// What ends the range that is to be reserved before `sequence` is used; none when it is
    /// reserved already.
    pub(crate) fn reserve(&mut self, sequence: Sequence) -> Option<Sequence> {
        if sequence < self.reserved_end {
            return None;
        }
        self.reserved_end = Sequence(sequence.0 + RESERVED_AT_A_TIME);
        Some(self.reserved_end)
    }

    /// The publisher of a message waits; false when nobody waits for the message any more.
    pub(crate) fn wait(&mut self, sequence: Sequence, publisher: Waiter) -> bool {
        let message = self.messages.get_mut(&sequence);
        message.map(|message| message.publisher = Some(publisher)).is_some()
    }

    /// A reader is done up to and with a position. Answers the messages that nobody waits for any
    /// more, with their publishers.
    pub(crate) fn done(
        &mut self,
        reader: ReaderId,
        done: Sequence,
    ) -> Vec<(Sequence, Option<Waiter>)> {
        let mut released = Vec::new();
        let Some(waiting) = self.waiting.get_mut(&reader) else { return released };
        while let Some(sequence) = waiting.pop_front_if(|sequence| *sequence <= done) {
            let message = self.messages.get_mut(&sequence).expect("a reader waits for it");
            message.readers -= 1;
            if message.readers == 0 {
                self.bytes -= message.bytes;
                released.push((sequence, message.publisher));
                self.messages.remove(&sequence);
            }
        }
        released
    }

    /// Bytes of the messages.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of the messages.
    pub(crate) fn count(&self) -> usize {
        self.messages.len()
    }

    /// Counts again what the counters count; for checks.
    pub(crate) fn check_counters(&self) {
        assert_eq!(self.bytes, self.messages.values().map(|message| message.bytes).sum());
        let readers: usize = self.messages.values().map(|message| message.readers).sum();
        assert_eq!(readers, self.waiting.values().map(VecDeque::len).sum());
    }
}

/// One write for so many messages; a restart passes over what is left of them.
const RESERVED_AT_A_TIME: u64 = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: ReaderId = ReaderId(1);
    const OTHER: ReaderId = ReaderId(2);

    #[test]
    fn a_message_is_released_by_the_last_of_its_readers() {
        let connection = Waiter::Connection(ConnectionId { slot: 3, generation: 0 });
        let mut held = Held::default();
        held.hold(Sequence(5), 10, [ONE, OTHER].into_iter());
        held.hold(Sequence(8), 20, [OTHER].into_iter());
        assert!(held.wait(Sequence(5), connection) && !held.wait(Sequence(6), connection));
        assert_eq!(held.done(OTHER, Sequence(7)), []);
        assert_eq!(held.bytes(), 30);
        assert_eq!(held.done(ONE, Sequence(9)), [(Sequence(5), Some(connection))]);
        assert_eq!((held.bytes(), held.count()), (20, 1));
        held.check_counters();
        assert_eq!(held.done(OTHER, Sequence(8)), [(Sequence(8), None)]);
        assert_eq!((held.bytes(), held.count()), (0, 0));
    }

    #[test]
    fn positions_are_reserved_by_the_many() {
        let mut held = Held::default();
        let end = held.reserve(Sequence(100)).expect("nothing is reserved yet");
        assert_eq!(end, Sequence(100 + RESERVED_AT_A_TIME));
        assert_eq!(held.reserve(Sequence(end.0 - 1)), None);
        assert_eq!(held.reserve(end), Some(Sequence(end.0 + RESERVED_AT_A_TIME)));
    }
}
