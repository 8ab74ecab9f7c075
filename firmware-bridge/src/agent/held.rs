//! Samples that wait for the clock of the machine to be set.
//!
//! A machine without a battery for its clock starts somewhere in the past. Samples of that time
//! would be filed under a wrong day by everybody behind the broker. They wait here until the clock
//! is set, and get their true time; or until they have waited long enough, and get the time since
//! the start.

use std::collections::VecDeque;

use super::clock::Now;
use super::device::DeviceId;
use crate::json::Value;

/// A sample of a device.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) device: DeviceId,
    pub(crate) at: Now,
    /// Number of the quantity, and its value.
    pub(crate) values: Vec<(usize, Value)>,
}

/// When a sample was taken, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stamp {
    /// Milliseconds since the start of the machine.
    Uptime(u64),
    /// Milliseconds since the Unix epoch.
    Wall(u64),
}

/// Samples in the order in which they were taken.
#[derive(Debug)]
pub(crate) struct Held {
    samples: VecDeque<Sample>,
    /// When waiting is over; `None` = the clock has been set once, or waiting is over.
    until_ms: Option<u64>,
    pub(crate) dropped: u64,
}

impl Held {
    pub(crate) fn new(until_ms: u64) -> Self {
        Self { samples: VecDeque::new(), until_ms: Some(until_ms), dropped: 0 }
    }

    /// Gives the sample back at once if its time is known, or will not be.
    pub(crate) fn handle(&mut self, now: Now, sample: Sample) -> Option<(Sample, Stamp)> {
        if let Some(stamp) = self.stamp(now, sample.at)
            && self.samples.is_empty()
        {
            return Some((sample, stamp));
        }
        if self.samples.len() >= SAMPLES_MAX {
            self.samples.pop_front();
            self.dropped += 1;
        }
        self.samples.push_back(sample);
        None
    }

    /// The next sample that need not wait any longer.
    pub(crate) fn poll(&mut self, now: Now) -> Option<(Sample, Stamp)> {
        let at = self.samples.front()?.at;
        let stamp = self.stamp(now, at)?;
        self.samples.pop_front().map(|sample| (sample, stamp))
    }

    /// When waiting ends, if something waits.
    pub(crate) fn next_due_ms(&self) -> Option<u64> {
        self.until_ms.filter(|_| !self.samples.is_empty())
    }

    fn stamp(&mut self, now: Now, at: Now) -> Option<Stamp> {
        if now.wall_ms.is_some() {
            self.until_ms = None;
        }
        let known = at.wall_ms.or_else(|| now.wall_ms_at(at.uptime_ms));
        if let Some(wall_ms) = known {
            return Some(Stamp::Wall(wall_ms));
        }
        let is_over = self.until_ms.is_none_or(|until_ms| now.uptime_ms >= until_ms);
        is_over.then_some(Stamp::Uptime(at.uptime_ms))
    }
}

/// Over an hour of ten devices that are read every ten seconds.
const SAMPLES_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    const EARLY_1970: u64 = 5_000;
    const NOW_2026: u64 = 1_780_000_000_000;

    fn sample(at: Now) -> Sample {
        Sample { device: DeviceId(0), at, values: Vec::new() }
    }

    #[test]
    fn sample_from_before_the_clock_was_set_gets_its_true_time_later() {
        let mut held = Held::new(120_000);
        let at = Now::new(10_000, EARLY_1970);
        assert_eq!(held.handle(at, sample(at)), None);
        assert_eq!(held.poll(Now::new(20_000, EARLY_1970 + 10_000)), None);
        let set = Now::new(30_000, NOW_2026);
        assert_eq!(held.poll(set), Some((sample(at), Stamp::Wall(NOW_2026 - 20_000))));
        assert_eq!(held.poll(set), None);
        assert_eq!(held.handle(set, sample(set)), Some((sample(set), Stamp::Wall(NOW_2026))));
    }

    #[test]
    fn without_a_clock_waiting_ends_and_the_time_since_the_start_is_given() {
        let mut held = Held::new(120_000);
        let at = Now::new(10_000, EARLY_1970);
        held.handle(at, sample(at));
        assert_eq!(held.next_due_ms(), Some(120_000));
        let over = Now::new(120_000, EARLY_1970);
        assert_eq!(held.poll(over), Some((sample(at), Stamp::Uptime(10_000))));
        assert_eq!(held.handle(over, sample(over)), Some((sample(over), Stamp::Uptime(120_000))));
    }

    #[test]
    fn so_many_samples_wait_and_then_the_oldest_go() {
        let mut held = Held::new(1_000_000);
        for uptime_ms in 0..SAMPLES_MAX as u64 + 5 {
            let at = Now::new(uptime_ms, EARLY_1970);
            held.handle(at, sample(at));
        }
        assert_eq!((held.samples.len(), held.dropped), (SAMPLES_MAX, 5));
        assert_eq!(held.poll(Now::new(9_000, NOW_2026)).unwrap().0.at.uptime_ms, 5);
    }
}
