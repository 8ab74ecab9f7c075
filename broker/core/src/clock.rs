//! Time, as the core is given it.

use std::ops::Add;

/// A point on a clock that never goes back, milliseconds since the process began.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Instant(pub u64);

impl Add<u64> for Instant {
    type Output = Self;

    /// The point `milliseconds` later.
    fn add(self, milliseconds: u64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }
}

/// The time at which an input is handled.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Now {
    /// Drives every timer.
    pub monotonic: Instant,
    /// Milliseconds since the Unix epoch; dates what outlives the process. It may step.
    pub unix_ms: u64,
}
