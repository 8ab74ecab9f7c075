//! PINGREQ and PINGRESP.
//!
//! Responsible for checking that they are empty and for writing them; they carry nothing.

use alloc::vec::Vec;

use crate::error::DecodeError;
use crate::kind::PacketKind;
use crate::reader::Reader;

pub(crate) fn decode(reader: Reader<'_>) -> Result<(), DecodeError> {
    reader.finish()
}

pub(crate) fn encode(kind: PacketKind, out: &mut Vec<u8>) {
    out.extend_from_slice(&[kind.first_byte(), 0]);
}
