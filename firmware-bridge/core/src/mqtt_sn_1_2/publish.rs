//! PUBLISH and PUBACK (5.4.12, 5.4.13).

use super::error::{DecodeError, EncodeError};
use super::flags::{DUP, Flags, RETAIN};
use super::header;
use super::kind::PacketKind;
use super::message_id::MessageId;
use super::qos::QoS;
use super::reader::Reader;
use super::return_code::ReturnCode;
use super::topic::{TopicId, TopicRef};
use super::writer::Writer;

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// How it is delivered.
    pub delivery: Delivery,
    /// Retain flag.
    pub retain: bool,
    /// Where to.
    pub topic: TopicRef,
    /// The message itself.
    pub payload: &'a [u8],
}

/// Quality of service of a PUBLISH, with what only that quality has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// QoS -1: like QoS 0, from a client without a session.
    MinusOne,
    /// QoS 0.
    AtMostOnce,
    /// QoS 1.
    AtLeastOnce {
        /// Not zero.
        message_id: MessageId,
        /// Whether this may be a repetition.
        dup: bool,
    },
    /// QoS 2.
    ExactlyOnce {
        /// Not zero.
        message_id: MessageId,
        /// Whether this may be a repetition.
        dup: bool,
    },
}

impl Delivery {
    fn decode(flags: Flags, reader: &mut Reader<'_>) -> Self {
        let dup = flags.has(DUP);
        match flags.publish_qos() {
            Some(QoS::AtLeastOnce) => Self::AtLeastOnce { message_id: reader.delivery_id(), dup },
            Some(QoS::ExactlyOnce) => Self::ExactlyOnce { message_id: reader.delivery_id(), dup },
            // The others have a message identifier that says nothing, and should be zero.
            without_id => {
                reader.message_id();
                if without_id.is_some() { Self::AtMostOnce } else { Self::MinusOne }
            }
        }
    }

    fn flags(self, flags: Flags) -> Flags {
        match self {
            Self::MinusOne => flags.with_qos_minus_one(),
            Self::AtMostOnce => flags.with_qos(QoS::AtMostOnce),
            Self::AtLeastOnce { dup, .. } => flags.with_qos(QoS::AtLeastOnce).with(DUP, dup),
            Self::ExactlyOnce { dup, .. } => flags.with_qos(QoS::ExactlyOnce).with(DUP, dup),
        }
    }

    fn encode_id(self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        match self {
            Self::AtLeastOnce { message_id, .. } | Self::ExactlyOnce { message_id, .. } => {
                writer.delivery_id(message_id)
            }
            Self::AtMostOnce | Self::MinusOne => {
                writer.u16(0);
                Ok(())
            }
        }
    }
}

impl<'a> Publish<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>) -> Self {
        let flags = Flags(reader.u8());
        let topic = TopicRef::decode(flags, reader);
        let delivery = Delivery::decode(flags, reader);
        let publish = Self { delivery, retain: flags.has(RETAIN), topic, payload: reader.rest() };
        if publish.needs_a_session_it_lacks() {
            reader.fail(DecodeError::QoSMinusOneWithTopicId);
        }
        publish
    }

    pub(super) fn encode(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        if self.needs_a_session_it_lacks() {
            return Err(EncodeError::QoSMinusOneWithTopicId);
        }
        let flags = self.delivery.flags(self.topic.flags()).with(RETAIN, self.retain);
        writer.u8(flags.0);
        self.topic.encode(writer);
        self.delivery.encode_id(writer)?;
        writer.bytes(self.payload);
        Ok(())
    }

    /// Writes everything before a payload of this length, in place of its own, and gives the
    /// length of that: the payload may be in several pieces.
    ///
    /// # Errors
    /// The packet holds what the standard forbids, or does not fit with its payload.
    pub(crate) fn encode_start(
        &self,
        payload_length: usize,
        out: &mut [u8],
    ) -> Result<usize, EncodeError> {
        let start = Self { payload: &[], ..*self };
        let mut fields = Writer::counting();
        start.encode(&mut fields)?;
        let fields_length = fields.length().saturating_add(payload_length);
        let needed = header::packet_length(PacketKind::Publish, fields_length)?;
        if out.len() < needed {
            return Err(EncodeError::BufferTooSmall { needed });
        }
        let mut writer = Writer::new(out);
        header::encode(PacketKind::Publish, needed, &mut writer);
        start.encode(&mut writer)?;
        Ok(writer.length())
    }

    /// A topic id belongs to a session, and QoS -1 has none (6.8).
    fn needs_a_session_it_lacks(&self) -> bool {
        self.delivery == Delivery::MinusOne && matches!(self.topic, TopicRef::Normal(_))
    }
}

/// The answer to a PUBLISH of QoS 1, or to one of any QoS that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Puback {
    /// The topic id of the PUBLISH, or the two octets of its short topic name.
    pub topic_id: TopicId,
    /// That of the PUBLISH; zero if a PUBLISH below QoS 1 is refused.
    pub message_id: MessageId,
    /// What became of it.
    pub return_code: ReturnCode,
}

impl Puback {
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
