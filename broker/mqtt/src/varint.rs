//! Variable byte integers.
//!
//! Responsible for the one-to-four-byte integers of remaining lengths, property lengths and
//! subscription identifiers. Only the shortest form is read or written [MQTT-1.5.5-1].

use alloc::vec::Vec;

use crate::error::DecodeError;

/// The largest number that a variable byte integer can hold.
pub const VARINT_MAX: u32 = 268_435_455;

/// Reads from the front: the value and how many bytes it takes, `None` while bytes are missing.
#[inline]
pub(crate) fn decode(bytes: &[u8]) -> Result<Option<(u32, usize)>, DecodeError> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(LEN_MAX).enumerate() {
        value |= u32::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            if byte == 0 && index > 0 {
                return Err(DecodeError::VarintNotMinimal);
            }
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() < LEN_MAX { Ok(None) } else { Err(DecodeError::VarintTooLong) }
}

/// How many bytes the value takes.
#[inline]
pub(crate) const fn encoded_len(value: u32) -> usize {
    match value {
        0..=0x7f => 1,
        0x80..=0x3fff => 2,
        0x4000..=0x1f_ffff => 3,
        _ => 4,
    }
}

/// Appends the value, which must not be above [`VARINT_MAX`].
#[inline]
pub(crate) fn encode(value: u32, out: &mut Vec<u8>) {
    debug_assert!(value <= VARINT_MAX, "callers check against the maximum");
    let mut rest = value;
    while rest > 0x7f {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

const LEN_MAX: usize = 4;
