//! The messages that wait for sessions, each held once, whatever the number of sessions.
//!
//! Positions are contiguous, so the log is an array in chunks. A chunk in which nothing waits
//! any more is freed, also when one dead session still needs an older message.

use std::collections::{BTreeMap, VecDeque};

use crate::identity::Sequence;
use crate::message::Message;

const CHUNK: u64 = 256;

/// The queued messages of a shard by position.
#[derive(Debug)]
pub(crate) struct Log {
    /// Number of the first chunk.
    first_chunk: u64,
    chunks: VecDeque<Option<Box<Chunk>>>,
    next: u64,
    bytes: usize,
    count: usize,
}

#[derive(Debug)]
struct Chunk {
    entries: [Option<Entry>; CHUNK as usize],
    waiting: usize,
}

#[derive(Debug)]
struct Entry {
    message: Message,
    /// What it counts for.
    bytes: usize,
    /// Sessions that wait for it.
    holders: u32,
}

impl Log {
    /// A log whose first message gets position `next`.
    pub(crate) fn new(next: Sequence) -> Self {
        let next = next.0.max(1);
        Self { first_chunk: next / CHUNK, chunks: VecDeque::new(), next, bytes: 0, count: 0 }
    }

    /// Takes the next position. The message stays only as long as somebody holds it.
    pub(crate) fn reserve(&mut self) -> Sequence {
        let sequence = Sequence(self.next);
        self.next += 1;
        sequence
    }

    /// Lets one more session wait for the message at `sequence`, which takes `bytes` of memory.
    pub(crate) fn hold(&mut self, sequence: Sequence, message: &Message, bytes: usize) {
        assert!(sequence.0 < self.next, "a held position was reserved");
        let chunk_number = sequence.0 / CHUNK;
        if self.chunks.is_empty() {
            self.first_chunk = chunk_number;
        }
        while chunk_number < self.first_chunk {
            self.chunks.push_front(None);
            self.first_chunk -= 1;
        }
        let index = (chunk_number - self.first_chunk) as usize;
        while self.chunks.len() <= index {
            self.chunks.push_back(None);
        }
        let chunk = self.chunks[index].get_or_insert_with(Chunk::new);
        let entry = &mut chunk.entries[(sequence.0 % CHUNK) as usize];
        match entry {
            Some(entry) => entry.holders += 1,
            None => {
                *entry = Some(Entry { message: message.clone(), bytes, holders: 1 });
                chunk.waiting += 1;
                self.bytes += bytes;
                self.count += 1;
            }
        }
    }

    /// Ends the wait of one session for the message at `sequence`.
    pub(crate) fn release(&mut self, sequence: Sequence) {
        let slot = self.slot_mut(sequence);
        let entry = slot.as_mut().expect("a released message was held");
        entry.holders -= 1;
        if entry.holders > 0 {
            return;
        }
        let bytes = entry.bytes;
        *slot = None;
        self.bytes -= bytes;
        self.count -= 1;
        let index = (sequence.0 / CHUNK - self.first_chunk) as usize;
        let chunk = self.chunks[index].as_mut().expect("the chunk of a held message");
        chunk.waiting -= 1;
        if chunk.waiting == 0 {
            self.chunks[index] = None;
            while let Some(None) = self.chunks.front() {
                self.chunks.pop_front();
                self.first_chunk += 1;
            }
        }
    }

    /// Bytes that the message at `sequence`, which somebody holds, counts for.
    pub(crate) fn bytes_of(&self, sequence: Sequence) -> usize {
        self.entry(sequence).bytes
    }

    /// The message at `sequence`, which somebody holds.
    pub(crate) fn message(&self, sequence: Sequence) -> &Message {
        &self.entry(sequence).message
    }

    /// The oldest position that somebody holds, or the next one that will be given.
    pub(crate) fn start(&self) -> Sequence {
        let Some(Some(chunk)) = self.chunks.front() else { return Sequence(self.next) };
        let first = chunk.entries.iter().position(Option::is_some);
        Sequence(self.first_chunk * CHUNK + first.expect("a kept chunk is not empty") as u64)
    }

    /// The position that the next message gets.
    pub(crate) fn next(&self) -> Sequence {
        Sequence(self.next)
    }

    /// Bytes of the messages held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of messages held.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// How many wait for each message; for checks.
    pub(crate) fn holders(&self) -> BTreeMap<Sequence, u32> {
        let chunks = (self.first_chunk..).zip(&self.chunks);
        chunks
            .filter_map(|(number, chunk)| Some((number, chunk.as_ref()?)))
            .flat_map(|(number, chunk)| {
                let entries = (number * CHUNK..).zip(&chunk.entries);
                entries.filter_map(|(at, entry)| Some((Sequence(at), entry.as_ref()?.holders)))
            })
            .collect()
    }

    fn entry(&self, sequence: Sequence) -> &Entry {
        let index = (sequence.0 / CHUNK - self.first_chunk) as usize;
        let chunk = self.chunks[index].as_ref().expect("the chunk of a held message");
        let entry = chunk.entries[(sequence.0 % CHUNK) as usize].as_ref();
        entry.expect("a message is there while it is held")
    }

    fn slot_mut(&mut self, sequence: Sequence) -> &mut Option<Entry> {
        let index = (sequence.0 / CHUNK - self.first_chunk) as usize;
        let chunk = self.chunks[index].as_mut().expect("the chunk of a held message");
        &mut chunk.entries[(sequence.0 % CHUNK) as usize]
    }
}

impl Chunk {
    fn new() -> Box<Self> {
        Box::new(Self { entries: [const { None }; CHUNK as usize], waiting: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::MessageParts;
    use weir_mqtt::QoS;

    fn message(payload: &[u8]) -> Message {
        let parts = MessageParts {
            qos: QoS::AtLeastOnce,
            retain: false,
            expires_at_ms: None,
            received_at_ms: 0,
            topic: "t",
            properties: &[],
            payload,
        };
        Message::new(&parts, &mut Vec::new())
    }

    #[test]
    fn a_message_stays_until_its_last_holder_lets_go() {
        let mut log = Log::new(Sequence(1));
        let sequence = log.reserve();
        log.hold(sequence, &message(b"a"), 1);
        log.hold(sequence, &message(b"a"), 1);
        assert_eq!(log.count(), 1);
        log.release(sequence);
        assert_eq!(log.message(sequence).payload(), b"a");
        log.release(sequence);
        assert_eq!((log.count(), log.bytes()), (0, 0));
        assert_eq!(log.start(), log.next());
    }

    #[test]
    fn an_old_message_does_not_keep_the_chunks_behind_it() {
        let mut log = Log::new(Sequence(1));
        let pinned = log.reserve();
        log.hold(pinned, &message(b"pinned"), 6);
        for _ in 0..100 * CHUNK {
            let sequence = log.reserve();
            log.hold(sequence, &message(b"x"), 1);
            log.release(sequence);
        }
        assert_eq!(log.start(), pinned);
        assert_eq!(log.chunks.iter().flatten().count(), 1);
        log.release(pinned);
        assert_eq!(log.start(), log.next());
    }
}
