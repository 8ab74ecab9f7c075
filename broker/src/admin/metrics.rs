//! `GET /metrics`: what the broker counts, as Prometheus reads it.
//!
//! Each metric is declared once, with its name, its text, its labels and where it comes from; the
//! page in docs/ is made from that. Labels have the names of rules, upstreams, histories and reasons,
//! never those of clients or topics, so there are no more than the configuration has.

mod declared;

use std::fmt;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use tokio::task::spawn_blocking;

use super::Asked;
use super::answer::ApiError;
use crate::probe::Figures;
use crate::times::Times;

use declared::metrics;

/// A metric.
struct Metric {
    /// Without the ending that counters have.
    name: &'static str,
    kind: Kind,
    text: &'static str,
    labels: &'static [&'static str],
    read: fn(&Scrape, &mut Samples),
}

/// What a metric is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Metric {
    /// As Prometheus knows it.
    #[cfg(test)]
    fn full_name(&self) -> String {
        let ending = if self.kind == Kind::Counter { "_total" } else { "" };
        format!("{}{ending}", self.name)
    }
}

/// What is read from.
struct Scrape {
    figures: Figures,
    /// Requests to the admin server that were refused, by reason.
    refused: Vec<(&'static str, u64)>,
    unix_ms: u64,
}

/// Values with the values of their labels.
#[derive(Debug, Default)]
struct Samples(Vec<(Vec<String>, Value)>);

#[derive(Debug)]
enum Value {
    Fraction(f64),
    Times { times: Times, unit_s: f64, powers: std::ops::Range<usize> },
    Whole(u64),
}

/// `GET /metrics`.
pub(super) async fn scrape(State(api): Asked) -> Result<Response, ApiError> {
    let refused = api.access.refused().into_iter().collect();
    let probe = api.probe.clone();
    let text = spawn_blocking(move || {
        let figures = probe.figures();
        text(Scrape { figures, refused, unix_ms: crate::clock::unix_ms() })
    });
    let text = text.await.ok().flatten().ok_or_else(|| ApiError::unanswered("a part"))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// The text of all metrics.
fn text(scrape: Scrape) -> Option<String> {
    let mut registry = Registry::default();
    let samples = metrics().map(|metric| {
        let mut samples = Samples::default();
        (metric.read)(&scrape, &mut samples);
        (metric, samples)
    });
    registry.register_collector(Box::new(Collected(samples.collect())));
    let mut text = String::new();
    prometheus_text::encode(&mut text, &registry).ok()?;
    Some(text)
}

/// What was read, on its way to the encoder.
struct Collected(Vec<(&'static Metric, Samples)>);

impl fmt::Debug for Collected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collected").finish_non_exhaustive()
    }
}

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (metric, Samples(samples)) in self.0.iter().filter(|(_, it)| !it.0.is_empty()) {
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            let mut encoder = encoder.encode_descriptor(metric.name, metric.text, None, kind)?;
            for (values, value) in samples {
                let labels: Vec<(&str, &str)> =
                    metric.labels.iter().copied().zip(values.iter().map(String::as_str)).collect();
                match labels.is_empty() {
                    true => encode(metric.kind, value, &mut encoder)?,
                    false => encode(metric.kind, value, &mut encoder.encode_family(&labels)?)?,
                }
            }
        }
        Ok(())
    }
}

fn encode(kind: Kind, value: &Value, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
    match (kind, value) {
        (Kind::Counter, Value::Whole(value)) => {
            encoder.encode_counter::<NoLabelSet, u64, f64>(value, None)
        }
        (Kind::Counter, Value::Fraction(value)) => {
            encoder.encode_counter::<NoLabelSet, f64, f64>(value, None)
        }
        (_, Value::Whole(value)) => encoder.encode_gauge(value),
        (_, Value::Fraction(value)) => encoder.encode_gauge(value),
        (_, Value::Times { times, unit_s, powers }) => {
            let buckets = buckets(times, *unit_s, powers.clone());
            let sum = times.sum as f64 * unit_s;
            encoder.encode_histogram::<NoLabelSet>(sum, times.count(), &buckets, None)
        }
    }
}

/// How many took how long, in seconds: those below the first power in the first, those above the
/// last one in the last.
fn buckets(times: &Times, unit_s: f64, powers: std::ops::Range<usize>) -> Vec<(f64, u64)> {
    let upper_end = |power: usize| unit_s * (1_u64 << (power + 1)) as f64;
    let mut buckets: Vec<(f64, u64)> = powers.clone().map(|power| (upper_end(power), 0)).collect();
    buckets.push((f64::INFINITY, 0));
    for (power, count) in times.powers.iter().enumerate() {
        let bucket = power.saturating_sub(powers.start).min(buckets.len() - 1);
        buckets[bucket].1 += count;
    }
    buckets
}

impl Samples {
    fn one(&mut self, value: impl Into<Value>) {
        self.0.push((Vec::new(), value.into()));
    }

    fn maybe(&mut self, value: Option<impl Into<Value>>) {
        self.0.extend(value.map(|value| (Vec::new(), value.into())));
    }

    fn of(&mut self, labels: &[&str], value: impl Into<Value>) {
        self.0.push((labels.iter().map(|&label| label.to_owned()).collect(), value.into()));
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Fraction(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

#[cfg(test)]
mod tests;
