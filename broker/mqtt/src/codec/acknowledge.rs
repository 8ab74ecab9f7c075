//! PUBACK, PUBREC, PUBREL and PUBCOMP.
//!
//! Responsible for the four acknowledgements of QoS 1 and 2, which have the same form. 5.0
//! leaves out what is not needed: without properties the packet ends after the reason code, and
//! a success ends after the packet identifier.

use alloc::vec::Vec;

use crate::codec::explanation;
use crate::error::{DecodeError, EncodeError};
use crate::kind::PacketKind;
use crate::packet_id::PacketId;
use crate::reader::Reader;
use crate::reason::ReasonCode;
use crate::user_properties::UserProperties;
use crate::version::Version;
use crate::writer::{put_u16, put_with_length};

/// An acknowledgement of a QoS 1 or 2 message. Below 5.0 only the packet identifier is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledge<'a> {
    /// The identifier of the PUBLISH.
    pub packet_id: PacketId,
    /// What became of the message.
    pub reason: ReasonCode,
    /// An explanation for people.
    pub reason_string: Option<&'a str>,
    /// Name and value pairs.
    pub user_properties: UserProperties<'a>,
}

impl<'a> Acknowledge<'a> {
    /// The ordinary acknowledgement.
    #[inline]
    pub fn success(packet_id: PacketId) -> Self {
        Self::with_reason(packet_id, ReasonCode::Success)
    }

    /// An acknowledgement with a reason code and nothing more.
    #[inline]
    pub fn with_reason(packet_id: PacketId, reason: ReasonCode) -> Self {
        Self { packet_id, reason, reason_string: None, user_properties: UserProperties::default() }
    }

    #[inline]
    pub(crate) fn decode(
        kind: PacketKind,
        mut reader: Reader<'a>,
        version: Version,
    ) -> Result<Self, DecodeError> {
        let mut acknowledge = Self::success(reader.packet_id()?);
        if reader.is_empty() {
            return Ok(acknowledge);
        }
        if version != Version::V5 {
            return Err(DecodeError::TrailingBytes);
        }
        acknowledge.decode_reason(kind, &mut reader)?;
        if !reader.is_empty() {
            (acknowledge.reason_string, acknowledge.user_properties) =
                explanation::decode(reader.properties()?)?;
        }
        reader.finish()?;
        Ok(acknowledge)
    }

    fn decode_reason(
        &mut self,
        kind: PacketKind,
        reader: &mut Reader<'a>,
    ) -> Result<(), DecodeError> {
        let code = reader.u8()?;
        let reason = ReasonCode::try_from(code).ok().filter(|reason| reason.is_allowed_in(kind));
        self.reason = reason.ok_or(DecodeError::ReasonNotAllowed { kind, code })?;
        Ok(())
    }

    #[inline]
    pub(crate) fn encode(
        &self,
        kind: PacketKind,
        version: Version,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let [high, low] = self.packet_id.get().to_be_bytes();
        let bare = self.reason_string.is_none() && self.user_properties.is_empty();
        if version != Version::V5 || (bare && self.reason == ReasonCode::Success) {
            out.extend_from_slice(&[kind.first_byte(), 2, high, low]);
            return Ok(());
        }
        if !self.reason.is_allowed_in(kind) {
            return Err(EncodeError::ReasonNotAllowed { kind, reason: self.reason });
        }
        if bare {
            out.extend_from_slice(&[kind.first_byte(), 3, high, low, self.reason.into()]);
            return Ok(());
        }
        self.encode_with_properties(kind, out)
    }

    fn encode_with_properties(
        &self,
        kind: PacketKind,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        out.push(kind.first_byte());
        put_with_length(out, |out| {
            put_u16(self.packet_id.get(), out);
            out.push(self.reason.into());
            explanation::encode(self.reason_string, &self.user_properties, out)
        })
    }
}
