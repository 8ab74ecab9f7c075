//! CRC-16/CCITT-FALSE: polynomial 0x1021, initial value 0xffff, not reflected, not inverted.

/// The checksum of some bytes.
///
/// ```
/// assert_eq!(weir_node::frame::crc16(b"123456789"), 0x29b1);
/// ```
pub const fn crc16(bytes: &[u8]) -> u16 {
    let mut crc = 0xffff;
    let mut rest = bytes;
    while let [byte, after @ ..] = rest {
        crc = next(crc, *byte);
        rest = after;
    }
    crc
}

/// Eight steps of the division at once: as fast as a table of 512 bytes, which a node lacks.
const fn next(crc: u16, byte: u8) -> u16 {
    let mixed = (crc >> 8) ^ byte as u16;
    let mixed = mixed ^ (mixed >> 4);
    (crc << 8) ^ (mixed << 12) ^ (mixed << 5) ^ mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_division_done_bit_by_bit() {
        for crc in (0..=u16::MAX).step_by(77) {
            for byte in 0..=u8::MAX {
                let slow = (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| {
                    (crc << 1) ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 }
                });
                assert_eq!(next(crc, byte), slow);
            }
        }
    }
}
