//! AUTH.
//!
//! Responsible for the packet of extended authentication, 5.0 only. What the authentication data
//! mean is the business of the method.

use alloc::vec::Vec;
use core::fmt;

use crate::error::{DecodeError, EncodeError};
use crate::hidden::Hidden;
use crate::kind::PacketKind;
use crate::property::{Properties, Property, put_property};
use crate::reader::Reader;
use crate::reason::ReasonCode;
use crate::user_properties::UserProperties;
use crate::version::Version;
use crate::writer::put_with_length;

/// A step of extended authentication.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Success, continue or re-authenticate.
    pub reason: ReasonCode,
    /// The name of the method. Only a success that carries nothing at all may leave it out.
    pub authentication_method: Option<&'a str>,
    /// What the method says.
    pub authentication_data: Option<&'a [u8]>,
    /// An explanation for people.
    pub reason_string: Option<&'a str>,
    /// Name and value pairs.
    pub user_properties: UserProperties<'a>,
}

impl<'a> Auth<'a> {
    pub(crate) fn decode(mut reader: Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        if version != Version::V5 {
            return Err(DecodeError::PacketNotInVersion(PacketKind::Auth));
        }
        let mut auth = Self::default();
        if reader.is_empty() {
            return Ok(auth);
        }
        let code = reader.u8()?;
        let reason = ReasonCode::try_from(code).ok();
        let reason = reason.filter(|reason| reason.is_allowed_in(PacketKind::Auth));
        auth.reason =
            reason.ok_or(DecodeError::ReasonNotAllowed { kind: PacketKind::Auth, code })?;
        auth.decode_properties(reader.properties()?)?;
        reader.finish()?;
        if auth.authentication_method.is_none() {
            return Err(DecodeError::AuthenticationMethodMissing);
        }
        Ok(auth)
    }

    fn decode_properties(&mut self, block: &'a [u8]) -> Result<(), DecodeError> {
        let mut properties = Properties::new(block);
        while let Some(property) = properties.next()? {
            match property {
                Property::AuthenticationMethod(text) => self.authentication_method = Some(text),
                Property::AuthenticationData(bytes) => self.authentication_data = Some(bytes),
                Property::ReasonString(text) => self.reason_string = Some(text),
                Property::User(..) => {
                    self.user_properties = UserProperties::from_checked(block);
                }
                other => return Err(other.not_allowed()),
            }
        }
        Ok(())
    }

    pub(crate) fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        const KIND: PacketKind = PacketKind::Auth;
        if version != Version::V5 {
            return Err(EncodeError::PacketNotInVersion(KIND));
        }
        if *self == Self::default() {
            out.extend_from_slice(&[KIND.first_byte(), 0]);
            return Ok(());
        }
        if self.authentication_method.is_none() {
            return Err(EncodeError::AuthenticationMethodMissing);
        }
        if !self.reason.is_allowed_in(KIND) {
            return Err(EncodeError::ReasonNotAllowed { kind: KIND, reason: self.reason });
        }
        out.push(KIND.first_byte());
        put_with_length(out, |out| {
            out.push(self.reason.into());
            put_with_length(out, |out| self.encode_properties(out))
        })
    }

    fn encode_properties(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put_property(self.authentication_method.map(Property::AuthenticationMethod), out)?;
        put_property(self.authentication_data.map(Property::AuthenticationData), out)?;
        put_property(self.reason_string.map(Property::ReasonString), out)?;
        self.user_properties.encode(out)
    }
}

impl fmt::Debug for Auth<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("reason", &self.reason)
            .field("authentication_method", &self.authentication_method)
            .field("authentication_data", &self.authentication_data.map(|_| Hidden))
            .field("reason_string", &self.reason_string)
            .field("user_properties", &self.user_properties)
            .finish()
    }
}
