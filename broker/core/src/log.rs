//! The messages that wait for sessions, each held once, whatever the number of sessions.
//!
//! Positions are contiguous, so the log is an array in chunks. A chunk in which nothing waits
//! any more is freed, also when one dead session still needs an older message; the chunks of such
//! messages are set aside when much of the array behind them is empty. A message that is on the
//! disk can leave memory; what is left of it then are eight bytes.

mod chunk;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use crate::identity::Sequence;
use crate::message::Message;
use crate::released::Released;

use chunk::{CHUNK, Chunk, Place, chunk_number, index_of};

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

/// The first step that begins when a message has expired. Half a minute is soon enough to free room,
/// and one write to the disk in that time is few.
fn step_after(expires_at_ms: u64) -> u32 {
    u32::try_from(expires_at_ms.div_ceil(EXPIRY_STEP_MS)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests;
