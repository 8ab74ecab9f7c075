//! Which messages of QoS 2 have been received already.
//!
//! Besides those that wait for their PUBREL, the last few that have had it are remembered for a
//! while: on a network that reorders, a late copy of a PUBLISH would be taken for a new message.
//! A copy has the same content. A gateway may use an identifier again at once for another message.
//!
//! Invariant: bounded; the oldest is forgotten first. A gateway has one such message under way at a
//! time (6.6), so what still waits is never the oldest of several.

use super::moment::Moment;
use crate::mqtt_sn_1_2::MessageId;

/// Identifiers of received messages.
#[derive(Debug)]
pub(super) struct Received {
    entries: [Entry; ENTRIES],
    oldest: u8,
    /// A bit for each entry that has had its PUBREL.
    released: u8,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Zero is no entry.
    id: MessageId,
    checksum: u16,
    /// When, if it has had its PUBREL.
    released: Moment,
}

impl Received {
    pub(super) const fn new() -> Self {
        Self { entries: [NONE; ENTRIES], oldest: 0, released: 0 }
    }

    /// Whether a message has not been received before; from now on it has.
    pub(super) fn is_new(&mut self, id: MessageId, checksum: u16, memory: Memory) -> bool {
        let known = self.find(id);
        let index = known.unwrap_or(self.oldest);
        let bit = 1 << index;
        let Some(place) = self.entries.get_mut(usize::from(index)) else { return true };
        let is_copy =
            place.checksum == checksum && place.released.elapsed_ms(memory.now) <= memory.ms;
        if known.is_some() && (self.released & bit == 0 || is_copy) {
            return false;
        }
        *place = Entry { id, checksum, released: memory.now };
        self.released &= !bit;
        if known.is_none() {
            self.oldest = if usize::from(index) + 1 < ENTRIES { index + 1 } else { 0 };
        }
        true
    }

    /// The gateway knows that the message was received.
    pub(super) fn release(&mut self, id: MessageId, now: Moment) {
        let Some(index) = self.find(id) else { return };
        let bit = 1 << index;
        if self.released & bit == 0
            && let Some(entry) = self.entries.get_mut(usize::from(index))
        {
            entry.released = now;
            self.released |= bit;
        }
    }

    /// The session is a new one.
    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }

    fn find(&self, id: MessageId) -> Option<u8> {
        (0u8..).zip(&self.entries).find_map(|(index, entry)| (entry.id == id).then_some(index))
    }
}

/// How long the content of a message is remembered after its PUBREL.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    pub(super) now: Moment,
    pub(super) ms: u32,
}

const ENTRIES: usize = 8;
const NONE: Entry = Entry { id: MessageId(0), checksum: 0, released: Moment(0) };

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u32) -> Memory {
        Memory { now: Moment(ms), ms: 100 }
    }

    #[test]
    fn message_is_new_once_until_it_is_released() {
        let mut received = Received::new();
        assert!(received.is_new(MessageId(1), 7, at(0)));
        assert!(!received.is_new(MessageId(1), 7, at(1_000)));
        assert!(!received.is_new(MessageId(1), 8, at(1_000)));
    }

    #[test]
    fn late_copy_of_a_released_message_is_not_new() {
        let mut received = Received::new();
        assert!(received.is_new(MessageId(1), 7, at(0)));
        received.release(MessageId(1), Moment(10));
        assert!(!received.is_new(MessageId(1), 7, at(110)));
        assert!(received.is_new(MessageId(1), 7, at(111)), "by then it is another message");
    }

    #[test]
    fn identifier_used_again_at_once_is_new_when_the_message_differs() {
        let mut received = Received::new();
        assert!(received.is_new(MessageId(1), 7, at(0)));
        received.release(MessageId(1), Moment(10));
        assert!(received.is_new(MessageId(1), 8, at(11)));
        assert!(!received.is_new(MessageId(1), 8, at(11)));
    }

    #[test]
    fn oldest_is_forgotten_first() {
        let mut received = Received::new();
        assert!((1..=9).all(|id| received.is_new(MessageId(id), 0, at(0))));
        assert!(!received.is_new(MessageId(2), 0, at(0)));
        assert!(received.is_new(MessageId(1), 0, at(0)));
    }
}
