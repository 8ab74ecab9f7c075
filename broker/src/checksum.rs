//! The checksum of a record: CRC-64/XZ.
//!
//! It finds torn and flipped bytes; it is no protection against somebody who writes the file.

/// A checksum over bytes that come in parts.
#[derive(Debug)]
pub(crate) struct Checksum(u64);

impl Default for Checksum {
    fn default() -> Self {
        Self(!0)
    }
}

impl Checksum {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let (chunks, rest) = bytes.as_chunks::<8>();
        for chunk in chunks {
            let mixed = (self.0 ^ u64::from_le_bytes(*chunk)).to_le_bytes();
            // The first byte has the longest way to go.
            let parts = mixed.iter().zip(TABLES.iter().rev());
            self.0 = parts.fold(0, |sum, (byte, table)| sum ^ table[usize::from(*byte)]);
        }
        for byte in rest {
            let [low, ..] = self.0.to_le_bytes();
            self.0 = TABLES[0][usize::from(low ^ byte)] ^ (self.0 >> 8);
        }
    }

    pub(crate) fn value(&self) -> u64 {
        !self.0
    }
}

/// ECMA-182, its bits reversed.
const POLYNOMIAL: u64 = 0xc96c_5795_d787_0f42;

/// What a byte becomes after 1 to 8 bytes more.
static TABLES: [[u64; 256]; 8] = tables();

const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 0 { value >> 1 } else { (value >> 1) ^ POLYNOMIAL };
            bit += 1;
        }
        tables[0][byte] = value;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = tables[0][(before & 0xff) as usize] ^ (before >> 8);
            byte += 1;
        }
        table += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> u64 {
        let mut checksum = Checksum::default();
        checksum.add(bytes);
        checksum.value()
    }

    #[test]
    fn it_is_crc_64_xz() {
        assert_eq!(of(b""), 0);
        assert_eq!(of(b"123456789"), 0x995d_c9bb_df19_39fa);
    }

    #[test]
    fn parts_give_what_the_whole_gives() {
        let bytes: Vec<u8> = (0..=255).collect();
        for at in 0..bytes.len() {
            let mut checksum = Checksum::default();
            let (first, second) = bytes.split_at(at);
            checksum.add(first);
            checksum.add(second);
            assert_eq!(checksum.value(), of(&bytes), "cut at {at}");
        }
    }
}
