//! SUBSCRIBE and SUBACK (5.4.15, 5.4.16).

use super::error::EncodeError;
use super::flags::{DUP, Flags};
use super::message_id::MessageId;
use super::qos::QoS;
use super::reader::Reader;
use super::return_code::ReturnCode;
use super::topic::{SubscribeTopic, TopicId};
use super::writer::Writer;

/// A client wants the messages of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// Whether this may be a repetition.
    pub dup: bool,
    /// The quality it asks for.
    pub qos: QoS,
    /// For the acknowledgement.
    pub message_id: MessageId,
    /// Which topic or topics.
    pub topic: SubscribeTopic<'a>,
}

impl<'a> Subscribe<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Self {
        let flags = Flags(reader.u8());
        Self {
            dup: flags.has(DUP),
            qos: flags.qos(reader),
            message_id: reader.message_id(),
            topic: SubscribeTopic::decode(flags, reader),
        }
    }

    pub(super) fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        let flags = self.topic.flags().with_qos(self.qos).with(DUP, self.dup);
        writer.u8(flags.0);
        writer.u16(self.message_id.0);
        self.topic.encode(writer)
    }
}

/// The answer to a SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suback {
    /// The quality that is granted.
    pub qos: QoS,
    /// The id that messages will carry; 0 if wildcards make it many, or for a short topic name.
    pub topic_id: TopicId,
    /// That of the SUBSCRIBE.
    pub message_id: MessageId,
    /// What became of it.
    pub return_code: ReturnCode,
}

impl Suback {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Self {
        Self {
            qos: Flags(reader.u8()).qos(reader),
            topic_id: reader.topic_id(),
            message_id: reader.message_id(),
            return_code: reader.return_code(),
        }
    }

    pub(super) fn encode(&self, writer: &mut Writer<'_>) {
        writer.u8(Flags::default().with_qos(self.qos).0);
        writer.u16(self.topic_id.0);
        writer.u16(self.message_id.0);
        writer.u8(self.return_code.code());
    }
}
