//! The messages that wait for sessions, each held once, whatever the number of sessions.
//!
//! Positions are contiguous, so the log is an array in chunks. A chunk in which nothing waits
//! any more is freed, also when one dead session still needs an older message. A message that is
//! on the disk can leave memory; what is left of it then are eight bytes.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use crate::identity::Sequence;
use crate::message::Message;

const CHUNK: usize = 256;

/// The queued messages of a shard by position.
#[derive(Debug)]
pub(crate) struct Log {
    /// Number of the first chunk.
    first_chunk: u64,
    chunks: VecDeque<Option<Box<Chunk>>>,
    /// An empty chunk that was used before: where little waits, one is enough for ever.
    spare: Option<Box<Chunk>>,
    next: u64,
    /// The store has everything below this position that it is to have.
    durable_end: Sequence,
    bytes: usize,
    bytes_in_memory: usize,
    count: usize,
}

#[derive(Debug)]
struct Chunk {
    places: [Place; CHUNK],
    /// None when none of them is in memory.
    messages: Option<Box<[Option<Message>; CHUNK]>>,
    in_memory: usize,
    waiting: usize,
}

/// What is known of a message wherever it is.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// What it counts for.
    bytes: u32,
    /// Sessions that wait for it, and in the first bit whether it may leave memory.
    holders: u32,
}

impl Log {
    /// A log whose first message gets position `next`.
    pub(crate) fn new(next: Sequence) -> Self {
        let next = next.0.max(1);
        Self {
            first_chunk: next / CHUNK as u64,
            chunks: VecDeque::new(),
            spare: None,
            next,
            durable_end: Sequence(next),
            bytes: 0,
            bytes_in_memory: 0,
            count: 0,
        }
    }

    /// Takes the next position. The message stays only as long as somebody holds it.
    pub(crate) fn reserve(&mut self) -> Sequence {
        let sequence = Sequence(self.next);
        self.next += 1;
        sequence
    }

    /// Lets one more session wait for the message at `sequence`, which takes `bytes` of memory.
    pub(crate) fn hold(&mut self, sequence: Sequence, message: &Message, bytes: usize) {
        if self.hold_absent(sequence, bytes) {
            self.put_back(sequence, message.clone());
        }
    }

    /// The same for a message that is on the disk only; true when nobody has held it so far.
    pub(crate) fn hold_absent(&mut self, sequence: Sequence, bytes: usize) -> bool {
        assert!(sequence.0 < self.next, "a held position was reserved");
        let chunk = self.chunk_for(sequence);
        let place = &mut chunk.places[index_of(sequence)];
        place.hold();
        let is_first = place.holders() == 1;
        if is_first {
            place.bytes = u32::try_from(bytes).expect("a packet is shorter than 256 MiB");
            chunk.waiting += 1;
            self.bytes += bytes;
            self.count += 1;
        }
        is_first
    }

    /// Ends the wait of one session for the message at `sequence`.
    pub(crate) fn release(&mut self, sequence: Sequence) {
        let chunk = self.chunk_mut(sequence);
        let place = &mut chunk.places[index_of(sequence)];
        if place.release() > 0 {
            return;
        }
        let bytes = std::mem::take(place).bytes as usize;
        chunk.waiting -= 1;
        let is_done = chunk.waiting == 0;
        if chunk.take_message(index_of(sequence)) {
            self.bytes_in_memory -= bytes;
        }
        self.bytes -= bytes;
        self.count -= 1;
        if is_done {
            let chunk = self.chunk_index(sequence);
            self.spare = self.chunks[chunk].take();
            while let Some(None) = self.chunks.front() {
                self.chunks.pop_front();
                self.first_chunk += 1;
            }
        }
    }

    /// The message at `sequence`, which somebody holds, may leave memory once it is durable.
    pub(crate) fn allow_absence(&mut self, sequence: Sequence) {
        if self.is_held(sequence) {
            self.chunk_mut(sequence).places[index_of(sequence)].allow_absence();
        }
    }

    /// The store has what it was told of the positions below `end`. Answers those that are new.
    pub(crate) fn committed(&mut self, end: Sequence) -> Range<u64> {
        let before = self.durable_end;
        self.durable_end = before.max(end);
        before.0..self.durable_end.0
    }

    /// Lets a message leave memory, if it is on the disk and may.
    pub(crate) fn leave_memory(&mut self, sequence: Sequence) {
        if sequence >= self.durable_end || !self.is_held(sequence) {
            return;
        }
        let chunk = self.chunk_mut(sequence);
        let place = chunk.places[index_of(sequence)];
        if place.may_be_absent() && chunk.take_message(index_of(sequence)) {
            self.bytes_in_memory -= place.bytes as usize;
        }
    }

    /// A message that has left memory is back. Nothing happens when nobody waits for it any
    /// more, or when it is there.
    pub(crate) fn put_back(&mut self, sequence: Sequence, message: Message) {
        if !self.is_held(sequence) || self.message(sequence).is_some() {
            return;
        }
        let chunk = self.chunk_mut(sequence);
        chunk.put_message(index_of(sequence), message);
        self.bytes_in_memory += chunk.places[index_of(sequence)].bytes as usize;
    }

    /// Whether anybody waits for the message at `sequence`.
    pub(crate) fn is_held(&self, sequence: Sequence) -> bool {
        self.chunk(sequence).is_some_and(|chunk| chunk.places[index_of(sequence)].holders() > 0)
    }

    /// Bytes that the message at `sequence`, which somebody holds, counts for.
    pub(crate) fn bytes_of(&self, sequence: Sequence) -> usize {
        let chunk = self.chunk(sequence).expect("the chunk of a held message");
        chunk.places[index_of(sequence)].bytes as usize
    }

    /// The message at `sequence`, which somebody holds; none when it is on the disk only.
    pub(crate) fn message(&self, sequence: Sequence) -> Option<&Message> {
        self.chunk(sequence)?.messages.as_ref()?[index_of(sequence)].as_ref()
    }

    /// The oldest position that somebody holds, or the next one that will be given.
    pub(crate) fn start(&self) -> Sequence {
        let Some(Some(chunk)) = self.chunks.front() else { return Sequence(self.next) };
        let first = chunk.places.iter().position(|place| place.holders() > 0);
        let first = first.expect("a kept chunk is not empty") as u64;
        Sequence(self.first_chunk * CHUNK as u64 + first)
    }

    /// The position that the next message gets.
    pub(crate) fn next(&self) -> Sequence {
        Sequence(self.next)
    }

    /// Bytes of the messages held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of those that are in memory.
    pub(crate) fn bytes_in_memory(&self) -> usize {
        self.bytes_in_memory
    }

    /// Number of messages held.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Compares everything with how many wait for each message; for checks.
    pub(crate) fn check(&self, holders: &BTreeMap<Sequence, u32>) {
        let (mut found, mut bytes, mut bytes_in_memory) = (0, 0, 0);
        for (sequence, place, message) in self.held() {
            assert_eq!(Some(&place.holders()), holders.get(&sequence), "who waits is a session");
            found += 1;
            bytes += place.bytes as usize;
            if message.is_some() {
                bytes_in_memory += place.bytes as usize;
            } else {
                let is_on_disk = place.may_be_absent() && sequence < self.durable_end;
                assert!(is_on_disk, "a message is somewhere");
            }
        }
        assert_eq!((found, self.count), (holders.len(), found));
        assert_eq!((self.bytes, self.bytes_in_memory), (bytes, bytes_in_memory));
    }

    fn held(&self) -> impl Iterator<Item = (Sequence, Place, Option<&Message>)> {
        let chunks = (self.first_chunk..).zip(&self.chunks);
        let chunks = chunks.filter_map(|(number, chunk)| Some((number, chunk.as_ref()?)));
        chunks.flat_map(|(number, chunk)| {
            let places = (number * CHUNK as u64..).zip(&chunk.places);
            let places = places.filter(|(_, place)| place.holders > 1);
            places.map(|(at, place)| (Sequence(at), *place, self.message(Sequence(at))))
        })
    }

    fn chunk_index(&self, sequence: Sequence) -> usize {
        (sequence.0 / CHUNK as u64 - self.first_chunk) as usize
    }

    fn chunk(&self, sequence: Sequence) -> Option<&Chunk> {
        let place = (sequence.0 / CHUNK as u64).checked_sub(self.first_chunk)?;
        self.chunks.get(usize::try_from(place).ok()?)?.as_deref()
    }

    fn chunk_mut(&mut self, sequence: Sequence) -> &mut Chunk {
        let index = self.chunk_index(sequence);
        self.chunks[index].as_mut().expect("the chunk of a held message")
    }

    /// The chunk for a position, which may be a new one.
    fn chunk_for(&mut self, sequence: Sequence) -> &mut Chunk {
        let number = sequence.0 / CHUNK as u64;
        if self.chunks.is_empty() {
            self.first_chunk = number;
        }
        while number < self.first_chunk {
            self.chunks.push_front(None);
            self.first_chunk -= 1;
        }
        let index = self.chunk_index(sequence);
        while self.chunks.len() <= index {
            self.chunks.push_back(None);
        }
        let spare = &mut self.spare;
        self.chunks[index].get_or_insert_with(|| spare.take().unwrap_or_else(Chunk::new))
    }
}

impl Chunk {
    fn new() -> Box<Self> {
        let places = [Place::default(); CHUNK];
        Box::new(Self { places, messages: None, in_memory: 0, waiting: 0 })
    }

    fn put_message(&mut self, index: usize, message: Message) {
        let messages = self.messages.get_or_insert_with(|| Box::new([const { None }; CHUNK]));
        messages[index] = Some(message);
        self.in_memory += 1;
    }

    /// Forgets a message; true when it was there.
    fn take_message(&mut self, index: usize) -> bool {
        let Some(messages) = &mut self.messages else { return false };
        let was_there = messages[index].take().is_some();
        self.in_memory -= usize::from(was_there);
        if self.in_memory == 0 && self.waiting > 0 {
            self.messages = None;
        }
        was_there
    }
}

impl Place {
    fn holders(self) -> u32 {
        self.holders >> 1
    }

    fn hold(&mut self) {
        self.holders += 2;
    }

    /// Answers how many are left.
    fn release(&mut self) -> u32 {
        assert!(self.holders() > 0, "a released message was held");
        self.holders -= 2;
        self.holders()
    }

    fn allow_absence(&mut self) {
        self.holders |= 1;
    }

    fn may_be_absent(self) -> bool {
        self.holders & 1 == 1
    }
}

fn index_of(sequence: Sequence) -> usize {
    (sequence.0 % CHUNK as u64) as usize
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
        assert_eq!(log.message(sequence).map(Message::payload), Some(&b"a"[..]));
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

    #[test]
    fn only_what_is_on_the_disk_and_may_leaves_memory() {
        let mut log = Log::new(Sequence(1));
        let sequences: Vec<Sequence> = (0..3).map(|_| log.reserve()).collect();
        sequences.iter().for_each(|sequence| log.hold(*sequence, &message(b"x"), 10));
        log.allow_absence(sequences[0]);
        log.allow_absence(sequences[2]);
        let news = log.committed(sequences[2]);
        assert_eq!(news, sequences[0].0..sequences[2].0);
        sequences.iter().for_each(|sequence| log.leave_memory(*sequence));
        let there: Vec<bool> =
            sequences.iter().map(|sequence| log.message(*sequence).is_some()).collect();
        assert_eq!(there, [false, true, true], "absent, must stay, not durable");
        assert_eq!((log.bytes(), log.bytes_in_memory(), log.count()), (30, 20, 3));
        log.put_back(sequences[0], message(b"x"));
        assert_eq!(log.bytes_in_memory(), 30);
        log.leave_memory(sequences[0]);
        sequences.iter().for_each(|sequence| log.release(*sequence));
        assert_eq!((log.bytes(), log.bytes_in_memory(), log.count()), (0, 0, 0));
        log.put_back(sequences[0], message(b"x"));
        assert_eq!(log.bytes_in_memory(), 0, "nobody waits for it any more");
    }
}
