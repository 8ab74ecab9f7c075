//! How many lines somebody who was not let in can cause in a log: so many in a minute, and with the
//! next one how many there were besides. Otherwise a program that only knocks could fill a disk.

use std::time::{Duration, Instant};

/// Counts the lines of one kind.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    /// When the first of the lines that count was written.
    since: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl Throttle {
    /// Whether a line may be written; then how many were left out before it.
    pub(crate) fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= PERIOD) {
            self.since = Some(now);
            self.lines = 0;
        }
        if self.lines >= LINES_MAX {
            self.left_out += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

const PERIOD: Duration = Duration::from_secs(60);
/// At most 6 MB in a day, with 200 bytes to a line.
const LINES_MAX: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_few_lines_a_minute_and_their_number() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        for _ in 0..LINES_MAX {
            assert_eq!(throttle.admit(start), Some(0));
        }
        for _ in 0..1000 {
            assert_eq!(throttle.admit(start + PERIOD / 2), None);
        }
        assert_eq!(throttle.admit(start + PERIOD), Some(1000));
        assert_eq!(throttle.admit(start + PERIOD), Some(0));
    }
}
