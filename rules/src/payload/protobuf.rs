//! Fields of a protobuf message, one after the other. Nothing is copied, and nothing is trusted.

use super::DecodeError;
use super::binary::Binary;

/// The fields of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Protobuf<'p> {
    input: Binary<'p>,
}

/// The value of a field, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire<'p> {
    Bytes(&'p [u8]),
    Fixed32(u32),
    Fixed64(u64),
    Varint(u64),
}

impl<'p> Protobuf<'p> {
    pub(super) fn new(message: &'p [u8], format: &'static str) -> Self {
        Self { input: Binary::new(message, format) }
    }

    /// The number and the value of the next field.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Wire<'p>)>, DecodeError> {
        if self.input.is_empty() {
            return Ok(None);
        }
        let start = self.input;
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(u64::from_le_bytes(self.input.array()?)),
            2 => {
                let length = self.varint()?;
                Wire::Bytes(self.input.take(length)?)
            }
            5 => Wire::Fixed32(u32::from_le_bytes(self.input.array()?)),
            _ => return Err(start.malformed("a field of unknown form")),
        };
        match key >> 3 {
            0 => Err(start.malformed("a field without number")),
            number => Ok(Some((number, value))),
        }
    }

    fn varint(&mut self) -> Result<u64, DecodeError> {
        let start = self.input;
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.input.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(start.malformed("a number that is too long"))
    }
}
