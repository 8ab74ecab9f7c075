//! DISCONNECT.
//!
//! Responsible for the last packet of a connection. In 5.0 both sides send it, with a reason;
//! which codes and properties are for which side is checked by whoever knows the side.

use alloc::vec::Vec;

use crate::error::{DecodeError, EncodeError};
use crate::kind::PacketKind;
use crate::property::{Properties, Property, put_property};
use crate::reader::Reader;
use crate::reason::ReasonCode;
use crate::user_properties::UserProperties;
use crate::version::Version;
use crate::writer::put_with_length;

/// The end of a connection. Below 5.0 the packet is empty and only clients send it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Why the connection ends; [`ReasonCode::Success`] is the normal disconnection.
    pub reason: ReasonCode,
    /// How long the session is to be kept from now on. Only clients may send it.
    pub session_expiry_interval_s: Option<u32>,
    /// An explanation for people.
    pub reason_string: Option<&'a str>,
    /// Another server to use. Only servers may send it.
    pub server_reference: Option<&'a str>,
    /// Name and value pairs.
    pub user_properties: UserProperties<'a>,
}

impl<'a> Disconnect<'a> {
    /// A DISCONNECT with a reason code and nothing more.
    pub fn with_reason(reason: ReasonCode) -> Self {
        Self { reason, ..Self::default() }
    }

    pub(crate) fn decode(mut reader: Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        let mut disconnect = Self::default();
        if reader.is_empty() {
            return Ok(disconnect);
        }
        if version != Version::V5 {
            return Err(DecodeError::TrailingBytes);
        }
        let code = reader.u8()?;
        let reason = ReasonCode::try_from(code).ok();
        let reason = reason.filter(|reason| reason.is_allowed_in(PacketKind::Disconnect));
        disconnect.reason =
            reason.ok_or(DecodeError::ReasonNotAllowed { kind: PacketKind::Disconnect, code })?;
        if !reader.is_empty() {
            disconnect.decode_properties(reader.properties()?)?;
        }
        reader.finish()?;
        Ok(disconnect)
    }

    fn decode_properties(&mut self, block: &'a [u8]) -> Result<(), DecodeError> {
        let mut properties = Properties::new(block);
        while let Some(property) = properties.next()? {
            match property {
                Property::SessionExpiryInterval(value) => {
                    self.session_expiry_interval_s = Some(value);
                }
                Property::ReasonString(text) => self.reason_string = Some(text),
                Property::ServerReference(text) => self.server_reference = Some(text),
                Property::User(..) => {
                    self.user_properties = UserProperties::from_checked(block);
                }
                other => return Err(other.not_allowed()),
            }
        }
        Ok(())
    }

    pub(crate) fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        const KIND: PacketKind = PacketKind::Disconnect;
        if version != Version::V5 || *self == Self::default() {
            out.extend_from_slice(&[KIND.first_byte(), 0]);
            return Ok(());
        }
        if !self.reason.is_allowed_in(KIND) {
            return Err(EncodeError::ReasonNotAllowed { kind: KIND, reason: self.reason });
        }
        out.push(KIND.first_byte());
        put_with_length(out, |out| {
            out.push(self.reason.into());
            if *self == Self::with_reason(self.reason) {
                return Ok(());
            }
            put_with_length(out, |out| self.encode_properties(out))
        })
    }

    fn encode_properties(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let session_expiry_interval = self.session_expiry_interval_s;
        put_property(session_expiry_interval.map(Property::SessionExpiryInterval), out)?;
        put_property(self.reason_string.map(Property::ReasonString), out)?;
        put_property(self.server_reference.map(Property::ServerReference), out)?;
        self.user_properties.encode(out)
    }
}
