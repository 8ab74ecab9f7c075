//! Reading fields from the front of a packet.

use super::error::DecodeError;
use super::message_id::MessageId;
use super::return_code::ReturnCode;
use super::topic::TopicId;

/// The octets of a packet that are still to be read.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        let (byte, rest) = self.rest.split_first().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*byte)
    }

    pub(super) fn pair(&mut self) -> Result<[u8; 2], DecodeError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.pair().map(u16::from_be_bytes)
    }

    pub(super) fn topic_id(&mut self) -> Result<TopicId, DecodeError> {
        self.u16().map(TopicId)
    }

    pub(super) fn message_id(&mut self) -> Result<MessageId, DecodeError> {
        self.u16().map(MessageId)
    }

    /// A message identifier of a QoS 1 or 2 delivery.
    pub(super) fn delivery_id(&mut self) -> Result<MessageId, DecodeError> {
        let id = self.message_id()?;
        if id.0 == 0 { Err(DecodeError::MessageIdZero) } else { Ok(id) }
    }

    pub(super) fn return_code(&mut self) -> Result<ReturnCode, DecodeError> {
        ReturnCode::from_code(self.u8()?)
    }

    /// Everything that is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    /// Everything that is left, as text.
    pub(super) fn text(&mut self) -> Result<&'a str, DecodeError> {
        let text = core::str::from_utf8(self.rest()).map_err(|_| DecodeError::TextNotUtf8)?;
        if text.contains('\0') { Err(DecodeError::TextHasNul) } else { Ok(text) }
    }

    /// Everything that is left, as a topic.
    pub(super) fn topic(&mut self) -> Result<&'a str, DecodeError> {
        let topic = self.text()?;
        if topic.is_empty() { Err(DecodeError::TopicEmpty) } else { Ok(topic) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::TrailingBytes) }
    }
}
