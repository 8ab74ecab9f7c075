//! SUBSCRIBE and SUBACK.
//!
//! Responsible for asking for subscriptions and for the answer. All filters and options are
//! checked while decoding; they are walked over afterwards without being collected.

use alloc::vec::Vec;
use core::fmt;

use crate::codec::explanation;
use crate::codec::filters::Filters;
use crate::codec::reasons::ReasonCodes;
use crate::error::{DecodeError, EncodeError};
use crate::kind::PacketKind;
use crate::packet_id::PacketId;
use crate::property::{Properties, Property, put_property};
use crate::qos::QoS;
use crate::reader::Reader;
use crate::reason::ReasonCode;
use crate::topic::TopicFilter;
use crate::user_properties::UserProperties;
use crate::version::Version;
use crate::writer::{put_binary, put_u16, put_with_length};

/// A client asks for subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// The identifier that SUBACK repeats.
    pub packet_id: PacketId,
    /// 5.0 only.
    pub properties: SubscribeProperties<'a>,
    /// What to subscribe to, at least one filter.
    pub filters: SubscribeFilters<'a>,
}

impl<'a> Subscribe<'a> {
    pub(crate) fn decode(mut reader: Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        let packet_id = reader.packet_id()?;
        let properties = match version {
            Version::V5 => SubscribeProperties::decode(reader.properties()?)?,
            Version::V31 | Version::V311 => SubscribeProperties::default(),
        };
        let filters = SubscribeFilters::decode(reader.remaining(), version)?;
        Ok(Self { packet_id, properties, filters })
    }

    pub(crate) fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.filters.is_empty() {
            return Err(EncodeError::FiltersEmpty);
        }
        out.push(PacketKind::Subscribe.first_byte());
        put_with_length(out, |out| {
            put_u16(self.packet_id.get(), out);
            if version == Version::V5 {
                put_with_length(out, |out| self.properties.encode(out))?;
            }
            self.filters.iter().try_for_each(|filter| filter.encode(version, out))
        })
    }
}

/// The properties of SUBSCRIBE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscribeProperties<'a> {
    /// The number to send with every message because of these subscriptions, from 1 to
    /// 268,435,455.
    pub subscription_identifier: Option<u32>,
    /// Name and value pairs.
    pub user_properties: UserProperties<'a>,
}

impl<'a> SubscribeProperties<'a> {
    fn decode(block: &'a [u8]) -> Result<Self, DecodeError> {
        let mut subscribe = Self::default();
        let mut properties = Properties::new(block);
        while let Some(property) = properties.next()? {
            match property {
                Property::SubscriptionIdentifier(identifier) => {
                    if subscribe.subscription_identifier.replace(identifier).is_some() {
                        return Err(DecodeError::PropertyDuplicate(property.id()));
                    }
                }
                Property::User(..) => {
                    subscribe.user_properties = UserProperties::from_checked(block);
                }
                other => return Err(other.not_allowed()),
            }
        }
        Ok(subscribe)
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put_property(self.subscription_identifier.map(Property::SubscriptionIdentifier), out)?;
        self.user_properties.encode(out)
    }
}

/// One filter of a SUBSCRIBE with its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscribeFilter<'a> {
    /// What to subscribe to.
    pub filter: TopicFilter<'a>,
    /// How to deliver it.
    pub options: SubscriptionOptions,
}

impl<'a> SubscribeFilter<'a> {
    fn decode(reader: &mut Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        let filter = TopicFilter::decode(reader.binary()?)?;
        let options = SubscriptionOptions::decode(reader.u8()?, version)?;
        if options.no_local && filter.share_name().is_some() {
            return Err(DecodeError::NoLocalOnShared);
        }
        Ok(Self { filter, options })
    }

    fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let options = self.options.bits(version);
        if options & NO_LOCAL != 0 && self.filter.share_name().is_some() {
            return Err(EncodeError::NoLocalOnShared);
        }
        put_binary(self.filter.as_str().as_bytes(), out)?;
        out.push(options);
        Ok(())
    }
}

/// How the messages of a subscription are to be delivered. Below 5.0 only the QoS is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SubscriptionOptions {
    /// The highest QoS of deliveries.
    pub qos: QoS,
    /// Whether the client's own messages are left out.
    pub no_local: bool,
    /// Whether the retain flag is delivered as it was published.
    pub retain_as_published: bool,
    /// When retained messages are sent.
    pub retain_handling: RetainHandling,
}

impl SubscriptionOptions {
    /// Options with a QoS and nothing more.
    pub fn new(qos: QoS) -> Self {
        Self { qos, ..Self::default() }
    }

    /// Below 5.0 all bits but the QoS are reserved.
    fn decode(bits: u8, version: Version) -> Result<Self, DecodeError> {
        let reserved = if version == Version::V5 { RESERVED } else { !QOS };
        if bits & reserved != 0 {
            return Err(DecodeError::SubscriptionOptionsReserved);
        }
        let retain_handling = match (bits & RETAIN_HANDLING) >> RETAIN_HANDLING_SHIFT {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(DecodeError::RetainHandlingInvalid),
        };
        Ok(Self {
            qos: QoS::try_from(bits & QOS).map_err(|_| DecodeError::SubscriptionQoSInvalid)?,
            no_local: bits & NO_LOCAL != 0,
            retain_as_published: bits & RETAIN_AS_PUBLISHED != 0,
            retain_handling,
        })
    }

    fn bits(self, version: Version) -> u8 {
        if version != Version::V5 {
            return self.qos.into();
        }
        let no_local = if self.no_local { NO_LOCAL } else { 0 };
        let retain_as_published = if self.retain_as_published { RETAIN_AS_PUBLISHED } else { 0 };
        let retain_handling = (self.retain_handling as u8) << RETAIN_HANDLING_SHIFT;
        u8::from(self.qos) | no_local | retain_as_published | retain_handling
    }
}

/// When a new subscription brings the retained messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RetainHandling {
    /// Whenever the client subscribes.
    #[default]
    Send = 0,
    /// Only if there was no such subscription before.
    SendIfNew = 1,
    /// Never.
    DoNotSend = 2,
}

/// The filters of a SUBSCRIBE in their order.
///
/// Borrowed from a packet, or made from a slice to be encoded:
///
/// ```
/// use weir_mqtt::{QoS, SubscribeFilter, SubscribeFilters, SubscriptionOptions, TopicFilter};
///
/// let list = [SubscribeFilter {
///     filter: TopicFilter::parse("plant/+/temperature")?,
///     options: SubscriptionOptions::new(QoS::AtLeastOnce),
/// }];
/// let filters = SubscribeFilters::from(&list[..]);
/// assert_eq!(filters.iter().next().map(|item| item.filter.as_str()), Some("plant/+/temperature"));
/// # Ok::<(), weir_mqtt::TopicError>(())
/// ```
#[derive(Clone, Copy)]
pub struct SubscribeFilters<'a>(Filters<'a, SubscribeFilter<'a>>);

impl<'a> SubscribeFilters<'a> {
    fn decode(bytes: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        let filters = Filters::decode(bytes, |reader| SubscribeFilter::decode(reader, version));
        filters.map(Self)
    }

    /// The filters in their order.
    pub fn iter(&self) -> impl Iterator<Item = SubscribeFilter<'a>> + use<'a> {
        // What an older version reserves is zero once it was checked.
        self.0.iter(|reader| SubscribeFilter::decode(reader, Version::V5))
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

impl<'a> From<&'a [SubscribeFilter<'a>]> for SubscribeFilters<'a> {
    fn from(list: &'a [SubscribeFilter<'a>]) -> Self {
        Self(Filters::List(list))
    }
}

impl PartialEq for SubscribeFilters<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for SubscribeFilters<'_> {}

impl fmt::Debug for SubscribeFilters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The server answers SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suback<'a> {
    /// The identifier of the SUBSCRIBE.
    pub packet_id: PacketId,
    /// One code for each filter, in order: the granted QoS or a failure.
    pub reasons: ReasonCodes<'a>,
    /// An explanation for people.
    pub reason_string: Option<&'a str>,
    /// Name and value pairs.
    pub user_properties: UserProperties<'a>,
}

impl<'a> Suback<'a> {
    /// A SUBACK with its codes and nothing more.
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
        let (reason_string, user_properties) = match version {
            Version::V5 => explanation::decode(reader.properties()?)?,
            Version::V31 | Version::V311 => (None, UserProperties::default()),
        };
        let reasons = ReasonCodes::decode(reader.remaining(), PacketKind::Suback, version)?;
        Ok(Self { packet_id, reasons, reason_string, user_properties })
    }

    pub(crate) fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.push(PacketKind::Suback.first_byte());
        put_with_length(out, |out| {
            put_u16(self.packet_id.get(), out);
            if version == Version::V5 {
                explanation::encode(self.reason_string, &self.user_properties, out)?;
            }
            self.reasons.encode(PacketKind::Suback, version, out)
        })
    }
}

const QOS: u8 = 0b0000_0011;
const NO_LOCAL: u8 = 0b0000_0100;
const RETAIN_AS_PUBLISHED: u8 = 0b0000_1000;
const RETAIN_HANDLING: u8 = 0b0011_0000;
const RETAIN_HANDLING_SHIFT: u8 = 4;
const RESERVED: u8 = 0b1100_0000;
