//! Repeatable randomness.

/// SplitMix64: a seed, a counter and a mixer. Good enough for noise, and nothing else.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Every value is as likely as any other.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// From `min` up to, not including, `max`.
    pub(super) fn between(&mut self, min: u64, max: u64) -> u64 {
        debug_assert!(min < max);
        min + self.next() % (max - min)
    }
}

/// A value of its own for each pair, without state.
pub(super) fn hash(seed: u64, index: u64) -> u64 {
    mix(mix(seed.wrapping_add(GOLDEN)).wrapping_add(index.wrapping_mul(GOLDEN)))
}

/// The upper 53 bits as a number from 0 up to, not including, 1.
pub(super) fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
