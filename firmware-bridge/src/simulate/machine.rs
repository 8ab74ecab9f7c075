//! A machine that reports each of its cycles with its own clock.
//!
//! Its network is not perfect: most reports come within 150 ms, some overtake each other, and a
//! few come later than a rule with a lateness of two seconds waits for.

use super::random::Random;
use super::sample::Sample;
use crate::json::JsonObject;

/// One machine of a production line.
#[derive(Debug)]
pub(super) struct Machine {
    topic: String,
    random: Random,
    typical_ms: u64,
    cycle_ms: u64,
    /// When the cycle that runs now ends.
    end_ms: u64,
    /// Reports on their way, at most [`UNDERWAY_MAX`].
    underway: Vec<Sample>,
}

impl Machine {
    /// A machine whose cycles take about `typical_ms`, at least one second, and whose first one
    /// ends within a second from now.
    pub(super) fn new(topic: String, typical_ms: u64, seed: u64, now_ms: u64) -> Self {
        let mut random = Random::new(seed);
        let typical_ms = typical_ms.max(TYPICAL_MIN_MS);
        let cycle_ms = cycle(&mut random, typical_ms);
        let end_ms = now_ms + random.between(100, 1_000);
        Self { topic, random, typical_ms, cycle_ms, end_ms, underway: Vec::new() }
    }

    /// Ends the cycle if it is time to, and delivers the reports that have arrived.
    pub(super) fn poll(&mut self, now_ms: u64, out: &mut Vec<Sample>) {
        if self.end_ms <= now_ms {
            self.report();
            self.cycle_ms = cycle(&mut self.random, self.typical_ms);
            self.end_ms += self.cycle_ms + self.random.between(50, 200);
        }
        let first = out.len();
        out.extend(self.underway.extract_if(.., |report| report.at_ms <= now_ms));
        out[first..].sort_by_key(|report| report.at_ms);
    }

    pub(super) fn next_due_ms(&self) -> u64 {
        self.underway.iter().map(|report| report.at_ms).fold(self.end_ms, u64::min)
    }

    fn report(&mut self) {
        debug_assert!(self.underway.len() < UNDERWAY_MAX, "a cycle is longer than that");
        let payload =
            JsonObject::new().field("ts", self.end_ms).field("cycle_ms", self.cycle_ms).end();
        let at_ms = self.end_ms + self.delay_ms();
        self.underway.push(Sample { topic: self.topic.clone(), payload, at_ms });
    }

    fn delay_ms(&mut self) -> u64 {
        match self.random.between(0, 200) {
            0 => self.random.between(3_000, DELAY_MAX_MS),
            1..20 => self.random.between(150, 1_900),
            _ => self.random.between(5, 150),
        }
    }
}

/// Within a tenth of what is typical, but one of forty sticks and takes up to four times as long.
fn cycle(random: &mut Random, typical_ms: u64) -> u64 {
    let usual = typical_ms * 9 / 10 + random.between(0, typical_ms / 5);
    match random.between(0, 40) {
        0 => usual + random.between(typical_ms, typical_ms * 3),
        _ => usual,
    }
}

const TYPICAL_MIN_MS: u64 = 1_000;
const DELAY_MAX_MS: u64 = 6_000;
/// The longest delay, in shortest cycles, and one.
const UNDERWAY_MAX: usize = (DELAY_MAX_MS / (TYPICAL_MIN_MS * 9 / 10)) as usize + 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_delivered_in_order_and_some_overtake_their_event_time() {
        let mut machine = Machine::new("line/a/press-1/cycle".into(), 1_000, 5, 0);
        let mut out = Vec::new();
        while machine.next_due_ms() < 3_600_000 {
            machine.poll(machine.next_due_ms(), &mut out);
            assert!(machine.underway.len() <= UNDERWAY_MAX);
        }
        assert!(out.is_sorted_by_key(|report| report.at_ms));
        let stamps: Vec<u64> = out
            .iter()
            .map(|report| serde_json::from_str::<serde_json::Value>(&report.payload).unwrap())
            .map(|payload| payload["ts"].as_u64().unwrap())
            .collect();
        assert!(!stamps.is_sorted(), "no report was late");
        let late = out.iter().zip(&stamps).filter(|(report, ts)| report.at_ms - **ts > 2_000);
        assert!((1..100).contains(&late.count()));
    }
}
