//! The fixed header.
//!
//! Responsible for finding where a packet ends in a stream and for the type and flags of its
//! first byte. It never looks past the fixed header.

use crate::error::DecodeError;
use crate::kind::PacketKind;
use crate::reader::Reader;
use crate::varint;
use crate::version::Version;

/// The length of the packet at the front of a stream, fixed header included; `None` while the
/// fixed header is not complete. Refuses a first byte that no version allows as soon as it is
/// there.
///
/// ```
/// use weir_mqtt::{DecodeError, PacketKind, frame_len};
///
/// assert_eq!(frame_len(&[0x30]), Ok(None));
/// assert_eq!(frame_len(&[0x30, 0x80, 0x01]), Ok(Some(131)));
/// assert_eq!(frame_len(&[0x36]), Err(DecodeError::QoSInvalid));
/// ```
#[inline]
pub fn frame_len(bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
    let Some((&first, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    check_first_byte(first, Version::V31)?;
    let remaining = varint::decode(rest)?;
    Ok(remaining.map(|(len, width)| FIRST_BYTE_LEN + width + len as usize))
}

/// The parts of one whole packet: its kind, its first byte and what comes after the fixed
/// header.
#[inline]
pub(crate) fn open(
    frame: &[u8],
    version: Version,
) -> Result<(PacketKind, u8, Reader<'_>), DecodeError> {
    let mut reader = Reader::new(frame);
    let first = reader.u8()?;
    let kind = check_first_byte(first, version)?;
    let len = reader.varint()?;
    let body = reader.take(len as usize)?;
    reader.finish()?;
    Ok((kind, first, Reader::new(body)))
}

/// Checks type and flags [MQTT-2.2.2-1, MQTT-2.1.3-1]. Only 3.1 marks a repeated PUBREL,
/// SUBSCRIBE or UNSUBSCRIBE with DUP, so for that version the flag passes.
#[inline]
fn check_first_byte(first: u8, version: Version) -> Result<PacketKind, DecodeError> {
    let kind = PacketKind::from_first_byte(first).ok_or(DecodeError::PacketTypeReserved)?;
    if kind == PacketKind::Publish {
        return match first & (DUP | QOS) {
            QOS | 0b1110 => Err(DecodeError::QoSInvalid),
            DUP => Err(DecodeError::DupWithQoS0),
            _ => Ok(kind),
        };
    }
    let flags = first & FLAGS;
    let repeated = version == Version::V31 && kind.fixed_flags() != 0 && flags & DUP != 0;
    let expected = if repeated { kind.fixed_flags() | DUP } else { kind.fixed_flags() };
    if flags == expected { Ok(kind) } else { Err(DecodeError::FlagsInvalid(kind)) }
}

/// The flags of PUBLISH, in the lower half of its first byte.
pub(crate) const DUP: u8 = 0b1000;
pub(crate) const QOS: u8 = 0b0110;
pub(crate) const RETAIN: u8 = 0b0001;

const FLAGS: u8 = 0b1111;
const FIRST_BYTE_LEN: usize = 1;
