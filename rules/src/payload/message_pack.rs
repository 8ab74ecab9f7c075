//! MessagePack in one pass: only the wanted fields become values, the rest is passed over.
//!
//! Keys that are whole numbers or bytes are named by their digits. A timestamp becomes
//! milliseconds, other extensions their bytes.

use super::binary::Binary;
use super::slots::push_hex;
use super::{DecodeError, FieldTree, Slots};
use crate::limits::PAYLOAD_DEPTH_MAX;
use crate::value::Value;

/// Reads a payload into the slots of the wanted fields.
pub(super) fn read_message_pack(payload: &[u8], slots: &mut Slots<'_>) -> Result<(), DecodeError> {
    let mut pack = MessagePack { input: Binary::new(payload, "MessagePack"), slots };
    pack.value(Some(FieldTree::ROOT), 0)?;
    pack.input.finish()
}

struct MessagePack<'p, 's, 'a> {
    input: Binary<'p>,
    slots: &'s mut Slots<'a>,
}

/// The beginning of an item.
enum Head {
    Array(u64),
    Bool(bool),
    Bytes(u64),
    Extension(u64),
    Float(f64),
    Map(u64),
    Nil,
    Signed(i64),
    Text(u64),
    Unsigned(u64),
}

impl MessagePack<'_, '_, '_> {
    fn value(&mut self, node: Option<u32>, depth: usize) -> Result<(), DecodeError> {
        if depth > PAYLOAD_DEPTH_MAX {
            return Err(self.input.malformed("nested too deeply"));
        }
        match self.head()? {
            Head::Array(length) => {
                self.slots.set(node, Value::Composite);
                for position in 0..length {
                    let position = u32::try_from(position).unwrap_or(u32::MAX);
                    let item = self.slots.item(node, position);
                    self.value(item, depth + 1)?;
                }
            }
            Head::Bool(yes) => self.slots.set(node, Value::Bool(yes)),
            Head::Bytes(length) => {
                let bytes = self.input.take(length)?;
                self.slots.set_hex(node, bytes);
            }
            Head::Extension(length) => self.extension(node, length)?,
            Head::Float(number) => self.slots.set_number(node, number),
            Head::Map(length) => {
                self.slots.set(node, Value::Composite);
                let leaf = self.slots.is_leaf(node);
                for _ in 0..length {
                    let field = if leaf {
                        self.value(None, depth + 1)?;
                        None
                    } else {
                        self.key(node, depth)?
                    };
                    self.value(field, depth + 1)?;
                }
            }
            Head::Nil => self.slots.set(node, Value::Null),
            Head::Signed(number) => self.slots.set_number(node, number as f64),
            Head::Text(length) => {
                let text = self.input.text(length)?;
                self.slots.set_text(node, text);
            }
            Head::Unsigned(number) => self.slots.set_number(node, number as f64),
        }
        Ok(())
    }

    /// The wanted field that a key names.
    fn key(&mut self, node: Option<u32>, depth: usize) -> Result<Option<u32>, DecodeError> {
        let start = self.input;
        let mut name = String::new();
        match self.head()? {
            Head::Text(length) => {
                let text = self.input.text(length)?;
                return Ok(self.slots.field(node, text));
            }
            Head::Signed(number) => name = number.to_string(),
            Head::Unsigned(number) => name = number.to_string(),
            Head::Bytes(length) => push_hex(self.input.take(length)?, &mut name),
            _ => {
                self.input = start;
                self.value(None, depth + 1)?;
                return Ok(None);
            }
        }
        Ok(self.slots.field(node, &name))
    }

    fn extension(&mut self, node: Option<u32>, length: u64) -> Result<(), DecodeError> {
        let kind = self.input.byte()? as i8;
        let mut input = self.input;
        let bytes = self.input.take(length)?;
        if kind != TIMESTAMP {
            self.slots.set_hex(node, bytes);
            return Ok(());
        }
        let (seconds, nanoseconds) = match length {
            4 => (i64::from(u32::from_be_bytes(input.array()?)), 0),
            8 => {
                let both = u64::from_be_bytes(input.array()?);
                ((both & 0x3_ffff_ffff) as i64, (both >> 34) as u32)
            }
            12 => {
                let nanoseconds = u32::from_be_bytes(input.array()?);
                (i64::from_be_bytes(input.array()?), nanoseconds)
            }
            _ => return Err(input.malformed("a timestamp of another length")),
        };
        if nanoseconds > 999_999_999 {
            return Err(input.malformed("a timestamp with too many nanoseconds"));
        }
        let ms = seconds as f64 * 1e3 + f64::from(nanoseconds) / 1e6;
        self.slots.set_number(node, ms);
        Ok(())
    }

    fn head(&mut self) -> Result<Head, DecodeError> {
        let start = self.input;
        let first = self.input.byte()?;
        let low = u64::from(first);
        Ok(match first {
            0x00..=0x7f => Head::Unsigned(low),
            0x80..=0x8f => Head::Map(low & 0x0f),
            0x90..=0x9f => Head::Array(low & 0x0f),
            0xa0..=0xbf => Head::Text(low & 0x1f),
            0xc0 => Head::Nil,
            0xc1 => return Err(start.malformed("a reserved byte")),
            0xc2 => Head::Bool(false),
            0xc3 => Head::Bool(true),
            0xc4..=0xc6 => Head::Bytes(self.unsigned(first - 0xc4)?),
            0xc7..=0xc9 => Head::Extension(self.unsigned(first - 0xc7)?),
            0xca => Head::Float(f64::from(f32::from_be_bytes(self.input.array()?))),
            0xcb => Head::Float(f64::from_be_bytes(self.input.array()?)),
            0xcc..=0xcf => Head::Unsigned(self.unsigned(first - 0xcc)?),
            0xd0 => Head::Signed(i64::from(i8::from_be_bytes(self.input.array()?))),
            0xd1 => Head::Signed(i64::from(i16::from_be_bytes(self.input.array()?))),
            0xd2 => Head::Signed(i64::from(i32::from_be_bytes(self.input.array()?))),
            0xd3 => Head::Signed(i64::from_be_bytes(self.input.array()?)),
            0xd4..=0xd8 => Head::Extension(1 << (first - 0xd4)),
            0xd9..=0xdb => Head::Text(self.unsigned(first - 0xd9)?),
            0xdc..=0xdd => Head::Array(self.unsigned(first - 0xdc + 1)?),
            0xde..=0xdf => Head::Map(self.unsigned(first - 0xde + 1)?),
            0xe0..=0xff => Head::Signed(i64::from(first as i8)),
        })
    }

    /// A number of `2^size` bytes.
    fn unsigned(&mut self, size: u8) -> Result<u64, DecodeError> {
        Ok(match size {
            0 => u64::from(self.input.byte()?),
            1 => u64::from(u16::from_be_bytes(self.input.array()?)),
            2 => u64::from(u32::from_be_bytes(self.input.array()?)),
            _ => u64::from_be_bytes(self.input.array()?),
        })
    }
}

const TIMESTAMP: i8 = -1;

#[cfg(test)]
mod tests;
