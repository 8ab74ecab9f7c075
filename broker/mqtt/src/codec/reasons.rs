//! The list of reason codes in SUBACK and UNSUBACK.
//!
//! Responsible for one invariant: every code in the list is one that the packet may carry.

use alloc::vec::Vec;
use core::fmt;

use crate::error::{DecodeError, EncodeError};
use crate::kind::PacketKind;
use crate::reason::ReasonCode;
use crate::version::Version;

/// Reason codes in the order of the topic filters they answer.
///
/// Borrowed from a packet, or made from a slice to be encoded:
///
/// ```
/// use weir_mqtt::{ReasonCode, ReasonCodes};
///
/// let codes = ReasonCodes::from(&[ReasonCode::GrantedQoS1, ReasonCode::NotAuthorized][..]);
/// assert_eq!(codes.iter().filter(|code| code.is_error()).count(), 1);
/// ```
#[derive(Clone, Copy)]
pub struct ReasonCodes<'a>(Codes<'a>);

#[derive(Clone, Copy)]
enum Codes<'a> {
    /// Bytes that have been checked to be reason codes.
    Wire(&'a [u8]),
    List(&'a [ReasonCode]),
}

impl<'a> ReasonCodes<'a> {
    /// Checks the codes of a packet. Below 5.0 a SUBACK knows only 0, 1, 2 and 0x80
    /// [MQTT-3.9.3-2].
    pub(crate) fn decode(
        bytes: &'a [u8],
        kind: PacketKind,
        version: Version,
    ) -> Result<Self, DecodeError> {
        if bytes.is_empty() {
            return Err(DecodeError::ReasonsEmpty);
        }
        for &code in bytes {
            let reason = ReasonCode::try_from(code).ok();
            if !reason.is_some_and(|reason| is_allowed(reason, kind, version)) {
                return Err(DecodeError::ReasonNotAllowed { kind, code });
            }
        }
        Ok(Self(Codes::Wire(bytes)))
    }

    /// Appends the codes. Below 5.0 every failure becomes 0x80.
    pub(crate) fn encode(
        &self,
        kind: PacketKind,
        version: Version,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        if self.is_empty() {
            return Err(EncodeError::ReasonsEmpty);
        }
        for reason in self.iter() {
            let code = match version {
                Version::V31 | Version::V311 if reason.is_error() => ReasonCode::UnspecifiedError,
                _ => reason,
            };
            if !is_allowed(code, kind, version) {
                return Err(EncodeError::ReasonNotAllowed { kind, reason });
            }
            out.push(code.into());
        }
        Ok(())
    }

    /// The codes in their order.
    pub fn iter(&self) -> impl Iterator<Item = ReasonCode> + use<'a> {
        let (bytes, list): (&[u8], &[_]) = match self.0 {
            Codes::Wire(bytes) => (bytes, &[]),
            Codes::List(list) => (&[], list),
        };
        let wire = bytes.iter().filter_map(|&code| ReasonCode::try_from(code).ok());
        wire.chain(list.iter().copied())
    }

    /// How many codes there are.
    pub const fn len(&self) -> usize {
        match self.0 {
            Codes::Wire(bytes) => bytes.len(),
            Codes::List(list) => list.len(),
        }
    }

    /// Whether there is none, as in an UNSUBACK below 5.0.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for ReasonCodes<'_> {
    fn default() -> Self {
        Self(Codes::Wire(&[]))
    }
}

impl<'a> From<&'a [ReasonCode]> for ReasonCodes<'a> {
    fn from(list: &'a [ReasonCode]) -> Self {
        Self(Codes::List(list))
    }
}

impl PartialEq for ReasonCodes<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for ReasonCodes<'_> {}

impl fmt::Debug for ReasonCodes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

fn is_allowed(reason: ReasonCode, kind: PacketKind, version: Version) -> bool {
    let known =
        version == Version::V5 || reason == ReasonCode::UnspecifiedError || !reason.is_error();
    known && reason.is_allowed_in(kind)
}
