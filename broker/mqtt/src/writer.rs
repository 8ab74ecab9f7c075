//! Writing fields to the end of a buffer.
//!
//! Responsible for the data types of the standard on the way out: what is written here, the
//! reader accepts.

use alloc::vec::Vec;

use crate::error::EncodeError;
use crate::text;
use crate::topic::TopicName;
use crate::varint::{self, VARINT_MAX};

#[inline]
pub(crate) fn put_u16(value: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_be_bytes());
}

#[inline]
pub(crate) fn put_u32(value: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Binary data with its two-byte length.
#[inline]
pub(crate) fn put_binary(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let len = u16::try_from(bytes.len()).map_err(|_| EncodeError::FieldTooLong)?;
    put_u16(len, out);
    out.extend_from_slice(bytes);
    Ok(())
}

/// A text field.
pub(crate) fn put_text(text: &str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if text::contains_any(text.as_bytes(), [0]) {
        return Err(EncodeError::TextHasNul);
    }
    put_binary(text.as_bytes(), out)
}

/// A topic name field, not empty.
pub(crate) fn put_topic_name(topic: &str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let topic = TopicName::parse(topic).map_err(EncodeError::TopicName)?;
    put_binary(topic.as_str().as_bytes(), out)
}

/// Writes the length of what `body` writes as a variable byte integer in front of it. One byte
/// is left for the length; only a body of 128 bytes or more is moved to make room.
pub(crate) fn put_with_length(
    out: &mut Vec<u8>,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let length_at = out.len();
    out.push(0);
    body(out)?;
    let len = out.len() - length_at - 1;
    let len = u32::try_from(len).ok().filter(|&len| len <= VARINT_MAX);
    let len = len.ok_or(EncodeError::PacketTooLarge)?;
    if len < ONE_BYTE_LEN {
        if let Some(placeholder) = out.get_mut(length_at) {
            *placeholder = len as u8;
        }
        return Ok(());
    }
    let end = out.len();
    varint::encode(len, out);
    let width = out.len() - end;
    // The length is turned to the front, the placeholder to the end and off.
    let region = out.get_mut(length_at..).unwrap_or_default();
    region.rotate_right(width);
    region.get_mut(width..).unwrap_or_default().rotate_left(1);
    out.pop();
    Ok(())
}

/// From here on a variable byte integer takes more than one byte.
const ONE_BYTE_LEN: u32 = 0x80;
