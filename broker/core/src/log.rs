//! The messages that wait for sessions, each held once, whatever the number of sessions.
//!
//! Positions are contiguous, so the log is an array in chunks. A chunk in which nothing waits
//! any more is freed, also when one dead session still needs an older message; the chunks of such
//! messages are set aside when much of the array behind them is empty. A message that is on the
//! disk can leave memory; what is left of it then are eight bytes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use crate::identity::Sequence;
use crate::message::Message;
use crate::released::Released;

const CHUNK: usize = 256;
/// Empty places of the array for each chunk, and besides, before old chunks are set aside.
const GAPS_MAX: usize = 16;
/// Messages that expire within so many milliseconds are looked at together.
const EXPIRY_STEP_MS: u64 = 30_000;
/// Held positions that one sweep looks at.
const SWEEP_HELD_MAX: usize = 1024;

/// The queued messages of a shard by position.
#[derive(Debug)]
pub(crate) struct Log {
    /// Number of the first chunk.
    first_chunk: u64,
    chunks: VecDeque<Option<Box<Chunk>>>,
    /// How many of them there are.
    live: usize,
    /// Chunks before the first, by number.
    aside: BTreeMap<u64, Box<Chunk>>,
    /// The step in which the first message of a chunk expires, and the number of the chunk.
    expiries: BTreeSet<(u32, u64)>,
    /// An empty chunk that was used before: where little waits, one is enough for ever.
    spare: Option<Box<Chunk>>,
    next: u64,
    /// The store has everything below this position that it is to have.
    durable_end: Sequence,
    bytes: usize,
    bytes_in_memory: usize,
    count: usize,
    released: Released,
}

#[derive(Debug)]
struct Chunk {
    places: [Place; CHUNK],
    /// None when none of them is in memory.
    messages: Option<Box<[Option<Message>; CHUNK]>>,
    in_memory: usize,
    waiting: usize,
    /// The steps in which messages expire, 0 = never; none while none of them does.
    expiries: Option<Box<[u32; CHUNK]>>,
    /// The first of them that may still hold somebody up; 0 = none.
    first_expiry: u32,
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
    /// A log whose first message gets position `next`. A front that is further behind the end than
    /// `pinned_positions` counts as one that stays.
    pub(crate) fn new(next: Sequence, pinned_positions: u64) -> Self {
        let next = next.0.max(1);
        Self {
            first_chunk: next / CHUNK as u64,
            chunks: VecDeque::new(),
            live: 0,
            aside: BTreeMap::new(),
            expiries: BTreeSet::new(),
            spare: None,
            next,
            durable_end: Sequence(next),
            bytes: 0,
            bytes_in_memory: 0,
            count: 0,
            released: Released::new(pinned_positions),
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
        if self.hold_place(sequence, bytes) {
            self.watch(sequence, message.expires_at_ms());
            self.put_back(sequence, message.clone());
        }
    }

    /// The same for a message that is on the disk only.
    pub(crate) fn hold_absent(
        &mut self,
        sequence: Sequence,
        bytes: usize,
        expires_at_ms: Option<u64>,
    ) {
        if self.hold_place(sequence, bytes) {
            self.watch(sequence, expires_at_ms);
        }
    }

    /// True when nobody has held it so far.
    fn hold_place(&mut self, sequence: Sequence, bytes: usize) -> bool {
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
        if let Some(expiries) = &mut chunk.expiries {
            expiries[index_of(sequence)] = 0;
        }
        chunk.waiting -= 1;
        let is_done = chunk.waiting == 0;
        if chunk.take_message(index_of(sequence)) {
            self.bytes_in_memory -= bytes;
        }
        self.bytes -= bytes;
        self.count -= 1;
        if is_done {
            self.free_chunk(sequence);
        }
        self.released.let_go(sequence);
    }

    /// The store shall not bring back the message at `sequence`, if nobody waits for it any more: a
    /// cursor that stays before it would not say so.
    pub(crate) fn name_released(&mut self, sequence: Sequence) {
        if !self.is_held(sequence) {
            self.released.name(sequence);
        }
    }

    /// A reader is done with the positions above `before`, up to and with `done`.
    pub(crate) fn read(&mut self, before: Sequence, done: Sequence) {
        self.released.read(before, done);
    }

    /// A message of so many bytes is on its way to the store.
    pub(crate) fn logged(&mut self, bytes: usize) {
        self.released.logged(bytes);
    }

    /// What no session waits for any more, that the store was not told of and that trimming at
    /// `start` leaves; in no order. Nothing as long as the front of the log moves on.
    pub(crate) fn take_released(&mut self, start: Sequence) -> Vec<Range<Sequence>> {
        let mut ranges = Vec::new();
        let is_pinned = self.released.is_pinned(start, self.next());
        if !is_pinned && self.released.is_empty() {
            return ranges;
        }
        self.released.take_positions(start, &mut ranges);
        let swept = self.released.swept();
        for read in self.released.take_read() {
            let (from, end) = (read.start.max(start), read.end.min(swept));
            let looked_to = self.look(from, end, &mut ranges);
            if looked_to < end {
                self.released.sweep_again(looked_to);
            }
        }
        if is_pinned {
            let from = self.released.swept().max(start);
            let looked_to = self.look(from, self.next(), &mut ranges);
            self.released.sweep_ended(looked_to);
        }
        ranges
    }

    /// When the first message that is held has expired, and all others of its step, milliseconds
    /// since the Unix epoch.
    pub(crate) fn first_expiry_ms(&self) -> Option<u64> {
        let (step, _) = self.expiries.first()?;
        Some(u64::from(*step) * EXPIRY_STEP_MS)
    }

    /// The positions, in order, of what is held and has expired, each once; of no more chunks than
    /// `chunks_max`.
    pub(crate) fn take_expired(&mut self, unix_ms: u64, chunks_max: usize) -> Vec<Sequence> {
        let step = u32::try_from(unix_ms / EXPIRY_STEP_MS).unwrap_or(u32::MAX);
        let mut expired = Vec::new();
        for _ in 0..chunks_max {
            let Some(&(_, number)) = self.expiries.first().filter(|(at, _)| *at <= step) else {
                break;
            };
            self.expiries.pop_first();
            let chunk = self.chunk_mut(Sequence(number * CHUNK as u64));
            chunk.first_expiry = 0;
            let Some(expiries) = &chunk.expiries else { continue };
            let mut later = 0;
            for (index, place) in chunk.places.iter().enumerate() {
                match expiries[index] {
                    _ if place.holders() == 0 => {}
                    0 => {}
                    at if at <= step => {
                        expired.push(Sequence(number * CHUNK as u64 + index as u64));
                    }
                    at if later == 0 || at < later => later = at,
                    _ => {}
                }
            }
            if later > 0 {
                chunk.first_expiry = later;
                self.expiries.insert((later, number));
            }
        }
        expired.sort_unstable();
        expired
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
        let aside = self.aside.first_key_value().map(|(number, chunk)| (*number, chunk));
        let front = self.chunks.front().and_then(Option::as_ref);
        let oldest = aside.or(front.map(|chunk| (self.first_chunk, chunk)));
        let Some((number, chunk)) = oldest else { return Sequence(self.next) };
        let first = chunk.places.iter().position(|place| place.holders() > 0);
        let first = first.expect("a kept chunk is not empty") as u64;
        Sequence(number * CHUNK as u64 + first)
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
        let numbered = (self.first_chunk..).zip(&self.chunks);
        let numbered = numbered.filter_map(|(number, chunk)| Some((number, chunk.as_ref()?)));
        let chunks = self.aside.iter().map(|(number, chunk)| (*number, chunk)).chain(numbered);
        let firsts = chunks.filter(|(_, chunk)| chunk.first_expiry > 0);
        let firsts: BTreeSet<_> =
            firsts.map(|(number, chunk)| (chunk.first_expiry, number)).collect();
        assert_eq!(self.expiries, firsts);
        assert_eq!(self.live, self.chunks.iter().flatten().count());
        assert!(self.aside.last_key_value().is_none_or(|(last, _)| *last < self.first_chunk));
        assert!(!matches!(self.chunks.front(), Some(None)), "the first chunk is there");
    }

    /// Remembers when a message expires.
    fn watch(&mut self, sequence: Sequence, expires_at_ms: Option<u64>) {
        let Some(step) = expires_at_ms.map(step_after) else { return };
        let number = chunk_number(sequence);
        let chunk = self.chunk_mut(sequence);
        let expiries = chunk.expiries.get_or_insert_with(|| Box::new([0; CHUNK]));
        expiries[index_of(sequence)] = step;
        let before = chunk.first_expiry;
        if before == 0 || step < before {
            chunk.first_expiry = step;
            self.expiries.remove(&(before, number));
            self.expiries.insert((step, number));
        }
    }

    /// Appends to `ranges` what nobody holds from `from` to `end`. Answers how far it has looked:
    /// it gives up at the bound of a sweep.
    fn look(&self, from: Sequence, end: Sequence, ranges: &mut Vec<Range<Sequence>>) -> Sequence {
        let (mut free, mut looked_to) = (from, end);
        for (count, held) in self.held_from(from).take_while(|held| *held < end).enumerate() {
            if count >= SWEEP_HELD_MAX {
                looked_to = held;
                break;
            }
            if free < held {
                ranges.push(free..held);
            }
            free = held.next();
        }
        if free < looked_to {
            ranges.push(free..looked_to);
        }
        looked_to
    }

    fn held_from(&self, from: Sequence) -> impl Iterator<Item = Sequence> {
        let first = from.0 / CHUNK as u64;
        let skipped = usize::try_from(first.saturating_sub(self.first_chunk));
        let skipped = skipped.unwrap_or(usize::MAX).min(self.chunks.len());
        let aside = self.aside.range(first..).map(|(number, chunk)| (*number, chunk));
        let numbered = (self.first_chunk + skipped as u64..).zip(self.chunks.range(skipped..));
        let numbered = numbered.filter_map(|(number, chunk)| Some((number, chunk.as_ref()?)));
        let positions = aside.chain(numbered).flat_map(|(number, chunk)| {
            let places = (number * CHUNK as u64..).zip(&chunk.places);
            places.filter(|(_, place)| place.holders() > 0).map(|(at, _)| Sequence(at))
        });
        positions.skip_while(move |held| *held < from)
    }

    fn held(&self) -> impl Iterator<Item = (Sequence, Place, Option<&Message>)> {
        self.held_from(Sequence(0)).map(|at| {
            let chunk = self.chunk(at).expect("the chunk of a held message");
            (at, chunk.places[index_of(at)], self.message(at))
        })
    }

    fn chunk(&self, sequence: Sequence) -> Option<&Chunk> {
        let number = chunk_number(sequence);
        let Some(place) = number.checked_sub(self.first_chunk) else {
            return self.aside.get(&number).map(|chunk| &**chunk);
        };
        self.chunks.get(usize::try_from(place).ok()?)?.as_deref()
    }

    fn chunk_mut(&mut self, sequence: Sequence) -> &mut Chunk {
        let number = chunk_number(sequence);
        let chunk = match number.checked_sub(self.first_chunk) {
            Some(place) => self.chunks[place as usize].as_mut(),
            None => self.aside.get_mut(&number),
        };
        chunk.expect("the chunk of a held message")
    }

    /// The chunk for a position, which may be a new one.
    fn chunk_for(&mut self, sequence: Sequence) -> &mut Chunk {
        let number = chunk_number(sequence);
        let is_behind = self.aside.last_key_value().is_none_or(|(last, _)| *last < number);
        if self.chunks.is_empty() && is_behind {
            self.first_chunk = number;
        }
        let spare = &mut self.spare;
        let take_spare = || spare.take().unwrap_or_else(Chunk::new);
        if number < self.first_chunk {
            return self.aside.entry(number).or_insert_with(take_spare);
        }
        let index = (number - self.first_chunk) as usize;
        while self.chunks.len() <= index {
            self.chunks.push_back(None);
        }
        self.live += usize::from(self.chunks[index].is_none());
        self.chunks[index].get_or_insert_with(take_spare)
    }

    /// A chunk in which nothing waits any more is kept as the spare one.
    fn free_chunk(&mut self, sequence: Sequence) {
        let number = chunk_number(sequence);
        let chunk = self.chunk_mut(sequence);
        chunk.expiries = None;
        let first_expiry = std::mem::take(&mut chunk.first_expiry);
        if first_expiry > 0 {
            self.expiries.remove(&(first_expiry, number));
        }
        let Some(place) = number.checked_sub(self.first_chunk) else {
            self.spare = self.aside.remove(&number);
            return;
        };
        self.spare = self.chunks[place as usize].take();
        self.live -= 1;
        self.skip_empty();
        // Old chunks do not make an array of empty places grow for as long as they are needed.
        while self.chunks.len() > GAPS_MAX * (1 + self.live) {
            let Some(oldest) = self.chunks.pop_front() else { break };
            if let Some(chunk) = oldest {
                self.aside.insert(self.first_chunk, chunk);
                self.live -= 1;
            }
            self.first_chunk += 1;
            self.skip_empty();
        }
    }

    fn skip_empty(&mut self) {
        while let Some(None) = self.chunks.front() {
            self.chunks.pop_front();
            self.first_chunk += 1;
        }
    }
}

impl Chunk {
    fn new() -> Box<Self> {
        let places = [Place::default(); CHUNK];
        Box::new(Self {
            places,
            messages: None,
            in_memory: 0,
            waiting: 0,
            expiries: None,
            first_expiry: 0,
        })
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

/// The first step that begins when a message has expired. Half a minute is soon enough to free room,
/// and one write to the disk in that time is few.
fn step_after(expires_at_ms: u64) -> u32 {
    u32::try_from(expires_at_ms.div_ceil(EXPIRY_STEP_MS)).unwrap_or(u32::MAX).max(1)
}

fn chunk_number(sequence: Sequence) -> u64 {
    sequence.0 / CHUNK as u64
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
        let mut log = Log::new(Sequence(1), 1024);
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
        let mut log = Log::new(Sequence(1), 1024);
        let pinned = log.reserve();
        log.hold(pinned, &message(b"pinned"), 6);
        for _ in 0..100 * CHUNK {
            let sequence = log.reserve();
            log.hold(sequence, &message(b"x"), 1);
            log.release(sequence);
        }
        assert_eq!(log.start(), pinned);
        assert_eq!(log.live + log.aside.len(), 1);
        log.release(pinned);
        assert_eq!(log.start(), log.next());
    }

    #[test]
    fn only_what_is_on_the_disk_and_may_leaves_memory() {
        let mut log = Log::new(Sequence(1), 1024);
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

    /// The positions of ranges, in order.
    fn positions(ranges: &[Range<Sequence>]) -> Vec<u64> {
        let mut all: Vec<u64> =
            ranges.iter().flat_map(|range| range.start.0..range.end.0).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Messages that one session holds, and the log they are in.
    fn held(count: u64) -> Log {
        let mut log = Log::new(Sequence(1), 1024);
        for _ in 0..count {
            let sequence = log.reserve();
            log.hold(sequence, &message(b"x"), 1);
        }
        log
    }

    #[test]
    fn nothing_is_said_while_the_front_moves_on() {
        let mut log = held(100_000);
        for first in (1..=100_000).step_by(100) {
            (first..first + 100).for_each(|position| log.release(Sequence(position)));
            // The front is far behind the end, and yet the first time that is looked at.
            if first > 99_000 {
                assert!(log.take_released(log.start()).is_empty());
            }
        }
    }

    #[test]
    fn behind_a_pinned_front_each_position_is_said_once() {
        let mut log = held(3000);
        (2..=2000).for_each(|position| log.release(Sequence(position)));
        let start = log.start();
        assert_eq!(start, Sequence(1));
        let mut said = Vec::new();
        while {
            let ranges = log.take_released(start);
            said.extend(positions(&ranges));
            !ranges.is_empty()
        } {}
        assert_eq!(said, (2..=2000).collect::<Vec<_>>(), "one sweep");
        [2500, 2100, 2501].into_iter().for_each(|position| log.release(Sequence(position)));
        assert_eq!(log.take_released(start).len(), 2);
        let sequence = log.reserve();
        assert_eq!(positions(&log.take_released(start)), [sequence.0], "it waits for no session");
        assert!(log.take_released(start).is_empty());
    }

    #[test]
    fn large_messages_pin_the_front_sooner() {
        let mut log = held(10);
        log.logged(2 * 1024 * 1024);
        log.release(Sequence(5));
        assert_eq!(positions(&log.take_released(log.start())), [5]);
        (1..=9).filter(|position| *position != 5).for_each(|position| {
            log.release(Sequence(position));
        });
        log.take_released(log.start());
        assert!(!log.released.is_pinned(log.start(), log.next()), "the bytes went with the front");
    }

    #[test]
    fn too_much_to_note_is_found_by_the_next_sweeps() {
        let mut log = held(20_000);
        let start = log.start();
        while log.released.swept() < log.next() {
            assert!(log.take_released(start).is_empty());
        }
        (2..=20_000).step_by(2).for_each(|position| log.release(Sequence(position)));
        let mut said = Vec::new();
        for _ in 0..100 {
            let ranges = log.take_released(start);
            assert!(ranges.len() <= NOTED_AND_SWEPT_MAX, "{}", ranges.len());
            said.extend(positions(&ranges));
        }
        said.sort_unstable();
        said.dedup();
        assert_eq!(said, (2..=20_000).step_by(2).collect::<Vec<_>>());
    }

    #[test]
    fn what_a_reader_is_done_with_is_said_again() {
        let mut log = held(2000);
        let start = log.start();
        while log.released.swept() < log.next() {
            log.take_released(start);
        }
        log.release(Sequence(1500));
        assert_eq!(positions(&log.take_released(start)), [1500]);
        log.read(Sequence(1400), Sequence(1600));
        assert_eq!(positions(&log.take_released(start)), [1500], "no session holds it");
        log.read(Sequence(2000), Sequence(2000));
        assert!(log.take_released(start).is_empty());
    }

    #[test]
    fn a_pinned_front_keeps_no_array_behind_it() {
        let mut log = held(10);
        let slow = 50_000;
        for position in 11..1_000_000 {
            let sequence = log.reserve();
            log.hold(sequence, &message(b"x"), 1);
            if position != slow {
                log.release(sequence);
            }
        }
        assert_eq!((log.start(), log.count()), (Sequence(1), 11));
        assert!(log.chunks.len() <= 2 * GAPS_MAX, "{}", log.chunks.len());
        let holders = (1..=10).chain([slow]).map(|position| (Sequence(position), 1)).collect();
        log.check(&holders);
        (1..=10).chain([slow]).for_each(|position| log.release(Sequence(position)));
        assert_eq!(log.start(), log.next());
        log.check(&BTreeMap::new());
    }

    const NOTED_AND_SWEPT_MAX: usize = 4096 + SWEEP_HELD_MAX + 1;
}
