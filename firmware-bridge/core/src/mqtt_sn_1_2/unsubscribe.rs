//! UNSUBSCRIBE (5.4.17).

use super::error::EncodeError;
use super::flags::Flags;
use super::message_id::MessageId;
use super::reader::Reader;
use super::topic::SubscribeTopic;
use super::writer::Writer;

/// A client no longer wants the messages of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// For the acknowledgement.
    pub message_id: MessageId,
    /// Which topic or topics.
    pub topic: SubscribeTopic<'a>,
}

impl<'a> Unsubscribe<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Self {
        let flags = Flags(reader.u8());
        Self { message_id: reader.message_id(), topic: SubscribeTopic::decode(flags, reader) }
    }

    pub(super) fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.u8(self.topic.flags().0);
        writer.u16(self.message_id.0);
        self.topic.encode(writer)
    }
}
