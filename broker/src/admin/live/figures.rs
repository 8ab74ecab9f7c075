//! The status once a second, and how fast what it counts grows: computed here for everybody.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use serde::Serialize;

use super::event::event;
use crate::status::{RuleStatus, Status, UpstreamStatus};

/// Looks that somebody who comes is told of.
const PAST_MAX: usize = 120;

/// The last look, and some before it.
#[derive(Debug, Default)]
pub(super) struct Figures {
    last: Option<(Instant, Status)>,
    past: VecDeque<Point>,
}

/// What is sent.
#[derive(Debug, Serialize)]
struct Data<'a> {
    at_ms: u64,
    status: &'a Status,
    rates: &'a Rates,
}

/// The overview at one moment, for its charts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Point {
    at_ms: u64,
    received: f64,
    sent: f64,
    dropped: f64,
}

/// How much more per second than at the last look; 0 at the first one.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Rates {
    received: f64,
    sent: f64,
    dropped: f64,
    commits: f64,
    flushes: f64,
    bytes_written: f64,
    rules: BTreeMap<String, RuleRates>,
    upstreams: BTreeMap<String, UpstreamRates>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
struct RuleRates {
    matched: f64,
    emitted: f64,
    late: f64,
    dropped: f64,
    errors: f64,
}

#[derive(Debug, Default, PartialEq, Serialize)]
struct UpstreamRates {
    sent: f64,
    acknowledged: f64,
    received: f64,
}

impl Figures {
    /// The event of a look at this moment.
    pub(super) fn event(&mut self, status: Status, now: Instant, unix_ms: u64) -> Bytes {
        let last = self.last.as_ref();
        let rates =
            last.map(|(at, before)| Rates::between(before, &status, now.duration_since(*at)));
        let rates = rates.unwrap_or_default();
        if self.last.is_some() {
            let Rates { received, sent, dropped, .. } = rates;
            if self.past.len() >= PAST_MAX {
                self.past.pop_front();
            }
            self.past.push_back(Point { at_ms: unix_ms, received, sent, dropped });
        }
        let event = event("status", &Data { at_ms: unix_ms, status: &status, rates: &rates });
        self.last = Some((now, status));
        event
    }

    /// The event that tells of the last two minutes.
    pub(super) fn past(&self) -> Bytes {
        event("past", &self.past)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Rates {
    fn between(before: &Status, now: &Status, passed: Duration) -> Self {
        let rate = |before: u64, now: u64| rate(before, now, passed);
        let dropped = |status: &Status| status.messages.dropped.values().sum();
        let rules = now.rules.iter().filter_map(|rule| {
            let before = before.rules.iter().find(|one| one.name == rule.name)?;
            Some((rule.name.clone(), RuleRates::between(before, rule, rate)))
        });
        let upstreams = now.upstreams.iter().filter_map(|upstream| {
            let before = before.upstreams.iter().find(|one| one.name == upstream.name)?;
            Some((upstream.name.clone(), UpstreamRates::between(before, upstream, rate)))
        });
        Self {
            received: rate(before.messages.received, now.messages.received),
            sent: rate(before.messages.sent, now.messages.sent),
            dropped: rate(dropped(before), dropped(now)),
            commits: rate(before.store.commits, now.store.commits),
            flushes: rate(before.store.flushes, now.store.flushes),
            bytes_written: rate(before.store.bytes_written, now.store.bytes_written),
            rules: rules.collect(),
            upstreams: upstreams.collect(),
        }
    }
}

impl RuleRates {
    fn between(before: &RuleStatus, now: &RuleStatus, rate: impl Fn(u64, u64) -> f64) -> Self {
        Self {
            matched: rate(before.matched, now.matched),
            emitted: rate(before.emitted, now.emitted),
            late: rate(before.late, now.late),
            dropped: rate(before.dropped, now.dropped),
            errors: rate(before.errors, now.errors),
        }
    }
}

impl UpstreamRates {
    fn between(
        before: &UpstreamStatus,
        now: &UpstreamStatus,
        rate: impl Fn(u64, u64) -> f64,
    ) -> Self {
        Self {
            sent: rate(before.sent, now.sent),
            acknowledged: rate(before.acknowledged, now.acknowledged),
            received: rate(before.received, now.received),
        }
    }
}

/// Tenths are enough. A counter that is less than before belongs to something that began anew.
pub(super) fn rate(before: u64, now: u64, passed: Duration) -> f64 {
    let more = now.saturating_sub(before) as f64;
    let per_second = more / passed.as_secs_f64().max(SHORTEST_S);
    (per_second * 10.0).round() / 10.0
}

/// Two looks that follow at once say nothing about a pace.
const SHORTEST_S: f64 = 0.1;

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn status(received: u64, matched: u64) -> Status {
        let mut status = Status::default();
        status.messages.received = received;
        status.rules = vec![RuleStatus { name: "r".into(), matched, ..RuleStatus::default() }];
        status
    }

    fn data(event: &Bytes) -> Value {
        let text = str::from_utf8(event).expect("an event is text");
        let data = text.lines().find_map(|line| line.strip_prefix("data: "));
        serde_json::from_str(data.expect("it has data")).expect("they are JSON")
    }

    #[test]
    fn rates_are_of_the_time_between_two_looks() {
        let (mut figures, start) = (Figures::default(), Instant::now());
        let first = data(&figures.event(status(100, 7), start, 1_000));
        assert_eq!(first["rates"]["received"], 0.0);
        assert_eq!(first["status"]["messages"]["received"], 100);
        let later = start + Duration::from_secs(2);
        let second = data(&figures.event(status(350, 10), later, 3_000));
        assert_eq!(second["rates"]["received"], 125.0);
        assert_eq!(second["rates"]["rules"]["r"]["matched"], 1.5);
        let past = data(&figures.past());
        assert_eq!((&past[0]["at_ms"], &past[0]["received"]), (&3_000.into(), &125.0.into()));
        assert_eq!(past.as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn a_counter_that_began_anew_is_no_pace() {
        assert_eq!(rate(10, 3, Duration::from_secs(1)), 0.0);
    }

    #[test]
    fn the_past_is_short() {
        let (mut figures, mut now) = (Figures::default(), Instant::now());
        for _ in 0..PAST_MAX + 10 {
            now += Duration::from_secs(1);
            figures.event(status(0, 0), now, 0);
        }
        assert_eq!(figures.past.len(), PAST_MAX);
        figures.clear();
        assert_eq!(data(&figures.past()), Value::Array(Vec::new()));
    }
}
