//! The filters of a SUBSCRIBE or an UNSUBSCRIBE.
//!
//! Responsible for holding them without collecting them: as bytes that have been checked, which are
//! walked over again, or as a slice that is to be encoded.

use crate::error::DecodeError;
use crate::reader::Reader;

#[derive(Clone, Copy)]
pub(crate) enum Filters<'a, T> {
    /// Bytes that have been checked, and how many filters they hold.
    Wire(&'a [u8], usize),
    List(&'a [T]),
}

impl<'a, T: Copy> Filters<'a, T> {
    /// Checks all that is left of a packet: one filter at least.
    pub(crate) fn decode(
        bytes: &'a [u8],
        mut decode_one: impl FnMut(&mut Reader<'a>) -> Result<T, DecodeError>,
    ) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let mut len = 0;
        while !reader.is_empty() {
            decode_one(&mut reader)?;
            len += 1;
        }
        if len == 0 {
            return Err(DecodeError::FiltersEmpty);
        }
        Ok(Self::Wire(bytes, len))
    }

    /// The filters in their order.
    pub(crate) fn iter(
        &self,
        decode_one: fn(&mut Reader<'a>) -> Result<T, DecodeError>,
    ) -> impl Iterator<Item = T> + use<'a, T> {
        let (bytes, list): (&[u8], &[T]) = match *self {
            Self::Wire(bytes, _) => (bytes, &[]),
            Self::List(list) => (&[], list),
        };
        Walk { reader: Reader::new(bytes), decode_one }.chain(list.iter().copied())
    }

    pub(crate) const fn len(&self) -> usize {
        match self {
            Self::Wire(_, len) => *len,
            Self::List(list) => list.len(),
        }
    }
}

/// Walks over filters that are known to be right.
struct Walk<'a, T> {
    reader: Reader<'a>,
    decode_one: fn(&mut Reader<'a>) -> Result<T, DecodeError>,
}

impl<T> Iterator for Walk<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if self.reader.is_empty() {
            return None;
        }
        (self.decode_one)(&mut self.reader).ok()
    }
}
