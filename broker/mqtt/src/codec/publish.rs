//! PUBLISH, as a client or a server receives it.
//!
//! Responsible for the packet that carries a message. Reading one allocates nothing: topic,
//! properties and payload stay where they are. What a server writes to its subscribers is a
//! `Delivery`.

use alloc::vec::Vec;
use core::num::NonZeroU16;

use crate::codec::end_to_end::EndToEnd;
use crate::error::{DecodeError, EncodeError};
use crate::frame::{DUP, QOS, RETAIN};
use crate::kind::PacketKind;
use crate::packet_id::PacketId;
use crate::property::{Properties, Property, put_property};
use crate::qos::QoS;
use crate::reader::Reader;
use crate::subscription_identifiers::SubscriptionIdentifiers;
use crate::user_properties::UserProperties;
use crate::version::Version;
use crate::writer::{put_topic_name, put_u16, put_with_length};

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Whether this may be a repetition; never at QoS 0.
    pub dup: bool,
    /// How often the message may arrive.
    pub qos: QoS,
    /// To the server: keep it as the retained message of the topic. From the server: it was
    /// kept.
    pub retain: bool,
    /// The topic name; empty only in 5.0 and only with a topic alias.
    pub topic: &'a str,
    /// There exactly above QoS 0.
    pub packet_id: Option<PacketId>,
    /// 5.0 only.
    pub properties: PublishProperties<'a>,
    /// The message itself.
    pub payload: &'a [u8],
}

impl<'a> Publish<'a> {
    /// A QoS 0 PUBLISH with nothing but a topic and a payload.
    pub fn new(topic: &'a str, payload: &'a [u8]) -> Self {
        Self {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic,
            packet_id: None,
            properties: PublishProperties::default(),
            payload,
        }
    }

    /// Reads the fields after the fixed header, whose first byte has been checked.
    #[inline]
    pub(crate) fn decode(
        first: u8,
        mut reader: Reader<'a>,
        version: Version,
    ) -> Result<Self, DecodeError> {
        let qos = QoS::try_from((first & QOS) >> QOS_SHIFT);
        let qos = qos.map_err(|_| DecodeError::QoSInvalid)?;
        let mut topic_reader = reader;
        let has_topic = version != Version::V5 || topic_reader.u16()? != 0;
        let topic = if has_topic {
            reader.topic_name()?
        } else {
            reader = topic_reader;
            ""
        };
        let packet_id = if qos == QoS::AtMostOnce { None } else { Some(reader.packet_id()?) };
        let properties = match version {
            Version::V5 => PublishProperties::decode(reader.properties()?)?,
            Version::V31 | Version::V311 => PublishProperties::default(),
        };
        if !has_topic && properties.topic_alias.is_none() {
            return Err(DecodeError::TopicMissing);
        }
        Ok(Self {
            dup: first & DUP != 0,
            qos,
            retain: first & RETAIN != 0,
            topic,
            packet_id,
            properties,
            payload: reader.remaining(),
        })
    }

    pub(crate) fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        check_packet_id(self.qos, self.dup, self.packet_id)?;
        out.push(first_byte(self.dup, self.qos, self.retain));
        put_with_length(out, |out| {
            if !self.topic.is_empty() || version != Version::V5 {
                put_topic_name(self.topic, out)?;
            } else if self.properties.topic_alias.is_some() {
                put_u16(0, out);
            } else {
                return Err(EncodeError::TopicMissing);
            }
            if let Some(packet_id) = self.packet_id {
                put_u16(packet_id.get(), out);
            }
            if version == Version::V5 {
                put_with_length(out, |out| self.properties.encode(out))?;
            }
            out.extend_from_slice(self.payload);
            Ok(())
        })
    }
}

/// The properties of PUBLISH.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublishProperties<'a> {
    /// Whether the payload is UTF-8 text; absent means bytes.
    pub payload_format_utf8: Option<bool>,
    /// How long the message is worth delivering.
    pub message_expiry_interval_s: Option<u32>,
    /// A number that stands for the topic from now on, or that stood for it before.
    pub topic_alias: Option<NonZeroU16>,
    /// Where an answer is expected; a topic name without wildcards, not empty.
    pub response_topic: Option<&'a str>,
    /// What ties the answer to this message.
    pub correlation_data: Option<&'a [u8]>,
    /// What the payload is, in the words of the application.
    pub content_type: Option<&'a str>,
    /// The subscriptions because of which the message arrives. Only servers may send them.
    pub subscription_identifiers: SubscriptionIdentifiers<'a>,
    /// Name and value pairs.
    pub user_properties: UserProperties<'a>,
}

impl<'a> PublishProperties<'a> {
    /// Appends the properties that go to subscribers unaltered (payload format, content type,
    /// response topic, correlation data, user properties in order), without a length in front.
    pub fn encode_end_to_end(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let end_to_end = EndToEnd {
            payload_format_utf8: self.payload_format_utf8,
            content_type: self.content_type,
            response_topic: self.response_topic,
            correlation_data: self.correlation_data,
            user_properties: self.user_properties,
        };
        end_to_end.encode(out)
    }

    /// Reads what [`encode_end_to_end`](Self::encode_end_to_end) wrote.
    ///
    /// ```
    /// use weir_mqtt::PublishProperties;
    ///
    /// let properties = PublishProperties { content_type: Some("text/csv"), ..Default::default() };
    /// let mut stored = Vec::new();
    /// properties.encode_end_to_end(&mut stored)?;
    /// assert_eq!(PublishProperties::decode_end_to_end(&stored), Ok(properties));
    /// # Ok::<(), weir_mqtt::EncodeError>(())
    /// ```
    pub fn decode_end_to_end(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Self::decode(bytes)
    }

    #[inline]
    fn decode(block: &'a [u8]) -> Result<Self, DecodeError> {
        let mut publish = Self::default();
        if !block.is_empty() {
            publish.decode_each(block)?;
        }
        Ok(publish)
    }

    fn decode_each(&mut self, block: &'a [u8]) -> Result<(), DecodeError> {
        let mut properties = Properties::new(block);
        while let Some(property) = properties.next()? {
            match property {
                Property::PayloadFormatUtf8(value) => self.payload_format_utf8 = Some(value),
                Property::MessageExpiryInterval(value) => {
                    self.message_expiry_interval_s = Some(value);
                }
                Property::TopicAlias(value) => self.topic_alias = Some(value),
                Property::ResponseTopic(topic) => self.response_topic = Some(topic),
                Property::CorrelationData(bytes) => self.correlation_data = Some(bytes),
                Property::ContentType(text) => self.content_type = Some(text),
                Property::SubscriptionIdentifier(_) => {
                    self.subscription_identifiers = SubscriptionIdentifiers::from_checked(block);
                }
                Property::User(..) => {
                    self.user_properties = UserProperties::from_checked(block);
                }
                other => return Err(other.not_allowed()),
            }
        }
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put_property(self.message_expiry_interval_s.map(Property::MessageExpiryInterval), out)?;
        put_property(self.topic_alias.map(Property::TopicAlias), out)?;
        self.subscription_identifiers.encode(out)?;
        self.encode_end_to_end(out)
    }
}

/// The first byte of a PUBLISH.
#[inline]
pub(crate) const fn first_byte(dup: bool, qos: QoS, retain: bool) -> u8 {
    let dup = if dup { DUP } else { 0 };
    PacketKind::Publish.first_byte() | dup | (qos as u8) << QOS_SHIFT | retain as u8
}

/// Checks that packet identifier and DUP go with the QoS.
#[inline]
pub(crate) const fn check_packet_id(
    qos: QoS,
    dup: bool,
    packet_id: Option<PacketId>,
) -> Result<(), EncodeError> {
    match (qos, packet_id) {
        (QoS::AtMostOnce, Some(_)) => Err(EncodeError::PacketIdWithQoS0),
        (QoS::AtMostOnce, None) if dup => Err(EncodeError::DupWithQoS0),
        (QoS::AtMostOnce, None) | (_, Some(_)) => Ok(()),
        (_, None) => Err(EncodeError::PacketIdMissing),
    }
}

const QOS_SHIFT: u8 = 1;
