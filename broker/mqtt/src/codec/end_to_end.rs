//! What goes from publisher to subscriber unaltered.
//!
//! Responsible for the five properties that a server passes on as they are, in PUBLISH and in
//! the will, and for their order among user properties [MQTT-3.3.2-18]. The encoded form, without
//! a length in front, is what a server keeps with a message.

use alloc::vec::Vec;

use crate::error::EncodeError;
use crate::property::{Property, put_property};
use crate::user_properties::UserProperties;

/// The properties that are passed on.
pub(crate) struct EndToEnd<'a> {
    pub(crate) payload_format_utf8: Option<bool>,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) response_topic: Option<&'a str>,
    pub(crate) correlation_data: Option<&'a [u8]>,
    pub(crate) user_properties: UserProperties<'a>,
}

impl EndToEnd<'_> {
    /// Appends the properties; leaves `out` as it was if one cannot be written.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.is_empty() {
            return Ok(());
        }
        let start = out.len();
        let result = self.encode_each(out);
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    /// As in most messages.
    fn is_empty(&self) -> bool {
        self.payload_format_utf8.is_none()
            && self.content_type.is_none()
            && self.response_topic.is_none()
            && self.correlation_data.is_none()
            && self.user_properties.is_empty()
    }

    fn encode_each(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put_property(self.payload_format_utf8.map(Property::PayloadFormatUtf8), out)?;
        put_property(self.content_type.map(Property::ContentType), out)?;
        put_property(self.response_topic.map(Property::ResponseTopic), out)?;
        put_property(self.correlation_data.map(Property::CorrelationData), out)?;
        self.user_properties.encode(out)
    }
}
