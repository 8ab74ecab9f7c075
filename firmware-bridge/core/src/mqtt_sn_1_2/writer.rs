//! Writing fields one after the other.
//!
//! A writer counts on when its buffer is full, so that the same code tells the length of a packet
//! before it is written.

use super::error::EncodeError;
use super::message_id::MessageId;

/// A buffer and what is or would be written to it.
pub(super) struct Writer<'a> {
    out: &'a mut [u8],
    length: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut [u8]) -> Self {
        Self { out, length: 0 }
    }

    /// A writer that only counts.
    pub(super) fn counting() -> Writer<'static> {
        Writer { out: &mut [], length: 0 }
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let free = self.out.get_mut(self.length..).unwrap_or_default();
        if bytes.len() <= free.len() {
            // Byte by byte: a copy of slices has a panic for lengths that differ.
            free.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
        }
        self.length = self.length.saturating_add(bytes.len());
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.bytes(&[value]);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    /// A message identifier of a QoS 1 or 2 delivery.
    pub(super) fn delivery_id(&mut self, id: MessageId) -> Result<(), EncodeError> {
        if id.0 == 0 {
            return Err(EncodeError::MessageIdZero);
        }
        self.u16(id.0);
        Ok(())
    }

    pub(super) fn text(&mut self, text: &str) -> Result<(), EncodeError> {
        if text.bytes().any(|byte| byte == 0) {
            return Err(EncodeError::TextHasNul);
        }
        self.bytes(text.as_bytes());
        Ok(())
    }

    pub(super) fn topic(&mut self, topic: &str) -> Result<(), EncodeError> {
        if topic.is_empty() { Err(EncodeError::TopicEmpty) } else { self.text(topic) }
    }

    /// Octets written, or counted.
    pub(super) fn length(&self) -> usize {
        self.length
    }
}
