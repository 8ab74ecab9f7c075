//! PUBLISH, as a server writes it to a subscriber.
//!
//! Responsible for the hottest way out: the length is known beforehand, the properties that came
//! from the publisher are appended as they were stored, and nothing is looked at twice. The
//! caller gives parts that were decoded or encoded by this crate; they are not checked again.

use alloc::vec::Vec;
use core::num::NonZeroU16;

use crate::codec::publish::{check_packet_id, first_byte};
use crate::error::EncodeError;
use crate::packet_id::PacketId;
use crate::property::Property;
use crate::qos::QoS;
use crate::varint::{self, VARINT_MAX};
use crate::version::Version;
use crate::writer::put_u16;

/// A message on its way to one subscriber. Below 5.0 all properties are left out.
///
/// ```
/// use weir_mqtt::{Delivery, QoS, Version};
///
/// let delivery = Delivery::new("plant/boiler", b"21.5");
/// let mut out = Vec::new();
/// delivery.encode(Version::V311, &mut out)?;
/// assert_eq!(out.len(), delivery.encoded_len(Version::V311));
/// # Ok::<(), weir_mqtt::EncodeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// Whether this may be a repetition; never at QoS 0.
    pub dup: bool,
    /// The QoS of this delivery.
    pub qos: QoS,
    /// Whether it is a retained message.
    pub retain: bool,
    /// The topic name; empty only in 5.0 and only with a topic alias.
    pub topic: &'a str,
    /// There exactly above QoS 0.
    pub packet_id: Option<PacketId>,
    /// What [`PublishProperties::encode_end_to_end`](crate::PublishProperties::encode_end_to_end)
    /// wrote.
    pub end_to_end: &'a [u8],
    /// What is left of the message expiry interval.
    pub message_expiry_interval_s: Option<u32>,
    /// A number that stands for the topic.
    pub topic_alias: Option<NonZeroU16>,
    /// The subscriptions because of which the message is delivered.
    pub subscription_identifiers: &'a [u32],
    /// The message itself.
    pub payload: &'a [u8],
}

impl<'a> Delivery<'a> {
    /// A QoS 0 delivery with nothing but a topic and a payload.
    pub const fn new(topic: &'a str, payload: &'a [u8]) -> Self {
        Self {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic,
            packet_id: None,
            end_to_end: &[],
            message_expiry_interval_s: None,
            topic_alias: None,
            subscription_identifiers: &[],
            payload,
        }
    }

    /// The length of the whole packet in bytes.
    #[inline]
    pub fn encoded_len(&self, version: Version) -> usize {
        let remaining = self.remaining_len(version);
        // A packet too long for any length cannot be encoded; the sum only has to be large.
        let width =
            u32::try_from(remaining).map_or(varint::encoded_len(u32::MAX), varint::encoded_len);
        1 + width + remaining
    }

    /// Appends one PUBLISH. Answers where the packet identifier stands, counted from the start
    /// of the packet: a copy for the next subscriber needs only that patched.
    #[inline]
    pub fn encode(
        &self,
        version: Version,
        out: &mut Vec<u8>,
    ) -> Result<Option<usize>, EncodeError> {
        let (remaining, topic_len) = self.check(version)?;
        let start = out.len();
        out.reserve(FIXED_HEADER_LEN_MAX + remaining as usize);
        let [topic_high, topic_low] = topic_len.to_be_bytes();
        let first = first_byte(self.dup, self.qos, self.retain);
        if remaining < ONE_BYTE_LEN {
            out.extend_from_slice(&[first, remaining as u8, topic_high, topic_low]);
        } else {
            out.push(first);
            varint::encode(remaining, out);
            out.extend_from_slice(&[topic_high, topic_low]);
        }
        out.extend_from_slice(self.topic.as_bytes());
        let packet_id_at = self.packet_id.map(|packet_id| {
            let at = out.len() - start;
            put_u16(packet_id.get(), out);
            at
        });
        if version == Version::V5 {
            self.encode_properties(out)?;
        }
        out.extend_from_slice(self.payload);
        Ok(packet_id_at)
    }

    /// Checks what can be wrong and answers remaining length and topic length.
    #[inline]
    fn check(&self, version: Version) -> Result<(u32, u16), EncodeError> {
        check_packet_id(self.qos, self.dup, self.packet_id)?;
        if self.topic.is_empty() && (version != Version::V5 || self.topic_alias.is_none()) {
            return Err(EncodeError::TopicMissing);
        }
        let topic_len = u16::try_from(self.topic.len()).map_err(|_| EncodeError::FieldTooLong)?;
        let remaining = u32::try_from(self.remaining_len(version)).ok();
        let remaining = remaining.filter(|&remaining| remaining <= VARINT_MAX);
        let remaining = remaining.ok_or(EncodeError::PacketTooLarge)?;
        let out_of_range = |identifier: &u32| !(1..=VARINT_MAX).contains(identifier);
        if version == Version::V5 && self.subscription_identifiers.iter().any(out_of_range) {
            return Err(EncodeError::PropertyValueInvalid(
                Property::SubscriptionIdentifier(0).id(),
            ));
        }
        Ok((remaining, topic_len))
    }

    /// What comes after the fixed header.
    #[inline]
    fn remaining_len(&self, version: Version) -> usize {
        let packet_id_len = if self.packet_id.is_some() { U16_LEN } else { 0 };
        let properties_len = match version {
            Version::V5 => {
                let len = self.properties_len();
                len + varint::encoded_len(u32::try_from(len).unwrap_or(u32::MAX))
            }
            Version::V31 | Version::V311 => 0,
        };
        U16_LEN + self.topic.len() + packet_id_len + properties_len + self.payload.len()
    }

    #[inline]
    fn properties_len(&self) -> usize {
        let expiry_len = if self.message_expiry_interval_s.is_some() { 1 + U32_LEN } else { 0 };
        let alias_len = if self.topic_alias.is_some() { 1 + U16_LEN } else { 0 };
        let identifiers = self.subscription_identifiers.iter();
        let identifiers_len: usize =
            identifiers.map(|&identifier| 1 + varint::encoded_len(identifier)).sum();
        expiry_len + alias_len + identifiers_len + self.end_to_end.len()
    }

    #[inline]
    fn encode_properties(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        varint::encode(self.properties_len() as u32, out);
        if let Some(value) = self.message_expiry_interval_s {
            Property::MessageExpiryInterval(value).encode(out)?;
        }
        if let Some(value) = self.topic_alias {
            Property::TopicAlias(value).encode(out)?;
        }
        for &identifier in self.subscription_identifiers {
            Property::SubscriptionIdentifier(identifier).encode(out)?;
        }
        out.extend_from_slice(self.end_to_end);
        Ok(())
    }
}

const FIXED_HEADER_LEN_MAX: usize = 5;
const U16_LEN: usize = 2;
const U32_LEN: usize = 4;
/// From here on a remaining length takes more than one byte.
const ONE_BYTE_LEN: u32 = 0x80;
