//! UNSUBSCRIBE and UNSUBACK.
//!
//! Responsible for giving up subscriptions and for the answer, which says something about each
//! filter only in 5.0.

use alloc::vec::Vec;
use core::fmt;

use crate::codec::explanation;
use crate::codec::filters::Filters;
use crate::codec::reasons::ReasonCodes;
use crate::error::{DecodeError, EncodeError};
use crate::kind::PacketKind;
use crate::packet_id::PacketId;
use crate::property::{Properties, Property};
use crate::reader::Reader;
use crate::reason::ReasonCode;
use crate::topic::TopicFilter;
use crate::user_properties::UserProperties;
use crate::version::Version;
use crate::writer::{put_binary, put_u16, put_with_length};

/// A client gives up subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// The identifier that UNSUBACK repeats.
    pub packet_id: PacketId,
    /// Name and value pairs. 5.0 only.
    pub user_properties: UserProperties<'a>,
    /// What to unsubscribe from, at least one filter.
    pub filters: UnsubscribeFilters<'a>,
}

impl<'a> Unsubscribe<'a> {
    pub(crate) fn decode(mut reader: Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        let packet_id = reader.packet_id()?;
        let user_properties = match version {
            Version::V5 => decode_properties(reader.properties()?)?,
            Version::V31 | Version::V311 => UserProperties::default(),
        };
        let filters = UnsubscribeFilters::decode(reader.remaining())?;
        Ok(Self { packet_id, user_properties, filters })
    }

    pub(crate) fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.filters.is_empty() {
            return Err(EncodeError::FiltersEmpty);
        }
        out.push(PacketKind::Unsubscribe.first_byte());
        put_with_length(out, |out| {
            put_u16(self.packet_id.get(), out);
            if version == Version::V5 {
                put_with_length(out, |out| self.user_properties.encode(out))?;
            }
            let mut filters = self.filters.iter();
            filters.try_for_each(|filter| put_binary(filter.as_str().as_bytes(), out))
        })
    }
}

/// The filters of an UNSUBSCRIBE in their order.
///
/// Borrowed from a packet, or made from a slice to be encoded.
#[derive(Clone, Copy)]
pub struct UnsubscribeFilters<'a>(Filters<'a, TopicFilter<'a>>);

impl<'a> UnsubscribeFilters<'a> {
    fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Filters::decode(bytes, decode_one).map(Self)
    }

    /// The filters in their order.
    pub fn iter(&self) -> impl Iterator<Item = TopicFilter<'a>> + use<'a> {
        self.0.iter(decode_one)
    }

    /// How many filters there are.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none, which no packet may have.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a> From<&'a [TopicFilter<'a>]> for UnsubscribeFilters<'a> {
    fn from(list: &'a [TopicFilter<'a>]) -> Self {
        Self(Filters::List(list))
    }
}

impl PartialEq for UnsubscribeFilters<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for UnsubscribeFilters<'_> {}

impl fmt::Debug for UnsubscribeFilters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

fn decode_one<'a>(reader: &mut Reader<'a>) -> Result<TopicFilter<'a>, DecodeError> {
    TopicFilter::decode(reader.binary()?)
}

/// The server answers UNSUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsuback<'a> {
    /// The identifier of the UNSUBSCRIBE.
    pub packet_id: PacketId,
    /// One code for each filter, in order. Below 5.0 there are none.
    pub reasons: ReasonCodes<'a>,
    /// An explanation for people.
    pub reason_string: Option<&'a str>,
    /// Name and value pairs.
    pub user_properties: UserProperties<'a>,
}

impl<'a> Unsuback<'a> {
    /// An UNSUBACK with its codes and nothing more.
    pub fn new(packet_id: PacketId, reasons: &'a [ReasonCode]) -> Self {
        Self {
            packet_id,
            reasons: reasons.into(),
            reason_string: None,
            user_properties: UserProperties::default(),
        }
    }

    pub(crate) fn decode(mut reader: Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        let packet_id = reader.packet_id()?;
        if version != Version::V5 {
            reader.finish()?;
            return Ok(Self::new(packet_id, &[]));
        }
        let (reason_string, user_properties) = explanation::decode(reader.properties()?)?;
        let reasons = ReasonCodes::decode(reader.remaining(), PacketKind::Unsuback, version)?;
        Ok(Self { packet_id, reasons, reason_string, user_properties })
    }

    pub(crate) fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.push(PacketKind::Unsuback.first_byte());
        put_with_length(out, |out| {
            put_u16(self.packet_id.get(), out);
            if version != Version::V5 {
                return Ok(());
            }
            explanation::encode(self.reason_string, &self.user_properties, out)?;
            self.reasons.encode(PacketKind::Unsuback, version, out)
        })
    }
}

fn decode_properties(block: &[u8]) -> Result<UserProperties<'_>, DecodeError> {
    let mut properties = Properties::new(block);
    while let Some(property) = properties.next()? {
        if !matches!(property, Property::User(..)) {
            return Err(property.not_allowed());
        }
    }
    // Nothing but user properties is in the block.
    Ok(UserProperties::from_checked(block))
}
