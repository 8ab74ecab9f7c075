//! CBOR (RFC 8949) in one pass: only the wanted fields become values, the rest is passed over.
//!
//! Maps are objects; keys that are whole numbers or bytes are named by their digits. Tags that
//! stand for numbers are computed: times (1) become milliseconds; large (2, 3), decimal (4) and
//! binary (5) ones the nearest number. All other tags are what is in them.

use super::binary::Binary;
use super::slots::push_hex;
use super::{DecodeError, FieldTree, Slots};
use crate::limits::PAYLOAD_DEPTH_MAX;
use crate::value::Value;

/// Reads a payload into the slots of the wanted fields.
pub(super) fn read_cbor(payload: &[u8], slots: &mut Slots<'_>) -> Result<(), DecodeError> {
    let mut cbor = Cbor { input: Binary::new(payload, "CBOR"), slots };
    cbor.value(Some(FieldTree::ROOT), 0)?;
    cbor.input.finish()
}

struct Cbor<'p, 's, 'a> {
    input: Binary<'p>,
    slots: &'s mut Slots<'a>,
}

/// The beginning of an item: its kind, and its number, length or value; `None` is a length that
/// is not known yet.
type Head = (u8, Option<u64>);

impl<'p> Cbor<'p, '_, '_> {
    fn value(&mut self, node: Option<u32>, depth: usize) -> Result<(), DecodeError> {
        if depth > PAYLOAD_DEPTH_MAX {
            return Err(self.input.malformed("nested too deeply"));
        }
        let first = self.input.peek().unwrap_or_default();
        let head = self.head()?;
        match head {
            (UNSIGNED | NEGATIVE, _) => {
                let number = self.whole(head)?;
                self.slots.set_number(node, number);
            }
            (BYTES, length) => {
                let mut bytes = Vec::new();
                match length {
                    Some(length) => {
                        let taken = self.input.take(length)?;
                        self.slots.set_hex(node, taken);
                    }
                    None => {
                        self.chunks(BYTES, |chunk| bytes.extend_from_slice(chunk))?;
                        self.slots.set_hex(node, &bytes);
                    }
                }
            }
            (TEXT, Some(length)) => {
                let text = self.input.text(length)?;
                self.slots.set_text(node, text);
            }
            (TEXT, None) => {
                let text = self.long_text()?;
                self.slots.set_text(node, &text);
            }
            (ARRAY, length) => self.array(node, length, depth)?,
            (MAP, length) => self.map(node, length, depth)?,
            (TAG, Some(tag)) => self.tagged(node, tag, depth)?,
            _ => {
                let value = self.simple(first, head)?;
                self.slots.set(node, value);
            }
        }
        Ok(())
    }

    fn head(&mut self) -> Result<Head, DecodeError> {
        let start = self.input;
        let first = self.input.byte()?;
        let argument = match first & 0x1f {
            small @ 0..24 => u64::from(small),
            24 => u64::from(self.input.byte()?),
            25 => u64::from(u16::from_be_bytes(self.input.array()?)),
            26 => u64::from(u32::from_be_bytes(self.input.array()?)),
            27 => u64::from_be_bytes(self.input.array()?),
            31 if matches!(first >> 5, BYTES | TEXT | ARRAY | MAP) => {
                return Ok((first >> 5, None));
            }
            31 if first == BREAK => return Err(start.malformed("an end without a beginning")),
            _ => return Err(start.malformed("a reserved length")),
        };
        Ok((first >> 5, Some(argument)))
    }

    /// The number of an item that is a whole one.
    fn whole(&self, (kind, argument): Head) -> Result<f64, DecodeError> {
        match (kind, argument) {
            (UNSIGNED, Some(argument)) => Ok(argument as f64),
            (NEGATIVE, Some(argument)) => Ok((-1 - i128::from(argument)) as f64),
            _ => Err(self.input.malformed("expected a whole number")),
        }
    }

    fn array(
        &mut self,
        node: Option<u32>,
        length: Option<u64>,
        depth: usize,
    ) -> Result<(), DecodeError> {
        self.slots.set(node, Value::Composite);
        let mut position = 0;
        while !self.at_end(length, u64::from(position))? {
            let item = self.slots.item(node, position);
            self.value(item, depth + 1)?;
            position = position.checked_add(1).ok_or_else(|| self.input.malformed("too long"))?;
        }
        Ok(())
    }

    fn map(
        &mut self,
        node: Option<u32>,
        length: Option<u64>,
        depth: usize,
    ) -> Result<(), DecodeError> {
        self.slots.set(node, Value::Composite);
        let leaf = self.slots.is_leaf(node);
        let mut position = 0;
        while !self.at_end(length, position)? {
            let field = if leaf {
                self.value(None, depth + 1)?;
                None
            } else {
                self.key(node, depth)?
            };
            self.value(field, depth + 1)?;
            position += 1;
        }
        Ok(())
    }

    /// The wanted field that a key names.
    fn key(&mut self, node: Option<u32>, depth: usize) -> Result<Option<u32>, DecodeError> {
        let start = self.input;
        let head = self.head()?;
        let mut name = String::new();
        match head {
            (TEXT, Some(length)) => {
                let text = self.input.text(length)?;
                return Ok(self.slots.field(node, text));
            }
            (TEXT, None) => name = self.long_text()?,
            (UNSIGNED, Some(number)) => name = number.to_string(),
            (NEGATIVE, Some(number)) => name = (-1 - i128::from(number)).to_string(),
            (BYTES, Some(length)) => push_hex(self.input.take(length)?, &mut name),
            _ => {
                self.input = start;
                self.value(None, depth + 1)?;
                return Ok(None);
            }
        }
        Ok(self.slots.field(node, &name))
    }

    fn tagged(&mut self, node: Option<u32>, tag: u64, depth: usize) -> Result<(), DecodeError> {
        let number = match tag {
            1 => 1000.0 * self.number()?,
            2 | 3 => self.large(tag)?,
            4 | 5 => self.fraction(tag)?,
            _ => return self.value(node, depth + 1),
        };
        self.slots.set_number(node, number);
        Ok(())
    }

    /// A number that is not tagged itself.
    fn number(&mut self) -> Result<f64, DecodeError> {
        let first = self.input.peek().unwrap_or_default();
        let head = self.head()?;
        if matches!(head.0, UNSIGNED | NEGATIVE) {
            return self.whole(head);
        }
        match self.simple(first, head)? {
            Value::Number(number) => Ok(number),
            _ => Err(self.input.malformed("expected a number")),
        }
    }

    /// A whole number of any length; the tag says its sign.
    fn large(&mut self, tag: u64) -> Result<f64, DecodeError> {
        let mut bytes = Vec::new();
        match self.head()? {
            (BYTES, Some(length)) => bytes.extend_from_slice(self.input.take(length)?),
            (BYTES, None) => self.chunks(BYTES, |chunk| bytes.extend_from_slice(chunk))?,
            _ => return Err(self.input.malformed("expected the bytes of a number")),
        }
        let size = size(&bytes);
        Ok(if tag == 3 { -1.0 - size } else { size })
    }

    /// A mantissa and the exponent of ten (tag 4) or two (tag 5).
    fn fraction(&mut self, tag: u64) -> Result<f64, DecodeError> {
        if self.head()? != (ARRAY, Some(2)) {
            return Err(self.input.malformed("expected an exponent and a mantissa"));
        }
        let head = self.head()?;
        let exponent = self.whole(head)?;
        let mantissa = match self.head()? {
            (TAG, Some(tag @ (2 | 3))) => self.large(tag)?,
            head => self.whole(head)?,
        };
        if tag == 4 {
            // Read as a text, so that it is the nearest number.
            return Ok(format!("{mantissa}e{exponent}").parse().unwrap_or(f64::INFINITY));
        }
        Ok(scale(mantissa, exponent))
    }

    /// A truth value, null, or a floating-point number.
    fn simple(&self, first: u8, (kind, argument): Head) -> Result<Value, DecodeError> {
        let (SIMPLE, Some(argument)) = (kind, argument) else {
            return Err(self.input.malformed("not expected here"));
        };
        Ok(match first & 0x1f {
            20 => Value::Bool(false),
            21 => Value::Bool(true),
            24 if argument < 32 => return Err(self.input.malformed("a reserved value")),
            25 => Value::finite(half(argument as u16)),
            26 => Value::finite(f64::from(f32::from_bits(argument as u32))),
            27 => Value::finite(f64::from_bits(argument)),
            // Null, undefined, and values without a meaning.
            _ => Value::Null,
        })
    }

    /// A text in parts.
    fn long_text(&mut self) -> Result<String, DecodeError> {
        let mut bytes = Vec::new();
        let start = self.input;
        self.chunks(TEXT, |chunk| bytes.extend_from_slice(chunk))?;
        String::from_utf8(bytes).map_err(|_| start.malformed("a text is not UTF-8"))
    }

    /// The parts of a text or of bytes whose length is not known at the beginning.
    fn chunks(&mut self, kind: u8, mut use_it: impl FnMut(&'p [u8])) -> Result<(), DecodeError> {
        while !self.at_end(None, 0)? {
            match self.head()? {
                (found, Some(length)) if found == kind => use_it(self.input.take(length)?),
                _ => return Err(self.input.malformed("a part of another kind")),
            }
        }
        Ok(())
    }

    /// Whether all items were read; takes the end that closes those without a length.
    fn at_end(&mut self, length: Option<u64>, read: u64) -> Result<bool, DecodeError> {
        match length {
            Some(length) => Ok(read >= length),
            None if self.input.peek() == Some(BREAK) => self.input.byte().map(|_| true),
            None => Ok(false),
        }
    }
}

/// The nearest number to a whole one of any length, most significant byte first.
fn size(bytes: &[u8]) -> f64 {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let bytes = bytes.get(zeros..).unwrap_or_default();
    let (first, rest) = bytes.split_at(bytes.len().min(LARGE_BYTES));
    let mut number = first.iter().fold(0u128, |number, byte| number << 8 | u128::from(*byte));
    // What is cut off still decides between two numbers that are as near.
    number |= u128::from(rest.iter().any(|byte| *byte != 0));
    scale(number as f64, 8.0 * rest.len() as f64)
}

/// `mantissa * 2^exponent`.
fn scale(mantissa: f64, exponent: f64) -> f64 {
    let mut number = mantissa;
    let mut left = exponent.clamp(-4000.0, 4000.0) as i64;
    while left != 0 {
        let step = left.clamp(-1000, 1000);
        number *= f64::from_bits(((1023 + step) as u64) << 52);
        left -= step;
    }
    number
}

/// A floating-point number of 16 bits.
fn half(bits: u16) -> f64 {
    let exponent = f64::from(bits >> 10 & 0x1f);
    let mantissa = f64::from(bits & 0x3ff);
    let size = if exponent == 0.0 {
        scale(mantissa, -24.0)
    } else if exponent == 31.0 {
        if mantissa == 0.0 { f64::INFINITY } else { f64::NAN }
    } else {
        scale(mantissa + 1024.0, exponent - 25.0)
    };
    if bits & 0x8000 == 0 { size } else { -size }
}

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const SIMPLE: u8 = 7;
const BREAK: u8 = 0xff;
/// More than the digits of a floating-point number.
const LARGE_BYTES: usize = 15;

#[cfg(test)]
mod tests;
