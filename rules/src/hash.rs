//! Hashes that are written to disk or sent: they must never change, on any machine.
//!
//! FNV-1a with a finishing mix. Not for hostile input where collisions would harm someone else:
//! who sends the colliding messages only hurts his own results.

/// A 128-bit hash over a sequence of parts; each part is delimited by its length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StableHash(u128);

impl StableHash {
    pub(crate) fn new() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    /// Adds a part.
    #[must_use]
    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        let mut state = self.number(bytes.len() as u64).0;
        for byte in bytes {
            state = (state ^ u128::from(*byte)).wrapping_mul(PRIME);
        }
        Self(state)
    }

    /// Adds a text.
    #[must_use]
    pub(crate) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    /// Adds a number.
    #[must_use]
    pub(crate) fn number(self, number: u64) -> Self {
        let mut state = self.0;
        for byte in number.to_le_bytes() {
            state = (state ^ u128::from(byte)).wrapping_mul(PRIME);
        }
        Self(state)
    }

    /// The hash of everything that was added.
    pub(crate) fn finish(self) -> u128 {
        let high = mix((self.0 >> 64) as u64);
        let low = mix(self.0 as u64 ^ high);
        (u128::from(high) << 64) | u128::from(low)
    }
}

/// A 64-bit hash whose bits are evenly spread, for counting different values.
pub(crate) fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut state: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in bytes {
        state = (state ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    mix(state)
}

/// Spreads the bits of a number; different numbers stay different.
pub(crate) fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_never_change() {
        let hash = StableHash::new().text("rule").number(7).finish();
        assert_eq!(hash, 112_465_205_000_517_204_224_285_457_595_316_258_285);
        assert_eq!(hash_bytes(b"weir"), 18_102_364_656_296_629_561);
    }

    #[test]
    fn parts_are_delimited() {
        let left = StableHash::new().text("ab").text("c").finish();
        let right = StableHash::new().text("a").text("bc").finish();
        assert_ne!(left, right);
    }
}
