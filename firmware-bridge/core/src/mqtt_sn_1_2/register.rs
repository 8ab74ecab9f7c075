//! REGISTER and REGACK (5.4.10, 5.4.11): a topic name gets an id.

use super::error::EncodeError;
use super::message_id::MessageId;
use super::reader::Reader;
use super::return_code::ReturnCode;
use super::topic::TopicId;
use super::writer::Writer;

/// A client asks for the id of a topic name, or a gateway gives it unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register<'a> {
    /// The id, from a gateway; 0 from a client.
    pub topic_id: TopicId,
    /// For the acknowledgement.
    pub message_id: MessageId,
    /// The topic name.
    pub topic: &'a str,
}

impl<'a> Register<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Self {
        Self { topic_id: reader.topic_id(), message_id: reader.message_id(), topic: reader.topic() }
    }

    pub(super) fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.u16(self.topic_id.0);
        writer.u16(self.message_id.0);
        writer.topic(self.topic)
    }
}

/// The answer to a REGISTER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Regack {
    /// The id, from a gateway; from a client, the one it was given.
    pub topic_id: TopicId,
    /// That of the REGISTER.
    pub message_id: MessageId,
    /// What became of it.
    pub return_code: ReturnCode,
}

impl Regack {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Self {
        Self {
            topic_id: reader.topic_id(),
            message_id: reader.message_id(),
            return_code: reader.return_code(),
        }
    }

    pub(super) fn encode(&self, writer: &mut Writer<'_>) {
        writer.u16(self.topic_id.0);
        writer.u16(self.message_id.0);
        writer.u8(self.return_code.code());
    }
}
