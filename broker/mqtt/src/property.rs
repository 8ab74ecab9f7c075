//! Properties of MQTT 5.0.
//!
//! Responsible for the encoding of each property, for its range, and for refusing one that
//! occurs twice. Which properties a packet may have is decided in the file of that packet.

use alloc::vec::Vec;
use core::num::{NonZeroU16, NonZeroU32};

use crate::error::{DecodeError, EncodeError};
use crate::qos::QoS;
use crate::reader::Reader;
use crate::varint::{self, VARINT_MAX};
use crate::writer::{put_binary, put_text, put_topic_name, put_u16, put_u32};

/// One property with its value.
#[derive(Clone, Copy)]
pub(crate) enum Property<'a> {
    PayloadFormatUtf8(bool),
    MessageExpiryInterval(u32),
    ContentType(&'a str),
    ResponseTopic(&'a str),
    CorrelationData(&'a [u8]),
    SubscriptionIdentifier(u32),
    SessionExpiryInterval(u32),
    AssignedClientIdentifier(&'a str),
    ServerKeepAlive(u16),
    AuthenticationMethod(&'a str),
    AuthenticationData(&'a [u8]),
    RequestProblemInformation(bool),
    WillDelayInterval(u32),
    RequestResponseInformation(bool),
    ResponseInformation(&'a str),
    ServerReference(&'a str),
    ReasonString(&'a str),
    ReceiveMaximum(NonZeroU16),
    TopicAliasMaximum(u16),
    TopicAlias(NonZeroU16),
    MaximumQoS(QoS),
    RetainAvailable(bool),
    User(&'a str, &'a str),
    MaximumPacketSize(NonZeroU32),
    WildcardSubscriptionAvailable(bool),
    SubscriptionIdentifiersAvailable(bool),
    SharedSubscriptionAvailable(bool),
}

impl<'a> Property<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let unknown = reader.varint()?;
        let id = u8::try_from(unknown).map_err(|_| DecodeError::PropertyUnknown(unknown))?;
        Ok(match id {
            0x01 => Self::PayloadFormatUtf8(decode_bool(id, reader)?),
            0x02 => Self::MessageExpiryInterval(reader.u32()?),
            0x03 => Self::ContentType(reader.text()?),
            0x08 => Self::ResponseTopic(reader.topic_name()?),
            0x09 => Self::CorrelationData(reader.binary()?),
            0x0B => match reader.varint()? {
                0 => return Err(DecodeError::PropertyValueInvalid(id)),
                identifier => Self::SubscriptionIdentifier(identifier),
            },
            0x11 => Self::SessionExpiryInterval(reader.u32()?),
            0x12 => Self::AssignedClientIdentifier(reader.text()?),
            0x13 => Self::ServerKeepAlive(reader.u16()?),
            0x15 => Self::AuthenticationMethod(reader.text()?),
            0x16 => Self::AuthenticationData(reader.binary()?),
            0x17 => Self::RequestProblemInformation(decode_bool(id, reader)?),
            0x18 => Self::WillDelayInterval(reader.u32()?),
            0x19 => Self::RequestResponseInformation(decode_bool(id, reader)?),
            0x1A => Self::ResponseInformation(reader.text()?),
            0x1C => Self::ServerReference(reader.text()?),
            0x1F => Self::ReasonString(reader.text()?),
            0x21 => {
                let value = NonZeroU16::new(reader.u16()?);
                Self::ReceiveMaximum(value.ok_or(DecodeError::PropertyValueInvalid(id))?)
            }
            0x22 => Self::TopicAliasMaximum(reader.u16()?),
            0x23 => {
                let value = NonZeroU16::new(reader.u16()?);
                Self::TopicAlias(value.ok_or(DecodeError::TopicAliasZero)?)
            }
            0x24 => match reader.u8()? {
                0 => Self::MaximumQoS(QoS::AtMostOnce),
                1 => Self::MaximumQoS(QoS::AtLeastOnce),
                _ => return Err(DecodeError::PropertyValueInvalid(id)),
            },
            0x25 => Self::RetainAvailable(decode_bool(id, reader)?),
            0x26 => Self::User(reader.text()?, reader.text()?),
            0x27 => {
                let value = NonZeroU32::new(reader.u32()?);
                Self::MaximumPacketSize(value.ok_or(DecodeError::PropertyValueInvalid(id))?)
            }
            0x28 => Self::WildcardSubscriptionAvailable(decode_bool(id, reader)?),
            0x29 => Self::SubscriptionIdentifiersAvailable(decode_bool(id, reader)?),
            0x2A => Self::SharedSubscriptionAvailable(decode_bool(id, reader)?),
            _ => return Err(DecodeError::PropertyUnknown(unknown)),
        })
    }

    /// Appends identifier and value.
    pub(crate) fn encode(self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.push(self.id());
        match self {
            Self::ContentType(text)
            | Self::AssignedClientIdentifier(text)
            | Self::AuthenticationMethod(text)
            | Self::ResponseInformation(text)
            | Self::ServerReference(text)
            | Self::ReasonString(text) => put_text(text, out),
            Self::ResponseTopic(topic) => put_topic_name(topic, out),
            Self::CorrelationData(bytes) | Self::AuthenticationData(bytes) => {
                put_binary(bytes, out)
            }
            Self::User(name, value) => {
                put_text(name, out)?;
                put_text(value, out)
            }
            fixed => fixed.encode_number(out),
        }
    }

    fn encode_number(self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Self::PayloadFormatUtf8(value)
            | Self::RequestProblemInformation(value)
            | Self::RequestResponseInformation(value)
            | Self::RetainAvailable(value)
            | Self::WildcardSubscriptionAvailable(value)
            | Self::SubscriptionIdentifiersAvailable(value)
            | Self::SharedSubscriptionAvailable(value) => out.push(u8::from(value)),
            Self::MaximumQoS(QoS::ExactlyOnce) => {
                return Err(EncodeError::PropertyValueInvalid(self.id()));
            }
            Self::MaximumQoS(qos) => out.push(qos.into()),
            Self::ServerKeepAlive(value) | Self::TopicAliasMaximum(value) => put_u16(value, out),
            Self::ReceiveMaximum(value) | Self::TopicAlias(value) => put_u16(value.get(), out),
            Self::MessageExpiryInterval(value)
            | Self::SessionExpiryInterval(value)
            | Self::WillDelayInterval(value) => put_u32(value, out),
            Self::MaximumPacketSize(value) => put_u32(value.get(), out),
            Self::SubscriptionIdentifier(identifier @ 1..=VARINT_MAX) => {
                varint::encode(identifier, out);
            }
            _ => return Err(EncodeError::PropertyValueInvalid(self.id())),
        }
        Ok(())
    }

    /// The number by which the standard knows the property.
    pub(crate) const fn id(self) -> u8 {
        match self {
            Self::PayloadFormatUtf8(_) => 0x01,
            Self::MessageExpiryInterval(_) => 0x02,
            Self::ContentType(_) => 0x03,
            Self::ResponseTopic(_) => 0x08,
            Self::CorrelationData(_) => 0x09,
            Self::SubscriptionIdentifier(_) => SUBSCRIPTION_IDENTIFIER,
            Self::SessionExpiryInterval(_) => 0x11,
            Self::AssignedClientIdentifier(_) => 0x12,
            Self::ServerKeepAlive(_) => 0x13,
            Self::AuthenticationMethod(_) => 0x15,
            Self::AuthenticationData(_) => 0x16,
            Self::RequestProblemInformation(_) => 0x17,
            Self::WillDelayInterval(_) => 0x18,
            Self::RequestResponseInformation(_) => 0x19,
            Self::ResponseInformation(_) => 0x1A,
            Self::ServerReference(_) => 0x1C,
            Self::ReasonString(_) => 0x1F,
            Self::ReceiveMaximum(_) => 0x21,
            Self::TopicAliasMaximum(_) => 0x22,
            Self::TopicAlias(_) => 0x23,
            Self::MaximumQoS(_) => 0x24,
            Self::RetainAvailable(_) => 0x25,
            Self::User(..) => USER_PROPERTY,
            Self::MaximumPacketSize(_) => 0x27,
            Self::WildcardSubscriptionAvailable(_) => 0x28,
            Self::SubscriptionIdentifiersAvailable(_) => 0x29,
            Self::SharedSubscriptionAvailable(_) => 0x2A,
        }
    }

    /// The error for a packet that may not have this property.
    pub(crate) const fn not_allowed(self) -> DecodeError {
        DecodeError::PropertyNotAllowed(self.id())
    }
}

/// Appends the property if there is one.
pub(crate) fn put_property(
    property: Option<Property<'_>>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    property.map_or(Ok(()), |property| property.encode(out))
}

/// The properties of one block in order; stops at the first that is wrong or repeated.
pub(crate) struct Properties<'a> {
    reader: Reader<'a>,
    /// One bit for each property identifier; all are below 64.
    seen: u64,
}

impl<'a> Properties<'a> {
    #[inline]
    pub(crate) const fn new(block: &'a [u8]) -> Self {
        Self { reader: Reader::new(block), seen: 0 }
    }

    /// The next property. Only user properties and subscription identifiers may be repeated
    /// here; a packet with room for one subscription identifier checks that itself.
    // A call for each property is a tenth of what a PUBLISH takes; left alone, the compiler makes it
    // or not by what else is in the crate.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Result<Option<Property<'a>>, DecodeError> {
        if self.reader.is_empty() {
            return Ok(None);
        }
        let property = Property::decode(&mut self.reader)?;
        let bit = 1 << property.id();
        if self.seen & bit & !REPEATABLE != 0 {
            return Err(DecodeError::PropertyDuplicate(property.id()));
        }
        self.seen |= bit;
        Ok(Some(property))
    }
}

/// Walks over a block that is known to be right.
pub(crate) struct Walk<'a>(Reader<'a>);

impl<'a> Walk<'a> {
    pub(crate) const fn new(block: &'a [u8]) -> Self {
        Self(Reader::new(block))
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Property<'a>;

    fn next(&mut self) -> Option<Property<'a>> {
        if self.0.is_empty() {
            return None;
        }
        Property::decode(&mut self.0).ok()
    }
}

fn decode_bool(id: u8, reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::PropertyValueInvalid(id)),
    }
}

const SUBSCRIPTION_IDENTIFIER: u8 = 0x0B;
const USER_PROPERTY: u8 = 0x26;
const REPEATABLE: u64 = 1 << SUBSCRIPTION_IDENTIFIER | 1 << USER_PROPERTY;
