//! Messages that wait to be sent, in a ring of bytes of fixed size.
//!
//! Each entry is a header of ten bytes and its payload, which may go around the end of the ring.
//! The first one may be under way to the gateway; it then stays until it is answered, and what is
//! dropped to make room is the one after it.
//!
//! Invariant: entries are whole, and in the order in which they were published.

use super::config::{Overflow, TopicIndex};
use super::event::Ticket;
use super::moment::Moment;
use crate::mqtt_sn_1_2::QoS;

/// The ring.
#[derive(Debug)]
pub(super) struct Queue<'a> {
    /// At most 65,535 bytes.
    bytes: &'a mut [u8],
    /// Where the first entry begins.
    start: u16,
    /// Bytes of all entries.
    used: u16,
}

/// A message without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) topic: TopicIndex,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) ticket: Ticket,
    pub(super) published: Moment,
    /// Length of the payload.
    pub(super) length: u16,
}

/// What has to stay when room is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) overflow: Overflow,
    /// Whether the first entry is under way.
    pub(super) first_stays: bool,
}

/// There is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl<'a> Queue<'a> {
    pub(super) fn new(ring: &'a mut [u8]) -> Self {
        let length = ring.len().min(usize::from(u16::MAX));
        Self { bytes: ring.get_mut(..length).unwrap_or_default(), start: 0, used: 0 }
    }

    /// Whether a payload of this length fits the ring when nothing else does.
    pub(super) fn can_hold(&self, length: usize) -> bool {
        length.saturating_add(HEADER) <= self.bytes.len()
    }

    /// Puts a message at the end and gives the number of those that had to go for it.
    pub(super) fn push(&mut self, entry: Entry, payload: &[u8], room: Room) -> Result<u32, Full> {
        let needed = HEADER + payload.len();
        let size = self.bytes.len();
        let kept = match room.overflow {
            Overflow::DropOldest if room.first_stays => self.front().map_or(0, Entry::size),
            Overflow::DropOldest => 0,
            Overflow::KeepOldest => self.used(),
        };
        if needed > size.saturating_sub(kept) {
            return Err(Full);
        }
        let mut dropped = 0;
        while size - self.used() < needed && self.drop_oldest(room.first_stays) {
            dropped += 1;
        }
        let end = self.used();
        self.write(end, &entry.header());
        self.write(end + HEADER, payload);
        self.used += needed as u16;
        Ok(dropped)
    }

    /// The first message.
    pub(super) fn front(&self) -> Option<Entry> {
        self.entry_at(0)
    }

    /// Copies the payload of the first message, as much as there is room for.
    pub(super) fn copy_payload(&self, out: &mut [u8]) {
        self.read(HEADER, out);
    }

    /// Removes the first message.
    pub(super) fn pop(&mut self) {
        if let Some(entry) = self.front() {
            self.remove_first(entry.size());
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.used == 0
    }

    fn drop_oldest(&mut self, first_stays: bool) -> bool {
        let Some(first) = self.front() else { return false };
        if first_stays {
            let Some(second) = self.entry_at(first.size()) else { return false };
            // The first one moves over the second, its last byte before the others.
            for offset in (0..first.size()).rev() {
                let byte = self.byte(offset);
                self.write(offset + second.size(), &[byte]);
            }
            self.remove_first(second.size());
        } else {
            self.pop();
        }
        true
    }

    fn remove_first(&mut self, size: usize) {
        self.start = self.place(size) as u16;
        self.used -= size as u16;
    }

    fn used(&self) -> usize {
        usize::from(self.used)
    }

    fn entry_at(&self, offset: usize) -> Option<Entry> {
        if offset >= self.used() {
            return None;
        }
        let mut header = [0; HEADER];
        self.read(offset, &mut header);
        Some(Entry::from_header(header))
    }

    /// Where a byte of the entries is; `offset` is at most the size of the ring.
    fn place(&self, offset: usize) -> usize {
        let place = usize::from(self.start) + offset;
        if place >= self.bytes.len() { place - self.bytes.len() } else { place }
    }

    fn byte(&self, offset: usize) -> u8 {
        self.bytes.get(self.place(offset)).copied().unwrap_or_default()
    }

    fn read(&self, offset: usize, out: &mut [u8]) {
        for (index, byte) in out.iter_mut().enumerate() {
            *byte = self.byte(offset + index);
        }
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        for (index, byte) in bytes.iter().enumerate() {
            let place = self.place(offset + index);
            if let Some(place) = self.bytes.get_mut(place) {
                *place = *byte;
            }
        }
    }
}

impl Entry {
    /// Bytes in the ring.
    fn size(self) -> usize {
        HEADER + usize::from(self.length)
    }

    fn header(self) -> [u8; HEADER] {
        let [ticket_high, ticket_low] = self.ticket.0.to_be_bytes();
        let [length_high, length_low] = self.length.to_be_bytes();
        let [ms_3, ms_2, ms_1, ms_0] = self.published.0.to_be_bytes();
        let qos = self.qos as u8 | if self.retain { RETAIN } else { 0 };
        let topic = self.topic.0;
        [topic, qos, ticket_high, ticket_low, length_high, length_low, ms_3, ms_2, ms_1, ms_0]
    }

    fn from_header(header: [u8; HEADER]) -> Self {
        let [topic, qos, ticket_high, ticket_low, length_high, length_low, ms @ ..] = header;
        Self {
            topic: TopicIndex(topic),
            qos: match qos & !RETAIN {
                0 => QoS::AtMostOnce,
                1 => QoS::AtLeastOnce,
                _ => QoS::ExactlyOnce,
            },
            retain: qos & RETAIN != 0,
            ticket: Ticket(u16::from_be_bytes([ticket_high, ticket_low])),
            published: Moment(u32::from_be_bytes(ms)),
            length: u16::from_be_bytes([length_high, length_low]),
        }
    }
}

/// Bytes of the ring that a message takes besides its payload.
pub(super) const HEADER: usize = 10;
const RETAIN: u8 = 0x80;

#[cfg(test)]
mod tests;
