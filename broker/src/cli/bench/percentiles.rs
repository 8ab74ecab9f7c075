//! Latencies: all of them are kept, so that the percentiles are exact.

use super::report::Report;

/// Latencies in nanoseconds, up to 4.29 seconds, past which they count as that.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies(Vec<u32>);

impl Latencies {
    /// What one run may keep.
    pub(crate) const MAX: u64 = 50_000_000;

    #[inline]
    pub(crate) fn add(&mut self, ns: u64) {
        if (self.0.len() as u64) < Self::MAX {
            self.0.push(u32::try_from(ns).unwrap_or(u32::MAX));
        }
    }

    pub(crate) fn report(&mut self, prefix: &str, report: &mut Report) {
        self.0.sort_unstable();
        for (name, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99_9", 0.999)] {
            report.number(&format!("{prefix}_{name}_us"), self.at(share) / 1e3);
        }
        let max = self.0.last().map_or(f64::NAN, |&ns| f64::from(ns));
        report.number(&format!("{prefix}_max_us"), max / 1e3);
    }

    /// The least latency that such a share of all does not exceed. Sorted already.
    fn at(&self, share: f64) -> f64 {
        let rank = (self.0.len() as f64 * share).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).map_or(f64::NAN, |&ns| f64::from(ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_exact() {
        let mut latencies = Latencies::default();
        (1..=1000).rev().for_each(|ns| latencies.add(ns * 1000));
        let mut report = Report::new("latency");
        latencies.report("latency", &mut report);
        let expected = "{\"scenario\":\"latency\",\"latency_p50_us\":500.0,\
                        \"latency_p90_us\":900.0,\"latency_p99_us\":990.0,\
                        \"latency_p99_9_us\":999.0,\"latency_max_us\":1000.0}\n";
        assert_eq!(report.json(), expected);
    }

    #[test]
    fn without_a_latency_there_is_nothing_to_report() {
        let mut report = Report::new("latency");
        Latencies::default().report("latency", &mut report);
        assert_eq!(report.json(), "{\"scenario\":\"latency\"}\n");
    }
}
