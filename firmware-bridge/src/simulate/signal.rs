//! Physical quantities over time.
//!
//! Every function here is a pure function of a seed and the time, so that a value does not depend
//! on how often somebody looked.

use std::f64::consts::TAU;

use super::random;

/// A value that follows the day and wanders around that course.
#[derive(Clone, Copy, Debug)]
pub(super) struct Daily {
    pub(super) mean: f64,
    /// Half of the distance between the highest and the lowest point of the day.
    pub(super) swing: f64,
    /// Hour of the day, UTC, of the highest point.
    pub(super) peak_hour: f64,
    /// Greatest deviation of the slow wandering.
    pub(super) wander: f64,
    pub(super) seed: u64,
}

impl Daily {
    pub(super) fn at(&self, at_ms: u64) -> f64 {
        let hour = (at_ms % DAY_MS) as f64 / HOUR_MS as f64;
        let course = ((hour - self.peak_hour) / 24.0 * TAU).cos();
        let slow = smooth_noise(self.seed, at_ms, 20 * 60_000);
        let fast = smooth_noise(self.seed ^ 1, at_ms, 10_000);
        self.mean + self.swing * course + self.wander * (0.8 * slow + 0.2 * fast)
    }
}

/// From -1 to 1, without jumps, new in each step.
pub(super) fn smooth_noise(seed: u64, at_ms: u64, step_ms: u64) -> f64 {
    let step = at_ms / step_ms;
    let within = (at_ms % step_ms) as f64 / step_ms as f64;
    let eased = within * within * (3.0 - 2.0 * within);
    let from = random::unit(random::hash(seed, step)) * 2.0 - 1.0;
    let to = random::unit(random::hash(seed, step + 1)) * 2.0 - 1.0;
    from + (to - from) * eased
}

/// A freezer: its compressor switches, and now and then its door is left ajar.
#[derive(Clone, Copy, Debug)]
pub(super) struct Freezer {
    pub(super) target_c: f64,
    pub(super) seed: u64,
}

impl Freezer {
    pub(super) fn at(&self, at_ms: u64) -> f64 {
        let phase = (at_ms % COMPRESSOR_MS) as f64 / COMPRESSOR_MS as f64;
        // Warms slowly while the compressor rests, cools faster while it runs.
        let compressor = if phase < 0.65 { phase / 0.65 } else { (1.0 - phase) / 0.35 };
        let noise = 0.1 * smooth_noise(self.seed, at_ms, 30_000);
        self.target_c - 0.6 + 1.2 * compressor + noise + self.door_c(at_ms)
    }

    /// By how much the door that was left ajar has warmed it.
    fn door_c(&self, at_ms: u64) -> f64 {
        let hours = at_ms / DOOR_EVERY_MS;
        let opened = hours * DOOR_EVERY_MS + random::hash(self.seed ^ 2, hours) % DOOR_LATEST_MS;
        let Some(since) = at_ms.checked_sub(opened) else { return 0.0 };
        let warming = since.min(DOOR_OPEN_MS) as f64 / DOOR_WARM_MS;
        let cooling = since.saturating_sub(DOOR_OPEN_MS) as f64 / DOOR_COOL_MS;
        DOOR_RISE_C * (1.0 - (-warming).exp()) * (-cooling).exp()
    }
}

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
const COMPRESSOR_MS: u64 = 25 * 60_000;
/// Once in each such time the door is left ajar.
const DOOR_EVERY_MS: u64 = 2 * HOUR_MS;
/// Latest start, so that the freezer is cold again before the next time.
const DOOR_LATEST_MS: u64 = 60 * 60_000;
const DOOR_OPEN_MS: u64 = 18 * 60_000;
const DOOR_WARM_MS: f64 = 5.0 * 60_000.0;
const DOOR_COOL_MS: f64 = 6.0 * 60_000.0;
const DOOR_RISE_C: f64 = 9.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn day_is_warmest_at_its_peak() {
        let daily = Daily { mean: 20.0, swing: 2.0, peak_hour: 15.0, wander: 0.0, seed: 1 };
        assert!((daily.at(15 * HOUR_MS) - 22.0).abs() < 1e-9);
        assert!((daily.at(3 * HOUR_MS + 40 * DAY_MS) - 18.0).abs() < 1e-9);
    }

    #[test]
    fn noise_has_no_jumps_and_stays_in_its_range() {
        let mut before = smooth_noise(7, 0, 1_000);
        for at_ms in (0..100_000).step_by(10) {
            let noise = smooth_noise(7, at_ms, 1_000);
            assert!((-1.0..=1.0).contains(&noise));
            assert!((noise - before).abs() < 0.05, "jump at {at_ms}");
            before = noise;
        }
    }

    #[test]
    fn freezer_is_warm_for_over_ten_minutes_now_and_then_and_cold_again() {
        let freezer = Freezer { target_c: -18.5, seed: 3 };
        let minutes = (0..24 * 60).map(|minute| freezer.at(minute * 60_000));
        let (mut longest, mut run, mut cold) = (0, 0, 0);
        for temperature in minutes {
            run = if temperature > -15.0 { run + 1 } else { 0 };
            longest = longest.max(run);
            cold += u32::from(temperature < -17.0);
        }
        assert!(longest > 10, "the alert of ten minutes would never fire: {longest}");
        assert!(longest < 40, "it stays warm: {longest}");
        assert!(cold > 12 * 60, "it is hardly ever cold: {cold}");
    }
}
