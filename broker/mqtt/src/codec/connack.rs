//! CONNACK.
//!
//! Responsible for the server's answer to CONNECT. Below 5.0 the reason is one of six return
//! codes; a reason that none of them fits cannot be encoded there, and the connection is closed
//! without a CONNACK [MQTT-3.2.2-6].

use alloc::vec::Vec;
use core::fmt;
use core::num::{NonZeroU16, NonZeroU32};

use crate::error::{DecodeError, EncodeError};
use crate::hidden::Hidden;
use crate::kind::PacketKind;
use crate::property::{Properties, Property, put_property};
use crate::qos::QoS;
use crate::reader::Reader;
use crate::reason::ReasonCode;
use crate::user_properties::UserProperties;
use crate::version::Version;
use crate::writer::put_with_length;

/// The server answers CONNECT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connack<'a> {
    /// Whether the server goes on with an earlier session. 3.1 does not say.
    pub session_present: bool,
    /// Success, or why the connection is refused.
    pub reason: ReasonCode,
    /// 5.0 only.
    pub properties: ConnackProperties<'a>,
}

impl<'a> Connack<'a> {
    /// A CONNACK that refuses, with nothing but the reason.
    pub fn refusal(reason: ReasonCode) -> Self {
        Self { reason, ..Self::default() }
    }

    pub(crate) fn decode(mut reader: Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        let flags = reader.u8()?;
        let session_present = match flags {
            0 => false,
            SESSION_PRESENT if version != Version::V31 => true,
            _ => return Err(DecodeError::ConnackFlagsReserved),
        };
        let code = reader.u8()?;
        let reason = match version {
            Version::V5 => ReasonCode::try_from(code).ok(),
            Version::V31 | Version::V311 => ReasonCode::from_connect_return_code(code),
        };
        let reason = reason
            .filter(|reason| reason.is_allowed_in(KIND))
            .ok_or(DecodeError::ReasonNotAllowed { kind: KIND, code })?;
        if session_present && reason.is_error() {
            return Err(DecodeError::SessionPresentWithError);
        }
        let properties = match version {
            Version::V5 => ConnackProperties::decode(reader.properties()?)?,
            Version::V31 | Version::V311 => ConnackProperties::default(),
        };
        reader.finish()?;
        Ok(Self { session_present, reason, properties })
    }

    pub(crate) fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let not_allowed = EncodeError::ReasonNotAllowed { kind: KIND, reason: self.reason };
        if self.session_present && self.reason.is_error() {
            return Err(EncodeError::SessionPresentWithError);
        }
        let flags = u8::from(self.session_present && version != Version::V31);
        if version != Version::V5 {
            let code = self.reason.connect_return_code().ok_or(not_allowed)?;
            out.extend_from_slice(&[KIND.first_byte(), 2, flags, code]);
            return Ok(());
        }
        if !self.reason.is_allowed_in(KIND) {
            return Err(not_allowed);
        }
        out.push(KIND.first_byte());
        put_with_length(out, |out| {
            out.extend_from_slice(&[flags, self.reason.into()]);
            put_with_length(out, |out| self.properties.encode(out))
        })
    }
}

/// The properties of CONNACK. What is absent has the default of the standard.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct ConnackProperties<'a> {
    /// How long the session outlives the connection, if not as the client asked.
    pub session_expiry_interval_s: Option<u32>,
    /// How many QoS 1 and 2 messages the server takes at a time.
    pub receive_maximum: Option<NonZeroU16>,
    /// The highest QoS of the server; 0 or 1, absent for 2.
    pub maximum_qos: Option<QoS>,
    /// Whether the server keeps retained messages.
    pub retain_available: Option<bool>,
    /// The longest packet in bytes that the server takes.
    pub maximum_packet_size: Option<NonZeroU32>,
    /// The identifier that the server chose for the client.
    pub assigned_client_identifier: Option<&'a str>,
    /// The highest topic alias that the server takes.
    pub topic_alias_maximum: Option<u16>,
    /// An explanation for people.
    pub reason_string: Option<&'a str>,
    /// Name and value pairs.
    pub user_properties: UserProperties<'a>,
    /// Whether the server has wildcard subscriptions.
    pub wildcard_subscription_available: Option<bool>,
    /// Whether the server has subscription identifiers.
    pub subscription_identifiers_available: Option<bool>,
    /// Whether the server has shared subscriptions.
    pub shared_subscription_available: Option<bool>,
    /// The keep-alive time that the client is to use instead of its own.
    pub server_keep_alive_s: Option<u16>,
    /// What to build response topics from.
    pub response_information: Option<&'a str>,
    /// Another server to use.
    pub server_reference: Option<&'a str>,
    /// The method of extended authentication.
    pub authentication_method: Option<&'a str>,
    /// What the method says last.
    pub authentication_data: Option<&'a [u8]>,
}

impl<'a> ConnackProperties<'a> {
    fn decode(block: &'a [u8]) -> Result<Self, DecodeError> {
        let mut connack = Self::default();
        let mut properties = Properties::new(block);
        while let Some(property) = properties.next()? {
            connack.take(property, block)?;
        }
        if connack.authentication_data.is_some() && connack.authentication_method.is_none() {
            return Err(DecodeError::AuthenticationDataWithoutMethod);
        }
        Ok(connack)
    }

    fn take(&mut self, property: Property<'a>, block: &'a [u8]) -> Result<(), DecodeError> {
        match property {
            Property::SessionExpiryInterval(value) => self.session_expiry_interval_s = Some(value),
            Property::ReceiveMaximum(value) => self.receive_maximum = Some(value),
            Property::MaximumQoS(qos) => self.maximum_qos = Some(qos),
            Property::RetainAvailable(value) => self.retain_available = Some(value),
            Property::MaximumPacketSize(value) => self.maximum_packet_size = Some(value),
            Property::AssignedClientIdentifier(text) => {
                self.assigned_client_identifier = Some(text);
            }
            Property::TopicAliasMaximum(value) => self.topic_alias_maximum = Some(value),
            Property::ReasonString(text) => self.reason_string = Some(text),
            Property::User(..) => {
                self.user_properties = UserProperties::from_checked(block);
            }
            Property::WildcardSubscriptionAvailable(value) => {
                self.wildcard_subscription_available = Some(value);
            }
            Property::SubscriptionIdentifiersAvailable(value) => {
                self.subscription_identifiers_available = Some(value);
            }
            Property::SharedSubscriptionAvailable(value) => {
                self.shared_subscription_available = Some(value);
            }
            Property::ServerKeepAlive(value) => self.server_keep_alive_s = Some(value),
            Property::ResponseInformation(text) => self.response_information = Some(text),
            Property::ServerReference(text) => self.server_reference = Some(text),
            Property::AuthenticationMethod(text) => self.authentication_method = Some(text),
            Property::AuthenticationData(bytes) => self.authentication_data = Some(bytes),
            other => return Err(other.not_allowed()),
        }
        Ok(())
    }

    #[rustfmt::skip]
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.authentication_data.is_some() && self.authentication_method.is_none() {
            return Err(EncodeError::AuthenticationDataWithoutMethod);
        }
        put_property(self.session_expiry_interval_s.map(Property::SessionExpiryInterval), out)?;
        put_property(self.receive_maximum.map(Property::ReceiveMaximum), out)?;
        put_property(self.maximum_qos.map(Property::MaximumQoS), out)?;
        put_property(self.retain_available.map(Property::RetainAvailable), out)?;
        put_property(self.maximum_packet_size.map(Property::MaximumPacketSize), out)?;
        put_property(
            self.assigned_client_identifier.map(Property::AssignedClientIdentifier), out)?;
        put_property(self.topic_alias_maximum.map(Property::TopicAliasMaximum), out)?;
        put_property(self.reason_string.map(Property::ReasonString), out)?;
        self.user_properties.encode(out)?;
        put_property(
            self.wildcard_subscription_available.map(Property::WildcardSubscriptionAvailable),
            out)?;
        put_property(
            self.subscription_identifiers_available
                .map(Property::SubscriptionIdentifiersAvailable), out)?;
        put_property(
            self.shared_subscription_available.map(Property::SharedSubscriptionAvailable), out)?;
        put_property(self.server_keep_alive_s.map(Property::ServerKeepAlive), out)?;
        put_property(self.response_information.map(Property::ResponseInformation), out)?;
        put_property(self.server_reference.map(Property::ServerReference), out)?;
        put_property(self.authentication_method.map(Property::AuthenticationMethod), out)?;
        put_property(self.authentication_data.map(Property::AuthenticationData), out)
    }
}

impl fmt::Debug for ConnackProperties<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnackProperties")
            .field("session_expiry_interval_s", &self.session_expiry_interval_s)
            .field("receive_maximum", &self.receive_maximum)
            .field("maximum_qos", &self.maximum_qos)
            .field("retain_available", &self.retain_available)
            .field("maximum_packet_size", &self.maximum_packet_size)
            .field("assigned_client_identifier", &self.assigned_client_identifier)
            .field("topic_alias_maximum", &self.topic_alias_maximum)
            .field("reason_string", &self.reason_string)
            .field("user_properties", &self.user_properties)
            .field("wildcard_subscription_available", &self.wildcard_subscription_available)
            .field("subscription_identifiers_available", &self.subscription_identifiers_available)
            .field("shared_subscription_available", &self.shared_subscription_available)
            .field("server_keep_alive_s", &self.server_keep_alive_s)
            .field("response_information", &self.response_information)
            .field("server_reference", &self.server_reference)
            .field("authentication_method", &self.authentication_method)
            .field("authentication_data", &self.authentication_data.map(|_| Hidden))
            .finish()
    }
}

const KIND: PacketKind = PacketKind::Connack;
const SESSION_PRESENT: u8 = 1;
