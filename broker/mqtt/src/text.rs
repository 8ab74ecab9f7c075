//! Text fields.
//!
//! Responsible for what every string of MQTT must be: UTF-8 without U+0000. A byte-order mark is
//! kept [MQTT-1.5.4-3]; surrogates are not UTF-8 to begin with.

use core::str;

use crate::error::DecodeError;

/// Checks the bytes of a text field.
#[inline]
pub(crate) fn decode(bytes: &[u8]) -> Result<&str, DecodeError> {
    let text = str::from_utf8(bytes).map_err(|_| DecodeError::TextNotUtf8)?;
    if contains_any(bytes, [0]) { Err(DecodeError::TextHasNul) } else { Ok(text) }
}

/// Whether one of the bytes occurs. Looks at eight bytes at a time, which for strings of the
/// length of a topic is faster than a search for each.
#[inline]
pub(crate) fn contains_any<const N: usize>(bytes: &[u8], needles: [u8; N]) -> bool {
    let (words, tail) = bytes.as_chunks::<8>();
    let mut hits = 0;
    for word in words {
        hits |= marks(u64::from_ne_bytes(*word), needles);
    }
    // The last eight bytes overlap the last word, unless there are not even eight.
    match bytes.last_chunk::<8>() {
        Some(last) => hits |= marks(u64::from_ne_bytes(*last), needles),
        None => return tail.iter().any(|byte| needles.contains(byte)),
    }
    hits != 0
}

/// Not zero if one of the needles is a byte of the word: a byte that equals its needle becomes
/// zero, and only a zero byte borrows from its high bit.
#[inline]
fn marks<const N: usize>(word: u64, needles: [u8; N]) -> u64 {
    let mut hits = 0;
    for needle in needles {
        let zero_where_equal = word ^ (LOW_BITS * u64::from(needle));
        hits |= zero_where_equal.wrapping_sub(LOW_BITS) & !zero_where_equal & HIGH_BITS;
    }
    hits
}

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
