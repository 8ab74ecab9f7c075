//! Reading fields from the front of a packet.

use super::error::DecodeError;
use super::message_id::MessageId;
use super::return_code::ReturnCode;
use super::topic::TopicId;

/// The octets of a packet that are still to be read, and the first thing that is wrong with it.
///
/// A field that is not there, or wrong, reads as some value: whoever reads the last field asks
/// [`end`](Self::end) whether the packet is one. That takes a kilobyte and a half less code on a
/// Cortex-M0+ than an error after each field.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    error: Option<DecodeError>,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, error: None }
    }

    /// The packet is none; only the first error is kept.
    pub(super) fn fail(&mut self, error: DecodeError) {
        self.error.get_or_insert(error);
    }

    pub(super) fn u8(&mut self) -> u8 {
        let Some((byte, rest)) = self.rest.split_first() else {
            self.fail(DecodeError::Truncated);
            return 0;
        };
        self.rest = rest;
        *byte
    }

    pub(super) fn pair(&mut self) -> [u8; 2] {
        [self.u8(), self.u8()]
    }

    pub(super) fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.pair())
    }

    pub(super) fn topic_id(&mut self) -> TopicId {
        TopicId(self.u16())
    }

    pub(super) fn message_id(&mut self) -> MessageId {
        MessageId(self.u16())
    }

    /// A message identifier of a QoS 1 or 2 delivery.
    pub(super) fn delivery_id(&mut self) -> MessageId {
        let id = self.message_id();
        if id.0 == 0 {
            self.fail(DecodeError::MessageIdZero);
        }
        id
    }

    pub(super) fn return_code(&mut self) -> ReturnCode {
        let code = self.u8();
        ReturnCode::from_code(code).unwrap_or_else(|| {
            self.fail(DecodeError::ReturnCodeReserved(code));
            ReturnCode::NotSupported
        })
    }

    /// Everything that is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    /// Everything that is left, as text.
    pub(super) fn text(&mut self) -> &'a str {
        let text = core::str::from_utf8(self.rest()).unwrap_or_else(|_| {
            self.fail(DecodeError::TextNotUtf8);
            ""
        });
        if text.bytes().any(|byte| byte == 0) {
            self.fail(DecodeError::TextHasNul);
        }
        text
    }

    /// Everything that is left, as a topic.
    pub(super) fn topic(&mut self) -> &'a str {
        let topic = self.text();
        if topic.is_empty() {
            self.fail(DecodeError::TopicEmpty);
        }
        topic
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Nothing may be left, and nothing may have been wrong.
    pub(super) fn end(&mut self) -> Result<(), DecodeError> {
        if !self.rest.is_empty() {
            self.fail(DecodeError::TrailingBytes);
        }
        self.error.map_or(Ok(()), Err)
    }
}
