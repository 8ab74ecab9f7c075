//! Length and packet type (5.2).
//!
//! The length counts itself. It has one octet, or three of which the first is 1.

use super::error::{DecodeError, EncodeError};
use super::kind::PacketKind;
use super::writer::Writer;

/// Splits a datagram into the kind of its packet, the packet's fields, and what follows the length,
/// which only an encapsulation may have.
pub(super) fn decode(datagram: &[u8]) -> Result<(PacketKind, &[u8], &[u8]), DecodeError> {
    let (stated, code, fields) = match datagram {
        [LONG_FORM, high, low, code, fields @ ..] => {
            (usize::from(u16::from_be_bytes([*high, *low])), *code, fields)
        }
        [LONG_FORM, ..] | [] | [_] => return Err(DecodeError::Truncated),
        [short, code, fields @ ..] => (usize::from(*short), *code, fields),
    };
    let header_length = datagram.len() - fields.len();
    let fields_length = stated.checked_sub(header_length).ok_or(DecodeError::LengthInvalid)?;
    let mismatch = DecodeError::LengthMismatch { stated, actual: datagram.len() };
    let (fields, after) = fields.split_at_checked(fields_length).ok_or(mismatch)?;
    let kind = PacketKind::from_code(code).ok_or(DecodeError::KindReserved(code))?;
    if kind != PacketKind::Encapsulated && !after.is_empty() {
        return Err(mismatch);
    }
    Ok((kind, fields, after))
}

/// The length of the whole packet whose fields have this length.
pub(super) fn packet_length(kind: PacketKind, fields_length: usize) -> Result<usize, EncodeError> {
    let length = fields_length.saturating_add(SHORT_HEADER_LENGTH);
    if length <= usize::from(u8::MAX) {
        return Ok(length);
    }
    let length = fields_length.saturating_add(LONG_HEADER_LENGTH);
    // An encapsulation has only the short form (5.5).
    if kind == PacketKind::Encapsulated || length > usize::from(u16::MAX) {
        return Err(EncodeError::TooLong);
    }
    Ok(length)
}

/// Writes a length that [`packet_length`] gave, and the packet type.
pub(super) fn encode(kind: PacketKind, packet_length: usize, writer: &mut Writer<'_>) {
    match u8::try_from(packet_length) {
        Ok(length) => writer.u8(length),
        Err(_) => {
            writer.u8(LONG_FORM);
            writer.u16(packet_length as u16);
        }
    }
    writer.u8(kind.code());
}

const LONG_FORM: u8 = 1;
const SHORT_HEADER_LENGTH: usize = 2;
const LONG_HEADER_LENGTH: usize = 4;
