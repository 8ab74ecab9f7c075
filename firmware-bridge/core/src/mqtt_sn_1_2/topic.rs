//! The ways to name a topic: by id, by two characters, or in full.

use super::error::{DecodeError, EncodeError};
use super::flags::Flags;
use super::reader::Reader;
use super::writer::Writer;

/// A number that stands for a topic; 0 stands for none, as after a subscription with wildcards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TopicId(pub u16);

/// The topic of a PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TopicRef {
    /// An id that gateway and client agreed on with REGISTER or SUBACK.
    Normal(TopicId),
    /// An id that both were configured with.
    Predefined(TopicId),
    /// A topic name of two octets, standing for itself.
    Short([u8; 2]),
}

impl TopicRef {
    pub(super) fn decode(flags: Flags, reader: &mut Reader<'_>) -> Self {
        match flags.topic_id_type() {
            NORMAL => Self::Normal(reader.topic_id()),
            PREDEFINED => Self::Predefined(reader.topic_id()),
            SHORT => Self::Short(reader.pair()),
            _ => {
                reader.fail(DecodeError::TopicIdTypeReserved);
                Self::Predefined(reader.topic_id())
            }
        }
    }

    pub(super) const fn flags(self) -> Flags {
        Flags(match self {
            Self::Normal(_) => NORMAL,
            Self::Predefined(_) => PREDEFINED,
            Self::Short(_) => SHORT,
        })
    }

    pub(super) fn encode(self, writer: &mut Writer<'_>) {
        match self {
            Self::Normal(id) | Self::Predefined(id) => writer.u16(id.0),
            Self::Short(name) => writer.bytes(&name),
        }
    }
}

/// The topic of a SUBSCRIBE or UNSUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SubscribeTopic<'a> {
    /// A topic filter in full; two octets long, it is still not a short topic name.
    Name(&'a str),
    /// An id that both were configured with.
    Predefined(TopicId),
    /// A topic name of two octets, standing for itself.
    Short([u8; 2]),
}

impl<'a> SubscribeTopic<'a> {
    /// Reads to the end of the packet.
    pub(super) fn decode(flags: Flags, reader: &mut Reader<'a>) -> Self {
        match flags.topic_id_type() {
            NORMAL => Self::Name(reader.topic()),
            PREDEFINED => Self::Predefined(reader.topic_id()),
            SHORT => Self::Short(reader.pair()),
            _ => {
                reader.fail(DecodeError::TopicIdTypeReserved);
                Self::Predefined(reader.topic_id())
            }
        }
    }

    pub(super) const fn flags(self) -> Flags {
        Flags(match self {
            Self::Name(_) => NORMAL,
            Self::Predefined(_) => PREDEFINED,
            Self::Short(_) => SHORT,
        })
    }

    pub(super) fn encode(self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        match self {
            Self::Name(name) => writer.topic(name)?,
            Self::Predefined(id) => writer.u16(id.0),
            Self::Short(name) => writer.bytes(&name),
        }
        Ok(())
    }
}

const NORMAL: u8 = 0;
const PREDEFINED: u8 = 1;
const SHORT: u8 = 2;
