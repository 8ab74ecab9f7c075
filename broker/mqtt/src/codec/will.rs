//! The will inside CONNECT.
//!
//! Responsible for the message that the server publishes for a client that is gone. The flags in
//! CONNECT say that it is there; the fields are read and written here.

use alloc::vec::Vec;

use crate::codec::end_to_end::EndToEnd;
use crate::error::{DecodeError, EncodeError};
use crate::property::{Properties, Property, put_property};
use crate::qos::QoS;
use crate::reader::Reader;
use crate::user_properties::UserProperties;
use crate::version::Version;
use crate::writer::{put_binary, put_topic_name, put_with_length};

/// The message to publish when the client is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// Where to publish; a topic name without wildcards, not empty.
    pub topic: &'a str,
    /// The message.
    pub payload: &'a [u8],
    /// The QoS to publish with.
    pub qos: QoS,
    /// Whether to keep it as the retained message of the topic.
    pub retain: bool,
    /// 5.0 only.
    pub properties: WillProperties<'a>,
}

impl<'a> Will<'a> {
    /// Reads the fields; `qos` and `retain` come from the flags of CONNECT.
    pub(crate) fn decode(
        reader: &mut Reader<'a>,
        qos: QoS,
        retain: bool,
        version: Version,
    ) -> Result<Self, DecodeError> {
        let properties = match version {
            Version::V5 => WillProperties::decode(reader.properties()?)?,
            Version::V31 | Version::V311 => WillProperties::default(),
        };
        let topic = reader.topic_name()?;
        Ok(Self { topic, payload: reader.binary()?, qos, retain, properties })
    }

    pub(crate) fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if version == Version::V5 {
            put_with_length(out, |out| self.properties.encode(out))?;
        }
        put_topic_name(self.topic, out)?;
        put_binary(self.payload, out)
    }
}

/// The properties of a will.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WillProperties<'a> {
    /// How long to wait after the connection is gone.
    pub will_delay_interval_s: Option<u32>,
    /// Whether the payload is UTF-8 text; absent means bytes.
    pub payload_format_utf8: Option<bool>,
    /// How long the message is worth delivering once published.
    pub message_expiry_interval_s: Option<u32>,
    /// What the payload is, in the words of the application.
    pub content_type: Option<&'a str>,
    /// Where an answer is expected; a topic name without wildcards, not empty.
    pub response_topic: Option<&'a str>,
    /// What ties the answer to this message.
    pub correlation_data: Option<&'a [u8]>,
    /// Name and value pairs.
    pub user_properties: UserProperties<'a>,
}

impl<'a> WillProperties<'a> {
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

    fn decode(block: &'a [u8]) -> Result<Self, DecodeError> {
        let mut will = Self::default();
        let mut properties = Properties::new(block);
        while let Some(property) = properties.next()? {
            match property {
                Property::WillDelayInterval(value) => will.will_delay_interval_s = Some(value),
                Property::PayloadFormatUtf8(value) => will.payload_format_utf8 = Some(value),
                Property::MessageExpiryInterval(value) => {
                    will.message_expiry_interval_s = Some(value);
                }
                Property::ContentType(text) => will.content_type = Some(text),
                Property::ResponseTopic(topic) => will.response_topic = Some(topic),
                Property::CorrelationData(bytes) => will.correlation_data = Some(bytes),
                Property::User(..) => {
                    will.user_properties = UserProperties::from_checked(block);
                }
                other => return Err(other.not_allowed()),
            }
        }
        Ok(will)
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put_property(self.will_delay_interval_s.map(Property::WillDelayInterval), out)?;
        put_property(self.message_expiry_interval_s.map(Property::MessageExpiryInterval), out)?;
        self.encode_end_to_end(out)
    }
}
