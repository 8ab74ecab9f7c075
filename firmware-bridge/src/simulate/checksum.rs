//! Words with a CRC-8, as the chips of Sensirion send and take them.

/// Fills a buffer with words and their checksums; what is read beyond is a released bus.
pub(super) fn answer_words(buffer: &mut [u8], words: &[u16]) {
    buffer.fill(0xff);
    for (chunk, word) in buffer.chunks_mut(BYTES_PER_WORD).zip(words) {
        let [high, low] = word.to_be_bytes();
        let bytes = [high, low, crc8([high, low])];
        chunk.copy_from_slice(&bytes[..chunk.len()]);
    }
}

/// Makes the first checksum of an answer wrong.
pub(super) fn spoil(answer: &mut [u8]) {
    if let Some(checksum) = answer.get_mut(BYTES_PER_WORD - 1) {
        *checksum ^= 0x01;
    }
}

/// Polynomial 0x31, initial value 0xff.
pub(super) fn crc8(word: [u8; 2]) -> u8 {
    word.iter().fold(0xff, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc, _| (crc << 1) ^ if crc & 0x80 == 0 { 0 } else { 0x31 })
    })
}

const BYTES_PER_WORD: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_of_the_data_sheet() {
        assert_eq!(crc8([0xbe, 0xef]), 0x92);
    }
}
