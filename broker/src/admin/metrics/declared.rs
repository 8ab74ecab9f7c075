//! The metrics, one by one, in the order of the page.

mod broker;
mod parts;

use std::collections::BTreeMap;

use super::{Kind, Metric, Samples, Scrape, Value};
use crate::times::Times;

/// All of them.
pub(super) fn metrics() -> impl Iterator<Item = &'static Metric> {
    broker::METRICS.iter().chain(parts::METRICS)
}

type Read = fn(&Scrape, &mut Samples);

const fn counter(
    name: &'static str,
    text: &'static str,
    labels: &'static [&'static str],
    read: Read,
) -> Metric {
    Metric { name, kind: Kind::Counter, text, labels, read }
}

const fn gauge(
    name: &'static str,
    text: &'static str,
    labels: &'static [&'static str],
    read: Read,
) -> Metric {
    Metric { name, kind: Kind::Gauge, text, labels, read }
}

const fn histogram(
    name: &'static str,
    text: &'static str,
    labels: &'static [&'static str],
    read: Read,
) -> Metric {
    Metric { name, kind: Kind::Histogram, text, labels, read }
}

fn counts(counts: &BTreeMap<String, u64>, out: &mut Samples) {
    for (reason, count) in counts {
        out.of(&[reason], *count);
    }
}

/// How old something is, in seconds.
fn age(since_ms: Option<u64>, unix_ms: u64) -> f64 {
    since_ms.map_or(0.0, |since| seconds(unix_ms.saturating_sub(since)))
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

impl Samples {
    /// Times in this unit; a bucket for each of these powers of two.
    fn times(
        &mut self,
        labels: &[&str],
        times: &Times,
        unit_s: f64,
        powers: std::ops::Range<usize>,
    ) {
        self.of(labels, Value::Times { times: times.clone(), unit_s, powers });
    }
}
