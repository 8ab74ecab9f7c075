//! Messages on their way to the broker.
//!
//! Responsible for their order, for at most as many under way as a session takes, and for those that
//! are kept while the broker is away: in memory, or on disk. What says how something is now is not
//! kept; it is told anew when the broker is back. Knows no session: it is told what became of a
//! message.
//!
//! Invariant: a kept message is in exactly one place until the broker has taken it or a limit has
//! been reached. It may reach the broker twice, never out of order with those behind it.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

use bytes::Bytes;

use super::clock::Now;
use super::queue::{DiskQueue, QueueError};
use crate::config::BridgeConfig;
use crate::session::{PUBLISHES_MAX, QoS, Ticket};

/// A message to publish.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Topic name.
    pub topic: Box<str>,
    /// The message.
    pub payload: Bytes,
    /// Quality of service; a kept message has at least QoS 1.
    pub qos: QoS,
    /// Retain flag.
    pub retain: bool,
    /// Whether it waits for a broker that is away.
    pub is_kept: bool,
}

/// A message that is kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) number: u64,
    /// 0 = the clock was not set.
    pub(crate) stored_unix_ms: u64,
    pub(crate) message: Message,
}

/// Messages on their way to the broker.
#[derive(Debug)]
pub struct Outbox {
    limits: OutboxLimits,
    is_connected: bool,
    /// Not kept.
    passing: VecDeque<Message>,
    /// Kept, newer than those on disk.
    memory: VecDeque<Entry>,
    memory_bytes: u64,
    disk: Option<DiskQueue>,
    /// Read from the disk and not sent yet.
    loaded: VecDeque<Entry>,
    /// Where to read on.
    cursor: u64,
    under_way: BTreeMap<Ticket, UnderWay>,
    /// Numbers on disk that the broker has taken.
    taken: Vec<u64>,
    flush_due_ms: Option<u64>,
    next_number: u64,
    next_ticket: u64,
    counters: OutboxCounters,
}

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct OutboxLimits {
    /// Bytes of topics and payloads.
    pub bytes_max: u64,
    /// Milliseconds.
    pub age_max_ms: u64,
}

/// What became of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxCounters {
    /// Taken by the broker.
    pub published: u64,
    /// Dropped because too many waited; the oldest went.
    pub dropped: u64,
    /// Dropped because they had waited too long.
    pub expired: u64,
    /// Dropped because the broker does not take them.
    pub refused: u64,
    /// That wait now.
    pub waiting: u64,
    /// Bytes that wait now.
    pub waiting_bytes: u64,
    /// Times that the disk could not be written.
    pub disk_failures: u64,
}

impl OutboxCounters {
    /// Names and values, as they are published.
    pub(crate) fn named(&self) -> [(&'static str, u64); 7] {
        [
            ("queue_published", self.published),
            ("queue_dropped", self.dropped),
            ("queue_expired", self.expired),
            ("queue_refused", self.refused),
            ("queue_waiting", self.waiting),
            ("queue_waiting_bytes", self.waiting_bytes),
            ("queue_disk_failures", self.disk_failures),
        ]
    }
}

#[derive(Debug)]
enum UnderWay {
    FromDisk(u64),
    FromMemory(Entry),
    Passing,
}

impl Outbox {
    /// An outbox as a configuration wants it. The second value is where a damaged queue was put.
    ///
    /// # Errors
    /// The queue cannot be opened.
    pub fn of(config: &BridgeConfig) -> Result<(Self, Option<PathBuf>), QueueError> {
        let limits = OutboxLimits {
            bytes_max: config.queue_bytes_max,
            age_max_ms: config.queue_age_max.as_millis() as u64,
        };
        match &config.data_dir {
            None => Ok((Self::new(limits, None), None)),
            Some(folder) => {
                let (disk, aside) = DiskQueue::open(folder)?;
                Ok((Self::new(limits, Some(disk)), aside))
            }
        }
    }

    pub(crate) fn new(limits: OutboxLimits, disk: Option<DiskQueue>) -> Self {
        Self {
            limits,
            is_connected: false,
            passing: VecDeque::new(),
            memory: VecDeque::new(),
            memory_bytes: 0,
            next_number: disk.as_ref().map_or(0, DiskQueue::next_number),
            disk,
            loaded: VecDeque::new(),
            cursor: 0,
            under_way: BTreeMap::new(),
            taken: Vec::new(),
            flush_due_ms: None,
            next_ticket: 0,
            counters: OutboxCounters::default(),
        }
    }

    /// Takes a message.
    pub fn push(&mut self, now: Now, message: Message) {
        if !message.is_kept {
            if self.is_connected {
                if self.passing.len() >= PASSING_MAX {
                    self.passing.pop_front();
                    self.counters.dropped += 1;
                }
                self.passing.push_back(message);
            }
            return;
        }
        let stored_unix_ms = now.wall_ms.unwrap_or(0);
        let entry = Entry { number: self.next_number, stored_unix_ms, message };
        self.next_number += 1;
        self.memory_bytes += size(&entry);
        self.memory.push_back(entry);
        self.limit_memory();
        self.flush_due_ms.get_or_insert(now.uptime_ms.saturating_add(FLUSH_AFTER_MS));
    }

    /// The broker takes messages.
    pub fn handle_connected(&mut self) {
        self.is_connected = true;
    }

    /// The broker is away: what was under way goes back to its place.
    pub fn handle_lost(&mut self) {
        self.is_connected = false;
        self.passing.clear();
        self.loaded.clear();
        self.cursor = 0;
        // From the newest to the oldest, so that the oldest ends in front.
        while let Some((_, under_way)) = self.under_way.pop_last() {
            if let UnderWay::FromMemory(entry) = under_way {
                self.memory_bytes += size(&entry);
                self.memory.push_front(entry);
            }
        }
        self.limit_memory();
    }

    /// The next message to publish, and the ticket it is answered under; none for QoS 0.
    pub fn take(&mut self, now: Now) -> Option<(Option<Ticket>, Message)> {
        if !self.is_connected || self.under_way.len() >= PUBLISHES_MAX {
            return None;
        }
        if let Some(message) = self.passing.pop_front() {
            if message.qos == QoS::AtMostOnce {
                self.counters.published += 1;
                return Some((None, message));
            }
            return Some((Some(self.ticket(UnderWay::Passing)), message));
        }
        self.load();
        while let Some((entry, is_on_disk)) = self.pop_oldest() {
            let number = entry.number;
            if self.is_expired(now, &entry) {
                self.taken.extend(is_on_disk.then_some(number));
                continue;
            }
            let message = entry.message.clone();
            let under_way = match is_on_disk {
                true => UnderWay::FromDisk(number),
                false => UnderWay::FromMemory(entry),
            };
            return Some((Some(self.ticket(under_way)), message));
        }
        None
    }

    /// The broker has taken a message.
    pub fn handle_published(&mut self, ticket: Ticket) {
        if self.is_done_with(ticket) {
            self.counters.published += 1;
        }
    }

    /// The broker does not take a message: it is dropped, or it would hold up all behind it.
    pub fn handle_refused(&mut self, ticket: Ticket) {
        if self.is_done_with(ticket) {
            self.counters.refused += 1;
        }
    }

    /// False if the message was lost before, and is tried again.
    fn is_done_with(&mut self, ticket: Ticket) -> bool {
        match self.under_way.remove(&ticket) {
            Some(UnderWay::FromDisk(number)) => self.taken.push(number),
            Some(_) => {}
            None => return false,
        }
        true
    }

    /// A message found no room, or may not have reached the broker: it is tried again.
    pub fn handle_failed(&mut self, ticket: Ticket) {
        match self.under_way.remove(&ticket) {
            Some(UnderWay::FromMemory(entry)) => {
                let place = self.memory.partition_point(|other| other.number < entry.number);
                self.memory_bytes += size(&entry);
                self.memory.insert(place, entry);
            }
            Some(UnderWay::FromDisk(number)) => {
                self.cursor = self.cursor.min(number);
                self.loaded.clear();
            }
            Some(UnderWay::Passing) | None => {}
        }
    }

    /// A message without a ticket found no room.
    pub fn handle_dropped(&mut self) {
        self.counters.published -= 1;
        self.counters.dropped += 1;
    }

    /// Writes what should be on disk, if it is time to, or at once.
    ///
    /// # Errors
    /// The disk cannot be written. Nothing is lost: what was to be written stays in memory.
    pub fn flush(&mut self, now: Now, at_once: bool) -> Result<(), QueueError> {
        let is_due = self.flush_due_ms.is_some_and(|due_ms| now.uptime_ms >= due_ms);
        if !is_due && !at_once && self.taken.len() < FLUSH_MESSAGES {
            return Ok(());
        }
        self.flush_due_ms = None;
        let Some(disk) = &mut self.disk else { return Ok(()) };
        // What is about to be sent need not see the disk, unless others wait there before it.
        let spills = at_once || !self.is_connected || self.memory.len() > FLUSH_MESSAGES;
        let append = if spills { self.memory.make_contiguous() } else { &mut [] };
        if append.is_empty() && self.taken.is_empty() {
            return Ok(());
        }
        match disk.change(append, &self.taken, self.limits.bytes_max) {
            Ok(dropped) => {
                self.counters.dropped += dropped;
                self.taken.clear();
                if spills {
                    self.memory.clear();
                    self.memory_bytes = 0;
                }
                Ok(())
            }
            Err(error) => {
                self.counters.disk_failures += 1;
                self.flush_due_ms = Some(now.uptime_ms.saturating_add(RETRY_AFTER_MS));
                Err(error)
            }
        }
    }

    /// When [`Outbox::flush`] has something to do.
    pub fn next_due_ms(&self) -> Option<u64> {
        self.flush_due_ms
    }

    /// Whether nothing waits and nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.passing.is_empty()
            && self.memory.is_empty()
            && self.under_way.is_empty()
            && self.loaded.is_empty()
            && self.disk.as_ref().is_none_or(|disk| disk.length() == self.taken.len() as u64)
    }

    /// What was counted, and what waits.
    pub fn counters(&self) -> OutboxCounters {
        let (on_disk, disk_bytes) =
            self.disk.as_ref().map_or((0, 0), |disk| (disk.length(), disk.bytes()));
        let waiting = on_disk.saturating_sub(self.taken.len() as u64) + self.memory.len() as u64;
        OutboxCounters { waiting, waiting_bytes: disk_bytes + self.memory_bytes, ..self.counters }
    }

    fn ticket(&mut self, under_way: UnderWay) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.under_way.insert(ticket, under_way);
        ticket
    }

    /// The oldest message that waits, and whether it is on disk. One that came back from under way
    /// is in memory, and may be older than those on disk.
    fn pop_oldest(&mut self) -> Option<(Entry, bool)> {
        let in_memory = self.memory.front().map(|entry| entry.number);
        let on_disk = self.loaded.front().map(|entry| entry.number);
        if on_disk.is_some() && (in_memory.is_none() || on_disk < in_memory) {
            let entry = self.loaded.pop_front().map(|entry| (entry, true));
            self.load();
            return entry;
        }
        let entry = self.memory.pop_front()?;
        self.memory_bytes -= size(&entry);
        Some((entry, false))
    }

    /// Reads on from the disk, if nothing is left of what was read before. What cannot be read now
    /// is tried again with the next message.
    fn load(&mut self) {
        let Some(disk) = self.disk.as_ref().filter(|disk| !disk.is_empty()) else { return };
        while self.loaded.is_empty() {
            let Ok(entries) = disk.read(self.cursor, PUBLISHES_MAX) else {
                self.counters.disk_failures += 1;
                return;
            };
            let Some(last) = entries.last() else { return };
            self.cursor = last.number + 1;
            let under_way = &self.under_way;
            let is_new = |entry: &Entry| {
                let is_under_way = under_way.values().any(|under_way| {
                    matches!(under_way, UnderWay::FromDisk(other) if *other == entry.number)
                });
                !is_under_way && !self.taken.contains(&entry.number)
            };
            // All of them may be known already: then those behind them are what is wanted.
            self.loaded = entries.into_iter().filter(is_new).collect();
        }
    }

    fn is_expired(&mut self, now: Now, entry: &Entry) -> bool {
        let age_ms = match (now.wall_ms, entry.stored_unix_ms) {
            (None, _) | (_, 0) => 0,
            (Some(wall_ms), stored_ms) => wall_ms.saturating_sub(stored_ms),
        };
        let is_expired = age_ms > self.limits.age_max_ms;
        self.counters.expired += u64::from(is_expired);
        is_expired
    }

    /// Memory has the same limit as the disk: it holds everything if there is no disk, or if the
    /// disk fails.
    fn limit_memory(&mut self) {
        while self.memory_bytes > self.limits.bytes_max {
            let Some(entry) = self.memory.pop_front() else { break };
            self.memory_bytes -= size(&entry);
            self.counters.dropped += 1;
        }
    }
}

/// What an entry takes, about.
fn size(entry: &Entry) -> u64 {
    (entry.message.topic.len() + entry.message.payload.len() + ENTRY_BYTES) as u64
}

/// What an entry takes beside its topic and payload.
const ENTRY_BYTES: usize = 96;
/// Messages that are not kept and wait for their turn: those of a thousand devices.
const PASSING_MAX: usize = 8_192;
/// How much may be lost with the power: a second of messages while the broker is away.
const FLUSH_AFTER_MS: u64 = 1_000;
const FLUSH_MESSAGES: usize = 256;
const RETRY_AFTER_MS: u64 = 5_000;

#[cfg(test)]
mod tests;
