//! The pauses between attempts to connect: decorrelated jitter, so that gateways that lost the
//! same upstream do not come back in step.
//!
//! Pure: time and seed are arguments. A pause is never shorter than the least nor longer than
//! the greatest one.

use std::time::Duration;

use weir_core::Instant;

use crate::config::RestartTimeout;

#[derive(Debug)]
pub(crate) struct Backoff {
    limits: RestartTimeout,
    /// The pause before, in milliseconds; zero when the next one is the first.
    previous_ms: u64,
    connected_at: Option<Instant>,
    random: u64,
}

impl Backoff {
    pub(crate) fn new(limits: RestartTimeout, seed: u64) -> Self {
        Self { limits, previous_ms: 0, connected_at: None, random: seed }
    }

    pub(crate) fn connected(&mut self, now: Instant) {
        self.connected_at = Some(now);
    }

    /// The connection is gone or was never there: how long to wait now.
    pub(crate) fn failed(&mut self, now: Instant) -> Duration {
        let connected_at = self.connected_at.take();
        if connected_at.is_some_and(|at| now >= at + STABLE_MS) {
            self.previous_ms = 0;
        }
        let (min, max) = (milliseconds(self.limits.min), milliseconds(self.limits.max));
        let pause = match self.previous_ms {
            0 => min,
            previous => min + self.below(previous.saturating_mul(3).saturating_sub(min).max(1)),
        };
        self.previous_ms = pause.clamp(min, max.max(min)).max(1);
        Duration::from_millis(self.previous_ms)
    }

    /// A number from 0 up to `limit`, without it (SplitMix64, Steele et al. 2014).
    fn below(&mut self, limit: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A connection that lasted this long was a good one: pauses begin anew.
const STABLE_MS: u64 = 30_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff(seed: u64) -> Backoff {
        let limits = RestartTimeout { min: Duration::from_secs(5), max: Duration::from_secs(30) };
        Backoff::new(limits, seed)
    }

    #[test]
    fn the_first_pause_is_the_shortest_and_none_leaves_its_limits() {
        for seed in 0..50 {
            let mut backoff = backoff(seed);
            assert_eq!(backoff.failed(Instant(0)), Duration::from_secs(5));
            for _ in 0..50 {
                let pause = backoff.failed(Instant(0));
                assert!((5..=30).contains(&pause.as_secs()), "{pause:?}");
            }
        }
    }

    #[test]
    fn gateways_do_not_come_back_in_step() {
        let pause = |seed| {
            let mut backoff = backoff(seed);
            (0..5).map(|_| backoff.failed(Instant(0))).collect::<Vec<_>>()
        };
        assert_eq!(pause(1), pause(1));
        assert_ne!(pause(1), pause(2));
    }

    #[test]
    fn only_a_stable_connection_makes_the_next_pause_short_again() {
        let mut backoff = backoff(3);
        for _ in 0..5 {
            backoff.failed(Instant(0));
        }
        backoff.connected(Instant(1_000));
        backoff.failed(Instant(30_999));
        assert_ne!(backoff.previous_ms, 5_000);
        backoff.connected(Instant(40_000));
        assert_eq!(backoff.failed(Instant(70_000)), Duration::from_secs(5));
    }
}
